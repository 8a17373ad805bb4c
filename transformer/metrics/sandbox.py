"""Runs generated programs against their unit tests, and computes pass@k from the results.

WARNING: this executes code that nobody has read. Nothing runs unless the caller passes
run_code=True. Each program runs in its own process, in an empty folder that is removed afterwards.
Five things confine it:

- The caller kills it when its wall time is over.
- The kernel limits CPU time and memory, files to 1 MiB and open files to 32. The program cannot
  start a process or a thread, and cannot gain privileges. If the caller is root, the program runs
  as the user "nobody".
- Where the kernel lets this user create namespaces (not in most containers), the program has no
  network and cannot send signals to other processes.
- An audit hook in Python (PEP 578) refuses sockets, ctypes, other programs, signals, and changes to
  files outside the folder. It also refuses to open files for writing or create folders more than 20
  times. Code written to bypass the hook from within can do so. The hook does not see os.mkfifo,
  os.mknod and dir_fd.
- The program has no standard input or output, none of the caller's environment, and no packages
  beyond the standard library.

Two things are not prevented:

- The program can read files. If the caller is not root, these are the files that the caller can
  read. If the caller is root, these are the files that every user can read, or all files if Python
  itself or the temporary folder lies in a folder closed to other users.
- The program can fake a pass, because it shares a process with its tests. It could search memory
  for the token that marks a genuine report, or return an object that claims to equal everything.

To run code from an adversary, use a virtual machine.
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

# Longest message, in characters. A report must fit into the buffer of a pipe, because nobody reads
# the pipe until the program has ended.
_MAX_MESSAGE = 500


class Outcome(NamedTuple):
    """The result of running one program.

    Attributes:
        status: "passed"; "failed" if an assertion of a test failed; "timeout"; or "error" for
            anything else, from a syntax error to a lack of memory.
        message: what went wrong, "" if the program passed.
    """

    status: str
    message: str = ""


def run_programs(programs, run_code=False, seconds=5.0, memory_mib=1024, workers=1):
    """Runs each program with its tests in its own process.

    WARNING: read the docstring of this module first.

    Args:
        programs: list of str, Python code that ends with its tests. A program passes if it raises
            nothing. Programs can import the standard library, but no other package.
        run_code: must be True, to confirm that generated code may be executed on this machine.
        seconds: wall time of each program in seconds, including the start of Python (about 0.1 s).
        memory_mib: address space of each program in MiB, about 30 of which Python itself takes.
        workers: number of programs that run at once.

    Returns:
        list of `Outcome`, in the order of `programs`.

    Raises:
        ValueError: if `run_code` is not True.
        RuntimeError: if this machine does not run Linux, or the limits cannot be set. No program
            has run then.
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
    # Not imported at the top, because the new processes run this file too and do not need it.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda program: _run(program, seconds, memory_mib), programs))


