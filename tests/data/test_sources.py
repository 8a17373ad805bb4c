"""Pairs from files and data sets as a user has them, and an error for each way in which they can
be wrong."""

import gzip
import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.config import DataConfig, DataError
from data.corpora.registry import CORPORA
from data.pairs import Pair, prefixed, with_kind
from data.prepare import cache_key
from data.readers.questions import context_of
from data.readers.sources import (
    complete_splits,
    input_files,
    load_examples,
    lowercase,
    read_examples,
)
from tests.data.test_files import lines, write
from transformer.config import ConfigError, TokenizerConfig

PAIRS = [(f"source {n}", f"target {n}") for n in range(200)]


def parallel(folder, **options):
    """A configuration of three parallel pairs for each split, in `folder`."""
    for split in ("train", "validation", "test"):
        write(folder / f"{split}.en", lines(["a b", "c", "d e f"]))
        write(folder / f"{split}.de", lines(["A B", "C", "D E F"]))
    names = {
        f"{side}_{split}": (f"{split}.{code}",)
        for split in ("train", "validation", "test")
        for side, code in (("source", "en"), ("target", "de"))
    }
    return DataConfig(**{"data_dir": str(folder), **names, **options})


def test_parallel_files(tmp_path):
    pairs = [("a b", "A B"), ("c", "C"), ("d e f", "D E F")]
    assert load_examples(parallel(tmp_path)) == {"train": pairs, "validation": pairs, "test": pairs}


def test_several_files_globs_gz_and_lowercase(tmp_path):
    config = parallel(
        tmp_path,
        source_train=("train.en", "part*.en.gz"),
        target_train=("train.de", "part*.de.gz"),
        lowercase=True,
    )
    for n in (2, 1):
        write(tmp_path / f"part{n}.en.gz", f"Part {n}\n")
        write(tmp_path / f"part{n}.de.gz", f"Teil {n}\n")
    assert load_examples(config)["train"][3:] == [("part 1", "teil 1"), ("part 2", "teil 2")]
    assert load_examples(config)["train"][0] == ("a b", "a b")


@pytest.mark.parametrize("columns", [("2", "1"), ("en", "de")])
def test_tsv_by_number_and_by_name(tmp_path, columns):
    header = [] if columns[0] == "2" else ["de\ten\tid"]
    write(tmp_path / "a.tsv", lines([*header, "ja\tyes\t1", "", "nein\tno\t2"]))
    config = DataConfig(
        examples_train=(str(tmp_path / "a.tsv"),),
        examples_validation=(str(tmp_path / "a.tsv"),),
        examples_test=(str(tmp_path / "a.tsv"),),
        source_column=columns[0],
        target_column=columns[1],
    )
    assert load_examples(config)["train"] == [("yes", "ja"), ("no", "nein")]


def test_jsonl_gz_with_named_columns_and_splits_by_hash(tmp_path):
    write(tmp_path / "a.jsonl.gz", lines(json.dumps({"q": q, "a": a, "n": 1}) for q, a in PAIRS))
    config = DataConfig(
        examples_train=(str(tmp_path / "a.jsonl.gz"),),
        source_column="q",
        target_column="a",
        validation_share=0.2,
        test_share=0.2,
    )
    splits = load_examples(config)
    assert sorted(sum(splits.values(), [])) == sorted(PAIRS)
    assert all(20 <= len(splits[name]) <= 60 for name in ("validation", "test"))
    assert splits == load_examples(config)


def test_a_source_with_two_targets_stays_in_one_split():
    doubled = PAIRS + [(source, target + "!") for source, target in PAIRS]
    splits = complete_splits({"train": doubled}, 0.1, 0.1)
    sources = [{source for source, _ in pairs} for pairs in splits.values()]
    assert not (sources[0] & sources[1] or sources[0] & sources[2] or sources[1] & sources[2])
    # More data does not move what was split before.
    again = complete_splits({"train": doubled + [("new", "new")]}, 0.1, 0.1)
    assert set(splits["test"]) <= set(again["test"]) | {("new", "new")}


def place(text):
    """Where a text's hash lies in [0, 1)."""
    return int(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16], 16) / 16**16


