"""Runs programs that a model wrote, to see whether they pass their unit tests; pass@k of the
results.

WARNING: this executes text that nobody has read. Nothing runs unless the caller says run_code=True.
A program runs in a process of its own, in an empty folder that is removed afterwards, and what it
may do there is

- limited by the kernel: wall time, CPU time, memory, files of 1 MiB, 32 open ones. It can start no
  process and no thread, and gain no privilege; where the caller is root, it runs as "nobody".
- cut off by the kernel, where that lets this user make namespaces (not in most containers): the
  network, and signals to other processes.
- refused by an audit hook in Python (PEP 578): sockets, ctypes, other programs, signals, more than
  20 files, changes to files outside the folder. Code that is made to get around the hook from
  within may; os.mkfifo, os.mknod and dir_fd it does not see.
- not there: standard input and output, the caller's environment, packages other than the standard
  library.

Not prevented: to read files that the caller may read (where that is root, any file if Python itself
lies in a folder closed to others, else those that all may read); and to pretend, for program and
tests share a process: to look there for the word by which a pass is reported, or to answer with an
object that says it is equal to everything. For code from an adversary take a virtual machine.
"""

import collections
import json
import math
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

# In characters: a report must fit into a pipe that nobody reads until the program has ended.
_MAX_MESSAGE = 500


class Outcome(NamedTuple):
    """How a program ended."""

    # "passed"; "failed": a test's assertion; "timeout"; "error": anything else, from syntax to
    # memory
    status: str
    message: str = ""


def run_programs(programs, run_code=False, seconds=5.0, memory_mib=1024, workers=1):
    """Runs each program with its tests in a process of its own. WARNING: read the module's
    docstring first.

    Args:
        programs: list of str, Python that ends with its tests: what raises nothing has passed.
        run_code: True, to say that code which a model wrote may be executed here.
        seconds: of wall time for each, with the start of Python (some 0.1 s).
        memory_mib: address space of each, MiB, some 30 of it Python's own.
        workers: how many run at once.

    Returns:
        list of Outcome, in the order of `programs`. They have the standard library, no other
        package.

    Raises:
        ValueError: run_code is not True. RuntimeError: the limits cannot be set here; nothing has
            run then.
    """
    if sys.platform != "linux":
        raise RuntimeError(
            f"programs are confined by means of Linux. Received: {sys.platform}. Use a Linux "
            f"container."
        )
    if run_code is not True:
        raise ValueError(
            f"run_code must be True for code that a model wrote to be executed on this machine. "
            f"Received: {run_code!r}. "
            "Read the warning in transformer/metrics/sandbox.py first."
        )
    from concurrent.futures import (
        ThreadPoolExecutor,  # not at the top: the new processes need it not
    )

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda program: _run(program, seconds, memory_mib), programs))


def pass_at_k(samples, passed, k):
    """The chance that of k samples one passes, without bias, from more samples: 1 - C(n - c, k) /
    C(n, k).

    Chen et al. 2021, "Evaluating large language models trained on code", equation 1.

    Args:
        samples: n, how many were run.
        passed: c, how many of them passed.
        k: at most n.

    Raises:
        ValueError: k is not between 1 and n, or c not between 0 and n.
    """
    if not (0 <= passed <= samples and 1 <= k <= samples):
        raise ValueError(
            "pass@k takes k from 1 to the number of samples, of which some or all have passed. "
            f"Received: k={k}, {samples} samples, {passed} passed. Draw more samples or lower k."
        )
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def pass_scores(outcomes, ks=(1, 10, 100)):
    """pass@k over problems, in percent, for every k that all have samples enough for, and how
    samples ended.

    Args:
        outcomes: for each problem the list of Outcome of its samples.

    Returns:
        {"pass@1", ...; "passed", "failed", "timeout", "error": of all samples}, percent.

    Raises:
        ValueError: there is no problem, or one without a sample.
    """
    fewest = min(map(len, outcomes), default=0)
    if not fewest:
        raise ValueError(
            f"each problem needs a sample. Received: {len(outcomes)} problems, the fewest samples "
            f"{fewest}."
        )
    passed = [sum(outcome.status == "passed" for outcome in samples) for samples in outcomes]
    scores = {
        f"pass@{k}": 100.0
        * math.fsum(pass_at_k(len(samples), c, k) for samples, c in zip(outcomes, passed))
        / len(outcomes)
        for k in ks
        if k <= fewest
    }
    counts = collections.Counter(outcome.status for samples in outcomes for outcome in samples)
    return scores | {
        status: 100.0 * counts[status] / counts.total()
        for status in ("passed", "failed", "timeout", "error")
    }


