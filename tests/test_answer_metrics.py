"""SQuAD's and CMRC 2018's scores against values worked out by hand."""

import pytest

from transformer.answer_metrics import (
    apply_no_answer_threshold,
    best_no_answer_threshold,
    commonest_answers,
    span_matches,
    span_scores,
)


@pytest.mark.parametrize(("answers", "prediction", "expected"), [
    (["Denver Broncos"], "the Denver Broncos!", (1, 1)),
    (["Santa Clara, California", "Levi's Stadium"], "Levis stadium in Santa Clara", (0, 2 * 2 / (2 + 5))),
    (["Carolina Panthers"], "Panthers of Carolina, the Panthers", (0, 2 * 2 / (2 + 4))),
    (["to to to"], "to be or not to be", (0, 2 * 2 / (3 + 6))),
    (["Theatre"], "a theatre", (1, 1)),
    (["1977"], "1978", (0, 0)),
    ([], "", (1, 1)),
    ([], "Normandy", (0, 0)),
    (["Normandy"], "", (0, 0)),
    ([], "The.", (1, 1)),
    (["the", "France"], "", (0, 0)),
])  # fmt: skip
def test_squad_by_hand(answers, prediction, expected):
    assert span_matches([answers], [prediction]) == [pytest.approx(expected)]


@pytest.mark.parametrize(("answers", "prediction", "expected"), [
    (["北京大学"], "北京大学。", (1, 1)),
    (["北京大学"], "大学", (0, 2 * 2 / (4 + 2))),
    # The longest run they share is two characters, though they share four: 大 学 and not 北 京.
    (["北京的大学"], "大学在北京", (0, 2 * 2 / (5 + 5))),
    (["2018年", "二零一八年"], "2018 年", (0, 1)),
    (["Google公司"], "谷歌google公司", (0, 2 * 3 / (3 + 5))),
    (["3.5万"], "3.5万元", (0, 2 * 2 / (2 + 3))),
    (["《红楼梦》"], "红楼梦", (1, 1)),
    (["是"], "否", (0, 0)),
])  # fmt: skip
def test_cmrc_by_hand(answers, prediction, expected):
    assert span_matches([answers], [prediction], "zh_CN") == [pytest.approx(expected)]


def test_span_scores_are_percent_and_by_kind():
    scores = span_scores([["a cat"], ["dogs bark"]], ["cat", "dogs"])
    assert scores == pytest.approx({"exact_match": 50.0, "f1": 100 * (1 + 2 / 3) / 2})
    assert span_scores([["cat"], [], []], ["cat", "", "dog"]) == pytest.approx({
        "exact_match": 200 / 3, "f1": 200 / 3,
        "answerable_exact_match": 100, "answerable_f1": 100, "unanswerable_exact_match": 50,
    })  # fmt: skip
    with pytest.raises(ValueError, match="Received: 2 references, 1 predictions"):
        span_scores([["a"], ["b"]], ["a"])
    with pytest.raises(ValueError, match=r"must be a list of answers. Received: a str"):
        span_scores(["a"], ["a"])


def test_the_threshold_of_no_answer():
    references, predictions, scores = [["cat"], ["dog"], [], []], ["cat", "dog", "fox", "owl"], [-3.0, 1.0, 0.5, 4.0]
    # Blanking above 1.0 loses nothing but leaves "fox": 3 of 4, as many as blanking above -3.0; the lower one is taken.
    assert best_no_answer_threshold(references, predictions, scores) == -3.0
    assert apply_no_answer_threshold(predictions, scores, 1.0) == ["cat", "dog", "fox", ""]
    assert best_no_answer_threshold([["cat"], ["dog"], []], predictions[:3], [-3.0, 1.0, 2.0]) == 1.0
    lowest = best_no_answer_threshold([[], []], ["fox", "owl"], [-2.0, -1.0])
    assert lowest < -2.0 and apply_no_answer_threshold(["fox", "owl"], [-2.0, -1.0], lowest) == ["", ""]


def test_the_commonest_answer_of_a_kind():
    answers, kinds = ["park", "yes", "no", "no", "school", "park", "no"], ["where", "is", "is", "is", "where", "where", "is"]
    assert commonest_answers(answers, kinds, ["is", "where", "why"]) == ["no", "park", "no"]
    assert commonest_answers(["b", "a"], ["", ""], [""] * 2) == ["b", "b"]
    with pytest.raises(ValueError):
        commonest_answers(["a", "b"], [""], [""])
