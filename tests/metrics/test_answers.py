"""SQuAD's and CMRC 2018's scores against values worked out by hand."""

import math
import re
import string

import hypothesis
import pytest
from hypothesis import strategies

from transformer.metrics.answers import (
    apply_no_answer_threshold,
    best_no_answer_threshold,
    commonest_answers,
    span_matches,
    span_scores,
)


@pytest.mark.parametrize(
    ("answers", "prediction", "expected"),
    [
        (["Denver Broncos"], "the Denver Broncos!", (1, 1)),
        (
            ["Santa Clara, California", "Levi's Stadium"],
            "Levis stadium in Santa Clara",
            (0, 2 * 2 / (2 + 5)),
        ),
        (["Carolina Panthers"], "Panthers of Carolina, the Panthers", (0, 2 * 2 / (2 + 4))),
        (["to to to"], "to be or not to be", (0, 2 * 2 / (3 + 6))),
        (["Theatre"], "a theatre", (1, 1)),
        (["1977"], "1978", (0, 0)),
        ([], "", (1, 1)),
        ([], "Normandy", (0, 0)),
        (["Normandy"], "", (0, 0)),
        ([], "The.", (1, 1)),
        (["the", "France"], "", (0, 0)),
        (["a cat", "the black dog"], "black dog", (1, 1)),
        (["theatre and an anthem"], "theatre  and\tanthem", (1, 1)),
        (["U.S."], "us", (1, 1)),
        (["well—the—end"], "well— —end", (1, 1)),  # where an article was is a space
        (["well-known"], "well known", (0, 0)),  # a hyphen joins
        (["“quoted”"], "quoted", (0, 0)),  # signs of ASCII alone
        (["北京大学"], "北京 大学", (0, 0)),
    ],
)
def test_squad_by_hand(answers, prediction, expected):
    assert span_matches([answers], [prediction]) == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("answers", "prediction", "expected"),
    [
        (["北京大学"], "北京大学。", (1, 1)),
        (["北京大学"], "大学", (0, 2 * 2 / (4 + 2))),
        # The longest run they share is two characters, though they share four: 大 学 and not 北 京.
        (["北京的大学"], "大学在北京", (0, 2 * 2 / (5 + 5))),
        (["2018年", "二零一八年"], "2018 年", (0, 1)),
        (["Google公司"], "谷歌google公司", (0, 2 * 3 / (3 + 5))),
        (["3.5万"], "3.5万元", (0, 2 * 2 / (2 + 3))),
        (["《红楼梦》"], "红楼梦", (1, 1)),
        (["是"], "否", (0, 0)),
        (["Apple Pie"], "apple pie", (1, 1)),
        (["a b"], "ab", (0, 0)),
        (["1,000 人"], "1,000人", (0, 1)),
        (["1,000人"], "1,000元", (0, 2 * 1 / (2 + 2))),  # a number is one token
        (["1.5.2版"], "1.5.2号", (0, 2 * 1 / (2 + 2))),
        ([], "", (1, 1)),
        ([], "是", (0, 0)),
        (["。"], "", (1, 1)),
        (
            ["你好！"],
            "你好!",
            (0, 2 * 2 / (2 + 3)),
        ),  # of full width alone: the official list has no "!"
        (["３"], "３年", (0, 2 * 1 / 3)),
        (
            ["是" + "好" * 249],
            "好" * 250,
            (0, 2 * 249 / 500),
        ),  # a character that a long answer has often counts too
        (["龥龦"], "龥", (0, 2 * 1 / 3)),  # U+9FA5 is the last character of the official script's
    ],
)
def test_cmrc_by_hand(answers, prediction, expected):
    assert span_matches([answers], [prediction], "zh_CN") == [pytest.approx(expected)]


