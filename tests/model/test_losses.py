"""Tests of the losses against numbers worked out by hand."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit, log_softmax, rel_entr

from transformer.model.losses import (
    MAX_LOGITS,
    binary_cross_entropy,
    binary_divergence,
    correct_tokens,
    cross_entropy,
    divergence,
    label_cross_entropy,
    output_cross_entropy,
    squared_error,
)

# Probabilities of three tokens at two positions and at one position of padding.
LOGITS = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]], "float32"))
TARGETS = np.array([[1, 2, 0]])

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="looks at TensorFlow's own tape or graph"
)


def test_cross_entropy_is_the_sum_over_real_tokens():
    loss, count = cross_entropy(TARGETS, LOGITS)
    assert float(loss) == pytest.approx(-math.log(0.25) - math.log(0.8), abs=1e-6)
    assert float(count) == 2


def test_label_smoothing_is_the_cross_entropy_with_the_smoothed_distribution():
    # Smoothing spreads 0.3 over the three tokens. The right one gets 0.7 more.
    smoothed = ([0.1, 0.8, 0.1], [0.1, 0.1, 0.8])
    by_hand = -sum(q * math.log(p) for q, p in zip(smoothed[0], (0.5, 0.25, 0.25)))
    by_hand -= sum(q * math.log(p) for q, p in zip(smoothed[1], (0.1, 0.1, 0.8)))
    # A constant added to all logits changes nothing.
    loss, _ = cross_entropy(TARGETS, LOGITS + 5.0, label_smoothing=0.3)
    assert float(loss) == pytest.approx(by_hand, abs=1e-5)


def test_padding_has_no_part_in_the_loss():
    changed = LOGITS.copy()
    changed[0, 2] = [50.0, -50.0, 3.0]
    assert float(cross_entropy(TARGETS, changed, 0.1)[0]) == float(
        cross_entropy(TARGETS, LOGITS, 0.1)[0]
    )


def test_padding_has_the_id_that_it_is_said_to_have():
    """With 2 for padding, token 0 at the last position is real."""
    loss, count = cross_entropy(TARGETS, LOGITS, pad_id=2)
    assert float(loss) == pytest.approx(-math.log(0.25) - math.log(0.2), abs=1e-6)
    assert float(count) == 2
    targets = np.array([[0, 2, 2]])
    assert float(correct_tokens(targets, LOGITS, pad_id=2)) == 1.0
    assert float(correct_tokens(targets, LOGITS, pad_id=1)) == 3.0


def test_half_precision_logits_are_summed_in_float32():
    loss, _ = cross_entropy(TARGETS, ops.cast(LOGITS, "bfloat16"))
    assert float(loss) == pytest.approx(-math.log(0.25) - math.log(0.8), abs=0.02)
    assert "float32" in str(loss.dtype)


def test_correct_tokens_counts_real_ones_only():
    assert float(correct_tokens(TARGETS, LOGITS)) == 1.0
    assert float(correct_tokens(np.array([[0, 2, 2]]), LOGITS)) == 2.0


def gradients(loss, *arguments):
    """The loss and its gradients by the arguments, as float64 arrays."""
    if keras.backend.backend() == "jax":
        import jax

        value, found = jax.value_and_grad(loss, argnums=tuple(range(len(arguments))))(*arguments)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = loss(*arguments)
        found = tape.gradient(value, arguments)
    return [
        np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")), "float64") for x in (value, *found)
    ]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
# All rows at once, four at a time with one left over, and one by one.
@pytest.mark.parametrize("max_logits", [10**6, 40, 1])
def test_the_loss_with_its_own_gradient_equals_the_plain_one(label_smoothing, max_logits):
    generator = np.random.default_rng(0)
    hidden, table = (
        ops.convert_to_tensor(generator.normal(size=shape), "float32")
        for shape in ((3, 5, 8), (10, 8))
    )
    targets = generator.integers(0, 10, (3, 5))
    targets[0, :2] = 0
    logits = lambda hidden, table: ops.matmul(hidden, ops.transpose(table))  # noqa: E731
    plain = gradients(
        lambda h, e: 0.7 * cross_entropy(targets, logits(h, e), label_smoothing)[0], hidden, table
    )
    own = gradients(
        lambda h, e: output_cross_entropy(
            targets, h, e, label_smoothing, weight=0.7, max_logits=max_logits
        ),
        hidden,
        table,
    )
    twice = gradients(
        lambda h, e: 2.0 * output_cross_entropy(targets, h, e, label_smoothing), hidden, table
    )
    for ours, double, theirs in zip(own, twice, plain):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        np.testing.assert_allclose(double, theirs * 2.0 / 0.7, atol=3e-5)


@pytest.mark.parametrize("max_logits", [10**6, 40])
def test_the_loss_of_two_passes_with_its_own_gradient_equals_the_plain_one(max_logits):
    generator = np.random.default_rng(0)
    hidden, table = (
        ops.convert_to_tensor(generator.normal(size=shape), "float32")
        for shape in ((6, 5, 8), (10, 8))
    )
    targets = generator.integers(0, 10, (3, 5))
    targets[0, :2] = 7

    def plain(hidden, table):
        first, second = ops.split(ops.matmul(hidden, ops.transpose(table)), 2)
        p, q = ops.log_softmax(first), ops.log_softmax(second)
        apart = ops.sum(ops.exp(p) * (p - q) + ops.exp(q) * (q - p), axis=-1) / 2.0
        nll = sum(cross_entropy(targets, logits, 0.1, pad_id=7)[0] for logits in (first, second))
        return 0.7 * (nll + 0.5 * ops.sum(apart * ops.cast(targets != 7, "float32"))) / 2.0

    def own(hidden, table):
        options = dict(pad_id=7, weight=0.7, rdrop_alpha=0.5, max_logits=max_logits)
        return output_cross_entropy(targets, hidden, table, 0.1, **options)

    for ours, theirs in zip(gradients(own, hidden, table), gradients(plain, hidden, table)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("max_logits", [10**6, 40])
@pytest.mark.parametrize("rdrop_alpha", [0.0, 5.0])
def test_the_loss_of_a_pointer_generator_equals_the_plain_one(rdrop_alpha, max_logits):
    generator, passes = np.random.default_rng(0), 2 if rdrop_alpha else 1
    shapes = (3 * passes, 5, 8), (10, 8), (3 * passes, 5), (3 * passes, 5)
    arguments = [ops.convert_to_tensor(generator.normal(size=shape), "float32") for shape in shapes]
    targets = generator.integers(0, 10, (3, 5))
    targets[0, :2] = 7
    real = ops.cast(targets != 7, "float32")

    def plain(hidden, table, p_gen, copied):
        logits, loss = ops.matmul(hidden, ops.transpose(table)), 0.0
        written = ops.log_softmax(logits)
        chosen = ops.take_along_axis(written, np.tile(targets, (passes, 1))[..., None], axis=-1)[
            ..., 0
        ]
        mixed = ops.log(
            ops.sigmoid(p_gen) * ops.exp(chosen) + (1.0 - ops.sigmoid(p_gen)) * ops.sigmoid(copied)
        )
        losses = -0.9 * mixed - 0.1 * ops.mean(written, axis=-1)
        for part in ops.split(losses, passes):
            loss = loss + ops.sum(part * real) / passes
        apart = ops.sum(divergence(*ops.split(logits, 2)) * real) if rdrop_alpha else 0.0
        return 3.0 * 0.7 * (loss + rdrop_alpha / 2.0 * apart)

    def own(hidden, table, p_gen, copied):
        copying = ops.sigmoid(p_gen), ops.sigmoid(copied)
        options = dict(pad_id=7, weight=0.7, rdrop_alpha=rdrop_alpha, max_logits=max_logits)
        return 3.0 * output_cross_entropy(targets, hidden, table, 0.1, copying=copying, **options)

    for ours, theirs in zip(gradients(own, *arguments), gradients(plain, *arguments)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "p_gen, copied, expected",
    [(0.0, 0.0, 80.6), (0.0, 1.0, 0.0), (1.0, 0.0, 80.6), (1.0, 1.0, 80.6)],
)
def test_what_is_neither_written_nor_copied_costs_no_nan(p_gen, copied, expected):
    hidden, table = (
        ops.convert_to_tensor([[[1.0]]]),
        ops.convert_to_tensor([[0.0], [-500.0], [500.0]]),
    )
    shares = [ops.convert_to_tensor([[share]]) for share in (p_gen, copied)]
    own = lambda h, e, *copying: output_cross_entropy(np.array([[1]]), h, e, copying=copying)  # noqa: E731
    loss, *changes = gradients(own, hidden, table, *shares)
    assert loss == pytest.approx(expected, abs=0.1) and all(
        np.isfinite(change).all() for change in changes
    )


def test_divergences_are_the_mean_of_both_kullback_leibler_divergences():
    first, second = np.array([[0.3, -1.2, 2.0]]), np.array([[1.0, 0.1, -0.4]])
    p, q = (np.exp(x) / np.exp(x).sum() for x in (first, second))
    by_hand = (rel_entr(p, q).sum() + rel_entr(q, p).sum()) / 2
    assert float(divergence(first, second)[0]) == pytest.approx(by_hand, rel=1e-5)
    p, q = expit(first), expit(second)
    by_hand = sum(rel_entr(a, b) + rel_entr(b, a) for a, b in ((p, q), (1 - p, 1 - q))).mean() / 2
    assert float(binary_divergence(first, second)[0]) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    "label_smoothing, expected, slope",
    [(0.0, 80.6, 1000.0), (0.1, 0.9 * 80.6 + 0.1 * 500.0, 950.0)],
)
def test_a_token_that_is_all_but_impossible_has_a_finite_loss_and_its_true_gradient(
    label_smoothing, expected, slope
):
    hidden, table = (
        ops.convert_to_tensor([[[1.0]]]),
        ops.convert_to_tensor([[0.0], [-500.0], [500.0]]),
    )
    loss, by_hidden, _ = gradients(
        lambda h, e: output_cross_entropy(np.array([[1]]), h, e, label_smoothing), hidden, table
    )
    assert loss == pytest.approx(expected, abs=0.1) and by_hidden.item() == pytest.approx(slope)


def test_the_gradients_by_hand():
    """Token 1 of three, with the chances 0.5, 0.25 and 0.25, in two positions, and one of padding.
    The gradient by the logits is what each chance is above its smoothed target, 0.1, 0.8, 0.1,
    times the weight 2."""
    table = ops.convert_to_tensor(np.log([[0.5], [0.25], [0.25]]), "float32")
    hidden, targets = ops.ones((1, 3, 1)), np.array([[1, 1, 2]])
    options = dict(label_smoothing=0.3, pad_id=2, weight=2.0)
    own = lambda h, e: output_cross_entropy(targets, h, e, **options)  # noqa: E731
    loss, by_hidden, by_table = gradients(own, hidden, table)
    nats, slopes = -np.log([0.5, 0.25, 0.25]), 2.0 * np.array([0.4, -0.55, 0.15])
    assert loss == pytest.approx(2 * 2.0 * np.dot([0.1, 0.8, 0.1], nats), rel=1e-6)
    np.testing.assert_allclose(by_table[:, 0], 2 * slopes, rtol=1e-5)
    expected = -np.dot(slopes, nats)
    np.testing.assert_allclose(by_hidden[0, :, 0], [expected, expected, 0.0], rtol=1e-5, atol=1e-6)


@tensorflow_only
@pytest.mark.parametrize("max_logits", [10**6, 40])
def test_half_precision_has_gradients_of_its_own_precision(max_logits):
    """By the states in theirs, by the table in float32, near those of double precision in NumPy."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    targets = generator.integers(1, 10, (3, 5))
    table = generator.normal(size=(10, 8)).astype("float32")
    hidden = ops.cast(generator.normal(size=(3, 5, 8)), "bfloat16")
    inputs = hidden, ops.convert_to_tensor(table)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = output_cross_entropy(targets, *inputs, max_logits=max_logits)
    by_hidden, by_table = tape.gradient(loss, inputs)
    assert (loss.dtype, by_hidden.dtype, by_table.dtype) == ("float32", "bfloat16", "float32")
    states = np.asarray(ops.cast(hidden, "float32"), "float64").reshape(15, 8)
    chances = log_softmax(states @ table.T, axis=-1)
    assert float(loss) == pytest.approx(-chances[np.arange(15), targets.ravel()].sum(), rel=0.02)
    change = np.exp(chances) - np.eye(10)[targets.ravel()]
    expected = (change @ table).reshape(3, 5, 8)
    np.testing.assert_allclose(ops.cast(by_hidden, "float32"), expected, atol=0.05)
    np.testing.assert_allclose(by_table, change.T @ states, atol=0.1)


