"""Greedy, beam and sampled decoding over `step(ids, position, state) -> (logits, state)`: knows no model, no tokenizer.

Pure keras.ops with static shapes, so that one text runs eagerly, in a tf.function and under XLA, on TensorFlow and JAX.

Shapes: B batch, W beams, N hypotheses (B, or B * W with those of a sentence side by side: row b * W + w),
C candidates for the next token, L length, V vocabulary.
"""

import keras
from keras import ops

# Stands for log 0: finite, so that sums, products and differences of it stay numbers.
NEVER = -1e9


def decode(step, state, config, *, batch_size, max_lengths, length, bos_id, eos_id, pad_id, draws=None):
    """Decodes a batch as a DecodingConfig says: samples if temperature > 0, else greedily or with a beam.

    No pad and no bos is ever written; eos not before `config.min_length` other tokens; no n-gram of
    `config.no_repeat_ngram` tokens twice. A hypothesis ends, in an eos that counts like any other, at its
    `max_lengths`, whatever the other rules say, and where they leave it no token.

    Args:
        step: step(ids int32 (N,), position int32 scalar, state) -> (logits float (N, V) of the next token, state).
            Position 0 holds bos. What is constant for a sentence belongs in the function, not in the state.
        state: nested structure of tensors with leading dimension B; a beam repeats them to N rows and, after each
            step, reorders the rows of what `step` returned. `step` must keep structure, shapes and dtypes.
        config: DecodingConfig.
        batch_size: B, an int (or a scalar tensor in a tf.function).
        max_lengths: int32 (B,), the most tokens of each output, eos included; at most `length`, at least 1.
        length: L, a static int.
        bos_id, eos_id, pad_id: ints; pad differs from eos, while bos may equal either, as in BART, T5 and Marian.
        draws: float32 (L, B), uniform in [0, 1), the chance in sampling: one number a token.

    Returns:
        ids int32 (B, n_best, L), best first, eos included, pad behind it; and their scores float32 (B, n_best). A score
        is the log-probability divided by the length penalty ((5 + tokens) / 6) ^ alpha of Wu et al. 2016, equation 14,
        eos counted; when sampling, the log-probability itself. Where fewer than n_best outputs exist, the rest are pad
        only and score NEVER.
    """
    arguments = dict(batch_size=batch_size, max_lengths=max_lengths, length=length, bos_id=bos_id, eos_id=eos_id, pad_id=pad_id)
    if config.temperature > 0:
        return sample(step, state, config, draws, **arguments)
    return (greedy if config.beam_size == 1 else beam_search)(step, state, config, **arguments)


def greedy(step, state, config, *, batch_size, max_lengths, length, bos_id, eos_id, pad_id):
    """Writes the likeliest token at each step; of equals the one with the lower id. As `decode`, with one output."""
    rules = _Rules(config, max_lengths, length, bos_id, eos_id, pad_id)

    def choose(logits, position):
        scores, tokens = rules.candidates(logits, position, 1)
        return _pick(tokens, ops.argmax(scores, axis=-1))

    ids, score = _write_one(step, state, rules, choose, batch_size, length)
    tokens = ops.sum(ops.cast(ops.not_equal(ids, pad_id), "int32"), axis=1)
    return ids[:, None], (score / rules.penalty(tokens))[:, None]


def sample(step, state, config, draws, *, batch_size, max_lengths, length, bos_id, eos_id, pad_id):
    """Draws each token from softmax(logits / temperature), cut to the `top_k` likeliest and then to the fewest whose
    probabilities sum to `top_p` (Holtzman et al. 2020). As `decode`, with one output.

    The same draws give the same output. The score is the log-probability that `step` gives the tokens: temperature and cuts
    change what is drawn, not what it is worth.
    """
    rules = _Rules(config, max_lengths, length, bos_id, eos_id, pad_id)
    # Below 1 by more than the rounding error of the sums that they are compared with.
    draws = ops.minimum(draws, 1.0 - 1e-6)

    def choose(logits, position):
        scores, tokens = rules.candidates(logits, position)
        return _draw(scores / config.temperature, tokens, ops.take(draws, position, axis=0), config)

    ids, score = _write_one(step, state, rules, choose, batch_size, length)
    return ids[:, None], score[:, None]


