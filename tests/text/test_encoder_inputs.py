"""Inputs of encoders: token for token those of Hugging Face, and offsets that point at the very
characters."""

import io
import json
import unicodedata

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.config import ConfigError, TokenizerConfig
from transformer.pretrained.tokenizers import from_hugging_face, word_piece
from transformer.text.encoder_inputs import (
    Encoded,
    Frame,
    HuggingFaceInputs,
    RunInputs,
    Window,
    from_run,
    load_text_inputs,
    longest_first,
    read_tokenizer,
)
from transformer.text.tokenizer import (
    ByteTokenizer,
    CharacterTokenizer,
    SentencePieceTokenizer,
    load_tokenizer,
    train_tokenizer,
)

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "cat",
    "##s",
    "sat",
    "a",
    "b",
    "c",
    "d",
    "e",
    "猫",
    "坐",
]


def words_inputs(folder, **options):
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    return from_hugging_face(folder)


class TestLiteral:
    """Worked out by hand, over a vocabulary of 16 words."""

    def test_a_text(self, tmp_path):
        inputs = words_inputs(tmp_path)
        assert (inputs.pad_id, inputs.vocab_size, inputs.max_length) == (0, 16, None)
        assert inputs.encode(["The cats sat", ""]) == [
            Encoded([2, 5, 6, 7, 8, 3], [0] * 6, 6),
            Encoded([2, 3], [0, 0], 2),
        ]

    def test_the_end_of_a_long_text_is_cut(self, tmp_path):
        assert words_inputs(tmp_path).encode(["the cats sat"], max_length=5) == [
            Encoded([2, 5, 6, 7, 3], [0] * 5, 6)
        ]

    def test_a_pair(self, tmp_path):
        inputs = words_inputs(tmp_path)
        assert inputs.encode(["the cat"], ["a b"]) == [
            Encoded([2, 5, 6, 3, 9, 10, 3], [0, 0, 0, 0, 1, 1, 1], 7)
        ]
        # 9 - 3 = 6 places: of 6 and 2 tokens 4 and 2 stay, of 4 and 5 three and three.
        found = inputs.encode(["a b c d e a", "a b c d"], ["the cat", "a b c d e"], max_length=9)
        assert [row.ids for row in found] == [
            [2, 9, 10, 11, 12, 3, 5, 6, 3],
            [2, 9, 10, 11, 3, 9, 10, 11, 3],
        ]
        assert all(row.length > len(row.ids) for row in found)

    def test_texts_apart_stand_in_halves_of_one_length(self, tmp_path):
        inputs = words_inputs(tmp_path)
        assert inputs.encode_apart(["the cat", "a"], ["b", "a b c d"], max_length=5) == [
            Encoded([2, 5, 6, 3, 2, 10, 3, 0], [0] * 8, 4),
            Encoded([2, 9, 3, 0, 0, 2, 9, 10, 11, 3], [0] * 10, 6),
        ]

    def test_no_second_type(self, tmp_path):
        words_inputs(tmp_path)
        assert from_hugging_face(tmp_path, two_types=False).encode(["a"], ["b"])[0].types == [0] * 5

    def test_case_and_chinese(self, tmp_path):
        assert words_inputs(tmp_path, do_lower_case=False).encode(["The 猫坐"])[0].ids == [
            2,
            1,
            14,
            15,
            3,
        ]

    def test_windows(self, tmp_path):
        """Windows of 3 tokens of the context, one of them shared: "a b c", "c d e"."""
        found = words_inputs(tmp_path).windows(
            ["the", "cat"], ["a b  c d e", "sat"], max_length=7, stride=1
        )
        assert found == [
            Window(
                0,
                [2, 5, 3, 9, 10, 11, 3],
                [0, 0, 0, 1, 1, 1, 1],
                [None, None, None, (0, 1), (2, 3), (5, 6), None],
            ),
            Window(
                0,
                [2, 5, 3, 11, 12, 13, 3],
                [0, 0, 0, 1, 1, 1, 1],
                [None, None, None, (5, 6), (7, 8), (9, 10), None],
            ),
            Window(1, [2, 6, 3, 8, 3], [0, 0, 0, 1, 1], [None, None, None, (0, 3), None]),
        ]

    def test_an_empty_context_is_a_window(self, tmp_path):
        assert words_inputs(tmp_path).windows(["the"], [""]) == [
            Window(0, [2, 5, 3, 3], [0, 0, 0, 1], [None] * 4)
        ]

    @pytest.mark.parametrize("count, windows", [(1, 1), (4, 1), (5, 2), (6, 2), (7, 3), (8, 3)])
    def test_no_window_more_than_needed(self, tmp_path, count, windows):
        """4 tokens of context a window, 2 shared: 2 n + 2 tokens fill n windows."""
        found = words_inputs(tmp_path).windows(["the"], ["a " * count], max_length=8, stride=2)
        assert len(found) == windows and found[-1].offsets[-2] == (2 * count - 2, 2 * count - 1)

    def test_a_window_moves_by_what_the_stride_leaves(self, tmp_path):
        """Of 6 places 3 are kept for the context: two shared tokens, and a new one."""
        found = words_inputs(tmp_path).windows(["a b c d"], ["a b c d e"], max_length=9, stride=2)
        assert [window.ids for window in found] == [
            [2, 9, 10, 11, 3, 9, 10, 11, 3],
            [2, 9, 10, 11, 3, 10, 11, 12, 3],
            [2, 9, 10, 11, 3, 11, 12, 13, 3],
        ]
        most = words_inputs(tmp_path).windows(["a b"], ["a b c d e a"], max_length=9, stride=4)
        assert [window.ids[:3] for window in most] == [[2, 9, 3]] * 2  # one token of the question
        assert [window.ids[3:-1] for window in most] == [[9, 10, 11, 12, 13], [10, 11, 12, 13, 9]]

    def test_half_a_character_is_unknown(self, tmp_path):
        window = words_inputs(tmp_path).windows(["a"], ["a \ud800 b"])[0]
        assert window.offsets[-2] == (4, 5)
        inputs = from_run(CharacterTokenizer("a\ufffd"))
        assert inputs.encode(["a\ud800a\udbff\udc00\udfff"])[0].ids == [4, 5, 4, 5, 5, 5, 3]

    @pytest.mark.parametrize(
        "lengths, room, kept",
        [
            ((3, 4), 9, (3, 4)),
            ((3, 9), 9, (3, 6)),
            ((9, 3), 9, (6, 3)),
            ((9, 9), 9, (4, 5)),
            ((10, 9), 9, (5, 4)),
            ((0, 9), 5, (0, 5)),
            ((2, 50), 3, (1, 2)),
        ],
    )
    def test_longest_first(self, lengths, room, kept):
        assert longest_first(*lengths, room) == kept


