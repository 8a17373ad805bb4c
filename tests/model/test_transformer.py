"""Tests of the model against the papers' formulas, and of the properties of masks and caches."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from tests.model.test_dropout import drops
from tests.numpy_transformer import Reference
from transformer.config import PRESETS, ModelConfig
from transformer.model.transformer import Decoder, Encoder, Transformer

SMALL = ModelConfig(d_model=16, num_heads=2, num_layers=2, vocab_size=23, ffn_dim=24)
SWITCHES = {
    "paper": {},
    "pre": dict(norm="pre"),
    "rms": dict(norm_type="rms"),
    "pre_rms": dict(norm="pre", norm_type="rms", norm_epsilon=1e-3),
    "gelu": dict(activation="gelu"),
    "gelu_tanh": dict(activation="gelu_tanh"),
    "swish": dict(activation="swish"),
    "gated": dict(gated=True, activation="gelu"),
    "learned": dict(positions="learned", max_positions=32),
    "rotary": dict(positions="rotary"),
    "no_bias": dict(use_bias=False),
    "untied_output": dict(tie_output=False),
    "untied_embeddings": dict(tie_embeddings=False),
    "two_vocabularies": dict(tie_embeddings=False, tie_output=False, source_vocab_size=31),
    "no_scale": dict(scale_embeddings=False),
    "embedding_norm": dict(embedding_norm=True),
    "mbart": dict(
        embedding_norm=True, norm="pre", positions="learned", max_positions=32, activation="gelu"
    ),
    "pointer": dict(pointer_generator=True, norm="pre"),
    "modern": dict(
        norm="pre",
        norm_type="rms",
        positions="rotary",
        gated=True,
        activation="swish",
        use_bias=False,
    ),
}
SOURCE = np.array([[5, 9, 5, 17, 22], [4, 8, 15, 16, 3]], "int32")
TARGET = np.array([[2, 7, 11, 20], [2, 19, 6, 12]], "int32")


def model_of(seed=0, **options):
    """A model whose weights are all random: zeros of biases and ones of norms would hide
    mistakes."""
    keras.utils.set_random_seed(seed)
    model = Transformer.from_model_config(dataclasses.replace(SMALL, **options))
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(
            rng.normal(0.0, 0.3, variable.shape) + (1.0 if "norm" in variable.path else 0.0)
        )
    return model


def logits_of(model, *inputs, **options):
    inputs = [ops.convert_to_tensor(ids, "int32") for ids in inputs]
    return ops.convert_to_numpy(model(inputs, **options)).astype("float32")


def reference_of(model):
    return Reference(
        {variable.path: ops.convert_to_numpy(variable) for variable in model.trainable_variables},
        model.config,
    )


@pytest.mark.parametrize("options", SWITCHES.values(), ids=SWITCHES)
def test_every_switch_equals_the_formulas(options):
    model = model_of(**options)
    reference, logits = reference_of(model), logits_of(model, SOURCE, TARGET)
    for row in range(2):
        np.testing.assert_allclose(
            logits[row], reference.logits(SOURCE[row], TARGET[row]), atol=1e-5
        )


def test_attention_weights_are_those_of_the_formulas():
    model = model_of(pointer_generator=True)
    weights = model.attention_weights([ops.convert_to_tensor(ids) for ids in (SOURCE, TARGET)])
    reference = reference_of(model)
    reference.logits(SOURCE[1], TARGET[1])
    np.testing.assert_allclose(
        ops.convert_to_numpy(weights["cross"][-1])[1], reference.weights["cross"][-1], atol=1e-5
    )
    assert {name: len(layers) for name, layers in weights.items()} == {
        "encoder": 2,
        "decoder": 2,
        "cross": 2,
        "pointer": 1,
    }
    np.testing.assert_allclose(
        ops.convert_to_numpy(weights["pointer"][0])[1], reference.weights["pointer"][0], atol=1e-5
    )
    for row in weights["decoder"] + weights["encoder"]:
        np.testing.assert_allclose(ops.convert_to_numpy(row).sum(-1), 1.0, atol=1e-5)
    future = np.triu(np.ones((4, 4)), 1).astype(bool)
    assert (ops.convert_to_numpy(weights["decoder"][0])[:, :, future] == 0).all()


@pytest.mark.parametrize("name", ["paper", "pointer", "mbart", "modern"])
def test_attention_weights_of_packed_pairs_are_those_of_the_formulas(name):
    """Two pairs and padding in a row: each pair's weights are its own, and all others are 0."""
    model = model_of(**SWITCHES[name])
    source = np.concatenate([SOURCE[0], SOURCE[1, :3], [0]])[None]
    target = np.concatenate([TARGET[0, :3], TARGET[1], [0]])[None]
    segments = np.array([[1] * 5 + [2] * 3 + [0]]), np.array([[1] * 3 + [2] * 4 + [0]])
    inputs = [ops.convert_to_tensor(ids, "int32") for ids in (source, target, *segments)]
    found, reference = model.attention_weights(inputs), reference_of(model)
    sources, targets = (slice(0, 5), slice(5, 8)), (slice(0, 3), slice(3, 7))
    for source_part, target_part in zip(sources, targets):
        reference.logits(source[0, source_part], target[0, target_part])
        assert found.keys() == reference.weights.keys()
        for kind, layers in reference.weights.items():
            queries = source_part if kind == "encoder" else target_part
            keys = target_part if kind == "decoder" else source_part
            for weights, expected in zip(found[kind], layers, strict=True):
                weights = ops.convert_to_numpy(weights)[0, :, queries]
                np.testing.assert_allclose(weights[:, :, keys], expected, atol=1e-5)
                np.testing.assert_allclose(weights[:, :, keys].sum(-1), 1.0, atol=1e-5)
                assert weights.sum() == pytest.approx(weights[:, :, keys].sum(), rel=1e-6)


