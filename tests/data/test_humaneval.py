"""Problems with unit tests: read from files small and real, and solved by their own solutions."""

import gzip
import json

import pytest

from data.config import DataError
from data.readers.humaneval import first_function, read_humaneval, read_mbpp, read_problems
from transformer.metrics.sandbox import run_programs

ROW = {
    "task_id": "A/0",
    "prompt": "def f():\n",
    "canonical_solution": "    return 1\n",
    "entry_point": "f",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
}


def write(path, row):
    path.write_text(json.dumps(row), encoding="utf-8")
    return path


def test_a_program_is_prompt_answer_and_tests(tmp_path):
    (problem,) = read_humaneval(write(tmp_path / "problems.jsonl", ROW))
    assert (problem.id, problem.prompt, problem.solution) == ("A/0", "def f():\n", "    return 1\n")
    assert problem.program("    return 2") == (
        "def f():\n    return 2\ndef check(candidate):\n    assert candidate() == 1\n\ncheck(f)\n"
    )
    assert (problem.head, problem.name, problem.text) == ("def f():\n", "f", "")
    # What comes after the function is left out.
    assert problem.program("    return 2\nprint(f())").startswith(
        "def f():\n    return 2\ndef check"
    )


PROMPT = '''import math

def helper(x):
    """Helps."""
    return x

def round_up(x):
    """Round a number up.

    Negative ones too.
    >>> round_up(1.5)
    2
    """
'''
MADE = {
    "task_id": "A/1",
    "prompt": PROMPT,
    "canonical_solution": "    return math.ceil(helper(x))\n",
    "entry_point": "round_up",
    "test": "def check(candidate):\n    assert candidate(1.5) == 2\n    assert candidate(-1.5) == "
    "-1\n",
}


def test_an_answer_may_be_the_whole_function(tmp_path):
    (problem,) = read_humaneval(write(tmp_path / "problems.jsonl", MADE))
    assert problem.text == "Round a number up. Negative ones too."
    assert problem.description == "round_up: Round a number up. Negative ones too."
    whole = "def round_up(x):\n    return math.ceil(x)\n\ndef other():\n    pass\n"
    assert problem.program(whole) == (
        f"{PROMPT.partition('def round_up')[0]}{whole}\n{MADE['test']}\ncheck(round_up)\n"
    )
    # A function of another name is none, nor one of a longer name, nor one that is indented.
    for answer in (
        "    def round_up(x): pass\n    return 1\n",
        "    return 1\ndef round_up_all(x): pass\n",
    ):
        assert problem.program(answer).startswith(PROMPT + answer.partition("\ndef")[0])
    asynchronous = MADE | {"prompt": "async def round_up(x):\n", "test": "check = print\n"}
    (problem,) = read_humaneval(write(tmp_path / "problems.jsonl", asynchronous))
    assert problem.program("async def round_up(x): pass").startswith(
        "async def round_up(x): pass\n"
    )


def test_what_an_asynchronous_function_does_is_read_too(tmp_path):
    row = MADE | {"prompt": PROMPT.replace("def round_up", "async def round_up")}
    (problem,) = read_humaneval(write(tmp_path / "problems.jsonl", row))
    assert problem.description == "round_up: Round a number up. Negative ones too."


def test_made_problems_are_solved_by_their_solutions(tmp_path):
    """As the real ones below, where these are."""
    (human,) = read_humaneval(write(tmp_path / "problems.jsonl", MADE))
    row = {
        "task_id": 2,
        "text": "Write a function to double a number.",
        "code": "def double(x):\r\n  return x + x\r\n",
        "test_setup_code": "two = 2",
        "test_list": ["assert double(two) == 4", "assert double(-1) == -2"],
    }
    (mbpp,) = read_mbpp(write(tmp_path / "other.jsonl", row))
    assert run(
        [
            human.program(human.solution),
            human.program(PROMPT + human.solution),
            mbpp.program(mbpp.solution),
        ]
    ) == {"passed"}
    assert run(
        [human.program("    return round(x)\n"), mbpp.program("def double(x): return 2")]
    ) == {"failed"}
    assert (mbpp.name, mbpp.head, mbpp.text) == ("double", "", row["text"])
    assert (
        mbpp.description == "double: Write a function to double a number."
        and "\r" not in mbpp.solution
    )


def test_what_the_tests_of_mbpp_call_is_the_function(tmp_path):
    row = {
        "text": "t",
        "code": "def helper():\n  return 1\ndef f():\n  return helper()",
        "test_setup_code": "",
        "test_list": ["assert set([f()]) == {1}", "assert helper() == 1"],
    }
    (problem,) = read_mbpp(write(tmp_path / "problems.jsonl", row))
    assert problem.name == "f" and problem.id == f"MBPP/{tmp_path}/problems.jsonl, line 1"
    assert problem.tests == "\nassert set([f()]) == {1}\nassert helper() == 1"


def test_what_kind_of_problems_a_file_has_is_seen_by_its_first_line(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(f"\n{json.dumps(ROW)}\n{json.dumps(MADE)}\n")
    assert [problem.id for problem in read_problems(tmp_path / "a.jsonl.gz")] == ["A/0", "A/1"]
    row = {
        "task_id": 3,
        "text": "t",
        "code": "def f(): pass",
        "test_setup_code": "",
        "test_list": ["f()"],
    }
    assert read_problems(write(tmp_path / "b.jsonl", row))[0].id == "MBPP/3"
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(DataError, match="a problem file must not be empty. Received: .*none.jsonl"):
        read_problems(tmp_path / "none.jsonl")
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(ROW)}\n\n{json.dumps(ROW | {'prompt': 3})}\n")
    with pytest.raises(DataError, match="prompt must be text. Received: .*a.jsonl, line 3, 3."):
        read_problems(tmp_path / "a.jsonl")