@settings(max_examples=30)
@given(
    pairs=st.lists(st.tuples(st.text(max_size=2), st.integers(0, 9)), max_size=30),
    validation=st.sampled_from([0.0, 0.1, 0.5]),
    test=st.sampled_from([0.0, 0.3, 0.5]),
)
def test_each_pair_stands_in_the_split_of_its_source(pairs, validation, test):
    """The hash's first share is validation, the next is the test."""
    both = validation + test
    train = [pair for pair in pairs if place(pair[0]) >= both]
    assert complete_splits({"train": pairs}, validation, test) == {
        "train": train,
        "validation": [pair for pair in pairs if place(pair[0]) < validation],
        "test": [pair for pair in pairs if validation <= place(pair[0]) < both],
    }
    given_test = complete_splits(
        {"train": pairs, "validation": [], "test": ["given"]}, validation, test
    )
    assert given_test["test"] == ["given"]
    assert given_test["validation"] == [pair for pair in pairs if place(pair[0]) < validation]
    assert given_test["train"] == [pair for pair in pairs if place(pair[0]) >= validation]
    alone = complete_splits(
        {"train": pairs, "validation": ["given"]}, validation, test, text=lambda pair: f"{pair[1]}"
    )
    assert alone["test"] == [pair for pair in pairs if place(str(pair[1])) < test] and alone[
        "validation"
    ] == ["given"]
    complete = {"train": pairs, "validation": ["a"], "test": ["b"]}
    assert complete_splits(complete, 0.5, 0.5) == complete


def test_half_a_character_has_a_place_too():
    pairs = [(f"{n} \ud83d", "") for n in range(40)]
    splits = complete_splits({"train": pairs}, 0.5, 0.0)
    assert (
        splits["validation"] == [pair for pair in pairs if place(pair[0]) < 0.5]
        and splits["test"] == []
    )


def test_a_corpus_has_as_many_pairs_as_asked_for_and_is_the_same_each_time():
    config = DataConfig(corpus="reverse", corpus_size=70)
    splits = load_examples(config)
    assert splits == CORPORA["reverse"](70, seed=1) and len(splits["train"]) == 70
    assert splits != CORPORA["reverse"](70, seed=2)


def test_lower_case_of_a_pair_with_all_its_targets():
    assert lowercase(("A É", "B")) == ("a é", "b")
    assert lowercase(Pair("<2DE> A", "B", "<2DE>", ("C", "D"))) == Pair(
        "<2de> a", "b", "<2DE>", ("c", "d")
    )


@pytest.mark.parametrize(
    "source, kind",
    [
        ("<2de> Hello.", "<2de>"),
        ("<2zho> Hello.", "<2zho>"),
        ("sum: a", "sum:"),
        ("a.b x", "a.b"),
        ("axb x", "old"),
        ("sum:a", "old"),
        ("a sum: b", "old"),
        ("<2de>", "old"),
        ("<2> a", "old"),
    ],
)
def test_the_kind_of_a_pair_is_what_its_source_begins_with(source, kind):
    pair = Pair(source, "x", "old", ("y",))
    assert with_kind(pair, ["sum:", "a.b"]) == Pair(source, "x", kind, ("y",))
    assert pair.references == ("x", "y")


def test_a_prefix_stands_before_the_source():
    assert prefixed(("a", "b"), " <2de> ") == Pair("<2de> a", "b", "<2de>")
    assert prefixed(Pair("a", "b", "answerable", ("c",)), "ask:") == Pair(
        "ask: a", "b", "ask:", ("c",)
    )


def test_the_files_that_are_read(tmp_path):
    config = parallel(tmp_path)
    names = [
        f"{split}.{code}" for split in ("train", "validation", "test") for code in ("en", "de")
    ]
    assert sorted(input_files(config)) == sorted(str(tmp_path / name) for name in names)
    for name in ("b.tsv", "a.tsv", "c.tsv"):
        write(tmp_path / name, "source\ttarget\na\tb\n")
    examples = DataConfig(
        data_dir=str(tmp_path), examples_train=("b.tsv", "a.tsv"), examples_test=("c.tsv",)
    )
    assert input_files(examples) == [str(tmp_path / name) for name in ("b.tsv", "a.tsv", "c.tsv")]
    assert input_files(DataConfig(corpus="reverse")) == []


