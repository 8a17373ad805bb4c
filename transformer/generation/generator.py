"""From text to text: tokenizer, model and decoding put together."""

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

# The most hypotheses in a batch. They are enough for arithmetic to cost more than the overhead of
# calling operations.
ROWS = 192
# The most source positions in a batch, padding included.
TOKENS = 4096
# Finished sentences leave the batch when at most this share of its sentences is unfinished.
LEFT = 0.5
# A graph takes seconds to make. A single text whose output has at most SHORT tokens is decoded
# without one, until FEW such texts have come.
SHORT, FEW = 64, 8
# Where to cut a text that is too long for the model, the best places first: after a sentence, after
# a clause, after a word.
BREAKS = (r"(?<=[.!?])\s+|(?<=[。！？])", r"(?<=[,;:])\s+|(?<=[，；：、])", r"\s+")
# The token that names the target language. Each chunk of a text needs it to be translated.
LANGUAGE = re.compile(r"(?:<2\w+> *)?")


def one_core_a_batch():
    """Makes TensorFlow run each operation on one core.

    The batches of a file are decoded in parallel, which this makes about 1.5 times as fast. A
    single text gains nothing, because the other cores are left to other batches. The function does
    nothing if TensorFlow has already started, as it may have in a notebook, or if the backend is
    JAX.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # TensorFlow raises RuntimeError if it has already started.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def reading_of(data):
    """Returns the arguments of a `Generator` that say how it reads a source, as a dict.

    Args:
        data: dict, the section "data" of a run's config.json.
    """
    return {
        "max_source_length": data["max_source_length"],
        "lowercase": data["lowercase"],
        "in_pieces": data["task"] == "translation",
        "copy_unknown": data["copy_unknown"],
        "merge_spaces": data["clean"] and data["task"] != "code",
    }


class Generator:
    """Writes a target text for each source text.

    Example:
        generator = Generator.from_run("runs/multi30k_en_de", beam_size=4)
        generator(["A dog runs."])                          # ["Ein Hund rennt."]

    Args:
        model: a built `Transformer`.
        source_tokenizer: see `transformer.text.tokenizer`.
        target_tokenizer: see `transformer.text.tokenizer`.
        config: a `DecodingConfig`.
        max_source_length: int, the longest source in tokens, end token included.
        lowercase: whether to lowercase the source, for a model that was trained on lowercased text.
        in_pieces: what to do with a longer source. True cuts it into chunks, at sentence ends,
            clauses or words, and joins their outputs, so that nothing is dropped. This is right for
            translation. False truncates it.
        copy_unknown: whether strings, names and rare words of the source are symbols in the texts
            that the model reads and writes; see `transformer.text.symbols`.
        merge_spaces: whether to replace any white space in the source, line breaks included, by one
            space, as in training data that was cleaned. False leaves it as it is.
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
        """Creates a `Generator` from a run folder.

        Args:
            run: the run folder.
            **decoding: fields of `DecodingConfig`, which replace those of the run.

        Returns:
            A `Generator` whose model computes in float32.

        Raises:
            ConfigError: if the folder does not hold a finished run that is intact.
        """
        run, config = pathlib.Path(run), read_config(run)
        from transformer.model.transformer import Transformer

        try:
            reading = reading_of(config["data"])
            # Decode in float32 whatever the training precision, for the same text on every machine.
            model = Transformer.from_model_config(ModelConfig(**config["model"]), dtype="float32")
            model.load_weights(run / "model.keras")
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ConfigError(
                "a file of the run is missing, damaged or of another version. Received: "
                f"{run} ({error}). Run the training command again."
            ) from None
        decoding = DecodingConfig(**{**config["decoding"], **decoding})
        return cls(model, *load_tokenizers(run / "tokenizer"), decoding, **reading)

    def __call__(self, texts):
        """Returns the best output for each text.

        Args:
            texts: list of str.

        Returns:
            A list of str in the same order. An empty text gives an empty output.
        """
        return [outputs[0][0] for outputs in self.n_best(texts, scored=False)]

    def n_best(self, texts, first=0, scored=True):
        """Returns the `config.n_best` best outputs for each text.

        Args:
            texts: list of str.
            first: int, the number of the first text, for callers that pass their texts in groups.
                What is sampled for a text depends on the seed and on the text's number.
            scored: whether scores are needed. Without them greedy decoding is faster.

        Returns:
            For each text a list of pairs (output, score), best first. A score is the
            length-penalised log-probability of the output, or when sampling its log-probability.
            The scores of the chunks of a long text are added up. With `scored=False` they have no
            meaning.
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
        """Returns a source as the model reads it, and the values of its symbols."""
        text = text.lower() if self.lowercase else text
        # A text of white space counts as empty.
        text = " ".join(text.split()) if self.merge_spaces or not text.strip() else text
        return hide(text, self.source_tokenizer.knows) if self.copy_unknown else (text, ())

    def source_ids(self, text):
        """Returns the ids of a source as the model reads it, end token included.

        Args:
            text: str.

        Returns:
            A list of int. It is neither cut nor truncated.
        """
        text, _ = self._read(text)
        return [*self.source_tokenizer.encode([text])[0], self.source_tokenizer.eos_id]

    def report_cuts(self, texts):
        """Reports how many texts are truncated, and by how much.

        Args:
            texts: list of str.

        Returns:
            A sentence, or "" if no text is truncated.
        """
        if self.in_pieces:
            return ""
        limit = self.max_source_length
        lengths = [len(self.source_ids(text)) for text in texts]
        long = [length for length in lengths if length > limit]
        if not long:
            return ""
        share = 1 - limit * len(long) / sum(long)
        return (
            f"{len(long):,} of {len(texts):,} sources are too long and are truncated to {limit} "
            f"tokens, which drops {share:.0%} of their tokens"
        )

    def _pieces(self, text, ids):
        """Returns the ids of a text, as a list of chunks.

        Each chunk has at most `max_source_length` ids, end token included. A text that is short
        enough is one chunk. With `in_pieces=False` a longer text is one chunk, truncated. An empty
        text has no chunk.
        """
        if not ids:
            return []
        begin = LANGUAGE.match(text).end()
        # A single character may have more tokens than fit. It cannot be cut.
        if len(ids) < self.max_source_length or len(text) - begin <= 1 or not self.in_pieces:
            return [[*ids[: self.max_source_length - 1], self.source_tokenizer.eos_id]]
        halves = [text[:begin] + half.strip() for half in _halves(text[begin:])]
        return [
            piece
            for half, ids in zip(halves, self.source_tokenizer.encode(halves))
            for piece in self._pieces(half, ids)
        ]

    def _generate(self, sources, names, scored=True):
        """Decodes sources, in batches.

        Args:
            sources: list of lists of ids, each with its end token.
            names: list of int, one for each source; see `_draws`.
            scored: whether scores are needed.

        Returns:
            For each source a list of (output, score).
        """
        answers = [None] * len(sources)
        # Start with the longest batches, so that the threads end at about the same time.
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
            # The operations of decoding are too small to be split over cores. Instead each core
            # decodes its own batch.
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(write, batches))
        return answers

    def _write(self, sources, names, scored):
        """Decodes one batch.

        Args:
            sources: as for `_generate`.
            names: as for `_generate`.
            scored: as for `_generate`.

        Returns:
            For each source a list of (output, score).
        """
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
        """Returns whether to decode without a graph.

        This holds for a single short text, if it is one of the first few and no graph exists yet.
        """
        if len(limits) > 1 or limits[0] > SHORT or scored in self._functions or self._alone == FEW:
            return False
        self._alone += 1
        return True

    def _padded(self, sources):
        """Pads lists of ids to an int32 array of shape (B, S).

        With JAX, which compiles each shape, S is a power of two.
        """
        length = max(map(len, sources))
        if keras.backend.backend() == "jax":
            length = 1 << (length - 1).bit_length()
        batch = np.full((len(sources), length), self.model.config.input_pad_id, "int32")
        for row, ids in enumerate(sources):
            batch[row, : len(ids)] = ids
        return batch

    def _outputs(self, ids, scores):
        """Returns a list of (text, score) from ids (n_best, L) and scores (n_best,)."""
        texts = self.target_tokenizer.decode(ids.tolist())
        return [(text, float(score)) for text, score in zip(texts, scores)]

    def _special_ids(self):
        tokenizer = self.target_tokenizer
        return dict(bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id, pad_id=tokenizer.pad_id)

    def search(self, scored):
        """Creates the `transformer.generation.search.Search` of this generator.

        Args:
            scored: whether scores are needed.
        """
        return make_search(self.config, **self._special_ids(), scored=scored)

    def _decode(self, source, limits, draws, scored):
        """Decodes a whole batch in a single loop.

        Args:
            source: int32 tensor of shape (B, S).
            limits: int32 tensor of shape (B,), the longest output for each source.
            draws: float32 tensor of shape (B, L); see `_draws`.
            scored: whether scores are needed.

        Returns:
            ids of shape (B, n_best, L), and scores of shape (B, n_best).
        """
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
        """Returns the most tokens that an output may have, end token included.

        Args:
            source_length: int, the length of its source in tokens, end token included.
        """
        limit = self.config.max_length or 2 * source_length + 10
        model = self.model.config
        return min(limit, model.max_positions) if model.positions == "learned" else limit

    def _draws(self, names, length):
        """Draws the uniform random numbers of a batch for sampling.

        The numbers for a source depend on the seed and on its name only, not on the batch that it
        is in.

        Args:
            names: list of int, one for each source.
            length: int, how many numbers to draw for each source.

        Returns:
            float32 array of shape (B, length). It is zero if nothing is sampled.
        """
        if not self.config.temperature:
            return np.zeros((len(names), length), "float32")
        generators = [
            np.random.Generator(np.random.Philox(key=[self.config.sampling_seed, name]))
            for name in names
        ]
        return np.stack([generator.random(length, "float32") for generator in generators])


class Pieces:
    """Runs a `Search` on TensorFlow in stages, between which finished sentences leave the batch.

    A stage ends when at most half of the batch's sentences are unfinished. One graph serves any
    number of sentences and any length. The caches grow with the output.

    Args:
        generator: the `Generator`.
        scored: whether scores are needed.
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
            """Decodes until at most `least` sentences are unfinished.

            Returns:
                The loop, which sentences are unfinished (bool, shape (B,)), and the results so far:
                ids and scores.
            """

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
        """Decodes a batch.

        Args:
            source: int32 array of shape (B, S).
            limits: int32 array of shape (B,), the longest output for each source.
            draws: float32 array of shape (B, L), for sampling.

        Yields:
            For the sentences that finish together a tuple: their row numbers in the batch, of shape
            (n,), ids of shape (n, n_best, L), and scores of shape (n, n_best).
        """
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
    """Returns the `tf.TensorSpec` of a tensor, with the length of a cache left open.

    A tensor of four dimensions is a cache, and the third dimension is its length.
    """
    import tensorflow as tf

    shape = list(tensor.shape)
    return tf.TensorSpec(shape[:2] + [None] + shape[3:] if len(shape) == 4 else shape, tensor.dtype)


def source_batches(lengths, max_rows, max_tokens):
    """Groups sources into batches for decoding, sorted by length to avoid padding.

    Args:
        lengths: list of int, the lengths of the sources.
        max_rows: int, the most sources in a batch.
        max_tokens: int, the most positions in a batch, padding included. A batch of a single source
            may exceed both limits.

    Returns:
        A list of batches, each a list of indices into `lengths`.
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
    """Cuts a text in two near its middle.

    It cuts after a sentence if one ends in the middle half of the text, else after a clause, else
    after a word, else between two characters.
    """
    middle = len(text) // 2
    for pattern in BREAKS:
        places = [match.end() for match in re.finditer(pattern, text)]
        near = [place for place in places if len(text) / 4 <= place <= 3 * len(text) / 4]
        if near:
            middle = min(near, key=lambda place: abs(place - len(text) // 2))
            break
    return text[:middle], text[middle:]


def _join(before, text):
    """Joins the outputs of two chunks, with a space unless the script does not use spaces."""
    if not before or not text:
        return before or text
    spaceless = any(
        "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"
        for character in before[-1] + text[0]
    )
    return before + ("" if spaceless else " ") + text
