"""An exported model writes what the model writes, for every switch of the architecture."""

import json
import sys

import keras
import numpy as np
import pytest

from transformer.config import ConfigError, DecodingConfig, ModelConfig
from transformer.export import ctranslate2 as export
from transformer.export.ctranslate2 import compare, export_ctranslate2, sources_of, translate
from transformer.generation.generator import Generator
from transformer.model.transformer import Transformer
from transformer.text.tokenizer import ByteTokenizer, CharacterTokenizer, load_tokenizers

ctranslate2 = pytest.importorskip("ctranslate2")

CHARACTERS = CharacterTokenizer("abcdefghijklmnop ")
TEXTS = [
    "".join(np.random.default_rng(n).choice(list("abcdefghijklmnop "), 3 + n % 9)).strip() + "a"
    for n in range(40)
]


def generator_of(source=CHARACTERS, target=CHARACTERS, **options):
    keras.utils.set_random_seed(4)
    sizes = dict(d_model=16, num_heads=2, num_layers=2, ffn_dim=24, vocab_size=target.vocab_size)
    model = Transformer.from_model_config(ModelConfig(**{**sizes, **options}))
    generator = np.random.default_rng(1)
    for variable in model.trainable_variables:  # norms and biases too, away from 1 and 0
        variable.assign_add(generator.normal(size=variable.shape) * 0.3)
    return Generator(model, source, target, DecodingConfig(beam_size=3), 32)


MODERN = dict(
    norm_type="rms",
    activation="swish",
    gated=True,
    positions="rotary",
    use_bias=False,
    tie_output=False,
)
VARIANTS = [
    {},
    dict(norm="pre"),
    dict(activation="gelu", norm_epsilon=1e-3),
    dict(activation="gelu_tanh", scale_embeddings=False),
    dict(positions="learned", max_positions=80),
    dict(norm="pre", **MODERN),
    MODERN,
    dict(embedding_norm=True),
    dict(embedding_norm=True, norm="pre", norm_type="rms", positions="learned", max_positions=80),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", VARIANTS, ids=lambda options: "-".join(map(str, options.values())) or "default"
)
def test_float32_writes_the_same(tmp_path, options):
    assert export_ctranslate2(generator_of(**options), tmp_path / "ct2", "float32", TEXTS) == (
        40,
        40,
    )


@pytest.mark.slow
def test_two_vocabularies(tmp_path):
    generator = generator_of(
        ByteTokenizer(), CHARACTERS, source_vocab_size=260, tie_embeddings=False
    )
    assert export_ctranslate2(generator, tmp_path / "new" / "ct2", "float32", TEXTS) == (40, 40)
    vocabulary = json.loads(
        (tmp_path / "new" / "ct2" / "source_vocabulary.json").read_text(encoding="utf-8")
    )
    assert len(vocabulary) == 260 and vocabulary[4 + ord("a")] == "61"
    tokenizers = load_tokenizers(tmp_path / "new" / "ct2" / "tokenizer")
    assert [tokenizer.kind for tokenizer in tokenizers] == ["byte", "character"]


@pytest.mark.parametrize("copies", ["copy_unknown", "pointer_generator"])
def test_a_run_that_copies_is_refused(tmp_path, copies):
    generator = generator_of(pointer_generator=copies == "pointer_generator")
    generator.copy_unknown = copies == "copy_unknown"
    with pytest.raises(ConfigError, match=copies):
        export_ctranslate2(generator, tmp_path / "ct2")
    assert not (tmp_path / "ct2").exists()


def test_int8_is_smaller_and_nearly_the_same(tmp_path):
    generator = generator_of(d_model=64, ffn_dim=256)
    export_ctranslate2(generator, tmp_path / "float32", "float32")
    count, same = export_ctranslate2(generator, tmp_path / "int8", "int8", TEXTS)
    assert (
        count == 40 and same >= 8
    )  # random weights have no favourite token; a trained model agrees far more often
    sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("int8", "float32")]
    assert sizes[0] < 0.4 * sizes[1]


@pytest.mark.slow
def test_the_comparison_can_fail(tmp_path):
    generator = generator_of()
    export_ctranslate2(generator, tmp_path / "ct2")
    generator.model.decoder.layers[1].feed_forward.outer.kernel.assign_add(
        np.ones((24, 16)) * np.arange(16)
    )
    translator = ctranslate2.Translator(str(tmp_path / "ct2"))
    count, same = compare(generator, translator, [*TEXTS, "a" * 100])
    assert count == 40 and same < 30
    assert (
        len(translate(generator, translator, TEXTS, beam_size=2)) == 40
        and translate(generator, translator, []) == []
    )
    # With its end a text of 31 letters has 32 tokens, as many as are allowed.
    assert compare(generator, translator, ["a" * 31, "b" * 32])[0] == 1


def test_one_output_that_differs_is_too_many_in_float32_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "compare", lambda generator, translator, texts: (3, 2))
    with pytest.raises(
        ConfigError,
        match="must give the same outputs as the run. Received: only 2 of 3 outputs are the same",
    ):
        export_ctranslate2(generator_of(), tmp_path / "float32", texts=TEXTS)
    assert not list(tmp_path.iterdir())
    assert export_ctranslate2(generator_of(), tmp_path / "int8", "int8", TEXTS) == (3, 2)


def test_the_sources_that_a_run_was_tested_on(tmp_path):
    with pytest.raises(
        ConfigError,
        match="a run to export needs predictions.jsonl.* Run the training command again",
    ):
        sources_of(tmp_path)
    rows = [{"source": f"“{n}”", "reference": "r", "prediction": "p"} for n in range(1003)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "predictions.jsonl").write_text(text, encoding="utf-8")
    assert sources_of(str(tmp_path), 2) == ["“0”", "“1”"] and sources_of(tmp_path)[-1] == "“999”"
    assert len(sources_of(tmp_path, 5000)) == 1003


def test_without_ctranslate2_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ConfigError, match="needs CTranslate2. Run: pip install"):
        export_ctranslate2(generator_of(), tmp_path / "ct2")


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    with pytest.raises(ConfigError, match="must not exist yet"):
        export_ctranslate2(generator_of(), tmp_path)
    assert not list(tmp_path.iterdir())