def pass_at_k(samples, passed, k):
    """Returns the probability that at least one of k samples passes, estimated without bias.

    The estimate from n >= k samples is 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, "Evaluating
    large language models trained on code", equation 1).

    Args:
        samples: n, the number of samples that were run.
        passed: c, the number of samples that passed.
        k: number of samples to draw, at most n.

    Returns:
        float from 0 to 1.

    Raises:
        ValueError: if `k` is not between 1 and n, or `passed` not between 0 and n.
    """
    if not (0 <= passed <= samples and 1 <= k <= samples):
        raise ValueError(
            "pass@k takes k from 1 to the number of samples, of which some or all have passed. "
            f"Received: k={k}, {samples} samples, {passed} passed. Draw more samples or lower k."
        )
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def pass_scores(outcomes, ks=(1, 10, 100)):
    """Returns pass@k over all problems and how the samples ended, in percent.

    Args:
        outcomes: list with one list of `Outcome` for each problem, those of its samples.
        ks: values of k. Those for which a problem has too few samples are left out.

    Returns:
        {"pass@1", ..., "passed", "failed", "timeout", "error"}, in percent. The last four are
        shares of all samples.

    Raises:
        ValueError: if there are no problems, or a problem has no samples.
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
    """Runs one program in a new process and returns its `Outcome`."""
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
                # Standard input stays open, because its end tells the child that the caller died.
                process.stdin.flush()
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                # Kill only a process that still exists. Its id may be reused after it has ended.
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            # Read only after all possible writers have ended. The pipe's buffer bounds the size.
            report = process.stdout.read()
    if timed_out:
        return Outcome("timeout", f"not finished after {seconds:g} s")
    return _outcome(report, token, process.returncode)


def _outcome(report, token, exit_code):
    """Returns the `Outcome` in a report, or an error if the report does not have the token."""
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


# The code below runs in the new process, which loads nothing but the standard library.

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
    """Confines this process, runs program.py of the working folder and writes the report.

    The report goes to the original standard output, as JSON.
    """
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
    # Skip the exit handlers that the program has registered.
    os._exit(0)


def _tested():
    """Runs the program and returns its status and the message of what it raised."""
    import importlib.util
    import linecache
    import traceback

    spec = importlib.util.spec_from_file_location("program", os.path.abspath("program.py"))
    module = sys.modules["program"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    # SystemExit counts too: a program that exits before its tests has not passed.
    except BaseException as error:
        text = traceback.format_exception_only(error)[-1].strip()
        # extract_tb would look up the source line of every frame, and there can be a million.
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
    """Gives up for good the rights that a program does not need. Raises OSError on failure."""
    import ctypes
    import resource

    libc = ctypes.CDLL(None, use_errno=True)
    root = os.geteuid() == 0
    _separate(libc, root)
    if root:
        _become_nobody(libc)
    # A second time: a new process does not inherit the setting, and a change of user clears it.
    _die_with_caller(libc)
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
    """Continues in a new process without network, where other processes cannot be seen.

    Does nothing if the kernel does not let this user create namespaces.
    """
    # CLONE_NEWNET, CLONE_NEWPID and CLONE_NEWIPC. Users other than root also need CLONE_NEWUSER,
    # which gives them the right to the others.
    if libc.unshare(0x40000000 | 0x20000000 | 0x08000000 | (0 if root else 0x10000000)):
        return
    _die_with_caller(libc)
    # Only processes started from now on are in the new process namespace. When the first of them
    # ends, the kernel kills all others.
    process = os.fork()
    if process:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os._exit(code if code >= 0 else 128 - code)
    if not root:
        # Drop the capabilities that this process has within its own namespaces.
        _checked(_set_capabilities(libc, 0))


def _die_with_caller(libc):
    """Makes the kernel kill this process when its caller dies."""
    _checked(libc.prctl(1, signal.SIGKILL, 0, 0, 0))  # PR_SET_PDEATHSIG
    # The caller may be dead already. Then nobody holds the other end of standard input. Its data
    # has been read, so it is readable only if it has ended.
    if select.select([0], [], [], 0)[0]:
        os._exit(1)


def _become_nobody(libc):
    """Changes the user from root to nobody, who owns only this folder and the program.

    As root the limit on processes would not work, because the kernel does not apply it to root.
    """
    for path in (".", "program.py"):
        os.chown(path, _NOBODY, _NOBODY)
    _checked(libc.prctl(8, 1, 0, 0, 0))  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # If Python or the folder lies in a folder closed to other users, keep CAP_DAC_READ_SEARCH. It
    # allows reading, but not writing.
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
    """Calls capset(2), version 3, with `mask` as effective and permitted capabilities.

    Returns 0, or another number if the kernel refuses.
    """
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    return libc.capset(header, (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0))


def _checked(result):
    """Raises OSError with the C library's errno if a call has returned anything but 0."""
    if result:
        import ctypes

        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _hook(folder):
    """Returns an audit hook that refuses what the docstring of this module lists."""
    real_path, folder, files = os.path.realpath, os.path.realpath(folder) + os.sep, 0

    def outside(path):
        return isinstance(path, int) or not f"{real_path(os.fsdecode(path))}{os.sep}".startswith(
            folder
        )

    def hook(event, args):
        nonlocal files
        if event.startswith(_REFUSED) or event == "import" and args[0] in ("ctypes", "_ctypes"):
            raise PermissionError(f"refused to a program under test: {event}")
        # A file given by its descriptor was checked when it was opened.
        opens = event == "open" and not isinstance(args[0], int) and args[2] & _WRITES
        if not opens and event not in _CHANGES:
            return
        files += bool(opens) or event == "os.mkdir"
        if files > _MAX_FILES or any(map(outside, args[: 1 + (event == "os.rename")])):
            raise PermissionError(f"refused to a program under test: {event} {args[0]!r}")

    return hook


if __name__ == "__main__":
    _child()
