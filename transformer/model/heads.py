"""Task layers on an encoder: classification, regression, spans; and the model that an encoder and a
head make.

A head is called as head(hidden, real, training=...), hidden (B, S, D), real bool (B, S), True where
there is a token, and returns float32 outputs. `loss(targets, outputs)` gives the summed loss and
what it is summed over; `count(targets)` the latter alone; `divergence(first, second)` (B,) how far
apart two passes' outputs are, for R-Drop (Liang et al. 2021). Targets are arrays of rank 2, a row
an example; a row that fills a batch up holds -1 or NaN. Where `num_texts` is 2, the rows 2 i and 2
i + 1 of `hidden` are the two texts of example i, each read alone.

Shapes: B batch, S length, D width of the encoder, C classes.
"""

import keras
from keras import ops

from transformer.model.dropout import Dropout
from transformer.model.losses import (
    binary_cross_entropy,
    binary_divergence,
    divergence,
    label_cross_entropy,
    squared_error,
)


def pool(hidden, real, kind):
    """One vector a text, float32 (B, D), of hidden (B, S, D): the mean or the maximum over real
    tokens, or the first one's."""
    hidden, real = ops.cast(hidden, "float32"), real[:, :, None]
    if kind == "first":
        return hidden[:, 0]
    if kind == "max":
        return ops.max(ops.where(real, hidden, -1e9), axis=1)
    count = ops.maximum(ops.sum(ops.cast(real, "float32"), axis=1), 1.0)
    return ops.sum(ops.where(real, hidden, 0.0), axis=1) / count


class PooledHead(keras.layers.Layer):
    """What heads on a whole text share: pool, dropout, dense and tanh, dropout, dense (Liu et al.
    2019, RoBERTa's head).

    Args:
        units: numbers that come out.
        pooling: "mean", "first" or "max".
        dropout: rate.
        num_texts: 2: two texts u and v, read apart, are seen as (u, v, |u - v|) (Reimers & Gurevych
            2019, section 3).
    """

    def __init__(self, units, pooling="mean", dropout=0.1, num_texts=1, **kwargs):
        super().__init__(**kwargs)
        self.units, self.pooling, self.rate, self.num_texts = units, pooling, dropout, num_texts
        self.dropout, self.inner, self.outer = Dropout(dropout, dtype="float32"), None, None

    def build(self, hidden_shape, real_shape=None):
        width = hidden_shape[-1]
        self.inner = keras.layers.Dense(width, "tanh", dtype="float32", name="inner")
        self.outer = keras.layers.Dense(self.units, dtype="float32", name="outer")
        self.inner.build((None, width * (3 if self.num_texts == 2 else 1)))
        self.outer.build((None, width))

    def call(self, hidden, real, training=False):
        """float32 (B, units)"""
        x = pool(hidden, real, self.pooling)
        if self.num_texts == 2:
            first, second = x[::2], x[1::2]
            x = ops.concatenate([first, second, ops.abs(first - second)], axis=-1)
        x = self.dropout(x, training=training)
        return self.outer(self.dropout(self.inner(x), training=training))

    def count(self, targets):
        return self.loss(targets, ops.zeros((ops.shape(targets)[0], self.units)))[1]

    def get_config(self):
        return {
            **super().get_config(),
            "pooling": self.pooling,
            "dropout": self.rate,
            "num_texts": self.num_texts,
        }


