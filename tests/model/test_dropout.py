"""Tests of the random bits of dropout.

They must have the right rate. The bits of neighbours, steps and layers must be independent.
"""

import keras
import numpy as np
import pytest
from keras import ops

from transformer.model.dropout import Dropout, keep_mask

SHAPE = (64, 32, 256)
SIZE = 64 * 32 * 256


def mask(seed, counter, rate=0.1, shape=SHAPE):
    return ops.convert_to_numpy(
        keep_mask(ops.convert_to_tensor(np.array([seed, counter], "uint32")), shape, rate)
    ).astype("float64")


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("key", [(1, 0), (123456789, 7), (2**32 - 1, 2**31)])
def test_the_rate(rate, key):
    dropped = 1.0 - mask(*key, rate).mean()
    assert abs(dropped - rate) <= 4.5 * np.sqrt(rate * (1 - rate) / SIZE)


def test_rows_and_columns_have_the_rate_too():
    bits, deviation = mask(1, 5, 0.3), np.sqrt(0.3 * 0.7)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        z = (bits.mean(axis=others) - 0.7) / deviation * np.sqrt(SIZE / SHAPE[axis])
        assert abs(z).max() < 5 and 0.6 < z.std() < 1.4


def at_every_shift(a, b):
    """The largest of all correlations of a with b moved along, in standard errors: near 5 for
    half a million of chance."""
    spectra = [np.fft.rfft((x - x.mean()) / x.std()) for x in (a.ravel(), b.ravel())]
    return np.fft.irfft(spectra[0] * np.conj(spectra[1]), SIZE) / np.sqrt(SIZE)


@pytest.mark.parametrize("key", [(1, 0), (1, 1), (77, 3), (5, 9), (12345, 100)])
def test_positions_are_independent_at_every_distance(key):
    bits = mask(*key)
    assert abs(at_every_shift(bits, bits)[1:]).max() < 6


@pytest.mark.parametrize(
    "first, second",
    [
        ((5, 0), (5, 1)),
        ((5, 1), (5, 2)),
        ((9, 104), (9, 105)),
        ((5, 0), (6, 0)),
        ((5, 0), (5 ^ 2**31, 0)),
        ((0, 1), (1, 0)),
    ],
)
def test_steps_and_layers_are_independent_at_every_distance(first, second):
    """Layers have other seeds, steps other counters."""
    assert abs(at_every_shift(mask(*first), mask(*second))).max() < 6


def test_counts_over_many_steps_are_binomial():
    """How often each of 4,096 elements is kept in 400 steps: mean and variance of independent
    draws."""
    kept = sum(mask(3, step, 0.1, (4096,)) for step in range(400))
    assert abs(kept.mean() - 360) < 5 * np.sqrt(36 / 4096)
    assert 0.88 < kept.var() / 36 < 1.12


def layer_of(seed, rate=0.25):
    keras.utils.set_random_seed(seed)
    return Dropout(rate)


def test_the_layer_keeps_the_mean_and_continues_from_its_variables():
    layer, x = layer_of(1), np.ones(SHAPE, "float32")
    first, second = (ops.convert_to_numpy(layer(x, training=True)) for _ in range(2))
    assert set(np.unique(first)) == {0.0, np.float32(1 / 0.75)} and abs(first.mean() - 1.0) < 0.005
    assert (first != second).mean() == pytest.approx(2 * 0.25 * 0.75, abs=0.01)
    again = layer_of(1)
    np.testing.assert_array_equal(ops.convert_to_numpy(again(x, training=True)), first)
    other = layer_of(2)
    assert (ops.convert_to_numpy(other(x, training=True)) != first).mean() > 0.3
    for variable, saved in zip(other.variables, again.variables):
        variable.assign(saved)
    np.testing.assert_array_equal(ops.convert_to_numpy(other(x, training=True)), second)


def test_out_of_training_and_at_rate_0_nothing_changes():
    x = np.arange(6, dtype="float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer_of(1)(x)), x)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer_of(1, rate=0.0)(x, training=True)), x)


def hashes(seed, counter, size):
    """The hash of each element, uint32, by hand in NumPy."""

    def hashed(x, first, second):
        x = x ^ first
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15)) ^ second) * np.uint32(0x846CA68B)
        return x ^ (x >> np.uint32(16))

    with np.errstate(over="ignore"):
        first = hashed(np.uint32(seed), np.uint32(0x9E3779B9), np.uint32(0))
        second = hashed(np.uint32(counter), first, np.uint32(0))
        return hashed(np.arange(size, dtype="uint32"), first, second)


def test_every_backend_makes_the_same_bits():
    """By hand in NumPy, whichever backend made them."""
    expected = hashes(11, 4, 1000) >= np.uint32(round(0.3 * 2**32))
    np.testing.assert_array_equal(mask(11, 4, 0.3, (1000,)), expected)


def test_an_element_is_kept_from_the_rate_on():
    """Element 7's hash is the rate times 2^32: it is kept, and at a rate 2^-32 higher it is not."""
    hashed = int(hashes(11, 4, 8)[7])
    assert mask(11, 4, hashed / 2**32, (8,))[7] == 1.0
    assert mask(11, 4, (hashed + 1) / 2**32, (8,))[7] == 0.0


def test_a_rate_next_to_1_drops_everything():
    """Times 2^32 it rounds to 2^32, which no uint32 is."""
    assert mask(11, 4, 1.0 - 2.0**-40, (1000,)).sum() == 0


def drops(layer):
    """How often each dropout in a layer or model has dropped, in the order of its parts: that is
    what the second of its two numbers counts."""
    states = [variable for variable in layer.variables if "seed_generator" in variable.path]
    return [int(ops.convert_to_numpy(state)[1]) for state in states]


def test_calls_in_training_are_counted_and_each_has_the_mask_of_its_number():
    layer, x = layer_of(1, rate=0.25), np.ones((10, 4, 5), "float32")
    seed = int(ops.convert_to_numpy(layer.variables[0])[0])
    for number in range(3):
        assert drops(layer) == [number]
        kept = hashes(seed, number, 200).reshape(10, 4, 5) >= 2**30
        output = ops.convert_to_numpy(layer(x, training=True))
        np.testing.assert_allclose(output, kept / 0.75, rtol=1e-6)
        layer(x)
        layer(x, training=False)


def test_a_rate_of_0_has_nothing_to_count():
    assert not layer_of(1, rate=0.0).variables


@pytest.mark.parametrize("dtype, doubled", [("float16", 1.3330078125), ("bfloat16", 1.3359375)])
def test_half_precision_stays_what_it_is(dtype, doubled):
    """4 / 3, rounded to 10 bits and to 7."""
    keras.utils.set_random_seed(1)
    output = Dropout(0.25, dtype=dtype)(ops.ones((20, 20), dtype), training=True)
    assert keras.backend.standardize_dtype(output.dtype) == dtype
    assert set(np.unique(ops.convert_to_numpy(ops.cast(output, "float32")))) == {0.0, doubled}


def test_a_saved_layer_has_its_rate_and_lets_masks_of_keras_through():
    config = layer_of(1).get_config()
    assert config["rate"] == 0.25 and Dropout.from_config(config).rate == 0.25
    embedded = keras.layers.Embedding(5, 2, mask_zero=True)(ops.convert_to_tensor([[3, 4, 0]]))
    pool = keras.layers.GlobalAveragePooling1D()
    dropped = layer_of(1)(embedded, training=True)
    expected = ops.convert_to_numpy(dropped)[:, :2].mean(axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(pool(dropped)), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [Dropout])
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"