@pytest.mark.parametrize("options", [SWITCHES[name] for name in ("paper", "learned", "modern")])
def test_a_later_token_never_changes_earlier_logits(options):
    model = model_of(**options)
    before = logits_of(model, SOURCE, TARGET)
    for t in range(1, 4):
        changed = TARGET.copy()
        changed[:, t] = 13
        after = logits_of(model, SOURCE, changed)
        np.testing.assert_array_equal(before[:, :t], after[:, :t])
        assert np.abs(before[:, t] - after[:, t]).max() > 1e-3


@pytest.mark.parametrize(
    "options",
    [SWITCHES[name] for name in ("paper", "learned", "modern", "two_vocabularies", "pointer")],
)
def test_more_padding_changes_nothing(options):
    model = model_of(**options)
    padded = logits_of(model, np.pad(SOURCE, ((0, 0), (0, 3))), np.pad(TARGET, ((0, 0), (0, 2))))
    np.testing.assert_allclose(padded[:, :4], logits_of(model, SOURCE, TARGET), atol=1e-5)


def test_source_and_target_may_have_padding_of_their_own():
    model = model_of(tie_embeddings=False, source_vocab_size=31, source_pad_id=30, pad_id=22)
    padded = logits_of(
        model,
        np.pad(SOURCE, ((0, 0), (0, 3)), constant_values=30),
        np.pad(TARGET, ((0, 0), (0, 2)), constant_values=22),
    )
    np.testing.assert_allclose(padded[:, :4], logits_of(model, SOURCE, TARGET), atol=1e-5)
    memory_mask = ops.convert_to_numpy(model.start(ops.convert_to_tensor([[5, 0, 30]]), 4)[1][1])
    assert memory_mask.tolist() == [[[True, True, False]]]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_row_of_padding_gives_no_nan(policy, norm):
    keras.utils.set_random_seed(0)
    model = Transformer(**{**dataclasses.asdict(SMALL), "norm": norm}, dtype=policy)
    source, target = SOURCE.copy(), TARGET.copy()
    source[0], target[1] = 0, 0
    for training in (False, True):
        assert np.isfinite(logits_of(model, source, target, training=training)).all()


