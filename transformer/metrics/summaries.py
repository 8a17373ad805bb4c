"""Metrics of summaries: ROUGE for texts in any script, compression and novelty.

The module also has the baselines that copy the beginning of the source.
"""

import importlib.metadata

import numpy as np
import regex

from transformer.config import ConfigError, base_language
from transformer.metrics.classification import check_pairs

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")

# A word is a run of letters, marks and digits. Each character is a word in scripts that write no
# spaces between words, and in Korean, where endings are attached to the words.
_WORD = regex.compile(r"""(?V1x)
    [\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]
    | [[\p{L}\p{M}\p{N}]--[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]]+
""")
_SENTENCE_END = regex.compile(r"""(?V1x)
    \n+
    | (?<=[.!?…]["'”’)\]]*) \s+
    | (?<=[。！？][”’」』）]*) (?![”’」』）。！？])
""")


def rouge_scores(references, predictions, language="", confidence=True):
    """Returns ROUGE F1 (Lin 2004) as computed by the package rouge-score.

    With several references, the best one counts, chosen for each ROUGE measure separately.

    English is scored as in published results (Zhang et al. 2020, PEGASUS): with rouge-score's own
    words of a-z and 0-9, and with the Porter stemmer. In other scripts that tokenizer finds no
    words, and it breaks words with accents. So texts in other languages are split by `words` and
    not stemmed. ROUGE-Lsum compares sentence by sentence, with the sentences of `sentences`.

    Args:
        references: list with one list of str for each example, at least one reference each.
        predictions: list of str, one for each example.
        language: code of the language of the summaries. "" means English.
        confidence: whether to compute the 95 % confidence interval of each mean too, by bootstrap
            resampling with 1,000 samples.

    Returns:
        {"rouge1", "rouge2", "rougeL", "rougeLsum", "rouge_signature"}, the scores in percent. With
        `confidence` and at least two examples also "rouge1_interval" and so on, half the width of
        the intervals.

    Raises:
        ValueError: if the two lists differ in length or are empty, or if the references of an
            example are empty or a str.
        ConfigError: if references scored as English are mostly written in other letters. It is a
            ValueError.
    """
    _check_references(references, predictions)
    english = base_language(language) in ("", "en")
    if english:
        _check_english(references, language)
    rows = 100.0 * _rouge_rows(references, predictions, english)  # (N, 4)
    scores = dict(zip(ROUGE, rows.mean(axis=0).tolist()))
    if confidence and len(rows) > 1:
        scores |= zip((f"{name}_interval" for name in ROUGE), _interval(rows).tolist())
    version = importlib.metadata.version("rouge-score")
    scores["rouge_signature"] = (
        f"rouge-score {version}, "
        f"{'Porter stemmer' if english else 'words of any script, no stemmer'}"
    )
    return scores


def summary_scores(sources, references, predictions, language="", confidence=True):
    """Returns ROUGE, and how short the summaries are and how much they use their own words.

    Args:
        sources: list of str, the texts that are summarized.
        references: list with one list of str for each example, at least one reference each.
        predictions: list of str, one for each example.
        language: code of the language of the summaries. "" means English.
        confidence: whether to compute confidence intervals too, as in `rouge_scores`.

    Returns:
        The scores of `rouge_scores`, and:
        "compression" and "reference_compression": words of the summaries divided by words of the
        sources; "novel_1" to "novel_4" and "reference_novel_1" to "reference_novel_4": see
        `novel_ngrams`, in percent.

    Raises:
        ValueError: as for `rouge_scores`, or if the number of sources differs.
    """
    _check_references(references, predictions)
    check_pairs(references, sources)
    of_references = [(source, text) for source, texts in zip(sources, references) for text in texts]
    return {
        **rouge_scores(references, predictions, language, confidence),
        "compression": compression(sources, predictions),
        "reference_compression": compression(*zip(*of_references)),
        **{f"novel_{n}": share for n, share in novel_ngrams(sources, predictions).items()},
        **{
            f"reference_novel_{n}": share for n, share in novel_ngrams(*zip(*of_references)).items()
        },
    }


def compression(sources, summaries):
    """Returns the words of all summaries divided by the words of all their sources.

    Args:
        sources: list of str.
        summaries: list of str.

    Returns:
        float. 0 if the sources have no words.
    """
    length = sum(len(words(text)) for text in sources)
    return sum(len(words(text)) for text in summaries) / length if length else 0.0


