"""Scores against values known independently of this project."""

import math
import sys

import numpy as np
import pytest

from transformer.config import ConfigError
from transformer.metrics import (
    best_threshold,
    bleu_metric,
    calibration_bins,
    classification_scores,
    multilabel_scores,
    per_class_scores,
    perplexity,
    regression_scores,
    translation_scores,
)

# What a library would say of an undefined score is answered before it is asked.
pytestmark = pytest.mark.filterwarnings("error:::sklearn", "error:::scipy", "error::RuntimeWarning", "error::UserWarning")

# Six examples of three classes: 0 is found twice of two, 1 once of two, 2 once of two; both mistakes are called 0.
LABELS = [0, 0, 1, 1, 2, 2]
PROBABILITIES = [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.2, 0.2, 0.6]]


def test_perfect_and_hopeless():
    text = ["the cat sat on the mat today", "a dog runs through the park"]
    perfect = translation_scores(text, text, confidence=False)
    assert (perfect["bleu"], perfect["chrf"], perfect["exact_match"]) == (pytest.approx(100.0), 100.0, 100.0)
    assert translation_scores(text, ["x", "y"], confidence=False)["bleu"] == 0.0


def test_edits_by_hand():
    """One shift of five words, one substitution of four characters."""
    assert translation_scores(["a b c d e"], ["a c b d e"])["ter"] == pytest.approx(20.0)
    chinese = translation_scores(["我喜欢茶"], ["我喜欢水"], "zh")
    assert chinese["ter"] == pytest.approx(25.0) and "asian:yes" in chinese["ter_signature"]


def test_bleu_by_hand():
    # 1- to 4-gram precisions 5/6, 4/5, 3/4, 2/3; no brevity penalty: the geometric mean is (1/3)^(1/4).
    scores = translation_scores(["a b c d e f"], ["a b c d e g"], confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (1 / 3) ** 0.25)


def test_chinese_is_split_into_characters():
    scores = translation_scores(["我喜欢喝茶"], ["我喜欢喝水"], "zh", confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert "tok:zh" in scores["bleu_signature"]


def test_interval_surrounds_the_score():
    references = [f"the number is {number} and no other one" for number in range(50)]
    outputs = [text.replace("other", "more") if number % 2 else text for number, text in enumerate(references)]
    scores = translation_scores(references, outputs)
    assert 0 < scores["bleu_interval"] < 10 and abs(scores["bleu_mean"] - scores["bleu"]) < scores["bleu_interval"]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="Received: 2 references, 1 predictions"):
        translation_scores(["a", "b"], ["a"])


def test_words_of_tokenised_text_stay_as_they_are():
    # As above: 4/5, 3/4, 2/3, 1/2; 13a would split the entity in three.
    scores = translation_scores(["a b c d &lt;"], ["a b c d &gt;"], "de-x-tok", confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert "tok:none" in scores["bleu_signature"]


def test_a_language_that_cannot_be_split_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "MeCab", None)
    with pytest.raises(ConfigError, match=r"Received: 'ja' .*pip install 'sacrebleu\[ja\]'"):
        bleu_metric("ja")


def test_perplexity():
    assert perplexity(0.0) == 1.0 and perplexity(1e4) == float("inf")


def test_classification_by_hand():
    # Class 0: precision 2/4, recall 1, F1 2/3. Classes 1 and 2: precision 1, recall 1/2, F1 2/3.
    scores = classification_scores(LABELS, PROBABILITIES)
    expected = {
        "accuracy": 4 / 6, "precision": 2.5 / 3, "recall": 2 / 3, "f1": 2 / 3, "f1_micro": 4 / 6, "f1_weighted": 2 / 3,
        # Matthews for many classes (Gorodkin 2004): (4 x 6 - (2 x 4 + 2 x 1 + 2 x 1)) / sqrt((36 - 18) (36 - 12)).
        "matthews": 12 / math.sqrt(18 * 24), "majority_baseline": 2 / 6,
        # Bins of a fifteenth, (low, high]: 0.4 wrong; 0.5 wrong; 0.6 twice, right; 0.8 twice, right.
        "calibration_error": (0.4 + 0.5 + 2 * 0.4 + 2 * 0.2) / 6,
        "log_loss": -math.log(0.8 * 0.6 * 0.8 * 0.3 * 0.3 * 0.6) / 6,
    }  # fmt: skip
    assert scores == pytest.approx(expected) and all(type(value) is float for value in scores.values())
    assert classification_scores(LABELS, PROBABILITIES, train_labels=[1, 1, 2])["majority_baseline"] == 2 / 6
    assert classification_scores([0, 1, 1], [[0.9, 0.1]] * 3, train_labels=[0, 0, 1])["majority_baseline"] == 1 / 3


