"""Questions in SQuAD's form: read, put right, refused."""

import gzip
import json

import numpy as np
import pytest

from data.config import DataError
from data.report import Log
from data.squad import Question, check_questions, question_of, questions_of, read_squad

CONTEXT = "The Panthers lost; the Broncos won."


def squad(questions, context=CONTEXT):
    articles = [{"title": "x", "paragraphs": [{"context": context, "qas": questions}]}]
    return json.dumps({"version": "v2.0", "data": articles}, indent=1)


def asked(name, *answers, **more):
    return {"id": name, "question": f"who {name}?", "answers": [{"text": t, "answer_start": s} for s, t in answers], **more}


def test_with_and_without_answers(tmp_path):
    text = squad([asked("won", (19, "the Broncos"), (23, "Broncos")),
                  asked("drew", is_impossible=True, plausible_answers=[{"text": "lost", "answer_start": 13}])])  # fmt: skip
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    first, second = read_squad(path)
    assert first == Question("won", "who won?", CONTEXT, ((19, "the Broncos"), (23, "Broncos")), f"{path}:won")
    assert second.answers == () and (second.text, second.key) == ("who drew?", ("who drew?", CONTEXT))


def test_answers_as_tfds_has_them():
    row = {"id": 7, "question": "who?", "context": CONTEXT, "answers": {"text": ["Broncos"], "answer_start": [23]}}
    assert question_of(row, "train:7") == Question("7", "who?", CONTEXT, ((23, "Broncos"),), "train:7")


@pytest.mark.parametrize("training", [True, False])
def test_starts_are_put_right_and_training_loses_answers_that_stand_nowhere(training):
    given = {"won": ((30, "the Broncos"),), "lost": ((0, "Lions"),), "e": ((31, "e"), (0, "")), "x": ()}
    questions = [Question(name, name, CONTEXT, answers, f"a:{name}") for name, answers in given.items()]
    log = Log()
    found = {question.id: question.answers for question in check_questions(questions, training, log)}
    kept = {"won": ((19, "the Broncos"),), "e": ((21, "e"),), "x": ()}
    assert found == (kept if training else kept | {"lost": ((-1, "Lions"),), "e": ((21, "e"), (-1, ""))})
    assert log.reasons["answer at another place than given"] == {"action": "repaired", "count": 2, "examples": [
        "a:won: 'the Broncos', 30 is now 19", "a:e: 'e', 31 is now 21"]}  # fmt: skip
    unfit = log.reasons["answer that is not in its context"]
    assert (unfit["action"], unfit["count"]) == ("dropped" if training else "kept", 2)


def test_empty_questions_and_repeated_ids_are_counted():
    questions = [Question("1", " ", CONTEXT, (), "a:1"), Question("1", "who?", CONTEXT, (), "b:1")]
    log = Log()
    assert check_questions(questions, True, log) == questions[1:]
    assert {reason: found["action"] for reason, found in log.reasons.items()} == {
        "empty text": "dropped", "id that stands twice": "error"
    }  # fmt: skip
    assert check_questions(questions, False, Log()) == questions


@pytest.mark.parametrize("text, message", [
    ('{"data": [', "a file must be JSON. Received: .*a.json"),
    ('{"data": [{"paragraphs": [{"qas": [{}]}]}]}', r"must have SQuAD's form.*a.json \(KeyError: 'context'"),
    ("[1]", "must have SQuAD's form.*TypeError"),
    (squad([{"id": "q7", "answers": []}]), r"a question must have id, question.*a.json:q7 \(KeyError: 'question'"),
    (squad([asked("q7", ("here", "x"))]), "a question must have id, question.*a.json:q7"),
    (squad([asked("q7", (0, 5))]), "must be text. Received: .*a.json:q7"),
])  # fmt: skip
def test_broken_files(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_squad(tmp_path / "a.json")


def test_rows_of_a_data_set_hold_bytes_and_arrays():
    answers = {"text": np.array([b"\xc3\xa9 Bo"], dtype=object), "answer_start": np.array([4], dtype="int32")}
    rows = [{"id": b"v", "question": b"who?", "context": "Ann é Bo".encode(), "answers": answers, "title": b"x"}]
    assert list(questions_of(rows, "TFDS x test")) == [Question("v", "who?", "Ann é Bo", ((4, "é Bo"),), "TFDS x test:v")]
