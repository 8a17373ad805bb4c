"""Greedy search, beam search and sampling, for any step function and without model or tokenizer.

The step function is `step(ids, position, state) -> (logits, state)`. `decode` runs a whole search.
A `Search` runs it in stages: the state of its loop is a value, so that finished sentences can leave
and caches can grow between two stages. The code uses keras.ops only. It runs eagerly, in a
tf.function and under XLA, on TensorFlow and JAX.

Shapes: B batch, W beam width, N hypotheses, C candidates for the next token, L length, V
vocabulary. N is B, or B * W with the hypotheses of a sentence side by side: row b * W + w.
"""

import keras
from keras import ops

# Stands for log 0. It is finite, so that arithmetic with it gives no NaN.
NEVER = -1e9


def decode(
    step,
    state,
    config,
    *,
    batch_size,
    max_lengths,
    length,
    bos_id,
    eos_id,
    pad_id,
    draws=None,
    scored=True,
):
    """Decodes a batch as a `DecodingConfig` says: by sampling, greedy search or beam search.

    It samples if `temperature` is above 0. Otherwise it searches greedily if `beam_size` is 1, and
    with a beam if it is larger.

    Before its end an output never contains pad or bos. It has eos only after `config.min_length`
    other tokens, and no n-gram of `config.no_repeat_ngram` tokens twice. A hypothesis ends with
    eos, which counts as a token. It is forced to end at its `max_lengths`, whatever the other rules
    say. It is also forced to end where the rules leave no token.

    Args:
        step: function `step(ids, position, state) -> (logits, state)`. `ids` is int32 of shape
            (N,), `position` is an int32 scalar, and position 0 holds bos. `logits` is float of
            shape (N, V), for the next token. What is constant for a sentence belongs in the
            function, not in the state. `step` must keep the structure and the dtypes of the state.
            It must also keep the shapes, unless the `while_loop` given to `Search.advance` lets
            them grow.
        state: nested structure of tensors with leading dimension B. Beam search repeats them to N
            rows, and reorders the rows of what `step` returns.
        config: a `DecodingConfig`.
        batch_size: B, an int, or a scalar tensor in a tf.function.
        max_lengths: int32 tensor of shape (B,), the most tokens of each output, eos included. At
            least 1 and at most `length`.
        length: L, an int or a scalar tensor.
        bos_id: int. It may equal eos or pad, as in BART, T5 and Marian.
        eos_id: int, different from pad.
        pad_id: int, different from eos.
        draws: float32 tensor of shape (B, L), for sampling: one uniform random number in [0, 1) for
            each token.
        scored: whether scores are needed; see `make_search`.

    Returns:
        A pair (ids, scores). `ids` is an int32 tensor of shape (B, n_best, L), best first, with eos
        and then pad. `scores` is a float32 tensor of shape (B, n_best). A score is the
        log-probability divided by the length penalty ((5 + tokens) / 6) ^ alpha of Wu et al. 2016,
        equation 14, where eos counts as a token. When sampling, it is the log-probability itself.
        If fewer than n_best outputs exist, the rest are pad only, with the score `NEVER`.
    """
    search = make_search(config, bos_id, eos_id, pad_id, scored)
    loop = search.begin(state, batch_size, max_lengths, length, draws)
    return search.results(search.advance(step, loop, length))


def make_search(config, bos_id, eos_id, pad_id, scored=True):
    """Creates the `Search` that a `DecodingConfig` asks for.

    Args:
        config: a `DecodingConfig`.
        bos_id: int.
        eos_id: int.
        pad_id: int.
        scored: whether scores are needed. Without them greedy decoding is faster.
    """
    if config.temperature > 0:
        return Sampling(config, bos_id, eos_id, pad_id, scored)
    return (Greedy if config.beam_size == 1 else BeamSearch)(config, bos_id, eos_id, pad_id, scored)


