"""A compiled function reads a model's variables when it is called, not as they were when it was traced."""

import keras
import numpy as np

from transformer.compilation import compiled


def test_it_sees_what_was_learnt_since():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    doubled, ones = compiled(lambda x: 2.0 * model(x), model), np.ones((4, 3), "float32")
    for value in (1.0, 5.0):
        model.set_weights([np.full((3, 2), value), np.zeros(2)])
        np.testing.assert_allclose(keras.ops.convert_to_numpy(doubled(ones)), np.full((4, 2), 6.0 * value))
