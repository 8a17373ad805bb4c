"""Tests of the building blocks.

They check what Keras demands of every layer, the arithmetic of small layers by hand, and encoder
and decoder layers against NumPy.
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests.model.test_dropout import drops
from tests.numpy_transformer import Reference
from transformer.config import ModelConfig
from transformer.model.attention import MultiHeadAttention, causal_mask, segment_mask
from transformer.model.layers import (
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    LayerNormalization,
    Residual,
    as_config,
    normalization,
)
from transformer.model.positions import PositionalEmbedding
from transformer.model.transformer import Decoder, Encoder

CONFIG = ModelConfig(d_model=8, num_heads=2, num_layers=1, vocab_size=23, ffn_dim=12)
MODERN = dict(
    norm="pre", norm_type="rms", positions="rotary", gated=True, activation="swish", use_bias=False
)
POSITIONS = np.array([[0, 1, 2, 3]], "int32")


def array(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomize(layer):
    """Random weights, because the zeros of biases and the ones of norms would hide mistakes."""
    for number, variable in enumerate(layer.trainable_variables):
        norm = 1.0 if "norm" in variable.path else 0.0
        variable.assign(random(*variable.shape, seed=number) * 0.4 + norm)
    return layer


def randomize_built(layer):
    layer.build()
    return randomize(layer)


def reference_of(layer, config):
    return Reference({f"model/{v.path}": array(v) for v in layer.trainable_variables}, config)


X, Y, MEMORY = random(2, 4, 8, seed=50), random(2, 4, 8, seed=51), random(2, 5, 8, seed=52)
IDS = np.array([[5, 9, 3, 0], [4, 8, 15, 16]], "int32")
MODERN_CONFIG = dataclasses.replace(CONFIG, **MODERN)
LAYERS = {
    "attention": (
        lambda **k: MultiHeadAttention(8, 2, cross=True, use_bias=False, dropout=0.1, **k),
        (X, MEMORY),
    ),
    "rotary_attention": (
        lambda **k: MultiHeadAttention(8, 2, rotary=True, **k),
        (X, None, None, POSITIONS),
    ),
    "sinusoidal": (lambda **k: PositionalEmbedding("sinusoidal", **k), (X, POSITIONS)),
    "learned": (lambda **k: PositionalEmbedding("learned", 7, **k), (X, POSITIONS)),
    "residual": (lambda **k: Residual(CONFIG, **k), (X, Y)),
    "residual_rms": (
        lambda **k: Residual(dataclasses.replace(CONFIG, norm_type="rms"), **k),
        (X, Y),
    ),
    "feed_forward": (lambda **k: FeedForward(CONFIG, **k), (X,)),
    "gated_feed_forward": (lambda **k: FeedForward(MODERN_CONFIG, **k), (X,)),
    "encoder_layer": (lambda **k: EncoderLayer(CONFIG, **k), (X,)),
    "modern_encoder_layer": (lambda **k: EncoderLayer(MODERN_CONFIG, **k), (X, None, POSITIONS)),
    "decoder_layer": (lambda **k: DecoderLayer(CONFIG, **k), (X, MEMORY)),
    "modern_decoder_layer": (
        lambda **k: DecoderLayer(MODERN_CONFIG, **k),
        (X, MEMORY, None, None, POSITIONS),
    ),
    "encoder": (lambda **k: Encoder(8, 2, 2, vocab_size=23, ffn_dim=12, **k), (X,)),
    "encoder_of_ids": (lambda **k: Encoder(8, 2, 1, config=MODERN_CONFIG, **k), (IDS,)),
    "decoder": (lambda **k: Decoder(8, 2, 2, vocab_size=23, norm="pre", **k), (X, MEMORY)),
    "decoder_of_ids": (lambda **k: Decoder(8, 2, 1, config=CONFIG, **k), (IDS, MEMORY)),
}


def run_layer_test(make, inputs):
    """What every layer owes Keras: its config makes it again, its policy reaches all its parts,
    its output is finite."""
    layer = make(name="tested")
    layer(*inputs)
    randomize(layer)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    expected = array(layer(*inputs))
    assert (
        expected.shape == (2, 4, 8) and np.isfinite(expected).all() and expected.dtype == "float32"
    )
    again(*inputs)
    assert [v.path for v in again.trainable_variables] == [
        v.path for v in layer.trainable_variables
    ]
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(array(again(*inputs)), expected)
    for precision in ("bfloat16", "float16"):
        half = make(name="tested", dtype=f"mixed_{precision}")
        halved = [
            value if value is None or value.dtype == "int32" else ops.cast(value, precision)
            for value in inputs
        ]
        half(*halved)
        parts = half._flatten_layers(include_self=True)
        assert {part.compute_dtype for part in parts} == {precision}
        assert {variable.dtype for variable in half.trainable_variables} <= {"float32"}
        half.set_weights(layer.get_weights())
        for training in (False, True):
            options = {"training": training} if half._call_has_training_arg else {}
            output = half(*halved, **options)
            assert (
                keras.backend.standardize_dtype(output.dtype) == precision
                and np.isfinite(array(output)).all()
            )
        near = 0.25 if precision == "bfloat16" else 0.05
        np.testing.assert_allclose(
            array(half(*halved)), expected, atol=near * max(1.0, np.abs(expected).max())
        )


@pytest.mark.parametrize("make, inputs", LAYERS.values(), ids=LAYERS)
def test_what_every_layer_owes_keras(make, inputs):
    run_layer_test(make, inputs)


def test_a_config_may_be_its_dictionary():
    assert as_config(dataclasses.asdict(CONFIG)) == CONFIG and as_config(CONFIG) is CONFIG


def test_norms_by_hand():
    """[1, 3]: mean 2, variance 1; mean square 5."""
    x = ops.convert_to_tensor([[1.0, 3.0]])
    for kind, expected in (("layer", [-1.0, 1.0]), ("rms", [1 / 5**0.5, 3 / 5**0.5])):
        layer = normalization(ModelConfig(norm_type=kind, norm_epsilon=0.0), None)
        np.testing.assert_allclose(array(layer(x))[0], expected, atol=1e-6)
        # Epsilon is added to the variance, inside the root: sqrt(1 + 3) = 2, sqrt(5 + 4) = 3.
        layer = normalization(
            ModelConfig(norm_type=kind, norm_epsilon=3.0 if kind == "layer" else 4.0), None
        )
        np.testing.assert_allclose(
            array(layer(x))[0], [-0.5, 0.5] if kind == "layer" else [1 / 3, 1.0], atol=1e-6
        )


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_gradient_of_layer_norm_is_that_of_keras(dtype):
    generator, found = np.random.default_rng(1), []
    x, upstream = (generator.normal(size=(3, 5, 8)).astype("float32") for _ in range(2))
    for kind in (LayerNormalization, keras.layers.LayerNormalization):
        norm = kind(epsilon=1e-3, dtype=dtype)
        norm.build(x.shape)
        norm.set_weights([np.linspace(0.5, 2, 8), np.linspace(-1, 1, 8)])
        inputs = tf.cast(x * 3 + 1, norm.compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = norm(inputs)
        found.append(
            [
                outputs,
                *tape.gradient(
                    outputs,
                    [inputs, norm.gamma.value, norm.beta.value],
                    tf.cast(upstream, outputs.dtype),
                ),
            ]
        )
    for ours, theirs in zip(*found):
        assert ours.dtype == theirs.dtype and np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(
            *(tf.cast(array, "float32") for array in (ours, theirs)),
            rtol=1e-5 if dtype == "float32" else 0.02,
            atol=1e-5,
        )


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_norms_of_large_numbers_do_not_overflow_float16(kind):
    """400 squared is more than float16 holds."""
    layer = normalization(ModelConfig(norm_type=kind), "mixed_float16")
    found = array(layer(ops.convert_to_tensor([[400.0, -400.0]], "float16")))
    np.testing.assert_allclose(found, [[1.0, -1.0]], atol=1e-2)


def test_residual_by_hand():
    """x = [1, 2], y = [0, 2]: x + y = [1, 4], of mean 2.5 and deviation 1.5."""
    x, y = ops.convert_to_tensor([[[1.0, 2.0]]]), ops.convert_to_tensor([[[0.0, 2.0]]])
    options = dict(d_model=2, num_heads=1, norm_epsilon=0.0, dropout=0.0)
    post, pre = (Residual(ModelConfig(norm=norm, **options)) for norm in ("post", "pre"))
    pre.build()
    np.testing.assert_allclose(array(post.enter(x))[0, 0], [1, 2])
    np.testing.assert_allclose(array(post(x, y))[0, 0], [-1, 1], atol=1e-6)
    np.testing.assert_allclose(array(pre.enter(x))[0, 0], [-1, 1], atol=1e-6)
    np.testing.assert_allclose(array(pre(x, y))[0, 0], [1, 4])


def test_residual_drops_the_sublayer_and_never_the_input():
    keras.utils.set_random_seed(0)
    residual = Residual(dataclasses.replace(CONFIG, norm="pre", dropout=0.5))
    x, y = ops.ones((20, 4, 8)), 10.0 * ops.ones((20, 4, 8))
    assert {float(value) for value in array(residual(x, y, training=True)).ravel()} == {1.0, 21.0}
    assert {float(value) for value in array(residual(x, y)).ravel()} == {11.0}


@pytest.mark.parametrize(
    "activation, at_minus_1, at_2",
    [
        ("relu", 0.0, 2.0),
        # Exact GELU is x * Phi(x).
        ("gelu", -0.15865525, 1.95449974),
        ("gelu_tanh", -0.15880801, 1.95459769),
        # Swish is x / (1 + exp(-x)).
        ("swish", -0.26894142, 1.76159416),
    ],
)
@pytest.mark.parametrize("gated", [False, True])
def test_feed_forward_by_hand(activation, at_minus_1, at_2, gated):
    """inner(x) = [x, -2 x] + [0, 0] = [-1, 2] at x = -1; the gate is [3 x + 1, x] = [-2, -1];
    outer = 5 a + 7 b + 1."""
    config = ModelConfig(
        d_model=1, num_heads=1, ffn_dim=2, activation=activation, gated=gated, positions="learned"
    )
    layer = FeedForward(config)
    layer.build()
    layer.inner.set_weights([np.array([[1.0, -2.0]]), np.zeros(2)])
    layer.outer.set_weights([np.array([[5.0], [7.0]]), np.ones(1)])
    expected = 5 * at_minus_1 + 7 * at_2 + 1
    if gated:
        layer.gate.set_weights([np.array([[3.0, 1.0]]), np.array([1.0, 0.0])])
        expected = 5 * at_minus_1 * -2 + 7 * at_2 * -1 + 1
    np.testing.assert_allclose(
        array(layer(ops.convert_to_tensor([[[-1.0]]]))), [[[expected]]], atol=1e-4
    )


def test_activation_dropout_is_inside_the_feed_forward_layer():
    keras.utils.set_random_seed(0)
    layer = FeedForward(
        dataclasses.replace(CONFIG, activation_dropout=0.5, ffn_dim=8, use_bias=False)
    )
    layer.build()
    layer.inner.kernel.assign(np.eye(8))
    layer.outer.kernel.assign(np.eye(8))
    x = ops.ones((20, 4, 8))
    assert {float(value) for value in array(layer(x, training=True)).ravel()} == {0.0, 2.0}
    np.testing.assert_array_equal(array(layer(x)), 1.0)


@pytest.mark.parametrize("options", [{}, dict(norm="pre"), MODERN], ids=["post", "pre", "modern"])
def test_encoder_layer_equals_numpy(options):
    config = dataclasses.replace(CONFIG, **options)
    layer = randomize_built(EncoderLayer(config, name="layer"))
    reference = reference_of(layer, config)
    rotary = config.positions == "rotary"
    for row in range(2):
        x = reference.residual(
            "layer/self_residual",
            X[row].astype("float64"),
            lambda y: reference.attention("layer/self_attention", y, y, rotary=rotary)[0],
        )
        x = reference.residual(
            "layer/feed_forward_residual",
            x,
            lambda y: reference.feed_forward("layer/feed_forward", y),
        )
        np.testing.assert_allclose(array(layer(X, None, POSITIONS))[row], x, atol=1e-5)


@pytest.mark.parametrize("options", [{}, dict(norm="pre"), MODERN], ids=["post", "pre", "modern"])
def test_decoder_layer_equals_numpy(options):
    config = dataclasses.replace(CONFIG, **options)
    layer = randomize_built(DecoderLayer(config, name="layer"))
    reference = reference_of(layer, config)
    rotary, found = (
        config.positions == "rotary",
        array(layer(X, MEMORY, causal_mask(4), None, POSITIONS)),
    )
    for row in range(2):
        x = reference.residual(
            "layer/self_residual",
            X[row].astype("float64"),
            lambda y: reference.attention("layer/self_attention", y, y, causal=True, rotary=rotary)[
                0
            ],
        )
        x = reference.residual(
            "layer/cross_residual",
            x,
            lambda y: reference.attention("layer/cross_attention", y, MEMORY[row])[0],
        )
        x = reference.residual(
            "layer/feed_forward_residual",
            x,
            lambda y: reference.feed_forward("layer/feed_forward", y),
        )
        np.testing.assert_allclose(found[row], x, atol=1e-5)


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
def test_every_dropout_drops_in_training_and_only_there(kind):
    rates = dict(dropout=0.1, attention_dropout=0.1, activation_dropout=0.1)
    layer = randomize_built(kind(dataclasses.replace(CONFIG, **rates)))
    inputs, number = ((X,), 4) if kind is EncoderLayer else ((X, MEMORY), 6)
    layer(*inputs)
    layer(*inputs, training=False)
    layer.attention_weights(*inputs)
    assert drops(layer) == [0] * number
    layer(*inputs, training=True)
    assert drops(layer) == [1] * number


@pytest.mark.parametrize(
    "option, names",
    [
        ("dropout", ["self_residual", "cross_residual", "feed_forward_residual"]),
        ("attention_dropout", ["self_attention", "cross_attention"]),
        ("activation_dropout", ["feed_forward"]),
    ],
)
def test_each_rate_is_that_of_its_places(option, names):
    """A dropout of rate 0 has nothing to count."""
    for kind in (EncoderLayer, DecoderLayer):
        layer = kind(ModelConfig(d_model=8, num_heads=2, **{"dropout": 0.0, option: 0.5}))
        found, expected = {}, {}
        for name in (
            "self_attention",
            "self_residual",
            "cross_attention",
            "cross_residual",
            "feed_forward",
            "feed_forward_residual",
        ):
            # An encoder layer has no cross-attention.
            if hasattr(layer, name):
                part = getattr(layer, name)
                found[name] = (part.dropout.rate, drops(part))
                expected[name] = (0.5, [0]) if name in names else (0.0, [])
        assert found == expected


def by_formulas(reference, x, memory=None):
    """What an encoder layer, or with a memory a decoder layer, makes of one sentence x (L, D), and
    its attention weights. The layer is called "layer"."""
    rotary, causal, weights = reference.c.positions == "rotary", memory is not None, []

    def attention(name, y, source):
        own = source is y
        options = dict(causal=causal and own, rotary=rotary and own)
        output, found = reference.attention(name, y, source, **options)
        weights.append(found)
        return output

    def own_attention(y):
        return attention("layer/self_attention", y, y)

    def cross_attention(y):
        return attention("layer/cross_attention", y, memory)

    def feed_forward(y):
        return reference.feed_forward("layer/feed_forward", y)

    x = reference.residual("layer/self_residual", x.astype("float64"), own_attention)
    if memory is not None:
        x = reference.residual("layer/cross_residual", x, cross_attention)
    return reference.residual("layer/feed_forward_residual", x, feed_forward), *weights


VARIANTS = pytest.mark.parametrize(
    "options", [{}, dict(norm="pre"), MODERN], ids=["post", "pre", "modern"]
)


@VARIANTS
def test_an_encoder_layer_goes_by_its_mask_and_positions(options):
    """Two sentences in a row, of three tokens and of one, are two sentences."""
    config = dataclasses.replace(CONFIG, **options)
    layer = randomize_built(EncoderLayer(config, name="layer"))
    segments = ops.convert_to_tensor([[1, 1, 1, 2]])
    arguments = X[:1], segment_mask(segments, segments), ops.convert_to_tensor([[0, 1, 2, 0]])
    output, weights = array(layer(*arguments))[0], array(layer.attention_weights(*arguments))[0]
    for part in (slice(0, 3), slice(3, 4)):
        expected, expected_weights = by_formulas(reference_of(layer, config), X[0, part])
        np.testing.assert_allclose(output[part], expected, atol=1e-5)
        np.testing.assert_allclose(weights[:, part, part], expected_weights, atol=1e-5)
    assert (weights[:, :3, 3] == 0).all() and (weights[:, 3, :3] == 0).all()


@VARIANTS
def test_a_decoder_layer_goes_by_its_masks_and_positions(options):
    """Two sentences in a row, of three tokens and of one, with memories of two and of three."""
    config = dataclasses.replace(CONFIG, **options)
    layer = randomize_built(DecoderLayer(config, name="layer"))
    segments = ops.convert_to_tensor([[1, 1, 1, 2]])
    memory_segments = ops.convert_to_tensor([[1, 1, 2, 2, 2]])
    own_mask = ops.logical_and(segment_mask(segments, segments), causal_mask(4))
    masks = own_mask, segment_mask(segments, memory_segments)
    arguments = X[:1], MEMORY[:1], *masks, ops.convert_to_tensor([[0, 1, 2, 0]])
    output = array(layer(*arguments))[0]
    weights = [array(found)[0] for found in layer.attention_weights(*arguments)]
    reference = reference_of(layer, config)
    for part, memory_part in ((slice(0, 3), slice(0, 2)), (slice(3, 4), slice(2, 5))):
        expected, own, cross = by_formulas(reference, X[0, part], MEMORY[0, memory_part])
        np.testing.assert_allclose(output[part], expected, atol=1e-5)
        np.testing.assert_allclose(weights[0][:, part, part], own, atol=1e-5)
        np.testing.assert_allclose(weights[1][:, part, memory_part], cross, atol=1e-5)
    assert (weights[1][:, :3, 2:] == 0).all() and (weights[1][:, 3, :2] == 0).all()


@VARIANTS
@pytest.mark.parametrize("grow", [False, True])
def test_a_decoder_layer_step_by_step_equals_numpy(options, grow):
    """Three hypotheses of one sentence, whose memory has a place that is masked, in a cache of six
    places or one that grows."""
    config = dataclasses.replace(CONFIG, dropout=0.5, **options)
    layer = randomize_built(DecoderLayer(config, name="layer"))
    x, memory = random(3, 4, 8, seed=60), MEMORY[:1]
    # The layer ignores what is in the cache beyond the current position.
    cache = tuple(ops.full((3, 2, 0 if grow else 6, 4), 7.0) for _ in "kv")
    memory_cache = layer.cross_attention.keys_values(memory)
    mask = ops.convert_to_tensor([[[True, True, True, True, False]]])
    reference = reference_of(layer, config)
    expected = np.stack([by_formulas(reference, row, memory[0, :4])[0] for row in x])
    for position in range(4):
        place = ops.convert_to_tensor(position, "int32")
        token = x[:, position : position + 1]
        output, cache = layer.step(token, place, cache, memory_cache, mask, grow=grow)
        assert output.shape == (3, 1, 8)
        np.testing.assert_allclose(array(output)[:, 0], expected[:, position], atol=1e-5)
    assert [part.shape[2] for part in cache] == ([4, 4] if grow else [6, 6])
    if not grow:
        assert (array(cache[0])[:, :, 4:] == 7.0).all()


@pytest.mark.parametrize("options, length", [({}, 3), ({"grow": False}, 3), ({"grow": True}, 4)])
def test_a_cache_keeps_its_precision_and_grows_if_told(options, length):
    layer = randomize_built(DecoderLayer(CONFIG))
    cache = tuple(ops.zeros((2, 2, 3, 4), "bfloat16") for _ in "kv")
    memory_cache = layer.cross_attention.keys_values(MEMORY)
    place, mask = ops.convert_to_tensor(0), ops.ones((2, 1, 5), "bool")
    _, cache = layer.step(X[:, :1], place, cache, memory_cache, mask, **options)
    assert {keras.backend.standardize_dtype(part.dtype) for part in cache} == {"bfloat16"}
    assert [part.shape[2] for part in cache] == [length, length]


def test_masks_of_keras_pass_through():
    embedded = keras.layers.Embedding(5, 8, mask_zero=True)(ops.convert_to_tensor([[3, 4, 0]]))
    residual, decoder_layer = Residual(CONFIG), DecoderLayer(CONFIG)
    layers = [
        FeedForward(CONFIG),
        EncoderLayer(CONFIG),
        lambda x: residual(x, x),
        lambda x: decoder_layer(x, MEMORY[:1]),
    ]
    for layer in layers:
        output = layer(embedded)
        # GlobalAveragePooling1D averages over the positions that the mask marks as real.
        pooled = keras.layers.GlobalAveragePooling1D()(output)
        np.testing.assert_allclose(array(pooled), array(output)[:, :2].mean(axis=1), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_the_masks_of_keras_are_not_taken_for_attention_masks():
    """Keras fills a call's arguments `mask` and `memory_mask`, if they are None, with masks (B,
    L) of the inputs."""
    masked = keras.layers.Embedding(23, 8, mask_zero=True)(
        ops.convert_to_tensor([[5, 0, 3, 0], [4, 8, 0, 0]])
    )
    plain = ops.convert_to_tensor(array(masked))
    attention = randomize_built(MultiHeadAttention(8, 2))
    np.testing.assert_array_equal(
        array(attention(masked, None, None)), array(attention(plain, None))
    )
    layer = randomize_built(EncoderLayer(CONFIG))
    np.testing.assert_array_equal(array(layer(masked, None)), array(layer(plain)))
    layer = randomize_built(DecoderLayer(CONFIG))
    np.testing.assert_array_equal(
        array(layer(masked, masked, None, None)), array(layer(plain, plain))
    )


@pytest.mark.parametrize("kind", ["embeddings", "ids"])
def test_a_functional_model_with_an_encoder_is_saved_and_loaded(kind, tmp_path):
    """The default safe mode: nothing in the file is code."""
    shape, dtype = ((None, 8), "float32") if kind == "embeddings" else ((None,), "int32")
    inputs = keras.Input(shape, dtype=dtype)
    hidden = Encoder(8, 2, 2, vocab_size=23, positions="learned", max_positions=9)(inputs)
    model = keras.Model(
        inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(hidden))
    )
    assert hidden.shape == (None, None, 8)
    randomize(model)
    model.save(tmp_path / "model.keras")
    loaded, x = (
        keras.models.load_model(tmp_path / "model.keras"),
        X if kind == "embeddings" else IDS,
    )
    np.testing.assert_array_equal(array(loaded(x)), array(model(x)))
    assert array(model(x)).shape == (2, 3)


def test_a_functional_model_with_both_stacks_is_saved_and_loaded(tmp_path):
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    memory = Encoder(8, 2, 1, vocab_size=23)(source)
    model = keras.Model(
        [source, target], keras.layers.Dense(23)(Decoder(8, 2, 1, vocab_size=23)(target, memory))
    )
    randomize(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(loaded([IDS, IDS])), array(model([IDS, IDS])))


@pytest.mark.parametrize(
    "kind", [LayerNormalization, Residual, FeedForward, EncoderLayer, DecoderLayer]
)
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"
