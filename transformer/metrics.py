"""Scores of predictions against references: pure functions (references, predictions) -> {name: value}, on the host."""

import math

from transformer.config import ConfigError, base_language

# The tokenizers of sacreBLEU for languages that write no spaces; all others have 13a.
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}


def bleu_metric(language=""):
    """sacreBLEU's BLEU with the tokenizer of a target language.

    Raises:
        ConfigError: the language needs a package that is not installed.
    """
    from sacrebleu.metrics import BLEU

    try:
        return BLEU(tokenize=_TOKENIZERS.get(base_language(language), "13a"))
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"the target language must be one that BLEU can split into words. Received: {language!r} "
            f"({str(error).strip().splitlines()[0]}). Use pip install 'sacrebleu[{base_language(language)}]'."
        ) from None


def translation_scores(references, predictions, language="", confidence=True):
    """sacreBLEU (Post 2018) and chrF (Popovic 2015) with signatures, and exact match.

    Args:
        references, predictions: lists of str, one pair a line, raw (detokenised) text.
        language: the target's code; "zh", "ja" and "ko" choose sacreBLEU's tokenizer, any other the default 13a.
        confidence: also the 95 % interval of BLEU by bootstrap resampling, 1,000 samples (Koehn 2004).

    Returns:
        {"bleu", "chrf", "exact_match": percent, "bleu_signature", "chrf_signature"} and, with confidence,
        "bleu_mean" and "bleu_interval" (half its width).

    Raises:
        ValueError: the two lists differ in length, or are empty.
    """
    from sacrebleu.metrics import CHRF

    if len(references) != len(predictions) or not references:
        raise ValueError(
            "references and predictions must be as many as each other, and at least one. "
            f"Received: {len(references)} references, {len(predictions)} predictions."
        )
    bleu, chrf = bleu_metric(language), CHRF()
    result = bleu.corpus_score(predictions, [references], n_bootstrap=1000 if confidence else 1)
    chrf_result = chrf.corpus_score(predictions, [references])
    equal = sum(a.strip() == b.strip() for a, b in zip(references, predictions))
    scores = {
        "bleu": result.score,
        "chrf": chrf_result.score,
        "exact_match": 100.0 * equal / len(references),
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }
    if confidence:
        scores |= {"bleu_mean": result._mean, "bleu_interval": result._ci}
    return scores


def perplexity(loss):
    """exp(loss) of a mean loss in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf
