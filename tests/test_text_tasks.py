"""Tasks by hand: heads, targets and answers of examples; the places of answers in windows, and back."""

import numpy as np
import pytest

from data.labelled import Example
from data.squad import Question
from transformer.config import ConfigError, FinetuningConfig, TaskConfig
from transformer.text_inputs import Window
from transformer.text_tasks import IMPOSSIBLE, TASKS, Features, Spans, _place

TEXTS = [Example("a", None, 0), Example("b", None, 2), Example("c", None, 2)]


def task(name, labels=(), **options):
    return TASKS[name](labels, TaskConfig(task=name, **options))


def test_balanced_weights_make_every_class_count_alike():
    head = task("classification", ("x", "y", "z"), class_weights="balanced", head_dropout=0.3, pooling="max").head(TEXTS, 0.2)
    assert head.class_weights == (1.0, 1.0, 0.5)  # a class that does not occur as one that occurs once
    assert (head.units, head.label_smoothing, head.pooling, head.rate, head.name) == (3, 0.2, "max", 0.3, "head")
    assert task("classification", ("x", "y", "z")).head(TEXTS).class_weights == ()


def test_a_regression_starts_from_mean_and_deviation_of_training():
    numbers = [Example("a", None, 1.0), Example("b", None, 5.0)]
    head = task("regression").head(numbers)
    assert (head.shift, head.scale) == (3.0, 2.0)
    assert task("regression").head(numbers[:1]).scale == pytest.approx(1e-6)  # all alike


def test_targets():
    unknown = Example("d", None, None)
    assert task("classification", "xyz").targets([*TEXTS, unknown]).tolist() == [[0], [2], [2], [-1]]
    several = [Example("a", None, (0, 2)), Example("b", None, ()), unknown]
    assert task("multilabel", "xyz").targets(several).tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_equal(task("regression").targets([Example("a", None, 1.5), unknown]), np.float32([[1.5], [np.nan]]))


def test_answers_are_sorted_and_chosen():
    classes, several, number = task("classification", "xyz"), task("multilabel", "xyz"), task("regression")
    probabilities = np.array([[0.25, 0.5, 0.25]])
    ((first, second, third),) = rows = classes.answers(TEXTS[:1], probabilities)
    assert [row["label"] for row in (first, second, third)] == ["y", "x", "z"] and classes.chosen(rows[0]) == [first]
    assert several.chosen(rows[0], threshold=0.25) == rows[0] and several.chosen(rows[0], threshold=0.6) == []
    assert number.answers(TEXTS[:1], np.array([2.5])) == [[{"score": 2.5}]]


def test_the_threshold_is_tuned_for_several_labels():
    examples = [Example("a", None, (0,)), Example("b", None, (0, 1))]
    probabilities = np.array([[0.3, 0.1], [0.4, 0.35]])
    tuned = task("multilabel", "xy").tuned(examples, probabilities)
    assert 0.1 < tuned["threshold"] <= 0.3
    assert task("multilabel", "xy").scores(examples, probabilities, **tuned)["f1_micro"] == 1.0


@pytest.mark.parametrize("name, first, more", [
    ("classification", "accuracy", "matthews"), ("multilabel", "f1_micro", "exact_match_ratio"),
    ("regression", "spearman", "loss"), ("spans", "f1", "exact_match"),
])  # fmt: skip
def test_the_metric_that_chooses_the_weights(name, first, more):
    known = task(name).best_metrics
    assert FinetuningConfig().judged_by(known, name).keep_best_metric == first
    assert FinetuningConfig(keep_best_metric=more).judged_by(known, name).keep_best_metric == more
    with pytest.raises(ConfigError, match=f"keep_best_metric must be one of .*, loss for task='{name}'. Received: 'roc_auc'"):
        FinetuningConfig(keep_best_metric="roc_auc").judged_by(known, name)  # not every data set has it


