"""Reports against literal answers, and the files that they become, read back."""

import json
import math
import os

import matplotlib.image
import numpy as np
import pytest

from tests.evaluation.test_curves import CURVES
from transformer.evaluation import plots
from transformer.evaluation.curves import overfitting_remark
from transformer.evaluation.reports import (
    classification_report,
    multilabel_report,
    regression_report,
    report_figures,
    report_markdown,
    report_text,
    scores_markdown,
    seeds_summary,
    seeds_text,
    span_report,
    tensorboard_images,
    text_report,
    write_report,
)

pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")

# Two mistakes, of 0.55 and of 0.9 confidence.
TEXTS, NAMES = ["good", "bad", "so | so\n<b>", "fine"], ["negative", "positive"]
LABELS, PROBABILITIES = [1, 0, 0, 1], [[0.2, 0.8], [0.7, 0.3], [0.1, 0.9], [0.55, 0.45]]


def report():
    return classification_report(TEXTS, None, LABELS, PROBABILITIES, NAMES)


def test_classification_report():
    found = report()
    assert (found["kind"], found["examples"], found["scores"]["accuracy"]) == (
        "classification",
        4,
        0.5,
    )
    assert found["confusion"] == [[1, 1], [1, 1]]
    assert found["per_class"][0] == {
        "name": "negative",
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "support": 2,
    }
    assert found["mistakes"] == [
        {
            "text": "so | so\n<b>",
            "pair": "",
            "true": "negative",
            "predicted": "positive",
            "probability": 0.9,
        },
        {
            "text": "fine",
            "pair": "",
            "true": "positive",
            "predicted": "negative",
            "probability": 0.55,
        },
    ]
    assert [row["count"] for row in found["calibration"]] == [1, 1, 1, 1]


def test_the_twenty_most_confident_mistakes():
    probabilities = np.array([[1 - share, share] for share in np.linspace(0.51, 0.99, 30)])
    found = classification_report(
        [f"t{n}" for n in range(30)], ["p"] * 30, [0] * 30, probabilities, NAMES, train_labels=[1]
    )
    assert [row["text"] for row in found["mistakes"]] == [f"t{n}" for n in range(29, 9, -1)]
    assert found["mistakes"][0]["pair"] == "p" and found["scores"]["majority_baseline"] == 0.0
    # Of equally confident ones the first; a right answer is none, however unsure.
    found = classification_report(
        list("abcd"), list("efgh"), [0, 1, 0, 0], [[0.2, 0.8]] * 3 + [[0.51, 0.49]], NAMES
    )
    assert [(row["text"], row["pair"]) for row in found["mistakes"]] == [("a", "e"), ("c", "g")]
    assert found["confusion"] == [[1, 2], [0, 1]] and found["scores"]["majority_baseline"] == 0.75
    assert [row["support"] for row in found["per_class"]] == [3, 1]
    assert sorted((row["count"], row["accuracy"]) for row in found["calibration"]) == [
        (1, 1.0),
        (3, pytest.approx(1 / 3)),
    ]


def test_multilabel_report():
    labels, probabilities = [[1, 0], [0, 1], [0, 0]], [[0.4, 0.2], [0.9, 0.3], [0.1, 0.2]]
    found = multilabel_report(["a", "b", "c"], None, labels, probabilities, ["x", "y"])
    assert found["mistakes"] == [
        {
            "text": "b",
            "pair": "",
            "true": ["y"],
            "predicted": ["x"],
            "wrong": 2,
            "probability": {"x": 0.9, "y": 0.3},
        },
        {
            "text": "a",
            "pair": "",
            "true": ["x"],
            "predicted": [],
            "wrong": 1,
            "probability": {"x": 0.4},
        },
    ]
    assert found["scores"]["exact_match_ratio"] == pytest.approx(1 / 3)
    assert "      1  x     (none)     a" in report_text(found)


