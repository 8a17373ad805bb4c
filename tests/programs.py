"""Runs the programs as a user does.

`run` runs them in this process, which has already imported TensorFlow. `run_apart` starts a new
process.
"""

import contextlib
import io
import os
import pathlib
import runpy
import signal
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parents[1]


def run(*arguments, check=True):
    """Runs `python ARGUMENTS` from the root of the project, in this process.

    Args:
        *arguments: "train.py", "finetune.py", or "-m" and "transformer", and the arguments after
            it. `generate` must read and write files here, not stdin and stdout.
        check: whether an exit code other than 0 fails the test.

    Returns:
        A subprocess.CompletedProcess with the exit code and what was printed.
    """
    arguments, out, err, code = [*map(str, arguments)], io.StringIO(), io.StringIO(), 0
    folder, handler, policy, argv = (
        os.getcwd(),
        signal.getsignal(signal.SIGTERM),
        keras.config.dtype_policy(),
        sys.argv,
    )
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if arguments[0] == "-m":
                sys.argv = arguments[1:]
                runpy.run_module(arguments[1], run_name="__main__")
            else:
                sys.argv = arguments
                runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    finally:
        os.chdir(folder)
        signal.signal(signal.SIGTERM, handler)
        keras.config.set_dtype_policy(policy)
        sys.argv = argv
    return finished(
        subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue()), check
    )


def run_apart(*arguments, text=None, environment=None, every_core=False, check=True):
    """Runs `python ARGUMENTS` from the root of the project, in a new process.

    Args:
        *arguments: arguments of the Python interpreter.
        text: str, what the process reads from stdin.
        environment: dict of environment variables. None keeps those of this process.
        every_core: whether the process may use all cores of this process's parent. By default it
            keeps to the one core that conftest chose. Several replicas on one core wait for each
            other, sometimes for minutes.
        check: whether an exit code other than 0 fails the test.

    Returns:
        A subprocess.CompletedProcess with the exit code and what was printed.
    """
    cores = os.sched_getaffinity(0)
    if every_core:
        os.sched_setaffinity(0, os.sched_getaffinity(os.getppid()))
    try:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
    finally:
        os.sched_setaffinity(0, cores)
    return finished(done, check)


def finished(done, check):
    """Returns a CompletedProcess. With `check`, asserts first that its exit code is 0."""
    assert not check or done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done