def test_cross_attention_does_not_know_the_order_of_the_memory():
    model = model_of()
    rng = np.random.default_rng(1)
    embedded, memory = (rng.normal(size=(1, length, 16)).astype("float32") for length in (4, 5))
    segments, order = np.array([[1, 1, 1, 0, 1]]), [3, 0, 4, 2, 1]
    one = model.decoder(embedded, memory, memory_segments=ops.convert_to_tensor(segments))
    other = model.decoder(
        embedded, memory[:, order], memory_segments=ops.convert_to_tensor(segments[:, order])
    )
    np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), atol=1e-5)
    # The encoder, in contrast, depends on the order of the source.
    assert (
        np.abs(logits_of(model, SOURCE, TARGET) - logits_of(model, SOURCE[:, order], TARGET)).max()
        > 1e-2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [SWITCHES[name] for name in ("paper", "pre", "learned", "rotary", "pointer")]
)
def test_pairs_packed_in_a_row_have_the_logits_of_rows_of_their_own(options):
    model = model_of(**options)
    source, target = SOURCE[:, :5].copy(), TARGET.copy()
    packed = logits_of(
        model,
        np.concatenate([source[0], source[1, :3], [0]])[None],
        np.concatenate([target[0, :3], target[1], [0]])[None],
        [[1] * 5 + [2] * 3 + [0]],
        [[1] * 3 + [2] * 4 + [0]],
    )
    np.testing.assert_allclose(
        packed[:, :3], logits_of(model, source[:1], target[:1, :3]), atol=1e-5
    )
    np.testing.assert_allclose(
        packed[:, 3:7], logits_of(model, source[1:, :3], target[1:]), atol=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        SWITCHES[name]
        for name in ("paper", "pre", "learned", "modern", "two_vocabularies", "mbart", "pointer")
    ],
)
def test_step_by_step_equals_the_whole(options):
    model = model_of(**options)
    source = SOURCE.copy()
    source[1, 3:] = 0
    whole = logits_of(model, source, TARGET)
    caches, constants = model.start(ops.convert_to_tensor(source), 6)
    for position in range(4):
        logits, caches = model.step(
            ops.convert_to_tensor(TARGET[:, position]), position, caches, constants
        )
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, position], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "modern", "two_vocabularies", "mbart", "pointer"])
def test_caches_that_grow_give_the_same(name):
    model = model_of(dropout=0.5, attention_dropout=0.5, activation_dropout=0.5, **SWITCHES[name])
    reference = reference_of(model)
    expected = [reference.logits(SOURCE[0, :4], TARGET[0]), reference.logits(SOURCE[1], TARGET[1])]
    source = SOURCE.copy()
    source[0, 4:] = 0
    caches, constants = model.start(ops.convert_to_tensor(source, "int64"), 0)
    for position in range(4):
        ids = ops.convert_to_tensor(TARGET[:, position])
        logits, caches = model.step(ids, position, caches, constants, grow=True)
        assert {part.shape for pair in caches for part in pair} == {(2, 2, position + 1, 8)}
        for row in range(2):
            found = ops.convert_to_numpy(logits)[row]
            np.testing.assert_allclose(found, expected[row][position], atol=1e-5)


def test_what_decoding_begins_with():
    model = Transformer.from_model_config(SMALL, dtype="mixed_bfloat16")
    for batch_size, rows in ((None, 2), (6, 6)):
        caches, (memory_caches, mask) = model.start(ops.convert_to_tensor(SOURCE), 9, batch_size)
        assert [len(caches), len(memory_caches)] == [2, 2]
        for part in (*caches[0], *caches[1]):
            assert part.shape == (rows, 2, 9, 8) and not ops.convert_to_numpy(ops.any(part))
            assert keras.backend.standardize_dtype(part.dtype) == "bfloat16"
        assert {part.shape for pair in memory_caches for part in pair} == {(2, 2, 5, 8)}
        assert mask.shape == (2, 1, 5)


