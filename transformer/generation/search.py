"""Greedy, beam and sampled decoding over `step(ids, position, state) -> (logits, state)`: knows no
model, no tokenizer.

`decode` does it at one go. A Search does it in pieces: what it loops over is a value, so that
between two pieces finished sentences can leave and caches grow. Pure keras.ops, so that one text
runs eagerly, in a tf.function and under XLA, on TensorFlow and JAX.

Shapes: B batch, W beams, N hypotheses (B, or B * W with those of a sentence side by side: row b * W
+ w), C candidates for the next token, L length, V vocabulary.
"""

import keras
from keras import ops

# Stands for log 0: finite, so that sums, products and differences of it stay numbers.
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
    """Decodes a batch as a DecodingConfig says: samples if temperature > 0, else greedily or with a
    beam.

    No pad and no bos is ever written; eos not before `config.min_length` other tokens; no n-gram of
    `config.no_repeat_ngram` tokens twice. A hypothesis ends, in an eos that counts like any other,
    at its `max_lengths`, whatever the other rules say, and where they leave it no token.

    Args:
        step: step(ids int32 (N,), position int32 scalar, state) -> (logits float (N, V) of the next
            token, state). Position 0 holds bos. What is constant for a sentence belongs in the
            function, not in the state.
        state: nested structure of tensors with leading dimension B; a beam repeats them to N rows
            and, after each step, reorders the rows of what `step` returned. `step` must keep
            structure and dtypes, and shapes but where `Search.advance` is given a loop that lets
            them grow.
        config: DecodingConfig.
        batch_size: B, an int (or a scalar tensor in a tf.function).
        max_lengths: int32 (B,), the most tokens of each output, eos included; at most `length`, at
            least 1.
        length: L, an int (or a scalar tensor).
        bos_id, eos_id, pad_id: ints; pad differs from eos, while bos may equal either, as in BART,
            T5 and Marian.
        draws: float32 (B, L), uniform in [0, 1), the chance in sampling: one number a token.
        scored: whether scores are needed; see make_search.

    Returns:
        ids int32 (B, n_best, L), best first, eos included, pad behind it; and their scores float32
        (B, n_best). A score is the log-probability divided by the length penalty ((5 + tokens) / 6)
        ^ alpha of Wu et al. 2016, equation 14, eos counted; when sampling, the log-probability
        itself. Where fewer than n_best outputs exist, the rest are pad only and score NEVER.
    """
    search = make_search(config, bos_id, eos_id, pad_id, scored)
    loop = search.begin(state, batch_size, max_lengths, length, draws)
    return search.results(search.advance(step, loop, length))


def make_search(config, bos_id, eos_id, pad_id, scored=True):
    """The Search that a DecodingConfig asks for. `scored=False`: scores are not needed, which
    makes greedy decoding faster."""
    if config.temperature > 0:
        return Sampling(config, bos_id, eos_id, pad_id, scored)
    return (Greedy if config.beam_size == 1 else BeamSearch)(config, bos_id, eos_id, pad_id, scored)


