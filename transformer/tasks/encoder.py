"""The tasks of an encoder with a head: one label, several labels, a number, or an answer's place.

Each task is a class, and all have the same interface. A task makes the head, and the inputs and
targets of examples. From a model's predictions it makes the scores, the report and the answers. Of
the model it knows only the head.

Examples have `text`, `pair` and `label`. For spans they have `question`, `context` and `answers`.
data/readers/labelled.py reads them.
"""

import dataclasses

import numpy as np

from transformer.config import ConfigError
from transformer.evaluation import reports
from transformer.metrics import answers as answer_metrics
from transformer.metrics import classification as metrics
from transformer.model.heads import ClassificationHead, RegressionHead, SimilarityHead, SpanHead

# The log-probability if there is no span. It is finite, so that differences of it are not NaN.
IMPOSSIBLE = -1e9


@dataclasses.dataclass(frozen=True)
class Features:
    """Examples as a model reads them, in rows.

    An example has one row, or several if its long context is split into windows.

    Attributes:
        ids: list of lists of int, the token ids of each row.
        types: list of lists of int, the token types of each row.
        targets: array with one row for each row of ids.
        lengths: list of int, the length of each row in tokens before it is cut.
        windows: tuple of `Window`, one for each row. It is empty except for spans.
        num_texts: int, the number of texts in a row, each in its own part.
    """

    ids: list
    types: list
    targets: np.ndarray
    lengths: list
    windows: tuple = ()
    num_texts: int = 1


class TextTask:
    """Base class of the tasks.

    Args:
        labels: sequence of str, the names of the labels. An example's label is an index into them.
        config: `TaskConfig`.

    Attributes:
        metrics: tuple of str, the metrics that a validation shows. The first one chooses the best
            weights, unless the configuration names another.
        empty: number, the target of a row without an example.
    """

    metrics = ()
    empty = -1

    def __init__(self, labels, config):
        self.labels, self.config = tuple(labels), config

    @property
    def best_metrics(self):
        """The metrics that can choose the best weights, a list of str.

        roc_auc is not among them, because some datasets do not have it.
        """
        return [*(metric for metric in self.metrics if metric != "roc_auc"), "loss"]

    def _options(self):
        # The name of the head is part of the names of its weights in a checkpoint. Keras's default
        # name would depend on how many heads the process has made.
        num_texts = 2 if self.config.pair_encoding == "bi" else 1
        return {
            "pooling": self.config.pooling,
            "dropout": self.config.head_dropout,
            "num_texts": num_texts,
            "name": "head",
        }

    def shown_label(self, example):
        """Returns the label of an example as text, for display."""
        return str(example.label)

    def chosen(self, answers, **tuned):
        """Returns the answers to give when the caller does not ask for a number of answers.

        Args:
            answers: list of dicts, all answers for one text, the most likely first.
            **tuned: what `tuned` returned.

        Returns:
            A list of dicts.
        """
        return answers[:1]

    def features(self, tokenizer, examples):
        """Makes the features of examples.

        Args:
            tokenizer: `TextInputs`, from transformer/text/encoder_inputs.py.
            examples: list of examples.

        Returns:
            A `Features`.

        Raises:
            ConfigError: only some examples are pairs, or none is and the task compares two texts
                (pair_encoding="bi").
        """
        texts, pairs = _texts(examples)
        if pairs and None in pairs:
            raise ConfigError(
                "inputs must be all single texts or all pairs. Received: both. Use one call for "
                "each kind."
            )
        if bi := self.config.pair_encoding == "bi":
            if not pairs:
                raise ConfigError(
                    "a model with pair_encoding='bi' needs pairs of texts. Received: single "
                    "texts. Add text_pair."
                )
            encoded = tokenizer.encode_apart(texts, pairs, self.config.input_length)
        else:
            encoded = tokenizer.encode(texts, pairs, self.config.input_length)
        ids, types, lengths = (list(column) for column in zip(*encoded))
        return Features(ids, types, self.targets(examples), lengths, num_texts=1 + bi)

    def predictions(self, examples, features, outputs):
        """Turns the outputs for each row into one prediction for each example.

        Args:
            examples: list of examples.
            features: `Features` of these examples.
            outputs: list of arrays, what the head predicts for each row.

        Returns:
            An array or a list, one prediction for each example.
        """
        return np.stack(outputs)

    def tuned(self, examples, predictions):
        """Returns what is tuned on validation data, by default nothing.

        Args:
            examples: list of examples.
            predictions: from `predictions`.

        Returns:
            A dict for JSON, the keyword arguments of `answers`, `chosen`, `scores` and `report`.
        """
        return {}


