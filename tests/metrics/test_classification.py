"""Scores against values known independently of this project."""

import math
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from transformer.config import ConfigError
from transformer.metrics.classification import (
    best_threshold,
    bleu_metric,
    calibration_bins,
    check_pairs,
    classification_scores,
    multilabel_scores,
    per_class_scores,
    perplexity,
    regression_scores,
    sentence_chrf,
    translation_scores,
)

# What a library would say of an undefined score is answered before it is asked.
pytestmark = pytest.mark.filterwarnings(
    "error:::sklearn", "error:::scipy", "error::RuntimeWarning", "error::UserWarning"
)

# Six examples of three classes: 0 is found twice of two, 1 once of two, 2 once of two; both
# mistakes are called 0.
LABELS = [0, 0, 1, 1, 2, 2]
PROBABILITIES = [
    [0.8, 0.1, 0.1],
    [0.6, 0.2, 0.2],
    [0.1, 0.8, 0.1],
    [0.5, 0.3, 0.2],
    [0.4, 0.3, 0.3],
    [0.2, 0.2, 0.6],
]


def test_perfect_and_hopeless():
    text = ["the cat sat on the mat today", "a dog runs through the park"]
    perfect = translation_scores(text, text, confidence=False)
    assert (perfect["bleu"], perfect["chrf"], perfect["exact_match"]) == (
        pytest.approx(100.0),
        100.0,
        100.0,
    )
    assert translation_scores(text, ["x", "y"], confidence=False)["bleu"] == 0.0


def test_edits_by_hand():
    """One shift of five words, one substitution of four characters."""
    assert translation_scores(["a b c d e"], ["a c b d e"])["ter"] == pytest.approx(20.0)
    chinese = translation_scores(["我喜欢茶"], ["我喜欢水"], "zh")
    assert chinese["ter"] == pytest.approx(25.0) and "asian:yes" in chinese["ter_signature"]


def test_bleu_by_hand():
    # 1- to 4-gram precisions 5/6, 4/5, 3/4, 2/3; no brevity penalty: the geometric mean is
    # (1/3)^(1/4).
    for prediction in ("a b c d e g", "a b c d e F"):  # a capital is another word
        scores = translation_scores(["a b c d e f"], [prediction], confidence=False)
        assert scores["bleu"] == pytest.approx(100 * (1 / 3) ** 0.25)
        assert scores["exact_match"] == 0.0
    assert translation_scores(["Tea"], ["tea"], confidence=False)["exact_match"] == 0.0