def test_several_hypotheses_share_a_sentence():
    """N = 2 * 3 hypotheses over 2 sentences equal 6 sentences."""
    model = model_of(norm="pre", pointer_generator=True)
    targets = np.random.default_rng(0).integers(4, 23, (6, 3)).astype("int32")
    whole = logits_of(model, np.repeat(SOURCE, 3, axis=0), targets)
    caches, constants = model.start(ops.convert_to_tensor(SOURCE), 3, batch_size=6)
    for position in range(3):
        logits, caches = model.step(
            ops.convert_to_tensor(targets[:, position]), position, caches, constants
        )
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, position], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", SWITCHES.values(), ids=SWITCHES)
def test_a_gradient_reaches_every_weight(options):
    model = model_of(**options)
    inputs = [ops.convert_to_tensor(ids) for ids in (SOURCE, TARGET)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = ops.sum(ops.log_softmax(model(inputs))[..., 5])
        gradients = [
            tf.convert_to_tensor(g)
            for g in tape.gradient(loss, [v.value for v in model.trainable_variables])
        ]
    else:
        import jax

        def loss(weights):
            logits, _ = model.stateless_call(
                weights, [v.value for v in model.non_trainable_variables], inputs
            )
            return ops.sum(ops.log_softmax(logits)[..., 5])

        gradients = jax.grad(loss)([v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients):
        size = np.abs(ops.convert_to_numpy(gradient)).max()
        assert size > 1e-6, variable.path


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        SWITCHES[name]
        for name in ("paper", "modern", "two_vocabularies", "learned", "mbart", "pointer")
    ],
)
def test_keras_file_round_trip(options, tmp_path):
    model = model_of(**options)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.config == model.config
    np.testing.assert_array_equal(
        logits_of(loaded, SOURCE, TARGET), logits_of(model, SOURCE, TARGET)
    )


@pytest.mark.parametrize(
    "option, number",
    [
        # One on each embedding, and one on each block of the two layers.
        ("dropout", 2 * 1 + 2 * 2 + 2 * 3),
        ("attention_dropout", 2 * 1 + 2 * 2),
        ("activation_dropout", 2 * 1 + 2 * 1),
    ],
)
def test_every_dropout_drops_in_training_and_only_there(option, number):
    model = model_of(**{"dropout": 0.0, option: 0.5})
    before = logits_of(model, SOURCE, TARGET)
    np.testing.assert_array_equal(logits_of(model, SOURCE, TARGET, training=False), before)
    model.attention_weights([ops.convert_to_tensor(ids) for ids in (SOURCE, TARGET)])
    caches, constants = model.start(ops.convert_to_tensor(SOURCE), 4)
    model.step(ops.convert_to_tensor(TARGET[:, 0]), 0, caches, constants)
    assert drops(model) == [0] * number
    assert np.abs(logits_of(model, SOURCE, TARGET, training=True) - before).max() > 0.1
    assert drops(model) == [1] * number


@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_embeddings_are_dropped_with_their_positions(kind):
    """Embeddings of 0 and layers that add nothing: what dropout changes are the positions."""
    stack, inputs = kind(16, 2, 1, norm="pre", dropout=0.5), [ops.zeros((1, 4, 16))]
    inputs += [ops.zeros((1, 3, 16))] if kind is Decoder else []
    stack(*inputs)
    for variable in stack.trainable_variables:
        value = 1.0 if "gamma" in variable.path else 0.0
        variable.assign(ops.full(variable.shape, value))
    before = ops.convert_to_numpy(stack(*inputs))
    for options in (dict(training=True), {}):
        # Pass `training` by name, and by position as code for Keras 2 does.
        arguments = inputs if options else [*inputs, True]
        found = ops.convert_to_numpy(stack(*arguments, **options))
        assert np.abs(found - before).max() > 0.5
    assert drops(stack)[0] == 2
    np.testing.assert_array_equal(ops.convert_to_numpy(stack(*inputs, False)), before)
    assert drops(stack)[0] == 2


