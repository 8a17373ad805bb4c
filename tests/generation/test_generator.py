"""Tests of the Generator: one output string for each input string, in order, for any input."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.text.test_tokenizer import foreign
from transformer.config import ConfigError, DecodingConfig, ModelConfig
from transformer.generation import generator as generation
from transformer.generation.generator import (
    Generator,
    _halves,
    _join,
    one_core_a_batch,
    reading_of,
    source_batches,
)
from transformer.model.transformer import Transformer
from transformer.text.symbols import SYMBOLS
from transformer.text.tokenizer import (
    ByteTokenizer,
    CharacterTokenizer,
    SentencePieceTokenizer,
    save_tokenizers,
)

NASTY = [
    "",
    " ",
    "\t",
    "a",
    "\0",
    "\u2028",
    "Ω≈ç√∫",
    "👩‍👩‍👧‍👦 🇩🇪",
    "\ufeff",
    "x" * 300,
    "word " * 90,
    "。".join(["我"] * 80),
    "ہ",
]


class Echo(Generator):
    """Answers each piece with its own text, so that order and pieces can be seen."""

    def _generate(self, sources, names, scored):
        self.sources = sources
        return [
            [(text, -1.0)] * self.config.n_best for text in self.source_tokenizer.decode(sources)
        ]


def echo(tokenizer=ByteTokenizer(), config=DecodingConfig(), **options):
    return Echo(None, tokenizer, tokenizer, config, **options)


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(1)
    config = ModelConfig(d_model=16, num_heads=2, num_layers=1, ffn_dim=16, vocab_size=260)
    model = Transformer.from_model_config(config)
    tokenizer = ByteTokenizer()
    return Generator(
        model, tokenizer, tokenizer, DecodingConfig(beam_size=2, n_best=2, max_length=6), 32
    )


SOURCES = ["a dog runs", "the dog sees a cat", "two cats run home", "a cat"]
TARGETS = ["ein hund rennt", "der hund sieht eine katze", "zwei katzen rennen heim", "eine katze"]


def wild_model(**options):
    """Its weights are larger than a new model's: outputs depend on the source and on the prefix."""
    sizes = dict(d_model=16, num_heads=2, num_layers=1, ffn_dim=16)
    config = ModelConfig(**sizes, tie_embeddings=False, tie_output=False, **options)
    model, random = Transformer.from_model_config(config), np.random.default_rng(3)
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(random.normal(0.0, 0.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def translator():
    """With two SentencePiece models whose special ids differ; like T5's, each lacks one."""
    source = foreign(SOURCES, 40, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    target = foreign(TARGETS, 40, unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    source, target = SentencePieceTokenizer(source), SentencePieceTokenizer(target)
    sizes = dict(vocab_size=target.vocab_size, source_vocab_size=source.vocab_size)
    model = wild_model(**sizes, pad_id=target.vocab_size - 1, source_pad_id=0)
    return Generator(model, source, target, DecodingConfig(beam_size=1, max_length=9))


def log_probabilities(model, source, prefix):
    """Of the token that follows each token of a prefix, float64 (B, T, V)."""
    logits = keras.ops.convert_to_numpy(model([np.array(source), np.array(prefix)]))
    logits = logits.astype("float64")
    return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))


class TestOutputsAreTheModelsOwn:
    """What is written, and its score, follow from what the whole model says of whole prefixes."""

    def test_greedy_outputs_are_the_likeliest_tokens(self, translator):
        source = [translator.source_tokenizer.processor.encode(text) for text in SOURCES]
        longest = max(map(len, source))
        source = np.array([[*ids, 1, *[0] * (longest - len(ids))] for ids in source])
        prefix, scores, penalty = np.full((4, 1), 1), np.zeros(4), np.zeros(4)
        for position in range(1, 10):
            found = log_probabilities(translator.model, source, prefix)[:, -1]
            allowed = found.copy()
            allowed[:, [1, translator.target_tokenizer.vocab_size - 1]] = -np.inf
            tokens = np.argmax(allowed, axis=-1) if position < 9 else np.full(4, 2)
            going = (prefix != 2).all(axis=1)
            scores += np.where(going, found[range(4), tokens], 0.0)
            penalty = np.where(going, ((5 + position) / 6) ** 0.6, penalty)
            prefix = np.concatenate([prefix, tokens[:, None]], axis=1)
        ids = [row[1 : row.index(2)] for row in prefix.tolist()]
        expected = translator.target_tokenizer.processor.decode(ids)
        # The outputs all differ and one ends by itself. Otherwise the test would show little.
        assert len(set(expected)) == 4 and min(map(len, ids)) < 8 == max(map(len, ids))
        outputs = [output for (output,) in translator.n_best(SOURCES)]
        assert [text for text, _ in outputs] == expected == translator(SOURCES)
        assert [score for _, score in outputs] == pytest.approx(scores / penalty, abs=1e-4)

    @pytest.mark.parametrize(
        "options, alpha",
        [(dict(beam_size=3, n_best=3, length_penalty=0.8), 0.8), (dict(temperature=1.5), 0.0)],
    )
    def test_each_score_is_the_log_probability_of_the_text(self, options, alpha):
        # With this tokenizer an output text reveals its ids.
        characters = CharacterTokenizer("abcdef")
        model = wild_model(vocab_size=characters.vocab_size, source_vocab_size=260)
        config = DecodingConfig(max_length=7, **options)
        writer = Generator(model, ByteTokenizer(), characters, config)
        for text, outputs in zip(SOURCES[:3], writer.n_best(SOURCES[:3])):
            source = [*(byte + 4 for byte in text.encode()), 3]
            assert len({output for output, _ in outputs}) == config.n_best
            for output, score in outputs:
                ids = [*characters.encode([output])[0], 3]
                found = log_probabilities(model, [source], [[2, *ids[:-1]]])[0]
                total = found[range(len(ids)), ids].sum()
                assert score == pytest.approx(total / ((5 + len(ids)) / 6) ** alpha, abs=1e-4)


def test_a_source_ends_in_its_own_end_token(translator):
    processor = translator.source_tokenizer.processor
    assert translator.source_ids("a  cat ") == [*processor.encode("a cat"), 1]


def test_a_text_of_which_normalisation_leaves_nothing_gives_nothing(translator):
    nothing, space = "\u200b", "\ufeff\u200b \x01"
    assert translator.source_tokenizer.encode([nothing, space]) == [[], []]
    outputs = translator.n_best([nothing, "a cat", space])
    assert outputs[::2] == [[("", 0.0)]] * 2 and outputs[1][0][0] != ""


def test_one_output_for_each_input_in_order(generator):
    outputs = generator(NASTY)
    assert len(outputs) == len(NASTY)
    assert outputs[0] == outputs[1] == outputs[2] == ""
    assert all("\n" not in text for text in outputs)
    # An output depends neither on the order nor on the other texts.
    assert outputs == [generator([text])[0] for text in NASTY]


@pytest.mark.slow
def test_samples_depend_on_the_seed_and_on_the_number_of_the_text(generator):
    def samples(seed, texts, first=0):
        config = DecodingConfig(temperature=1.0, max_length=6, sampling_seed=seed)
        sampler = Generator(generator.model, ByteTokenizer(), ByteTokenizer(), config, 32)
        return [outputs[0][0] for outputs in sampler.n_best(texts, first)]

    texts = ["abc"] * 5
    once = samples(1, texts)
    assert len(set(once)) == 5
    assert once == samples(1, texts) != samples(2, texts)
    # It does not matter which batch a text is in.
    assert once[3:] == samples(1, texts[3:], first=3)


def test_what_is_sampled_for_a_text_does_not_depend_on_its_company_and_two_equal_pieces_differ(
    generator,
):
    config = DecodingConfig(temperature=1.0, max_length=9, sampling_seed=5)
    sampler = Generator(generator.model, ByteTokenizer(), ByteTokenizer(), config, 8)
    ((whole, _),), ((second, _),) = sampler.n_best(["abcdef abcdef", "abcdef"])
    ((alone, _),), ((first_of_other, _),) = sampler.n_best(["abcdef"])[0:1] + sampler.n_best(
        ["abcdef"], first=1
    )
    assert whole.startswith(alone) and first_of_other == second != alone
    rest = whole[len(alone) :].strip()
    assert rest not in ("", alone, second)
    assert sampler(["abcdef"]) == [alone] == sampler(["abcdef"])


def test_no_two_of_many_pieces_draw_the_same(generator):
    """Of the first text's 32 the seventeenth could be taken for the next text's first."""
    characters = CharacterTokenizer("".join(map(chr, range(97, 97 + 256))))
    config = DecodingConfig(temperature=1.0, min_length=5, max_length=6)
    sampler = Generator(generator.model, ByteTokenizer(), characters, config, 8)
    many, one = sampler(["abcdef " * 32, "abcdef"])
    written = [*many.split(" "), one]
    assert len(written) == len(set(written)) == 33


def test_an_error_in_one_of_several_batches_is_raised(generator, monkeypatch):
    class Unreadable(ByteTokenizer):
        def decode(self, ids):
            raise OSError("nobody can read this")

    monkeypatch.setattr(generation, "ROWS", 1)
    config = DecodingConfig(beam_size=1, max_length=2)
    writer = Generator(generator.model, ByteTokenizer(), Unreadable(), config)
    with pytest.raises(OSError, match="nobody can read this"):
        writer(["abc", "de"])


def test_a_beam_wider_than_a_batch_is_a_batch(generator, monkeypatch):
    texts, expected = ["ab", "c"], generator.n_best(["ab", "c"])
    monkeypatch.setattr(generation, "ROWS", 1)
    for outputs, others in zip(generator.n_best(texts), expected):
        for (text, score), (other, known) in zip(outputs, others, strict=True):
            assert text == other and score == pytest.approx(known, abs=1e-4)


def test_scores_of_pieces_add_up():
    n_best = DecodingConfig(beam_size=3, n_best=2)
    outputs = echo(config=n_best, max_source_length=4).n_best(
        ["abc def ghi jkl", "mno", "", "pqr st"]
    )
    assert outputs == [
        [("abc def ghi jkl", -4.0)] * 2,
        [("mno", -1.0)] * 2,
        [("", 0.0)] * 2,
        [("pqr st", -2.0)] * 2,
    ]


def test_n_best_is_sorted_and_as_long_as_asked(generator):
    for outputs in generator.n_best(["abc", "", "de"]):
        assert len(outputs) == 2 and outputs[0][1] >= outputs[1][1]


def test_a_long_line_is_cut_into_pieces_and_nothing_is_lost():
    text = "One two three. " * 40 + "四五六。" * 40 + "x" * 500
    outputs = echo(max_source_length=32)([text, "short"])
    assert outputs[0].replace(" ", "") == text.replace(" ", "") and outputs[1] == "short"


@pytest.mark.parametrize(
    "limit, pieces", [(8, ["abcdef"]), (7, ["abcdef"]), (6, ["abc", "def"]), (4, ["abc", "def"])]
)
def test_a_text_exactly_as_long_as_allowed_is_whole(limit, pieces):
    """Six letters and the end are seven tokens."""
    tokenizer = CharacterTokenizer("abcdef ")
    generator = echo(tokenizer, max_source_length=limit)
    assert generator(["abcdef"]) == [" ".join(pieces)]
    assert tokenizer.decode(generator.sources) == pieces
    assert [ids[-1] for ids in generator.sources] == [tokenizer.eos_id] * len(pieces)
    cut = echo(tokenizer, max_source_length=limit, in_pieces=False)
    assert cut(["abcdef"]) == ["abcdef"[: limit - 1]]
    assert cut.report_cuts(["abcdef", "ab"]) == {
        # 1 of 7 tokens is lost.
        6: "1 of 2 sources are too long and are truncated to 6 "
        "tokens, which drops 14% of their tokens",
        # 3 of 7 tokens are lost.
        4: "1 of 2 sources are too long and are truncated to 4 "
        "tokens, which drops 43% of their tokens",
    }.get(limit, "")
    # The texts have 7, 10 and 3 tokens. The first two lose 7 + 10 - 2 * limit of 17 tokens.
    assert (
        cut.report_cuts(["abcdef", "abcdefabc", "ab"])
        == {
            8: "1 of 3 sources are too long and are truncated to 8 "
            "tokens, which drops 20% of their tokens",
            7: "1 of 3 sources are too long and are truncated to 7 "
            "tokens, which drops 30% of their tokens",
            6: "2 of 3 sources are too long and are truncated to 6 "
            "tokens, which drops 29% of their tokens",
            4: "2 of 3 sources are too long and are truncated to 4 "
            "tokens, which drops 53% of their tokens",
        }[limit]
    )


def test_a_text_may_have_128_tokens_unless_told():
    generator = echo()
    generator(["a" * 127, "b" * 128])
    assert list(map(len, generator.sources)) == [128, 65, 65]
    kept = echo(in_pieces=False, merge_spaces=False)
    assert kept(["a  b\n", " \n"]) == ["a  b\n", ""] and echo()(["a  b\n"]) == ["a b"]


@settings(max_examples=60)
@given(
    st.lists(st.text("abcdef .,!;。，！ 我👍\t", max_size=70), max_size=4),
    st.integers(2, 30),
    st.sampled_from(["", "<2de> "]),
)
def test_whatever_the_text_its_pieces_fit_and_nothing_is_lost(texts, limit, language):
    tokenizer = CharacterTokenizer("abcdef .,!;。，！我👍<>2d")
    limit += len(language)
    generator = echo(tokenizer, max_source_length=limit)
    outputs = generator([language + text for text in texts])
    assert all(1 < len(ids) <= limit and ids[-1] == tokenizer.eos_id for ids in generator.sources)
    assert all(
        piece.startswith(language) or piece == language.strip()
        for piece in tokenizer.decode(generator.sources)
    )
    for output, text in zip(outputs, texts, strict=True):
        assert "".join(output.replace("<2de>", "").split()) == "".join(text.split())


def test_pieces_fit_and_are_cut_at_sentences():
    text, tokenizer = "He came home. She left, and he stayed there alone.", ByteTokenizer()
    pieces = echo(max_source_length=24)._pieces(text, tokenizer.encode([text])[0])
    assert tokenizer.decode(pieces) == [
        "He came home.",
        "She left,",
        "and he stayed",
        "there alone.",
    ]
    assert all(len(ids) <= 24 and ids[-1] == tokenizer.eos_id for ids in pieces)


def test_each_piece_names_the_target_s_language():
    assert echo(max_source_length=24)(["<2de> She left, and he stayed there."]) == [
        "<2de> She left, <2de> and he <2de> stayed there."
    ]
    # The language tag leaves no room for more.
    assert echo(max_source_length=6)(["<2zh> ab"]) == ["<2zh> <2zh>"]


def test_a_character_longer_than_the_longest_source_is_no_endless_cutting():
    # Three of the four bytes of the character are left.
    assert echo(max_source_length=4)(["ab 👍 c"]) == ["ab \ufffd c"]


@pytest.mark.parametrize(
    "text, halves",
    [
        ("Aa bb. Cc dd.", ("Aa bb. ", "Cc dd.")),
        ("天气很好。我们走吧。", ("天气很好。", "我们走吧。")),
        ("aaaa bb cccc", ("aaaa ", "bb cccc")),
        ("aaaaaaaa", ("aaaa", "aaaa")),
        ("aaaaaaa", ("aaa", "aaaa")),
        # The end of a sentence is better than that of a clause, and that of a clause better than
        # that of a word, however near the middle the others are. In the first of these texts the
        # sentence ends before the first quarter, so it does not count.
        ("Aa. bb bb, cc dd.", ("Aa. bb bb, ", "cc dd.")),
        ("Aaa! bbb, cc dd", ("Aaa! ", "bbb, cc dd")),
        ("Aaa? bbb, cc dd", ("Aaa? ", "bbb, cc dd")),
        ("aa, bb cc dd", ("aa, ", "bb cc dd")),
        ("aa; bb cc dd", ("aa; ", "bb cc dd")),
        ("aa: bb cc dd", ("aa: ", "bb cc dd")),
        # The end nearest to the middle is chosen. Of two that are equally near, the first.
        ("aa bb, cc, dd, ee", ("aa bb, ", "cc, dd, ee")),
        ("一二！三四五，六七", ("一二！", "三四五，六七")),
        ("一二？三四五，六七", ("一二？", "三四五，六七")),
        ("一二，三四五六七", ("一二，", "三四五六七")),
        ("一二；三四 五六七", ("一二；", "三四 五六七")),
        ("一二：三四 五六七", ("一二：", "三四 五六七")),
        ("一二、三四 五六七", ("一二、", "三四 五六七")),
        # A text is not split before the first quarter or after the third.
        ("a bcdefg", ("a ", "bcdefg")),
        ("abcde fg", ("abcde ", "fg")),
        ("a bcdefgh", ("a bc", "defgh")),
        ("abcdef g", ("abcd", "ef g")),
    ],
)
def test_halves(text, halves):
    assert _halves(text) == halves


def test_join_writes_a_space_where_the_script_has_one():
    assert (
        _join("Hallo.", "Welt.") == "Hallo. Welt." and _join("你好。", "世界。") == "你好。世界。"
    )
    assert _join("", "a") == "a" and _join("a", "") == "a" and _join("", "") == ""
    # Korean is written with spaces.
    assert _join("안녕.", "세계.") == "안녕. 세계."
    assert _join("你好", "Bob") == "你好Bob" and _join("Bob", "你好") == "Bob你好"
    assert _join("OK！", "Bob") == "OK！Bob" and _join("Bob", "「好」") == "Bob「好」"
    # Only the characters that meet count: the end of the first text and the beginning of the
    # second.
    assert _join("in a", "世界 b") == "in a世界 b" and _join("世 a", "b 界") == "世 a b 界"


def test_source_batches_keep_their_bounds_and_every_source():
    lengths = [3, 40, 16, 17, 5, 2000, 9, 0]
    batches = source_batches(lengths, max_rows=3, max_tokens=48)
    assert batches == [[7, 0, 4], [6, 2], [3], [1], [5]]
    assert source_batches([], 3, 48) == []
    assert source_batches([4] * 5, 2, 100) == [[0, 1], [2, 3], [4]]
    assert source_batches([4] * 5, 9, 12) == [[0, 1, 2], [3, 4]] and source_batches(
        [4] * 3, 9, 11
    ) == [[0, 1], [2]]


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 8), st.integers(1, 200))
def test_whatever_the_lengths_each_source_is_in_one_batch_within_the_bounds(
    lengths, max_rows, max_tokens
):
    batches = source_batches(lengths, max_rows, max_tokens)
    flat = [index for batch in batches for index in batch]
    assert sorted(flat) == list(range(len(lengths))) and [lengths[i] for i in flat] == sorted(
        lengths
    )
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) <= max_rows and len(batch) * longest <= max_tokens
    # One more row would not fit.
    for batch, following in zip(batches, batches[1:]):
        rows = len(batch) + 1
        assert rows > max_rows or rows * lengths[following[0]] > max_tokens


