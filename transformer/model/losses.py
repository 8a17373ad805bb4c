"""The losses that training minimizes, and the counts that validation reports.

All are sums over real tokens or examples, to be divided by their number or total weight. With sums
instead of means, batches, micro-batches and replicas of different sizes add up to the mean over
all tokens.

Shapes: B batch, T target length, D model width, V vocabulary, C classes.
"""

import math

from keras import ops

from transformer.compilation import kernel

# The largest number of logits in memory at once. In float32 they take 64 MiB. Each of the two or
# three steps to their gradient takes as much again.
MAX_LOGITS = 2**24


def cross_entropy(targets, logits, label_smoothing=0.0, pad_id=0):
    """Computes the label-smoothed cross-entropy, summed over the tokens that are not padding.

    See Szegedy et al. 2016, section 7. The smoothed target puts 1 - e on the token and e / V on
    each of the V tokens. Its cross-entropy is -log p(token) + e * (logit of the token - mean
    logit), so no one-hot tensor over the vocabulary is needed.

    Args:
        targets: int tensor of shape (B, T).
        logits: float tensor of shape (B, T, V), of any float dtype.
        label_smoothing: e in [0, 1).
        pad_id: id of padding, which is left out.

    Returns:
        loss: float32 scalar, in nats.
        count: float32 scalar, the number of tokens summed over.
    """
    logits = ops.cast(logits, "float32")
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)  # (B, T)
    if label_smoothing:
        chosen = ops.squeeze(
            ops.take_along_axis(logits, ops.cast(targets, "int32")[..., None], axis=-1), -1
        )
        losses = losses + label_smoothing * (chosen - ops.mean(logits, axis=-1))
    real = ops.cast(ops.not_equal(targets, pad_id), "float32")
    return ops.sum(losses * real), ops.sum(real)


def output_cross_entropy(
    targets,
    hidden,
    table,
    label_smoothing=0.0,
    pad_id=0,
    weight=1.0,
    rdrop_alpha=0.0,
    copying=(),
    max_logits=MAX_LOGITS,
):
    """Computes weight * cross_entropy(targets, hidden @ table^T) without holding all logits.

    It is also fast to differentiate: the gradient, softmax minus smoothed target (Szegedy et al.
    2016, section 7), is written by hand and computed together with the loss. The rows are processed
    in parts. The logits of one part are freed before those of the next are computed.

    Args:
        targets: int tensor of shape (B, T).
        hidden: float tensor of shape (B, T, D), in the compute dtype. With `rdrop_alpha` its shape
            is (2 B, T, D): two passes over the batch with different dropout.
        table: float32 tensor of shape (V, D), the output projection.
        label_smoothing: e in [0, 1).
        pad_id: id of padding, which is left out.
        weight: scalar factor of the loss. The gradient is multiplied by it before it is rounded to
            the dtype of `hidden`.
        rdrop_alpha: weight of R-Drop (Liang et al. 2021, section 2.1). Above 0 the loss is half of
            the paper's: the mean of the two passes' losses plus rdrop_alpha / 2 times the
            `divergence` between their distributions over the vocabulary.
        copying: for a pointer-generator, a pair of float32 tensors of shape (B, T), or (2 B, T)
            with `rdrop_alpha`: p_gen, and the probability of pointing at the target (see
            transformer/model/pointer.py). The target's probability is then that of the mixture.
            Label smoothing spreads its mass over the vocabulary's part only. Empty without a
            pointer.
        max_logits: the largest number of logits to hold at a time.

    Returns:
        float32 scalar, in nats. The cross-entropy of a token with a probability below e^-80 counts
        as 80 nats. Its label-smoothing term is not limited, and its gradient is exact.
    """
    rows, vocab_size, passes = math.prod(targets.shape), table.shape[0], 2 if rdrop_alpha else 1
    # A replica may have no rows, so take at least one part.
    parts = max(math.ceil(passes * rows * vocab_size / max_logits), 1)
    part = math.ceil(rows / parts)
    padding = part * parts - rows
    ids = ops.pad(
        ops.reshape(ops.cast(targets, "int32"), (rows,)), ((0, padding),), constant_values=pad_id
    )

    @ops.custom_gradient
    def loss_of(hidden, table, *copying):
        matrix = ops.cast(table, hidden.dtype)

        def body(number, loss, gradient, states, *shares):
            own_ids = ops.tile(ops.slice(ids, (number * part,), (part,)), [passes])
            own, *own_shares = (_part(array, number * part, part) for array in (states, *shares))
            logits = ops.matmul(own, ops.transpose(matrix))
            own_loss, change, *share_changes = _loss_and_changes(
                own_ids, logits, label_smoothing, pad_id, weight, rdrop_alpha, *own_shares
            )
            # Overwrite the part's states with their gradient. The next part is read from the
            # updated array, so it cannot start before this one is done.
            changes = (ops.matmul(change, matrix), *share_changes)
            arrays = (
                _with_part(array, number * part, own)
                for array, own in zip((states, *shares), changes)
            )
            own_gradient = ops.cast(ops.matmul(ops.transpose(change), own), table.dtype)
            return number + 1, loss + own_loss, gradient + own_gradient, *arrays

        def padded(array):
            """Maps (passes * B, T, ...) to (passes, rows of all parts, ...)."""
            array = ops.reshape(array, (passes, rows, *array.shape[2:]))
            return ops.pad(array, ((0, 0), (0, padding), *[(0, 0)] * (len(array.shape) - 2)))

        start = (
            ops.convert_to_tensor(0, "int32"),
            ops.zeros(()),
            ops.zeros(table.shape, table.dtype),
            *map(padded, (hidden, *copying)),
        )
        _, loss, gradient, *arrays = (
            body(*start) if parts == 1 else ops.while_loop(lambda n, *_: n < parts, body, start)
        )
        changes = [
            ops.reshape(array[:, :rows], x.shape) for array, x in zip(arrays, (hidden, *copying))
        ]

        def backward(upstream):
            by_hidden, *by_shares = (
                change * ops.cast(upstream, change.dtype) for change in changes
            )
            return by_hidden, gradient * ops.cast(upstream, table.dtype), *by_shares

        return loss, backward

    return loss_of(hidden, table, *copying)


