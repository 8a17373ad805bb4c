"""Scores of summaries: worked out by hand, and equal to rouge-score's own where that can read
the text."""

import collections
import importlib.metadata

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from transformer.metrics.summaries import (
    ROUGE,
    compression,
    first_sentences,
    first_words,
    novel_ngrams,
    rouge_scores,
    sentences,
    summary_scores,
    words,
)


def rouge(references, prediction, language=""):
    scores = rouge_scores([references], [prediction], language, confidence=False)
    return [scores[name] for name in ROUGE]


def test_rouge_by_hand():
    # Words 3 of 4 and 3 of 6 shared: F1 2 x 3 / 10. Pairs: "the cat" of 3 and 5. The longest run in
    # order is 3 again.
    assert rouge(["the cat sat down"], "the cat has now sat there") == pytest.approx(
        [60.0, 25.0, 60.0, 60.0]
    )
    # In another order the words are all there, the longest common subsequence is one of two.
    assert rouge(["cats sleep"], "sleep, cats!") == pytest.approx([100.0, 0.0, 50.0, 50.0])
    # Sentences in another order: as one text 2 of 4 in order, sentence by sentence all.
    assert rouge(["Cats sleep. Dogs bark."], "Dogs bark. Cats sleep.") == pytest.approx(
        [100.0, 200 / 3, 50.0, 100.0]
    )


def test_english_is_stemmed_and_the_best_reference_counts():
    assert rouge(["summarised meetings"], "summarise meeting") == pytest.approx([100.0] * 4)
    assert rouge(["a b c d", "e f", "a b"], "e f") == pytest.approx([100.0] * 4)
    # By each measure its own: words of the first, order of the second.
    assert rouge(["b a", "a x b y z"], "a b")[0] == 100.0 and rouge(["b a", "a x b y z"], "a b")[
        2
    ] == pytest.approx(400 / 7)


def test_rouge_is_that_of_the_package():
    from rouge_score.rouge_scorer import RougeScorer

    rng = np.random.default_rng(0)
    vocabulary = (
        "running runs ran the of markets falling shares 3 2020 it's U.S. (new) — year".split()
    )

    def line():
        return " ".join(rng.choice(vocabulary, rng.integers(1, 12)))

    references = [[f"{line()}\n{line()}" for _ in range(n % 3 + 1)] for n in range(30)]
    predictions = [line() for _ in range(30)]
    scorer = RougeScorer(ROUGE, use_stemmer=True)
    expected = [
        scorer.score_multi(texts, prediction) for texts, prediction in zip(references, predictions)
    ]
    scores = rouge_scores(references, predictions, "en")
    assert scores == rouge_scores(references, predictions, "en")  # the intervals too
    for name in ROUGE[:3]:
        assert scores[name] == pytest.approx(
            100 * np.mean([row[name].fmeasure for row in expected])
        )
    split = [
        (["\n".join(sentences(text)) for text in texts], "\n".join(sentences(prediction)))
        for texts, prediction in zip(references, predictions)
    ]
    expected = [scorer.score_multi(*pair)["rougeLsum"].fmeasure for pair in split]
    assert scores["rougeLsum"] == pytest.approx(100 * np.mean(expected))


def f1(shared, first, second):
    return 2 * shared / (first + second) if shared else 0.0


def shared_ngrams(first, second, n):
    """ROUGE-N's F1 of two lists of words: each n-gram counts as often as both have it."""
    first, second = (
        [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
        for words in (first, second)
    )
    shared = sum((collections.Counter(first) & collections.Counter(second)).values())
    return f1(shared, len(first), len(second))


def longest_common(first, second):
    """Length of the longest common subsequence, by its recurrence."""
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            table[row + 1, column + 1] = (
                table[row, column] + 1
                if one == other
                else max(table[row, column + 1], table[row + 1, column])
            )
    return int(table[-1, -1])


GERMAN = strategies.lists(
    strategies.sampled_from(["Äpfel", "äpfel", "fallen", "fällt", "茶", "2020"]), max_size=6
)


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    pairs=strategies.lists(
        strategies.tuples(strategies.lists(GERMAN, min_size=1, max_size=2), GERMAN),
        min_size=1,
        max_size=3,
    )
)
def test_rouge_is_what_its_definitions_say(pairs):
    """Of one sentence each; words in lower case, no stems. The best reference counts, for each
    measure by itself."""
    scores = rouge_scores(
        [[" ".join(words) for words in texts] for texts, _ in pairs],
        [" ".join(words) for _, words in pairs],
        "de",
        False,
    )
    lower = [
        ([[word.lower() for word in words] for words in texts], [word.lower() for word in words])
        for texts, words in pairs
    ]
    for n, name in ((1, "rouge1"), (2, "rouge2")):
        best = [max(shared_ngrams(text, said, n) for text in texts) for texts, said in lower]
        assert scores[name] == pytest.approx(100 * np.mean(best))
    best = [
        max(f1(longest_common(text, said), len(text), len(said)) for text in texts)
        for texts, said in lower
    ]
    assert (
        scores["rougeL"] == pytest.approx(100 * np.mean(best)) == pytest.approx(scores["rougeLsum"])
    )