@pytest.mark.slow
def test_each_output_ends_at_its_own_longest(generator):
    """Twice the source's tokens, its end among them, and 10 more; or what is asked for. This
    model never ends by itself."""
    # Each token is one character.
    characters = CharacterTokenizer("".join(map(chr, range(97, 97 + 256))))
    texts = ["abc", "", "a", "abcdefghij" * 2, "ab"]
    endless = Generator(
        generator.model, ByteTokenizer(), characters, DecodingConfig(beam_size=2, min_length=999)
    )
    assert [len(endless([text])[0]) for text in texts[:2]] == [17, 0]
    # The first output has (3 + 1) * 2 + 10 tokens, of which the end token is not shown. The others
    # are computed alike.
    assert list(map(len, endless(texts))) == [17, 0, 13, 51, 15]
    bounded = Generator(
        generator.model, ByteTokenizer(), characters, DecodingConfig(max_length=5, min_length=4)
    )
    assert [len(bounded([text])[0]) for text in texts[:2]] == [4, 0]
    assert [endless.longest_output(length) for length in (1, 4, 50)] == [12, 18, 110]
    assert [bounded.longest_output(length) for length in (1, 4, 50)] == [5, 5, 5]


def test_a_padded_source_is_padded_with_the_model_s_own_pad():
    keras.utils.set_random_seed(2)
    config = ModelConfig(
        d_model=16,
        num_heads=2,
        num_layers=1,
        ffn_dim=16,
        vocab_size=260,
        source_pad_id=4 + ord("z"),
    )
    model, tokenizer = Transformer.from_model_config(config), ByteTokenizer()
    decoding = DecodingConfig(beam_size=1, min_length=8, max_length=9)
    texts = ["a", "a much longer text", "another"]
    together = Generator(model, tokenizer, tokenizer, decoding).n_best(texts)
    for text, ((written, score),) in zip(texts, together):
        ((alone, expected),) = Generator(model, tokenizer, tokenizer, decoding).n_best([text])[0]
        assert written == alone and score == pytest.approx(expected, abs=1e-4)