def stack_like(model, kind):
    """A stack that embeds ids by itself, with the weights of a model's."""
    name = kind.__name__.lower()
    stack = kind(16, 2, 2, config=model.config, name=name)
    stack.build((None, None))
    weights = {variable.path: variable for variable in model.trainable_variables}
    for variable in stack.trainable_variables:
        path = variable.path.replace("encoder/embedding/", "embedding/")
        path = path.replace("decoder/embedding/", "embedding/")
        variable.assign(weights[f"transformer/{path}"])
    return stack


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(pad_id=3),
        dict(scale_embeddings=False),
        dict(norm="pre", embedding_norm=True),
        dict(positions="learned", max_positions=8),
    ],
)
def test_stacks_that_are_given_ids_are_those_of_the_transformer(options):
    model = model_of(**options)
    encoder, decoder = stack_like(model, Encoder), stack_like(model, Decoder)
    pad = model.config.pad_id
    source, target = SOURCE.copy(), TARGET.copy()
    source[0, 3:], target[1, 2:] = pad, pad
    states, pointed = model.hidden_states([ops.convert_to_tensor(ids) for ids in (source, target)])
    assert pointed is None
    memory = encoder(ops.convert_to_tensor(source))
    expected = ops.convert_to_numpy(model.encode(ops.convert_to_tensor(source)))
    real = source != pad
    np.testing.assert_allclose(ops.convert_to_numpy(memory)[real], expected[real], atol=1e-5)
    # Keras passes the memory's mask on to the decoder.
    found = ops.convert_to_numpy(decoder(ops.convert_to_tensor(target), memory))
    real = target != pad
    np.testing.assert_allclose(found[real], ops.convert_to_numpy(states)[real], atol=1e-5)
    # Given segments are used, whatever the ids. Here the first row has no padding, and the second
    # has only one real token.
    segments = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
    ids = ops.convert_to_tensor(SOURCE)
    whole = ops.convert_to_numpy(encoder(ids, ops.convert_to_tensor(segments)))
    short = ops.convert_to_numpy(model.encode(ids[1:, :1]))
    np.testing.assert_allclose(whole[0], model.encode(ids)[0], atol=1e-5)
    np.testing.assert_allclose(whole[1, 0], short[0, 0], atol=1e-5)


def test_the_sizes_of_a_stack_are_its_arguments():
    encoder = Encoder(8, 4, 3, config=SMALL)
    config = dataclasses.replace(SMALL, d_model=8, num_heads=4, num_layers=3)
    assert encoder.config == config and len(encoder.layers) == 3
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    assert again.config == config and again.name == encoder.name
    options = dict(norm="pre", gated=True)
    assert Encoder(8, 4, 1, **options).config == ModelConfig(8, 4, 1, 32768, **options)
    assert Decoder(8, 4, 1, vocab_size=11).config.vocab_size == 11
    encoder = Encoder(8, 4, 1, name="other", dtype="mixed_bfloat16", trainable=False)
    encoder.build((None, None))
    assert encoder.embedding.embeddings.shape == (32768, 8)
    assert not encoder.trainable_variables and encoder.name == "other"
    parts = (encoder, encoder.embedding, encoder.positions, encoder.dropout, *encoder.layers)
    assert {part.compute_dtype for part in parts} == {"bfloat16"}
    assert encoder.compute_output_shape((2, 5)) == (2, 5, 8)


CHANGED = dict(
    source_vocab_size=31,
    ffn_dim=24,
    norm="pre",
    norm_type="rms",
    norm_epsilon=1e-3,
    activation="gelu",
    gated=True,
    positions="learned",
    max_positions=9,
    use_bias=False,
    tie_embeddings=False,
    tie_output=False,
    scale_embeddings=False,
    embedding_norm=True,
    dropout=0.2,
    attention_dropout=0.3,
    activation_dropout=0.4,
    pad_id=1,
    source_pad_id=2,
)


@pytest.mark.parametrize("options", [CHANGED, dict(pointer_generator=True)], ids=["all", "pointer"])
def test_a_saved_model_has_all_its_arguments(options):
    model = Transformer(16, 2, 1, 23, name="other", trainable=False, **options)
    config = model.get_config()
    sizes = dict(d_model=16, num_heads=2, num_layers=1, vocab_size=23)
    assert config == {**config, **sizes, **options, "name": "other", "trainable": False}
    again = Transformer.from_config(config)
    assert again.get_config() == config
    assert again.config == ModelConfig(**sizes, **options)
    assert again.encoder.config == again.decoder.config == again.config
    assert again.d_model == 16
    model.build([(None, None), (None, None)])
    assert not model.trainable_variables and model.weights
    assert model.compute_output_shape([(2, 5), (2, 4)]) == (2, 4, 23)