def test_a_corpus_of_python_source_reads_installed_files(python_library):
    for corpus, task in (("docstrings", "summarization"), ("functions", "code")):
        files = input_files(DataConfig(corpus=corpus, task=task))
        assert len(files) > 10 and all(
            str(path).endswith(".py") and os.path.isfile(path) for path in files
        )


def test_the_columns_of_a_file_of_examples_have_default_names(tmp_path):
    path = write(tmp_path / "a.tsv", "target\tsource\nja\tyes\n")
    assert read_examples(path) == [("yes", "ja")]
    assert read_examples(path, columns={"a": "target", "b": "source"}) == [("ja", "yes")]
    with pytest.raises(DataError, match="--examples takes .tsv, .csv and .jsonl files"):
        read_examples(write(tmp_path / "a.xml", ""))
    config = DataConfig(examples_train=(str(path),), examples_validation=(str(tmp_path / "a.xml"),))
    with pytest.raises(DataError, match="--examples_validation takes .tsv, .csv and .jsonl files"):
        load_examples(config)


def test_shares_of_the_training_pairs_are_taken_by_the_hash_of_the_source(tmp_path):
    write(tmp_path / "a.tsv", lines(f"{source}\t{target}" for source, target in PAIRS))
    config = DataConfig(
        examples_train=(str(tmp_path / "a.tsv"),),
        source_column="1",
        target_column="2",
        validation_share=0.1,
        test_share=0.3,
    )
    assert load_examples(config) == {
        "train": [pair for pair in PAIRS if place(pair[0]) >= 0.4],
        "validation": [pair for pair in PAIRS if place(pair[0]) < 0.1],
        "test": [pair for pair in PAIRS if 0.1 <= place(pair[0]) < 0.4],
    }


@pytest.mark.parametrize("missing", ["validation", "test"])
def test_each_split_needs_pairs(tmp_path, missing):
    options = {f"source_{missing}": (), f"target_{missing}": (), f"{missing}_share": 0.0}
    with pytest.raises(
        DataError, match=f"every split needs pairs. Received: none for {missing}. Name its files"
    ):
        load_examples(parallel(tmp_path, **options))


def tfds_directory(folder, name, config, columns, splits, features=None):
    """Writes a TFDS data set as `tfds build` leaves it."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def dataset(pairs):
        return tf.data.Dataset.from_tensor_slices(
            {column: [pair[n] for pair in pairs] for n, column in enumerate(columns)}
        )

    tfds.dataset_builders.TfDataBuilder(
        name=name,
        config=config,
        version="1.0.0",
        data_dir=str(folder),
        description="x",
        features=features or tfds.features.Translation(languages=columns),
        split_datasets={k: dataset(v) for k, v in splits.items()},
    ).download_and_prepare()


def test_a_tfds_directory(tmp_path):
    splits = {
        "train": [("olá mundo", "hello world"), ("bom dia", "good morning")],
        "validation": [("sim", "yes")],
        "test": [("não", "no")],
    }
    tfds_directory(tmp_path, "ted_hrlr_translate", "pt_to_en", ["pt", "en"], splits)
    config = DataConfig(tfds="ted_hrlr_translate/pt_to_en", tfds_data_dir=str(tmp_path))
    loaded = load_examples(config)
    assert {split: sorted(pairs) for split, pairs in loaded.items()} == {
        split: sorted(pairs) for split, pairs in splits.items()
    }
    turned = DataConfig(
        tfds=config.tfds, tfds_data_dir=config.tfds_data_dir, source_column="en", target_column="pt"
    )
    assert load_examples(turned)["test"] == [("no", "não")]
    with pytest.raises(DataError, match="must be columns.*'fr'"):
        load_examples(
            DataConfig(tfds=config.tfds, tfds_data_dir=config.tfds_data_dir, source_column="fr")
        )
    key = cache_key(config, TokenizerConfig())
    record = next(tmp_path.rglob("*test.tfrecord*"))
    record.write_bytes(record.read_bytes() + b"x")
    assert cache_key(config, TokenizerConfig()) != key
    with pytest.raises(DataError, match="--tfds must name a dataset.*no_such_set"):
        load_examples(DataConfig(tfds="no_such_set", tfds_data_dir=str(tmp_path)))


def test_a_tfds_directory_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    splits = {split: [(split, split.upper())] for split in ("train", "validation", "test")}
    tfds_directory(tmp_path / "sets", "toy_pairs", "pt_to_en", ["pt", "en"], splits)
    columns = {"source_column": "pt", "target_column": "en"}
    config = DataConfig(tfds="toy_pairs/pt_to_en", tfds_data_dir="~/sets", **columns)
    assert load_examples(config) == splits


def test_of_a_tfds_data_set_for_supervised_learning_its_keys_are_source_and_target(tmp_path):
    """In their order, whatever that of the features, such as the alphabet's."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    names = ("summary", "text", "title")
    features = tfds.features.FeaturesDict({name: tfds.features.Text() for name in names})

    class Bills(tfds.dataset_builders.TfDataBuilder, skip_registration=True):
        def _info(self):
            keys = ("text", "summary")
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=keys)

    row = tf.data.Dataset.from_tensors({name: f"the {name}" for name in names})
    Bills(
        name="toy_bills",
        version="1.0.0",
        data_dir=str(tmp_path),
        description="x",
        features=features,
        split_datasets={split: row for split in ("train", "validation", "test")},
    ).download_and_prepare()
    loaded = load_examples(DataConfig(tfds="toy_bills", tfds_data_dir=str(tmp_path)))
    assert loaded["train"] == loaded["test"] == [("the text", "the summary")]


