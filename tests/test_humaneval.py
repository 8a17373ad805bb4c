"""Problems with unit tests: read from files small and real, and solved by their own solutions."""

import json

import pytest

from data.config import DataError
from data.humaneval import first_function, read_humaneval, read_mbpp, read_problems
from transformer.execution import run_programs

ROW = {"task_id": "A/0", "prompt": "def f():\n", "canonical_solution": "    return 1\n", "entry_point": "f",
       "test": "def check(candidate):\n    assert candidate() == 1\n"}  # fmt: skip


def write(path, row):
    path.write_text(json.dumps(row), encoding="utf-8")
    return path


def test_a_program_is_prompt_answer_and_tests(tmp_path):
    (problem,) = read_humaneval(write(tmp_path / "problems.jsonl", ROW))
    assert (problem.id, problem.prompt, problem.solution) == ("A/0", "def f():\n", "    return 1\n")
    assert problem.program("    return 2") == (
        "def f():\n    return 2\ndef check(candidate):\n    assert candidate() == 1\n\ncheck(f)\n"
    )


def test_mbpp_is_answer_and_tests(tmp_path):
    row = {"task_id": 7, "text": "One.", "code": "def f():\r\n\treturn 1", "test_setup_code": "one = 1",
           "test_list": ["assert f() == one"]}  # fmt: skip
    (problem,) = read_mbpp(write(tmp_path / "problems.jsonl", row))
    assert (problem.id, problem.prompt, problem.solution) == ("MBPP/7", "One.", "def f():\n\treturn 1")
    assert problem.program(problem.solution) == "def f():\n\treturn 1\none = 1\nassert f() == one\n"


@pytest.mark.parametrize(("reader", "row", "message"), [
    (read_humaneval, ROW | {"test": None}, "test must be text. Received: .*line 1, None"),
    (read_humaneval, ROW | {"entry_point": "f()"}, r"entry_point must be a function's name. Received: .*line 1, 'f\(\)'"),
    (read_humaneval, [1], "a line must be a JSON object"),
    (read_mbpp, {"text": "", "code": "", "test_setup_code": "", "test_list": []}, r"test_list must be a list of tests. .*\[\]"),
    (read_humaneval, ROW | {"prompt": "def g():\n"}, r"prompt must begin the function f. Received: .*line 1, 'def g"),
    (read_mbpp, {"text": "", "code": "", "test_setup_code": "", "test_list": ["f()"]}, "must call a function that code defines"),
    (read_mbpp, ROW, "text must be text. Received: .*line 1, None"),
])  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(tmp_path, reader, row, message):
    with pytest.raises(DataError, match=message):
        reader(write(tmp_path / "problems.jsonl", row))


def test_a_completion_ends_with_its_function():
    body = "    if x:\n        return 1\n    # def\n    return 2\n"
    assert first_function(body) == body
    for more in ("def g():\n    pass", "class A:", "# and", "if x:", "print(1)"):
        assert first_function(body + "\n" + more) == body


def run(programs):
    return {outcome.status for outcome in run_programs(programs, run_code=True, seconds=20.0, workers=2)}


def test_the_solutions_of_humaneval_pass(shared):
    problems = read_humaneval(shared / "humaneval" / "HumanEval.jsonl.gz")
    assert len(problems) == 164 and problems[0].id == "HumanEval/0"
    # All 164 pass; a part is enough here.
    assert run([problem.program(problem.solution) for problem in problems[::8]]) == {"passed"}
    assert run([problem.program("    pass\n") for problem in problems[:3]]) == {"failed"}
    # Whole functions as answers.
    assert run([problem.program(problem.prompt + problem.solution) for problem in problems[3::40]]) == {"passed"}
    assert problems[2].description.startswith("truncate_number: Given a positive floating point number, it can be decomposed")
    assert sum(not problem.text for problem in problems) <= 1


def test_the_solutions_of_mbpp_pass(shared):
    problems = read_mbpp(shared / "mbpp" / "mbpp.jsonl")
    assert len(problems) == 974 and "\r" not in problems[0].solution
    assert run([problem.program(problem.solution) for problem in problems[::100]]) == {"passed"}
    assert problems[1].description == "similar_elements: " + problems[1].prompt


def test_which_problems_a_file_has_is_seen(shared, tmp_path):
    assert [len(read_problems(shared / path)) for path in ("humaneval/HumanEval.jsonl.gz", "mbpp/mbpp.jsonl")] == [164, 974]
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(DataError, match="at least one. Received: .*none.jsonl"):
        read_problems(tmp_path / "none.jsonl")