class Search:
    """Base class of the decoding methods.

    The state of its loop is a dict, called `loop`. It holds "position", an int32 scalar, "state",
    the state of `step`, and tensors with one row for each sentence or each hypothesis. Among these
    are "ids", int32 of shape (N, L), "last", int32 of shape (N,), the last token, and "limits",
    int32 of shape (N,).

    A subclass defines `_begin`, `unfinished`, `_write` and `results`.

    Args:
        config: a `DecodingConfig`.
        bos_id: int.
        eos_id: int.
        pad_id: int.
        scored: whether scores are needed; see `make_search`.

    Attributes:
        beams: int, the number of hypotheses for each sentence.
    """

    beams = 1

    def __init__(self, config, bos_id, eos_id, pad_id, scored=True):
        self.config, self.bos_id, self.eos_id, self.pad_id, self.scored = (
            config,
            bos_id,
            eos_id,
            pad_id,
            scored,
        )

    def begin(self, state, batch_size, max_lengths, length, draws=None):
        """Returns the loop before the first token.

        Args:
            state: as for `decode`.
            batch_size: as for `decode`.
            max_lengths: as for `decode`.
            length: as for `decode`.
            draws: as for `decode`.
        """
        rows = batch_size * self.beams
        loop = {
            "position": ops.convert_to_tensor(0, "int32"),
            "last": ops.full((rows,), self.bos_id, "int32"),
            "ids": ops.full((rows, length), self.pad_id, "int32"),
            "limits": self._repeat(ops.minimum(ops.cast(max_lengths, "int32"), length)),
            "state": keras.tree.map_structure(self._repeat, state),
        }
        return loop | self._begin(batch_size, draws)

    def _repeat(self, x):
        return x if self.beams == 1 else ops.repeat(x, self.beams, axis=0)

    def advance(self, step, loop, until, keep=0, while_loop=ops.while_loop):
        """Decodes up to position `until`, or until at most `keep` sentences are unfinished.

        Args:
            step: as for `decode`.
            loop: dict, the state of the loop.
            until: int or scalar tensor, the position at which to stop.
            keep: int or scalar tensor.
            while_loop: function (condition, body, tensors) -> tensors. A loop of the backend can
                allow the shapes of the state to change.

        Returns:
            The new loop.
        """

        def going(*flat):
            loop = keras.tree.pack_sequence_as(structure, list(flat))
            unfinished = ops.sum(ops.cast(self.unfinished(loop), "int32"))
            return ops.logical_and(loop["position"] < until, unfinished > keep)

        def body(*flat):
            return tuple(
                keras.tree.flatten(
                    self._write(step, keras.tree.pack_sequence_as(structure, list(flat)))
                )
            )

        structure = loop
        flat = while_loop(going, body, tuple(keras.tree.flatten(loop)))
        return keras.tree.pack_sequence_as(structure, list(flat))

    def keep(self, loop, sentences):
        """Returns the loop with some of its sentences only.

        Args:
            loop: dict, the state of the loop.
            sentences: int32 tensor of shape (B',), the sentences to keep.
        """
        rows = ops.reshape(sentences[:, None] * self.beams + ops.arange(self.beams), (-1,))

        def taken(name, value):
            if name == "position":
                return value
            where = sentences if name in self._by_sentence else rows
            return keras.tree.map_structure(lambda x: ops.take(x, where, axis=0), value)

        return {name: taken(name, value) for name, value in loop.items()}

    # The entries of the loop that have a row for each sentence, not for each hypothesis.
    _by_sentence = ()

    def penalty(self, tokens):
        """Returns the length penalty of outputs of `tokens` tokens, as float32."""
        return ops.power((5.0 + ops.cast(tokens, "float32")) / 6.0, self.config.length_penalty)

    def candidates(self, logits, position, limits, count=None):
        """Returns the candidates for the next token of each hypothesis.

        These are at least the `count` best tokens that are allowed, or all V tokens. At most three
        tokens are forbidden to all hypotheses, so the `count` + 3 best are enough. Looking at these
        alone saves a mask over the whole vocabulary.

        Args:
            logits: float32 tensor of shape (N, V).
            position: int32 scalar.
            limits: int32 tensor of shape (N,).
            count: int, or None for all tokens.

        Returns:
            Their logits, float32 of shape (N, C), and their ids, int32 of shape (N, C). A token
            that is not allowed has the logit `NEVER`. The last column is eos, allowed only where
            the end is forced.
        """
        vocab_size = logits.shape[-1]
        if count is None:
            top, tokens = logits, ops.zeros_like(logits, "int32") + ops.arange(vocab_size)
        else:
            top, tokens = top_k(logits, min(count + 3, vocab_size))
        ends = ops.equal(tokens, self.eos_id)
        never = ops.logical_and(ends, position < self.config.min_length)
        for token in {self.pad_id, self.bos_id} - {self.eos_id}:
            never = ops.logical_or(never, ops.equal(tokens, token))
        top = ops.where(never, NEVER, top)
        forced = ops.logical_or(position + 1 >= limits, ops.max(top, axis=-1) <= NEVER / 2)[:, None]
        end = ops.where(forced, logits[:, self.eos_id : self.eos_id + 1], NEVER)
        top = ops.concatenate([ops.where(forced, NEVER, top), end], axis=1)
        return top, ops.concatenate([tokens, ops.full_like(tokens[:, :1], self.eos_id)], axis=1)

    def without_repeats(self, logits, ids, position):
        """Forbids the tokens that would repeat an n-gram (Paulus et al. 2018).

        eos needs no exception, because a hypothesis that is still being written does not contain
        it.

        Args:
            logits: float32 tensor of shape (N, V).
            ids: int32 tensor of shape (N, L), the hypotheses so far.
            position: int32 scalar.

        Returns:
            The logits, with `NEVER` for the forbidden tokens.
        """
        size, vocab_size = self.config.no_repeat_ngram, logits.shape[-1]
        if not size:
            return logits
        # Marks where an earlier n-gram begins whose first n - 1 tokens are the last n - 1 tokens
        # written.
        repeats = ops.broadcast_to(ops.arange(ops.shape(ids)[1]) + size <= position, ops.shape(ids))
        for offset in range(size - 1):
            recent = ops.take(ids, ops.maximum(position - size + 1 + offset, 0), axis=1)
            repeats = ops.logical_and(
                repeats, ops.equal(ops.roll(ids, -offset, axis=1), recent[:, None])
            )
        # pad is always forbidden, so it can stand for "no token".
        banned = ops.where(repeats, ops.roll(ids, 1 - size, axis=1), self.pad_id)
        cells = ops.reshape(ops.arange(ops.shape(ids)[0])[:, None] * vocab_size + banned, (-1, 1))
        flat = ops.reshape(logits, (-1,))
        flat = ops.scatter_update(
            flat, cells, ops.full_like(cells[:, 0], NEVER, dtype=logits.dtype)
        )
        return ops.reshape(flat, (-1, vocab_size))