def test_chinese_is_split_into_characters():
    scores = translation_scores(["我喜欢喝茶"], ["我喜欢喝水"], "zh", confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert "tok:zh" in scores["bleu_signature"]


@pytest.mark.parametrize(
    "language, reference, prediction, tokenizer, precisions",
    [
        # 13a takes the comma from the word: 5 tokens, of which 4 are right, 3 pairs of 4, 2 threes
        # of 3, 1 four of 2.
        ("", "a b, c d", "a b, c e", "13a", (4 / 5, 3 / 4, 2 / 3, 1 / 2)),
        ("de", "a b, c d", "a b, c e", "13a", (4 / 5, 3 / 4, 2 / 3, 1 / 2)),
        # As they stand: one word fewer.
        ("de-x-tok", "a b, c d e", "a b, c d f", "none", (4 / 5, 3 / 4, 2 / 3, 1 / 2)),
        ("zh_CN", "我喜欢喝茶", "我喜欢喝水", "zh", (4 / 5, 3 / 4, 2 / 3, 1 / 2)),
        ("ZH-Hant", "我喜欢喝茶", "我喜欢喝水", "zh", (4 / 5, 3 / 4, 2 / 3, 1 / 2)),
    ],
)
def test_each_language_has_its_tokens(language, reference, prediction, tokenizer, precisions):
    scores = translation_scores([reference], [prediction], language, confidence=False)
    assert scores["bleu"] == pytest.approx(100 * math.prod(precisions) ** 0.25)
    assert f"tok:{tokenizer}|" in scores["bleu_signature"]


def test_scores_of_a_set_are_of_all_its_words():
    # 1- to 4-grams right 9 of 10, 7 of 8, 5 of 6, 3 of 4, of both lines together; then the second
    # answer is a word short: 9 of 9, 7 of 7, 5 of 5, 3 of 3, and 9 words for 10 cost exp(1 - 10 /
    # 9).
    scores = translation_scores(
        ["a b c d e", "f g h i j"], ["a b c d e", "f g h i x"], confidence=False
    )
    assert scores["bleu"] == pytest.approx(100 * (9 / 10 * 7 / 8 * 5 / 6 * 3 / 4) ** 0.25)
    assert scores["exact_match"] == 50.0 and "ter" not in scores and "bleu_interval" not in scores
    short = translation_scores(
        ["a b c d e", "f g h i j"], ["a b c d e", "f g h i"], confidence=False
    )
    assert short["bleu"] == pytest.approx(100 * math.exp(1 - 10 / 9))
    scores = translation_scores(["a b c d e", "f g h i j"], [" a b c d e", "f g h i x\n"])
    assert scores["exact_match"] == 50.0 and scores["ter"] == pytest.approx(100 * 1 / 10)
    # One of the reference's two words is missing.
    assert translation_scores(["a b"], ["a"])["ter"] == pytest.approx(50.0)
    assert "asian:no" in scores["ter_signature"] and "norm:no" in scores["ter_signature"]
    assert "norm:yes" in translation_scores(["茶"], ["茶"], "zh_CN")["ter_signature"]


def test_chrf_by_hand():
    # Of "abd" for "abc" 2 of 3 letters are right, 1 of 2 pairs, none of one three; longer runs
    # there are not.
    expected = 100 * (2 / 3 + 1 / 2 + 0) / 3
    scores = translation_scores(["abc"], ["abd"], confidence=False)
    assert translation_scores(["ab"], ["a"], confidence=False)["chrf"] == pytest.approx(
        100 * 2.5 / 4.5
    )
    assert scores["chrf"] == pytest.approx(expected) and "nc:6|nw:0" in scores["chrf_signature"]
    # Recall counts twice as much as precision: "a" for "ab" has 1 and 1/2, "ab" for "a" 1/2 and 1.
    assert sentence_chrf(["ab", "a", "abc"], ["a", "ab", "abd"]) == pytest.approx(
        [100 * 5 * 0.5 / (4 * 1 + 0.5), 100 * 5 * 0.5 / (4 * 0.5 + 1), expected]
    )


def test_interval_surrounds_the_score():
    references = [f"the number is {number} and no other one" for number in range(50)]
    outputs = [
        text.replace("other", "more") if number % 2 else text
        for number, text in enumerate(references)
    ]
    scores = translation_scores(references, outputs)
    assert abs(scores["bleu_mean"] - scores["bleu"]) < scores["bleu_interval"]

    def bleu(wrong):
        """Of eight words the last but one is wrong in this share of the texts."""
        rights = (8 - wrong) / 8, (7 - 2 * wrong) / 7, (6 - 2 * wrong) / 6, (5 - 2 * wrong) / 5
        return 100 * math.prod(rights) ** 0.25

    # The share of 50 coin flips has a standard error of 0.5 / sqrt(50).
    error = 1.96 * 0.5 / math.sqrt(50)
    assert scores["bleu"] == pytest.approx(bleu(0.5))
    half = (bleu(0.5 - error) - bleu(0.5 + error)) / 2
    assert scores["bleu_interval"] == pytest.approx(half, rel=0.15)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="Received: 2 references, 1 predictions"):
        translation_scores(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="Received: 0 references, 0 predictions"):
        check_pairs([], [])
    check_pairs(["a"], [""])


