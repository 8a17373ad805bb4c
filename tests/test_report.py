"""The report on data, as it is counted and as it is printed."""

from data.report import Log, format_lengths, format_report, length_report


def test_a_log_counts_all_and_shows_five():
    log = Log()
    for number in range(9):
        log.count("empty", "dropped", f"a.tsv:{number}", "x" * 200)
    assert log.reasons["empty"]["count"] == 9 and log.reasons["empty"]["action"] == "dropped"
    assert log.reasons["empty"]["examples"] == [f"a.tsv:{number}: {'x' * 160}" for number in range(5)]


def test_the_table():
    seen, empty = ({"action": action, "count": count, "examples": []} for action, count in (("kept", 2), ("dropped", 34)))
    entry = {"examples_in": 1234, "examples_out": 1200, "labels": {"x": 1000, "y": 200}, "reasons": {}}
    report = {
        "train": entry | {"reasons": {"text stands in train too": seen, "empty text": empty}},
        "test": entry | {"examples_in": 3, "examples_out": 3, "labels": {"lowest": -0.12345, "highest": 5.0}},
    }
    assert format_report(report).splitlines() == [
        "split         examples      kept",
        "train            1,234     1,200",
        "             x 1,000, y 200",
        "          34 dropped   empty text",  # the commonest first
        "           2 kept      text stands in train too",
        "test                 3         3",
        "             lowest -0.123, highest 5",
    ]
    assert format_report({"train": {"pairs_in": 10, "pairs_out": 1, "reasons": {}}}).splitlines() == [
        "split            pairs      kept", "train               10         1"
    ]  # fmt: skip


def test_of_many_labels_twelve_are_shown():
    entry = {"examples_in": 15, "examples_out": 15, "labels": {f"l{n}": 1 for n in range(15)}, "reasons": {}}
    assert format_report({"train": entry}).endswith(", l10 1, l11 1, and 3 more")


def test_lengths_of_nothing():
    assert length_report([], 8)["count"] == 0 and format_lengths(length_report([], 8)).endswith("0 % of 0 are cut at 8")


def test_a_text_as_long_as_the_limit_is_not_cut():
    assert length_report([8, 9, 7, 7], 8)["truncated"] == 0.25
