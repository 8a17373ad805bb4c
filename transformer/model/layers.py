"""The blocks of the stack: feed-forward, residual connection, encoder layer, decoder layer.

Every layer takes a ModelConfig (or the dictionary of one) and reads its switches there.
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
    """A ModelConfig from itself or from its dictionary, as `.keras` files hold it."""
    return config if isinstance(config, ModelConfig) else ModelConfig(**config)


class ConfiguredLayer(keras.layers.Layer):
    """A layer whose only argument is the model's configuration, which is also all that is saved
    of it."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = (
            True  # Keras's masks pass through; attention goes by the masks it is given
        )
        self.config = as_config(config)

    def get_config(self):
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}


@keras.saving.register_keras_serializable("transformer")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's, of the last axis (Ba et al. 2016, section 3), with its gradient written out: of the
    three summands that TensorFlow would find it adds those first that are there first, so that two
    trainings would differ by rounding.
    """

    def call(self, inputs):
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

        weights = (
            ops.copy(self.gamma),
            ops.copy(self.beta),
        )  # tensors: a variable that it reads itself TensorFlow would hand to `backward`
        return ops.cast(normalized(ops.cast(inputs, "float32"), *weights), self.compute_dtype)


def normalization(config, dtype, name=None):
    """The normalisation layer that the configuration asks for."""
    kinds = {"layer": LayerNormalization, "rms": keras.layers.RMSNormalization}
    return kinds[config.norm_type](epsilon=config.norm_epsilon, dtype=dtype, name=name)


@keras.saving.register_keras_serializable("transformer")
class Residual(ConfiguredLayer):
    """x + Dropout(Sublayer(x)), normalised after the sum (post, Vaswani et al. 2017) or before the
    sublayer (pre, Xiong et al. 2020): y = sublayer(residual.enter(x)); x = residual(x, y).
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.norm = normalization(self.config, self.dtype_policy, "norm")
        self.dropout = Dropout(self.config.dropout, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        self.norm.build((None, None, self.config.d_model))

    def enter(self, x):
        """What the sublayer is given."""
        return self.norm(x) if self.config.norm == "pre" else x

    def call(self, x, y, training=False):
        """Joins the sublayer's output y to its input x, both (B, L, D)."""
        x = x + self.dropout(y, training=training)
        return x if self.config.norm == "pre" else self.norm(x)


@keras.saving.register_keras_serializable("transformer")
class FeedForward(ConfiguredLayer):
    """activation(x W1) W2 (Vaswani et al. 2017, section 3.3), or with a gate (activation(x W1) * x
    V) W2 (Shazeer 2020).
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
        self.inner.build((None, None, self.config.d_model))
        self.outer.build((None, None, self.config.inner_dim))
        if self.gate:
            self.gate.build((None, None, self.config.d_model))

    def call(self, x, training=False):
        """(B, L, D) -> (B, L, D)"""
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
    """Self-attention and feed-forward, each in a residual block (Vaswani et al. 2017, section
    3.1)."""

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        config, dtype = self.config, self.dtype_policy
        self.self_attention = _attention(config, dtype, "self_attention")
        self.self_residual = Residual(config, dtype=dtype, name="self_residual")
        self.feed_forward = FeedForward(config, dtype=dtype, name="feed_forward")
        self.feed_forward_residual = Residual(config, dtype=dtype, name="feed_forward_residual")

    def build(self, input_shape=None):
        for layer in (
            self.self_attention,
            self.self_residual,
            self.feed_forward,
            self.feed_forward_residual,
        ):
            layer.build(input_shape)

    def call(self, x, attention_mask=None, positions=None, training=False):
        """x (B, S, D), attention_mask bool (B, S, S), positions int32 (B or 1, S) -> (B, S, D)."""
        y = self.self_attention(
            self.self_residual.enter(x), None, attention_mask, positions, training=training
        )
        x = self.self_residual(x, y, training=training)
        y = self.feed_forward(self.feed_forward_residual.enter(x), training=training)
        return self.feed_forward_residual(x, y, training=training)

    def attention_weights(self, x, mask=None, positions=None):
        """float32 (B, H, S, S): the weights that `call` uses, dropout aside."""
        return self.self_attention.attention_weights(
            self.self_residual.enter(x), None, mask, positions
        )


@keras.saving.register_keras_serializable("transformer")
class DecoderLayer(ConfiguredLayer):
    """Causal self-attention, attention to the encoder's output ("memory") and feed-forward, each
    in a residual block."""

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
        """x (B, T, D), memory (B, S, D), attention_mask bool (B, T, T), cross_mask bool (B, T, S)
        -> (B, T, D).

        Keras would fill arguments named `mask` or `memory_mask` with its own (B, S) masks.
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
        """The weights that `call` uses: self float32 (B, H, T, T) and cross float32 (B, H, T,
        S)."""
        self_weights = self.self_attention.attention_weights(
            self.self_residual.enter(x), None, mask, positions
        )
        x = self._after_self_attention(x, mask, positions, training=False)
        return self_weights, self.cross_attention.attention_weights(
            self.cross_residual.enter(x), memory, memory_mask
        )

    def step(self, x, position, cache, memory_cache, memory_mask, grow=False):
        """One token more: `call` for position t alone, with what was computed for the positions
        before it.

        Args:
            x: (N, 1, D), N = B * W hypotheses, the W of one sentence side by side.
            position: int32 scalar t.
            cache: pair (N, H, T, K), keys and values of the positions so far; the rest is not
                looked at.
            memory_cache: pair (B, H, S, K), keys and values of the memory.
            memory_mask: bool (B, 1, S).
            grow: append position t to a cache of length t, instead of writing it into one of fixed
                length.

        Returns:
            (N, 1, D) and the cache with position t.
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
        # The hypotheses of a sentence are queries to the same memory: its keys and values are held
        # once, not W times.
        batch = ops.shape(memory_cache[0])[0]
        inner = ops.reshape(self.cross_residual.enter(x), (batch, -1, self.config.d_model))
        y = self.cross_attention.attend(
            self.cross_attention.queries(inner), *memory_cache, memory_mask
        )
        return self._after_cross_attention(x, ops.reshape(y, ops.shape(x)), False), cache