def beam_search(step, state, config, *, batch_size, max_lengths, length, bos_id, eos_id, pad_id):
    """Beam search with W living and W finished hypotheses (as in Vaswani et al. 2018, Tensor2Tensor). As `decode`.

    Each step ranks all one-token extensions of the living by log-probability; among the best 2 W of them those that end
    compete with the finished by score, and the best W others live on. Of equals the one from the lower beam comes
    first, then the lower id; among the finished the earlier. It stops when nothing living can still be returned.

    With one beam this is not `greedy`, which stops at the first eos that is likeliest; the beam goes on while a longer
    output might score higher.
    """
    beams = config.beam_size
    rules = _Rules(config, ops.repeat(max_lengths, beams, axis=0), length, bos_id, eos_id, pad_id)
    best_penalty = rules.penalty(ops.minimum(ops.cast(max_lengths, "int32"), length))

    def promising(position, alive, last, ids, finished, finished_ids, *flat):
        # Log-probabilities only fall and the penalty grows with length, so no living hypothesis ends above this.
        bound = ops.max(alive, axis=1) / best_penalty
        can_improve = ops.logical_and(bound > finished[:, config.n_best - 1], bound > NEVER / 2)
        return ops.logical_and(position < length, ops.any(can_improve))

    def body(position, alive, last, ids, finished, finished_ids, *flat):
        logits, new = step(last, position, keras.tree.pack_sequence_as(state, list(flat)))
        score, beam, token = _extensions(rules, logits, ids, position, alive)  # (B, 2 W)
        candidates = _write(ops.take(ids, _rows(beam, beams), axis=0), position, ops.reshape(token, (-1,)))
        ends = ops.equal(token, eos_id)
        ended = ops.where(ops.logical_and(ends, score > NEVER / 2), score / rules.penalty(position + 1), NEVER)
        finished, finished_ids = _merge(finished, finished_ids, ended, candidates)
        alive, index = ops.top_k(ops.where(ends, NEVER, score), beams)
        rows = _rows(ops.take_along_axis(beam, index, axis=1), beams)
        last = ops.reshape(ops.take_along_axis(token, index, axis=1), (-1,))
        ids = ops.take(candidates, _rows(index, 2 * beams), axis=0)
        reordered = [ops.take(leaf, rows, axis=0) for leaf in keras.tree.flatten(new)]
        return position + 1, alive, last, ids, finished, finished_ids, *reordered

    start = _first_beams(state, batch_size, beams, length, bos_id, pad_id)
    _, _, _, _, finished, ids, *_ = ops.while_loop(promising, body, start)
    return ops.reshape(ids, (-1, beams, length))[:, : config.n_best], finished[:, : config.n_best]