class Classification(TextTask):
    """The task with one label for each text.

    A prediction is a float array of shape (C,), the probabilities of the C classes.
    """

    metrics = ("accuracy", "f1", "f1_micro", "matthews", "roc_auc")

    def head(self, train, label_smoothing=0.0):
        """Returns a new head for the given training examples.

        Args:
            train: list of examples. Balanced class weights are computed from their labels.
            label_smoothing: float, the probability mass that is spread over the classes.

        Returns:
            A `ClassificationHead`.
        """
        weights = ()
        if self.config.class_weights == "balanced":
            counts = np.bincount([example.label for example in train], minlength=len(self.labels))
            weights = [len(train) / (len(self.labels) * max(count, 1)) for count in counts]
        options = dict(class_weights=weights, label_smoothing=label_smoothing)
        return ClassificationHead(len(self.labels), **options, **self._options())

    def shown_label(self, example):
        """Returns the name of an example's label."""
        return self.labels[example.label]

    def targets(self, examples):
        """Returns the classes of examples, int32 (examples, 1), with -1 where there is no label."""
        return np.array(
            [[-1 if example.label is None else example.label] for example in examples], np.int32
        )

    def scores(self, examples, predictions, **tuned):
        """Returns the scores of predictions, a dict from name to number."""
        return metrics.classification_scores(self.targets(examples)[:, 0], predictions)

    def report(self, examples, predictions, train=(), **tuned):
        """Returns a report on a test set, with a baseline from `train` if it is given."""
        labels = [example.label for example in train] or None
        return reports.classification_report(
            *_texts(examples),
            self.targets(examples)[:, 0],
            predictions,
            self.labels,
            train_labels=labels,
        )

    def answers(self, examples, predictions, **tuned):
        """Returns the labels of each text, the most likely first.

        Args:
            examples: list of examples.
            predictions: from `predictions`.
            **tuned: not used.

        Returns:
            A list of lists of {"label": str, "score": probability}.
        """
        return [
            [
                {"label": self.labels[number], "score": float(row[number])}
                for number in np.argsort(-row, kind="stable")
            ]
            for row in predictions
        ]


class Multilabel(Classification):
    """The task with any number of labels for each text.

    A prediction is a float array of shape (C,), the probability of each of the C labels.
    """

    metrics = ("f1_micro", "f1_macro", "exact_match_ratio", "roc_auc")

    def head(self, train, label_smoothing=0.0):
        """Returns a new head. The arguments are not used."""
        return ClassificationHead(len(self.labels), multilabel=True, **self._options())

    def shown_label(self, example):
        """Returns the names of an example's labels, separated by commas."""
        return ", ".join(self.labels[number] for number in example.label)

    def chosen(self, answers, threshold=0.5):
        """Returns the answers whose probability is at least the threshold."""
        return [row for row in answers if row["score"] >= threshold]

    def targets(self, examples):
        """Returns the labels of examples, int32 (examples, C), with 1 where a label applies."""
        targets = np.zeros((len(examples), len(self.labels)), np.int32)
        for row, example in enumerate(examples):
            targets[row, list(example.label or ())] = 1
        return targets

    def tuned(self, examples, predictions):
        """Returns the probability threshold with the best micro F1, as {"threshold": float}."""
        return {"threshold": metrics.best_threshold(self.targets(examples), predictions)}

    def scores(self, examples, predictions, threshold=0.5):
        """Returns the scores of predictions, a dict from name to number."""
        return metrics.multilabel_scores(self.targets(examples), predictions, threshold)

    def report(self, examples, predictions, train=(), threshold=0.5):
        """Returns a report on a test set. The training examples are not used."""
        return reports.multilabel_report(
            *_texts(examples), self.targets(examples), predictions, self.labels, threshold
        )


class Regression(TextTask):
    """The task with a number for each text. A prediction is a float."""

    metrics, empty = ("spearman", "pearson", "r2"), np.nan

    def head(self, train, label_smoothing=0.0):
        """Returns a new head that starts from the labels of the training examples.

        If both texts are read together, or there is one, it starts from their mean and standard
        deviation. If two texts are read apart (pair_encoding="bi"), it starts from their minimum
        and range.

        Args:
            train: list of examples.
            label_smoothing: not used.

        Returns:
            A `RegressionHead` or a `SimilarityHead`.
        """
        labels = [example.label for example in train]
        if self.config.pair_encoding == "bi":
            return SimilarityHead(min(labels), max(np.ptp(labels), 1e-6), **self._options())
        return RegressionHead(np.mean(labels), max(np.std(labels), 1e-6), **self._options())

    def targets(self, examples):
        """Returns the numbers of examples, float32 (examples, 1), NaN where there is no label."""
        return np.array(
            [[np.nan if example.label is None else example.label] for example in examples],
            np.float32,
        )

    def scores(self, examples, predictions):
        """Returns the scores of predictions, a dict from name to number."""
        return metrics.regression_scores([example.label for example in examples], predictions)

    def report(self, examples, predictions, train=()):
        """Returns a report on a test set, with a baseline from `train` if it is given."""
        labels = [example.label for example in train] or None
        return reports.regression_report(
            *_texts(examples), [example.label for example in examples], predictions, labels
        )

    def answers(self, examples, predictions):
        """Returns [{"score": number}] for each text."""
        return [[{"score": float(number)}] for number in predictions]