def test_words_of_tokenised_text_stay_as_they_are():
    # As above: 4/5, 3/4, 2/3, 1/2; 13a would split the entity in three.
    scores = translation_scores(["a b c d &lt;"], ["a b c d &gt;"], "de-x-tok", confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert "tok:none" in scores["bleu_signature"]


def test_a_language_that_cannot_be_split_is_refused_with_the_cure(monkeypatch):
    from sacrebleu.metrics import BLEU

    for module in ("MeCab", "mecab_ko"):
        monkeypatch.setitem(sys.modules, module, None)
    for code, language in (("ja", "ja"), ("ko_KR", "ko")):
        with pytest.raises(ConfigError) as error:
            bleu_metric(code)
        with pytest.raises(RuntimeError) as missing:
            BLEU(tokenize=f"{language}-mecab")
        reason = str(missing.value).strip().split("\n")[0]
        assert str(error.value) == (
            f"the target language must be one that BLEU can split into words. Received: {code!r} "
            f"({reason}). "
            f"Use pip install 'sacrebleu[{language}]'."
        )


def test_perplexity():
    assert perplexity(0.0) == 1.0 and perplexity(1e4) == float("inf")
    assert perplexity(math.log(50)) == pytest.approx(50) and perplexity(
        -math.log(2)
    ) == pytest.approx(0.5)
    assert (
        perplexity(690.0) == math.exp(690.0) and perplexity(709.9) == math.inf
    )  # the first that a float cannot hold


def test_classification_by_hand():
    # Class 0: precision 2/4, recall 1, F1 2/3. Classes 1 and 2: precision 1, recall 1/2, F1 2/3.
    scores = classification_scores(LABELS, PROBABILITIES)
    expected = {
        "accuracy": 4 / 6,
        "precision": 2.5 / 3,
        "recall": 2 / 3,
        "f1": 2 / 3,
        "f1_micro": 4 / 6,
        "f1_weighted": 2 / 3,
        # Matthews for many classes (Gorodkin 2004): (4 x 6 - (2 x 4 + 2 x 1 + 2 x 1)) / sqrt((36 -
        # 18) (36 - 12)).
        "matthews": 12 / math.sqrt(18 * 24),
        "majority_baseline": 2 / 6,
        # Bins of a fifteenth, (low, high]: 0.4 wrong; 0.5 wrong; 0.6 twice, right; 0.8 twice,
        # right.
        "calibration_error": (0.4 + 0.5 + 2 * 0.4 + 2 * 0.2) / 6,
        "log_loss": -math.log(0.8 * 0.6 * 0.8 * 0.3 * 0.3 * 0.6) / 6,
    }
    assert scores == pytest.approx(expected) and all(
        type(value) is float for value in scores.values()
    )
    assert (
        classification_scores(LABELS, PROBABILITIES, train_labels=[1, 1, 2])["majority_baseline"]
        == 2 / 6
    )
    assert (
        classification_scores([0, 1, 1], [[0.9, 0.1]] * 3, train_labels=[0, 0, 1])[
            "majority_baseline"
        ]
        == 1 / 3
    )


def test_two_classes_have_an_area_under_the_curve():
    # Of four pairs (a 1, a 0), three have the 1 ranked above the 0.
    probabilities = np.array([0.1, 0.4, 0.35, 0.8])
    scores = classification_scores(
        [0, 0, 1, 1], np.stack([1 - probabilities, probabilities], axis=1)
    )
    assert scores["roc_auc"] == 0.75
    assert "roc_auc" not in classification_scores([1, 1], [[0.3, 0.7], [0.6, 0.4]])


def test_one_example_and_one_class():
    scores = classification_scores([1], [[0.25, 0.75]])
    assert scores == pytest.approx(
        {
            "accuracy": 1,
            "precision": 1,
            "recall": 1,
            "f1": 1,
            "f1_micro": 1,
            "f1_weighted": 1,
            "matthews": 0,
            "majority_baseline": 1,
            "calibration_error": 0.25,
            "log_loss": -math.log(0.75),
        }
    )
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
    assert [scores["accuracy"], scores["f1_weighted"]] == pytest.approx(
        [table["accuracy"], table["weighted avg"]["f1-score"]]
    )
    macro = table["macro avg"]
    assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        [macro[name] for name in ("precision", "recall", "f1-score")]
    )
    assert scores["log_loss"] == pytest.approx(
        -np.log(probabilities[np.arange(200), labels]).mean()
    )
    rows = per_class_scores(labels, predictions, list("01234"))
    assert [row["f1"] for row in rows] == pytest.approx(
        [table[name]["f1-score"] for name in "01234"]
    )


def binary_scores(labels, predictions):
    """Precision, recall and F1 of yes-or-no lists, by their definitions."""
    hits = sum(a and b for a, b in zip(labels, predictions))
    said, there = sum(predictions), sum(labels)
    precision, recall = hits / said if said else 0.0, hits / there if there else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0


def area_under_the_curve(labels, scores):
    """The share of pairs of a 1 and a 0 of which the 1 has the higher score; of equal ones half."""
    pairs = [
        (a > b) + 0.5 * (a == b)
        for a, one in zip(scores, labels)
        if one
        for b, other in zip(scores, labels)
        if not other
    ]
    return sum(pairs) / len(pairs)