class Search:
    """What the ways of decoding share. Arguments: as for `decode`.

    What is looped over is a dict: "position" int32 scalar, "state" and other tensors with one row
    for each sentence or for each hypothesis, among them "ids" int32 (N, L), "last" int32 (N,),
    "limits" int32 (N,).
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
        """What `advance` starts from; arguments as for `decode`."""
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
        """Writes on, up to position `until` or until no more than `keep` sentences are unfinished.

        `while_loop(condition, body, tensors)` is one of the backend's, for a state whose shape
        changes.
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
        """The loop with these sentences only, int32 (B',)."""
        rows = ops.reshape(sentences[:, None] * self.beams + ops.arange(self.beams), (-1,))

        def taken(name, value):
            if name == "position":
                return value
            where = sentences if name in self._by_sentence else rows
            return keras.tree.map_structure(lambda x: ops.take(x, where, axis=0), value)

        return {name: taken(name, value) for name, value in loop.items()}

    # Names of what has a row for each sentence, not for each hypothesis.
    _by_sentence = ()

    def penalty(self, tokens):
        """The length penalty of outputs of `tokens` tokens, float32."""
        return ops.power((5.0 + ops.cast(tokens, "float32")) / 6.0, self.config.length_penalty)

    def candidates(self, logits, position, limits, count=None):
        """At least the `count` best allowed tokens of each hypothesis, or all V, from logits
        float32 (N, V).

        Returns their logits float32 (N, C) and ids int32 (N, C); what is not allowed has NEVER, and
        the last column is an end that was forced. At most three tokens are forbidden to all, so
        `count` + 3 candidates are enough: looking at them alone saves a mask over the whole
        vocabulary.
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
        """logits (N, V) with NEVER for what would write an n-gram of ids (N, L) a second time
        (Paulus et al. 2018).

        eos needs no exception: it is never among the tokens of a hypothesis that is still being
        written.
        """
        size, vocab_size = self.config.no_repeat_ngram, logits.shape[-1]
        if not size:
            return logits
        # The n-gram that begins here was written, and its first n - 1 tokens are the last n - 1
        # written.
        repeats = ops.broadcast_to(ops.arange(ops.shape(ids)[1]) + size <= position, ops.shape(ids))
        for offset in range(size - 1):
            recent = ops.take(ids, ops.maximum(position - size + 1 + offset, 0), axis=1)
            repeats = ops.logical_and(
                repeats, ops.equal(ops.roll(ids, -offset, axis=1), recent[:, None])
            )
        # pad is forbidden anyway: it stands for "none".
        banned = ops.where(repeats, ops.roll(ids, 1 - size, axis=1), self.pad_id)
        cells = ops.reshape(ops.arange(ops.shape(ids)[0])[:, None] * vocab_size + banned, (-1, 1))
        flat = ops.reshape(logits, (-1,))
        flat = ops.scatter_update(
            flat, cells, ops.full_like(cells[:, 0], NEVER, dtype=logits.dtype)
        )
        return ops.reshape(flat, (-1, vocab_size))


class _OneHypothesis(Search):
    """Writes one hypothesis a sentence; a subclass chooses its tokens."""

    def _begin(self, batch_size, draws):
        return {
            "done": ops.zeros((batch_size,), "bool"),
            "score": ops.zeros((batch_size,), "float32"),
        }

    def unfinished(self, loop):
        """Which sentences are not at their end, bool (B,)."""
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
    """Writes the likeliest token at each step; of equals the one with the lower id."""

    def _choose(self, logits, loop):
        scores, tokens = self.candidates(logits, loop["position"], loop["limits"], 1)
        return _pick(tokens, ops.argmax(scores, axis=-1))

    def results(self, loop):
        """ids int32 (B, 1, L) and scores float32 (B, 1); see `decode`."""
        tokens = ops.sum(ops.cast(ops.not_equal(loop["ids"], self.pad_id), "int32"), axis=1)
        return loop["ids"][:, None], (loop["score"] / self.penalty(tokens))[:, None]


class Sampling(_OneHypothesis):
    """Draws each token from softmax(logits / temperature), cut to the `top_k` likeliest and then to
    the fewest whose probabilities sum to `top_p` (Holtzman et al. 2020).

    The same draws give the same output. The score is the log-probability that `step` gives the
    tokens: temperature and cuts change what is drawn, not what it is worth.
    """

    def _begin(self, batch_size, draws):
        # Below 1 by more than the rounding error of the sums that they are compared with.
        return super()._begin(batch_size, draws) | {"draws": ops.minimum(draws, 1.0 - 1e-6)}

    def _choose(self, logits, loop):
        scores, tokens = self.candidates(logits, loop["position"], loop["limits"])
        draw = ops.take(loop["draws"], loop["position"], axis=1)
        return _draw(scores / self.config.temperature, tokens, draw, self.config)

    def results(self, loop):
        """ids int32 (B, 1, L) and scores float32 (B, 1); see `decode`."""
        return loop["ids"][:, None], loop["score"][:, None]


class BeamSearch(Search):
    """Beam search with W living and W finished hypotheses (as in Vaswani et al. 2018,
    Tensor2Tensor).

    Each step ranks all one-token extensions of the living by log-probability; among the best 2 W of
    them those that end compete with the finished by score, and the best W others live on. Of equals
    the one from the lower beam comes first, then the lower id; among the finished the earlier. A
    sentence is finished when W hypotheses have ended among the best W extensions (the rule of
    fairseq, Ott et al. 2019) and none that lives would be returned if it ended now (without that, W
    unlikely short ends cut off a likely longer one), or earlier when nothing living can still be
    returned.

    With one beam this is not `Greedy`, which stops at the first eos that is likeliest.
    """

    _by_sentence = ("alive", "finished", "ended")

    def __init__(self, config, *arguments):
        super().__init__(config, *arguments)
        self.beams = config.beam_size

    def _begin(self, batch_size, draws):
        # Only the first beam lives at the start: the others would be copies of it.
        alive = ops.where(ops.arange(self.beams) == 0, 0.0, NEVER)[None] * ops.ones(
            (batch_size, 1), "float32"
        )
        return {
            "alive": alive,  # log-probabilities
            "finished": ops.full((batch_size, self.beams), NEVER, "float32"),  # scores
            "ended": ops.zeros((batch_size,), "int32"),
        }

    def begin(self, *arguments, **options):
        loop = super().begin(*arguments, **options)
        return loop | {"finished_ids": loop["ids"]}

    def unfinished(self, loop):
        """Which sentences are not at their end, bool (B,)."""
        limits = ops.reshape(loop["limits"], (-1, self.beams))[:, 0]
        # Log-probabilities only fall and the penalty grows with length, so no living hypothesis
        # ends above this: at the longest, or once W have ended, at once.
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
        # Of a sentence at its end nothing lives on, while it waits for the others: at a greater
        # length its bound may be higher again.
        return loop | {"alive": ops.where(self.unfinished(loop)[:, None], alive, NEVER)}

    def _extensions(self, logits, loop):
        """The best 2 W one-token extensions of the living hypotheses of each sentence, W of which
        at most end.

        Ranking within each hypothesis and then across them needs no log-softmax of the whole
        vocabulary.

        Returns:
            log-probability float32, beam int32, token int32, each (B, 2 W).
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
        """ids int32 (B, n_best, L) and scores float32 (B, n_best); see `decode`."""
        shape = (-1, self.beams, ops.shape(loop["ids"])[1])
        best = slice(0, self.config.n_best)
        return ops.reshape(loop["finished_ids"], shape)[:, best], loop["finished"][:, best]


