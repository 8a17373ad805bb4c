"""What can be asked of a text: one label, several, a number, or where an answer stands. One class a
task, all alike.

A task knows no model but its head. It makes the head, the inputs and the targets of examples, and
of a model's predictions the scores, the report and the answers.

Examples have `text`, `pair` and `label`, for spans `question`, `context` and `answers`, as
data/readers/labelled.py makes them.
"""

import dataclasses

import numpy as np

from transformer.config import ConfigError
from transformer.evaluation import reports
from transformer.metrics import answers as answer_metrics
from transformer.metrics import classification as metrics
from transformer.model.heads import ClassificationHead, RegressionHead, SimilarityHead, SpanHead

# The log-probability of a span where there is none: finite, so that differences of it stay numbers.
IMPOSSIBLE = -1e9


@dataclasses.dataclass(frozen=True)
class Features:
    """Examples as a model takes them, one row each; or several, where a long context is read in
    windows."""

    ids: list  # of lists of int
    types: list
    targets: np.ndarray  # (rows, K)
    lengths: list  # of the rows in tokens when nothing is cut
    windows: tuple = ()  # of spans
    num_texts: int = 1  # in a row, each in a part of its own


class TextTask:
    """What the tasks share. Arguments: `labels`, the names that a label's index counts;
    `config`, a TaskConfig."""

    metrics = ()  # those a validation shows; the best weights are chosen by the first, unless told
    empty = -1  # the target of a row without example

    def __init__(self, labels, config):
        self.labels, self.config = tuple(labels), config

    @property
    def best_metrics(self):
        """The metrics that can choose the best weights: those that every data set has."""
        return [*(metric for metric in self.metrics if metric != "roc_auc"), "loss"]

    def _options(self):
        # The name is part of a checkpoint's names: without it, it would count the heads that the
        # process has made.
        num_texts = 2 if self.config.pair_encoding == "bi" else 1
        return {
            "pooling": self.config.pooling,
            "dropout": self.config.head_dropout,
            "num_texts": num_texts,
            "name": "head",
        }

    def shown_label(self, example):
        """The label of an example for people to read."""
        return str(example.label)

    def chosen(self, answers, **tuned):
        """Of the answers for one text those that are given when no number of them is asked for."""
        return answers[:1]

    def features(self, tokenizer, examples):
        """Features of a list of examples; `tokenizer`: a
        transformer.text.encoder_inputs.TextInputs."""
        texts, pairs = _texts(examples)
        if pairs and None in pairs:
            raise ConfigError(
                "texts must be all alone or all in pairs. Received: some of each. Ask in two calls."
            )
        if bi := self.config.pair_encoding == "bi":
            if not pairs:
                raise ConfigError(
                    "a model that compares two texts needs pairs of them. Received: texts alone. "
                    "Add text_pair."
                )
            encoded = tokenizer.encode_apart(texts, pairs, self.config.input_length)
        else:
            encoded = tokenizer.encode(texts, pairs, self.config.input_length)
        ids, types, lengths = (list(column) for column in zip(*encoded))
        return Features(ids, types, self.targets(examples), lengths, num_texts=1 + bi)

    def predictions(self, examples, features, outputs):
        """One prediction an example of what the head predicts for each row: an array or a list."""
        return np.stack(outputs)

    def tuned(self, examples, predictions):
        """What is chosen on validation data for `answers` and `scores`, a dict for JSON:
        nothing."""
        return {}


class Classification(TextTask):
    """One label a text. A prediction is the probabilities of the classes, (C,)."""

    metrics = ("accuracy", "f1", "f1_micro", "matthews", "roc_auc")

    def head(self, train, label_smoothing=0.0):
        """A head for these training examples."""
        weights = ()
        if self.config.class_weights == "balanced":
            counts = np.bincount([example.label for example in train], minlength=len(self.labels))
            weights = [len(train) / (len(self.labels) * max(count, 1)) for count in counts]
        options = dict(class_weights=weights, label_smoothing=label_smoothing)
        return ClassificationHead(len(self.labels), **options, **self._options())

    def shown_label(self, example):
        return self.labels[example.label]

    def targets(self, examples):
        return np.array(
            [[-1 if example.label is None else example.label] for example in examples], np.int32
        )

    def scores(self, examples, predictions, **tuned):
        return metrics.classification_scores(self.targets(examples)[:, 0], predictions)

    def report(self, examples, predictions, train=(), **tuned):
        labels = [example.label for example in train] or None
        return reports.classification_report(
            *_texts(examples),
            self.targets(examples)[:, 0],
            predictions,
            self.labels,
            train_labels=labels,
        )

    def answers(self, examples, predictions, **tuned):
        """For each text its labels, the likeliest first: [{"label": str, "score": probability},
        ...]."""
        return [
            [
                {"label": self.labels[number], "score": float(row[number])}
                for number in np.argsort(-row, kind="stable")
            ]
            for row in predictions
        ]