def test_symbols_of_the_source_stand_for_its_own_values_in_the_output():
    class Words(CharacterTokenizer):
        def knows(self, word):
            return word in ("say", "to")

    tokenizer = Words("".join(map(chr, range(32, 127))) + "".join(SYMBOLS))
    texts = ["say 'ab' to zork", "say to", "to blah  or 'x'"]
    generator = echo(tokenizer, DecodingConfig(beam_size=2, n_best=2), copy_unknown=True)
    # In the source, a symbol replaces a string, but stands before a name or a rare word. In the
    # output all symbols become values again.
    assert generator.n_best(texts) == [
        [("say 'ab' to zork zork", -1.0)] * 2,
        [("say to", -1.0)] * 2,
        [("to blah blah or or 'x'", -1.0)] * 2,
    ]
    assert tokenizer.decode([generator.source_ids(texts[0])]) == [
        f"say {SYMBOLS[0]} to {SYMBOLS[1]} zork"
    ]
    assert generator.source_ids(texts[0])[-1] == tokenizer.eos_id
    assert echo(tokenizer)(texts) == ["say 'ab' to zork", "say to", "to blah or 'x'"]


def test_how_a_run_reads_its_sources():
    data = {
        "task": "translation",
        "max_source_length": 7,
        "lowercase": True,
        "copy_unknown": False,
        "clean": True,
        "more": 1,
    }
    read = {
        "max_source_length": 7,
        "lowercase": True,
        "in_pieces": True,
        "copy_unknown": False,
        "merge_spaces": True,
    }
    assert reading_of(data) == read
    other = {"lowercase": False, "copy_unknown": True}
    assert reading_of({**data, **other, "task": "summarization"}) == {
        **read,
        **other,
        "in_pieces": False,
    }
    assert reading_of({**data, "task": "code"}) == {
        **read,
        "in_pieces": False,
        "merge_spaces": False,
    }
    assert reading_of({**data, "clean": False}) == {**read, "merge_spaces": False}
    assert echo(lowercase=True)(["Ein  HAUS", "Große Straße"]) == ["ein haus", "große straße"]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the threads are TensorFlow's")
