"""Code generation: short functions of the standard library and of installed packages, name and
docstring -> code.

Of the docstring alone, code could seldom be told: of 100 test pairs, 8 have no name in the code but
those that stand in the docstring or in three functions of the training data. With the function's
name they are 21.
"""

import ast
import re

from data.corpora.docstrings import MOST_WORDS, prose
from data.corpora.installed import corpus, documented, statements

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Any other decorator is a package's own, of which a docstring does not speak.
_DECORATORS = {"property", "classmethod", "staticmethod"}
_DESCRIPTION = re.compile(r"[A-Z][\w'-]* \w(?!.*[Dd]eprecated)")
MOST_LINES = 12
MOST_CHARACTERS = 400


def source_of(name, text):
    """A function's name and what it does, in words, as one text.

    >>> source_of("total", "Return the sum.")
    'total: Return the sum.'
    """
    return f"{name}: {text}"


def functions(size, seed):
    """Names and docstrings of functions, and the code.

    ("total: Return the sum.", "def total(self):\\n    return sum(self)")


    Arguments and result: of data.corpora.installed.corpus.
    """
    return corpus(pairs, size, seed)


def pairs(source):
    """The pairs of a Python file.

    >>> list(pairs(b'''def total(x):
    ...     "\\""Return the sum of all numbers."\\""
    ...     return (sum(x))  # of any
    ... '''))
    [('total: Return the sum of all numbers.', 'def total(x):\\n    return sum(x)')]

    Args:
        source: bytes.

    Yields:
        (source, target), both ASCII: the name and 4 to 100 words of prose; the code as ast.unparse
        writes it, which has no comments, indents by four spaces and can be parsed, at most 12 lines
        and 400 characters, without docstrings.
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
    """Whether a function does something in few statements, with the language's own decorators
    and no docstring inside."""
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
    """Whether a statement is `...`, `pass` or `raise`: the whole body where subclasses are to
    write it."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, (ast.Pass, ast.Raise))
