"""Tokenizers made of a model's files: token for token those of Hugging Face and KerasHub."""

import io
import json

import pytest
import sentencepiece

from transformer.config import ConfigError
from transformer.pretrained.tokenizers import (
    byte_level_bpe,
    from_hugging_face,
    from_keras_hub,
    word_piece,
)
from transformer.text.encoder_inputs import Encoded, HuggingFaceInputs, load_text_inputs

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
TEXTS = [
    "The cats sat.",
    "A naïve café — ½ of ﬁve!",
    " two  spaces\tand a tab ",
    "",
    "東京は 2024年 の🎉首都",
    "x" * 300,
    "[CLS] [MASK] </s>",
    "İstanbul",
]


@pytest.fixture(scope="module")
def hf():
    return pytest.importorskip(
        "transformers", reason="tokens are compared with transformers' (the test extra brings it)"
    )


def sentencepiece_model(family):
    """The bytes of a tiny SentencePiece model with the special tokens that a family's has."""
    special = {
        "XLMRoberta": dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1),
        "Albert": dict(
            pad_id=0, unk_id=1, bos_id=2, eos_id=3, bos_piece="[CLS]", eos_piece="[SEP]"
        ),
        "DebertaV3": dict(
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            pad_piece="[PAD]",
            bos_piece="[CLS]",
            eos_piece="[SEP]",
        ),
    }[family]
    if family != "XLMRoberta":
        special["user_defined_symbols"] = "[MASK]"
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "a naïve café", "東京 the end"] * 9),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
        **special,
    )
    return model.getvalue()


