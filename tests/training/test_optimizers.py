"""Tests of the optimizers.

Learning rates are worked out by hand. Updates are compared with the papers' formulas and with
Keras's own optimizers.
"""

import math

import keras
import numpy as np
import pytest
from keras import Variable

from transformer.config import TrainingConfig
from transformer.training.optimizers import Adam, AdamW, WarmupSchedule, make_optimizer


@pytest.mark.parametrize(
    "kind, update, rate",
    [
        ("inverse_sqrt", 1, 0.1),
        ("inverse_sqrt", 5, 0.5),
        ("inverse_sqrt", 10, 1.0),
        ("inverse_sqrt", 40, 0.5),
        ("inverse_sqrt", 250, 0.2),
        ("cosine", 1, 0.1),
        ("cosine", 10, 1.0),
        ("cosine", 35, 0.5 + math.sqrt(0.125)),
        ("cosine", 60, 0.5),
        ("cosine", 110, 0.0),
        # The rate does not rise again after the last step.
        ("cosine", 160, 0.0),
        ("linear", 1, 0.1),
        ("linear", 5, 0.5),
        ("linear", 10, 1.0),
        ("linear", 35, 0.75),
        ("linear", 110, 0.0),
        ("linear", 160, 0.0),
        ("constant", 1, 0.1),
        ("constant", 5, 0.5),
        ("constant", 10, 1.0),
        ("constant", 1000, 1.0),
        ("noam", 1, 64**-0.5 * 10**-1.5),
        ("noam", 10, 64**-0.5 * 10**-0.5),
        ("noam", 40, 64**-0.5 * 40**-0.5),
    ],
)
@pytest.mark.parametrize("peak", [1.0, 3.0])
def test_schedules(kind, update, rate, peak):
    schedule = WarmupSchedule(peak, kind, warmup_steps=10, total_steps=110, d_model=64)
    assert float(schedule(update - 1)) == pytest.approx(peak * rate, abs=1e-6)


@pytest.mark.parametrize(
    "kind, rates",
    [
        ("inverse_sqrt", [2.0, 2.0 / math.sqrt(2.0), 1.0]),
        ("noam", [1.0, 1.0 / math.sqrt(2.0), 0.5]),
        ("constant", [2.0, 2.0, 2.0]),
        ("linear", [2.0, 1.5, 0.5]),
        ("cosine", [2.0, 1.0 + math.sqrt(0.5), 1.0 - math.sqrt(0.5)]),
    ],
)
def test_no_warmup_begins_at_the_peak(kind, rates):
    """Updates 1, 2 and 4 of 5."""
    schedule = WarmupSchedule(2.0, kind, warmup_steps=0, total_steps=5, d_model=4)
    assert [float(schedule(update - 1)) for update in (1, 2, 4)] == pytest.approx(rates, abs=1e-6)


def test_a_training_that_is_all_warmup_ends_at_0():
    """And divides nothing by its no steps of decay."""
    for kind in ("linear", "cosine"):
        schedule = WarmupSchedule(2.0, kind, warmup_steps=5, total_steps=5)
        assert [float(schedule(step)) for step in (0, 4, 5)] == pytest.approx([0.4, 2.0, 0.0])


def test_a_schedule_without_options_is_one_of_a_single_update():
    # The default schedule is inverse_sqrt.
    assert float(WarmupSchedule(2.0)(3)) == 1.0
    assert float(WarmupSchedule(2.0, "linear")(1)) == 0.0
    assert float(WarmupSchedule(1.0, "noam")(0)) == pytest.approx(512**-0.5)
    saved = {
        "peak": 2.0,
        "kind": "inverse_sqrt",
        "warmup_steps": 0,
        "total_steps": 1,
        "d_model": 512,
    }
    assert WarmupSchedule(2.0).get_config() == saved


def test_schedule_survives_its_config():
    for kind, rate in (("linear", 0.5 * (1 - 7 / 27)), ("constant", 0.5)):
        schedule = WarmupSchedule(0.5, kind, 3, 30, 16)
        assert schedule.get_config() == {
            "peak": 0.5,
            "kind": kind,
            "warmup_steps": 3,
            "total_steps": 30,
            "d_model": 16,
        }
        saved = keras.saving.serialize_keras_object(schedule)
        assert float(keras.saving.deserialize_keras_object(saved)(9)) == pytest.approx(
            rate, rel=1e-6
        )


# Gradients of any size, some of them 0 or nearly 0.
GRADIENTS = np.array([[3.0, -0.5, 0.0, 1e-4], [-2.0, -0.5, 1e-3, 0.0], [0.7, 10.0, 0.0, -1e-4]])


