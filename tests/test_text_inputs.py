"""Inputs of encoders: token for token those of Hugging Face, and offsets that point at the very characters."""

import json
import unicodedata

import pytest

from transformer.config import ConfigError, TokenizerConfig
from transformer.text_inputs import Encoded, Window, from_run, load_text_inputs, longest_first
from transformer.tokenizer import ByteTokenizer, CharacterTokenizer, load_tokenizer, train_tokenizer
from transformer.vocabularies import from_hugging_face

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "a", "b", "c", "d", "e", "猫", "坐"]
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
            Encoded([2, 5, 6, 7, 8, 3], [0] * 6, 6), Encoded([2, 3], [0, 0], 2),
        ]  # fmt: skip

    def test_the_end_of_a_long_text_is_cut(self, tmp_path):
        assert words_inputs(tmp_path).encode(["the cats sat"], max_length=5) == [Encoded([2, 5, 6, 7, 3], [0] * 5, 6)]

    def test_a_pair(self, tmp_path):
        inputs = words_inputs(tmp_path)
        assert inputs.encode(["the cat"], ["a b"]) == [Encoded([2, 5, 6, 3, 9, 10, 3], [0, 0, 0, 0, 1, 1, 1], 7)]
        # 9 - 3 = 6 places: of 6 and 2 tokens 4 and 2 stay, of 4 and 5 three and three.
        found = inputs.encode(["a b c d e a", "a b c d"], ["the cat", "a b c d e"], max_length=9)
        assert [row.ids for row in found] == [[2, 9, 10, 11, 12, 3, 5, 6, 3], [2, 9, 10, 11, 3, 9, 10, 11, 3]]
        assert all(row.length > len(row.ids) for row in found)

    def test_texts_apart_stand_in_halves_of_one_length(self, tmp_path):
        inputs = words_inputs(tmp_path)
        assert inputs.encode_apart(["the cat", "a"], ["b", "a b c d"], max_length=5) == [
            Encoded([2, 5, 6, 3, 2, 10, 3, 0], [0] * 8, 4), Encoded([2, 9, 3, 0, 0, 2, 9, 10, 11, 3], [0] * 10, 6),
        ]  # fmt: skip

    def test_no_second_type(self, tmp_path):
        words_inputs(tmp_path)
        assert from_hugging_face(tmp_path, two_types=False).encode(["a"], ["b"])[0].types == [0] * 5

    def test_case_and_chinese(self, tmp_path):
        assert words_inputs(tmp_path, do_lower_case=False).encode(["The 猫坐"])[0].ids == [2, 1, 14, 15, 3]

    def test_windows(self, tmp_path):
        """Windows of 3 tokens of the context, one of them shared: "a b c", "c d e"."""
        found = words_inputs(tmp_path).windows(["the", "cat"], ["a b  c d e", "sat"], max_length=7, stride=1)
        assert found == [
            Window(0, [2, 5, 3, 9, 10, 11, 3], [0, 0, 0, 1, 1, 1, 1], [None, None, None, (0, 1), (2, 3), (5, 6), None]),
            Window(0, [2, 5, 3, 11, 12, 13, 3], [0, 0, 0, 1, 1, 1, 1], [None, None, None, (5, 6), (7, 8), (9, 10), None]),
            Window(1, [2, 6, 3, 8, 3], [0, 0, 0, 1, 1], [None, None, None, (0, 3), None]),
        ]

    def test_an_empty_context_is_a_window(self, tmp_path):
        assert words_inputs(tmp_path).windows(["the"], [""]) == [Window(0, [2, 5, 3, 3], [0, 0, 0, 1], [None] * 4)]

    @pytest.mark.parametrize("count, windows", [(1, 1), (4, 1), (5, 2), (6, 2), (7, 3), (8, 3)])
    def test_no_window_more_than_needed(self, tmp_path, count, windows):
        """4 tokens of context a window, 2 shared: 2 n + 2 tokens fill n windows."""
        found = words_inputs(tmp_path).windows(["the"], ["a " * count], max_length=8, stride=2)
        assert len(found) == windows and found[-1].offsets[-2] == (2 * count - 2, 2 * count - 1)

    def test_half_a_character_is_unknown(self, tmp_path):
        window = words_inputs(tmp_path).windows(["a"], ["a \ud800 b"])[0]
        assert window.offsets[-2] == (4, 5)

    @pytest.mark.parametrize("lengths, room, kept", [
        ((3, 4), 9, (3, 4)), ((3, 9), 9, (3, 6)), ((9, 3), 9, (6, 3)), ((9, 9), 9, (4, 5)), ((10, 9), 9, (5, 4)),
        ((0, 9), 5, (0, 5)), ((2, 50), 3, (1, 2)),
    ])
    def test_longest_first(self, lengths, room, kept):
        assert longest_first(*lengths, room) == kept


