"""Heads against formulas in NumPy, their losses over part-filled batches, and the model they make with an encoder."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from transformer.config import ModelConfig
from transformer.encoders import TextEncoder
from transformer.heads import ClassificationHead, RegressionHead, SimilarityHead, SpanHead, TextModel, pool

CONFIG = ModelConfig(d_model=16, num_heads=2, num_layers=2, ffn_dim=32, vocab_size=20, dropout=0.1)
IDS = np.array([[5, 6, 7, 0], [8, 9, 0, 0]], "int32")
TYPES = np.zeros_like(IDS)
HIDDEN = np.array([[[1.0, -2.0], [3.0, 4.0], [9.0, 9.0]]], "float32")
REAL = np.array([[True, True, False]])


def text_model(head, config=CONFIG, seed=1):
    keras.utils.set_random_seed(seed)
    encoder = TextEncoder(config, token_types=2)
    encoder.build()
    model = TextModel(encoder, head)
    model.build()
    return model


@pytest.mark.parametrize("kind, expected", [("mean", [2.0, 1.0]), ("first", [1.0, -2.0]), ("max", [3.0, 4.0])])
def test_pooling_by_hand(kind, expected):
    assert pool(HIDDEN, REAL, kind).numpy().tolist() == [expected]


def test_the_head_is_dense_tanh_dense():
    head = ClassificationHead(3)
    head.build((None, None, 2))
    x = np.array([[2.0, 1.0]])
    inner = np.tanh(x @ head.inner.kernel.numpy() + head.inner.bias.numpy())
    expected = inner @ head.outer.kernel.numpy() + head.outer.bias.numpy()
    np.testing.assert_allclose(head(HIDDEN, REAL), expected, atol=1e-6)


def test_class_weights_and_rows_without_example():
    logits, labels = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [3.0, 0.0, 0.0]], "float32"), [[1], [2], [-1]]
    loss, count = ClassificationHead(3, class_weights=(1.0, 2.0, 5.0)).loss(np.array(labels, "int32"), logits)
    chances = log_softmax(logits, axis=1)
    assert float(count) == 7.0
    assert float(loss) == pytest.approx(-2.0 * chances[0, 1] - 5.0 * chances[1, 2], rel=1e-6)


def test_label_smoothing_is_cross_entropy_with_the_smoothed_target():
    logits = np.array([[1.0, 2.0, 0.5]], "float32")
    loss, _ = ClassificationHead(3, label_smoothing=0.3).loss(np.array([[1]], "int32"), logits)
    assert float(loss) == pytest.approx(-np.dot([0.1, 0.8, 0.1], log_softmax(logits[0])), rel=1e-6)


def test_several_labels():
    head, logits = ClassificationHead(2, multilabel=True), np.array([[2.0, -1.0], [0.0, 0.0]], "float32")
    loss, count = head.loss(np.array([[1, 0], [-1, -1]], "int32"), logits)
    expected = -(np.log(1 / (1 + np.exp(-2.0))) + np.log(1 - 1 / (1 + np.exp(1.0)))) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-6) and float(count) == 1.0
    np.testing.assert_allclose(head.predictions(logits)[0], [1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(1.0))], rtol=1e-6)


def test_regression_begins_at_the_mean_and_skips_what_is_missing():
    head = RegressionHead(shift=3.0, scale=2.0)
    loss, count = head.loss(np.array([[1.0], [np.nan]], "float32"), np.array([[1.5], [7.0]], "float32"))
    assert (float(loss), float(count)) == (0.25, 1.0)
    head.build((None, None, 2))
    for dense in (head.inner, head.outer):
        dense.kernel.assign(np.zeros(dense.kernel.shape))
    assert head(HIDDEN, REAL).numpy().tolist() == [[3.0]]


def test_two_texts_read_apart_are_compared():
    """Against the two read in calls of their own: (u, v, |u - v|) before the dense layers, or the cosine."""
    ids = np.array([[5, 6, 7, 0, 8, 9, 0, 0], [3, 4, 0, 0, 3, 4, 0, 0]], "int32")
    for head in (ClassificationHead(3, num_texts=2), SimilarityHead(1.0, 4.0)):
        model = text_model(head)
        first, second = (
            pool(model.encoder((half, np.zeros_like(half))), half > 0, "mean").numpy() for half in (ids[:, :4], ids[:, 4:])
        )
        outputs = model((ids, np.zeros_like(ids))).numpy()
        if isinstance(head, SimilarityHead):
            cosines = np.sum(first * second, -1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)
            expected = 1.0 + 4.0 * cosines[:, None]
            assert outputs[1, 0] == pytest.approx(5.0, abs=1e-5) and outputs[0, 0] < 4.99
        else:
            x = np.concatenate([first, second, abs(first - second)], -1)
            inner = np.tanh(x @ head.inner.kernel.numpy() + head.inner.bias.numpy())
            expected = inner @ head.outer.kernel.numpy() + head.outer.bias.numpy()
        np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_spans_never_stand_on_padding():
    head = SpanHead()
    head.build((None, None, 2))
    outputs = head(HIDDEN, REAL)
    assert outputs.shape == (1, 3, 2) and (outputs.numpy()[0, 2] == -1e9).all()
    chances = log_softmax(outputs.numpy()[0], axis=0)
    loss, count = head.loss(np.array([[0, 1]], "int32"), outputs)
    assert float(loss) == pytest.approx(-(chances[0, 0] + chances[1, 1]) / 2, rel=1e-5, abs=1e-6) and float(count) == 1.0
    np.testing.assert_allclose(head.predictions(outputs)[0, :2], chances[:2], atol=1e-6)
    assert float(head.loss(np.array([[-1, -1]], "int32"), outputs)[0]) == 0.0


HEADS = {
    "similarity": (SimilarityHead(1.0, 4.0, pooling="first"), [[2.0], [np.nan]]),
    "classification": (ClassificationHead(3, class_weights=(1.0, 2.0, 3.0), pooling="max"), [[1], [2]]),
    "multilabel": (ClassificationHead(3, multilabel=True), [[1, 0, 1], [0, 0, 0]]),
    "regression": (RegressionHead(1.0, 2.0), [[1.5], [0.5]]),
    "spans": (SpanHead(), [[1, 2], [0, 1]]),
}


@pytest.mark.parametrize("name", HEADS)
def test_outputs_are_float32_in_every_precision(name):
    head = type(HEADS[name][0]).from_config({**HEADS[name][0].get_config(), "dtype": "mixed_bfloat16"})
    hidden, real = np.ones((4, 3, 8), "float32"), np.ones((4, 3), bool)
    head.build((None, None, 8))
    assert head(keras.ops.cast(hidden, "bfloat16"), real, training=True).dtype == "float32"


@pytest.mark.parametrize("name", HEADS)
def test_a_text_model_is_saved_whole(name, tmp_path):
    model = text_model(type(HEADS[name][0]).from_config(HEADS[name][0].get_config()))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    np.testing.assert_array_equal(model((IDS, TYPES)), again((IDS, TYPES)))
    assert again.head.get_config() == {**model.head.get_config(), "dtype": again.head.get_config()["dtype"]}


def test_the_fused_projections_can_be_int8():
    """Keras's own quantization, layer by layer, changes the outputs by less than its rounding can."""
    model = text_model(ClassificationHead(3))
    before = model((IDS, TYPES)).numpy()
    for layer in model.encoder._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.quantize("int8")
    after = model((IDS, TYPES)).numpy()
    assert 0 < np.abs(after - before).max() < 0.05
