"""Metrics of generated Python code: exact match, BLEU over tokens, and whether the code parses.

The module also has a baseline that looks up the most similar training example.
"""

import ast
import re
import textwrap
import warnings

import numpy as np

from transformer.metrics.classification import check_pairs

# Matches Python's tokens. The standard module tokenize is no alternative: from Python 3.12 on it
# splits f-strings into parts, so scores would depend on the interpreter, and it raises an error on
# text that is not Python.
_TOKEN = re.compile(
    r'''
    (?i:[rbuf]|br|rb|fr|rf|ur)? (?: """(?:\\.|[^\\])*?""" | \'\'\'(?:\\.|[^\\])*?\'\'\' )
    | (?i:[rbuf]|br|rb|fr|rf|ur)? (?: "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
    | \#[^\n]*
    | 0[xXoObB][\da-fA-F_]+ | (?: \d[\d_]*\.?[\d_]* | \.\d[\d_]* ) (?: [eE][+-]?\d[\d_]* )? [jJ]?
    | \w+
    | \*\*= | //= | >>= | <<= | \.\.\. | [-+*/%&|^@=<>!:]= | -> | \*\* | // | << | >>
    | \S
''',
    re.VERBOSE | re.DOTALL,
)

# Code that may stand before and after a single line to complete it, if the line starts or continues
# a block.
_BEFORE = ("", "if 1:\n pass\n", "try:\n pass\n", "match 0:\n ")
_AFTER = ("", "\n  pass", "\n  pass\nfinally:\n  pass", "\ndef f(): pass", "\n case 0: pass")


def code_scores(references, predictions, confidence=True):
    """Returns exact match, BLEU-4 over tokens and the share of code that parses, in percent.

    Exact match compares `code_tokens` line by line, the values of strings, and the indentation of
    each line relative to the first. Whitespace within a line and the kind of quotes do not matter.
    This agrees with published results, for which the code is regenerated from its syntax tree (Yin
    & Neubig 2017, and the evaluator of TranX, Yin & Neubig 2018).

    BLEU is computed over `code_tokens` and over the whole set (Post 2018, sacreBLEU without its
    tokenizer). Published BLEU of code is often the smoothed mean over examples with other tokens
    (Yin & Neubig 2017 follow Ling et al. 2016), so compare exact match with publications instead.

    Args:
        references: list of str, one for each example.
        predictions: list of str, one for each example.
        confidence: whether to compute the 95 % confidence interval of BLEU too, by bootstrap
            resampling with 1,000 samples (Koehn 2004).

    Returns:
        {"exact_match", "bleu", "parses", "reference_parses", "bleu_signature"}, the scores in
        percent. "reference_parses" is what "parses" would be for a perfect model. With `confidence`
        also "bleu_mean" (mean over the bootstrap samples) and "bleu_interval" (half the width of
        the interval).

    Raises:
        ValueError: if the two lists differ in length or are empty.
    """
    from sacrebleu.metrics import BLEU

    check_pairs(references, predictions)
    # Without force, sacreBLEU warns that the text is already tokenized.
    bleu = BLEU(tokenize="none", force=True)
    lines = [[_token_line(code) for code in codes] for codes in (predictions, references)]
    result = bleu.corpus_score(lines[0], lines[1:], n_bootstrap=1000 if confidence else 1)
    scores = {
        "exact_match": _percent(_lines(a) == _lines(b) for a, b in zip(references, predictions)),
        "bleu": result.score,
        "parses": _percent(map(parses, predictions)),
        "reference_parses": _percent(map(parses, references)),
        "bleu_signature": str(bleu.get_signature()),
    }
    if confidence:
        scores |= {"bleu_mean": result._mean, "bleu_interval": result._ci}
    return scores


def code_tokens(code):
    """Splits Python code into names, numbers, strings, operators and comments.

    Indentation and line ends are dropped. The code need not be valid Python.

    Args:
        code: str.

    Returns:
        list of str, the tokens.

    Example:
        >>> code_tokens("x = f(1.5, 'a b') # half")
        ['x', '=', 'f', '(', '1.5', ',', "'a b'", )', '# half']
    """
    return _TOKEN.findall(code)


def parses(code):
    """Returns whether code parses with the grammar of the running interpreter.

    Indentation common to all lines is ignored. A single line may also start or continue a block,
    such as "if x :", "else :", "except E :" or "@cached". It is then tried with a body, and after
    the beginning of the statement that it belongs to. Code of several lines must be complete,
    because there a missing body is a mistake. Empty text does not parse.

    Args:
        code: str.

    Returns:
        bool.
    """
    code = textwrap.dedent(code).strip("\n")
    if not code.strip():
        return False
    if "\n" in code:
        return _is_python(code)
    code = code.strip()
    return any(_is_python(before + code + after) for before in _BEFORE for after in _AFTER)


def nearest_targets(train_sources, train_targets, sources):
    """Returns the target of the most similar training source, a baseline for text-to-text tasks.

    Similarity is the cosine of TF-IDF vectors of lowercase words and punctuation. Among equally
    similar sources the first one counts. If no source shares a word, that is the very first.

    Args:
        train_sources: list of str, the sources of the training data.
        train_targets: list of str, one for each training source.
        sources: list of str, the sources to answer.

    Returns:
        list of str, one for each of `sources`.

    Raises:
        ValueError: if the training lists differ in length or are empty.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    check_pairs(train_targets, train_sources)
    vectorizer = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]")
    known = vectorizer.fit_transform(train_sources).T
    nearest = []
    # Rows have length 1, so their product is the cosine. The product is dense, so only 256 rows are
    # computed at once to bound the memory.
    for start in range(0, len(sources), 256):
        nearest += (
            (vectorizer.transform(sources[start : start + 256]) @ known)
            .toarray()
            .argmax(axis=1)
            .tolist()
        )
    return [train_targets[place] for place in nearest]


def _lines(code):
    """Returns (indentation, tokens with strings replaced by their values) of each line."""
    lines = [line for line in textwrap.dedent(code).split("\n") if line.strip()]
    return [(len(line) - len(line.lstrip()), [*map(_value, code_tokens(line))]) for line in lines]


def _value(token):
    """Returns a string token as Python's repr of its value, so that 'a', "a" and r"a" are equal.

    F-strings, Python 2's ur"", a lone quote and tokens other than strings are returned unchanged.
    """
    value = _tried(ast.literal_eval, token) if token[-1] in "\"'" else None
    return token if value is None else repr(value)


def _token_line(code):
    """Joins the tokens to one line for sacreBLEU, which would split tokens at their whitespace."""
    return " ".join(re.sub(r"\s", "\N{OPEN BOX}", token) for token in code_tokens(code))


def _percent(truths):
    return 100.0 * float(np.mean(list(truths)))


def _is_python(code):
    return _tried(ast.parse, code) is not None


def _tried(read, code):
    """Returns read(code), or None if the code is not valid Python."""
    try:
        with warnings.catch_warnings():
            # Python warns of escapes such as "\d" in a string, for example.
            warnings.simplefilter("ignore")
            return read(code)
    # ValueError is raised for a zero byte, the last two for brackets nested 1,000 deep.
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
