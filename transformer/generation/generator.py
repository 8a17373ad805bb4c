"""From strings to strings: tokenizer, model and decoding put together."""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import re
import threading
import zipfile

import keras
import numpy as np
from keras import ops

from transformer.compilation import compiled, graph
from transformer.config import ConfigError, DecodingConfig, ModelConfig
from transformer.generation.search import decode, make_search
from transformer.text.symbols import hide, show
from transformer.text.tokenizer import load_tokenizers
from transformer.training.checkpoints import read_config

# Most hypotheses that are written at once: enough that arithmetic costs more than the calls of the
# operations.
ROWS = 192
# Most source positions, padding included, that are encoded at once.
TOKENS = 4096
# The finished sentences leave when this share of a batch is left.
LEFT = 0.5
# A text that is asked for alone and writes at most so many tokens needs no graph, which takes
# seconds to make; if it is not among the first few.
SHORT, FEW = 64, 8
# Where a line too long for the model may be cut, the best place first: after a sentence, a clause,
# a word.
BREAKS = (r"(?<=[.!?])\s+|(?<=[。！？])", r"(?<=[,;:])\s+|(?<=[，；：、])", r"\s+")
# The token that names the target's language, without which no piece of a line can be translated.
LANGUAGE = re.compile(r"(?:<2\w+> *)?")


