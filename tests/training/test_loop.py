"""Tests of the training loop.

An update sums over the same tokens however its batch is split into micro-batches. A training can be
interrupted anywhere and resumed.
"""

import dataclasses
import errno
import os
import pathlib
import re
import shutil
import signal
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from data.batches import training_dataset
from data.pairs import Pair
from tests.programs import run_apart
from transformer.config import ConfigError, FinetuningConfig, ModelConfig, TrainingConfig
from transformer.evaluation.evaluation import Validation
from transformer.evaluation.plots import read_curves
from transformer.files import replacing
from transformer.model.heads import ClassificationHead, TextModel
from transformer.model.losses import cross_entropy
from transformer.model.transformer import Transformer
from transformer.pretrained.encoders import TextEncoder
from transformer.tasks.text_to_text import TASKS
from transformer.training import callbacks, checkpoints, loop
from transformer.training.callbacks import Count, NotFiniteError
from transformer.training.loop import (
    Progress,
    choose_weights,
    has_accelerator,
    make_strategy,
    make_trainee,
    precision_warning,
    resume,
    set_precision,
    settle_jit,
    start_training,
    use_jit,
)
from transformer.training.objectives import HeadObjective
from transformer.training.workers import tf_config

# No biases: the gradient of a key bias is only rounding noise, which Adam makes as large as any
# other.
MODEL = ModelConfig(
    d_model=16, num_heads=2, num_layers=1, ffn_dim=32, vocab_size=13, dropout=0.0, use_bias=False
)
# Fields of Progress that may differ between trainings that learn the same.
MEASURED = {"seconds": 0.0, "peak_memory_gib": 0.0}


@pytest.fixture(autouse=True)
def float32():
    keras.utils.set_random_seed(3)
    yield
    set_precision("float32")


def batch_at(step, rows=4, length=6):
    """A copying task with lines of different length: (source, target_in), target_out."""
    rng = np.random.default_rng(step)
    target = rng.integers(4, 13, (rows, length)).astype("int32")
    for row, count in enumerate(rng.integers(1, length + 1, rows)):
        target[row, count:] = 0
    start = np.where(target[:, :1] != 0, 2, 0).astype("int32")
    return (target, np.concatenate([start, target[:, :-1] * (target[:, 1:] != 0)], 1)), target


def dataset(start, stop, shape_of=lambda step: ()):
    split, plan = (
        types.SimpleNamespace(gather=batch_at),
        types.SimpleNamespace(batch=lambda step: (step, *shape_of(step))),
    )
    return training_dataset(split, plan, start, stop - start)


def trainee_of(dropout=0.0, **options):
    defaults = dict(
        learning_rate=0.01,
        schedule="constant",
        warmup_steps=0,
        train_steps=6,
        label_smoothing=0.1,
        keep_best_metric="bleu",
    )
    # With a smaller epsilon, rounding noise in a tiny gradient counts as much as a large gradient.
    defaults["adam_epsilon"] = 1e-4
    config = TrainingConfig(
        **{**defaults, "checkpoint_every": 2, "eval_every": 3, "log_every": 2, **options}
    )
    set_precision(config.precision)
    keras.utils.set_random_seed(5)
    model = dataclasses.replace(MODEL, dropout=dropout)
    trainee, _ = make_trainee(lambda: Transformer.from_model_config(model), config)
    return trainee, config


def weights(trainee):
    return weights_of(trainee.model)


def weights_of(model):
    return np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables])


def validation_of(trainee, batches=None, write=lambda texts: texts):
    return Validation(
        trainee.model,
        batches or [batch_at(1000)],
        write,
        [Pair("a b c d", "a b c d")],
        TASKS["translation"],
    )


def start(trainee, config, folder, **options):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    arguments = dict(
        make_dataset=lambda step: dataset(step, config.train_steps),
        batch_at=batch_at,
        evaluate=validation_of(trainee),
        padding_share=0.0,
        num_shapes=1,
    )
    return start_training(trainee, config, folder, **{**arguments, **options})


def test_gradients_are_those_of_the_mean_over_tokens():
    trainee, config = trainee_of()
    inputs, targets = tf.nest.map_structure(tf.constant, batch_at(0))
    with tf.GradientTape() as tape:
        loss, count = cross_entropy(targets, trainee.model(inputs), 0.1)
        mean = loss / count
    expected = tape.gradient(mean, [v.value for v in trainee.model.trainable_variables])
    total = trainee._gradients(
        (inputs, targets), trainee.model.trainable_variables, 1.0 / np.count_nonzero(batch_at(0)[1])
    )
    assert float(total[0]) == pytest.approx(float(mean), abs=1e-5)
    for ours, theirs in zip(total[1:], expected):
        np.testing.assert_allclose(ours, tf.convert_to_tensor(theirs), atol=1e-6)


@pytest.mark.parametrize(
    "source_length, options",
    [(8, dict(accumulate_steps=2)), (3, dict(accumulate_steps=4, clip_norm=0.5))],
)
@pytest.mark.slow
def test_accumulated_micro_batches_equal_one_batch(source_length, options):
    """Also where the micro-batches hold different numbers of real tokens, and sources are longer or
    shorter than their targets."""

    def with_other_sources(inputs, targets):
        return (tf.tile(inputs[0], (1, 2))[:, :source_length], inputs[1]), targets

    one, _ = trainee_of(**{**options, "accumulate_steps": 1})
    many, _ = trainee_of(**options)
    for trainee in (one, many):
        trainee.fit(dataset(0, 3).map(with_other_sources), verbose=0)
    np.testing.assert_allclose(weights(one), weights(many), atol=2e-6)


@pytest.mark.parametrize("jit", ["on", "off"])
def test_a_step_is_compiled_where_the_configuration_says_so(jit):
    """Python that is called within a step is what XLA does not compile."""
    trainee, _ = trainee_of(jit=jit)
    loss_of = trainee.objective.loss

    def loss(*arguments):
        return loss_of(*arguments) * tf.ensure_shape(tf.py_function(lambda: 1.0, [], "float32"), ())

    trainee.objective.loss = loss
    if jit == "off":
        trainee.fit(dataset(0, 1), verbose=0)
        assert trainee.optimizer.iterations == 1
        return
    with pytest.raises(tf.errors.OpError, match="PyFunc"):
        trainee.fit(dataset(0, 1), verbose=0)


def one_step(monkeypatch, precision, clip_norm):
    """The gradient, one vector, that reaches the update rule in a first step, and what the step
    reports."""
    trainee, _ = trainee_of(precision=precision, clip_norm=clip_norm)
    found, optimizer = [], trainee.optimizer
    # The inner optimizer gets the gradients after the loss scale is divided out.
    rule = optimizer.inner_optimizer if precision == "float16" else optimizer

    def take(gradients, trainable_variables):
        found.append(np.concatenate([np.ravel(gradient) for gradient in gradients]))

    monkeypatch.setattr(rule, "apply", take)
    if precision == "float16":
        assert float(optimizer.scale_loss(1.0)) == 2**15
    logs = trainee.train_step(tf.nest.map_structure(tf.constant, batch_at(0)))
    return found[0], {name: float(value) for name, value in logs.items()}


@pytest.mark.parametrize("precision, rounding", [("float32", 1e-5), ("float16", 2e-3)])
def test_the_gradient_is_clipped_to_its_global_norm(monkeypatch, precision, rounding):
    """What reaches the update rule has norm 0.01 and the direction of the gradient, also where the
    loss is scaled; what is reported is neither clipped nor scaled. Half precision has 11 bits: what
    it rounds differs by a two-thousandth.
    """
    gradient, exact = one_step(monkeypatch, "float32", 0.0)
    norm = np.linalg.norm(gradient)
    assert exact["gradient_norm"] == pytest.approx(norm, rel=1e-5) and norm > 0.1
    assert exact["tokens"] == np.count_nonzero(batch_at(0)[1])
    for clip_norm, expected in (
        (0.0, gradient),
        (0.01, gradient * 0.01 / norm),
        (10.0 * norm, gradient),
    ):
        found, logs = one_step(monkeypatch, precision, clip_norm)
        assert np.linalg.norm(found) == pytest.approx(
            min(clip_norm or norm, norm), rel=max(rounding, 1e-5)
        )
        assert np.linalg.norm(found - expected) <= 5 * rounding * np.linalg.norm(expected)
        assert logs == pytest.approx(exact, rel=rounding)


