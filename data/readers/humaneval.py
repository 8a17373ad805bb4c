"""Programming problems with unit tests, read from the files of HumanEval and MBPP.

`Problem.program` gives a program that raises if a test fails. Reading runs no code.
transformer/metrics/sandbox.py runs the programs.
"""

import ast
import re
from typing import NamedTuple

from data.config import DataError
from data.corpora.docstrings import prose
from data.corpora.functions import source_of
from data.corpora.installed import documented
from data.readers.files import is_text, read_jsonl

_STOP = re.compile(r"\n(?:class|def|#|if|print)")


class Problem(NamedTuple):
    """A programming problem.

    Attributes:
        id: str.
        prompt: str, what a model reads.
        solution: str, a correct answer to the prompt.
        head: str, what precedes an answer in a program. For HumanEval it is the prompt, which the
            answer continues. For MBPP it is empty.
        tests: str, code that raises if the answer is wrong.
        name: str, the name of the function.
        text: str, what the function does, in words.
    """

    id: str
    prompt: str
    solution: str
    head: str
    tests: str
    name: str
    text: str

    @property
    def description(self):
        """The function's name and what it does, in the form of the functions corpus.

        See data/corpora/functions.py.
        """
        return source_of(self.name, self.text)

    def program(self, answer):
        """Returns a program of an answer and its tests.

        An answer continues the prompt, or contains the whole function. In the second case only what
        precedes the function in the prompt, such as imports, is put before the answer.

        Args:
            answer: str.

        Returns:
            A str.
        """
        head, begin = self.head, _definition(self.name)
        if begin.search(answer):
            head = begin.split(head)[0]
        elif head:
            answer = first_function(answer)
        return f"{head}{answer}\n{self.tests}\n"


def read_problems(path):
    """Reads the problems of a file, in the format of HumanEval or MBPP.

    The fields of the first line tell which of the two it is.

    Args:
        path: the file, .jsonl or .jsonl.gz.

    Returns:
        A list of `Problem`.

    Raises:
        DataError: the file cannot be read, is empty, or has another form.
    """
    for _, row in read_jsonl(path):
        return read_humaneval(path) if "entry_point" in row else read_mbpp(path)
    raise DataError(f"a problem file must not be empty. Received: {path}.")


def read_humaneval(path):
    """Reads the problems of HumanEval (Chen et al. 2021).

    Args:
        path: the file, .jsonl or .jsonl.gz.

    Returns:
        A list of `Problem`.

    Raises:
        DataError: the file cannot be read, a problem lacks a field, or its prompt does not begin
            its function.
    """
    problems = []
    for where, row in _rows(
        path, ("task_id", "prompt", "canonical_solution", "test", "entry_point")
    ):
        if not row["entry_point"].isidentifier():
            raise DataError(
                f"entry_point must be a function's name. Received: {where}, {row['entry_point']!r}."
            )
        name, prompt = row["entry_point"], row["prompt"]
        if not _definition(name).search(prompt):
            raise DataError(
                f"prompt must have a line that begins with 'def {name}('. Received: {where}, "
                f"{prompt[-80:]!r}."
            )
        tests = f"{row['test']}\ncheck({name})"
        problems.append(
            Problem(
                row["task_id"],
                prompt,
                row["canonical_solution"],
                prompt,
                tests,
                name,
                _described(prompt, name),
            )
        )
    return problems


def read_mbpp(path):
    """Reads the problems of MBPP (Austin et al. 2021), with line feeds alone as line breaks.

    The prompt is the description alone, which does not tell the name of the function. The authors
    show the tests too.

    Args:
        path: the file, .jsonl or .jsonl.gz.

    Returns:
        A list of `Problem`.

    Raises:
        DataError: the file cannot be read, a problem lacks a field, or its tests do not call a
            function of its code.
    """
    problems = []
    for where, row in _rows(path, ("text", "code", "test_setup_code")):
        tests = row.get("test_list")
        if not isinstance(tests, list) or not tests or not all(map(is_text, tests)):
            raise DataError(f"test_list must be a list of tests. Received: {where}, {tests!r}.")
        text, code, *tests = (
            part.replace("\r\n", "\n")
            for part in (row["text"], row["code"], row["test_setup_code"], *tests)
        )
        # `description` tells a model the name that the tests call. The authors show the tests too.
        called = [
            name
            for name in re.findall(r"\w+(?=\()", "\n".join(tests))
            if _definition(name).search(code)
        ]
        if not called:
            raise DataError(
                f"test_list must call a function that code defines. Received: {where}, {tests!r}."
            )
        problems.append(
            Problem(
                f"MBPP/{row.get('task_id', where)}",
                text,
                code,
                "",
                "\n".join(tests),
                called[0],
                text,
            )
        )
    return problems


def first_function(completion):
    """Returns a completion of a HumanEval prompt up to the end of its function.

    Chen et al. 2021 stop at the same place.

    >>> first_function("    return 1\\n\\nprint(f())")
    '    return 1\\n'

    Args:
        completion: str.

    Returns:
        A str.
    """
    return _STOP.split(completion, maxsplit=1)[0]


def _definition(name):
    """Returns a pattern of the line that begins a function."""
    return re.compile(rf"^(?:async )?def {re.escape(name)}\b", re.MULTILINE)


def _described(prompt, name):
    """Returns the prose of the docstring in a HumanEval prompt, or "" if it cannot be found.

    The prose ends before the first doctest.
    """
    found = documented(f"{prompt}\n    pass\n".encode(), (ast.FunctionDef, ast.AsyncFunctionDef))
    docstrings = {node.name: docstring for node, docstring in found}
    return prose(docstrings.get(name, "").partition(">>>")[0])


def _rows(path, fields):
    """Yields (place, object) for each object of a file, and checks that the fields are text."""
    for number, row in read_jsonl(path):
        for field in fields:
            if not is_text(row.get(field)):
                raise DataError(
                    f"{field} must be text. Received: {path}, line {number}, {row.get(field)!r}."
                )
        yield f"{path}, line {number}", row