def test_the_weight_saves_what_half_precision_would_round_to_0():
    """The wrong token's chance, e^-18 or 1.5e-8, is 0 in float16, but 2^20 times as much is not."""
    hidden, table = ops.ones((1, 1, 1), "float16"), ops.convert_to_tensor([[0.0], [-18.0]])
    targets, options = np.array([[0]]), dict(pad_id=1, weight=2.0**20)
    own = lambda h, e: output_cross_entropy(targets, h, e, **options)  # noqa: E731
    _, by_hidden, _ = gradients(own, hidden, table)
    assert by_hidden.item() == pytest.approx(-18.0 * 2.0**20 * math.exp(-18.0), rel=0.01)


def test_what_is_hardly_written_and_hardly_copied_has_its_true_gradient():
    """A token of chances e^-30 and 1e-12, with 0.5 each: the vocabulary's share of what is learnt
    is the first's of their sum, and its logit is -30."""
    hidden, table = ops.ones((1, 1, 1)), ops.convert_to_tensor([[0.0], [-30.0]])
    shares = [ops.convert_to_tensor([[share]]) for share in (0.5, 1e-12)]
    targets = np.array([[1]])
    own = lambda h, e, *c: output_cross_entropy(targets, h, e, copying=c)  # noqa: E731
    loss, by_hidden, *_ = gradients(own, hidden, table, *shares)
    both = math.exp(-30.0) + 1e-12
    assert loss == pytest.approx(-math.log(0.5 * both), rel=1e-5)
    assert by_hidden.item() == pytest.approx(30.0 * math.exp(-30.0) / both, rel=1e-4)


