"""Programs that a model might write: right, wrong and hostile. No hostile one passes, or outlives its time."""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from transformer import execution
from transformer.execution import Outcome, pass_at_k, pass_scores, run_programs

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = "\ndef check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\n\ncheck(square)\n"


def run(*answers, seconds=10.0, **options):
    return run_programs([answer + TESTS for answer in answers], run_code=True, seconds=seconds, **options)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder that programs get theirs in: at the end it is empty, and nobody works in it."""
    # Not in tmp_path, which is closed to "nobody".
    path = pathlib.Path(tempfile.mkdtemp())
    path.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    assert not inhabitants(path)
    path.rmdir()


def inhabitants(folder):
    """Processes that work in a folder."""
    found = []
    for link in pathlib.Path("/proc").glob("[0-9]*/cwd"):
        try:
            place = os.readlink(link)
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if place.startswith(str(folder)):
            found.append(link)
    return found


@pytest.fixture
def no_namespaces(tmp_path, monkeypatch):
    """As in most containers, where the kernel refuses them."""
    source = pathlib.Path(execution.__file__).read_text(encoding="utf-8")
    assert source.count("if libc.unshare(") == 1
    path = tmp_path / "execution.py"
    path.write_text(source.replace("if libc.unshare(", "if -1 or libc.unshare("), encoding="utf-8")
    monkeypatch.setattr(execution, "__file__", str(path))


def test_nothing_runs_unasked(folder):
    for options in ({}, {"run_code": 1}, {"run_code": "yes"}):
        with pytest.raises(ValueError, match="run_code must be True .*Received: .*Read the warning"):
            run_programs([f"open({str(folder / 'mark')!r}, 'w')"], **options)


def test_right_and_wrong_answers():
    assert run(
        "def square(x):\n    return x * x",
        "def square(x):\n    return x + x",
        "def square(x):\n    return y",
        "def square(x)\n    return x",
        "def cube(x):\n    return x",
        workers=2,
    ) == [
        Outcome("passed"),
        Outcome("failed", "AssertionError (line 5: assert candidate(3) == 9)"),
        Outcome("error", "NameError: name 'y' is not defined (line 2: return y)"),
        Outcome("error", "SyntaxError: expected ':'"),
        Outcome("error", "NameError: name 'square' is not defined (line 7: check(square))"),
    ]
    assert run_programs([], run_code=True) == []


def test_what_a_program_sees(monkeypatch):
    monkeypatch.setenv("SECRET", "swordfish")
    (outcome,) = run_programs(["""
import os, sys, tempfile
assert set(os.environ) <= {"HOME", "TMPDIR", "PATH", "LC_CTYPE"}, list(os.environ)
assert os.listdir() == ["program.py"] and os.getcwd() == os.environ["HOME"]
assert not any("site-packages" in path for path in sys.path)
assert sys.stdin.read() == "" and __name__ != "__main__"
with tempfile.NamedTemporaryFile("w") as file:  # in its own folder it may write
    file.write("größer")
os.mkdir("a"); os.rename("a", "b"); os.rmdir("b")
import asyncio.events, collections, dataclasses, decimal, fractions, hashlib, heapq, itertools, json, random, statistics, typing
"""], run_code=True)
    assert outcome == Outcome("passed")


SQUARE = "def square(x):\n    return x * x\n"
HOSTILE = {
    "reads standard input": ("error", "EOFError", "input()"),
    "leaves before the tests": ("error", "SystemExit: 0", "import sys; sys.exit(0)"),
    "pretends success": ("error", "it ended before its tests did (exit code 0)", "import os; os._exit(0)"),
    "reports success": ("error", "it ended before", """
import os
for number in range(3, 30):
    try: os.write(number, b'{"token": "", "status": "passed", "message": ""}')
    except OSError: pass
os._exit(0)"""),
    "wants 10 GiB": ("error", "MemoryError", "x = bytearray(10 * 2**30)"),
    "writes a big file": ("error", "OSError: [Errno 27] File too large", "open('big', 'wb').write(bytes(2**24))"),
    "writes many files": ("error", "PermissionError: refused", "for n in range(1000): open(f'{n}', 'w').close()"),
    "writes elsewhere": ("error", "PermissionError: refused to a program under test: open", "open('../mark', 'w')"),
    "deletes elsewhere": ("error", "PermissionError: refused to a program under test: os.rmdir", "import os; os.rmdir('/')"),
    "opens a socket": ("error", "PermissionError: refused to a program under test: socket.__new__",
                       "import socket; socket.socket()"),
    "asks for a name": ("error", "PermissionError: refused", "import socket; socket.getaddrinfo('localhost', 80)"),
    "opens a page": ("error", "urllib.error.URLError: <urlopen error refused",
                     "import urllib.request as r; r.urlopen('http://127.0.0.1')"),
    "starts a program": ("error", "PermissionError: refused to a program under test: subprocess.Popen",
                         "import subprocess; subprocess.run(['sleep', '100'])"),
    "becomes another program": ("error", "PermissionError: refused", "import os; os.execv('/bin/sleep', ['sleep', '100'])"),
    "starts a thread": ("error", "RuntimeError: can't start new thread",
                        "import threading; threading.Thread(target=print).start()"),
    "kills": ("error", "PermissionError: refused to a program under test: os.kill", "import os; os.kill(-1, 9)"),
    "calls C": ("error", "PermissionError: refused to a program under test: import", "import ctypes"),
    "raises its limits": ("error", "PermissionError: refused", "import resource as r; r.setrlimit(r.RLIMIT_NPROC, (9, 9))"),
    "overflows the stack": ("error", "", """
