"""The cache of prepared data: the same inputs are found again, other ones are not, and nothing
half-written is left."""

import dataclasses
import json
import re

import numpy as np
import pytest

import transformer.config
import transformer.text.symbols
import transformer.text.tokenizer
from data import prepare as module
from data.config import DataConfig, DataError
from data.pairs import Pair
from data.prepare import (
    Split,
    cache_key,
    changed_texts,
    encode_pairs,
    make_tokenizers,
    prepare,
    weighted,
)
from tests.text.test_tokenizer import foreign
from transformer.config import ConfigError, TokenizerConfig
from transformer.generation.generator import Generator, reading_of
from transformer.text.symbols import SYMBOLS
from transformer.text.tokenizer import (
    ByteTokenizer,
    CharacterTokenizer,
    save_tokenizers,
    train_tokenizer,
)

DATA = DataConfig(corpus="reverse", corpus_size=60)
CHARACTERS = TokenizerConfig(tokenizer="character")


def files(folder, **options):
    """A configuration of files with 40 pairs."""
    path = folder / "pairs.tsv"
    path.write_text(
        "".join(f"source {n}\ttarget {n} {'x' * n}\n" for n in range(40)), encoding="utf-8"
    )
    return DataConfig(
        **{
            "examples_train": (str(path),),
            "source_column": "1",
            "target_column": "2",
            "validation_share": 0.1,
            "test_share": 0.1,
            **options,
        }
    )


def test_ids_and_texts_are_what_was_read(tmp_path):
    prepared = prepare(DATA, CHARACTERS, tmp_path)
    split = prepared.splits["train"]
    assert len(split) == 60 == len(split.texts()[0])
    for n in (0, 17, 59):
        ids = split.source_ids[split.source_offsets[n] : split.source_offsets[n + 1]]
        assert isinstance(split.source_ids, np.memmap) and ids.dtype == np.int32
        assert ids[-1] == 3 and prepared.source_tokenizer.decode([ids]) == [split.texts()[0][n]]
        assert split.texts()[1][n] == split.texts()[0][n][::-1]
    assert (
        split.source_lengths == np.diff(split.source_offsets)
    ).all() and split.target_lengths.sum() == len(split.target_ids)


