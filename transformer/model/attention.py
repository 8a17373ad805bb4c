"""Scaled dot-product and multi-head attention (Vaswani et al. 2017, section 3.2).

For decoding, the layer's parts can be called one by one, so that a caller can cache keys and
values.

Shapes: B batch, T query length, S key length, L any length, D model width, H heads, K per-head
width.
"""

import keras
from keras import ops

from transformer.model.dropout import Dropout
from transformer.model.positions import rotate


def segment_mask(query_segments, key_segments):
    """Returns a mask that lets each query see only the keys of its own segment.

    Padding (segment 0) is never visible.

    Args:
        query_segments: int32 tensor of shape (B, T), the segment number of each query.
        key_segments: int32 tensor of shape (B, S), the segment number of each key.

    Returns:
        bool tensor of shape (B, T, S), True where visible.
    """
    same = ops.equal(query_segments[:, :, None], key_segments[:, None, :])
    return ops.logical_and(same, ops.not_equal(key_segments, 0)[:, None, :])


def causal_mask(length):
    """Returns a mask in which position t sees the positions up to and including t.

    Args:
        length: the sequence length L, an int or an int32 scalar.

    Returns:
        bool tensor of shape (1, L, L), True where visible.
    """
    index = ops.arange(length)
    return (index[:, None] >= index[None, :])[None]


def attention_weights(query, key, mask=None):
    """Computes the weights softmax(Q K^T / sqrt(K)) (Vaswani et al. 2017, equation 1).

    The product runs in the dtype of the inputs, the softmax in float32.

    Args:
        query: float tensor of shape (B, H, T, K).
        key: float tensor of shape (B, H, S, K).
        mask: bool tensor of shape (B, T, S), or broadcastable to it, True where visible. None makes
            everything visible.

    Returns:
        float32 tensor of shape (B, H, T, S). A query that sees no key gets uniform weights. They
        are finite, and such queries are masked out later.
    """
    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.swapaxes(key, -1, -2))
    scores = ops.cast(scores, "float32")
    if mask is not None:
        # Add the mask instead of selecting with it, since the gradient of a selection costs as much
        # again.
        scores = scores + ops.where(mask[:, None], 0.0, -1e38)
    return ops.softmax(scores, axis=-1)


