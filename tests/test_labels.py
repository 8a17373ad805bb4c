"""Labels as they are read, against the index, the indices or the number that they become."""

import math

import pytest

from data.labels import WrongLabel, converter, count_labels, found_names


@pytest.mark.parametrize("found, names, indices", [
    (["10", "9", "2"], ("2", "9", "10"), [2, 1, 0]),  # by value, where all are numbers
    (["b", "10", "9"], ("10", "9", "b"), [2, 0, 1]),
    ([1, 1.0, "1 ", True], ("1", "true"), [0, 0, 0, 1]),
    (["x", None, " ", math.nan], ("x",), [0]),  # what is no label has no name
])  # fmt: skip
def test_names_are_sorted_and_labels_are_their_places(found, names, indices):
    assert found_names(found, "classification") == names
    convert = converter("classification", names)
    assert [convert(label) for label in found[: len(indices)]] == indices


@pytest.mark.parametrize("names, label, index", [
    (("negative", "positive"), "1", 1), (("negative", "positive"), 0, 0), (("negative", "positive"), "positive", 1),
    (("2", "1"), "1", 1),  # a name that is a number stands for itself
])  # fmt: skip
def test_a_number_stands_for_a_name(names, label, index):
    assert converter("classification", names)(label) == index


def test_several_labels():
    convert = converter("multilabel", ("joy", "fear", "awe"))
    assert [convert(label) for label in ("2,0", "", "fear", "awe, awe", ["awe", "joy"], [], 1)] == [
        (0, 2), (), (1,), (2,), (0, 2), (), (1,)
    ]  # fmt: skip
    assert found_names(["joy,fear", ["awe"], ""], "multilabel") == ("awe", "fear", "joy")


@pytest.mark.parametrize("task, label, reason, found", [
    ("classification", "maybe", "unknown label", "maybe"), ("classification", "2", "unknown label", "2"),
    ("classification", " ", "no label", "' '"), ("classification", None, "no label", "None"),
    ("classification", math.nan, "no label", "nan"), ("multilabel", "yes,maybe", "unknown label", "maybe"),
    ("multilabel", ["yes", None], "no label", "None"), ("regression", "high", "no number", "'high'"),
    ("regression", "nan", "no number", "'nan'"), ("regression", math.inf, "no number", "inf"),
    ("regression", True, "no number", "True"), ("text2text", " ", "no label", "' '"), ("text2text", 3, "no text", "3"),
])  # fmt: skip
def test_what_is_no_label(task, label, reason, found):
    with pytest.raises(WrongLabel) as wrong:
        converter(task, ("no", "yes"))(label)
    assert wrong.value.args == (reason, found)


def test_a_text_stays_as_it_is():
    assert converter("text2text", ())(" so: 3,1 ") == " so: 3,1 " and count_labels(["a"], "text2text", ()) == {}


def test_numbers():
    assert [converter("regression", ())(label) for label in ("2.5", "-1e1", 3)] == [2.5, -10.0, 3.0]


def test_counts():
    assert count_labels([0, 2, 2], "classification", ("a", "b", "c")) == {"a": 1, "b": 0, "c": 2}
    assert count_labels([(0, 1), (), (1,)], "multilabel", ("a", "b")) == {"a": 1, "b": 2}
    assert count_labels([1.0, 4.0], "regression", ()) == {"lowest": 1.0, "mean": 2.5, "highest": 4.0}
    assert count_labels([((3, "x"),), ()], "spans", ()) == {"with answer": 1, "without": 1}
    assert count_labels([], "regression", ()) == {}
