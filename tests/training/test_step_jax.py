"""Tests of training with JAX on 8 logical devices of a CPU.

tests/test_backends.py runs this file in a process with that backend.
"""

import dataclasses
import types

import keras
import numpy as np
import pytest

from data.batches import training_dataset
from transformer.config import ConfigError, ModelConfig, TrainingConfig
from transformer.model.transformer import Transformer
from transformer.training import loop

if keras.backend.backend() != "jax":
    pytest.skip("needs KERAS_BACKEND=jax", allow_module_level=True)

import jax  # noqa: E402

from transformer.training.step_jax import JaxStrategy  # noqa: E402

MODEL = ModelConfig(
    d_model=32,
    num_heads=8,
    num_layers=1,
    ffn_dim=64,
    vocab_size=61,
    dropout=0.0,
    pointer_generator=True,
)
CONFIG = TrainingConfig(
    train_steps=20,
    learning_rate=3e-3,
    warmup_steps=5,
    clip_norm=1.0,
    keep_best_metric="loss",
    eval_every=100,
    checkpoint_every=100,
    log_every=100,
)


@pytest.fixture(autouse=True)
def one_device():
    yield
    keras.distribution.set_distribution(None)


def batch(step):
    """16 rows of 2 to 12 tokens: devices hold different numbers of them."""
    generator = np.random.default_rng(step)
    ids = generator.integers(1, 61, (16, 12)).astype("int32")
    for row in ids:
        row[generator.integers(2, 13) :] = 0
    return (ids, ids), ids


def dataset(step):
    split, plan = (
        types.SimpleNamespace(gather=batch),
        types.SimpleNamespace(batch=lambda step: (step,)),
    )
    return training_dataset(split, plan, step, 20 - step)


def trained(folder, dropout=0.0, **options):
    """Losses, weights and the trainee after 20 steps."""
    config, losses = dataclasses.replace(CONFIG, **options), []
    keras.utils.set_random_seed(1)
    make = lambda: Transformer.from_model_config(dataclasses.replace(MODEL, dropout=dropout))  # noqa: E731
    trainee, _ = loop.make_trainee(make, config)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda _, logs: losses.append(float(logs["loss"]))
    )
    fit = trainee.fit
    trainee.fit = lambda *args, callbacks, **more: fit(*args, callbacks=[*callbacks, watch], **more)
    loop.start_training(
        trainee, config, folder, dataset, batch, lambda: ({"loss": 1.0}, []), 0.0, 1
    )
    # The gradient of a key bias is only rounding noise, which Adam makes as large as any other.
    return (
        losses,
        [
            np.asarray(v)
            for v in trainee.model.trainable_variables
            if "key" not in v.path or "kernel" in v.path
        ],
        trainee,
    )


def one_step(dropout=0.0, **options):
    """The trainee after a step on a batch, what it logged, and the values of its variables that
    are not learnt, before and after."""
    keras.utils.set_random_seed(1)
    make = lambda: Transformer.from_model_config(dataclasses.replace(MODEL, dropout=dropout))  # noqa: E731
    trainee, _ = loop.make_trainee(make, dataclasses.replace(CONFIG, **options))
    variables = (
        trainee.trainable_variables,
        trainee.non_trainable_variables,
        trainee.optimizer.variables,
    )
    trainable, fixed, optimizer = ([variable.value for variable in kind] for kind in variables)
    logs, (_, fixed_after, *_) = jax.jit(trainee.train_step)(
        (trainable, fixed, optimizer, []), batch(0)
    )
    return trainee, logs, fixed, fixed_after


def test_the_logs_of_a_step_are_those_of_the_mean_over_tokens():
    trainee, logs, fixed, _ = one_step(accumulate_steps=4)
    inputs, targets = batch(0)
    tokens = np.count_nonzero(targets)

    def mean_loss(trainable):
        variables = [
            *zip(trainee.trainable_variables, trainable),
            *zip(trainee.non_trainable_variables, fixed),
        ]
        with keras.StatelessScope(variables):
            return trainee.objective.loss(trainee.model, inputs, targets, 1 / tokens)

    trainable = [variable.value for variable in trainee.trainable_variables]
    loss, gradients = jax.jit(jax.value_and_grad(mean_loss))(trainable)
    norm = np.sqrt(sum(np.square(np.asarray(gradient, "float64")).sum() for gradient in gradients))
    assert logs["tokens"] == tokens
    np.testing.assert_allclose([logs["loss"], logs["gradient_norm"]], [loss, norm], rtol=1e-5)


