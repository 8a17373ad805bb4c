"""Reports on data: counts reasons with examples, and formats reports for the console.

A report is a dict that can be written as JSON.
"""

import numpy as np

EXAMPLES = 5
LABELS = 12


class Log:
    """Counts reasons and keeps the first few examples of each.

    Attributes:
        reasons: {reason: {"action", "count", "examples"}}.
    """

    def __init__(self):
        self.reasons = {}

    def count(self, reason, action, place, text):
        """Counts a reason once more.

        Args:
            reason: str, what was found.
            action: str, what is done about it, such as "dropped". Only the first call of a reason
                sets it.
            place: an int or "FILE:LINE", put before the example.
            text: str, the example, of which 160 characters are kept.
        """
        entry = self.reasons.setdefault(reason, {"action": action, "count": 0, "examples": []})
        entry["count"] += 1
        if len(entry["examples"]) < EXAMPLES:
            entry["examples"].append(f"{place}: {text[:160]}")

    def has(self, action):
        """Returns whether any reason was counted with this action."""
        return any(found["action"] == action for found in self.reasons.values())


def format_report(report):
    """Formats a report on splits as a table for the console.

    Args:
        report: dict, a report on pairs (data/cleaning.py) or on examples
            (data/readers/labelled.py).

    Returns:
        A str of several lines.
    """
    what = "pairs" if "pairs_in" in report["train"] else "examples"
    lines = [f"{'split':<12}{what:>10}{'kept':>10}"]
    for split, entry in report.items():
        lines.append(f"{split:<12}{entry[f'{what}_in']:>10,}{entry[f'{what}_out']:>10,}")
        if entry.get("labels"):
            labels = [f"{name} {_short(value)}" for name, value in entry["labels"].items()]
            more = [f"and {len(labels) - LABELS} more"] if len(labels) > LABELS else []
            lines.append(f"{'':<13}{', '.join(labels[:LABELS] + more)}")
        for reason, found in sorted(entry["reasons"].items(), key=lambda item: -item[1]["count"]):
            lines.append(f"    {found['count']:>8,} {found['action']:<9} {reason}")
    return "\n".join(lines)


def _short(number):
    return f"{number:.3g}" if isinstance(number, float) else f"{number:,}"


def length_report(lengths, max_length):
    """Returns how long the examples are and how many of them are cut.

    >>> report = length_report([2, 4, 4, 30], max_length=16)
    >>> report["mean"], report["longest"], report["truncated"]
    (10.0, 30, 0.25)

    Args:
        lengths: list or array of int, the lengths of the examples in tokens.
        max_length: int, the longest length that is not cut.

    Returns:
        A dict for JSON. `truncated` is the share of the examples that are cut.
    """
    count = len(lengths)
    lengths = np.asarray(lengths if count else [0])
    return {
        "count": count,
        "mean": round(float(lengths.mean()), 2),
        "median": float(np.median(lengths)),
        "percentile_95": round(float(np.percentile(lengths, 95)), 2),
        "longest": int(lengths.max()),
        "max_length": max_length,
        "truncated": round(float((lengths > max_length).mean()), 4),
    }


def format_lengths(report, beyond="cut at"):
    """Formats a length report as one line.

    >>> format_lengths(length_report([2, 4, 4, 30], max_length=16))
    'tokens: mean 10, median 4, 95th percentile 26.1, longest 30; 25 % of 4 are cut at 16'

    Args:
        report: dict, from `length_report`.
        beyond: str, what happens to longer examples. The longest length follows it in the line.

    Returns:
        A str.
    """
    return (
        f"tokens: mean {report['mean']:g}, median {report['median']:g}, 95th percentile "
        f"{report['percentile_95']:g}, longest {report['longest']:,}; "
        f"{100 * report['truncated']:.3g} % of {report['count']:,} are {beyond} "
        f"{report['max_length']}"
    )
