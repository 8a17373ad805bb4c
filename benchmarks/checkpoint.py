"""What checkpoints cost a training, and how long one that continues takes to its first step."""

import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import types

from benchmarks.rounds import ROOT
from benchmarks.workers.train_ours import prepared

EVERY, STEPS = (
    500,
    10,
)  # steps between checkpoints, as the share is reckoned; and in a turn here, while one is written
FAR = 10**6


def run(config):
    """Rows {"name", "value", "unit"}. Steps with a checkpoint and without take turns, as do
    fresh and continued trainings."""
    with tempfile.TemporaryDirectory() as place:
        plain, extra, size = checkpoint_cost(pathlib.Path(place), config.rounds)
        starts = first_steps(pathlib.Path(place), config.rounds)
    fresh = starts["fresh"]
    return [
        {"name": "a step of the small model, median", "value": plain, "unit": "s"},
        {
            "name": f"more where a checkpoint of {size / 2**20:.0f} MiB is written meanwhile, "
            f"median",
            "value": extra,
            "unit": "s",
        },
        {
            "name": f"cost of a checkpoint every {EVERY} steps",
            "value": 100 * extra / (EVERY * plain),
            "unit": "%",
        },
        *(
            {
                "name": f"train.py to its first step, {name}, median",
                "value": statistics.median(seconds),
                "unit": "s",
            }
            for name, seconds in starts.items()
        ),
        *(
            {
                "name": f"more than fresh, {name}, median of the rounds",
                "unit": "s",
                "value": statistics.median(own - first for own, first in zip(seconds, fresh)),
            }
            for name, seconds in starts.items()
            if name != "fresh"
        ),
    ]


def checkpoint_cost(folder, rounds):
    """Seconds of a step, the seconds that a checkpoint adds to STEPS of them, medians; and its
    bytes."""
    from transformer.training import checkpoints

    trainee, batches, _ = prepared(dict(size="small", precision="float32", jit="off"))
    variables, writer = (
        checkpoints.named_variables(trainee.model, trainee.optimizer),
        checkpoints.BackgroundWriter(),
    )
    path, seconds = folder / "x.safetensors", {False: [], True: []}

    def turn(saves):
        begun = time.perf_counter()
        if saves:
            writer.save(path, variables, {})
        for _ in range(STEPS):
            float(trainee.train_function(batches)["loss"])
        writer.wait()
        return time.perf_counter() - begun

    turn(True)
    for number in range(rounds):
        for saves in (False, True) if number % 2 else (True, False):
            seconds[saves].append(turn(saves))
    extra = statistics.median(own - plain for own, plain in zip(seconds[True], seconds[False]))
    return statistics.median(seconds[False]) / STEPS, extra, path.stat().st_size


def first_steps(place, rounds):
    """{"fresh" and where it continues from: seconds of each round from the command to the first
    step of train.py}."""
    from transformer.training import checkpoints

    _first_step(place / "near", train_steps=3)
    arrays, progress = checkpoints.read_newest(place / "near")
    shutil.copytree(place / "near", place / "far")
    variables = {name: types.SimpleNamespace(numpy=array.copy) for name, array in arrays.items()}
    checkpoints.save_checkpoint(
        checkpoints.checkpoint_path(place / "far", FAR),
        variables,
        progress | {"step": FAR, "validated": FAR},
    )
    starts = {"fresh": [], "continued at step 3": [], f"continued at step {FAR:,}": []}
    for _ in range(rounds):
        for name, folder in zip(starts, ("fresh", "near", "far")):
            shutil.rmtree(place / "fresh", ignore_errors=True)
            starts[name].append(_first_step(place / folder, train_steps=2 * FAR))
    return starts


def _first_step(folder, train_steps):
    """Seconds from the command to the first line on a step. A training of millions of steps is
    killed then."""
    command = [
        sys.executable,
        "train.py",
        "--corpus=reverse",
        "--corpus_size=20000",
        "--tokenizer=character",
        "--d_model=64",
        "--num_layers=1",
        "--max_tokens=512",
        "--jit=off",
        "--log_every=1",
        "--eval_every=999999999",
        "--eval_decode=1",
        "--beam_size=1",
        "--max_length=8",
        f"--train_steps={train_steps}",
        f"--run={folder}",
    ]
    begun, seconds = time.perf_counter(), None
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("step ") and seconds is None:
                seconds = time.perf_counter() - begun
                if train_steps > FAR:
                    process.kill()
    return seconds