@pytest.mark.parametrize(
    ("language", "reference", "prediction", "expected"),
    [
        # Characters 3 of 4 and 3 of 5; pairs "我喜", "喜欢" of 3 and 4.
        ("zh", "我喜欢茶", "我喜欢喝水", 200 * 3 / 9),
        ("zh_CN", "他用GPT-4写。", "GPT 4 写", 200 * 3 / 8),
        ("ja", "コーヒー", "コーラ", 200 * 2 / 7),
        ("ja", "すしを食べる", "すしを飲む", 200 * 3 / 11),
        ("ko", "학교에", "학교", 200 * 2 / 5),
        ("de", "Über Äpfel", "über äpfeln", 50.0),
        ("ru", "кошка спит", "Кошка спит!", 100.0),
        ("hi", "हिन्दी भाषा", "हिन्दी", 200 / 3),
    ],
)
def test_other_scripts_by_hand(language, reference, prediction, expected):
    assert rouge([reference], prediction, language)[0] == pytest.approx(expected)


def test_other_letters_are_not_scored_as_english():
    with pytest.raises(
        ValueError, match=r"Received: language '', 100% other letters. Name the language"
    ):
        rouge(["我喜欢茶"], "我喜欢茶")
    assert rouge(["你好 hello world"], "hello")[0] == pytest.approx(200 / 3)
    version = importlib.metadata.version("rouge-score")
    assert (
        rouge_scores([["茶"]], ["茶"], "zh")["rouge_signature"]
        == f"rouge-score {version}, words of any script, no stemmer"
    )
    assert (
        rouge_scores([["tea"]], ["tea"])["rouge_signature"]
        == f"rouge-score {version}, Porter stemmer"
    )
    # Half of the letters may be others; signs and digits are none. What is said to be English is
    # asked too, predictions are not.
    assert rouge(["你好 hi"], "hi", "en_US")[0] == 100.0
    with pytest.raises(
        ValueError, match="Received: language 'en', 60% other letters.*--target_language"
    ):
        rouge(["你好吗 hi 2020!"], "hi", "en")
    with pytest.raises(ValueError, match="67% other letters"):
        rouge(["a", "你好"], "a")
    assert rouge(["2020 —!"], "2020")[0] == 100.0 and rouge(["hi"], "你好") == [0.0] * 4
    assert rouge(["你好"], "你好", "zh")[0] == 100.0


def test_intervals_surround_the_mean_and_repeat():
    references, predictions = [["a b"]] * 60, ["a b", "c"] * 30
    scores = rouge_scores(references, predictions)
    # The standard error of 60 coin flips is 50 / sqrt(60) = 6.5 points.
    assert scores["rouge1"] == 50.0 and scores["rouge1_interval"] == pytest.approx(
        1.96 * 50 / 60**0.5, rel=0.15
    )
    assert scores == rouge_scores(references, predictions)
    assert "rouge1_interval" not in rouge_scores([["a"]], ["a"])
    assert "rouge1_interval" not in rouge_scores([["a"]] * 2, ["a"] * 2, "", False)
    # Each measure has its own: of two words in turn, both are always there and never in order.
    scores = rouge_scores([["a b"]] * 40, ["b a", "a b"] * 20)
    assert scores["rouge1_interval"] == 0.0 and scores["rouge2_interval"] == pytest.approx(
        1.96 * 50 / 40**0.5, rel=0.15
    )
    assert scores["rougeL_interval"] == pytest.approx(scores["rouge2_interval"] / 2)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="Received: 1 references, 2 predictions"):
        rouge_scores([["a"]], ["a", "b"])
    with pytest.raises(ValueError, match="must be a list of texts.*Received: a str"):
        rouge_scores(["a"], ["a"])
    with pytest.raises(ValueError, match="Received: none"):
        rouge_scores([[]], ["a"])
    with pytest.raises(ValueError, match="Received: 1 references, 2 predictions"):
        summary_scores(["a", "b"], [["a"]], ["a"])
    with pytest.raises(ValueError, match="Received: a str"):
        summary_scores(["a"], ["a"], ["a"])
    with pytest.raises(ValueError, match="Received: 0 references, 0 predictions"):
        rouge_scores([], [])


def test_an_empty_prediction_scores_nothing():
    assert rouge(["a b"], "") == [0.0] * 4 and rouge([""], "a") == [0.0] * 4


