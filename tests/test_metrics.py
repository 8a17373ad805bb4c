"""Scores against values known independently of this project."""

import sys

import pytest

from transformer.config import ConfigError
from transformer.metrics import bleu_metric, perplexity, translation_scores


def test_perfect_and_hopeless():
    text = ["the cat sat on the mat today", "a dog runs through the park"]
    perfect = translation_scores(text, text, confidence=False)
    assert (perfect["bleu"], perfect["chrf"], perfect["exact_match"]) == (pytest.approx(100.0), 100.0, 100.0)
    assert translation_scores(text, ["x", "y"], confidence=False)["bleu"] == 0.0


def test_bleu_by_hand():
    # 1- to 4-gram precisions 5/6, 4/5, 3/4, 2/3; no brevity penalty: the geometric mean is (1/3)^(1/4).
    scores = translation_scores(["a b c d e f"], ["a b c d e g"], confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (1 / 3) ** 0.25)


def test_chinese_is_split_into_characters():
    scores = translation_scores(["我喜欢喝茶"], ["我喜欢喝水"], "zh", confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert "tok:zh" in scores["bleu_signature"]


def test_interval_surrounds_the_score():
    references = [f"the number is {number} and no other one" for number in range(50)]
    outputs = [text.replace("other", "more") if number % 2 else text for number, text in enumerate(references)]
    scores = translation_scores(references, outputs)
    assert 0 < scores["bleu_interval"] < 10 and abs(scores["bleu_mean"] - scores["bleu"]) < scores["bleu_interval"]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="Received: 2 references, 1 predictions"):
        translation_scores(["a", "b"], ["a"])


def test_a_language_that_cannot_be_split_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "MeCab", None)
    with pytest.raises(ConfigError, match=r"Received: 'ja' .*pip install 'sacrebleu\[ja\]'"):
        bleu_metric("ja")


def test_perplexity():
    assert perplexity(0.0) == 1.0 and perplexity(1e4) == float("inf")
