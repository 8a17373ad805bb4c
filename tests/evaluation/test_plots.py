"""The pictures, read back from matplotlib's own objects."""

import time

import numpy as np
import pytest

from transformer.config import ConfigError, DecodingConfig
from transformer.evaluation import plots
from transformer.evaluation.plots import (
    attention_of,
    plot_attention,
    plot_confusion,
    plot_curves,
    plot_points,
    plot_regression,
    plot_reliability,
    read_curves,
)


def texts(labels):
    return [label.get_text() for label in labels]


def test_a_heat_map_has_the_weights_and_the_names():
    weights = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    axes = plot_attention(weights, ["a", "b", "c"], ["x", "y"], title="cross").axes[0]
    assert (axes.images[0].get_array() == weights).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y"]


def test_a_panel_for_each_head_and_other_scripts(tmp_path):
    figure = plot_attention(np.full((3, 2, 2), 0.5), ["我", "们"], ["x", "y"])
    assert [axes.get_title() for axes in figure.axes] == ["head 1", "head 2", "head 3"]
    figure.savefig(tmp_path / "attention.png")
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_a_panel_of_attention_is_drawn_as_it_is_said():
    """Dark is 1 whatever the largest weight; a dollar begins no formula; the first panel alone
    names the queries."""
    figure = plot_attention(np.full((2, 1, 3), 0.5), ["$q$"], ["$a", "b$", "c"], title="$t$")
    first, second = figure.axes
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0.0, 1.0)
    assert texts(first.get_yticklabels()) == ["$q$"] and texts(second.get_yticklabels()) == [""]
    assert [label.get_rotation() for label in second.get_xticklabels()] == [90.0] * 3
    drawn = [*first.get_xticklabels(), *first.get_yticklabels(), figure._suptitle]
    assert (
        not any(label.get_parse_math() for label in drawn) and figure._suptitle.get_text() == "$t$"
    )
    assert figure.get_size_inches().tolist() == pytest.approx([2 * (1.0 + 3 * 0.32), 1.2 + 0.32])
    alone = plot_attention(np.full((1, 2, 2), 0.5), ["a", "b"], ["x", "y"])
    assert alone.axes[0].get_title() == "" and alone.get_size_inches().tolist() == pytest.approx(
        [1.64, 1.84]
    )


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"Received: \(2, 2\) for 1 queries and 2 keys"):
        plot_attention(np.ones((2, 2)), ["a"], ["x", "y"])
    with pytest.raises(ConfigError, match=r"Received: \(1, 2\) for 2 queries and 1 keys"):
        plot_attention(np.ones((1, 2)), ["a", "b"], ["x"])


def test_attention_of_a_translation():
    from transformer.generation.generator import Generator
    from transformer.model.transformer import Transformer
    from transformer.text.tokenizer import CharacterTokenizer

    tokenizer = CharacterTokenizer("abc")
    model = Transformer(16, 2, 2, tokenizer.vocab_size)
    model.build()
    generator = Generator(model, tokenizer, tokenizer, DecodingConfig(max_length=8))
    found = attention_of(generator, "abc", "cb")
    assert found["source"] == ["a", "b", "c", "</s>"] and found["target"] == ["c", "b", "</s>"]
    shapes = {kind: [layer.shape for layer in layers] for kind, layers in found["weights"].items()}
    assert shapes == {
        "encoder": [(2, 4, 4)] * 2,
        "decoder": [(2, 3, 3)] * 2,
        "cross": [(2, 3, 4)] * 2,
    }
    expected = model.attention_weights([np.array([[4, 5, 6, 3]]), np.array([[2, 6, 5]])])["cross"][
        1
    ]
    np.testing.assert_allclose(found["weights"]["cross"][1], np.asarray(expected)[0], atol=1e-6)
    own = attention_of(generator, "abc")
    assert len(own["target"]) == own["weights"]["cross"][0].shape[1]


def test_attention_of_two_vocabularies_and_of_what_is_copied():
    from transformer.config import ModelConfig
    from transformer.generation.generator import Generator
    from transformer.model.transformer import Transformer
    from transformer.text.tokenizer import ByteTokenizer, CharacterTokenizer

    source, target = ByteTokenizer(), CharacterTokenizer("xyz")
    sizes = dict(d_model=16, num_heads=2, num_layers=1, ffn_dim=16)
    config = ModelConfig(vocab_size=7, source_vocab_size=260, tie_embeddings=False, **sizes)
    model = Transformer.from_model_config(config)
    found = attention_of(Generator(model, source, target), "ab", "zx")
    assert found["source"][-1] == found["target"][-1] == "</s>" and found["target"][:2] == [
        "z",
        "x",
    ]
    inputs = [np.array([[4 + ord("a"), 4 + ord("b"), 3]]), np.array([[2, 6, 4]])]
    expected = np.asarray(model.attention_weights(inputs)["cross"][0])[0]
    np.testing.assert_allclose(found["weights"]["cross"][0], expected, atol=1e-6)
    copying = Transformer.from_model_config(
        ModelConfig(vocab_size=7, pointer_generator=True, **sizes)
    )
    weights = attention_of(Generator(copying, target, target), "xyz", "z")["weights"]
    assert [layer.shape for layer in weights["pointer"]] == [(1, 2, 4)]
    np.testing.assert_allclose(weights["pointer"][0].sum(axis=-1), 1.0, atol=1e-6)


