"""Prints the tables of the documentation from the results in benchmarks/results.

Run it with `python -m benchmarks.report`.
"""

import json
import pathlib

from benchmarks.__main__ import table
from benchmarks.config import BenchmarkConfig
from benchmarks.scores import FACTS, KEPT, SCORES

RACES = ("marian", "opennmt", "bert")
RESULTS = pathlib.Path(__file__).parent / "results"


def speed_tables():
    """Returns the tables of train, decode, memory and learn, and a note on the machines.

    Ratios are to the first contestant. The result is Markdown, as those of the functions below.
    """
    names = ("train", "decode", "learn", "memory")
    train, decode, learn, memory = map(_found, names)
    peaks = train["machine"]["matmul_peak"]
    lines = [
        "| training step | parameters | tokens/s | against `torch` | of the matmul peak | peak "
        "memory |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['size']}: {row['name']} | {row['parameters'] / 1e6:.1f} M | "
        f"{row['tokens_per_second']:,.0f} | {row['ratio']:.2f} "
        f"| {row['flops'] / peaks['bfloat16' if 'bfloat16' in row['name'] else 'float32']:.0%} | "
        f"{row['peak_memory_gib']:.2f} GiB |"
        for row in train["rows"]
    ]
    lines += [
        "",
        "| decoding | sentences/s | against `ctranslate2` | same outputs |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {'greedy' if row['beam_size'] == 1 else f'''beam {row['beam_size']}'''}: "
        f"{row['name']} "
        f"| {row['sentences_per_second']:,.0f} | {row['ratio']:.2f} | {row['same']:.1%} |"
        for row in decode["rows"]
    ]
    lines += ["", *memory_table(memory["rows"])]
    steps, seeds = (
        learn["options"].get("steps", BenchmarkConfig.steps),
        len(learn["rows"][0]["losses"]),
    )
    lines += [
        "",
        f"| validation loss after {steps:,} updates | mean of {seeds} seeds | deviation |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {row['loss']:.4f} | {row['deviation']:.4f} |" for row in learn["rows"]
    ]
    reached = ", ".join(f"{name} {peak / 1e9:,.0f} GFLOP/s" for name, peak in peaks.items())
    note = (
        f"Machine: {_machine(train)}; matrix products reach {reached}. "
        f"That of decoding: {_machine(decode)}."
    )
    return "\n".join([*lines, "", note])


def memory_table(rows):
    """Returns a table as a list of lines: peak memory and time by tokens in a batch.

    Args:
        rows: the rows of `memory.run` for one size. There is a column for each contestant.
    """
    names = list(dict.fromkeys(row["name"] for row in rows))
    lines = [
        f"| tokens in a step ({rows[0]['size']}) | {' | '.join(names)} |",
        "|" + "---|" * (len(names) + 1),
    ]
    for tokens in dict.fromkeys(row["tokens"] for row in rows):
        cells = {
            row["name"]: f"{row['peak_memory_gib']:.2f} GiB, {row['seconds']:.2f} s"
            for row in rows
            if row["tokens"] == tokens
        }
        lines.append(f"| {tokens:,} | {' | '.join(cells[name] for name in names)} |")
    return lines


def results_table():
    """Returns the table of all committed recipe scores.

    It has the scores with their standard deviations over the seeds, and what the training took.
    """
    lines = [
        "| recipe | seeds | test scores | parameters | updates | minutes | tokens/s | memory |",
        "|" + "---|" * 8,
    ]
    for path in sorted(KEPT.glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        scores, precision = (
            row["scores"],
            "" if row["precision"] == "float32" else f", {row['precision']}",
        )
        told = ", ".join(f"{name} {_told(scores[name])}" for name in SCORES if name in scores)
        took = {name: scores[name]["mean"] for name in FACTS}
        lines.append(
            f"| {row['recipe']}{precision} | {row['seeds']} | {told} | "
            f"{took['parameters'] / 1e6:.2f} M | {took['steps']:,.0f} "
            f"| {took['minutes']:.0f} | {took['tokens_per_second']:,.0f} | "
            f"{took['peak_memory_gib']:.1f} GiB |"
        )
    return "\n".join(lines)


def ablation_table():
    """Returns the table of the ablation.

    Each row differs from the recipe in one thing. It has the BLEU, the difference to the recipe's
    and what the training took.
    """
    lines = [
        "| changed | BLEU | difference | p | parameters | minutes | weights |",
        "|" + "---|" * 7,
    ]
    for row in _found("ablation")["rows"]:
        p = "" if row["p"] is None else f"{row['p']:.3f}"
        took = (
            f"{row['parameters'] / 1e6:.2f} M | {row['minutes']:.0f} | {row['weights']}"
            if "minutes" in row
            else " |  | "
        )
        lines.append(
            f"| {row['name']} | {row['bleu']:.2f} | {row['difference']:+.2f} | {p} | {took} |"
        )
    return "\n".join(lines)


def race_table(name):
    """Returns the table of a run and the peer it was compared with. `name` is one of `RACES`."""
    return table(_found(name)["rows"])


def _machine(found):
    machine = found["machine"]
    return (
        f"{machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {', '.join(machine['units'])}"
    )


def _found(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _told(score):
    digits = 2 if score["mean"] > 1 else 3
    return f"{score['mean']:.{digits}f}" + (
        "" if score["std"] is None else f" ± {score['std']:.{digits}f}"
    )


if __name__ == "__main__":
    print(speed_tables(), results_table(), *map(race_table, RACES), ablation_table(), sep="\n\n")
