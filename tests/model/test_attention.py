"""Tests of attention.

Masks and weights are compared with numbers worked out by hand, the layer with NumPy. Other tests
check what masks and permutations must not change.
"""

import keras
import numpy as np
import pytest
from keras import ops

from tests.numpy_transformer import Reference
from transformer.config import ModelConfig
from transformer.model.attention import (
    MultiHeadAttention,
    attention_weights,
    causal_mask,
    segment_mask,
)


def array(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def attention_of(num_heads=2, **options):
    """A layer with random weights, biases too, and the same in NumPy."""
    layer = MultiHeadAttention(8, num_heads, name="attention", **options)
    layer.build()
    for number, variable in enumerate(layer.trainable_variables):
        variable.assign(random(*variable.shape, seed=number) * 0.5)
    weights = {f"model/{variable.path}": array(variable) for variable in layer.trainable_variables}
    return layer, Reference(weights, ModelConfig(d_model=8, num_heads=num_heads))


def test_segment_mask_by_hand():
    mask = segment_mask(ops.convert_to_tensor([[1, 2, 0]]), ops.convert_to_tensor([[1, 1, 2, 0]]))
    assert ops.convert_to_numpy(mask).tolist() == [[[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]]


def test_causal_mask_by_hand():
    assert ops.convert_to_numpy(causal_mask(3)).tolist() == [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]


def test_weights_by_hand():
    """q.k = 4, 0 and 36 over sqrt(K) = 2; the last key is masked."""
    query, key = (
        ops.ones((1, 1, 1, 4)),
        ops.convert_to_tensor([[[[1.0] * 4, [0.0] * 4, [9.0] * 4]]]),
    )
    weights = attention_weights(query, key, ops.convert_to_tensor([[[True, True, False]]]))
    np.testing.assert_allclose(array(weights)[0, 0, 0], [0.88079708, 0.11920292, 0.0], atol=1e-7)
    assert array(weights)[0, 0, 0, 2] == 0.0
    np.testing.assert_allclose(array(attention_weights(query, key))[0, 0, 0, 2], 1.0, atol=1e-6)


def test_a_query_that_sees_nothing_gets_uniform_weights():
    query, key = (ops.convert_to_tensor(random(1, 1, 2, 4, seed=seed)) for seed in (0, 1))
    weights = attention_weights(
        query, key, ops.convert_to_tensor([[[False, False], [True, False]]])
    )
    np.testing.assert_allclose(array(weights)[0, 0], [[0.5, 0.5], [1.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_float32_and_finite_whatever_the_precision(dtype):
    # Scores reach about 10^4, so a plain exp of them would overflow.
    query = ops.cast(random(2, 2, 3, 4) * 60, dtype)
    weights = attention_weights(query, query, ops.zeros((2, 3, 3), "bool"))
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    np.testing.assert_allclose(array(weights), 1 / 3, atol=1e-6)
    np.testing.assert_allclose(array(attention_weights(query, query)).sum(-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("rotary", [True, False])
def test_self_attention_equals_numpy(use_bias, rotary):
    layer, reference = attention_of(use_bias=use_bias, rotary=rotary)
    x, arguments = (
        random(2, 5, 8, seed=20),
        (None, causal_mask(5), ops.convert_to_tensor([[0, 1, 2, 3, 4]], "int32")),
    )
    output, weights = layer(x, *arguments), layer.attention_weights(x, *arguments)
    for row in range(2):
        expected = reference.attention("attention", x[row], x[row], causal=True, rotary=rotary)
        np.testing.assert_allclose(array(output)[row], expected[0], atol=1e-5)
        np.testing.assert_allclose(array(weights)[row], expected[1], atol=1e-5)
    assert len(layer.weights) == (4 if use_bias else 2)


@pytest.mark.parametrize("use_bias", [True, False])
def test_cross_attention_equals_numpy(use_bias):
    layer, reference = attention_of(cross=True, use_bias=use_bias)
    x, source = random(2, 5, 8, seed=20), random(2, 4, 8, seed=21)
    for row in range(2):
        expected = reference.attention("attention", x[row], source[row])
        np.testing.assert_allclose(array(layer(x, source))[row], expected[0], atol=1e-5)
        np.testing.assert_allclose(
            array(layer.attention_weights(x, source))[row], expected[1], atol=1e-5
        )
    assert len(layer.weights) == (6 if use_bias else 3)


@pytest.mark.parametrize("cross", [False, True])
def test_a_layer_has_a_matrix_and_a_bias_for_each_projection_and_drops_nothing(cross):
    layer = MultiHeadAttention(8, 2, cross=cross)
    layer.build()
    shapes = {variable.path.partition("/")[2]: variable.shape for variable in layer.weights}
    output = {"output/kernel": (8, 8), "output/bias": (8,)}
    if cross:
        inputs = {
            "query/kernel": (8, 8),
            "query/bias": (8,),
            "key_value/kernel": (8, 16),
            "key_value/bias": (16,),
        }
    else:
        inputs = {"query_key_value/kernel": (8, 24), "query_key_value/bias": (24,)}
    assert shapes == inputs | output
    options = {
        "d_model": 8,
        "num_heads": 2,
        "cross": cross,
        "use_bias": True,
        "dropout": 0.0,
        "rotary": False,
    }
    assert options.items() <= layer.get_config().items()


@pytest.mark.parametrize("num_heads", [1, 2, 8])
@pytest.mark.parametrize("cross", [False, True])
def test_any_number_of_heads_and_of_tokens_equals_numpy(num_heads, cross):
    layer, reference = attention_of(num_heads, cross=cross)
    for queries, keys in ((1, 1), (1, 2), (2, 1), (2, 3), (8, 8)):
        x, source = random(1, queries, 8, seed=20), random(1, keys, 8, seed=21) if cross else None
        expected, _ = reference.attention("attention", x[0], source[0] if cross else x[0])
        np.testing.assert_allclose(array(layer(x, source))[0], expected, atol=1e-5)


def test_each_matrix_is_initialised_as_if_it_stood_alone():
    """Glorot's bound for a matrix (D, D) is sqrt(6 / 2 D)."""
    for cross in (False, True):
        layer = MultiHeadAttention(64, 2, cross=cross)
        layer.build()
        for dense in (*layer.projections, layer.output_projection):
            assert np.abs(array(dense.kernel)).max() == pytest.approx((6 / 128) ** 0.5, rel=0.01)


def test_masked_keys_are_as_if_they_were_not_there():
    layer, reference = attention_of(cross=True)
    x, source = random(1, 3, 8, seed=20), random(1, 5, 8, seed=21)
    mask = ops.convert_to_tensor([[[True, False, True, True, False]] * 3])
    expected, weights = reference.attention("attention", x[0], source[0, [0, 2, 3]])
    np.testing.assert_allclose(array(layer(x, source, mask))[0], expected, atol=1e-5)
    found = array(layer.attention_weights(x, source, mask))[0]
    assert (found[:, :, [1, 4]] == 0).all()
    np.testing.assert_allclose(found[:, :, [0, 2, 3]], weights, atol=1e-5)
    other = source.copy()
    other[:, [1, 4]] = 1e3
    np.testing.assert_array_equal(array(layer(x, other, mask)), array(layer(x, source, mask)))


def test_each_row_has_its_own_mask():
    layer, _ = attention_of(cross=True)
    x, source = random(2, 3, 8, seed=20), random(2, 4, 8, seed=21)
    mask = np.random.default_rng(3).random((2, 3, 4)) < 0.6
    mask[:, :, 0] = True
    both = array(layer(x, source, ops.convert_to_tensor(mask)))
    for row in range(2):
        rows = slice(row, row + 1)
        np.testing.assert_allclose(
            both[rows],
            array(layer(x[rows], source[rows], ops.convert_to_tensor(mask[rows]))),
            atol=1e-6,
        )


def test_the_memory_has_no_order_and_the_queries_keep_theirs():
    layer, _ = attention_of(cross=True)
    x, source = random(1, 4, 8, seed=20), random(1, 5, 8, seed=21)
    mask, order = np.array([[[True, False, True, True, True]] * 4]), [3, 0, 4, 2, 1]
    before = array(layer(x, source, ops.convert_to_tensor(mask)))
    after = array(layer(x, source[:, order], ops.convert_to_tensor(mask[:, :, order])))
    np.testing.assert_allclose(before, after, atol=1e-6)
    moved = array(layer(x[:, [1, 0, 3, 2]], source, ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(moved, before[:, [1, 0, 3, 2]], atol=1e-6)
    # The mask must be permuted with the keys, or the output changes.
    assert (
        np.abs(before - array(layer(x, source[:, order], ops.convert_to_tensor(mask)))).max() > 1e-2
    )


def test_rotary_attention_knows_the_order():
    layer, _ = attention_of(rotary=True)
    x, order = random(1, 4, 8, seed=20), [3, 0, 2, 1]
    positions = ops.convert_to_tensor([[0, 1, 2, 3]], "int32")
    before = array(layer(x, None, None, positions))
    after = array(layer(x[:, order], None, None, positions))
    assert np.abs(before[:, order] - after).max() > 1e-2
    # Shifting all positions by the same number changes nothing.
    np.testing.assert_allclose(before, array(layer(x, None, None, positions + 9)), atol=1e-5)


def test_kept_keys_and_values_give_the_same():
    layer, _ = attention_of(cross=True)
    x, source = random(2, 3, 8, seed=20), random(2, 5, 8, seed=21)
    kept = layer.keys_values(source)
    assert [tuple(part.shape) for part in kept] == [(2, 2, 5, 4)] * 2
    np.testing.assert_allclose(
        array(layer.attend(layer.queries(x), *kept)), array(layer(x, source)), atol=1e-6
    )


def test_dropout_is_on_the_weights_and_in_training_only():
    """Two like keys have weights 1/2, each dropped or doubled (rate 0.5): a head gives 0, 1 or 2
    times the value."""
    keras.utils.set_random_seed(0)
    layer = MultiHeadAttention(8, 2, cross=True, dropout=0.5, use_bias=False)
    layer.build()
    layer.projections[1].kernel.assign(np.concatenate([np.eye(8)] * 2, axis=1))
    layer.output_projection.kernel.assign(np.eye(8))
    x, source = random(50, 1, 8), np.ones((50, 2, 8), "float32")
    np.testing.assert_allclose(array(layer(x, source)), 1.0, atol=1e-6)
    calls = [
        layer(x, source, training=True),
        layer.attend(layer.queries(x), *layer.keys_values(source), training=True),
    ]
    for output in calls:
        heads = array(output).reshape(50, 2, 4)
        assert {round(float(value), 5) for value in heads.ravel()} == {0.0, 1.0, 2.0}
        assert (heads == heads[:, :, :1]).all() and (heads[:, 0] != heads[:, 1]).any()


@pytest.mark.parametrize("cross", [False, True])
def test_one_query_alone_equals_numpy(cross):
    """A sequence of one token has a way of its own through the layer."""
    layer, reference = attention_of(cross=cross)
    x, source = random(2, 1, 8, seed=20), random(2, 4, 8, seed=21) if cross else None
    output = array(layer(x, source))
    for row in range(2):
        expected, _ = reference.attention("attention", x[row], source[row] if cross else x[row])
        np.testing.assert_allclose(output[row], expected, atol=1e-5)


def test_a_masked_key_has_no_weight_however_well_it_fits():
    """Its score is 8 * 400 * 400 / sqrt(8) = 452,548 above the other's."""
    query, key = 400.0 * ops.ones((1, 1, 1, 8)), ops.convert_to_tensor([[[[400.0] * 8, [0.0] * 8]]])
    weights = attention_weights(query, key, ops.convert_to_tensor([[[False, True]]]))
    assert array(weights).tolist() == [[[[0.0, 1.0]]]]


def test_the_softmax_of_half_precision_is_computed_in_float32():
    """Scores of 0 and 2^-10: weights 2^-12 away from a half, to which bfloat16 would round."""
    query, key = ops.ones((1, 1, 1, 1), "bfloat16"), ops.cast([[[[0.0], [2.0**-10]]]], "bfloat16")
    weights = array(attention_weights(query, key))[0, 0, 0]
    np.testing.assert_allclose(weights, [0.5 - 2.0**-12, 0.5 + 2.0**-12], atol=1e-6)


@pytest.mark.parametrize(
    "cross, message",
    [
        (True, "cross=True, source missing"),
        (False, "cross=False, source given"),
    ],
)
def test_a_source_is_given_where_one_is_attended_to(cross, message):
    layer, _ = attention_of(cross=cross)
    x = random(1, 2, 8)
    for method in (layer, layer.attention_weights):
        with pytest.raises(ValueError, match=message):
            method(x, None if cross else x)


@pytest.mark.parametrize(
    "options",
    [
        dict(cross=False, use_bias=True, dropout=0.0, rotary=False),
        dict(cross=True, use_bias=False, dropout=0.25, rotary=False),
        dict(cross=False, use_bias=True, dropout=0.5, rotary=True),
    ],
)
def test_a_saved_layer_has_all_its_arguments(options):
    config = MultiHeadAttention(12, 3, **options).get_config()
    assert config == {**config, "d_model": 12, "num_heads": 3, **options}
    again = MultiHeadAttention.from_config(config)
    assert again.get_config() == config and again.dropout.rate == options["dropout"]


def test_every_part_computes_in_the_precision_of_the_layer():
    layer = MultiHeadAttention(8, 2, cross=True, dropout=0.1, dtype="mixed_bfloat16")
    layer.build()
    parts = (*layer.projections, layer.output_projection, layer.dropout)
    assert {part.compute_dtype for part in parts} == {"bfloat16"}
    assert {variable.dtype for variable in layer.trainable_variables} == {"float32"}
    x = ops.cast(random(1, 3, 8), "bfloat16")
    assert keras.backend.standardize_dtype(layer(x, x, training=True).dtype) == "bfloat16"


def test_masks_of_keras_pass_through():
    layer, _ = attention_of()
    embedded = keras.layers.Embedding(5, 8, mask_zero=True)(ops.convert_to_tensor([[3, 4, 0]]))
    output = layer(embedded)
    # GlobalAveragePooling1D averages over the positions that the mask marks as real.
    pooled = keras.layers.GlobalAveragePooling1D()(output)
    np.testing.assert_allclose(array(pooled), array(output)[:, :2].mean(axis=1), atol=1e-6)


def test_attending_drops_nothing_unless_told():
    """As decoding calls it, which says nothing of training."""
    layer, _ = attention_of(dropout=0.5)
    query, key, value = layer.queries_keys_values(random(2, 3, 8))
    np.testing.assert_array_equal(
        array(layer.attend(query, key, value)), array(layer.attend(query, key, value))
    )


@pytest.mark.parametrize("kind", [MultiHeadAttention])
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"
