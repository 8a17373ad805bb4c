"""Every repair and every reason to drop a pair, on a pair made for it, and the report."""

import dataclasses

import pytest

from data.cleaning import clean, wrong_script
from data.config import DataConfig
from data.pairs import Pair

CONFIG = DataConfig(corpus="reverse", source_language="en", target_language="de")


def cleaned(pairs, config=CONFIG, **others):
    splits, report = clean({"train": pairs, "validation": [], "test": [], **others}, config)
    return splits["train"], report["train"]["reasons"]


@pytest.mark.parametrize(
    "text, repaired, reason",
    [
        ("MÃ¼nchen ist schÃ¶n", "München ist schön", "Unicode"),
        ("Mu\u0308nchen", "München", "Unicode"),
        ("a\u200bb \u00adc\x07d\ufeff", "ab cd", "control characters"),
        ("one\x0ctwo\u2028three\x1dfour", "one two three four", "spaces"),
        ("  a \t b\u00a0c  ", "a b c", "spaces"),
    ],
)
def test_repairs(text, repaired, reason):
    pairs, reasons = cleaned([(text, "Ziel eins")])
    assert pairs == [(repaired, "Ziel eins")]
    assert reasons[reason]["count"] == 1 and reasons[reason]["action"] == "repaired"


@pytest.mark.parametrize("text", ["“quotes” and ’", "ﬁne", "Ｆｕｌｌ", "&amp; <b>", "👩‍👩‍👧‍👦 1", "x = 1 ± 2"])
def test_what_is_right_stays(text):
    assert cleaned([(text, "Ziel eins")]) == ([(text, "Ziel eins")], {})


@pytest.mark.parametrize(
    "pair, reason",
    [
        (("", "Ziel"), "empty"),
        (("a house", " \u200b "), "empty"),
        (("...", "Punkt"), "no letter or digit"),
        (("this was never translated", "this was never translated"), "copy of the source"),
        (("yes", "ja " * 50), "length ratio"),
        (("the weather is nice", "погода сегодня хорошая"), "wrong script"),
    ],
)
def test_reasons_to_drop(pair, reason):
    pairs, reasons = cleaned([("good", "gut"), pair])
    assert pairs == [("good", "gut")]
    assert reasons[reason]["count"] == 1 and reasons[reason]["action"] == "dropped"
    assert reasons[reason]["examples"][0].startswith("2: ")


def test_a_question_keeps_what_it_is_scored_by_and_its_answer_may_be_short():
    pair = Pair(f"question: who?  context: {'long ' * 90}", "M\u0308ax", "people", ("Ma\u0308xchen",))
    pairs, reasons = cleaned([pair, pair._replace(target=" ")], dataclasses.replace(CONFIG, task="question_answering"))
    assert pairs == [pair._replace(source=f"question: who? context: {'long ' * 90}".strip(), target="M̈ax")]
    assert isinstance(pairs[0], Pair) and reasons["empty"]["count"] == 1 and "length ratio" not in reasons


def test_names_numbers_and_short_copies_stay():
    pairs = [("Berlin", "Berlin"), ("42", "42"), ("A T-Shirt", "Ein T-Shirt")]
    assert cleaned(pairs)[0] == pairs


def test_duplicates_inside_and_across_splits():
    pairs = [("one", "eins"), ("one", "eins"), ("one", "ein"), ("two", "zwei"), ("three", "drei")]
    kept, reasons = cleaned(pairs, validation=[("two", "2")], test=[("three", "3")])
    assert kept == [("one", "eins"), ("one", "ein")]
    assert reasons["duplicate"]["count"] == 1 and reasons["source stands in validation or test"]["count"] == 2


def test_validation_and_test_keep_every_pair():
    """And change none: a score against another reference is another score."""
    test = [("...", "..."), ("x", "Ã¼"), ("y  z", "y"), ("y z", "y")]
    splits, report = clean({"train": [("a b", "c d")], "validation": [("", "leer"), ("x", "y")], "test": test}, CONFIG)
    assert splits["validation"] == [("", "leer"), ("x", "y")] and splits["test"] == test
    assert {reason: found["count"] for reason, found in report["validation"]["reasons"].items()} == {
        "empty": 1, "source stands in test": 1,
    }  # fmt: skip
    assert {reason: (found["count"], found["action"]) for reason, found in report["test"]["reasons"].items()} == {
        "no letter or digit": (1, "kept"), "Unicode": (1, "kept"), "spaces": (1, "kept"), "duplicate": (1, "kept"),
    }  # fmt: skip
    assert report["test"]["pairs_in"] == report["test"]["pairs_out"] == 4


def test_without_cleaning_only_empty_pairs_go():
    config = DataConfig(corpus="reverse", source_language="en", target_language="de", clean=False)
    pairs = [("...", "..."), ("    return  x", "Ã¼"), ("a", "b"), ("a", "b")]
    assert cleaned([*pairs, ("", "x")], config)[0] == pairs


@pytest.mark.parametrize(
    "text, language, wrong",
    [
        ("今天天气很好", "zh", False), ("hello world", "zh", True), ("我用Python写程序", "zh", False), ("OK", "zh", False),
        ("ひらがなとカタカナ", "ja", False), ("Привет мир", "ru", False), ("Привет мир", "de", True), ("Grüße", "de", False),
        ("whatever это", "", False), ("hello world", "zh-CN", True), ("hello world", "zh_TW", True), ("1234 5678", "zh", False),
    ],
)  # fmt: skip
def test_scripts(text, language, wrong):
    assert wrong_script(text, language) == wrong


def test_the_report_counts_and_shows_at_most_five_examples():
    _, report = clean({"train": [("", "x")] * 9 + [("a b", "c d")], "validation": [], "test": []}, CONFIG)
    assert report["train"]["reasons"]["empty"]["count"] == 9
    assert len(report["train"]["reasons"]["empty"]["examples"]) == 5


def multi30k(folder, name):
    sides = []
    for language in ("en", "de"):
        with open(folder / "multi30k" / f"{name}.{language}", encoding="utf-8", newline="\n") as file:
            sides.append(file.read().split("\n")[:-1])
    return list(zip(*sides, strict=True))


def test_the_flaws_of_multi30k_are_found(shared):
    """Two German lines of training are "@@", pairs and spaces stand twice, and a line of validation is in training."""
    splits, report = clean({"train": multi30k(shared, "train"), "validation": multi30k(shared, "val"), "test": []}, CONFIG)
    reasons, pairs = report["train"]["reasons"], multi30k(shared, "train")
    assert report["train"]["pairs_in"] == 29_000 and len(splits["train"]) == report["train"]["pairs_out"] >= 28_900
    assert [example.split(":")[0] for example in reasons["no letter or digit"]["examples"]] == ["16510", "16664"]
    held_out = {" ".join(source.split()) for source, _ in multi30k(shared, "val")}
    leaked = [source for source, _ in pairs if " ".join(source.split()) in held_out]
    assert reasons["source stands in validation or test"]["count"] == len(leaked) >= 1
    twice = len(pairs) - len({tuple(" ".join(text.split()) for text in pair) for pair in pairs})
    assert reasons["duplicate"]["count"] == twice
    assert reasons["spaces"]["count"] >= sum(text != " ".join(text.split()) for pair in pairs for text in pair)
