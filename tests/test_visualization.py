"""The pictures, read back from matplotlib's own objects."""

import time

import numpy as np
import pytest

from transformer.config import ConfigError, DecodingConfig
from transformer.visualization import attention_of, plot_attention, plot_curves, read_curves


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


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"Received: \(2, 2\) for 1 queries and 2 keys"):
        plot_attention(np.ones((2, 2)), ["a"], ["x", "y"])


def test_attention_of_a_translation():
    from transformer.generation import Generator
    from transformer.model import Transformer
    from transformer.tokenizer import CharacterTokenizer

    tokenizer = CharacterTokenizer("abc")
    model = Transformer(16, 2, 2, tokenizer.vocab_size)
    model.build()
    generator = Generator(model, tokenizer, tokenizer, DecodingConfig(max_length=8))
    found = attention_of(generator, "abc", "cb")
    assert found["source"] == ["a", "b", "c", "</s>"] and found["target"] == ["c", "b", "</s>"]
    shapes = {kind: [layer.shape for layer in layers] for kind, layers in found["weights"].items()}
    assert shapes == {"encoder": [(2, 4, 4)] * 2, "decoder": [(2, 3, 3)] * 2, "cross": [(2, 3, 4)] * 2}
    expected = model.attention_weights([np.array([[4, 5, 6, 3]]), np.array([[2, 6, 5]])])["cross"][1]
    np.testing.assert_allclose(found["weights"]["cross"][1], np.asarray(expected)[0], atol=1e-6)
    own = attention_of(generator, "abc")
    assert len(own["target"]) == own["weights"]["cross"][0].shape[1]


def write_scalars(run, points):
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(run / "tensorboard"))
    with writer.as_default():
        for name, step, value in points:
            tf.summary.scalar(name, value, step=step)
        tf.summary.text("samples", "not a curve", step=1)
    writer.close()


def test_curves_of_runs_that_were_continued(tmp_path):
    write_scalars(tmp_path / "one", [("train/loss", 10, 3.0), ("train/loss", 20, 2.0), ("train/loss", 30, 9.0)])
    time.sleep(1.1)  # the names of event files count seconds
    write_scalars(tmp_path / "one", [("train/loss", 30, 1.5)])
    write_scalars(tmp_path / "two", [("train/loss", 10, 2.5), ("validation/bleu", 10, 30.0)])
    assert read_curves(tmp_path / "one") == {"train/loss": ([10, 20, 30], [3.0, 2.0, 1.5])}
    figure = plot_curves({"a": tmp_path / "one", "b": tmp_path / "two"}, ["train/loss", "validation/bleu"])
    assert [[line.get_label() for line in axes.lines] for axes in figure.axes] == [["a", "b"], ["b"]]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [3.0, 2.0, 1.5]
    with pytest.raises(ConfigError, match="must hold curves"):
        read_curves(tmp_path / "three")