class TestRun:
    """Inputs of a run's own tokenizers."""

    def test_characters(self):
        inputs = from_run(CharacterTokenizer("abc "), max_length=9)
        assert (inputs.pad_id, inputs.vocab_size, inputs.max_length) == (0, 8, 9)
        assert inputs.encode([" ab ", ""], max_length=9) == [
            Encoded([4, 5, 3], [0] * 3, 3),
            Encoded([3], [0], 1),
        ]
        assert inputs.encode(["ab"], ["c"], max_length=9) == [Encoded([4, 5, 3, 6, 3], [0] * 5, 5)]
        assert inputs.windows(["a"], [" b\U0001f389c "], max_length=9)[0].offsets == [
            None,
            None,
            (1, 2),
            (2, 3),
            (3, 4),
            None,
        ]

    def test_bytes(self):
        window = from_run(ByteTokenizer()).windows(["a"], ["é🎉b"])[0]
        assert window.ids == [101, 3, 199, 173, 244, 163, 146, 141, 102, 3]
        assert window.offsets == [None, None, (0, 1), (0, 1), *[(1, 2)] * 4, (2, 3), None]

    def test_lower_case_that_is_longer(self):
        """ "İ".lower() is two characters; final sigma is another letter, but one."""
        inputs = from_run(CharacterTokenizer("abciσς\u0307 "), lowercase=True)
        text = "aİB ΣAΣ C"
        window = inputs.windows(["a"], [text])[0]
        assert [text[start:end] for start, end in window.offsets[2:-1]] == [
            "a",
            "İ",
            "İ",
            "B",
            "",
            "Σ",
            "A",
            "Σ",
            "",
            "C",
        ]
        assert window.ids[2:-1] == inputs.tokenizer.encode([text.lower()])[0]

    @pytest.mark.parametrize("normalization", ["nfkc", "identity"])
    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    def test_sentencepiece_offsets(self, normalization, kind):
        config = TokenizerConfig(tokenizer=kind, vocab_size=330, normalization=normalization)
        tokenizer = train_tokenizer(
            ["Hello world ABC 123 hello", "fi b c", "日本語 text"] * 5, config
        )
        inputs = from_run(tokenizer)
        texts = [
            "ＡＢＣ  hello 🎉 ﬁ x",
            " 🎉🎉Hello\tworld ",
            "①é½ e\u0301 ㌔日本語",
            "日本語のtext、𠀋",
        ]
        for window, text in zip(inputs.windows(["Hello"] * 4, texts), texts):
            spans = [offset for offset in window.offsets if offset is not None]
            assert window.ids == [
                *tokenizer.encode(["Hello"])[0],
                3,
                *tokenizer.encode([text.strip()])[0],
                3,
            ]
            covered = {place for start, end in spans for place in range(start, end)}
            assert covered >= {
                place for place, character in enumerate(text) if not character.isspace()
            }
            assert spans == sorted(spans)
            for piece, (start, end) in zip(tokenizer.pieces(text.strip()), spans):
                found = (
                    text[start:end]
                    if normalization == "identity"
                    else unicodedata.normalize("NFKC", text[start:end])
                )
                if piece.startswith("<0x"):
                    assert not found or int(piece[1:-1], 16) in found.encode()
                else:
                    assert piece.replace("▁", "").replace("\t", "") in found

    def test_places_by_hand(self):
        """White space has no extent, wherever it stands; bytes have all that of their letter."""
        characters = from_run(CharacterTokenizer("ab \t"))
        offsets = characters.windows(["a"], [" a  b\ta "])[0].offsets
        assert offsets == [None, None, (1, 2), (3, 3), (4, 4), (4, 5), (6, 6), (6, 7), None]
        # A piece is "ab▁".
        suffixes = from_run(
            special_model(treat_whitespace_as_suffix=True, remove_extra_whitespaces=False)
        )
        text = "ab\t\tab"
        offsets = suffixes.windows(["ab"], [text])[0].offsets
        assert [text[slice(*offset)] for offset in offsets if offset] == ["ab", "", "ab"]
        bytewise = from_run(
            train_tokenizer(["aa a"], TokenizerConfig(vocab_size=263, normalization="identity"))
        )
        assert bytewise.windows(["a"], ["a🎉"])[0].offsets[-6:] == [(0, 1), *[(1, 2)] * 4, None]

    def test_real_texts(self, shared):
        """T5's vocabulary: ids are those of the stripped text, and a piece is the normal form of
        its characters, or within."""
        tokenizer = load_tokenizer(shared / "vocabs" / "t5_tokenizer_base.model")
        inputs = from_run(tokenizer, lowercase=True)
        naughty = json.loads((shared / "naughty_strings" / "blns.json").read_text(encoding="utf-8"))
        texts = (
            naughty
            + [context for _, context, _ in questions_of(shared / "xquad" / "en.json")][:100]
        )
        for text, window in zip(
            texts, inputs.windows(["the"] * len(texts), texts, max_length=10_000)
        ):
            ids = tokenizer.encode([text.strip().lower()])[0]
            assert window.ids[2:-1] == ids
            spans = window.offsets[2:-1]
            assert spans == sorted(spans) and all(
                0 <= start <= end <= len(text) for start, end in spans
            )
            for number, (start, end) in zip(ids, spans):
                piece = tokenizer.processor.id_to_piece(number).replace("▁", "")
                normal = unicodedata.normalize("NFKC", text[start:end].lower())
                if number != tokenizer.unk_id and end > start and window.example >= len(naughty):
                    # 6½ is "61", "⁄", "2": where a piece ends within a character, only the next one
                    # is said to hold it.
                    assert piece in normal or "½" in text[end : end + 1] and piece[:-1] in normal

    def test_saved_and_loaded(self, tmp_path):
        inputs = from_run(CharacterTokenizer("abci\u0307 "), 12, lowercase=True)
        inputs.save(tmp_path / "new" / "folder")
        loaded = load_text_inputs(tmp_path / "new" / "folder")
        assert vars(loaded).keys() == vars(inputs).keys() and (loaded.frame, loaded.max_length) == (
            inputs.frame,
            12,
        )
        assert loaded.windows(["A"], ["bİC"], max_length=12) == inputs.windows(
            ["A"], ["bİC"], max_length=12
        )


