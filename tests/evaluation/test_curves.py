"""The remark on the curves of a training: each rule just before and just after it holds."""

from transformer.evaluation.curves import overfitting_remark

CURVES = [
    (step, name, value)
    for name, values in {"train/loss": [1.0, 0.5, 0.1], "validation/loss": [0.8, 0.6, 0.9]}.items()
    for step, value in zip((100, 200, 300), values)
]


def test_overfitting_is_remarked():
    assert overfitting_remark(CURVES) == (
        "The model overfits: validation loss rose from 0.600 at step 200 to 0.900 at step 300 "
        "while training loss fell from "
        "0.500 to 0.100. Try --early_stopping, fewer --epochs, more dropout or --weight_decay, or "
        "--tuning=lora."
    )
    metrics = [
        (300, "train/accuracy", 0.99),
        (200, "validation/accuracy", 0.85),
        (300, "validation/accuracy", 0.8),
    ]
    assert (
        "0.100; accuracy is 0.990 on training and 0.800 on validation data. Try"
        in overfitting_remark(CURVES + metrics)
    )
    better = [*metrics[:2], (300, "validation/accuracy", 0.9)]
    assert (
        "0.900 on validation data, where it is at its best: the model is too sure"
        in overfitting_remark(CURVES + better)
    )


def curves(train, validation):
    named = {"train/loss": train, "validation/loss": validation}
    return [
        (step, name, value) for name, values in named.items() for step, value in enumerate(values)
    ]


def test_the_rule_of_the_remark():
    # Risen by 4 %, and by 6 % with training loss risen too; by 50 % of next to nothing.
    assert overfitting_remark(curves([1.0, 0.5, 0.4], [0.8, 0.5, 0.52])) == ""
    assert "overfits" in overfitting_remark(curves([1.0, 0.5, 0.4], [0.8, 0.5, 0.53]))
    assert "overfits" not in overfitting_remark(curves([1.0, 0.5, 0.6], [0.8, 0.5, 0.53]))
    assert overfitting_remark(curves([1.0, 0.5, 0.0], [0.8, 0.002, 0.003])) == ""
    assert overfitting_remark(curves([0.7, 0.7, 0.69], [0.7, 0.7, 0.7])).startswith(
        "The model underfits: training loss went only from 0.700 to 0.690. Try a higher "
        "--learning_rate"
    )
    assert overfitting_remark(curves([1.0, 0.5, 0.3], [0.9, 0.6, 0.5])) == (
        "The model is not done: validation loss still fell at last, from 0.600 to 0.500. Try more "
        "--epochs."
    )
    assert overfitting_remark(curves([1.0, 0.5, 0.3], [0.9, 0.5, 0.495])) == ""
    assert overfitting_remark([]) == overfitting_remark(curves([1.0, 0.1], [0.5])) == ""


def test_a_gap_of_the_metric_is_remarked_where_losses_say_nothing():
    settled = curves([1.0, 0.5, 0.3], [0.9, 0.5, 0.495])
    gap = [
        (2, "validation/f1", 80.0),
        (1, "validation/f1", 81.0),
        (2, "train/f1", 99.0),
        (2, "train/em", 1.0),
        (2, "validation/em", 1.0),
    ]
    assert overfitting_remark(settled + gap) == (
        "The model does better on texts that it knows; f1 is 99.000 on training and 80.000 on "
        "validation data. "
        "Try more texts, more dropout or --weight_decay, or --tuning=lora."
    )
    assert overfitting_remark([*settled, (2, "validation/f1", 90.0), (2, "train/f1", 99.0)]) == ""


def test_the_order_of_the_points_and_what_is_not_finite_change_nothing():
    remark = overfitting_remark(CURVES)
    assert overfitting_remark(CURVES[::-1]) == remark != ""
    broken = [
        (400, "validation/loss", float("inf")),
        (50, "train/loss", float("nan")),
        (60, "train/loss", float("-inf")),
    ]
    assert overfitting_remark([*CURVES, *broken]) == remark
    assert (
        overfitting_remark([(300, "validation/loss", 5.0), *CURVES]) == remark
    )  # written again after a restart


def test_the_level_of_training_is_the_mean_of_its_last_points():
    """Of twelve points five, of seven three, of three one."""
    train = [1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.0]
    validation = [
        (0, "validation/loss", 0.9),
        (5, "validation/loss", 0.6),
        (11, "validation/loss", 0.8),
    ]
    points = [(step, "train/loss", value) for step, value in enumerate(train)]
    remark = overfitting_remark(points + validation)
    assert (
        "rose from 0.600 at step 5 to 0.800 at step 11 while training loss fell from 0.900 to "
        "0.280." in remark
    )
    remark = overfitting_remark(
        points[:7] + [(step and step - 2, *more) for step, *more in validation]
    )
    assert (
        "rose from 0.600 at step 3 to 0.800 at step 9 while training loss fell from 1.000 to "
        "0.700." in remark
    )
    # Before the first point of training its level is that of the first.
    late = [(10 * step + 10, *more) for step, *more in points[:3]]
    remark = overfitting_remark([*late, (0, "validation/loss", 0.5), (30, "validation/loss", 0.8)])
    assert (
        "rose from 0.500 at step 0 to 0.800 at step 30 while training loss fell from 1.200 to "
        "1.000." in remark
    )


