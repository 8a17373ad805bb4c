"""Scaled dot-product attention and its multi-head form (Vaswani et al. 2017, section 3.2), with a
cache for decoding.

Shapes: B batch, T query length, S key length, D model width, H heads, K width of a head.
"""

import keras
from keras import ops

from transformer.model.dropout import Dropout
from transformer.model.positions import rotate


def segment_mask(query_segments, key_segments):
    """Which keys a query may see: those of its own segment, never padding (segment 0).

    Args:
        query_segments: int32 (B, T);
        key_segments: int32 (B, S).

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
    """softmax(Q K^T / sqrt(K)), the weights of equation 1: the product in the input's precision,
    the softmax in float32.

    Args:
        query: (B, H, T, K);
        key: (B, H, S, K);
        mask: bool (B, T, S), or broadcastable to it; True is visible.

    Returns:
        float32 (B, H, T, S). A query that sees nothing gets uniform weights: finite, and masked
        later on.
    """
    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.swapaxes(key, -1, -2))
    scores = ops.cast(scores, "float32")
    if mask is not None:
        # Added, not selected: a selection has a gradient that costs as much again.
        scores = scores + ops.where(mask[:, None], 0.0, -1e38)
    return ops.softmax(scores, axis=-1)


@keras.saving.register_keras_serializable("transformer")
class MultiHeadAttention(keras.layers.Layer):
    """Multi-head attention of a sequence to itself, or to another one.

    What is projected from the same input is one matrix: queries, keys and values of self-attention
    side by side, keys and values of cross-attention. One large product is faster than three small
    ones.

    Args:
        d_model: width D.
        num_heads: H, a divisor of D.
        cross: keys and values come from another sequence.
        use_bias: biases on the projections.
        dropout: rate on the attention weights.
        rotary: rotate queries and keys by their positions.
    """

    def __init__(
        self, d_model, num_heads, cross=False, use_bias=True, dropout=0.0, rotary=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.supports_masking = (
            True  # Keras's masks pass through; attention goes by the one it is given
        )
        self.d_model, self.num_heads, self.cross = d_model, num_heads, cross
        self.use_bias, self.rotary, self.rate = use_bias, rotary, dropout
        parts = {"query": 1, "key_value": 2} if cross else {"query_key_value": 3}
        self.projections = [self._dense(name, count) for name, count in parts.items()]
        self.output_projection = self._dense("output", 1)
        self.dropout = Dropout(dropout, dtype=self.dtype_policy)

    def _dense(self, name, count):
        """`count` matrices (D, D) side by side, each initialised as if it stood alone (Glorot &
        Bengio 2010)."""
        initializer = keras.initializers.VarianceScaling((1 + count) / 2, "fan_avg", "uniform")
        return keras.layers.Dense(
            count * self.d_model,
            use_bias=self.use_bias,
            kernel_initializer=initializer,
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape=None):
        for dense in (*self.projections, self.output_projection):
            dense.build((None, None, self.d_model))

    def _split(self, x):
        """(B, L, C * D) -> a list of C times (B, H, L, K)"""
        batch, length = ops.shape(x)[:2]
        count, shape = x.shape[-1] // self.d_model, (self.num_heads, self.d_model // self.num_heads)
        if x.shape[1] == 1:  # decoding: nothing needs to move
            parts = ops.split(x, count, axis=-1) if count > 1 else [x]
            return [ops.reshape(part, (batch, shape[0], 1, shape[1])) for part in parts]
        return ops.unstack(
            ops.transpose(ops.reshape(x, (batch, length, count, *shape)), (2, 0, 3, 1, 4)), count
        )

    def queries(self, x):
        """The queries (B, H, T, K) of x (B, T, D), in cross-attention."""
        return self._split(self.projections[0](x))[0]

    def keys_values(self, source):
        """Keys and values of source (B, S, D), in cross-attention: a pair of (B, H, S, K), the
        thing that a cache holds."""
        return tuple(self._split(self.projections[1](source)))

    def queries_keys_values(self, x, positions=None):
        """Queries, keys and values of x (B, L, D), in self-attention: three times (B, H, L, K)."""
        query, key, value = self._split(self.projections[0](x))
        return (
            (rotate(query, positions), rotate(key, positions), value)
            if self.rotary
            else (query, key, value)
        )

    def _project(self, x, source, positions):
        if self.cross == (source is None):
            raise ValueError(
                f"A layer with cross=True attends to a source, one without to its input. "
                f"Received: "
                f"cross={self.cross}, "
                f"source {'missing' if source is None else 'given'}."
            )
        if self.cross:
            return self.queries(x), *self.keys_values(source)
        return self.queries_keys_values(x, positions)

    def attend(self, query, key, value, mask=None, training=False):
        """What queries (B, H, T, K) get from keys and values (B, H, S, K): (B, T, D)."""
        weights = attention_weights(query, key, mask)
        weights = self.dropout(ops.cast(weights, value.dtype), training=training)
        heads = ops.matmul(weights, value)  # (B, H, T, K)
        batch, _, length, _ = ops.shape(heads)
        heads = heads if query.shape[2] == 1 else ops.transpose(heads, (0, 2, 1, 3))
        return self.output_projection(ops.reshape(heads, (batch, length, self.d_model)))

    def call(self, x, source=None, attention_mask=None, positions=None, training=False):
        """Attends from x (B, T, D) to itself, or to source (B, S, D).

        Args:
            attention_mask: bool (B, T, S), True where visible.
            positions: int32 (B or 1, T), used by rotary self-attention only.

        Returns:
            (B, T, D).
        """
        return self.attend(*self._project(x, source, positions), attention_mask, training)

    def attention_weights(self, x, source=None, attention_mask=None, positions=None):
        """The attention weights alone, float32 (B, H, T, S); arguments as in `call`."""
        query, key, _ = self._project(x, source, positions)
        return attention_weights(query, key, attention_mask)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "cross": self.cross,
            "use_bias": self.use_bias,
            "dropout": self.rate,
            "rotary": self.rotary,
        }
