"""The remark on the curves of a training: each rule just before and just after it holds."""

from transformer.remarks import overfitting_remark

CURVES = [
    (step, name, value)
    for name, values in {"train/loss": [1.0, 0.5, 0.1], "validation/loss": [0.8, 0.6, 0.9]}.items()
    for step, value in zip((100, 200, 300), values)
]


def test_overfitting_is_remarked():
    assert overfitting_remark(CURVES) == (
        "The model overfits: validation loss rose from 0.600 at step 200 to 0.900 at step 300 while training loss fell from "
        "0.500 to 0.100. Try --early_stopping, fewer --epochs, more dropout or --weight_decay, or --tuning=lora."
    )
    metrics = [(300, "train/accuracy", 0.99), (200, "validation/accuracy", 0.85), (300, "validation/accuracy", 0.8)]
    assert "0.100; accuracy is 0.990 on training and 0.800 on validation data. Try" in overfitting_remark(CURVES + metrics)
    better = [*metrics[:2], (300, "validation/accuracy", 0.9)]
    assert "0.900 on validation data, where it is at its best: the model is too sure" in overfitting_remark(CURVES + better)


def curves(train, validation):
    named = {"train/loss": train, "validation/loss": validation}
    return [(step, name, value) for name, values in named.items() for step, value in enumerate(values)]


def test_the_rule_of_the_remark():
    # Risen by 4 %, and by 6 % with training loss risen too; by 50 % of next to nothing.
    assert overfitting_remark(curves([1.0, 0.5, 0.4], [0.8, 0.5, 0.52])) == ""
    assert "overfits" in overfitting_remark(curves([1.0, 0.5, 0.4], [0.8, 0.5, 0.53]))
    assert "overfits" not in overfitting_remark(curves([1.0, 0.5, 0.6], [0.8, 0.5, 0.53]))
    assert overfitting_remark(curves([1.0, 0.5, 0.0], [0.8, 0.002, 0.003])) == ""
    assert overfitting_remark(curves([0.7, 0.7, 0.69], [0.7, 0.7, 0.7])).startswith(
        "The model underfits: training loss went only from 0.700 to 0.690. Try a higher --learning_rate"
    )
    assert overfitting_remark(curves([1.0, 0.5, 0.3], [0.9, 0.6, 0.5])) == (
        "The model is not done: validation loss still fell at last, from 0.600 to 0.500. Try more --epochs."
    )
    assert overfitting_remark(curves([1.0, 0.5, 0.3], [0.9, 0.5, 0.495])) == ""
    assert overfitting_remark([]) == overfitting_remark(curves([1.0, 0.1], [0.5])) == ""


def test_a_gap_of_the_metric_is_remarked_where_losses_say_nothing():
    settled = curves([1.0, 0.5, 0.3], [0.9, 0.5, 0.495])
    gap = [(2, "validation/f1", 80.0), (1, "validation/f1", 81.0), (2, "train/f1", 99.0), (2, "train/em", 1.0), (2, "validation/em", 1.0)]
    assert overfitting_remark(settled + gap) == (
        "The model does better on texts that it knows; f1 is 99.000 on training and 80.000 on validation data. "
        "Try more texts, more dropout or --weight_decay, or --tuning=lora."
    )
    assert overfitting_remark([*settled, (2, "validation/f1", 90.0), (2, "train/f1", 99.0)]) == ""
