"""Dropout (Srivastava et al. 2014) with bits from a hash: the same on every backend, with XLA and
without.

Keras's own Dropout draws from Philox, which costs XLA a third of a training step on a CPU.
"""

import math

import keras
import numpy as np
from keras import ops

from transformer.compilation import kernel


def keep_mask(key, shape, rate):
    """Which elements dropout keeps: element n, if a hash of (key, n) is at least rate * 2^32.

    The hash is lowbias32 of Wellons 2018 ("Prospecting for hash functions"), with one half of the
    key before each of its two multiplications, so that the masks of two keys are no shifted copies
    of each other.

    Args:
        key: uint32 (2,).
        shape: static or not, of at most 2^31 elements.
        rate: the probability of False, in [0, 1).

    Returns:
        bool, of the shape.
    """
    # A key's halves are a seed and a small counter: once hashed, they differ in all bits.
    first = _hash(ops.cast(key[0], "uint32"), 0x9E3779B9, 0)
    second = _hash(ops.cast(key[1], "uint32"), first, 0)
    number = ops.reshape(ops.cast(ops.arange(math.prod(shape), dtype="int32"), "uint32"), shape)
    return _hash(number, first, second) >= _word(min(round(rate * 2**32), 2**32 - 1))


def _hash(x, first, second):
    """Every bit of x uint32 depends on every other; the keys are uint32."""
    x = x ^ _word(first)
    x = (x ^ ops.right_shift(x, _word(16))) * _word(0x7FEB352D)
    x = (x ^ ops.right_shift(x, _word(15)) ^ _word(second)) * _word(0x846CA68B)
    return x ^ ops.right_shift(x, _word(16))


def _word(value):
    return ops.cast(np.uint32(value), "uint32") if isinstance(value, int) else value


@kernel  # the dozen small operations of the hash as one
def _factors(key, shape, rate, dtype):
    """1 / (1 - rate) where `keep_mask` keeps an element, 0 elsewhere."""
    return ops.cast(keep_mask(key, shape, rate), dtype) * (1.0 / (1.0 - rate))


@keras.saving.register_keras_serializable("transformer")
class Dropout(keras.layers.Layer):
    """Zeroes a share `rate` of the elements in training and divides the others by 1 - rate.

    Which ones is a function of the layer's seed, the number of calls before this one, and the
    element's place. Seed and number are variables of the model, so that a checkpoint continues the
    series. The replicas of a strategy drop the same places of their different rows. What is kept is
    divided in the dtype of x: by 0.9014 for 0.9 in bfloat16.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator() if rate else None
        self.built = True

    def call(self, x, training=False):
        """(...) -> (...), of the same dtype."""
        if not training or not self.rate:
            return x
        dtype = keras.backend.standardize_dtype(x.dtype)
        return x * _factors(self.seed_generator.next(), ops.shape(x), self.rate, dtype)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}