class TestRun:
    """Inputs of a run's own tokenizers."""

    def test_characters(self):
        inputs = from_run(CharacterTokenizer("abc "), max_length=9)
        assert (inputs.pad_id, inputs.vocab_size, inputs.max_length) == (0, 8, 9)
        assert inputs.encode([" ab ", ""], max_length=9) == [Encoded([4, 5, 3], [0] * 3, 3), Encoded([3], [0], 1)]
        assert inputs.encode(["ab"], ["c"], max_length=9) == [Encoded([4, 5, 3, 6, 3], [0] * 5, 5)]
        assert inputs.windows(["a"], [" b\U0001f389c "], max_length=9)[0].offsets == [None, None, (1, 2), (2, 3), (3, 4), None]

    def test_bytes(self):
        window = from_run(ByteTokenizer()).windows(["a"], ["é🎉b"])[0]
        assert window.ids == [101, 3, 199, 173, 244, 163, 146, 141, 102, 3]
        assert window.offsets == [None, None, (0, 1), (0, 1), *[(1, 2)] * 4, (2, 3), None]

    def test_lower_case_that_is_longer(self):
        """ "İ".lower() is two characters; final sigma is another letter, but one."""
        inputs = from_run(CharacterTokenizer("abciσς\u0307 "), lowercase=True)
        text = "aİB ΣAΣ C"
        window = inputs.windows(["a"], [text])[0]
        assert [text[start:end] for start, end in window.offsets[2:-1]] == ["a", "İ", "İ", "B", "", "Σ", "A", "Σ", "", "C"]
        assert window.ids[2:-1] == inputs.tokenizer.encode([text.lower()])[0]

    @pytest.mark.parametrize("normalization", ["nfkc", "identity"])
    @pytest.mark.parametrize("kind", ["unigram", "bpe"])
    def test_sentencepiece_offsets(self, normalization, kind):
        config = TokenizerConfig(tokenizer=kind, vocab_size=330, normalization=normalization)
        tokenizer = train_tokenizer(["Hello world ABC 123 hello", "fi b c", "日本語 text"] * 5, config)
        inputs = from_run(tokenizer)
        texts = ["ＡＢＣ  hello 🎉 ﬁ x", " 🎉🎉Hello\tworld ", "①é½ e\u0301 ㌔日本語", "日本語のtext、𠀋"]
        for window, text in zip(inputs.windows(["Hello"] * 4, texts), texts):
            spans = [offset for offset in window.offsets if offset is not None]
            assert window.ids == [*tokenizer.encode(["Hello"])[0], 3, *tokenizer.encode([text.strip()])[0], 3]
            covered = {place for start, end in spans for place in range(start, end)}
            assert covered >= {place for place, character in enumerate(text) if not character.isspace()}
            assert spans == sorted(spans)
            for piece, (start, end) in zip(tokenizer.pieces(text.strip()), spans):
                found = text[start:end] if normalization == "identity" else unicodedata.normalize("NFKC", text[start:end])
                if piece.startswith("<0x"):
                    assert not found or int(piece[1:-1], 16) in found.encode()
                else:
                    assert piece.replace("▁", "").replace("\t", "") in found

    def test_real_texts(self, shared):
        """T5's vocabulary: ids are those of the stripped text, and a piece is the normal form of its characters, or within."""
        tokenizer = load_tokenizer(shared / "vocabs" / "t5_tokenizer_base.model")
        inputs = from_run(tokenizer, lowercase=True)
        naughty = json.loads((shared / "naughty_strings" / "blns.json").read_text(encoding="utf-8"))
        texts = naughty + [context for _, context, _ in questions_of(shared / "xquad" / "en.json")][:100]
        for text, window in zip(texts, inputs.windows(["the"] * len(texts), texts, max_length=10_000)):
            ids = tokenizer.encode([text.strip().lower()])[0]
            assert window.ids[2:-1] == ids
            spans = window.offsets[2:-1]
            assert spans == sorted(spans) and all(0 <= start <= end <= len(text) for start, end in spans)
            for number, (start, end) in zip(ids, spans):
                piece = tokenizer.processor.id_to_piece(number).replace("▁", "")
                normal = unicodedata.normalize("NFKC", text[start:end].lower())
                if number != tokenizer.unk_id and end > start and window.example >= len(naughty):
                    # 6½ is "61", "⁄", "2": where a piece ends within a character, only the next one is said to hold it.
                    assert piece in normal or "½" in text[end : end + 1] and piece[:-1] in normal

    def test_saved_and_loaded(self, tmp_path):
        inputs = from_run(CharacterTokenizer("abci\u0307 "), 12, lowercase=True)
        inputs.save(tmp_path / "new" / "folder")
        loaded = load_text_inputs(tmp_path / "new" / "folder")
        assert vars(loaded).keys() == vars(inputs).keys() and (loaded.frame, loaded.max_length) == (inputs.frame, 12)
        assert loaded.windows(["A"], ["bİC"], max_length=12) == inputs.windows(["A"], ["bİC"], max_length=12)