def novel_ngrams(sources, summaries):
    """Returns the share of the summaries' n-grams that do not occur in their sources.

    The measure is from See et al. 2017, "Get to the point", figure 6. An n-gram counts once in each
    summary. A summary that copies whole sentences has 0 % for every n, except for n-grams across
    the boundary of two sentences.

    Args:
        sources: list of str.
        summaries: list of str, one for each source.

    Returns:
        {1: percent, ..., 4: percent} of all n-grams of all summaries. 0 if there are none.

    Raises:
        ValueError: if the two lists differ in length.
    """
    shares, split = (
        {},
        [(words(source), words(text)) for source, text in zip(sources, summaries, strict=True)],
    )
    for n in range(1, 5):
        pairs = [(_ngrams(source, n), _ngrams(text, n)) for source, text in split]
        total = sum(len(found) for _, found in pairs)
        shares[n] = (
            100.0 * sum(len(found - known) for known, found in pairs) / total if total else 0.0
        )
    return shares


def words(text):
    """Splits a text into lowercase words without punctuation.

    Each Chinese, Japanese or Korean character is a word.

    Args:
        text: str.

    Returns:
        list of str.

    Example:
        >>> words("GPT-2 写了 naïve texts.")
        ['gpt', '2', '写', '了', 'naïve', 'texts']
    """
    return _WORD.findall(text.lower())


def sentences(text):
    """Splits a text into sentences.

    A sentence ends at the end of a line, at . ! ? … before whitespace, and at 。！？. It also ends
    after an abbreviation such as "Mr." in "Mr. Smith", because no trained splitter is used.

    Args:
        text: str.

    Returns:
        list of str.

    Example:
        >>> sentences('He asked: "Why?" Nobody knew.')
        ['He asked: "Why?"', 'Nobody knew.']
    """
    return [part for part in map(str.strip, _SENTENCE_END.split(text)) if part]


def first_words(text, count):
    """Returns the beginning of a text up to the end of its `count`-th word.

    Args:
        text: str.
        count: number of words, at least 1.

    Returns:
        str, not changed otherwise. The whole text if it has no more words than that.
    """
    ends = [match.end() for match in _WORD.finditer(text)]
    return text[: ends[count - 1]] if count < len(ends) else text


def first_sentences(text, count):
    """Returns the first sentences of a text, one a line (the baseline lead-3 for `count` 3).

    Args:
        text: str.
        count: number of sentences.

    Returns:
        str.
    """
    return "\n".join(sentences(text)[:count])


class _Words:
    """`words` in the form of a rouge-score tokenizer."""

    tokenize = staticmethod(words)


def _rouge_rows(references, predictions, english):
    """Returns the F1 of each example, float (N, 4) from 0 to 1, in the order of `ROUGE`."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(ROUGE, use_stemmer=True, tokenizer=None if english else _Words())
    rows = []
    for texts, prediction in zip(references, predictions):
        # rouge-score takes each line as a sentence.
        found = scorer.score_multi(
            ["\n".join(sentences(text)) for text in texts], "\n".join(sentences(prediction))
        )
        rows.append([found[name].fmeasure for name in ROUGE])
    return np.asarray(rows)


def _interval(rows):
    """Returns half the width of the 95 % confidence interval of each column's mean.

    The random seed is fixed, so each call gives the same result.
    """
    from scipy.stats import bootstrap

    found = bootstrap(
        (rows,),
        np.mean,
        n_resamples=1000,
        batch=50,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    return (found.confidence_interval.high - found.confidence_interval.low) / 2


def _ngrams(tokens, n):
    return set(zip(*(tokens[start:] for start in range(n))))


def _check_references(references, predictions):
    check_pairs(references, predictions)
    wrong = next((texts for texts in references if isinstance(texts, str) or not texts), None)
    if wrong is not None:
        received = "a str" if isinstance(wrong, str) else "none"
        raise ValueError(
            f"references must be a list of texts for each example, at least one. Received: "
            f'{received}. Use ["text"].'
        )


def _check_english(references, language):
    letters = [
        character
        for texts in references
        for text in texts
        for character in text
        if character.isalpha()
    ]
    share = sum(map(str.isascii, letters)) / max(len(letters), 1)
    if letters and share < 0.5:
        raise ConfigError(
            f"references scored as English must be written in the letters a to z. Received: "
            f"language {language!r}, "
            f'{1 - share:.0%} other letters. Name the language of the summaries, such as "zh": '
            f"--target_language."
        )
