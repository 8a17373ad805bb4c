"""Tests of the heads.

Outputs are compared with formulas in NumPy. Other tests cover the losses of partly filled batches
and the model that a head makes with an encoder.
"""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from tests.model.test_dropout import drops
from transformer.config import ModelConfig
from transformer.model.heads import (
    ClassificationHead,
    RegressionHead,
    SimilarityHead,
    SpanHead,
    TextModel,
    pool,
)
from transformer.pretrained.encoders import TextEncoder

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


@pytest.mark.parametrize(
    "kind, expected", [("mean", [2.0, 1.0]), ("first", [1.0, -2.0]), ("max", [3.0, 4.0])]
)
def test_pooling_by_hand(kind, expected):
    assert pool(HIDDEN, REAL, kind).numpy().tolist() == [expected]


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("mean", [-2.0, -3.0]),
        ("first", [-1.0, -2.0]),
        ("max", [-1.0, -2.0]),
    ],
)
def test_padding_is_not_pooled_neither_as_it_is_nor_as_0(kind, expected):
    hidden = np.array([[[-1.0, -2.0], [-3.0, -4.0], [9.0, 9.0]]], "float32")
    assert pool(hidden, REAL, kind).numpy().tolist() == [expected]


def test_each_text_is_pooled_over_its_own_tokens():
    hidden = np.array([[[2.0], [4.0], [9.0]], [[-6.0], [9.0], [9.0]]], "float32")
    real = np.array([[True, True, False], [True, False, False]])
    assert pool(hidden, real, "mean").numpy().tolist() == [[3.0], [-6.0]]
    assert pool(hidden, real, "max").numpy().tolist() == [[4.0], [-6.0]]
    assert pool(hidden, real, "first").numpy().tolist() == [[2.0], [-6.0]]
    # A row that only fills up a batch has no tokens.
    assert pool(hidden, np.zeros((2, 3), bool), "mean").numpy().tolist() == [[0.0], [0.0]]


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def precision(request):
    """That of every layer which is not told another."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("kind", ["mean", "first", "max"])
def test_a_head_pools_as_it_is_told_in_float32(kind, precision):
    """257 is no number of bfloat16, and the mean of 256 and 258."""
    hidden = keras.ops.cast([[[256.0], [258.0]]], "bfloat16")
    pooled = {"mean": 257.0, "first": 256.0, "max": 258.0}[kind]
    assert pool(hidden, np.ones((1, 2), bool), kind).numpy().tolist() == [[pooled]]
    head = ClassificationHead(2, pooling=kind)
    head.build((None, None, 1))
    head.inner.kernel.assign([[2.0**-9]])
    head.outer.kernel.assign([[1.0, -2.0]])
    expected = np.tanh(pooled / 512) * np.array([[1.0, -2.0]])
    np.testing.assert_allclose(head(hidden, np.ones((1, 2), bool)), expected, rtol=1e-6)


def test_the_head_is_dense_tanh_dense():
    head = ClassificationHead(3)
    head.build((None, None, 2))
    x = np.array([[2.0, 1.0]])
    inner = np.tanh(x @ head.inner.kernel.numpy() + head.inner.bias.numpy())
    expected = inner @ head.outer.kernel.numpy() + head.outer.bias.numpy()
    np.testing.assert_allclose(head(HIDDEN, REAL), expected, atol=1e-6)


def test_class_weights_and_rows_without_example():
    logits, labels = (
        np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [3.0, 0.0, 0.0]], "float32"),
        [[1], [2], [-1]],
    )
    loss, count = ClassificationHead(3, class_weights=(1.0, 2.0, 5.0)).loss(
        np.array(labels, "int32"), logits
    )
    chances = log_softmax(logits, axis=1)
    assert float(count) == 7.0
    assert float(loss) == pytest.approx(-2.0 * chances[0, 1] - 5.0 * chances[1, 2], rel=1e-6)


def test_label_smoothing_is_cross_entropy_with_the_smoothed_target():
    logits = np.array([[1.0, 2.0, 0.5]], "float32")
    loss, _ = ClassificationHead(3, label_smoothing=0.3).loss(np.array([[1]], "int32"), logits)
    assert float(loss) == pytest.approx(-np.dot([0.1, 0.8, 0.1], log_softmax(logits[0])), rel=1e-6)


def test_the_loss_of_classes_goes_by_all_options():
    logits = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]], "float32")
    head = ClassificationHead(3, class_weights=(1.0, 2.0, 5.0), label_smoothing=0.3)
    loss, count = head.loss(np.array([[1], [2]], "int32"), logits)
    nats = -log_softmax(logits, axis=1)
    expected = 2.0 * np.dot([0.1, 0.8, 0.1], nats[0]) + 5.0 * np.dot([0.1, 0.1, 0.8], nats[1])
    assert (float(loss), float(count)) == (pytest.approx(expected, rel=1e-6), 7.0)
    plain, count = ClassificationHead(3).loss(np.array([[1], [2]], "int32"), logits)
    assert (float(plain), float(count)) == (pytest.approx(nats[0, 1] + nats[1, 2], rel=1e-6), 2.0)
    chances = np.exp(-nats)
    np.testing.assert_allclose(head.predictions(logits), chances, rtol=1e-6)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    "head, targets, count",
    [
        (ClassificationHead(3), [[0], [2], [-1]], 2.0),
        (ClassificationHead(3, class_weights=(0.5, 1.0, 3.0)), [[0], [2], [-1]], 3.5),
        (
            ClassificationHead(3, multilabel=True),
            [[0, 0, 0], [1, 0, 1], [-1, -1, -1], [0, 1, 1]],
            3.0,
        ),
        (RegressionHead(), [[0.0], [-1.0], [np.nan]], 2.0),
        (SimilarityHead(), [[0.0], [-1.0], [np.nan]], 2.0),
        (SpanHead(), [[0, 0], [3, 4], [-1, -1]], 2.0),
    ],
)
def test_what_a_loss_is_summed_over_is_counted(head, targets, count):
    kind = "float32" if isinstance(head, RegressionHead) else "int32"
    assert float(head.count(np.array(targets, kind))) == count


def test_how_far_two_passes_are_apart_by_hand():
    """The mean of both Kullback-Leibler divergences: of 0.5, 0.5 and 0.2, 0.8 it is 0.15 ln 4."""
    first, second = np.log([[0.5, 0.5]]), np.log([[0.2, 0.8]])
    found = ClassificationHead(2).divergence(first, second)
    np.testing.assert_allclose(found, [0.15 * np.log(4.0)], rtol=1e-6)
    # The first label has probability 0.5 in one pass and 0.2 in the other, as above. The second
    # label has the same in both.
    first, second = np.array([[0.0, 1.0]]), np.array([[np.log(0.25), 1.0]])
    found = ClassificationHead(2, multilabel=True).divergence(first, second)
    np.testing.assert_allclose(found, [0.15 * np.log(4.0) / 2], rtol=1e-6)
    for kind in (RegressionHead, SimilarityHead):
        found = kind().divergence(np.array([[1.0], [2.0]]), np.array([[4.0], [0.0]]))
        np.testing.assert_allclose(found, [9.0, 4.0])
    # The distributions of the start differ as above. Those of the end are the same.
    first, second = np.log([[[0.5, 0.3], [0.5, 0.7]]]), np.log([[[0.2, 0.3], [0.8, 0.7]]])
    found = SpanHead().divergence(first, second)
    np.testing.assert_allclose(found, [0.15 * np.log(4.0) / 2], rtol=1e-6)


def test_several_labels():
    head, logits = (
        ClassificationHead(2, multilabel=True),
        np.array([[2.0, -1.0], [0.0, 0.0]], "float32"),
    )
    loss, count = head.loss(np.array([[1, 0], [-1, -1]], "int32"), logits)
    expected = -(np.log(1 / (1 + np.exp(-2.0))) + np.log(1 - 1 / (1 + np.exp(1.0)))) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-6) and float(count) == 1.0
    np.testing.assert_allclose(
        head.predictions(logits)[0], [1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(1.0))], rtol=1e-6
    )


def test_regression_begins_at_the_mean_and_skips_what_is_missing():
    head = RegressionHead(shift=3.0, scale=2.0)
    loss, count = head.loss(
        np.array([[1.0], [np.nan]], "float32"), np.array([[1.5], [7.0]], "float32")
    )
    assert (float(loss), float(count)) == (0.25, 1.0)
    head.build((None, None, 2))
    for dense in (head.inner, head.outer):
        dense.kernel.assign(np.zeros(dense.kernel.shape))
    assert head(HIDDEN, REAL).numpy().tolist() == [[3.0]]


def test_a_number_is_shifted_and_scaled():
    head = RegressionHead(shift=3.0, scale=2.0, pooling="max")
    plain = ClassificationHead(1, pooling="max")
    for each in (head, plain):
        each.build((None, None, 2))
    for part in ("inner", "outer"):
        getattr(head, part).set_weights(getattr(plain, part).get_weights())
    outputs = head(HIDDEN, REAL).numpy()
    np.testing.assert_allclose(outputs, 3.0 + 2.0 * plain(HIDDEN, REAL).numpy(), rtol=1e-6)
    assert head.predictions(np.array([[1.5], [2.0]])).tolist() == [1.5, 2.0]
    targets, outputs = np.array([[[1.0], [5.0]], [[1.5], [2.0]]], "float32")
    loss, count = head.loss(targets, outputs)
    assert (float(loss), float(count)) == (9.25, 2.0)


def test_a_cosine_is_shifted_and_scaled_by_what_is_learnt(precision):
    """Vectors (3, 4) and (4, 3), whose cosine is 0.96, in float32 in every precision."""
    hidden = np.array([[[3.0, 4.0], [9.0, 9.0]], [[4.0, 3.0], [9.0, 9.0]]], "float32")
    real = np.array([[True, False]] * 2)
    head = SimilarityHead(shift=1.001, scale=4.0, pooling="max")
    np.testing.assert_allclose(head(hidden, real), [[1.001 + 4.0 * 0.96]], rtol=1e-6)
    (line,) = head.trainable_variables
    assert line.numpy().tolist() == pytest.approx([1.001, 4.0]) and line.dtype == "float32"
    line.assign([-1.0, 2.0])
    np.testing.assert_allclose(head(hidden, real), [[-1.0 + 2.0 * 0.96]], rtol=1e-6)
    head = SimilarityHead()
    assert (head.shift, head.scale, head.num_texts) == (0.0, 1.0, 2)


@pytest.mark.parametrize(
    "head, number",
    [
        # One dropout before the first dense layer and one before the last.
        (ClassificationHead(3), 2),
        (ClassificationHead(3, multilabel=True, num_texts=2), 2),
        (RegressionHead(), 2),
        (SpanHead(), 1),
    ],
)
def test_every_dropout_drops_in_training_and_only_there(head, number):
    keras.utils.set_random_seed(1)
    hidden = np.random.default_rng(0).normal(size=(4, 3, 8)).astype("float32")
    head = type(head).from_config({**head.get_config(), "dropout": 0.5})
    real = np.ones((4, 3), bool)
    before = head(hidden, real).numpy()
    np.testing.assert_array_equal(head(hidden, real, training=False), before)
    assert drops(head) == [0]
    assert np.abs(head(hidden, real, training=True).numpy() - before).max() > 1e-3
    assert drops(head) == [number]


@pytest.mark.parametrize("training, counts", [(False, [0] * 6), (True, [1] * 5 + [2])])
def test_a_text_model_passes_training_on(training, counts):
    """An encoder of two layers has dropout on its embeddings and twice in each layer."""
    model = text_model(ClassificationHead(3))
    model((IDS, TYPES), training=training)
    assert drops(model) == counts


def test_what_is_dropped_is_a_share_of_what_goes_into_the_dense_layers():
    """Where nearly all of what goes into the last layer is dropped, its bias is left."""
    keras.utils.set_random_seed(1)
    head, spans = ClassificationHead(2, dropout=0.999), SpanHead(dropout=0.999)
    for each in (head, spans):
        each.build((None, None, 2))
        each.outer.bias.assign([3.0, 4.0])
    assert head(HIDDEN, REAL, training=True).numpy().tolist() == [[3.0, 4.0]]
    assert spans(HIDDEN, REAL, training=True).numpy()[0, :2].tolist() == [[3.0, 4.0]] * 2


def test_what_a_head_keeps_is_divided_in_float32(precision):
    """4 / 3 to seven digits, where half precision has three."""
    keras.utils.set_random_seed(1)
    hidden, real = np.ones((1, 50, 1), "float32"), np.ones((1, 50), bool)
    head = SpanHead(dropout=0.25)
    head.build((None, None, 1))
    head.outer.kernel.assign([[1.0, 1.0]])
    found = set(head(hidden, real, training=True).numpy().ravel().tolist())
    assert found == {0.0, float(np.float32(4 / 3))}


def test_two_texts_read_apart_are_compared():
    """Against the two read in calls of their own: (u, v, |u - v|) before the dense layers, or
    the cosine."""
    ids = np.array([[5, 6, 7, 0, 8, 9, 0, 0], [3, 4, 0, 0, 3, 4, 0, 0]], "int32")
    for head in (ClassificationHead(3, num_texts=2), SimilarityHead(1.0, 4.0)):
        model = text_model(head)
        first, second = (
            pool(model.encoder((half, np.zeros_like(half))), half > 0, "mean").numpy()
            for half in (ids[:, :4], ids[:, 4:])
        )
        outputs = model((ids, np.zeros_like(ids))).numpy()
        if isinstance(head, SimilarityHead):
            cosines = (
                np.sum(first * second, -1)
                / np.linalg.norm(first, axis=-1)
                / np.linalg.norm(second, axis=-1)
            )
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
    assert (
        float(loss) == pytest.approx(-(chances[0, 0] + chances[1, 1]) / 2, rel=1e-5, abs=1e-6)
        and float(count) == 1.0
    )
    np.testing.assert_allclose(head.predictions(outputs)[0, :2], chances[:2], atol=1e-6)
    assert float(head.loss(np.array([[-1, -1]], "int32"), outputs)[0]) == 0.0


def test_spans_by_hand():
    """Starts have chances of 0.5, 0.25, 0.25, ends of 0.1, 0.1, 0.8; the second row fills up."""
    chances = np.array([[[0.5, 0.1], [0.25, 0.1], [0.25, 0.8]]])
    outputs = np.log(np.concatenate([chances, chances])).astype("float32") + 2.0
    head = SpanHead()
    loss, count = head.loss(np.array([[1, 2], [-1, -1]], "int32"), outputs)
    assert float(loss) == pytest.approx(-(np.log(0.25) + np.log(0.8)) / 2, rel=1e-5)
    assert float(count) == 1.0
    np.testing.assert_allclose(head.predictions(outputs)[0], np.log(chances[0]), rtol=1e-5)


def test_spans_are_a_dense_layer_of_each_token_in_float32(precision):
    """256 and 258 twice: bfloat16 would lose what their kernel of 1 + 2^-10 makes of them."""
    hidden = keras.ops.cast([[[256.0], [258.0], [7.0]]], "bfloat16")
    real = np.array([[True, True, False]])
    head = SpanHead()
    head.build((None, None, 1))
    head.outer.kernel.assign([[1.0 + 2.0**-10, -1.0]])
    head.outer.bias.assign([0.5, 0.25])
    found = head(hidden, real)
    assert found.dtype == "float32"
    expected = [[256.75, -255.75], [258.751953125, -257.75], [-1e9, -1e9]]
    assert found.numpy().tolist() == [expected]


@pytest.mark.parametrize(
    "kind, arguments",
    [
        (
            ClassificationHead,
            dict(
                num_classes=3,
                multilabel=True,
                class_weights=(1.0, 2.0, 3.0),
                label_smoothing=0.3,
                pooling="first",
                dropout=0.25,
                num_texts=2,
            ),
        ),
        (RegressionHead, dict(shift=3.0, scale=2.0, pooling="max", dropout=0.25, num_texts=2)),
        (SimilarityHead, dict(shift=3.0, scale=2.0, pooling="max", dropout=0.25, num_texts=2)),
        (SpanHead, dict(dropout=0.25)),
    ],
)
def test_a_saved_head_has_all_its_arguments(kind, arguments):
    config = kind(**arguments).get_config()
    assert config == {**config, **arguments}
    again = kind.from_config(config)
    assert again.get_config() == config and again.dropout.rate == 0.25


def test_arguments_that_are_left_out():
    head = ClassificationHead(3)
    assert (head.multilabel, head.class_weights, head.label_smoothing) == (False, (), 0.0)
    assert (head.pooling, head.dropout.rate, head.num_texts) == ("mean", 0.1, 1)
    assert (RegressionHead().shift, RegressionHead().scale) == (0.0, 1.0)
    assert SpanHead().dropout.rate == 0.1


def test_padding_is_what_the_encoder_takes_for_it():
    """With 3 for padding, what stands there makes no difference, and a 0 is a token."""
    config = ModelConfig(**{**vars(CONFIG), "pad_id": 3})
    for head in (ClassificationHead(3, pooling="max"), SpanHead()):
        model = text_model(head, config)
        ids = np.array([[5, 0, 3, 3]], "int32")
        short, long = model((ids[:, :2], TYPES[:1, :2])).numpy(), model((ids, TYPES[:1])).numpy()
        found = long[:, :2] if isinstance(head, SpanHead) else long
        np.testing.assert_allclose(found, short, atol=1e-5)
        assert model.d_model == 16


HEADS = {
    "similarity": (SimilarityHead(1.0, 4.0, pooling="first"), [[2.0], [np.nan]]),
    "classification": (
        ClassificationHead(3, class_weights=(1.0, 2.0, 3.0), pooling="max"),
        [[1], [2]],
    ),
    "multilabel": (ClassificationHead(3, multilabel=True), [[1, 0, 1], [0, 0, 0]]),
    "regression": (RegressionHead(1.0, 2.0), [[1.5], [0.5]]),
    "spans": (SpanHead(), [[1, 2], [0, 1]]),
}


@pytest.mark.parametrize("name", HEADS)
def test_outputs_are_float32_in_every_precision(name):
    head = type(HEADS[name][0]).from_config(
        {**HEADS[name][0].get_config(), "dtype": "mixed_bfloat16"}
    )
    hidden, real = np.ones((4, 3, 8), "float32"), np.ones((4, 3), bool)
    head.build((None, None, 8))
    assert head(keras.ops.cast(hidden, "bfloat16"), real, training=True).dtype == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_a_text_model_is_saved_whole(name, tmp_path):
    model = text_model(type(HEADS[name][0]).from_config(HEADS[name][0].get_config()))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    np.testing.assert_array_equal(model((IDS, TYPES)), again((IDS, TYPES)))
    assert again.head.get_config() == {
        **model.head.get_config(),
        "dtype": again.head.get_config()["dtype"],
    }


@pytest.mark.slow
def test_the_fused_projections_can_be_int8():
    """Keras's own quantization, layer by layer, changes the outputs by less than its rounding
    can."""
    model = text_model(ClassificationHead(3))
    before = model((IDS, TYPES)).numpy()
    for layer in model.encoder._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.quantize("int8")
    after = model((IDS, TYPES)).numpy()
    assert 0 < np.abs(after - before).max() < 0.05


@pytest.mark.parametrize(
    "kind", [ClassificationHead, RegressionHead, SimilarityHead, SpanHead, TextModel]
)
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"


def test_building_a_text_model_builds_its_parts():
    sizes = dict(d_model=8, num_heads=2, num_layers=1, ffn_dim=8, vocab_size=20)
    model = TextModel(TextEncoder(sizes), ClassificationHead(3))
    assert not model.encoder.built and not model.head.built
    model.build()
    assert model.encoder.built and model.head.outer.kernel.shape == (8, 3)