def test_two_classes_have_an_area_under_the_curve():
    # Of four pairs (a 1, a 0), three have the 1 ranked above the 0.
    probabilities = np.array([0.1, 0.4, 0.35, 0.8])
    scores = classification_scores([0, 0, 1, 1], np.stack([1 - probabilities, probabilities], axis=1))
    assert scores["roc_auc"] == 0.75
    assert "roc_auc" not in classification_scores([1, 1], [[0.3, 0.7], [0.6, 0.4]])


def test_one_example_and_one_class():
    scores = classification_scores([1], [[0.25, 0.75]])
    assert scores == pytest.approx({
        "accuracy": 1, "precision": 1, "recall": 1, "f1": 1, "f1_micro": 1, "f1_weighted": 1, "matthews": 0,
        "majority_baseline": 1, "calibration_error": 0.25, "log_loss": -math.log(0.75),
    })  # fmt: skip
    assert classification_scores([0, 0], [[0.2, 0.8], [0.2, 0.8]])["precision"] == 0.0


def test_bins_of_calibration():
    rows = calibration_bins([0, 0, 1], [[1.0, 0.0], [0.25, 0.75], [0.25, 0.75]], bins=4)
    assert rows == [
        {"low": 0.5, "high": 0.75, "count": 2, "confidence": 0.75, "accuracy": 0.5},
        {"low": 0.75, "high": 1.0, "count": 1, "confidence": 1.0, "accuracy": 1.0},
    ]


