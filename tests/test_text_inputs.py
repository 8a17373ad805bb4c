"""Inputs of encoders: token for token those of Hugging Face, and offsets that point at the very characters."""

import json

import pytest

from transformer.config import ConfigError, TokenizerConfig
from transformer.text_inputs import (
    Encoded, Window, byte_level_bpe, from_hugging_face, from_keras_hub, from_run, load_text_inputs, longest_first, word_piece,
)  # fmt: skip
from transformer.tokenizer import ByteTokenizer, CharacterTokenizer, train_tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "a", "b", "c", "d", "e", "猫", "坐"]
TEXTS = ["The cats sat.", "A naïve café — ½ of ﬁve!", " two  spaces\tand a tab ", "", "東京は 2024年 の🎉首都", "x" * 300, "[CLS] [MASK] </s>", "İstanbul"]


@pytest.fixture(scope="module")
def hf():
    return pytest.importorskip("transformers", reason="tokens are compared with transformers' (the test extra brings it)")


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
            Encoded([2, 5, 6, 7, 8, 3], [0] * 6, False), Encoded([2, 3], [0, 0], False),
        ]  # fmt: skip

    def test_the_end_of_a_long_text_is_cut(self, tmp_path):
        assert words_inputs(tmp_path).encode(["the cats sat"], max_length=5) == [Encoded([2, 5, 6, 7, 3], [0] * 5, True)]

    def test_a_pair(self, tmp_path):
        inputs = words_inputs(tmp_path)
        assert inputs.encode(["the cat"], ["a b"]) == [Encoded([2, 5, 6, 3, 9, 10, 3], [0, 0, 0, 0, 1, 1, 1], False)]
        # 9 - 3 = 6 places: of 6 and 2 tokens 4 and 2 stay, of 4 and 5 three and three.
        found = inputs.encode(["a b c d e a", "a b c d"], ["the cat", "a b c d e"], max_length=9)
        assert [row.ids for row in found] == [[2, 9, 10, 11, 12, 3, 5, 6, 3], [2, 9, 10, 11, 3, 9, 10, 11, 3]]
        assert all(row.truncated for row in found)

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
        ((3, 4), 9, (3, 4)), ((3, 9), 9, (3, 6)), ((9, 3), 9, (6, 3)), ((9, 9), 9, (4, 5)), ((10, 9), 9, (5, 4)), ((0, 9), 5, (0, 5)),
        ((2, 50), 3, (1, 2)),
    ])
    def test_longest_first(self, lengths, room, kept):
        assert longest_first(*lengths, room) == kept


class TestRun:
    """Inputs of a run's own tokenizers."""

    def test_characters(self):
        inputs = from_run(CharacterTokenizer("abc "), max_length=9)
        assert (inputs.pad_id, inputs.vocab_size, inputs.max_length) == (0, 8, 9)
        assert inputs.encode([" ab ", ""], max_length=9) == [Encoded([4, 5, 3], [0] * 3, False), Encoded([3], [0], False)]
        assert inputs.encode(["ab"], ["c"], max_length=9) == [Encoded([4, 5, 3, 6, 3], [0] * 5, False)]
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
            # Every character but white space is in some piece, in order.
            assert [place for place, c in enumerate(text) if not c.isspace() and not any(a <= place < b for a, b in spans)] == []
            assert spans == sorted(spans) and all(0 <= start <= end <= len(text) for start, end in spans)
            pieces = tokenizer.pieces(text.strip())
            for piece, (start, end) in zip(pieces, spans):
                plain = piece.replace("▁", "")
                if len(plain) > 1 and plain[0] != "<" and plain.isascii() and normalization == "nfkc":
                    assert plain in {"fi": "ﬁ"}.get(plain, text[start:end]) or text[start:end] in "ＡＢＣﬁ"

    def test_saved_and_loaded(self, tmp_path):
        inputs = from_run(CharacterTokenizer("abci\u0307 "), 12, lowercase=True)
        inputs.save(tmp_path / "new" / "folder")
        loaded = load_text_inputs(tmp_path / "new" / "folder")
        assert vars(loaded).keys() == vars(inputs).keys() and (loaded.frame, loaded.max_length) == (inputs.frame, 12)
        assert loaded.windows(["A"], ["bİC"], max_length=12) == inputs.windows(["A"], ["bİC"], max_length=12)