def test_the_files_of_a_tfds_data_set_are_read_in_their_order(tmp_path):
    """Else the same data prepared again would be another cache, and its training another."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({"a": tfds.features.Text(), "b": tfds.features.Text()})
    rows = [(f"a {n}", f"b {n}") for n in range(8)]
    columns = {"a": [source for source, _ in rows], "b": [target for _, target in rows]}
    data = tf.data.Dataset.from_tensor_slices(columns)
    tfds.dataset_builders.TfDataBuilder(
        name="toy",
        version="1.0.0",
        data_dir=str(tmp_path),
        description="x",
        features=features,
        disable_shuffling=True,
        split_datasets={split: data for split in ("train", "validation", "test")},
    ).download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=8))
    assert len(list(tmp_path.rglob("*train.tfrecord*"))) == 8
    names = {"source_column": "a", "target_column": "b"}
    config = DataConfig(tfds="toy", tfds_data_dir=str(tmp_path), **names)
    assert load_examples(config) == {"train": rows, "validation": rows, "test": rows}


def test_a_tfds_data_set_that_is_no_text(tmp_path):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({"text": tfds.features.Text(), "label": tf.int64})
    tfds_directory(tmp_path, "toy", None, ["text", "label"], {"train": [("good", 1)]}, features)
    with pytest.raises(DataError, match="must be text. Received: .*'label'"):
        load_examples(
            DataConfig(
                tfds="toy", tfds_data_dir=str(tmp_path), source_column="text", target_column="label"
            )
        )


@pytest.mark.parametrize("name", ["validation", "valid", "dev", "validation_matched"])
def test_what_tfds_calls_its_validation_data(tmp_path, name):
    """In the order of the training file, and with the test taken from the training data, which
    has none."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({"b": tfds.features.Text(), "a": tfds.features.Text()})
    rows = [(f"b {n}", f"a {n}") for n in range(40)]
    tfds_directory(tmp_path, "toy", None, ["b", "a"], {"train": rows, name: rows[:2]}, features)
    config = DataConfig(
        tfds="toy",
        tfds_data_dir=str(tmp_path),
        source_column="b",
        target_column="a",
        test_share=0.3,
    )
    splits = load_examples(config)
    assert sorted(splits["validation"]) == rows[:2]
    assert sorted(splits["test"]) == sorted(pair for pair in rows if place(pair[0]) < 0.3)
    assert sorted(splits["train"] + splits["test"]) == sorted(rows)
    assert load_examples(config) == splits
    with pytest.raises(DataError, match="must be columns of the file. Received: 'source'"):
        load_examples(DataConfig(tfds="toy", tfds_data_dir=str(tmp_path), target_column="a"))


