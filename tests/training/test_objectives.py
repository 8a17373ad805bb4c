"""Tests of what a training minimizes: weighted sums over the real tokens or examples of a batch.

The number of these is tested too.
"""

import numpy as np
import pytest
from keras import ops
from scipy.special import log_softmax

from tests.model.test_heads import CONFIG, HEADS, IDS, TYPES, text_model
from transformer.config import FinetuningConfig, ModelConfig, TrainingConfig
from transformer.model.heads import ClassificationHead, RegressionHead
from transformer.model.losses import binary_divergence, cross_entropy, divergence
from transformer.model.transformer import Transformer
from transformer.training.objectives import HeadObjective, TokenObjective


@pytest.mark.parametrize(
    "options, label_smoothing", [({}, 0.3), ({"pointer_generator": True}, 0.0)]
)
def test_tokens_are_counted_without_padding_and_cost_what_the_plain_loss_says(
    options, label_smoothing
):
    model = Transformer.from_model_config(
        ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13, dropout=0.0, **options)
    )
    objective = TokenObjective(model, TrainingConfig(label_smoothing=label_smoothing))
    inputs = IDS, np.array([[2, 5, 6], [2, 0, 0]], "int32")
    # The targets have four tokens, the sources five.
    targets = np.array([[5, 6, 3], [3, 0, 0]], "int32")
    assert float(objective.count(targets)) == float(objective.tokens(inputs, targets)) == 4.0
    plain, _ = cross_entropy(targets, model(inputs), label_smoothing)
    found = objective.loss(model, inputs, targets, ops.convert_to_tensor(0.2))
    assert float(found) == pytest.approx(0.2 * float(plain), rel=1e-5)


def at_the_same_dropout(model, function):
    """A function that calls function with the seeds of dropout as they are now, whatever was called
    between."""
    before = [
        (variable, variable.numpy())
        for variable in model.variables
        if "seed_generator" in variable.path
    ]

    def call(*arguments):
        for variable, value in before:
            variable.assign(value)
        return function(*arguments)

    return call


def test_a_training_drops_out_and_pads_with_the_id_that_the_model_has():
    """Padding is 1 here; 0 is a token as others are."""
    config = ModelConfig(
        d_model=16, num_heads=2, num_layers=1, vocab_size=13, dropout=0.5, pad_id=1
    )
    model = Transformer.from_model_config(config)
    inputs = np.array([[5, 0, 7, 8, 1]]), np.array([[2, 5, 0, 3]])
    targets = np.array([[5, 0, 3, 1]], "int32")
    objective = TokenObjective(model, TrainingConfig(label_smoothing=0.1))
    assert float(objective.count(targets)) == float(objective.tokens(inputs, targets)) == 3.0
    forward = at_the_same_dropout(model, lambda: model(inputs, training=True))
    loss_of = at_the_same_dropout(model, lambda: objective.loss(model, inputs, targets, 0.5))
    chances = np.asarray(ops.log_softmax(ops.cast(forward(), "float32")))[0]
    each = [
        0.9 * chances[place, token] + 0.1 * chances[place].mean()
        for place, token in enumerate((5, 0, 3))
    ]
    assert float(loss_of()) == pytest.approx(-0.5 * sum(each), rel=1e-5)
    whole = -sum(
        np.asarray(ops.log_softmax(model(inputs)))[0, place, token]
        for place, token in enumerate((5, 0, 3))
    )
    assert abs(float(loss_of()) - 0.5 * whole) > 0.01


