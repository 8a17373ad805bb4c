"""The built-in corpora; the phrasebook's own tests are in test_phrasebook.py."""

import random

import pytest

from data.config import DataConfig, DataError
from data.corpora.phrasebook import things
from data.corpora.registry import CORPORA, several_languages
from transformer.config import ConfigError


def test_reverse():
    splits = CORPORA["reverse"](500, seed=1)
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 500,
        "validation": 1000,
        "test": 1000,
    }
    sources = [source for pairs in splits.values() for source, _ in pairs]
    assert len(set(sources)) == len(sources) and {len(source.split()) for source in sources} == set(
        range(3, 11)
    )
    assert set("".join(sources)) == set("abcdefghijklmnopqrst ")
    assert all(target == source[::-1] for pairs in splits.values() for source, target in pairs)
    assert splits == CORPORA["reverse"](500, seed=1) != CORPORA["reverse"](500, seed=2)
    with pytest.raises(DataError, match="at most 1000000"):
        CORPORA["reverse"](1_000_001, seed=1)


@pytest.mark.parametrize("name", ["reverse", "stories"])
def test_a_million_pairs_are_not_too_many(name, monkeypatch):
    """They are drawn, which would take long: here it ends as it begins."""

    class Begun(Exception):
        pass

    def begin(seed):
        raise Begun

    monkeypatch.setattr(random, "Random", begin)
    with pytest.raises(Begun):
        CORPORA[name](1_000_000, seed=1)
    with pytest.raises(DataError, match=f"at most 1000000 for '{name}'. Received: 1000001"):
        CORPORA[name](1_000_001, seed=1)


def test_several_languages_are_told_apart_by_a_token():
    def corpus(language):
        def draw(size, seed):
            made = {"train": size, "validation": 1, "test": 2}
            return {
                split: [(f"{split} {n}", f"{language} {seed}") for n in range(count)]
                for split, count in made.items()
            }

        return draw

    found = several_languages({"de": corpus("german"), "zh": corpus("chinese")})(3, 7)
    assert [tuple(pair[:2]) for pair in found["train"]] == [
        ("<2de> train 0", "german 7"),
        ("<2de> train 1", "german 7"),
        ("<2zh> train 0", "chinese 7"),
        ("<2zh> train 1", "chinese 7"),
    ]
    assert [pair[0] for pair in found["validation"]] == ["<2de> validation 0", "<2zh> validation 0"]
    assert [pair[0] for pair in found["test"]][1:3] == ["<2de> test 1", "<2zh> test 0"]


@pytest.mark.parametrize(
    "name, pairs",
    [
        ("phrasebook_en_de", {"No problem.": "Kein Problem."}),
        ("phrasebook_en_zh", {"No problem.": "没问题。"}),
        (
            "phrasebook_en_de_zh",
            {"<2de> No problem.": "Kein Problem.", "<2zh> No problem.": "没问题。"},
        ),
    ],
)
def test_the_languages_of_the_phrasebook(name, pairs, monkeypatch):
    """Of set phrases, which are 24, all in training."""
    monkeypatch.setattr("data.corpora.phrasebook.PATTERNS", (things.pleasantry,))
    monkeypatch.setattr("data.corpora.phrasebook.HELD_OUT", 0)
    found = CORPORA[name](24 * len(pairs), seed=1)["train"]
    assert len(found) == 24 * len(pairs)
    assert pairs.items() <= {source: target for source, target, *_ in found}.items()


def test_the_flag_names_every_corpus():
    for name in CORPORA:
        DataConfig(corpus=name, task="text2text")
    with pytest.raises(ConfigError, match=", ".join(map(repr, CORPORA))):
        DataConfig(corpus="none")
