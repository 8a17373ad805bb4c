"""Labelled texts in every form a user has them, and an error with file and line for each way in
which they can be wrong."""

import dataclasses
import hashlib
import json

import numpy as np
import pandas
import pytest
from absl import flags as absl_flags

from data.config import DataError, LabelledDataConfig
from data.readers.labelled import (
    Example,
    Labelled,
    fingerprint,
    labelled_from,
    load_labelled,
    repeats,
)
from data.readers.squad import Question
from tests.data.test_files import lines, write
from tests.data.test_sources import tfds_directory
from tests.data.test_squad import CONTEXT, asked, squad
from transformer.cli import flags
from transformer.config import ConfigError


def files(folder, text, name="a.tsv", **options):
    """A configuration whose splits are all one file; `NAME_files` replaces one of them."""
    write(folder / name, text)
    names = {f"{split}_files": (name,) for split in ("train", "validation", "test")}
    return LabelledDataConfig(**{"data_dir": str(folder), **names, **options})


def texts_and_labels(loaded, split="train"):
    return [(example.text, loaded.labels[example.label]) for example in loaded.splits[split]]


def test_pairs_and_a_number(tmp_path):
    config = files(
        tmp_path,
        "one,two,2.5\n1,2,-1e1\n",
        "a.csv",
        text_column="1",
        pair_column="2",
        label_column="3",
    )
    loaded = load_labelled(config, "regression")
    assert [example[:3] for example in loaded.splits["train"]] == [
        ("one", "two", 2.5),
        ("1", "2", -10.0),
    ]
    assert loaded.labels == () and loaded.report["train"]["labels"] == {
        "lowest": -10.0,
        "mean": -3.75,
        "highest": 2.5,
    }


def test_the_label_of_text2text_is_a_text(tmp_path):
    loaded = load_labelled(
        files(
            tmp_path,
            lines(["source\ttarget", "A dog.\t 1", "b\tEin B"]),
            text_column="source",
            label_column="target",
        ),
        "text2text",
    )
    assert [example[:3] for example in loaded.splits["train"]] == [
        ("A dog.", None, " 1"),
        ("b", None, "Ein B"),
    ]
    assert loaded.labels == () and loaded.report["train"]["labels"] == {}
    with pytest.raises(DataError) as error:
        labelled_from("text2text", (["a", "b", "c", "d"], ["x", " ", 3, "\ud800"]))
    assert "a row must have a label. Received: 1 wrong in train: train:2: ' '." in str(error.value)
    assert "a text must be a valid Unicode string. Received: 2 wrong in train: train:3: 3; " in str(
        error.value
    )
    with pytest.raises(
        ConfigError, match="lowercases texts if the pretrained run did. Received: lowercase=True"
    ):
        labelled_from("text2text", (["a"], ["b"]), config=LabelledDataConfig(lowercase=True))


def test_several_labels_or_none(tmp_path):
    write(tmp_path / "names.txt", "joy\nfear\nawe\n")
    text = lines(["text\tlabel", "a\t2,0", "b\t", "c\tfear", "d\tawe, awe"])
    loaded = load_labelled(files(tmp_path, text, labels_file="names.txt"), "multilabel")
    assert loaded.labels == ("joy", "fear", "awe")
    assert [example.label for example in loaded.splits["train"]] == [(0, 2), (), (1,), (2,)]
    listed = lines(
        [
            '{"text": "a", "label": ["x", "y"]}',
            '{"text": "b", "label": []}',
            '{"text": "c", "label": "y,z"}',
        ]
    )
    loaded = load_labelled(files(tmp_path, listed, "a.jsonl"), "multilabel")
    assert loaded.labels == ("x", "y", "z") and [
        example.label for example in loaded.splits["train"]
    ] == [(0, 1), (), (1, 2)]


def test_all_mistakes_are_said_at_once_with_file_and_line(tmp_path):
    write(
        tmp_path / "v.tsv",
        lines(["text\tlabel", "a\tmaybe", "b\tyes", *(f"c{n}\tnever" for n in range(9))]),
    )
    write(
        tmp_path / "t.jsonl",
        lines(
            [
                '{"text": "a", "label": "no"}',
                '{"text": 7, "label": "no"}',
                '{"text": "b"}',
                '{"text": "c", "label": " "}',
            ]
        ),
    )
    text = lines(["text\tlabel", "a\tyes", "b", "c\tno"])
    config = files(tmp_path, text, validation_files=("v.tsv",), test_files=("t.jsonl",))
    with pytest.raises(DataError) as error:
        load_labelled(config, "classification")
    assert str(error.value).replace(f"{tmp_path}/", "").splitlines() == [
        "a row must have all its columns. Received: 1 wrong in train: a.tsv:3: ('b', None). "
        "Repair "
        "these rows, or see "
        "--delimiter and the column flags.",
        "a label must be one of no, yes. Received: 10 wrong in validation: v.tsv:2: maybe; "
        "v.tsv:4: never; v.tsv:5: never; "
        "v.tsv:6: never; v.tsv:7: never; .... Repair these rows, or name all labels with --labels.",
        "a text must be a valid Unicode string. Received: 1 wrong in test: t.jsonl:2: (7,). "
        "Repair these rows.",
        "a row must have all its columns. Received: 1 wrong in test: t.jsonl:3: ('b', None). "
        "Repair these rows, or see "
        "--delimiter and the column flags.",
        "a row must have a label. Received: 1 wrong in test: t.jsonl:4: ' '. Repair these rows, "
        "or "
        "leave them out.",
    ]