def test_the_loss_of_a_classifier_is_the_mean_over_its_examples():
    """Not over its tokens, of which it has five in two texts; a row that fills up is no example."""
    # Import here, because building these layers makes TensorFlow compute. That must not happen
    # before the forks below.
    from tests.model.test_heads import IDS, TYPES, text_model

    model = text_model(ClassificationHead(3, dropout=0.0))
    # As --tuning=head does.
    model.encoder.trainable = False
    config = FinetuningConfig(learning_rate=0.5, schedule="constant", weight_decay=0.0)
    trainee, _ = make_trainee(lambda: model, config, HeadObjective)
    ids, targets = (
        np.concatenate([IDS, np.zeros_like(IDS[:1])]),
        np.array([[2], [0], [-1]], "int32"),
    )
    inputs = (ids, np.concatenate([TYPES, TYPES[:1]]))
    logits = np.asarray(model((IDS, TYPES), training=False), "float64")
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    # Run the encoder without dropout.
    model.encoder.call = (lambda call: lambda inputs, training=False: call(inputs))(
        model.encoder.call
    )
    before = model.head.outer.bias.numpy()
    logs = trainee.train_step(tf.nest.map_structure(tf.constant, (inputs, targets)))
    assert float(logs["loss"]) == pytest.approx(
        -np.log(chances[0, 2] * chances[1, 0]) / 2, rel=1e-5
    )
    assert float(logs["tokens"]) == 5.0
    # The gradient of the bias is softmax minus target, averaged over the examples. The first step
    # of Adam depends only on its sign.
    gradient = (chances - [[0, 0, 1], [1, 0, 0]]).mean(0)
    np.testing.assert_allclose(
        model.head.outer.bias.numpy(), before - 0.5 * np.sign(gradient), atol=1e-4
    )


@pytest.mark.slow
def test_gradients_are_summed_in_one_order():
    """Three summands and more TensorFlow adds in the order in which they come, so that trainings
    of one seed would differ by rounding."""
    trainee, _ = trainee_of()
    # Every decoder layer adds a summand to the gradient of the memory. With more layers there would
    # be more than two, but they come in a fixed order.
    assert MODEL.tie_embeddings and MODEL.num_layers == 1
    data = tf.nest.map_structure(tf.constant, batch_at(0))
    step = tf.function(
        lambda: trainee._gradients(data, trainee.model.trainable_variables, 1.0)
    ).get_concrete_function()
    sums = [
        len(operation.inputs)
        for operation in step.graph.get_operations()
        if operation.type == "AddN"
    ]
    assert {*sums} == {2}


@pytest.mark.slow
@pytest.mark.parametrize("rows, steps, devices", [(1, 1, 2), (7, 1, 4), (8, 2, 2)])
def test_several_replicas_equal_one_device(rows, steps, devices):
    code = """
import keras, numpy as np, sys, tensorflow as tf
sys.path.insert(0, ".")
devices = [tf.config.LogicalDeviceConfiguration()] * DEVICES
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from tests.training.test_loop import dataset, trainee_of, weights
found, losses = [], []
for distribution in ("none", "mirrored"):
    rows, accumulate_steps = ROWS, STEPS
    options = dict(clip_norm=0.5, accumulate_steps=accumulate_steps)
    trainee, _ = trainee_of(distribution=distribution, **options)
    def keep(_, logs):
        losses.append([float(logs[name]) for name in sorted(logs)])
    step = keras.callbacks.LambdaCallback(on_train_batch_end=keep)
    trainee.fit(dataset(0, 20, lambda step: (rows,)), verbose=0, callbacks=[step])
    found.append(weights(trainee))
assert trainee.distribute_strategy.num_replicas_in_sync == DEVICES
assert trainee.gather([3, 4]).tolist() == [[3, 4]] * DEVICES
print(np.abs(found[0] - found[1]).max())
np.testing.assert_allclose(*found, atol=1e-6)
assert len(losses) == 40
np.testing.assert_allclose(losses[20:], losses[:20], rtol=1e-5)  # gradient norm, loss, tokens
print("equal")
"""
    code = code.replace("ROWS, STEPS", f"{rows}, {steps}").replace("DEVICES", str(devices))
    assert run_apart("-c", code, every_core=True).stdout.endswith("equal\n")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns(precision):
    trainee, _ = trainee_of(precision=precision, train_steps=60)
    first = validation_of(trainee, [batch_at(0)]).token_scores()["loss"]
    trainee.fit(dataset(0, 60), verbose=0)
    assert validation_of(trainee, [batch_at(0)]).token_scores()["loss"] < first - 0.5
    assert all(variable.dtype == "float32" for variable in trainee.model.trainable_variables)


@pytest.mark.parametrize(
    "precision, flags, warned",
    [
        ("bfloat16", "flags : fpu avx2 avx512f", True),
        ("bfloat16", "flags : fpu avx512_bf16", False),
        ("bfloat16", "Features : asimd bf16", False),
        ("bfloat16", "flags : amx_bf16 amx_tile", False),
        ("bfloat16", "flags : xbf16", True),
        ("float32", "flags : fpu", False),
        ("float16", "flags : fpu avx512_bf16", True),
    ],
)
@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="a GPU computes in every precision"
)
def test_a_precision_that_the_processor_lacks_is_warned_of(tmp_path, precision, flags, warned):
    (tmp_path / "cpuinfo").write_text(flags)
    said = precision_warning(precision, tmp_path / "cpuinfo")
    reason = {
        "bfloat16": "this processor has no bfloat16 units, so bfloat16 is several times slower "
        "than float32",
        "float16": "float16 needs a GPU to be fast, and this machine has none",
    }
    assert said == (f"{reason[precision]}. Use --precision=float32." if warned else "")
    assert precision_warning("bfloat16", tmp_path / "none") == ""


def test_one_trace_for_each_shape():
    trainee, _ = trainee_of()
    shapes = [(4, 6), (2, 12), (4, 6), (2, 12), (4, 6)]
    trainee.fit(dataset(0, len(shapes), shapes.__getitem__), verbose=0)
    assert trainee.num_traces == 2


def test_validation_is_the_mean_over_all_tokens():
    trainee, _ = trainee_of()
    batches = [batch_at(1), batch_at(2, rows=2)]
    loss, count, right = 0.0, 0.0, 0.0
    for inputs, targets in batches:
        logits = keras.ops.convert_to_numpy(trainee.model(inputs))
        for target, row in zip(targets.ravel(), logits.reshape(-1, 13).astype("float64")):
            if target:
                loss, count = loss - row[target] + np.log(np.exp(row).sum()), count + 1
                right += row.argmax() == target
    assert validation_of(trainee, batches).token_scores() == {
        "loss": pytest.approx(loss / count, abs=1e-5),
        "accuracy": right / count,
    }


def token_loss(model, inputs, targets, smoothing):
    """The loss as a smoothed target has it (Szegedy et al. 2016, section 7), over the tokens
    that are not padding."""
    shares = (1.0 - smoothing) * tf.one_hot(targets, 13) + smoothing / 13
    costs = -tf.reduce_sum(shares * tf.nn.log_softmax(model(inputs)), -1)
    real = tf.cast(targets != 0, "float32")
    return tf.reduce_sum(costs * real) / tf.reduce_sum(real)


