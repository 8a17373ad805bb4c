"""Programs that a model might write: right, wrong and hostile. No hostile one passes, or
outlives its time."""

import errno
import itertools
import json
import math
import os
import pathlib
import platform
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import hypothesis
import pytest
from hypothesis import strategies

from transformer.metrics.sandbox import Outcome, pass_at_k, pass_scores, run_programs

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = """
def check(candidate):
    assert candidate(2) == 4
    assert candidate(3) == 9

check(square)
"""


def run(*answers, seconds=10.0, **options):
    return run_programs(
        [answer + TESTS for answer in answers], run_code=True, seconds=seconds, **options
    )


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


# (number of unshare(2), of prctl(2)) by the kind of machine.
SYSTEM_CALLS = {"x86_64": (272, 157), "aarch64": (97, 167)}


def refuse(number, first=None):
    """Lets the kernel refuse a system call to this process and what it starts, or only with this
    first argument."""
    import ctypes

    def instruction(code, jump_if_not, value):
        return struct.pack("HBBI", code, 0, jump_if_not, value)

    # Offset 0 of what the filter is given is the number, 16 the first argument: seccomp(2).
    load, unless_equal, give = 0x20, 0x15, 0x06
    tests = [(0, number)] if first is None else [(0, number), (16, first)]
    filters = []
    for place, (offset, value) in enumerate(tests):
        left = len(tests) - 1 - place
        filters += [instruction(load, 0, offset), instruction(unless_equal, 2 * left + 1, value)]
    filters += [instruction(give, 0, 0x00050000 | errno.EPERM), instruction(give, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(filters))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    refused = libc.prctl(38, 1, 0, 0, 0) or libc.prctl(
        22, 2, program, 0, 0
    )  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
    assert not refused, os.strerror(ctypes.get_errno())


def run_apart(programs, confine, **options):
    """run_programs in a process of its own, confined by a function before it begins."""
    command = [
        sys.executable,
        "-c",
        "import json, sys; from transformer.metrics.sandbox import run_programs; "
        "programs, options = json.load(sys.stdin); print(json.dumps(run_programs(programs, "
        "**options)))",
    ]
    done = subprocess.run(
        command,
        input=json.dumps([programs, {"run_code": True} | options]),
        preexec_fn=confine,
        text=True,
        timeout=100,
        capture_output=True,
        env=os.environ | {"TMPDIR": tempfile.gettempdir(), "PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [Outcome(*outcome) for outcome in json.loads(done.stdout)]


def refused_call(place, first=None):
    """What refuses a system call, by its place in SYSTEM_CALLS."""
    if platform.machine() not in SYSTEM_CALLS:
        pytest.skip(f"the numbers of system calls are not known for {platform.machine()}")
    return lambda: refuse(SYSTEM_CALLS[platform.machine()][place], first)


def run_on(kind, programs, **options):
    """Where the kernel gives namespaces (if it does), and where it gives none, as in most
    containers."""
    if kind == "namespaces":
        return run_programs(programs, run_code=True, **options)
    return run_apart(programs, refused_call(0), **options)


def test_nothing_runs_unasked(folder):
    for options in ({}, {"run_code": 1}, {"run_code": "yes"}):
        with pytest.raises(
            ValueError, match="run_code must be True .*Received: .*Read the warning"
        ):
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
    (outcome,) = run_programs(
        [
            """
import os, sys, tempfile
assert set(os.environ) <= {"HOME", "TMPDIR", "PATH", "LC_CTYPE"}, list(os.environ)
assert os.listdir() == ["program.py"] and os.getcwd() == os.environ["HOME"]
assert not any("site-packages" in path for path in sys.path)
assert sys.stdin.read() == "" and __name__ != "__main__"
with tempfile.NamedTemporaryFile("w") as file:  # in its own folder it may write
    file.write("größer")
os.mkdir("a"); os.rename("a", "b"); os.rmdir("b")
import asyncio.events, collections, dataclasses, decimal, fractions, hashlib, heapq, itertools, json
import random, statistics, typing
"""
        ],
        run_code=True,
        seconds=60.0,
    )
    assert outcome == Outcome("passed")


SQUARE = "def square(x):\n    return x * x\n"
HOSTILE = {
    "reads standard input": ("error", "EOFError", "input()"),
    "leaves before the tests": ("error", "SystemExit: 0", "import sys; sys.exit(0)"),
    "pretends success": (
        "error",
        "it ended before its tests did (exit code 0)",
        "import os; os._exit(0)",
    ),
    "reports success": (
        "error",
        "it ended before",
        """
import os
for number in range(3, 30):
    try: os.write(number, b'{"token": "", "status": "passed", "message": ""}')
    except OSError: pass
os._exit(0)""",
    ),
    "wants 10 GiB": ("error", "MemoryError", "x = bytearray(10 * 2**30)"),
    "writes a big file": (
        "error",
        "OSError: [Errno 27] File too large",
        "open('big', 'wb').write(bytes(2**24))",
    ),
    "writes many files": (
        "error",
        "PermissionError: refused",
        "for n in range(1000): open(f'{n}', 'w').close()",
    ),
    "writes elsewhere": (
        "error",
        "PermissionError: refused to a program under test: open",
        "open('../mark', 'w')",
    ),
    "deletes elsewhere": (
        "error",
        "PermissionError: refused to a program under test: os.rmdir",
        "import os; os.rmdir('/')",
    ),
    "opens a socket": (
        "error",
        "PermissionError: refused to a program under test: socket.__new__",
        "import socket; socket.socket()",
    ),
    "asks for a name": (
        "error",
        "PermissionError: refused",
        "import socket; socket.getaddrinfo('localhost', 80)",
    ),
    "opens a page": (
        "error",
        "urllib.error.URLError: <urlopen error refused",
        "import urllib.request as r; r.urlopen('http://127.0.0.1')",
    ),
    "starts a program": (
        "error",
        "PermissionError: refused to a program under test: subprocess.Popen",
        "import subprocess; subprocess.run(['sleep', '100'])",
    ),
    "becomes another program": (
        "error",
        "PermissionError: refused",
        "import os; os.execv('/bin/sleep', ['sleep', '100'])",
    ),
    "starts a thread": (
        "error",
        "RuntimeError: can't start new thread",
        "import threading; threading.Thread(target=print).start()",
    ),
    "kills": (
        "error",
        "PermissionError: refused to a program under test: os.kill",
        "import os; os.kill(os.getppid(), 0)",
    ),
    "calls C": (
        "error",
        "PermissionError: refused to a program under test: import",
        "import ctypes",
    ),
    "raises its limits": (
        "error",
        "PermissionError: refused",
        "import resource as r; r.setrlimit(r.RLIMIT_NPROC, (9, 9))",
    ),
    "overflows the stack": (
        "error",
        "",
        """
import sys
sys.setrecursionlimit(10**9)
def deep(): return sorted([0], key=lambda _: deep())
deep()""",
    ),
    "has no end of nesting": ("error", "", "(" * 5000),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["namespaces", "no_namespaces"])
def test_no_hostile_answer_passes(kind):
    outcomes = run_on(
        kind,
        [SQUARE + answer + TESTS for _, _, answer in HOSTILE.values()],
        seconds=10.0,
        workers=2,
    )
    for name, outcome in zip(HOSTILE, outcomes):
        status, message, _ = HOSTILE[name]
        assert (name, outcome.status, outcome.message[: len(message)]) == (name, status, message)


ENDLESS = {
    "loops": "while True: pass",
    "prints without end": "while True: print('x' * 10000)",
    "catches everything": "while True:\n    try:\n        while True: pass\n    except "
    "BaseException: pass",
    "bombs": "import os\nwhile True:\n    try: os.fork()\n    except BaseException: pass",
    "floods the report": """
import os
while True:
    for number in range(3, 10):
        try: os.write(number, bytes(10**6))
        except OSError: pass""",
    "leaves its group": "import os\ntry: os.setsid()\nexcept OSError: pass  # it leads its group\n"
    "while True: pass",
    "sleeps": "import time\ntime.sleep(1000)",
    "is deaf": "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "time.sleep(1000)",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["namespaces", "no_namespaces"])
def test_what_does_not_end_is_ended(kind):
    """If not, this test ends by its own limit, which is less than what they sleep."""
    outcomes = run_on(
        kind,
        [SQUARE + answer + TESTS for answer in ENDLESS.values()],
        seconds=1.0,
        workers=len(ENDLESS),
    )
    assert dict(zip(ENDLESS, outcomes)) == {
        name: Outcome("timeout", "not finished after 1 s") for name in ENDLESS
    }
    assert run("import time; time.sleep(1000)", seconds=0.25) == [
        Outcome("timeout", "not finished after 0.25 s")
    ]


def test_a_test_that_fails_cannot_be_caught_by_the_answer():
    answer = """import atexit, os, sys
def square(x): return 0
sys.excepthook = print
atexit.register(os._exit, 0)"""
    assert run(answer) == [Outcome("failed", "AssertionError (line 6: assert candidate(2) == 4)")]


def test_what_a_program_leaves_to_be_done_at_its_end_is_not_done():
    assert run(f"import atexit, time\n{SQUARE}atexit.register(time.sleep, 1000)") == [
        Outcome("passed")
    ]


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_programs_end_with_the_one_who_runs_them(folder, delay):
    caller = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from transformer.metrics.sandbox import run_programs; "
            "run_programs(['while True: pass'], run_code=True, seconds=100)",
        ],
        env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
    )
    wait_until(lambda: inhabitants(folder))
    time.sleep(delay)
    caller.kill()
    caller.wait()
    wait_until(lambda: not inhabitants(folder))
    for left in folder.iterdir():
        shutil.rmtree(left)


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_not_prevented():
    answers = (
        "class Any:\n    def __eq__(self, other): return True\ndef square(x): return Any()",
        f"def square(x): return x * x\nassert open({os.__file__!r}).read()",
    )
    assert run(*answers) == [Outcome("passed")] * 2


def test_a_machine_that_cannot_confine_runs_nothing(monkeypatch):
    # prctl(PR_SET_NO_NEW_PRIVS)
    with pytest.raises(
        RuntimeError, match="must be confined before they run. Received: .*Operation not permitted"
    ):
        run_apart([SQUARE], refused_call(1, 38))
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RuntimeError, match="Received: darwin"):
        run(SQUARE)


def test_limits_of_a_program():
    """As it sees them itself; a limit that is lower already stays."""
    sees = """
import os, resource
names = ("CPU", "AS", "FSIZE", "NOFILE", "CORE", "NPROC")
raise ValueError([resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in names])"""

    def limits(*numbers):
        return f"ValueError: {[(number, number) for number in numbers]} (line 4"

    # CPU time: the seconds of wall time, rounded up, and one more.
    for options, expected in ({}, (6, 2**30)), ({"seconds": 9.5, "memory_mib": 512}, (11, 2**29)):
        (outcome,) = run_programs([sees], run_code=True, **options)
        assert (
            outcome.message.startswith(limits(*expected, 2**20, 32, 0, 0))
            and outcome.status == "error"
        )

    def fewer_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    (outcome,) = run_apart([sees], fewer_files)
    assert outcome.message.startswith(limits(6, 2**30, 2**20, 24, 0, 0))


def test_what_fits_the_limits_is_allowed_and_one_more_is_not():
    files = "for n in range({}): open(str(n), 'w').close()"
    outcomes = run_programs(
        [
            files.format(20),
            files.format(21),
            "import os\nfor n in range(20): os.mkdir(str(n))",
            "import os\nfor n in range(21): os.mkdir(str(n))",
            "import os\nfor n in range(30): open('program.py').close(); os.chmod('program.py', "
            "0o600)",
            "open('big', 'wb').write(bytes(2**20))",
            "open('big', 'wb').write(bytes(2**20)); open('big', 'ab', buffering=0).write(b'1')",
            "some = [open('program.py') for n in range(20)]",
            "many = [open('program.py') for n in range(32)]",
            "x = bytearray(600 * 2**20)",
        ],
        run_code=True,
        seconds=20.0,
        workers=2,
    )
    assert [outcome.status for outcome in outcomes] == ["passed", "error"] * 2 + ["passed"] * 2 + [
        "error",
        "passed",
        "error",
        "passed",
    ]
    assert outcomes[1].message.startswith(
        "PermissionError: refused to a program under test: open '20'"
    )
    assert outcomes[3].message.startswith(
        "PermissionError: refused to a program under test: os.mkdir '20'"
    )
    assert outcomes[6].message.startswith("OSError: [Errno 27] File too large")
    assert outcomes[8].message.startswith("OSError: [Errno 24] Too many open files")
    (outcome,) = run_programs(["x = bytearray(600 * 2**20)"], run_code=True, memory_mib=500)
    assert outcome == Outcome("error", "MemoryError (line 1: x = bytearray(600 * 2**20))")


# Each event, by a small program; os and folder, that of the program, are there.
REFUSED = [
    ("os.fork", "os.fork()"),
    ("os.forkpty", "os.forkpty()"),
    ("os.exec", "os.execv('/bin/true', ['true'])"),
    ("os.posix_spawn", "os.posix_spawn('/bin/true', ['true'], {})"),
    ("os.fork", "os.spawnv(os.P_WAIT, '/bin/true', ['true'])"),
    ("os.system", "os.system('true')"),
    ("os.kill", "os.kill(os.getpid(), 0)"),
    ("os.killpg", "os.killpg(0, 0)"),
    ("os.link", "os.link('program.py', 'b')"),
    ("os.symlink", "os.symlink('program.py', 'b')"),
    ("os.setxattr", "os.setxattr('program.py', 'user.a', b'b')"),
    ("os.removexattr", "os.removexattr('program.py', 'user.a')"),
    ("pty.spawn", "import pty; pty.spawn('true')"),
    ("subprocess.Popen", "import subprocess; subprocess.run('true')"),
    (
        "signal.pthread_kill",
        "import signal, threading; signal.pthread_kill(threading.get_ident(), 0)",
    ),
    ("resource.setrlimit", "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"),
    ("resource.prlimit", "import resource; resource.prlimit(0, resource.RLIMIT_CORE)"),
    ("sqlite3.connect", "import sqlite3; sqlite3.connect('a')"),
    ("socket.gethostname", "import socket; socket.gethostname()"),
    ("import", "import ctypes"),
    ("import", "import _ctypes"),
    # Changes outside the folder.
    ("os.rename 'program.py'", "os.rename('program.py', '../x')"),
    ("os.rename '../x'", "os.rename('../x', 'program.py')"),
    ("os.rename 'program.py'", "os.replace('program.py', '/tmp/x')"),
    ("os.remove '../x'", "os.remove('../x')"),
    ("os.remove '../x'", "os.unlink('../x')"),
    ("os.mkdir '../x'", "os.mkdir('../x')"),
    ("os.rmdir '..'", "os.rmdir('..')"),
    ("os.chmod '..'", "os.chmod('..', 0o777)"),
    ("os.chown '..'", "os.chown('..', -1, -1)"),
    ("os.utime '..'", "os.utime('..')"),
    ("os.truncate '../x'", "os.truncate('../x', 0)"),
    ("os.truncate", "os.ftruncate(os.open('program.py', os.O_RDONLY), 0)"),
    ("os.chmod", "os.fchmod(os.open('program.py', os.O_RDONLY), 0o777)"),
    *(
        (f"open '../{mode}'", f"open('../{mode}', '{mode}')")
        for mode in ("w", "a", "x", "r+", "wb")
    ),
    *(
        (f"open '../{mode}'", f"os.open('../{mode}', os.{mode})")
        for mode in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND")
    ),
    ("open b'../x'", "open(b'../x', 'w')"),
    ("open", "import pathlib; pathlib.Path('../x').write_text('')"),
    # A folder whose name begins as the program's does.
    ("os.mkdir", "os.mkdir(folder + 'x')"),
    ("open", "open(folder + 'x', 'w')"),
    ("open 'a/../../x'", "os.mkdir('a'); open('a/../../x', 'w')"),
    ("open '/tmp/x'", "open('/tmp/x', 'w')"),
]


@pytest.mark.slow
def test_each_event_that_is_refused_is_refused(folder):
    programs = [f"import os; folder = os.getcwd()\n{program}" for _, program in REFUSED]
    outcomes = run_programs(programs, run_code=True, seconds=20.0, workers=2)
    for (event, program), outcome in zip(REFUSED, outcomes):
        message = f"PermissionError: refused to a program under test: {event}"
        assert (program, outcome.status, outcome.message[: len(message)]) == (
            program,
            "error",
            message,
        )


def test_in_its_own_folder_a_program_may_change_what_it_likes():
    (outcome,) = run_programs(
        [
            """
import os, pathlib
pathlib.Path("a").write_text("one"); open(b"b", "x").close(); os.mkdir(os.getcwd() + "/sub")
with open("a", "a") as file: file.write(" two")
with open("a", "r+") as file: assert file.read() == "one two"
with open(os.dup(os.open("a", os.O_WRONLY)), "w") as file: file.write("three")
os.truncate("a", 2); os.chmod("a", 0o600); os.utime("a", (1, 2))
os.chown("a", -1, -1); os.chmod(".", 0o700)
assert open("a").read() == "th" and os.stat("a").st_mtime == 2
os.rename("a", "sub/a"); os.remove("b"); os.remove("./sub/../sub/a"); os.rmdir("sub")
assert os.listdir() == ["program.py"] and open("/proc/self/status").read()"""
        ],
        run_code=True,
        seconds=60.0,
    )
    assert outcome == Outcome("passed")


def test_who_a_program_is():
    """Nobody where the caller is root; with no right beyond that of reading, and no way to
    others."""
    (outcome,) = run_programs(
        [
            f"""
import dataclasses, os, sys
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines())
assert status["NoNewPrivs"] == "1", status["NoNewPrivs"]
# CAP_DAC_READ_SEARCH
assert not int(status["CapEff"], 16) & ~4 and not int(status["CapPrm"], 16) & ~4
who = (os.getuid(), os.geteuid(), os.getgid(), os.getegid())
caller = {(os.getuid(), os.geteuid(), os.getgid(), os.getegid())}
assert who == ((65534,) * 4 if {os.getuid() == 0} else caller), who
assert os.getgroups() == [] if {os.getuid() == 0} else True
flags = sys.flags
assert (flags.isolated, flags.no_site, flags.dont_write_bytecode, flags.utf8_mode) == (1, 1, 1, 1)
assert os.environ["TMPDIR"] == os.environ["HOME"] == os.getcwd()
assert os.environ["PATH"] == os.defpath
assert __name__ == "program" and vars(sys.modules["program"]) is globals()
print("unheard"); os.write(1, b"unheard"); os.write(2, b"unheard"); os.write(0, b"unheard")
"""
        ],
        run_code=True,
        seconds=60.0,
    )
    assert outcome == Outcome("passed")


def test_a_folder_that_is_closed_to_others_is_no_hindrance(tmp_path, monkeypatch):
    """To root, who keeps the right to read for "nobody" if it has that; if not, the user is told
    the cure."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tmp_path.chmod(0o700)
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    rights = next(line for line in status if line.startswith("CapEff:"))
    if os.getuid() or int(rights.split()[1], 16) & 4:  # CAP_DAC_READ_SEARCH
        assert run(SQUARE) == [Outcome("passed")]
    else:
        with pytest.raises(
            RuntimeError,
            match="which only root may read. Use a Python and a TMPDIR that all may read",
        ):
            run(SQUARE)


def test_a_program_is_alone_where_the_kernel_can_make_namespaces():
    asks = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare({}) != 0)"
    # Network, processes, IPC; and users for who is not root.
    kinds = 0x40000000 | 0x20000000 | 0x08000000 | (0 if os.geteuid() == 0 else 0x10000000)
    if subprocess.run([sys.executable, "-c", asks.format(kinds)]).returncode:
        pytest.skip("the kernel gives this user no namespaces")
    (outcome,) = run_programs(
        [
            """
import os
assert os.getpid() == 1, os.getpid()
devices = [line.split(":")[0].strip() for line in open("/proc/self/net/dev") if ":" in line]
assert devices in ([], ["lo"]), devices"""
        ],
        run_code=True,
        seconds=60.0,
    )
    assert outcome == Outcome("passed")


@pytest.mark.parametrize(
    "report",
    [
        "[1]",
        "null",
        '"token"',
        "[" * 10_000,
        '{"token": null}',
        '{"status": "passed", "message": ""}',
        '{"token": "", "status": "refused", "message": "no"}',
        "\xff",
    ],
)
def test_a_forged_report_is_no_report(report):
    (outcome,) = run_programs(
        [
            f"""
import os
for number in range(3, 30):
    try: os.write(number, {report!r}.encode("latin-1"))
    except OSError: pass
os._exit(3)"""
        ],
        run_code=True,
        seconds=60.0,
    )
    assert outcome == Outcome("error", "it ended before its tests did (exit code 3)")


def test_how_a_program_ended_is_told():
    programs = {
        "def f():\n    return 1 / 0\n\nf()": "ZeroDivisionError: division by zero (line 2: return "
        "1 / 0)",
        "import json\njson.loads('x')": "json.decoder.JSONDecodeError: Expecting value: line 1 "
        "column 1 (char 0) "
        "(line 2: json.loads('x'))",
        "raise KeyboardInterrupt": "KeyboardInterrupt (line 1: raise KeyboardInterrupt)",
        "class E(AssertionError): pass\nraise E('no')": "program.E: no (line 2: raise E('no'))",
        "x = 'größer'; y = '\ud800'\nraise ValueError(x + y)": "ValueError: größer? (line 2: "
        "raise "
        "ValueError(x + y))",
        "raise ValueError('x' * 1000)": "ValueError: " + "x" * 488,
    }
    outcomes = run_programs(list(programs), run_code=True, seconds=20.0, workers=2)
    assert [outcome.message for outcome in outcomes] == list(programs.values())
    assert [outcome.status for outcome in outcomes] == ["error"] * 3 + ["failed"] + ["error"] * 2
    # 128 and the signal's number where there are namespaces; of the first process in one, the
    # kernel ends it by another.
    (outcome,) = run("import os; os.abort()")
    assert outcome.message in [
        f"it ended before its tests did (exit code {code})" for code in (134, 139, -6)
    ]


def test_programs_run_beside_each_other():
    """Each waits for what the other does: the first writes a, the second then b, after which the
    first may end."""
    wait = "import glob, time\nwhile {}glob.glob('../*/{}'): time.sleep(0.01)\n"
    first = "open('a', 'w').close()\n" + wait.format("not ", "b")
    second = wait.format("not ", "a") + "open('b', 'w').close()\n" + wait.format("", "a")
    assert (
        run_programs([first, second], run_code=True, seconds=20.0, workers=2)
        == [Outcome("passed")] * 2
    )


def test_programs_run_one_after_the_other_unless_told():
    alone = "import glob\nfound = glob.glob('../*')\nassert len(found) == 1, found\n"
    assert run_programs([alone] * 4, run_code=True, seconds=20.0) == [Outcome("passed")] * 4


def test_outcomes_are_in_the_order_of_the_programs():
    delays = [0.6, 0.0, 0.3, 0.0]
    programs = [
        f"import time\ntime.sleep({delay})\nraise ValueError({number})"
        for number, delay in enumerate(delays)
    ]
    outcomes = run_programs(programs, run_code=True, seconds=20.0, workers=4)
    assert [outcome.message for outcome in outcomes] == [
        f"ValueError: {number} (line 3: raise ValueError({number}))" for number in range(4)
    ]


def test_pass_at_k_is_the_share_of_draws_with_a_pass():
    for samples in range(1, 7):
        for passed in range(samples + 1):
            for k in range(1, samples + 1):
                draws = list(
                    itertools.combinations([True] * passed + [False] * (samples - passed), k)
                )
                assert pass_at_k(samples, passed, k) == pytest.approx(
                    sum(map(any, draws)) / len(draws)
                )
    # 1 - (98 / 100) (97 / 99) ... (89 / 91), the product of the paper's program; two passes of 100,
    # ten draws.
    assert pass_at_k(100, 2, 10) == pytest.approx(1 - 90 * 89 / (100 * 99))
    assert pass_at_k(10**5, 10**4, 100) == pytest.approx(1 - 0.9**100, abs=1e-6)


@hypothesis.settings(max_examples=200)
@hypothesis.given(data=strategies.data())
def test_pass_at_k_is_the_product_of_the_paper_s_program(data):
    samples = data.draw(strategies.integers(1, 300))
    passed, k = (
        data.draw(strategies.integers(0, samples)),
        data.draw(strategies.integers(1, samples)),
    )
    failed = samples - passed
    none = math.prod(1 - k / n for n in range(failed + 1, samples + 1)) if failed >= k else 0.0
    assert pass_at_k(samples, passed, k) == pytest.approx(1 - none, abs=1e-9)


@pytest.mark.parametrize("wrong", [(3, 4, 1), (3, 1, 4), (3, 1, 0), (0, 0, 1), (3, -1, 1)])
def test_pass_at_k_of_what_was_not_drawn(wrong):
    with pytest.raises(
        ValueError, match=f"Received: k={wrong[2]}, {wrong[0]} samples, {wrong[1]} passed"
    ):
        pass_at_k(*wrong)


def test_pass_scores_by_hand():
    passed, failed = Outcome("passed"), Outcome("failed", "AssertionError")
    outcomes = [
        [passed, failed, failed],
        [failed, Outcome("timeout"), Outcome("error")],
        [passed] * 3,
    ]
    assert pass_scores(outcomes, ks=(1, 2, 10)) == pytest.approx(
        {
            "pass@1": 100 * (1 / 3 + 0 + 1) / 3,
            "pass@2": 100 * (2 / 3 + 0 + 1) / 3,
            "passed": 400 / 9,
            "failed": 300 / 9,
            "timeout": 100 / 9,
            "error": 100 / 9,
        }
    )
    with pytest.raises(ValueError, match="Received: 2 problems, the fewest samples 0"):
        pass_scores([[passed], []])
    with pytest.raises(ValueError, match="Received: 0 problems, the fewest samples 0"):
        pass_scores([])


@pytest.mark.parametrize(
    "samples, expected",
    [
        (9, {"pass@1": 100 / 9}),
        (10, {"pass@1": 10.0, "pass@10": 100.0}),
        (99, {"pass@1": 100 / 99, "pass@10": 1000 / 99}),
        (100, {"pass@1": 1.0, "pass@10": 10.0, "pass@100": 100.0}),
    ],
)
def test_as_many_samples_as_k_are_enough(samples, expected):
    """One passes of each problem's samples, so pass@k is k / n; a problem with more samples is
    no hindrance."""
    problem = [Outcome("error")] * (samples - 1) + [Outcome("passed")]
    scores = pass_scores([problem, problem])
    assert {
        name: score for name, score in scores.items() if name.startswith("pass@")
    } == pytest.approx(expected)
    more = pass_scores([problem, [Outcome("passed")] * 500])
    assert [name for name in more if name.startswith("pass@")] == list(expected)
    assert more["pass@1"] == pytest.approx((100 / samples + 100) / 2)  # each problem counts alike
    assert more["passed"] == pytest.approx(100 * 501 / (samples + 500))  # and each sample