def test_a_place_by_hand():
    """Context "aa bb cc" in two windows: the answer "bb cc" is whole in the second alone."""
    question = Question("1", "q", "aa bb cc", ((3, "bb cc"),))
    first = Window(0, [1, 9, 2, 5, 6, 2], [0] * 6, [None, None, None, (0, 2), (3, 5), None])
    second = Window(0, [1, 9, 2, 6, 7, 2], [0] * 6, [None, None, None, (3, 5), (6, 8), None])
    assert _place(first, question) == (0, 0) and _place(second, question) == (3, 4)
    assert _place(second, question._replace(answers=())) == (0, 0)
    assert _place(second, question._replace(answers=((-1, "zz"),))) == (-1, -1)


def test_the_best_span_over_windows_by_hand():
    question = Question("1", "q", "aa bb cc", ((3, "bb"),))
    windows = (
        Window(0, [1, 2, 5, 6], [0] * 4, [None, None, (0, 2), (3, 5)]),
        Window(0, [1, 2, 6, 7], [0] * 4, [None, None, (3, 5), (6, 8)]),
    )
    outputs = [
        np.log([[0.1, 0.2], [0.1, 0.1], [0.5, 0.1], [0.3, 0.6]]),
        np.log([[0.5, 0.4], [0.1, 0.1], [0.3, 0.2], [0.1, 0.3]]),
    ]
    features = Features([], [], np.zeros((2, 2)), [4, 4], windows)
    (best,) = Spans((), TaskConfig(task="spans")).predictions([question], features, outputs)
    # aa bb: 0.5 * 0.6 in the first window; none: the smaller of 0.1 * 0.2 and 0.5 * 0.4.
    assert (best["answer"], best["start"], best["end"]) == ("aa bb", 0, 5)
    assert best["score"] == pytest.approx(np.log(0.3)) and best["no_answer"] == pytest.approx(np.log(0.02) - np.log(0.3))


def test_an_answer_has_at_most_so_many_tokens_and_is_in_order():
    count = 34
    window = Window(0, [0] * count, [0] * count, [None, *((n, n + 1) for n in range(count - 1))])
    output = np.full((count, 2), -9.0)
    output[1, 0], output[count - 2, 1] = -1.0, -1.0  # the likeliest, but too long
    output[5, 1], output[count - 1, 0] = -2.0, -1.5  # the second begins after its end
    first, last, score = task("spans")._best_span(window, output)
    assert (first, last, score) == (0, 5, -3.0)
    assert task("spans", longest_answer=32)._best_span(window, output) == (0, 32, -2.0)
    assert task("spans", longest_answer=31)._best_span(window, output) == (0, 5, -3.0)
    assert task("spans")._best_span(window._replace(offsets=[None] * count), output) == (0, 0, IMPOSSIBLE)


def test_no_answer_is_said_where_it_is_likelier_by_more_than_the_threshold():
    questions = [Question("1", "q", "aa bb", ((0, "aa"),)), Question("2", "q", "cc", ())]
    predictions = [
        {"answer": "aa", "start": 0, "end": 2, "score": np.log(0.5), "no_answer": -1.0},
        {"answer": "cc", "start": 0, "end": 2, "score": np.log(0.25), "no_answer": -0.5},
    ]
    spans = task("spans")
    tuned = spans.tuned(questions, predictions)
    assert -1.0 <= tuned["no_answer_threshold"] < -0.5 and spans.tuned(questions[:1], predictions[:1]) == {}
    assert spans.scores(questions, predictions, **tuned)["exact_match"] == 100.0
    assert spans.answers(questions, predictions, **tuned) == [
        [{"score": pytest.approx(0.5), "answer": "aa", "start": 0, "end": 2}],
        [{"score": pytest.approx(0.25 * np.exp(-0.5)), "answer": "", "start": 0, "end": 0}],
    ]
    assert spans.answers(questions, predictions)[1][0]["answer"] == "cc"