def calibration_error(labels, probabilities):
    error = 0.0
    for place in range(15):
        rows = [
            (label, row)
            for label, row in zip(labels, probabilities)
            if place / 15 < max(row) <= (place + 1) / 15
        ]
        right = sum(row.index(max(row)) == label for label, row in rows)
        error += abs(right - sum(max(row) for _, row in rows))
    return error / len(labels)


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    seed=strategies.integers(0, 2**32 - 1),
    count=strategies.integers(1, 12),
    classes=strategies.integers(2, 4),
)
def test_classification_is_what_its_definitions_say(seed, count, classes):
    rng = np.random.default_rng(seed)
    labels, rows = (
        rng.integers(0, classes, count).tolist(),
        rng.dirichlet(np.ones(classes), count).tolist(),
    )
    scores = classification_scores(labels, rows)
    predictions = [row.index(max(row)) for row in rows]
    occur = sorted({*labels, *predictions})
    table = {
        name: binary_scores([a == name for a in labels], [b == name for b in predictions])
        for name in range(classes)
    }
    accuracy = sum(a == b for a, b in zip(labels, predictions)) / count
    macro = [sum(table[name][place] for name in occur) / len(occur) for place in range(3)]
    expected = {
        "accuracy": accuracy,
        "precision": macro[0],
        "recall": macro[1],
        "f1": macro[2],
        "f1_micro": accuracy,
        "f1_weighted": sum(table[name][2] * labels.count(name) for name in occur) / count,
        "majority_baseline": max(labels.count(name) for name in occur) / count,
        "calibration_error": calibration_error(labels, rows),
        "log_loss": -sum(math.log(row[label]) for row, label in zip(rows, labels)) / count,
    }
    if classes == 2 and len({*labels}) == 2:
        expected["roc_auc"] = area_under_the_curve(labels, [row[1] for row in rows])
    matthews = scores.pop("matthews")
    assert scores == pytest.approx(expected)
    # Gorodkin 2004: the covariance of what is and what is said over the root of the product of
    # their variances.
    said, there = (
        [predictions.count(name) for name in occur],
        [labels.count(name) for name in occur],
    )
    spread = math.sqrt(
        (count**2 - sum(n * n for n in said)) * (count**2 - sum(n * n for n in there))
    )
    shared = accuracy * count * count - sum(a * b for a, b in zip(said, there))
    assert matthews == pytest.approx(shared / spread if spread else 0.0)
    rows = per_class_scores(labels, predictions, [f"c{name}" for name in range(classes)])
    assert [
        (row["name"], row["precision"], row["recall"], row["f1"], row["support"]) for row in rows
    ] == [
        (f"c{name}", *map(pytest.approx, table[name]), labels.count(name))
        for name in range(classes)
    ]


# Eighths are exact, and so often equal.
EIGHTHS = strategies.integers(0, 8).map(lambda number: number / 8)


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    data=strategies.data(), count=strategies.integers(1, 6), width=strategies.integers(1, 3)
)
def test_multilabel_is_what_its_definitions_say(data, count, width):
    def table(cells):
        row = strategies.lists(cells, min_size=width, max_size=width)
        return data.draw(strategies.lists(row, min_size=count, max_size=count))

    labels, probabilities, threshold = (
        table(strategies.integers(0, 1)),
        table(EIGHTHS),
        data.draw(EIGHTHS),
    )
    predictions = [[int(value >= threshold) for value in row] for row in probabilities]
    columns = [binary_scores(ours, theirs) for ours, theirs in zip(zip(*labels), zip(*predictions))]
    expected = {
        "exact_match_ratio": sum(map(list.__eq__, labels, predictions)) / count,
        "threshold": threshold,
    }
    expected |= zip(
        ("precision_micro", "recall_micro", "f1_micro"),
        binary_scores(sum(labels, []), sum(predictions, [])),
    )
    expected |= zip(("precision_macro", "recall_macro", "f1_macro"), np.mean(columns, axis=0))
    areas = [
        area_under_the_curve(ours, theirs)
        for ours, theirs in zip(zip(*labels), zip(*probabilities))
        if len({*ours}) == 2
    ]
    expected |= {"roc_auc": np.mean(areas)} if areas else {}
    scores = multilabel_scores(labels, probabilities, threshold)
    assert scores == pytest.approx(expected) and {type(value) for value in scores.values()} == {
        float
    }
    rows = per_class_scores(labels, predictions, "abc"[:width])
    assert [(row["precision"], row["recall"], row["f1"]) for row in rows] == [
        pytest.approx(column) for column in columns
    ]
    assert [row["support"] for row in rows] == np.sum(labels, axis=0).tolist()