def _run(program, seconds, memory_mib):
    """The Outcome of one program."""
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="program_", ignore_cleanup_errors=True) as folder:
        with open(
            os.path.join(folder, "program.py"), "w", encoding="utf-8", errors="replace"
        ) as file:
            file.write(program)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"HOME": folder, "TMPDIR": folder, "PATH": os.defpath},
            start_new_session=True,
        )
        with process:
            timed_out = False
            try:
                process.stdin.write(
                    json.dumps(
                        {"token": token, "seconds": seconds, "memory_mib": memory_mib}
                    ).encode()
                )
                process.stdin.flush()  # and not closed: it shows that the caller lives
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                # Only while the process is there: afterwards its number may be another's.
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            # Not before all who could write have ended; a pipe bounds what they left.
            report = process.stdout.read()
    if timed_out:
        return Outcome("timeout", f"not finished after {seconds:g} s")
    return _outcome(report, token, process.returncode)


def _outcome(report, token, exit_code):
    """The Outcome in a report, if the one who wrote it knew the token."""
    try:
        found = json.loads(report)
        genuine = isinstance(found, dict) and found.get("token") == token
    except (ValueError, RecursionError):
        genuine = False
    if not genuine:
        return Outcome("error", f"it ended before its tests did (exit code {exit_code})")
    if found["status"] == "refused":
        raise RuntimeError(
            f"programs must be confined before they run. Received: {found['message']}."
        )
    return Outcome(found["status"], found["message"])


# What follows runs in the new process, which loads nothing but the standard library.