class _OneHypothesis(Search):
    """Base class of the methods that write one hypothesis per sentence.

    A subclass chooses its tokens in `_choose`.
    """

    def _begin(self, batch_size, draws):
        return {
            "done": ops.zeros((batch_size,), "bool"),
            "score": ops.zeros((batch_size,), "float32"),
        }

    def unfinished(self, loop):
        """Returns which sentences are unfinished, as a bool tensor of shape (B,).

        Args:
            loop: dict, the state of the loop.
        """
        return ops.logical_not(loop["done"])

    def _write(self, step, loop):
        position, done = loop["position"], loop["done"]
        logits, state = step(loop["last"], position, loop["state"])
        logits = ops.cast(logits, "float32")
        chosen = self._choose(self.without_repeats(logits, loop["ids"], position), loop)
        score = loop["score"]
        if self.scored:
            score = score + ops.where(
                done, 0.0, _pick(logits, chosen) - ops.logsumexp(logits, axis=-1)
            )
        last = ops.where(done, self.pad_id, chosen)
        done = ops.logical_or(done, ops.equal(chosen, self.eos_id))
        ids = _write(loop["ids"], position, last)
        return loop | {
            "position": position + 1,
            "last": last,
            "ids": ids,
            "done": done,
            "score": score,
            "state": state,
        }