def write_scalars(run, points):
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(run / "tensorboard"))
    with writer.as_default():
        for name, step, value in points:
            tf.summary.scalar(name, value, step=step)
        tf.summary.text("samples", "not a curve", step=1)
    writer.close()


def test_curves_of_runs_that_were_continued(tmp_path):
    write_scalars(
        tmp_path / "one",
        [("train/loss", 10, 3.0), ("train/loss", 20, 2.0), ("train/loss", 30, 9.0)],
    )
    time.sleep(1.1)  # the names of event files count seconds
    write_scalars(tmp_path / "one", [("train/loss", 30, 1.5)])
    write_scalars(tmp_path / "two", [("train/loss", 10, 2.5), ("validation/bleu", 10, 30.0)])
    assert read_curves(tmp_path / "one") == {"train/loss": ([10, 20, 30], [3.0, 2.0, 1.5])}
    figure = plot_curves(
        {"a": tmp_path / "one", "b": tmp_path / "two"}, ["train/loss", "validation/bleu"]
    )
    assert [[line.get_label() for line in axes.lines] for axes in figure.axes] == [
        ["a", "b"],
        ["b"],
    ]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [3.0, 2.0, 1.5]
    with pytest.raises(ConfigError, match="must hold curves"):
        read_curves(tmp_path / "three")


def test_the_points_of_a_curve_are_in_the_order_of_their_steps(tmp_path):
    points = [("loss", 30, 3.0), ("loss", 10, 1.0), ("loss", 20, 2.0)]
    write_scalars(tmp_path / "run", points)
    assert read_curves(tmp_path / "run") == {"loss": ([10, 20, 30], [1.0, 2.0, 3.0])}


def test_panels_of_curves(tmp_path):
    """A marker on each point where there are few; no legend where there is no line."""
    long = [("train/loss", step, 1.0) for step in range(20)]
    write_scalars(
        tmp_path / "mine", [*long, *(("validation/loss", step, 2.0) for step in range(19))]
    )
    figure = plot_curves(tmp_path / "mine")
    assert [axes.get_title() for axes in figure.axes] == [
        "train/loss",
        "validation/loss",
        "validation/bleu",
    ]
    assert {axes.get_xlabel() for axes in figure.axes} == {"update"}
    assert [[line.get_marker() for line in axes.lines] for axes in figure.axes] == [
        ["None"],
        ["o"],
        [],
    ]
    legends = [axes.get_legend() and texts(axes.get_legend().get_texts()) for axes in figure.axes]
    assert legends == [["mine"], ["mine"], None] and figure.get_size_inches().tolist() == [
        12.0,
        3.0,
    ]


