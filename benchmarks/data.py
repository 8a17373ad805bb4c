"""Measures the input pipeline and the overhead of train.py.

It reports the time of the preparation, the share of padding, the host time of a batch relative to a
training step, and what train.py as a whole adds to its steps.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import work
from benchmarks.rounds import ROOT, Contestant, compete
from transformer.config import ConfigError, TokenizerConfig

# Positions in a batch, on each side.
MAX_TOKENS = 4096


def run(config):
    """Returns rows {"name", "value", "unit"}.

    Raises:
        ConfigError: --data_dir does not exist, or train.py fails.
    """
    config.require("data", "data_dir")
    from data.batches import Plan, batch_at
    from data.config import DataConfig
    from data.prepare import prepare

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        prepared = prepare(
            DataConfig(data_dir=config.data_dir, **work.MULTI30K), TokenizerConfig(), folder
        )
        preparation = time.perf_counter() - begun
        split = prepared.splits["train"]
        plan = Plan(split, MAX_TOKENS, seed=1)
        seconds = []
        for step in range(plan.steps_per_epoch):
            begun = time.perf_counter()
            batch_at(split, plan, step)
            seconds.append(time.perf_counter() - begun)
        rows, source, target = plan.shapes[0]
        shape = {"rows": rows, "length": target, "source_length": source}
        step = bare_step("tiny", shape)
        before, whole, after = (
            bare_step("small", shape),
            train_step("small", config, folder),
            bare_step("small", shape),
        )
    batch = statistics.median(seconds)
    return [
        {
            "name": "preparation of 29,000 pairs, tokenizer included",
            "value": preparation,
            "unit": "s",
        },
        {"name": "padding", "value": 100 * plan.padding_share, "unit": "%"},
        {
            "name": f"a batch of {MAX_TOKENS:,} positions on the host, median",
            "value": 1000 * batch,
            "unit": "ms",
        },
        {"name": "the step of the tiny model on it", "value": 1000 * step, "unit": "ms"},
        {"name": "host time of the step", "value": 100 * batch / step, "unit": "%"},
        {
            "name": "a bare step of the small model, before and after",
            "value": 500 * (before + after),
            "unit": "ms",
        },
        {
            "name": "a step of train.py, logging and a checkpoint every 50 steps included",
            "value": 1000 * whole,
            "unit": "ms",
        },
        {
            "name": "speed of train.py, of the bare step's",
            "value": 50 * (before + after) / whole,
            "unit": "%",
        },
    ]


def bare_step(size, shape):
    """Returns the median seconds of our bfloat16 training step, over ten rounds."""
    task = {"size": size, "shape": shape, "precision": "bfloat16", "jit": "off"}
    return compete(
        [Contestant("ours", "train_ours", task)], rounds=10, warm_up=3, seconds_a_round=0.0
    )[0]["seconds"]


def train_step(size, config, folder):
    """Returns the wall-clock seconds of a step of train.py on multi30k.

    The mean over the 100 steps between two lines of its log. Checkpoints and logging are included.

    Raises:
        ConfigError: train.py ends before its last step.
    """
    sizes = {
        name: value for name, value in work.SIZES[size].items() if name not in ("rows", "length")
    }
    flags = {
        **sizes,
        **{name: value[0] for name, value in work.MULTI30K.items()},
        "data_dir": pathlib.Path(config.data_dir).resolve(),
        "max_tokens": MAX_TOKENS,
        "train_steps": 120,
        "log_every": 20,
        "checkpoint_every": 50,
        "eval_every": 120,
        "eval_decode": 1,
        "average_checkpoints": 1,
        "precision": "bfloat16",
        "jit": "off",
        "run": f"{folder}/run",
    }
    command = [sys.executable, "train.py", *(f"--{name}={value}" for name, value in flags.items())]
    process, seen = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True), {}
    for line in process.stdout:
        if line.startswith("step "):
            seen[int(line.split("/")[0].split()[1])] = time.perf_counter()
        if 120 in seen:
            process.terminate()
    process.wait()
    if 120 not in seen:
        raise ConfigError(
            f"train.py must run to its last step. Received: exit code {process.returncode}, see "
            f"its message above."
        )
    return (seen[120] - seen[20]) / 100
