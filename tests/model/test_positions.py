"""Tests of positions against literal values and against the formulas in plain Python."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from transformer.model.positions import PositionalEmbedding, rotate, segment_positions, sinusoids


def array(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def test_positions_count_within_a_segment():
    rows = [[1, 1, 2, 2, 2, 0], [3, 3, 3, 3, 3, 3], [0, 0, 1, 1, 2, 2]]
    found = ops.convert_to_numpy(segment_positions(ops.convert_to_tensor(rows, "int32")))
    assert found.tolist() == [[0, 1, 0, 1, 2, 0], [0, 1, 2, 3, 4, 5], [0, 1, 0, 1, 0, 1]]
    assert found.dtype == "int32"


def test_sinusoids_by_hand():
    """d_model 4: rates 1 and 10000^(-2/4) = 0.01; sine and cosine interleaved."""
    expected = [
        [0.0, 1.0, 0.0, 1.0],
        [0.84147098, 0.54030231, 0.00999983, 0.99995000],
        [0.90929743, -0.41614684, 0.01999867, 0.99980001],
    ]
    np.testing.assert_allclose(array(sinusoids(np.arange(3), 4)), expected, atol=1e-7)


def test_sinusoids_are_the_formula_far_out():
    table = array(sinusoids(np.arange(600), 16))
    for position in (0, 1, 17, 599):
        for i in range(8):
            angle = position / 10000 ** (2 * i / 16)
            np.testing.assert_allclose(table[position, 2 * i], math.sin(angle), atol=5e-5)
            np.testing.assert_allclose(table[position, 2 * i + 1], math.cos(angle), atol=5e-5)


def test_rotation_by_hand():
    """K = 4: the pairs are (x0, x2), turned by the position, and (x1, x3), turned by a hundredth
    of it."""
    # Shape (B, H, L, K) = (1, 1, 3, 4).
    x = ops.convert_to_tensor([[[[1.0, 0.0, 0.0, 1.0]] * 3]])
    found = array(rotate(x, ops.convert_to_tensor([[0, 1, 50]], "int32")))[0, 0]
    expected = [
        [math.cos(p), -math.sin(p / 100), math.sin(p), math.cos(p / 100)] for p in (0, 1, 50)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rotated_products_depend_on_the_distance_only():
    """Su et al. 2021, equation 16: <rotate(q, m), rotate(k, n)> is a function of q, k and m - n."""
    query, key = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8)).astype("float32")

    def product(m, n):
        q, k = (
            array(rotate(ops.convert_to_tensor(x), ops.convert_to_tensor([[p]], "int32")))
            for x, p in ((query, m), (key, n))
        )
        return float((q * k).sum())

    assert (
        product(7, 3)
        == pytest.approx(product(4, 0), abs=1e-5)
        == pytest.approx(product(104, 100), abs=1e-4)
    )
    assert abs(product(7, 3) - product(3, 7)) > 1e-2
    assert product(5, 5) == pytest.approx(float((query * key).sum()), abs=1e-5)


def test_each_row_is_rotated_by_its_own_positions():
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 6)).astype("float32")
    positions = np.array([[0, 1, 0, 1], [3, 2, 1, 0]], "int32")
    together = array(rotate(ops.convert_to_tensor(x), ops.convert_to_tensor(positions)))
    for row in range(2):
        alone = array(
            rotate(
                ops.convert_to_tensor(x[row : row + 1]),
                ops.convert_to_tensor(positions[row : row + 1]),
            )
        )
        np.testing.assert_allclose(together[row], alone[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "rotary"])
def test_what_each_kind_adds(kind):
    layer = PositionalEmbedding(kind, max_positions=5)
    x = np.random.default_rng(2).normal(size=(1, 4, 6)).astype("float32")
    added = (
        array(layer(ops.convert_to_tensor(x), ops.convert_to_tensor([[0, 1, 0, 1]], "int32"))) - x
    )
    if kind == "rotary":
        assert not layer.weights
        np.testing.assert_array_equal(added, np.zeros_like(x))
        return
    table = (
        array(layer.table.embeddings) if kind == "learned" else array(sinusoids(np.arange(4), 6))
    )
    np.testing.assert_allclose(added[0], table[[0, 1, 0, 1]], atol=1e-6)
    assert np.abs(added[0, 0] - added[0, 1]).max() > 1e-3


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_each_row_has_the_positions_of_its_own(kind, precision):
    layer = PositionalEmbedding(kind, max_positions=5, dtype=precision)
    x = ops.zeros((2, 4, 6), layer.compute_dtype)
    found = layer(x, ops.convert_to_tensor([[0, 1, 0, 1], [0, 1, 2, 3]], "int32"))
    assert keras.backend.standardize_dtype(found.dtype) == layer.compute_dtype
    if kind == "learned":
        table = array(layer.table.embeddings)
    else:
        angles = np.arange(4)[:, None] / 10000 ** (np.arange(3) / 3)
        table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(4, 6)
    expected = np.stack([table[[0, 1, 0, 1]], table[[0, 1, 2, 3]]])
    near = 1e-6 if precision == "float32" else 0.01
    np.testing.assert_allclose(array(found), expected, atol=near)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_what_is_learned_is_one_table_with_a_row_a_position(precision):
    keras.utils.set_random_seed(1)
    layer = PositionalEmbedding("learned", max_positions=400, dtype=precision)
    layer.build((None, None, 50))
    (table,) = layer.weights
    assert table.shape == (400, 50) and table.dtype == "float32"
    assert layer.table.compute_dtype == layer.compute_dtype
    # Keras's "random_normal" has a standard deviation of 0.05. The largest of 20,000 values is near
    # 4 deviations. For a uniform distribution it would be below 1.8.
    assert array(table).std() == pytest.approx(0.05, rel=0.05)
    assert 0.15 < np.abs(array(table)).max() < 0.3


def test_a_saved_layer_has_its_arguments():
    for kind in ("sinusoidal", "learned", "rotary"):
        config = PositionalEmbedding(kind, max_positions=9).get_config()
        assert config == {**config, "kind": kind, "max_positions": 9}
        again = PositionalEmbedding.from_config(config)
        assert (again.kind, again.max_positions) == (kind, 9)
        again.build((None, None, 6))
        assert [weight.shape for weight in again.weights] == ([(9, 6)] if kind == "learned" else [])
    assert PositionalEmbedding("learned").max_positions == 512


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "rotary"])
def test_masks_of_keras_pass_through(kind):
    embedded = keras.layers.Embedding(5, 6, mask_zero=True)(ops.convert_to_tensor([[3, 4, 0]]))
    output = PositionalEmbedding(kind)(embedded, ops.convert_to_tensor([[0, 1, 2]], "int32"))
    # GlobalAveragePooling1D averages over the positions that the mask marks as real.
    pooled = keras.layers.GlobalAveragePooling1D()(output)
    np.testing.assert_allclose(array(pooled), array(output)[:, :2].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "rotary"])
def test_positions_that_begin_later_are_those_rows_of_the_whole(kind):
    layer = PositionalEmbedding(kind, max_positions=5)
    x = ops.convert_to_tensor(np.random.default_rng(3).normal(size=(2, 5, 6)).astype("float32"))
    whole = array(layer(x, ops.convert_to_tensor([[0, 1, 2, 3, 4]], "int32")))
    one = array(layer(x[:, 3:4], ops.convert_to_tensor([[3]], "int32")))
    np.testing.assert_allclose(one[:, 0], whole[:, 3], atol=1e-6)
    two = array(layer(x[:, 3:], ops.convert_to_tensor([[3, 4]], "int32")))
    np.testing.assert_allclose(two, whole[:, 3:], atol=1e-6)


def test_learned_positions_end_where_their_table_ends():
    layer = PositionalEmbedding("learned", max_positions=4)
    layer.build((None, None, 6))
    with pytest.raises(ValueError) as error:
        layer(ops.zeros((1, 5, 6)), ops.convert_to_tensor([[0, 1, 2, 3, 4]], "int32"))
    # Keras puts the layer's name before the message.
    assert (
        "A sequence must not be longer than max_positions. Received: length 5, max_positions=4. "
        "Use shorter input or positions='sinusoidal'."
    ) in str(error.value)


def test_half_precision_keeps_far_positions_apart():
    """256 and 257 are the same number in bfloat16: angles must be computed in float32."""
    x = ops.ones((1, 1, 2, 4), "bfloat16")
    found = array(rotate(x, ops.convert_to_tensor([[256, 257]], "int32")))[0, 0]
    rotated = rotate(x, ops.convert_to_tensor([[0, 1]], "int32"))
    assert keras.backend.standardize_dtype(rotated.dtype) == "bfloat16"
    assert abs(found[0, 0] - (math.cos(256) - math.sin(256))) < 0.02
    assert abs(found[1, 0] - (math.cos(257) - math.sin(257))) < 0.02
    layer = PositionalEmbedding("sinusoidal", dtype="mixed_bfloat16")
    added = layer(
        ops.zeros((1, 258, 4), "bfloat16"), ops.reshape(ops.arange(258, dtype="int32"), (1, 258))
    )
    assert keras.backend.standardize_dtype(added.dtype) == "bfloat16"
    np.testing.assert_allclose(array(added)[0, 257, :2], [math.sin(257), math.cos(257)], atol=0.01)


@pytest.mark.parametrize("kind", [PositionalEmbedding])
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"
