"""Runs contestants side by side in interleaved rounds.

Each contestant is a process that waits while the others work. All take turns for many rounds. If
the machine slows down for a while, it slows down all of them. Reported are medians over the rounds,
and ratios of times from the same round.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from transformer.config import ConfigError

ROOT = pathlib.Path(__file__).parent.parent


def start(worker, argument, python="", **options):
    """Starts a module of benchmarks.workers as a process.

    Args:
        worker: name of the module.
        argument: str, its command-line argument.
        python: path of the Python interpreter. Empty means this one.
        **options: further options of subprocess.Popen.

    Returns:
        The subprocess.Popen.

    Raises:
        ConfigError: The interpreter does not exist.
    """
    try:
        return subprocess.Popen(
            [python or sys.executable, "-m", f"benchmarks.workers.{worker}", argument],
            cwd=ROOT,
            **options,
        )
    except OSError as error:
        raise ConfigError(
            f"--peers_python must be a Python interpreter. Received: {python} ({error.strerror})."
        ) from None


class Contestant:
    """A worker process of benchmarks.workers.

    Args:
        name: name in the table.
        worker: name of a module in benchmarks.workers.
        task: JSON-serializable dict, passed to the worker.
        python: path of the Python interpreter of its environment. Empty means this one.

    Attributes:
        facts: dict that the worker sent when it was ready.
        answers: list of dicts, one per round, with the seconds of a single run of its work.

    Raises:
        ConfigError: The worker fails to start.
    """

    def __init__(self, name, worker, task, python=""):
        self.name, self.answers = name, []
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        self.process = start(worker, json.dumps(task), python, env=environment, text=True, **pipes)
        try:
            self.facts = self._read()
        except BaseException:
            self.close()
            raise

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise ConfigError(
                f"{self.name} must run. Received:\n{self.log.read()[-2000:]}\nFor peers: pip "
                f"install '.[peers]'."
            )
        return json.loads(line)

    def round(self, count):
        """Lets the worker do its work `count` times. Keeps its answer with the seconds per run."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self._read()
        self.answers.append(answer | {"seconds": answer["seconds"] / count})

    def seconds(self):
        """Returns the seconds per run as a list, one for each round."""
        return [answer["seconds"] for answer in self.answers]

    def close(self):
        """Stops the worker process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.terminate()
        self.process.wait()
        self.log.close()


def compete(contestants, rounds, warm_up, seconds_a_round=1.0):
    """Runs contestants in turn and compares their times. The order rotates by one each round.

    Args:
        contestants: list of Contestant. They are closed at the end.
        rounds: number of rounds.
        warm_up: how many times each contestant does its work before anything is timed, compilation
            included.
        seconds_a_round: approximate seconds that a contestant works in a round. It does its work at
            least once.

    Returns:
        A list of dicts, one per contestant: name, its facts, seconds (median), seconds_low and
        seconds_high (quartiles), ratio (how many times faster than the first contestant, median
        over the rounds), peak_memory_gib, and the other fields of its last answer.
    """
    try:
        for contestant in contestants:
            contestant.round(warm_up)
            contestant.answers.clear()
            contestant.round(1)
        counts = {c.name: max(1, round(seconds_a_round / c.seconds()[0])) for c in contestants}
        for contestant in contestants:
            contestant.answers.clear()
        for number in range(rounds):
            turn = number % len(contestants)
            for contestant in contestants[turn:] + contestants[:turn]:
                contestant.round(counts[contestant.name])
        return [_row(contestant, contestants[0]) for contestant in contestants]
    finally:
        for contestant in contestants:
            contestant.close()


def _row(contestant, first):
    seconds = contestant.seconds()
    low, _, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    ratio = statistics.median(theirs / own for theirs, own in zip(first.seconds(), seconds))
    more = {**contestant.facts, **contestant.answers[-1]}
    return {
        "name": contestant.name,
        **more,
        "seconds": statistics.median(seconds),
        "seconds_low": low,
        "seconds_high": high,
        "ratio": ratio,
    }