def test_an_operation_is_computed_on_one_core_unless_tensorflow_has_begun(monkeypatch):
    import tensorflow as tf

    asked = []

    def begun(count):
        asked.append(count)
        raise RuntimeError("it has begun")

    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", begun)
    one_core_a_batch()
    assert asked == [1]


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX decodes each shape at one go, and compiles it"
)
def test_company_and_leaving_change_nothing(generator, monkeypatch):
    """Many texts at once, in several batches and pieces, give what each gives alone."""
    monkeypatch.setattr(generation, "ROWS", 8)
    texts = [chr(97 + n % 26) * (1 + n * 7 % 23) for n in range(60)]
    for options in (
        dict(beam_size=1),
        dict(beam_size=3, n_best=2),
        dict(temperature=1.0),
        dict(no_repeat_ngram=2, min_length=3),
    ):
        many = Generator(
            generator.model,
            ByteTokenizer(),
            ByteTokenizer(),
            DecodingConfig(max_length=20, **options),
            32,
        )
        together = many.n_best(texts)
        for number in (0, 7, 23, 59):
            for (text, score), (alone, expected) in zip(
                together[number], many.n_best([texts[number]], first=number)[0]
            ):
                assert text == alone and score == pytest.approx(expected, abs=1e-4)
        assert many(texts) == [outputs[0][0] for outputs in together]


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="JAX compiles each shape, and has no graph for all of them",
)
@pytest.mark.parametrize(
    "options", [dict(beam_size=3, n_best=2), dict(beam_size=1), dict(temperature=1.0)]
)
def test_the_first_texts_need_no_graph_and_come_out_as_with_one(generator, options):
    def fresh():
        return Generator(
            generator.model,
            ByteTokenizer(),
            ByteTokenizer(),
            DecodingConfig(max_length=6, **options),
            32,
        )

    alone, together, texts = fresh(), fresh(), [f"text {n}" for n in range(generation.FEW + 1)]
    expected = together.n_best(texts)
    for number, text in enumerate(texts):
        assert bool(alone._functions) == (number > generation.FEW)
        (outputs,) = alone.n_best([text], first=number)
        assert [words for words, _ in outputs] == [words for words, _ in expected[number]]
        assert [score for _, score in outputs] == pytest.approx(
            [score for _, score in expected[number]], abs=1e-4
        )
    # The last text was one more than `FEW`, so it made a graph.
    assert alone._functions
    long = Generator(
        generator.model,
        ByteTokenizer(),
        ByteTokenizer(),
        DecodingConfig(max_length=generation.SHORT + 1),
        32,
    )
    long(["abc"])
    assert long._functions


