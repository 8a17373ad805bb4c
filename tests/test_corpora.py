"""The built-in corpora; the phrasebook's own tests are in test_phrasebook.py."""

import pytest

from data.config import DataConfig, DataError
from data.corpora import CORPORA
from transformer.config import ConfigError


def test_reverse():
    splits = CORPORA["reverse"](500, seed=1)
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 500, "validation": 1000, "test": 1000}
    sources = [source for pairs in splits.values() for source, _ in pairs]
    assert len(set(sources)) == len(sources) and {len(source.split()) for source in sources} == set(range(3, 11))
    assert all(target == source[::-1] for pairs in splits.values() for source, target in pairs)
    assert splits == CORPORA["reverse"](500, seed=1) != CORPORA["reverse"](500, seed=2)
    with pytest.raises(DataError, match="at most 1000000"):
        CORPORA["reverse"](1_000_001, seed=1)


def test_the_flag_names_every_corpus():
    for name in CORPORA:
        DataConfig(corpus=name, task="text2text")
    with pytest.raises(ConfigError, match=", ".join(map(repr, CORPORA))):
        DataConfig(corpus="none")