@keras.saving.register_keras_serializable("transformer")
class MultiHeadAttention(keras.layers.Layer):
    """Multi-head attention of a sequence to itself or to another sequence.

    Projections of the same input share one matrix: query, key and value in self-attention, key and
    value in cross-attention. One large matrix product is faster than two or three small ones.

    Args:
        d_model: model width D.
        num_heads: number of heads H. It must divide D.
        cross: whether keys and values come from another sequence (cross-attention).
        use_bias: whether the projections have biases.
        dropout: dropout rate on the attention weights.
        rotary: whether to rotate queries and keys by their positions. Self-attention only.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(
        self, d_model, num_heads, cross=False, use_bias=True, dropout=0.0, rotary=False, **kwargs
    ):
        super().__init__(**kwargs)
        # Keras's masks pass through unused. Attention uses only the `attention_mask` argument.
        self.supports_masking = True
        self.d_model, self.num_heads, self.cross = d_model, num_heads, cross
        self.use_bias, self.rotary, self.rate = use_bias, rotary, dropout
        parts = {"query": 1, "key_value": 2} if cross else {"query_key_value": 3}
        self.projections = [self._dense(name, count) for name, count in parts.items()]
        self.output_projection = self._dense("output", 1)
        self.dropout = Dropout(dropout, dtype=self.dtype_policy)

    def _dense(self, name, count):
        """Returns a Dense layer that holds `count` matrices of shape (D, D) side by side.

        Each matrix is initialized as if it stood alone (Glorot and Bengio 2010).
        """
        initializer = keras.initializers.VarianceScaling((1 + count) / 2, "fan_avg", "uniform")
        return keras.layers.Dense(
            count * self.d_model,
            use_bias=self.use_bias,
            kernel_initializer=initializer,
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape=None):
        """Builds the projections. The input shape is not needed."""
        for dense in (*self.projections, self.output_projection):
            dense.build((None, None, self.d_model))

    def _split(self, x):
        """Splits (B, L, C * D) into heads: a list of C tensors of shape (B, H, L, K)."""
        batch, length = ops.shape(x)[:2]
        count, shape = x.shape[-1] // self.d_model, (self.num_heads, self.d_model // self.num_heads)
        # Decoding has a single position, so a reshape replaces the transpose.
        if x.shape[1] == 1:
            parts = ops.split(x, count, axis=-1) if count > 1 else [x]
            return [ops.reshape(part, (batch, shape[0], 1, shape[1])) for part in parts]
        return ops.unstack(
            ops.transpose(ops.reshape(x, (batch, length, count, *shape)), (2, 0, 3, 1, 4)), count
        )

    def queries(self, x):
        """Projects the queries of cross-attention.

        Args:
            x: float tensor of shape (B, T, D).

        Returns:
            float tensor of shape (B, H, T, K).
        """
        return self._split(self.projections[0](x))[0]

    def keys_values(self, source):
        """Projects the keys and values of cross-attention. Decoding caches them.

        Args:
            source: float tensor of shape (B, S, D).

        Returns:
            A pair of float tensors of shape (B, H, S, K), keys and values.
        """
        return tuple(self._split(self.projections[1](source)))

    def queries_keys_values(self, x, positions=None):
        """Projects the queries, keys and values of self-attention.

        Args:
            x: float tensor of shape (B, L, D).
            positions: int32 tensor of shape (B, L) or (1, L). Required with `rotary` and otherwise
                unused.

        Returns:
            Three float tensors of shape (B, H, L, K). With `rotary`, queries and keys are already
            rotated.
        """
        query, key, value = self._split(self.projections[0](x))
        return (
            (rotate(query, positions), rotate(key, positions), value)
            if self.rotary
            else (query, key, value)
        )

    def _project(self, x, source, positions):
        if self.cross == (source is None):
            raise ValueError(
                "`source` must be given if and only if cross=True. "
                f"Received: cross={self.cross}, source {'missing' if source is None else 'given'}."
            )
        if self.cross:
            return self.queries(x), *self.keys_values(source)
        return self.queries_keys_values(x, positions)

    def attend(self, query, key, value, mask=None, training=False):
        """Attends with queries, keys and values that are already projected.

        Args:
            query: float tensor of shape (B, H, T, K).
            key: float tensor of shape (B, H, S, K).
            value: float tensor of shape (B, H, S, K).
            mask: bool tensor of shape (B, T, S), or broadcastable to it, True where visible. None
                makes everything visible.
            training: whether to apply dropout.

        Returns:
            float tensor of shape (B, T, D), after the output projection.
        """
        weights = attention_weights(query, key, mask)
        weights = self.dropout(ops.cast(weights, value.dtype), training=training)
        heads = ops.matmul(weights, value)  # (B, H, T, K)
        batch, _, length, _ = ops.shape(heads)
        heads = heads if query.shape[2] == 1 else ops.transpose(heads, (0, 2, 1, 3))
        return self.output_projection(ops.reshape(heads, (batch, length, self.d_model)))

    def call(self, x, source=None, attention_mask=None, positions=None, training=False):
        """Attends from x to itself, or to `source` with `cross=True`.

        Args:
            x: float tensor of shape (B, T, D).
            source: float tensor of shape (B, S, D). Required with `cross=True`, not allowed
                otherwise.
            attention_mask: bool tensor of shape (B, T, S), or broadcastable to it, True where
                visible. In self-attention S is T. None makes everything visible.
            positions: int32 tensor of shape (B, T) or (1, T). Required by rotary self-attention and
                otherwise unused.
            training: whether to apply dropout.

        Returns:
            float tensor of shape (B, T, D).

        Raises:
            ValueError: if `source` is missing with `cross=True`, or given without it.
        """
        return self.attend(*self._project(x, source, positions), attention_mask, training)

    def attention_weights(self, x, source=None, attention_mask=None, positions=None):
        """Returns the attention weights alone. The arguments are those of `call`.

        Returns:
            float32 tensor of shape (B, H, T, S), without dropout.
        """
        query, key, _ = self._project(x, source, positions)
        return attention_weights(query, key, attention_mask)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "cross": self.cross,
            "use_bias": self.use_bias,
            "dropout": self.rate,
            "rotary": self.rotary,
        }