class TestBert:
    """The real vocabularies, and the strings that break programs."""

    @pytest.fixture(scope="class", params=["bert-base-uncased-vocab.txt", "bert_chinese_vocab.txt"])
    def folder(self, request, shared, tmp_path_factory):
        folder = tmp_path_factory.mktemp("bert")
        (folder / "vocab.txt").write_bytes((shared / "vocabs" / request.param).read_bytes())
        lower = "uncased" in request.param
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower, "tokenizer_class": "BertTokenizer"}))
        return folder

    @pytest.fixture(scope="class")
    def texts(self, shared):
        naughty = json.loads((shared / "naughty_strings" / "blns.json").read_text(encoding="utf-8"))
        tnews = (shared / "tnews" / "dev.tsv").read_text(encoding="utf-8").splitlines()[:300]
        english = (shared / "multi30k" / "val.en").read_text(encoding="utf-8").splitlines()[:300]
        return [*TEXTS, *naughty, *tnews, *english]

    def test_single_texts(self, hf, folder, texts):
        theirs = hf.AutoTokenizer.from_pretrained(folder)
        ours = from_hugging_face(folder)
        assert ours.vocab_size == len(theirs) and ours.pad_id == theirs.pad_token_id
        for length in (12, 128):
            expected = theirs(texts, truncation=True, max_length=length)
            found = ours.encode(texts, max_length=length)
            assert [row.ids for row in found] == expected["input_ids"]
            assert [row.types for row in found] == expected["token_type_ids"]
            full = theirs(texts)["input_ids"]
            assert [row.truncated for row in found] == [len(ids) > length for ids in full]

    def test_pairs(self, hf, folder, texts):
        theirs = hf.AutoTokenizer.from_pretrained(folder)
        ours = from_hugging_face(folder)
        pairs = texts[7:] + texts[:7]
        for length in (9, 16, 33):
            expected = theirs(texts, pairs, truncation=True, max_length=length)
            found = ours.encode(texts, pairs, max_length=length)
            assert [row.ids for row in found] == expected["input_ids"]
            assert [row.types for row in found] == expected["token_type_ids"]

    def test_the_original_program(self, hf, folder, texts):
        """BERT's own, in Python. U+FFFE, which is no character, is unknown to one and nothing to the other."""
        legacy = pytest.importorskip("transformers.models.bert.tokenization_bert_legacy").BertTokenizerLegacy
        lower = json.loads((folder / "tokenizer_config.json").read_text())["do_lower_case"]
        theirs, ours = legacy(str(folder / "vocab.txt"), do_lower_case=lower), from_hugging_face(folder)
        different = [text for text, row in zip(texts, ours.encode(texts, max_length=999)) if row.ids != theirs(text)["input_ids"]]
        assert set(different) <= {"\ufffe"}

    def test_the_tokenizer_file(self, hf, folder, texts, tmp_path):
        """The same from tokenizer.json, whatever truncation and padding it asks for."""
        inputs = from_hugging_face(folder)
        inputs.tokenizer.enable_truncation(5)
        inputs.tokenizer.enable_padding(length=7)
        inputs.tokenizer.save(str(tmp_path / "tokenizer.json"))
        loaded = from_hugging_face(tmp_path)
        assert loaded.frame == inputs.frame and loaded.pad_id == 0
        assert loaded.encode(texts, texts) == from_hugging_face(folder).encode(texts, texts)

    def test_saved_and_loaded(self, folder, texts, tmp_path):
        inputs = from_hugging_face(folder, max_length=512)
        inputs.save(tmp_path)
        loaded = load_text_inputs(tmp_path)
        assert (loaded.frame, loaded.pad_id, loaded.max_length) == (inputs.frame, 0, 512)
        assert loaded.windows(texts[:40], texts[40:80]) == inputs.windows(texts[:40], texts[40:80])


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