def _part(array, start, size):
    """Takes `size` rows of each pass: (passes, rows, ...) -> (passes * size, ...)."""
    passes, _, *rest = array.shape
    return ops.reshape(
        ops.slice(array, (0, start, *[0] * len(rest)), (passes, size, *rest)),
        (passes * size, *rest),
    )


def _with_part(array, start, part):
    """Writes the rows that `_part` takes back into the array.

    Args:
        array: tensor of shape (passes, rows, ...).
        start: index of the first row.
        part: tensor of shape (passes * size, ...).

    Returns:
        The updated array, of shape (passes, rows, ...).
    """
    passes, _, *rest = array.shape
    return ops.slice_update(
        array, (0, start, *[0] * len(rest)), ops.reshape(part, (passes, -1, *rest))
    )


# Compiled as a kernel, the many operations on the logits take only a few passes over them.
@kernel
def _loss_and_changes(
    ids, logits, label_smoothing, pad_id, weight, rdrop_alpha, p_gen=1.0, copied=0.0
):
    """Computes the weighted loss of some rows and its gradients.

    With `rdrop_alpha` the second half of the rows is the second pass.

    Args:
        ids: int32 tensor of shape (n,), the targets.
        logits: float tensor of shape (n, V).
        label_smoothing: e in [0, 1).
        pad_id: id of padding.
        weight: scalar factor of loss and gradients.
        rdrop_alpha: weight of R-Drop, 0 for none.
        p_gen: float32 tensor of shape (n,), the probability of writing from the vocabulary.
        copied: float32 tensor of shape (n,), the probability of pointing at the target.

    Returns:
        The loss, a float32 scalar, and its gradients with respect to `logits` (in their dtype),
        `p_gen` and `copied`.
    """
    dtype, vocab_size = logits.dtype, logits.shape[1]
    weight = ops.cast(weight, "float32") / (2.0 if rdrop_alpha else 1.0)
    logits, weights = (
        ops.cast(logits, "float32"),
        ops.cast(ops.not_equal(ids, pad_id), "float32") * weight,
    )
    # Softmax and logsumexp share the maximum, the exponentials and their sum. Two library calls
    # would compute them twice.
    most = ops.max(logits, axis=-1, keepdims=True)
    powers = ops.exp(logits - most)
    total = ops.sum(powers, axis=-1, keepdims=True)
    probabilities, place = powers / total, ops.stack([ops.arange(ops.shape(ids)[0]), ids], axis=1)
    chance = _at(probabilities, ids)
    mixed = ops.maximum(p_gen * chance + (1.0 - p_gen) * copied, 1e-35)
    chance = ops.maximum(chance, 1e-35)
    # The vocabulary's share of the token's probability. It is 1 without a pointer.
    written = p_gen / ops.maximum(p_gen + (1.0 - p_gen) * copied / chance, 1e-35)
    kept = 1.0 - label_smoothing
    losses = label_smoothing * (
        ops.squeeze(most + ops.log(total), -1) - ops.mean(logits, axis=-1)
    ) - kept * ops.log(mixed)
    drawn = kept * written + label_smoothing
    change = probabilities * ops.reshape(drawn, (-1, 1)) - label_smoothing / vocab_size
    change = ops.scatter_update(
        change, place, chance * drawn - label_smoothing / vocab_size - kept * written
    )
    # Each of the two rows of a pair gets half of their divergence.
    if rdrop_alpha:
        (first, second), (p, q) = ops.split(logits, 2), ops.split(probabilities, 2)
        gap, ratio = p - q, first - second
        losses = losses + rdrop_alpha / 4.0 * ops.tile(ops.sum(gap * ratio, axis=-1), [2])
        by_first = gap + p * (ratio - ops.sum(p * ratio, axis=-1, keepdims=True))
        by_second = -gap - q * (ratio - ops.sum(q * ratio, axis=-1, keepdims=True))
        change = change + rdrop_alpha / 2.0 * ops.concatenate([by_first, by_second])
    by_shares = (-kept * weights / mixed * by for by in (chance - copied, 1.0 - p_gen))
    return ops.sum(losses * weights), ops.cast(change * weights[:, None], dtype), *by_shares


