"""Measures how long a user waits for --help, for the imports and for the first answer of a run."""

import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks.rounds import ROOT


def run(config):
    """Times each command for several rounds.

    Returns:
        Rows {"name", "seconds", "seconds_low", "seconds_high"}: median, minimum and maximum.

    Raises:
        ConfigError: --run is given and does not exist.
    """
    commands = {
        "python -m transformer --help": ["-m", "transformer", "--help"],
        "python train.py --help": ["train.py", "--help"],
        "import keras (TensorFlow)": ["-c", "import keras"],
    }
    if config.run:
        config.require("startup", "run")
        run_folder = str(pathlib.Path(config.run).resolve())
        commands["generate, first answer"] = [
            "-m",
            "transformer",
            "generate",
            f"--run={run_folder}",
        ]
    rows = []
    for name, arguments in commands.items():
        seconds = []
        for _ in range(config.rounds):
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments],
                cwd=ROOT,
                input="A dog runs.\n",
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(time.perf_counter() - begun)
        rows.append(
            {
                "name": name,
                "seconds": statistics.median(seconds),
                "seconds_low": min(seconds),
                "seconds_high": max(seconds),
            }
        )
    return rows
