"""Tests of which weights are trained.

LoRA adds low-rank updates to the chosen layers. They must change nothing at first and be merged
when the model is saved.
"""

import keras
import numpy as np
import pytest

from tests.model.test_heads import IDS, TYPES, text_model
from transformer.config import ModelConfig, TaskConfig
from transformer.model.heads import ClassificationHead
from transformer.model.lora import ADDED, choose_trainable, projections
from transformer.model.transformer import Transformer


def test_lora_changes_nothing_at_first_learns_little_and_is_merged_when_saved(tmp_path):
    model = text_model(ClassificationHead(3))
    before, frozen = model((IDS, TYPES)).numpy(), [v.numpy() for v in model.encoder.weights]
    choose_trainable(model.encoder, TaskConfig(tuning="lora", lora_rank=2))
    np.testing.assert_array_equal(model((IDS, TYPES)), before)
    added = [variable for variable in model.trainable_variables if variable.name in ADDED]
    # Each of query_key_value, output, inner and outer in two layers has two matrices, with rank *
    # (in + out) elements together.
    assert sum(v.numpy().size for v in added) == 2 * 2 * (16 + 48 + 16 + 16 + 16 + 32 + 32 + 16)
    trained = sum(v.numpy().size for v in model.trainable_variables)
    assert trained == sum(v.numpy().size for v in added) + 16 * 16 + 16 + 16 * 3 + 3
    assert model.count_params() == trained + sum(array.size for array in frozen)
    for variable in added:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape) * 0.1)
    changed = model((IDS, TYPES)).numpy()
    assert np.abs(changed - before).max() > 1e-3
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    np.testing.assert_allclose(again((IDS, TYPES)), changed, atol=1e-6)
    assert not [v for v in again.weights if v.name in ADDED]


def test_a_pointer_is_attention():
    sizes = dict(d_model=16, num_heads=2, num_layers=1, vocab_size=13)
    model = Transformer.from_model_config(ModelConfig(**sizes, pointer_generator=True))
    choose_trainable(
        model, TaskConfig(task="text2text", tuning="lora", lora_targets=("attention",))
    )
    names = {v.path.split("/")[-2] for v in model.trainable_variables if "pointer" in v.path}
    assert names == {"query", "key", "switch"} and {v.name for v in model.trainable_variables} == {
        *ADDED
    }


@pytest.mark.parametrize(
    "targets, names",
    [(("attention",), {"query_key_value", "output"}), (("feed_forward",), {"inner", "outer"})],
)
def test_lora_is_put_where_it_is_wanted(targets, names):
    model = text_model(ClassificationHead(3))
    choose_trainable(model.encoder, TaskConfig(tuning="lora", lora_targets=targets))
    assert {v.path.split("/")[-2] for v in model.encoder.trainable_variables} == names


def test_all_kinds_of_attention_are_attention():
    """Of an encoder and a decoder, and of Keras's own layer, whose projections are EinsumDense."""
    sizes = dict(d_model=16, num_heads=2, num_layers=1, vocab_size=13)
    model = Transformer.from_model_config(ModelConfig(**sizes))
    options = dict(task="text2text", tuning="lora", lora_targets=("attention",))
    choose_trainable(model, TaskConfig(**options))
    changed = {v.path.rsplit("/", 1)[0].split("/", 1)[1] for v in model.trainable_variables}
    assert changed == {
        "encoder/layer_0/self_attention/query_key_value",
        "encoder/layer_0/self_attention/output",
        "decoder/layer_0/self_attention/query_key_value",
        "decoder/layer_0/self_attention/output",
        "decoder/layer_0/cross_attention/query",
        "decoder/layer_0/cross_attention/key_value",
        "decoder/layer_0/cross_attention/output",
    }
    inputs = keras.Input((None, 16))
    attended = keras.layers.MultiHeadAttention(2, 8, name="attention")(inputs, inputs)
    model = keras.Model(inputs, keras.layers.Dense(4, name="feed_forward")(attended))
    names = [layer.name for layer in projections(model, ("attention",))]
    assert sorted(names) == ["attention_output", "key", "query", "value"]
    assert [layer.name for layer in projections(model, ("feed_forward",))] == ["feed_forward"]


def test_keras_hub_s_own_layers_are_found():
    import keras_hub

    backbone = keras_hub.models.BertBackbone(23, 2, 2, 16, 24, max_sequence_length=8)
    attention = ["attention_output", "key", "query", "value"]
    feed_forward = ["feedforward_intermediate_dense", "feedforward_output_dense"]
    for target, names in (("attention", attention), ("feed_forward", feed_forward)):
        assert sorted(layer.name for layer in projections(backbone, (target,))) == sorted(names * 2)
    config = TaskConfig(tuning="lora", lora_rank=2, lora_targets=("feed_forward",))
    choose_trainable(backbone, config)
    # Each of two projections in each of two layers has two matrices, with rank * (in + out)
    # elements together.
    assert sum(v.numpy().size for v in backbone.trainable_variables) == 2 * 2 * 2 * (16 + 24)


def test_full_tuning_learns_every_weight():
    model = text_model(ClassificationHead(3))
    before = [variable.path for variable in model.trainable_variables]
    choose_trainable(model.encoder, TaskConfig(tuning="full"))
    assert [variable.path for variable in model.trainable_variables] == before
    assert len(before) == len([v for v in model.weights if "seed_generator" not in v.path]) > 4


def test_head_only_leaves_the_encoder_alone():
    model = text_model(ClassificationHead(3))
    choose_trainable(model.encoder, TaskConfig(tuning="head"))
    assert not model.encoder.trainable_variables and len(model.trainable_variables) == 4


def test_the_change_is_scaled_by_alpha_over_rank():
    model = text_model(ClassificationHead(3))
    choose_trainable(model.encoder, TaskConfig(tuning="lora", lora_rank=4, lora_alpha=8.0))
    layer = projections(model.encoder, ("attention",))[0]
    rng = np.random.default_rng(1)
    a, b = (
        rng.normal(size=variable.shape) for variable in (layer.lora_kernel_a, layer.lora_kernel_b)
    )
    layer.lora_kernel_a.assign(a)
    layer.lora_kernel_b.assign(b)
    x = rng.normal(size=(1, a.shape[0])).astype("float32")
    change = (layer(x) - x @ layer._kernel - layer.bias).numpy()
    np.testing.assert_allclose(change, 2.0 * (x @ a @ b), rtol=1e-4, atol=1e-4)