def test_the_labels_most_wrong_come_first():
    labels = [[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 0]]
    # One wrong by 0.7, one by 0.9, two by 0.6 at most; 0.5 is just enough to be said.
    probabilities = [[0.7, 0.4, 0.4], [0.9, 0.0, 0.0], [0.6, 0.5, 0.1], [0.5, 0.8, 0.2]]
    found = multilabel_report(list("abcd"), list("efgh"), labels, probabilities, ["x", "y", "z"])
    assert [(row["text"], row["pair"], row["wrong"]) for row in found["mistakes"]] == [
        ("c", "g", 2),
        ("b", "f", 1),
        ("a", "e", 1),
    ]
    assert found["mistakes"][0]["probability"] == {"x": 0.6, "y": 0.5} and found["examples"] == 4
    assert found["per_class"][1] == {
        "name": "y",
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "support": 1,
    }
    # By another threshold: the last lacks x, and "y" is wrong no more.
    found = multilabel_report(
        list("abcd"), None, labels, probabilities, ["x", "y", "z"], threshold=0.65
    )
    assert [(row["text"], row["true"], row["predicted"]) for row in found["mistakes"]] == [
        ("b", [], ["x"]),
        ("a", [], ["x"]),
        ("d", ["x", "y"], ["y"]),
    ]
    assert found["scores"]["threshold"] == 0.65 and found["per_class"][1]["precision"] == 1.0
    many = multilabel_report(["t"] * 30, None, [[0, 1]] * 30, [[0.9, 0.1]] * 30, ["x", "y"])
    assert len(many["mistakes"]) == 20
    # Two wrong labels each: off by 0.75 twice, or by 0.875 and 0.5, which is furthest.
    found = multilabel_report(
        ["a", "b"], None, [[0, 0]] * 2, [[0.75, 0.75], [0.875, 0.5]], ["x", "y"]
    )
    assert [row["text"] for row in found["mistakes"]] == ["b", "a"]
    assert "      2  (none)  x, y       b\n" in report_text(found)


def test_regression_report():
    found = regression_report(["a", "b", "c"], ["d", "e", "f"], [1.0, 2.0, 3.0], [1.5, 2.0, 1.0])
    assert found["mistakes"] == [
        {"text": "c", "pair": "f", "true": 3.0, "predicted": 1.0, "error": -2.0},
        {"text": "a", "pair": "d", "true": 1.0, "predicted": 1.5, "error": 0.5},
    ]
    assert found["points"] == {"true": [1.0, 2.0, 3.0], "predicted": [1.5, 2.0, 1.0]}
    many = regression_report(["t"] * 5000, None, np.arange(5000), np.arange(5000))
    assert (
        len(many["points"]["true"]) == 2000
        and many["points"]["true"][-1] == 4999.0
        and many["mistakes"] == []
    )
    assert (
        many["points"]["true"][0] == 0.0 and many["points"]["predicted"] == many["points"]["true"]
    )
    # The first of equally far, above or below; twenty at most.
    found = regression_report(
        [f"t{n}" for n in range(30)], None, [1.0] * 30, [0.0, 2.0] * 15, train_labels=[3.0]
    )
    assert [(row["text"], row["error"]) for row in found["mistakes"][:3]] == [
        ("t0", -1.0),
        ("t1", 1.0),
        ("t2", -1.0),
    ]
    assert (
        len(found["mistakes"]) == 20
        and found["scores"]["mean_baseline_mse"] == 4.0
        and found["mistakes"][0]["pair"] == ""
    )


