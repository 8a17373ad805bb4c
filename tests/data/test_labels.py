"""Labels as they are read, against the index, the indices or the number that they become."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.readers.labels import WrongLabel, converter, count_labels, found_names


@pytest.mark.parametrize(
    "found, names, indices",
    [
        (["10", "9", "2"], ("2", "9", "10"), [2, 1, 0]),  # by value, where all are numbers
        (["b", "10", "9"], ("10", "9", "b"), [2, 0, 1]),
        ([1, 1.0, "1 ", True], ("1", "true"), [0, 0, 0, 1]),
        (["x", None, " ", math.nan], ("x",), [0]),  # what is no label has no name
        (["y", None, "x", "y"], ("x", "y"), [1]),  # nor does it hide those behind it
        (["b,a", "a,b"], ("a,b", "b,a"), [1, 0]),  # one label, whatever its marks
        (
            ["1.0", "1", "01", "-2", "1e1"],
            ("-2", "01", "1", "1.0", "1e1"),
            [3, 2, 1, 0, 4],
        ),  # of one value: by their letters
        (["nan", "10", "9"], ("10", "9", "nan"), [2, 0, 1]),
        (["inf", "10", "9"], ("10", "9", "inf"), [2, 0, 1]),
        ([2.5, -1, False], ("-1", "2.5", "false"), [1, 0, 2]),
    ],
)
def test_names_are_sorted_and_labels_are_their_places(found, names, indices):
    assert found_names(found, "classification") == names
    convert = converter("classification", names)
    assert [convert(label) for label in found[: len(indices)]] == indices


@pytest.mark.parametrize(
    "names, label, index",
    [
        (("negative", "positive"), "1", 1),
        (("negative", "positive"), 0, 0),
        (("negative", "positive"), "positive", 1),
        (("2", "1"), "1", 1),  # a name that is a number stands for itself
        (("a", "b"), 1.0, 1),
        (("a", "b"), " a ", 0),
    ],
)
def test_a_number_stands_for_a_name(names, label, index):
    assert converter("classification", names)(label) == index


@pytest.mark.parametrize(
    "names, label",
    [
        (("1", "2"), "0"),
        (("1", "2"), 0),
        (("five", "7"), "0"),
        (("five", "7"), 1),
        (("a", "b"), "-1"),
        (("a", "b"), 0.5),
    ],
)
def test_where_a_name_is_a_number_no_other_number_stands_for_a_name(names, label):
    with pytest.raises(WrongLabel) as wrong:
        converter("classification", names)(label)
    assert wrong.value.args == ("unknown label", str(label))


@settings(max_examples=50)
@given(
    st.lists(
        st.one_of(st.integers(-99, 99), st.sampled_from(["a", "B", "b", "é", "10x", "x,y"])),
        min_size=1,
    )
)
def test_names_are_each_label_once_in_order(labels):
    """By value where all are numbers, else as Python sorts text."""
    names = {str(label) for label in labels}
    expected = (
        sorted(names, key=int) if all(isinstance(label, int) for label in labels) else sorted(names)
    )
    found = found_names(labels, "classification")
    assert list(found) == expected
    convert = converter("classification", found)
    assert [found[convert(label)] for label in labels] == list(map(str, labels))


def test_several_labels():
    convert = converter("multilabel", ("joy", "fear", "awe"))
    assert [
        convert(label)
        for label in ("2,0", "", "fear", "awe, awe", ["awe", "joy"], [], 1, " , fear,")
    ] == [(0, 2), (), (1,), (2,), (0, 2), (), (1,), (1,)]
    many = converter("multilabel", tuple(f"l{n}" for n in range(100)))
    assert many([f"l{n}" for n in (64, 33, 8, 99, 8, 0)]) == (0, 8, 33, 64, 99)
    assert found_names(["joy,fear", ["awe"], ""], "multilabel") == ("awe", "fear", "joy")


@pytest.mark.parametrize(
    "task, label, reason, found",
    [
        ("classification", "maybe", "unknown label", "maybe"),
        ("classification", "2", "unknown label", "2"),
        ("classification", " ", "no label", "' '"),
        ("classification", None, "no label", "None"),
        ("classification", math.nan, "no label", "nan"),
        ("multilabel", "yes,maybe", "unknown label", "maybe"),
        ("multilabel", ["yes", None], "no label", "None"),
        ("regression", "high", "no number", "'high'"),
        ("regression", "nan", "no number", "'nan'"),
        ("regression", math.inf, "no number", "inf"),
        ("regression", None, "no number", "None"),
        ("regression", [1], "no number", "[1]"),
        ("classification", ["yes"], "no label", "['yes']"),
        ("text2text", "half \ud83d", "no text", "'half \\ud83d'"),
        ("text2text", None, "no text", "None"),
        ("regression", True, "no number", "True"),
        ("text2text", " ", "no label", "' '"),
        ("text2text", 3, "no text", "3"),
    ],
)
def test_what_is_no_label(task, label, reason, found):
    with pytest.raises(WrongLabel) as wrong:
        converter(task, ("no", "yes"))(label)
    assert wrong.value.args == (reason, found)


def test_a_text_stays_as_it_is():
    assert converter("text2text", ())(" so: 3,1 ") == " so: 3,1 "
    assert count_labels(["a", "b"], "text2text", ("a", "b")) == {}


def test_numbers():
    found = [converter("regression", ())(label) for label in ("2.5", "-1e1", 3, -1.0, " 4 ")]
    assert found == [2.5, -10.0, 3.0, -1.0, 4.0] and all(
        isinstance(number, float) for number in found
    )


def test_counts():
    assert count_labels([0, 2, 2], "classification", ("a", "b", "c")) == {"a": 1, "b": 0, "c": 2}
    assert count_labels([(0, 1), (), (1,)], "multilabel", ("a", "b")) == {"a": 1, "b": 2}
    assert count_labels([2.0, -1.0, 4.0, 2.0], "regression", ()) == {
        "lowest": -1.0,
        "mean": 1.75,
        "highest": 4.0,
    }
    assert count_labels([((3, "x"),), ()], "spans", ()) == {"with answer": 1, "without": 1}
    assert count_labels([], "regression", ()) == {}
