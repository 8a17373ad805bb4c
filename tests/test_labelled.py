"""Labelled texts in every form a user has them, and an error with file and line for each way in which they can be wrong."""

import dataclasses

import numpy as np
import pandas
import pytest
from absl import flags as absl_flags

from data.config import DataError, LabelledDataConfig
from data.labelled import Example, Labelled, labelled_from, load_labelled, repeats
from data.squad import Question
from tests.test_files import lines, write
from tests.test_sources import tfds_directory
from tests.test_squad import CONTEXT, asked, squad
from transformer import flags
from transformer.config import ConfigError


def files(folder, text, name="a.tsv", **options):
    """A configuration whose splits are all one file; `NAME_files` replaces one of them."""
    write(folder / name, text)
    names = {f"{split}_files": (name,) for split in ("train", "validation", "test")}
    return LabelledDataConfig(**{"data_dir": str(folder), **names, **options})


def texts_and_labels(loaded, split="train"):
    return [(example.text, loaded.labels[example.label]) for example in loaded.splits[split]]


def test_pairs_and_a_number(tmp_path):
    config = files(tmp_path, "one,two,2.5\n1,2,-1e1\n", "a.csv", text_column="1", pair_column="2", label_column="3")
    loaded = load_labelled(config, "regression")
    assert [example[:3] for example in loaded.splits["train"]] == [("one", "two", 2.5), ("1", "2", -10.0)]
    assert loaded.labels == () and loaded.report["train"]["labels"] == {"lowest": -10.0, "mean": -3.75, "highest": 2.5}


def test_the_label_of_text2text_is_a_text(tmp_path):
    loaded = load_labelled(files(tmp_path, lines(["source\ttarget", "A dog.\t 1", "b\tEin B"]), text_column="source",
                                 label_column="target"), "text2text")  # fmt: skip
    assert [example[:3] for example in loaded.splits["train"]] == [("A dog.", None, " 1"), ("b", None, "Ein B")]
    assert loaded.labels == () and loaded.report["train"]["labels"] == {}
    with pytest.raises(DataError) as error:
        labelled_from("text2text", (["a", "b", "c", "d"], ["x", " ", 3, "\ud800"]))
    assert "a row must have a label. Received: 1 wrong in train: train:2: ' '." in str(error.value)
    assert "a text must be a string that can be read. Received: 2 wrong in train: train:3: 3; " in str(error.value)
    with pytest.raises(ConfigError, match="text2text has one text for a target.* Received: lowercase=True"):
        labelled_from("text2text", (["a"], ["b"]), config=LabelledDataConfig(lowercase=True))


def test_several_labels_or_none(tmp_path):
    write(tmp_path / "names.txt", "joy\nfear\nawe\n")
    text = lines(["text\tlabel", "a\t2,0", "b\t", "c\tfear", "d\tawe, awe"])
    loaded = load_labelled(files(tmp_path, text, labels_file="names.txt"), "multilabel")
    assert loaded.labels == ("joy", "fear", "awe")
    assert [example.label for example in loaded.splits["train"]] == [(0, 2), (), (1,), (2,)]
    listed = lines(['{"text": "a", "label": ["x", "y"]}', '{"text": "b", "label": []}', '{"text": "c", "label": "y,z"}'])
    loaded = load_labelled(files(tmp_path, listed, "a.jsonl"), "multilabel")
    assert loaded.labels == ("x", "y", "z") and [example.label for example in loaded.splits["train"]] == [(0, 1), (), (1, 2)]