def in_formulas(model, config, steps, loss_of=token_loss, batch_at=batch_at):
    """Each update of a training without dropout, independent of the program but for the model's
    forward pass: `loss_of`, its gradient clipped, and Adam (Kingma & Ba 2015) in NumPy.

    Returns:
        For each step a dict: weights, one vector; loss and norm of the gradient of the step; rate;
        valid, the loss on batch 1000, which is validation_of's, after it.
    """
    found = []
    learnt = model.trainable_variables
    first, second = (np.zeros(sum(variable.numpy().size for variable in learnt)) for _ in range(2))
    for n in range(1, steps + 1):
        inputs, targets = batch_at(n - 1)
        with tf.GradientTape() as tape:
            loss = loss_of(model, inputs, targets, config.label_smoothing)
        gradients = tape.gradient(loss, [variable.value for variable in learnt])
        gradient = np.concatenate([np.ravel(tf.convert_to_tensor(g)) for g in gradients]).astype(
            "float64"
        )
        norm = np.linalg.norm(gradient)
        gradient *= min(1.0, config.clip_norm / norm) if config.clip_norm else 1.0
        rate = config.learning_rate
        if config.schedule == "inverse_sqrt":
            warmup = max(config.warmup_steps, 1)
            rate *= n / warmup if n < warmup else (warmup / n) ** 0.5
        first = config.adam_beta_1 * first + (1.0 - config.adam_beta_1) * gradient
        second = config.adam_beta_2 * second + (1.0 - config.adam_beta_2) * gradient**2
        size = rate * (1.0 - config.adam_beta_2**n) ** 0.5 / (1.0 - config.adam_beta_1**n)
        vector = weights_of(model) - size * first / (second**0.5 + config.adam_epsilon)
        start = 0
        for variable in learnt:
            count = variable.numpy().size
            variable.assign(vector[start : start + count].reshape(variable.shape))
            start += count
        valid = float(loss_of(model, *batch_at(1000), 0.0))
        found.append(
            {
                "weights": weights_of(model),
                "loss": float(loss),
                "norm": norm,
                "rate": rate,
                "valid": valid,
            }
        )
    return found


def points(curve):
    """{step: value} of one of read_curves."""
    steps, values = curve
    return dict(zip(steps, values))


@pytest.mark.slow
@pytest.mark.parametrize(
    "cut_at, options",
    [
        (
            None,
            dict(
                accumulate_steps=2,
                clip_norm=0.5,
                schedule="inverse_sqrt",
                warmup_steps=3,
                jit="off",
                keep_best_metric="loss",
            ),
        ),
        (4, dict(adam_beta_1=0.8, jit="off", keep_best_metric="loss")),
        (5, dict(precision="float16", jit="off", clip_norm=0.5, keep_best_metric="loss")),
        # Steps are timed, which must leave no trace in the weights.
        (None, dict(jit="auto", keep_best_metric="loss")),
    ],
)
def test_a_training_ends_in_the_weights_that_the_formulas_give(tmp_path, cut_at, options):
    """Cut or whole; and on its way it writes the losses, norms, rates and weights that they
    give."""
    if cut_at:
        start(*trainee_of(**options), tmp_path, make_dataset=lambda step: dataset(step, cut_at))
    trainee, config = trainee_of(**options)
    begin = weights(trainee)
    progress, _ = start(trainee, config, tmp_path)
    other = {**dataclasses.asdict(config), "precision": "float32", "jit": "off"}
    expected = in_formulas(trainee_of(**other)[0].model, config, 7)
    half = config.precision == "float16"

    def check(found, expected):
        """Rounding is small beside the way that the weights have gone; half precision turns the
        sign of a gradient near 0."""
        assert np.linalg.norm(found - expected) < (0.05 if half else 1e-3) * np.linalg.norm(
            expected - begin
        )

    check(weights(trainee), expected[5]["weights"])
    assert progress.tokens == sum(np.count_nonzero(batch_at(step)[1]) for step in range(6))
    curves, near = read_curves(tmp_path), dict(rel=5e-3 if half else 1e-4)
    logged = (2, 4, 6)
    assert points(curves["train/loss"]) == pytest.approx(
        {step: expected[step - 1]["loss"] for step in logged}, **near
    )
    assert points(curves["train/gradient_norm"]) == pytest.approx(
        {step: expected[step - 1]["norm"] for step in logged}, **near
    )
    # The rate logged after a step is that of the next step.
    rates = [update["rate"] for update in expected]
    assert points(curves["train/learning_rate"]) == pytest.approx(
        {step: rates[step] for step in logged}, rel=1e-5
    )
    valid = {step: expected[step - 1]["valid"] for step in (3, 6)}
    assert points(curves["validation/loss"]) == pytest.approx(valid, **near)
    best_step = min(valid, key=valid.get)
    assert (progress.best_step, progress.validated) == (
        best_step,
        6,
    ) and progress.best == pytest.approx(-valid[best_step], **near)
    kept = [checkpoints.read_checkpoint(path)[0] for path in checkpoints.list_checkpoints(tmp_path)]
    names = [
        name
        for name, variable in checkpoints.named_variables(trainee.model).items()
        if variable.trainable
    ]
    for arrays, step in zip(kept, logged, strict=True):
        vector = np.concatenate([arrays[name].ravel() for name in names])
        check(vector, expected[step - 1]["weights"])
    assert (
        choose_weights(trainee, config, tmp_path, lambda: ({"loss": 1.0}, []))
        == "average of 3 checkpoints"
    )
    mean = np.mean([expected[step - 1]["weights"] for step in (2, 4, 6)], axis=0)
    check(weights(trainee), mean)


def class_loss(model, inputs, targets, smoothing):
    chances = tf.nn.log_softmax(model(inputs, training=False))
    chosen = tf.gather(chances, targets[:, 0], batch_dims=1)
    return -tf.reduce_mean(chosen)


def labelled_batch(step):
    """Three texts with a class of three, and no row that fills up."""
    rng = np.random.default_rng(step)
    ids = rng.integers(3, 20, (3, 5)).astype("int32")
    ids[0, 2:] = ids[1, 4:] = 0
    return (ids, np.zeros_like(ids)), rng.integers(0, 3, (3, 1)).astype("int32")


@pytest.mark.slow
@pytest.mark.parametrize("cut_at", [None, 4])
def test_a_fine_tuning_ends_in_the_weights_that_the_formulas_give(tmp_path, cut_at):
    config = FinetuningConfig(
        learning_rate=0.01,
        schedule="constant",
        weight_decay=0.0,
        clip_norm=0.3,
        adam_epsilon=1e-4,
        epochs=2,
        checkpoint_every=2,
        keep_best_metric="accuracy",
        jit="off",
    ).counted(3)

    def make_model():
        keras.utils.set_random_seed(1)
        encoder = TextEncoder(
            dataclasses.replace(MODEL, vocab_size=20), token_types=1, name="text_encoder"
        )
        encoder.build()
        model = TextModel(
            encoder, ClassificationHead(3, dropout=0.0, name="head"), name="text_model"
        )
        model.build()
        return model

    def tuned(stop):
        """The trainee after the update of that number, begun anew or continued."""

        def batches(step):
            split = types.SimpleNamespace(gather=labelled_batch)
            plan = types.SimpleNamespace(batch=lambda step: (step,))
            return training_dataset(split, plan, step, stop - step)

        trainee, _ = make_trainee(make_model, config, HeadObjective)
        found = lambda: ({"accuracy": 1.0}, [])  # noqa: E731
        start(
            trainee, config, tmp_path, make_dataset=batches, batch_at=labelled_batch, evaluate=found
        )
        return trainee

    if cut_at:
        tuned(cut_at)
    begin = weights_of(make_model())
    expected = in_formulas(make_model(), config, 6, class_loss, labelled_batch)
    assert max(update["norm"] for update in expected) > config.clip_norm
    change = weights(tuned(6)) - expected[5]["weights"]
    assert np.linalg.norm(change) < 1e-3 * np.linalg.norm(expected[5]["weights"] - begin)


