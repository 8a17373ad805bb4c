"""The tasks as data: what their scores say of small outputs, and the baselines worked out by hand."""

import pytest

from data.pairs import Pair
from data.questions import UNANSWERABLE
from transformer import tasks
from transformer.config import WRITING_TASKS
from transformer.tasks import TASKS


def test_every_task_has_a_name_and_shows_what_it_scores():
    assert tuple(TASKS) == WRITING_TASKS and tasks.UNANSWERABLE == UNANSWERABLE
    pairs = [Pair("add c to b", "a = b + c"), Pair("x is 1", "x = 1")]
    for task in TASKS.values():
        assert all(value == pytest.approx(100) for value in task.shown(pairs, [pair.target for pair in pairs], "").values())
        assert set(task.baseline_scores(pairs, pairs, "")) == set(task.baselines)


def test_an_answer_is_right_if_one_reference_is_it_and_none_if_there_is_none():
    pairs = [Pair("q", "the park", "a", ("garden",)), Pair("q", UNANSWERABLE, "b"), Pair("q", UNANSWERABLE, "b")]
    scores = TASKS["question_answering"].scores(pairs, ["Garden", UNANSWERABLE, "park"], "", True)
    assert scores["exact_match"] == pytest.approx(200 / 3) and scores["unanswerable_exact_match"] == 50


def test_white_space_counts_in_code():
    pairs = [Pair("loop", "for x in y:\n    print(x)"), Pair("loop", "for x in y:\n    print(x)")]
    found = TASKS["code"].shown(pairs, ["for x in y:\n    print(x)\n", "for x in y:\nprint(x)"], "")
    assert found["exact_match"] == 50 and found["parses"] == 50


def test_baselines():
    train = [Pair("the cat sat on the mat", "cat sat"), Pair("a dog ran home", "a dog ran away today")]
    pairs = [Pair("one two three four five six", "x"), Pair("the dog ran", "y")]
    # A target has 2 or 5 words, on average 3.5, which rounds to 4.
    assert TASKS["summarization"].baselines["lead"](train, pairs) == ["one two three four", "the dog ran"]
    assert TASKS["code"].baselines["nearest"](train, pairs) == ["cat sat", "a dog ran away today"]
    known = [Pair("", "yes", "is"), Pair("", "yes", "is"), Pair("", "park", "where")]
    assert TASKS["question_answering"].baselines["commonest"](known, [Pair("", "", "where"), Pair("", "", "is")]) == ["park", "yes"]
