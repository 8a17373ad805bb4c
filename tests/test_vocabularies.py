"""Tokenizers made of a model's files: token for token those of Hugging Face and KerasHub."""

import io
import json

import pytest
import sentencepiece

from transformer.config import ConfigError
from transformer.text_inputs import Encoded, HuggingFaceInputs, load_text_inputs
from transformer.vocabularies import byte_level_bpe, from_hugging_face, from_keras_hub, word_piece

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "a", "b", "c", "d", "e", "猫", "坐"]
TEXTS = [
    "The cats sat.", "A naïve café — ½ of ﬁve!", " two  spaces\tand a tab ", "", "東京は 2024年 の🎉首都", "x" * 300,
    "[CLS] [MASK] </s>", "İstanbul",
]  # fmt: skip


@pytest.fixture(scope="module")
def hf():
    return pytest.importorskip("transformers", reason="tokens are compared with transformers' (the test extra brings it)")


def sentencepiece_model(family):
    """The bytes of a tiny SentencePiece model with the special tokens that a family's has."""
    special = {
        "XLMRoberta": dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1),
        "Albert": dict(pad_id=0, unk_id=1, bos_id=2, eos_id=3, bos_piece="[CLS]", eos_piece="[SEP]"),
        "DebertaV3": dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]"),
    }[family]
    if family != "XLMRoberta":
        special["user_defined_symbols"] = "[MASK]"
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "a naïve café", "東京 the end"] * 9), model_writer=model,
        vocab_size=40, hard_vocab_limit=False, minloglevel=2, **special,
    )  # fmt: skip
    return model.getvalue()


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
            assert [row.length for row in found] == [len(ids) for ids in full]

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
        found = ours.encode(texts, max_length=999)
        assert {text for text, row in zip(texts, found) if row.ids != theirs(text)["input_ids"]} <= {"\ufffe"}

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
        folder = tmp_path_factory.mktemp("xlmr")
        (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model("XLMRoberta"))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
        return folder

    def test_as_hugging_face(self, hf, folder, tmp_path):
        theirs, ours = hf.AutoTokenizer.from_pretrained(folder), from_hugging_face(folder)
        texts = ["the cat", "Zat café 東京 q", "mat"]
        pairs = texts[1:] + texts[:1]
        assert (ours.pad_id, ours.vocab_size) == (theirs.pad_token_id, len(theirs))
        expected = theirs(texts, pairs, truncation=True, max_length=11)["input_ids"]
        assert [row.ids for row in ours.encode(texts, pairs, max_length=11)] == expected
        ours.save(tmp_path)
        assert load_text_inputs(tmp_path).encode(texts, pairs) == ours.encode(texts, pairs)
        theirs.save_pretrained(tmp_path / "theirs")  # tokenizer.json, by another library than SentencePiece
        other = from_hugging_face(tmp_path / "theirs")
        assert (other.frame, other.pad_id, other.encode(texts, pairs)) == (ours.frame, 1, ours.encode(texts, pairs))
        text = "the  cat sat 東京"
        windows = [inputs.windows(["mat"], [text])[0] for inputs in (ours, other)]
        assert windows[0].ids == windows[1].ids
        # A "▁" alone has an empty place here, that of the next letter there.
        pairs = [pair for pair in zip(*(window.offsets for window in windows)) if pair[0] and pair[0][0] < pair[0][1]]
        assert all(one == other for one, other in pairs) and text[slice(*pairs[-1][0])] == "京"

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
        assert ours.encode(["a"], ["b"], max_length=8)[0] == Encoded([2, 9, 3, 10, 3], [0, 0, 0, 1, 1], 5)

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

        (tmp_path / "tiny.model").write_bytes(sentencepiece_model(family))
        theirs = getattr(keras_hub.models, f"{family}Tokenizer")(proto=str(tmp_path / "tiny.model"))
        ours = from_keras_hub(theirs, two_types=family == "Albert")
        ids = list(map(int, theirs("the mat")))
        start, end = theirs.start_token_id, theirs.end_token_id
        double = [end, end] if family == "XLMRoberta" else [end]
        assert ours.encode(["the mat"], ["the mat"])[0].ids == [start, *ids, *double, *ids, end]
        assert (ours.pad_id, ours.vocab_size) == (theirs.pad_token_id, theirs.vocabulary_size())
        assert ours.encode(["a"], ["a"])[0].types[-1] == int(family == "Albert")


class TestRefusals:
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

    def test_a_tokenizer_that_frames_one_text_otherwise_than_two(self):
        from tokenizers.processors import TemplateProcessing

        tokenizer = word_piece(WORDS)
        tokenizer.post_processor = TemplateProcessing("$A", "[CLS] $A [SEP] $B:1", [("[CLS]", 2), ("[SEP]", 3)])
        with pytest.raises(ConfigError, match="the same tokens around one text and around two"):
            HuggingFaceInputs(tokenizer, 0)