class TestBytePairs:
    """RoBERTa's tokenizer, with merges learnt here."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        from tokenizers import ByteLevelBPETokenizer

        folder = tmp_path_factory.mktemp("roberta")
        learner = ByteLevelBPETokenizer()
        learner.train_from_iterator(["the cat sat on the mat", "a naïve café", "東京 the end"] * 9, 330, show_progress=False,
                                    special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])  # fmt: skip
        learner.save_model(str(folder))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
        return folder

    def test_as_hugging_face(self, hf, folder, tmp_path):
        theirs, ours = hf.AutoTokenizer.from_pretrained(folder), from_hugging_face(folder)
        assert (ours.pad_id, ours.vocab_size) == (1, len(theirs))
        pairs = TEXTS[3:] + TEXTS[:3]
        assert [row.ids for row in ours.encode(TEXTS)] == theirs(TEXTS, truncation=True, max_length=128)["input_ids"]
        for length in (9, 17):
            found = ours.encode(TEXTS, pairs, max_length=length)
            assert [row.ids for row in found] == theirs(TEXTS, pairs, truncation=True, max_length=length)["input_ids"]
            assert {kind for row in found for kind in row.types} == {0}
        ours.save(tmp_path)
        assert load_text_inputs(tmp_path).encode(TEXTS, pairs) == ours.encode(TEXTS, pairs)
        theirs.save_pretrained(tmp_path / "theirs")  # tokenizer.json
        assert from_hugging_face(tmp_path / "theirs").encode(TEXTS, pairs) == ours.encode(TEXTS, pairs)

    def test_offsets(self, folder):
        text = "the café 東京 🎉the  cat"
        window = from_hugging_face(folder).windows(["a"], [text])[0]
        spans = [text[slice(*offset)] for offset in window.offsets if offset]
        assert window.ids[:2] == [0, window.ids[1]] and window.ids[2:4] == [2, 2]
        assert spans[0] == "the" and spans[-1] == "cat" and {"東", "京", "🎉"} & set(spans)


class TestXLMR:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        import sentencepiece

        folder = tmp_path_factory.mktemp("xlmr")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["the cat sat on the mat", "a naïve café", "東京 the end"] * 9), minloglevel=2, vocab_size=40, hard_vocab_limit=False,
            model_prefix=str(folder / "sentencepiece.bpe"), unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
        )  # fmt: skip
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
        return folder

    def test_as_hugging_face(self, hf, folder, tmp_path):
        theirs, ours = hf.AutoTokenizer.from_pretrained(folder), from_hugging_face(folder)
        texts = ["the cat", "Zat café 東京 q", "mat"]
        pairs = texts[1:] + texts[:1]
        assert (ours.pad_id, ours.vocab_size) == (theirs.pad_token_id, len(theirs))
        assert [row.ids for row in ours.encode(texts, pairs, max_length=11)] == theirs(texts, pairs, truncation=True, max_length=11)["input_ids"]
        ours.save(tmp_path)
        assert load_text_inputs(tmp_path).encode(texts, pairs) == ours.encode(texts, pairs)

    def test_ids_are_those_of_sentencepiece_plus_one(self, folder):
        ours = from_hugging_face(folder)
        inner = ours.tokenizer.processor.encode("the q cat")
        assert 0 in inner
        assert ours.encode(["the q cat"])[0].ids == [0, *(3 if number == 0 else number + 1 for number in inner), 2]


class TestKerasHub:
    def test_word_pieces(self):
        import keras_hub

        theirs = keras_hub.models.BertTokenizer(vocabulary=WORDS, lowercase=True)
        ours = from_keras_hub(theirs, two_types=True, max_length=8)
        assert (ours.pad_id, ours.vocab_size, ours.max_length) == (0, 16, 8)
        assert ours.encode(["The cats sat 猫"], max_length=8)[0].ids == [2, *list(map(int, theirs("The cats sat 猫"))), 3]
        assert ours.encode(["a"], ["b"], max_length=8)[0] == Encoded([2, 9, 3, 10, 3], [0, 0, 0, 1, 1], False)

    def test_byte_pairs(self):
        import keras_hub

        vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<mask>": 3, "a": 4, "Ġquick": 5, "Ġfox": 6}
        merges = ["Ġ q", "u i", "c k", "ui ck", "Ġq uick", "Ġ f", "o x", "Ġf ox"]
        for piece in ("Ġ", "q", "u", "i", "c", "k", "f", "o", "x", "Ġq", "ui", "ck", "uick", "Ġf", "ox"):
            vocabulary[piece] = len(vocabulary)
        theirs = keras_hub.models.RobertaTokenizer(vocabulary=vocabulary, merges=merges)
        ours = from_keras_hub(theirs)
        assert ours.encode(["a quick fox"], ["a fox"])[0].ids == [0, 4, 5, 6, 2, 2, 4, 6, 2]
        assert list(map(int, theirs("a quick fox"))) == [4, 5, 6] and ours.pad_id == 1

    @pytest.mark.parametrize("family", ["Albert", "DebertaV3", "XLMRoberta"])
    def test_sentencepiece(self, family, tmp_path):
        import keras_hub
        import sentencepiece

        special = dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1) if family == "XLMRoberta" else dict(
            pad_id=0, unk_id=1, bos_id=2, eos_id=3, bos_piece="[CLS]", eos_piece="[SEP]", user_defined_symbols="[MASK]",
            pad_piece="[PAD]" if family == "DebertaV3" else "<pad>")  # fmt: skip
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["the cat sat on the mat", "a naïve café"] * 9), minloglevel=2, vocab_size=30, hard_vocab_limit=False,
            model_prefix=str(tmp_path / "tiny"), **special,
        )  # fmt: skip
        theirs = getattr(keras_hub.models, f"{family}Tokenizer")(proto=str(tmp_path / "tiny.model"))
        ours = from_keras_hub(theirs, two_types=family == "Albert")
        ids = list(map(int, theirs("the mat")))
        start, end = theirs.start_token_id, theirs.end_token_id
        double = [end, end] if family == "XLMRoberta" else [end]
        assert ours.encode(["the mat"], ["the mat"])[0].ids == [start, *ids, *double, *ids, end]
        assert (ours.pad_id, ours.vocab_size) == (theirs.pad_token_id, theirs.vocabulary_size())
        assert ours.encode(["a"], ["a"])[0].types[-1] == int(family == "Albert")


class TestRefusals:
    def test_lengths(self, tmp_path):
        words_inputs(tmp_path)
        inputs = from_hugging_face(tmp_path, max_length=8)
        for length, message in ((9, "must not exceed the encoder's 8 positions. Received: 9"), (2, "Received: 2. Use 3 or more")):
            with pytest.raises(ConfigError, match=message):
                inputs.encode(["a"], max_length=length)
        with pytest.raises(ConfigError, match="Received: 4. Use 5 or more"):
            inputs.encode(["a"], ["b"], max_length=4)
        with pytest.raises(ConfigError, match="1 texts, 2 pairs"):
            inputs.encode(["a"], ["b", "c"], max_length=8)

    def test_a_question_without_room(self, tmp_path):
        inputs = words_inputs(tmp_path)
        with pytest.raises(ConfigError, match="question 1 of 4 tokens, max_length=9, stride=2"):
            inputs.windows(["a", "a b c d"], ["a b c"] * 2, max_length=9, stride=2)
        assert len(inputs.windows(["a b c d"], ["a b"], max_length=9, stride=2)) == 1  # nothing to move on to

    def test_files(self, tmp_path):
        with pytest.raises(ConfigError, match="needs its tokenizer.* with no files"):
            from_hugging_face(tmp_path)
        with pytest.raises(ConfigError, match="text_inputs.json"):
            load_text_inputs(tmp_path)
        (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n")
        with pytest.raises(ConfigError, match=r"3 tokens without \[SEP\]"):
            from_hugging_face(tmp_path)
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(ConfigError, match="must be one of Hugging Face's"):
            from_hugging_face(tmp_path)
        (tmp_path / "tokenizer_config.json").write_text("{")
        with pytest.raises(ConfigError, match="tokenizer_config.json must be JSON"):
            from_hugging_face(tmp_path)

    def test_special_tokens_of_other_names(self):
        with pytest.raises(ConfigError, match="without <s>, </s>"):
            byte_level_bpe({"a": 0}, [])
        tokenizer = word_piece(["<u>", "<s>", "<c>", "a"], names={"unk": "<u>", "sep": "<s>", "cls": "<c>"})
        assert tokenizer.encode("a b").ids == [2, 3, 0, 1]