def test_a_confusion_by_hand():
    """A class that never was is a row of zeros; white on dark from one half on."""
    axes = plot_confusion([[3, 1, 0], [0, 0, 0], [2, 0, 2]], ["a", "$b$", "c  " + "d" * 24]).axes[0]
    assert axes.images[0].get_array().tolist() == [
        [0.75, 0.25, 0.0],
        [0.0, 0.0, 0.0],
        [0.5, 0.0, 0.5],
    ]
    assert axes.images[0].get_clim() == (0.0, 1.0)
    found = [(text.get_position(), text.get_text(), text.get_color()) for text in axes.texts]
    assert found == [
        ((0, 0), "3", "white"),
        ((1, 0), "1", "black"),
        ((0, 2), "2", "black"),
        ((2, 2), "2", "black"),
    ]
    names = ["a", "$b$", "c " + "d" * 21 + "…"]
    assert texts(axes.get_xticklabels()) == texts(axes.get_yticklabels()) == names
    assert not any(
        label.get_parse_math() for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert texts(plot_confusion([[1]], ["d" * 24]).axes[0].get_yticklabels()) == ["d" * 24]


@pytest.mark.parametrize(
    "classes, counts, names", [(30, 30, 30), (31, 0, 31), (60, 0, 60), (61, 0, 0)]
)
def test_of_many_classes_less_is_written(classes, counts, names):
    axes = plot_confusion(np.eye(classes, dtype=int), [f"c{n}" for n in range(classes)]).axes[0]
    assert (len(axes.texts), len(axes.get_yticklabels())) == (counts, names)


def test_a_confusion_needs_a_row_and_a_column_for_each_name():
    for shape in ((2, 3), (3, 2), (3, 3), (2,)):
        with pytest.raises(ConfigError, match="Received: .* for 2 names. Use names of all classes"):
            plot_confusion(np.ones(shape, int), ["a", "b"])


def test_a_reliability_diagram_by_hand():
    bins = [
        {"low": 0.0, "high": 0.5, "accuracy": 0.25, "confidence": 0.3},
        {"low": 0.5, "high": 1.0, "accuracy": 0.75, "confidence": 0.9},
    ]
    axes = plot_reliability(bins).axes[0]
    bars = [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axes.patches]
    assert bars == [(0.0, 0.5, 0.25), (0.5, 0.5, 0.75)]
    assert axes.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert axes.get_xlim() == axes.get_ylim() == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("confidence", "accuracy")


def test_a_regression_is_drawn_from_its_least_to_its_greatest_number():
    for labels, predictions in (([1.0, 2.0], [0.5, 3.0]), ([0.5, 3.0], [1.0, 2.0])):
        axes = plot_regression(labels, predictions).axes[0]
        assert axes.collections[0].get_offsets().tolist() == [
            list(pair) for pair in zip(labels, predictions)
        ]
        assert axes.lines[0].get_xydata().tolist() == [[0.5, 0.5], [3.0, 3.0]]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("true", "predicted")


def test_points_that_can_be_compared_stand_first_and_in_order():
    points = [
        (20, "speed", 5.0),
        (20, "train/loss", 1.0),
        (10, "train/loss", 2.0),
        (10, "a/validation/loss", 3.0),
    ]
    points += [
        (30, "train/loss", np.inf),
        (40, "train/loss", np.nan),
        (50, "train/perplexity", -np.inf),
    ]
    axes = plot_points(points).axes
    assert [panel.get_title() for panel in axes] == ["loss", "speed"]
    lines = [
        (line.get_label(), list(line.get_xdata()), list(line.get_ydata())) for line in axes[0].lines
    ]
    assert lines == [("a/validation", [10], [3.0]), ("train", [10, 20], [2.0, 1.0])]
    assert axes[1].lines[0].get_label() == "speed" and {panel.get_xlabel() for panel in axes} == {
        "update"
    }
    assert texts(axes[0].get_legend().get_texts()) == ["a/validation", "train"]
    many = plot_points(
        [
            (step, name, 1.0)
            for name in ("few", "more")
            for step in range(19 if name == "few" else 20)
        ]
    )
    assert [panel.lines[0].get_marker() for panel in many.axes] == ["o", "None"]


@pytest.mark.parametrize(
    "panels, size", [(0, [4.0, 3.0]), (1, [4.0, 3.0]), (4, [16.0, 3.0]), (5, [16.0, 6.0])]
)
def test_four_panels_stand_in_a_row(panels, size):
    figure = plot_points([(1, f"q{number}", 1.0) for number in range(panels)])
    assert len(figure.axes) == panels and figure.get_size_inches().tolist() == size


def test_names_in_chinese_have_a_font_of_the_system(monkeypatch):
    from matplotlib import font_manager

    fonts = ["Noto Serif CJK", "Noto Sans CJK TC", "Noto Sans CJK JP", "DejaVu Sans"]
    entries = [font_manager.FontEntry(name=name) for name in fonts]
    for installed, expected in (
        (entries, ["Noto Sans CJK JP", "DejaVu Sans"]),
        (entries[3:], ["DejaVu Sans"]),
    ):
        monkeypatch.setattr(font_manager.fontManager, "ttflist", installed)
        for queries, keys, title in (
            (["我"], ["a"], "t"),
            (["a"], ["我"], "t"),
            (["a"], ["b"], "t我"),
        ):
            figure = plot_attention([[1.0]], queries, keys, title)
            assert figure.axes[0].get_xticklabels()[0].get_fontfamily() == expected
        latin = plot_attention([[1.0]], ["ä"], ["b"], "t").axes[0].get_xticklabels()[0]
        assert latin.get_fontfamily() not in (expected, ["DejaVu Sans"])
    labels = texts(plot_confusion([[1, 0], [0, 1]], ["我", "b"]).axes[0].get_yticklabels())
    assert labels == ["0", "1"]  # without such a font
    monkeypatch.setattr(plots, "_font_of_other_scripts", lambda: "DejaVu Sans")
    wide = plot_confusion([[1, 0], [0, 1]], ["我们", "abcd"])
    narrow = plot_confusion([[1, 0], [0, 1]], ["我", "ab"])
    assert wide.get_size_inches()[0] - narrow.get_size_inches()[0] == pytest.approx(2 * 0.09)
