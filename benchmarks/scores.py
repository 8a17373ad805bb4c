"""Reruns a recipe and checks that it reaches the committed scores.

The committed scores are in benchmarks/results/scores/RECIPE.json and in docs/results.md. To commit
new ones, copy runs/scores/RECIPE/scores.json to that file and curves.png to
docs/results/RECIPE.png. `python -m benchmarks.report` prints the table for docs/results.md.
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
# The fields of a run's scores.json that measure quality. `FACTS` are those that say what it took.
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
# Rounding error of scores from 0 to 100. It matters where all seeds have the same score, so that
# the tolerance is 0.
ROUNDING = 1e-6
FACTS = ("parameters", "steps", "minutes", "tokens_per_second", "peak_memory_gib")


def run(config):
    """Trains a recipe with seeds 1, 2, ... in runs/scores/RECIPE and compares the scores.

    Unfinished trainings are resumed. The precision is that of the committed figures, if there are
    any.

    The tolerance is that of Student's two-sample t-test at 95 %. Of twenty unchanged scores at most
    one is expected to say NO, because the same seeds on another machine are not fully independent
    samples. If both sides have one seed, the tolerance is half the 95 % interval of the committed
    score over the examples of the test set. That is wider than the variation of one seed. Not every
    score has such an interval.

    Args:
        config: BenchmarkConfig, of which recipe, data_dir, seeds, pretrained and precision are
            used.

    Returns:
        Rows {"score", "mean", "deviation", "committed", "tolerance", "as_committed", and the
        means of the `FACTS`}, one per score.

    Raises:
        ConfigError: The recipe does not exist, the committed figures have another precision, a
            recipe of finetune.py is run without --pretrained, a training fails, or the trainings in
            runs/scores are of a longer version of the recipe.
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
        # A preset is not a path. The programs run in the root of the project, so paths must be
        # absolute.
        if pathlib.Path(given[name]).exists():
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
    """Compares a score with the committed one.

    Args:
        found: dict {"mean", "std"} of the score, or None if the runs do not have it.
        seeds: number of seeds of `found`.
        committed: dict {"mean", "std"} of the committed score, or None if there is none.
        committed_seeds: number of seeds of `committed`.
        interval: half the 95 % interval of the committed score, the tolerance if both sides have
            one seed. None if the score has no interval.

    Returns:
        A dict {"mean", "deviation", "committed", "tolerance", "as_committed"}. `as_committed` is
        "yes", "NO", "none is" without a committed score, or "one seed cannot tell" without a
        tolerance.
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
    """Returns half the 95 % interval of a score of one run, or None if it has none.

    That is the bootstrap interval, or the normal approximation for a share of examples in percent.
    """
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
    """Runs or resumes train.py or finetune.py.

    Args:
        command: list of str, the program and its arguments.

    Raises:
        ConfigError: The program fails.
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
