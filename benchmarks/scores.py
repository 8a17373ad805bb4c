"""Recipes run again: does a recipe score what benchmarks/results/scores/RECIPE.json, and so docs/results.md, says of it?"""

import json
import math
import pathlib
import subprocess
import sys

from benchmarks.rounds import ROOT
from transformer.checkpoints import replacing, write_json
from transformer.config import ConfigError
from transformer.reports import seeds_summary

KEPT = pathlib.Path(__file__).parent / "results" / "scores"
# Of a run's scores.json those that judge it, and those that tell what it took.
SCORES = ("bleu", "chrf", "exact_match", "parses", "rouge1", "rouge2", "rougeL", "accuracy", "f1", "pearson", "spearman")
FACTS = ("parameters", "steps", "minutes", "tokens_per_second", "peak_memory_gib")


def run(config):
    """Trains a recipe with seeds 1, 2, ... in runs/scores/RECIPE, or continues to, and compares.

    Rows {"score", "mean", "deviation", "committed", "tolerance", "as_committed"} and what it took, one for each score. The
    tolerance is that of the difference of two means, 95 %, by the larger deviation: that of the seeds committed, or of these.

    Args:
        config: BenchmarkConfig: recipe, data_dir, seeds, pretrained, precision.
    """
    path, kept = ROOT / "configs" / f"{config.recipe}.cfg", KEPT / f"{config.recipe}.json"
    if not path.exists():
        names = ", ".join(sorted(path.stem for path in path.parent.glob("*.cfg")))
        raise ConfigError(f"--recipe must be one of {names}. Received: {config.recipe!r}.")
    flags = [f"--data_dir={config.data_dir}"] * bool(config.data_dir) + [f"--pretrained={config.pretrained}"] * bool(config.pretrained)
    program = "finetune.py" if "--train_files" in path.read_text(encoding="utf-8") else "train.py"
    folder = pathlib.Path("runs/scores") / config.recipe
    runs = {}
    for seed in range(1, config.seeds + 1):
        run = runs[f"seed {seed}"] = folder / f"seed-{seed}"
        _train([program, f"--flagfile={path}", *flags, f"--precision={config.precision}", f"--seed={seed}", f"--run={run.absolute()}"])
    found = [json.loads((run / "scores.json").read_text(encoding="utf-8")) for run in runs.values()]
    _draw(runs, folder / "curves.png")
    summary = seeds_summary(found)
    committed = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {"seeds": 0, "scores": {}}
    write_json(folder / "scores.json", {"recipe": config.recipe, "precision": config.precision, **summary})
    facts = {name: summary["scores"][name]["mean"] for name in FACTS}
    return [
        {"score": name, **compared(summary["scores"][name], config.seeds, committed["scores"].get(name), committed["seeds"]), **facts}
        for name in SCORES if name in summary["scores"]
    ]  # fmt: skip


def compared(found, seeds, committed, committed_seeds):
    """Columns on a score {"mean", "std"} of so many seeds, beside the committed one or None."""
    row = {"mean": found["mean"], "deviation": found["std"]}
    if committed is None:
        return row | {"committed": None, "tolerance": None, "as_committed": "none is"}
    tolerance = _tolerance(found, seeds, committed, committed_seeds)
    same = "one seed cannot tell" if tolerance is None else "yes" if abs(found["mean"] - committed["mean"]) <= tolerance else "NO"
    return row | {"committed": committed["mean"], "tolerance": tolerance, "as_committed": same}


def _tolerance(found, seeds, committed, committed_seeds):
    from scipy.stats import t

    deviations = [(score["std"], count) for score, count in ((found, seeds), (committed, committed_seeds)) if score["std"] is not None]
    if not deviations:
        return None
    deviation, count = max(deviations)
    return float(t.ppf(0.975, count - 1)) * deviation * math.sqrt(1 / seeds + 1 / committed_seeds)


def _train(command):
    print("python", *command, flush=True)
    code = subprocess.run([sys.executable, *command], cwd=ROOT).returncode
    if code:
        raise ConfigError(f"a recipe must run to its end. Received: exit code {code} of {' '.join(command)}. Read what it said.")


def _draw(runs, path):
    from transformer.visualization import plot_curves, read_curves

    names = {name for run in runs.values() for name in read_curves(run) if name.startswith("validation/")}
    with replacing(path) as temporary:
        plot_curves(runs, ["train/loss", *sorted(names)]).savefig(temporary, format="png")


def results_table():
    """Markdown: what is committed of every recipe, its scores with their deviations over the seeds, and what it took."""
    lines = ["| recipe | seeds | test scores | parameters | updates | minutes | tokens/s | memory |", "|" + "---|" * 8]
    for path in sorted(KEPT.glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        scores, precision = row["scores"], "" if row["precision"] == "float32" else f", {row['precision']}"
        told = ", ".join(f"{name} {_told(scores[name])}" for name in SCORES if name in scores)
        took = {name: scores[name]["mean"] for name in FACTS}
        lines.append(
            f"| {row['recipe']}{precision} | {row['seeds']} | {told} | {took['parameters'] / 1e6:.2f} M | {took['steps']:,.0f} "
            f"| {took['minutes']:.0f} | {took['tokens_per_second']:,.0f} | {took['peak_memory_gib']:.1f} GiB |"
        )
    return "\n".join(lines)


def _told(score):
    digits = 2 if score["mean"] > 1 else 3
    return f"{score['mean']:.{digits}f}" + ("" if score["std"] is None else f" ± {score['std']:.{digits}f}")