def test_a_split_whose_rows_are_all_wrong_is_not_said_to_lack_files(tmp_path):
    write(tmp_path / "t.jsonl", '{"text": 7, "label": "no"}\n')
    for wrong in ("train", "test"):
        config = files(
            tmp_path, lines(["text\tlabel", "a\tyes", "b\tno"]), **{f"{wrong}_files": ("t.jsonl",)}
        )
        with pytest.raises(DataError) as error:
            load_labelled(
                dataclasses.replace(config, validation_files=()) if wrong == "train" else config,
                "classification",
            )
        (line,) = str(error.value).splitlines()
        assert f"a text must be a valid Unicode string. Received: 1 wrong in {wrong}" in line


def test_whole_files_that_are_wrong_are_named_together(tmp_path):
    write(tmp_path / "b.jsonl", '{"text": "a", "label": "x"}\n{"text"')
    config = files(
        tmp_path,
        "text\tlabel\n",
        validation_files=("b.jsonl", "none.tsv"),
        test_files=("a.tsv", "c.tsv"),
    )
    write(tmp_path / "c.tsv", "sentence\tlabel\na\tb\n")
    with pytest.raises(DataError) as error:
        load_labelled(config, "classification")
    first, second = str(error.value).splitlines()
    assert (
        "--validation_files must name files that exist. Received:" in first and "none.tsv" in first
    )
    assert (
        "must be columns of the file. Received: 'text'" in second
        and "c.tsv has 'sentence', 'label'" in second
    )


@pytest.mark.parametrize(
    "task, text, options, message",
    [
        (
            "regression",
            "text\tlabel\na\thigh\nb\tnan\nc\t1\n",
            {},
            r"must be a number. Received: 2 wrong in train: .*a.tsv:2: 'high'; .*:3: 'nan'",
        ),
        (
            "classification",
            "text\tlabel\n",
            {},
            "every split needs examples. Received: none for train",
        ),
        (
            "classification",
            "text\tlabel\na\tx\n",
            {},
            "needs labels to choose from. Received: x. See --label_column",
        ),
        (
            "classification",
            "text\tlabel\na\tx\nb\ty\n",
            {"test_files": (), "test_share": 0.0},
            "none for test",
        ),
        (
            "classification",
            "text\tlabel\n \tx\n \ty\n",
            {},
            r"training needs usable examples. Received: none \(2 empty text\)",
        ),
        (
            "classification",
            "text\tlabel\na\t2\nb\t0\n",
            {"labels": ("no", "yes")},
            "must be one of no, yes. Received: 1 wrong in train: .*:2: 2",
        ),
        (
            "classification",
            "text\tlabel\na\t0\nb\t1\n",
            {"labels": ("1", "2")},
            "must be one of 1, 2. Received: 1 wrong in train: .*:2: 0",
        ),
        (
            "classification",
            "a\tx\n",
            {"text_column": "0", "label_column": "2"},
            "--text_column and --label_column count from 1",
        ),
        ("spans", "a\tx\n", {}, "a file must be JSON. Received: .*a.tsv"),
        (
            "spans",
            squad([asked("q7"), asked("q7")]),
            {},
            "each question needs a unique id. Received: 1 wrong in train: .*a.tsv:q7: who q7",
        ),
    ],
)
def test_what_cannot_be_used(tmp_path, task, text, options, message):
    with pytest.raises(DataError, match=message):
        load_labelled(files(tmp_path, text, **options), task)


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "must come from exactly one of --train_files, --tfds. Received: none"),
        ({"validation_files": ("a",)}, "Received: --validation_files"),
        ({"train_files": ("a",), "tfds": "b"}, "Received: --train_files, --tfds"),
        (
            {
                "train_files": ("setup.cfg",),
                "validation_files": ("setup.cfg",),
                "test_files": ("setup.cfg",),
            },
            "--train_files takes .tsv, .csv and .jsonl files",
        ),
    ],
)
def test_flags_that_do_not_name_the_data(options, message):
    with pytest.raises(DataError, match=message):
        load_labelled(LabelledDataConfig(**options), "classification")


@pytest.mark.parametrize("wrong", ["train_files", "validation_files", "test_files"])
def test_a_file_of_no_known_form_is_named_by_its_flag(tmp_path, wrong):
    config = files(tmp_path, "text\tlabel\na\tx\nb\ty\n", **{wrong: ("notes.doc",)})
    write(tmp_path / "notes.doc", "a\tx\n")
    message = f"--{wrong} takes .tsv, .csv and .jsonl files.*Received: .*notes.doc"
    with pytest.raises(DataError, match=message):
        load_labelled(config, "classification")


def test_labels_are_not_compared_with_those_of_training_data_that_is_not_whole(tmp_path):
    """The label that validation has may stand in the training file that is not there."""
    names = {"train_files": ("a.tsv", "none.tsv"), "validation_files": ("v.tsv",)}
    config = files(tmp_path, "text\tlabel\na\tx\nb\ty\n", **names)
    write(tmp_path / "v.tsv", "text\tlabel\nc\tz\n")
    with pytest.raises(DataError) as error:
        load_labelled(config, "classification")
    (line,) = str(error.value).splitlines()
    assert line.startswith("--train_files must name files that exist. Received: ")


def test_a_training_text_that_is_dropped_is_no_repeat():
    """An empty text, which is kept in the test alone."""
    train, test = (["a", " ", "b"], ["x", "y", "y"]), ([" ", "b"], ["x", "y"])
    loaded = labelled_from("classification", train, test=test)
    assert repeats(loaded.splits)["test"] == {"train": [1], "validation": []}
    assert loaded.report["test"]["reasons"] == {
        "empty text": {"action": "kept", "count": 1, "examples": ["test:1:  "]},
        "text also occurs in train": {"action": "kept", "count": 1, "examples": ["test:2: b"]},
    }


def test_labels_that_are_the_same_though_written_otherwise_are_no_contradiction():
    config = LabelledDataConfig(labels=("no", "yes"))
    loaded = labelled_from("classification", (["a", "a", "a"], ["yes", 1, "1"]), config=config)
    assert [example.label for example in loaded.splits["train"]] == [1, 1, 1]
    assert loaded.report["train"]["reasons"] == {}


