"""A pipeline that writes texts, without a training: what it keeps, reads, passes on and gives
back."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from data.config import DataConfig, DataError, LabelledDataConfig
from transformer.config import ConfigError, DecodingConfig, ModelConfig, TaskConfig
from transformer.generation.generator import Generator
from transformer.model.transformer import Transformer
from transformer.pipelines import trainable
from transformer.pipelines.text_to_text import KEPT, GenerationPipeline
from transformer.pipelines.trainable import FineTunable
from transformer.text.tokenizer import ByteTokenizer, CharacterTokenizer
from transformer.training.loop import Progress

DATA = DataConfig(
    task="summarization",
    clean=False,
    source_language="en",
    target_language="fr",
    lowercase=True,
    max_source_length=9,
    max_target_length=7,
)
TEXTS, TARGETS = (
    ["abc d", "b", "cab", "dad", "add", "bad"] * 2,
    ["ab", "b", "ca", "d", "a", "ba"] * 2,
)


def small(data=DATA, **options):
    """A pipeline of a random model that reads bytes and writes letters."""
    keras.utils.set_random_seed(5)
    config = ModelConfig(
        d_model=16,
        num_heads=2,
        num_layers=1,
        ffn_dim=16,
        vocab_size=9,
        source_vocab_size=260,
        tie_embeddings=False,
        dropout=0.1,
    )
    model, decoding = (
        Transformer.from_model_config(config),
        DecodingConfig(beam_size=2, max_length=6),
    )
    return GenerationPipeline(
        Generator(model, ByteTokenizer(), CharacterTokenizer("abcd "), decoding),
        data=data,
        **options,
    )


def test_what_is_saved_is_a_run_that_reads_as_the_texts_of_its_training(tmp_path):
    written = small()
    written.save(tmp_path / "new" / "run")
    config = json.loads((tmp_path / "new" / "run" / "config.json").read_text(encoding="utf-8"))
    assert (
        config["data"] == json.loads(json.dumps(dataclasses.asdict(DATA)))
        and config["decoding"]["beam_size"] == 2
    )
    assert config["model"]["d_model"] == 16 and [*config] == ["model", "decoding", "data"]
    run = tmp_path / "new" / "run"
    read = GenerationPipeline.from_run(run, "summary_text", max_length=5)
    assert read.name == "summary_text" and read.config == TaskConfig(
        task="text2text", pretrained=str(run)
    )
    assert read.generator.config == DecodingConfig(beam_size=2, max_length=5)
    generator = read.generator
    assert (
        generator.max_source_length,
        generator.lowercase,
        generator.in_pieces,
        generator.merge_spaces,
    ) == (9, True, False, False)
    assert (generator.source_tokenizer.kind, generator.target_tokenizer.kind) == (
        "byte",
        "character",
    )
    for name in (
        "task",
        "clean",
        "source_language",
        "target_language",
        "lowercase",
        "max_source_length",
        "max_target_length",
    ):
        assert name in KEPT and getattr(read.data, name) == getattr(DATA, name) != getattr(
            DataConfig(), name
        )
    other = TaskConfig(task="text2text", tuning="lora")
    assert GenerationPipeline.from_run(run, config=other).config == other
    assert GenerationPipeline.from_run(run).name == "generated_text"
    for ours, theirs in zip(written.model.get_weights(), read.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_one_text_or_several_give_a_list_of_dicts():
    shout = GenerationPipeline(lambda texts: [text.upper() for text in texts], "translation_text")
    assert (
        shout("ab") == [{"translation_text": "AB"}]
        and shout([]) == []
        and shout("") == [{"translation_text": ""}]
    )
    assert (
        shout(["a", "b"])
        == shout(("a", "b"))
        == shout(iter(["a", "b"]))
        == [{"translation_text": "A"}, {"translation_text": "B"}]
    )
    assert GenerationPipeline(list)(["a"]) == [{"generated_text": "a"}]
    with pytest.raises(ConfigError, match="an input must be a str. Received: 4."):
        shout(["a", 4, "b"])


def test_a_report_has_the_scores_of_the_task_in_the_language_of_the_targets():
    copy = GenerationPipeline(list, data=DataConfig(task="translation", target_language="zh"))
    assert copy.evaluate(["我 想 喝 茶 水"], ["我想喝茶水"])["scores"]["bleu"] == pytest.approx(100)
    copy = GenerationPipeline(lambda texts: ["x = 1", "y = ("], data=DataConfig(task="code"))
    report = copy.evaluate(["one", "two"], ["x = 1", "y = 2"])
    assert report["scores"]["parses"] == 50 and report["examples"] == 2
    assert report["mistakes"][0]["predicted"] == "y = ("
    examples = trainable.labelled_from(
        "text2text", test=(["A  b ", "c"], ["X", " y "]), config=LabelledDataConfig()
    ).splits["test"]
    low = GenerationPipeline(
        lambda texts: [f"<{text}>" for text in texts], data=DataConfig(lowercase=True)
    )
    assert low.results(examples)[1] == [
        {"source": "a  b", "reference": "x", "prediction": "<a  b>"},
        {"source": "c", "reference": "y", "prediction": "<c>"},
    ]
    assert GenerationPipeline(list).results(examples)[1][0]["source"] == "A  b"


def test_options_of_the_task_hold_for_one_fit(monkeypatch):
    pipeline, seen = small(), []

    def fit(self, texts, targets, **options):
        seen.append((self.config, options))
        if texts == "fail":
            raise ConfigError("it failed")
        return self

    monkeypatch.setattr(FineTunable, "fit", fit)
    named = dict(
        max_length=8,
        language="de",
        encoder_dropout=0.2,
        tuning="lora",
        lora_rank=3,
        lora_alpha=5.0,
        lora_targets=("attention",),
    )
    assert pipeline.fit(["a"], ["b"], epochs=3, run="there", **named) is pipeline
    (config, options), before = seen.pop(), TaskConfig(task="text2text")
    assert config == dataclasses.replace(before, **named) and pipeline.config == before
    assert options == {
        "epochs": 3,
        "run": "there",
        "validation_data": None,
        "data": LabelledDataConfig(),
    }
    with pytest.raises(ConfigError, match="it failed"):
        pipeline.fit("fail", None, tuning="lora")
    assert seen[0][0].tuning == "lora" and pipeline.config == before


def test_pairs_are_learnt_from_if_they_are_short_enough_and_limits_are_those_asked_for():
    pipeline = small()
    with pytest.raises(
        DataError,
        match="Received: none with at most 8 source tokens and 8 target tokens. Use a larger "
        "--max_length.",
    ):
        pipeline.fit(["abcd", "dcba"] * 5, ["abcdabcd"] * 10, max_length=8)
    with pytest.raises(
        DataError, match="Received: none with at most 9 source tokens and 7 target tokens"
    ):
        pipeline.fit(["abcd", "dcba"] * 5, ["abcdabcd"] * 10)
    with pytest.raises(
        ConfigError,
        match="keep_best_metric must be one of rougeL, rouge1, rouge2, loss, accuracy for "
        "task='text2text'",
    ):
        pipeline.fit(TEXTS, TARGETS, keep_best_metric="bleu")
    with pytest.raises(
        ConfigError, match="keep_best_metric must be one of loss, accuracy for task='text2text'"
    ):
        pipeline.fit(TEXTS, TARGETS, keep_best_metric="bleu", eval_decode=0)
    with pytest.raises(DataError, match="Received: none with at most"):
        pipeline.fit(["abcd", "dcba"] * 5, ["abcdabcd"] * 10, max_length=8, language="de")
    assert pipeline.data == DATA  # as it was


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="watches a training of TensorFlow"
)
def test_what_a_training_is_given_and_what_is_learnt(monkeypatch, tmp_path, capsys):
    """In place of updates the model is given other weights."""
    pipeline, seen = small(), {}
    before = [array.copy() for array in pipeline.model.get_weights()]

    def start(trainee, config, folder, *, evaluate, batch_at, **options):
        seen.update(
            trainee=trainee,
            config=config,
            started=trainee.model.get_weights(),
            results=evaluate(),
            batch=batch_at(0),
        )
        trainee.model.set_weights([array + 1 for array in seen["started"]])
        return Progress(), None

    monkeypatch.setattr(trainable, "start_training", start)
    monkeypatch.setattr(trainable, "choose_weights", lambda *arguments: None)
    # One target has seven letters and its end, more than seven tokens; one has what the vocabulary
    # lacks.
    texts, targets = [*TEXTS, "a", "a"], [*TARGETS, "abcdabc", "xyz"]
    validation = ["ABC", "d", "a", "b", "c"], ["ab", "d", "a", "b", "c"]
    pipeline.fit(
        texts,
        targets,
        validation_data=validation,
        encoder_dropout=0.3,
        epochs=1,
        batch_size=4,
        eval_decode=2,
    )
    for ours, theirs, learnt in zip(
        before, seen["started"], pipeline.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(learnt, ours + 1)
    trained = seen["trainee"].model
    assert (
        trained.config.dropout == 0.3
        and pipeline.model.config.dropout == 0.1
        and trained is not pipeline.model
    )
    assert seen["config"].keep_best_metric == "rougeL"
    results, sample = seen["results"]
    assert {"loss", "accuracy", "train/accuracy", "rougeL", "perplexity"} <= {
        *results
    } and "train/loss" not in results
    assert [row[:2] for row in sample] == [
        ("abc", "ab"),
        ("a", "a"),
    ]  # two of five, spread; in lower case
    output = capsys.readouterr().out
    assert "1 training pairs are too long and are left out" in output
    assert (
        "1 training targets change when they are encoded and decoded with this vocabulary, such as "
        in output
        and "xyz" in output
    )
    assert (
        pipeline.generator.config == DecodingConfig(beam_size=2, max_length=6)
        and pipeline.generator.lowercase
    )
    pipeline.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (
        config["finetuning"]["batch_size"] == 4
        and config["task"]["encoder_dropout"] == 0.3
        and "labelled" in config
    )
    assert (
        config["data"] == json.loads(json.dumps(dataclasses.asdict(DATA)))
        and config["decoding"]["beam_size"] == 2
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="begins its training")
def test_what_was_learnt_in_bfloat16_writes_in_float32_and_keeps_the_language_asked_for(
    monkeypatch, tmp_path
):
    policies = []

    def start(trainee, *arguments, **options):
        policies.append(trainee.model.dtype_policy.name)
        return Progress(), None

    monkeypatch.setattr(trainable, "start_training", start)
    monkeypatch.setattr(trainable, "choose_weights", lambda *arguments: None)
    options = dict(epochs=1, precision="bfloat16", language="de", max_length=8)
    pipeline = small().fit(TEXTS, TARGETS, **options)
    assert policies == ["mixed_bfloat16"] and pipeline.model.dtype_policy.name == "float32"
    data = dataclasses.replace(DATA, target_language="de", max_source_length=8, max_target_length=8)
    assert pipeline.data == data
    pipeline.save(tmp_path)
    assert GenerationPipeline.from_run(tmp_path).data.target_language == "de"
