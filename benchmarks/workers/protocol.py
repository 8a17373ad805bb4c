"""The worker's side of the protocols of benchmarks/rounds.py and benchmarks/peer.py.

The first sends JSON lines over stdin and stdout, the second leaves a file.
"""

import json
import os
import re
import sys
import time


def peak_memory_gib():
    """Returns the peak memory of this process in GiB.

    It does not use getrusage, which also counts what the parent held when it started this process.
    """
    with open("/proc/self/status", encoding="utf-8") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) / 2**20


def leave(folder, result):
    """Writes a peer's result, a dict, to outputs.json in one step, for `peer.outputs_of`."""
    temporary = folder / "outputs.tmp.json"
    temporary.write_text(json.dumps(result), encoding="utf-8")
    temporary.replace(folder / "outputs.json")


def serve(build):
    """Runs a contestant: answers each line with a count on stdin by doing the work that often.

    Args:
        build: function, task (dict, from the command line) -> (facts, one_round). `facts` is a dict
            that is sent first. `one_round` is a function of a count that does the work `count`
            times. It returns a dict that is added to the answer, or None.
    """
    answers = os.fdopen(os.dup(1), "w")
    # Send what libraries print to stderr, so that stdout has only answers.
    os.dup2(2, 1)
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
