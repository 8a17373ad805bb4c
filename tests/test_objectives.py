"""What a training minimises: weighted sums over what is real of a batch, and how many that are."""

import numpy as np
import pytest
from keras import ops

from tests.test_heads import CONFIG, HEADS, IDS, TYPES, text_model
from transformer.config import FinetuningConfig, ModelConfig, TrainingConfig
from transformer.heads import RegressionHead
from transformer.losses import binary_divergence, cross_entropy, divergence
from transformer.model import Transformer
from transformer.objectives import HeadObjective, TokenObjective


@pytest.mark.parametrize("options, label_smoothing", [({}, 0.3), ({"pointer_generator": True}, 0.0)])
def test_tokens_are_counted_without_padding_and_cost_what_the_plain_loss_says(options, label_smoothing):
    model = Transformer.from_model_config(ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13, dropout=0.0, **options))
    objective = TokenObjective(model, TrainingConfig(label_smoothing=label_smoothing))
    inputs, targets = (IDS, np.array([[2, 5, 6], [2, 7, 0]], "int32")), np.array([[5, 6, 3], [7, 3, 0]], "int32")
    assert float(objective.count(targets)) == float(objective.tokens(inputs, targets)) == 5.0
    plain, _ = cross_entropy(targets, model(inputs), label_smoothing)
    found = objective.loss(model, inputs, targets, ops.convert_to_tensor(0.2))
    assert float(found) == pytest.approx(0.2 * float(plain), rel=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_the_objective_ignores_rows_that_fill_up(name):
    model = text_model(
        type(HEADS[name][0]).from_config(HEADS[name][0].get_config()),
        config=CONFIG.__class__(**{**vars(CONFIG), "dropout": 0.0}),
    )
    model.head.dropout.rate = 0.0
    targets = np.array(HEADS[name][1], "float32" if isinstance(model.head, RegressionHead) else "int32")
    empty = np.full_like(targets, np.nan if targets.dtype == "float32" else -1)
    objective = HeadObjective(model, FinetuningConfig())
    filled = (np.concatenate([IDS, np.zeros_like(IDS)]), np.concatenate([TYPES, TYPES])), np.concatenate([targets, empty])
    assert float(objective.count(filled[1])) == float(objective.count(targets)) > 0
    assert float(objective.tokens(*filled)) == 5.0
    one = float(objective.loss(model, (IDS, TYPES), targets, 0.5))
    assert float(objective.loss(model, *filled, 0.5)) == pytest.approx(one, rel=1e-5)
    assert one == pytest.approx(0.5 * float(model.head.loss(targets, model((IDS, TYPES)))[0]), rel=1e-5)
    # R-Drop: without dropout both passes are one; of the four rows the two that fill up are not compared.
    twice = HeadObjective(model, FinetuningConfig(rdrop_alpha=6.0))
    assert float(twice.loss(model, *filled, 0.5)) == pytest.approx(one, rel=1e-5)
    model.head.divergence = lambda first, second: ops.ones(4)
    assert float(twice.loss(model, *filled, 0.5)) == pytest.approx(one + 0.5 * 6.0 / 2.0 * 2, rel=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_how_far_apart_two_outputs_are(name):
    head = HEADS[name][0]
    first, second = np.random.default_rng(1).normal(size=(2, 2, 3, 2) if name == "spans" else (2, 2, head.units))
    found = ops.convert_to_numpy(head.divergence(first, second))
    if name == "spans":
        expected = [np.mean([float(divergence(a[:, side], b[:, side])) for side in (0, 1)]) for a, b in zip(first, second)]
    elif name == "multilabel":
        expected = ops.convert_to_numpy(binary_divergence(first, second))
    else:
        expected = ops.convert_to_numpy(divergence(first, second)) if name == "classification" else (first - second)[:, 0] ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_two_passes_of_a_transformer_differ_by_their_dropout_alone():
    inputs, targets = (IDS, np.array([[2, 5, 6], [2, 7, 0]], "int32")), np.array([[5, 6, 3], [7, 3, 0]], "int32")
    model = Transformer.from_model_config(ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13, dropout=0.3))
    before = {variable.path: variable.numpy() for variable in model.variables if "seed_generator" in variable.path}
    passes = ops.split(model([np.concatenate([x, x]) for x in inputs], training=True), 2)
    assert np.abs(passes[0] - passes[1]).max() > 0.1
    for variable in model.variables:
        if variable.path in before:
            variable.assign(before[variable.path])
    found = TokenObjective(model, TrainingConfig(rdrop_alpha=6.0, label_smoothing=0.1)).loss(model, inputs, targets, 0.2)
    losses = sum(float(cross_entropy(targets, logits, 0.1)[0]) for logits in passes)
    apart = float(ops.sum(divergence(*passes) * (targets != 0)))
    assert apart > 0.01 and float(found) == pytest.approx(0.2 * (losses / 2 + 6.0 / 2 * apart), rel=1e-5)