@pytest.mark.parametrize("pointer", [False, True])
def test_a_model_of_half_precision(pointer):
    config = dataclasses.replace(SMALL, pointer_generator=pointer)
    model = Transformer.from_model_config(config, dtype="mixed_bfloat16")
    assert model.name == "transformer" and model.built
    parts = [model.encoder, model.decoder, model.source_embedding, model.target_embedding]
    parts += [model.pointer, model.pointer.key] if pointer else []
    assert {part.compute_dtype for part in parts} == {"bfloat16"}
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    logits = model([ops.convert_to_tensor(ids) for ids in (SOURCE, TARGET)])
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert Transformer.from_model_config(SMALL, name="other").name == "other"


def test_tables_begin_with_a_deviation_of_one_by_the_root_of_the_width():
    """So that embeddings, multiplied by the root of the width, have the deviation 1."""
    keras.utils.set_random_seed(0)
    options = dict(vocab_size=200, tie_embeddings=False, tie_output=False)
    model = Transformer.from_model_config(ModelConfig(100, 2, 1, **options))
    encoder = Encoder(100, 2, 1, vocab_size=200)
    encoder.build((None, None))
    source, target = model.source_embedding, model.target_embedding
    tables = source.embeddings, target.embeddings, target.reverse_embeddings
    for table in (*tables, encoder.embedding.embeddings):
        assert np.std(ops.convert_to_numpy(table)) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(tie_output=False),
        dict(tie_embeddings=False),
        dict(tie_embeddings=False, tie_output=False),
    ],
)
def test_logits_are_hidden_states_by_the_output_table(options):
    model = model_of(**options)
    states, _ = model.hidden_states([ops.convert_to_tensor(ids) for ids in (SOURCE, TARGET)])
    table = ops.convert_to_numpy(model.output_table)
    assert table.shape == (23, 16)
    logits = ops.convert_to_numpy(states) @ table.T
    np.testing.assert_allclose(logits_of(model, SOURCE, TARGET), logits, atol=1e-5)


@pytest.mark.parametrize("pointer", [False, True])
def test_ids_may_be_floats(pointer):
    """As keras.Input makes them unless told."""
    model = model_of(pointer_generator=pointer)
    floats = [ops.convert_to_tensor(ids, "float32") for ids in (SOURCE, TARGET)]
    found = ops.convert_to_numpy(model(floats))
    np.testing.assert_array_equal(found, logits_of(model, SOURCE, TARGET))
    encoder = stack_like(model, Encoder)
    np.testing.assert_array_equal(encoder(floats[0]), encoder(ops.convert_to_tensor(SOURCE)))


