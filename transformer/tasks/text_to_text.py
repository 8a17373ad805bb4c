"""The tasks of an encoder-decoder: how to score outputs, and the baselines that a model must beat.

To add a task, add an entry to TASKS. docs/tasks.md shows an example.

Pairs are objects with `source`, `target`, `references` (all accepted targets) and `kind` (scores
are also given for each kind, "" if there are none), such as data.pairs.Pair.
"""

import collections
import dataclasses
import re
from collections.abc import Callable

import numpy as np

from transformer.config import ConfigError
from transformer.metrics.answers import commonest_answers, span_scores
from transformer.metrics.classification import translation_scores
from transformer.metrics.code import code_scores, nearest_targets
from transformer.metrics.summaries import first_words, rouge_scores, summary_scores, words

# The target of a question that its context does not answer. The scores treat it as an empty text.
UNANSWERABLE = "unanswerable"


@dataclasses.dataclass(frozen=True)
class Task:
    """The scores, metrics and baselines of a task.

    Attributes:
        scores: function (pairs, outputs, language, confidence) -> dict from name to value.
            `confidence` asks for confidence intervals too, which take longer.
        metrics: tuple of str, the scores that a validation shows. The first one chooses the best
            weights, unless the configuration names another.
        baselines: dict from name to a function (training pairs, pairs) -> outputs.
    """

    scores: Callable
    metrics: tuple
    baselines: dict = dataclasses.field(default_factory=dict)

    def shown(self, pairs, outputs, language):
        """Returns the scores that a validation shows.

        Args:
            pairs: list of pairs.
            outputs: list of str, the model's output for each pair.
            language: str, the language code of the targets.

        Returns:
            A dict from metric to value.
        """
        scores = self.scores(pairs, outputs, language, confidence=False)
        return {name: scores[name] for name in self.metrics}

    def by_kind(self, pairs, outputs, language):
        """Returns the scores of each kind of pairs, if there are several kinds.

        Args:
            pairs: list of pairs.
            outputs: list of str, the model's output for each pair.
            language: str, the language code of the targets, unless the kind names one.

        Returns:
            {kind: {"examples": number of pairs, metric: value}}, or {} if all pairs are of one
            kind.
        """
        groups = collections.defaultdict(list)
        for pair, output in zip(pairs, outputs, strict=True):
            groups[pair.kind].append((pair, output))
        found = (
            {kind: tuple(zip(*rows)) for kind, rows in sorted(groups.items())}
            if len(groups) > 1
            else {}
        )
        return {
            kind: {
                "examples": len(rows[0]),
                **self.shown(*rows, self.language_of(rows[0], language)),
            }
            for kind, rows in found.items()
        }

    @staticmethod
    def language_of(pairs, language):
        """Returns the language code of the targets.

        Args:
            pairs: list of pairs. If all are of one kind that names a language, such as "<2de>",
                that language is returned.
            language: str, returned otherwise.

        Returns:
            A str.
        """
        kinds = {pair.kind for pair in pairs}
        named = re.fullmatch(r"<2(\w+)>", *kinds) if len(kinds) == 1 else None
        return named[1] if named else language

    def baseline_scores(self, train, pairs, language):
        """Returns the scores of the baselines.

        Args:
            train: list of training pairs.
            pairs: list of pairs to score on.
            language: str, the language code of the targets.

        Returns:
            {baseline: {metric: value}}.
        """
        return {
            name: self.shown(pairs, answer(train, pairs), language)
            for name, answer in self.baselines.items()
        }


def _translation(pairs, outputs, language, confidence):
    return translation_scores([pair.target for pair in pairs], list(outputs), language, confidence)


def _summaries(pairs, outputs, language, confidence):
    references = [[*pair.references] for pair in pairs]
    # A validation shows only ROUGE.
    if not confidence:
        return rouge_scores(references, outputs, language, confidence)
    return summary_scores([pair.source for pair in pairs], references, outputs, language)


def _answers(pairs, outputs, language, confidence):
    references = [[text for text in pair.references if text != UNANSWERABLE] for pair in pairs]
    return span_scores(
        references, ["" if text == UNANSWERABLE else text for text in outputs], language
    )


def _code(pairs, outputs, language, confidence):
    return code_scores([pair.target for pair in pairs], list(outputs), confidence)


def _lead(train, pairs):
    """Returns the first words of each source, as many as a training target has on average."""
    count = max(round(np.mean([len(words(pair.target)) for pair in train])), 1)
    return [first_words(pair.source, count) for pair in pairs]


def _commonest(train, pairs):
    # The kind must not give away whether a question has an answer, because finding that out is part
    # of the task.
    train_kinds, kinds = (
        ["" if pair.kind in ("answerable", UNANSWERABLE) else pair.kind for pair in some]
        for some in (train, pairs)
    )
    return commonest_answers([pair.target for pair in train], train_kinds, kinds)


def _nearest(train, pairs):
    sources, targets = zip(*((pair.source, pair.target) for pair in train))
    return nearest_targets(sources, targets, [pair.source for pair in pairs])


TASKS = {
    "translation": Task(_translation, ("bleu", "chrf", "exact_match")),
    "summarization": Task(
        _summaries, ("rougeL", "rouge1", "rouge2"), {"lead": _lead, "nearest": _nearest}
    ),
    "question_answering": Task(_answers, ("f1", "exact_match"), {"commonest": _commonest}),
    "code": Task(_code, ("exact_match", "bleu", "parses"), {"nearest": _nearest}),
    "text2text": Task(_translation, ("bleu", "chrf", "exact_match"), {"nearest": _nearest}),
}


def find_task(name):
    """Returns the Task with the given name.

    Args:
        name: str, a key of TASKS.

    Returns:
        A `Task`.

    Raises:
        ConfigError: there is no such task.
    """
    if name not in TASKS:
        raise ConfigError(f"task must be one of {', '.join(TASKS)}. Received: {name!r}.")
    return TASKS[name]
