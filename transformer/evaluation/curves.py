"""Reads training curves: detects overfitting, underfitting and too few epochs.

The remark names the flags that help.
"""

import collections
import math
import statistics

_LEARN_LESS = "more dropout or --weight_decay, or --tuning=lora."


def overfitting_remark(points):
    """Returns a sentence on what training and validation curves show, and which flags help.

    The first of these cases that holds is reported:

    - Overfitting: the last validation loss is above the lowest one by more than 5 % of the lowest
      and more than 1 % of the first, and the training loss fell from the lowest point to the end.
    - Underfitting: the training loss ended above 90 % of its first value.
    - Not finished: the last validation loss is more than 2 % below the one before it.
    - Weak generalization: a metric ended more than 10 % lower on validation data than on training
      data.

    Since the loss of one batch is noisy, the training loss "at" a step is a mean: of the last 5
    points up to that step, or of the last half of all points if half is fewer than 5. The metric is
    the first one that has both curves "train/NAME" and "validation/NAME".

    Args:
        points: list of (step, name, value), with the steps in any order. The curves
            "train/loss" and "validation/loss" are needed.

    Returns:
        str. "" if no case holds, or if one of the two loss curves has fewer than two points.
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
    """Returns {name: [(step, value), ...]} in order of steps.

    Values that are not finite are left out. Of a step written twice the last value counts.
    """
    curves = collections.defaultdict(dict)
    for step, name, value in points:
        if math.isfinite(value):
            curves[name][step] = value
    return {name: sorted(curve.items()) for name, curve in curves.items()}


def _level(curve, step):
    """Returns the mean of a curve's last points up to a step, or its first value if none exist."""
    count = min(5, len(curve) // 2)
    values = [value for at, value in curve if at <= step][-count:] or [curve[0][1]]
    return statistics.fmean(values)


def _metric(curves):
    """Returns the first metric, other than the loss, that has a training and a validation curve.

    Returns:
        (name, last value on training data, all values on validation data), or None.
    """
    for name, curve in curves.items():
        part, _, metric = name.partition("/")
        if part == "validation" and metric != "loss" and f"train/{metric}" in curves:
            return metric, curves[f"train/{metric}"][-1][1], [value for _, value in curve]


def _quoted(metric):
    """Words a metric as "; accuracy is 0.99 on training and 0.81 on validation data"."""
    if not metric:
        return ""
    name, train, validation = metric
    best = len(validation) > 1 and validation[-1] == max(validation)
    return f"; {name} is {train:.3f} on training and {validation[-1]:.3f} on validation data" + (
        ", where it is at its best: the model is too sure of itself rather than worse"
        if best
        else ""
    )