class Spans(TextTask):
    """The task of finding the answer to a question in a context.

    It follows Devlin et al. 2019, sections 4.2 and 4.3. A prediction is a dict with these keys:

    - "answer": str, the text of the best span.
    - "start" and "end": int, its characters in the context.
    - "score": float, its log-probability.
    - "no_answer": float, the log-probability that there is no answer, minus "score".

    Attributes:
        best: int, the number of most likely starts and ends that are combined into spans.
    """

    metrics = ("f1", "exact_match")
    best = 20

    def head(self, train, label_smoothing=0.0):
        """Returns a new head. The arguments are not used."""
        return SpanHead(self.config.head_dropout, name="head")

    def features(self, tokenizer, examples):
        """Makes the features of questions, with one row for each window.

        Args:
            tokenizer: `TextInputs`, from transformer/text/encoder_inputs.py.
            examples: list of questions.

        Returns:
            A `Features`, whose targets are the first and the last token of the answer, int32 (rows,
            2).
        """
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
        """Finds the best span of each question over all its windows.

        Args:
            examples: list of questions.
            features: `Features` of these questions.
            outputs: list of float arrays of shape (S, 2), the log-probabilities of start and end
                for each window.

        Returns:
            A list of dicts, one prediction for each question, as in the class docstring.
        """
        spans, nothing = [(0, 0, IMPOSSIBLE)] * len(examples), [-IMPOSSIBLE] * len(examples)
        for window, output in zip(features.windows, outputs):
            spans[window.example] = max(
                spans[window.example], self._best_span(window, output), key=lambda span: span[2]
            )
            # There is no answer only if no window has one, so the window that is least sure of it
            # decides.
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
        """Returns the most likely span of at most `longest_answer` tokens in a window.

        The span is a tuple (start, end, log-probability), with start and end in characters of the
        context.
        """
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
        """Returns the threshold of "no answer", if some of the questions have no answer.

        A prediction becomes "no answer" if its "no_answer" is above the threshold.

        Args:
            examples: list of questions.
            predictions: from `predictions`.

        Returns:
            {"no_answer_threshold": float}, or {} if every question has an answer.
        """
        references, answers = self._references(examples), [row["answer"] for row in predictions]
        if all(references):
            return {}
        doubts = [row["no_answer"] for row in predictions]
        found = answer_metrics.best_no_answer_threshold(
            references, answers, doubts, self.config.language
        )
        return {"no_answer_threshold": found}

    def scores(self, examples, predictions, no_answer_threshold=None):
        """Returns the scores of predictions, a dict from name to number."""
        answers = _said(predictions, no_answer_threshold)
        return answer_metrics.span_scores(self._references(examples), answers, self.config.language)

    def report(self, examples, predictions, train=(), no_answer_threshold=None):
        """Returns a report on a test set. The training examples are not used."""
        questions, contexts = (
            [getattr(example, name) for example in examples] for name in ("question", "context")
        )
        answers = _said(predictions, no_answer_threshold)
        return reports.span_report(
            questions, contexts, self._references(examples), answers, self.config.language
        )

    def answers(self, examples, predictions, no_answer_threshold=None):
        """Returns the answer to each question.

        Args:
            examples: list of questions.
            predictions: from `predictions`.
            no_answer_threshold: float, see `tuned`. None means that a span is always given.

        Returns:
            A list of [{"answer": str, "start": int, "end": int, "score": probability}], with start
            and end in characters of the context. If there is no answer, "answer" is "", start and
            end are 0, and "score" is the probability of no answer.
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
    """Returns the texts of examples and their second texts, or None if no example has one."""
    pairs = [example.pair for example in examples]
    return [example.text for example in examples], pairs if any(
        pair is not None for pair in pairs
    ) else None


def _said(predictions, no_answer_threshold):
    """Returns the answers of span predictions, "" where "no_answer" is above the threshold.

    Without a threshold (None), the answers are those of the best spans.
    """
    answers = [row["answer"] for row in predictions]
    if no_answer_threshold is None:
        return answers
    return answer_metrics.apply_no_answer_threshold(
        answers, [row["no_answer"] for row in predictions], no_answer_threshold
    )


def _place(window, question):
    """Returns the first and the last token of a question's first answer in a window.

    They are (0, 0) if the window does not contain the whole answer, and (-1, -1) if it is not known
    where in the context the answer is.
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
