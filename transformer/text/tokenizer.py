"""Tokenizers: SentencePiece (Kudo & Richardson 2018), bytes and characters.

SentencePiece and character tokenizers are trained on the run's own data. Every tokenizer made here
has pad 0, unk 1, bos 2 and eos 3. `encode` adds none of them, and `decode` stops at the first eos.
`graph()` returns an object that gives the same ids inside a TensorFlow graph.
"""

import io
import json
import pathlib
import random

from transformer.config import ConfigError
from transformer.files import replacing

# The texts of pad_id, unk_id, bos_id and eos_id.
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
# How far sampled subwords may be from the best split: the exponent of the probability for a unigram
# model, and the share of merges left out for BPE. The value is that of both papers.
SAMPLING = 0.1
# A vocabulary trained on a million random texts is no worse than one trained on more.
MOST_TEXTS = 1_000_000


class Tokenizer:
    """Base class of the tokenizers: the special ids, and where a list of ids ends.

    Attributes:
        pad_id: int, the id of padding.
        unk_id: int, the id of unknown text.
        bos_id: int, the id at the start of a target.
        eos_id: int, the id at the end of a text.
    """

    pad_id, unk_id, bos_id, eos_id = range(4)

    def _content(self, ids):
        """Returns the ids before the first eos, without pad and bos."""
        ids = list(ids)
        if self.eos_id in ids:
            ids = ids[: ids.index(self.eos_id)]
        return [number for number in ids if number not in (self.pad_id, self.bos_id)]

    def sample(self, texts, seed):
        """Raises ConfigError, because this tokenizer has only one way to split a text."""
        raise ConfigError(
            f"subword_samples > 1 needs a SentencePiece tokenizer. Received: a {self.kind} "
            "tokenizer, which splits a text in only one way. Use --subword_samples=1."
        )


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece tokenizer.

    Args:
        model: bytes, the content of a .model file. The special ids are read from it. If it has no
            pad, bos or eos, an id is added after the last subword. For example, T5 has no bos and
            OPUS-MT has no pad.

    Attributes:
        num_pieces: int, the number of subwords in the model.
        vocab_size: int, the number of ids, added ids included.

    Raises:
        ConfigError: `model` is not a SentencePiece model.
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
        """Encodes texts as ids.

        Args:
            texts: list of str.

        Returns:
            A list of lists of int.
        """
        return self.processor.encode(list(texts))

    def sample(self, texts, seed):
        """Encodes texts as ids, split into subwords at random.

        A unigram model samples a split by its probability (Kudo 2018, "Subword Regularization"). A
        BPE model leaves out some of its merges (Provilkov et al. 2020, "BPE-Dropout").

        Args:
            texts: list of str.
            seed: int. The same texts and seed give the same ids.

        Returns:
            A list of lists of int.
        """
        import sentencepiece

        # Each call runs in a new thread, whose random generator starts from this seed.
        sentencepiece.set_random_generator_seed(seed)
        return self.processor.encode(
            list(texts), enable_sampling=True, alpha=SAMPLING, nbest_size=-1, num_threads=1
        )

    def decode(self, ids):
        """Decodes ids to texts.

        Args:
            ids: list of lists of int.

        Returns:
            A list of str.
        """
        rows = [
            [number for number in self._content(row) if number < self.num_pieces] for row in ids
        ]
        return self.processor.decode(rows) if rows else []

    def pieces(self, text):
        """Returns the subwords of a text as a list of str, for display."""
        return self.processor.encode(text, out_type=str)

    def knows(self, word):
        """Returns whether a word is a single subword, at the start of a word or inside one."""
        return any(
            self.processor.piece_to_id(piece) != self.unk_id for piece in (f"\u2581{word}", word)
        )

    def vocabulary(self):
        """Returns the subwords of all ids, a list of distinct str."""
        added = [f"<id {number}>" for number in range(self.num_pieces, self.vocab_size)]
        return [*map(self.processor.id_to_piece, range(self.num_pieces)), *added]

    def graph(self):
        """Returns a `tensorflow_text.SentencepieceTokenizer`.

        Its `tokenize` turns a string tensor of shape (B,) into ragged int32 ids, and its
        `detokenize` turns ids into strings.
        """
        import tensorflow_text

        return tensorflow_text.SentencepieceTokenizer(self.model)

    def to_bytes(self):
        """Returns the content of the .model file."""
        return self.model