class _Rules:
    """Which tokens each of N hypotheses may write next, and what its length costs."""

    def __init__(self, config, max_lengths, length, bos_id, eos_id, pad_id):
        self.config, self.max_lengths = config, ops.minimum(ops.cast(max_lengths, "int32"), length)
        self.bos_id, self.eos_id, self.pad_id = bos_id, eos_id, pad_id

    def penalty(self, tokens):
        """The length penalty of outputs of `tokens` tokens, float32."""
        return ops.power((5.0 + ops.cast(tokens, "float32")) / 6.0, self.config.length_penalty)

    def candidates(self, logits, position, count=None):
        """At least the `count` best allowed tokens of each hypothesis, or all V, from logits float32 (N, V).

        Returns their logits float32 (N, C) and ids int32 (N, C); what is not allowed has NEVER, and the last column is
        an end that was forced. At most three tokens are forbidden to all, so `count` + 3 candidates are enough: looking
        at them alone saves a mask over the whole vocabulary.
        """
        vocab_size = logits.shape[-1]
        if count is None:
            top, tokens = logits, ops.zeros_like(logits, "int32") + ops.arange(vocab_size)
        else:
            top, tokens = ops.top_k(logits, min(count + 3, vocab_size))
        ends = ops.equal(tokens, self.eos_id)
        never = ops.logical_and(ends, position < self.config.min_length)
        for token in {self.pad_id, self.bos_id} - {self.eos_id}:
            never = ops.logical_or(never, ops.equal(tokens, token))
        top = ops.where(never, NEVER, top)
        forced = ops.logical_or(position + 1 >= self.max_lengths, ops.max(top, axis=-1) <= NEVER / 2)[:, None]
        end = ops.where(forced, logits[:, self.eos_id : self.eos_id + 1], NEVER)
        top = ops.concatenate([ops.where(forced, NEVER, top), end], axis=1)
        return top, ops.concatenate([tokens, ops.full_like(tokens[:, :1], self.eos_id)], axis=1)

    def without_repeats(self, logits, ids, position):
        """logits (N, V) with NEVER for what would write an n-gram of ids (N, L) a second time (Paulus et al. 2018).

        eos needs no exception: it is never among the tokens of a hypothesis that is still being written.
        """
        size, vocab_size = self.config.no_repeat_ngram, logits.shape[-1]
        if not size:
            return logits
        # The n-gram that begins here was written, and its first n - 1 tokens are the last n - 1 written.
        repeats = ops.broadcast_to(ops.arange(ids.shape[1]) + size <= position, ops.shape(ids))
        for offset in range(size - 1):
            recent = ops.take(ids, ops.maximum(position - size + 1 + offset, 0), axis=1)
            repeats = ops.logical_and(repeats, ops.equal(ops.roll(ids, -offset, axis=1), recent[:, None]))
        # pad is forbidden anyway: it stands for "none".
        banned = ops.where(repeats, ops.roll(ids, 1 - size, axis=1), self.pad_id)
        cells = ops.reshape(ops.arange(ops.shape(ids)[0])[:, None] * vocab_size + banned, (-1, 1))
        flat = ops.reshape(logits, (-1,))
        flat = ops.scatter_update(flat, cells, ops.full_like(cells[:, 0], NEVER, dtype=logits.dtype))
        return ops.reshape(flat, (-1, vocab_size))


def _write_one(step, state, rules, choose, batch_size, length):
    """Writes one hypothesis a sentence with `choose(logits (B, V), position) -> int32 (B,)`.

    Returns:
        ids int32 (B, L) and their log-probability float32 (B,).
    """

    def unfinished(position, done, last, ids, score, *flat):
        return ops.logical_and(position < length, ops.any(ops.logical_not(done)))

    def body(position, done, last, ids, score, *flat):
        logits, new = step(last, position, keras.tree.pack_sequence_as(state, list(flat)))
        logits = ops.cast(logits, "float32")
        chosen = choose(rules.without_repeats(logits, ids, position), position)
        score = score + ops.where(done, 0.0, _pick(logits, chosen) - ops.logsumexp(logits, axis=-1))
        last = ops.where(done, rules.pad_id, chosen)
        done = ops.logical_or(done, ops.equal(chosen, rules.eos_id))
        return position + 1, done, last, _write(ids, position, last), score, *keras.tree.flatten(new)

    done, last = ops.zeros((batch_size,), "bool"), ops.full((batch_size,), rules.bos_id, "int32")
    ids, score = ops.full((batch_size, length), rules.pad_id, "int32"), ops.zeros((batch_size,), "float32")
    start = (ops.convert_to_tensor(0, "int32"), done, last, ids, score, *keras.tree.flatten(state))
    _, _, _, ids, score, *_ = ops.while_loop(unfinished, body, start)
    return ids, score