def questions_of(path):
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    for article in data:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield question["question"], paragraph["context"], [(x["text"], x["answer_start"]) for x in question["answers"]]


@pytest.mark.parametrize("file, vocabulary, exact", [
    ("xquad/en.json", "bert-base-uncased-vocab.txt", 1.0), ("cmrc2018/trial.json", "bert_chinese_vocab.txt", 0.95),
    ("xquad/zh.json", "bert_chinese_vocab.txt", 0.95),
])
class TestRealWindows:
    def test_answers_are_found_by_their_offsets(self, shared, tmp_path, file, vocabulary, exact):
        (tmp_path / "vocab.txt").write_bytes((shared / "vocabs" / vocabulary).read_bytes())
        inputs = from_hugging_face(tmp_path)
        questions, contexts, answers = zip(*list(questions_of(shared / file))[::4])
        windows = inputs.windows(questions, contexts, max_length=256, stride=64)
        assert {window.example for window in windows} == set(range(len(questions))) and len(windows) > len(questions)
        seen, equal, total = {}, 0, 0
        names = {number: word for word, number in inputs.tokenizer.get_vocab().items()}
        normal = inputs.tokenizer.normalizer.normalize_str
        for window in windows:
            assert len(window.ids) == len(window.types) == len(window.offsets) <= 256
            context = contexts[window.example]
            for number, offset in zip(window.ids, window.offsets):
                if offset is not None and number != inputs.tokenizer.token_to_id("[UNK]"):
                    assert normal(context[slice(*offset)]).strip() == names[number].removeprefix("##")
            seen.setdefault(window.example, []).append([offset for offset in window.offsets if offset])
        for example, texts in enumerate(answers):
            for text, start in texts:
                if contexts[example][start : start + len(text)] != text or len(text) > 64:
                    continue  # the data set has the wrong place, or the answer is longer than what windows share
                found = [spans_text(contexts[example], spans, start, start + len(text)) for spans in seen[example]]
                found = [span for span in found if span is not None]
                assert found and all(text.strip() in span for span in found), (text, start)
                equal, total = equal + (text.strip() in found), total + 1
        assert equal >= exact * total > 100


def spans_text(context, spans, start, end):
    """The text from the token that holds character `start` to the one that holds `end - 1`, or None."""
    first = [a for a, b in spans if a <= start < b]
    last = [b for a, b in spans if a < end <= b]
    return context[first[0] : last[-1]] if first and last else None


class TestRefusals:
    def test_lengths(self, tmp_path):
        words_inputs(tmp_path)
        inputs = from_hugging_face(tmp_path, max_length=8)
        with pytest.raises(ConfigError, match="must not exceed the encoder's 8 positions. Received: 9"):
            inputs.encode(["a"], max_length=9)
        with pytest.raises(ConfigError, match="Received: 2. Use 3 or more"):
            inputs.encode(["a"], max_length=2)
        with pytest.raises(ConfigError, match="Received: 4. Use 5 or more"):
            inputs.encode(["a"], ["b"], max_length=4)
        with pytest.raises(ConfigError, match="1 texts, 2 pairs"):
            inputs.encode(["a"], ["b", "c"], max_length=8)

    def test_a_question_that_leaves_no_room_loses_its_end(self, tmp_path):
        inputs = words_inputs(tmp_path)
        cut = inputs.windows(["a b c d"], ["a b c"], max_length=9, stride=2)
        assert cut == inputs.windows(["a b c"], ["a b c"], max_length=9, stride=2) and len(cut) == 1
        assert cut != inputs.windows(["a b"], ["a b c"], max_length=9, stride=2)
        whole = inputs.windows(["a b c d"], ["a b"], max_length=9, stride=2)
        assert len(whole) == 1 and len(whole[0].ids) == 9
        with pytest.raises(ConfigError, match="one of the question. Received: max_length=9, stride=5"):
            inputs.windows(["a"], ["a b c a b c"], max_length=9, stride=5)
