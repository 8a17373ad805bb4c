"""Task heads for an encoder, and TextModel, which joins an encoder and a head.

A head is called as head(hidden, real, training=...), where hidden is a float tensor of shape (B, S,
D) and real is a bool tensor of shape (B, S), True where there is a token. It returns float32
outputs. Its other methods are:

- `loss(targets, outputs)` returns the summed loss and the count to divide it by.
- `count(targets)` returns that count alone.
- `divergence(first, second)` returns how far apart the outputs of two passes are, a tensor of shape
  (B,), for R-Drop (Liang et al. 2021).
- `predictions(outputs)` turns outputs into what a user wants to see, such as probabilities.

Targets are arrays of rank 2 with one row per example. A row that only fills up a batch holds -1 or
NaN. If `num_texts` is 2, rows 2 i and 2 i + 1 of `hidden` are the two texts of example i, each
encoded alone.

Shapes: B batch, S source length, D model width, C classes.
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
    """Pools token states to one vector per text.

    Args:
        hidden: float tensor of shape (B, S, D).
        real: bool tensor of shape (B, S), True where there is a token.
        kind: "mean" or "max" over the real tokens, or "first" for the first token's state.

    Returns:
        float32 tensor of shape (B, D).
    """
    hidden, real = ops.cast(hidden, "float32"), real[:, :, None]
    if kind == "first":
        return hidden[:, 0]
    if kind == "max":
        return ops.max(ops.where(real, hidden, -1e9), axis=1)
    count = ops.maximum(ops.sum(ops.cast(real, "float32"), axis=1), 1.0)
    return ops.sum(ops.where(real, hidden, 0.0), axis=1) / count


class PooledHead(keras.layers.Layer):
    """Base class of the heads that read a whole text.

    It applies pooling, dropout, a dense layer with tanh, dropout and a dense layer, like the head
    of RoBERTa (Liu et al. 2019).

    Args:
        units: number of outputs.
        pooling: "mean", "first" or "max".
        dropout: dropout rate.
        num_texts: number of texts per example. 2 means that two texts u and v are encoded apart and
            combined to (u, v, |u - v|) (Reimers and Gurevych 2019, section 3).
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, units, pooling="mean", dropout=0.1, num_texts=1, **kwargs):
        super().__init__(**kwargs)
        self.units, self.pooling, self.rate, self.num_texts = units, pooling, dropout, num_texts
        self.dropout, self.inner, self.outer = Dropout(dropout, dtype="float32"), None, None

    def build(self, hidden_shape, real_shape=None):
        """Creates and builds the two dense layers."""
        width = hidden_shape[-1]
        self.inner = keras.layers.Dense(width, "tanh", dtype="float32", name="inner")
        self.outer = keras.layers.Dense(self.units, dtype="float32", name="outer")
        self.inner.build((None, width * (3 if self.num_texts == 2 else 1)))
        self.outer.build((None, width))

    def call(self, hidden, real, training=False):
        """Computes the outputs.

        Args:
            hidden: float tensor of shape (num_texts * B, S, D).
            real: bool tensor of shape (num_texts * B, S), True where there is a token.
            training: whether to apply dropout.

        Returns:
            float32 tensor of shape (B, units).
        """
        x = pool(hidden, real, self.pooling)
        if self.num_texts == 2:
            first, second = x[::2], x[1::2]
            x = ops.concatenate([first, second, ops.abs(first - second)], axis=-1)
        x = self.dropout(x, training=training)
        return self.outer(self.dropout(self.inner(x), training=training))

    def count(self, targets):
        """Returns the count that `loss` divides by: examples, or the sum of their class weights."""
        return self.loss(targets, ops.zeros((ops.shape(targets)[0], self.units)))[1]

    def get_config(self):
        """Returns the constructor's arguments, without `units`, which subclasses set."""
        return {
            **super().get_config(),
            "pooling": self.pooling,
            "dropout": self.rate,
            "num_texts": self.num_texts,
        }


