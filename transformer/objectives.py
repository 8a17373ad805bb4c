"""What a training minimises, as sums over a batch that training.Trainee divides by how many they are.

An objective has three methods: count(targets), how much its loss is summed over; tokens(inputs, targets), the real tokens of
a batch, for the log; loss(model, inputs, targets, weight), weight times the summed loss. All return float32 scalars.
"""

from keras import ops

from transformer.losses import output_cross_entropy


class TokenObjective:
    """Label-smoothed cross-entropy of the next token, over the tokens of the target that are not padding.

    Args:
        model: a Transformer. config: a LearningConfig.
    """

    def __init__(self, model, config):
        self.pad_id, self.label_smoothing = model.config.pad_id, config.label_smoothing

    def count(self, targets):
        """How many tokens of targets (B, T) are no padding."""
        return ops.sum(ops.cast(ops.not_equal(targets, self.pad_id), "float32"))

    def tokens(self, inputs, targets):
        return self.count(targets)

    def loss(self, model, inputs, targets, weight):
        """weight * the sum over the tokens, in nats."""
        hidden, table = model.hidden_states(inputs, training=True), ops.cast(model.output_table, "float32")
        return output_cross_entropy(targets, hidden, table, self.label_smoothing, self.pad_id, weight)


class HeadObjective:
    """The loss of a TextModel's head, over the examples.

    Args:
        model: a TextModel. config: ignored; a LearningConfig, as for TokenObjective.
    """

    def __init__(self, model, config):
        self.head, self.pad_id = model.head, model.encoder.pad_id

    def count(self, targets):
        """How many examples there are, or the sum of their weights."""
        return self.head.count(targets)

    def tokens(self, inputs, targets):
        return ops.sum(ops.cast(ops.not_equal(inputs[0], self.pad_id), "float32"))

    def loss(self, model, inputs, targets, weight):
        """weight * the sum over the examples."""
        return weight * self.head.loss(targets, model(inputs, training=True))[0]
