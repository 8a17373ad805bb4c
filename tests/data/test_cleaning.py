"""Every repair and every reason to drop a pair, on a pair made for it, and the report."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.cleaning import clean, repair_unicode, why_drop, wrong_script
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


@pytest.mark.parametrize(
    "codes, becomes",
    [
        (
            (
                0x00,
                0x08,
                0x0E,
                0x1B,
                0x7F,
                0xAD,
                0x200B,
                0x200E,
                0x200F,
                0x202A,
                0x202E,
                0x2060,
                0x2064,
                0xFEFF,
                0xFFFE,
            ),
            "{}",
        ),
        (
            (
                0x09,
                0x0A,
                0x0D,
                0x1C,
                0x1F,
                0xA0,
                0x2000,
                0x200A,
                0x2028,
                0x2029,
                0x202F,
                0x205F,
                0x3000,
            ),
            "{} ",
        ),
        ((0x7E, 0xAC, 0xAE, 0x200C, 0x200D, 0x2010, 0x2065, 0xFFFD), "{}{code}"),
    ],
)
def test_what_becomes_of_control_characters_and_their_neighbours(codes, becomes):
    """The first and the last of each range that is deleted, and what stands next to it: a space,
    or a character that stays."""
    for code in map(chr, codes):
        expected = becomes.format("Wort", code=code) + "zwei"
        assert cleaned([("word", f"Wort{code}zwei")])[0] == [("word", expected)], hex(ord(code))


def test_controls_of_which_windows_makes_letters_are_letters():
    """0x84 and 0x85 are quotes and dots in Windows-1252, of which 0x81 and 0x9D mean nothing."""
    assert cleaned([("word", "\x84Wort\x85 \x81zwei\x9d")])[0] == [("word", "„Wort… zwei")]


@pytest.mark.parametrize("text", ["Müller &amp; Söhne", "é \r\n b", "é \x1b[31mrot", "ẞ ﬁ Ⅷ ½"])
def test_the_repair_of_unicode_leaves_marks_breaks_and_signs_alone(text):
    assert repair_unicode(text) == text


@pytest.mark.parametrize(
    "text",
    ["“quotes” and ’", "ﬁne", "Ｆｕｌｌ", "&amp; <b>", "👩‍👩‍👧‍👦 1", "x = 1 ± 2", "é &amp; b"],
)
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
    pair = Pair(
        f"question: who?  context: {'long ' * 90}", "Ma\u0308x ", "people", ("Ma\u0308xchen",)
    )
    pairs, reasons = cleaned(
        [pair, pair._replace(target=" ")], dataclasses.replace(CONFIG, task="question_answering")
    )
    assert pairs == [
        pair._replace(source=f"question: who? context: {'long ' * 90}".strip(), target="Mäx")
    ]
    assert (
        isinstance(pairs[0], Pair)
        and reasons["empty"]["count"] == 1
        and "length ratio" not in reasons
    )


def test_names_numbers_and_short_copies_stay():
    pairs = [
        ("Berlin", "Berlin"),
        ("42", "42"),
        ("A T-Shirt", "Ein T-Shirt"),
        ("New York City", "New York City"),
    ]
    assert cleaned(pairs)[0] == pairs


@pytest.mark.parametrize(
    "source_language, target_language, reason",
    [
        ("en", "de", "copy of the source"),
        ("en", "", "copy of the source"),
        ("en", "en", ""),
        ("", "de", ""),
        ("", "", ""),
    ],
)
def test_a_copy_of_four_words_is_wrong_between_two_languages(
    source_language, target_language, reason
):
    config = dataclasses.replace(
        CONFIG, source_language=source_language, target_language=target_language
    )
    assert why_drop(("New York City Hall",) * 2, config) == reason
    assert why_drop(("New York City",) * 2, config) == ""


@pytest.mark.parametrize(
    "short, long, ratio, reason",
    [
        ("Hi.", "Guten Tag, meine Dame, willkommen!", 9.0, ""),  # 34 bytes, more than 9 times 3
        ("a", "b" * 90, 9.0, ""),
        ("a", "b" * 91, 9.0, "length ratio"),  # what is shorter counts as 10 bytes
        ("a" * 10, "b" * 90, 9.0, ""),
        ("a" * 10, "b" * 91, 9.0, "length ratio"),
        ("a" * 11, "b" * 99, 9.0, ""),
        ("a" * 11, "b" * 100, 9.0, "length ratio"),
        ("a" * 20, "ü" * 90, 9.0, ""),
        ("a" * 20, "ü" * 91, 9.0, "length ratio"),  # two bytes each
        ("a" * 20, "b" * 60, 3.0, ""),
        ("a" * 20, "b" * 61, 3.0, "length ratio"),
    ],
)
def test_how_much_longer_one_side_may_be(short, long, ratio, reason):
    config = dataclasses.replace(CONFIG, max_length_ratio=ratio)
    assert why_drop((short, long), config) == why_drop((long, short), config) == reason
    for task in ("summarization", "question_answering", "code", "text2text"):
        assert why_drop((short, long), dataclasses.replace(config, task=task)) == ""


def test_each_side_is_of_its_own_language():
    config = dataclasses.replace(CONFIG, source_language="en-GB", target_language="ru")
    pair = ("naïve weather", "погода сегодня")
    assert (
        why_drop(pair, config)
        == why_drop(pair, dataclasses.replace(config, source_language="de"))
        == ""
    )
    turned = dataclasses.replace(config, source_language="ru", target_language="de")
    assert why_drop(pair, turned) == why_drop((pair[1],) * 2, turned) == "wrong script"
    assert why_drop((pair[1], pair[0]), turned) == ""


def test_code_keeps_its_white_space_and_may_be_marks_alone():
    config = dataclasses.replace(CONFIG, task="code")
    pairs = [("    return  x\n", "MÃ¼ller\t= 1"), ("...", "{\n}"), ("x\x07y", " \n")]
    kept, reasons = cleaned(pairs, config)
    assert kept == [("    return  x\n", "Müller\t= 1"), ("...", "{\n}")]
    assert {reason: found["count"] for reason, found in reasons.items()} == {
        "Unicode": 1,
        "control characters": 1,
        "empty": 1,
    }
    assert cleaned(pairs[:2])[1]["no letter or digit"]["count"] == 1


def test_a_text_with_one_digit_among_marks_says_something():
    assert cleaned([("1...", "- 1 -"), ("a!", "(b)")])[0] == [("1...", "- 1 -"), ("a!", "(b)")]


def test_duplicates_inside_and_across_splits():
    pairs = [("one", "eins"), ("one", "eins"), ("one", "ein"), ("two", "zwei"), ("three", "drei")]
    kept, reasons = cleaned(pairs, validation=[("two", "2")], test=[("three", "3")])
    assert kept == [("one", "eins"), ("one", "ein")]
    assert (
        reasons["duplicate"]["count"] == 1
        and reasons["source occurs in validation or test"]["count"] == 2
    )


def test_a_question_that_is_asked_again_is_a_duplicate_unless_it_is_scored_by_other_answers():
    pair = Pair("question: who? context: Ann, Bo", "Ann", "answerable", ("Bo",))
    other = pair._replace(others=())
    kept, reasons = cleaned([pair, pair, other, other._replace(kind="names")])
    assert kept == [pair, other, other._replace(kind="names")]
    assert reasons["duplicate"] == {
        "action": "dropped",
        "count": 1,
        "examples": ["2: question: who? context: Ann, Bo ||| Ann"],
    }


def test_leaks_are_found_in_repaired_text():
    pairs = [("the house", "das Haus"), ("a  dog", "ein Hund"), ("a cat", "eine Katze")]
    found = {"validation": [("the  house", "das Haus")], "test": [("a dog ", "der Hund")]}
    splits, report = clean({"train": pairs, **found}, CONFIG)
    assert splits == {"train": pairs[2:], **found}
    assert report["train"]["reasons"]["source occurs in validation or test"] == {
        "action": "dropped",
        "count": 2,
        "examples": ["1: the house ||| das Haus", "2: a dog ||| ein Hund"],
    }
    assert report["validation"]["reasons"].keys() == report["test"]["reasons"].keys() == {"spaces"}


def test_a_source_of_the_validation_that_stands_in_the_test_is_counted_and_kept():
    found = {"validation": [("the  house", "das Haus")], "test": [("the house", "ein Haus")]}
    splits, report = clean({"train": [], **found}, CONFIG)
    assert splits == {"train": [], **found}
    assert report["validation"]["reasons"]["source occurs in test"]["examples"] == [
        "1: the house ||| das Haus"
    ]


def test_a_pair_that_stands_in_the_test_and_twice_in_training_is_a_duplicate_once():
    _, reasons = cleaned([("two", "zwei")] * 2 + [("a", "b")], test=[("two", "zwei")])
    assert {reason: found["count"] for reason, found in reasons.items()} == {
        "source occurs in validation or test": 1,
        "duplicate": 1,
    }


def test_a_target_that_stands_in_the_test_is_no_leak():
    assert cleaned([("yes", "ja"), ("ja", "yes")], test=[("sure", "ja")])[0] == [
        ("yes", "ja"),
        ("ja", "yes"),
    ]


def test_the_report_by_hand():
    """Examples of a repair show the text as it was, those of a reason to drop the pair as it is."""
    pairs = [("good", "gut"), ("a  b", "c \u200bd"), ("  ", "x"), ("good", "gut ")]
    splits, report = clean({"train": pairs, "validation": [("", "leer")], "test": []}, CONFIG)
    assert splits == {
        "train": [("good", "gut"), ("a b", "c d")],
        "validation": [("", "leer")],
        "test": [],
    }
    assert report == {
        "train": {
            "pairs_in": 4,
            "pairs_out": 2,
            "reasons": {
                "spaces": {
                    "action": "repaired",
                    "count": 3,
                    "examples": ["2: a  b", "3:   ", "4: gut "],
                },
                "control characters": {
                    "action": "repaired",
                    "count": 1,
                    "examples": ["2: c \u200bd"],
                },
                "empty": {"action": "dropped", "count": 1, "examples": ["3:  ||| x"]},
                "duplicate": {"action": "dropped", "count": 1, "examples": ["4: good ||| gut"]},
            },
        },
        "validation": {
            "pairs_in": 1,
            "pairs_out": 1,
            "reasons": {
                "empty": {"action": "kept", "count": 1, "examples": ["1:  ||| leer"]},
            },
        },
        "test": {"pairs_in": 0, "pairs_out": 0, "reasons": {}},
    }


PAIRS = st.lists(st.tuples(*[st.text("ab1. \t\u00a0\u200béпр", max_size=8)] * 2), max_size=8)


@settings(max_examples=100)
@given(train=PAIRS, validation=PAIRS, test=PAIRS)
def test_what_is_clean_stays_and_nothing_is_lost(train, validation, test):
    splits, report = clean({"train": train, "validation": validation, "test": test}, CONFIG)
    again, second = clean(splits, CONFIG)
    assert again == splits and second["train"]["reasons"] == {}
    assert splits["validation"] == validation and splits["test"] == test
    dropped = [
        found["count"]
        for found in report["train"]["reasons"].values()
        if found["action"] == "dropped"
    ]
    assert (
        len(train) == report["train"]["pairs_in"]
        and len(splits["train"]) == report["train"]["pairs_out"]
    )
    assert len(train) - sum(dropped) == len(splits["train"])
    # No letter is lost or made of what is kept, nor is the order changed.
    left = iter(train)
    for pair in splits["train"]:
        words = [text.replace("\u200b", "").split() for text in pair]
        assert any(
            [text.replace("\u200b", "").split() for text in other] == words for other in left
        )


def test_a_repair_that_makes_another_possible():
    """A character without width stands between the two halves of a wrongly decoded letter."""
    kept, reasons = cleaned([("M\u00c3\u200b\u00bcll", "waste")])
    assert kept == [("Müll", "waste")]
    assert {reason: found["examples"] for reason, found in reasons.items()} == {
        "control characters": ["1: M\u00c3\u200b\u00bcll"],
        "Unicode": ["1: M\u00c3\u00bcll"],
    }


def test_validation_and_test_keep_every_pair():
    """And change none: a score against another reference is another score."""
    test = [("...", "..."), ("x", "Ã¼"), ("y  z", "y"), ("y z", "y")]
    splits, report = clean(
        {"train": [("a b", "c d")], "validation": [("", "leer"), ("x", "y")], "test": test}, CONFIG
    )
    assert splits["validation"] == [("", "leer"), ("x", "y")] and splits["test"] == test
    assert {
        reason: found["count"] for reason, found in report["validation"]["reasons"].items()
    } == {
        "empty": 1,
        "source occurs in test": 1,
    }
    assert {
        reason: (found["count"], found["action"])
        for reason, found in report["test"]["reasons"].items()
    } == {
        "no letter or digit": (1, "kept"),
        "Unicode": (1, "kept"),
        "spaces": (1, "kept"),
        "duplicate": (1, "kept"),
    }
    assert report["test"]["pairs_in"] == report["test"]["pairs_out"] == 4


def test_without_cleaning_only_empty_pairs_go():
    config = DataConfig(corpus="reverse", source_language="en", target_language="de", clean=False)
    pairs = [("...", "..."), ("    return  x", "Ã¼"), ("a", "b"), ("a", "b")]
    kept, reasons = cleaned([*pairs, ("", "x"), ("x", " \n")], config, test=[("a", "b")])
    assert kept == pairs and reasons == {
        "empty": {"action": "dropped", "count": 2, "examples": ["5:  ||| x", "6: x |||  \n"]}
    }


@pytest.mark.parametrize(
    "text, language, wrong",
    [
        ("今天天气很好", "zh", False),
        ("hello world", "zh", True),
        ("我用Python写程序", "zh", False),
        ("OK", "zh", False),
        ("ひらがなとカタカナ", "ja", False),
        ("Привет мир", "ru", False),
        ("Привет мир", "de", True),
        ("Grüße", "de", False),
        ("whatever это", "", False),
        ("hello world", "zh-CN", True),
        ("hello world", "zh_TW", True),
        ("1234 5678", "zh", False),
        ("東京都庁", "ja", False),
        ("ひらがな", "ja", False),
        ("カタカナ", "ja", False),
        ("안녕하세요", "ko", False),
        ("Добрий день", "uk", False),
        ("Добър ден", "bg", False),
        ("Καλημέρα", "el", False),
        ("صباح الخير", "ar", False),
        ("سلام دنیا", "fa", False),
        ("שלום עולם", "he", False),
        ("नमस्ते दुनिया", "hi", False),
        ("สวัสดีครับ", "th", False),
        ("abc", "zh", False),
        ("abcd", "zh", True),
        ("今abc", "zh", False),
        ("今abcd", "zh", True),  # four letters; a quarter
        ("今天abcdef", "zh", False),
        ("今天abcdefg", "zh", True),
        ("今abc 2024", "zh", False),
        ("ab где", "de", False),
        ("a где это", "de", True),
        ("ab где это", "de", False),
        # Tangut, whose letters have no names in Unicode's list.
        ("\U00017000" * 4, "zh", True),
        ("今" + "\U00017000" * 3, "zh", False),
    ],
)
def test_scripts(text, language, wrong):
    assert wrong_script(text, language) == wrong


@pytest.mark.parametrize("language", "zh ja ko ru uk bg el ar fa he hi".split())
def test_latin_text_is_in_the_wrong_script(language):
    assert wrong_script("hello world", language) and wrong_script("สวัสดีครับ", language)


@pytest.mark.parametrize(
    "language", "cs da de en es et fi fr hr hu it lt lv nl no pl pt ro sk sl sv tr vi".split()
)
def test_latin_languages(language):
    assert wrong_script("Привет мир", language) and not wrong_script("Được rồi", language)


def test_the_report_counts_and_shows_at_most_five_examples():
    _, report = clean(
        {"train": [("", "x")] * 9 + [("a b", "c d")], "validation": [], "test": []}, CONFIG
    )
    assert report["train"]["reasons"]["empty"]["count"] == 9
    assert len(report["train"]["reasons"]["empty"]["examples"]) == 5


def multi30k(folder, name):
    sides = []
    for language in ("en", "de"):
        with open(
            folder / "multi30k" / f"{name}.{language}", encoding="utf-8", newline="\n"
        ) as file:
            sides.append(file.read().split("\n")[:-1])
    return list(zip(*sides, strict=True))


def test_flaws_as_multi30k_has_them_are_found(tmp_path):
    """Lines that are made up in place of the real ones, with the same flaws."""
    english = ["A dog runs.", "Two men  talk.", "A child.", "A dog runs. ", "A bird.", "Snow"]
    german = [
        "Ein Hund rennt.",
        "Zwei Männer reden.",
        "@@",
        "Ein Hund rennt.",
        "Ein Vogel.",
        "Schnee",
    ]
    (tmp_path / "multi30k").mkdir()
    for name, sides in {"train": (english, german), "val": (["A  bird."], ["Ein Vogel."])}.items():
        for language, texts in zip(("en", "de"), sides):
            (tmp_path / "multi30k" / f"{name}.{language}").write_text(
                "".join(f"{text}\n" for text in texts), encoding="utf-8"
            )
    train = multi30k(tmp_path, "train")
    splits, report = clean(
        {"train": train, "validation": multi30k(tmp_path, "val"), "test": []}, CONFIG
    )
    assert splits["train"] == [train[0], ("Two men talk.", "Zwei Männer reden."), train[5]]
    assert {
        reason: (found["count"], found["examples"])
        for reason, found in report["train"]["reasons"].items()
    } == {
        "spaces": (2, ["2: Two men  talk.", "4: A dog runs. "]),
        "no letter or digit": (1, ["3: A child. ||| @@"]),
        "duplicate": (1, ["4: A dog runs. ||| Ein Hund rennt."]),
        "source occurs in validation or test": (1, ["5: A bird. ||| Ein Vogel."]),
    }


def test_the_flaws_of_multi30k_are_found(shared):
    """Two German lines of training are "@@", pairs and spaces stand twice, and a line of
    validation is in training."""
    splits, report = clean(
        {"train": multi30k(shared, "train"), "validation": multi30k(shared, "val"), "test": []},
        CONFIG,
    )
    reasons, pairs = report["train"]["reasons"], multi30k(shared, "train")
    assert (
        report["train"]["pairs_in"] == 29_000
        and len(splits["train"]) == report["train"]["pairs_out"] >= 28_900
    )
    assert [example.split(":")[0] for example in reasons["no letter or digit"]["examples"]] == [
        "16510",
        "16664",
    ]
    held_out = {" ".join(source.split()) for source, _ in multi30k(shared, "val")}
    leaked = [source for source, _ in pairs if " ".join(source.split()) in held_out]
    assert reasons["source occurs in validation or test"]["count"] == len(leaked) >= 1
    twice = len(pairs) - len({tuple(" ".join(text.split()) for text in pair) for pair in pairs})
    assert reasons["duplicate"]["count"] == twice
    assert reasons["spaces"]["count"] >= sum(
        text != " ".join(text.split()) for pair in pairs for text in pair
    )


def test_of_a_pair_its_texts_alone_are_repaired_and_shown():
    """And not what says of which kind it is."""
    pair = Pair("a  word", "...", "of  two  kinds")
    pairs, reasons = cleaned([pair, Pair("eins", "zwei", "of  two  kinds")])
    assert pairs == [Pair("eins", "zwei", "of  two  kinds")]
    assert reasons["spaces"] == {"action": "repaired", "count": 1, "examples": ["1: a  word"]}
    dropped = [entry for reason, entry in reasons.items() if reason != "spaces"]
    assert dropped == [{"action": "dropped", "count": 1, "examples": ["1: a word ||| ..."]}]