def test_all_mistakes_are_said_at_once_with_file_and_line(tmp_path):
    write(tmp_path / "v.tsv", lines(["text\tlabel", "a\tmaybe", "b\tyes", *(f"c{n}\tnever" for n in range(9))]))
    write(tmp_path / "t.jsonl", lines(['{"text": "a", "label": "no"}', '{"text": 7, "label": "no"}', '{"text": "b"}',
                                       '{"text": "c", "label": " "}']))  # fmt: skip
    text = lines(["text\tlabel", "a\tyes", "b", "c\tno"])
    config = files(tmp_path, text, validation_files=("v.tsv",), test_files=("t.jsonl",))
    with pytest.raises(DataError) as error:
        load_labelled(config, "classification")
    assert str(error.value).replace(f"{tmp_path}/", "").splitlines() == [
        "a row must have all its columns. Received: 1 wrong in train: a.tsv:3: ('b', None). Repair these rows, or see "
        "--delimiter and the column flags.",
        "a label must be one of no, yes. Received: 10 wrong in validation: v.tsv:2: maybe; v.tsv:4: never; v.tsv:5: never; "
        "v.tsv:6: never; v.tsv:7: never; .... Repair these rows, or name all labels with --labels.",
        "a text must be a string that can be read. Received: 1 wrong in test: t.jsonl:2: (7,). Repair these rows.",
        "a row must have all its columns. Received: 1 wrong in test: t.jsonl:3: ('b', None). Repair these rows, or see "
        "--delimiter and the column flags.",
        "a row must have a label. Received: 1 wrong in test: t.jsonl:4: ' '. Repair these rows, or leave them out.",
    ]


def test_a_split_whose_rows_are_all_wrong_is_not_said_to_lack_files(tmp_path):
    write(tmp_path / "t.jsonl", '{"text": 7, "label": "no"}\n')
    for wrong in ("train", "test"):
        config = files(tmp_path, lines(["text\tlabel", "a\tyes", "b\tno"]), **{f"{wrong}_files": ("t.jsonl",)})
        with pytest.raises(DataError) as error:
            load_labelled(dataclasses.replace(config, validation_files=()) if wrong == "train" else config, "classification")
        (line,) = str(error.value).splitlines()
        assert f"a text must be a string that can be read. Received: 1 wrong in {wrong}" in line


def test_whole_files_that_are_wrong_are_named_together(tmp_path):
    write(tmp_path / "b.jsonl", '{"text": "a", "label": "x"}\n{"text"')
    config = files(tmp_path, "text\tlabel\n", validation_files=("b.jsonl", "none.tsv"), test_files=("a.tsv", "c.tsv"))
    write(tmp_path / "c.tsv", "sentence\tlabel\na\tb\n")
    with pytest.raises(DataError) as error:
        load_labelled(config, "classification")
    first, second = str(error.value).splitlines()
    assert "--validation_files must name files that exist. Received:" in first and "none.tsv" in first
    assert "must be columns of the file. Received: 'text'" in second and "c.tsv has 'sentence', 'label'" in second


@pytest.mark.parametrize(
    "task, text, options, message",
    [
        ("regression", "text\tlabel\na\thigh\nb\tnan\nc\t1\n", {},
         r"must be a number. Received: 2 wrong in train: .*a.tsv:2: 'high'; .*:3: 'nan'"),
        ("classification", "text\tlabel\n", {}, "every split needs examples. Received: none for train"),
        ("classification", "text\tlabel\na\tx\n", {}, "needs labels to choose from. Received: x. See --label_column"),
        ("classification", "text\tlabel\na\tx\nb\ty\n", {"test_files": (), "test_share": 0.0}, "none for test"),
        ("classification", "text\tlabel\n \tx\n \ty\n", {}, r"training needs examples that can be learnt from. Received: none \(2 empty text\)"),
        ("classification", "text\tlabel\na\t2\nb\t0\n", {"labels": ("no", "yes")},
         "must be one of no, yes. Received: 1 wrong in train: .*:2: 2"),
        ("classification", "text\tlabel\na\t0\nb\t1\n", {"labels": ("1", "2")},
         "must be one of 1, 2. Received: 1 wrong in train: .*:2: 0"),
        ("classification", "a\tx\n", {"text_column": "0", "label_column": "2"},
         "--text_column and --label_column count from 1"),
        ("spans", "a\tx\n", {}, "a file must be JSON. Received: .*a.tsv"),
        ("spans", squad([asked("q7"), asked("q7")]), {}, "id must be its own. Received: 1 wrong in train: .*a.tsv:q7: who q7"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(tmp_path, task, text, options, message):
    with pytest.raises(DataError, match=message):
        load_labelled(files(tmp_path, text, **options), task)


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "must come from one of --train_files, --tfds. Received: none"),
        ({"validation_files": ("a",)}, "Received: --validation_files"),
        ({"train_files": ("a",), "tfds": "b"}, "Received: --train_files, --tfds"),
        ({"train_files": ("setup.cfg",), "validation_files": ("setup.cfg",), "test_files": ("setup.cfg",)},
         "--train_files takes .tsv, .csv and .jsonl files"),
    ],
)  # fmt: skip
def test_flags_that_do_not_name_the_data(options, message):
    with pytest.raises(DataError, match=message):
        load_labelled(LabelledDataConfig(**options), "classification")


