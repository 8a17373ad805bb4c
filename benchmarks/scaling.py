"""What a second device or a second worker is worth: train.py on one core, and on two as two
devices and as two workers."""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from benchmarks.rounds import ROOT
from transformer.config import ConfigError

# Batches of one shape, the same in all; no validation or checkpoint while it is timed.
FLAGS = (
    "--corpus=phrasebook_en_de",
    "--corpus_size=20000",
    "--preset=small",
    "--max_tokens=4096",
    "--jit=off",
    "--dropout=0.1",
    "--log_every=1",
    "--eval_every=999999999",
    "--checkpoint_every=999999999",
    "--eval_decode=0",
)
WARM_UP, STEPS = 5, 20  # steps before it counts, and that count


def run(config):
    """Rows {"name", "tokens_per_second" (median over the rounds), "ratio" to one device in the same
    round, "efficiency": the share of twice its speed}. Each is a process of its own that is ended
    after its steps.
    """
    if len(os.sched_getaffinity(0)) < 2:
        raise ConfigError("scaling needs two cores. Received: one. Use another machine.")
    cores = sorted(os.sched_getaffinity(0))[:2]
    launch = (sys.executable, "-m", "transformer", "launch", "--workers=2", "--", "train.py")
    contestants = {
        "one device, one core": ((sys.executable, "train.py"), cores[:1]),
        "two devices, two cores: mirrored": (
            (sys.executable, "-c", TWO_DEVICES, "--distribution=mirrored"),
            cores,
        ),
        "two workers, two cores: multi_worker": (launch, cores),
    }
    speeds = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as place:
        for number in range(config.rounds):
            for name, (command, own) in contestants.items():
                speeds[name].append(
                    _speed(command, own, pathlib.Path(place) / f"{len(name)}-{number}")
                )
    one = speeds["one device, one core"]
    rows = []
    for name, own in speeds.items():
        ratio = statistics.median(mine / first for mine, first in zip(own, one))
        rows.append({"name": name, "tokens_per_second": statistics.median(own), "ratio": ratio})
        if name != "one device, one core":
            rows[-1]["efficiency"] = f"{ratio / 2:.0%}"
    return rows


# train.py in a process whose CPU is two devices for TensorFlow.
TWO_DEVICES = """
import sys, runpy, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def _speed(command, cores, folder):
    """Tokens a second of train.py: the median over the steps that count."""
    process = subprocess.Popen(
        [*command, *FLAGS, f"--run={folder}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    found = []
    with process:
        for line in process.stdout:
            if match := re.match(r"step +\d+/.* ([\d,]+) tokens/s", line):
                found.append(float(match[1].replace(",", "")))
            if len(found) == WARM_UP + STEPS:
                process.terminate()
                break
        else:
            raise ConfigError(f"the training must run. Received:\n{process.stderr.read()[-2000:]}")
        process.stdout.read()
    return statistics.median(found[WARM_UP:])
