"""The building blocks of encoder and decoder.

These are the normalization, the residual connection, the feed-forward block, the encoder layer and
the decoder layer.

Every layer takes a ModelConfig (or its dictionary) and reads its options there.

Shapes: B batch, S source length, T target length, L any length, D model width, H heads, K per-head
width, W beam width.
"""

import dataclasses

import keras
from keras import ops

from transformer.config import ModelConfig
from transformer.model.attention import MultiHeadAttention
from transformer.model.dropout import Dropout

ACTIVATIONS = {
    "relu": ops.relu,
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: ops.gelu(x, approximate=True),
    "swish": ops.silu,
}


def as_config(config):
    """Returns a ModelConfig from a ModelConfig or from its dictionary.

    `.keras` files store the dictionary.
    """
    return config if isinstance(config, ModelConfig) else ModelConfig(**config)


class ConfiguredLayer(keras.layers.Layer):
    """A layer whose only argument is the model configuration.

    The configuration is also all that is saved of its arguments.

    Args:
        config: a ModelConfig or its dictionary.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        # Keras's masks pass through unused. Attention uses only the masks among its arguments.
        self.supports_masking = True
        self.config = as_config(config)

    def get_config(self):
        """Returns the constructor's arguments, the ModelConfig as a dictionary."""
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}


