"""Tests of the pointer-generator.

The probabilities of copying and writing are worked out by hand. The layer is compared with NumPy.
"""

import dataclasses
import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit, softmax

from transformer.config import ModelConfig
from transformer.model.pointer import Pointed, Pointer

CONFIG = ModelConfig(d_model=8, num_heads=2, num_layers=1, vocab_size=23)


def array(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pointed_by_hand():
    """Sources of three places, which hold 4, 1, 4 and 2, 2, 0; two positions for each."""
    weights = [[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]]]
    p_gen, source = [[0.25, 0.5], [0.75, 1.0]], [[4, 1, 4], [2, 2, 0]]
    weights, p_gen = ops.convert_to_tensor(weights), ops.convert_to_tensor(p_gen)
    return Pointed(weights, p_gen, ops.convert_to_tensor(source, "int32"))


def test_a_token_is_as_likely_copied_as_its_places_together():
    for dtype in ("int32", "int64"):
        found = pointed_by_hand().probability(np.array([[4, 1], [2, 3]], dtype))
        np.testing.assert_allclose(array(found), [[0.7, 0.1], [0.75, 0.0]], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_mixture_by_hand(dtype):
    """Five tokens, written with chances of 0.2 in the first row; in the second token 3 has 0.5."""
    written = np.array([[0.2, 0.2, 0.2, 0.2, 0.2], [0.125, 0.125, 0.125, 0.5, 0.125]])
    # A constant added to all logits changes nothing.
    logits = np.log(written)[:, None].repeat(2, axis=1) + 3.0
    copied = np.array(
        [
            [[0.0, 0.3, 0.0, 0.0, 0.7], [0.0, 0.1, 0.0, 0.0, 0.9]],
            [[0.25, 0.0, 0.75, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]],
        ]
    )
    p_gen = np.array([[0.25, 0.5], [0.75, 1.0]])[..., None]
    found = pointed_by_hand().mix(ops.cast(logits, dtype))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    expected = np.log(p_gen * written[:, None] + (1.0 - p_gen) * copied)
    np.testing.assert_allclose(array(found), expected, atol=1e-5 if dtype == "float32" else 2e-3)


def test_what_is_neither_written_nor_copied_has_a_finite_logarithm():
    pointed = Pointed(ops.ones((1, 1, 1)), ops.zeros((1, 1)), ops.ones((1, 1), "int32"))
    found = array(pointed.mix(ops.zeros((1, 1, 3))))[0, 0]
    np.testing.assert_allclose(found, [math.log(1e-35), 0.0, math.log(1e-35)], rtol=1e-5, atol=1e-6)


def randomized(layer):
    layer.build()
    for number, variable in enumerate(layer.trainable_variables):
        variable.assign(random(*variable.shape, seed=number) * 0.5)
    return layer


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_layer_equals_numpy(use_bias):
    layer = randomized(Pointer(dataclasses.replace(CONFIG, use_bias=use_bias)))
    # The switch always has a bias. Without one it could not prefer one side.
    assert len(layer.weights) == (6 if use_bias else 4)
    assert layer.switch.kernel.shape == (16, 1) and layer.switch.bias.shape == (1,)
    states, memory = random(2, 3, 8, seed=10), random(2, 4, 8, seed=11)
    source = np.array([[4, 1, 4, 0], [2, 2, 0, 0]], "int32")
    mask = source[:, None, :] != 0
    keys = layer.keys(memory)
    pointed = layer(states, keys, source, ops.convert_to_tensor(mask))
    np.testing.assert_array_equal(array(pointed.source), source)

    def dense(part, x):
        return x @ array(part.kernel) + (array(part.bias) if part.use_bias else 0.0)

    expected_keys = dense(layer.key, memory)
    np.testing.assert_allclose(array(keys), expected_keys, atol=1e-5)
    scores = dense(layer.query, states) @ expected_keys.swapaxes(1, 2) / math.sqrt(8)
    weights = softmax(np.where(mask, scores, -np.inf), axis=-1)
    np.testing.assert_allclose(array(pointed.weights), weights, atol=1e-5)
    found = np.concatenate([states, weights @ expected_keys], axis=-1)
    p_gen = expit(dense(layer.switch, found))[..., 0]
    np.testing.assert_allclose(array(pointed.p_gen), p_gen, atol=1e-5)


def test_chances_are_float32_in_half_precision():
    layer = randomized(Pointer(CONFIG, dtype="mixed_bfloat16"))
    assert {part.compute_dtype for part in (layer.query, layer.key, layer.switch)} == {"bfloat16"}
    assert {variable.dtype for variable in layer.trainable_variables} == {"float32"}
    states, memory = (ops.cast(random(1, length, 8, seed=length), "bfloat16") for length in (3, 4))
    keys, mask = layer.keys(memory), ops.ones((1, 1, 4), "bool")
    assert keras.backend.standardize_dtype(keys.dtype) == "bfloat16"
    pointed = layer(states, keys, ops.ones((1, 4), "int32"), mask)
    for part in (pointed.weights, pointed.p_gen):
        assert keras.backend.standardize_dtype(part.dtype) == "float32"
    np.testing.assert_allclose(array(pointed.weights).sum(axis=-1), 1.0, atol=1e-6)


def test_a_saved_pointer_is_made_again_with_its_configuration():
    layer = Pointer(dataclasses.replace(CONFIG, use_bias=False))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is Pointer and again.config == layer.config and not again.config.use_bias


@pytest.mark.parametrize("kind", [Pointer])
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"
