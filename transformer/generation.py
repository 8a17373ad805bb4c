"""From strings to strings: tokenizer, model and decoding put together."""

import json
import pathlib
import re

import keras
import numpy as np
from keras import ops

from transformer.config import ConfigError, DecodingConfig
from transformer.decoding import decode
from transformer.tokenizer import load_tokenizers

# Source lengths are padded up to one of these, so that few graphs serve every input.
LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
# Positions, padding included, that are encoded at once.
TOKENS = 2048
# Where a line too long for the model may be cut, the best place first: after a sentence, a clause, a word.
BREAKS = (r"(?<=[.!?])\s+|(?<=[。！？])", r"(?<=[,;:])\s+|(?<=[，；：、])", r"\s+")


class Generator:
    """Writes a target text for each source text.

        generator = Generator.from_run("runs/multi30k_en_de", beam_size=4)
        generator(["A dog runs."])                          # ["Ein Hund rennt."]

    Args:
        model: a built Transformer.
        source_tokenizer, target_tokenizer: see transformer.tokenizer.
        config: a DecodingConfig.
        max_source_length: longest source in tokens; a longer text is cut at sentence ends, clauses or words, and the
            outputs of its pieces are joined, so that nothing of it is dropped.
        lowercase: lowercase the source, for a model that was trained so.
    """

    def __init__(
        self, model, source_tokenizer, target_tokenizer, config=DecodingConfig(), max_source_length=128, lowercase=False
    ):
        self.model, self.config, self.max_source_length, self.lowercase = model, config, max_source_length, lowercase
        self.source_tokenizer, self.target_tokenizer = source_tokenizer, target_tokenizer
        self._compiled = {}

    @classmethod
    def from_run(cls, run, **decoding):
        """A Generator from a run folder; `decoding` are fields of DecodingConfig that replace the run's own.

        Raises:
            ConfigError: the folder holds no finished run.
        """
        run = pathlib.Path(run)
        if not (run / "model.keras").exists():
            raise ConfigError(
                f"a run folder must hold model.keras, which train.py writes at its end. Received: {run}. "
                "Name another --run, or run its training command again."
            )
        import transformer.model  # noqa: F401  registers the layers that the file names

        try:
            config = json.loads((run / "config.json").read_text(encoding="utf-8"))
            limits = config["data"]["max_source_length"], config["data"]["lowercase"]
            model = keras.models.load_model(run / "model.keras", compile=False)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"a run folder must be whole. Received: {run} ({error}). Run its training command again.") from None
        decoding = DecodingConfig(**{**config["decoding"], **decoding})
        return cls(model, *load_tokenizers(run / "tokenizer"), decoding, *limits)

    def __call__(self, texts):
        """list of str -> list of str: the best output for each, in order; an empty text gives an empty one."""
        return [outputs[0][0] for outputs in self.n_best(texts)]

    def n_best(self, texts, first=0):
        """For each text its `config.n_best` outputs, best first: a list of (text, score).

        The score is the length-penalised log-probability; over the pieces of a long text scores add up. `first` is the
        number of the first text among all: what is sampled for a text depends on the seed and on its number.
        """
        texts = [text.strip().lower() if self.lowercase else text.strip() for text in texts]
        pieces = [
            (number, part, piece)
            for number, (text, ids) in enumerate(zip(texts, self.source_tokenizer.encode(texts)))
            for part, piece in enumerate(self._pieces(text, ids))
        ]
        answers = [[("", 0.0)] * self.config.n_best for _ in texts]
        names = [((first + number) << 16) + part for number, part, _ in pieces]
        for (number, _, _), outputs in zip(pieces, self._generate([piece for _, _, piece in pieces], names)):
            joined = zip(answers[number], outputs)
            answers[number] = [(_join(before, text), total + score) for (before, total), (text, score) in joined]
        return answers

    def source_ids(self, text):
        """The ids of a text as the model gets them, the end token included."""
        text = text.strip().lower() if self.lowercase else text.strip()
        return [*self.source_tokenizer.encode([text])[0], self.source_tokenizer.eos_id]

    def _pieces(self, text, ids):
        """The ids of a text, or of the pieces it is cut into: each at most `max_source_length` with the end token."""
        if not ids:
            return []
        if len(ids) < self.max_source_length or len(text) == 1:  # a character may have more bytes than there is room
            return [[*ids[: self.max_source_length - 1], self.source_tokenizer.eos_id]]
        halves = [half.strip() for half in _halves(text)]
        return [piece for half, ids in zip(halves, self.source_tokenizer.encode(halves)) for piece in self._pieces(half, ids)]

    def _generate(self, sources, names):
        """Ids, a list a source, each ending in the end token -> a list of (text, score) a source; `names`: see `_draws`."""
        answers = [None] * len(sources)
        sizes = [size for size in LENGTHS if size < self.max_source_length] + [self.max_source_length]
        for indices, length in source_batches([len(ids) for ids in sources], TOKENS // self.config.beam_size, sizes):
            batch = np.full((len(indices), length), self.model.config.input_pad_id, "int32")
            for row, index in enumerate(indices):
                batch[row, : len(sources[index])] = sources[index]
            limits = [self.longest_output(len(sources[index])) for index in indices]
            draws = self._draws([names[index] for index in indices], self.longest_output(length))
            ids, scores = self._decoder(length)(batch, np.asarray(limits, "int32"), draws)
            ids, scores = ops.convert_to_numpy(ids), ops.convert_to_numpy(scores)
            for row, index in enumerate(indices):
                texts = self.target_tokenizer.decode(ids[row].tolist())
                answers[index] = [(" ".join(text.split("\n")), float(s)) for text, s in zip(texts, scores[row])]
        return answers

    def longest_output(self, source_length):
        """The most tokens, the end token included, that are written for a source of so many."""
        limit = self.config.max_length or 2 * source_length + 10
        model = self.model.config
        return min(limit, model.max_positions) if model.positions == "learned" else limit

    def _draws(self, names, length):
        """Uniform numbers, float32 (length, B): for a source of the same name (an int) the same in whatever batch."""
        if not self.config.temperature:
            return np.zeros((length, len(names)), "float32")
        generators = [np.random.Generator(np.random.Philox(key=[self.config.sampling_seed, name])) for name in names]
        return np.stack([generator.random(length, "float32") for generator in generators], axis=1)

    def _decoder(self, source_length):
        """The compiled function of one padded source length: (source (B, S), limits (B,), draws (T, B)) -> (ids, scores)."""
        if source_length not in self._compiled:
            self._compiled[source_length] = _compile(self._decode, source_length, self.longest_output(source_length))
        return self._compiled[source_length]

    def _decode(self, source, limits, draws):
        batch, length = ops.shape(source)[0], draws.shape[0]
        caches, constants = self.model.start(source, length)

        def step(ids, position, caches):
            return self.model.step(ids, position, caches, constants)

        tokenizer = self.target_tokenizer
        return decode(
            step, caches, self.config, batch_size=batch, max_lengths=limits, length=length,
            bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id, pad_id=tokenizer.pad_id, draws=draws,
        )  # fmt: skip


def _compile(function, source_length, length):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    signature = [
        tf.TensorSpec([None, source_length], "int32"), tf.TensorSpec([None], "int32"), tf.TensorSpec([length, None], "float32"),
    ]  # fmt: skip
    return tf.function(function, input_signature=signature)


def source_batches(lengths, max_tokens, sizes=LENGTHS):
    """Groups sources for decoding: sorted by length, padded to one of `sizes`, at most `max_tokens` a batch.

    Args:
        lengths: list of int, none above the last size. max_tokens: padded positions in a batch; one source may exceed it
            alone.

    Returns:
        A list of (indices, padded length).
    """
    batches, current, padded = [], [], 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = next(size for size in sizes if size >= lengths[index])
        if current and (length != padded or (len(current) + 1) * length > max_tokens):
            batches.append((current, padded))
            current = []
        current, padded = [*current, index], length
    return [*batches, (current, padded)] if current else batches


def _halves(text):
    """Cuts a text in two near its middle, after a sentence if there is one, else a clause, a word, a character."""
    middle = len(text) // 2
    for pattern in BREAKS:
        places = [match.end() for match in re.finditer(pattern, text) if 0 < match.end() < len(text)]
        near = [place for place in places if len(text) / 4 <= place <= 3 * len(text) / 4]
        if near:
            middle = min(near, key=lambda place: abs(place - len(text) // 2))
            break
    return text[:middle], text[middle:]


def _join(before, text):
    """Joins the outputs of two pieces: with a space, unless the script writes none."""
    if not before or not text:
        return before or text
    spaceless = any("\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef" for character in before[-1] + text[0])
    return before + ("" if spaceless else " ") + text
