"""Measures the cost of checkpoints and the time to the first step of a resumed training."""

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

# EVERY: steps between two checkpoints, for the reported share. STEPS: steps timed in one turn,
# while a checkpoint is written in the background.
EVERY, STEPS = 500, 10
# A step so late that resuming there shows whether the time to the first step grows with the step.
FAR = 10**6


def run(config):
    """Returns rows {"name", "value", "unit"}.

    Steps with and without a checkpoint take turns. So do fresh and resumed trainings.
    """
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
    """Measures what a checkpoint adds to the time of `STEPS` training steps.

    Args:
        folder: pathlib.Path, where the checkpoint is written.
        rounds: number of turns with a checkpoint, and of turns without one.

    Returns:
        Median seconds of a step, median of the seconds that a checkpoint adds to `STEPS` steps, and
        the size of the checkpoint in bytes.
    """
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
    """Measures the time from starting train.py to its first step.

    Args:
        place: pathlib.Path, an empty folder for the run folders.
        rounds: number of times that each start is measured.

    Returns:
        A dict {"fresh", "continued at step 3" and "continued at step 1,000,000": list of seconds,
        one per round}.
    """
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
    """Returns the seconds from starting train.py to the first line that reports a step.

    A training of more than `FAR` steps is killed at that line.
    """
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
