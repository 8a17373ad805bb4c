"""The worker's side of benchmarks/rounds.py: JSON lines on stdin and stdout."""

import json
import os
import resource
import sys
import time


def serve(build):
    """Runs a contestant.

    Args:
        build: task (dict, from the command line) -> (facts: dict, one_round: count -> dict or None). `one_round` does the
            work `count` times; what it returns joins the answer.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    begun = time.perf_counter()
    facts, one_round = build(json.loads(sys.argv[1]))
    print(json.dumps({"startup_seconds": time.perf_counter() - begun, **facts}), file=answers, flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        more = one_round(int(line)) or {}
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": seconds, "peak_memory_gib": peak, **more}), file=answers, flush=True)
