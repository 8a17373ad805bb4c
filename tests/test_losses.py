"""Losses against numbers worked out by hand."""

import math

import numpy as np
import pytest
from keras import ops

from transformer.losses import correct_tokens, cross_entropy

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
