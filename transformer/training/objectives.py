"""What a training minimises, as sums over a batch that training.Trainee divides by how many they
are.

An objective has three methods: count(targets), how much its loss is summed over; tokens(inputs,
targets), the real tokens of a batch, for the log; loss(model, inputs, targets, weight), weight
times the summed loss. All return float32 scalars.
"""

from keras import ops

from transformer.model.losses import output_cross_entropy


class TokenObjective:
    """Label-smoothed cross-entropy of the next token, over the tokens of the target that are not
    padding.

    Args:
        model: a Transformer.
        config: a LearningConfig.
    """

    def __init__(self, model, config):
        self.pad_id, self.label_smoothing, self.rdrop_alpha = (
            model.config.pad_id,
            config.label_smoothing,
            config.rdrop_alpha,
        )

    def count(self, targets):
        """How many tokens of targets (B, T) are no padding."""
        return ops.sum(ops.cast(ops.not_equal(targets, self.pad_id), "float32"))

    def tokens(self, inputs, targets):
        return self.count(targets)

    def loss(self, model, inputs, targets, weight):
        """weight * the sum over the tokens, in nats."""
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
    """The loss of a TextModel's head, over the examples; with R-Drop the divergence of all that
    have text, class weights or not.

    Args:
        model: a TextModel.
        config: a LearningConfig.
    """

    def __init__(self, model, config):
        self.head, self.pad_id, self.rdrop_alpha = (
            model.head,
            model.encoder.pad_id,
            config.rdrop_alpha,
        )

    def count(self, targets):
        """How many examples there are, or the sum of their weights."""
        return self.head.count(targets)

    def tokens(self, inputs, targets):
        return ops.sum(ops.cast(ops.not_equal(inputs[0], self.pad_id), "float32"))

    def loss(self, model, inputs, targets, weight):
        """weight * the sum over the examples."""
        if not self.rdrop_alpha:
            return weight * self.head.loss(targets, model(inputs, training=True))[0]
        outputs = model(_doubled(inputs), training=True)
        loss = self.head.loss(ops.concatenate([targets, targets]), outputs)[0]
        real = ops.cast(ops.any(ops.not_equal(inputs[0], self.pad_id), axis=1), "float32")
        apart = ops.sum(self.head.divergence(*ops.split(outputs, 2)) * real)
        return weight * (loss + self.rdrop_alpha * apart) / 2.0


def _doubled(inputs):
    """A batch twice, for R-Drop's two passes: dropout differs from row to row."""
    return tuple(ops.concatenate([x, x]) for x in inputs)
