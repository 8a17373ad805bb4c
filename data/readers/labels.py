"""Labels: converts what a file or a column contains to what a task needs.

That is an index into the label names, several indices, a number, or a text.
"""

import collections
import math

from data.readers.files import is_text


class WrongLabel(ValueError):
    """Raised for a label that cannot be used. Its `args` are the reason and what was read."""


def found_names(labels, task):
    """Returns the label names that occur, sorted, by value if all of them are numbers.

    >>> found_names(["10", 9, "9 "], "classification"), found_names(["joy,fear", ""], "multilabel")
    (('9', '10'), ('fear', 'joy'))

    Args:
        labels: list of labels as they were read.
        task: str, "classification" or "multilabel".

    Returns:
        A tuple of str.
    """
    names = set()
    for label in labels:
        try:
            names.update(map(_name, _parts(label) if task == "multilabel" else [label]))
        except WrongLabel:
            # The conversion of the labels counts it.
            continue
    numeric = all(map(_is_number, names))
    return tuple(sorted(names, key=lambda name: (float(name), name) if numeric else name))


def _is_number(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _name(label):
    """Returns the name of one label as it was read: 1, 1.0 and "1 " are "1"."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if not isinstance(label, (str, int, float)) or label != label or not str(label).strip():
        raise WrongLabel("no label", repr(label))
    return str(label).strip()


def _parts(label):
    """Returns the labels in "a, b", in ["a", "b"], or in the single label 3, as a list."""
    if isinstance(label, str):
        return [part for part in label.split(",") if part.strip()]
    return label if isinstance(label, list) else [label]


def converter(task, names):
    """Returns a function that converts a label as it was read to what the task needs.

    >>> converter("classification", ("bad", "good"))("1")
    1
    >>> converter("multilabel", ("a", "b", "c"))("c, a")
    (0, 2)

    Args:
        task: str, "classification", "multilabel", "regression" or "text2text".
        names: tuple of str, the label names.

    Returns:
        A function. Its result is an index, a tuple of indices, a float or a str, in the order of
        the tasks above. It raises `WrongLabel`.
    """
    # Numbers are indices of the names, unless there are names that are numbers themselves.
    numbers = (
        {} if any(map(_is_number, names)) else {str(index): index for index in range(len(names))}
    )
    index = numbers | {name: index for index, name in enumerate(names)}

    def one(label):
        name = _name(label)
        if name not in index:
            raise WrongLabel("unknown label", name)
        return index[name]

    def several(label):
        return tuple(sorted({one(part) for part in _parts(label)}))

    def number(label):
        if (
            isinstance(label, bool)
            or not isinstance(label, (str, int, float))
            or not _is_number(label)
        ):
            raise WrongLabel("no number", repr(label))
        return float(label)

    def text(label):
        if not is_text(label):
            raise WrongLabel("no text", repr(label))
        if not label.strip():
            raise WrongLabel("no label", repr(label))
        return label

    return {"classification": one, "multilabel": several, "regression": number, "text2text": text}[
        task
    ]


def count_labels(labels, task, names):
    """Counts the labels of a split.

    Args:
        labels: list of converted labels. For spans, the answers of each question.
        task: str.
        names: tuple of str, the label names.

    Returns:
        A dict. {name: count} for classification and multilabel. {"lowest", "mean", "highest"} for
        regression, or an empty dict if there are no labels. {"with answer", "without"} for spans,
        the numbers of questions. An empty dict for text2text.
    """
    if task == "text2text":
        return {}
    if task == "regression":
        return (
            {"lowest": min(labels), "mean": sum(labels) / len(labels), "highest": max(labels)}
            if labels
            else {}
        )
    if task == "spans":
        answered = sum(map(bool, labels))
        return {"with answer": answered, "without": len(labels) - answered}
    counts = collections.Counter()
    for label in labels:
        counts.update(label if task == "multilabel" else [label])
    return {name: counts[index] for index, name in enumerate(names)}