def test_span_report():
    found = span_report(
        ["q1", "q2", "q3"],
        ["c1", "c2", "c3"],
        [["a cat"], ["black dog"], []],
        ["cat", "dog", "owl"],
    )
    assert found["mistakes"] == [
        {"question": "q3", "context": "c3", "answers": [], "predicted": "owl", "f1": 0.0},
        {
            "question": "q2",
            "context": "c2",
            "answers": ["black dog"],
            "predicted": "dog",
            "f1": pytest.approx(2 / 3),
        },
    ]
    assert found["scores"]["exact_match"] == pytest.approx(100 / 3)
    assert "0.000  (none)     owl        q3" in report_text(found)
    # By the rules of Chinese; the first of equally bad ones, twenty at most, and no exact one.
    found = span_report(["q", "r"], ["c", "d"], [["大学。"], ["北京"]], ["大学", "东京"], "zh")
    assert [(row["question"], row["f1"]) for row in found["mistakes"]] == [("r", 0.5)] and found[
        "scores"
    ]["exact_match"] == 50.0
    found = span_report(
        [f"q{n}" for n in range(30)], ["c"] * 30, [["a b", "x"]] * 30, ["x"] + ["no"] * 29
    )
    assert [row["question"] for row in found["mistakes"]] == [f"q{n}" for n in range(1, 21)]
    assert found["mistakes"][0]["answers"] == ["a b", "x"] and found["examples"] == 30
    with pytest.raises(ValueError, match="Received: 2 texts, 1 pairs, 2 labels"):
        span_report(["q", "r"], ["c"], [["a"], ["b"]], ["a", "b"])
    with pytest.raises(ValueError, match="Received: 1 texts, 2 pairs, 2 labels"):
        span_report(["q"], ["c", "d"], [["a"], ["b"]], ["a", "b"])


def test_text_report():
    scores = {"exact_match": 100 / 3, "bleu_signature": "nrefs:1|x"}
    found = text_report(
        ["s1", "s2", "s3"], ["a cat", "a dog", "the owl"], ["a cat ", "a dig", "xyz"], scores
    )
    worst, better = found["mistakes"]
    assert worst == {"source": "s3", "reference": "the owl", "predicted": "xyz", "chrf": 0.0}
    assert better["predicted"] == "a dig" and 0 < better["chrf"] < 100
    assert found["scores"] is scores
    text = report_text(found)
    assert "  exact_match  33.333" in text and "bleu_signature  nrefs:1|" in text
    assert "0.000  the owl    xyz        s3" in text
    with pytest.raises(ValueError, match="Received: 1 texts, 1 pairs, 2 labels"):
        text_report(["s"], ["a", "b"], ["a", "b"], {})
    # Recall counts twice: "a" for "ab" is worse than "ab" for "a". See test_chrf_by_hand in
    # test_metrics.py.
    found = text_report(["s", "t"], ["a", "ab"], ["ab", "a"], {})
    assert [(row["source"], row["chrf"]) for row in found["mistakes"]] == [
        ("t", pytest.approx(250 / 4.5)),
        ("s", pytest.approx(250 / 3)),
    ]
    found = text_report([f"s{n}" for n in range(30)], ["a"] * 30, ["x"] * 30, {})
    assert [row["source"] for row in found["mistakes"]] == [f"s{n}" for n in range(20)]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Received: 1 texts, 1 pairs, 2 labels"):
        classification_report(["a"], None, [0, 1], [[0.5, 0.5]] * 2, NAMES)
    with pytest.raises(ValueError, match="Received: 2 texts, 1 pairs, 2 labels"):
        classification_report(["a", "b"], ["c"], [0, 1], [[0.5, 0.5]] * 2, NAMES)
    with pytest.raises(ValueError, match="and at least one. Received: 0 texts, 0 pairs, 0 labels"):
        regression_report([], None, [], [])
    with pytest.raises(
        ValueError, match=r"a column for each name. Received: shape \(1, 2\) for 1 names"
    ):
        multilabel_report(["a"], None, [[0, 1]], [[0.5, 0.5]], ["x"])
    with pytest.raises(
        ValueError, match=r"a column for each name. Received: shape \(1, 2\) for 3 names"
    ):
        classification_report(["a"], None, [0], [[0.5, 0.5]], ["x", "y", "z"])
    for function, numbers in (
        (classification_report, [[math.nan, 0.5]]),
        (multilabel_report, [[math.nan, 0.5]]),
    ):
        with pytest.raises(
            ValueError, match="probabilities must be finite numbers. Received: nan in row 0"
        ):
            function(
                ["a"], None, [0] if function is classification_report else [[0, 1]], numbers, NAMES
            )
    with pytest.raises(
        ValueError, match="predictions must be finite numbers. Received: nan in row 1"
    ):
        regression_report(["a", "b"], None, [0.0, 1.0], [0.0, math.nan])