def contents(folder):
    """All that a training knows, time aside: of its checkpoints the bits, and every (tag, step)
    in TensorBoard, sorted."""
    found = {}
    for path in sorted((folder / "checkpoints").iterdir()):
        arrays, progress = checkpoints.read_checkpoint(path)
        found[path.name] = (
            {name: array.tobytes() for name, array in arrays.items()},
            progress | MEASURED,
        )
    events = [
        event
        for path in sorted((folder / "tensorboard").iterdir())
        for event in EventFileLoader(str(path)).Load()
    ]
    return found, sorted(
        (value.tag, event.step)
        for event in events
        for value in event.summary.value
        if value.tag != "config"
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The contents of an uninterrupted run, with dropout."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    start(*trainee_of(dropout=0.2), folder)
    return contents(folder)


def test_what_an_uninterrupted_training_leaves(whole):
    """What the tests below compare with."""
    files, curves = whole
    assert [*files] == ["best.safetensors", *(f"step-{step:08d}.safetensors" for step in (2, 4, 6))]
    tokens = np.cumsum([np.count_nonzero(batch_at(step)[1]) for step in range(6)])
    found = {
        name: tuple(progress[key] for key in ("step", "tokens", "validated", "best_step"))
        for name, (_, progress) in files.items()
    }
    assert found == {
        # An output that equals its source scores 100. The second validation is no gain. The best
        # weights are saved before the progress counts their validation.
        "best.safetensors": (3, tokens[2], 0, 3),
        "step-00000002.safetensors": (2, tokens[1], 0, 0),
        "step-00000004.safetensors": (4, tokens[3], 3, 3),
        "step-00000006.safetensors": (6, tokens[5], 6, 3),
    }
    last = files["step-00000006.safetensors"][1]
    assert (last["best"], last["without_gain"], last["jit"]) == (pytest.approx(100), 1, False)
    trained = [
        f"train/{name}"
        for name in ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "padding_share")
    ]
    judged = [
        f"validation/{name}"
        for name in ("loss", "accuracy", "perplexity", "bleu", "chrf", "exact_match", "seconds")
    ]
    expected = [(name, step) for name in trained for step in (2, 4, 6)] + [
        (name, step) for name in [*judged, "samples"] for step in (3, 6)
    ]
    assert [(tag.split("/text_summary")[0], step) for tag, step in curves] == sorted(expected)


@pytest.mark.slow
def test_a_continued_training_equals_an_uninterrupted_one(tmp_path, whole):
    # The data ends at step 4.
    start(*trainee_of(dropout=0.2), tmp_path, make_dataset=lambda step: dataset(step, 4))
    progress, stopped = start(*trainee_of(dropout=0.2), tmp_path)
    assert progress.step == 6 and stopped is None and contents(tmp_path) == whole
    assert progress.tokens == sum(np.count_nonzero(batch_at(step)[1]) for step in range(6))


