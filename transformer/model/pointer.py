"""The pointer-generator (See et al. 2017, section 2.2): a token is written by the softmax over the
vocabulary, or copied from where an attention points in the source. Names and words too rare to be
learnt can so be copied.

    P(w) = p_gen * softmax(logits)[w] + (1 - p_gen) * (sum of the weights of the source's places
    that hold w)

See et al. point with the decoder's cross-attention. Here it is an attention of its own, with one
head, over the decoder's output, so that pointing need not agree with reading, and any of the
decoder's switches goes with it.

Shapes: B batch, T target length, S source length, D model width, V vocabulary.
"""

import typing

import keras
from keras import ops

from transformer.model.attention import attention_weights
from transformer.model.layers import ConfiguredLayer


class Pointed(typing.NamedTuple):
    """Where in the source each target position points, and how likely it writes instead.

    weights: float32 (B, T, S), each row's sum 1. p_gen: float32 (B, T). source: int32 (B, S), the
    ids that are pointed at.
    """

    weights: typing.Any
    p_gen: typing.Any
    source: typing.Any

    def probability(self, targets):
        """How likely pointing gives int32 targets (B, T): float32 (B, T)."""
        same = ops.equal(self.source[:, None, :], ops.cast(targets, "int32")[:, :, None])
        return ops.sum(ops.where(same, self.weights, 0.0), axis=-1)

    def mix(self, logits):
        """The logarithms of P, float32 (B, T, V), of the vocabulary's logits (B, T, V)."""
        batch, length, vocab_size = ops.shape(logits)
        rows = ops.reshape(ops.arange(batch * length), (batch, length, 1))
        cells = rows * vocab_size + self.source[:, None, :]
        copied = ops.scatter(
            ops.reshape(cells, (-1, 1)),
            ops.reshape(self.weights, (-1,)),
            (batch * length * vocab_size,),
        )
        written = self.p_gen[..., None] * ops.softmax(ops.cast(logits, "float32"))
        mixed = written + (1.0 - self.p_gen)[..., None] * ops.reshape(
            copied, (batch, length, vocab_size)
        )
        return ops.log(ops.maximum(mixed, 1e-35))


@keras.saving.register_keras_serializable("transformer")
class Pointer(ConfiguredLayer):
    """Points from the decoder's output to the encoder's."""

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        width, bias = self.config.d_model, self.config.use_bias
        self.query = keras.layers.Dense(width, use_bias=bias, dtype=self.dtype_policy, name="query")
        self.key = keras.layers.Dense(width, use_bias=bias, dtype=self.dtype_policy, name="key")
        self.switch = keras.layers.Dense(1, dtype=self.dtype_policy, name="switch")

    def build(self, input_shape=None):
        width = self.config.d_model
        self.query.build((None, None, width))
        self.key.build((None, None, width))
        self.switch.build((None, None, 2 * width))

    def keys(self, memory):
        """What can be pointed at: (B, S, D) of the encoder's output (B, S, D)."""
        return self.key(memory)

    def call(self, states, keys, source, attention_mask):
        """A Pointed of states (B, T, D), keys (B, S, D), ids of the source int32 (B, S),
        attention_mask bool (B, T or 1, S)."""
        weights = attention_weights(self.query(states)[:, None], keys[:, None], attention_mask)[
            :, 0
        ]
        found = ops.matmul(ops.cast(weights, keys.dtype), keys)
        switch = self.switch(ops.concatenate([states, found], axis=-1))
        return Pointed(weights, ops.sigmoid(ops.cast(switch, "float32"))[..., 0], source)