def test_a_single_label_is_a_label_and_not_two_classes():
    # One hit, one false alarm, no miss; that two rows rightly have no label counts in the share of
    # rows alone.
    scores = multilabel_scores([[1], [0], [0], [0]], [[0.9], [0.6], [0.1], [0.2]])
    assert scores == pytest.approx(
        {
            "exact_match_ratio": 3 / 4,
            "precision_micro": 1 / 2,
            "recall_micro": 1,
            "f1_micro": 2 / 3,
            "precision_macro": 1 / 2,
            "recall_macro": 1,
            "f1_macro": 2 / 3,
            "threshold": 0.5,
            "roc_auc": 1.0,
        }
    )
    assert per_class_scores([[1], [0], [0]], [[1], [1], [0]], ["x"]) == [
        {"name": "x", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    ]


@hypothesis.settings(max_examples=100)
@hypothesis.given(
    rows=strategies.lists(
        strategies.tuples(strategies.integers(0, 1), EIGHTHS), min_size=1, max_size=10
    )
)
def test_no_threshold_is_better_and_none_as_good_is_nearer_to_a_half(rows):
    labels, probabilities = (
        [[label] for label, _ in rows],
        [[probability] for _, probability in rows],
    )
    if not any(label for label, _ in rows):
        assert best_threshold(labels, probabilities) == 0.5
        return
    scores = {}
    for threshold in {probability for _, probability in rows}:
        scores[threshold] = binary_scores(
            [label for label, _ in rows], [value >= threshold for _, value in rows]
        )[2]
    best = [threshold for threshold, score in scores.items() if score > max(scores.values()) - 1e-9]
    assert best_threshold(labels, probabilities) == min(
        best, key=lambda threshold: (abs(threshold - 0.5), threshold)
    )


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    pairs=strategies.lists(strategies.tuples(EIGHTHS, EIGHTHS), min_size=1, max_size=8),
    trained=EIGHTHS,
)
def test_regression_is_what_its_definitions_say(pairs, trained):
    labels, predictions = map(list, zip(*pairs))

    def correlation(first, second):
        first, second = np.subtract(first, np.mean(first)), np.subtract(second, np.mean(second))
        spread = math.sqrt((first @ first) * (second @ second))
        return first @ second / spread if spread else 0.0

    def ranks(values):
        return [
            sum(other < value for other in values) + sum(other == value for other in values) / 2
            for value in values
        ]

    errors = [theirs - ours for ours, theirs in pairs]
    spread = sum((ours - np.mean(labels)) ** 2 for ours in labels)
    expected = {
        "mse": np.mean(np.square(errors)),
        "mae": np.mean(np.abs(errors)),
        "pearson": correlation(labels, predictions),
        "spearman": correlation(ranks(labels), ranks(predictions)),
        "mean_baseline_mse": spread / len(labels),
    }
    scores = regression_scores(labels, predictions)
    r2 = scores.pop("r2")
    assert scores == pytest.approx(expected, abs=1e-12)
    if spread:
        assert r2 == pytest.approx(1 - np.sum(np.square(errors)) / spread)
    told = regression_scores(labels, predictions, train_labels=[trained - 1, trained + 1])
    assert told["mean_baseline_mse"] == pytest.approx(
        np.mean([(ours - trained) ** 2 for ours in labels]), abs=1e-12
    )


def test_of_equal_probabilities_the_first_class_is_the_answer():
    assert classification_scores([0, 1], [[0.5, 0.5], [0.5, 0.5]])["accuracy"] == 0.5
    assert calibration_bins([0, 1, 0], [[0.4, 0.4, 0.2]] * 3)[0]["accuracy"] == pytest.approx(2 / 3)