def top_k(x, k):
    """`ops.top_k` of x (N, V), by the maxima of groups first: the k largest stand in the k groups
    of the largest maxima.

    Twice to five times as fast as one pass over a vocabulary. Of equals the one with the lower
    index comes first.
    """
    size = x.shape[-1]
    group = next((g for g in range(int(size**0.5), 7, -1) if size % g == 0), 1)
    if group == 1 or size // group <= 2 * k:
        return ops.top_k(x, k)
    grouped = ops.reshape(x, (-1, size // group, group))
    groups = ops.sort(
        ops.top_k(ops.max(grouped, axis=-1), k)[1], axis=-1
    )  # ascending, for the order of equals
    values, index = ops.top_k(ops.reshape(_taken(grouped, groups), (-1, k * group)), k)
    return values, _taken(groups, index // group) * group + index % group


def _draw(scores, tokens, draw, config):
    """Draws one of tokens int32 (B, C) by scores float32 (B, C), cut to top_k and top_p, with
    draw in [0, 1) (B,)."""
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
    # The first token whose cumulated probability exceeds the draw; never an impossible one, however
    # the sums round.
    reached = ops.logical_and(total > draw[:, None] * total[:, -1:], chance > 0.0)
    return _pick(tokens, ops.argmax(ops.cast(reached, "int32"), axis=-1))


def _merge(scores, ids, more_scores, more_ids):
    """The best W of scores (B, W) and more_scores (B, K), with their ids (B * W, L) and (B * K,
    L)."""
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
    """Index int32 (B, K) of one of `count` rows of a sentence -> (B * K,) of a row among all B *
    count."""
    return ops.reshape(index + count * ops.arange(ops.shape(index)[0])[:, None], (-1,))


def _pick(x, index):
    """x (B, C), index int (B,) -> (B,)"""
    return _taken(x, index[:, None])[:, 0]


def _taken(x, index):
    """x (B, C, ...), index int32 (B, K) -> (B, K, ...). In TensorFlow `ops.take_along_axis` is
    slower: it goes over all of x."""
    rows = index + x.shape[1] * ops.arange(ops.shape(index)[0])[:, None]
    return ops.take(ops.reshape(x, (-1, *x.shape[2:])), rows, axis=0)


def _write(ids, position, tokens):
    """ids (N, L) with column `position` replaced by tokens (N,)."""
    return ops.where(ops.arange(ops.shape(ids)[1]) == position, tokens[:, None], ids)
