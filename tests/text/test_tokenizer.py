"""The tokenizers: the graph gives Python's ids, text comes back as it went in, files are read
and written."""

import functools
import io
import json
import math

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.config import ConfigError, TokenizerConfig
from transformer.text.tokenizer import (
    ByteTokenizer,
    CharacterTokenizer,
    SentencePieceTokenizer,
    load_tokenizer,
    load_tokenizers,
    save_tokenizers,
    train_tokenizer,
)

TEXTS = [
    f"{subject} {verb} {number} red apples."
    for subject in ("We", "They", "You")
    for verb in ("buy", "see", "eat")
    for number in ("two", "three", "twelve")
]
NAUGHTY = [
    "",
    " ",
    "  two  spaces ",
    "Ünïcödé ﬁ Ⅷ",
    "表ポあA鷗",
    "👩‍👩‍👧‍👦 🇩🇪",
    "\u200bzero\u200dwidth",
    "ا ل ع",
    "tab\tnewline\nreturn\r",
    "nul\0two",
    "x" * 3000,
]
KINDS = ["unigram", "bpe", "byte", "character"]


def learn(kind, **options):
    return train_tokenizer(TEXTS, TokenizerConfig(tokenizer=kind, **{"vocab_size": 300, **options}))


def graph_ids(tokenizer, texts):
    return tokenizer.graph().tokenize(texts).to_list()


@functools.cache
def learnt(kind, normalization="identity"):
    """A tokenizer that several examples of a property share."""
    return learn(kind, normalization=normalization)


