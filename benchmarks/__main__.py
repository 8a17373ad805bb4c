"""python -m benchmarks COMMAND: measures speed, memory and scores beside other libraries.

    train      speed of training steps: ours and --peers (torch, torch_bfloat16,
               torch_unfused_adam, marian, all)
    decode     speed of translating --source with --run: ours and --peers (ctranslate2,
               ctranslate2_shared, ctranslate2_int8, all)
    memory     peak memory and time of a training step with 256 to 8,192 tokens
    data       speed of the input pipeline on multi30k in --data_dir
    learn      validation loss on multi30k for each precision, dropout and jit, over several seeds
    startup    time of --help, of the imports and to the first answer of --run
    checkpoint cost of a checkpoint every 500 steps, and time to the first step of a resumed
               training
    scaling    speed of train.py on one core, and on two cores as two devices or two workers
    order      order in which 1, 2 and 4 devices see the examples
    faults     what is lost when trainings are killed (--rounds times) or stopped, when their
               files are damaged or the disk is full; nothing should be lost
    scores     runs --recipe with --seeds seeds in runs/scores and compares the scores with the
               committed figures (docs/results.md)
    ablation   what each part of the Multi30k recipe contributes: validation BLEU after --steps
               updates with one part changed
    marian     trains Hugging Face's Marian from scratch on the data of --run and compares scores
    opennmt    does the same with OpenNMT-tf
    bert       fine-tunes Hugging Face's BERT classifier on the data of --run and compares scores
    gpu        tokens per second and utilisation of an accelerator
    mutants    how many small bugs in --modules the tests detect (docs/reliability.md; needs
               pip install '.[test,dev]')

Install the other libraries with `pip install '.[peers]'`, here or in the environment of
--peers_python. OpenNMT-tf needs an environment of its own with Python 3.11 or older, where you run
`pip install OpenNMT-tf==2.32.0 tensorflow-cpu==2.13.1`. Contestants take turns for --rounds rounds.
The tables show medians, and ratios to the first contestant of the same round.
"""

import importlib
import json
import pathlib
import sys

from benchmarks.config import BenchmarkConfig
from data.config import DataError
from transformer.cli.flags import main, run_command
from transformer.config import ConfigError
from transformer.files import write_text

COMMANDS = (
    "train",
    "decode",
    "memory",
    "data",
    "learn",
    "startup",
    "checkpoint",
    "scaling",
    "order",
    "faults",
    "scores",
    "ablation",
    "marian",
    "opennmt",
    "bert",
    "gpu",
    "mutants",
)
HIDDEN = {"seconds_low", "seconds_high", "startup_seconds", "losses", "version"}


def table(rows):
    """Returns rows (a list of dicts) as a Markdown table, without the `HIDDEN` columns."""
    names = [
        name for name in dict.fromkeys(name for row in rows for name in row) if name not in HIDDEN
    ]
    lines = [
        f"| {' | '.join(name.replace('_', ' ') for name in names)} |",
        "|" + "---|" * len(names),
    ]
    return "\n".join(
        [*lines, *(f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows)]
    )


def _cell(value):
    if isinstance(value, float):
        return (
            f"{value:,.0f}"
            if abs(value) >= 100
            else f"{value:.2f}"
            if abs(value) >= 10
            else f"{value:.3f}"
        )
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def measure(command):
    """Returns the function that `flags.main` runs for a command.

    That function returns the exit code: 1 if a score differs from the committed one, else 0.
    """

    def run(config, flag_values):
        from benchmarks import machine

        if config.json and not pathlib.Path(config.json).absolute().parent.is_dir():
            raise ConfigError(
                f"--json must name a file in a folder that there is. Received: {config.json}. "
                f"Make "
                f"the folder."
            )
        rows = importlib.import_module(f"benchmarks.{command}").run(config)
        facts = machine.describe()
        if command == "train":
            facts["matmul_peak"] = machine.matmul_peak()
        print(f"{json.dumps(facts)}\n\n{table(rows)}")
        if config.json:
            found = {
                "benchmark": command,
                "options": config.given(),
                "machine": facts,
                "rows": rows,
            }
            write_text(config.json, json.dumps(found, indent=1) + "\n")
        return int(any(row.get("as_committed") == "NO" for row in rows))

    return run


def command_line(argv):
    """Runs `python -m benchmarks COMMAND ...` and returns the exit code."""

    def run(name, arguments):
        return main(
            measure(name),
            (BenchmarkConfig,),
            __doc__,
            user_errors=(ConfigError, DataError),
            argv=[f"-m benchmarks {name}", *arguments],
        )

    return run_command(argv, COMMANDS, __doc__, run)


if __name__ == "__main__":
    sys.exit(command_line(sys.argv))