class TestFrames:
    """What stands around texts, each part of another length."""

    def inputs(self, **options):
        frame = Frame((1,), (2, 2), (3, 3, 3), True)
        return RunInputs(CharacterTokenizer("abc"), frame, pad_id=9, vocab_size=20, **options)

    def test_texts_and_pairs(self):
        inputs = self.inputs()
        assert (inputs.frame.specials(pair=False), inputs.frame.specials(pair=True)) == (4, 6)
        assert inputs.encode(["ab", ""]) == [
            Encoded([1, 4, 5, 3, 3, 3], [0] * 6, 6),
            Encoded([1, 3, 3, 3], [0] * 4, 4),
        ]
        assert inputs.encode(["ab", "a"], ["c", ""]) == [
            Encoded([1, 4, 5, 2, 2, 6, 3, 3, 3], [0] * 5 + [1] * 4, 9),
            Encoded([1, 4, 2, 2, 3, 3, 3], [0] * 4 + [1] * 3, 7),
        ]
        assert inputs.encode(["abc"], ["abc"], max_length=9) == [
            Encoded([1, 4, 2, 2, 4, 5, 3, 3, 3], [0] * 4 + [1] * 5, 12)
        ]

    def test_the_least_length_holds_a_token_of_each(self):
        inputs = self.inputs()
        assert inputs.encode(["abc"], max_length=5)[0].ids == [1, 4, 3, 3, 3]
        assert inputs.encode(["abc"], ["b"], max_length=8)[0].ids == [1, 4, 2, 2, 5, 3, 3, 3]
        assert inputs.windows(["a"], ["b"], max_length=8, stride=0)[0].ids == [
            1,
            4,
            2,
            2,
            5,
            3,
            3,
            3,
        ]

    def test_apart(self):
        found = self.inputs().encode_apart(["ab", "abc"], ["c", "abcabc"], max_length=6)
        assert found == [
            Encoded([1, 4, 5, 3, 3, 3, 1, 6, 3, 3, 3, 9], [0] * 12, 6),
            Encoded([1, 4, 5, 3, 3, 3, 1, 4, 5, 3, 3, 3], [0] * 12, 10),
        ]

    def test_windows(self):
        (window,) = self.inputs().windows(["a"], ["bc"], max_length=20, stride=1)
        assert window.ids == [1, 4, 2, 2, 5, 6, 3, 3, 3]
        assert window.offsets == [None, None, None, None, (0, 1), (1, 2), None, None, None]

    def test_other_ids_than_the_tokenizer_s(self, tmp_path):
        """XLM-R's are SentencePiece's with a shift, but for the unknown one."""
        inputs = self.inputs(shift=10, unk_id=0, max_length=12)
        assert inputs.encode(["aXc"], max_length=12)[0].ids == [1, 14, 0, 16, 3, 3, 3]
        assert self.inputs().encode(["aX"])[0].ids == [1, 4, 1, 3, 3, 3]
        other = self.inputs(
            shift=-2, unk_id=2
        )  # an id that is the unknown one's after the shift alone
        assert other.encode(["aX"])[0].ids == [1, 2, 2, 3, 3, 3]
        inputs.save(tmp_path)
        inputs.save(tmp_path)  # a second time over the first
        loaded = load_text_inputs(tmp_path)
        assert (loaded.pad_id, loaded.vocab_size, loaded.max_length) == (9, 20, 12)
        assert loaded.encode(["aXc"], max_length=12)[0].ids == [1, 14, 0, 16, 3, 3, 3]
        assert loaded.encode_apart(["a"], ["aa"], max_length=12) == inputs.encode_apart(
            ["a"], ["aa"], 12
        )

    def test_a_run_s_own_special_ids(self):
        """pad 2, unk 0, eos 1, as a given SentencePiece model may have them."""
        inputs = from_run(special_model(pad_id=2, unk_id=0, eos_id=1, bos_id=-1))
        assert inputs.pad_id == 2
        (found,) = inputs.encode(["ab"], ["ab"])
        middle = inputs.tokenizer.encode(["ab"])[0]
        assert found.ids == [*middle, 1, *middle, 1] and inputs.unk_id == 0


