"""Questions in SQuAD's form: read, put right, refused."""

import gzip
import json

import numpy as np
import pytest

from data.config import DataError
from data.readers.squad import (
    Question,
    check_questions,
    find_answer,
    lowercase,
    plain,
    question_of,
    questions_of,
    read_squad,
)
from data.report import Log

CONTEXT = "The Panthers lost; the Broncos won."


def squad(questions, context=CONTEXT):
    articles = [{"title": "x", "paragraphs": [{"context": context, "qas": questions}]}]
    return json.dumps({"version": "v2.0", "data": articles}, indent=1)


def asked(name, *answers, **more):
    return {
        "id": name,
        "question": f"who {name}?",
        "answers": [{"text": t, "answer_start": s} for s, t in answers],
        **more,
    }


def test_with_and_without_answers(tmp_path):
    text = squad(
        [
            asked("won", (19, "the Broncos"), (23, "Broncos")),
            asked(
                "drew", is_impossible=True, plausible_answers=[{"text": "lost", "answer_start": 13}]
            ),
        ]
    )
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    first, second = read_squad(path)
    assert first == Question(
        "won", "who won?", CONTEXT, ((19, "the Broncos"), (23, "Broncos")), f"{path}:won"
    )
    assert second.answers == () and (second.text, second.key) == (
        "who drew?",
        ("who drew?", CONTEXT),
    )
    assert first.label == ((19, "the Broncos"), (23, "Broncos"))


def test_questions_of_several_articles_and_texts(tmp_path):
    """A question may have a context of its own, and need not be named for its place to be told."""
    plain = {"question": "who?", "answers": []}
    paragraphs = [
        {"context": "One.", "qas": [plain | {"id": 1}]},
        {"context": "Two.", "qas": [plain | {"id": "b", "context": "Own."}]},
    ]
    articles = [
        {"paragraphs": paragraphs},
        {
            "paragraphs": [
                {"context": "Three.", "qas": [plain | {"id": "c", "is_impossible": False}]}
            ]
        },
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": articles}))
    assert read_squad(path) == [
        Question("1", "who?", "One.", (), f"{path}:1"),
        Question("b", "who?", "Own.", (), f"{path}:b"),
        Question("c", "who?", "Three.", (), f"{path}:c"),
    ]
    path.write_text(
        json.dumps(
            {"data": [{"paragraphs": [{"context": "One.", "qas": [plain | {"id": "a"}, plain]}]}]}
        )
    )
    with pytest.raises(
        DataError, match=r"a question must have id, question.*a.json:question 2 \(KeyError: 'id'"
    ):
        read_squad(path)


def test_impossible_questions_have_no_answers_whatever_stands_there():
    row = {"id": "1", "question": "who?", "context": CONTEXT, "is_impossible": True}
    answer = {"text": "Broncos", "answer_start": 23}
    assert (
        question_of(row, "a").answers == question_of(row | {"answers": [answer]}, "a").answers == ()
    )
    assert question_of(
        row | {"answers": [answer | {"answer_start": "23"}], "is_impossible": False}, "a"
    ).answers == ((23, "Broncos"),)
    with pytest.raises(DataError, match=r"Received: a \(KeyError: 'answers'"):
        question_of(row | {"is_impossible": False}, "a")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"question": 5}, "must be text. Received: a:1"),
        ({"context": None}, "must be text. Received: a:1"),
        ({"question": "half \ud83d"}, "must be text. Received: a:1"),
        ({"answers": None}, "a:1 .TypeError"),
        ({"answers": [{"text": "x"}]}, "a:1 .KeyError: 'answer_start'"),
        ({"answers": ["x"]}, "a:1 .TypeError"),
        ({"answers": [{"text": "x", "answer_start": None}]}, "a:1 .TypeError"),
        ({"answers": {"text": ["x"]}}, "a:1 .KeyError: 'answer_start'"),
        ({"answers": [{"text": "x", "answer_start": "here"}]}, "a:1 .ValueError"),
    ],
)
def test_what_is_no_question(change, message):
    row = {"id": 1, "question": "who?", "context": CONTEXT, "answers": [], **change}
    with pytest.raises(DataError, match=message):
        question_of(row, "a:1")


def test_a_row_that_is_none_is_no_question():
    with pytest.raises(DataError, match=r"Received: a \(AttributeError"):
        question_of("who?", "a")


@pytest.mark.parametrize(
    "value, expected",
    [
        (b"\xc3\xa9", "é"),
        (b"\xff", "\udcff"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.str_("a"), "a"),
        (None, None),
        ({"a": [b"x", (np.bool_(True),)]}, {"a": ["x", [True]]}),
        (np.array([b"a", b"b"], dtype=object), ["a", "b"]),
    ],
)
def test_values_become_python_s_own(value, expected):
    found = plain(value)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    "context, start, text, place",
    [
        ("to be or not to be", 0, "to be", 0),
        ("to be or not to be", 6, "to be", 0),
        ("to be or not to be", 7, "to be", 13),
        ("to be or not to be", 99, "to be", 13),
        ("aaaa", 1, "aa", 1),
        ("aaaa", 3, "aa", 2),  # also those that overlap
        ("a.b axb", 5, "a.b", 0),
        ("(1+1) = 2", 0, "(1+1)", 0),
        ("b", 0, "", -1),
        ("a b", 1, " ", -1),
        ("A", 0, "a", -1),
        ("b b", 1, "b", 0),  # of two as near, the first
    ],
)
def test_the_nearest_place_of_an_answer(context, start, text, place):
    assert find_answer(context, start, text) == place


