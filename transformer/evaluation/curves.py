"""What the curves of a training say: overfitting, underfitting, too few epochs; and the flags
that help."""

import collections
import math
import statistics

_LEARN_LESS = "more dropout or --weight_decay, or --tuning=lora."


def overfitting_remark(points):
    """A sentence on curves of training and validation that show overfitting or underfitting, and
    the flags that help.

    - Overfits: the last validation loss is above the lowest by more than 5 % of the lowest and 1 %
      of the first, while the training loss fell from there to the end.
    - Underfits: else, the training loss ended above 90 % of its first value.
    - Not done: else, the last validation loss is below the one before it by more than 2 %.
    - Does not generalise: else, a metric ended more than 10 % lower on validation data than on
      training data.

    The training loss "at" a step is the mean of the last points up to it, 5 or half of all if that
    is fewer: a batch's loss is noise. The metric is the first with curves "train/NAME" and
    "validation/NAME".

    Args:
        points: list of (step, name, value), among them "train/loss" and "validation/loss", the
            steps in any order.

    Returns:
        str; "" where none holds, or either curve has less than two points.
    """
    curves = _curves(points)
    train, validation = curves.get("train/loss", []), curves.get("validation/loss", [])
    if min(len(train), len(validation)) < 2:
        return ""
    best_step, best = min(validation, key=lambda point: (point[1], point[0]))
    (last_step, last), before, first = validation[-1], validation[-2][1], validation[0][1]
    then, now, metric = _level(train, best_step), _level(train, math.inf), _metric(curves)
    if last - best > max(0.05 * abs(best), 0.01 * abs(first)) and now < then:
        return (
            f"The model overfits: validation loss rose from {best:.3f} at step {best_step} to "
            f"{last:.3f} at step {last_step} "
            f"while training loss fell from {then:.3f} to {now:.3f}{_quoted(metric)}. "
            f"Try --early_stopping, fewer --epochs, {_LEARN_LESS}"
        )
    if now > 0.9 * train[0][1]:
        return (
            f"The model underfits: training loss went only from {train[0][1]:.3f} to "
            f"{now:.3f}{_quoted(metric)}. "
            "Try a higher --learning_rate, more --epochs, or less dropout and --weight_decay."
        )
    if last < before - 0.02 * abs(before):
        return (
            f"The model is not done: validation loss still fell at last, from {before:.3f} to "
            f"{last:.3f}. Try more --epochs."
        )
    if metric and metric[1] - metric[2][-1] > 0.1 * abs(metric[1]):
        return (
            f"The model does better on texts that it knows{_quoted(metric)}. "
            f"Try more texts, {_LEARN_LESS}"
        )
    return ""


def _curves(points):
    """{name: [(step, value)] in order of steps} of the points that are finite; of a step written
    twice, the last."""
    curves = collections.defaultdict(dict)
    for step, name, value in points:
        if math.isfinite(value):
            curves[name][step] = value
    return {name: sorted(curve.items()) for name, curve in curves.items()}


def _level(curve, step):
    """The mean of a curve's last points up to a step; its first point if none is so early."""
    count = min(5, len(curve) // 2)
    values = [value for at, value in curve if at <= step][-count:] or [curve[0][1]]
    return statistics.fmean(values)


def _metric(curves):
    """(name, last value on training data, values on validation data) of the first metric that
    there is of both; else None."""
    for name, curve in curves.items():
        part, _, metric = name.partition("/")
        if part == "validation" and metric != "loss" and f"train/{metric}" in curves:
            return metric, curves[f"train/{metric}"][-1][1], [value for _, value in curve]


def _quoted(metric):
    """A metric in a sentence: "; accuracy is 0.99 on training and 0.81 on validation data"."""
    if not metric:
        return ""
    name, train, validation = metric
    best = len(validation) > 1 and validation[-1] == max(validation)
    return f"; {name} is {train:.3f} on training and {validation[-1]:.3f} on validation data" + (
        ", where it is at its best: the model is too sure of itself rather than worse"
        if best
        else ""
    )
