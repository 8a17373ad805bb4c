"""The programs as a user runs them: in this process, which has imported TensorFlow already, or
in one of their own."""

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
    """What `python ARGUMENTS`, begun in the root of the project, does: its exit code and what it
    prints.

    Args:
        arguments: "train.py" or "finetune.py", or "-m" and "transformer", and what follows.
            `generate` reads and writes files here, not stdin and stdout.
        check: an exit code other than 0 fails the test.
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
    """The same in a process of its own, of whatever Python runs, with `text` as its stdin; on one
    core, as conftest has it, or on those of the process that began this one: several replicas on
    one core wait for each other, for minutes at times.
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
    assert not check or done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done