def _at(values, ids):
    """Returns the value at each row's id: values (n, V), ids (n,) -> (n,)."""
    return ops.take_along_axis(values, ids[:, None], axis=1)[:, 0]


def divergence(first, second):
    """Returns the mean of the two KL divergences between softmax(first) and softmax(second).

    Args:
        first: float tensor of shape (..., V), logits.
        second: float tensor of shape (..., V), logits.

    Returns:
        float tensor of shape (...), in nats.
    """
    # Logits differ from log-probabilities by a constant per row. It cancels, since the weights p -
    # q sum to 0.
    return 0.5 * ops.sum((ops.softmax(first) - ops.softmax(second)) * (first - second), axis=-1)


def correct_tokens(targets, logits, pad_id=0):
    """Counts the real tokens that the most likely prediction gets right.

    Args:
        targets: int tensor of shape (B, T).
        logits: float tensor of shape (B, T, V).
        pad_id: id of padding, which is left out.

    Returns:
        float32 scalar.
    """
    right = ops.equal(ops.cast(targets, "int32"), ops.cast(ops.argmax(logits, axis=-1), "int32"))
    return ops.sum(ops.cast(ops.logical_and(right, ops.not_equal(targets, pad_id)), "float32"))


def label_cross_entropy(labels, logits, class_weights=None, label_smoothing=0.0):
    """Computes the label-smoothed cross-entropy of one label per row, summed over the rows.

    Args:
        labels: int tensor of shape (B,). -1 marks a row without an example.
        logits: float32 tensor of shape (B, C).
        class_weights: float32 tensor of shape (C,), the weight of a row with each label. None
            weights all rows by 1.
        label_smoothing: e in [0, 1), as in `cross_entropy`.

    Returns:
        loss: float32 scalar, in nats.
        count: float32 scalar, the sum of the weights.
    """
    known = ops.maximum(labels, 0)
    weights = (
        ops.ones_like(labels, "float32")
        if class_weights is None
        else ops.take(class_weights, known)
    )
    weights = ops.where(labels < 0, 0.0, weights)
    losses = ops.logsumexp(logits, axis=-1) - (1.0 - label_smoothing) * _at(logits, known)
    losses = losses - label_smoothing * ops.mean(logits, axis=-1)
    return ops.sum(losses * weights), ops.sum(weights)


def binary_divergence(first, second):
    """Returns the `divergence` of C binary distributions, averaged over C.

    Args:
        first: float tensor of shape (B, C), logits.
        second: float tensor of shape (B, C), logits.

    Returns:
        float tensor of shape (B,), in nats.
    """
    return 0.5 * ops.mean((ops.sigmoid(first) - ops.sigmoid(second)) * (first - second), axis=-1)


def binary_cross_entropy(labels, logits):
    """Computes the cross-entropy of C binary labels per row.

    It is averaged over the C labels and summed over the rows.

    Args:
        labels: int tensor of shape (B, C), 0 or 1. -1 marks a row without an example.
        logits: float32 tensor of shape (B, C).

    Returns:
        loss: float32 scalar, in nats.
        count: float32 scalar, the number of rows with an example.
    """
    losses = ops.softplus(logits) - ops.cast(labels, "float32") * logits
    real = ops.cast(labels[:, 0] >= 0, "float32")
    return ops.sum(ops.mean(losses, axis=-1) * real), ops.sum(real)


def squared_error(targets, predictions):
    """Computes the squared error, summed over the rows.

    Args:
        targets: float32 tensor of shape (B,). NaN marks a row without an example.
        predictions: float32 tensor of shape (B,).

    Returns:
        loss: float32 scalar.
        count: float32 scalar, the number of rows with an example.
    """
    real = ops.logical_not(ops.isnan(targets))
    errors = ops.square(ops.where(real, targets, 0.0) - predictions)
    return ops.sum(ops.where(real, errors, 0.0)), ops.sum(ops.cast(real, "float32"))
