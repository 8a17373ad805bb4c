"""Scores of generated Python: exact match, BLEU over tokens, what parses; and the baseline that
answers by looking up."""

import ast
import re
import textwrap
import warnings

import numpy as np

from transformer.metrics.classification import check_pairs

# Python's tokens. The module tokenize would do, but cuts f-strings in pieces from Python 3.12 on
# and gives up on what is no Python, where a score should neither depend on the interpreter nor
# stop.
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

# What may stand around a line that heads a block or goes on with one.
_BEFORE = ("", "if 1:\n pass\n", "try:\n pass\n", "match 0:\n ")
_AFTER = ("", "\n  pass", "\n  pass\nfinally:\n  pass", "\ndef f(): pass", "\n case 0: pass")


def code_scores(references, predictions, confidence=True):
    """Exact match, BLEU-4 over tokens and the share that parses, in percent.

    Exact match compares `code_tokens` line by line, strings by their value, and how far each line
    is indented against the first: white space within a line and the kind of quotes mean nothing, as
    in published results, for which the code is written anew from its syntax tree (Yin & Neubig
    2017, and the evaluator of TranX, Yin & Neubig 2018). BLEU (Post 2018, sacreBLEU without its
    tokenizer) is over `code_tokens` and of the whole set. Published BLEU of code is often the
    smoothed mean over examples, with other tokens (Yin & Neubig 2017 follow Ling et al. 2016):
    compare exact match.

    Args:
        references, predictions: lists of str, one pair an example.
        confidence: also the 95 % interval of BLEU by bootstrap resampling, 1,000 samples (Koehn
            2004).

    Returns:
        {"exact_match", "bleu", "parses", "reference_parses": percent, the last what a perfect model
        would reach, "bleu_signature"} and, with confidence, "bleu_mean" and "bleu_interval" (half
        its width).

    Raises:
        ValueError: the two lists differ in length, or are empty.
    """
    from sacrebleu.metrics import BLEU

    check_pairs(references, predictions)
    bleu = BLEU(
        tokenize="none", force=True
    )  # without force it warns of text that is split into tokens
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
    """Names, numbers, strings, operators and comments of Python, or of what nearly is; no
    indentation, no line ends.

    >>> code_tokens("x = f(1.5, 'a b') # half")
    ['x', '=', 'f', '(', '1.5', ',', "'a b'", ')', '# half']
    """
    return _TOKEN.findall(code)


def parses(code):
    """Whether Python's grammar (of the interpreter that asks) has the code, however far it is
    indented.

    A single line may also head a block or go on with one, such as "if x :", "else :", "except E :"
    or "@cached": it is tried with a body, and after the beginning of the statement it belongs to.
    Code of several lines must be complete, for a missing body there is a mistake. An empty text is
    no code.
    """
    code = textwrap.dedent(code).strip("\n")
    if not code.strip():
        return False
    if "\n" in code:
        return _is_python(code)
    code = code.strip()
    return any(_is_python(before + code + after) for before in _BEFORE for after in _AFTER)


def nearest_targets(train_sources, train_targets, sources):
    """The baseline that answers with the target of the most similar training source, for any task
    from text to text.

    Similar is the cosine of TF-IDF vectors of words and signs, letters in lower case. Of equally
    similar sources the first; the very first where none shares a word.

    Args:
        train_sources, train_targets: lists of str, of the same length.
        sources: list of str.

    Returns:
        list of str, one for each of `sources`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    check_pairs(train_targets, train_sources)
    vectorizer = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]")
    known = vectorizer.fit_transform(train_sources).T
    nearest = []
    # Rows have length 1, so that their product is the cosine; 256 at once, for it is dense.
    for start in range(0, len(sources), 256):
        nearest += (
            (vectorizer.transform(sources[start : start + 256]) @ known)
            .toarray()
            .argmax(axis=1)
            .tolist()
        )
    return [train_targets[place] for place in nearest]


def _lines(code):
    """(indentation, tokens, strings by their value) of each line."""
    lines = [line for line in textwrap.dedent(code).split("\n") if line.strip()]
    return [(len(line) - len(line.lstrip()), [*map(_value, code_tokens(line))]) for line in lines]


def _value(token):
    """A string token as Python shows its value, so that 'a', "a" and r"a" are the same; an
    f-string, Python 2's ur"", a lone quote and any other token as it is.
    """
    value = _tried(ast.literal_eval, token) if token[-1] in "\"'" else None
    return token if value is None else repr(value)


def _token_line(code):
    """Tokens as sacreBLEU wants them, one line: white space inside a token must not split it."""
    return " ".join(re.sub(r"\s", "\N{OPEN BOX}", token) for token in code_tokens(code))


def _percent(truths):
    return 100.0 * float(np.mean(list(truths)))


def _is_python(code):
    return _tried(ast.parse, code) is not None


def _tried(read, code):
    """read(code), or None if that is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of "\d" in a string
            return read(code)
    except (
        SyntaxError,
        ValueError,
        MemoryError,
        RecursionError,
    ):  # also of a zero byte, and of brackets 1,000 deep
        return None
