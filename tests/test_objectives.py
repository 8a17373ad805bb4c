"""What a training minimises: weighted sums over what is real of a batch, and how many that are."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.test_heads import CONFIG, HEADS, IDS, TYPES, text_model
from transformer.config import FinetuningConfig, ModelConfig, TrainingConfig
from transformer.heads import RegressionHead
from transformer.losses import cross_entropy
from transformer.model import Transformer
from transformer.objectives import HeadObjective, TokenObjective


def test_tokens_are_counted_without_padding_and_cost_what_the_plain_loss_says():
    model = Transformer.from_model_config(ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13, dropout=0.0))
    objective = TokenObjective(model, TrainingConfig(label_smoothing=0.3))
    inputs, targets = (IDS, np.array([[2, 5, 6], [2, 7, 0]], "int32")), np.array([[5, 6, 3], [7, 3, 0]], "int32")
    assert float(objective.count(targets)) == float(objective.tokens(inputs, targets)) == 5.0
    plain, _ = cross_entropy(targets, model(inputs), 0.3)
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
    # R-Drop: without dropout both passes are one; rows that fill up are not compared.
    twice = HeadObjective(model, FinetuningConfig(rdrop_alpha=5.0))
    assert float(twice.loss(model, *filled, 0.5)) == pytest.approx(one, rel=1e-5)
    if name != "similarity":  # which has no dropout
        model.head.dropout.rate = 0.5
        assert float(HeadObjective(model, FinetuningConfig(rdrop_alpha=1e4)).loss(model, *filled, 0.5)) > 5 * one


def test_two_passes_of_a_transformer_differ_by_their_dropout_alone():
    inputs, targets = (IDS, np.array([[2, 5, 6], [2, 7, 0]], "int32")), np.array([[5, 6, 3], [7, 3, 0]], "int32")
    found = {}
    for dropout in (0.0, 0.3):
        keras.utils.set_random_seed(1)
        model = Transformer.from_model_config(ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13, dropout=dropout))
        for alpha in (0.0, 1e-6, 5.0):
            objective = TokenObjective(model, TrainingConfig(rdrop_alpha=alpha))
            found[dropout, alpha] = float(objective.loss(model, inputs, targets, 0.2))
    assert found[0.0, 0.0] == pytest.approx(found[0.0, 5.0], rel=1e-5)
    assert found[0.3, 5.0] > found[0.3, 1e-6] + 0.01