class Multilabel(Classification):
    """Any number of labels a text. A prediction is the probability of each, (C,)."""

    metrics = ("f1_micro", "f1_macro", "exact_match_ratio", "roc_auc")

    def head(self, train, label_smoothing=0.0):
        return ClassificationHead(len(self.labels), multilabel=True, **self._options())

    def shown_label(self, example):
        return ", ".join(self.labels[number] for number in example.label)

    def chosen(self, answers, threshold=0.5):
        return [row for row in answers if row["score"] >= threshold]

    def targets(self, examples):
        targets = np.zeros((len(examples), len(self.labels)), np.int32)
        for row, example in enumerate(examples):
            targets[row, list(example.label or ())] = 1
        return targets

    def tuned(self, examples, predictions):
        """The threshold of the probabilities with the best micro F1."""
        return {"threshold": metrics.best_threshold(self.targets(examples), predictions)}

    def scores(self, examples, predictions, threshold=0.5):
        return metrics.multilabel_scores(self.targets(examples), predictions, threshold)

    def report(self, examples, predictions, train=(), threshold=0.5):
        return reports.multilabel_report(
            *_texts(examples), self.targets(examples), predictions, self.labels, threshold
        )


class Regression(TextTask):
    """A number a text. A prediction is the number."""

    metrics, empty = ("spearman", "pearson", "r2"), np.nan

    def head(self, train, label_smoothing=0.0):
        labels = [example.label for example in train]
        if self.config.pair_encoding == "bi":
            return SimilarityHead(min(labels), max(np.ptp(labels), 1e-6), **self._options())
        return RegressionHead(np.mean(labels), max(np.std(labels), 1e-6), **self._options())

    def targets(self, examples):
        return np.array(
            [[np.nan if example.label is None else example.label] for example in examples],
            np.float32,
        )

    def scores(self, examples, predictions):
        return metrics.regression_scores([example.label for example in examples], predictions)

    def report(self, examples, predictions, train=()):
        labels = [example.label for example in train] or None
        return reports.regression_report(
            *_texts(examples), [example.label for example in examples], predictions, labels
        )

    def answers(self, examples, predictions):
        """For each text [{"score": number}]."""
        return [[{"score": float(number)}] for number in predictions]


