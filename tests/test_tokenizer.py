"""The tokenizers: the graph gives Python's ids, text comes back as it went in, files are read and written."""

import json

import pytest
import sentencepiece

from transformer.config import ConfigError, TokenizerConfig
from transformer.tokenizer import (
    ByteTokenizer, CharacterTokenizer, SentencePieceTokenizer, load_tokenizer, load_tokenizers, save_tokenizers, train_tokenizer,
)  # fmt: skip

TEXTS = [f"{subject} {verb} {number} red apples." for subject in ("We", "They", "You") for verb in ("buy", "see", "eat")
         for number in ("two", "three", "twelve")]  # fmt: skip
NAUGHTY = ["", " ", "  two  spaces ", "Ünïcödé ﬁ Ⅷ", "表ポあA鷗", "👩‍👩‍👧‍👦 🇩🇪", "\u200bzero\u200dwidth", "ا ل ع", "tab\tnewline\nreturn\r", "nul\0two", "x" * 3000]
KINDS = ["unigram", "bpe", "byte", "character"]


def learn(kind, **options):
    return train_tokenizer(TEXTS, TokenizerConfig(tokenizer=kind, **{"vocab_size": 300, **options}))


def graph_ids(tokenizer, texts):
    return tokenizer.graph().tokenize(texts).to_list()


def different(tokenizer, texts):
    return [text for text, a, b in zip(texts, tokenizer.encode(texts), graph_ids(tokenizer, texts)) if list(a) != list(b)]


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_and_the_way_back(kind):
    tokenizer = learn(kind)
    assert [tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id] == [0, 1, 2, 3]
    ids = tokenizer.encode(TEXTS)
    assert tokenizer.decode(ids) == TEXTS
    assert max(map(max, ids)) < tokenizer.vocab_size
    wrapped = [[2, *row, 3, 5, 5, 0, 0] for row in ids]  # what stands behind the first end does not count
    assert tokenizer.decode(wrapped) == TEXTS
    assert "".join(tokenizer.pieces("two")).strip("▁") in ("two", "74776f")
    assert tokenizer.decode([]) == []


def test_bytes_and_characters_by_hand():
    assert ByteTokenizer().encode(["aé"]) == [[97 + 4, 0xC3 + 4, 0xA9 + 4]]
    assert ByteTokenizer().decode([[0xC3 + 4]]) == ["\ufffd"]
    assert CharacterTokenizer("abc").encode(["cab!"]) == [[6, 4, 5, 1]]
    assert CharacterTokenizer("abc").decode([[6, 1, 4]]) == ["c\ufffda"]


@pytest.mark.parametrize("kind", KINDS)
def test_graph_ids_equal_python_ids(kind):
    tokenizer = learn(kind)
    assert not different(tokenizer, TEXTS + NAUGHTY)
    ids = tokenizer.encode(TEXTS)
    import tensorflow as tf

    back = tokenizer.graph().detokenize(tf.ragged.constant(ids, dtype=tf.int32))
    assert [text.decode() for text in back.numpy()] == TEXTS


@pytest.mark.parametrize("normalization", ["nfkc", "identity"])
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_nothing_is_unknown(kind, normalization):
    tokenizer = learn(kind, normalization=normalization)
    for text, ids in zip(NAUGHTY, tokenizer.encode(NAUGHTY)):
        assert tokenizer.unk_id not in ids
        if normalization == "identity":
            assert tokenizer.decode([ids]) == [text]


def test_user_symbols_are_one_piece():
    assert "<de>" in learn("bpe", user_symbols=("<de>", "<zh>")).pieces("<de> We buy two red apples.")


def test_a_given_file_keeps_its_own_special_ids(shared):
    t5 = load_tokenizer(shared / "vocabs" / "t5_tokenizer_base.model")
    assert (t5.pad_id, t5.eos_id, t5.unk_id, t5.bos_id) == (0, 1, 2, 32000)
    assert t5.vocab_size == 32001
    text = "translate English to German: That is good."
    assert t5.encode([text]) == [[13959, 1566, 12, 2968, 10, 466, 19, 207, 5]]
    assert t5.decode([[*t5.encode([text])[0], 1, 0]]) == [text]
    marian = load_tokenizer(shared / "vocabs" / "opusmt_en_pt_source.spm")
    assert marian.decode(marian.encode(["A small test."])) == ["A small test."]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_graph_ids_equal_python_ids_on_naughty_strings_and_on_ten_thousand_real_lines(kind, shared):
    lines = []
    for name in ("train.en", "train.de"):
        with open(shared / "multi30k" / name, encoding="utf-8") as file:
            lines += [line.rstrip("\n") for _, line in zip(range(5000), file)]
    naughty = json.loads((shared / "naughty_strings" / "blns.json").read_text(encoding="utf-8"))
    tokenizer = train_tokenizer(lines, TokenizerConfig(tokenizer=kind, vocab_size=2000))
    assert len(lines) == 10_000 and len(naughty) > 500
    assert not different(tokenizer, lines)
    assert not different(tokenizer, naughty)
    reference = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    assert tokenizer.encode(lines) == [reference.encode(line) for line in lines]


def test_pairs_are_saved_and_loaded(tmp_path):
    source, target = learn("unigram"), learn("character")
    save_tokenizers(tmp_path / "two", source, target)
    loaded = load_tokenizers(tmp_path / "two")
    assert [one.encode(TEXTS) for one in loaded] == [source.encode(TEXTS), target.encode(TEXTS)]
    for kind in ("byte", "bpe"):
        joint = learn(kind)
        save_tokenizers(tmp_path / kind, joint, joint)
        first, second = load_tokenizers(tmp_path / kind)
        assert first is second and first.encode(TEXTS) == joint.encode(TEXTS)
    (tmp_path / "own.model").write_bytes(source.to_bytes())
    assert load_tokenizer(tmp_path / "own.model").encode(TEXTS) == source.encode(TEXTS)


def test_more_pieces_than_the_data_can_fill_are_not_an_error():
    assert isinstance(learn("unigram", vocab_size=5000), SentencePieceTokenizer)
    assert 260 < learn("unigram", vocab_size=5000).vocab_size < 5000
    assert learn("bpe", vocab_size=5000).vocab_size < 5000


def test_errors_name_rule_value_and_cure(tmp_path):
    with pytest.raises(ConfigError, match="vocab_size must hold every character.*Received: 100"):
        learn("bpe", vocab_size=100)
    with pytest.raises(ConfigError, match="user_symbols must differ"):
        TokenizerConfig(user_symbols=("<de>", "<de>"))
    with pytest.raises(ConfigError, match="target_tokenizer needs source_tokenizer"):
        TokenizerConfig(target_tokenizer="a.model")
    with pytest.raises(ConfigError, match="needs text to learn from"):
        train_tokenizer(["", ""], TokenizerConfig())
    with pytest.raises(ConfigError, match="must be readable.*no.model"):
        load_tokenizer(tmp_path / "no.model")
    (tmp_path / "bad.model").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="must be a SentencePiece model"):
        load_tokenizer(tmp_path / "bad.model")
    with pytest.raises(ConfigError, match="must hold tokenizer.json"):
        load_tokenizers(tmp_path / "nowhere")