def test_the_text():
    scores = {"accuracy": 0.5, "log_loss": 1234.5, "mse": 2.5e-5}
    assert (
        report_text(report() | {"scores": scores, "remark": "It overfits."})
        == """\
classification, 4 examples

Scores
  score         value
  accuracy      0.500
  log_loss  1,234.500
  mse        2.50e-05

Classes
  name      precision  recall     f1  support
  negative      0.500   0.500  0.500        2
  positive      0.500   0.500  0.500        2

Confusion matrix (a row for each true class)
  true / predicted  negative  positive
  negative                 1         1
  positive                 1         1

Worst mistakes
  probability  true      predicted  text
        0.900  negative  positive   so | so <b>
        0.550  positive  negative   fine

It overfits."""
    )


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0, "0.000"),
        (0.0005, "0.001"),
        (0.00049, "4.90e-04"),
        (-0.00049, "-4.90e-04"),
        (-0.25, "-0.250"),
        (12, "12.000"),
        (999999999.0, "999,999,999.000"),
        (1e9, "1.00e+09"),
        (-2.5e10, "-2.50e+10"),
        (1234.5678, "1,234.568"),
    ],
)
def test_a_number_that_three_decimals_would_hide_is_shown_by_its_power(value, text):
    assert (
        scores_markdown({"scores": {"x": value}}) == f"| score | value |\n|---|---|\n| x | {text} |"
    )
    assert (
        seeds_text({"seeds": 1, "scores": {"x": {"mean": value, "std": None}}})
        == f"x {text} (1 seed)"
    )


def test_the_scores_in_markdown_are_numbers_alone():
    found = {"scores": {"bleu": 12.5, "bleu_signature": "nrefs:1|x*y", "f1": 1.0}}
    assert (
        scores_markdown(found) == "| score | value |\n|---|---|\n| bleu | 12.500 |\n| f1 | 1.000 |"
    )
    text = report_markdown(report() | found | {"remark": "It overfits."}, ["a", "b"])
    assert text.startswith(
        "# Classification, 4 examples\n\nIt overfits.\n\n## Scores\n\n| score | value |"
    )
    assert (
        "\n\n## Signatures\n\n| score | signature |\n|---|---|\n| bleu\\_signature | "
        "nrefs:1\\|x\\*y |\n\n## Classes" in text
    )
    assert text.endswith("\n\n![a](a.png)\n\n![b](b.png)\n")


def test_text_of_users_is_text_in_markdown():
    wild = "a|b `c` *d* _e_ [f](g) ~h~ \\ <i> & j " + "x" * 400
    found = text_report([wild], ["r"], ["p"], {})
    cell = "a\\|b \\`c\\` \\*d\\* \\_e\\_ \\[f\\](g) \\~h\\~ \\\\ &lt;i> &amp; j "
    assert f"| {cell}{'x' * 263} |" in report_markdown(found) and len(wild[:300]) == 300