def test_a_run_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(ConfigError, match="which has no model.keras"):
        Generator.from_run(tmp_path)


def test_a_run_folder_that_is_not_whole_is_refused(generator, tmp_path):
    generator.model.save(tmp_path / "model.keras")
    (tmp_path / "config.json").write_text('{"data": {"max_source')
    with pytest.raises(ConfigError, match="a file of the run is missing"):
        Generator.from_run(tmp_path)
    config = {
        "model": dataclasses.asdict(generator.model.config),
        "data": {"max_source_length": 9, "lowercase": True},
        "decoding": {},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="must contain tokenizer.json"):
        Generator.from_run(tmp_path)
    save_tokenizers(tmp_path / "tokenizer", ByteTokenizer(), ByteTokenizer())
    (tmp_path / "model.keras").write_bytes((tmp_path / "model.keras").read_bytes()[:-99])
    with pytest.raises(ConfigError, match="a file of the run is missing"):
        Generator.from_run(tmp_path)


@pytest.mark.parametrize(
    "part, change, reason",
    [
        # The weights have another size.
        ("model", {"ffn_dim": 24}, ""),
        ("model", {"of_a_later_version": 1}, "unexpected keyword argument 'of_a_later_version'"),
        ("data", {"max_source_length": None}, "'max_source_length'"),
    ],
)
def test_a_run_whose_config_does_not_fit_is_refused(generator, tmp_path, part, change, reason):
    data = {"max_source_length": 9, "lowercase": False, "task": "translation", "clean": True}
    config = {"model": dataclasses.asdict(generator.model.config), "data": data, "decoding": {}}
    generator.model.save(tmp_path / "model.keras")
    save_tokenizers(tmp_path / "tokenizer", ByteTokenizer(), ByteTokenizer())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert Generator.from_run(tmp_path).max_source_length == 9
    changed = {**config[part], **change}
    changed = {name: value for name, value in changed.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps({**config, part: changed}))
    with pytest.raises(ConfigError, match=f"(?s)or of another version. Received: .*{reason}"):
        Generator.from_run(tmp_path)