def test_wrong_options():
    with pytest.raises(ConfigError, match="labels must differ"):
        LabelledDataConfig(labels=("a", "b", "a"))
    with pytest.raises(ConfigError, match="--labels and --labels_file cannot be used together"):
        LabelledDataConfig(labels=("a",), labels_file="b")
    with pytest.raises(ConfigError, match="task must be one of 'classification'.*Received: 'ner'"):
        load_labelled(LabelledDataConfig(), "ner")


def test_empty_texts_repeated_texts_and_contradictions_are_reported(tmp_path):
    write(tmp_path / "test.tsv", lines(["text\tlabel", "a\tx", " \ty", "new\ty", "a\tx"]))
    text = lines(["text\tlabel", "a\tx", "\ty", "b\ty", "a\ty"])
    loaded = load_labelled(
        files(tmp_path, text, test_files=("test.tsv",), lowercase=True), "classification"
    )
    reasons = loaded.report["train"]["reasons"]
    assert (loaded.report["train"]["examples_in"], loaded.report["train"]["examples_out"]) == (4, 3)
    assert reasons["empty text"] == {
        "action": "dropped",
        "count": 1,
        "examples": [f"{tmp_path}/a.tsv:3: "],
    }
    assert reasons["text has another label elsewhere"]["examples"] == [
        f"{tmp_path}/a.tsv:5: see {tmp_path}/a.tsv:2: a"
    ]
    assert (
        loaded.report["test"]["reasons"]["empty text"]["action"] == "kept"
        and len(loaded.splits["test"]) == 4
    )
    assert loaded.report["test"]["reasons"]["text also occurs in train"]["count"] == 2
    assert repeats(loaded.splits)["test"] == {"train": [0, 3], "validation": [0, 3]}


def test_a_text_never_stands_in_two_splits(tmp_path):
    rows = [f"T{n % 300}\t{n % 3}" for n in range(900)] + [f"t{n}\t1" for n in range(300)]
    config = files(
        tmp_path,
        lines(["text\tlabel", *rows]),
        validation_files=(),
        test_files=(),
        validation_share=0.1,
        test_share=0.2,
        lowercase=True,
    )
    loaded = load_labelled(config, "classification")
    assert sum(map(len, loaded.splits.values())) == 1200
    assert not any(
        indices for places in repeats(loaded.splits).values() for indices in places.values()
    )
    assert (
        60 <= len(loaded.splits["validation"]) <= 190 and 150 <= len(loaded.splits["test"]) <= 340
    )