def test_dropout_works_in_training_only():
    model = model_of(dropout=0.5)
    assert (
        np.abs(
            logits_of(model, SOURCE, TARGET, training=True) - logits_of(model, SOURCE, TARGET)
        ).max()
        > 0.1
    )
    np.testing.assert_array_equal(
        logits_of(model, SOURCE, TARGET, training=False), logits_of(model, SOURCE, TARGET)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name, parameters", [("base", 63_082_496), ("big", 214_245_376)])
def test_presets_have_the_parameters_of_the_paper(name, parameters):
    """Vaswani et al. 2017, table 3: 65 and 213 million, with a shared vocabulary of about
    37,000."""
    options = PRESETS[name]
    d, f, layers, vocabulary = options["d_model"], options["ffn_dim"], 6, 37000
    attention, feed_forward, norm = 4 * (d * d + d), 2 * d * f + f + d, 2 * d
    encoder = layers * (attention + feed_forward + 2 * norm)
    decoder = layers * (2 * attention + feed_forward + 3 * norm)
    assert encoder + decoder + vocabulary * d == parameters
    with keras.device("cpu"):
        model = Transformer(
            num_layers=layers,
            vocab_size=vocabulary,
            **{k: v for k, v in options.items() if k != "num_layers"},
        )
        model.build([(None, None), (None, None)])
    assert model.count_params() == parameters


class TestArticle:
    """The article's program: its own Transformer class over our Encoder and Decoder, and ours
    with the same arguments."""

    @pytest.mark.slow
    @pytest.mark.parametrize("embed", [False, True])
    def test_its_class_over_our_stacks(self, embed):
        class Transformer(keras.Model):
            def __init__(self, d_model, num_heads, num_layers, vocab_size):
                super().__init__()
                self.embedding = (
                    keras.layers.Embedding(vocab_size, d_model, mask_zero=True) if embed else None
                )
                self.encoder = Encoder(d_model, num_heads, num_layers)
                self.decoder = Decoder(d_model, num_heads, num_layers)
                self.dense = keras.layers.Dense(vocab_size)

            def call(self, inputs, training=False):
                source, target = inputs[0], inputs[1]
                if embed:
                    source, target = self.embedding(source), self.embedding(target)
                encoded = self.encoder(source, training)
                decoded = self.decoder(target, encoded, training)
                return self.dense(decoded)

        model = Transformer(d_model=16, num_heads=2, num_layers=1, vocab_size=23)
        for training in (False, True):
            assert model([SOURCE, TARGET], training=training).shape == (2, 4, 23)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses = model.fit([SOURCE, TARGET], TARGET, epochs=12, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        # The source mask reaches the decoder, as Keras's masks do.
        padded = logits_of(
            model, np.pad(SOURCE, ((0, 0), (0, 3))), np.pad(TARGET, ((0, 0), (0, 2)))
        )
        np.testing.assert_allclose(padded[:, :4], logits_of(model, SOURCE, TARGET), atol=1e-5)

    @pytest.mark.slow
    def test_our_class_with_its_arguments(self):
        model = Transformer(d_model=16, num_heads=2, num_layers=1, vocab_size=23)
        for training in (False, True):
            assert model([SOURCE, TARGET], training=training).shape == (2, 4, 23)
        model.compile(
            keras.optimizers.Adam(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        losses = model.fit([SOURCE, TARGET], TARGET, epochs=20, verbose=0).history["loss"]
        assert losses[-1] < 0.7 * losses[0]


def test_the_masks_of_keras_are_those_of_the_stacks():
    """Padding on the left, which only a mask can tell: the real tokens have the outputs of a row
    without it."""
    model = model_of()
    table = keras.layers.Embedding(23, 16, mask_zero=True)
    padded, plain = (table(ops.convert_to_tensor(ids)) for ids in ([[0, 0, 5, 9, 3]], [[5, 9, 3]]))
    memory, expected = model.encoder(padded), model.encoder(plain)
    np.testing.assert_allclose(
        ops.convert_to_numpy(memory)[:, 2:], ops.convert_to_numpy(expected), atol=1e-5
    )
    found = ops.convert_to_numpy(model.decoder(padded, memory))
    np.testing.assert_allclose(
        found[:, 2:], ops.convert_to_numpy(model.decoder(plain, expected)), atol=1e-5
    )


def test_learned_positions_end_where_their_table_ends():
    model = model_of(positions="learned", max_positions=4)
    with pytest.raises(ValueError, match="length 5, max_positions=4"):
        logits_of(model, SOURCE, TARGET)


@pytest.mark.parametrize("kind", [Encoder, Decoder, Transformer])
def test_saved_models_find_a_class_by_its_name(kind):
    assert keras.saving.get_registered_name(kind) == f"transformer>{kind.__name__}"


def test_a_decoder_writes_into_caches_of_one_length_unless_told():
    decoder = Decoder(8, 2, 1)
    decoder.build((None, None, 8))
    memory = ops.ones((1, 3, 8))
    arguments = ops.ones((1, 1, 8)), ops.convert_to_tensor(0), decoder.empty_caches(1, 4)
    _, caches = decoder.step(*arguments, decoder.memory_caches(memory), ops.ones((1, 1, 3), "bool"))
    assert [part.shape for part in caches[0]] == [(1, 2, 4, 4)] * 2