class Greedy(_OneHypothesis):
    """Greedy search: writes the likeliest token at each step.

    Of equally likely tokens it takes the one with the lower id.
    """

    def _choose(self, logits, loop):
        scores, tokens = self.candidates(logits, loop["position"], loop["limits"], 1)
        return _pick(tokens, ops.argmax(scores, axis=-1))

    def results(self, loop):
        """Returns the outputs found so far.

        Args:
            loop: dict, the state of the loop.

        Returns:
            ids, int32 tensor of shape (B, 1, L), and scores, float32 tensor of shape (B, 1); see
            `decode`.
        """
        tokens = ops.sum(ops.cast(ops.not_equal(loop["ids"], self.pad_id), "int32"), axis=1)
        return loop["ids"][:, None], (loop["score"] / self.penalty(tokens))[:, None]


class Sampling(_OneHypothesis):
    """Sampling: draws each token from softmax(logits / temperature).

    Before the draw the distribution is cut to the `top_k` likeliest tokens, and then to the fewest
    tokens whose probabilities sum to `top_p` (Holtzman et al. 2020). The same draws give the same
    output. The score is the log-probability that `step` gives the tokens. Temperature and cuts
    change what is drawn, but not its score.
    """

    def _begin(self, batch_size, draws):
        # Keep the draws below 1 by more than the rounding error of the sums they are compared with.
        return super()._begin(batch_size, draws) | {"draws": ops.minimum(draws, 1.0 - 1e-6)}

    def _choose(self, logits, loop):
        scores, tokens = self.candidates(logits, loop["position"], loop["limits"])
        draw = ops.take(loop["draws"], loop["position"], axis=1)
        return _draw(scores / self.config.temperature, tokens, draw, self.config)

    def results(self, loop):
        """Returns the outputs found so far.

        Args:
            loop: dict, the state of the loop.

        Returns:
            ids, int32 tensor of shape (B, 1, L), and scores, float32 tensor of shape (B, 1); see
            `decode`.
        """
        return loop["ids"][:, None], loop["score"][:, None]


