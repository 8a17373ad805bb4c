"""The pointer-generator (See et al. 2017, section 2.2).

Each target token is either written by the softmax over the vocabulary or copied from the source
position that an attention points to. This lets the model copy names and words too rare to learn:

    P(w) = p_gen * softmax(logits)[w]
           + (1 - p_gen) * (sum of the weights of the source positions that hold w)

See et al. point with the decoder's cross-attention. Here the pointer is a separate single-head
attention over the decoder's output. It need not point where cross-attention attends, and it works
with every decoder option.

Shapes: B batch, T target length, S source length, D model width, V vocabulary.
"""

import typing

import keras
from keras import ops

from transformer.model.attention import attention_weights
from transformer.model.layers import ConfiguredLayer


class Pointed(typing.NamedTuple):
    """The pointer's result: where each target position points, and how likely it writes instead.

    Attributes:
        weights: float32 tensor of shape (B, T, S), the pointing weights. Each row sums to 1.
        p_gen: float32 tensor of shape (B, T), the probability of writing from the vocabulary.
        source: int32 tensor of shape (B, S), the source ids that are pointed at.
    """

    weights: typing.Any
    p_gen: typing.Any
    source: typing.Any

    def probability(self, targets):
        """Returns the probability that pointing alone gives to each target.

        Args:
            targets: int tensor of shape (B, T).

        Returns:
            float32 tensor of shape (B, T), not multiplied by 1 - p_gen.
        """
        same = ops.equal(self.source[:, None, :], ops.cast(targets, "int32")[:, :, None])
        return ops.sum(ops.where(same, self.weights, 0.0), axis=-1)

    def mix(self, logits):
        """Returns the log-probabilities log P(w) of the mixture (see the module docstring).

        Args:
            logits: float tensor of shape (B, T, V), the vocabulary's logits.

        Returns:
            float32 tensor of shape (B, T, V). Probabilities below 1e-35 count as 1e-35.
        """
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
    """Points from the decoder's output to the encoder's.

    Args:
        config: a ModelConfig or its dictionary.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        width, bias = self.config.d_model, self.config.use_bias
        self.query = keras.layers.Dense(width, use_bias=bias, dtype=self.dtype_policy, name="query")
        self.key = keras.layers.Dense(width, use_bias=bias, dtype=self.dtype_policy, name="key")
        self.switch = keras.layers.Dense(1, dtype=self.dtype_policy, name="switch")

    def build(self, input_shape=None):
        """Builds the projections. The input shape is not needed."""
        width = self.config.d_model
        self.query.build((None, None, width))
        self.key.build((None, None, width))
        self.switch.build((None, None, 2 * width))

    def keys(self, memory):
        """Projects the encoder's output to pointer keys.

        Args:
            memory: float tensor of shape (B, S, D), the encoder's output.

        Returns:
            float tensor of shape (B, S, D).
        """
        return self.key(memory)

    def call(self, states, keys, source, attention_mask):
        """Points from each target position to the source.

        Args:
            states: float tensor of shape (B, T, D), the decoder's output.
            keys: float tensor of shape (B, S, D), from `keys`.
            source: int32 tensor of shape (B, S), the source ids.
            attention_mask: bool tensor of shape (B, T, S) or (B, 1, S), True where visible.

        Returns:
            A `Pointed`.
        """
        weights = attention_weights(self.query(states)[:, None], keys[:, None], attention_mask)[
            :, 0
        ]
        found = ops.matmul(ops.cast(weights, keys.dtype), keys)
        switch = self.switch(ops.concatenate([states, found], axis=-1))
        return Pointed(weights, ops.sigmoid(ops.cast(switch, "float32"))[..., 0], source)