def test_words_of_any_script():
    assert words("It's 3.5 kg, naïve_café!") == ["it", "s", "3", "5", "kg", "naïve", "café"]
    assert words("东京タワー、서울 2020年") == [
        "东",
        "京",
        "タ",
        "ワ",
        "ー",
        "서",
        "울",
        "2020",
        "年",
    ]
    assert words("ひらがな") == ["ひ", "ら", "が", "な"]
    assert words("—!") == [] and words("ÄB") == ["äb"]
    assert words("e\u0301té हिन्दी ½ Ⅻ x_y") == ["e\u0301té", "हिन्दी", "½", "ⅻ", "x", "y"]
    assert words("abc漢字def") == ["abc", "漢", "字", "def"]


def test_beginnings():
    text = "Mail from Ann: the plan (v. 2) is new. It holds! 好。再见"
    assert first_words(text, 3) == "Mail from Ann" and first_words(text, 99) == text
    assert [first_words("(One) two!", count) for count in (1, 2, 3)] == [
        "(One",
        "(One) two!",
        "(One) two!",
    ]
    assert first_words("", 1) == "" and first_words("—", 1) == "—"
    assert first_words("我喜欢茶", 2) == "我喜"
    assert sentences("One.\n\nTwo?! Three… 四。“五！”六") == [
        "One.",
        "Two?!",
        "Three…",
        "四。",
        "“五！”",
        "六",
    ]
    assert sentences('He (Mr. X) left.) "So." No.5 e.g.\u00a0this') == [
        "He (Mr.",
        "X) left.)",
        '"So."',
        "No.5 e.g.",
        "this",
    ]
    assert sentences("“One.” Two. ‘Three!’ [Four?] Five… Six") == [
        "“One.”",
        "Two.",
        "‘Three!’",
        "[Four?]",
        "Five…",
        "Six",
    ]
    assert sentences("（好。）再见。『好！』他说。‘好？’是") == [
        "（好。）",
        "再见。",
        "『好！』",
        "他说。",
        "‘好？’",
        "是",
    ]
    assert sentences(" \n ") == [] and sentences("好。」」好！？再") == ["好。」」", "好！？", "再"]
    assert first_sentences("One. Two. Three.", 9) == "One.\nTwo.\nThree."
    assert first_sentences("One. Two. Three.", 2) == "One.\nTwo." and first_sentences("", 2) == ""


def test_novelty_by_hand():
    # "the dog sat": words dog is new of three; "the dog", "dog sat" both; no four in a row.
    assert novel_ngrams(["The cat sat."], ["the dog sat"]) == pytest.approx(
        {1: 100 / 3, 2: 100.0, 3: 100.0, 4: 0.0}
    )
    # All sums go over the set: 1 of 2 + 2 distinct words. A word said twice counts once.
    assert novel_ngrams(["a b", "c d"], ["a b", "c x c"])[1] == pytest.approx(25.0)
    assert novel_ngrams(["我喜欢茶"], ["我喜茶"])[2] == 50.0
    # All of five words' n-grams are there but those with the last word.
    assert novel_ngrams(["a b c d"], ["a b c d e"]) == pytest.approx(
        {1: 100 / 5, 2: 100 / 4, 3: 100 / 3, 4: 100 / 2}
    )
    # Each summary is held against its own source.
    assert novel_ngrams(["a", "b"], ["b", "a"])[1] == 100.0 and novel_ngrams([""], [""]) == {
        1: 0.0,
        2: 0.0,
        3: 0.0,
        4: 0.0,
    }
    with pytest.raises(ValueError):
        novel_ngrams(["a", "b"], ["a"])


def test_a_copy_is_not_new_and_half_as_short():
    assert compression(["a b c d", "e f"], ["a b", "e"]) == 0.5 and compression([""], ["a"]) == 0.0
    scores = summary_scores(
        ["one two three four", "five six"], [["one two", "two"], ["six"]], ["one two", "five"]
    )
    # Ten source words for the references, of which the first source counts twice.
    assert (scores["compression"], scores["reference_compression"]) == (0.5, 0.4)
    assert (
        [scores[f"novel_{n}"] for n in range(1, 5)]
        == [0.0] * 4
        == [scores[f"reference_novel_{n}"] for n in range(1, 5)]
    )
    assert scores["rouge1"] == pytest.approx(50.0) and "rouge1_interval" in scores
    assert compression(["a b"], ["a b c"]) == 1.5
    scores = summary_scores(
        ["a b", "c d"], [["a x"], ["c d", "c y"]], ["a z w", "c d"], "de", False
    )
    assert (scores["novel_1"], scores["reference_novel_1"]) == (
        pytest.approx(100 * 2 / 5),
        pytest.approx(100 * 2 / 6),
    )
    assert (scores["novel_2"], scores["reference_novel_2"]) == (
        pytest.approx(100 * 2 / 3),
        pytest.approx(100 * 2 / 3),
    )
    assert "rouge1_interval" not in scores and "no stemmer" in scores["rouge_signature"]
