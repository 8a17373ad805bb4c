"""python -m benchmarks COMMAND: speed, memory and scores, measured side by side.

    train      training steps, ours and --peers (torch, torch_bfloat16, torch_unfused_adam, marian,
               all)
    decode     translating --source with --run, ours and --peers (ctranslate2, ctranslate2_shared,
               ctranslate2_int8, all)
    memory     peak memory and time of a step from 256 to 8,192 tokens
    data       the input pipeline on multi30k in --data_dir
    learn      validation loss on multi30k for each precision, dropout and jit, several seeds
    startup    --help, imports, the first answer of --run
    checkpoint what a checkpoint every 500 steps costs, and how long a continued training takes to
    its first step
    scaling    train.py on one core, and on two as two devices and as two workers
    order      in which order 1, 2 and 4 devices see the examples
    faults     trainings killed --rounds times, stopped, their files damaged, their disk full: what
               is lost (nothing)
    scores     runs --recipe with --seeds in runs/scores and compares with the committed figures
               (docs/results.md)
    ablation   what the parts of the Multi30k recipe are worth: BLEU of the validation set after
               --steps updates without each
    marian     Hugging Face's Marian, from nothing on what --run learnt from: its scores beside the
               run's
    opennmt    OpenNMT-tf, the same
    bert       Hugging Face's BERT classifier, fine-tuned on what --run was: its scores beside the
               run's
    gpu        tokens a second and utilisation of an accelerator
    mutants    how many small bugs put into --modules the tests see (docs/reliability.md;
               pip install '.[test,dev]')

Peers are installed by `pip install '.[peers]'`, here or where --peers_python points; OpenNMT-tf
only there, with Python 3.11 or older, by `pip install OpenNMT-tf==2.32.0 tensorflow-cpu==2.13.1`.
Contestants take turns for --rounds rounds; medians are shown, and ratios to the first of what ran
in the same round.
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
    """Rows, dicts, as a Markdown table."""
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
    """The function that `flags.main` runs for a command; it returns 1 where a score is not what
    is committed."""

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
    """Runs `python -m benchmarks COMMAND ...`; returns the exit code."""

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