def _draw(scores, tokens, draw, config):
    """Draws one of tokens int32 (B, C) by scores float32 (B, C), cut to top_k and top_p, with draw in [0, 1) (B,)."""
    if config.top_k or config.top_p < 1.0:
        count = scores.shape[1]
        scores, index = ops.top_k(scores, min(config.top_k or count, count))
        tokens = ops.take_along_axis(tokens, index, axis=1)
    chance = ops.softmax(scores, axis=-1)
    if config.top_p < 1.0:
        likelier = ops.cumsum(chance, axis=-1) - chance
        kept = ops.logical_or(likelier < config.top_p, ops.arange(chance.shape[1]) == 0)
        chance = ops.where(kept, chance, 0.0)
    total = ops.cumsum(chance, axis=-1)
    # The first token whose cumulated probability exceeds the draw; never an impossible one, however the sums round.
    reached = ops.logical_and(total > draw[:, None] * total[:, -1:], chance > 0.0)
    return _pick(tokens, ops.argmax(ops.cast(reached, "int32"), axis=-1))


def _first_beams(state, batch_size, beams, length, bos_id, pad_id):
    """What `beam_search` loops over, before the first step."""
    # Only the first beam lives at the start: the others would be copies of it.
    alive = ops.where(ops.arange(beams) == 0, 0.0, NEVER)[None] * ops.ones((batch_size, 1), "float32")
    finished = ops.full((batch_size, beams), NEVER, "float32")
    last = ops.full((batch_size * beams,), bos_id, "int32")
    ids = ops.full((batch_size * beams, length), pad_id, "int32")
    flat = [ops.repeat(leaf, beams, axis=0) for leaf in keras.tree.flatten(state)]
    return ops.convert_to_tensor(0, "int32"), alive, last, ids, finished, ids, *flat


def _extensions(rules, logits, ids, position, alive):
    """The best 2 W one-token extensions of the living hypotheses of each sentence, W of which at most end.

    Ranking within each hypothesis and then across them needs no log-softmax of the whole vocabulary.

    Args:
        logits: float (N, V). ids: int32 (N, L). alive: float32 (B, W), log-probabilities.

    Returns:
        log-probability float32, beam int32, token int32, each (B, 2 W).
    """
    beams = alive.shape[1]
    logits = ops.cast(logits, "float32")
    normalizer = ops.logsumexp(logits, axis=-1)
    top, tokens = rules.candidates(rules.without_repeats(logits, ids, position), position, 2 * beams)  # (N, C)
    count = top.shape[1]
    total = ops.reshape(top + (ops.reshape(alive, (-1,)) - normalizer)[:, None], (-1, beams * count))
    score, index = ops.top_k(total, 2 * beams)
    return score, index // count, ops.take_along_axis(ops.reshape(tokens, (-1, beams * count)), index, axis=1)


def _merge(scores, ids, more_scores, more_ids):
    """The best W of scores (B, W) and more_scores (B, K), with their ids (B * W, L) and (B * K, L)."""
    beams, length, total = scores.shape[1], ids.shape[1], scores.shape[1] + more_scores.shape[1]
    both = [ops.reshape(part, (-1, count, length)) for part, count in ((ids, beams), (more_ids, total - beams))]
    scores, index = ops.top_k(ops.concatenate([scores, more_scores], axis=1), beams)
    rows = ops.reshape(ops.concatenate(both, axis=1), (-1, length))
    return scores, ops.take(rows, _rows(index, total), axis=0)


def _rows(index, count):
    """Index int32 (B, K) of one of `count` rows of a sentence -> (B * K,) of a row among all B * count."""
    return ops.reshape(index + count * ops.arange(ops.shape(index)[0])[:, None], (-1,))


def _pick(x, index):
    """x (B, C), index int (B,) -> (B,)"""
    return ops.take_along_axis(x, index[:, None], axis=1)[:, 0]


def _write(ids, position, tokens):
    """ids (N, L) with column `position` replaced by tokens (N,)."""
    return ops.where(ops.arange(ids.shape[1]) == position, tokens[:, None], ids)
