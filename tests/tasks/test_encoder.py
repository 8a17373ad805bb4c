"""Tasks by hand: heads, targets and answers of examples; the places of answers in windows, and
back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.readers.labelled import Example
from data.readers.squad import Question
from transformer.config import ConfigError, FinetuningConfig, TaskConfig
from transformer.model.heads import ClassificationHead, RegressionHead, SimilarityHead, SpanHead
from transformer.pretrained.tokenizers import word_piece
from transformer.tasks.encoder import IMPOSSIBLE, TASKS, Features, Spans, _place
from transformer.text.encoder_inputs import HuggingFaceInputs, Window, from_run
from transformer.text.tokenizer import CharacterTokenizer

TEXTS = [Example("a", None, 0), Example("b", None, 2), Example("c", None, 2)]


def task(name, labels=(), **options):
    return TASKS[name](labels, TaskConfig(task=name, **options))


def test_balanced_weights_make_every_class_count_alike():
    head = task(
        "classification", ("x", "y", "z"), class_weights="balanced", head_dropout=0.3, pooling="max"
    ).head(TEXTS, 0.2)
    assert head.class_weights == (
        1.0,
        1.0,
        0.5,
    )  # a class that does not occur as one that occurs once
    assert (head.units, head.label_smoothing, head.pooling, head.rate, head.name) == (
        3,
        0.2,
        "max",
        0.3,
        "head",
    )
    assert (
        task("classification", ("x", "y", "z")).head(TEXTS).class_weights == ()
        and not head.multilabel
    )
    more = task("classification", "xyzw", class_weights="balanced").head(
        TEXTS
    )  # the last does not occur either
    assert more.class_weights == (0.75, 0.75, 0.375, 0.75)
    assert (
        head.num_texts == 1
        and task("classification", "xyz", pair_encoding="bi").head(TEXTS).num_texts == 2
    )
    several = task("multilabel", "xyz", pooling="mean", head_dropout=0.2).head(TEXTS, 0.2)
    assert (
        several.multilabel,
        several.units,
        several.pooling,
        several.rate,
        several.label_smoothing,
    ) == (True, 3, "mean", 0.2, 0)
    assert (
        several.name == task("spans").head(TEXTS).name == "head"
        and task("spans", head_dropout=0.4).head(TEXTS).rate == 0.4
    )
    assert task("classification", ("x", "y", "z")).head(TEXTS).class_weights == ()
    last = task("classification", "wxyz", class_weights="balanced").head(
        TEXTS
    )  # nor does the last of four
    assert last.class_weights == (0.75, 0.75, 0.375, 0.75)


def test_a_regression_starts_from_mean_and_deviation_of_training():
    numbers = [Example("a", None, 1.0), Example("b", None, 5.0)]
    head = task("regression").head(numbers)
    assert (head.shift, head.scale) == (3.0, 2.0)
    assert task("regression").head(numbers[:1]).scale == pytest.approx(1e-6)  # all alike
    # What compares two texts begins with the lowest and the whole range.
    similar = task("regression", pair_encoding="bi").head([*numbers, Example("c", None, 2.0)])
    assert (type(similar), similar.shift, similar.scale, similar.num_texts) == (
        SimilarityHead,
        1.0,
        4.0,
        2,
    )
    assert task("regression", pair_encoding="bi").head(numbers[:1]).scale == pytest.approx(1e-6)
    skewed = [Example("a", None, number) for number in (0.0, 0.0, 6.0)]
    assert task("regression").head(skewed).shift == 2.0


def test_a_similarity_starts_from_the_lowest_and_the_range_of_training():
    numbers = [Example("a", "b", number) for number in (1.0, 2.0, 5.0)]
    head = task("regression", pair_encoding="bi").head(numbers)
    assert (type(head), head.shift, head.scale) == (SimilarityHead, 1.0, 4.0)
    alike = task("regression", pair_encoding="bi").head(numbers[:1])
    assert (alike.shift, alike.scale) == (1.0, pytest.approx(1e-6))


@pytest.mark.parametrize(
    "name, kind",
    [
        ("classification", ClassificationHead),
        ("multilabel", ClassificationHead),
        ("regression", RegressionHead),
        ("spans", SpanHead),
    ],
)
def test_heads_have_the_options_of_the_task(name, kind):
    head = task(name, "xy", head_dropout=0.3).head([Example("a", None, 0)])
    # A checkpoint names weights by the head's name.
    assert (type(head), head.rate, head.name, head.num_texts) == (kind, 0.3, "head", 1)
    assert getattr(head, "multilabel", False) == (name == "multilabel")


@pytest.mark.parametrize("name", ["classification", "multilabel", "regression"])
def test_a_head_of_texts_that_are_read_apart_sees_two(name):
    assert task(name, "xy", pair_encoding="bi").head([Example("a", "b", 0)]).num_texts == 2


ABC = from_run(CharacterTokenizer("abcdefghijklmnopqrst"))  # a is 4, b is 5; an end is 3


class TestFeatures:
    """Texts as a model takes them, worked out by hand."""

    def test_of_texts(self):
        features = task("classification", "xyz", max_length=8).features(
            ABC, [*TEXTS[:2], Example("abcdefghi", None, 1)]
        )
        assert features.ids == [[4, 3], [5, 3], [4, 5, 6, 7, 8, 9, 10, 3]] and features.types == [
            [0] * 2,
            [0] * 2,
            [0] * 8,
        ]
        assert features.targets.tolist() == [[0], [2], [1]] and features.lengths == [2, 2, 10]
        assert (features.windows, features.num_texts) == ((), 1)

    def test_of_pairs(self):
        pairs = [Example("a", "b", 0), Example("", "", 1)]
        features = task("classification", "xy").features(ABC, pairs)
        assert (
            features.ids == [[4, 3, 5, 3], [3, 3]]
            and features.lengths == [4, 2]
            and features.num_texts == 1
        )
        assert task("classification", "xy").features(ABC, [Example("a", "", 0)]).ids == [[4, 3, 3]]

    def test_of_pairs_that_are_read_apart(self):
        pairs = [Example("ab", "cdefghijk", 0)]
        features = task("classification", "xy", pair_encoding="bi", max_length=8).features(
            ABC, pairs
        )
        assert features.ids == [[4, 5, 3, 0, 0, 0, 0, 0, 6, 7, 8, 9, 10, 11, 12, 3]]
        assert features.types == [[0] * 16] and features.lengths == [10] and features.num_texts == 2

    def test_of_types(self):
        inputs = HuggingFaceInputs(word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"]), 0)
        features = task("classification", "xy").features(inputs, [Example("a", "b", 0)])
        assert (features.ids, features.types) == ([[2, 4, 3, 5, 3]], [[0, 0, 0, 1, 1]])

    def test_what_cannot_be_read_together_is_refused(self):
        with pytest.raises(ConfigError, match="all single texts or all pairs. Received: both"):
            task("classification", "xy").features(
                ABC, [Example("a", "b", 0), Example("a", None, 0)]
            )
        with pytest.raises(ConfigError, match="needs pairs of texts. Received: single texts"):
            task("classification", "xy", pair_encoding="bi").features(ABC, TEXTS)

    def test_of_questions(self):
        """Nine tokens of a context in a window, two of them shared with the next."""
        questions = [
            Question("1", "q", "abcdefghijkl", ((8, "ij"),)),
            Question("2", "r", "abc", ((0, "ab"), (2, "c"))),
        ]
        features = task("spans", max_length=12, stride=2).features(ABC, questions)
        q, r = 4 + ord("q") - ord("a"), 4 + ord("r") - ord("a")
        assert features.ids == [
            [q, 3, *range(4, 13), 3],
            [q, 3, *range(11, 16), 3],
            [r, 3, 4, 5, 6, 3],
        ]
        assert features.types == [[0] * 12, [0] * 8, [0] * 6] and features.lengths == [12, 8, 6]
        assert features.targets.tolist() == [[0, 0], [3, 4], [2, 3]]
        assert [window.example for window in features.windows] == [
            0,
            0,
            1,
        ] and features.num_texts == 1


def test_targets():
    assert task("classification").empty == task("spans").empty == -1 and np.isnan(
        task("regression").empty
    )
    unknown = Example("d", None, None)
    assert task("classification", "xyz").targets([*TEXTS, unknown]).tolist() == [
        [0],
        [2],
        [2],
        [-1],
    ]
    several = [Example("a", None, (0, 2)), Example("b", None, ()), unknown]
    assert task("multilabel", "xyz").targets(several).tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_equal(
        task("regression").targets([Example("a", None, 1.5), unknown]),
        np.float32([[1.5], [np.nan]]),
    )


def test_labels_for_people():
    assert task("classification", "xyz").shown_label(TEXTS[1]) == "z"
    assert task("multilabel", "xyz").shown_label(Example("a", None, (0, 2))) == "x, z"
    assert task("regression").shown_label(Example("a", None, 2.5)) == "2.5"


def test_predictions_are_the_rows_of_what_the_head_says():
    rows = [np.array([0.25, 0.75]), np.array([0.5, 0.5])]
    found = task("classification", "xy").predictions(TEXTS[:2], None, rows)
    assert found.shape == (2, 2) and found.tolist() == [[0.25, 0.75], [0.5, 0.5]]


def test_answers_are_sorted_and_chosen():
    classes, several, number = (
        task("classification", "xyz"),
        task("multilabel", "xyz"),
        task("regression"),
    )
    probabilities = np.array([[0.25, 0.5, 0.25]])
    ((first, second, third),) = rows = classes.answers(TEXTS[:1], probabilities)
    assert [row["label"] for row in (first, second, third)] == ["y", "x", "z"] and classes.chosen(
        rows[0]
    ) == [first]
    assert (
        several.chosen(rows[0], threshold=0.25) == rows[0]
        and several.chosen(rows[0], threshold=0.6) == []
    )
    assert [row["score"] for row in rows[0]] == [0.5, 0.25, 0.25]
    assert several.chosen(rows[0]) == [{"label": "y", "score": 0.5}]  # 0.5 is enough
    assert number.answers(TEXTS[:1], np.array([2.5])) == [[{"score": 2.5}]]


def test_labels_are_shown_by_name():
    assert (
        task("classification", "xyz").shown_label(TEXTS[1]) == "z"
        and task("regression").shown_label(Example("a", None, 1.5)) == "1.5"
    )
    assert (
        task("multilabel", ("red", "blue", "green")).shown_label(Example("a", None, (0, 2)))
        == "red, green"
    )


def test_what_is_given_when_no_number_of_answers_is_asked_for():
    rows = [
        {"label": "x", "score": 0.7},
        {"label": "y", "score": 0.5},
        {"label": "z", "score": 0.49},
    ]
    assert (
        task("multilabel", "xyz").chosen(rows) == rows[:2]
        and task("classification", "xyz").chosen(rows) == rows[:1]
    )
    assert task("multilabel", "xyz").answers(TEXTS[:1], np.array([[0.5, 0.7, 0.7]])) == [
        [{"label": "y", "score": 0.7}, {"label": "z", "score": 0.7}, {"label": "x", "score": 0.5}]
    ]
    assert (
        task("classification", "xyz").tuned(TEXTS, []) == task("regression").tuned(TEXTS, []) == {}
    )


class Tokenizer:
    """Tells what it is asked for in ids of its own."""

    def encode(self, texts, pairs, length):
        return [
            ([len(text), length], [0, n], 10 * n + (pairs is not None))
            for n, text in enumerate(texts)
        ]

    def encode_apart(self, texts, pairs, length):
        return [
            ([len(text), len(pair), length], [0, 0, 0], 7)
            for text, pair in zip(texts, pairs, strict=True)
        ]

    def windows(self, questions, contexts, length, stride):
        offsets = [None, (0, 2), (3, 5), (length, stride)]
        return [
            Window(n, [len(question), len(context), n, 0, 5][: 5 - n], [n] * 4, offsets)
            for n, (question, context) in enumerate(zip(questions, contexts))
            for _ in range(2)
        ]


def test_features_of_texts_and_of_pairs():
    labels, tokenizer = task("classification", "xyz", max_length=9), Tokenizer()
    alone = labels.features(tokenizer, TEXTS)
    assert (
        alone.ids == [[1, 9]] * 3
        and alone.types == [[0, 0], [0, 1], [0, 2]]
        and alone.lengths == [0, 10, 20]
    )
    assert alone.targets.tolist() == [[0], [2], [2]] and (alone.windows, alone.num_texts) == ((), 1)
    pairs = [Example("a", "bcd", 1), Example("aa", "", 0)]
    assert (
        labels.features(tokenizer, pairs).lengths == [1, 11]
        and labels.features(tokenizer, pairs).num_texts == 1
    )
    assert labels.features(tokenizer, [Example("a", "", 1)]).lengths == [1]  # an empty text is one
    apart = task("classification", "xyz", max_length=9, pair_encoding="bi")
    found = apart.features(tokenizer, pairs)
    assert found.ids == [[1, 3, 9], [2, 0, 9]] and found.lengths == [7, 7] and found.num_texts == 2
    with pytest.raises(ConfigError, match="inputs must be all single texts or all pairs"):
        labels.features(tokenizer, [*TEXTS, pairs[0]])
    with pytest.raises(ConfigError, match="needs pairs of texts. Received: single texts"):
        apart.features(tokenizer, TEXTS)
    predictions = labels.predictions(TEXTS, alone, [np.array([0.1, 0.9]), np.array([0.8, 0.2])])
    np.testing.assert_array_equal(predictions, [[0.1, 0.9], [0.8, 0.2]])


def test_features_of_questions_have_a_row_a_window():
    questions = [
        Question("1", "why", "aa bb", ((3, "bb"),)),
        Question("2", "who?", "cc dd", ((0, "cc"),)),
    ]
    found = task("spans", max_length=40, stride=6).features(Tokenizer(), questions)
    assert (
        found.ids == [[3, 5, 0, 0, 5]] * 2 + [[4, 5, 1, 0]] * 2
        and found.types == [[0] * 4] * 2 + [[1] * 4] * 2
    )
    assert found.targets.tolist() == [[2, 2]] * 2 + [[1, 1]] * 2 and found.lengths == [5, 5, 4, 4]
    assert [window.example for window in found.windows] == [0, 0, 1, 1] and found.windows[
        0
    ].offsets[3] == (40, 6)


def test_scores_and_reports_by_hand():
    classes = task("classification", ("x", "y"))
    examples = [Example("a", None, 0), Example("b", "bb", 1), Example("c", None, 1)]
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    assert classes.scores(examples, probabilities)["accuracy"] == pytest.approx(2 / 3)
    report = classes.report(examples, probabilities, train=[Example("t", None, 0)] * 3)
    assert report["confusion"] == [[1, 0], [1, 1]] and report["names"] == ["x", "y"]
    assert [(row["text"], row["pair"]) for row in report["mistakes"]] == [("b", "bb")]
    # Always saying what is commonest in training, x, is right once; in the test set, y, twice.
    assert report["scores"]["majority_baseline"] == pytest.approx(1 / 3)
    assert classes.report(examples, probabilities)["scores"]["majority_baseline"] == pytest.approx(
        2 / 3
    )
    several = task("multilabel", ("x", "y"))
    both = [Example("a", None, (0,)), Example("b", None, (0, 1))]
    probabilities = np.array([[0.9, 0.2], [0.5, 0.3]])
    found = several.scores(both, probabilities)  # from a half on: two of three labels are found
    assert found["exact_match_ratio"] == 0.5 and found["f1_micro"] == pytest.approx(0.8)
    assert several.scores(both, probabilities, threshold=0.25)["exact_match_ratio"] == 1
    assert [row["text"] for row in several.report(both, probabilities)["mistakes"]] == ["b"]
    assert several.report(both, probabilities, threshold=0.1)["mistakes"][0]["text"] == "a"
    numbers = [Example("a", None, 1.0), Example("b", None, 2.0), Example("c", None, 3.0)]
    predictions = np.array([1.0, 2.0, 5.0])
    # 1 - (5 - 3)^2 / (1 + 0 + 1); the other way round it would be 0.54.
    assert task("regression").scores(numbers, predictions)["r2"] == pytest.approx(-1.0)
    report = task("regression").report(numbers, predictions, train=numbers[:1])
    assert report["mistakes"] == [
        {"text": "c", "pair": "", "true": 3.0, "predicted": 5.0, "error": 2.0}
    ]
    assert report["scores"]["r2"] == pytest.approx(-1.0)
    assert report["scores"]["mean_baseline_mse"] == pytest.approx(
        5 / 3
    )  # from 1, the mean of training
    assert task("regression").report(numbers, predictions)["scores"][
        "mean_baseline_mse"
    ] == pytest.approx(2 / 3)


def test_the_report_of_questions_says_what_was_said():
    questions = [
        Question("1", "q1", "aa bb", ((0, "aa"), (3, "bb"))),
        Question("2", "q2", "cc", ()),
    ]
    rows = [
        {"answer": answer, "start": 0, "end": 2, "score": -1.0, "no_answer": doubt}
        for answer, doubt in (("bb", -2.0), ("cc", 1.0))
    ]
    spans = task("spans")
    report = spans.report(questions, rows)
    assert report["mistakes"] == [
        {"question": "q2", "context": "cc", "answers": [], "predicted": "cc", "f1": 0}
    ]
    assert report["scores"]["exact_match"] == spans.scores(questions, rows)["exact_match"] == 50
    assert spans.report(questions, rows, no_answer_threshold=0.5)["mistakes"] == []
    assert spans.scores(questions, rows, no_answer_threshold=0.0)["exact_match"] == 100
    # Of Chinese a character is a word.
    rows = [{"answer": "北京", "start": 0, "end": 2, "score": -1.0, "no_answer": -1.0}]
    question = [Question("1", "q", "北京市", ((0, "北京市"),))]
    assert task("spans", language="zh").scores(question, rows)["f1"] == pytest.approx(80)
    assert task("spans", language="zh").report(question, rows)["scores"]["f1"] == pytest.approx(80)
    # Two answers that are nearly right are worth more than one "no answer" that is right; as words
    # they are wrong.
    questions, rows = (
        question * 2 + [Question("2", "q", "上海", ())],
        rows * 2 + [{"answer": "上海", "no_answer": -2.0}],
    )
    assert task("spans", language="zh").tuned(questions, rows)["no_answer_threshold"] >= -1.0
    assert task("spans", language="en").tuned(questions, rows)["no_answer_threshold"] < -2.0


def test_the_threshold_is_tuned_for_several_labels():
    examples = [Example("a", None, (0,)), Example("b", None, (0, 1))]
    probabilities = np.array([[0.3, 0.1], [0.4, 0.35]])
    tuned = task("multilabel", "xy").tuned(examples, probabilities)
    assert 0.1 < tuned["threshold"] <= 0.3
    assert task("multilabel", "xy").scores(examples, probabilities, **tuned)["f1_micro"] == 1.0


def test_scores_and_reports_of_classes_by_hand():
    examples = [Example("a", None, 0), Example("b", "c", 0), Example("d", None, 1)]
    probabilities = np.array([[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
    classes = task("classification", "xy")
    assert classes.scores(examples, probabilities)["accuracy"] == pytest.approx(2 / 3)
    report = classes.report(examples, probabilities, train=[Example("t", None, 1)])
    assert report["confusion"] == [[1, 1], [0, 1]] and report["names"] == ["x", "y"]
    assert report["mistakes"] == [
        {"text": "b", "pair": "c", "true": "x", "predicted": "y", "probability": 0.75}
    ]
    # The commonest class is that of the training examples, where they are given.
    assert report["scores"]["majority_baseline"] == pytest.approx(1 / 3)
    assert classes.report(examples, probabilities)["scores"]["majority_baseline"] == pytest.approx(
        2 / 3
    )


def test_scores_and_reports_of_several_labels_by_hand():
    examples, probabilities = [Example("a", "b", (0,))], np.array([[0.4, 0.3]])
    several = task("multilabel", "xy")
    assert several.scores(examples, probabilities)["f1_micro"] == 0.0  # 0.4 is less than one half
    assert several.scores(examples, probabilities, threshold=0.4)["f1_micro"] == 1.0
    (mistake,) = several.report(examples, probabilities, threshold=0.2)["mistakes"]
    assert (mistake["text"], mistake["pair"], mistake["true"], mistake["predicted"]) == (
        "a",
        "b",
        ["x"],
        ["x", "y"],
    )
    assert several.report(examples, probabilities)["mistakes"][0]["predicted"] == []


def test_scores_and_reports_of_numbers_by_hand():
    examples, predictions = [Example("a", None, 1.0), Example("b", "c", 3.0)], np.array([2.0, 6.0])
    numbers = task("regression")
    scores = numbers.scores(examples, predictions)
    # Errors 1 and 3; the labels' deviations from their mean are 1 and 1: 1 - 10 / 2.
    assert (scores["mse"], scores["r2"]) == (5.0, -4.0)
    report = numbers.report(examples, predictions, train=[Example("t", None, 5.0)])
    assert report["points"] == {"true": [1.0, 3.0], "predicted": [2.0, 6.0]}
    assert report["mistakes"][0] == {
        "text": "b",
        "pair": "c",
        "true": 3.0,
        "predicted": 6.0,
        "error": 3.0,
    }
    assert report["scores"]["mean_baseline_mse"] == 10.0  # 4 and 2 from the mean of training
    assert numbers.report(examples, predictions)["scores"]["mean_baseline_mse"] == 1.0
    assert np.isnan(numbers.empty) and task("classification").empty == -1


@pytest.mark.parametrize(
    "name, metrics",
    [
        ("classification", ["accuracy", "f1", "f1_micro", "matthews", "loss"]),
        ("multilabel", ["f1_micro", "f1_macro", "exact_match_ratio", "loss"]),
        ("regression", ["spearman", "pearson", "r2", "loss"]),
        ("spans", ["f1", "exact_match", "loss"]),
    ],
)
def test_the_metric_that_chooses_the_weights(name, metrics):
    known = task(name).best_metrics
    assert FinetuningConfig().judged_by(known, name).keep_best_metric == metrics[0]
    for metric in metrics:
        config = FinetuningConfig(keep_best_metric=metric)
        assert config.judged_by(known, name).keep_best_metric == metric
    assert known == metrics
    with pytest.raises(
        ConfigError,
        match=f"keep_best_metric must be one of .*, loss for task='{name}'. Received: 'roc_auc'",
    ):
        FinetuningConfig(keep_best_metric="roc_auc").judged_by(
            known, name
        )  # not every data set has it


def test_a_place_by_hand():
    """Context "aa bb cc" in two windows: the answer "bb cc" is whole in the second alone."""
    question = Question("1", "q", "aa bb cc", ((3, "bb cc"),))
    first = Window(0, [1, 9, 2, 5, 6, 2], [0] * 6, [None, None, None, (0, 2), (3, 5), None])
    second = Window(0, [1, 9, 2, 6, 7, 2], [0] * 6, [None, None, None, (3, 5), (6, 8), None])
    assert _place(first, question) == (0, 0) and _place(second, question) == (3, 4)
    assert _place(second, question._replace(answers=())) == (0, 0)
    assert _place(second, question._replace(answers=((-1, "zz"),))) == (-1, -1)
    assert _place(first, question._replace(answers=((0, "aa"), (3, "bb")))) == (
        3,
        3,
    )  # the first of several
    assert _place(second, question._replace(answers=((0, "aa bb"),))) == (
        0,
        0,
    )  # it begins before the window
    assert _place(second._replace(offsets=[None] * 6), question) == (0, 0)


def test_a_place_where_no_space_stands_between_tokens():
    """Tokens a, bc, d and e: an answer within a token is that token, and neither neighbour."""
    window = Window(0, [1, 5, 6, 7, 8], [0] * 5, [None, (0, 1), (1, 3), (3, 4), (4, 5)])
    answers = {
        (1, "bc"): (2, 2),
        (1, "b"): (2, 2),
        (2, "c"): (2, 2),
        (0, "a"): (1, 1),
        (0, "ab"): (1, 2),
        (2, "cd"): (2, 3),
        (4, "e"): (4, 4),
    }
    for answer, place in answers.items():
        assert _place(window, Question("1", "q", "abcde", (answer,))) == place, answer


@pytest.mark.parametrize(
    "answer, places",
    [
        ((2, "cd"), (4, 4)),
        ((0, "ab"), (3, 3)),
        ((0, "abcd"), (3, 4)),
        ((1, "bc"), (3, 4)),
        ((3, "d"), (4, 4)),
        ((1, "b"), (3, 3)),
    ],
)
def test_an_answer_stands_on_the_tokens_that_hold_its_characters(answer, places):
    """[CLS] q [SEP] ab ##cd [SEP]: a token that ends where the answer begins is not its first, nor
    is one that begins where it ends its last."""
    inputs = HuggingFaceInputs(
        word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "q", "ab", "##cd"]), 0
    )
    features = task("spans").features(inputs, [Question("1", "q", "abcd", (answer,))])
    assert features.windows[0].offsets == [None, None, None, (0, 2), (2, 4), None]
    assert features.targets.tolist() == [list(places)]


def test_a_context_without_tokens_holds_no_answer():
    features = task("spans").features(
        ABC, [Question("1", "q", "  ", ((0, " "),)), Question("2", "q", "", ())]
    )
    assert features.targets.tolist() == [[0, 0], [0, 0]]


def test_a_question_whose_context_has_no_tokens_is_answered_and_tuned_by_numbers():
    spans = task("spans")
    questions = [Question("1", "q", "  ", ()), Question("2", "q", "ab", ((0, "ab"),))]
    features = spans.features(ABC, questions)
    assert features.ids == [[20, 3, 3], [20, 3, 4, 5, 3]]
    nothing = [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    letters = [[0.25, 0.25], [0.1, 0.1], [0.5, 0.1], [0.1, 0.5], [0.05, 0.05]]
    rows = spans.predictions(questions, features, [np.log(nothing), np.log(letters)])
    (none,), (found,) = spans.answers(questions, rows, **spans.tuned(questions, rows))
    # "No answer" has 0.5 at the start and at the end; a difference of 1e9 is a little rounded.
    assert none == {"score": pytest.approx(0.25, rel=1e-6), "answer": "", "start": 0, "end": 0}
    assert found["answer"] == "ab" and found["score"] == pytest.approx(0.25)
    assert np.isfinite(rows[0]["no_answer"]) and np.isfinite(rows[0]["score"])


@settings(max_examples=100)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=12),
    st.integers(0, 20),
    st.integers(1, 6),
    st.integers(1, 14),
)
def test_the_tokens_of_an_answer_hold_it_and_no_more(sizes, begin, length, count):
    """Against a list of the characters of each token; a window holds the first so many tokens."""
    context = "x" * sum(sizes)
    begin = min(begin, len(context) - 1)
    answer = context[begin : begin + length]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    offsets = [(start, start + size) for start, size in zip(starts, sizes)][:count]
    held = [set(range(*offset)) for offset in offsets]
    wanted = set(range(begin, begin + len(answer)))
    window = Window(0, [0] * len(offsets), [0] * len(offsets), [None, *offsets, None])
    found = [place for place, characters in enumerate(held, 1) if characters & wanted]
    expected = (found[0], found[-1]) if wanted <= set().union(*held) else (0, 0)
    assert _place(window, Question("1", "q", context, ((begin, answer),))) == expected


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
    assert best["score"] == pytest.approx(np.log(0.3)) and best["no_answer"] == pytest.approx(
        np.log(0.02) - np.log(0.3)
    )


def test_each_question_has_its_own_best_span():
    questions = [
        Question(str(n), "q", context, ())
        for n, context in enumerate(("aa bb", "cc dd", "no window"))
    ]
    windows = [Window(n, [1, 5, 6], [0] * 3, [None, (0, 2), (3, 5)]) for n in (0, 1, 1)]
    outputs = [
        np.array([[-900.0, -800.0], [-100.0, -150.0], [-300.0, -300.0]]),
        np.array([[-1.0, -1.0], [-5.0, -5.0], [-4.0, -3.0]]),
        np.array([[-6.0, -5.0], [-2.0, -9.0], [-4.0, -4.0]]),
    ]
    found = task("spans").predictions(questions, Features([], [], None, [], windows), outputs)
    assert found[0] == {
        "answer": "aa",
        "start": 0,
        "end": 2,
        "score": -250,
        "no_answer": -1450,
    }  # one token, twice
    assert found[1] == {
        "answer": "cc dd",
        "start": 0,
        "end": 5,
        "score": -6.0,
        "no_answer": -5.0,
    }  # -11, of the second window
    assert found[2]["answer"] == "" and found[2]["score"] == IMPOSSIBLE


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
    assert task("spans")._best_span(window._replace(offsets=[None] * count), output) == (
        0,
        0,
        IMPOSSIBLE,
    )


def test_twenty_starts_and_ends_are_tried_with_each_other():
    """The likeliest ends are the first tokens of the context and the likeliest starts the last."""
    context = "x" * 60
    window = Window(0, [0] * 61, [0] * 61, [None, *((n, n + 1) for n in range(60))])
    features = Features([], [], np.zeros((1, 2)), [61], (window,))

    def answer(starts, ends):
        output = np.full((61, 2), -99.0)
        output[60 - np.arange(starts), 0] = -1.0
        output[1 + np.arange(ends), 1] = -1.0
        output[25, 0] = output[30, 1] = -2.0
        spans = task("spans", longest_answer=30)
        (found,) = spans.predictions([Question("1", "q", context, ())], features, [output])
        return found["start"], found["end"], found["score"]

    assert answer(19, 19) == (24, 30, -4.0)
    # Without that start, or that end, no span is in order and short enough.
    assert answer(20, 19) == answer(19, 20) == (0, 0, IMPOSSIBLE)


def test_a_span_of_one_token_and_of_equals_the_first():
    window = Window(0, [0] * 4, [0] * 4, [None, (0, 2), (3, 5), (6, 8)])
    output = np.log([[0.1, 0.1], [0.1, 0.1], [0.7, 0.7], [0.1, 0.1]])
    features = Features([], [], np.zeros((1, 2)), [4], (window,))
    question = Question("1", "q", "aa bb cc", ())
    (best,) = task("spans").predictions([question], features, [output])
    assert (best["answer"], best["score"]) == ("bb", pytest.approx(np.log(0.49)))
    (best,) = task("spans").predictions([question], features, [np.log(np.full((4, 2), 0.25))])
    assert (best["answer"], best["start"], best["end"]) == ("aa", 0, 2)


def test_the_best_window_counts_wherever_it_stands():
    """For each question the likeliest span of its windows, first or last, and the least doubt."""
    windows = tuple(
        Window(n // 2, [0] * 2, [0] * 2, [None, (3 * (n % 2), 3 * (n % 2) + 2)]) for n in range(4)
    )
    outputs = [
        np.log([[0.2, 0.5], [0.8, 0.5]]),
        np.log([[0.5, 0.5], [0.5, 0.5]]),
        np.log([[0.5, 0.6], [0.5, 0.4]]),
        np.log([[0.1, 0.2], [0.9, 0.8]]),
    ]
    questions = [Question(str(n), "q", "aa bb", ()) for n in range(2)]
    features = Features([], [], np.zeros((4, 2)), [2] * 4, windows)
    one, two = task("spans").predictions(questions, features, outputs)
    assert (one["answer"], one["score"], one["no_answer"]) == (
        "aa",
        pytest.approx(np.log(0.4)),
        pytest.approx(np.log(0.1 / 0.4)),
    )
    assert (two["answer"], two["score"], two["no_answer"]) == (
        "bb",
        pytest.approx(np.log(0.72)),
        pytest.approx(np.log(0.02 / 0.72)),
    )


def test_answers_are_judged_by_the_rules_of_the_language():
    """CMRC's rules leave 《 out, SQuAD's do not."""
    questions = [
        Question("1", "几点？", "《东京》", ((1, "东京"),)),
        Question("2", "谁？", "好", ()),
    ]
    predictions = [{"answer": "《东京》", "no_answer": -1.0}, {"answer": "好", "no_answer": -0.5}]
    chinese, other = task("spans", language="zh"), task("spans")
    assert (
        chinese.scores(questions, predictions)["exact_match"],
        other.scores(questions, predictions)["exact_match"],
    ) == (50, 0)
    assert (
        chinese.tuned(questions, predictions)["no_answer_threshold"] == -1.0
    )  # only the second is doubted more
    assert (
        other.tuned(questions, predictions)["no_answer_threshold"] < -1.0
    )  # both are better left out
    report = chinese.report(questions, predictions)
    assert report["mistakes"] == [
        {"question": "谁？", "context": "好", "answers": [], "predicted": "好", "f1": 0.0}
    ]
    assert len(other.report(questions, predictions)["mistakes"]) == 2
    assert chinese.report(questions, predictions, no_answer_threshold=-0.75)["mistakes"] == []


def test_a_threshold_of_zero_is_a_threshold():
    prediction = {
        "answer": "aa",
        "start": 0,
        "end": 2,
        "score": np.log(0.25),
        "no_answer": np.log(2),
    }
    ((found,),) = task("spans").answers([None], [prediction], no_answer_threshold=0.0)
    assert (found["answer"], found["score"]) == ("", pytest.approx(0.5))


def test_no_answer_is_said_where_it_is_likelier_by_more_than_the_threshold():
    questions = [Question("1", "q", "aa bb", ((0, "aa"),)), Question("2", "q", "cc", ())]
    predictions = [
        {"answer": "aa", "start": 0, "end": 2, "score": np.log(0.5), "no_answer": -1.0},
        {"answer": "cc", "start": 0, "end": 2, "score": np.log(0.25), "no_answer": -0.5},
    ]
    spans = task("spans")
    tuned = spans.tuned(questions, predictions)
    assert (
        -1.0 <= tuned["no_answer_threshold"] < -0.5
        and spans.tuned(questions[:1], predictions[:1]) == {}
    )
    assert spans.scores(questions, predictions, **tuned)["exact_match"] == 100.0
    assert spans.answers(questions, predictions, **tuned) == [
        [{"score": pytest.approx(0.5), "answer": "aa", "start": 0, "end": 2}],
        [{"score": pytest.approx(0.25 * np.exp(-0.5)), "answer": "", "start": 0, "end": 0}],
    ]
    assert spans.answers(questions, predictions)[1][0]["answer"] == "cc"