_REFUSED = (
    "socket.",
    "ctypes.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.kill",
    "os.link",
    "os.symlink",
    "os.setxattr",
    "os.removexattr",
    "pty.",
    "signal.",
    "resource.",
    "sqlite3.",
)
_CHANGES = (
    "os.chmod",
    "os.chown",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "os.utime",
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAX_FILES, _MAX_FILE_BYTES = 20, 2**20
_NOBODY = 65534


def _child():
    """Confines this process, runs program.py of the working folder, and reports on standard
    output."""
    order = json.loads(os.read(0, 4096))
    token = order.pop("token")
    out, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
    try:
        _confine(**order)
    except OSError as error:
        status, message = "refused", str(error)
    else:
        for number in range(3):
            os.dup2(null, number)
        status, message = _tested()
    os.write(out, json.dumps({"token": token, "status": status, "message": message}).encode())
    # Without what the program left to be done at exit.
    os._exit(0)


def _tested():
    """Runs the program: its status, and what it raised."""
    import importlib.util
    import linecache
    import traceback

    spec = importlib.util.spec_from_file_location("program", os.path.abspath("program.py"))
    module = sys.modules["program"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # SystemExit before the tests is no pass
        text = traceback.format_exception_only(error)[-1].strip()
        # Not extract_tb, which looks up the source of every frame; there can be a million.
        lines = [
            line
            for frame, line in traceback.walk_tb(error.__traceback__)
            if frame.f_code.co_filename == spec.origin
        ]
        where = (
            f" (line {lines[-1]}: {linecache.getline(spec.origin, lines[-1]).strip()})"
            if lines
            else ""
        )
        return "failed" if isinstance(error, AssertionError) else "error", (text + where)[
            :_MAX_MESSAGE
        ]
    return "passed", ""


def _confine(seconds, memory_mib):
    """Gives up, for good, what a program needs not. OSError if that fails."""
    import ctypes
    import resource

    libc = ctypes.CDLL(None, use_errno=True)
    root = os.geteuid() == 0
    _separate(libc, root)
    if root:
        _become_nobody(libc)
    _die_with_caller(libc)  # again: a new process and a new user have not inherited it
    _checked(libc.prctl(38, 1, 0, 0, 0))  # PR_SET_NO_NEW_PRIVS
    for limit, value in (
        (resource.RLIMIT_CPU, math.ceil(seconds) + 1),
        (resource.RLIMIT_AS, int(memory_mib * 2**20)),
        (resource.RLIMIT_FSIZE, _MAX_FILE_BYTES),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        highest = resource.getrlimit(limit)[1]
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        resource.setrlimit(limit, (value, value))
    for name in ("ctypes", "_ctypes"):
        del sys.modules[name]
    sys.addaudithook(_hook(os.getcwd()))


def _separate(libc, root):
    """Goes on in a new process without network and other processes, if the kernel lets this user
    have such namespaces."""
    # CLONE_NEWNET, NEWPID, NEWIPC; and NEWUSER, which gives others than root the right to the rest.
    if libc.unshare(0x40000000 | 0x20000000 | 0x08000000 | (0 if root else 0x10000000)):
        return
    _die_with_caller(libc)
    # Only what is started from now on is in the namespace of processes. If its first one ends, the
    # kernel ends all others.
    process = os.fork()
    if process:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os._exit(code if code >= 0 else 128 - code)
    if not root:
        _checked(_set_capabilities(libc, 0))  # those over its own namespaces


def _die_with_caller(libc):
    _checked(libc.prctl(1, signal.SIGKILL, 0, 0, 0))  # PR_SET_PDEATHSIG
    # It may be dead already: then nobody holds the other end of standard input, which gives no more
    # than was read.
    if select.select([0], [], [], 0)[0]:
        os._exit(1)


def _become_nobody(libc):
    """From root to nobody, who owns nothing but this folder. The kernel counts no processes of
    root."""
    for path in (".", "program.py"):
        os.chown(path, _NOBODY, _NOBODY)
    _checked(libc.prctl(8, 1, 0, 0, 0))  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # Where Python or the folder lies in one that is closed to others, CAP_DAC_READ_SEARCH: to read,
    # not to write.
    closed = [
        path
        for path in (os.__file__, os.path.abspath("program.py"))
        if not os.access(path, os.R_OK)
    ]
    if _set_capabilities(libc, 1 << 2 if closed else 0):
        raise OSError(
            f"{closed[0]}, which only root may read. Use a Python and a TMPDIR that all may read, "
            f"or be not root"
        )


def _set_capabilities(libc, mask):
    """capset(2), version 3: effective and permitted. Not 0 if the kernel says no."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    return libc.capset(header, (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0))


def _checked(result):
    if result:
        import ctypes

        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _hook(folder):
    """An audit hook that refuses what the module's docstring says."""
    real_path, folder, files = os.path.realpath, os.path.realpath(folder) + os.sep, 0

    def outside(path):
        return isinstance(path, int) or not f"{real_path(os.fsdecode(path))}{os.sep}".startswith(
            folder
        )

    def hook(event, args):
        nonlocal files
        if event.startswith(_REFUSED) or event == "import" and args[0] in ("ctypes", "_ctypes"):
            raise PermissionError(f"refused to a program under test: {event}")
        # A file that is open already has been asked for before.
        opens = event == "open" and not isinstance(args[0], int) and args[2] & _WRITES
        if not opens and event not in _CHANGES:
            return
        files += bool(opens) or event == "os.mkdir"
        if files > _MAX_FILES or any(map(outside, args[: 1 + (event == "os.rename")])):
            raise PermissionError(f"refused to a program under test: {event} {args[0]!r}")

    return hook


if __name__ == "__main__":
    _child()