def place(text):
    """Where a text's hash lies in [0, 1)."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) / 16**16


def test_of_data_in_memory_no_test_is_taken():
    texts = [f"text {n}" for n in range(300)]
    for config in (LabelledDataConfig(), LabelledDataConfig(test_share=0.3)):
        loaded = labelled_from(
            "classification", (texts, [n % 2 for n in range(300)]), config=config
        )
        assert loaded.splits["test"] == [] and sizes(loaded) == (290, 10, 0)
        assert [example.text for example in loaded.splits["validation"]] == [
            text for text in texts if place(text) < 0.02
        ]
    half = labelled_from(
        "regression", (texts, [1.0] * 300), config=LabelledDataConfig(validation_share=0.5)
    )
    assert sizes(half) == (
        sum(place(text) >= 0.5 for text in texts),
        sum(place(text) < 0.5 for text in texts),
        0,
    )


def test_shares_of_files_are_taken_by_the_hash_of_the_text(tmp_path):
    texts = [f"text {n}" for n in range(200)]
    config = files(
        tmp_path,
        lines(["text\tlabel", *(f"{text}\t{len(text)}" for text in texts)]),
        validation_files=(),
        test_files=(),
        validation_share=0.1,
        test_share=0.3,
    )
    loaded = load_labelled(config, "classification")
    found = {
        split: [example.text for example in examples] for split, examples in loaded.splits.items()
    }
    assert found == {
        "train": [text for text in texts if place(text) >= 0.4],
        "validation": [text for text in texts if place(text) < 0.1],
        "test": [text for text in texts if 0.1 <= place(text) < 0.4],
    }


def test_questions_about_one_text_stay_together():
    questions = [Question(f"{n}", f"who {n}?", f"{n % 40} {CONTEXT}", ()) for n in range(120)]
    loaded = labelled_from("spans", questions, config=LabelledDataConfig(validation_share=0.3))
    contexts = [
        {question.context for question in loaded.splits[split]} for split in ("train", "validation")
    ]
    assert (
        contexts[1] == {f"{n} {CONTEXT}" for n in range(40) if place(f"{n} {CONTEXT}") < 0.3}
        and not contexts[0] & contexts[1]
    )


def test_a_number_of_minus_one_is_a_number(tmp_path):
    loaded = labelled_from("regression", (["a", "b"], [-1.0, 0.5]))
    assert [example[:3] for example in loaded.splits["train"]] == [
        ("a", None, -1.0),
        ("b", None, 0.5),
    ]
    loaded = load_labelled(files(tmp_path, "text\tlabel\na\t-1\nb\t0.5\n"), "regression")
    assert [example.label for example in loaded.splits["train"]] == [-1.0, 0.5]
    with pytest.raises(
        DataError, match="must be one of no, yes. Received: 1 wrong in train: train:1: -1"
    ):
        labelled_from(
            "classification", (["a", "b"], [-1, 0]), config=LabelledDataConfig(labels=("no", "yes"))
        )


def test_a_fingerprint_is_of_what_training_sees():
    train, other = (["a", "b"], ["x", "y"], ["c", "d"]), (["e"], ["x"], ["f"])
    known = fingerprint(labelled_from("classification", train, other))
    assert known == fingerprint(
        labelled_from("classification", train, other, (["t"], ["y"], ["u"]))
    )
    assert len(known) == 16 and set(known) <= set("0123456789abcdef")
    changed = [
        ((["a", "B"], ["x", "y"], ["c", "d"]), other),
        ((["a", "b"], ["x", "x"], ["c", "d"]), other),
        ((["a", "b"], ["x", "y"], ["c", "D"]), other),
        ((["b", "a"], ["y", "x"], ["d", "c"]), other),
        (train, (["E"], ["x"], ["f"])),
        (train, (["e"], ["y"], ["f"])),
        (train, (["e"], ["x"], ["F"])),
    ]
    config = LabelledDataConfig(labels=("x", "y"))
    others = [
        fingerprint(labelled_from("classification", *splits, config=config)) for splits in changed
    ]
    turned = fingerprint(
        labelled_from(
            "classification", train, other, config=LabelledDataConfig(labels=("x", "y", "z"))
        )
    )
    assert len({known, turned, *others}) == 9
    question = Question("1", "who?", CONTEXT, ((23, "Broncos"),))
    answers = [((23, "Broncos"),), ((23, "Bronco"),), ((19, "the Broncos"),), ()]
    spans = [
        labelled_from("spans", [question._replace(answers=one)], [question]) for one in answers
    ]
    assert len(set(map(fingerprint, spans))) == 4


def test_a_test_alone_needs_the_names_of_its_labels():
    config = LabelledDataConfig(labels=("no", "yes"))
    loaded = labelled_from("classification", test=(["a", " "], ["yes", "no"]), config=config)
    assert sizes(loaded) == (0, 0, 2) and [example.label for example in loaded.splits["test"]] == [
        1,
        0,
    ]
    assert loaded.report["test"]["labels"] == {"no": 1, "yes": 1} and loaded.report["train"][
        "labels"
    ] == {"no": 0, "yes": 0}
    assert loaded.report["test"]["reasons"] == {
        "empty text": {"action": "kept", "count": 1, "examples": ["test:2:  "]}
    }
    with pytest.raises(DataError, match="every split needs examples. Received: none for test"):
        labelled_from("classification", (["a", "b"], ["yes", "no"]), test=([], []), config=config)


def test_pairs_are_lowered_compared_and_found_empty_as_a_whole():
    train = (["A", "a", "a", "B"], ["x", "y", "y", "x"], ["C", "d", "C", " "])
    config = LabelledDataConfig(lowercase=True)
    loaded = labelled_from(
        "classification", train, test=(["a", "a"], ["x", "x"], ["C", "e"]), config=config
    )
    kept = [("a", "c", 0, "train:1"), ("a", "d", 1, "train:2"), ("a", "c", 1, "train:3")]
    assert [(text, pair, label, line) for text, pair, label, line in loaded.splits["train"]] == kept
    assert (loaded.report["train"]["examples_in"], loaded.report["train"]["examples_out"]) == (4, 3)
    assert loaded.report["train"]["labels"] == {"x": 1, "y": 2}
    assert loaded.report["train"]["reasons"] == {
        "empty text": {"action": "dropped", "count": 1, "examples": ["train:4: b |||  "]},
        "text has another label elsewhere": {
            "action": "kept",
            "count": 1,
            "examples": ["train:3: see train:1: a"],
        },
    }
    assert repeats(loaded.splits)["test"] == {"train": [0], "validation": []}
    assert loaded.report["test"]["reasons"] == {
        "text also occurs in train": {"action": "kept", "count": 1, "examples": ["test:1: a"]}
    }


def test_questions_may_have_several_answers():
    question = Question("1", "who?", CONTEXT, ((23, "Broncos"),))
    again = question._replace(id="2", answers=((19, "the Broncos"),))
    assert labelled_from("spans", [question, again]).report["train"]["reasons"] == {}


@pytest.mark.parametrize(
    "count, shown", [(20, "l18, l19. Received"), (21, "l18, l19, .... Received")]
)
def test_of_the_names_of_labels_twenty_are_shown(count, shown):
    config = LabelledDataConfig(labels=tuple(f"l{n}" for n in range(count)))
    with pytest.raises(DataError) as error:
        labelled_from("classification", (["a"] * 5, ["other"] * 5), config=config)
    assert (
        f"a label must be one of l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, "
        f"l15, l16, l17, {shown}" in str(error.value)
    )
    assert str(error.value).count(": other") == 5 and "other. Repair" in str(
        error.value
    )  # five of five are shown


def test_names_of_labels_from_a_file(tmp_path):
    write(tmp_path / "names.txt", " joy \n\nfear\n \n")
    config = files(tmp_path, "text\tlabel\na\tfear\nb\t0\n", labels_file="names.txt")
    loaded = load_labelled(config, "classification")
    assert loaded.labels == ("joy", "fear") and [
        example.label for example in loaded.splits["train"]
    ] == [1, 0]
    write(tmp_path / "names.txt", "joy\nfear\njoy\n")
    with pytest.raises(
        DataError,
        match=r"labels must differ from each other. Received: joy, fear, joy in .*names.txt",
    ):
        load_labelled(config, "classification")
    with pytest.raises(DataError, match=r"--labels_file must name files that exist"):
        load_labelled(dataclasses.replace(config, labels_file="none.txt"), "classification")


def test_one_label_of_several_is_enough():
    loaded = labelled_from("multilabel", (["a", "b"], ["x", ""]))
    assert loaded.labels == ("x",) and [example.label for example in loaded.splits["train"]] == [
        (0,),
        (),
    ]
    with pytest.raises(
        DataError,
        match="multilabel needs labels to choose from. Received: none. See --label_column",
    ):
        labelled_from("multilabel", (["a", "b"], ["", ""]))


def test_several_files_of_a_split(tmp_path):
    write(tmp_path / "1.txt", "a,x\n")
    write(tmp_path / "2.txt", "b,y\nc,x\n")
    names = {f"{split}_files": ("[12].txt",) for split in ("train", "validation", "test")}
    config = LabelledDataConfig(
        data_dir=str(tmp_path), delimiter="comma", text_column="1", label_column="2", **names
    )
    found = load_labelled(config, "classification").splits["train"]
    assert [(example.text, example.line.rpartition("/")[2]) for example in found] == [
        ("a", "1.txt:1"),
        ("b", "2.txt:1"),
        ("c", "2.txt:2"),
    ]
    for name in "12":
        write(tmp_path / f"{name}.json", squad([asked(name, (23, "Broncos"))]))
    names = {f"{split}_files": ("1.json", "2.json") for split in ("train", "validation", "test")}
    spans = load_labelled(LabelledDataConfig(data_dir=str(tmp_path), **names), "spans").splits[
        "validation"
    ]
    assert [question.id for question in spans] == ["1", "2"]


def test_squad_with_and_without_answers(tmp_path):
    text = squad(
        [
            asked("won", (19, "the Broncos"), (23, "Broncos")),
            asked(
                "drew", is_impossible=True, plausible_answers=[{"text": "lost", "answer_start": 13}]
            ),
        ]
    )
    loaded = load_labelled(files(tmp_path, text, "a.json.gz", lowercase=True), "spans")
    context, line = CONTEXT.lower(), f"{tmp_path}/a.json.gz:won"
    assert loaded.splits["test"][0] == Question(
        "won", "who won?", context, ((19, "the broncos"), (23, "broncos")), line
    )
    assert loaded.splits["test"][1].answers == ()
    assert (
        loaded.report["train"]["labels"] == {"with answer": 1, "without": 1} and loaded.labels == ()
    )


def test_tfds_as_glue_has_it(tmp_path):
    """Names of classes are kept, further features ignored, and test data without labels is no
    test data."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "sentence": tfds.features.Text(),
            "idx": tf.int32,
            "label": tfds.features.ClassLabel(names=["negative", "positive"]),
        }
    )
    splits = {
        "train": [(f"t{n}", n, n % 2) for n in range(40)] + [("none", 40, -1)],
        "validation": [("good", 0, 1), ("bad", 1, 0)],
        "test": [("?", 0, -1)],
    }
    tfds_directory(tmp_path, "toy", None, ["sentence", "idx", "label"], splits, features)
    config = LabelledDataConfig(tfds="toy", tfds_data_dir=str(tmp_path), validation_share=0.2)
    loaded = load_labelled(config, "classification")
    assert loaded.labels == ("negative", "positive")
    assert sorted(texts_and_labels(loaded, "test")) == [("bad", "negative"), ("good", "positive")]
    moved = loaded.report["test"]["reasons"]
    assert {reason: found["count"] for reason, found in moved.items()} == {
        "no labelled test data: the validation data is used for the test": 2
    }
    assert len(loaded.splits["train"]) + len(loaded.splits["validation"]) == 40
    missing = loaded.report["train"]["reasons"]["no label (-1)"]
    assert (missing["action"], missing["count"]) == ("dropped", 1)
    turned = load_labelled(
        dataclasses.replace(config, labels=("positive", "negative")), "classification"
    )
    assert sorted(texts_and_labels(turned, "test")) == sorted(texts_and_labels(loaded, "test"))
    with pytest.raises(DataError, match="must be columns.*Received: 'mood'; TFDS toy has"):
        load_labelled(dataclasses.replace(config, label_column="mood"), "classification")