@keras.saving.register_keras_serializable("transformer")
class ClassificationHead(PooledHead):
    """One of C classes, or with `multilabel` any of them: outputs are logits (B, C).

    Args:
        num_classes: C.
        multilabel: a text has any number of labels.
        class_weights: C floats, or () for equal weights.
        label_smoothing: e in [0, 1).
        options: of PooledHead.

    Targets: int32 (B, 1), the class; with `multilabel` int32 (B, C), 0 or 1.
    """

    def __init__(
        self, num_classes, multilabel=False, class_weights=(), label_smoothing=0.0, **options
    ):
        super().__init__(num_classes, **options)
        self.multilabel, self.class_weights, self.label_smoothing = (
            multilabel,
            tuple(class_weights),
            label_smoothing,
        )

    def loss(self, targets, outputs):
        if self.multilabel:
            return binary_cross_entropy(targets, outputs)
        weights = (
            ops.convert_to_tensor(self.class_weights, "float32") if self.class_weights else None
        )
        return label_cross_entropy(targets[:, 0], outputs, weights, self.label_smoothing)

    def divergence(self, first, second):
        return binary_divergence(first, second) if self.multilabel else divergence(first, second)

    def predictions(self, outputs):
        """Probabilities float32 (B, C)."""
        return ops.sigmoid(outputs) if self.multilabel else ops.softmax(outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.units,
            "multilabel": self.multilabel,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable("transformer")
class RegressionHead(PooledHead):
    """A number: outputs float32 (B, 1), shift + scale * dense. Targets: float32 (B, 1).

    Args:
        shift, scale: mean and deviation of the training targets, so that learning begins at the
            mean.
        options: of PooledHead.
    """

    def __init__(self, shift=0.0, scale=1.0, **options):
        super().__init__(1, **options)
        self.shift, self.scale = float(shift), float(scale)

    def call(self, hidden, real, training=False):
        """float32 (B, 1)"""
        return self.shift + self.scale * super().call(hidden, real, training=training)

    def loss(self, targets, outputs):
        return squared_error(targets[:, 0], outputs[:, 0])

    def divergence(self, first, second):
        """The squared difference, as the paper has it for regressions."""
        return ops.square(first - second)[:, 0]

    def predictions(self, outputs):
        """float32 (B,)"""
        return outputs[:, 0]

    def get_config(self):
        return {**super().get_config(), "shift": self.shift, "scale": self.scale}


@keras.saving.register_keras_serializable("transformer")
class SimilarityHead(RegressionHead):
    """A number from the cosine of two texts that were read apart (Reimers & Gurevych 2019, section
    3, the regression objective): outputs float32 (B, 1), shift + scale * cosine, where both are
    learnt. Targets: float32 (B, 1).

    Args:
        shift, scale: where learning begins: lowest training target, and highest less lowest.
        options: of PooledHead.
    """

    def __init__(self, shift=0.0, scale=1.0, num_texts=2, **options):
        super().__init__(shift, scale, num_texts=num_texts, **options)

    def build(self, hidden_shape, real_shape=None):
        begin = keras.initializers.Constant([self.shift, self.scale])
        self.line = self.add_weight((2,), begin, dtype="float32", autocast=False, name="line")

    def call(self, hidden, real, training=False):
        """float32 (B, 1)"""
        x = ops.normalize(pool(hidden, real, self.pooling), axis=-1)
        return self.line[0] + self.line[1] * ops.sum(x[::2] * x[1::2], axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("transformer")
class SpanHead(keras.layers.Layer):
    """Where an answer begins and ends (Devlin et al. 2019, section 4.2): outputs float32 (B, S, 2),
    logits of start and end; position 0 stands for "no answer". Targets: int32 (B, 2), the first and
    the last token.
    """

    num_texts = 1

    def __init__(self, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.dropout = dropout, Dropout(dropout, dtype="float32")
        self.outer = keras.layers.Dense(2, dtype="float32", name="outer")

    def build(self, hidden_shape, real_shape=None):
        self.outer.build((None, None, hidden_shape[-1]))

    def call(self, hidden, real, training=False):
        """float32 (B, S, 2), what is no token at -1e9."""
        return ops.where(
            real[:, :, None],
            self.outer(self.dropout(ops.cast(hidden, "float32"), training=training)),
            -1e9,
        )

    def loss(self, targets, outputs):
        ends = [label_cross_entropy(targets[:, side], outputs[:, :, side]) for side in (0, 1)]
        return (ends[0][0] + ends[1][0]) / 2.0, ends[0][1]

    def count(self, targets):
        return ops.sum(ops.cast(targets[:, 0] >= 0, "float32"))

    def divergence(self, first, second):
        return ops.mean(divergence(ops.swapaxes(first, 1, 2), ops.swapaxes(second, 1, 2)), axis=-1)

    def predictions(self, outputs):
        """Log-probabilities of starts and ends, float32 (B, S, 2)."""
        return ops.log_softmax(outputs, axis=1)

    def get_config(self):
        return {**super().get_config(), "dropout": self.rate}


@keras.saving.register_keras_serializable("transformer")
class TextModel(keras.Model):
    """An encoder and a head: (ids, types), each int32 (B, S), -> the head's outputs.

    Where the head takes two texts, each stands in its half of a row.

    Args:
        encoder: called as encoder((ids, types), training=...) -> (B, S, D), with attributes d_model
            and pad_id; see transformer.pretrained.encoders.
        head: one of the above.
    """

    def __init__(self, encoder, head, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.head = encoder, head

    def build(self, input_shape=None):
        # A part that was loaded is built already.
        if not self.encoder.built:
            self.encoder.build([(None, None), (None, None)])
        if not self.head.built:
            self.head.build((None, None, self.encoder.d_model))
        self.built = True

    def call(self, inputs, training=False):
        if self.head.num_texts > 1:
            inputs = [ops.reshape(x, (-1, ops.shape(x)[1] // self.head.num_texts)) for x in inputs]
        real = ops.not_equal(inputs[0], self.encoder.pad_id)
        return self.head(self.encoder(inputs, training=training), real, training=training)

    def get_build_config(self):
        return {}

    @property
    def d_model(self):
        """The encoder's width D."""
        return self.encoder.d_model

    def get_config(self):
        parts = {"encoder": self.encoder, "head": self.head}
        return {
            **super().get_config(),
            **{name: keras.saving.serialize_keras_object(part) for name, part in parts.items()},
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            name: keras.saving.deserialize_keras_object(config.pop(name))
            for name in ("encoder", "head")
        }
        return cls(**parts, **config)
