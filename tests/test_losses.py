"""Losses against numbers worked out by hand."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit, rel_entr

from transformer.losses import binary_divergence, correct_tokens, cross_entropy, divergence, output_cross_entropy

# Probabilities of three tokens at two positions, and one position of padding.
LOGITS = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]], "float32"))
TARGETS = np.array([[1, 2, 0]])


def test_cross_entropy_is_the_sum_over_real_tokens():
    loss, count = cross_entropy(TARGETS, LOGITS)
    assert float(loss) == pytest.approx(-math.log(0.25) - math.log(0.8), abs=1e-6)
    assert float(count) == 2


def test_label_smoothing_is_the_cross_entropy_with_the_smoothed_distribution():
    smoothed = [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]  # 0.3 spread over three tokens, 0.7 more on the right one
    by_hand = -sum(q * math.log(p) for q, p in zip(smoothed[0], (0.5, 0.25, 0.25)))
    by_hand -= sum(q * math.log(p) for q, p in zip(smoothed[1], (0.1, 0.1, 0.8)))
    loss, _ = cross_entropy(TARGETS, LOGITS + 5.0, label_smoothing=0.3)  # a constant added to logits changes nothing
    assert float(loss) == pytest.approx(by_hand, abs=1e-5)


def test_padding_has_no_part_in_the_loss():
    changed = LOGITS.copy()
    changed[0, 2] = [50.0, -50.0, 3.0]
    assert float(cross_entropy(TARGETS, changed, 0.1)[0]) == float(cross_entropy(TARGETS, LOGITS, 0.1)[0])


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
    return [np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")), "float64") for x in (value, *found)]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("max_logits", [10**6, 40, 1])  # all rows at once, four at a time with one left over, one by one
def test_the_loss_with_its_own_gradient_equals_the_plain_one(label_smoothing, max_logits):
    generator = np.random.default_rng(0)
    hidden, table = (ops.convert_to_tensor(generator.normal(size=shape), "float32") for shape in ((3, 5, 8), (10, 8)))
    targets = generator.integers(0, 10, (3, 5))
    targets[0, :2] = 0
    logits = lambda hidden, table: ops.matmul(hidden, ops.transpose(table))  # noqa: E731
    plain = gradients(lambda h, e: 0.7 * cross_entropy(targets, logits(h, e), label_smoothing)[0], hidden, table)
    own = gradients(
        lambda h, e: output_cross_entropy(targets, h, e, label_smoothing, weight=0.7, max_logits=max_logits), hidden, table
    )
    twice = gradients(lambda h, e: 2.0 * output_cross_entropy(targets, h, e, label_smoothing), hidden, table)
    for ours, double, theirs in zip(own, twice, plain):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        np.testing.assert_allclose(double, theirs * 2.0 / 0.7, atol=3e-5)


@pytest.mark.parametrize("max_logits", [10**6, 40])
def test_the_loss_of_two_passes_with_its_own_gradient_equals_the_plain_one(max_logits):
    generator = np.random.default_rng(0)
    hidden, table = (ops.convert_to_tensor(generator.normal(size=shape), "float32") for shape in ((6, 5, 8), (10, 8)))
    targets = generator.integers(0, 10, (3, 5))
    targets[0, :2] = 0

    def plain(hidden, table):
        first, second = ops.split(ops.matmul(hidden, ops.transpose(table)), 2)
        p, q = ops.log_softmax(first), ops.log_softmax(second)
        apart = ops.sum(ops.exp(p) * (p - q) + ops.exp(q) * (q - p), axis=-1) / 2.0
        nll = sum(cross_entropy(targets, logits, 0.1)[0] for logits in (first, second))
        return 0.7 * (nll + 5.0 * ops.sum(apart * ops.cast(targets != 0, "float32"))) / 2.0

    def own(hidden, table):
        return output_cross_entropy(targets, hidden, table, 0.1, weight=0.7, rdrop_alpha=5.0, max_logits=max_logits)

    for ours, theirs in zip(gradients(own, hidden, table), gradients(plain, hidden, table)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("max_logits", [10**6, 40])
@pytest.mark.parametrize("rdrop_alpha", [0.0, 5.0])
def test_the_loss_of_a_pointer_generator_equals_the_plain_one(rdrop_alpha, max_logits):
    generator, passes = np.random.default_rng(0), 2 if rdrop_alpha else 1
    shapes = (3 * passes, 5, 8), (10, 8), (3 * passes, 5), (3 * passes, 5)
    arguments = [ops.convert_to_tensor(generator.normal(size=shape), "float32") for shape in shapes]
    targets = generator.integers(0, 10, (3, 5))
    targets[0, :2] = 0
    real = ops.cast(targets != 0, "float32")

    def plain(hidden, table, p_gen, copied):
        logits, loss = ops.matmul(hidden, ops.transpose(table)), 0.0
        written = ops.log_softmax(logits)
        chosen = ops.take_along_axis(written, np.tile(targets, (passes, 1))[..., None], axis=-1)[..., 0]
        mixed = ops.log(ops.sigmoid(p_gen) * ops.exp(chosen) + (1.0 - ops.sigmoid(p_gen)) * ops.sigmoid(copied))
        losses = -0.9 * mixed - 0.1 * ops.mean(written, axis=-1)
        for part in ops.split(losses, passes):
            loss = loss + ops.sum(part * real) / passes
        apart = ops.sum(divergence(*ops.split(logits, 2)) * real) if rdrop_alpha else 0.0
        return 0.7 * (loss + rdrop_alpha / 2.0 * apart)

    def own(hidden, table, p_gen, copied):
        copying = ops.sigmoid(p_gen), ops.sigmoid(copied)
        return output_cross_entropy(
            targets, hidden, table, 0.1, weight=0.7, rdrop_alpha=rdrop_alpha, copying=copying, max_logits=max_logits
        )

    for ours, theirs in zip(gradients(own, *arguments), gradients(plain, *arguments)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("p_gen, copied, expected", [(0.0, 0.0, 80.6), (0.0, 1.0, 0.0), (1.0, 0.0, 80.6), (1.0, 1.0, 80.6)])
def test_what_is_neither_written_nor_copied_costs_no_nan(p_gen, copied, expected):
    hidden, table = ops.convert_to_tensor([[[1.0]]]), ops.convert_to_tensor([[0.0], [-500.0], [500.0]])
    shares = [ops.convert_to_tensor([[share]]) for share in (p_gen, copied)]
    own = lambda h, e, *copying: output_cross_entropy(np.array([[1]]), h, e, copying=copying)  # noqa: E731
    loss, *changes = gradients(own, hidden, table, *shares)
    assert loss == pytest.approx(expected, abs=0.1) and all(np.isfinite(change).all() for change in changes)


def test_divergences_are_the_mean_of_both_kullback_leibler_divergences():
    first, second = np.array([[0.3, -1.2, 2.0]]), np.array([[1.0, 0.1, -0.4]])
    p, q = (np.exp(x) / np.exp(x).sum() for x in (first, second))
    by_hand = (rel_entr(p, q).sum() + rel_entr(q, p).sum()) / 2
    assert float(divergence(first, second)[0]) == pytest.approx(by_hand, rel=1e-5)
    p, q = expit(first), expit(second)
    by_hand = sum(rel_entr(a, b) + rel_entr(b, a) for a, b in ((p, q), (1 - p, 1 - q))).mean() / 2
    assert float(binary_divergence(first, second)[0]) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("label_smoothing, expected, slope", [(0.0, 80.6, 1000.0), (0.1, 0.9 * 80.6 + 0.1 * 500.0, 950.0)])
def test_a_token_that_is_all_but_impossible_has_a_finite_loss_and_its_true_gradient(label_smoothing, expected, slope):
    hidden, table = ops.convert_to_tensor([[[1.0]]]), ops.convert_to_tensor([[0.0], [-500.0], [500.0]])
    loss, by_hidden, _ = gradients(lambda h, e: output_cross_entropy(np.array([[1]]), h, e, label_smoothing), hidden, table)
    assert loss == pytest.approx(expected, abs=0.1) and by_hidden.item() == pytest.approx(slope)
