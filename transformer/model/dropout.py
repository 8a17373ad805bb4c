"""Dropout (Srivastava et al. 2014) whose random bits come from a hash.

The bits are the same on every backend, with and without XLA. Keras's own Dropout draws them from
Philox, which takes a third of a training step when XLA compiles for a CPU.
"""

import math

import keras
import numpy as np
from keras import ops

from transformer.compilation import kernel


def keep_mask(key, shape, rate):
    """Returns a mask of the elements that dropout keeps.

    Element n is kept if a hash of (key, n) is at least rate * 2^32.

    The hash is lowbias32 (Wellons 2018, "Prospecting for hash functions"). One half of the key is
    mixed in before each of its two multiplications, so that the masks of two keys are not shifted
    copies of each other.

    Args:
        key: uint32 tensor of shape (2,).
        shape: shape of the mask, static or dynamic, with at most 2^31 elements.
        rate: probability of False, in [0, 1).

    Returns:
        bool tensor of shape `shape`, True where the element is kept.
    """
    # The halves of a key are a seed and a small counter. Hash them first, so that the keys of two
    # calls differ in all bits and not just in the lowest.
    first = _hash(ops.cast(key[0], "uint32"), 0x9E3779B9, 0)
    second = _hash(ops.cast(key[1], "uint32"), first, 0)
    number = ops.reshape(ops.cast(ops.arange(math.prod(shape), dtype="int32"), "uint32"), shape)
    return _hash(number, first, second) >= _word(min(round(rate * 2**32), 2**32 - 1))


def _hash(x, first, second):
    """Hashes x so that every output bit depends on every input bit. All arguments are uint32."""
    x = x ^ _word(first)
    x = (x ^ ops.right_shift(x, _word(16))) * _word(0x7FEB352D)
    x = (x ^ ops.right_shift(x, _word(15)) ^ _word(second)) * _word(0x846CA68B)
    return x ^ ops.right_shift(x, _word(16))


def _word(value):
    return ops.cast(np.uint32(value), "uint32") if isinstance(value, int) else value


# The hash is a dozen small operations. Compile them into one kernel.
@kernel
def _factors(key, shape, rate, dtype):
    """Returns 1 / (1 - rate) where `keep_mask` keeps an element, and 0 elsewhere."""
    return ops.cast(keep_mask(key, shape, rate), dtype) * (1.0 / (1.0 - rate))


@keras.saving.register_keras_serializable("transformer")
class Dropout(keras.layers.Layer):
    """Sets a fraction `rate` of the elements to 0 in training and scales up the others.

    Which elements are dropped depends on the layer's seed, the number of earlier calls and the
    position of the element. Seed and call count are variables of the model, so training resumed
    from a checkpoint continues the same random sequence. Under a distribution strategy all replicas
    drop the same positions, each in its own rows.

    The others are multiplied by 1 / (1 - rate), rounded to the dtype of the input. For rate 0.1 in
    bfloat16 this amounts to a division by 0.9014 instead of 0.9.

    Args:
        rate: fraction of the elements to drop, in [0, 1). 0 makes the layer the identity.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator() if rate else None
        self.built = True

    def call(self, x, training=False):
        """Applies dropout to x, a float tensor of any shape. Shape and dtype stay the same."""
        if not training or not self.rate:
            return x
        dtype = keras.backend.standardize_dtype(x.dtype)
        return x * _factors(self.seed_generator.next(), ops.shape(x), self.rate, dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}