def test_up_to_ten_classes_have_the_whole_matrix_and_more_have_the_commonest_confusions():
    for count in (10, 11):
        names = [f"n{number}" for number in range(count)]
        probabilities = np.full((6, count), 0.01)
        # 1 for 0 twice, 2 for 0 once, 0 for 1 once, and two right ones.
        labels, said = [0, 0, 0, 1, 5, 6], [1, 1, 2, 0, 5, 6]
        probabilities[range(6), said] = 1 - 0.01 * (count - 1)
        text = report_text(classification_report(["t"] * 6, None, labels, probabilities, names))
        assert ("Confusion matrix" in text) == (count == 10) and (
            "Commonest confusions" in text
        ) == (count == 11)
    rows = text[text.index("Commonest") :].splitlines()[1:5]
    assert [row.split() for row in rows] == [
        ["true", "predicted", "count"],
        ["n0", "n1", "2"],
        ["n0", "n2", "1"],
        ["n1", "n0", "1"],
    ]
    assert text[text.index("Commonest") :].splitlines()[5] == ""


def test_the_twenty_commonest_confusions_are_shown():
    # Class n is taken for the next once, and for the one after that twice.
    names = [f"n{number}" for number in range(11)]
    labels = [*range(11)] * 3
    said = [(n + 1) % 11 for n in range(11)] + [(n + 2) % 11 for n in range(11)] * 2
    found = classification_report(["t"] * 33, None, labels, np.eye(11)[said], names)
    _, _, table = report_text(found).partition("Commonest confusions\n")
    rows = [line.split() for line in table.partition("\n\n")[0].splitlines()[1:]]
    assert rows[:11] == [[f"n{n}", f"n{(n + 2) % 11}", "2"] for n in range(11)]
    assert rows[11:] == [[f"n{n}", f"n{n + 1}", "1"] for n in range(9)]


def test_columns_are_set_by_what_is_in_them():
    scores = {"a_score_with_a_name_of_more_than_forty_eight_characters": 0.5, "b": -0.25}
    row = {"name": "a class", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1234567890123}
    text = report_text(
        {
            "kind": "regression",
            "examples": 1234,
            "scores": scores,
            "per_class": [row],
            "mistakes": [
                {
                    "text": "one\n two",
                    "pair": "p",
                    "true": 1234567.0,
                    "predicted": -1.0,
                    "error": -123456789.0,
                },
                {"text": "y" * 60, "pair": "", "true": 0.0, "predicted": 1.0, "error": 1.0},
            ],
        }
    )
    assert (
        text
        == f"""\
regression, 1,234 examples

Scores
  score                                              value
  a_score_with_a_name_of_more_than_forty_eight_ch…   0.500
  b                                                 -0.250

Classes
  name     precision  recall     f1        support
  a class      1.000   1.000  1.000  1234567890123

Worst mistakes
             error           true  predicted  text{" " * 44}  pair
  -123,456,789.000  1,234,567.000     -1.000  one two{" " * 41}  p
             1.000          0.000      1.000  {"y" * 47}…"""
    )


def test_a_long_name_above_numbers_is_cut():
    names = ["fifteen letters", "b"]
    text = report_text(classification_report(["t"], None, [0], [[1.0, 0.0]], names))
    assert "  true / predicted  fifteen let…  b\n  fifteen letters              1  0\n" in text
    text = report_text(classification_report(["t"], None, [0], [[1.0, 0.0]], ["twelve chars", "b"]))
    assert "  true / predicted  twelve chars  b\n  twelve chars                 1  0\n" in text


def test_a_text_exactly_as_wide_as_a_column_may_be_is_whole():
    for text, shown in (("x" * 48, "x" * 48), ("x" * 49, "x" * 47 + "…"), ("好" * 24, "好" * 24)):
        found = classification_report([text], None, [0], [[0.2, 0.8]], NAMES)
        assert report_text(found).endswith(f"  negative  positive   {shown}")


def test_columns_of_chinese_line_up_and_long_texts_are_cut():
    found = classification_report(
        ["很好" * 40, "x"], None, [0, 1], [[0.2, 0.8], [0.4, 0.6]], ["体育", "finance"]
    )
    lines = report_text(found).splitlines()
    classes = lines.index("Classes")
    assert lines[classes + 2 : classes + 4] == [
        "  体育         0.000   0.000  0.000        1",
        "  finance      0.500   1.000  0.667        1",
    ]
    assert lines[-1].endswith("很好" * 11 + "很…")