class TestBert:
    """A vocabulary of a few words, and where they are there the real ones, with the strings that
    break programs."""

    @pytest.fixture(
        scope="class", params=["few words", "bert-base-uncased-vocab.txt", "bert_chinese_vocab.txt"]
    )
    def folder(self, request, tmp_path_factory):
        folder = tmp_path_factory.mktemp("bert")
        vocabulary = "\n".join(WORDS).encode()
        if request.param != "few words":
            vocabulary = (request.getfixturevalue("shared") / "vocabs" / request.param).read_bytes()
        (folder / "vocab.txt").write_bytes(vocabulary)
        lower = "chinese" not in request.param
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"do_lower_case": lower, "tokenizer_class": "BertTokenizer"})
        )
        return folder

    @pytest.fixture(scope="class")
    def texts(self, request, folder):
        if (folder / "vocab.txt").read_text(encoding="utf-8").split() == WORDS:
            return [
                *TEXTS,
                "",
                "the cats sat",
                "THE Cäts  sat.",
                "猫坐a the猫",
                "a" * 200,
                "the\u200bcat\x07 \ufffd",
                "b c [SEP] d [MASK]",
            ]
        shared = request.getfixturevalue("shared")
        naughty = json.loads((shared / "naughty_strings" / "blns.json").read_text(encoding="utf-8"))
        tnews = (shared / "tnews" / "dev.tsv").read_text(encoding="utf-8").splitlines()[:300]
        english = (shared / "multi30k" / "val.en").read_text(encoding="utf-8").splitlines()[:300]
        return [*TEXTS, *naughty, *tnews, *english]

    @pytest.mark.slow
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

    @pytest.mark.slow
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
        """BERT's own, in Python. U+FFFE, which is no character, is unknown to one and nothing to
        the other."""
        legacy = pytest.importorskip(
            "transformers.models.bert.tokenization_bert_legacy"
        ).BertTokenizerLegacy
        lower = json.loads((folder / "tokenizer_config.json").read_text())["do_lower_case"]
        theirs, ours = (
            legacy(str(folder / "vocab.txt"), do_lower_case=lower),
            from_hugging_face(folder),
        )
        found = ours.encode(texts, max_length=999)
        assert {
            text for text, row in zip(texts, found) if row.ids != theirs(text)["input_ids"]
        } <= {"\ufffe"}

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
        half = min(len(texts) // 2, 40)
        questions, contexts = texts[:half], texts[half : 2 * half]
        assert loaded.windows(questions, contexts) == inputs.windows(questions, contexts)


class TestBytePairs:
    """RoBERTa's tokenizer, with merges learnt here."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        from tokenizers import ByteLevelBPETokenizer

        folder = tmp_path_factory.mktemp("roberta")
        learner = ByteLevelBPETokenizer()
        learner.train_from_iterator(
            ["the cat sat on the mat", "a naïve café", "東京 the end"] * 9,
            330,
            show_progress=False,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        )
        learner.save_model(str(folder))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "RobertaTokenizer"})
        )
        return folder

    def test_as_hugging_face(self, hf, folder, tmp_path):
        theirs, ours = hf.AutoTokenizer.from_pretrained(folder), from_hugging_face(folder)
        assert (ours.pad_id, ours.vocab_size) == (1, len(theirs))
        pairs = TEXTS[3:] + TEXTS[:3]
        assert [row.ids for row in ours.encode(TEXTS)] == theirs(
            TEXTS, truncation=True, max_length=128
        )["input_ids"]
        for length in (9, 17):
            found = ours.encode(TEXTS, pairs, max_length=length)
            assert [row.ids for row in found] == theirs(
                TEXTS, pairs, truncation=True, max_length=length
            )["input_ids"]
            assert {kind for row in found for kind in row.types} == {0}
        ours.save(tmp_path)
        assert load_text_inputs(tmp_path).encode(TEXTS, pairs) == ours.encode(TEXTS, pairs)
        theirs.save_pretrained(tmp_path / "theirs")  # tokenizer.json
        assert from_hugging_face(tmp_path / "theirs").encode(TEXTS, pairs) == ours.encode(
            TEXTS, pairs
        )

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
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "XLMRobertaTokenizer"})
        )
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
        theirs.save_pretrained(
            tmp_path / "theirs"
        )  # tokenizer.json, by another library than SentencePiece
        other = from_hugging_face(tmp_path / "theirs")
        assert (other.frame, other.pad_id, other.encode(texts, pairs)) == (
            ours.frame,
            1,
            ours.encode(texts, pairs),
        )
        text = "the  cat sat 東京"
        windows = [inputs.windows(["mat"], [text])[0] for inputs in (ours, other)]
        assert windows[0].ids == windows[1].ids
        # A "▁" alone has an empty place here, that of the next letter there.
        pairs = [
            pair
            for pair in zip(*(window.offsets for window in windows))
            if pair[0] and pair[0][0] < pair[0][1]
        ]
        assert all(one == other for one, other in pairs) and text[slice(*pairs[-1][0])] == "京"

    def test_ids_are_those_of_sentencepiece_plus_one(self, folder):
        ours = from_hugging_face(folder)
        inner = ours.tokenizer.processor.encode("the q cat")
        assert 0 in inner
        assert ours.encode(["the q cat"])[0].ids == [
            0,
            *(3 if number == 0 else number + 1 for number in inner),
            2,
        ]


class TestKerasHub:
    def test_word_pieces(self):
        import keras_hub

        theirs = keras_hub.models.BertTokenizer(vocabulary=WORDS, lowercase=True)
        ours = from_keras_hub(theirs, two_types=True, max_length=8)
        assert (ours.pad_id, ours.vocab_size, ours.max_length) == (0, 16, 8)
        assert ours.encode(["The cats sat 猫"], max_length=8)[0].ids == [
            2,
            *list(map(int, theirs("The cats sat 猫"))),
            3,
        ]
        assert ours.encode(["a"], ["b"], max_length=8)[0] == Encoded(
            [2, 9, 3, 10, 3], [0, 0, 0, 1, 1], 5
        )

    @pytest.mark.parametrize(
        "lowercase, accents, ids",
        [
            (True, False, [6, 7]),
            (False, False, [1, 8]),
            (False, True, [1, 7]),
            (True, True, [6, 7]),
        ],
    )
    def test_case_and_accents(self, lowercase, accents, ids):
        """Checkpoints in lower case were trained without accents."""
        import keras_hub

        words = [*SPECIAL, "猫", "a", "e", "é"]
        theirs = keras_hub.models.BertTokenizer(words, lowercase=lowercase, strip_accents=accents)
        assert ids_of(from_keras_hub(theirs), "A é") == ids
        assert from_keras_hub(theirs).encode(["a"], ["a"])[0].types == [0] * 5

    def test_padding_that_is_not_the_first(self):
        import keras_hub

        words = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "猫", "坐", "[PAD]"]
        ours = from_keras_hub(
            keras_hub.models.BertTokenizer(words, split_on_cjk=False), max_length=9
        )
        assert (ours.pad_id, ours.max_length, ids_of(ours, "猫坐")) == (6, 9, [0])

    def test_options_of_byte_pairs(self):
        import keras_hub

        vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<mask>": 3, "a": 4, "Ġ": 5, "Ġa": 6}
        theirs = keras_hub.models.RobertaTokenizer(vocabulary, ["Ġ a"], add_prefix_space=True)
        ours = from_keras_hub(theirs, max_length=7)
        assert (ours.max_length, ids_of(ours, "a")) == (7, [6])

    def test_options_of_sentencepieces(self):
        import keras_hub

        for family in ("DebertaV3", "XLMRoberta"):
            theirs = getattr(keras_hub.models, f"{family}Tokenizer")(
                proto=sentencepiece_model(family)
            )
            assert from_keras_hub(theirs, max_length=11).max_length == 11

    def test_another_kind_is_refused(self):
        import keras_hub

        with pytest.raises(
            ConfigError, match="WordPiece, byte-pair or SentencePiece. Received: ByteTokenizer"
        ):
            from_keras_hub(keras_hub.tokenizers.ByteTokenizer())

    def test_byte_pairs(self):
        import keras_hub

        vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<mask>": 3, "a": 4, "Ġquick": 5, "Ġfox": 6}
        merges = ["Ġ q", "u i", "c k", "ui ck", "Ġq uick", "Ġ f", "o x", "Ġf ox"]
        for piece in (
            "Ġ",
            "q",
            "u",
            "i",
            "c",
            "k",
            "f",
            "o",
            "x",
            "Ġq",
            "ui",
            "ck",
            "uick",
            "Ġf",
            "ox",
        ):
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


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def bert(folder, words, options=None, special=None, **arguments):
    """Inputs by a vocab.txt of these words, which begin with id 5."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *words]) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(options or {}))
    if special:
        (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return from_hugging_face(folder, **arguments)


def pair_files(folder, vocabulary, merges, options=None, **arguments):
    """Inputs by a vocab.json and a merges.txt."""
    folder.mkdir(exist_ok=True)
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *vocabulary]
    (folder / "vocab.json").write_text(json.dumps({name: n for n, name in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(options or {}))
    return from_hugging_face(folder, **arguments)


def ids_of(inputs, text):
    """Without those at the ends."""
    return inputs.encode([text], max_length=inputs.max_length or 128)[0].ids[1:-1]


class TestWordPieceFiles:
    """Made-up vocabularies, ids by hand."""

    @pytest.mark.parametrize(
        "options, ids",
        [
            ({}, [5, 6, 7]),
            ({"do_lower_case": False}, [1, 8, 7]),
            ({"strip_accents": False}, [5, 8, 7]),
            ({"do_lower_case": False, "strip_accents": True}, [1, 6, 7]),
            ({"tokenize_chinese_chars": False}, [5, 6, 7]),
        ],
    )
    def test_case_and_accents(self, options, ids, tmp_path):
        assert ids_of(bert(tmp_path, ["a", "e", "猫", "é"], options), "A é 猫") == ids

    @pytest.mark.parametrize("chinese, ids", [(True, [5, 6]), (False, [1])])
    def test_chinese_characters_are_words(self, chinese, ids, tmp_path):
        assert (
            ids_of(bert(tmp_path, ["猫", "坐"], {"tokenize_chinese_chars": chinese}), "猫坐") == ids
        )
        assert ids_of(bert(tmp_path, ["猫", "坐"]), "猫坐") == [5, 6]

    def test_lines_are_what_newlines_part(self, tmp_path):
        """U+2028 is a word, and so is white space at the end."""
        inputs = bert(tmp_path, ["\u2028", "a", "\u3000"])
        assert (inputs.vocab_size, ids_of(inputs, "a")) == (8, [6])

    def test_of_a_word_that_stands_twice_the_later_counts(self, tmp_path):
        assert ids_of(bert(tmp_path, ["a", "b", "a"]), "a b") == [7, 6]

    def test_special_tokens_of_other_names(self, tmp_path):
        """The configuration counts more than the map; a name may be an object."""
        special = {
            "unk_token": "<u>",
            "sep_token": {"content": "<s>"},
            "cls_token": "a",
            "pad_token": "b",
        }
        options = {"cls_token": "<c>", "pad_token": {"content": "<p>"}, "mask_token": None}
        inputs = bert(tmp_path, ["<u>", "<s>", "<c>", "<p>", "a", "b"], options, special)
        assert (inputs.pad_id, inputs.encode(["a zz b"])[0].ids) == (8, [7, 9, 5, 10, 6])
        inputs = bert(tmp_path / "mask", ["a", "<m>"], {"mask_token": "<m>"})
        assert ids_of(inputs, "a <m>") == [5, 6]

    def test_special_tokens_within_a_text(self, tmp_path):
        inputs = bert(tmp_path, ["a", "[", "]", "mask"])
        assert ids_of(inputs, "a [MASK] [SEP]") == [5, 4, 3]
        assert ids_of(inputs, "[mask]") == [6, 8, 7]  # in lower case it is text

    def test_arguments(self, tmp_path):
        inputs = bert(tmp_path, ["a"], max_length=9, two_types=False)
        assert (inputs.max_length, inputs.pad_id) == (9, 0)
        assert inputs.encode(["a"], ["a"], max_length=9)[0].types == [0] * 5
        assert bert(tmp_path, ["a"]).encode(["a"], ["a"])[0].types == [0, 0, 0, 1, 1]
        assert bert(tmp_path, ["a"], {"pad_token": "a"}).pad_id == 5
        assert (
            bert(tmp_path, ["a"], {"pad_token": "a"}, pad_id=0).pad_id == 0
        )  # 0 is given, not left out
        assert bert(tmp_path, ["<pad>"]).pad_id == 0  # [PAD] before <pad>

    def test_which_file_is_read(self, tmp_path):
        """vocab.txt before vocab.json, tokenizer.json before both."""
        pair_files(tmp_path, ["b"], [])
        assert ids_of(bert(tmp_path, ["a", "b"]), "b") == [6]
        byte_level_bpe({"<s>": 0, "</s>": 1, "<pad>": 2, "a": 3}, []).save(
            str(tmp_path / "tokenizer.json")
        )
        inputs = from_hugging_face(tmp_path)
        assert (ids_of(inputs, "a"), inputs.pad_id, inputs.vocab_size) == ([3], 2, 4)

    def test_a_tokenizer_of_its_own(self):
        """Control characters are nothing; a name that is no word is not added."""
        tokenizer = word_piece([*SPECIAL[:4], "cat", "##s", "é", "e"])
        assert tokenizer.get_vocab_size() == 8
        assert tokenizer.encode("\x01CATS É").ids == [2, 4, 5, 7, 3]
        assert tokenizer.decode([4, 5, 7]) == "cats e"
        assert word_piece([*SPECIAL, "cat"]).token_to_id("[MASK]") == 4

    @pytest.mark.parametrize("name", ["[UNK]", "[CLS]", "[SEP]"])
    def test_what_a_vocabulary_must_hold(self, name):
        with pytest.raises(
            ConfigError, match=f"Received: 4 tokens without \\{name[:-1]}.. Use the model's own"
        ):
            word_piece([word for word in SPECIAL if word != name])


class TestBytePairFiles:
    def test_merges_and_what_is_none(self, tmp_path):
        """The first line is a comment, "# #" is none; blank lines say nothing."""
        inputs = pair_files(tmp_path, ["#", "a", "##", "b", "Ġ", "Ġb"], ["# #", "", "Ġ b"])
        assert ids_of(inputs, "##b b") == [7, 8, 10]
        assert inputs.encode(["a"], ["b"])[0] == Encoded([0, 6, 2, 2, 8, 2], [0] * 6, 6)
        assert (inputs.pad_id, inputs.vocab_size, inputs.max_length) == (1, 11, None)

    @pytest.mark.parametrize("prefix, ids", [(True, [7, 7]), (False, [5, 7])])
    def test_a_space_before_the_text(self, prefix, ids, tmp_path):
        options = {"add_prefix_space": prefix}
        assert ids_of(pair_files(tmp_path, ["a", "Ġ", "Ġa"], ["Ġ a"], options), "a a") == ids
        assert ids_of(pair_files(tmp_path, ["a", "Ġ", "Ġa"], ["Ġ a"]), "a a") == [5, 7]

    @pytest.mark.parametrize("line", ["a", "a b c"])
    def test_a_merge_is_of_two(self, line, tmp_path):
        with pytest.raises(ConfigError, match=f"must have two subwords. Received: '{line}'"):
            pair_files(tmp_path, ["a", "b", "c"], [line])

    def test_one_file_of_two_is_not_enough(self, tmp_path):
        (tmp_path / "vocab.json").write_text("{}")
        with pytest.raises(ConfigError, match="needs a tokenizer.* Received: .* with vocab.json"):
            from_hugging_face(tmp_path)

    def test_a_tokenizer_of_its_own(self):
        pieces = ["<s>", "</s>", "<mask>", "a", "Ġ", "b", "Ġb"]
        plain = byte_level_bpe({name: number for number, name in enumerate(pieces)}, [("Ġ", "b")])
        # The mask takes the space before it; what is unknown is nothing without an <unk>.
        found = plain.encode("a <mask>qb b")
        assert found.ids == [0, 3, 2, 5, 6, 1] and found.offsets[-2] == (11, 12)
        assert plain.decode([3, 6]) == "a b" and plain.get_vocab_size() == 7
        known = byte_level_bpe({**plain.get_vocab(), "<unk>": 7}, [])
        assert known.encode("aq").ids == [0, 3, 7, 1]
        with pytest.raises(ConfigError, match="2 tokens without </s>"):
            byte_level_bpe({"<s>": 0, "a": 1}, [])


def test_xlm_r_by_hand(tmp_path):
    """<s> 0, <pad> 1, </s> 2, <unk> 3, pieces one further, <mask> last."""
    (tmp_path / "sentencepiece.bpe.model").write_bytes(sentencepiece_model("XLMRoberta"))
    inputs = from_hugging_face(tmp_path, max_length=30)
    count = inputs.tokenizer.num_pieces
    assert (inputs.pad_id, inputs.max_length, inputs.vocab_size) == (1, 30, count + 2)
    the = [number + 1 for number in inputs.tokenizer.processor.encode("the")]
    (found,) = inputs.encode(["the"], ["the"], max_length=30)
    assert found == Encoded([0, *the, 2, 2, *the, 2], [0] * (4 + 2 * len(the)), 4 + 2 * len(the))
    assert inputs.encode(["京 q"], max_length=30)[0].ids[-2] == 3


class TestRefusals:
    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(ConfigError, match="needs a tokenizer.* with no files"):
            from_hugging_face(tmp_path / "none")

    def test_a_vocabulary_that_is_no_text(self, tmp_path):
        (tmp_path / "vocab.txt").write_bytes(b"[PAD]\n\xff\n")
        with pytest.raises(ConfigError, match="must be readable UTF-8. Received: .*vocab.txt"):
            from_hugging_face(tmp_path)

    def test_padding_must_be_known(self, tmp_path):
        (tmp_path / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\na\n")
        with pytest.raises(ConfigError, match=r"Received: a tokenizer without \[PAD\], <pad>"):
            from_hugging_face(tmp_path)
        assert from_hugging_face(tmp_path, pad_id=3).pad_id == 3

    def test_files(self, tmp_path):
        with pytest.raises(ConfigError, match="needs a tokenizer.* with no files"):
            from_hugging_face(tmp_path)
        with pytest.raises(ConfigError, match="text_inputs.json"):
            load_text_inputs(tmp_path)
        (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n")
        with pytest.raises(ConfigError, match=r"3 tokens without \[SEP\]"):
            from_hugging_face(tmp_path)
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(ConfigError, match="must be a file of Hugging Face's"):
            from_hugging_face(tmp_path)
        (tmp_path / "tokenizer_config.json").write_text("{")
        with pytest.raises(ConfigError, match="tokenizer_config.json must be JSON"):
            from_hugging_face(tmp_path)

    def test_special_tokens_of_other_names(self):
        with pytest.raises(ConfigError, match="without <s>, </s>"):
            byte_level_bpe({"a": 0}, [])
        tokenizer = word_piece(
            ["<u>", "<s>", "<c>", "a"], names={"unk": "<u>", "sep": "<s>", "cls": "<c>"}
        )
        assert tokenizer.encode("a b").ids == [2, 3, 0, 1]

    def test_a_tokenizer_that_frames_one_text_otherwise_than_two(self):
        from tokenizers.processors import TemplateProcessing

        tokenizer = word_piece(WORDS)
        tokenizer.post_processor = TemplateProcessing(
            "$A", "[CLS] $A [SEP] $B:1", [("[CLS]", 2), ("[SEP]", 3)]
        )
        with pytest.raises(ConfigError, match="a single text and a pair with the same special"):
            HuggingFaceInputs(tokenizer, 0)
