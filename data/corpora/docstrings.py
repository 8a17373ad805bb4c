"""A summarization corpus: docstrings of installed Python source, the body -> its first line.

The source is the standard library and installed packages. See PEP 257 for the form of a docstring.
"""

import ast
import re

from data.corpora.installed import corpus, documented

_KINDS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Sections that are skipped: they contain code, titles, or what a summary does not cover.
_UNREAD = {
    "example",
    "examples",
    "usage",
    "raises",
    "warns",
    "references",
    "reference",
    "see also",
    "attributes",
    "methods",
}
_FENCED = re.compile(r"^ *(```|~~~).*?(^ *\1|\Z)", re.DOTALL | re.MULTILINE)
_UNDERLINED = re.compile(r"^(\w.*)\n[-=~^]{3,} *$", re.MULTILINE)
_HEADER = re.compile(r"([A-Z][\w ]{1,30}):{1,2} *$", re.MULTILINE)
_ROLE = re.compile(r":[\w:]+:`[~!]?([^`<]*?)(?: <[^`>]*>)?`")
# Begins with a capital, ends with a full stop, and has no comparison, signature or link.
_SENTENCE = re.compile(r"[A-Z][\w'-]* (?!.*(?:\w\(|->|://|::|[=<>|{}%]))[^\n]*[^.]\.")
MOST_WORDS = 100


def docstrings(size, seed):
    """Returns a corpus of docstrings without their first line, and of that line.

    An example is ("x: Input tensor. axis: ...", "Compute the mean of a tensor.").

    Args:
        size: int, see `data.corpora.installed.corpus`.
        seed: int, see `data.corpora.installed.corpus`.

    Returns:
        {"train", "validation", "test"} -> list of (source, target).
    """
    return corpus(pairs, size, seed)


def pairs(source):
    """Yields the pairs of a Python file.

    >>> list(pairs(b'''def f():
    ...     \"\"\"Return the sum of all numbers.
    ...
    ...     An empty iterable has the sum of 0. Numbers are added from left to right, and the first
    ...     error that an addition raises ends it.
    ...     \"\"\"'''))  # doctest: +NORMALIZE_WHITESPACE
    [('An empty iterable has the sum of 0. Numbers are added from left to right, and the first error
    that an addition
       raises ends it.', 'Return the sum of all numbers.')]

    Args:
        source: bytes, the contents of the file.

    Yields:
        (source, target). The source has at least 20 words, and is cut after 100. The target is a
        sentence of 4 to 25 words that does not occur in the source. Both are ASCII: other text is
        mathematics or a language other than English.
    """
    for _, docstring in documented(source, _KINDS):
        first, _, rest = docstring.partition("\n")
        blank, _, body = rest.partition("\n")
        summary = without_markup(first)
        if (
            blank.strip()
            or not docstring.isascii()
            or not is_sentence(summary)
            or not 4 <= len(summary.split()) <= 25
        ):
            continue
        words = prose(body).split()
        text = " ".join(words[:MOST_WORDS])
        if len(words) >= 20 and summary[:-1].lower() not in text.lower():
            yield text, summary


def is_sentence(text):
    """Returns whether a line is a sentence, not a signature, formula, directive or title.

    >>> is_sentence("Return a copy."), is_sentence("sum(x) -> int"), is_sentence("A Title")
    (True, False, False)

    Args:
        text: str.

    Returns:
        A bool.
    """
    return bool(_SENTENCE.fullmatch(text))


def prose(text):
    """Returns the text of a docstring without its code, as one line.

    Paragraphs and the descriptions of parameters stay.

    >>> prose("Sorts :class:`list`::\\n\\n    sort(x)\\n\\nParameters\\n----------\\nx : list")
    'Sorts list: Parameters: x : list'

    Args:
        text: str, without indentation, as `inspect.cleandoc` leaves it.

    Returns:
        A str.
    """
    text = _UNDERLINED.sub(r"\n\1:", _FENCED.sub("", text))
    # Each section begins a new paragraph.
    text = re.sub(rf"\n(?={_HEADER.pattern})", "\n\n", text, flags=re.MULTILINE)
    kept, unread, outside = [], False, None
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        indentation = len(paragraph) - len(paragraph.lstrip(" "))
        # Paragraphs that are indented below a directive or below "::" belong to it.
        if outside is not None and indentation > outside:
            continue
        directive = paragraph.lstrip().startswith(".. ")
        outside = indentation if directive or paragraph.endswith("::") else None
        if header := _HEADER.match(paragraph):
            unread = header[1].lower() in _UNREAD
        # Placeholders such as "%(name)s" are only filled in when the module is imported.
        if not (unread or directive or ">>>" in paragraph or "%(" in paragraph):
            kept.append(paragraph)
    return without_markup(" ".join(kept))


def without_markup(text):
    """Removes the roles and backticks of reStructuredText or Markdown, and merges white space."""
    return " ".join(_ROLE.sub(r"\1", text).replace("`", "").replace("::", ":").split())
