"""The report on data, as it is counted and as it is printed."""

import numpy as np
import pytest

from data.report import Log, format_lengths, format_report, length_report


def test_a_log_counts_all_and_shows_five():
    log = Log()
    for number in range(9):
        log.count("empty", "dropped", f"a.tsv:{number}", "x" * 200)
    assert log.reasons["empty"]["count"] == 9 and log.reasons["empty"]["action"] == "dropped"
    assert log.reasons["empty"]["examples"] == [
        f"a.tsv:{number}: {'x' * 160}" for number in range(5)
    ]


def test_a_text_is_shown_up_to_160_characters_and_a_reason_keeps_its_first_action():
    log = Log()
    for text in ("x" * 159, "y" * 160, "z" * 161):
        log.count("empty", "dropped", 3, text)
    log.count("empty", "kept", 4, "")
    log.count("other", "repaired", "a.tsv:7", "a")
    assert log.reasons == {
        "empty": {
            "action": "dropped",
            "count": 4,
            "examples": ["3: " + "x" * 159, "3: " + "y" * 160, "3: " + "z" * 160, "4: "],
        },
        "other": {"action": "repaired", "count": 1, "examples": ["a.tsv:7: a"]},
    }


def test_what_a_log_has():
    log = Log()
    assert not log.has("error") and not log.has("kept")
    log.count("empty", "kept", 1, "a")
    assert log.has("kept") and not log.has("error")
    log.count("no text", "error", 1, "a")
    assert log.has("kept") and log.has("error") and not log.has("dropped")
    assert Log().reasons == {}


def test_the_table():
    seen, empty = (
        {"action": action, "count": count, "examples": []}
        for action, count in (("kept", 2), ("dropped", 34))
    )
    entry = {
        "examples_in": 1234,
        "examples_out": 1200,
        "labels": {"x": 1000, "y": 200},
        "reasons": {},
    }
    report = {
        "train": entry | {"reasons": {"text also occurs in train": seen, "empty text": empty}},
        "test": entry
        | {"examples_in": 3, "examples_out": 3, "labels": {"lowest": -0.12345, "highest": 5.0}},
    }
    assert format_report(report).splitlines() == [
        "split         examples      kept",
        "train            1,234     1,200",
        "             x 1,000, y 200",
        "          34 dropped   empty text",  # the commonest first
        "           2 kept      text also occurs in train",
        "test                 3         3",
        "             lowest -0.123, highest 5",
    ]
    assert format_report(
        {"train": {"pairs_in": 10, "pairs_out": 1, "reasons": {}}}
    ).splitlines() == ["split            pairs      kept", "train               10         1"]


def test_of_many_labels_twelve_are_shown():
    entry = {
        "examples_in": 15,
        "examples_out": 15,
        "labels": {f"l{n}": 1 for n in range(15)},
        "reasons": {},
    }
    assert format_report({"train": entry}).endswith(", l10 1, l11 1, and 3 more")
    entry["labels"] = {f"l{n}": 1 for n in range(12)}
    assert format_report({"train": entry}).endswith(", l10 1, l11 1")


@pytest.mark.parametrize(
    "value, shown",
    [(1234567, "1,234,567"), (1234.5, "1.23e+03"), (-0.5, "-0.5"), (2.0, "2"), (0, "0")],
)
def test_labels_that_are_counted_and_that_are_numbers(value, shown):
    entry = {"examples_in": 1, "examples_out": 1, "labels": {"x": value}, "reasons": {}}
    assert format_report({"train": entry}).splitlines()[-1] == f"             x {shown}"


def test_lengths_by_hand():
    lengths = [1, 2, 3, 4, 1000, 7]
    expected = {
        "count": 6,
        "mean": 169.5,
        "median": 3.5,
        "longest": 1000,
        "max_length": 3,
        "truncated": 0.5,
    }
    assert length_report(lengths, 3) == expected | {
        "percentile_95": 751.75
    }  # a quarter of the way from 7 to 1000, from above
    report = length_report(np.array([1, 1, 2]), 1)
    assert (
        report["mean"] == 1.33 and report["truncated"] == 0.3333 and report["percentile_95"] == 1.9
    )
    assert [type(value) for value in report.values()] == [int, float, float, float, int, int, float]
    assert format_lengths(length_report([1000] * 2 + [4000], 2000), beyond="left out above") == (
        "tokens: mean 2000, median 1000, 95th percentile 3700, longest 4,000; 33.3 % of 3 are left "
        "out above 2000"
    )


def test_lengths_of_nothing():
    nothing = {
        "count": 0,
        "mean": 0.0,
        "median": 0.0,
        "percentile_95": 0.0,
        "longest": 0,
        "max_length": 8,
        "truncated": 0.0,
    }
    assert length_report([], 8) == nothing
    assert format_lengths(length_report([], 8)).endswith("0 % of 0 are cut at 8")


def test_a_text_as_long_as_the_limit_is_not_cut():
    assert length_report([8, 9, 7, 7], 8)["truncated"] == 0.25
