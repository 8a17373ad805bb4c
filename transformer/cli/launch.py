"""Starts a program as several workers on this machine, which train one model together, and watches
over them.

    python -m transformer launch --workers=2 -- train.py --flagfile=configs/reverse.cfg

What follows -- is the program and its flags; --distribution=multi_worker is added. The output is
worker 0's; of the others only errors are shown, each line with its worker. Where a worker is lost,
all are ended and the job goes on from its last checkpoint. SIGINT and SIGTERM reach all workers,
which save and stop.
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

# Exit codes after which a job is not restarted: done, a user's mistake, stopped by SIGINT or
# SIGTERM.
ENDED = (0, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM)
# Seconds that the others have to end by themselves once one has, as to write a checkpoint.
GRACE = 10.0


def define_flags(flag_values):
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
    """Runs `launch` with its arguments; returns the exit code: that of the job, 2 after a user's
    mistake."""
    end = arguments.index("--") if "--" in arguments else len(arguments)

    def run(flag_values):
        return launch(
            arguments[end + 1 :], flag_values["workers"].value, flag_values["max_restarts"].value
        )

    return main(run, (), __doc__, define_flags, argv=["-m transformer launch", *arguments[:end]])


def launch(program, workers, max_restarts):
    """Runs a program as workers until it ends, and again where one is lost.

    Args:
        program: a Python file and its arguments.
        workers: how many.
        max_restarts: how often again, at most.

    Returns:
        The exit code of the first worker that failed, 128 and its number where that was a signal; 0
        once worker 0 is done.

    Raises:
        ConfigError: there is no such file.
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
    """Starts the workers; returns their processes, and threads that show errors of all but the
    first."""
    addresses = free_addresses(workers)
    # Else each would take all cores for itself.
    threads = {"TF_NUM_INTRAOP_THREADS": str(max(len(os.sched_getaffinity(0)) // workers, 1))}
    processes, readers = [], []
    for index in range(workers):
        process = subprocess.Popen(
            [sys.executable, *program, "--distribution=multi_worker"],
            env=threads | os.environ | {"TF_CONFIG": tf_config(addresses, index)},
            stdout=subprocess.DEVNULL if index else None,
            stderr=subprocess.PIPE if index else None,
            start_new_session=True,  # so that a Ctrl-C reaches them through `supervise` alone
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
    """As many "127.0.0.1:PORT" with ports that are free."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]


def _stop_with_parent():
    """Lets Linux send SIGTERM to this process when its parent is gone: workers without a
    launcher would go on unseen."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _show(stream, index):
    for line in filter(bytes.strip, stream):
        print(
            f"worker {index}: {line.decode(errors='replace')}", end="", file=sys.stderr, flush=True
        )


def supervise(processes, signals):
    """Waits until a job has ended, and ends what is left of it.

    Args:
        processes: of the workers.
        signals: a list that grows by each signal that is to be passed on.

    Returns:
        The worker whose end was the job's, and the exit code.
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
                # What worker 0 has done is done; else the first to fail counts, and others may fail
                # because of it.
                first = (
                    0 if codes[0] == 0 else next(index for index, code in enumerate(codes) if code)
                )
                deadline = time.monotonic() + GRACE
            if first is not None:
                code = codes[first] if codes[first] >= 0 else 128 - codes[first]
                lost = code not in ENDED and not signals
                # Where all are stopped, worker 0 alone writes the checkpoint, which may take longer
                # than the others' end.
                writing = codes[0] is None and (signals or code > 128)
                if lost or None not in codes or time.monotonic() > deadline and not writing:
                    return first, code
            time.sleep(0.1)
    finally:
        for process in processes:
            process.kill()
            process.wait()