def test_markdown_shows_text_as_it_is():
    text = report_markdown(report(), ["confusion"])
    assert "| 0.900 | negative | positive | so \\| so &lt;b> |" in text
    assert "| score | value |\n|---|---|\n| accuracy | 0.500 |" in text and text.endswith(
        "\n![confusion](confusion.png)\n"
    )


def test_the_files(tmp_path):
    found = report()
    paths = write_report(
        tmp_path / "new", found, [*CURVES, (300, "validation/perplexity", math.inf)]
    )
    names = ["report.json", "report.md", "confusion.png", "reliability.png", "curves.png"]
    assert [path.name for path in paths] == names and sorted(
        os.listdir(tmp_path / "new")
    ) == sorted(names)
    back = json.loads(
        (tmp_path / "new" / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert back.pop("curves") == [list(point) for point in CURVES]
    assert back.pop("remark") == overfitting_remark(CURVES) != "" and back == found
    markdown = (tmp_path / "new" / "report.md").read_text(encoding="utf-8")
    assert all(f"]({name})" in markdown for name in names[2:]) and "The model overfits" in markdown
    # Inches of 100 points: 2 + 2 cells of 0.45 + 8 letters of 0.09; a panel of 4 x 3.
    sizes = {name: matplotlib.image.imread(tmp_path / "new" / name).shape[:2] for name in names[2:]}
    assert sizes == {
        "confusion.png": (322, 362),
        "reliability.png": (400, 400),
        "curves.png": (300, 400),
    }


def test_reports_of_every_kind_become_files(tmp_path):
    reports = {
        "single": classification_report(["a", "b"], None, [1, 1], [[0.4, 0.6], [0.2, 0.8]], NAMES),
        "one": classification_report(["a"], ["b"], [0], [[1.0, 0.0]], NAMES),
        "regression": regression_report(["a"], None, [1.0], [1.0]),
        "multilabel": multilabel_report(["a"], None, [[0, 0]], [[0.1, 0.2]], NAMES),
        "spans": span_report(["q"], ["c"], [["a"]], ["a"]),
        "text2text": text_report(["s"], ["a"], ["a"], {"bleu": 100.0}),
    }
    for name, found in reports.items():
        assert found["mistakes"] == [] and "mistakes" not in report_text(found)
        paths = write_report(tmp_path / name, found)
        assert json.loads(paths[0].read_text(encoding="utf-8"), parse_constant=pytest.fail) == found
    assert matplotlib.image.imread(tmp_path / "regression" / "regression.png").shape == (
        400,
        400,
        4,
    )


@pytest.mark.parametrize("font", ["", "DejaVu Sans"])
def test_twenty_classes_with_long_and_chinese_names(tmp_path, monkeypatch, font):
    # DejaVu stands for a font that has Chinese: its boxes are drawn with a warning.
    monkeypatch.setattr(plots, "_font_of_other_scripts", lambda: font)
    names = [
        "体育新闻",
        "$x$ and \\frac",
        "a very long name of a class that nobody would read to its end",
    ]
    names += [f"class {n}" for n in range(17)]
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(20), size=100)
    found = classification_report(
        ["text"] * 100, None, rng.integers(0, 20, 100), probabilities, names
    )
    ticks = [
        label.get_text()
        for label in plots.plot_confusion(found["confusion"], names).axes[0].get_yticklabels()
    ]
    assert ticks[:3] == (
        ["体育新闻", "$x$ and \\frac", "a very long name of a c…"] if font else ["0", "1", "2"]
    )
    if font:
        with pytest.warns(UserWarning, match="missing from font"):
            write_report(tmp_path, found)
    else:
        write_report(tmp_path, found)
    assert matplotlib.image.imread(tmp_path / "confusion.png").shape[1] == 200 + 900 + (
        9 * 24 if font else 9 * 2
    )
    assert "Commonest confusions" in report_text(found) and sum(map(sum, found["confusion"])) == 100


def test_pictures_hold_the_numbers():
    found = report()
    axes = plots.plot_confusion([[8, 0], [1, 3]], NAMES).axes[0]
    assert axes.images[0].get_array().tolist() == [[1.0, 0.0], [0.25, 0.75]]
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [
        ((0, 0), "8"),
        ((0, 1), "1"),
        ((1, 1), "3"),
    ]
    bars = plots.plot_reliability(found["calibration"]).axes[0].patches
    assert [bar.get_height() for bar in bars] == [0.0, 1.0, 1.0, 0.0]
    axes = plots.plot_points(CURVES).axes
    assert [panel.get_title() for panel in axes] == ["loss"]
    assert {line.get_label(): list(line.get_ydata()) for line in axes[0].lines} == {
        "train": [1.0, 0.5, 0.1],
        "validation": [0.8, 0.6, 0.9],
    }
    numbers = regression_report(["a", "b"], None, [1.0, 2.0], [3.0, 2.5])
    scatter = report_figures(numbers)["regression"].axes[0]
    assert scatter.collections[0].get_offsets().tolist() == [[1.0, 3.0], [2.0, 2.5]]
    scatter = plots.plot_regression([1.0, 2.0], [2.0, 1.5]).axes[0]
    assert scatter.collections[0].get_offsets().tolist() == [[1.0, 2.0], [2.0, 1.5]]
    with pytest.raises(ValueError, match=r"Received: \(1, 1\) for 2 names"):
        plots.plot_confusion([[1]], NAMES)


def test_images_for_tensorboard():
    images = tensorboard_images(report())
    assert list(images) == ["report/confusion", "report/reliability"]
    assert (
        images["report/confusion"].shape == (1, 322, 362, 3)
        and images["report/confusion"].dtype == np.uint8
    )
    assert (
        images["report/confusion"][0, 0, 0].tolist() == [255, 255, 255]
        and images["report/confusion"].min() == 0
    )


def test_seeds():
    summary = seeds_summary(
        [{"accuracy": 0.908, "kind": "x"}, {"accuracy": 0.912, "f1": 1.0}, {"accuracy": 0.916}]
    )
    assert summary == {
        "seeds": 3,
        "scores": {"accuracy": {"mean": pytest.approx(0.912), "std": pytest.approx(0.004)}},
    }
    assert seeds_text(summary) == "accuracy 0.912 ± 0.004 (3 seeds)"
    assert (
        seeds_text(summary | {"soup": {"accuracy": 0.92, "f1": 1.0}})
        == "accuracy 0.912 ± 0.004 (3 seeds); soup 0.920"
    )
    assert seeds_summary([{"f1": 0.5, "good": True, "n": None}])["scores"] == {
        "f1": {"mean": 0.5, "std": None}
    }
    assert list(
        seeds_summary([{"a": 1, "b": 2, "c": 3}, {"c": 3, "b": True, "a": "x"}])["scores"]
    ) == ["c"]
    assert (
        seeds_text(seeds_summary([{"f1": 88.5, "steps": 3}]))
        == "f1 88.500 (1 seed)\nsteps 3.000 (1 seed)"
    )
    with pytest.raises(ValueError, match="at least one run"):
        seeds_summary([])
    with pytest.raises(ValueError, match="scores must be finite. Received: loss"):
        seeds_summary([{"loss": math.nan}])
    with pytest.raises(ValueError) as error:
        seeds_summary([{"f1": 1.0, "loss": 1.0}, {"f1": 1.0, "loss": math.inf}])
    assert (
        str(error.value)
        == "scores must be finite. Received: loss = [1.0, inf]. Leave that run out."
    )