def special_model(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab cd ab", "cd ab"] * 9),
        model_writer=model,
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
        byte_fallback=True,
        **options,
    )
    return SentencePieceTokenizer(model.getvalue())


class TestHuggingFace:
    def test_what_a_tokenizer_file_asks_for_is_switched_off(self):
        tokenizer = word_piece(WORDS)
        tokenizer.enable_truncation(3)
        tokenizer.enable_padding(length=9)
        assert HuggingFaceInputs(tokenizer, 0).encode(["a b c d"])[0] == Encoded(
            [2, 9, 10, 11, 12, 3], [0] * 6, 6
        )

    def test_a_given_frame_and_options_are_kept(self, tmp_path):
        frame = Frame((4,), (3,), (4,), False)
        inputs = HuggingFaceInputs(word_piece(WORDS), 5, 9, frame)
        assert inputs.encode(["a"], ["b"], max_length=9)[0] == Encoded([4, 9, 3, 10, 4], [0] * 5, 5)
        inputs.save(tmp_path)
        loaded = load_text_inputs(tmp_path)
        assert (loaded.frame, loaded.pad_id, loaded.max_length, loaded.vocab_size) == (
            frame,
            5,
            9,
            16,
        )
        assert loaded.encode(["the cats"], ["b"], max_length=9)[0].ids == [4, 5, 6, 7, 3, 10, 4]

    def test_added_tokens_count(self):
        tokenizer = word_piece(WORDS)
        tokenizer.add_tokens(["extra"])
        inputs = HuggingFaceInputs(tokenizer, 0)
        assert inputs.vocab_size == 17 and inputs.encode(["a extra"])[0].ids == [2, 9, 16, 3]

    @pytest.mark.parametrize("known", ["a", "the", "1", "的"])
    def test_a_frame_is_read_off_any_letter_that_is_known(self, known):
        inputs = HuggingFaceInputs(
            letters(known, "[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] $B:1 [SEP]:1"), 0
        )
        assert inputs.frame == Frame((0,), (1, 1), (1,), True)

    def test_a_frame_is_read_off_a_letter_of_several_tokens(self):
        """Each letter of "the" is a token here."""
        tokenizer = letters("t", "[CLS] $A [SEP] [SEP]", "[CLS] $A [SEP] $B [SEP] [SEP]", *"he")
        assert HuggingFaceInputs(tokenizer, 0).frame == Frame((0,), (1,), (1, 1), False)

    def test_a_tokenizer_that_knows_none_of_them_is_refused(self):
        with pytest.raises(ConfigError, match="makes no tokens of any of them"):
            HuggingFaceInputs(letters("q", "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]"), 0)

    @pytest.mark.parametrize("single", ["$A [SEP]", "[CLS] $A", "[SEP] $A [SEP]", "[CLS] $A [CLS]"])
    def test_one_text_must_be_framed_as_two(self, single):
        tokenizer = letters("a", single, "[CLS] $A [SEP] $B [SEP]")
        with pytest.raises(ConfigError, match="a single text and a pair with the same special"):
            HuggingFaceInputs(tokenizer, 0)

    def test_a_file_that_is_no_tokenizer(self, tmp_path):
        (tmp_path / "tokenizer.json").write_text("no JSON")
        with pytest.raises(
            ConfigError,
            match="must be a file of Hugging Face's tokenizers library. Received: .*tokenizer.json",
        ):
            read_tokenizer(tmp_path / "tokenizer.json")