def test_of_the_texts_some_are_taken_evenly(tmp_path):
    rows = [[f"s{n}", f"ü{n}"] for n in range(10)]
    (tmp_path / "x.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    split = Split(tmp_path, "x", 0, 0, 2)
    for count, chosen in (
        (None, range(10)),
        (10, range(10)),
        (99, range(10)),
        (3, (0, 3, 6)),
        (4, (0, 2, 5, 7)),
        (1, (0,)),
        (0, ()),
    ):
        assert split.texts(count) == ([f"s{n}" for n in chosen], [f"ü{n}" for n in chosen])
        assert split.pairs(count) == [Pair(f"s{n}", f"ü{n}") for n in chosen]


def test_each_side_has_its_own_ids_and_files(tmp_path):
    """The first training pair by hand: a tokenizer of the letters of each side."""
    (tmp_path / "a.tsv").write_text("ab\tzyx\nba\ty\n", encoding="utf-8")
    path = (str(tmp_path / "a.tsv"),)
    config = DataConfig(
        examples_train=path,
        examples_validation=path,
        examples_test=path,
        source_column="1",
        target_column="2",
        clean=False,
    )
    prepared = prepare(
        config, TokenizerConfig(tokenizer="character", joint_vocabulary=False), tmp_path / "cache"
    )
    assert [
        tokenizer.characters for tokenizer in (prepared.source_tokenizer, prepared.target_tokenizer)
    ] == ["ab", "xyz"]
    for name, split in prepared.splits.items():
        assert split.source_ids.tolist() == [
            4,
            5,
            3,
            5,
            4,
            3,
        ] and split.source_offsets.tolist() == [0, 3, 6]
        assert split.target_ids.tolist() == [
            6,
            5,
            4,
            3,
            5,
            3,
        ] and split.target_offsets.tolist() == [0, 4, 6]
        assert (split.name, split.source_pad_id, split.target_pad_id, split.bos_id) == (
            name,
            0,
            0,
            2,
        )
        assert split.packing.lengths.tolist() == [
            [3, 4],
            [3, 2],
        ] and split.packing.offsets.tolist() == [0, 2]
        text = (prepared.folder / f"{name}.jsonl").read_text(encoding="utf-8")
        assert text == '["ab", "zyx"]\n["ba", "y"]\n'
        assert (prepared.folder / f"{name}.packing.npz").exists() == (name == "train")
        assert prepared.report[name]["reasons"] == {}  # each can be written by its own tokenizer


def test_what_questions_are_scored_by_is_kept(tmp_path, monkeypatch):
    pairs = [
        Pair(f"question: {n}? context: {n} x", f"{n}", "numbers", ("x",) * (n % 3))
        for n in range(40)
    ]
    monkeypatch.setattr(
        module,
        "load_examples",
        lambda config: {"train": pairs, "validation": pairs[:2], "test": pairs[:5]},
    )
    prepared = prepare(dataclasses.replace(DATA, clean=False), CHARACTERS, tmp_path)
    assert (
        prepared.splits["train"].pairs() == pairs and prepared.splits["test"].pairs() == pairs[:5]
    )
    assert prepared.splits["test"].texts() == ([pair.source for pair in pairs[:5]], list("01234"))


def test_pairs_of_text_have_no_kind(tmp_path):
    pair = prepare(DATA, CHARACTERS, tmp_path).splits["test"].pairs()[0]
    assert pair == Pair(pair.source, pair.source[::-1]) and pair.references == (pair.target,)


def test_a_second_run_finds_the_cache(tmp_path, monkeypatch):
    first = prepare(DATA, CHARACTERS, tmp_path)
    monkeypatch.setattr(module, "load_examples", lambda config: pytest.fail("read again"))
    second = prepare(DATA, CHARACTERS, tmp_path)
    assert (first.cached, second.cached) == (False, True) and first.folder == second.folder


def test_the_key_depends_on_options_files_and_tokenizer_but_not_on_the_folder(tmp_path):
    config = files(tmp_path)
    key = cache_key(config, CHARACTERS)
    assert key == cache_key(config, CHARACTERS)
    others = [
        cache_key(files(tmp_path, lowercase=True), CHARACTERS),
        cache_key(config, TokenizerConfig(tokenizer="byte")),
    ]
    (tmp_path / "pairs.tsv").write_text("changed\tcontent\n", encoding="utf-8")
    assert len({key, cache_key(config, CHARACTERS), *others}) == 4
    moved = tmp_path / "moved"
    moved.mkdir()
    (
        (moved / "a.tsv").write_text("x\ty\n", encoding="utf-8"),
        (tmp_path / "a.tsv").write_text("x\ty\n", encoding="utf-8"),
    )
    same = [
        cache_key(DataConfig(examples_train=("a.tsv",), data_dir=str(folder)), CHARACTERS)
        for folder in (tmp_path, moved)
    ]
    assert same[0] == same[1]


def test_the_key_depends_on_each_file_of_data_and_of_tokenizers(tmp_path):
    config, seen = files(tmp_path, examples_validation=("v.tsv",), data_dir=str(tmp_path)), set()
    for name in ("v.tsv", "s.model", "t.model", "pairs.tsv"):
        (tmp_path / name).write_text("a\tb\n", encoding="utf-8")
    tokenizer = TokenizerConfig(
        source_tokenizer=str(tmp_path / "s.model"), target_tokenizer=str(tmp_path / "t.model")
    )
    seen.add(cache_key(config, tokenizer))
    for name in ("v.tsv", "s.model", "t.model", "pairs.tsv"):
        (tmp_path / name).write_text("A\tb\n", encoding="utf-8")
        seen.add(cache_key(config, tokenizer))
    assert len(seen) == 5 and all(
        len(key) == 16 and set(key) <= set("0123456789abcdef") for key in seen
    )
    # Also the files of a folder of tokenizers.
    save_tokenizers(tmp_path / "run", CharacterTokenizer("ab"), CharacterTokenizer("cd"))
    given = TokenizerConfig(source_tokenizer=str(tmp_path / "run"))
    before = cache_key(config, given)
    save_tokenizers(tmp_path / "run", CharacterTokenizer("ab"), CharacterTokenizer("ce"))
    assert cache_key(config, given) != before
    # Also of one whose name has brackets, which are no pattern.
    save_tokenizers(tmp_path / "run [1]", CharacterTokenizer("ab"), CharacterTokenizer("cd"))
    given = TokenizerConfig(source_tokenizer=str(tmp_path / "run [1]"))
    before = cache_key(config, given)
    save_tokenizers(tmp_path / "run [1]", CharacterTokenizer("ab"), CharacterTokenizer("ce"))
    assert cache_key(config, given) != before
    # A large file is read from its beginning to its end, in parts.
    middle = "a" * (3 << 20)
    for text in (f"x{middle}x", f"x{middle}y", f"y{middle}x"):
        (tmp_path / "v.tsv").write_text(text, encoding="utf-8")
        seen.add(cache_key(config, tokenizer))
    assert len(seen) == 8
    with pytest.raises(DataError, match="must come from exactly one of --corpus"):
        cache_key(DataConfig(), CHARACTERS)


def test_the_key_depends_on_the_file_in_which_a_pair_stands(tmp_path):
    """A line may move from the end of the training data to the beginning of the validation data."""
    config, keys = files(tmp_path, examples_validation=("v.tsv",), data_dir=str(tmp_path)), set()
    for train, validation in (("a\tb\nc\td\n", "e\tf\n"), ("a\tb\n", "c\td\ne\tf\n")):
        (tmp_path / "pairs.tsv").write_text(train, encoding="utf-8")
        (tmp_path / "v.tsv").write_text(validation, encoding="utf-8")
        keys.add(cache_key(config, CHARACTERS))
    assert len(keys) == 2


@pytest.mark.parametrize("package", ["ftfy", "sentencepiece"])
def test_the_key_depends_on_the_versions_of_what_repairs_and_splits_text(monkeypatch, package):
    known, version = cache_key(DATA, CHARACTERS), module.importlib.metadata.version
    monkeypatch.setattr(
        module.importlib.metadata, "version", lambda name: version(name) + ".1" * (name == package)
    )
    assert cache_key(DATA, CHARACTERS) != known


def test_the_key_depends_on_the_code_that_reads_and_cleans(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "prepare.py"))
    (tmp_path / "corpora").mkdir()
    seen = set()
    for name, text in (
        ("cleaning.py", "a = 1"),
        ("cleaning.py", "a = 2"),
        ("corpora/new.py", "a = 1"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        seen.add(cache_key(DATA, CHARACTERS))
    assert len(seen) == 3


@pytest.mark.parametrize(
    "used", [transformer.config, transformer.text.symbols, transformer.text.tokenizer]
)
def test_the_key_depends_on_the_code_that_tokenises_and_copies(tmp_path, monkeypatch, used):
    monkeypatch.setattr(used, "__file__", str(tmp_path / "used.py"))
    keys = set()
    for text in ("a = 1", "a = 2"):
        (tmp_path / "used.py").write_text(text, encoding="utf-8")
        keys.add(cache_key(DATA, CHARACTERS))
    assert len(keys) == 2


def test_each_split_has_rows_of_its_own(tmp_path):
    """Only those of the training data are kept on the disk."""
    texts = {"train": "a\tb\nab\tba\n", "validation": "aba\tb\n", "test": "b\tabab\na\taba\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.tsv").write_text(text, encoding="utf-8")
    paths = {f"examples_{name}": (f"{name}.tsv",) for name in texts}
    options = {"source_column": "1", "target_column": "2", "clean": False}
    config = DataConfig(data_dir=str(tmp_path), **options, **paths)
    splits = prepare(config, CHARACTERS, tmp_path / "cache").splits
    found = {name: sorted(split.packing.lengths.tolist()) for name, split in splits.items()}
    # With the end token.
    assert found == {"train": [[2, 2], [3, 3]], "validation": [[4, 2]], "test": [[2, 4], [2, 5]]}


def test_what_is_prepared_cannot_be_written_to(tmp_path):
    """Else what changes an array would change the data of every later run."""
    split = prepare(DATA, CHARACTERS, tmp_path).splits["train"]
    for ids in (split.source_ids, split.target_ids):
        with pytest.raises(ValueError, match="read-only"):
            ids[0] = 1


def test_the_fingerprint_is_of_ids_and_tokenizers(tmp_path):
    """What is only in the test, or has the same ids and pieces, changes nothing; another text or
    another piece does."""

    def made(name, train, test="z\tz\n", **options):
        folder = tmp_path / name
        folder.mkdir()
        for split, text in (("train", train), ("validation", "a\tb\n"), ("test", test)):
            (folder / f"{split}.tsv").write_text(text, encoding="utf-8")
        paths = {
            f"examples_{split}": (f"{split}.tsv",) for split in ("train", "validation", "test")
        }
        config = DataConfig(data_dir=str(folder), source_column="1", target_column="2", **paths)
        return prepare(
            config, TokenizerConfig(tokenizer="character", **options), folder / "cache"
        ).fingerprint

    known = made("1", "ab\tba\nbc\tca\n")
    assert known == made("2", "ab\tba\nbc\tca\n", test="y\ty\nx\tx\n")
    others = [
        made("3", "ab\tba\nbc\tcb\n"),
        made("4", "bc\tca\nab\tba\n"),
        made("5", "xy\tyx\nyz\tzx\n"),
    ]
    assert len({known, *others}) == 4 and len(known) == 16
    assert made("6", "ba\tba\nbc\tca\n") not in {known, *others}  # of the sources alone


def test_an_interrupted_preparation_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_split", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(DATA, CHARACTERS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_agree(tmp_path, monkeypatch):
    """A second process that finishes first wins; the result is the same."""
    save = module.save_tokenizers

    def save_late(folder, source, target):
        monkeypatch.setattr(module, "save_tokenizers", save)
        prepare(DATA, CHARACTERS, tmp_path)
        save(folder, source, target)

    monkeypatch.setattr(module, "save_tokenizers", save_late)
    assert len(prepare(DATA, CHARACTERS, tmp_path).splits["train"]) == 60
    assert len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_is_full_leaves_nothing(tmp_path, monkeypatch):
    """numpy says no more than this of a disk that is full."""

    def full(*_):
        raise OSError("1000 requested and 12 written")

    monkeypatch.setattr(module.np, "save", full)
    with pytest.raises(
        DataError, match=r"data cannot be written. Received: .*1000 requested and 12 written"
    ):
        prepare(DATA, CHARACTERS, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_long_training_pairs_are_dropped_and_reported_long_tests_are_kept(tmp_path):
    config = files(tmp_path, max_target_length=35)
    prepared = prepare(config, CHARACTERS, tmp_path / "cache")
    assert max(prepared.splits["train"].target_lengths) <= 35
    dropped = prepared.report["train"]["reasons"]["target too long (tokens)"]
    assert (
        dropped["action"] == "dropped"
        and dropped["count"]
        == prepared.report["train"]["pairs_in"] - prepared.report["train"]["pairs_out"]
    )
    everything = [f"source {n}" for n in range(40)]
    assert all(text in everything for text in prepared.splits["test"].texts()[0])
    assert (
        max(map(len, prepared.splits["test"].texts()[1]))
        > 35
        >= max(prepared.splits["test"].target_lengths)
    )
    report = json.loads((prepared.folder / "data_report.json").read_text(encoding="utf-8"))
    assert report == prepared.report


@pytest.mark.parametrize(
    "task, limit, reports",
    [
        (
            "translation",
            8,
            {
                "train": ("source too long (tokens)", "dropped"),
                "validation": ("source too long (tokens)", "no loss"),
                "test": ("source too long (tokens)", "kept"),
            },
        ),
        (
            "summarization",
            8,
            dict.fromkeys(
                ("train", "validation", "test"),
                ("source too long (tokens), by 24% on average", "cut"),
            ),
        ),
        ("translation", 12, {}),
        ("summarization", 12, {}),
    ],
)
def test_sources_that_are_too_long_by_hand(tmp_path, task, limit, reports):
    """Ten pairs, of which six have sources of 9, 10, 11, 11, 11 and 11 tokens: 10.5 on average,
    of which 8 are 76 %."""
    sources = [
        "a",
        "ab",
        "abc",
        "abcdefg",
        "abcdefgh",
        "abcdefghi",
        *(f"{n}bcdefghij" for n in range(4)),
    ]
    (tmp_path / "a.tsv").write_text("".join(f"{source}\t{n}\n" for n, source in enumerate(sources)))
    path = (str(tmp_path / "a.tsv"),)
    config = DataConfig(
        examples_train=path,
        examples_validation=path,
        examples_test=path,
        source_column="1",
        target_column="2",
        task=task,
        max_source_length=limit,
        clean=False,
    )
    prepared = prepare(config, CHARACTERS, tmp_path / "cache")
    shown = [f"{n + 1}: {sources[n]} ||| {n}" for n in (4, 5, 6, 7, 8)]
    for split, report in prepared.report.items():
        expected = {}
        if reports:
            reason, action = reports[split]
            expected = {reason: {"action": action, "count": 6, "examples": shown}}
        dropped = 6 if reports and split == "train" and task == "translation" else 0
        assert report == {"pairs_in": 10, "pairs_out": 10 - dropped, "reasons": expected}
        assert len(prepared.splits[split].pairs()) == 10 - dropped
        lost = 6 if reports and task == "translation" else 0
        assert prepared.splits[split].source_lengths.tolist() == [
            min(len(source) + 1, limit) for source in sources[: 10 - lost]
        ]


def test_a_target_that_is_too_long_is_never_cut(tmp_path):
    (tmp_path / "a.tsv").write_text(f"a\tb\n{'s' * 100}\t{'t' * 100}\n")
    path = (str(tmp_path / "a.tsv"),)
    config = DataConfig(
        examples_train=path,
        examples_validation=path,
        examples_test=path,
        source_column="1",
        target_column="2",
        task="summarization",
        max_target_length=8,
        clean=False,
    )
    report = prepare(config, CHARACTERS, tmp_path / "cache").report
    shown = [f"2: {'s' * 100} ||| {'t' * 55}"]  # 160 characters
    for split, action in (("train", "dropped"), ("validation", "no loss"), ("test", "kept")):
        entry = {"action": action, "count": 1, "examples": shown}
        assert report[split]["reasons"] == {"target too long (tokens)": entry}


def test_training_and_validation_need_pairs_that_fit_and_the_test_does_not(tmp_path):
    (tmp_path / "short.tsv").write_text("a\tb\n")
    (tmp_path / "long.tsv").write_text("a\tbcdefgh\n")
    for wrong in ("train", "validation", "test"):
        paths = {
            f"examples_{split}": ("long.tsv" if split == wrong else "short.tsv",)
            for split in ("train", "validation", "test")
        }
        config = DataConfig(
            data_dir=str(tmp_path),
            source_column="1",
            target_column="2",
            max_target_length=7,
            clean=False,
            **paths,
        )
        if wrong == "test":
            split = prepare(config, CHARACTERS, tmp_path / "cache").splits["test"]
            assert len(split) == 0 and split.texts() == (["a"], ["bcdefgh"])
            assert len(split.source_ids) == len(split.target_ids) == 0
        else:
            with pytest.raises(
                DataError,
                match=f"every split needs pairs. Received: none for {wrong}, since all are too",
            ):
                prepare(config, CHARACTERS, tmp_path / "cache")


def test_cleaning_must_leave_training_pairs(tmp_path):
    (tmp_path / "a.tsv").write_text("...\t!\n")
    path = (str(tmp_path / "a.tsv"),)
    config = DataConfig(
        examples_train=path,
        examples_validation=path,
        examples_test=path,
        source_column="1",
        target_column="2",
    )
    with pytest.raises(
        DataError,
        match="cleaning must leave training pairs. Received: none. See --clean and "
        "--max_length_ratio",
    ):
        prepare(config, CHARACTERS, tmp_path / "cache")


def test_weights_are_those_of_the_prefixes(tmp_path):
    for name in ("de", "zh"):
        (tmp_path / f"{name}.tsv").write_text("".join(f"text {n}\t{name} {n}\n" for n in range(4)))
    files = dict.fromkeys(
        ("examples_train", "examples_validation", "examples_test"), ("de.tsv", "zh.tsv")
    )
    config = DataConfig(
        data_dir=str(tmp_path),
        source_column="1",
        target_column="2",
        clean=False,
        prefixes=("<2de> ", " <2zh>"),
        weights=("0.5", "3"),
        **files,
    )
    splits = prepare(config, CHARACTERS, tmp_path / "cache").splits
    assert splits["train"].texts()[1] == [
        "de 1",
        "de 3",
        *(f"zh {n}" for n in range(4) for _ in range(3)),
    ]
    assert splits["test"].texts()[1] == [f"{name} {n}" for name in ("de", "zh") for n in range(4)]


def test_a_tenth_ten_times_is_one():
    assert [
        sum(1 for _ in weighted([Pair("s", "t", "a")] * count, {"a": 0.1}))
        for count in (9, 10, 19, 30)
    ] == [0, 1, 1, 3]
    assert weighted([("s", "t"), Pair("s", "t", "b")], {"": 2.0}) == [("s", "t")] * 2 + [
        Pair("s", "t", "b")
    ]
    assert len(weighted([Pair("s", "t", "a")] * 100, {"a": 0.07})) == 7


def test_texts_that_a_tokenizer_changes():
    tokenizer = CharacterTokenizer("ab \n")
    texts = ["ab", "axb", "a \n b", "x" * 99]
    unknown = tokenizer.decode(tokenizer.encode(["axb", "x" * 99]))
    expected = [f"2: axb -> {unknown[0][:80]}", f"4: {'x' * 80} -> {unknown[1][:80]}"]
    assert changed_texts(texts, tokenizer, DataConfig(corpus="reverse")) == expected
    merging = train_tokenizer(["a b"] * 9, TokenizerConfig(vocab_size=300))
    (back,) = merging.decode(merging.encode(["a  b"]))
    assert back == "a b" and changed_texts(["a  b"], merging, DataConfig(corpus="reverse")) == []
    assert changed_texts(["a b", "a  b"], merging, DataConfig(corpus="reverse", task="code")) == [
        "2: a  b -> a b"
    ]


def test_many_texts_are_as_one_by_one(monkeypatch):
    """Tokenizers are given some thousands at once."""
    monkeypatch.setattr(module, "GROUP", 3)
    letters = CharacterTokenizer("abc")
    for count in (1, 2, 3, 4, 7):
        texts = [("abc"[: n % 4], "cba"[: n % 3]) for n in range(count)]
        pairs, fits, lengths = encode_pairs(texts, letters, letters, DataConfig(corpus="reverse"))
        assert (
            pairs.source_lengths.tolist()
            == [n % 4 + 1 for n in range(count)]
            == lengths[:, 0].tolist()
        )
        ids = [["abc".index(letter) + 4 for letter in text] + [3] for text, _ in texts]
        assert pairs.source_ids.tolist() == sum(ids, []) and pairs.source_ids.dtype == np.int32
    nothing, fits, lengths = encode_pairs([], letters, letters, DataConfig(corpus="reverse"))
    assert (
        len(nothing) == 0
        and nothing.source_ids.dtype == np.int32
        and lengths.shape == (0, 2)
        and len(fits) == 0
    )


@pytest.mark.parametrize("normalization, changed", [("nfkc", 1), ("identity", 0)])
def test_references_that_the_tokenizer_cannot_write_are_reported(tmp_path, normalization, changed):
    (tmp_path / "a.tsv").write_text(
        "what is it\t这是什么？\nthat is it\t就是这个。\n" * 2, encoding="utf-8"
    )
    path = (str(tmp_path / "a.tsv"),)
    config = DataConfig(
        examples_train=path,
        examples_validation=path,
        examples_test=path,
        source_column="1",
        target_column="2",
        clean=False,
    )
    tokenizer = TokenizerConfig(vocab_size=400, normalization=normalization, joint_vocabulary=False)
    report = prepare(
        dataclasses.replace(config, examples_train=(write_train(tmp_path),)),
        tokenizer,
        tmp_path / "cache",
    ).report
    reason = "target that the tokenizer changes (see --normalization)"
    assert report["test"]["reasons"].get(reason, {"count": 0})["count"] == 2 * changed
    if changed:
        assert report["test"]["reasons"][reason]["examples"][0] == "1: 这是什么？ -> 这是什么?"


def test_of_many_texts_that_cannot_be_written_five_are_shown(tmp_path):
    (tmp_path / "train.tsv").write_text("a\tb\n")
    (tmp_path / "test.tsv").write_text("".join(f"a\tb{n}\n" for n in range(7)))
    train, test = ((str(tmp_path / f"{name}.tsv"),) for name in ("train", "test"))
    config = DataConfig(
        examples_train=train,
        examples_validation=test,
        examples_test=test,
        source_column="1",
        target_column="2",
        clean=False,
    )
    report = prepare(config, CHARACTERS, tmp_path / "cache").report
    reason = "target that the tokenizer changes (see --normalization)"
    for split in ("validation", "test"):
        found = report[split]["reasons"][reason]
        assert found["action"] == "kept" and found["count"] == 7
        assert [example[:6] for example in found["examples"]] == [
            f"{n}: b{n - 1} " for n in range(1, 6)
        ]


def write_train(folder):
    (folder / "train.tsv").write_text(
        "".join(f"line {n}\t第{n}行？\n" for n in range(50)), encoding="utf-8"
    )
    return str(folder / "train.tsv")


def test_pairs_in_memory_without_those_that_are_too_long():
    letters, numbers = CharacterTokenizer("abc"), CharacterTokenizer("12")
    texts = [("ab", "1"), ("abc", "1"), ("c", "212"), ("b", "")]
    pairs, fits, lengths = encode_pairs(
        texts, letters, numbers, DataConfig(max_source_length=4, max_target_length=4)
    )
    assert len(pairs) == 4 and fits.all()
    limits = dataclasses.replace(DataConfig(), max_source_length=4, max_target_length=4)
    pairs, fits, lengths = encode_pairs([("ab" * 2, "1"), *texts[1:]], letters, numbers, limits)
    assert lengths.tolist() == [[5, 2], [4, 2], [2, 4], [2, 1]] and fits.tolist() == [
        False,
        True,
        True,
        True,
    ]
    cut, fits, _ = encode_pairs(
        [("ab" * 2, "1"), ("c", "2121")], letters, numbers, dataclasses.replace(limits, task="code")
    )
    assert (
        fits.tolist() == [True, False]
        and cut.source_ids.tolist() == [4, 5, 4, 3]
        and cut.target_ids.tolist() == [4, 3]
    )
    pairs, _, _ = encode_pairs([("ab", "1"), ("b", "")], letters, numbers, limits)
    assert pairs.source_ids.tolist() == [4, 5, 3, 5, 3] and pairs.source_offsets.tolist() == [
        0,
        3,
        5,
    ]
    assert pairs.target_ids.tolist() == [4, 3, 3] and pairs.target_lengths.tolist() == [2, 1]
    assert pairs.gather(1, (6, 4), [[1, 0]])[1].tolist() == [[3, 4, 3, 0]]


def test_no_pair_left_is_an_error_not_an_empty_run(tmp_path):
    with pytest.raises(
        DataError, match="none for train, since all are too long. Use a larger --max_source_length"
    ):
        prepare(files(tmp_path, max_target_length=4), CHARACTERS, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_joint_separate_and_given_vocabularies(tmp_path):
    pairs = [("aa bb", "cc dd")] * 3
    joint = make_tokenizers(pairs, CHARACTERS)
    assert joint[0] is joint[1] and joint[0].characters == " abcd"
    apart = make_tokenizers(pairs, TokenizerConfig(tokenizer="character", joint_vocabulary=False))
    assert [one.characters for one in apart] == [" ab", " cd"]
    made = make_tokenizers(
        [("the same text", "and another one")] * 9, TokenizerConfig(vocab_size=300)
    )[0]
    (tmp_path / "given.model").write_bytes(made.to_bytes())
    given = make_tokenizers(pairs, TokenizerConfig(source_tokenizer=str(tmp_path / "given.model")))
    assert given[0] is given[1] and given[0].to_bytes() == made.to_bytes()
    other = make_tokenizers(
        [("quite other text", "such as this")] * 9, TokenizerConfig(vocab_size=300)
    )[0]
    (tmp_path / "other.model").write_bytes(other.to_bytes())
    paths = {
        f"{side}_tokenizer": str(tmp_path / f"{name}.model")
        for side, name in (("source", "given"), ("target", "other"))
    }
    assert [one.to_bytes() for one in make_tokenizers(pairs, TokenizerConfig(**paths))] == [
        made.to_bytes(),
        other.to_bytes(),
    ]
    save_tokenizers(tmp_path / "run", *apart)
    folder = make_tokenizers([("x", "y")], TokenizerConfig(source_tokenizer=str(tmp_path / "run")))
    assert [one.characters for one in folder] == [" ab", " cd"]
    questions = [Pair("aa", "bb", "kind", ("never learnt",))] * 3
    assert make_tokenizers(questions, CHARACTERS)[0].characters == "ab"


def test_each_tokenizer_that_is_given_has_its_own_padding_and_beginning(tmp_path):
    """SentencePiece's default is <unk> <s> </s> and no padding, which gets the id behind the
    others."""
    lines = [f"{letter} source target x" for letter in "abcdefghijklmn"] * 3
    for name, vocabulary, begin in (("source", 40, 1), ("target", 30, 5)):
        special = dict(unk_id=0, bos_id=begin, eos_id=2, model_type="bpe")
        (tmp_path / f"{name}.model").write_bytes(foreign(lines, vocabulary, **special))
    given = {f"{side}_tokenizer": str(tmp_path / f"{side}.model") for side in ("source", "target")}
    prepared = prepare(files(tmp_path), TokenizerConfig(**given), tmp_path / "cache")
    split = prepared.splits["train"]
    assert (split.source_pad_id, split.target_pad_id, split.bos_id) == (40, 30, 5)
    (_, target_in, _, _), target_out = split.gather(1, (99, 99), [[0]])
    assert target_in[0, 0] == 5 and target_in[0, -1] == target_out[0, -1] == 30


def test_a_vocabulary_has_no_pieces_of_what_is_copied(tmp_path):
    data = files(tmp_path, task="code", copy_unknown=True)
    rows = [f"set it to 'zqzq{n}'\tit = 'zqzq{n}'\n" for n in range(40)]
    (tmp_path / "pairs.tsv").write_text("".join(rows), encoding="utf-8")
    config = TokenizerConfig(tokenizer="bpe", vocab_size=320, user_symbols=SYMBOLS)
    prepared = prepare(data, config, tmp_path / "cache")
    assert not [piece for piece in prepared.source_tokenizer.vocabulary() if "zq" in piece]


def test_kinds_are_as_frequent_as_their_weights():
    pairs = [Pair(f"s{n}", f"t{n}", kind) for n in range(4) for kind in ("a", "b")] + [("x", "y")]
    found = weighted(pairs, {"a": 0.5, "b": 2.25})
    assert [pair.source for pair in found if pair[2:3] == ("a",)] == ["s1", "s3"] and found.count(
        ("x", "y")
    ) == 1
    assert [pair.source for pair in found if pair[2:3] == ("b",)] == [
        "s0",
        "s0",
        "s1",
        "s1",
        "s2",
        "s2",
        "s3",
        "s3",
        "s3",
    ]


@pytest.mark.parametrize(
    ("symbols", "copy_unknown", "flag"),
    [(("<2de>",), False, "user_symbols"), (SYMBOLS, True, "copy_unknown")],
)
def test_a_tokenizer_that_is_given_must_have_the_symbols(tmp_path, symbols, copy_unknown, flag):
    data, path = files(tmp_path, copy_unknown=copy_unknown), tmp_path / "given.model"
    for known in (("<2zh>",), ("<2zh>", *symbols)):
        path.write_bytes(
            train_tokenizer(
                ["source target x"] * 9, TokenizerConfig(vocab_size=300, user_symbols=known)
            ).to_bytes()
        )
        config = TokenizerConfig(source_tokenizer=str(path), user_symbols=symbols)
        if symbols[0] in known:
            prepare(data, config, tmp_path)
        else:
            lacking = re.escape(repr(symbols[0]))
            wrong = (
                f"{flag} needs a tokenizer .* Received: .* without {lacking}. Leave out --{flag}"
            )
            with pytest.raises(ConfigError, match=wrong):
                prepare(data, config, tmp_path)


@pytest.mark.parametrize(
    ("options", "known"),
    [({}, "a b c"), ({"clean": False}, " a\n b  c"), ({"task": "code"}, " a\n b  c")],
)
def test_white_space_is_for_the_model_what_it_is_in_its_training_data(options, known):
    tokenizer, data = CharacterTokenizer("abc \n"), DataConfig(corpus="reverse", **options)
    encoded, _, _ = encode_pairs([(" a\n b  c",) * 2], tokenizer, tokenizer, data)
    generator = Generator(None, tokenizer, tokenizer, **reading_of(dataclasses.asdict(data)))
    assert (
        tokenizer.decode(
            [encoded.source_ids, encoded.target_ids, generator.source_ids(" a\n b  c")]
        )
        == [known] * 3
    )


def test_what_is_copied_is_for_the_model_what_it_is_in_its_training_data():
    config = TokenizerConfig(
        tokenizer="bpe", vocab_size=320, normalization="identity", user_symbols=SYMBOLS
    )
    tokenizer, data = (
        train_tokenizer(["set the name of it"] * 50, config),
        DataConfig(corpus="reverse", task="code", copy_unknown=True),
    )
    assert all(map(tokenizer.knows, ("set", "the", "of"))) and not tokenizer.knows("zyzzyva")
    pair = "set the zyzzyva of 'it'", "zyzzyva = 'it'"
    encoded, _, _ = encode_pairs([pair], tokenizer, tokenizer, data)
    generator = Generator(None, tokenizer, tokenizer, **reading_of(dataclasses.asdict(data)))
    assert encoded.source_ids.tolist() == generator.source_ids(pair[0])
    known = f"set the {SYMBOLS[0]} zyzzyva of {SYMBOLS[1]}", f"{SYMBOLS[0]} = {SYMBOLS[1]}"
    assert tuple(tokenizer.decode([encoded.source_ids, encoded.target_ids])) == known


def test_what_the_source_s_vocabulary_has_is_not_copied():
    config = TokenizerConfig(
        tokenizer="bpe", vocab_size=320, normalization="identity", user_symbols=SYMBOLS
    )
    source, target = (
        train_tokenizer([text] * 50, config) for text in ("set the name of it", "x = 1")
    )
    data = DataConfig(corpus="reverse", task="code", copy_unknown=True)
    encoded, _, _ = encode_pairs([("set the zyzzyva", "x = 1")], source, target, data)
    assert source.decode([encoded.source_ids]) == [f"set the {SYMBOLS[0]} zyzzyva"]


@pytest.mark.slow
def test_drawn_pieces_are_other_pieces_of_the_same_texts(tmp_path):
    def prepared(folder, samples):
        config = TokenizerConfig(tokenizer="bpe", vocab_size=500, subword_samples=samples)
        found = prepare(
            DataConfig(corpus="phrasebook_en_de", corpus_size=60), config, tmp_path / folder
        )
        split = found.splits["train"]
        return found, [
            split.target_ids[a:b].tolist()
            for a, b in zip(split.target_offsets, split.target_offsets[1:])
        ]

    plain, ids = prepared("plain", 1)
    drawn, more = prepared("drawn", 3)
    texts, count = plain.target_tokenizer.decode(ids), len(ids)
    assert (
        drawn.target_tokenizer.decode(more) == texts * 3
        and len(drawn.splits["train"].pairs()) == count
    )
    assert more[:count] == ids and ids != more[count : 2 * count] != more[2 * count :]
    assert drawn.splits["test"].target_ids.tolist() == plain.splits["test"].target_ids.tolist()
    assert prepared("again", 3)[0].fingerprint == drawn.fingerprint != plain.fingerprint
    save_tokenizers(tmp_path / "bytes", ByteTokenizer(), ByteTokenizer())
    given = TokenizerConfig(source_tokenizer=str(tmp_path / "bytes"), subword_samples=2)
    with pytest.raises(
        ConfigError, match="needs a SentencePiece tokenizer. Received: a byte tokenizer, which"
    ):
        prepare(DataConfig(corpus="phrasebook_en_de", corpus_size=60), given, tmp_path / "given")


def test_the_target_s_tokenizer_must_have_the_symbols_too(tmp_path):
    for side, known in (("source", ("<2de>", "<2zh>")), ("target", ("<2de>",))):
        made = train_tokenizer(
            ["source target x"] * 9, TokenizerConfig(vocab_size=300, user_symbols=known)
        )
        (tmp_path / f"{side}.model").write_bytes(made.to_bytes())
    given = {f"{side}_tokenizer": str(tmp_path / f"{side}.model") for side in ("source", "target")}
    config = TokenizerConfig(user_symbols=("<2de>", "<2zh>"), **given)
    with pytest.raises(
        ConfigError,
        match="user_symbols needs a tokenizer .* Received: a tokenizer without '<2zh>'",
    ):
        prepare(files(tmp_path), config, tmp_path / "cache")


def test_each_side_is_padded_with_its_own_id():
    """OPUS-MT's padding, for one, is at the end of the vocabulary."""
    source, target = CharacterTokenizer("ab"), CharacterTokenizer("ab")
    source.pad_id, source.bos_id, target.pad_id, target.bos_id = 31, 30, 41, 40
    pairs, _, _ = encode_pairs([("a", "b")], source, target, DataConfig(corpus="reverse"))
    (found, target_in, _, _), target_out = pairs.gather(1, (4, 3), [[0]])
    assert [array.tolist() for array in (found, target_in, target_out)] == [
        [[4, 3, 31, 31]],
        [[40, 5, 41]],
        [[5, 3, 41]],
    ]
