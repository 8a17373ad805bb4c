"""What training minimises, and the counts that validation reports: sums over real tokens, to be
divided by their number.

Sums rather than means, so that batches, micro-batches and replicas of different size add up to the
mean over all tokens.
"""

import math

from keras import ops

from transformer.compilation import kernel

# Logits in memory at once: 64 MiB of float32 for them, and as much for each of the two or three
# steps to their gradient.
MAX_LOGITS = 2**24


def cross_entropy(targets, logits, label_smoothing=0.0, pad_id=0):
    """Label-smoothed cross-entropy (Szegedy et al. 2016, section 7), summed over the tokens that
    are not padding.

    The smoothed target puts 1 - e on the token and e / V on each of the V tokens. Its cross-entropy
    is -log p(token) + e * (logit of the token - mean logit), so no one-hot of the vocabulary is
    made.

    Args:
        targets: int (B, T).
        logits: (B, T, V), any float.
        label_smoothing: e in [0, 1).

    Returns:
        loss, float32 scalar in nats, and count, float32 scalar: the number of tokens summed over.
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
    """weight * `cross_entropy(targets, hidden @ table^T)`, without ever holding all logits, and
    fast to differentiate.

    The gradient is written out, softmax minus smoothed target (Szegedy et al. 2016, section 7), and
    computed beside the loss, a part of the rows at a time: the logits of a part are forgotten
    before those of the next are made.

    Args:
        targets: int (B, T).
        hidden: (B, T, D), in the compute dtype.
        table: float32 (V, D).
        label_smoothing: e in [0, 1).
        rdrop_alpha: above 0 the loss of R-Drop (Liang et al. 2021, section 2.1, halved): hidden is
            (2 B, T, D), of two passes whose dropout differs; the mean of their losses, and
            rdrop_alpha / 2 times the `divergence` between their distributions over the vocabulary.
        copying: of a pointer-generator, a pair of float32 (B, T), or (2 B, T): p_gen, and how
            likely the target is to be pointed at (transformer/model/pointer.py). The target's
                probability
            is that of the mixture; what label smoothing spreads, it spreads over the vocabulary's
            part.
        weight: scalar; the gradient is multiplied by it before it is rounded to the dtype of
            `hidden`.
        max_logits: most logits at a time.

    Returns:
        float32 scalar. A token less likely than e^-80 counts as 80 nats, and for label smoothing as
        many as it is; its gradient is exact.
    """
    rows, vocab_size, passes = math.prod(targets.shape), table.shape[0], 2 if rdrop_alpha else 1
    parts = max(math.ceil(passes * rows * vocab_size / max_logits), 1)  # a replica may have no row
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
            # A part's states make room for their gradient: the next part is read from the result,
            # so it waits for it.
            changes = (ops.matmul(change, matrix), *share_changes)
            arrays = (
                _with_part(array, number * part, own)
                for array, own in zip((states, *shares), changes)
            )
            own_gradient = ops.cast(ops.matmul(ops.transpose(change), own), table.dtype)
            return number + 1, loss + own_loss, gradient + own_gradient, *arrays

        def padded(array):
            """(passes * B, T, ...) -> (passes, rows of all parts, ...)"""
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
    """Rows of each pass, as (passes * size, ...), of an array (passes, rows, ...)."""
    passes, _, *rest = array.shape
    return ops.reshape(
        ops.slice(array, (0, start, *[0] * len(rest)), (passes, size, *rest)),
        (passes * size, *rest),
    )


def _with_part(array, start, part):
    """The array (passes, rows, ...) with the rows that `_part` takes replaced by a part (passes
    * size, ...)."""
    passes, _, *rest = array.shape
    return ops.slice_update(
        array, (0, start, *[0] * len(rest)), ops.reshape(part, (passes, -1, *rest))
    )


@kernel  # the passes over the logits as a few
def _loss_and_changes(
    ids, logits, label_smoothing, pad_id, weight, rdrop_alpha, p_gen=1.0, copied=0.0
):
    """weight * loss of ids (n,) by logits (n, V), p_gen (n,) and copied (n,), and its gradients by
    them, that by the logits in their dtype. With `rdrop_alpha` the second half of the rows is the
    second pass.
    """
    dtype, vocab_size = logits.dtype, logits.shape[1]
    weight = ops.cast(weight, "float32") / (2.0 if rdrop_alpha else 1.0)
    logits, weights = (
        ops.cast(logits, "float32"),
        ops.cast(ops.not_equal(ids, pad_id), "float32") * weight,
    )
    # softmax and logsumexp share the maximum, the powers and their sum, which two calls would make
    # twice.
    most = ops.max(logits, axis=-1, keepdims=True)
    powers = ops.exp(logits - most)
    total = ops.sum(powers, axis=-1, keepdims=True)
    probabilities, place = powers / total, ops.stack([ops.arange(ops.shape(ids)[0]), ids], axis=1)
    chance = _at(probabilities, ids)
    mixed = ops.maximum(p_gen * chance + (1.0 - p_gen) * copied, 1e-35)
    chance = ops.maximum(chance, 1e-35)
    # How much of the token's probability is the vocabulary's: all of it, without a pointer.
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
    if rdrop_alpha:  # both rows of a pair are given the half of their divergence
        (first, second), (p, q) = ops.split(logits, 2), ops.split(probabilities, 2)
        gap, ratio = p - q, first - second
        losses = losses + rdrop_alpha / 4.0 * ops.tile(ops.sum(gap * ratio, axis=-1), [2])
        by_first = gap + p * (ratio - ops.sum(p * ratio, axis=-1, keepdims=True))
        by_second = -gap - q * (ratio - ops.sum(q * ratio, axis=-1, keepdims=True))
        change = change + rdrop_alpha / 2.0 * ops.concatenate([by_first, by_second])
    by_shares = (-kept * weights / mixed * by for by in (chance - copied, 1.0 - p_gen))
    return ops.sum(losses * weights), ops.cast(change * weights[:, None], dtype), *by_shares


def _at(values, ids):
    """values (n, V), ids (n,) -> (n,)"""
    return ops.take_along_axis(values, ids[:, None], axis=1)[:, 0]


def divergence(first, second):
    """The mean of the two Kullback-Leibler divergences between softmax(first) and
    softmax(second), (..., V) -> (...), in nats."""
    # The difference of the logits is that of the log-probabilities and a constant, whose weights p
    # - q add up to 0.
    return 0.5 * ops.sum((ops.softmax(first) - ops.softmax(second)) * (first - second), axis=-1)


def correct_tokens(targets, logits, pad_id=0):
    """How many real tokens the likeliest prediction gets right, float32 scalar. Arguments as for
    `cross_entropy`."""
    right = ops.equal(ops.cast(targets, "int32"), ops.cast(ops.argmax(logits, axis=-1), "int32"))
    return ops.sum(ops.cast(ops.logical_and(right, ops.not_equal(targets, pad_id)), "float32"))


def label_cross_entropy(labels, logits, class_weights=None, label_smoothing=0.0):
    """Label-smoothed cross-entropy of one label a row, summed; a class's rows count as much as its
    weight says.

    Args:
        labels: int (B,), -1 for a row without example.
        logits: float32 (B, C).
        class_weights: float32 (C,) or None.
        label_smoothing: e in [0, 1), as for `cross_entropy`.

    Returns:
        loss, float32 scalar in nats, and count, float32 scalar: the sum of the weights.
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
    """`divergence` of C yes-or-no distributions whose logits these are, (B, C) -> (B,), the mean
    over C."""
    return 0.5 * ops.mean((ops.sigmoid(first) - ops.sigmoid(second)) * (first - second), axis=-1)


def binary_cross_entropy(labels, logits):
    """Cross-entropy of C yes-or-no labels a row, their mean over C summed over the rows.

    Args:
        labels: int (B, C), 0 or 1, -1 for a row without example.
        logits: float32 (B, C).

    Returns:
        loss, float32 scalar in nats, and count, float32 scalar: the number of rows.
    """
    losses = ops.softplus(logits) - ops.cast(labels, "float32") * logits
    real = ops.cast(labels[:, 0] >= 0, "float32")
    return ops.sum(ops.mean(losses, axis=-1) * real), ops.sum(real)


def squared_error(targets, predictions):
    """Squared error summed over the rows: targets float32 (B,), NaN for a row without example,
    predictions float32 (B,).

    Returns:
        loss, float32 scalar, and count, float32 scalar: the number of rows.
    """
    real = ops.logical_not(ops.isnan(targets))
    errors = ops.square(ops.where(real, targets, 0.0) - predictions)
    return ops.sum(ops.where(real, errors, 0.0)), ops.sum(ops.cast(real, "float32"))
