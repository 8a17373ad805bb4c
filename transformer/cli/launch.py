"""Runs a program as several workers on this machine that train one model together.

    python -m transformer launch --workers=2 -- train.py --flagfile=configs/reverse.cfg

The program and its flags follow the --. The flag --distribution=multi_worker is added to them. The
output shown is that of worker 0. Of the other workers only the errors are shown, each line with the
number of its worker. If a worker is lost, all workers are stopped and the job restarts from its
last checkpoint. SIGINT and SIGTERM are passed on to all workers, which save and stop.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from transformer.cli.flags import main
from transformer.config import ConfigError
from transformer.training.workers import tf_config

# Exit codes after which a job is not restarted: success, a user error, or stopped by SIGINT or
# SIGTERM.
ENDED = (0, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM)
# Seconds that the other workers get to end by themselves once one has ended, for example to write
# a checkpoint.
GRACE = 10.0


def define_flags(flag_values):
    """Defines the flags of `launch`.

    Args:
        flag_values: the absl `FlagValues` to which the flags are added.
    """
    from absl import flags

    flags.DEFINE_integer(
        "workers", 2, "processes that train together", lower_bound=1, flag_values=flag_values
    )
    flags.DEFINE_integer(
        "max_restarts",
        3,
        "how often the job goes on after a worker was lost",
        lower_bound=0,
        flag_values=flag_values,
    )


def command_line(arguments):
    """Runs `python -m transformer launch`.

    Args:
        arguments: list of str, the arguments after "launch".

    Returns:
        The exit code: that of the job, or 2 after a user error.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)

    def run(flag_values):
        return launch(
            arguments[end + 1 :], flag_values["workers"].value, flag_values["max_restarts"].value
        )

    return main(run, (), __doc__, define_flags, argv=["-m transformer launch", *arguments[:end]])


def launch(program, workers, max_restarts):
    """Runs a program as several workers, and restarts it if a worker is lost.

    Args:
        program: list of str, a Python file and its arguments.
        workers: number of workers.
        max_restarts: maximum number of restarts.

    Returns:
        The exit code. 0 once worker 0 is done, else that of the first worker that failed. For a
        worker that a signal ended, it is 128 plus the number of the signal.

    Raises:
        ConfigError: if there is no such file.
    """
    if not program or not os.path.isfile(program[0]):
        raise ConfigError(
            f"launch needs a program after --. Received: {program[0] if program else 'nothing'}. "
            f"Write -- train.py --flagfile=FILE."
        )
    signals = []
    before = {
        number: signal.signal(number, lambda number, _: signals.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        for restarts in range(max_restarts + 1):
            processes, readers = start(program, workers)
            worker, code = supervise(processes, signals)
            for reader in readers:
                reader.join(timeout=1.0)
            if code in ENDED or signals:
                return code
            lost = f"worker {worker} was lost (exit code {code})"
            if restarts < max_restarts:
                print(
                    f"{lost}: restart {restarts + 1} of {max_restarts}, from the last checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
        print(
            f"{lost}, after {max_restarts} restarts. The same command continues from the last "
            f"checkpoint.",
            file=sys.stderr,
        )
        return code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(program, workers):
    """Starts the workers.

    Args:
        program: list of str, a Python file and its arguments.
        workers: number of workers.

    Returns:
        (processes, readers). `processes` is a list of `subprocess.Popen`. `readers` is a list of
        the threads that show the errors of all workers but the first.
    """
    addresses = free_addresses(workers)
    # Divide the cores among the workers. By default each worker would use all of them.
    threads = {"TF_NUM_INTRAOP_THREADS": str(max(len(os.sched_getaffinity(0)) // workers, 1))}
    processes, readers = [], []
    for index in range(workers):
        process = subprocess.Popen(
            [sys.executable, *program, "--distribution=multi_worker"],
            env=threads | os.environ | {"TF_CONFIG": tf_config(addresses, index)},
            stdout=subprocess.DEVNULL if index else None,
            stderr=subprocess.PIPE if index else None,
            # In its own session a worker gets Ctrl-C only through `supervise`.
            start_new_session=True,
            preexec_fn=_stop_with_parent,
        )
        processes.append(process)
        if index:
            readers.append(
                threading.Thread(target=_show, args=(process.stderr, index), daemon=True)
            )
            readers[-1].start()
    return processes, readers


def free_addresses(count):
    """Returns addresses of this machine with free ports.

    Args:
        count: number of addresses.

    Returns:
        list of str, each "127.0.0.1:PORT".
    """
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]


def _stop_with_parent():
    """Makes Linux send SIGTERM to this process when its parent dies.

    Otherwise workers without a launcher would go on unseen.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _show(stream, index):
    for line in filter(bytes.strip, stream):
        print(
            f"worker {index}: {line.decode(errors='replace')}", end="", file=sys.stderr, flush=True
        )


def supervise(processes, signals):
    """Waits until a job has ended, and kills the workers that are left.

    Args:
        processes: list of `subprocess.Popen`, the workers.
        signals: list of signal numbers to pass on to the workers. A signal handler appends to it
            while this function runs.

    Returns:
        (worker, exit code). The worker is the one that decided how the job ended.
    """
    passed, first = 0, None
    try:
        while True:
            for number in signals[passed:]:
                for process in processes:
                    process.send_signal(number)
                passed += 1
            codes = [process.poll() for process in processes]
            if first is None and (codes[0] == 0 or any(codes)):
                # If worker 0 has succeeded, the job has. Otherwise the first worker to fail counts,
                # because others may fail as a consequence.
                first = (
                    0 if codes[0] == 0 else next(index for index, code in enumerate(codes) if code)
                )
                deadline = time.monotonic() + GRACE
            if first is not None:
                code = codes[first] if codes[first] >= 0 else 128 - codes[first]
                lost = code not in ENDED and not signals
                # When all workers are told to stop, only worker 0 writes the checkpoint. That may
                # take longer than the grace period after the end of another worker.
                writing = codes[0] is None and (signals or code > 128)
                if lost or None not in codes or time.monotonic() > deadline and not writing:
                    return first, code
            time.sleep(0.1)
    finally:
        for process in processes:
            process.kill()
            process.wait()