def test_the_signs_that_cmrc_s_script_takes_out():
    signs = (
        "- : _ * ^ / \\ ~ ` + = ， 。 ： ？ ！ “ ” ； ’ 《 》 · 、 「 」 （ ） － ～ 『 』".split()
    )
    for sign in signs:
        assert span_matches([["北京"]], [f"北{sign}京"], "zh") == [(1, 1)], sign
    for sign in ("…", "‘", "【", ",", ".", "(", "%"):
        assert span_matches([["北京"]], [f"北{sign}京"], "zh") == [(0, 2 * 1 / 5)], sign


def squad_script(answers, prediction):
    """Exact match and F1 as the rules of SQuAD's script say, in plain Python."""

    def normal(text):
        text = re.sub(f"[{re.escape(string.punctuation)}]", "", text.lower())
        return [word for word in re.split(r"\s+", text) if word not in ("", "a", "an", "the")]

    def f1(answer, said):
        if not answer or not said:
            return float(answer == said)
        left, shared = list(answer), 0
        for word in said:
            if word in left:
                left.remove(word)
                shared += 1
        precision, recall = shared / len(said), shared / len(answer)
        return 2 * precision * recall / (precision + recall) if shared else 0.0

    said, accepted = (
        normal(prediction),
        [normal(answer) for answer in answers if normal(answer)] or [[]],
    )
    return max(float(answer == said) for answer in accepted), max(
        f1(answer, said) for answer in accepted
    )


WORDS = strategies.lists(
    strategies.sampled_from(["the", "A", "cat", "Cat's", "dog,", "an", "!", "the-re", "to"]),
    max_size=5,
).map(" ".join)


@hypothesis.settings(max_examples=200)
@hypothesis.given(
    questions=strategies.lists(
        strategies.tuples(strategies.lists(WORDS, max_size=3), WORDS), min_size=1, max_size=3
    )
)
def test_squad_is_what_its_rules_say(questions):
    answers, predictions = map(list, zip(*questions))
    expected = [squad_script(*question) for question in questions]
    assert span_matches(answers, predictions) == [pytest.approx(pair) for pair in expected]
    scores = span_scores(answers, predictions, "en")
    assert scores["exact_match"] == pytest.approx(
        100 * sum(exact for exact, _ in expected) / len(questions)
    )
    assert scores["f1"] == pytest.approx(100 * sum(f1 for _, f1 in expected) / len(questions))


def test_span_scores_are_percent_and_by_kind():
    scores = span_scores([["a cat"], ["dogs bark"]], ["cat", "dogs"])
    assert scores == pytest.approx({"exact_match": 50.0, "f1": 100 * (1 + 2 / 3) / 2})
    assert span_scores([["cat"], [], []], ["cat", "", "dog"]) == pytest.approx(
        {
            "exact_match": 200 / 3,
            "f1": 200 / 3,
            "answerable_exact_match": 100,
            "answerable_f1": 100,
            "unanswerable_exact_match": 50,
        }
    )
    assert span_scores([["black cat"], [""]], ["cat", ""]) == pytest.approx(
        {  # an answer of nothing is none
            "exact_match": 50,
            "f1": 100 * (2 / 3 + 1) / 2,
            "answerable_exact_match": 0,
            "answerable_f1": 200 / 3,
            "unanswerable_exact_match": 100,
        }
    )
    assert span_scores([[], []], ["", "x"]) == {"exact_match": 50.0, "f1": 50.0}
    assert {type(value) for value in span_scores([["a b"], []], ["b", ""]).values()} == {float}
    assert span_scores([["《红楼梦》"]], ["红楼梦。"], "zh")["exact_match"] == 100.0
    with pytest.raises(ValueError, match="Received: 0 references, 0 predictions"):
        span_scores([], [])
    with pytest.raises(ValueError, match="Received: 2 references, 1 predictions"):
        span_scores([["a"], ["b"]], ["a"])
    with pytest.raises(ValueError, match=r"must be a list of answers. Received: a str"):
        span_scores(["a"], ["a"])


