"""Programming problems with unit tests: the files of HumanEval and of MBPP, as programs that raise where a test fails.

Reading runs nothing; transformer/execution.py runs programs.
"""

import re
from typing import NamedTuple

from data.config import DataError
from data.files import is_text, read_jsonl

_STOP = re.compile(r"\n(?:class|def|#|if|print)")


class Problem(NamedTuple):
    """A problem; all are str."""

    id: str
    prompt: str  # what a model reads
    solution: str  # a right answer to it
    head: str  # what stands before an answer in a program: HumanEval's prompt, which the answer goes on with; MBPP's none
    tests: str

    def program(self, answer):
        """An answer with its tests, as a program."""
        return f"{self.head}{answer}\n{self.tests}\n"


def read_humaneval(path):
    """The problems of HumanEval (Chen et al. 2021), .jsonl or .jsonl.gz: a list of Problem.

    Raises:
        DataError: the file cannot be read, or a problem lacks a field.
    """
    problems = []
    for where, row in _rows(path, ("task_id", "prompt", "canonical_solution", "test", "entry_point")):
        if not row["entry_point"].isidentifier():
            raise DataError(f"entry_point must be a function's name. Received: {where}, {row['entry_point']!r}.")
        tests = f"{row['test']}\ncheck({row['entry_point']})"
        problems.append(Problem(row["task_id"], row["prompt"], row["canonical_solution"], row["prompt"], tests))
    return problems


def read_mbpp(path):
    """The problems of MBPP (Austin et al. 2021), .jsonl: a list of Problem; "\\r\\n" becomes "\\n".

    The prompt is the description alone, from which the name of the function cannot be told: the authors show the tests too.

    Raises:
        DataError: the file cannot be read, or a problem lacks a field.
    """
    problems = []
    for where, row in _rows(path, ("text", "code", "test_setup_code")):
        tests = row.get("test_list")
        if not isinstance(tests, list) or not tests or not all(map(is_text, tests)):
            raise DataError(f"test_list must be a list of tests. Received: {where}, {tests!r}.")
        text, code, *tests = (part.replace("\r\n", "\n") for part in (row["text"], row["code"], row["test_setup_code"], *tests))
        problems.append(Problem(f"MBPP/{row.get('task_id', where)}", text, code, "", "\n".join(tests)))
    return problems


def first_function(completion):
    """A completion of HumanEval's prompt up to where its function has ended: Chen et al. 2021 stop there.

    >>> first_function("    return 1\\n\\nprint(f())")
    '    return 1\\n'
    """
    return _STOP.split(completion, maxsplit=1)[0]


def _rows(path, fields):
    """The objects of a file with where each stands; the fields are all text."""
    for number, row in read_jsonl(path):
        for field in fields:
            if not is_text(row.get(field)):
                raise DataError(f"{field} must be text. Received: {path}, line {number}, {row.get(field)!r}.")
        yield f"{path}, line {number}", row