@pytest.mark.slow
def test_in_float16_too(tmp_path):
    options = dict(dropout=0.2, precision="float16")
    start(*trainee_of(**options), tmp_path / "whole")
    start(*trainee_of(**options), tmp_path / "cut", make_dataset=lambda step: dataset(step, 4))
    start(*trainee_of(**options), tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_what_a_training_says_and_shows(tmp_path, capsys):
    """A step before its validation, and nothing else, such as lines of Keras."""
    start(*trainee_of(jit="off"), tmp_path, padding_share=0.25)
    lines = capsys.readouterr().out.splitlines()
    said = [" ".join(re.split("[/:]", line)[0].split()) for line in lines]
    assert said == ["step 2", "validation at step 3", "step 4", "step 6", "validation at step 6"]
    assert points(read_curves(tmp_path)["train/padding_share"]) == {2: 0.25, 4: 0.25, 6: 0.25}
    (path,) = (tmp_path / "tensorboard").iterdir()
    found = [event.summary.value for event in EventFileLoader(str(path)).Load()]
    (text,) = (value.tensor for values in found for value in values if value.tag == "config")
    assert text.string_val[0].decode() == f"```\n{(tmp_path / 'config.json').read_text()}\n```"


def begun(folder, trainee, **progress):
    """Leaves in a run folder the checkpoint of a training that came as far as it is told."""
    variables = checkpoints.named_variables(trainee.model, trainee.optimizer)
    path = checkpoints.checkpoint_path(folder, progress["step"])
    checkpoints.save_checkpoint(path, variables, vars(Progress(**progress)))


def test_a_continued_training_knows_how_much_was_learnt_before_and_in_what_time(tmp_path):
    trainee, config = trainee_of(train_steps=4, eval_every=4)
    begun(tmp_path, trainee, step=2, tokens=20, seconds=1000.0, jit=False)
    progress, _ = start(trainee, config, tmp_path)
    tokens = 20 + sum(np.count_nonzero(batch_at(step)[1]) for step in (2, 3))
    assert (progress.step, progress.tokens) == (4, tokens) and 1000.0 < progress.seconds < 2000.0


def test_a_validation_that_is_made_up_for_may_end_the_training(tmp_path, capsys):
    """As it would have, had no signal ended it."""
    trainee, config = trainee_of(early_stopping=2)
    begun(tmp_path, trainee, step=3, best=90.0, best_step=1, without_gain=1, validated=2)
    progress, stopped = start(trainee, config, tmp_path, evaluate=lambda: ({"bleu": 80.0}, []))
    assert (progress.step, progress.validated, progress.without_gain, stopped) == (3, 3, 2, None)
    assert capsys.readouterr().out.splitlines() == [
        "continuing from step 3",
        "validation at step 3: bleu 80",
        "early stopping: bleu has not improved for 2 validations",
    ]


def test_a_gradient_that_overflows_in_float16_is_skipped_and_the_training_goes_on(tmp_path):
    """Each time the loss is scaled by half as much."""
    trainee, config = trainee_of(precision="float16", train_steps=2, jit="off")
    trainee.optimizer.dynamic_scale.assign(2.0**60)
    before = weights(trainee)
    progress, _ = start(trainee, config, tmp_path)
    assert progress.step == 2 and trainee.optimizer.dynamic_scale == 2.0**58
    np.testing.assert_array_equal(weights(trainee), before)


def test_the_terminal_is_as_it_was_after_an_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(callbacks.sys.stderr, "isatty", lambda: True, raising=False)
    trainee, config = trainee_of(jit="off")
    first = trainee.model.trainable_variables[0]
    first.assign(np.full(first.shape, np.nan))
    with pytest.raises(NotFiniteError):
        start(trainee, config, tmp_path)
    # Escape sequences that hide and show the cursor.
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    error = capsys.readouterr().err
    assert -1 < error.rfind(hidden) < error.rfind(shown)


@pytest.mark.parametrize("num_shapes, said", [(2, "jit off"), (1, "jit on")])
def test_what_jit_is_chosen_is_said_and_goes_by_the_number_of_shapes(
    tmp_path, capsys, monkeypatch, num_shapes, said
):
    """Six steps of half a second less, each shape after a compilation of 2 s."""

    def timed(trainee, jit, batches):
        trainee.jit_compile = jit
        trainee.make_train_function(force=True)
        return trainee.train_function, 2.0, 0.5 if jit else 1.0

    monkeypatch.setattr(loop, "SHORT_TRAINING", 0.0)
    monkeypatch.setattr(loop, "_timed", timed)
    trainee, config = trainee_of(jit="auto")
    trainee.fit = lambda *data, **options: None
    progress, _ = start(trainee, config, tmp_path, num_shapes=num_shapes)
    assert progress.jit is (said == "jit on")
    reason = (
        "1.00 s per step without XLA, 0.50 s with XLA plus 2 s to compile each batch shape, 6 "
        "steps left"
    )
    assert capsys.readouterr().out == f"{said}: {reason}\n"


@pytest.mark.slow
def test_checkpoints_best_and_average(tmp_path):
    trainee, config = trainee_of(keep_checkpoints=2, average_checkpoints=2)
    # The first validation is the best.
    scores = iter([["a b c d"], ["x"], ["x"], ["a b c d"]])
    translate = lambda texts: next(scores)  # noqa: E731
    progress, _ = start(trainee, config, tmp_path, evaluate=validation_of(trainee, write=translate))
    assert (progress.best_step, progress.without_gain) == (3, 1)
    names = [path.name for path in checkpoints.list_checkpoints(tmp_path)]
    assert names == ["step-00000004.safetensors", "step-00000006.safetensors"]
    chosen = choose_weights(
        trainee, config, tmp_path, validation_of(trainee, [batch_at(9)], translate)
    )
    assert chosen == "best validation, step 3"
    best, _ = checkpoints.read_checkpoint(tmp_path / "checkpoints" / "best.safetensors")
    for name, variable in checkpoints.named_variables(trainee.model).items():
        np.testing.assert_array_equal(variable.numpy(), best[name])


def test_early_stopping(tmp_path):
    trainee, config = trainee_of(early_stopping=1, eval_every=1)
    progress, _ = start(
        trainee, config, tmp_path, evaluate=validation_of(trainee, write=lambda texts: ["no"])
    )
    assert progress.step == 2
    again, config = trainee_of(early_stopping=1, eval_every=1)
    # A training that stopped early stays stopped.
    assert start(again, config, tmp_path)[0].step == 2


@pytest.mark.slow
@pytest.mark.parametrize("number, at", [(signal.SIGINT, 3), (signal.SIGTERM, 6)])
def test_a_signal_ends_a_validation_which_is_made_up_for(tmp_path, whole, number, at):
    first, config = trainee_of(dropout=0.2)
    evaluate, before = validation_of(first), signal.getsignal(number)

    def stopped_at():
        if first.optimizer.iterations == at:
            signal.raise_signal(number)
        return evaluate()

    progress, stopped = start(first, config, tmp_path, evaluate=stopped_at)
    assert (progress.step, progress.validated, stopped) == (
        at,
        at - 3,
        number,
    ) and signal.getsignal(number) is before
    assert checkpoints.read_newest(tmp_path)[1] == vars(progress)
    progress, stopped = start(*trainee_of(dropout=0.2), tmp_path)
    assert progress.validated == 6 and stopped is None and contents(tmp_path) == whole
    # The validation is not repeated.
    assert start(*trainee_of(dropout=0.2), tmp_path, evaluate=None)[0] == progress


# TensorFlow is imported once. It computes nothing before a fork.
KILLED = """
import os, pathlib, random, signal, sys, time
sys.path.insert(0, ".")
from tests.training.test_loop import LONG, start, trainee_of
folder, rng, kills, ends = pathlib.Path(sys.argv[1]), random.Random(int(sys.argv[2])), 0, 0
while kills < 12:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 1)
        start(*trainee_of(**LONG), folder.with_name(f"cut{ends}"))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        steps = rng.randrange(0, 9)
        for _, line in zip(range(steps), (line for line in lines if line.startswith("step "))):
            pass
        # Before the first step it restores and traces.
        time.sleep(rng.random() * (0.03 if steps else 3.0))
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    ends, kills = ends + (not code), kills + bool(code)
"""
LONG = dict(
    train_steps=60,
    dropout=0.2,
    accumulate_steps=2,
    eval_every=4,
    checkpoint_every=3,
    log_every=1,
    keep_checkpoints=3,
    average_checkpoints=3,
    keep_best_metric="loss",
    early_stopping=4,
    learning_rate=0.03,
    jit="off",
)


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    """Neither weights, optimizer, best, averages, patience nor a point of a curve; a checkpoint
    may be half written."""
    one, config = trainee_of(**LONG)
    evaluate, losses = validation_of(one), []

    def watched():
        found = evaluate()
        losses.append(found[0]["loss"])
        return found

    expected, _ = start(one, config, tmp_path / "whole", evaluate=watched)
    # The training stopped early: the last four losses are no gain, and never four in a row before.
    assert expected.best_step < expected.step < 60
    assert expected.step == 4 * len(losses) and expected.tokens == sum(
        np.count_nonzero(batch_at(n)[1]) for n in range(expected.step)
    )
    assert (expected.best, expected.best_step) == (-min(losses), 4 * losses.index(min(losses)) + 4)
    assert len(losses) - 4 == losses.index(min(losses)) + 1
    seed = int(os.environ.get("KILL_SEED", time.time_ns()))
    print(f"killed at the moments of KILL_SEED={seed}")
    run_apart("-c", KILLED, tmp_path / "cut", seed)
    for folder in tmp_path.glob("cut*"):
        checkpoints.claim_run(folder, {})
        other, config = trainee_of(**LONG)
        progress, _ = start(other, config, folder)
        assert dataclasses.replace(progress, **MEASURED) == dataclasses.replace(
            expected, **MEASURED
        )
        assert contents(folder) == contents(tmp_path / "whole")
        chosen = [
            choose_weights(trainee, config, place, validation_of(trainee))
            for trainee, place in ((one, tmp_path / "whole"), (other, folder))
        ]
        assert chosen[0] == chosen[1] and weights(one).tobytes() == weights(other).tobytes()


@pytest.mark.slow
def test_after_a_broken_checkpoint_it_ends_in_the_same_weights(tmp_path, whole, capsys):
    # The data ends at step 5.
    start(*trainee_of(dropout=0.2), tmp_path, make_dataset=lambda step: dataset(step, 5))
    path = checkpoints.list_checkpoints(tmp_path)[-1]
    path.write_bytes(path.read_bytes()[:-1])
    trainee, config = trainee_of(dropout=0.2)
    start(trainee, config, tmp_path)
    said = capsys.readouterr()
    assert "step-00000005.safetensors" in said.err and "continuing from step 4\n" in said.out
    assert contents(tmp_path) == whole
    best = tmp_path / "checkpoints" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:100])
    assert (
        choose_weights(trainee, config, tmp_path, validation_of(trainee))
        == "average of 3 checkpoints"
    )
    assert "best.safetensors" in capsys.readouterr().err


@pytest.mark.slow
def test_a_disk_that_is_full_ends_the_training_in_a_sentence(tmp_path, whole, monkeypatch):
    """At the next step, the last checkpoint untouched; when there is room again it continues."""
    write, failing = checkpoints._write, [False, False, True]

    def full(path, arrays, progress):
        if failing.pop(0):
            with replacing(path) as temporary:
                temporary.write_bytes(b"half")
                raise OSError(errno.ENOSPC, "No space left on device")
        write(path, arrays, progress)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_write", full)
        with pytest.raises(
            ConfigError, match=r"step-00000004.safetensors \(No space left on device\)"
        ):
            start(*trainee_of(dropout=0.2), tmp_path)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"step-00000002.safetensors", "best.safetensors"}
    start(*trainee_of(dropout=0.2), tmp_path)
    assert contents(tmp_path) == whole


def store(path):
    """Writes a checkpoint of three updates, for the test below, when the format changes:

    python -c 'from tests.training.test_loop import store; store(PATH)'

    with PATH tests/stored/format-NUMBER.safetensors.
    """
    trainee = stored_trainee()
    trainee.fit(dataset(0, 3), verbose=0)
    progress = Progress(step=3, tokens=47, seconds=1.5, best=-2.0, best_step=3, validated=3)
    checkpoints.save_checkpoint(
        path, checkpoints.named_variables(trainee.model, trainee.optimizer), vars(progress)
    )


def stored_trainee():
    model = dataclasses.replace(MODEL, d_model=8, ffn_dim=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "MODEL", model)
        return trainee_of(dropout=0.2)[0]