def test_a_replica_without_a_row_has_no_loss():
    table = ops.ones((10, 8))
    targets, hidden = np.zeros((0, 5), "int32"), ops.zeros((0, 5, 8))
    assert float(output_cross_entropy(targets, hidden, table)) == 0.0


@tensorflow_only
@pytest.mark.parametrize("rdrop_alpha", [0.0, 5.0])
def test_never_more_logits_are_held_than_allowed(rdrop_alpha):
    """The shapes of all that a graph of loss and gradient computes."""
    import tensorflow as tf

    passes = 2 if rdrop_alpha else 1

    @tf.function(autograph=False)
    def both(hidden, table):
        with tf.GradientTape() as tape:
            tape.watch((hidden, table))
            options = dict(rdrop_alpha=rdrop_alpha, max_logits=400)
            loss = output_cross_entropy(np.ones((3, 8), "int32"), hidden, table, **options)
        return tape.gradient(loss, (hidden, table))

    function = both.get_concrete_function(tf.zeros((3 * passes, 8, 2)), tf.zeros((50, 2)))
    graph = function.graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node]
    for part in graph.library.function:
        nodes += part.node_def
    shapes = []
    for node in nodes:
        for shape in node.attr["_output_shapes"].list.shape:
            shapes.append(tuple(dimension.size for dimension in shape.dim))
    # The vocabulary has 50 tokens, so the logits of 8 positions are 400 numbers.
    assert max(math.prod(shape) for shape in shapes if len(shape) > 1 and shape[-1] == 50) == 400
    # The default limit is 64 MiB of float32.
    assert MAX_LOGITS * 4 == 64 * 2**20


