"""Strings in, strings out: one output for each input, in order, whatever the input."""

import dataclasses
import json

import keras
import pytest

from transformer import generation
from transformer.config import ConfigError, DecodingConfig, ModelConfig
from transformer.generation import Generator, _halves, _join, source_batches
from transformer.model import Transformer
from transformer.tokenizer import ByteTokenizer, CharacterTokenizer, save_tokenizers

NASTY = ["", " ", "\t", "a", "\0", "\u2028", "Ω≈ç√∫", "👩‍👩‍👧‍👦 🇩🇪", "\ufeff", "x" * 300, "word " * 90, "。".join(["我"] * 80), "ہ"]


class Echo(Generator):
    """Answers each piece with its own text, so that order and pieces can be seen."""

    def _generate(self, sources, names, scored):
        return [[(text, -1.0)] * self.config.n_best for text in self.source_tokenizer.decode(sources)]


def echo(**options):
    return Echo(None, ByteTokenizer(), ByteTokenizer(), DecodingConfig(), **options)


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(1)
    config = ModelConfig(d_model=16, num_heads=2, num_layers=1, ffn_dim=16, vocab_size=260)
    model = Transformer.from_model_config(config)
    tokenizer = ByteTokenizer()
    return Generator(model, tokenizer, tokenizer, DecodingConfig(beam_size=2, n_best=2, max_length=6), 32)


def test_one_output_for_each_input_in_order(generator):
    outputs = generator(NASTY)
    assert len(outputs) == len(NASTY)
    assert outputs[0] == outputs[1] == outputs[2] == ""
    assert all("\n" not in text for text in outputs)
    assert outputs == [generator([text])[0] for text in NASTY]  # neither order nor company matters


def test_samples_depend_on_the_seed_and_on_the_number_of_the_text(generator):
    def samples(seed, texts, first=0):
        config = DecodingConfig(temperature=1.0, max_length=6, sampling_seed=seed)
        sampler = Generator(generator.model, ByteTokenizer(), ByteTokenizer(), config, 32)
        return [outputs[0][0] for outputs in sampler.n_best(texts, first)]

    texts = ["abc"] * 5
    once = samples(1, texts)
    assert len(set(once)) == 5
    assert once == samples(1, texts) != samples(2, texts)
    assert once[3:] == samples(1, texts[3:], first=3)  # in whatever batch


def test_n_best_is_sorted_and_as_long_as_asked(generator):
    for outputs in generator.n_best(["abc", "", "de"]):
        assert len(outputs) == 2 and outputs[0][1] >= outputs[1][1]


def test_a_long_line_is_cut_into_pieces_and_nothing_is_lost():
    text = "One two three. " * 40 + "四五六。" * 40 + "x" * 500
    outputs = echo(max_source_length=32)([text, "short"])
    assert outputs[0].replace(" ", "") == text.replace(" ", "") and outputs[1] == "short"


def test_pieces_fit_and_are_cut_at_sentences():
    text, tokenizer = "He came home. She left, and he stayed there alone.", ByteTokenizer()
    pieces = echo(max_source_length=24)._pieces(text, tokenizer.encode([text])[0])
    assert tokenizer.decode(pieces) == ["He came home.", "She left,", "and he stayed", "there alone."]
    assert all(len(ids) <= 24 and ids[-1] == tokenizer.eos_id for ids in pieces)


def test_each_piece_names_the_target_s_language():
    assert echo(max_source_length=24)(["<2de> She left, and he stayed there."]) == ["<2de> She left, <2de> and he <2de> stayed there."]
    assert echo(max_source_length=6)(["<2zh> ab"]) == ["<2zh> <2zh>"]  # there is no room for more


def test_a_character_longer_than_the_longest_source_is_no_endless_cutting():
    assert echo(max_source_length=4)(["ab 👍 c"]) == ["ab \ufffd c"]  # three of its four bytes


@pytest.mark.parametrize(
    "text, halves",
    [
        ("Aa bb. Cc dd.", ("Aa bb. ", "Cc dd.")),
        ("天气很好。我们走吧。", ("天气很好。", "我们走吧。")),
        ("aaaa bb cccc", ("aaaa ", "bb cccc")),
        ("aaaaaaaa", ("aaaa", "aaaa")),
    ],
)
def test_halves(text, halves):
    assert _halves(text) == halves


def test_join_writes_a_space_where_the_script_has_one():
    assert _join("Hallo.", "Welt.") == "Hallo. Welt." and _join("你好。", "世界。") == "你好。世界。"
    assert _join("", "a") == "a" and _join("a", "") == "a"