def test_every_class_has_its_row():
    predictions = np.argmax(PROBABILITIES, axis=1)
    assert per_class_scores(LABELS, predictions, ["a", "b", "c", "never"])[1:] == [
        {"name": "b", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        {"name": "c", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        {"name": "never", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
    ]


def test_classification_agrees_with_the_table_of_scikit_learn():
    from sklearn.metrics import classification_report

    rng = np.random.default_rng(2)
    labels, probabilities = rng.integers(0, 5, 200), rng.dirichlet(np.ones(5), 200)
    predictions = probabilities.argmax(axis=1)
    table = classification_report(labels, predictions, output_dict=True)
    scores = classification_scores(labels, probabilities)
    assert [scores["accuracy"], scores["f1_weighted"]] == pytest.approx([table["accuracy"], table["weighted avg"]["f1-score"]])
    macro = table["macro avg"]
    assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        [macro[name] for name in ("precision", "recall", "f1-score")]
    )
    assert scores["log_loss"] == pytest.approx(-np.log(probabilities[np.arange(200), labels]).mean())
    rows = per_class_scores(labels, predictions, list("01234"))
    assert [row["f1"] for row in rows] == pytest.approx([table[name]["f1-score"] for name in "01234"])


def test_half_precision_is_no_mistake_and_logits_are():
    import ml_dtypes

    rng = np.random.default_rng(1)
    logits = rng.normal(size=(50, 20))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(ml_dtypes.bfloat16)
    labels = rng.integers(0, 20, 50)
    assert classification_scores(labels, probabilities)["log_loss"] == pytest.approx(
        -np.log(probabilities.astype("float64")[np.arange(50), labels]).mean(), abs=0.01
    )
    with pytest.raises(ValueError, match="between 0 and 1.*softmax"):
        classification_scores(labels, logits)
    with pytest.raises(ValueError, match="add up to 1. Received: 1.5"):
        classification_scores([0], [[0.9, 0.6]])


@pytest.mark.parametrize(("labels", "probabilities", "message"), [
    ([0, 1], [[0.5, 0.5], [math.nan, 0.5]], "probabilities must be finite numbers. Received: nan in row 1"),
    ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "labels must be classes from 0 to C - 1.* Received: 2 where C = 2"),
    ([0, -1], [[0.5, 0.5], [0.5, 0.5]], "Received: -1 where C = 2"),
    ([0.5], [[0.5, 0.5]], "Received: 0.5 where C = 2"),
    ([0], [[1.0]], "Received: 1 class"),
    ([], np.zeros((0, 2)), r"labels must have shape \(N,\).*Received: \(0,\) and \(0, 2\)"),
    ([0, 1], [[0.5, 0.5]], r"Received: \(2,\) and \(1, 2\)"),
])  # fmt: skip
def test_what_cannot_be_scored_is_refused(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        classification_scores(labels, probabilities)


def test_multilabel_by_hand():
    # At 0.5: label 0 has one hit, one false alarm; label 1 one hit, one miss; label 2 nothing at all.
    labels = [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    probabilities = [[0.9, 0.4, 0.1], [0.6, 0.7, 0.2], [0.3, 0.45, 0.3]]
    scores = multilabel_scores(labels, probabilities)
    assert scores == pytest.approx({
        "exact_match_ratio": 1 / 3, "precision_micro": 2 / 3, "recall_micro": 2 / 3, "f1_micro": 2 / 3,
        "precision_macro": (1 / 2 + 1 + 0) / 3, "recall_macro": (1 + 1 / 2 + 0) / 3, "f1_macro": (2 / 3 + 2 / 3 + 0) / 3,
        "threshold": 0.5, "roc_auc": 1.0,
    })  # fmt: skip
    # At 0.45 the three labels are there, and one false alarm: precision 3/4, recall 1. At 0.7: 2/2 and 2/3, F1 0.8.
    assert best_threshold(labels, probabilities) == 0.45
    assert multilabel_scores(labels, probabilities, 0.45)["f1_micro"] == pytest.approx(6 / 7)
    assert "roc_auc" not in multilabel_scores([[1, 0]], [[0.9, 0.9]])
    with pytest.raises(ValueError, match="labels must be 0 or 1. Received: 2"):
        multilabel_scores([[2, 0]], [[0.9, 0.9]])


def test_the_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    probabilities = rng.random((60, 4)).astype("float32")
    labels = (probabilities + rng.normal(scale=0.3, size=(60, 4)) > 0.7).astype(int)
    found = best_threshold(labels, probabilities)
    tried = {value: multilabel_scores(labels, probabilities, value)["f1_micro"] for value in probabilities.ravel().tolist()}
    assert tried[found] == max(tried.values())
    assert best_threshold([[0, 0]], [[0.3, 0.4]]) == 0.5
    # All thresholds in (0.1, 0.9] are perfect; those met are 0.9 and, if the label is at 0.6, 0.6.
    assert best_threshold([[1, 0]], [[0.9, 0.1]]) == 0.9


def test_regression_by_hand():
    # Deviations -1.5, -.5, .5, 1.5 and -1.25, -.25, -.25, 1.75: products add to 4.5, squares to 5 and 4.75.
    scores = regression_scores([1, 2, 3, 4], [1, 2, 2, 4])
    assert scores == pytest.approx({
        "mse": 0.25, "mae": 0.25, "pearson": 4.5 / math.sqrt(5 * 4.75),
        # Ranks 1, 2.5, 2.5, 4: products of deviations 4.5, squares 5 and 4.5.
        "spearman": 4.5 / math.sqrt(5 * 4.5), "r2": 1 - 1 / 5, "mean_baseline_mse": 1.25,
    })  # fmt: skip
    assert regression_scores([1, 2], [1, 2], train_labels=[0, 0])["mean_baseline_mse"] == 2.5


def test_regression_without_spread():
    constant = regression_scores([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert (constant["pearson"], constant["spearman"], constant["r2"], constant["mse"]) == (0.0, 0.0, 0.0, pytest.approx(2 / 3))
    assert regression_scores([1.0], [3.0]) == {
        "mse": 4.0, "mae": 2.0, "pearson": 0.0, "spearman": 0.0, "r2": 0.0, "mean_baseline_mse": 0.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="predictions must be finite numbers. Received: inf in row 1 .*lower --learning_rate"):
        regression_scores([1.0, 2.0], [1.0, math.inf])
    with pytest.raises(ValueError, match=r"Received: \(2,\) and \(2, 1\)"):
        regression_scores([1.0, 2.0], [[1.0], [2.0]])