@keras.saving.register_keras_serializable("transformer")
class ClassificationHead(PooledHead):
    """Predicts one of C classes, or any number of them with `multilabel`.

    Outputs are logits, float32 (B, C). Targets are the class, int32 (B, 1), or with `multilabel`
    the labels, int32 (B, C) of 0 and 1.

    Args:
        num_classes: number of classes C.
        multilabel: whether a text may have any number of labels.
        class_weights: C floats, or () for equal weights. Unused with `multilabel`.
        label_smoothing: e in [0, 1). Unused with `multilabel`.
        **options: arguments of PooledHead.
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
        """Computes the summed loss and the count to divide it by.

        Args:
            targets: int32 tensor of shape (B, 1), or (B, C) with `multilabel`. -1 marks a row
                without an example.
            outputs: float32 tensor of shape (B, C).

        Returns:
            loss: float32 scalar, in nats.
            count: float32 scalar, the number of examples or the sum of their class weights.
        """
        if self.multilabel:
            return binary_cross_entropy(targets, outputs)
        weights = (
            ops.convert_to_tensor(self.class_weights, "float32") if self.class_weights else None
        )
        return label_cross_entropy(targets[:, 0], outputs, weights, self.label_smoothing)

    def divergence(self, first, second):
        """Returns the divergence of two passes' outputs (B, C), of shape (B,), in nats."""
        return binary_divergence(first, second) if self.multilabel else divergence(first, second)

    def predictions(self, outputs):
        """Returns the probabilities, float32 (B, C), of the outputs."""
        return ops.sigmoid(outputs) if self.multilabel else ops.softmax(outputs)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.units,
            "multilabel": self.multilabel,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable("transformer")
class RegressionHead(PooledHead):
    """Predicts a number: shift + scale * (output of the dense layers).

    Outputs and targets are float32 (B, 1).

    Args:
        shift: mean of the training targets, so that training starts from the mean.
        scale: standard deviation of the training targets.
        **options: arguments of PooledHead.
    """

    def __init__(self, shift=0.0, scale=1.0, **options):
        super().__init__(1, **options)
        self.shift, self.scale = float(shift), float(scale)

    def call(self, hidden, real, training=False):
        """Computes the outputs, float32 (B, 1). The arguments are those of PooledHead.call."""
        return self.shift + self.scale * super().call(hidden, real, training=training)

    def loss(self, targets, outputs):
        """Computes the summed loss and the count to divide it by.

        Args:
            targets: float32 tensor of shape (B, 1). NaN marks a row without an example.
            outputs: float32 tensor of shape (B, 1).

        Returns:
            loss: float32 scalar, the summed squared error.
            count: float32 scalar, the number of examples.
        """
        return squared_error(targets[:, 0], outputs[:, 0])

    def divergence(self, first, second):
        """Returns the squared difference, of shape (B,).

        R-Drop uses it for regression (Liang et al. 2021).
        """
        return ops.square(first - second)[:, 0]

    def predictions(self, outputs):
        """Returns the predicted numbers, float32 (B,)."""
        return outputs[:, 0]

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "shift": self.shift, "scale": self.scale}