class Spans(TextTask):
    """Where in a context the answer to a question stands (Devlin et al. 2019, sections 4.2 and
    4.3).

    A prediction is {"answer": str, "start", "end": characters of the context, "score":
    log-probability of the best span, "no_answer": log-probability of none minus that}.
    """

    metrics = ("f1", "exact_match")
    best = 20  # starts and ends that are tried with each other

    def head(self, train, label_smoothing=0.0):
        return SpanHead(self.config.head_dropout, name="head")

    def features(self, tokenizer, examples):
        """One row a window."""
        questions, contexts = (
            [getattr(example, name) for example in examples] for name in ("question", "context")
        )
        windows = tokenizer.windows(
            questions, contexts, self.config.input_length, self.config.stride
        )
        targets = np.array(
            [_place(window, examples[window.example]) for window in windows], np.int32
        )
        lengths = [len(window.ids) for window in windows]
        return Features(
            [w.ids for w in windows], [w.types for w in windows], targets, lengths, tuple(windows)
        )

    def predictions(self, examples, features, outputs):
        """The best span over all windows of a question; see the class. `outputs`: a list of (S,
        2), a window each."""
        spans, nothing = [(0, 0, IMPOSSIBLE)] * len(examples), [-IMPOSSIBLE] * len(examples)
        for window, output in zip(features.windows, outputs):
            spans[window.example] = max(
                spans[window.example], self._best_span(window, output), key=lambda span: span[2]
            )
            # There is no answer anywhere: as sure as the window that is least sure of it.
            nothing[window.example] = min(nothing[window.example], float(output[0].sum()))
        return [
            {
                "answer": example.context[start:end],
                "start": start,
                "end": end,
                "score": score,
                "no_answer": none - score,
            }
            for example, (start, end, score), none in zip(examples, spans, nothing)
        ]

    def _best_span(self, window, output):
        """(first character, last, log-probability) of the likeliest span of at most
        `longest_answer` tokens."""
        inside = [place for place, offset in enumerate(window.offsets) if offset is not None]
        best = (0, 0, IMPOSSIBLE)
        starts, ends = (
            sorted(inside, key=lambda place: -output[place, side])[: self.best] for side in (0, 1)
        )
        for start in starts:
            for end in ends:
                score = float(output[start, 0] + output[end, 1])
                if start <= end < start + self.config.longest_answer and score > best[2]:
                    best = (window.offsets[start][0], window.offsets[end][1], score)
        return best

    def tuned(self, examples, predictions):
        """Where some questions have no answer: how much likelier than the best span none must
        be, to be said."""
        references, answers = self._references(examples), [row["answer"] for row in predictions]
        if all(references):
            return {}
        doubts = [row["no_answer"] for row in predictions]
        found = answer_metrics.best_no_answer_threshold(
            references, answers, doubts, self.config.language
        )
        return {"no_answer_threshold": found}

    def scores(self, examples, predictions, no_answer_threshold=None):
        answers = _said(predictions, no_answer_threshold)
        return answer_metrics.span_scores(self._references(examples), answers, self.config.language)

    def report(self, examples, predictions, train=(), no_answer_threshold=None):
        questions, contexts = (
            [getattr(example, name) for example in examples] for name in ("question", "context")
        )
        answers = _said(predictions, no_answer_threshold)
        return reports.span_report(
            questions, contexts, self._references(examples), answers, self.config.language
        )

    def answers(self, examples, predictions, no_answer_threshold=None):
        """For each question [{"answer": str, "start", "end": its characters in the context,
        "score": probability}]; an answer that is not there is "" at 0, 0, its score the probability
        of that.
        """
        none, found = {"answer": "", "start": 0, "end": 0}, []
        for row, text in zip(predictions, _said(predictions, no_answer_threshold)):
            score = row["score"] if text else row["score"] + row["no_answer"]
            found.append(
                [
                    {
                        "score": float(np.exp(score)),
                        **({name: row[name] for name in none} if text else none),
                    }
                ]
            )
        return found

    @staticmethod
    def _references(examples):
        return [[text for _, text in example.answers] for example in examples]


TASKS = {
    "classification": Classification,
    "multilabel": Multilabel,
    "regression": Regression,
    "spans": Spans,
}


def _texts(examples):
    """The texts, and the second texts or None."""
    pairs = [example.pair for example in examples]
    return [example.text for example in examples], pairs if any(
        pair is not None for pair in pairs
    ) else None


def _said(predictions, no_answer_threshold):
    """The answers of predictions of spans, "" where none is likelier by more than the threshold,
    if there is one."""
    answers = [row["answer"] for row in predictions]
    if no_answer_threshold is None:
        return answers
    return answer_metrics.apply_no_answer_threshold(
        answers, [row["no_answer"] for row in predictions], no_answer_threshold
    )


def _place(window, question):
    """The first and the last token of the first answer in a window; (0, 0) where it is not there,
    (-1, -1) where nobody knows.
    """
    if not question.answers:
        return 0, 0
    begin, text = question.answers[0]
    if begin < 0:
        return -1, -1
    inside = [(place, offset) for place, offset in enumerate(window.offsets) if offset is not None]
    if not inside or inside[0][1][0] > begin or inside[-1][1][1] < begin + len(text):
        return 0, 0
    starts = [place for place, (start, end) in inside if end > begin]
    ends = [place for place, (start, end) in inside if start < begin + len(text)]
    return starts[0], ends[-1]
