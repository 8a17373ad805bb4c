"""Text to ids and back: SentencePiece (Kudo & Richardson 2018) learnt from the run's own data, or
bytes, or characters.

Every tokenizer made here has pad 0, unk 1, bos 2, eos 3. `encode` adds none of them, `decode` stops
at the first eos. `graph()` gives the same ids inside a TensorFlow graph, by tensorflow-text.
"""

import io
import json
import pathlib
import random

from transformer.config import ConfigError
from transformer.files import replacing

# The pieces of pad_id, unk_id, bos_id and eos_id.
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
# How far drawn pieces are from the best: the probability's exponent and the share of merges left
# out, as in both papers.
SAMPLING = 0.1
# A vocabulary learnt from a million texts, drawn at random, is no worse than one learnt from more.
MOST_TEXTS = 1_000_000


class Tokenizer:
    """What the three kinds share: special ids, and how a list of ids ends."""

    pad_id, unk_id, bos_id, eos_id = range(4)

    def _content(self, ids):
        """The ids before the first eos, without pad and bos."""
        ids = list(ids)
        if self.eos_id in ids:
            ids = ids[: ids.index(self.eos_id)]
        return [number for number in ids if number not in (self.pad_id, self.bos_id)]

    def sample(self, texts, seed):
        """Refused: a text has one way to be split."""
        raise ConfigError(
            f"subword_samples needs a SentencePiece tokenizer. Received: one of {self.kind}s, "
            f"which has one way to split a text. "
            "Use --subword_samples=1."
        )


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model.

    Args:
        model: the bytes of a .model file. Its special ids are read from it; where it has no pad,
            bos or eos (T5 has no bos, OPUS-MT no pad), one is added behind its last piece.
    """

    kind = "sentencepiece"

    def __init__(self, model):
        import sentencepiece

        self.model = model
        try:
            self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ConfigError(
                f"a tokenizer file must be a SentencePiece model. Received: {error}."
            ) from None
        self.num_pieces = self.vocab_size = self.processor.get_piece_size()
        self.unk_id = self.processor.unk_id()
        self.pad_id, self.bos_id, self.eos_id = (
            self._special(number)
            for number in (
                self.processor.pad_id(),
                self.processor.bos_id(),
                self.processor.eos_id(),
            )
        )

    def _special(self, number):
        if number >= 0:
            return number
        self.vocab_size += 1
        return self.vocab_size - 1

    def encode(self, texts):
        """list of str -> list of lists of int."""
        return self.processor.encode(list(texts))

    def sample(self, texts, seed):
        """As `encode`, into pieces drawn at random: of a unigram model by their probability (Kudo
        2018, "Subword Regularization"), of BPE without a share of its merges (Provilkov et al.
        2020, "BPE-Dropout"). The same for the same texts and seed.
        """
        import sentencepiece

        # Each call has a new thread, whose generator begins with this seed.
        sentencepiece.set_random_generator_seed(seed)
        return self.processor.encode(
            list(texts), enable_sampling=True, alpha=SAMPLING, nbest_size=-1, num_threads=1
        )

    def decode(self, ids):
        """list of lists of int -> list of str."""
        rows = [
            [number for number in self._content(row) if number < self.num_pieces] for row in ids
        ]
        return self.processor.decode(rows) if rows else []

    def pieces(self, text):
        """The pieces of one text as strings, for people to look at."""
        return self.processor.encode(text, out_type=str)

    def knows(self, word):
        """Whether a word is one piece, at the start of a word or within one."""
        return any(
            self.processor.piece_to_id(piece) != self.unk_id for piece in (f"\u2581{word}", word)
        )

    def vocabulary(self):
        """The pieces of all ids, distinct strings."""
        added = [f"<id {number}>" for number in range(self.num_pieces, self.vocab_size)]
        return [*map(self.processor.id_to_piece, range(self.num_pieces)), *added]

    def graph(self):
        """A tensorflow_text.SentencepieceTokenizer: tokenize(str (B,)) -> ragged int32,
        detokenize the way back."""
        import tensorflow_text

        return tensorflow_text.SentencepieceTokenizer(self.model)

    def to_bytes(self):
        return self.model


class ByteTokenizer(Tokenizer):
    """UTF-8 bytes, each byte b as id b + 4: 260 ids, nothing to learn, nothing unknown."""

    kind, vocab_size = "byte", 260

    def encode(self, texts):
        """list of str -> list of lists of int."""
        return [[byte + 4 for byte in text.encode("utf-8", "surrogatepass")] for text in texts]

    def decode(self, ids):
        """list of lists of int -> list of str; bytes that are no UTF-8 become U+FFFD."""
        rows = (bytes(number - 4 for number in self._content(row) if number >= 4) for row in ids)
        return [row.decode("utf-8", "replace") for row in rows]

    def pieces(self, text):
        """The bytes of one text in hexadecimal."""
        return [f"{byte:02x}" for byte in text.encode("utf-8")]

    def vocabulary(self):
        """As for SentencePiece."""
        return [*SPECIAL, *(f"{byte:02x}" for byte in range(256))]

    def graph(self):
        """The same in TensorFlow: an object with tokenize and detokenize."""
        return _ByteGraph()

    def to_bytes(self):
        return b""


class _ByteGraph:
    def tokenize(self, texts):
        import tensorflow as tf

        characters = tf.strings.bytes_split(texts)
        # A batch of empty texts has no bytes, and decode_raw no second dimension to squeeze.
        values = (
            tf.cast(tf.reshape(tf.io.decode_raw(characters.flat_values, tf.uint8), [-1]), tf.int32)
            + 4
        )
        return characters.with_flat_values(values)

    def detokenize(self, ids):
        import tensorflow as tf

        table = tf.constant([bytes([number]) for number in range(256)])
        return tf.strings.reduce_join(
            ids.with_flat_values(tf.gather(table, ids.flat_values - 4)), axis=-1
        )


class CharacterTokenizer(Tokenizer):
    """One id a character of the training data; any other is unknown.

    Args:
        characters: str of distinct characters; character i has id i + 4.
    """

    kind = "character"

    def __init__(self, characters):
        self.characters = characters
        self.vocab_size = len(characters) + 4
        self.ids = {character: number for number, character in enumerate(characters, 4)}

    def encode(self, texts):
        """list of str -> list of lists of int."""
        return [[self.ids.get(character, self.unk_id) for character in text] for text in texts]

    def decode(self, ids):
        """list of lists of int -> list of str; unknown becomes U+FFFD."""
        table = "\ufffd" * 4 + self.characters
        return ["".join(table[number] for number in self._content(row)) for row in ids]

    def pieces(self, text):
        """The characters of one text."""
        return list(text)

    def vocabulary(self):
        """As for SentencePiece."""
        return [*SPECIAL, *self.characters]

    def graph(self):
        """The same in TensorFlow: an object with tokenize and detokenize."""
        return _CharacterGraph(self.characters)

    def to_bytes(self):
        return self.characters.encode("utf-8")


class _CharacterGraph:
    def __init__(self, characters):
        import tensorflow as tf

        values = tf.range(4, len(characters) + 4, dtype=tf.int64)
        pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(list(characters)), values)
        self.table = tf.lookup.StaticHashTable(pairs, default_value=1)
        self.characters = tf.constant(["\ufffd"] * 4 + list(characters))

    def tokenize(self, texts):
        import tensorflow as tf

        characters = tf.strings.unicode_split(texts, "UTF-8")
        return characters.with_flat_values(
            tf.cast(self.table.lookup(characters.flat_values), tf.int32)
        )

    def detokenize(self, ids):
        import tensorflow as tf

        return tf.strings.reduce_join(
            ids.with_flat_values(tf.gather(self.characters, ids.flat_values)), axis=-1
        )


def train_tokenizer(texts, config):
    """Learns a tokenizer from texts.

    Args:
        texts: iterable of str.
        config: a TokenizerConfig. Where the data cannot fill `vocab_size` pieces, fewer are learnt.

    Returns:
        A Tokenizer; `vocab_size` tells how many ids it really has.

    Raises:
        ConfigError: there is no text, or vocab_size is too small for the characters and bytes it
            must hold.
    """
    texts = list(texts)
    if len(texts) > MOST_TEXTS:
        texts = random.Random(1).sample(texts, MOST_TEXTS)
    if not any(texts):
        raise ConfigError(
            "a tokenizer needs text to learn from. Received: no text. Check the training files."
        )
    if config.tokenizer == "byte":
        return ByteTokenizer()
    if config.tokenizer == "character":
        return CharacterTokenizer(
            "".join(sorted({character for text in texts for character in text}))
        )
    return SentencePieceTokenizer(_train_sentencepiece(texts, config))


def _train_sentencepiece(texts, config):
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=config.tokenizer,
            vocab_size=config.vocab_size,
            # Where the texts cannot fill it, it is as large as they make it.
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            byte_fallback=True,
            normalization_rule_name=config.normalization,
            # Identity means identity: no space is added, dropped or merged.
            remove_extra_whitespaces=config.normalization != "identity",
            add_dummy_prefix=config.normalization != "identity",
            user_defined_symbols=list(config.user_symbols),
            max_sentence_length=1 << 20,
            num_threads=2,
            minloglevel=2,
            **{f"{name}_id": number for number, name in enumerate(("pad", "unk", "bos", "eos"))},
        )
    except RuntimeError as error:
        raise ConfigError(
            f"vocab_size must hold every character, 256 bytes and 4 special ids. Received: "
            f"{config.vocab_size} ({error}). "
            "Use a larger --vocab_size or a smaller --character_coverage."
        ) from None
    return model.getvalue()


def load_tokenizer(path):
    """A tokenizer from a SentencePiece .model file.

    Raises:
        ConfigError: there is no such file, or it is no SentencePiece model.
    """
    try:
        model = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"a tokenizer file must be readable. Received: {path} ({error.strerror})."
        ) from None
    return SentencePieceTokenizer(model)


def save_tokenizers(folder, source, target):
    """Writes a pair of tokenizers into a folder: tokenizer.json, and joint.model or source.model
    and target.model."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pair = {"joint": source} if source is target else {"source": source, "target": target}
    files = {f"{name}.model": tokenizer.to_bytes() for name, tokenizer in pair.items()}
    kinds = {name: tokenizer.kind for name, tokenizer in pair.items()}
    for name, content in {**files, "tokenizer.json": json.dumps(kinds).encode() + b"\n"}.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)


def load_tokenizers(folder):
    """The (source, target) pair that `save_tokenizers` wrote; one object twice where the vocabulary
    is joint.

    Raises:
        ConfigError: the folder holds none.
    """
    folder = pathlib.Path(folder)
    try:
        kinds = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        made = {
            name: _from_bytes(kind, (folder / f"{name}.model").read_bytes())
            for name, kind in kinds.items()
        }
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError(
            f"a tokenizer folder must hold tokenizer.json and its models. Received: {folder} "
            f"({error})."
        ) from None
    return (made["joint"], made["joint"]) if "joint" in made else (made["source"], made["target"])


def _from_bytes(kind, content):
    if kind == "byte":
        return ByteTokenizer()
    return (
        CharacterTokenizer(content.decode("utf-8"))
        if kind == "character"
        else SentencePieceTokenizer(content)
    )