class ByteTokenizer(Tokenizer):
    """A tokenizer of UTF-8 bytes.

    Byte b has id b + 4, so there are 260 ids. There is nothing to train, and no text is unknown.
    """

    kind, vocab_size = "byte", 260

    def encode(self, texts):
        """Encodes texts as ids.

        Args:
            texts: list of str.

        Returns:
            A list of lists of int.
        """
        return [[byte + 4 for byte in text.encode("utf-8", "surrogatepass")] for text in texts]

    def decode(self, ids):
        """Decodes ids to texts.

        Args:
            ids: list of lists of int. Bytes that are not valid UTF-8 become U+FFFD.

        Returns:
            A list of str.
        """
        rows = (bytes(number - 4 for number in self._content(row) if number >= 4) for row in ids)
        return [row.decode("utf-8", "replace") for row in rows]

    def pieces(self, text):
        """Returns the bytes of a text in hexadecimal, a list of str."""
        return [f"{byte:02x}" for byte in text.encode("utf-8")]

    def vocabulary(self):
        """Returns the special tokens and all bytes in hexadecimal, in the order of their ids."""
        return [*SPECIAL, *(f"{byte:02x}" for byte in range(256))]

    def graph(self):
        """Returns an object with `tokenize` and `detokenize` for TensorFlow graphs."""
        return _ByteGraph()

    def to_bytes(self):
        """Returns the content of the .model file, which is empty."""
        return b""


class _ByteGraph:
    def tokenize(self, texts):
        import tensorflow as tf

        characters = tf.strings.bytes_split(texts)
        # Reshape instead of squeezing: a batch of empty texts has no bytes, and then decode_raw
        # returns no second dimension.
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
    """A tokenizer of characters. Characters that are not in the training data are unknown.

    Args:
        characters: str of distinct characters. Character i has id i + 4.
    """

    kind = "character"

    def __init__(self, characters):
        self.characters = characters
        self.vocab_size = len(characters) + 4
        self.ids = {character: number for number, character in enumerate(characters, 4)}

    def encode(self, texts):
        """Encodes texts as ids.

        Args:
            texts: list of str.

        Returns:
            A list of lists of int.
        """
        return [[self.ids.get(character, self.unk_id) for character in text] for text in texts]

    def decode(self, ids):
        """Decodes ids to texts.

        Args:
            ids: list of lists of int. The unknown id becomes U+FFFD.

        Returns:
            A list of str.
        """
        table = "\ufffd" * 4 + self.characters
        return ["".join(table[number] for number in self._content(row)) for row in ids]

    def pieces(self, text):
        """Returns the characters of a text, a list of str."""
        return list(text)

    def vocabulary(self):
        """Returns the special tokens and all characters, in the order of their ids."""
        return [*SPECIAL, *self.characters]

    def graph(self):
        """Returns an object with `tokenize` and `detokenize` for TensorFlow graphs."""
        return _CharacterGraph(self.characters)

    def to_bytes(self):
        """Returns the content of the .model file: the characters in UTF-8."""
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
    """Trains a tokenizer on texts.

    Args:
        texts: iterable of str. At most MOST_TEXTS of them are used, drawn at random.
        config: `TokenizerConfig`. If the texts cannot fill `vocab_size` subwords, there are fewer.

    Returns:
        A `Tokenizer`. Its `vocab_size` is the actual number of ids.

    Raises:
        ConfigError: there is no text, or `vocab_size` is too small for the characters and bytes
            that it must hold.
    """
    texts = list(texts)
    if len(texts) > MOST_TEXTS:
        texts = random.Random(1).sample(texts, MOST_TEXTS)
    if not any(texts):
        raise ConfigError(
            "a tokenizer needs text to train on. Received: no text. Check the training files."
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
            # If the texts cannot fill the vocabulary, make it smaller.
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            byte_fallback=True,
            normalization_rule_name=config.normalization,
            # With identity normalization, no space is added, dropped or merged.
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
            "vocab_size must have room for every character, 256 bytes and 4 special ids. "
            f"Received: {config.vocab_size} ({error}). Use a larger --vocab_size or a smaller "
            "--character_coverage."
        ) from None
    return model.getvalue()


def load_tokenizer(path):
    """Loads a tokenizer from a SentencePiece .model file.

    Args:
        path: str or path of the file.

    Returns:
        A `SentencePieceTokenizer`.

    Raises:
        ConfigError: the file does not exist, or is not a SentencePiece model.
    """
    try:
        model = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"a tokenizer file must be readable. Received: {path} ({error.strerror})."
        ) from None
    return SentencePieceTokenizer(model)


def save_tokenizers(folder, source, target):
    """Writes a pair of tokenizers into a folder.

    The folder gets joint.model if both are the same object, and otherwise source.model and
    target.model. tokenizer.json names the kind of each.

    Args:
        folder: str or path. The folder is created if it does not exist.
        source: the tokenizer of the sources.
        target: the tokenizer of the targets.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pair = {"joint": source} if source is target else {"source": source, "target": target}
    files = {f"{name}.model": tokenizer.to_bytes() for name, tokenizer in pair.items()}
    kinds = {name: tokenizer.kind for name, tokenizer in pair.items()}
    for name, content in {**files, "tokenizer.json": json.dumps(kinds).encode() + b"\n"}.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)


def load_tokenizers(folder):
    """Loads the tokenizers that `save_tokenizers` wrote.

    Args:
        folder: str or path.

    Returns:
        A tuple `(source, target)` of tokenizers. Both are the same object if the vocabulary is
        joint.

    Raises:
        ConfigError: a file is missing or broken.
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
            "a tokenizer folder must contain tokenizer.json and the .model files that it names. "
            f"Received: {folder} ({error})."
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