@keras.saving.register_keras_serializable("transformer")
class SimilarityHead(RegressionHead):
    """Predicts a number from the cosine similarity of two texts that are encoded apart.

    This is the regression objective of Reimers and Gurevych 2019, section 3. Outputs are float32
    (B, 1), shift + scale * cosine, where shift and scale are trained. Targets are float32 (B, 1).

    Args:
        shift: initial shift, the lowest training target.
        scale: initial scale, the highest training target minus the lowest.
        num_texts: number of texts per example. It must be 2.
        **options: arguments of PooledHead. `dropout` has no effect.
    """

    def __init__(self, shift=0.0, scale=1.0, num_texts=2, **options):
        super().__init__(shift, scale, num_texts=num_texts, **options)

    def build(self, hidden_shape, real_shape=None):
        """Creates the weights for shift and scale."""
        begin = keras.initializers.Constant([self.shift, self.scale])
        self.line = self.add_weight((2,), begin, dtype="float32", autocast=False, name="line")

    def call(self, hidden, real, training=False):
        """Computes the outputs, float32 (B, 1). The arguments are those of PooledHead.call."""
        x = ops.normalize(pool(hidden, real, self.pooling), axis=-1)
        return self.line[0] + self.line[1] * ops.sum(x[::2] * x[1::2], axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("transformer")
class SpanHead(keras.layers.Layer):
    """Predicts where an answer begins and ends (Devlin et al. 2019, section 4.2).

    Outputs are the logits of start and end, float32 (B, S, 2). Position 0 stands for "no answer".
    Targets are the first and the last token of the answer, int32 (B, 2).

    Args:
        dropout: dropout rate.
        **kwargs: passed to `keras.layers.Layer`.
    """

    num_texts = 1

    def __init__(self, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.dropout = dropout, Dropout(dropout, dtype="float32")
        self.outer = keras.layers.Dense(2, dtype="float32", name="outer")

    def build(self, hidden_shape, real_shape=None):
        """Builds the dense layer."""
        self.outer.build((None, None, hidden_shape[-1]))

    def call(self, hidden, real, training=False):
        """Computes the logits of start and end.

        Args:
            hidden: float tensor of shape (B, S, D).
            real: bool tensor of shape (B, S), True where there is a token.
            training: whether to apply dropout.

        Returns:
            float32 tensor of shape (B, S, 2). It is -1e9 where there is no token.
        """
        return ops.where(
            real[:, :, None],
            self.outer(self.dropout(ops.cast(hidden, "float32"), training=training)),
            -1e9,
        )

    def loss(self, targets, outputs):
        """Computes the summed loss and the count to divide it by.

        Args:
            targets: int32 tensor of shape (B, 2). -1 marks a row without an example.
            outputs: float32 tensor of shape (B, S, 2).

        Returns:
            loss: float32 scalar in nats, the mean of the losses of start and end.
            count: float32 scalar, the number of examples.
        """
        ends = [label_cross_entropy(targets[:, side], outputs[:, :, side]) for side in (0, 1)]
        return (ends[0][0] + ends[1][0]) / 2.0, ends[0][1]

    def count(self, targets):
        """Returns the number of examples, a float32 scalar."""
        return ops.sum(ops.cast(targets[:, 0] >= 0, "float32"))

    def divergence(self, first, second):
        """Returns the divergence of two passes' outputs, averaged over start and end: (B,)."""
        return ops.mean(divergence(ops.swapaxes(first, 1, 2), ops.swapaxes(second, 1, 2)), axis=-1)

    def predictions(self, outputs):
        """Returns the log-probabilities of starts and ends, float32 (B, S, 2)."""
        return ops.log_softmax(outputs, axis=1)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "dropout": self.rate}


@keras.saving.register_keras_serializable("transformer")
class TextModel(keras.Model):
    """An encoder with a task head: maps token ids and token types to the head's outputs.

    If the head takes two texts, each row of the input holds one text in its first half and the
    other in its second half.

    Args:
        encoder: called as encoder((ids, types), training=...), returns (B, S, D). It must have the
            attributes `d_model` and `pad_id` (see transformer/pretrained/encoders.py).
        head: a head of this module.
        **kwargs: passed to `keras.Model`.
    """

    def __init__(self, encoder, head, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.head = encoder, head

    def build(self, input_shape=None):
        """Builds the encoder and the head. The input shape is not needed."""
        # Loaded parts are already built.
        if not self.encoder.built:
            self.encoder.build([(None, None), (None, None)])
        if not self.head.built:
            self.head.build((None, None, self.encoder.d_model))
        self.built = True

    def call(self, inputs, training=False):
        """Computes the head's outputs.

        Args:
            inputs: (ids, types), each an int32 tensor of shape (B, S). For a head that takes two
                texts S is twice the length of a text.
            training: whether to apply dropout.

        Returns:
            The head's float32 outputs.
        """
        if self.head.num_texts > 1:
            inputs = [ops.reshape(x, (-1, ops.shape(x)[1] // self.head.num_texts)) for x in inputs]
        real = ops.not_equal(inputs[0], self.encoder.pad_id)
        return self.head(self.encoder(inputs, training=training), real, training=training)

    def get_build_config(self):
        """Returns {}, so that Keras does not build a loaded model by an input shape."""
        return {}

    @property
    def d_model(self):
        """Model width D of the encoder."""
        return self.encoder.d_model

    def get_config(self):
        """Returns the constructor's arguments, with encoder and head serialized."""
        parts = {"encoder": self.encoder, "head": self.head}
        return {
            **super().get_config(),
            **{name: keras.saving.serialize_keras_object(part) for name, part in parts.items()},
        }

    @classmethod
    def from_config(cls, config):
        """Creates a TextModel from the dictionary that `get_config` returns."""
        parts = {
            name: keras.saving.deserialize_keras_object(config.pop(name))
            for name in ("encoder", "head")
        }
        return cls(**parts, **config)