STORED = sorted((pathlib.Path(__file__).parents[1] / "stored").glob("format-*.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_checkpoint_of_an_older_version_is_continued(tmp_path, path):
    trainee, place = stored_trainee(), checkpoints.checkpoint_path(tmp_path, 3)
    place.parent.mkdir()
    shutil.copy(path, place)
    assert resume(trainee, tmp_path) == Progress(
        step=3, tokens=47, seconds=1.5, best=-2.0, best_step=3, validated=3
    )
    # The losses that the version which wrote the oldest of these checkpoints computed, before and
    # after one more update.
    assert validation_of(trainee).token_scores()["loss"] == pytest.approx(2.982651, abs=1e-4)
    trainee.fit(dataset(3, 4), verbose=0)
    assert validation_of(trainee).token_scores()["loss"] == pytest.approx(2.878806, abs=1e-4)


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(tmp_path):
    trainee, config = trainee_of()
    trainee.model.trainable_variables[0].assign(
        np.full(trainee.model.trainable_variables[0].shape, np.nan)
    )
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        NotFiniteError, match="loss nan, gradient_norm nan at step 1. The batch of that step is"
    ):
        start(trainee, config, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    np.testing.assert_array_equal(np.load(tmp_path / "bad-batch-1.npz")["targets"], batch_at(0)[1])
    assert not checkpoints.list_checkpoints(tmp_path)


def test_a_gradient_that_is_no_number_is_an_error_but_in_float16(tmp_path):
    progress = Progress()
    logs = {"loss": 1.0, "gradient_norm": np.inf, "tokens": 3}
    for precision in ("float16", "bfloat16"):
        count = Count(progress, tmp_path, batch_at, precision)
        count.on_train_batch_begin(0)
        if precision == "float16":
            count.on_train_batch_end(0, logs)
            assert progress.step == 1
        else:
            with pytest.raises(NotFiniteError, match="Received: gradient_norm inf at step 2"):
                count.on_train_batch_end(0, logs)


def test_workers_that_find_different_checkpoints_are_told(tmp_path):
    same, other = (
        types.SimpleNamespace(gather=lambda mine, step=step: np.array([mine, [step]]))
        for step in (500, 0)
    )
    loop._check_same_step(same, 500, tmp_path)
    with pytest.raises(
        ConfigError,
        match="all workers must start from the same checkpoint. Received: steps 500, 0 in .* disk "
        "that all workers share",
    ):
        loop._check_same_step(other, 500, tmp_path)


def test_resume_without_checkpoints_begins_at_nothing(tmp_path):
    trainee, _ = trainee_of()
    assert resume(trainee, tmp_path) == Progress()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no address"),
        RuntimeError("no address"),
        tf.errors.NotFoundError(None, None, "no address"),
    ],
)
def test_where_there_is_no_tpu_it_is_said(monkeypatch, error):
    def connect():
        raise error

    monkeypatch.setattr(tf.distribute.cluster_resolver.TPUClusterResolver, "connect", connect)
    with pytest.raises(
        ConfigError,
        match="distribution='tpu' needs a TPU. Received: .*no address.*. Use --distribution=none",
    ):
        make_strategy("tpu")


def test_strategies():
    assert make_strategy("none") is tf.distribute.get_strategy()
    mirrored = make_strategy("mirrored")
    assert (
        type(mirrored) is tf.distribute.MirroredStrategy
        and make_strategy("mirrored", 1) is mirrored
    )
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert mirrored.num_replicas_in_sync == len(devices)
    with pytest.raises(
        ConfigError,
        match="model_devices above 1 needs the JAX backend. Received: model_devices=2. Set "
        "KERAS_BACKEND=jax, or use --model_devices=1.",
    ):
        make_strategy("mirrored", model_devices=2)


@pytest.fixture
def new_strategies(monkeypatch):
    """Those of a new process: one of this process stays what it was."""
    monkeypatch.setattr(loop, "_joint_strategy", loop._joint_strategy.__wrapped__)


@pytest.mark.parametrize("gpus", [["GPU:0", "GPU:1"], []])
def test_mirrored_are_the_gpus_where_there_are_some(monkeypatch, new_strategies, gpus):
    devices = {"CPU": ["CPU:0"], "GPU": gpus}
    monkeypatch.setattr(tf.config, "list_logical_devices", devices.__getitem__)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: ("mirrored", devices))
    assert make_strategy("mirrored") == ("mirrored", gpus or ["CPU:0"])


def test_a_tpu_is_the_one_that_was_found(monkeypatch, new_strategies):
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver
    monkeypatch.setattr(resolver, "connect", lambda: "the resolver")
    monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda *arguments: arguments)
    assert make_strategy("tpu") == ("the resolver",)


def test_several_workers_need_to_be_described_and_a_new_process(monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="needs the environment variable TF_CONFIG"):
        make_strategy("multi_worker")
    monkeypatch.setenv("TF_CONFIG", tf_config(["a:1", "b:1"], 0))

    assert capsys.readouterr().out == ""

    # The message is printed before the wait for the other workers.
    def late():
        assert capsys.readouterr().out == "waiting for all workers in TF_CONFIG to connect\n"
        raise RuntimeError("too late")

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", late)
    with pytest.raises(
        ConfigError,
        match="must be set up before TensorFlow computes anything. Received: too late",
    ):
        make_strategy("multi_worker")


@pytest.mark.parametrize("distribution", ["tpu", "multi_worker"])
def test_what_jax_does_not_have_is_refused(monkeypatch, distribution):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        ConfigError,
        match=f"distribution='{distribution}' needs the TensorFlow backend. Received: KERAS",
    ):
        make_strategy(distribution)


@pytest.mark.parametrize(
    "kinds, there", [(("CPU",), False), (("CPU", "GPU"), True), (("CPU", "TPU"), True)]
)
def test_a_gpu_or_a_tpu_is_an_accelerator(monkeypatch, tmp_path, kinds, there):
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: [f"{kind}:0"] * (kind in kinds)
    )
    assert has_accelerator() is there
    one = types.SimpleNamespace(num_replicas_in_sync=1)
    assert use_jit("auto", one) == (
        (True, "found an accelerator")
        if there
        else (None, "will time updates with and without XLA")
    )
    (tmp_path / "cpuinfo").write_text("flags : fpu")
    assert [
        bool(precision_warning(name, tmp_path / "cpuinfo"))
        for name in ("float32", "bfloat16", "float16")
    ] == [False, not there, not there]


@pytest.mark.parametrize("device, there", [("cpu:0", False), ("gpu:0", True), ("tpu:0", True)])
def test_an_accelerator_of_jax(monkeypatch, device, there):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: [device])
    assert has_accelerator() is there
    for replicas in (1, 2):
        strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
        assert use_jit("auto", strategy) == (True, "the default with JAX") and use_jit(
            "on", strategy
        ) == (True, "--jit=on")


def test_jit_is_refused_where_it_cannot_work():
    one, two = (types.SimpleNamespace(num_replicas_in_sync=replicas) for replicas in (1, 2))
    with pytest.raises(
        ConfigError,
        match="cannot compile the update with XLA on several replicas. Received: --jit=on. Use "
        "--jit=off.",
    ):
        use_jit("on", two)
    assert use_jit("off", two) == use_jit("off", one) == (False, "--jit=off") and use_jit(
        "on", one
    ) == (True, "--jit=on")
    assert use_jit("auto", two) == (False, "not supported with several replicas")


@pytest.mark.parametrize(
    "precision, policy, computed",
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "mixed_bfloat16", "bfloat16"),
        ("float16", "mixed_float16", "float16"),
    ],
)
def test_a_precision_is_that_of_the_computation(precision, policy, computed):
    set_precision(precision)
    layer = keras.layers.Dense(2)
    assert keras.config.dtype_policy().name == policy
    assert layer(np.ones((1, 3), "float32")).dtype == computed and layer.kernel.dtype == "float32"


@pytest.mark.parametrize(
    "step, validated, lacks",
    [
        (0, 0, False),
        (1, 0, False),
        (2, 0, False),
        (3, 0, True),
        (3, 3, False),
        (4, 0, False),
        (4, 3, False),
        (6, 3, True),
        (6, 6, False),
        (7, 6, True),
        # The last step has its validation.
        (7, 7, False),
    ],
)
def test_which_step_lacks_a_validation(step, validated, lacks):
    config = TrainingConfig(train_steps=7, eval_every=3)
    assert Progress(step=step, validated=validated).lacks_validation(config) is lacks