class BeamSearch(Search):
    """Beam search with W living and W finished hypotheses.

    This is the scheme of Tensor2Tensor (Vaswani et al. 2018). Each step ranks all one-token
    extensions of the living hypotheses by log-probability, and takes the best 2 W. Those that end
    compete with the finished hypotheses by score. The best W of the others live on. Among equal
    extensions the one from the lower beam comes first, then the one with the lower id. Among equal
    finished hypotheses the earlier one comes first.

    A sentence is finished when two things hold: W hypotheses have ended among the best W extensions
    (the rule of fairseq, Ott et al. 2019), and no living one would be returned if it ended now.
    Without the second, W unlikely short outputs would cut off a likely longer one. A sentence is
    finished earlier if no living hypothesis can be returned any more.

    With one beam this is not the same as `Greedy`, which stops as soon as eos is the likeliest
    token.
    """

    _by_sentence = ("alive", "finished", "ended")

    def __init__(self, config, *arguments):
        super().__init__(config, *arguments)
        self.beams = config.beam_size

    def _begin(self, batch_size, draws):
        # Only the first beam lives at the start, since the others would be copies of it.
        alive = ops.where(ops.arange(self.beams) == 0, 0.0, NEVER)[None] * ops.ones(
            (batch_size, 1), "float32"
        )
        return {
            # Log-probabilities.
            "alive": alive,
            # Scores, that is with the length penalty.
            "finished": ops.full((batch_size, self.beams), NEVER, "float32"),
            # How many hypotheses have ended among the best W extensions.
            "ended": ops.zeros((batch_size,), "int32"),
        }

    def begin(self, *arguments, **options):
        """Returns the loop before the first token; see `Search.begin`.

        Args:
            *arguments: as for `Search.begin`.
            **options: as for `Search.begin`.
        """
        loop = super().begin(*arguments, **options)
        return loop | {"finished_ids": loop["ids"]}

    def unfinished(self, loop):
        """Returns which sentences are unfinished, as a bool tensor of shape (B,).

        Args:
            loop: dict, the state of the loop.
        """
        limits = ops.reshape(loop["limits"], (-1, self.beams))[:, 0]
        # Log-probabilities only fall, and the penalty grows with length. So the score at the
        # longest length is a bound on what a living hypothesis can reach. Once W have ended, only
        # its score if it ended now counts.
        length = ops.where(loop["ended"] < self.beams, limits, loop["position"] + 1)
        living = ops.max(loop["alive"], axis=1)
        can_improve = living / self.penalty(length) > loop["finished"][:, self.config.n_best - 1]
        return ops.logical_and(can_improve, living > NEVER / 2)

    def _write(self, step, loop):
        position, beams = loop["position"], self.beams
        logits, state = step(loop["last"], position, loop["state"])
        score, beam, token = self._extensions(logits, loop)  # (B, 2 W)
        candidates = _write(
            ops.take(loop["ids"], _rows(beam, beams), axis=0), position, ops.reshape(token, (-1,))
        )
        ends = ops.equal(token, self.eos_id)
        ended = ops.where(
            ops.logical_and(ends, score > NEVER / 2), score / self.penalty(position + 1), NEVER
        )
        finished, finished_ids = _merge(loop["finished"], loop["finished_ids"], ended, candidates)
        alive, index = ops.top_k(ops.where(ends, NEVER, score), beams)
        rows = _rows(_taken(beam, index), beams)
        loop = loop | {
            "position": position + 1,
            "last": ops.reshape(_taken(token, index), (-1,)),
            "ids": ops.take(candidates, _rows(index, 2 * beams), axis=0),
            "alive": alive,
            "finished": finished,
            "finished_ids": finished_ids,
            "ended": loop["ended"]
            + ops.sum(ops.cast(ended[:, :beams] > NEVER / 2, "int32"), axis=1),
            "state": keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), state),
        }
        # A finished sentence waits for the others with no living hypothesis. Otherwise its bound
        # could rise again at a greater length, and it would continue.
        return loop | {"alive": ops.where(self.unfinished(loop)[:, None], alive, NEVER)}

    def _extensions(self, logits, loop):
        """Returns the best 2 W one-token extensions of each sentence's living hypotheses.

        At most W of them end. Ranking within each hypothesis first, and then across hypotheses,
        needs no log-softmax of the whole vocabulary.

        Returns:
            log-probability (float32), beam (int32) and token (int32), each of shape (B, 2 W).
        """
        beams, position = self.beams, loop["position"]
        logits = ops.cast(logits, "float32")
        normalizer = ops.logsumexp(logits, axis=-1)
        allowed = self.without_repeats(logits, loop["ids"], position)
        top, tokens = self.candidates(allowed, position, loop["limits"], 2 * beams)  # (N, C)
        count = top.shape[1]
        total = ops.reshape(
            top + (ops.reshape(loop["alive"], (-1,)) - normalizer)[:, None], (-1, beams * count)
        )
        score, index = ops.top_k(total, 2 * beams)
        return score, index // count, _taken(ops.reshape(tokens, (-1, beams * count)), index)

    def results(self, loop):
        """Returns the outputs found so far.

        Args:
            loop: dict, the state of the loop.

        Returns:
            ids, int32 tensor of shape (B, n_best, L), and scores, float32 tensor of shape (B,
            n_best); see `decode`.
        """
        shape = (-1, self.beams, ops.shape(loop["ids"])[1])
        best = slice(0, self.config.n_best)
        return ops.reshape(loop["finished_ids"], shape)[:, best], loop["finished"][:, best]


