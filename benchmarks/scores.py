"""Recipes run again: does a recipe score what benchmarks/results/scores/RECIPE.json, and so
docs/results.md, says of it?

Figures are committed by copying runs/scores/RECIPE/scores.json there, and curves.png to
docs/results/RECIPE.png; `python -m benchmarks.report` prints the table for docs/results.md.
"""

import json
import math
import pathlib
import subprocess
import sys

from benchmarks.rounds import ROOT
from transformer.config import ConfigError
from transformer.evaluation.reports import seeds_summary
from transformer.files import replacing, write_json

KEPT = pathlib.Path(__file__).parent / "results" / "scores"
# Of a run's scores.json those that judge it, and those that tell what it took.
SCORES = (
    "bleu",
    "chrf",
    "exact_match",
    "parses",
    "rouge1",
    "rouge2",
    "rougeL",
    "accuracy",
    "f1",
    "pearson",
    "spearman",
)
ROUNDING = 1e-6  # of scores of 0 to 100, where no seed differs from another
FACTS = ("parameters", "steps", "minutes", "tokens_per_second", "peak_memory_gib")


def run(config):
    """Trains a recipe with seeds 1, 2, ... in runs/scores/RECIPE, or continues to, and compares.

    Rows {"score", "mean", "deviation", "committed", "tolerance", "as_committed"} and what it took,
    one for each score. The precision is that of the committed figures, where there are any. The
    tolerance is Student's for two samples, 95 %: of twenty scores that did not change at most one
    is expected to say NO, for the same seeds on another machine are not quite other samples. Where
    both have one seed it is the 95 % interval that one has by the test set's examples, wider than
    what the same seed varies by; not every score has one.

    Args:
        config: BenchmarkConfig: recipe, data_dir, seeds, pretrained, precision.

    Raises:
        ConfigError: there is no such recipe, the committed figures are of another precision, a
            recipe of finetune.py has no --pretrained, a training fails, or what stands in
            runs/scores is of a longer recipe.
    """
    path, kept = ROOT / "configs" / f"{config.recipe}.cfg", KEPT / f"{config.recipe}.json"
    if not path.exists():
        names = ", ".join(sorted(path.stem for path in path.parent.glob("*.cfg")))
        raise ConfigError(f"--recipe must be one of {names}. Received: {config.recipe!r}.")
    given = {
        name: getattr(config, name)
        for name in ("data_dir", "pretrained", "precision")
        if getattr(config, name)
    }
    committed = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
    if committed and config.precision not in ("", committed["precision"]):
        raise ConfigError(
            f"the committed figures are of --precision={committed['precision']}. Received: "
            f"{config.precision}. Leave it out."
        )
    if committed:
        given["precision"] = committed["precision"]
    program = "finetune.py" if "--train_files" in path.read_text(encoding="utf-8") else "train.py"
    if program == "finetune.py" and not config.pretrained:
        raise ConfigError(
            "a recipe of finetune.py needs --pretrained. Received: none. Name what the committed "
            "figures are of, or none."
        )
    for name in {"data_dir", "pretrained"} & given.keys():
        if pathlib.Path(
            given[name]
        ).exists():  # a preset is no path; the programs run in their own folder
            given[name] = pathlib.Path(given[name]).absolute()
    flags = [f"--{name}={value}" for name, value in given.items()]
    folder = pathlib.Path("runs/scores") / config.recipe
    runs = {}
    for seed in range(1, config.seeds + 1):
        place = runs[f"seed {seed}"] = folder / f"seed-{seed}"
        train(
            [program, f"--flagfile={path}", *flags, f"--seed={seed}", f"--run={place.absolute()}"]
        )
    found = [
        json.loads((place / "scores.json").read_text(encoding="utf-8")) for place in runs.values()
    ]
    sections = json.loads((place / "config.json").read_text(encoding="utf-8"))
    learning = sections.get("training", sections.get("finetuning"))
    if any(
        row["steps"] > sections.get("training", {}).get("train_steps", math.inf) for row in found
    ):
        raise ConfigError(
            f"runs must be of the recipe as it is, which is shorter now. Received: {folder}. "
            f"Remove that folder."
        )
    _draw(runs, learning["keep_best_metric"], folder / "curves.png")
    summary = {"recipe": config.recipe, "precision": learning["precision"], **seeds_summary(found)}
    write_json(folder / "scores.json", summary)
    committed = committed or {"seeds": 0, "scores": {}}
    facts = {name: summary["scores"][name]["mean"] for name in FACTS}
    scores, kept_scores = summary["scores"], committed["scores"]
    return [
        {
            "score": name,
            **compared(
                scores.get(name),
                summary["seeds"],
                kept_scores.get(name),
                committed["seeds"],
                _interval(name, kept_scores),
            ),
            **facts,
        }
        for name in SCORES
        if name in {*scores, *kept_scores}
    ]


def compared(found, seeds, committed, committed_seeds, interval=None):
    """Columns on a score {"mean", "std"} of so many seeds, beside the committed one; either may be
    None. interval: half of that of the committed one, for one seed beside one.
    """
    row = {
        "mean": found and found["mean"],
        "deviation": found and found["std"],
        "committed": committed and committed["mean"],
    }
    if found is None or committed is None:
        return row | {"tolerance": None, "as_committed": "NO" if committed else "none is"}
    tolerance = (
        _tolerance(found, seeds, committed, committed_seeds)
        if seeds + committed_seeds > 2
        else interval
    )
    same = (
        "one seed cannot tell"
        if tolerance is None
        else "yes"
        if abs(found["mean"] - committed["mean"]) <= tolerance + ROUNDING
        else "NO"
    )
    return row | {"tolerance": tolerance, "as_committed": same}


def _interval(name, scores):
    """Half the 95 % interval of a score of one run: the bootstrap's, or that of a share of
    examples, in percent; or None."""
    if f"{name}_interval" in scores:
        return scores[f"{name}_interval"]["mean"]
    if name in ("exact_match", "parses") and name in scores and "examples" in scores:
        share = scores[name]["mean"] / 100
        return 196 * math.sqrt(share * (1 - share) / scores["examples"]["mean"])
    return None


def _tolerance(found, seeds, committed, committed_seeds):
    from scipy.stats import t

    freedom = seeds + committed_seeds - 2
    squares = (seeds - 1) * (found["std"] or 0.0) ** 2 + (committed_seeds - 1) * (
        committed["std"] or 0.0
    ) ** 2
    return float(t.ppf(0.975, freedom)) * math.sqrt(
        squares / freedom * (1 / seeds + 1 / committed_seeds)
    )


def train(command):
    """Runs train.py or finetune.py, or continues to; raises ConfigError if it fails.

    Args:
        command: its name and arguments, list of str.
    """
    print("python", *command, flush=True)
    code = subprocess.run([sys.executable, *command], cwd=ROOT).returncode
    if code:
        raise ConfigError(
            f"a recipe must run to its end. Received: exit code {code} of {' '.join(command)}. "
            f"Read what it said."
        )


def _draw(runs, metric, path):
    from transformer.evaluation.plots import plot_curves

    names = dict.fromkeys(["train/loss", "validation/loss", f"validation/{metric}"])
    with replacing(path) as temporary:
        plot_curves(runs, [*names]).savefig(temporary)
