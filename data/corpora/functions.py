"""A code generation corpus: short functions of installed Python source, name and docstring -> code.

A docstring alone seldom determines the code. In only 8 of 100 test pairs, all names in the code
occur in the docstring or in three functions of the training data. With the function's name in the
source, it is 21 of 100.
"""

import ast
import re

from data.corpora.docstrings import MOST_WORDS, prose
from data.corpora.installed import corpus, documented, statements

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Any other decorator belongs to a package, and a docstring does not mention it.
_DECORATORS = {"property", "classmethod", "staticmethod"}
_DESCRIPTION = re.compile(r"[A-Z][\w'-]* \w(?!.*[Dd]eprecated)")
MOST_LINES = 12
MOST_CHARACTERS = 400


def source_of(name, text):
    """Returns a function's name and what it does, in words, as one text.

    >>> source_of("total", "Return the sum.")
    'total: Return the sum.'

    Args:
        name: str.
        text: str.

    Returns:
        A str.
    """
    return f"{name}: {text}"


def functions(size, seed):
    """Returns a corpus of names and docstrings of functions, and of their code.

    An example of a source and a target:

        total: Return the sum.

        def total(self):
            return sum(self)

    Args:
        size: int, see `data.corpora.installed.corpus`.
        seed: int, see `data.corpora.installed.corpus`.

    Returns:
        {"train", "validation", "test"} -> list of (source, target).
    """
    return corpus(pairs, size, seed)


def pairs(source):
    """Yields the pairs of a Python file.

    >>> list(pairs(b'''def total(x):
    ...     "\\""Return the sum of all numbers."\\""
    ...     return (sum(x))  # of any
    ... '''))
    [('total: Return the sum of all numbers.', 'def total(x):\\n    return sum(x)')]

    Args:
        source: bytes, the contents of the file.

    Yields:
        (source, target), both ASCII. The source is the name and 4 to 100 words of prose. The target
        is the code as `ast.unparse` writes it, without docstrings: it has no comments, indents by
        four spaces, can be parsed, and has at most 12 lines and 400 characters.
    """
    for node, docstring in documented(source, (ast.FunctionDef,)):
        del node.body[0]
        if not _is_plain(node):
            continue
        code = ast.unparse(node)
        if code.count("\n") >= MOST_LINES or len(code) > MOST_CHARACTERS:
            continue
        text = prose(docstring)
        if (
            _DESCRIPTION.match(text)
            and 4 <= len(text.split()) <= MOST_WORDS
            and (text + code).isascii()
        ):
            yield source_of(node.name, text), code


def _is_plain(function):
    """Returns whether a function has a real body of few statements and no packages' decorators.

    A docstring inside, of a nested function or class, is not allowed either.
    """
    below = list(statements(function))
    return (
        not all(map(_is_empty, function.body))
        and len(below) <= MOST_LINES
        and all(
            isinstance(decorator, ast.Name) and decorator.id in _DECORATORS
            for decorator in function.decorator_list
        )
        and not any(
            ast.get_docstring(inner, clean=False)
            for inner in below[1:]
            if isinstance(inner, _DEFINITIONS)
        )
    )


def _is_empty(statement):
    """Returns whether a statement is `...` or another constant, `pass`, or `raise`.

    They are the whole body of a function that subclasses must implement.
    """
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, (ast.Pass, ast.Raise))
