"""Scores of summaries: ROUGE in any script, how short and how new they are, and the baseline
that copies the beginning."""

import importlib.metadata

import numpy as np
import regex

from transformer.config import ConfigError, base_language
from transformer.metrics.classification import check_pairs

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")

# A word of letters, marks and digits; in scripts that write no spaces between words, and in Korean,
# whose endings stick to the words, a character.
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
    """ROUGE F1 (Lin 2004) by the package rouge-score; of several references the best, for each
    measure by itself.

    English is scored as published results are (Zhang et al. 2020, PEGASUS): rouge-score's own
    words, a-z and 0-9, with the Porter stemmer. That finds nothing in other scripts and breaks
    words with accents, so texts of every other language are split by `words` and not stemmed.
    ROUGE-Lsum compares sentence by sentence, as `sentences` finds them.

    Args:
        references: for each example a list of str, at least one.
        predictions: list of str, one an example.
        language: code of the summaries' language; "" is taken for English.
        confidence: also half the width of the 95 % interval of each mean by bootstrap resampling,
            1,000 samples.

    Returns:
        {"rouge1", "rouge2", "rougeL", "rougeLsum": percent, "rouge_signature"} and, with confidence
        and two examples or more, the same names with "_interval".

    Raises:
        ValueError: the two lists differ in length or are empty, or an example has no list of
            references. ConfigError, which is one: references taken for English are written in other
            letters.
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
    """ROUGE, and what it does not show: whether a summary is short, and says it in its own words.

    Args:
        sources: list of str.
        references, predictions, language, confidence: as for `rouge_scores`.

    Returns:
        those of `rouge_scores`; "compression" and "reference_compression": words of the summaries
        over words of the sources; and "novel_1" ... "novel_4", "reference_novel_1" ...:
        `novel_ngrams`, percent.

    Raises:
        ValueError: as for `rouge_scores`, or there are not as many sources.
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
    """Words of all summaries over words of all their sources; 0 where the sources have none."""
    length = sum(len(words(text)) for text in sources)
    return sum(len(words(text)) for text in summaries) / length if length else 0.0


def novel_ngrams(sources, summaries):
    """How many of the summaries' n-grams do not occur in their sources (See et al. 2017, "Get to
    the point", figure 6).

    An n-gram counts once in each summary. A summary that copies whole sentences has 0 % for every n
    but for those that bridge two sentences.

    Returns:
        {1: percent, ... 4: percent} of all n-grams of all summaries; 0 where there are none.
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
    """The words of a text in lower case, without punctuation; Chinese, Japanese and Korean
    characters one by one.

    >>> words("GPT-2 写了 naïve texts.")
    ['gpt', '2', '写', '了', 'naïve', 'texts']
    """
    return _WORD.findall(text.lower())


def sentences(text):
    """The sentences of a text: they end at a line's end, at . ! ? … before white space, and at
    。！？.

    An abbreviation such as "Mr. Smith" ends one too: the price of needing no trained splitter.

    >>> sentences('He asked: "Why?" Nobody knew.')
    ['He asked: "Why?"', 'Nobody knew.']
    """
    return [part for part in map(str.strip, _SENTENCE_END.split(text)) if part]


def first_words(text, count):
    """A text up to its `count`-th word, as it stands there; all of it if it has no more. `count`
    is at least 1."""
    ends = [match.end() for match in _WORD.finditer(text)]
    return text[: ends[count - 1]] if count < len(ends) else text


def first_sentences(text, count):
    """The first `count` sentences of a text, one a line: the baseline "lead-3" for count = 3."""
    return "\n".join(sentences(text)[:count])


class _Words:
    """`words` as rouge-score wants a tokenizer."""

    tokenize = staticmethod(words)


def _rouge_rows(references, predictions, english):
    """F1 of each example: (N, 4), 0 to 1."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(ROUGE, use_stemmer=True, tokenizer=None if english else _Words())
    rows = []
    for texts, prediction in zip(references, predictions):
        # rouge-score takes lines for sentences.
        found = scorer.score_multi(
            ["\n".join(sentences(text)) for text in texts], "\n".join(sentences(prediction))
        )
        rows.append([found[name].fmeasure for name in ROUGE])
    return np.asarray(rows)


def _interval(rows):
    """Half the width of the 95 % interval of each column's mean; the same at every call."""
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