def test_the_threshold_of_no_answer():
    references, predictions, scores = (
        [["cat"], ["dog"], [], []],
        ["cat", "dog", "fox", "owl"],
        [-3.0, 1.0, 0.5, 4.0],
    )
    # Blanking above 1.0 loses nothing but leaves "fox": 3 of 4, as many as blanking above -3.0; the
    # lower one is taken.
    assert best_no_answer_threshold(references, predictions, scores) == -3.0
    assert apply_no_answer_threshold(predictions, scores, 1.0) == ["cat", "dog", "fox", ""]
    assert (
        best_no_answer_threshold([["cat"], ["dog"], []], predictions[:3], [-3.0, 1.0, 2.0]) == 1.0
    )
    lowest = best_no_answer_threshold([[], []], ["fox", "owl"], [-2.0, -1.0])
    assert lowest < -2.0 and apply_no_answer_threshold(["fox", "owl"], [-2.0, -1.0], lowest) == [
        "",
        "",
    ]


def test_the_threshold_of_no_answer_is_by_f1_and_of_the_language():
    # Blanking the first question loses half a point and gains none; the second gains one.
    assert best_no_answer_threshold([["black cat"], []], ["cat", "owl"], [0.2, 0.7]) == 0.2
    assert best_no_answer_threshold([["black cat"], []], ["cat", "owl"], [0.7, 0.2]) < 0.2
    assert best_no_answer_threshold([["black cat"], ["dog"]], ["cat", "dog"], [0.7, 0.2]) == 0.7
    # By the rules of Chinese one character of two is half an answer, by SQuAD's nothing.
    question = ([["大学"], []], ["大", "北"], [0.7, 0.2])
    assert (
        best_no_answer_threshold(*question) < 0.2
        and best_no_answer_threshold(*question, "zh") < 0.2
    )
    question = ([["大学"]], ["大"], [0.7])
    assert (
        best_no_answer_threshold(*question) < 0.7
        and best_no_answer_threshold(*question, "zh") == 0.7
    )
    assert apply_no_answer_threshold(["a", "b", "c"], [0.5, 0.6, 0.4], 0.5) == ["a", "", "c"]
    with pytest.raises(ValueError):
        apply_no_answer_threshold(["a"], [0.5, 0.6], 0.5)
    with pytest.raises(
        ValueError, match="no_answer_scores must be finite numbers. Received: nan in row 1"
    ):
        best_no_answer_threshold([["a"], []], ["a", ""], [0.1, math.nan])


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    rows=strategies.lists(
        strategies.tuples(
            strategies.sampled_from([[], ["cat"], ["black cat"]]),
            strategies.sampled_from(["cat", "owl"]),
            strategies.integers(-2, 2),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_threshold_of_no_answer_is_better(rows):
    answers, predictions, scores = map(list, zip(*rows))

    def f1(threshold):
        return span_scores(answers, apply_no_answer_threshold(predictions, scores, threshold))["f1"]

    best = best_no_answer_threshold(answers, predictions, scores)
    tried = {threshold: f1(threshold) for threshold in (-3, *scores)}
    assert f1(best) == pytest.approx(max(tried.values()))
    # Of equally good ones the lowest, which is just below all scores where that is as good.
    lowest = min(
        threshold for threshold, score in tried.items() if score > max(tried.values()) - 1e-6
    )
    assert best == lowest if lowest > -3 else min(scores) - 1e-9 < best < min(scores)


def test_the_commonest_answer_of_a_kind():
    answers, kinds = (
        ["park", "yes", "no", "no", "school", "park", "no"],
        ["where", "is", "is", "is", "where", "where", "is"],
    )
    assert commonest_answers(answers, kinds, ["is", "where", "why"]) == ["no", "park", "no"]
    assert commonest_answers(["b", "a"], ["", ""], [""] * 2) == ["b", "b"]
    # The commonest of all is not that of the first kind, nor of the last.
    assert commonest_answers(["x", "y", "z", "y"], ["p", "q", "r", "q"], ["new", "r", "p"]) == [
        "y",
        "z",
        "x",
    ]
    with pytest.raises(ValueError):
        commonest_answers(["a", "b"], [""], [""])