def letters(known, single, pair, *more):
    """A tokenizer that knows a word or its letters and nothing else, framed by templates."""
    from tokenizers import Tokenizer, models, processors

    pieces = {"[CLS]": 0, "[SEP]": 1}
    for piece in (*known, *more):
        pieces.setdefault(piece, len(pieces))
    tokenizer = Tokenizer(models.BPE(pieces, []))
    tokenizer.post_processor = processors.TemplateProcessing(
        single, pair, [("[CLS]", 0), ("[SEP]", 1)]
    )
    return tokenizer


def one_by_one(text, lowercase=False, size=lambda letter: 1):
    """(start, end) of each of the `size` tokens of every letter; white space has no extent."""
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    spans = []
    for place in range(first, last):
        letter = text[place]
        start = place + 1 if letter.isspace() else place
        spans += [(start, place + 1)] * sum(map(size, letter.lower() if lowercase else letter))
    return spans


HARD = st.text(alphabet="aB \t\u3000İΣßé\u0301🎉日ﬁ\ud800\udfff", max_size=12)


class TestProperties:
    @settings(max_examples=100)
    @given(HARD, st.booleans())
    def test_letters_and_bytes_stand_where_they_stand(self, text, lowercase):
        def places(tokenizer):
            (window,) = from_run(tokenizer, lowercase=lowercase).windows(["a"], [text], stride=0)
            return window.offsets[2:-1]

        def utf8(letter):
            # Half a pair of surrogates is read as U+FFFD.
            return 3 if "\ud800" <= letter <= "\udfff" else len(letter.encode())

        assert places(CharacterTokenizer("ab")) == one_by_one(text, lowercase)
        assert places(ByteTokenizer()) == one_by_one(text, lowercase, utf8)

    @settings(max_examples=100)
    @given(st.text(alphabet="ab cdé\u0301🎉日ﬁ½\t", max_size=12))
    def test_sentencepieces_cover_all_letters_in_order(self, text):
        spans = from_run(special_model()).windows(["ab"], [text])[0].offsets
        spans = [span for span in spans if span]
        covered = {place for start, end in spans for place in range(start, end)}
        assert covered == {place for place, letter in enumerate(text) if not letter.isspace()}
        assert spans == sorted(spans)

    @settings(max_examples=100)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["The", "CATS", "sat", "猫", "zz"]),
                st.sampled_from([" ", " \t", "\n"]),
            )
        )
    )
    def test_words_stand_where_they_stand(self, words):
        text = "".join(word + space for word, space in words)
        expected, place = [], 0
        for word, space in words:
            parts = [3, 1] if word == "CATS" else [len(word)]
            for size in parts:
                expected.append((place, place + size))
                place += size
            place += len(space)
        (window,) = HuggingFaceInputs(word_piece(WORDS), 0).windows(["a"], [text])
        assert window.offsets == [None, None, None, *expected, None]

    @settings(max_examples=200)
    @given(st.integers(0, 14), st.integers(0, 14), st.integers(5, 20))
    def test_pairs_are_cut_as_the_tokenizers_library_cuts_them(self, first, second, length):
        theirs = word_piece(WORDS)
        theirs.enable_truncation(length, strategy="longest_first")
        expected = theirs.encode("a " * first, "b " * second).ids
        (found,) = HuggingFaceInputs(word_piece(WORDS), 0).encode(
            ["a " * first], ["b " * second], length
        )
        assert found.ids == expected and found.length == first + second + 3

    @settings(max_examples=200)
    @given(st.integers(0, 30), st.integers(1, 4), st.integers(0, 5), st.integers(1, 9))
    def test_windows_cover_a_context_and_share_the_stride(self, size, question, stride, new):
        length = 2 + question + stride + new
        context = ("abcdefghij" * 3)[:size]
        inputs = from_run(CharacterTokenizer("abcdefghij"))
        found = inputs.windows(["a" * question], [context], length, stride)
        parts = [[offset[0] for offset in window.offsets if offset] for window in found]
        assert all(
            len(window.ids) == len(window.types) == len(window.offsets) <= length
            for window in found
        )
        assert all(part == list(range(part[0], part[0] + len(part))) for part in parts if part)
        assert sorted(set().union(*parts)) == list(range(size))
        for one, other in zip(parts, parts[1:]):
            assert len(one) == stride + new and len(set(one) & set(other)) == stride
        for window, part in zip(found, parts):
            assert window.ids == [*[4] * question, 3, *(4 + place % 10 for place in part), 3]


