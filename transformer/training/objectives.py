"""Objectives: what a training minimises.

An objective has three methods. Each returns a float32 scalar.

- `loss(model, inputs, targets, weight)`: weight * the loss, summed over a batch.
- `count(targets)`: the number that the sum is to be divided by. The trainee divides, because only
  it knows all micro-batches and replicas.
- `tokens(inputs, targets)`: the number of tokens in a batch without padding, for the log.
"""

from keras import ops

from transformer.model.losses import output_cross_entropy


class TokenObjective:
    """Label-smoothed cross-entropy of the next token, over all target tokens but padding.

    Args:
        model: a `Transformer`.
        config: a `LearningConfig`. With an `rdrop_alpha` above 0 each batch passes twice, for
            R-Drop.
    """

    def __init__(self, model, config):
        self.pad_id, self.label_smoothing, self.rdrop_alpha = (
            model.config.pad_id,
            config.label_smoothing,
            config.rdrop_alpha,
        )

    def count(self, targets):
        """Returns the number of target tokens without padding.

        Args:
            targets: int tensor of shape (B, T).
        """
        return ops.sum(ops.cast(ops.not_equal(targets, self.pad_id), "float32"))

    def tokens(self, inputs, targets):
        """Returns the number of target tokens without padding, like `count`."""
        return self.count(targets)

    def loss(self, model, inputs, targets, weight):
        """Computes the weighted loss of a batch, in nats.

        Args:
            model: the `Transformer`.
            inputs: tuple of int tensors, as the model takes them.
            targets: int tensor of shape (B, T).
            weight: scalar that multiplies the loss.

        Returns:
            float32 scalar, weight * the sum over the target tokens but padding.
        """
        passes = _doubled if self.rdrop_alpha else tuple
        hidden, pointed = model.hidden_states(passes(inputs), training=True)
        table = ops.cast(model.output_table, "float32")
        copying = (pointed.p_gen, pointed.probability(*passes((targets,)))) if pointed else ()
        return output_cross_entropy(
            targets,
            hidden,
            table,
            self.label_smoothing,
            self.pad_id,
            weight,
            self.rdrop_alpha,
            copying,
        )


class HeadObjective:
    """The loss of a `TextModel`'s head, summed over the examples.

    With R-Drop the divergence of every example that has text counts in full. Class weights apply to
    the loss only.

    Args:
        model: a `TextModel`.
        config: a `LearningConfig`. With an `rdrop_alpha` above 0 each batch passes twice, for
            R-Drop.
    """

    def __init__(self, model, config):
        self.head, self.pad_id, self.rdrop_alpha = (
            model.head,
            model.encoder.pad_id,
            config.rdrop_alpha,
        )

    def count(self, targets):
        """Returns the number of examples, or the sum of their class weights if there are any.

        Args:
            targets: the targets of the head.
        """
        return self.head.count(targets)

    def tokens(self, inputs, targets):
        """Returns the number of input tokens without padding."""
        return ops.sum(ops.cast(ops.not_equal(inputs[0], self.pad_id), "float32"))

    def loss(self, model, inputs, targets, weight):
        """Computes the weighted loss of a batch.

        Args:
            model: the `TextModel`.
            inputs: tuple of int32 tensors of shape (B, S). The first holds the ids.
            targets: the targets of the head.
            weight: scalar that multiplies the loss.

        Returns:
            float32 scalar, weight * the sum over the examples.
        """
        if not self.rdrop_alpha:
            return weight * self.head.loss(targets, model(inputs, training=True))[0]
        outputs = model(_doubled(inputs), training=True)
        loss = self.head.loss(ops.concatenate([targets, targets]), outputs)[0]
        real = ops.cast(ops.any(ops.not_equal(inputs[0], self.pad_id), axis=1), "float32")
        apart = ops.sum(self.head.divergence(*ops.split(outputs, 2)) * real)
        return weight * (loss + self.rdrop_alpha * apart) / 2.0


def _doubled(inputs):
    """Repeats the rows of each array, for the two passes of R-Drop.

    One call can make both passes, because dropout differs from row to row.
    """
    return tuple(ops.concatenate([x, x]) for x in inputs)
