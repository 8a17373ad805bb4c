"""Labels: what stands in a file or a column -> an index among the names, several of them, a
number, or a text."""

import collections
import math

from data.readers.files import is_text


class WrongLabel(ValueError):
    """A label that is none: raised with the reason and what was read."""


def found_names(labels, task):
    """The names that occur among labels as they were read, sorted, by value if all are numbers: a
    tuple.

    >>> found_names(["10", 9, "9 "], "classification"), found_names(["joy,fear", ""], "multilabel")
    (('9', '10'), ('fear', 'joy'))
    """
    names = set()
    for label in labels:
        try:
            names.update(map(_name, _parts(label) if task == "multilabel" else [label]))
        except WrongLabel:  # counted when the labels are converted
            continue
    numeric = all(map(_is_number, names))
    return tuple(sorted(names, key=lambda name: (float(name), name) if numeric else name))


def _is_number(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _name(label):
    """The name of one label as it was read: 1, 1.0 and "1 " are "1"."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if not isinstance(label, (str, int, float)) or label != label or not str(label).strip():
        raise WrongLabel("no label", repr(label))
    return str(label).strip()


def _parts(label):
    """The labels in "a, b", in ["a", "b"], or in the one label 3."""
    if isinstance(label, str):
        return [part for part in label.split(",") if part.strip()]
    return label if isinstance(label, list) else [label]


def converter(task, names):
    """A function from a label as it was read to an index, a tuple of indices, a float or a str; it
    raises WrongLabel.

    >>> converter("classification", ("bad", "good"))("1")
    1
    >>> converter("multilabel", ("a", "b", "c"))("c, a")
    (0, 2)
    """
    # Numbers stand for the names in their order, unless the names are numbers themselves.
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
    """{name: how many labels have it}; for a regression {"lowest", "mean", "highest"}; for spans,
    whose labels are the answers, how many questions have any; for texts nothing.
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