@pytest.mark.parametrize(
    "step, without_gain, early_stopping, over",
    [
        (0, 0, 0, False),
        (6, 99, 0, False),
        (7, 0, 0, True),
        (8, 0, 0, True),
        (3, 1, 2, False),
        (3, 2, 2, True),
        (3, 3, 2, True),
        (7, 0, 2, True),
    ],
)
def test_when_a_training_is_over(step, without_gain, early_stopping, over):
    config = TrainingConfig(train_steps=7, early_stopping=early_stopping)
    assert Progress(step=step, without_gain=without_gain).is_over(config) is over


def test_what_is_told_of_a_training():
    progress = Progress(step=40, tokens=9000, seconds=90.0, peak_memory_gib=1000.0)
    assert progress.summary() == {
        "steps": 40,
        "minutes": 1.5,
        "tokens_per_second": 100.0,
        "peak_memory_gib": 1000.0,
    }
    assert Progress(step=1, tokens=50, seconds=0.5).summary()["tokens_per_second"] == 100.0
    # A training without steps must not divide by zero.
    none = Progress().summary()
    assert (none["steps"], none["minutes"], none["tokens_per_second"]) == (
        0,
        0.0,
        0.0,
    ) and 0 < none["peak_memory_gib"] < 1000


def judged(tmp_path, results, metric="loss", average_checkpoints=2, best=True):
    """What choose_weights says, and the weight that it leaves: 100 of the best validation, the
    means of 1, 4, 8 otherwise."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    for step, value in ((1, 1.0), (2, 4.0), (3, 8.0), ("best", 100.0)):
        model.layers[0].kernel.assign([[value]])
        path = (
            tmp_path / "checkpoints" / "best.safetensors"
            if step == "best"
            else checkpoints.checkpoint_path(tmp_path, step)
        )
        if step != "best" or best:
            checkpoints.save_checkpoint(
                path, checkpoints.named_variables(model), {"step": 2 if step == "best" else step}
            )
    model.layers[0].kernel.assign([[-5.0]])

    def evaluate():
        weight = float(model.layers[0].kernel.numpy()[0, 0])
        return {metric: results["best" if weight == 100.0 else "average"], "chrf": 12.345}, []

    config = TrainingConfig(keep_best_metric=metric, average_checkpoints=average_checkpoints)
    chosen = choose_weights(types.SimpleNamespace(model=model), config, tmp_path, evaluate)
    return chosen, float(model.layers[0].kernel.numpy()[0, 0])


@pytest.mark.parametrize(
    "metric, results, chosen",
    [
        ("loss", {"average": 2.0, "best": 1.0}, "best"),
        ("loss", {"average": 1.0, "best": 2.0}, "average"),
        ("bleu", {"average": 2.0, "best": 1.0}, "average"),
        ("bleu", {"average": 1.0, "best": 2.0}, "best"),
        ("loss", {"average": 2.0, "best": 2.0}, "average"),
        ("bleu", {"average": -3.0, "best": -2.0}, "best"),
    ],
)
def test_the_better_weights_are_chosen(tmp_path, capsys, metric, results, chosen):
    said, weight = judged(tmp_path, results, metric)
    assert (said, weight) == {
        "best": ("best validation, step 2", 100.0),
        "average": ("average of 2 checkpoints", 6.0),
    }[chosen]
    assert capsys.readouterr().out.splitlines() == [
        f"average of 2 checkpoints: {metric} {results['average']:g}  chrf 12.35",
        f"best validation, step 2: {metric} {results['best']:g}  chrf 12.35",
    ]


def test_as_many_of_the_newest_are_averaged_as_the_configuration_says(tmp_path):
    results = {"average": 1.0, "best": 2.0}
    assert judged(tmp_path, results, average_checkpoints=1) == ("average of 1 checkpoints", 8.0)
    assert judged(tmp_path, results, average_checkpoints=3) == (
        "average of 3 checkpoints",
        pytest.approx(13 / 3),
    )
    assert judged(tmp_path / "none", results | {"best": 0.0}, best=False) == (
        "average of 2 checkpoints",
        6.0,
    )


def test_a_checkpoint_of_before_the_validations_were_counted_has_them(tmp_path, capsys):
    """In format 2 a validation came before the checkpoint of its step."""
    trainee, _ = trainee_of()
    variables = checkpoints.named_variables(trainee.model, trainee.optimizer)
    progress = {
        name: value
        for name, value in vars(Progress(step=4, tokens=9)).items()
        if name != "validated"
    }
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(tmp_path, 4), variables, progress)
    assert resume(trainee, tmp_path) == Progress(step=4, tokens=9, validated=4)
    checkpoints.save_checkpoint(
        checkpoints.checkpoint_path(tmp_path, 6), variables, progress | {"step": 6, "validated": 3}
    )
    assert resume(trainee, tmp_path) == Progress(step=6, tokens=9, validated=3)
    assert capsys.readouterr().out == "continuing from step 4\ncontinuing from step 6\n"


def test_a_trainee_is_compiled_as_the_configuration_says(monkeypatch):
    make = lambda: Transformer.from_model_config(MODEL)  # noqa: E731
    said = {}
    for jit in ("on", "off", "auto"):
        trainee, said[jit] = make_trainee(
            make, TrainingConfig(jit=jit, optimizer="adamw", precision="float32")
        )
        assert (
            trainee.jit_compile is (jit == "on")
            and trainee.optimizer.built
            and trainee.optimizer.name == "adamw"
        )
        assert len(trainee.optimizer.variables) == 1 + 2 * len(trainee.model.trainable_variables)
    assert said == {
        "on": "jit on: --jit=on",
        "off": "jit off: --jit=off",
        "auto": "jit auto: will time updates with and without XLA",
    }
    # noam depends on the width of the model, which is 16.
    trainee, _ = make_trainee(
        make, TrainingConfig(schedule="noam", learning_rate=1.0, warmup_steps=1)
    )
    assert float(trainee.optimizer.learning_rate) == pytest.approx(0.25)


def test_a_model_that_cannot_be_divided_is_told_of():
    def fails():
        raise ValueError("16 by 3")

    with pytest.raises(
        ConfigError,
        match=r"must divide the model's widths evenly. Received: model_devices=3 \(16 by 3\)",
    ):
        make_trainee(fails, TrainingConfig(model_devices=3), strategy=tf.distribute.get_strategy())
    with pytest.raises(ValueError, match="^16 by 3$") as error:
        make_trainee(fails, TrainingConfig())
    assert not isinstance(error.value, ConfigError)
    with pytest.raises(ConfigError, match="needs the JAX backend. Received: model_devices=3."):
        make_trainee(fails, TrainingConfig(model_devices=3))


def as_worker(monkeypatch, trainee, config, index, other=None):
    """A training's configuration and its trainee as of one of two workers; the other begins at step
    `other`, or where this does."""
    monkeypatch.setenv("TF_CONFIG", tf_config(["a:1", "b:1"], index))
    trainee.gather = lambda numbers: np.array(
        [numbers, numbers if other is None else [other] * len(numbers)]
    )
    return dataclasses.replace(config, distribution="multi_worker")


@pytest.mark.parametrize("index", [0, 1])
def test_of_several_workers_the_chief_alone_validates_and_writes(
    monkeypatch, tmp_path, index, capsys
):
    trainee, config = trainee_of(train_steps=2, eval_every=2)
    config = as_worker(monkeypatch, trainee, config, index)
    evaluated = []
    progress, stopped = start(
        trainee, config, tmp_path, evaluate=lambda: evaluated.append(1) or ({"bleu": 1.0}, [])
    )
    assert (progress.step, stopped) == (2, None) and len(evaluated) == (index == 0)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == (
        {"config.json", "checkpoints", "tensorboard"} if index == 0 else {"config.json"}
    )
    assert ("step      2/2" in capsys.readouterr().out) == (index == 0)


@pytest.mark.parametrize("index, validations", [(0, [2, 4]), (1, [])])
def test_the_chief_alone_makes_up_for_a_validation(monkeypatch, tmp_path, index, validations):
    trainee, config = trainee_of(train_steps=4, eval_every=2, jit="off")
    config = as_worker(monkeypatch, trainee, config, index)
    trainee.optimizer.iterations.assign(2)
    begun(tmp_path, trainee, step=2)
    found = []

    def evaluate():
        found.append(int(trainee.optimizer.iterations))
        return {"bleu": 1.0}, []

    progress, _ = start(trainee, config, tmp_path, evaluate=evaluate)
    assert progress.step == 4 and found == validations


def test_workers_that_do_not_begin_at_one_step_do_not_begin(monkeypatch, tmp_path):
    trainee, config = trainee_of()
    config = as_worker(monkeypatch, trainee, config, 0, other=500)
    with pytest.raises(
        ConfigError, match="must start from the same checkpoint. Received: steps 0, 500 in"
    ):
        start(trainee, config, tmp_path)


def test_a_training_that_is_over_for_one_worker_is_for_all(monkeypatch, tmp_path):
    """The chief's validation ends it early: a worker that went on alone would wait for ever."""
    trainee, config = trainee_of()
    config = as_worker(monkeypatch, trainee, config, 1)
    # Both workers are at the same step, but the training of the other is over.
    answers = iter([np.array([[0], [0]]), np.array([[0], [1]])])
    trainee.gather = lambda numbers: next(answers)
    trainee.fit = None
    assert start(trainee, config, tmp_path)[0] == Progress()