def test_a_run_of_before_names_stayed_behind_their_symbols_is_refused(generator, tmp_path):
    generator.model.save(tmp_path / "model.keras")
    model = {
        name: value
        for name, value in dataclasses.asdict(generator.model.config).items()
        if name != "pointer_generator"
    }
    config = {"model": model, "data": {"copy_unknown": True}, "decoding": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="trained with the present form of symbols"):
        Generator.from_run(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_pointer_generator_writes_for_many_texts_what_it_writes_for_each(beam_size):
    keras.utils.set_random_seed(3)
    config = ModelConfig(
        d_model=16,
        num_heads=2,
        num_layers=1,
        ffn_dim=16,
        vocab_size=260,
        pointer_generator=True,
        positions="rotary",
    )
    model, tokenizer = Transformer.from_model_config(config), ByteTokenizer()
    # The model only copies.
    model.pointer.switch.bias.assign([-50.0])
    texts = ["zebra", "an", "wombat!", "0", "quokka", "mole"]
    generator = Generator(
        model, tokenizer, tokenizer, DecodingConfig(beam_size=beam_size, max_length=9)
    )
    outputs = generator(texts)
    assert outputs == [
        Generator(model, tokenizer, tokenizer, generator.config)([text])[0] for text in texts
    ]
    assert any(outputs) and all({*output} <= {*text} for output, text in zip(outputs, texts))


def test_a_model_of_lowercased_text_is_given_lowercased_text(generator, tmp_path):
    generator.model.save(tmp_path / "model.keras")
    save_tokenizers(tmp_path / "tokenizer", ByteTokenizer(), ByteTokenizer())
    for lowercase in (True, False):
        config = {
            "model": dataclasses.asdict(generator.model.config),
            "data": {"max_source_length": 9, "lowercase": lowercase},
        }
        config["decoding"] = {"beam_size": 1, "max_length": 4}
        (tmp_path / "config.json").write_text(json.dumps(config))
        loaded = Generator.from_run(tmp_path)
        assert (loaded.n_best(["The DOG"]) == loaded.n_best(["the dog"])) == lowercase


def test_a_run_folder_has_all_that_a_generator_needs(tmp_path):
    keras.utils.set_random_seed(6)
    sizes = dict(
        d_model=16, num_heads=2, num_layers=1, ffn_dim=16, vocab_size=9, source_vocab_size=260
    )
    model = Transformer.from_model_config(ModelConfig(tie_embeddings=False, **sizes))
    source, target = ByteTokenizer(), CharacterTokenizer("abcde")
    model.save(tmp_path / "model.keras")
    save_tokenizers(tmp_path / "tokenizer", source, target)
    config = {
        "model": dataclasses.asdict(model.config),
        "decoding": {"beam_size": 3, "max_length": 5},
        "data": {
            "max_source_length": 9,
            "lowercase": False,
            "clean": False,
            "task": "summarization",
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        loaded = Generator.from_run(str(tmp_path), n_best=2, max_length=6)
    finally:
        keras.config.set_dtype_policy(policy)
    assert (loaded.source_tokenizer.kind, loaded.target_tokenizer.kind) == ("byte", "character")
    assert loaded.config == DecodingConfig(beam_size=3, n_best=2, max_length=6)
    assert (loaded.max_source_length, loaded.in_pieces, loaded.merge_spaces) == (9, False, False)
    assert loaded.model.compute_dtype == loaded.model.decoder.layers[0].compute_dtype == "float32"
    for ours, theirs in zip(model.get_weights(), loaded.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_learned_positions_bound_what_is_written():
    keras.utils.set_random_seed(1)
    config = ModelConfig(
        d_model=16,
        num_heads=2,
        num_layers=1,
        ffn_dim=16,
        vocab_size=260,
        positions="learned",
        max_positions=20,
    )
    model, tokenizer = Transformer.from_model_config(config), ByteTokenizer()
    generator = Generator(model, tokenizer, tokenizer, DecodingConfig(beam_size=1), 20)
    assert [generator.longest_output(length) for length in (4, 5, 6, 20)] == [18, 20, 20, 20]
    assert len(generator(["a" * 90])) == 1
    longer = Generator(model, tokenizer, tokenizer, DecodingConfig(beam_size=1, max_length=30), 20)
    assert longer.longest_output(4) == 20
    for positions in ("sinusoidal", "rotary"):
        sizes = dict(d_model=16, num_heads=2, num_layers=1, vocab_size=260)
        config = ModelConfig(**sizes, positions=positions)
        endless = Generator(Transformer(**dataclasses.asdict(config)), tokenizer, tokenizer)
        assert config.max_positions == 512 and endless.longest_output(300) == 610


def test_a_source_that_is_too_long_is_read_in_pieces_or_loses_its_end(monkeypatch):
    tokenizer = CharacterTokenizer("abcdefgh ")
    seen = []
    for in_pieces in (True, False):
        generator = Generator(None, tokenizer, tokenizer, max_source_length=6, in_pieces=in_pieces)
        monkeypatch.setattr(
            generator,
            "_generate",
            lambda sources, *_: (seen.append(sources), [[("x", 0.0)]] * len(sources))[1],
        )
        assert generator(["abc def gh"]) == [" ".join("x" * len(seen[-1]))]
        # 6 of 11 tokens are left.
        cut = (
            ""
            if in_pieces
            else "1 of 2 sources are too long and are truncated to 6 tokens, which drops 45% of "
            "their tokens"
        )
        assert generator.report_cuts(["abc def gh", "abcde"]) == cut
    assert len(seen[0]) > 1 and sum(len(ids) - 1 for ids in seen[0]) >= 8
    assert [tokenizer.decode([ids[:-1]]) for ids in seen[1]] == [["abc d"]] and seen[1][0][
        -1
    ] == tokenizer.eos_id