import sys
sys.setrecursionlimit(10**9)
def deep(): return sorted([0], key=lambda _: deep())
deep()"""),
    "has no end of nesting": ("error", "", "(" * 5000),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["namespaces", "no_namespaces"])
def test_no_hostile_answer_passes(kind, request):
    if kind == "no_namespaces":
        request.getfixturevalue(kind)
    outcomes = run(*(SQUARE + answer for _, _, answer in HOSTILE.values()), workers=2)
    for name, outcome in zip(HOSTILE, outcomes):
        status, message, _ = HOSTILE[name]
        assert (name, outcome.status, outcome.message[: len(message)]) == (name, status, message)


ENDLESS = {
    "loops": "while True: pass",
    "prints without end": "while True: print('x' * 10000)",
    "catches everything": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "bombs": "import os\nwhile True:\n    try: os.fork()\n    except BaseException: pass",
    "floods the report": """
import os
while True:
    for number in range(3, 10):
        try: os.write(number, bytes(10**6))
        except OSError: pass""",
    "leaves its group": "import os\ntry: os.setsid()\nexcept OSError: pass  # it leads its group\nwhile True: pass",
    "sleeps": "import time\ntime.sleep(1000)",
}


@pytest.mark.parametrize("kind", ["namespaces", "no_namespaces"])
def test_what_does_not_end_is_ended(kind, request):
    if kind == "no_namespaces":
        request.getfixturevalue(kind)
    begun = time.monotonic()
    outcomes = run(*(SQUARE + answer for answer in ENDLESS.values()), seconds=1.0, workers=len(ENDLESS))
    assert dict(zip(ENDLESS, outcomes)) == {name: Outcome("timeout", "not finished after 1 s") for name in ENDLESS}
    assert time.monotonic() - begun < 10


def test_a_test_that_fails_cannot_be_caught_by_the_answer():
    answer = "import atexit, os, sys\ndef square(x): return 0\nsys.excepthook = print\natexit.register(os._exit, 0)"
    assert run(answer) == [Outcome("failed", "AssertionError (line 6: assert candidate(2) == 4)")]


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_programs_end_with_the_one_who_runs_them(folder, delay):
    caller = subprocess.Popen([sys.executable, "-c", "from transformer.execution import run_programs; "
                               "run_programs(['while True: pass'], run_code=True, seconds=100)"],
                              env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)})  # fmt: skip
    wait_until(lambda: inhabitants(folder))
    time.sleep(delay)
    caller.kill()
    caller.wait()
    wait_until(lambda: not inhabitants(folder))
    for left in folder.iterdir():
        shutil.rmtree(left)


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_not_prevented():
    answers = (
        "class Any:\n    def __eq__(self, other): return True\ndef square(x): return Any()",
        f"def square(x): return x * x\nassert open({os.__file__!r}).read()",
    )
    assert run(*answers) == [Outcome("passed")] * 2


def test_a_machine_that_cannot_confine_runs_nothing(tmp_path, monkeypatch):
    path = tmp_path / "execution.py"
    source = pathlib.Path(execution.__file__).read_text(encoding="utf-8")
    path.write_text(source.replace("libc.prctl(38, 1,", "libc.prctl(38, 7,"), encoding="utf-8")
    monkeypatch.setattr(execution, "__file__", str(path))
    with pytest.raises(RuntimeError, match="must be confined before they run. Received: .*Invalid argument"):
        run(SQUARE)
    monkeypatch.setattr(execution.sys, "platform", "darwin")
    with pytest.raises(RuntimeError, match="Received: darwin"):
        run(SQUARE)


def test_pass_at_k_is_the_share_of_draws_with_a_pass():
    for samples in range(1, 7):
        for passed in range(samples + 1):
            for k in range(1, samples + 1):
                draws = list(itertools.combinations([True] * passed + [False] * (samples - passed), k))
                assert pass_at_k(samples, passed, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    # 1 - (98 / 100) (97 / 99) ... (89 / 91), the product of the paper's program; two passes of 100, ten draws.
    assert pass_at_k(100, 2, 10) == pytest.approx(1 - 90 * 89 / (100 * 99))
    assert pass_at_k(10**5, 10**4, 100) == pytest.approx(1 - 0.9**100, abs=1e-6)


@pytest.mark.parametrize("wrong", [(3, 4, 1), (3, 1, 4), (3, 1, 0), (0, 0, 1), (3, -1, 1)])
def test_pass_at_k_of_what_was_not_drawn(wrong):
    with pytest.raises(ValueError, match=f"Received: k={wrong[2]}, {wrong[0]} samples, {wrong[1]} passed"):
        pass_at_k(*wrong)


def test_pass_scores_by_hand():
    passed, failed = Outcome("passed"), Outcome("failed", "AssertionError")
    outcomes = [[passed, failed, failed], [failed, Outcome("timeout"), Outcome("error")], [passed] * 3]
    assert pass_scores(outcomes, ks=(1, 2, 10)) == pytest.approx({
        "pass@1": 100 * (1 / 3 + 0 + 1) / 3, "pass@2": 100 * (2 / 3 + 0 + 1) / 3,
        "passed": 400 / 9, "failed": 300 / 9, "timeout": 100 / 9, "error": 100 / 9,
    })  # fmt: skip
    with pytest.raises(ValueError, match="Received: 2 problems, the fewest samples 0"):
        pass_scores([[passed], []])