def toy_of_two_texts(folder, texts, label, labels):
    """A configuration of a TFDS data set whose features are some texts and a label, the same
    three rows in each split."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {**{name: tfds.features.Text() for name in texts}, "label": label}
    )
    rows = [(*(f"{name} {n}" for name in texts), label) for n, label in enumerate(labels)]
    splits = {split: rows for split in ("train", "validation", "test")}
    tfds_directory(folder, "toy", None, [*texts, "label"], splits, features)
    return LabelledDataConfig(tfds="toy", tfds_data_dir=str(folder))


def test_tfds_of_two_texts_and_a_number(tmp_path):
    """A number of -1 is no missing label; without a feature "text" the two that are text are the
    pair."""
    import tensorflow as tf

    config = toy_of_two_texts(tmp_path, ["premise", "other"], tf.float32, [-1.0, 0.5, 2.0])
    loaded = load_labelled(config, "regression")
    found = sorted(example[:3] for example in loaded.splits["test"])
    expected = [
        ("other 0", "premise 0", -1.0),
        ("other 1", "premise 1", 0.5),
        ("other 2", "premise 2", 2.0),
    ]
    assert found in (
        expected,
        [(pair, text, label) for text, pair, label in expected],
    )  # TFDS may sort its features
    assert sizes(loaded) == (3, 3, 3) and loaded.splits["test"][0].line == "TFDS toy test:1"
    assert loaded.report["train"]["reasons"] == {}
    one = load_labelled(dataclasses.replace(config, text_column="premise"), "regression").splits[
        "validation"
    ]
    assert sorted(example[:2] for example in one) == [(f"premise {n}", None) for n in range(3)]


def test_tfds_of_three_texts_must_be_told_which(tmp_path):
    import tensorflow_datasets as tfds

    label = tfds.features.ClassLabel(names=["no", "yes", "never"])
    config = toy_of_two_texts(tmp_path, ["a", "b", "c"], label, [0, 1, -1])
    with pytest.raises(
        DataError, match="must be columns of the file. Received: 'text'; TFDS toy has"
    ):
        load_labelled(config, "classification")
    loaded = load_labelled(
        dataclasses.replace(config, text_column="c", pair_column="a"), "classification"
    )
    assert sorted(example[:3] for example in loaded.splits["test"]) == [
        ("c 0", "a 0", 0),
        ("c 1", "a 1", 1),
    ]
    assert loaded.labels == ("no", "yes", "never")  # also the one that no text has
    (example,) = loaded.report["test"]["reasons"]["no label (-1)"]["examples"]
    assert example.startswith("TFDS toy test:") and example.endswith(": c 2")


def test_tfds_of_several_labels(tmp_path):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    label = tfds.features.Sequence(tfds.features.ClassLabel(names=["joy", "fear"]))
    features = tfds.features.FeaturesDict({"text": tfds.features.Text(), "label": label})
    rows = tf.data.Dataset.from_tensor_slices({"text": ["a", "b"], "label": [[1, 0], [1, 1]]})
    tfds.dataset_builders.TfDataBuilder(
        name="toy",
        version="1.0.0",
        data_dir=str(tmp_path),
        description="x",
        features=features,
        split_datasets={split: rows for split in ("train", "validation", "test")},
    ).download_and_prepare()
    loaded = load_labelled(
        LabelledDataConfig(tfds="toy", tfds_data_dir=str(tmp_path)), "multilabel"
    )
    assert sorted(example[:3] for example in loaded.splits["test"]) == [
        ("a", None, (0, 1)),
        ("b", None, (1,)),
    ]
    assert loaded.labels == ("joy", "fear")
    config = LabelledDataConfig(tfds="toy", tfds_data_dir=str(tmp_path), labels=("fear", "joy"))
    turned = load_labelled(config, "multilabel")
    assert sorted(example[:3] for example in turned.splits["test"]) == [
        ("a", None, (0, 1)),
        ("b", None, (0,)),
    ]


def test_tfds_as_squad_has_it(tmp_path):
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

    def dataset(rows):
        columns = {
            name: [row[n] for row in rows] for n, name in enumerate(("id", "context", "question"))
        }
        answers = {"text": [row[3] for row in rows], "answer_start": [row[4] for row in rows]}
        return tf.data.Dataset.from_tensor_slices({**columns, "answers": answers})

    rows = {
        "train": [(f"q{n}", f"{CONTEXT} {n}", "who?", ["Broncos"], [23]) for n in range(30)],
        "validation": [("v", "é Broncos", "who?", ["Broncos"], [2])],
    }
    tfds.dataset_builders.TfDataBuilder(
        name="toy_squad",
        version="1.0.0",
        data_dir=str(tmp_path),
        description="x",
        features=features,
        split_datasets={split: dataset(of) for split, of in rows.items()},
    ).download_and_prepare()
    loaded = load_labelled(
        LabelledDataConfig(tfds="toy_squad", tfds_data_dir=str(tmp_path), validation_share=0.2),
        "spans",
    )
    assert loaded.splits["test"] == [
        Question("v", "who?", "é Broncos", ((2, "Broncos"),), "TFDS toy_squad validation:v")
    ]
    assert loaded.report["test"]["reasons"].keys() == {
        "no labelled test data: the validation data is used for the test"
    }


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
        "batches": (
            tf.data.Dataset.from_tensor_slices((texts, labels)).batch(2),
            LabelledDataConfig(),
        ),
        "dataset of dicts": (columns, config),
        "batches of dicts": (columns.batch(2), config),
    }


@pytest.mark.parametrize(
    "form",
    [
        "lists",
        "arrays",
        "frame",
        "columns",
        "rows",
        "dataset",
        "batches",
        "dataset of dicts",
        "batches of dicts",
    ],
)
def test_data_in_memory(form):
    data, config = in_memory()[form]
    loaded = labelled_from("classification", data, test=data, config=config)
    rows = zip(["so good", "so bad", "it is"], [1, 0, 1])
    expected = [
        Example(text, None, label, f"test:{number}") for number, (text, label) in enumerate(rows, 1)
    ]
    assert (
        isinstance(loaded, Labelled)
        and loaded.labels == ("0", "1")
        and loaded.splits["test"] == expected
    )
    assert len(loaded.splits["train"]) + len(loaded.splits["validation"]) == 3


def test_pairs_several_labels_and_questions_in_memory():
    import tensorflow as tf

    pair = Example("a", "b", 2.5, "train:1")
    assert labelled_from("regression", (["a"], [2.5], ["b"])).splits["train"] == [pair]
    assert labelled_from("regression", tf.data.Dataset.from_tensors((("a", "b"), 2.5))).splits[
        "train"
    ] == [pair]
    batches = tf.data.Dataset.from_tensor_slices(((["a", "c"], ["b", "d"]), [2.5, 1.0])).batch(2)
    assert [example[:3] for example in labelled_from("regression", batches).splits["train"]] == [
        pair[:3],
        ("c", "d", 1.0),
    ]
    several = labelled_from(
        "multilabel", (["a", "b"], [["x", "y"], []]), config=LabelledDataConfig(labels=("y", "x"))
    )
    assert [example.label for example in several.splits["train"]] == [(0, 1), ()]
    question = Question("1", "who?", CONTEXT, ((23, "Broncos"),))
    row = {
        "id": "1",
        "question": "who?",
        "context": CONTEXT,
        "answers": {"text": ["Broncos"], "answer_start": [23]},
    }
    assert labelled_from("spans", [question]).splits["train"] == [question]
    assert labelled_from("spans", [row]).splits["train"] == [question._replace(line="train:1")]


@pytest.mark.parametrize(
    "data, message",
    [
        ((["a", "b"], ["x"]), "must have the same length. Received: 2 and 1"),
        (["a", "b"], r"data must be \(texts, labels\).*Received: list"),
        (
            ([float("nan"), "b"], ["x", "y"]),
            r"a valid Unicode string. Received: 1 wrong in train: train:1: \(nan,\)",
        ),
        (
            (["a", "b"], [float("nan"), "y"]),
            "must have a label. Received: 1 wrong in train: train:1: nan",
        ),
        (
            {"text": ["a"], "mark": ["x"]},
            "must be columns of the file. Received: 'label'; the data has 'text', 'mark'",
        ),
        (([], []), "every split needs examples. Received: none for train"),
        (([], ["x"]), "must have the same length. Received: 0 and 1"),
        ((["a", "b"], ["x", "y"], ["c"]), "must have the same length. Received: 2 and 2 and 1"),
        ((["a"], ["x"], ["c"], ["d"]), r"data must be \(texts, labels\).*Received: tuple"),
        ((["a"],), r"data must be \(texts, labels\).*Received: tuple"),
        ([{"text": "a", "label": "x"}, "b"], r"data must be \(texts, labels\).*Received: list"),
        (
            [{"text": "a", "label": "x"}, {"text": "b", "mark": "x"}],
            "Received: 'label'; row 2 has 'text', 'mark'",
        ),
        (
            (["a", "b"], ["x", "y"], ["c", None]),
            r"must have all its columns. Received: 1 wrong in train: train:2: \('b', 'y', None\)",
        ),
        (
            (["a", "b"], ["x", "y"], ["c", 7]),
            r"valid Unicode string. Received: 1 wrong in train: train:2: \('b', 7\)",
        ),
        (
            ([b"a", b"\xff"], ["x", "y"]),
            r"valid Unicode string. Received: 1 wrong in train: train:2: \('\\udcff',\)",
        ),
    ],
)
def test_data_in_memory_that_is_wrong(data, message):
    with pytest.raises(DataError, match=message):
        labelled_from("classification", data, config=LabelledDataConfig(labels=("x", "y")))


def test_what_is_wrong_is_named_by_its_split():
    good, wrong = (["a", "b"], ["x", "y"]), (["a", None], ["x", "y"])
    for split in ("validation", "test"):
        with pytest.raises(
            DataError, match=f"must have all its columns. Received: 1 wrong in {split}: {split}:2: "
        ):
            labelled_from("classification", good, **{split: wrong})


def test_a_dataset_of_other_elements_is_refused():
    import tensorflow as tf

    columns = tf.data.Dataset.from_tensor_slices({"text": ["a"], "mark": ["x"]})
    with pytest.raises(
        DataError, match="must be columns of the file. Received: 'label'; the Dataset has"
    ):
        labelled_from("classification", columns)
    for elements in ((["a"], ["x"], ["c"]), ["a"]):
        with pytest.raises(
            DataError, match=r"elements must be dicts or \(text, label\). Received: "
        ):
            labelled_from("classification", tf.data.Dataset.from_tensor_slices(elements))


def test_no_questions_are_an_error():
    for none in ([], {"id": [], "question": [], "context": [], "answers": []}):
        with pytest.raises(DataError, match="every split needs examples. Received: none for train"):
            labelled_from("spans", none)


def test_text2text_has_no_second_text():
    with pytest.raises(
        ConfigError, match="only one source text for each target. Received: pair_column='more'"
    ):
        labelled_from("text2text", (["a"], ["b"]), config=LabelledDataConfig(pair_column="more"))
    config = LabelledDataConfig(pair_column="more", lowercase=True)
    rows = [{"text": "A", "label": 1.0, "more": "B"}]
    assert labelled_from("regression", rows, config=config).splits["train"][0][:2] == ("a", "b")


def test_the_configuration_s_fields_are_flags():
    flag_values = absl_flags.FlagValues()
    flags.define(LabelledDataConfig, flag_values=flag_values)
    flags.parse(
        ["x", "--train_files=a.tsv,b*.tsv", "--delimiter=space", "--labels=no,yes", "--lowercase"],
        flag_values,
    )
    expected = LabelledDataConfig(
        train_files=("a.tsv", "b*.tsv"), delimiter="space", labels=("no", "yes"), lowercase=True
    )
    assert flags.read(LabelledDataConfig, flag_values) == expected
    with pytest.raises(ConfigError, match="delimiter"):
        LabelledDataConfig(delimiter=";")


def sizes(loaded):
    return tuple(loaded.report[split]["examples_in"] for split in ("train", "validation", "test"))


def real(folder, task, train, validation, test, **options):
    names = {
        f"{split}_files": (name,) if name else ()
        for split, name in (("train", train), ("validation", validation), ("test", test))
    }
    return load_labelled(LabelledDataConfig(data_dir=str(folder), **names, **options), task)


NUMBERED = {"text_column": "1", "label_column": "2"}


def test_files_in_the_forms_of_the_real_data_sets(tmp_path):
    """Lines that are made up, in the forms of SST-2, TREC, STS-B, GoEmotions and CMRC 2018."""
    write(tmp_path / "train.tsv", lines(["sentence\tlabel", "so dull\t0", "a joy\t1"]))
    write(
        tmp_path / "test.tsv", lines(["sentence\tlabel", "a joy\t1", "what a joy\t1", "so so\t0"])
    )
    sst2 = real(
        tmp_path,
        "classification",
        "train.tsv",
        "test.tsv",
        "test.tsv",
        text_column="sentence",
        labels=("negative", "positive"),
    )
    assert sizes(sst2) == (2, 3, 3) and sst2.report["test"]["labels"] == {
        "negative": 1,
        "positive": 2,
    }
    assert sst2.report["test"]["reasons"]["text also occurs in train"]["count"] == 1
    assert repeats(sst2.splits)["test"] == {"train": [0], "validation": [0, 1, 2]}

    write(tmp_path / "train.txt", lines(f"{n % 3} How far is {n} ?" for n in range(100)))
    write(tmp_path / "test.txt", lines(["2 Who is it ?"]))
    trec = real(
        tmp_path,
        "classification",
        "train.txt",
        "",
        "test.txt",
        text_column="2",
        label_column="1",
        delimiter="space",
    )
    held_out = sum(place(f"How far is {n} ?") < 0.02 for n in range(100))
    assert (
        sizes(trec) == (100 - held_out, held_out, 1)
        and held_out > 0
        and trec.labels == ("0", "1", "2")
    )
    assert trec.splits["test"][0][:3] == ("Who is it ?", None, 2)

    write(tmp_path / "all.csv", 'A dog.,"A cat, too.",0.0\n"He said ""no"".",He did.,5.0\n')
    stsb = real(
        tmp_path, "regression", *["all.csv"] * 3, text_column="1", pair_column="2", label_column="3"
    )
    assert [example[:3] for example in stsb.splits["test"]] == [
        ("A dog.", "A cat, too.", 0.0),
        ('He said "no".', "He did.", 5.0),
    ]
    assert stsb.report["train"]["labels"] == {"lowest": 0.0, "mean": 2.5, "highest": 5.0}

    write(tmp_path / "labels.txt", lines(["joy", "fear", "neutral"]))
    write(tmp_path / "emotions.tsv", lines(["Oh no!\t1\tid1", "Well, well.\t0,2\tid2"]))
    emotions = real(
        tmp_path, "multilabel", *["emotions.tsv"] * 3, labels_file="labels.txt", **NUMBERED
    )
    assert emotions.labels == ("joy", "fear", "neutral")
    assert [example.label for example in emotions.splits["validation"]] == [(1,), (0, 2)]

    questions = [
        asked("q1", (9, "Broncos"), (0, "The Panthers")),
        asked("q2", (0, "Lions")),
        asked("q3", (19, "the Broncos")),
    ]
    write(tmp_path / "q.json", json.dumps(json.loads(squad(questions)), ensure_ascii=False))
    spans = real(tmp_path, "spans", *["q.json"] * 3)
    assert sizes(spans) == (3, 3, 3) and len(spans.splits["train"]) == 2
    reasons = spans.report["test"]["reasons"]
    assert (
        reasons["answer that is not in its context"]["count"]
        == reasons["answer not at the given start"]["count"]
        == 1
    )
    answers = [question.answers for question in spans.splits["test"]]
    assert answers == [
        ((23, "Broncos"), (0, "The Panthers")),
        ((-1, "Lions"),),
        ((19, "the Broncos"),),
    ]


@pytest.mark.slow
def test_sst2_trec_and_stsb(shared):
    sst2 = real(
        shared / "sst2",
        "classification",
        "train.tsv",
        "dev.tsv",
        "test.tsv",
        text_column="sentence",
        labels=("negative", "positive"),
    )
    assert sizes(sst2) == (60_614, 6_735, 872)
    assert (
        sst2.report["test"]["labels"] == {"negative": 428, "positive": 444}
        and not sst2.report["test"]["reasons"]
    )
    trec = real(
        shared / "trec",
        "classification",
        "train.txt",
        "",
        "test.txt",
        text_column="2",
        label_column="1",
        delimiter="space",
    )
    assert sum(sizes(trec)[:2]) == 5_452 and sizes(trec)[2] == 500
    assert (
        trec.labels == tuple("012345")
        and trec.splits["test"][0].text == "How far is it from Denver to Aspen ?"
    )
    for language in ("en", "zh"):
        stsb = real(
            shared / "stsb",
            "regression",
            *(f"{language}-{split}.csv" for split in ("train", "dev", "test")),
            text_column="1",
            pair_column="2",
            label_column="3",
        )
        assert sizes(stsb) == (5_749, 1_500, 1_379)
        assert (
            stsb.report["train"]["labels"]["lowest"],
            stsb.report["train"]["labels"]["highest"],
        ) == (0.0, 5.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, count, rows, texts",
    [("chnsenticorp", (9_600, 1_200), 338, 335), ("tnews", (53_360, 10_000), 1_099, 924)],
)
def test_test_texts_that_stand_in_the_training_data(shared, name, count, rows, texts):
    """The test data is given for validation too, so that no training text is held out."""
    loaded = real(shared / name, "classification", "train.tsv", "dev.tsv", "dev.tsv", **NUMBERED)
    assert sizes(loaded) == (count[0], count[1], count[1])
    assert loaded.report["test"]["reasons"]["text also occurs in train"]["count"] == rows
    assert (
        len(
            {loaded.splits["test"][index].text for index in repeats(loaded.splits)["test"]["train"]}
        )
        == texts
    )


@pytest.mark.slow
def test_goemotions(shared):
    loaded = real(
        shared / "goemotions",
        "multilabel",
        "train.tsv",
        "dev.tsv",
        "test.tsv",
        labels_file="labels.txt",
        **NUMBERED,
    )
    assert sizes(loaded) == (43_410, 5_426, 5_427) and len(loaded.labels) == 28
    assert loaded.splits["validation"][1].label == (4, 27) and loaded.labels[27] == "neutral"


def test_cmrc2018_and_xquad(shared):
    loaded = real(shared / "cmrc2018", "spans", "trial.json", "dev.json", "dev.json")
    assert sizes(loaded) == (1_002, 3_219, 3_219)
    reasons = loaded.report["test"]["reasons"]
    nowhere = reasons["answer that is not in its context"]["count"]
    elsewhere = reasons["answer not at the given start"]["count"]
    assert (nowhere, elsewhere, nowhere + elsewhere) == (193, 7, 200)
    for question in loaded.splits["test"] + loaded.splits["train"]:
        assert all(
            start == -1 or question.context[start : start + len(text)] == text
            for start, text in question.answers
        )
    assert not any(
        start == -1 for question in loaded.splits["train"] for start, _ in question.answers
    )
    xquad = real(shared / "xquad", "spans", "en.json", "zh.json", "zh.json")
    assert sizes(xquad) == (1_190, 1_190, 1_190) and not xquad.report["train"]["reasons"]
