"""The worker's side of benchmarks/rounds.py, JSON lines on stdin and stdout, and of
benchmarks/peer.py, a file."""

import json
import os
import re
import sys
import time


def peak_memory_gib():
    """The most memory this process held, GiB; getrusage would count what its parent held when it
    was started."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) / 2**20


def leave(folder, result):
    """Writes what a peer found, a dict, for the one who started it, in one step."""
    temporary = folder / "outputs.tmp.json"
    temporary.write_text(json.dumps(result), encoding="utf-8")
    temporary.replace(folder / "outputs.json")


def serve(build):
    """Runs a contestant.

    Args:
        build: task (dict, from the command line) -> (facts: dict, one_round: count -> dict or
            None). `one_round` does the work `count` times; what it returns joins the answer.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    begun = time.perf_counter()
    facts, one_round = build(json.loads(sys.argv[1]))
    print(
        json.dumps({"startup_seconds": time.perf_counter() - begun, **facts}),
        file=answers,
        flush=True,
    )
    for line in sys.stdin:
        begun = time.perf_counter()
        more = one_round(int(line)) or {}
        seconds = time.perf_counter() - begun
        print(
            json.dumps({"seconds": seconds, "peak_memory_gib": peak_memory_gib(), **more}),
            file=answers,
            flush=True,
        )
