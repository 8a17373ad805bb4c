"""Measures the speedup of a second device or a second worker.

It times train.py on one core, and on two cores as two devices and as two workers.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from benchmarks.rounds import ROOT
from transformer.config import ConfigError

# All trainings have the same batches, of one shape. There is no validation or checkpoint during the
# timing.
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
# Steps that warm up, and steps that are timed.
WARM_UP, STEPS = 5, 20


def run(config):
    """Times each kind of training in a process of its own, which is stopped after its steps.

    Returns:
        Rows {"name", "tokens_per_second", "ratio", "efficiency"}. `tokens_per_second` is the median
        over the rounds, `ratio` the median of the ratios to one device in the same round, and
        `efficiency` half of that ratio in percent.

    Raises:
        ConfigError: The machine has only one core, or a training fails.
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


# Runs train.py in a process where TensorFlow sees the CPU as two devices.
TWO_DEVICES = """
import sys, runpy, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def _speed(command, cores, folder):
    """Runs train.py and returns its tokens per second, the median over the timed steps."""
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
