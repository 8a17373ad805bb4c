"""Scaled dot-product attention and its multi-head form (Vaswani et al. 2017, section 3.2), with a cache for decoding.

Shapes: B batch, T query length, S key length, D model width, H heads, K width of a head.
"""

import keras
from keras import ops

from transformer.positions import rotate


def segment_mask(query_segments, key_segments):
    """Which keys a query may see: those of its own segment, never padding (segment 0).

    Args:
        query_segments: int32 (B, T); key_segments: int32 (B, S).

    Returns:
        bool (B, T, S).
    """
    same = ops.equal(query_segments[:, :, None], key_segments[:, None, :])
    return ops.logical_and(same, ops.not_equal(key_segments, 0)[:, None, :])


def causal_mask(length):
    """bool (1, length, length): position t sees positions up to t."""
    index = ops.arange(length)
    return (index[:, None] >= index[None, :])[None]


def attention_weights(query, key, mask=None):
    """softmax(Q K^T / sqrt(K)), the weights of equation 1, computed in float32 whatever the input's precision.

    Args:
        query: (B, H, T, K); key: (B, H, S, K); mask: bool (B, T, S), or broadcastable to it; True is visible.

    Returns:
        float32 (B, H, T, S). A query that sees nothing gets uniform weights: finite, and masked later on.
    """
    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.swapaxes(key, -1, -2))
    scores = ops.cast(scores, "float32")
    if mask is not None:
        scores = ops.where(mask[:, None], scores, -1e9)
    return ops.softmax(scores, axis=-1)


@keras.saving.register_keras_serializable("transformer")
class MultiHeadAttention(keras.layers.Layer):
    """Multi-head attention from one sequence to another, or to itself.

    Args:
        d_model: width D. num_heads: H, a divisor of D.
        use_bias: biases on the four projections. dropout: rate on the attention weights.
        rotary: rotate queries and keys by their positions.
    """

    def __init__(self, d_model, num_heads, use_bias=True, dropout=0.0, rotary=False, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # Keras's masks pass through; attention goes by the one it is given
        self.d_model, self.num_heads, self.use_bias, self.rotary = d_model, num_heads, use_bias, rotary
        self.rate = dropout
        for name in ("query", "key", "value", "output"):
            dense = keras.layers.Dense(d_model, use_bias=use_bias, dtype=self.dtype_policy, name=name)
            setattr(self, f"{name}_projection", dense)
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        for dense in (self.query_projection, self.key_projection, self.value_projection, self.output_projection):
            dense.build((None, None, self.d_model))

    def _split(self, x):
        """(B, L, D) -> (B, H, L, K)"""
        batch, length = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, length, self.num_heads, self.d_model // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def _queries(self, x, positions):
        query = self._split(self.query_projection(x))
        return rotate(query, positions) if self.rotary else query

    def keys_values(self, x, positions=None):
        """Keys and values of x (B, S, D): a pair of (B, H, S, K), the thing that a cache holds."""
        key, value = self._split(self.key_projection(x)), self._split(self.value_projection(x))
        return (rotate(key, positions) if self.rotary else key), value

    def attention_weights(self, x, source, mask=None, positions=None, source_positions=None):
        """The attention weights alone, float32 (B, H, T, S); arguments as in `call`."""
        key, _ = self.keys_values(source, source_positions)
        return attention_weights(self._queries(x, positions), key, mask)

    def attend(self, x, key, value, mask=None, positions=None, training=False):
        """Attention from x (B, T, D) to ready keys and values (B, H, S, K) -> (B, T, D)."""
        weights = attention_weights(self._queries(x, positions), key, mask)
        weights = self.dropout(ops.cast(weights, value.dtype), training=training)
        heads = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (B, T, H, K)
        batch, length = ops.shape(heads)[:2]
        return self.output_projection(ops.reshape(heads, (batch, length, self.d_model)))

    def call(self, x, source, attention_mask=None, positions=None, source_positions=None, training=False):
        """Attends from x (B, T, D) to source (B, S, D).

        Args:
            attention_mask: bool (B, T, S), True where visible.
            positions, source_positions: int32 (B or 1, T) and (B or 1, S), used by rotary attention only.

        Returns:
            (B, T, D).
        """
        key, value = self.keys_values(source, source_positions)
        return self.attend(x, key, value, attention_mask, positions, training)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "use_bias": self.use_bias,
            "dropout": self.rate,
            "rotary": self.rotary,
        }