def test_each_threshold_just_before_and_just_after():
    falling, settled = [1.0, 0.5, 0.3], [0.9, 0.5, 0.495]
    # By 1 % of the first, where the lowest is next to nothing.
    assert "overfits" in overfitting_remark(curves(falling, [0.8, 0.002, 0.0105]))
    assert "overfits" not in overfitting_remark(curves(falling, [0.8, 0.002, 0.0095]))
    assert (
        overfitting_remark(curves([1.0, 0.5, 0.5], [0.8, 0.5, 0.53])) == ""
    )  # training loss did not fall on
    assert "from 0.500 at step 1 to 0.600" in overfitting_remark(
        curves([1.0, 0.5, 0.4, 0.3], [0.8, 0.5, 0.5, 0.6])
    )
    for last, remark in (
        (0.91, "training loss went only from 1.000 to 0.910."),
        (0.9, ""),
        (0.89, ""),
    ):
        found = overfitting_remark(curves([1.0, 0.95, last], [0.9, 0.9, 0.9]))
        assert remark in found and bool(remark) == bool(found)
    assert (
        overfitting_remark(curves([1.0, 0.5, 0.48], [0.9, 0.5, 0.5])) == ""
    )  # it is the first that counts
    assert "only from 1.000 to 0.930." in overfitting_remark(
        curves([1.0, 0.95, 0.93], [0.9, 0.8, 0.8])
    )
    assert "fell at last, from 0.500 to 0.485." in overfitting_remark(
        curves(falling, [0.9, 0.5, 0.485])
    )
    assert (
        overfitting_remark(curves(falling, settled))
        == overfitting_remark(curves(falling, [0.9, 0.5, 0.505]))
        == ""
    )
    for value, remarked in ((88.0, True), (89.0, True), (89.2, False), (90.0, False)):
        metrics = [
            (1, "validation/f1", 60.0 if remarked else 1.0),
            (2, "validation/f1", value),
            (1, "train/f1", 40.0),
            (2, "train/f1", 99.0),
        ]
        assert (
            "does better on texts that it knows; f1 is 99.000 on"
            in overfitting_remark(curves(falling, settled) + metrics)
        ) == remarked
    assert (
        overfitting_remark(curves([1.0], [0.9, 0.5]))
        == overfitting_remark(curves([1.0, 0.95], [0.9]))
        == ""
    )
    assert "underfits" in overfitting_remark(
        curves([1.0, 0.95], [0.9, 0.9])
    )  # two points are enough


def test_losses_and_metrics_may_be_negative():
    below = [-0.5, -0.9, -1.1]
    assert (
        overfitting_remark(curves(below, [-0.9, -1.0, -0.97]))
        == overfitting_remark(curves(below, [-0.9, -1.0, -1.01]))
        == ""
    )
    assert "overfits" in overfitting_remark(curves(below, [-0.9, -1.0, -0.94]))
    assert "not done" in overfitting_remark(curves(below, [-0.9, -1.0, -1.03]))
    settled = curves([1.0, 0.5, 0.3], [0.9, 0.5, 0.495])
    for value, remarked in ((-1.05, False), (-1.095, False), (-1.105, True), (-1.15, True)):
        metrics = [(2, "train/r2", -1.0), (2, "validation/r2", value)]
        assert ("texts that it knows; r2" in overfitting_remark(settled + metrics)) == remarked


def test_a_metric_is_quoted_if_it_is_of_both_and_is_best_only_beside_others():
    once = [(300, "train/accuracy", 0.99), (300, "validation/accuracy", 0.85)]
    assert "accuracy is 0.990 on training and 0.850 on validation data. Try" in overfitting_remark(
        CURVES + once
    )
    alone = [(300, "validation/bleu", 0.5), (300, "train/rouge", 0.5)]
    assert "while training loss fell from 0.500 to 0.100. Try" in overfitting_remark(CURVES + alone)
    assert "0.100; accuracy is 0.990" in overfitting_remark(CURVES + alone + once)
    still = curves([0.7, 0.7, 0.69], [0.7, 0.7, 0.7])
    metrics = [(2, "train/em", 1.0), (1, "validation/em", 0.9), (2, "validation/em", 0.8)]
    assert (
        "0.700 to 0.690; em is 1.000 on training and 0.800 on validation data. Try a higher"
        in overfitting_remark(still + metrics)
    )