def test_mbpp_is_answer_and_tests(tmp_path):
    row = {
        "task_id": 7,
        "text": "One.",
        "code": "def f():\r\n\treturn 1",
        "test_setup_code": "one = 1",
        "test_list": ["assert f() == one"],
    }
    (problem,) = read_mbpp(write(tmp_path / "problems.jsonl", row))
    assert (problem.id, problem.prompt, problem.solution) == (
        "MBPP/7",
        "One.",
        "def f():\n\treturn 1",
    )
    assert problem.program(problem.solution) == "def f():\n\treturn 1\none = 1\nassert f() == one\n"
    # An answer that nothing stands before is whole, whatever is in it.
    assert problem.program("x = 1\nprint(x)") == "x = 1\nprint(x)\none = 1\nassert f() == one\n"


@pytest.mark.parametrize(
    ("reader", "row", "message"),
    [
        (read_humaneval, ROW | {"test": None}, "test must be text. Received: .*line 1, None"),
        (
            read_humaneval,
            ROW | {"entry_point": "f()"},
            r"entry_point must be a function's name. Received: .*line 1, 'f\(\)'",
        ),
        (read_humaneval, [1], "a line must be a JSON object"),
        (
            read_mbpp,
            {"text": "", "code": "", "test_setup_code": "", "test_list": []},
            r"test_list must be a list of tests. .*\[\]",
        ),
        (
            read_humaneval,
            ROW | {"prompt": "def g():\n"},
            r"prompt must have a line that begins with 'def f\('. Received: .*line 1, 'def g",
        ),
        (
            read_mbpp,
            {"text": "", "code": "", "test_setup_code": "", "test_list": ["f()"]},
            "must call a function that code defines",
        ),
        (read_mbpp, ROW, "text must be text. Received: .*line 1, None"),
        *(
            (read_humaneval, ROW | {field: 3}, f"{field} must be text. Received: .*line 1, 3.")
            for field in ("task_id", "prompt", "canonical_solution", "test", "entry_point")
        ),
        *(
            (
                read_mbpp,
                {"text": "", "code": "", "test_setup_code": "", "test_list": ["f()"]} | {field: 3},
                f"{field} must be text. Received: .*line 1, 3.",
            )
            for field in ("text", "code", "test_setup_code")
        ),
        *(
            (
                read_mbpp,
                {"text": "", "code": "", "test_setup_code": "", "test_list": tests},
                "test_list must be a list of tests",
            )
            for tests in (None, "f()", ["f()", 3])
        ),
        (
            read_humaneval,
            ROW | {"prompt": "x = 'def f()'\n"},
            "prompt must have a line that begins with 'def f",
        ),
        (
            read_humaneval,
            ROW | {"prompt": "def ff():\n"},
            "prompt must have a line that begins with 'def f",
        ),
        (
            read_mbpp,
            {"text": "", "code": "def g(): pass", "test_setup_code": "", "test_list": ["f(g)"]},
            "must call a function that code defines",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path, reader, row, message):
    with pytest.raises(DataError, match=message):
        reader(write(tmp_path / "problems.jsonl", row))


def test_a_completion_ends_with_its_function():
    body = "    if x:\n        return 1\n    # def\n    return 2\n"
    assert first_function(body) == body
    assert (
        first_function("    return 1\n\n    # if\n    x = 2\ny = 3")
        == "    return 1\n\n    # if\n    x = 2\ny = 3"
    )
    assert first_function("    return 1\ndef g(): pass\nclass B: pass") == "    return 1"
    for more in ("def g():\n    pass", "class A:", "# and", "if x:", "print(1)"):
        assert first_function(body + "\n" + more) == body


def run(programs):
    return {
        outcome.status for outcome in run_programs(programs, run_code=True, seconds=20.0, workers=2)
    }


@pytest.mark.slow
def test_the_solutions_of_humaneval_pass(shared):
    problems = read_humaneval(shared / "humaneval" / "HumanEval.jsonl.gz")
    assert len(problems) == 164 and problems[0].id == "HumanEval/0"
    # All 164 pass; a part is enough here.
    assert run([problem.program(problem.solution) for problem in problems[::8]]) == {"passed"}
    assert run([problem.program("    pass\n") for problem in problems[:3]]) == {"failed"}
    # Whole functions as answers.
    assert run(
        [problem.program(problem.prompt + problem.solution) for problem in problems[3::40]]
    ) == {"passed"}
    assert problems[2].description.startswith(
        "truncate_number: Given a positive floating point number, it can be decomposed"
    )
    assert sum(not problem.text for problem in problems) <= 1


@pytest.mark.slow
def test_the_solutions_of_mbpp_pass(shared):
    problems = read_mbpp(shared / "mbpp" / "mbpp.jsonl")
    assert len(problems) == 974 and "\r" not in problems[0].solution
    assert run([problem.program(problem.solution) for problem in problems[::100]]) == {"passed"}
    assert problems[1].description == "similar_elements: " + problems[1].prompt


def test_which_problems_a_file_has_is_seen(shared, tmp_path):
    assert [
        len(read_problems(shared / path))
        for path in ("humaneval/HumanEval.jsonl.gz", "mbpp/mbpp.jsonl")
    ] == [164, 974]
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(DataError, match="must not be empty. Received: .*none.jsonl"):
        read_problems(tmp_path / "none.jsonl")