def questions_of(path):
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    for article in data:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield (
                    question["question"],
                    paragraph["context"],
                    [(x["text"], x["answer_start"]) for x in question["answers"]],
                )


@pytest.mark.parametrize(
    "file, vocabulary, exact",
    [
        ("xquad/en.json", "bert-base-uncased-vocab.txt", 1.0),
        ("cmrc2018/trial.json", "bert_chinese_vocab.txt", 0.95),
        ("xquad/zh.json", "bert_chinese_vocab.txt", 0.95),
    ],
)
class TestRealWindows:
    def test_answers_are_found_by_their_offsets(self, shared, tmp_path, file, vocabulary, exact):
        (tmp_path / "vocab.txt").write_bytes((shared / "vocabs" / vocabulary).read_bytes())
        inputs = from_hugging_face(tmp_path)
        questions, contexts, answers = zip(*list(questions_of(shared / file))[::4])
        windows = inputs.windows(questions, contexts, max_length=256, stride=64)
        assert {window.example for window in windows} == set(range(len(questions))) and len(
            windows
        ) > len(questions)
        seen, equal, total = {}, 0, 0
        names = {number: word for word, number in inputs.tokenizer.get_vocab().items()}
        normal = inputs.tokenizer.normalizer.normalize_str
        for window in windows:
            assert len(window.ids) == len(window.types) == len(window.offsets) <= 256
            context = contexts[window.example]
            for number, offset in zip(window.ids, window.offsets):
                if offset is not None and number != inputs.tokenizer.token_to_id("[UNK]"):
                    assert normal(context[slice(*offset)]).strip() == names[number].removeprefix(
                        "##"
                    )
            seen.setdefault(window.example, []).append(
                [offset for offset in window.offsets if offset]
            )
        for example, texts in enumerate(answers):
            for text, start in texts:
                if contexts[example][start : start + len(text)] != text or len(text) > 64:
                    # The data set has the wrong place, or the answer is longer than what windows
                    # share
                    continue
                found = [
                    spans_text(contexts[example], spans, start, start + len(text))
                    for spans in seen[example]
                ]
                found = [span for span in found if span is not None]
                assert found and all(text.strip() in span for span in found), (text, start)
                equal, total = equal + (text.strip() in found), total + 1
        assert equal >= exact * total > 100