def foreign(texts=TEXTS, vocab_size=60, **options):
    """The bytes of a SentencePiece model with special ids of its own."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def different(tokenizer, texts):
    return [
        text
        for text, a, b in zip(texts, tokenizer.encode(texts), graph_ids(tokenizer, texts))
        if list(a) != list(b)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_and_the_way_back(kind):
    tokenizer = learn(kind)
    assert [tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id] == [0, 1, 2, 3]
    ids = tokenizer.encode(TEXTS)
    assert tokenizer.decode(ids) == TEXTS
    assert max(map(max, ids)) < tokenizer.vocab_size
    wrapped = [
        [2, *row, 3, 5, 5, 0, 0] for row in ids
    ]  # what stands behind the first end does not count
    assert tokenizer.decode(wrapped) == TEXTS
    assert "".join(tokenizer.pieces("two")).strip("▁") in ("two", "74776f")
    assert tokenizer.decode([]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_texts_may_be_a_tuple_and_ids_arrays(kind):
    tokenizer = learnt(kind)
    texts = ("We buy two", "", "They eat")
    ids = tokenizer.encode(texts)
    assert ids == tokenizer.encode(list(texts)) and tokenizer.decode(ids) == [*texts]
    arrays = [np.array([2, *row, 3, 5], "int32") for row in ids]
    assert tokenizer.decode(arrays) == [*texts]
    if kind in ("unigram", "bpe"):
        assert tokenizer.sample(texts, seed=1) == tokenizer.sample(list(texts), seed=1)


def test_bytes_and_characters_by_hand():
    assert ByteTokenizer().encode(["aé"]) == [[97 + 4, 0xC3 + 4, 0xA9 + 4]]
    assert ByteTokenizer().decode([[0xC3 + 4]]) == ["\ufffd"]
    assert CharacterTokenizer("abc").encode(["cab!"]) == [[6, 4, 5, 1]]
    assert CharacterTokenizer("abc").decode([[6, 1, 4]]) == ["c\ufffda"]


def test_what_ends_a_row_and_what_does_not_count():
    characters = CharacterTokenizer("abc")
    assert characters.decode([[2, 4, 0, 5], [4, 3, 5, 3], [3, 4], [0]]) == ["ab", "a", "", ""]
    # NUL is a byte, an unknown id is none.
    assert ByteTokenizer().decode([[2, 101, 4, 1, 102, 3, 103], [0, 101]]) == ["a\0b", "a"]


def test_pieces_and_vocabularies_by_hand():
    characters, bytewise = CharacterTokenizer("ab"), ByteTokenizer()
    assert characters.pieces("a b") == ["a", " ", "b"] and bytewise.pieces("é\n") == [
        "c3",
        "a9",
        "0a",
    ]
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    assert characters.vocabulary() == [*special, "a", "b"] and characters.vocab_size == 6
    words = bytewise.vocabulary()
    assert words[:5] == [*special, "00"] and (words[4 + 0x41], words[-1]) == ("41", "ff")
    assert len(words) == bytewise.vocab_size == 260
    pieces = learn("bpe").vocabulary()
    assert pieces[:4] == special and pieces[4:7] == ["<0x00>", "<0x01>", "<0x02>"]
    assert len(set(pieces)) == len(pieces) == learn("bpe").vocab_size


def test_half_a_character_is_bytes_too():
    assert ByteTokenizer().encode(["\ud800"]) == [[0xED + 4, 0xA0 + 4, 0x80 + 4]]


ANY = st.text(st.characters(codec="utf-8", exclude_characters="\u2581"), max_size=20)  # no ▁


@settings(max_examples=50)
@given(ANY | st.sampled_from(NAUGHTY))
def test_any_text_comes_back(text):
    for kind in ("unigram", "bpe", "byte"):
        tokenizer = learnt(kind)
        ids = tokenizer.encode([text])
        assert tokenizer.decode(ids) == [text]
        assert all(4 <= number < tokenizer.vocab_size for number in ids[0])
    assert "".join(learnt("character").pieces(text)) == text
    known = set("".join(TEXTS))
    expected = "".join(letter if letter in known else "\ufffd" for letter in text)
    assert learnt("character").decode(learnt("character").encode([text])) == [expected]


@functools.cache
def shared_graph(kind):
    return learnt(kind).graph()


@settings(max_examples=15)
@given(st.lists(ANY, min_size=1, max_size=4))
def test_graph_ids_equal_python_ids_of_any_text(texts):
    for kind in KINDS:
        assert shared_graph(kind).tokenize(texts).to_list() == learnt(kind).encode(texts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_empty_texts_has_no_ids_in_the_graph(kind):
    assert graph_ids(learnt(kind), ["", ""]) == [[], []]


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


def test_normalisation_changes_letters_and_white_space_or_nothing():
    changing, exact = learn("unigram"), learn("unigram", normalization="identity")
    pairs = [("ﬁve", "five"), ("two  red", "two red"), (" two ", "two"), ("two", "two")]
    for written, normal in pairs:
        assert changing.encode([written]) == changing.encode([normal])
        assert (exact.encode([written]) == exact.encode([normal])) == (written == normal)
    assert changing.pieces("two")[0].startswith("▁") and not exact.pieces("two")[0].startswith("▁")


@pytest.mark.parametrize("coverage, own", [(1.0, True), (0.99, False), (0.9995, True)])
def test_rare_characters_are_spelt_in_bytes(coverage, own):
    """One ö in 800 letters is of the rarest hundredth, and not of the rarest two thousandth."""
    texts = ["ab" * 10] * 40 + ["ö"]
    config = TokenizerConfig(vocab_size=300, character_coverage=coverage, normalization="identity")
    pieces = train_tokenizer(texts, config).pieces("ö")
    assert pieces == (["ö"] if own else ["<0xC3>", "<0xB6>"])


@pytest.mark.parametrize("kind, number", [("unigram", 1), ("bpe", 2)])
def test_the_algorithm_is_the_one_that_was_asked_for(kind, number):
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(learn(kind).model)
    assert model.trainer_spec.model_type == number


def test_long_texts_are_learnt_from_too():
    long = train_tokenizer(["ab", "quartz " * 3000], TokenizerConfig(vocab_size=300))
    assert "▁quartz" in long.vocabulary()


class TestTexts:
    """What is learnt from."""

    config = TokenizerConfig(tokenizer="character")

    def test_all_that_an_iterator_gives(self):
        assert train_tokenizer(iter(["cb", "", "ab"]), self.config).characters == "abc"
        # One letter a text: none is left out.
        letters = [chr(0x10000 + number) for number in range(150_000)]
        assert train_tokenizer(letters, self.config).characters == "".join(letters)

    def test_of_more_than_the_most_some_at_random(self, monkeypatch):
        monkeypatch.setattr("transformer.text.tokenizer.MOST_TEXTS", 5)
        letters = "abcdefghijklmnopqrstuvwxyz"
        found = train_tokenizer(letters, self.config).characters
        assert len(found) == 5 and found not in (letters[:5], letters[-5:])
        assert train_tokenizer(letters, self.config).characters == found  # the same each time
        assert train_tokenizer(letters[:5], self.config).characters == letters[:5]

    @pytest.mark.parametrize("kind", KINDS)
    def test_nothing_is_an_error(self, kind):
        for texts in ([], ["", ""]):
            with pytest.raises(ConfigError, match="needs text to train on. Received: no text"):
                train_tokenizer(texts, TokenizerConfig(tokenizer=kind))


class TestSamples:
    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    def test_pieces_are_drawn_by_the_seed(self, kind):
        tokenizer = learnt(kind, "nfkc")
        texts, best = TEXTS * 4, tokenizer.encode(TEXTS * 4)
        drawn = tokenizer.sample(texts, seed=3)
        assert drawn != best and tokenizer.decode(drawn) == texts
        assert drawn == tokenizer.sample(texts, seed=3) != tokenizer.sample(texts, seed=4)
        # A text that stands several times is split in several ways.
        assert len({tuple(row) for row in drawn[:: len(TEXTS)]}) > 1

    def test_a_tenth_of_the_merges_is_left_out(self):
        """Of BPE: a little more pieces than of the best way, far fewer than letters."""
        tokenizer = learnt("bpe", "nfkc")
        best = sum(map(len, tokenizer.encode(TEXTS * 9)))
        drawn = sum(map(len, tokenizer.sample(TEXTS * 9, seed=1)))
        assert 1.02 * best < drawn < 1.6 * best < 0.9 * sum(map(len, TEXTS * 9))

    def test_a_merge_is_left_out_one_time_in_ten(self):
        config = TokenizerConfig(tokenizer="bpe", vocab_size=300, normalization="identity")
        tokenizer = train_tokenizer(["ab"] * 9, config)
        assert tokenizer.pieces("ab") == ["ab"]
        drawn = tokenizer.sample(["ab"] * 10_000, seed=1)
        split = sum(len(ids) == 2 for ids in drawn) / 10_000
        assert split == pytest.approx(0.1, abs=0.01)  # more than three standard deviations

    def test_each_way_to_split_a_text_has_the_tenth_root_of_its_probability(self):
        tokenizer = learnt("unigram", "nfkc")
        text = "You eat twelve red apples. They buy three."
        score = {
            piece: tokenizer.processor.get_score(number)
            for number, piece in enumerate(tokenizer.vocabulary())
            if number >= 4 and not tokenizer.processor.is_byte(number)
        }

        def ways(rest):
            if not rest:
                return [((), 0.0)]
            heads = [rest[:length] for length in range(1, len(rest) + 1) if rest[:length] in score]
            return [
                ((head, *way), score[head] + more)
                for head in heads
                for way, more in ways(rest[len(head) :])
            ]

        marked = "▁" + text.replace(" ", "▁")
        weights = {way: math.exp(0.1 * total) for way, total in ways(marked)}
        rows = tokenizer.sample([text] * 4000, seed=1)
        drawn = [tuple(map(tokenizer.processor.id_to_piece, row)) for row in rows]
        assert set(drawn) == set(weights) and len(weights) > 10  # not the likeliest few alone
        for way, weight in weights.items():
            share = weight / sum(weights.values())
            assert drawn.count(way) / 4000 == pytest.approx(share, abs=0.03)

    @pytest.mark.parametrize("kind", ["byte", "character"])
    def test_there_is_one_way_to_split_bytes_and_characters(self, kind):
        with pytest.raises(
            ConfigError, match=f"Received: a {kind} tokenizer, which splits a text in only one"
        ):
            learn(kind).sample(TEXTS, seed=1)


def test_words_that_are_one_piece_are_known():
    # The first begins a word, the second has no place of its own.
    tokenizer = learn("unigram", user_symbols=("▁apples", "<de>"))
    assert tokenizer.knows("apples") and tokenizer.knows("<de>")
    assert not tokenizer.knows("apple pies") and not tokenizer.knows("qqq")


class TestGivenFiles:
    """Special ids of a SentencePiece model that was not made here."""

    def test_as_t5_has_them(self):
        t5 = SentencePieceTokenizer(foreign(pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
        count = t5.num_pieces
        assert (t5.pad_id, t5.eos_id, t5.unk_id, t5.bos_id, t5.vocab_size) == (
            0,
            1,
            2,
            count,
            count + 1,
        )
        assert len(t5.vocabulary()) == count + 1 and t5.vocabulary()[-1] == f"<id {count}>"
        assert t5.vocabulary()[:3] == ["<pad>", "</s>", "<unk>"]
        (ids,) = t5.encode(["We buy"])
        assert t5.decode([[count, *ids, 1, *ids, 0]]) == ["We buy"]
        # A model may have more embeddings than there are ids (T5's has): none of them is text.
        assert t5.decode([[*ids, count + 5]]) == ["We buy"]
        # Nor where the file has all special ids.
        whole = SentencePieceTokenizer(foreign(pad_id=0, eos_id=1, unk_id=2, bos_id=3))
        (own,) = whole.encode(["We buy"])
        assert whole.decode([[*own, whole.num_pieces]]) == ["We buy"]
        # The last piece is read, what was added behind it is not.
        last = count - 1
        assert t5.decode([[count, last, count]]) == [
            t5.vocabulary()[last].replace("▁", " ").lstrip()
        ]

    def test_what_it_lacks_is_added_in_order(self):
        model = SentencePieceTokenizer(foreign(unk_id=0, pad_id=-1, bos_id=-1, eos_id=-1))
        count = model.num_pieces
        assert (model.unk_id, model.pad_id, model.bos_id, model.eos_id) == (
            0,
            count,
            count + 1,
            count + 2,
        )
        assert model.vocab_size == count + 3 == len(set(model.vocabulary()))
        assert model.vocabulary()[-3:] == [f"<id {count + number}>" for number in range(3)]
        (ids,) = model.encode(["We see"])
        assert model.decode([[count + 1, *ids, count + 2, *ids], [*ids, count]]) == ["We see"] * 2

    def test_what_it_does_not_know_is_unknown(self, tmp_path):
        (tmp_path / "own.model").write_bytes(foreign(unk_id=0, bos_id=1, eos_id=2))
        tokenizer = load_tokenizer(tmp_path / "own.model")
        assert tokenizer.encode(["猫"])[0][-1] == tokenizer.unk_id == 0 and not tokenizer.knows(
            "猫"
        )


def test_user_symbols_are_one_piece():
    assert "<de>" in learn("bpe", user_symbols=("<de>", "<zh>")).pieces(
        "<de> We buy two red apples."
    )


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
        assert sorted(path.name for path in (tmp_path / kind).iterdir()) == [
            "joint.model",
            "tokenizer.json",
        ]
    (tmp_path / "own.model").write_bytes(source.to_bytes())
    assert load_tokenizer(tmp_path / "own.model").encode(TEXTS) == source.encode(TEXTS)


def test_a_folder_is_made_and_written_over(tmp_path):
    for letters in ("ab", "é猫"):
        tokenizer = CharacterTokenizer(letters)
        save_tokenizers(tmp_path / "new" / "folder", tokenizer, CharacterTokenizer("x"))
        source, target = load_tokenizers(tmp_path / "new" / "folder")
        assert (source.characters, target.characters) == (letters, "x")


def test_more_pieces_than_the_data_can_fill_are_not_an_error():
    assert isinstance(learn("unigram", vocab_size=5000), SentencePieceTokenizer)
    assert 260 < learn("unigram", vocab_size=5000).vocab_size < 5000
    assert learn("bpe", vocab_size=5000).vocab_size < 5000


def test_errors_name_rule_value_and_cure(tmp_path):
    with pytest.raises(ConfigError, match="vocab_size must have room for every.*Received: 100"):
        learn("bpe", vocab_size=100)
    with pytest.raises(ConfigError, match="user_symbols must be non-empty, unique"):
        TokenizerConfig(user_symbols=("<de>", "<de>"))
    with pytest.raises(ConfigError, match="target_tokenizer needs source_tokenizer"):
        TokenizerConfig(target_tokenizer="a.model")
    with pytest.raises(ConfigError, match="needs text to train on"):
        train_tokenizer(["", ""], TokenizerConfig())
    with pytest.raises(ConfigError, match="must be readable.*no.model"):
        load_tokenizer(tmp_path / "no.model")
    (tmp_path / "bad.model").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="must be a SentencePiece model"):
        load_tokenizer(tmp_path / "bad.model")
    with pytest.raises(ConfigError, match="must contain tokenizer.json"):
        load_tokenizers(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="must be readable.*Is a directory"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigError, match="must contain tokenizer.json"):
        load_tokenizers(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"joint": "byte"}')
    with pytest.raises(
        ConfigError,
        match="must contain tokenizer.json and the .model files that it names. "
        "Received: .*joint.model",
    ):
        load_tokenizers(tmp_path)