def test_label_cross_entropy_by_hand():
    logits = [[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [3.0, 0.0, 0.0], [2.0, 2.0, 1.0]]
    logits = np.array(logits, "float32")
    labels, nats = np.array([1, 2, -1, 0], "int32"), -log_softmax(logits.astype("float64"), axis=1)
    loss, count = label_cross_entropy(labels, logits)
    assert float(count) == 3.0
    assert float(loss) == pytest.approx(nats[0, 1] + nats[1, 2] + nats[3, 0], rel=1e-6)
    # The weight of a class also counts in the denominator. With label smoothing 0.3 each class gets
    # 0.1 and the right one 0.8.
    weights = np.array([1.0, 2.0, 5.0], "float32")
    loss, count = label_cross_entropy(labels, logits, weights, 0.3)
    assert float(count) == 2.0 + 5.0 + 1.0
    expected = 2.0 * np.dot([0.1, 0.8, 0.1], nats[0]) + 5.0 * np.dot([0.1, 0.1, 0.8], nats[1])
    assert float(loss) == pytest.approx(expected + np.dot([0.8, 0.1, 0.1], nats[3]), rel=1e-6)


def test_binary_cross_entropy_is_a_mean_over_labels_and_a_sum_over_rows():
    logits = np.array([[2.0, -1.0], [0.5, 3.0], [9.0, 9.0]], "float32")
    labels = np.array([[1, 0], [0, 1], [-1, -1]], "int32")
    yes = expit(logits.astype("float64"))
    loss, count = binary_cross_entropy(labels, logits)
    by_hand = -(math.log(yes[0, 0]) + math.log(1 - yes[0, 1])) / 2
    by_hand -= (math.log(1 - yes[1, 0]) + math.log(yes[1, 1])) / 2
    assert (float(loss), float(count)) == (pytest.approx(by_hand, rel=1e-6), 2.0)


def test_the_squared_error_of_a_row_without_example_is_nothing_and_has_no_gradient():
    targets = np.array([1.0, np.nan, 5.0], "float32")
    predictions = ops.convert_to_tensor([1.5, 7.0, 2.0])
    loss, count = squared_error(targets, predictions)
    assert (float(loss), float(count)) == (0.25 + 9.0, 2.0)
    _, slopes = gradients(lambda p: squared_error(targets, p)[0], predictions)
    np.testing.assert_allclose(slopes, [1.0, 0.0, -6.0])


def test_divergences_are_of_each_row_apart():
    first, second = np.random.default_rng(0).normal(size=(2, 2, 3, 4))
    p, q = np.exp(log_softmax(first, axis=-1)), np.exp(log_softmax(second, axis=-1))
    expected = (rel_entr(p, q) + rel_entr(q, p)).sum(axis=-1) / 2
    np.testing.assert_allclose(divergence(first, second), expected, rtol=1e-5)
    p, q = expit(first[0]), expit(second[0])
    apart = rel_entr(p, q) + rel_entr(q, p) + rel_entr(1 - p, 1 - q) + rel_entr(1 - q, 1 - p)
    found = binary_divergence(first[0], second[0])
    np.testing.assert_allclose(found, apart.mean(axis=-1) / 2, rtol=1e-5)
