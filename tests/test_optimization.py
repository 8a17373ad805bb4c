"""Learning rates at steps worked out by hand."""

import numpy as np
import pytest
from keras import Variable

from transformer.config import TrainingConfig
from transformer.optimization import WarmupSchedule, make_optimizer


@pytest.mark.parametrize(
    "kind, update, rate",
    [
        ("inverse_sqrt", 1, 0.1),
        ("inverse_sqrt", 10, 1.0),
        ("inverse_sqrt", 40, 0.5),
        ("cosine", 10, 1.0),
        ("cosine", 60, 0.5),
        ("cosine", 110, 0.0),
        ("linear", 5, 0.5),
        ("linear", 35, 0.75),
        ("linear", 110, 0.0),
        ("constant", 5, 0.5),
        ("constant", 1000, 1.0),
        ("noam", 1, 64**-0.5 * 10**-1.5),
        ("noam", 40, 64**-0.5 * 40**-0.5),
    ],
)
def test_schedules(kind, update, rate):
    schedule = WarmupSchedule(1.0, kind, warmup_steps=10, total_steps=110, d_model=64)
    assert float(schedule(update - 1)) == pytest.approx(rate, abs=1e-6)


def test_no_warmup_begins_at_the_peak():
    assert float(WarmupSchedule(2.0, "inverse_sqrt", warmup_steps=0)(0)) == 2.0


def test_schedule_survives_its_config():
    schedule = WarmupSchedule(0.5, "linear", 3, 30, 16)
    assert float(WarmupSchedule.from_config(schedule.get_config())(9)) == float(schedule(9))


def test_first_adam_update_has_the_size_of_the_learning_rate():
    weight = Variable(np.array([1.0, -2.0], "float32"))
    optimizer = make_optimizer(TrainingConfig(learning_rate=0.01, schedule="constant", warmup_steps=0), 16)
    optimizer.apply([np.array([3.0, -0.5], "float32")], [weight])
    assert weight.numpy().tolist() == pytest.approx([0.99, -1.99], abs=1e-5)


def test_weight_decay_spares_biases():
    weight, bias = Variable(np.ones(1, "float32"), name="kernel"), Variable(np.ones(1, "float32"), name="bias")
    config = TrainingConfig(
        optimizer="adamw", weight_decay=0.1, learning_rate=0.5, schedule="constant", warmup_steps=0
    )
    make_optimizer(config, 16).apply([np.zeros(1, "float32")] * 2, [weight, bias])
    assert float(weight.numpy()[0]) == pytest.approx(0.95) and float(bias.numpy()[0]) == 1.0