def test_bins_are_fifteen_and_rows_of_half_precision_are_made_whole():
    # 0.75 of 1.005: every row is divided by its sum.
    rows = calibration_bins([1, 0], [[0.255, 0.75], [0.05, 0.95]])
    assert rows == [
        {
            "low": pytest.approx(11 / 15),
            "high": pytest.approx(12 / 15),
            "count": 1,
            "confidence": pytest.approx(0.75 / 1.005),
            "accuracy": 1.0,
        },
        {
            "low": pytest.approx(14 / 15),
            "high": 1.0,
            "count": 1,
            "confidence": pytest.approx(0.95),
            "accuracy": 0.0,
        },
    ]
    assert classification_scores([1], [[0.255, 0.75]])["log_loss"] == pytest.approx(
        -math.log(0.75 / 1.005)
    )
    for row, total in (([0.495, 0.49], "0.985"), ([0.52, 0.495], "1.015")):
        with pytest.raises(
            ValueError, match=rf"each row of probabilities must add up to 1. Received: {total}\."
        ):
            classification_scores([0, 1], [[0.5, 0.5], row])


def test_half_precision_is_no_mistake_and_logits_are():
    import ml_dtypes

    rng = np.random.default_rng(1)
    logits = rng.normal(size=(50, 20))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(
        ml_dtypes.bfloat16
    )
    labels = rng.integers(0, 20, 50)
    assert classification_scores(labels, probabilities)["log_loss"] == pytest.approx(
        -np.log(probabilities.astype("float64")[np.arange(50), labels]).mean(), abs=0.01
    )
    with pytest.raises(ValueError, match="between 0 and 1.*softmax"):
        classification_scores(labels, logits)
    with pytest.raises(ValueError, match="add up to 1. Received: 1.5"):
        classification_scores([0], [[0.9, 0.6]])


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        (
            [0, 1],
            [[0.5, 0.5], [math.nan, 0.5]],
            "probabilities must be finite numbers. Received: nan in row 1",
        ),
        (
            [0, 2],
            [[0.5, 0.5], [0.5, 0.5]],
            "labels must be classes from 0 to C - 1.* Received: 2 where C = 2",
        ),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], "Received: -1 where C = 2"),
        ([0.5], [[0.5, 0.5]], "Received: 0.5 where C = 2"),
        ([0], [[1.0]], "Received: 1 class"),
        ([], np.zeros((0, 2)), r"labels must have shape \(N,\).*Received: \(0,\) and \(0, 2\)"),
        ([0, 1], [[0.5, 0.5]], r"Received: \(2,\) and \(1, 2\)"),
        ([[0], [1]], [[0.5, 0.5]] * 2, r"Received: \(2, 1\) and \(2, 2\)"),
        ([0, 1], [0.5, 0.5], r"Received: \(2,\) and \(2,\)"),
        (
            [0, math.nan],
            [[0.5, 0.5]] * 2,
            "labels must be finite numbers. Received: nan in row 1 and 0 more",
        ),
        (
            [0, 1],
            [[0.5, math.inf], [math.nan, math.nan]],
            "probabilities must be finite numbers. Received: inf in row 0 and 2 more",
        ),
        ([0], [[-0.1, 1.0]], "between 0 and 1. Received: -0.1 to 1. Use"),
        ([0], [[0.0, 1.1]], "between 0 and 1. Received: 0 to 1.1. Use"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        classification_scores(labels, probabilities)


def test_multilabel_by_hand():
    # At 0.5: label 0 has one hit, one false alarm; label 1 one hit, one miss; label 2 nothing at
    # all.
    labels = [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    probabilities = [[0.9, 0.4, 0.1], [0.6, 0.7, 0.2], [0.3, 0.45, 0.3]]
    scores = multilabel_scores(labels, probabilities)
    assert scores == pytest.approx(
        {
            "exact_match_ratio": 1 / 3,
            "precision_micro": 2 / 3,
            "recall_micro": 2 / 3,
            "f1_micro": 2 / 3,
            "precision_macro": (1 / 2 + 1 + 0) / 3,
            "recall_macro": (1 + 1 / 2 + 0) / 3,
            "f1_macro": (2 / 3 + 2 / 3 + 0) / 3,
            "threshold": 0.5,
            "roc_auc": 1.0,
        }
    )
    # At 0.45 the three labels are there, and one false alarm: precision 3/4, recall 1. At 0.7: 2/2
    # and 2/3, F1 0.8.
    assert best_threshold(labels, probabilities) == 0.45
    assert multilabel_scores(labels, probabilities, 0.45)["f1_micro"] == pytest.approx(6 / 7)
    assert "roc_auc" not in multilabel_scores([[1, 0]], [[0.9, 0.9]])
    for wrong in (2, 0.5, -1):
        with pytest.raises(ValueError, match=f"labels must be 0 or 1. Received: {wrong}"):
            multilabel_scores([[wrong, 0]], [[0.9, 0.9]])
    for shape in ([[1, 0, 1]], [1, 0], [[1], [0]]):
        with pytest.raises(
            ValueError, match=r"labels must have shape \(N, C\) and probabilities \(N, C\)"
        ):
            multilabel_scores(shape, [[0.9, 0.9]])
    for function in (multilabel_scores, best_threshold):
        with pytest.raises(ValueError, match="Received: -0.5 to 0.9"):
            function([[1, 0]], [[0.9, -0.5]])


@pytest.mark.slow
def test_the_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    probabilities = rng.random((60, 4)).astype("float32")
    labels = (probabilities + rng.normal(scale=0.3, size=(60, 4)) > 0.7).astype(int)
    found = best_threshold(labels, probabilities)
    tried = {
        value: multilabel_scores(labels, probabilities, value)["f1_micro"]
        for value in probabilities.ravel().tolist()
    }
    assert tried[found] == max(tried.values())
    assert best_threshold([[0, 0]], [[0.3, 0.4]]) == 0.5
    # All thresholds in (0.1, 0.9] are perfect; those met are 0.9 and, if the label is at 0.6, 0.6.
    assert best_threshold([[1, 0]], [[0.9, 0.1]]) == 0.9
    # At 0.6, which is nearer to a half, one label of a thousand is missed.
    assert best_threshold([[1]] * 1000, [[0.2]] + [[0.6]] * 999) == 0.2


def test_regression_by_hand():
    # Deviations -1.5, -.5, .5, 1.5 and -1.25, -.25, -.25, 1.75: products add to 4.5, squares to 5
    # and 4.75.
    scores = regression_scores([1, 2, 3, 4], [1, 2, 2, 4])
    assert scores == pytest.approx(
        {
            "mse": 0.25,
            "mae": 0.25,
            "pearson": 4.5 / math.sqrt(5 * 4.75),
            # Ranks 1, 2.5, 2.5, 4: products of deviations 4.5, squares 5 and 4.5.
            "spearman": 4.5 / math.sqrt(5 * 4.5),
            "r2": 1 - 1 / 5,
            "mean_baseline_mse": 1.25,
        }
    )
    assert regression_scores([1, 2], [1, 2], train_labels=[0, 0])["mean_baseline_mse"] == 2.5


def test_regression_without_spread():
    constant = regression_scores([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert (constant["pearson"], constant["spearman"], constant["r2"], constant["mse"]) == (
        0.0,
        0.0,
        0.0,
        pytest.approx(2 / 3),
    )
    assert regression_scores([1.0], [3.0]) == {
        "mse": 4.0,
        "mae": 2.0,
        "pearson": 0.0,
        "spearman": 0.0,
        "r2": 0.0,
        "mean_baseline_mse": 0.0,
    }
    with pytest.raises(
        ValueError,
        match="predictions must be finite numbers. Received: inf in row 1 .*lower --learning_rate",
    ):
        regression_scores([1.0, 2.0], [1.0, math.inf])
    for labels, predictions in (
        ([1.0, 2.0], [[1.0], [2.0]]),
        ([[1.0]], [[1.0]]),
        ([], []),
        ([1.0], [1.0, 2.0]),
    ):
        shapes = f"{np.shape(labels)} and {np.shape(predictions)}"
        with pytest.raises(ValueError) as error:
            regression_scores(labels, predictions)
        assert (
            str(error.value)
            == f"labels and predictions must both have shape (N,), N at least 1. Received: "
            f"{shapes}."
        )
    with pytest.raises(
        ValueError, match="train_labels must be finite numbers. Received: nan in row 0 and 0 more"
    ):
        regression_scores([1.0], [1.0], train_labels=[math.nan])
    assert regression_scores([2.0, 2.0], [1.0, 3.0])["pearson"] == 0.0
    # The mean of three times 0.1 is not quite 0.1, so that a deviation is not quite 0.
    for labels, predictions in (([0.1] * 3, [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [0.1] * 3)):
        scores = regression_scores(labels, predictions)
        assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0)
    assert regression_scores([0.1] * 3, [1.0, 2.0, 3.0])["r2"] == 0.0
    # Worse than the mean.
    assert regression_scores([1.0, 3.0], [3.0, 1.0])["r2"] == pytest.approx(1 - 8 / 2)