def test_of_two_names_of_validation_data_the_first_is_taken(tmp_path):
    splits = {
        "train": [("a", "b")] * 3,
        "validation": [("v", "w")],
        "dev": [("x", "y")],
        "test": [("t", "u")],
    }
    tfds_directory(tmp_path, "toy_pairs", "pt_to_en", ["pt", "en"], splits)
    columns = {"source_column": "pt", "target_column": "en"}
    splits = load_examples(
        DataConfig(tfds="toy_pairs/pt_to_en", tfds_data_dir=str(tmp_path), **columns)
    )
    assert splits["validation"] == [("v", "w")] and splits["test"] == [("t", "u")]


SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "paragraphs": [
                {
                    "context": f"The {n} Broncos won.",
                    "qas": [
                        {
                            "id": f"{n}a",
                            "question": "Who WON?",
                            "answers": [
                                {"text": "Broncos", "answer_start": 6},
                                {"text": f"The {n} Broncos", "answer_start": 0},
                            ],
                        },
                        {
                            "id": f"{n}b",
                            "question": "Who lost?",
                            "is_impossible": True,
                            "answers": [],
                        },
                    ],
                }
                for n in range(30)
            ]
        }
    ],
}


@pytest.mark.parametrize("indent", [None, 1])
def test_squad_files_as_pairs(tmp_path, indent):
    (tmp_path / "train.json.gz").write_bytes(
        gzip.compress(json.dumps(SQUAD, indent=indent).encode())
    )
    config = DataConfig(
        examples_train=(str(tmp_path / "train.json.gz"),),
        lowercase=True,
        validation_share=0.2,
        test_share=0.2,
    )
    splits = load_examples(config)
    pairs = sorted(pair for split in splits.values() for pair in split if " 7 " in pair.source)
    assert pairs == [
        Pair("question: who lost? context: the 7 broncos won.", "unanswerable", "unanswerable"),
        Pair(
            "question: who won? context: the 7 broncos won.",
            "broncos",
            "answerable",
            ("the 7 broncos",),
        ),
    ]
    # Questions about the same context stay together.
    contexts = [{context_of(pair.source) for pair in split} for split in splits.values()]
    assert sum(map(len, contexts)) == 30 == len(set().union(*contexts))


def test_babi_files_as_pairs(tmp_path):
    for split in ("train", "valid", "test"):
        write(tmp_path / f"qa1_x_{split}.txt", "1 Ann went home.\n2 Where is Ann?\thome\t1\n")
    files = {
        f"examples_{split}": (f"qa1*{split[:5]}*.txt",) for split in ("train", "validation", "test")
    }
    pairs = [Pair("question: Where is Ann? context: Ann went home.", "home", "qa1_x")]
    assert load_examples(DataConfig(data_dir=str(tmp_path), **files)) == {
        "train": pairs,
        "validation": pairs,
        "test": pairs,
    }


def test_a_json_file_may_have_an_object_a_line(tmp_path):
    write(
        tmp_path / "a.json",
        lines(json.dumps({"source": source, "target": target}) for source, target in PAIRS),
    )
    path = (str(tmp_path / "a.json"),)
    assert (
        load_examples(
            DataConfig(examples_train=path, examples_validation=path, examples_test=path)
        )["test"]
        == PAIRS
    )