def test_lower_case_keeps_every_place():
    question = Question("Q", "WER İST ẞ?", "İN DER Straße: ΑΣ", ((0, "İN"), (3, "DER")), "F:Q")
    expected = Question(
        "Q", "wer İst ß?", "İn der straße: ας".replace("ς", "σ"), ((0, "İn"), (3, "der")), "F:Q"
    )
    assert lowercase(question) == expected


def test_answers_as_tfds_has_them():
    row = {
        "id": 7,
        "question": "who?",
        "context": CONTEXT,
        "answers": {"text": ["Broncos"], "answer_start": [23]},
    }
    assert question_of(row, "train:7") == Question(
        "7", "who?", CONTEXT, ((23, "Broncos"),), "train:7"
    )


@pytest.mark.parametrize("training", [True, False])
def test_starts_are_put_right_and_training_loses_answers_that_stand_nowhere(training):
    given = {
        "won": ((30, "the Broncos"),),
        "lost": ((0, "Lions"),),
        "e": ((31, "e"), (0, "")),
        "x": (),
    }
    questions = [
        Question(name, name, CONTEXT, answers, f"a:{name}") for name, answers in given.items()
    ]
    log = Log()
    found = {
        question.id: question.answers for question in check_questions(questions, training, log)
    }
    kept = {"won": ((19, "the Broncos"),), "e": ((21, "e"),), "x": ()}
    assert found == (
        kept if training else kept | {"lost": ((-1, "Lions"),), "e": ((21, "e"), (-1, ""))}
    )
    assert log.reasons["answer not at the given start"] == {
        "action": "repaired",
        "count": 2,
        "examples": [
            "a:won: 'the Broncos', start 30 changed to 19",
            "a:e: 'e', start 31 changed to 21",
        ],
    }
    unfit = log.reasons["answer that is not in its context"]
    assert (unfit["action"], unfit["count"]) == ("dropped" if training else "kept", 2)
    assert unfit["examples"] == ["a:lost: 'Lions'", "a:e: ''"]


def test_an_answer_at_the_very_beginning_stands_in_its_context():
    questions = [
        Question("a", "who?", CONTEXT, ((0, "The"), (5, "The")), "a:a"),
        Question("b", "who?", CONTEXT, ((9, "The"),), "a:b"),
    ]
    log = Log()
    assert [question.answers for question in check_questions(questions, True, log)] == [
        ((0, "The"), (0, "The")),
        ((0, "The"),),
    ]
    assert {reason: found["count"] for reason, found in log.reasons.items()} == {
        "answer not at the given start": 2
    }


def test_a_question_without_words_or_about_nothing_is_empty():
    good = Question("0", "who?", CONTEXT, ((23, "Broncos"),), "a:0")
    questions = [
        good,
        good._replace(id="1", question="\n"),
        good._replace(id="2", context=" ", answers=()),
    ]
    log = Log()
    assert (
        check_questions(questions, True, log) == [good] and log.reasons["empty text"]["count"] == 2
    )
    log = Log()
    assert check_questions(questions, False, log) == questions and log.reasons.keys() == {
        "empty text"
    }
    assert log.reasons["empty text"]["action"] == "kept"


def test_empty_questions_and_repeated_ids_are_counted():
    questions = [Question("1", " ", CONTEXT, (), "a:1"), Question("1", "who?", CONTEXT, (), "b:1")]
    log = Log()
    assert check_questions(questions, True, log) == questions[1:]
    assert {reason: found["action"] for reason, found in log.reasons.items()} == {
        "empty text": "dropped",
        "duplicate id": "error",
    }
    assert check_questions(questions, False, Log()) == questions


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"data": [', "a file must be JSON. Received: .*a.json"),
        (
            '{"data": [{"paragraphs": [{"qas": [{}]}]}]}',
            r"must be in SQuAD's format.*a.json \(KeyError: 'context'",
        ),
        ("[1]", "must be in SQuAD's format.*TypeError"),
        (
            squad([{"id": "q7", "answers": []}]),
            r"a question must have id, question.*a.json:q7 \(KeyError: 'question'",
        ),
        (squad([asked("q7", ("here", "x"))]), "a question must have id, question.*a.json:q7"),
        (squad([asked("q7", (0, 5))]), "must be text. Received: .*a.json:q7"),
    ],
)
def test_broken_files(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_squad(tmp_path / "a.json")


def test_the_place_of_a_row_is_told_by_its_id():
    row = {"question": "who?", "context": CONTEXT, "answers": []}
    assert [
        question.line for question in questions_of([row | {"id": 7}, row | {"id": "x"}], "train")
    ] == ["train:7", "train:x"]
    with pytest.raises(DataError, match=r"Received: train: \(KeyError: 'id'"):
        list(questions_of([row], "train"))


def test_rows_of_a_data_set_hold_bytes_and_arrays():
    answers = {
        "text": np.array([b"\xc3\xa9 Bo"], dtype=object),
        "answer_start": np.array([4], dtype="int32"),
    }
    rows = [
        {
            "id": b"v",
            "question": b"who?",
            "context": "Ann é Bo".encode(),
            "answers": answers,
            "title": b"x",
        }
    ]
    assert list(questions_of(rows, "TFDS x test")) == [
        Question("v", "who?", "Ann é Bo", ((4, "é Bo"),), "TFDS x test:v")
    ]