def one_core_a_batch():
    """Makes TensorFlow compute an operation on one core, unless it has begun: the batches of a
    file, which are decoded side by side, are then half as fast again. Other cores are free for
    other batches, so a single text gains nothing.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # it has begun, in a notebook for example
            tf.config.threading.set_intra_op_parallelism_threads(1)


def reading_of(data):
    """The arguments of a Generator that say how it reads a source; `data`: what a run's
    config.json has of its data, a dict."""
    return {
        "max_source_length": data["max_source_length"],
        "lowercase": data["lowercase"],
        "in_pieces": data["task"] == "translation",
        "copy_unknown": data["copy_unknown"],
        "merge_spaces": data["clean"] and data["task"] != "code",
    }


class Generator:
    """Writes a target text for each source text.

        generator = Generator.from_run("runs/multi30k_en_de", beam_size=4)
        generator(["A dog runs."])                          # ["Ein Hund rennt."]

    Args:
        model: a built Transformer.
        source_tokenizer, target_tokenizer: see transformer.text.tokenizer.
        config: a DecodingConfig.
        max_source_length: longest source in tokens.
        lowercase: lowercase the source, for a model that was trained so.
        in_pieces: a longer text is cut at sentence ends, clauses or words, and the outputs of its
            pieces are joined, so that nothing of it is dropped: right for a translation. Else it
            loses its end.
        copy_unknown: strings, names and rare words of the source stand in the model's texts as
            symbols; see transformer.text.symbols.
        merge_spaces: white space in the source, line breaks included, is one space, as in training
            data that was cleaned; else it is read as it is.
    """

    def __init__(
        self,
        model,
        source_tokenizer,
        target_tokenizer,
        config=DecodingConfig(),
        max_source_length=128,
        lowercase=False,
        in_pieces=True,
        copy_unknown=False,
        merge_spaces=True,
    ):
        self.model, self.config, self.max_source_length, self.lowercase = (
            model,
            config,
            max_source_length,
            lowercase,
        )
        self.in_pieces, self.copy_unknown, self.merge_spaces = in_pieces, copy_unknown, merge_spaces
        self.source_tokenizer, self.target_tokenizer = source_tokenizer, target_tokenizer
        self._functions, self._alone, self._lock = {}, 0, threading.Lock()

    @classmethod
    def from_run(cls, run, **decoding):
        """A Generator from a run folder; `decoding` are fields of DecodingConfig that replace the
        run's own.

        Raises:
            ConfigError: the folder holds no finished run.
        """
        run, config = pathlib.Path(run), read_config(run)
        from transformer.model.transformer import Transformer

        try:
            reading = reading_of(config["data"])
            # In float32, whatever it was trained in: the same text on every machine.
            model = Transformer.from_model_config(ModelConfig(**config["model"]), dtype="float32")
            model.load_weights(run / "model.keras")
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"a run folder must be whole. Received: {run} ({error}). Run its training command "
                f"again."
            ) from None
        decoding = DecodingConfig(**{**config["decoding"], **decoding})
        return cls(model, *load_tokenizers(run / "tokenizer"), decoding, **reading)

    def __call__(self, texts):
        """list of str -> list of str: the best output for each, in order; an empty text gives an
        empty one."""
        return [outputs[0][0] for outputs in self.n_best(texts, scored=False)]

    def n_best(self, texts, first=0, scored=True):
        """For each text its `config.n_best` outputs, best first: a list of (text, score).

        The score is the length-penalised log-probability; over the pieces of a long text scores add
        up. `first` is the number of the first text among all: what is sampled for a text depends on
        the seed and on its number. With `scored=False` scores mean nothing, and greedy decoding is
        faster.
        """
        texts, values = zip(*map(self._read, texts)) if texts else ((), ())
        pieces = [
            (number, part, piece)
            for number, (text, ids) in enumerate(zip(texts, self.source_tokenizer.encode(texts)))
            for part, piece in enumerate(self._pieces(text, ids))
        ]
        answers = [[("", 0.0)] * self.config.n_best for _ in texts]
        names = [((first + number) << 16) + part for number, part, _ in pieces]
        for (number, _, _), outputs in zip(
            pieces, self._generate([piece for _, _, piece in pieces], names, scored)
        ):
            joined = zip(answers[number], outputs)
            answers[number] = [
                (_join(before, text), total + score) for (before, total), (text, score) in joined
            ]
        return [
            [(show(text, known), score) for text, score in outputs]
            for outputs, known in zip(answers, values)
        ]

    def _read(self, text):
        """A source as the model knows it, and the values of its symbols."""
        text = text.lower() if self.lowercase else text
        # White space alone is an empty text.
        text = " ".join(text.split()) if self.merge_spaces or not text.strip() else text
        return hide(text, self.source_tokenizer.knows) if self.copy_unknown else (text, ())

    def source_ids(self, text):
        """The ids of a text as the model gets them, the end token included."""
        text, _ = self._read(text)
        return [*self.source_tokenizer.encode([text])[0], self.source_tokenizer.eos_id]

    def report_cuts(self, texts):
        """How many of the texts lose their end, and how much of it, as a sentence; "" if none
        does."""
        if self.in_pieces:
            return ""
        limit = self.max_source_length
        lengths = [len(self.source_ids(text)) for text in texts]
        long = [length for length in lengths if length > limit]
        if not long:
            return ""
        share = 1 - limit * len(long) / sum(long)
        return (
            f"{len(long):,} of {len(texts):,} sources are too long and lose their end: "
            f"cut to {limit} tokens, by {share:.0%} on average"
        )

    def _pieces(self, text, ids):
        """The ids of a text, or of the pieces it is cut into: each at most `max_source_length`
        with the end token."""
        if not ids:
            return []
        begin = LANGUAGE.match(text).end()
        # A character may have more bytes than there is room.
        if len(ids) < self.max_source_length or len(text) - begin <= 1 or not self.in_pieces:
            return [[*ids[: self.max_source_length - 1], self.source_tokenizer.eos_id]]
        halves = [text[:begin] + half.strip() for half in _halves(text[begin:])]
        return [
            piece
            for half, ids in zip(halves, self.source_tokenizer.encode(halves))
            for piece in self._pieces(half, ids)
        ]

    def _generate(self, sources, names, scored=True):
        """Ids, a list a source, each ending in the end token -> a list of (text, score) a
        source; `names`: see `_draws`."""
        answers = [None] * len(sources)
        # Long batches first, so that the threads end at about the same time.
        batches = source_batches(
            [len(ids) for ids in sources], ROWS // self.config.beam_size, TOKENS
        )[::-1]

        def write(indices):
            outputs = self._write(
                [sources[index] for index in indices], [names[index] for index in indices], scored
            )
            for index, output in zip(indices, outputs):
                answers[index] = output

        if len(batches) < 2 or keras.backend.backend() != "tensorflow":
            for batch in batches:
                write(batch)
        else:
            # One operation of decoding is too small to share: each core writes a batch of its own.
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(write, batches))
        return answers

    def _write(self, sources, names, scored):
        """The outputs of one batch, a list of (text, score) a source."""
        source = self._padded(sources)
        limits = np.asarray([self.longest_output(len(ids)) for ids in sources], "int32")
        arguments = source, limits, self._draws(names, self.longest_output(source.shape[1]))
        decode = functools.partial(self._decode, scored=scored)
        if keras.backend.backend() == "jax":
            decode = self._functions[scored] = self._functions.get(scored) or compiled(
                decode, self.model
            )
        if keras.backend.backend() == "jax" or self._without_graph(limits, scored):
            return list(map(self._outputs, *map(ops.convert_to_numpy, decode(*arguments))))
        with self._lock:
            self._functions[scored] = self._functions.get(scored) or Pieces(self, scored)
        outputs = [None] * len(sources)
        for rows, ids, scores in self._functions[scored](*arguments):
            for row, *result in zip(rows, ids, scores):
                outputs[row] = self._outputs(*result)
        return outputs

    def _without_graph(self, limits, scored):
        """Whether this is one of the first few texts, alone and short, and there is no graph
        yet."""
        if len(limits) > 1 or limits[0] > SHORT or scored in self._functions or self._alone == FEW:
            return False
        self._alone += 1
        return True

    def _padded(self, sources):
        """Lists of ids as int32 (B, S). For JAX, which compiles each shape, S is a power of two."""
        length = max(map(len, sources))
        if keras.backend.backend() == "jax":
            length = 1 << (length - 1).bit_length()
        batch = np.full((len(sources), length), self.model.config.input_pad_id, "int32")
        for row, ids in enumerate(sources):
            batch[row, : len(ids)] = ids
        return batch

    def _outputs(self, ids, scores):
        """[(text, score), ...] of ids (n_best, L) and scores (n_best,)."""
        texts = self.target_tokenizer.decode(ids.tolist())
        return [(text, float(score)) for text, score in zip(texts, scores)]

    def _special_ids(self):
        tokenizer = self.target_tokenizer
        return dict(bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id, pad_id=tokenizer.pad_id)

    def search(self, scored):
        """The transformer.generation.search.Search of this generator."""
        return make_search(self.config, **self._special_ids(), scored=scored)

    def _decode(self, source, limits, draws, scored):
        """ids (B, n_best, L) and scores (B, n_best) of source (B, S), limits (B,) and draws (B,
        L), at one go."""
        batch, length = draws.shape
        caches, constants = self.model.start(source, length)
        step = lambda ids, position, caches: self.model.step(ids, position, caches, constants)  # noqa: E731
        return decode(
            step,
            caches,
            self.config,
            batch_size=batch,
            max_lengths=limits,
            length=length,
            draws=draws,
            scored=scored,
            **self._special_ids(),
        )

    def longest_output(self, source_length):
        """The most tokens, the end token included, that are written for a source of so many."""
        limit = self.config.max_length or 2 * source_length + 10
        model = self.model.config
        return min(limit, model.max_positions) if model.positions == "learned" else limit

    def _draws(self, names, length):
        """Uniform numbers, float32 (B, length): for a source of the same name (an int) the same
        in whatever batch."""
        if not self.config.temperature:
            return np.zeros((len(names), length), "float32")
        generators = [
            np.random.Generator(np.random.Philox(key=[self.config.sampling_seed, name]))
            for name in names
        ]
        return np.stack([generator.random(length, "float32") for generator in generators])


class Pieces:
    """A Search in TensorFlow, piece by piece: whenever half of the sentences are finished, they
    leave.

    One graph serves any number of sentences and any length, and caches grow with what is written.
    """

    def __init__(self, generator, scored):
        import tensorflow as tf

        model, self.search = generator.model, generator.search(scored)

        def begin(source, limits, draws):
            batch, length = ops.shape(draws)
            caches, constants = model.start(source, 0)
            return self.search.begin(caches, batch, limits, length, draws), constants

        def while_loop(condition, body, tensors):
            shapes = tuple(_any_length(tensor).shape for tensor in tensors)
            return tf.while_loop(condition, body, tensors, shapes, parallel_iterations=1)

        def advance(loop, constants, least):
            """Writes until no more than `least` sentences are unfinished; returns which are, and
            the results so far."""

            def step(ids, position, caches):
                return model.step(ids, position, caches, constants, grow=True)

            loop = self.search.advance(step, loop, ops.shape(loop["ids"])[1], least, while_loop)
            unfinished = tf.logical_and(
                self.search.unfinished(loop), loop["position"] < ops.shape(loop["ids"])[1]
            )
            return loop, unfinished, *self.search.results(loop)

        ids, draws = tf.TensorSpec((None, None), "int32"), tf.TensorSpec((None, None), "float32")
        self.begin = graph(begin, input_signature=[ids, tf.TensorSpec((None,), "int32"), draws])
        specs = tf.nest.map_structure(
            _any_length, self.begin.get_concrete_function().structured_outputs
        )
        self.advance = graph(advance, input_signature=[*specs, tf.TensorSpec((), "int32")])
        self.keep = graph(self._keep, input_signature=[*specs, tf.TensorSpec((None,), "int32")])

    def _keep(self, loop, constants, sentences):
        return self.search.keep(loop, sentences), keras.tree.map_structure(
            lambda x: ops.take(x, sentences, axis=0), constants
        )

    def __call__(self, source, limits, draws):
        """Yields rows, ids (rows, n_best, L) and scores (rows, n_best) of sentences as they
        finish."""
        (loop, constants), rows = self.begin(source, limits, draws), np.arange(len(source))
        while True:
            loop, unfinished, ids, scores = self.advance(loop, constants, int(LEFT * len(rows)))
            finished = ~unfinished.numpy()
            yield rows[finished], ids.numpy()[finished], scores.numpy()[finished]
            rows = rows[~finished]
            if not len(rows):
                return
            loop, constants = self.keep(loop, constants, np.nonzero(~finished)[0].astype("int32"))


def _any_length(tensor):
    """Its tf.TensorSpec, but that the third of four dimensions, the length of a cache, is free."""
    import tensorflow as tf

    shape = list(tensor.shape)
    return tf.TensorSpec(shape[:2] + [None] + shape[3:] if len(shape) == 4 else shape, tensor.dtype)


def source_batches(lengths, max_rows, max_tokens):
    """Groups sources for decoding: sorted by length, so that little is padding.

    Args:
        lengths: list of int.
        max_rows: most sources in a batch.
        max_tokens: most padded positions in a batch. One source alone may exceed either.

    Returns:
        A list of lists of indices.
    """
    batches = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        room = batches and min(max_rows, max_tokens // max(lengths[index], 1))
        if batches and len(batches[-1]) < room:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _halves(text):
    """Cuts a text in two near its middle, after a sentence if there is one, else a clause, a
    word, a character."""
    middle = len(text) // 2
    for pattern in BREAKS:
        places = [match.end() for match in re.finditer(pattern, text)]
        near = [place for place in places if len(text) / 4 <= place <= 3 * len(text) / 4]
        if near:
            middle = min(near, key=lambda place: abs(place - len(text) // 2))
            break
    return text[:middle], text[middle:]


def _join(before, text):
    """Joins the outputs of two pieces: with a space, unless the script writes none."""
    if not before or not text:
        return before or text
    spaceless = any(
        "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"
        for character in before[-1] + text[0]
    )
    return before + ("" if spaceless else " ") + text