@pytest.mark.parametrize("rdrop_alpha", [0.0, 3.0])
def test_a_head_is_trained_with_dropout_and_compared_with_itself(rdrop_alpha):
    """The mean of the losses of two passes, and alpha / 2 of the symmetric divergence (Liang et al.
    2021, halved)."""
    model = text_model(ClassificationHead(3, dropout=0.4))
    objective, targets = (
        HeadObjective(model, FinetuningConfig(rdrop_alpha=rdrop_alpha)),
        np.array([[2], [0]], "int32"),
    )
    twice = [np.concatenate([x, x]) for x in (IDS, TYPES)] if rdrop_alpha else (IDS, TYPES)
    forward = at_the_same_dropout(model, lambda: model(twice, training=True))
    loss_of = at_the_same_dropout(model, lambda: objective.loss(model, (IDS, TYPES), targets, 0.25))
    chances = np.asarray(ops.log_softmax(forward()), "float64")
    expected = -np.sum(chances[np.arange(len(chances)), [2, 0, 2, 0][: len(chances)]])
    if rdrop_alpha:
        first, second = chances[:2], chances[2:]
        apart = 0.5 * np.sum((np.exp(first) - np.exp(second)) * (first - second))
        assert apart > 1e-4
        expected = expected / 2.0 + rdrop_alpha / 2.0 * apart
    assert float(loss_of()) == pytest.approx(0.25 * expected, rel=1e-5)
    assert (
        abs(float(loss_of()) - 0.25 * float(model.head.loss(targets, model((IDS, TYPES)))[0]))
        > 1e-4
    )


def test_a_head_counts_its_examples_and_the_tokens_that_are_no_padding():
    config = CONFIG.__class__(**{**vars(CONFIG), "pad_id": 7})
    model = text_model(ClassificationHead(3, class_weights=(1.0, 2.0, 5.0)), config=config)
    objective = HeadObjective(model, FinetuningConfig())
    assert float(objective.count(np.array([[2], [1], [-1]], "int32"))) == 7.0
    # One of the eight ids is 7, the padding.
    assert float(objective.tokens((IDS, TYPES + 7), np.array([[2], [1]]))) == 7.0


def test_a_row_of_padding_is_not_compared_with_itself_whatever_id_pads():
    """In the first row 0 is a token as others are."""
    config = CONFIG.__class__(**{**vars(CONFIG), "pad_id": 7, "dropout": 0.0})
    model = text_model(ClassificationHead(3, dropout=0.0), config=config)
    model.head.divergence = lambda first, second: ops.convert_to_tensor([1.0, 16.0])
    inputs = np.array([[5, 6, 0, 7], [7, 7, 7, 7]], "int32"), np.zeros((2, 4), "int32")
    targets = np.array([[2], [-1]], "int32")
    plain, compared = (
        HeadObjective(model, FinetuningConfig(rdrop_alpha=alpha)) for alpha in (0.0, 6.0)
    )
    one = float(plain.loss(model, inputs, targets, 1.0))
    two = float(compared.loss(model, inputs, targets, 1.0))
    assert two == pytest.approx(one + 6.0 / 2.0 * 1.0, rel=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_the_objective_ignores_rows_that_fill_up(name):
    model = text_model(
        type(HEADS[name][0]).from_config(HEADS[name][0].get_config()),
        config=CONFIG.__class__(**{**vars(CONFIG), "dropout": 0.0}),
    )
    model.head.dropout.rate = 0.0
    targets = np.array(
        HEADS[name][1], "float32" if isinstance(model.head, RegressionHead) else "int32"
    )
    empty = np.full_like(targets, np.nan if targets.dtype == "float32" else -1)
    objective = HeadObjective(model, FinetuningConfig())
    filled = (
        (np.concatenate([IDS, np.zeros_like(IDS)]), np.concatenate([TYPES, TYPES])),
        np.concatenate([targets, empty]),
    )
    assert float(objective.count(filled[1])) == float(objective.count(targets)) > 0
    assert float(objective.tokens(*filled)) == 5.0
    one = float(objective.loss(model, (IDS, TYPES), targets, 0.5))
    assert float(objective.loss(model, *filled, 0.5)) == pytest.approx(one, rel=1e-5)
    assert one == pytest.approx(
        0.5 * float(model.head.loss(targets, model((IDS, TYPES)))[0]), rel=1e-5
    )
    # R-Drop: without dropout both passes are the same. Of the four rows the two that fill up the
    # batch are not compared.
    twice = HeadObjective(model, FinetuningConfig(rdrop_alpha=6.0))
    assert float(twice.loss(model, *filled, 0.5)) == pytest.approx(one, rel=1e-5)
    model.head.divergence = lambda first, second: ops.ones(4)
    assert float(twice.loss(model, *filled, 0.5)) == pytest.approx(
        one + 0.5 * 6.0 / 2.0 * 2, rel=1e-5
    )


@pytest.mark.parametrize("name", HEADS)
def test_how_far_apart_two_outputs_are(name):
    head = HEADS[name][0]
    first, second = np.random.default_rng(1).normal(
        size=(2, 2, 3, 2) if name == "spans" else (2, 2, head.units)
    )
    found = ops.convert_to_numpy(head.divergence(first, second))
    if name == "spans":
        expected = [
            np.mean([float(divergence(a[:, side], b[:, side])) for side in (0, 1)])
            for a, b in zip(first, second)
        ]
    elif name == "multilabel":
        expected = ops.convert_to_numpy(binary_divergence(first, second))
    else:
        expected = (
            ops.convert_to_numpy(divergence(first, second))
            if name == "classification"
            else (first - second)[:, 0] ** 2
        )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_two_passes_of_a_transformer_differ_by_their_dropout_alone():
    inputs, targets = (
        (IDS, np.array([[2, 5, 6], [2, 7, 0]], "int32")),
        np.array([[5, 6, 3], [7, 3, 0]], "int32"),
    )
    model = Transformer.from_model_config(
        ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13, dropout=0.3)
    )
    before = {
        variable.path: variable.numpy()
        for variable in model.variables
        if "seed_generator" in variable.path
    }
    passes = ops.split(model([np.concatenate([x, x]) for x in inputs], training=True), 2)
    assert np.abs(passes[0] - passes[1]).max() > 0.1
    for variable in model.variables:
        if variable.path in before:
            variable.assign(before[variable.path])
    found = TokenObjective(model, TrainingConfig(rdrop_alpha=6.0, label_smoothing=0.1)).loss(
        model, inputs, targets, 0.2
    )
    losses = sum(float(cross_entropy(targets, logits, 0.1)[0]) for logits in passes)
    apart = float(ops.sum(divergence(*passes) * (targets != 0)))
    assert apart > 0.01 and float(found) == pytest.approx(
        0.2 * (losses / 2 + 6.0 / 2 * apart), rel=1e-5
    )