def test_wrong_options():
    with pytest.raises(ConfigError, match="labels must differ"):
        LabelledDataConfig(labels=("a", "b", "a"))
    with pytest.raises(ConfigError, match="come from one place"):
        LabelledDataConfig(labels=("a",), labels_file="b")
    with pytest.raises(ConfigError, match="task must be one of 'classification'.*Received: 'ner'"):
        load_labelled(LabelledDataConfig(), "ner")


def test_empty_texts_repeated_texts_and_contradictions_are_reported(tmp_path):
    write(tmp_path / "test.tsv", lines(["text\tlabel", "a\tx", " \ty", "new\ty", "a\tx"]))
    text = lines(["text\tlabel", "a\tx", "\ty", "b\ty", "a\ty"])
    loaded = load_labelled(files(tmp_path, text, test_files=("test.tsv",), lowercase=True), "classification")
    reasons = loaded.report["train"]["reasons"]
    assert (loaded.report["train"]["examples_in"], loaded.report["train"]["examples_out"]) == (4, 3)
    assert reasons["empty text"] == {"action": "dropped", "count": 1, "examples": [f"{tmp_path}/a.tsv:3: "]}
    assert reasons["text has another label elsewhere"]["examples"] == [f"{tmp_path}/a.tsv:5: see {tmp_path}/a.tsv:2: a"]
    assert loaded.report["test"]["reasons"]["empty text"]["action"] == "kept" and len(loaded.splits["test"]) == 4
    assert loaded.report["test"]["reasons"]["text stands in train too"]["count"] == 2
    assert repeats(loaded.splits)["test"] == {"train": [0, 3], "validation": [0, 3]}


def test_a_text_never_stands_in_two_splits(tmp_path):
    rows = [f"T{n % 300}\t{n % 3}" for n in range(900)] + [f"t{n}\t1" for n in range(300)]
    config = files(tmp_path, lines(["text\tlabel", *rows]), validation_files=(), test_files=(), validation_share=0.1,
                   test_share=0.2, lowercase=True)  # fmt: skip
    loaded = load_labelled(config, "classification")
    assert sum(map(len, loaded.splits.values())) == 1200
    assert not any(indices for places in repeats(loaded.splits).values() for indices in places.values())
    assert 60 <= len(loaded.splits["validation"]) <= 190 and 150 <= len(loaded.splits["test"]) <= 340


def test_squad_with_and_without_answers(tmp_path):
    text = squad([asked("won", (19, "the Broncos"), (23, "Broncos")),
                  asked("drew", is_impossible=True, plausible_answers=[{"text": "lost", "answer_start": 13}])])  # fmt: skip
    loaded = load_labelled(files(tmp_path, text, "a.json.gz", lowercase=True), "spans")
    context, line = CONTEXT.lower(), f"{tmp_path}/a.json.gz:won"
    assert loaded.splits["test"][0] == Question("won", "who won?", context, ((19, "the broncos"), (23, "broncos")), line)
    assert loaded.splits["test"][1].answers == ()
    assert loaded.report["train"]["labels"] == {"with answer": 1, "without": 1} and loaded.labels == ()


