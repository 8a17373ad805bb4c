"""The programs as a user runs them: in this process, which has imported TensorFlow already, or in one of their own."""

import contextlib
import io
import os
import pathlib
import signal
import subprocess
import sys

import keras

import finetune
import train
from data.config import DataError
from transformer.__main__ import command_line
from transformer.config import ConfigError
from transformer.flags import main

ROOT = pathlib.Path(__file__).parents[1]
MODULES = {"train.py": train, "finetune.py": finetune}


def run(*arguments, check=True):
    """What `python ARGUMENTS`, begun in the root of the project, does: its exit code and what it prints.

    Args:
        arguments: "train.py", "finetune.py" or "-m", "transformer", and what follows. stdin is not read.
        check: an exit code other than 0 fails the test.
    """
    arguments, out, err = [*map(str, arguments)], io.StringIO(), io.StringIO()
    folder, handler, policy = os.getcwd(), signal.getsignal(signal.SIGTERM), keras.config.dtype_policy()
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if arguments[0] == "-m":
                code = command_line(arguments[1:])
            else:
                module = MODULES[arguments[0]]
                code = main(module.run, module.CONFIGS, "", module.define_flags, (ConfigError, DataError), arguments)
    finally:
        os.chdir(folder)
        signal.signal(signal.SIGTERM, handler)
        keras.config.set_dtype_policy(policy)
    return finished(subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue()), check)


def run_apart(*arguments, text=None, environment=None, check=True):
    """The same in a process of its own, of whatever Python runs, with `text` as its stdin."""
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, input=text, env=environment, capture_output=True,
                          text=True, encoding="utf-8")  # fmt: skip
    return finished(done, check)


def finished(done, check):
    assert not check or done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done
