"""Contestants side by side: each a process that waits while the others work, called in turn, many
rounds.

A machine that slows down for a while slows down all of them; medians over rounds, and ratios of
what ran in the same round, are what is reported.
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
    """Starts a module of benchmarks.workers, with an interpreter or, empty, this one; returns its
    Popen.

    Raises:
        ConfigError: there is no such interpreter.
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
    """A worker process of benchmarks/workers.

    Args:
        name: in the table.
        worker: module name in benchmarks.workers.
        task: JSON-able dict, given to it.
        python: the interpreter of its environment; empty: this one.
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
        """Lets it do its work `count` times; keeps the answer, with the seconds of one time."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self._read()
        self.answers.append(answer | {"seconds": answer["seconds"] / count})

    def seconds(self):
        """Seconds of one time, a list over rounds."""
        return [answer["seconds"] for answer in self.answers]

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.terminate()
        self.process.wait()
        self.log.close()


def compete(contestants, rounds, warm_up, seconds_a_round=1.0):
    """Runs contestants in turn, `rounds` times, the order turned by one each time.

    Args:
        contestants: list of Contestant; closed at the end.
        warm_up: times that each does its work before it counts, compilation included.
        seconds_a_round: about how long a contestant works in a round, at least once.

    Returns:
        A list of dicts: name, the facts, seconds (median), seconds_low and seconds_high
        (quartiles), ratio (how many times faster than the first contestant, median over rounds),
        peak_memory_gib, and what else the last round answered.
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