def test_two_passes_of_a_pointer_generator_copy_with_their_own_chances():
    """The mean of the losses of two mixtures; compared is what the vocabulary's part says."""
    inputs = IDS, np.array([[2, 5, 6], [2, 7, 0]], "int32")
    targets = np.array([[5, 6, 3], [7, 3, 0]], "int32")
    sizes = dict(d_model=16, num_heads=2, num_layers=1, vocab_size=13)
    config = ModelConfig(**sizes, dropout=0.3, pointer_generator=True)
    model = Transformer.from_model_config(config)
    objective = TokenObjective(model, TrainingConfig(rdrop_alpha=6.0, label_smoothing=0.0))
    twice = [np.concatenate([x, x]) for x in inputs]
    forward = at_the_same_dropout(model, lambda: model.hidden_states(twice, training=True))
    loss_of = at_the_same_dropout(model, lambda: objective.loss(model, inputs, targets, 0.2))
    hidden, pointed = forward()
    logits = ops.matmul(hidden, ops.transpose(ops.convert_to_tensor(model.output_table)))
    chances = np.asarray(pointed.mix(logits), "float64")
    first, second = np.split(log_softmax(np.asarray(logits, "float64"), axis=-1), 2)
    real = np.argwhere(np.concatenate([targets, targets]))
    loss = -sum(chances[row, place, targets[row % 2, place]] for row, place in real) / 2
    each = 0.5 * np.sum((np.exp(first) - np.exp(second)) * (first - second), axis=-1)
    apart = np.sum(each * (targets != 0))
    assert np.ptp(np.split(np.asarray(pointed.p_gen), 2), axis=0).max() > 0.01 and apart > 0.01
    assert float(loss_of()) == pytest.approx(0.2 * (loss + 6.0 / 2 * apart), rel=1e-5)