def test_tfds_as_glue_has_it(tmp_path):
    """Names of classes are kept, further features ignored, and test data without labels is no test data."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({"sentence": tfds.features.Text(), "idx": tf.int32,
                                           "label": tfds.features.ClassLabel(names=["negative", "positive"])})  # fmt: skip
    splits = {"train": [(f"t{n}", n, n % 2) for n in range(40)] + [("none", 40, -1)],
              "validation": [("good", 0, 1), ("bad", 1, 0)], "test": [("?", 0, -1)]}  # fmt: skip
    tfds_directory(tmp_path, "toy", None, ["sentence", "idx", "label"], splits, features)
    config = LabelledDataConfig(tfds="toy", tfds_data_dir=str(tmp_path), validation_share=0.2)
    loaded = load_labelled(config, "classification")
    assert loaded.labels == ("negative", "positive")
    assert sorted(texts_and_labels(loaded, "test")) == [("bad", "negative"), ("good", "positive")]
    assert loaded.report["test"]["reasons"]["no labelled test data: the validation data is it"]["count"] == 2
    assert len(loaded.splits["train"]) + len(loaded.splits["validation"]) == 40
    assert loaded.report["train"]["reasons"]["label -1, which is none"]["count"] == 1
    turned = load_labelled(dataclasses.replace(config, labels=("positive", "negative")), "classification")
    assert sorted(texts_and_labels(turned, "test")) == sorted(texts_and_labels(loaded, "test"))
    with pytest.raises(DataError, match="must be columns.*Received: 'mood'; TFDS toy has"):
        load_labelled(dataclasses.replace(config, label_column="mood"), "classification")


def test_tfds_as_squad_has_it(tmp_path):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({
        "id": tf.string, "context": tfds.features.Text(), "question": tfds.features.Text(),
        "answers": tfds.features.Sequence({"text": tfds.features.Text(), "answer_start": tf.int32}),
    })  # fmt: skip

    def dataset(rows):
        columns = {name: [row[n] for row in rows] for n, name in enumerate(("id", "context", "question"))}
        answers = {"text": [row[3] for row in rows], "answer_start": [row[4] for row in rows]}
        return tf.data.Dataset.from_tensor_slices({**columns, "answers": answers})

    rows = {"train": [(f"q{n}", f"{CONTEXT} {n}", "who?", ["Broncos"], [23]) for n in range(30)],
            "validation": [("v", "é Broncos", "who?", ["Broncos"], [2])]}  # fmt: skip
    tfds.dataset_builders.TfDataBuilder(
        name="toy_squad", version="1.0.0", data_dir=str(tmp_path), description="x", features=features,
        split_datasets={split: dataset(of) for split, of in rows.items()},
    ).download_and_prepare()  # fmt: skip
    loaded = load_labelled(LabelledDataConfig(tfds="toy_squad", tfds_data_dir=str(tmp_path), validation_share=0.2), "spans")
    assert loaded.splits["test"] == [Question("v", "who?", "é Broncos", ((2, "Broncos"),), "TFDS toy_squad validation:v")]
    assert loaded.report["test"]["reasons"].keys() == {"no labelled test data: the validation data is it"}


def in_memory():
    """The same three examples in each form."""
    import tensorflow as tf

    texts, labels = ["so good", "so bad", "it is"], [1, 0, 1]
    config = LabelledDataConfig(text_column="review", label_column="stars")
    columns = tf.data.Dataset.from_tensor_slices({"review": texts, "stars": labels})
    return {
        "lists": ((texts, labels), LabelledDataConfig()),
        "arrays": ((np.array(texts), np.array(labels, float)), LabelledDataConfig()),
        "frame": (pandas.DataFrame({"id": [7, 8, 9], "review": texts, "stars": labels}), config),
        "columns": ({"review": texts, "stars": labels}, config),
        "rows": ([{"review": text, "stars": label} for text, label in zip(texts, labels)], config),
        "dataset": (tf.data.Dataset.from_tensor_slices((texts, labels)), LabelledDataConfig()),
        "batches": (tf.data.Dataset.from_tensor_slices((texts, labels)).batch(2), LabelledDataConfig()),
        "dataset of dicts": (columns, config), "batches of dicts": (columns.batch(2), config),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["lists", "arrays", "frame", "columns", "rows", "dataset", "batches", "dataset of dicts",
                                  "batches of dicts"])  # fmt: skip
def test_data_in_memory(form):
    data, config = in_memory()[form]
    loaded = labelled_from("classification", data, test=data, config=config)
    rows = zip(["so good", "so bad", "it is"], [1, 0, 1])
    expected = [Example(text, None, label, f"test:{number}") for number, (text, label) in enumerate(rows, 1)]
    assert isinstance(loaded, Labelled) and loaded.labels == ("0", "1") and loaded.splits["test"] == expected
    assert len(loaded.splits["train"]) + len(loaded.splits["validation"]) == 3


def test_pairs_several_labels_and_questions_in_memory():
    import tensorflow as tf

    pair = Example("a", "b", 2.5, "train:1")
    assert labelled_from("regression", (["a"], [2.5], ["b"])).splits["train"] == [pair]
    assert labelled_from("regression", tf.data.Dataset.from_tensors((("a", "b"), 2.5))).splits["train"] == [pair]
    several = labelled_from("multilabel", (["a", "b"], [["x", "y"], []]), config=LabelledDataConfig(labels=("y", "x")))
    assert [example.label for example in several.splits["train"]] == [(0, 1), ()]
    question = Question("1", "who?", CONTEXT, ((23, "Broncos"),))
    row = {"id": "1", "question": "who?", "context": CONTEXT, "answers": {"text": ["Broncos"], "answer_start": [23]}}
    assert labelled_from("spans", [question]).splits["train"] == [question]
    assert labelled_from("spans", [row]).splits["train"] == [question._replace(line="train:1")]


@pytest.mark.parametrize(
    "data, message",
    [
        ((["a", "b"], ["x"]), "as many labels as texts. Received: 2 and 1"),
        (["a", "b"], r"data must be \(texts, labels\).*Received: list"),
        (([float("nan"), "b"], ["x", "y"]), r"a string that can be read. Received: 1 wrong in train: train:1: \(nan,\)"),
        ((["a", "b"], [float("nan"), "y"]), "must have a label. Received: 1 wrong in train: train:1: nan"),
        ({"text": ["a"], "mark": ["x"]}, "must be columns of the file. Received: 'label'; the data has 'text', 'mark'"),
        (([], []), "every split needs examples. Received: none for train"),
    ],
)
def test_data_in_memory_that_is_wrong(data, message):
    with pytest.raises(DataError, match=message):
        labelled_from("classification", data, config=LabelledDataConfig(labels=("x", "y")))


def test_the_configuration_s_fields_are_flags():
    flag_values = absl_flags.FlagValues()
    flags.define(LabelledDataConfig, flag_values=flag_values)
    flags.parse(["x", "--train_files=a.tsv,b*.tsv", "--delimiter=space", "--labels=no,yes", "--lowercase"], flag_values)
    expected = LabelledDataConfig(train_files=("a.tsv", "b*.tsv"), delimiter="space", labels=("no", "yes"), lowercase=True)
    assert flags.read(LabelledDataConfig, flag_values) == expected
    with pytest.raises(ConfigError, match="delimiter"):
        LabelledDataConfig(delimiter=";")


def sizes(loaded):
    return tuple(loaded.report[split]["examples_in"] for split in ("train", "validation", "test"))


def real(folder, task, train, validation, test, **options):
    names = {f"{split}_files": (name,) if name else () for split, name in
             (("train", train), ("validation", validation), ("test", test))}  # fmt: skip
    return load_labelled(LabelledDataConfig(data_dir=str(folder), **names, **options), task)


NUMBERED = {"text_column": "1", "label_column": "2"}


def test_sst2_trec_and_stsb(shared):
    sst2 = real(shared / "sst2", "classification", "train.tsv", "dev.tsv", "test.tsv", text_column="sentence",
                labels=("negative", "positive"))  # fmt: skip
    assert sizes(sst2) == (60_614, 6_735, 872)
    assert sst2.report["test"]["labels"] == {"negative": 428, "positive": 444} and not sst2.report["test"]["reasons"]
    trec = real(shared / "trec", "classification", "train.txt", "", "test.txt", text_column="2", label_column="1",
                delimiter="space")  # fmt: skip
    assert sum(sizes(trec)[:2]) == 5_452 and sizes(trec)[2] == 500
    assert trec.labels == tuple("012345") and trec.splits["test"][0].text == "How far is it from Denver to Aspen ?"
    for language in ("en", "zh"):
        stsb = real(shared / "stsb", "regression", *(f"{language}-{split}.csv" for split in ("train", "dev", "test")),
                    text_column="1", pair_column="2", label_column="3")  # fmt: skip
        assert sizes(stsb) == (5_749, 1_500, 1_379)
        assert (stsb.report["train"]["labels"]["lowest"], stsb.report["train"]["labels"]["highest"]) == (0.0, 5.0)


@pytest.mark.parametrize(
    "name, count, rows, texts", [("chnsenticorp", (9_600, 1_200), 338, 335), ("tnews", (53_360, 10_000), 1_099, 924)]
)
def test_test_texts_that_stand_in_the_training_data(shared, name, count, rows, texts):
    """The test data is given for validation too, so that no training text is held out."""
    loaded = real(shared / name, "classification", "train.tsv", "dev.tsv", "dev.tsv", **NUMBERED)
    assert sizes(loaded) == (count[0], count[1], count[1])
    assert loaded.report["test"]["reasons"]["text stands in train too"]["count"] == rows
    assert len({loaded.splits["test"][index].text for index in repeats(loaded.splits)["test"]["train"]}) == texts


def test_goemotions(shared):
    loaded = real(shared / "goemotions", "multilabel", "train.tsv", "dev.tsv", "test.tsv", labels_file="labels.txt", **NUMBERED)
    assert sizes(loaded) == (43_410, 5_426, 5_427) and len(loaded.labels) == 28
    assert loaded.splits["validation"][1].label == (4, 27) and loaded.labels[27] == "neutral"


def test_cmrc2018_and_xquad(shared):
    loaded = real(shared / "cmrc2018", "spans", "trial.json", "dev.json", "dev.json")
    assert sizes(loaded) == (1_002, 3_219, 3_219)
    reasons = loaded.report["test"]["reasons"]
    nowhere = reasons["answer that is not in its context"]["count"]
    elsewhere = reasons["answer at another place than given"]["count"]
    assert (nowhere, elsewhere, nowhere + elsewhere) == (193, 7, 200)
    for question in loaded.splits["test"] + loaded.splits["train"]:
        assert all(start == -1 or question.context[start : start + len(text)] == text for start, text in question.answers)
    assert not any(start == -1 for question in loaded.splits["train"] for start, _ in question.answers)
    xquad = real(shared / "xquad", "spans", "en.json", "zh.json", "zh.json")
    assert sizes(xquad) == (1_190, 1_190, 1_190) and not xquad.report["train"]["reasons"]