def test_a_tfds_data_set_of_questions(tmp_path):
    """TFDS's squad has no test data: the validation data, of which scores are published, is it."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "id": tf.string,
            "context": tfds.features.Text(),
            "question": tfds.features.Text(),
            "answers": tfds.features.Sequence(
                {"text": tfds.features.Text(), "answer_start": tf.int32}
            ),
        }
    )

    def dataset(answers):
        rows = [(f"q{n}", f"Who? {n}", f"é Ann and Bo {n}") for n in range(30)]
        columns = {
            name: [row[n] for row in rows] for n, name in enumerate(("id", "question", "context"))
        }
        columns["answers"] = {"text": [answers] * 30, "answer_start": [[2, 10]] * 30}
        return tf.data.Dataset.from_tensor_slices(columns)

    tfds.dataset_builders.TfDataBuilder(
        name="toy_squad",
        version="1.0.0",
        data_dir=str(tmp_path),
        description="x",
        features=features,
        split_datasets={"train": dataset(["Ann", "Ann"]), "validation": dataset(["Ann", "Bo"])},
    ).download_and_prepare()
    splits = load_examples(
        DataConfig(tfds="toy_squad", tfds_data_dir=str(tmp_path), validation_share=0.2)
    )
    assert len(splits["train"]) + len(splits["validation"]) == 30 == len(splits["test"])
    assert {(pair.target, pair.others) for pair in splits["train"]} == {("Ann", ())}
    assert (
        Pair("question: Who? 3 context: é Ann and Bo 3", "Ann", "answerable", ("Bo",))
        in splits["test"]
    )


def example_file(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    source, target = ("s", "t") if "jsonl" in name else ("1", "2")
    return DataConfig(examples_train=(str(path),), source_column=source, target_column=target)


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.tsv",
            b"one\ttwo\n\nthree\n",
            r"must have a source and a target.*Received: .*a.tsv, line 3: \['three', None\]",
        ),
        ("a.jsonl", b'{"s": "x", "t": null}\n', "must have a source and a target, both text"),
        ("a.jsonl", b'{"s": "x", "t": "half \\ud83d"}\n', "both text. Received: .*line 1"),
        ("a.json", b'{"data": [', "a file must be JSON. Received: .*a.json"),
        ("a.json", b'[{"s": "x", "t": "y"}]', "must be in SQuAD's format.*TypeError"),
        (
            "a.txt",
            b"just text\n",
            "must be in bAbI's format.*Received: .*a.txt, line 1: 'just text'. If the file has",
        ),
        ("a.tsv", b"", "every split needs pairs. Received: none for train"),
    ],
)
def test_pairs_that_are_none_are_named_with_their_line(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        load_examples(example_file(tmp_path, name, content))


def test_misaligned_files_name_both_counts(tmp_path):
    config = parallel(tmp_path)
    write(tmp_path / "train.de", lines(["A", "B"]))
    with pytest.raises(DataError, match="3 lines in .*train.en, 2 lines in .*train.de"):
        load_examples(config)


@pytest.mark.parametrize("longer", ["source", "target"])
def test_a_line_too_many_on_either_side(tmp_path, longer):
    config = parallel(tmp_path)
    write(tmp_path / ("validation.en" if longer == "source" else "validation.de"), lines("ABCD"))
    counts = (4, 3) if longer == "source" else (3, 4)
    message = (
        f"Received: {counts[0]} lines in .*validation.en, {counts[1]} lines in .*validation.de"
    )
    with pytest.raises(DataError, match=message):
        load_examples(config)


def test_misaligned_files_that_add_up_are_named_too(tmp_path):
    config = parallel(
        tmp_path, source_train=("train.en", "test.en"), target_train=("train.de", "test.de")
    )
    write(tmp_path / "train.de", lines(["A", "B"]))
    write(tmp_path / "test.de", lines(["A", "B", "C", "D"]))
    with pytest.raises(DataError, match="3 lines in .*train.en, 2 lines in .*train.de"):
        load_examples(config)


def test_one_file_of_sources_and_two_of_targets(tmp_path):
    config = parallel(tmp_path, source_train=("train.en",), target_train=("train.de", "more.de"))
    write(tmp_path / "train.en", lines("abcde"))
    write(tmp_path / "more.de", lines("XY"))
    assert load_examples(config)["train"][3:] == [("d", "X"), ("e", "Y")]


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "must come from exactly one of --corpus.*Received: none"),
        (
            {"corpus": "reverse", "source_train": ("a",), "target_train": ("b",)},
            "Received: --corpus, --source_train, --target_train",
        ),
        ({"corpus": "reverse", "examples_test": ("a.tsv",)}, "Received: --corpus, --examples_test"),
        ({"target_train": ("b",)}, "Received: --target_train"),
        (
            {"source_test": ("a",), "target_test": ("b",)},
            "must come from exactly one of .* Received: --source_test, --target_test",
        ),
        ({"target_test": ("b",), "tfds": "x"}, "Received: --target_test, --tfds"),
        ({"source_train": ("setup.cfg",)}, "must be used together"),
        (
            {"source_train": ("no*.such",), "target_train": ("b",)},
            r"--source_train must name files that exist. Received: .*no\*.such",
        ),
    ],
)
def test_flags_that_do_not_name_one_source(options, message):
    with pytest.raises(DataError, match=message):
        load_examples(DataConfig(**options))


def test_several_tasks_are_mixed_by_prefix_and_weight(tmp_path):
    for name, rows in {
        "de": [("a dog", "ein Hund"), ("a cat", "eine Katze")],
        "zh": [("a dog", "狗"), ("tea", "茶")],
    }.items():
        (tmp_path / f"{name}.tsv").write_text(
            "".join(f"{a}\t{b}\n" for a, b in [("source", "target"), *rows]), encoding="utf-8"
        )
    files = dict.fromkeys(
        ("examples_train", "examples_validation", "examples_test"), ("de.tsv", "zh.tsv")
    )
    splits = load_examples(DataConfig(data_dir=str(tmp_path), prefixes=("<2de>", "<2zh>"), **files))
    assert splits["train"][1:3] == [
        Pair("<2de> a cat", "eine Katze", "<2de>"),
        Pair("<2zh> a dog", "狗", "<2zh>"),
    ]
    assert (
        splits["test"] == splits["train"]
        and [pair.source[:6] for pair in splits["train"]] == ["<2de> "] * 2 + ["<2zh> "] * 2
    )
    for number in (1, 3):
        wrong = {**files, "examples_validation": ("de.tsv",) * number}
        message = (
            "--prefixes must have one value for each file of --examples_validation. "
            f"Received: 2 values, {number} files"
        )
        with pytest.raises(DataError, match=message):
            load_examples(DataConfig(data_dir=str(tmp_path), prefixes=("x", "y"), **wrong))
    with pytest.raises(
        DataError,
        match="must have one value for each file of --examples_test. Received: 2 values, 1 files",
    ):
        load_examples(
            DataConfig(
                data_dir=str(tmp_path),
                prefixes=("x", "y"),
                **{**files, "examples_test": ("de.tsv",)},
            )
        )


def test_the_languages_of_a_source_stand_in_one_split(tmp_path):
    for name in ("de", "zh"):
        rows = "".join(f"text {n}\t{name} {n}\n" for n in range(60))
        (tmp_path / f"{name}.tsv").write_text(f"source\ttarget\n{rows}", encoding="utf-8")
    config = DataConfig(
        data_dir=str(tmp_path),
        examples_train=("de.tsv", "zh.tsv"),
        prefixes=("<2de>", "<2zh>"),
        validation_share=0.3,
        test_share=0.3,
    )
    splits = load_examples(config)
    found = [
        {(pair.kind, pair.source.removeprefix(f"{pair.kind} ")) for pair in pairs}
        for pairs in splits.values()
    ]
    assert all(
        len(pairs) > 10 and {("<2de>", text) for _, text in pairs} <= pairs for pairs in found
    )
    # As without prefixes: other files may hold the same texts.
    held_out = {f"text {n}" for n in range(60) if place(f"text {n}") < 0.3}
    assert {text for _, text in found[1]} == held_out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(prefixes=("x",)),
            "prefixes must have one value for each file of examples_train. Received: 1 values, 2",
        ),
        (
            dict(prefixes=("x", "y"), weights=("1", "0")),
            "weights must be numbers above 0. Received: '0'",
        ),
        (
            dict(prefixes=("x", "x"), weights=("1", "2")),
            "weights needs a different prefix for each training file",
        ),
    ],
)
def test_a_wrong_mixture_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        DataConfig(examples_train=("a.tsv", "b.tsv"), **options)


def test_a_corpus_of_another_task_is_no_translation():
    with pytest.raises(
        ConfigError, match="corpus 'functions' is not a translation corpus. .* Use --task=code."
    ):
        DataConfig(corpus="functions")
    assert DataConfig(corpus="functions", task="text2text").corpus == "functions"