@keras.saving.register_keras_serializable("transformer")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's LayerNormalization over the last axis, with a gradient written by hand.

    See Ba et al. 2016, section 3. The gradient has three terms. TensorFlow's automatic gradient
    would add them in the order in which they become ready, so that two runs of the same training
    would differ by rounding.
    """

    def call(self, inputs):
        """Normalizes the last axis in float32 and returns the result in the compute dtype."""

        @ops.custom_gradient
        def normalized(x, gamma, beta):
            x = x - ops.mean(x, axis=-1, keepdims=True)
            scale = ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
            x = x * scale

            def backward(upstream):
                change, rows = upstream * gamma, [*range(len(x.shape) - 1)]
                change = (
                    change
                    - ops.mean(change, axis=-1, keepdims=True)
                    - x * ops.mean(change * x, axis=-1, keepdims=True)
                )
                return (
                    change * scale,
                    ops.sum(upstream * x, axis=rows),
                    ops.sum(upstream, axis=rows),
                )

            return x * gamma + beta, backward

        # Pass tensors, not variables. If `normalized` read the variables itself, TensorFlow would
        # pass them on to `backward`.
        weights = (
            ops.copy(self.gamma),
            ops.copy(self.beta),
        )
        return ops.cast(normalized(ops.cast(inputs, "float32"), *weights), self.compute_dtype)


def normalization(config, dtype, name=None):
    """Returns the normalization layer that the configuration asks for.

    Args:
        config: a ModelConfig.
        dtype: dtype or dtype policy of the layer.
        name: name of the layer.

    Returns:
        A LayerNormalization or a `keras.layers.RMSNormalization`.
    """
    kinds = {"layer": LayerNormalization, "rms": keras.layers.RMSNormalization}
    return kinds[config.norm_type](epsilon=config.norm_epsilon, dtype=dtype, name=name)


@keras.saving.register_keras_serializable("transformer")
class Residual(ConfiguredLayer):
    """The residual connection around a sublayer, with dropout and normalization.

    With norm="post" it computes Norm(x + Dropout(sublayer(x))) (Vaswani et al. 2017). With
    norm="pre" it computes x + Dropout(sublayer(Norm(x))) (Xiong et al. 2020). The caller runs the
    sublayer:

        y = sublayer(residual.enter(x))
        x = residual(x, y)

    Args:
        config: a ModelConfig or its dictionary.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.norm = normalization(self.config, self.dtype_policy, "norm")
        self.dropout = Dropout(self.config.dropout, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        """Builds the normalization. The input shape is not needed."""
        self.norm.build((None, None, self.config.d_model))

    def enter(self, x):
        """Returns the sublayer's input: x, normalized if norm="pre"."""
        return self.norm(x) if self.config.norm == "pre" else x

    def call(self, x, y, training=False):
        """Joins the sublayer's output y to its input x, both of shape (B, L, D)."""
        x = x + self.dropout(y, training=training)
        return x if self.config.norm == "pre" else self.norm(x)


@keras.saving.register_keras_serializable("transformer")
class FeedForward(ConfiguredLayer):
    """The position-wise feed-forward block.

    Computes activation(x W1) W2 (Vaswani et al. 2017, section 3.3), or with `config.gated` the
    gated form (activation(x W1) * x V) W2 (Shazeer 2020).

    Args:
        config: a ModelConfig or its dictionary.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)

        def dense(units, name):
            return keras.layers.Dense(
                units, use_bias=self.config.use_bias, dtype=self.dtype_policy, name=name
            )

        self.inner = dense(self.config.inner_dim, "inner")
        self.gate = dense(self.config.inner_dim, "gate") if self.config.gated else None
        self.outer = dense(self.config.d_model, "outer")
        self.dropout = Dropout(self.config.activation_dropout, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        """Builds the projections. The input shape is not needed."""
        self.inner.build((None, None, self.config.d_model))
        self.outer.build((None, None, self.config.inner_dim))
        if self.gate:
            self.gate.build((None, None, self.config.d_model))

    def call(self, x, training=False):
        """Maps x of shape (B, L, D) to the same shape."""
        hidden = ACTIVATIONS[self.config.activation](self.inner(x))
        if self.gate:
            hidden = hidden * self.gate(x)
        return self.outer(self.dropout(hidden, training=training))


def _attention(config, dtype, name, cross=False):
    rotary = config.positions == "rotary" and not cross
    return MultiHeadAttention(
        config.d_model,
        config.num_heads,
        cross,
        config.use_bias,
        config.attention_dropout,
        rotary,
        dtype=dtype,
        name=name,
    )


@keras.saving.register_keras_serializable("transformer")
class EncoderLayer(ConfiguredLayer):
    """Self-attention and feed-forward, each in a residual block.

    See Vaswani et al. 2017, section 3.1.

    Args:
        config: a ModelConfig or its dictionary.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        config, dtype = self.config, self.dtype_policy
        self.self_attention = _attention(config, dtype, "self_attention")
        self.self_residual = Residual(config, dtype=dtype, name="self_residual")
        self.feed_forward = FeedForward(config, dtype=dtype, name="feed_forward")
        self.feed_forward_residual = Residual(config, dtype=dtype, name="feed_forward_residual")

    def build(self, input_shape=None):
        """Builds the sublayers. The input shape is not needed."""
        for layer in (
            self.self_attention,
            self.self_residual,
            self.feed_forward,
            self.feed_forward_residual,
        ):
            layer.build(input_shape)

    def call(self, x, attention_mask=None, positions=None, training=False):
        """Encodes x with one layer.

        Args:
            x: float tensor of shape (B, S, D).
            attention_mask: bool tensor of shape (B, S, S), True where visible. None makes
                everything visible.
            positions: int32 tensor of shape (B, S) or (1, S). Required by rotary attention and
                otherwise unused.
            training: whether to apply dropout.

        Returns:
            float tensor of shape (B, S, D).
        """
        y = self.self_attention(
            self.self_residual.enter(x), None, attention_mask, positions, training=training
        )
        x = self.self_residual(x, y, training=training)
        y = self.feed_forward(self.feed_forward_residual.enter(x), training=training)
        return self.feed_forward_residual(x, y, training=training)

    def attention_weights(self, x, mask=None, positions=None):
        """Returns the weights that `call` uses, without dropout: float32 (B, H, S, S)."""
        return self.self_attention.attention_weights(
            self.self_residual.enter(x), None, mask, positions
        )


@keras.saving.register_keras_serializable("transformer")
class DecoderLayer(ConfiguredLayer):
    """Causal self-attention, cross-attention and feed-forward, each in a residual block.

    Cross-attention attends to the encoder's output, called the memory.

    Args:
        config: a ModelConfig or its dictionary.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        config, dtype = self.config, self.dtype_policy
        self.self_attention = _attention(config, dtype, "self_attention")
        self.self_residual = Residual(config, dtype=dtype, name="self_residual")
        self.cross_attention = _attention(config, dtype, "cross_attention", cross=True)
        self.cross_residual = Residual(config, dtype=dtype, name="cross_residual")
        self.feed_forward = FeedForward(config, dtype=dtype, name="feed_forward")
        self.feed_forward_residual = Residual(config, dtype=dtype, name="feed_forward_residual")

    def build(self, input_shape=None):
        """Builds the sublayers. The input shape is not needed."""
        for layer in (
            self.self_attention,
            self.self_residual,
            self.cross_attention,
            self.cross_residual,
            self.feed_forward,
            self.feed_forward_residual,
        ):
            layer.build(input_shape)

    def call(self, x, memory, attention_mask=None, cross_mask=None, positions=None, training=False):
        """Decodes x with one layer.

        The masks are not named `mask` and `memory_mask`, because Keras would fill arguments of
        these names with its own (B, S) masks.

        Args:
            x: float tensor of shape (B, T, D).
            memory: float tensor of shape (B, S, D).
            attention_mask: bool tensor of shape (B, T, T), True where visible. It must be causal:
                the layer adds no causal mask. None makes everything visible.
            cross_mask: bool tensor of shape (B, T, S), True where visible. None makes everything
                visible.
            positions: int32 tensor of shape (B, T) or (1, T). Required by rotary attention and
                otherwise unused.
            training: whether to apply dropout.

        Returns:
            float tensor of shape (B, T, D).
        """
        x = self._after_self_attention(x, attention_mask, positions, training)
        y = self.cross_attention(
            self.cross_residual.enter(x), memory, cross_mask, training=training
        )
        return self._after_cross_attention(x, y, training)

    def _after_self_attention(self, x, mask, positions, training):
        y = self.self_attention(
            self.self_residual.enter(x), None, mask, positions, training=training
        )
        return self.self_residual(x, y, training=training)

    def _after_cross_attention(self, x, y, training):
        x = self.cross_residual(x, y, training=training)
        y = self.feed_forward(self.feed_forward_residual.enter(x), training=training)
        return self.feed_forward_residual(x, y, training=training)

    def attention_weights(self, x, memory, mask=None, memory_mask=None, positions=None):
        """Returns the weights that `call` uses, without dropout.

        Returns:
            A pair: self-attention weights, float32 (B, H, T, T), and cross-attention weights,
            float32 (B, H, T, S).
        """
        self_weights = self.self_attention.attention_weights(
            self.self_residual.enter(x), None, mask, positions
        )
        x = self._after_self_attention(x, mask, positions, training=False)
        return self_weights, self.cross_attention.attention_weights(
            self.cross_residual.enter(x), memory, memory_mask
        )

    def step(self, x, position, cache, memory_cache, memory_mask, grow=False):
        """Decodes one more token: `call` for position t alone.

        The keys and values of earlier positions come from the cache.

        Args:
            x: float tensor of shape (B * W, 1, D), the W hypotheses of each sentence side by side.
            position: int32 scalar t.
            cache: a pair of float tensors of shape (B * W, H, T, K), keys and values of the
                positions so far. Without `grow`, T is fixed and entries after position t are
                ignored.
            memory_cache: a pair of float tensors of shape (B, H, S, K), keys and values of the
                memory.
            memory_mask: bool tensor of shape (B, 1, S), True where visible.
            grow: whether to append position t to a cache of length t. By default it is written into
                a cache of fixed length.

        Returns:
            The output, a float tensor of shape (B * W, 1, D), and the cache with position t
            included.
        """
        query, *new = self.self_attention.queries_keys_values(
            self.self_residual.enter(x), ops.reshape(position, (1, 1))
        )
        pairs = [(old, ops.cast(added, old.dtype)) for old, added in zip(cache, new)]
        if grow:
            cache, visible = tuple(ops.concatenate(pair, axis=2) for pair in pairs), None
        else:
            places = ops.arange(ops.shape(cache[0])[2])
            cache = tuple(
                ops.where(ops.equal(places, position)[:, None], added, old) for old, added in pairs
            )
            visible = (places <= position)[None, None, :]
        y = self.self_attention.attend(query, *cache, visible)
        x = self.self_residual(x, y)
        # All W hypotheses of a sentence attend to the same memory, so its keys and values are
        # stored once.
        batch = ops.shape(memory_cache[0])[0]
        inner = ops.reshape(self.cross_residual.enter(x), (batch, -1, self.config.d_model))
        y = self.cross_attention.attend(
            self.cross_attention.queries(inner), *memory_cache, memory_mask
        )
        return self._after_cross_attention(x, ops.reshape(y, ops.shape(x)), False), cache