@pytest.mark.parametrize("name, decay", [("adam", 0.0), ("adamw", 0.3)])
def test_updates_are_those_of_the_paper(name, decay):
    """Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2. At each update the rate
    is another, and the second weight has moments of its own."""
    config = TrainingConfig(
        optimizer=name,
        weight_decay=decay,
        learning_rate=0.5,
        schedule="linear",
        warmup_steps=2,
        train_steps=4,
        adam_beta_1=0.6,
        adam_beta_2=0.8,
        adam_epsilon=0.01,
    )
    begin, factors = np.array([1.0, -2.0, 0.5, 4.0]), (1.0, -3.0)
    weights = [Variable(begin, dtype="float32", name=f"kernel_{number}") for number in range(2)]
    optimizer = make_optimizer(config, 16)
    assert optimizer.name == name
    for gradient in GRADIENTS:
        optimizer.apply([(factor * gradient).astype("float32") for factor in factors], weights)
    for factor, weight in zip(factors, weights):
        expected, first, second = begin, 0.0, 0.0
        for update, (gradient, rate) in enumerate(zip(factor * GRADIENTS, (0.25, 0.5, 0.25)), 1):
            first = 0.6 * first + 0.4 * gradient
            second = 0.8 * second + 0.2 * gradient**2
            # As in section 2 of the paper, epsilon is added before the bias correction of the
            # second moment.
            step = rate * math.sqrt(1.0 - 0.8**update) / (1.0 - 0.6**update)
            expected = expected - rate * decay * expected - step * first / (np.sqrt(second) + 0.01)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "ours, theirs", [(Adam, keras.optimizers.Adam), (AdamW, keras.optimizers.AdamW)]
)
@pytest.mark.parametrize(
    "options", [{}, dict(beta_1=0.7, beta_2=0.9, epsilon=1e-3), dict(amsgrad=True)]
)
def test_one_kernel_updates_as_keras_does(ours, theirs, options):
    found = []
    for kind in (ours, theirs):
        weights = [
            Variable(np.ones(4, "float32"), name="kernel"),
            Variable(np.ones((2, 2), "float32"), name="other"),
        ]
        optimizer = kind(0.1, name="adam", **options)
        for gradient in GRADIENTS.astype("float32"):
            optimizer.apply([gradient, 2.0 * gradient[::-1].reshape(2, 2)], weights)
        # Compare the moments too, by the names under which a checkpoint stores them.
        found.append(
            {
                f"{n} {variable.path}": variable.numpy()
                for n, variable in enumerate([*weights, *optimizer.variables])
            }
        )
    assert found[0].keys() == found[1].keys() and len(found[0]) >= 8
    for name, value in found[0].items():
        # The tolerance is for the rounding of 1 - 0.999.
        np.testing.assert_allclose(value, found[1][name], rtol=1e-4, atol=1e-9)
    assert np.abs(found[0]["0 kernel"] - 1.0).max() > 0.1


def test_an_optimizer_can_be_saved():
    for kind in (Adam, AdamW):
        again = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(kind(0.25, beta_1=0.5))
        )
        assert type(again) is kind and again.beta_1 == 0.5


@pytest.mark.parametrize(
    "schedule, rate", [("noam", 2.0 * 16**-0.5 * 4**-1.5), ("cosine", 0.5), ("constant", 0.5)]
)
def test_the_optimizer_follows_the_schedule_of_the_configuration(schedule, rate):
    config = TrainingConfig(learning_rate=2.0, schedule=schedule, warmup_steps=4, train_steps=8)
    optimizer = make_optimizer(config, 16)
    assert float(optimizer.learning_rate) == pytest.approx(rate)
    weight = Variable(np.zeros(1, "float32"))
    for _ in range(5):
        optimizer.apply([np.ones(1, "float32")], [weight])
    # The rates of the sixth update, where cosine is half-way down.
    after = {"noam": 2.0 * 16**-0.5 * 6**-0.5, "cosine": 1.0, "constant": 2.0}
    assert float(optimizer.learning_rate) == pytest.approx(after[schedule], rel=1e-5)


@pytest.mark.parametrize("name", ["kernel", "bias", "gamma", "beta", "scale", "embeddings"])
def test_weight_decay_shrinks_kernels_alone(name):
    """By exactly rate * decay * value, whatever the gradient is; a zero gradient changes nothing
    else."""
    weight = Variable(np.array([1.0, -3.0], "float32"), name=name)
    config = TrainingConfig(
        optimizer="adamw", weight_decay=0.1, learning_rate=0.5, schedule="constant", warmup_steps=0
    )
    optimizer = make_optimizer(config, 16)
    optimizer.apply([np.zeros(2, "float32")], [weight])
    expected = [0.95, -2.85] if name == "kernel" else [1.0, -3.0]
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize(
    "precision, scaled", [("float32", False), ("bfloat16", False), ("float16", True)]
)
def test_the_loss_is_scaled_in_float16_alone(name, precision, scaled):
    optimizer = make_optimizer(TrainingConfig(optimizer=name, precision=precision), 16)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == scaled
    inner = optimizer.inner_optimizer if scaled else optimizer
    assert type(inner) is {"adam": Adam, "adamw": AdamW}[name]
    assert float(optimizer.scale_loss(1.0)) == (2.0**15 if scaled else 1.0)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_an_optimizer_has_the_same_names_however_many_were_made_before(precision):
    """A checkpoint is read by them in another process."""
    names = []
    for _ in range(2):
        optimizer = make_optimizer(TrainingConfig(optimizer="adam", precision=precision), 16)
        optimizer.build([Variable(np.ones(2, "float32"), name="kernel")])
        names.append([variable.path for variable in optimizer.variables])
    assert names[0] == names[1] and "adam/kernel_velocity" in names[0]
    groups = {path.partition("/")[0] for path in names[0]}
    assert groups == {"float32": {"adam"}, "float16": {"adam", "loss_scale"}}[precision]


@pytest.mark.parametrize("kind", [WarmupSchedule, Adam, AdamW])
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"