def spans_text(context, spans, start, end):
    """The text from the token that holds character `start` to the one that holds `end - 1`, or
    None."""
    first = [a for a, b in spans if a <= start < b]
    last = [b for a, b in spans if a < end <= b]
    return context[first[0] : last[-1]] if first and last else None


class TestRefusals:
    def test_lengths(self, tmp_path):
        words_inputs(tmp_path)
        inputs = from_hugging_face(tmp_path, max_length=8)
        with pytest.raises(
            ConfigError, match="must not exceed the encoder's 8 positions. Received: 9"
        ):
            inputs.encode(["a"], max_length=9)
        with pytest.raises(ConfigError, match="Received: 2. Use 3 or more"):
            inputs.encode(["a"], max_length=2)
        with pytest.raises(ConfigError, match="Received: 4. Use 5 or more"):
            inputs.encode(["a"], ["b"], max_length=4)
        with pytest.raises(ConfigError, match="1 texts, 2 pairs"):
            inputs.encode(["a"], ["b", "c"], max_length=8)
        with pytest.raises(ConfigError, match="2 texts, 1 pairs"):
            inputs.encode(["a", "b"], ["c"], max_length=8)
        with pytest.raises(ValueError, match="shorter"):
            inputs.encode_apart(["a", "b"], ["c"], max_length=8)
        for questions, contexts in ((["a", "b"], ["c"]), (["a"], ["b", "c"])):
            with pytest.raises(ValueError, match="shorter|longer"):
                inputs.windows(questions, contexts, max_length=8, stride=1)
        with pytest.raises(
            ConfigError, match="must not exceed the encoder's 8 positions. Received: 9"
        ):
            inputs.windows(["a"], ["b"], max_length=9)
        with pytest.raises(ConfigError, match="Received: 4. Use 5 or more"):
            inputs.windows(["a"], ["b"], max_length=4, stride=0)
        assert (
            len(inputs.encode(["a b c d e a b c"], max_length=8)[0].ids) == 8
        )  # as many as allowed

    def test_lengths_that_nobody_names(self):
        """128 for texts; for questions 384, and 128 of them shared."""
        inputs = from_run(CharacterTokenizer("ab"))
        assert (
            len(inputs.encode(["a" * 200])[0].ids)
            == len(inputs.encode(["a" * 200], ["b" * 9])[0].ids)
            == 128
        )
        assert len(inputs.encode_apart(["a" * 200], ["b"])[0].ids) == 2 * 128
        windows = inputs.windows(["a"], ["b" * 800])
        assert [window.offsets[2][0] for window in windows] == [0, 253, 506]
        assert [len(window.ids) for window in windows] == [384, 384, 297]

    def test_folders_that_are_not_whole(self, tmp_path):
        from_run(CharacterTokenizer("ab")).save(tmp_path)
        file = tmp_path / "text_inputs.json"
        state = json.loads(file.read_text())
        for broken in (
            "{",
            "[]",
            "{}",
            json.dumps({**state, "kind": "other"}),
            json.dumps({**state, "frame": {}}),
        ):
            file.write_text(broken)
            with pytest.raises(
                ConfigError, match="must contain a valid text_inputs.json. Received: "
            ):
                load_text_inputs(tmp_path)
        file.write_text(json.dumps({**state, "kind": "hugging_face"}))
        with pytest.raises(ConfigError, match="^tokenizer.json must be a file of Hugging Face's"):
            load_text_inputs(tmp_path)

    def test_a_question_that_leaves_no_room_loses_its_end(self, tmp_path):
        inputs = words_inputs(tmp_path)
        cut = inputs.windows(["a b c d"], ["a b c"], max_length=9, stride=2)
        assert cut == inputs.windows(["a b c"], ["a b c"], max_length=9, stride=2) and len(cut) == 1
        assert cut != inputs.windows(["a b"], ["a b c"], max_length=9, stride=2)
        whole = inputs.windows(["a b c d"], ["a b"], max_length=9, stride=2)
        assert len(whole) == 1 and len(whole[0].ids) == 9
        with pytest.raises(
            ConfigError, match="besides the special tokens. Received: max_length=9, stride=5"
        ):
            inputs.windows(["a"], ["a b c a b c"], max_length=9, stride=5)
