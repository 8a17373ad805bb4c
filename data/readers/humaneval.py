"""Programming problems with unit tests: the files of HumanEval and of MBPP, as programs that raise
where a test fails.

Reading runs nothing; transformer/metrics/sandbox.py runs programs.
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
    """A problem; all are str."""

    id: str
    prompt: str  # what a model reads
    solution: str  # a right answer to it
    # What stands before an answer in a program: HumanEval's prompt, which the answer goes on with;
    # MBPP's none
    head: str
    tests: str
    name: str  # of the function
    text: str  # what the function does, in words

    @property
    def description(self):
        """The function's name and what it does, as the corpus of functions has it
        (data/corpora/functions.py)."""
        return source_of(self.name, self.text)

    def program(self, answer):
        """An answer with its tests, as a program. The answer goes on with the prompt, or has the
        whole function in it: then what stands before the function in the prompt, such as its
        imports, is put before it.
        """
        head, begin = self.head, _definition(self.name)
        if begin.search(answer):
            head = begin.split(head)[0]
        elif head:
            answer = first_function(answer)
        return f"{head}{answer}\n{self.tests}\n"


def read_problems(path):
    """The problems of a file, HumanEval's or MBPP's by the fields of its first line: a list of
    Problem.

    Raises:
        DataError: the file cannot be read, is empty, or has another form.
    """
    for _, row in read_jsonl(path):
        return read_humaneval(path) if "entry_point" in row else read_mbpp(path)
    raise DataError(f"a file of problems must have at least one. Received: {path}, which is empty.")


def read_humaneval(path):
    """The problems of HumanEval (Chen et al. 2021), .jsonl or .jsonl.gz: a list of Problem.

    Raises:
        DataError: the file cannot be read, or a problem lacks a field.
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
                f"prompt must begin the function {name}. Received: {where}, {prompt[-80:]!r}."
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
    """The problems of MBPP (Austin et al. 2021), .jsonl: a list of Problem; "\\r\\n" becomes "\\n".

    The prompt is the description alone, from which the name of the function cannot be told: the
    authors show the tests too.

    Raises:
        DataError: the file cannot be read, or a problem lacks a field.
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
        # The name that the tests call is told to whoever answers: the authors show the tests too.
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
    """A completion of HumanEval's prompt up to where its function has ended: Chen et al. 2021 stop
    there.

    >>> first_function("    return 1\\n\\nprint(f())")
    '    return 1\\n'
    """
    return _STOP.split(completion, maxsplit=1)[0]


def _definition(name):
    """A pattern of the line that begins a function."""
    return re.compile(rf"^(?:async )?def {re.escape(name)}\b", re.MULTILINE)


def _described(prompt, name):
    """The prose of the docstring of the function that a prompt of HumanEval begins; "" where
    there is none to read."""
    found = documented(f"{prompt}\n    pass\n".encode(), (ast.FunctionDef, ast.AsyncFunctionDef))
    docstrings = {node.name: docstring for node, docstring in found}
    return prose(docstrings.get(name, "").partition(">>>")[0])


def _rows(path, fields):
    """The objects of a file with where each stands; the fields are all text."""
    for number, row in read_jsonl(path):
        for field in fields:
            if not is_text(row.get(field)):
                raise DataError(
                    f"{field} must be text. Received: {path}, line {number}, {row.get(field)!r}."
                )
        yield f"{path}, line {number}", row