def top_k(x, k):
    """Computes `ops.top_k` faster, by way of the maxima of groups.

    The k largest values lie in the k groups with the largest maxima. For a vocabulary this is two
    to five times as fast as one pass over all values. Of equal values the one with the lower index
    comes first.

    Args:
        x: tensor of shape (N, V).
        k: int.

    Returns:
        values and indices, each of shape (N, k), largest value first.
    """
    size = x.shape[-1]
    group = next((g for g in range(int(size**0.5), 7, -1) if size % g == 0), 1)
    if group == 1 or size // group <= 2 * k:
        return ops.top_k(x, k)
    grouped = ops.reshape(x, (-1, size // group, group))
    # Ascending groups keep equal values in the order of their indices.
    groups = ops.sort(ops.top_k(ops.max(grouped, axis=-1), k)[1], axis=-1)
    values, index = ops.top_k(ops.reshape(_taken(grouped, groups), (-1, k * group)), k)
    return values, _taken(groups, index // group) * group + index % group


def _draw(scores, tokens, draw, config):
    """Draws a token for each row, after the cuts of `top_k` and `top_p`.

    Args:
        scores: float32 tensor of shape (B, C).
        tokens: int32 tensor of shape (B, C).
        draw: float32 tensor of shape (B,), in [0, 1).
        config: a `DecodingConfig`.

    Returns:
        int32 tensor of shape (B,).
    """
    if config.top_k or config.top_p < 1.0:
        count = scores.shape[1]
        scores, index = ops.top_k(scores, min(config.top_k or count, count))
        tokens = _taken(tokens, index)
    chance = ops.softmax(scores, axis=-1)
    if config.top_p < 1.0:
        likelier = ops.cumsum(chance, axis=-1) - chance
        kept = ops.logical_or(likelier < config.top_p, ops.arange(chance.shape[1]) == 0)
        chance = ops.where(kept, chance, 0.0)
    total = ops.cumsum(chance, axis=-1)
    # The first token whose cumulative probability exceeds the draw. However the sums round, a token
    # of probability 0 is never drawn.
    reached = ops.logical_and(total > draw[:, None] * total[:, -1:], chance > 0.0)
    return _pick(tokens, ops.argmax(ops.cast(reached, "int32"), axis=-1))


def _merge(scores, ids, more_scores, more_ids):
    """Merges two sets of hypotheses and keeps the best W of each sentence.

    Args:
        scores: float32 tensor of shape (B, W).
        ids: int32 tensor of shape (B * W, L).
        more_scores: float32 tensor of shape (B, K).
        more_ids: int32 tensor of shape (B * K, L).

    Returns:
        Scores of shape (B, W), best first, and ids of shape (B * W, L).
    """
    beams, length, total = (
        scores.shape[1],
        ops.shape(ids)[1],
        scores.shape[1] + more_scores.shape[1],
    )
    both = [
        ops.reshape(part, (-1, count, length))
        for part, count in ((ids, beams), (more_ids, total - beams))
    ]
    scores, index = ops.top_k(ops.concatenate([scores, more_scores], axis=1), beams)
    rows = ops.reshape(ops.concatenate(both, axis=1), (-1, length))
    return scores, ops.take(rows, _rows(index, total), axis=0)


def _rows(index, count):
    """Converts row indices within a sentence to row indices within the batch.

    Args:
        index: int32 tensor of shape (B, K), with values below `count`.
        count: int, the number of rows of each sentence.

    Returns:
        int32 tensor of shape (B * K,), with values below B * count.
    """
    return ops.reshape(index + count * ops.arange(ops.shape(index)[0])[:, None], (-1,))


def _pick(x, index):
    """Takes one value of each row: `x` (B, C) and int `index` (B,) give (B,)."""
    return _taken(x, index[:, None])[:, 0]


def _taken(x, index):
    """Takes K values of each row: `x` (B, C, ...) and int32 `index` (B, K) give (B, K, ...).

    In TensorFlow `ops.take_along_axis` is slower, because it goes over all of `x`.
    """
    rows = index + x.shape[1] * ops.arange(ops.shape(index)[0])[:, None]
    return ops.take(ops.reshape(x, (-1, *x.shape[2:])), rows, axis=0)


def _write(ids, position, tokens):
    """Returns `ids` (N, L) with column `position` replaced by `tokens` (N,)."""
    return ops.where(ops.arange(ops.shape(ids)[1]) == position, tokens[:, None], ids)
