"""A compiled function reads a model's variables when it is called, not as they were when it was
traced."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.programs import run_apart
from transformer.compilation import compiled, graph, kernel


def test_it_sees_what_was_learnt_since():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    doubled, ones = compiled(lambda x: 2.0 * model(x), model), np.ones((4, 3), "float32")
    for value in (1.0, 5.0):
        model.set_weights([np.full((3, 2), value), np.zeros(2)])
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(doubled(ones)), np.full((4, 2), 6.0 * value)
        )


@pytest.mark.slow
def test_with_jax_too():
    code = """
import keras, numpy as np
from transformer.compilation import compiled, kernel
model, traces = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), []
function = lambda x, y: (traces.append(1), {"sum": model(x) + y, "x": x})[1]
found = compiled(function, model)
for value in (1.0, 5.0):
    model.set_weights([np.full((3, 2), value), np.zeros(2)])
    result = found(np.ones((4, 3), "float32"), np.float32(0.5))
    assert np.array_equal(result["sum"], np.full((4, 2), 3.0 * value + 0.5))
    assert np.array_equal(result["x"], np.ones((4, 3)))
assert len(traces) == 1 and kernel(function) is function
print("equal")
"""
    assert run_apart("-c", code, environment=os.environ | {"KERAS_BACKEND": "jax"}).stdout.endswith(
        "equal\n"
    )


def test_it_is_traced_once_for_a_shape_and_not_for_each_further_one():
    model, traces = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), []

    def function(x):
        traces.append(x.shape)
        return model(x)

    found = compiled(function, model)
    for rows in (4, 4, 4):
        found(np.ones((rows, 3), "float32"))
    assert traces == [(4, 3)]
    for rows in (5, 6, 7, 8):
        assert found(np.ones((rows, 3), "float32")).shape == (rows, 2)
    assert traces == [(4, 3), (None, 3)]


def test_a_graph_asks_no_tensor_a_question():
    """What is written in Python is read as it is, not translated."""
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        graph(lambda x: x if x > 0.0 else -x)(tf.constant(1.0))

    @graph
    def doubled(x):
        return 2.0 * x

    assert float(doubled(tf.constant(3.0))) == 6.0


def test_a_kernel_is_one_of_xla():
    x, function = tf.constant([1.0, 2.0]), lambda x: 2.0 * x + 1.0
    for made in (kernel(function), graph(function, jit_compile=True)):
        assert made(x).numpy().tolist() == [3.0, 5.0]
        assert made.experimental_get_compiler_ir(x)().startswith("HloModule")
    with pytest.raises(ValueError, match="jit_compile"):
        graph(function).experimental_get_compiler_ir(x)


def test_jax_compiles_the_kernel_with_what_is_around_it(monkeypatch):
    function = lambda x: x  # noqa: E731
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert kernel(function) is function
