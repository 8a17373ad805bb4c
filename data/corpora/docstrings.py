"""Summarisation: docstrings of the standard library and of installed packages, the body -> its
first line (PEP 257)."""

import ast
import re

from data.corpora.installed import corpus, documented

_KINDS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Sections of code, of titles, and of what the summary does not speak of.
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
# A capital and a full stop; no comparison, no signature, no link.
_SENTENCE = re.compile(r"[A-Z][\w'-]* (?!.*(?:\w\(|->|://|::|[=<>|{}%]))[^\n]*[^.]\.")
MOST_WORDS = 100


def docstrings(size, seed):
    """Docstrings without their first line, and that line: ("x: Input tensor. axis: ...", "Compute
    the mean of a tensor.").

    Arguments and result: of data.corpora.installed.corpus.
    """
    return corpus(pairs, size, seed)


def pairs(source):
    """The pairs of a Python file.

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
        source: bytes.

    Yields:
        (source, target): at least 20 words and at most 100, of which a longer body is cut; a
        sentence of 4 to 25 words that does not stand in the body. All is ASCII: what is not is
        mathematics or another language than English.
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
    """Whether a line is a sentence, and no signature, formula, directive or title.

    >>> is_sentence("Return a copy."), is_sentence("sum(x) -> int"), is_sentence("A Title")
    (True, False, False)
    """
    return bool(_SENTENCE.fullmatch(text))


def prose(text):
    """The text of a docstring without code: its paragraphs and the descriptions of its parameters,
    in one line.

    >>> prose("Sorts :class:`list`::\\n\\n    sort(x)\\n\\nParameters\\n----------\\nx : list")
    'Sorts list: Parameters: x : list'

    Args:
        text: without indentation, as inspect.cleandoc leaves it.
    """
    text = _UNDERLINED.sub(r"\n\1:", _FENCED.sub("", text))
    # A section begins a paragraph.
    text = re.sub(rf"\n(?={_HEADER.pattern})", "\n\n", text, flags=re.MULTILINE)
    kept, unread, outside = [], False, None
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        indentation = len(paragraph) - len(paragraph.lstrip(" "))
        # What is indented below a directive or below "::" belongs to it.
        if outside is not None and indentation > outside:
            continue
        directive = paragraph.lstrip().startswith(".. ")
        outside = indentation if directive or paragraph.endswith("::") else None
        if header := _HEADER.match(paragraph):
            unread = header[1].lower() in _UNREAD
        # "%(name)s" is filled in when the module is imported.
        if not (unread or directive or ">>>" in paragraph or "%(" in paragraph):
            kept.append(paragraph)
    return without_markup(" ".join(kept))


def without_markup(text):
    """The words of reStructuredText or Markdown without roles and backticks, single spaces
    between them."""
    return " ".join(_ROLE.sub(r"\1", text).replace("`", "").replace("::", ":").split())