def test_source_batches_keep_their_bounds_and_every_source():
    lengths = [3, 40, 16, 17, 5, 2000, 9, 0]
    batches = source_batches(lengths, max_rows=3, max_tokens=48)
    assert batches == [[7, 0, 4], [6, 2], [3], [1], [5]]
    assert source_batches([], 3, 48) == []


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX decodes each shape at one go, and compiles it")
def test_company_and_leaving_change_nothing(generator, monkeypatch):
    """Many texts at once, in several batches and pieces, give what each gives alone."""
    monkeypatch.setattr(generation, "ROWS", 8)
    texts = [chr(97 + n % 26) * (1 + n * 7 % 23) for n in range(60)]
    for options in (dict(beam_size=1), dict(beam_size=3, n_best=2), dict(temperature=1.0), dict(no_repeat_ngram=2, min_length=3)):
        many = Generator(generator.model, ByteTokenizer(), ByteTokenizer(), DecodingConfig(max_length=20, **options), 32)
        together = many.n_best(texts)
        for number in (0, 7, 23, 59):
            for (text, score), (alone, expected) in zip(together[number], many.n_best([texts[number]], first=number)[0]):
                assert text == alone and score == pytest.approx(expected, abs=1e-4)
        assert many(texts) == [outputs[0][0] for outputs in together]


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX compiles each shape, and has no graph for all of them")
@pytest.mark.parametrize("options", [dict(beam_size=3, n_best=2), dict(beam_size=1), dict(temperature=1.0)])
def test_the_first_texts_need_no_graph_and_come_out_as_with_one(generator, options):
    def fresh():
        return Generator(generator.model, ByteTokenizer(), ByteTokenizer(), DecodingConfig(max_length=6, **options), 32)

    alone, together, texts = fresh(), fresh(), [f"text {n}" for n in range(generation.FEW + 1)]
    expected = together.n_best(texts)
    for number, text in enumerate(texts):
        assert bool(alone._functions) == (number > generation.FEW)
        (outputs,) = alone.n_best([text], first=number)
        assert [words for words, _ in outputs] == [words for words, _ in expected[number]]
        assert [score for _, score in outputs] == pytest.approx([score for _, score in expected[number]], abs=1e-4)
    assert alone._functions  # the next was one too many
    long = Generator(generator.model, ByteTokenizer(), ByteTokenizer(), DecodingConfig(max_length=generation.SHORT + 1), 32)
    long(["abc"])
    assert long._functions


def test_a_run_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(ConfigError, match="must hold model.keras"):
        Generator.from_run(tmp_path)


def test_a_run_folder_that_is_not_whole_is_refused(generator, tmp_path):
    generator.model.save(tmp_path / "model.keras")
    (tmp_path / "config.json").write_text('{"data": {"max_source')
    with pytest.raises(ConfigError, match="must be whole"):
        Generator.from_run(tmp_path)
    config = {"model": dataclasses.asdict(generator.model.config), "data": {"max_source_length": 9, "lowercase": True}, "decoding": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="must hold tokenizer.json"):
        Generator.from_run(tmp_path)
    save_tokenizers(tmp_path / "tokenizer", ByteTokenizer(), ByteTokenizer())
    (tmp_path / "model.keras").write_bytes((tmp_path / "model.keras").read_bytes()[:-99])
    with pytest.raises(ConfigError, match="must be whole"):
        Generator.from_run(tmp_path)


def test_a_run_of_before_names_stayed_behind_their_symbols_is_refused(generator, tmp_path):
    generator.model.save(tmp_path / "model.keras")
    model = {name: value for name, value in dataclasses.asdict(generator.model.config).items() if name != "pointer_generator"}
    config = {"model": model, "data": {"copy_unknown": True}, "decoding": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="a run that copies must be of this version"):
        Generator.from_run(tmp_path)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_pointer_generator_writes_for_many_texts_what_it_writes_for_each(beam_size):
    keras.utils.set_random_seed(3)
    config = ModelConfig(d_model=16, num_heads=2, num_layers=1, ffn_dim=16, vocab_size=260, pointer_generator=True, positions="rotary")
    model, tokenizer = Transformer.from_model_config(config), ByteTokenizer()
    model.pointer.switch.bias.assign([-50.0])  # it only copies
    texts = ["zebra", "an", "wombat!", "0", "quokka", "mole"]
    generator = Generator(model, tokenizer, tokenizer, DecodingConfig(beam_size=beam_size, max_length=9))
    outputs = generator(texts)
    assert outputs == [Generator(model, tokenizer, tokenizer, generator.config)([text])[0] for text in texts]
    assert any(outputs) and all({*output} <= {*text} for output, text in zip(outputs, texts))


def test_a_model_of_lowercased_text_is_given_lowercased_text(generator, tmp_path):
    generator.model.save(tmp_path / "model.keras")
    save_tokenizers(tmp_path / "tokenizer", ByteTokenizer(), ByteTokenizer())
    for lowercase in (True, False):
        config = {"model": dataclasses.asdict(generator.model.config), "data": {"max_source_length": 9, "lowercase": lowercase}}
        config["decoding"] = {"beam_size": 1, "max_length": 4}
        (tmp_path / "config.json").write_text(json.dumps(config))
        loaded = Generator.from_run(tmp_path)
        assert (loaded.n_best(["The DOG"]) == loaded.n_best(["the dog"])) == lowercase


def test_learned_positions_bound_what_is_written():
    keras.utils.set_random_seed(1)
    config = ModelConfig(
        d_model=16, num_heads=2, num_layers=1, ffn_dim=16, vocab_size=260, positions="learned", max_positions=20
    )
    model, tokenizer = Transformer.from_model_config(config), ByteTokenizer()
    generator = Generator(model, tokenizer, tokenizer, DecodingConfig(beam_size=1), 20)
    assert generator.longest_output(20) == 20 and len(generator(["a" * 90])) == 1


def test_a_source_that_is_too_long_is_read_in_pieces_or_loses_its_end(monkeypatch):
    tokenizer = CharacterTokenizer("abcdefgh ")
    seen = []
    for in_pieces in (True, False):
        generator = Generator(None, tokenizer, tokenizer, max_source_length=6, in_pieces=in_pieces)
        monkeypatch.setattr(generator, "_generate", lambda sources, *_: (seen.append(sources), [[("x", 0.0)]] * len(sources))[1])
        assert generator(["abc def gh"]) == [" ".join("x" * len(seen[-1]))]
        cut = "" if in_pieces else "1 of 2 sources are too long and lose their end: cut to 6 tokens, by 45% on average"  # 6 of 11
        assert generator.report_cuts(["abc def gh", "abcde"]) == cut
    assert len(seen[0]) > 1 and sum(len(ids) - 1 for ids in seen[0]) >= 8
    assert [tokenizer.decode([ids[:-1]]) for ids in seen[1]] == [["abc d"]] and seen[1][0][-1] == tokenizer.eos_id