class Timed:
    """A trainee whose steps take as long as it is told: {jit: seconds of each}. Each changes its
    weight."""

    def __init__(self, clock, seconds):
        self.model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        self.optimizer, self.distribute_strategy = (
            keras.optimizers.SGD(),
            tf.distribute.get_strategy(),
        )
        self.clock, self.seconds, self.jit_compile, self.train_function, self.num_traces = (
            clock,
            seconds,
            False,
            None,
            0,
        )
        self.seen = []

    def make_train_function(self, force=False):
        assert force or self.train_function is None
        jit, times = self.jit_compile, iter(self.seconds[self.jit_compile])

        def step(iterator):
            self.seen.append(int(next(iterator)))
            self.model.layers[0].kernel.assign_add([[1.0]])
            self.clock[0] += next(times)
            self.num_traces += 1
            return {"loss": 1.0}

        step.jit = jit
        self.train_function = step


# The first step includes tracing.
PLAIN = [9.0, 3.0, 1.0, 2.0]
COMPILED = [20.0, 0.75, 0.5, 0.625]


@pytest.mark.parametrize(
    "plain, compiled, step, num_shapes, jit, said",
    [
        # XLA gains 0.5 s per step and costs a compilation of 20 s for each shape.
        (
            PLAIN,
            COMPILED,
            0,
            1,
            True,
            "1.00 s per step without XLA, 0.50 s with XLA plus 20 s to compile each batch shape, "
            "400 steps left",
        ),
        (
            PLAIN,
            COMPILED,
            0,
            9,
            True,
            "1.00 s per step without XLA, 0.50 s with XLA plus 20 s to compile each batch shape, "
            "400 steps left",
        ),
        (
            PLAIN,
            COMPILED,
            0,
            10,
            False,
            "1.00 s per step without XLA, 0.50 s with XLA plus 20 s to compile each batch shape, "
            "400 steps left",
        ),
        (
            PLAIN,
            COMPILED,
            99,
            7,
            True,
            "1.00 s per step without XLA, 0.50 s with XLA plus 20 s to compile each batch shape, "
            "301 steps left",
        ),
        (
            PLAIN,
            COMPILED,
            99,
            8,
            False,
            "1.00 s per step without XLA, 0.50 s with XLA plus 20 s to compile each batch shape, "
            "301 steps left",
        ),
        (
            PLAIN,
            COMPILED,
            100,
            1,
            False,
            "1.00 s per step and 300 steps left, too short for compiling to pay off",
        ),
        (
            PLAIN,
            [0.0, 1.25, 1.5, 2.0],
            0,
            1,
            False,
            "1.00 s per step without XLA, 1.25 s with XLA plus 0 s to compile each batch shape, "
            "400 steps left",
        ),
    ],
)
def test_jit_is_measured(monkeypatch, plain, compiled, step, num_shapes, jit, said):
    """A training of less than 300 s tries no compilation."""
    clock, batches = [50.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    trainee, progress = Timed(clock, {False: plain, True: compiled}), Progress(step=step)
    trainee.model.layers[0].kernel.assign([[7.0]])
    make_dataset = lambda first: batches.append(first) or tf.data.Dataset.range(first, 400)  # noqa: E731
    found = settle_jit(trainee, TrainingConfig(train_steps=400), progress, make_dataset, num_shapes)
    assert found == f"jit {'on' if jit else 'off'}: {said}"
    assert (
        progress == Progress(step=step, jit=jit)
        and trainee.jit_compile is jit
        and trainee.train_function.jit is jit
    )
    # The timed steps leave no trace, and all of them used the next batch.
    assert trainee.model.layers[0].kernel.numpy().tolist() == [[7.0]] and trainee.num_traces == 1
    assert (
        {*trainee.seen} == {step}
        and len(trainee.seen) == (4 if "too short" in said else 8)
        and batches == [step]
    )


@pytest.mark.parametrize("jit", ["on", "off"])
def test_where_jit_is_told_nothing_is_measured(jit):
    trainee, progress = Timed([0.0], {}), Progress()
    assert (
        settle_jit(trainee, TrainingConfig(jit=jit), progress, None, 1) == ""
        and progress == Progress()
    )


@pytest.mark.parametrize("jit", [True, False])
def test_what_was_measured_once_stays(jit):
    trainee, progress = Timed([0.0], {}), Progress(step=3, jit=jit)
    assert (
        settle_jit(trainee, TrainingConfig(), progress, None, 1)
        == f"jit {'on' if jit else 'off'}: chosen when this run started"
    )
    assert trainee.jit_compile is jit and progress == Progress(step=3, jit=jit)


@pytest.mark.parametrize(
    "compilation, gain, chosen",
    [(10.0, 0.5, False), (2.9, 0.5, True), (1.0, 0.5, True), (0.0, -0.1, False)],
)
def test_jit_is_chosen_by_time_with_the_compilation_counted(monkeypatch, compilation, gain, chosen):
    """Six steps of 1 s, or of 1 - gain s after a compilation."""
    monkeypatch.setattr(loop, "SHORT_TRAINING", 0.0)
    times = iter([("plain", 0.0, 1.0), ("compiled", compilation, 1.0 - gain)])
    monkeypatch.setattr(loop, "_timed", lambda trainee, jit, batches: next(times))
    trainee, config = trainee_of(jit="auto")
    progress = Progress()
    said = settle_jit(trainee, config, progress, lambda step: dataset(step, 6), 1)
    assert (progress.jit, trainee.train_function) == (chosen, "compiled" if chosen else "plain")
    assert said.startswith(
        f"jit {'on' if chosen else 'off'}: 1.00 s per step without XLA, {1 - gain:.2f} s with "
        f"XLA plus "
    )
    again, config = trainee_of(jit="auto")
    assert (
        settle_jit(again, config, progress, None, 1).endswith("chosen when this run started")
        and again.jit_compile == chosen
    )


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.0, 300.0])
def test_timing_leaves_no_trace_in_the_weights(monkeypatch, tmp_path, limit):
    monkeypatch.setattr(loop, "SHORT_TRAINING", limit)
    auto, config = trainee_of(jit="auto", dropout=0.2)
    progress, _ = start(auto, config, tmp_path / "auto")
    same, config = trainee_of(jit="on" if progress.jit else "off", dropout=0.2)
    start(same, config, tmp_path / "same")
    assert weights(auto).tobytes() == weights(same).tobytes() and auto.num_traces == 1
    # The choice is saved, because a machine that is slower when the training resumes would choose
    # otherwise.
    assert progress.jit is not None
    assert (
        checkpoints.read_checkpoint(checkpoints.list_checkpoints(tmp_path / "auto")[-1])[1]["jit"]
        is progress.jit
    )
