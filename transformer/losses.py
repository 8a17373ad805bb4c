"""What training minimises, and the counts that validation reports: sums over real tokens, to be divided by their number.

Sums rather than means, so that batches, micro-batches and replicas of different size add up to the mean over all tokens.
"""

from keras import ops


def cross_entropy(targets, logits, label_smoothing=0.0, pad_id=0):
    """Label-smoothed cross-entropy (Szegedy et al. 2016, section 7), summed over the tokens that are not padding.

    The smoothed target puts 1 - e on the token and e / V on each of the V tokens. Its cross-entropy is
    -log p(token) + e * (logit of the token - mean logit), so no one-hot of the vocabulary is made.

    Args:
        targets: int (B, T). logits: (B, T, V), any float. label_smoothing: e in [0, 1).

    Returns:
        loss, float32 scalar in nats, and count, float32 scalar: the number of tokens summed over.
    """
    logits = ops.cast(logits, "float32")
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)  # (B, T)
    if label_smoothing:
        chosen = ops.squeeze(ops.take_along_axis(logits, ops.cast(targets, "int32")[..., None], axis=-1), -1)
        losses = losses + label_smoothing * (chosen - ops.mean(logits, axis=-1))
    real = ops.cast(ops.not_equal(targets, pad_id), "float32")
    return ops.sum(losses * real), ops.sum(real)


def correct_tokens(targets, logits, pad_id=0):
    """How many real tokens the likeliest prediction gets right, float32 scalar. Arguments as for `cross_entropy`."""
    right = ops.equal(ops.cast(targets, "int32"), ops.cast(ops.argmax(logits, axis=-1), "int32"))
    return ops.sum(ops.cast(ops.logical_and(right, ops.not_equal(targets, pad_id)), "float32"))