def test_each_micro_batch_drops_places_of_its_own():
    """A dropout's number of calls is part of what it hashes: four micro-batches are four calls."""
    drawn = {}
    for steps in (1, 4):
        *_, before, after = one_step(dropout=0.2, accumulate_steps=steps)
        drawn[steps] = [np.asarray(new) - np.asarray(old) for old, new in zip(before, after)]
    assert len(drawn[1]) > 5 and all(change.max() == 1 for change in drawn[1])
    for one, four in zip(drawn[1], drawn[4]):
        np.testing.assert_array_equal(four, 4 * one)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("alone"))[:2]


@pytest.mark.parametrize(
    "options",
    [
        {"distribution": "mirrored"},
        {"distribution": "mirrored", "accumulate_steps": 2},
        {"distribution": "mirrored", "model_devices": 4},
    ],
    ids=str,
)
def test_several_devices_and_micro_batches_equal_one(tmp_path, alone, options):
    losses, weights, trainee = trained(tmp_path / "run", **options)
    assert losses[-1] < losses[0] - 0.5 and trainee.num_traces == 1
    np.testing.assert_allclose(losses, alone[0], atol=1e-5)
    for ours, theirs in zip(weights, alone[1]):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    if "model_devices" in options:
        the_model_is_divided(trainee)


def the_model_is_divided(trainee):
    variables = [*trainee.model.trainable_variables, *trainee.optimizer.variables]
    parts = {
        variable.path: variable.value.addressable_shards[0].data.shape for variable in variables
    }
    assert parts["transformer/encoder/layer_0/self_attention/query_key_value/kernel"] == (32, 24)
    assert parts["transformer/decoder/layer_0/cross_attention/output/kernel"] == (8, 32)
    assert parts["transformer/decoder/layer_0/feed_forward/outer/kernel"] == (16, 32)
    assert parts["transformer/embedding/embeddings"] == (61, 8) and parts[
        "transformer/pointer/key/kernel"
    ] == (32, 8)
    moments = [
        variable
        for variable in trainee.optimizer.variables
        if "query_key_value_kernel" in variable.path
    ]
    assert len(moments) == 4 and {parts[variable.path] for variable in moments} == {(32, 24)}
    whole = [np.prod(variable.shape) for variable in trainee.model.trainable_variables]
    held = [np.prod(parts[variable.path]) for variable in trainee.model.trainable_variables]
    assert sum(held) < 0.28 * sum(whole)


def test_a_training_that_was_stopped_ends_in_the_same_bits(tmp_path):
    _, whole, _ = trained(tmp_path / "parts", dropout=0.2, checkpoint_every=7)
    for path in sorted((tmp_path / "parts" / "checkpoints").glob("step-*"))[1:]:
        path.unlink()
    losses, weights, _ = trained(tmp_path / "parts", dropout=0.2, checkpoint_every=7)
    assert len(losses) == 13
    for ours, theirs in zip(weights, whole):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mirrored", 3), "model_devices=3, 8 devices"),
        (("none", 2), "model_devices above 1 needs .*distribution='none'"),
    ],
)
def test_what_devices_cannot_do(arguments, message):
    with pytest.raises(ConfigError, match=message):
        JaxStrategy(*arguments)


def test_widths_that_devices_cannot_share():
    config = dataclasses.replace(CONFIG, distribution="mirrored", model_devices=4)
    with pytest.raises(
        ConfigError, match="must divide the model's widths evenly. Received: model_devices=4"
    ):
        loop.make_trainee(
            lambda: Transformer.from_model_config(dataclasses.replace(MODEL, ffn_dim=30)), config
        )
    with pytest.raises(
        ConfigError, match="'tpu' needs the TensorFlow backend. Received: KERAS_BACKEND=jax"
    ):
        loop.make_strategy("tpu")
