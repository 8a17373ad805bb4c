"""Greedy, beam and sampled decoding over `step(ids, position, state) -> (logits, state)`: knows no model, no tokenizer.

Everything is keras.ops with static shapes, so it runs eagerly, in a tf.function and under jax.jit.

Shapes: B batch, W beams, N = B * W hypotheses (those of a sentence side by side), L length, V vocabulary.
"""

import keras
from keras import ops

# Stands for log 0: finite, so that sums and products of it stay numbers.
NEVER = -1e9


def decode(step, state, config, *, batch_size, max_lengths, length, bos_id, eos_id, pad_id):
    """Decodes a batch as a DecodingConfig says: by sampling, greedily or with a beam.

    Args:
        step: step(ids int32 (N,), position int32 scalar, state) -> (logits float (N, V) of the next token, state).
            Position 0 holds bos.
        state: nested structure of tensors with leading dimension B; a beam repeats it to N and reorders it.
        config: DecodingConfig.
        batch_size: B. max_lengths: int32 (B,), the most tokens of each output, eos included: the last one allowed is
            made eos. length: static int L, no smaller than any of them.
        bos_id, eos_id, pad_id: bos and pad are never written.

    Returns:
        ids int32 (B, n_best, L), best first, eos included, pad behind it; scores float32 (B, n_best): log-probability
        divided by the length penalty ((5 + tokens) / 6) ^ alpha of Wu et al. 2016, equation 14; for sampling the
        log-probability under the distribution that was sampled from.
    """
    rules = Rules(config, max_lengths, bos_id, eos_id, pad_id)
    if config.temperature > 0 or config.beam_size == 1:
        return _one_by_one(step, state, config, rules, batch_size, length)
    return _beam_search(step, state, config, rules, batch_size, length)


class Rules:
    """Which tokens may be written: turns logits into scores of the tokens allowed."""

    def __init__(self, config, max_lengths, bos_id, eos_id, pad_id):
        self.config, self.max_lengths = config, ops.cast(max_lengths, "int32")
        self.bos_id, self.eos_id, self.pad_id = bos_id, eos_id, pad_id

    def apply(self, logits, position, ids):
        """float32 (B, W, V) logits, forbidden tokens at NEVER; ids (B, W, L) are what each hypothesis has so far."""
        vocabulary = ops.arange(logits.shape[-1])
        is_eos = ops.equal(vocabulary, self.eos_id)
        allowed = ops.logical_and(ops.not_equal(vocabulary, self.pad_id), ops.not_equal(vocabulary, self.bos_id))
        allowed = ops.logical_and(allowed, ops.logical_or(~is_eos, position >= self.config.min_length))
        allowed = allowed[None, None]
        if self.config.no_repeat_ngram:
            allowed = ops.logical_and(allowed, ~self._repeats(ids, position, logits.shape[-1]))
        last = (position + 1 >= self.max_lengths)[:, None, None]
        allowed = ops.where(last, is_eos[None, None], allowed)
        return ops.where(allowed, logits, NEVER)

    def _repeats(self, ids, position, vocab_size):
        """bool (B, W, V): tokens that would write an n-gram a second time. The end token is never one of them."""
        size, length = self.config.no_repeat_ngram, ids.shape[-1]
        index = ops.arange(length)
        # starts[i]: the n-gram beginning at i is complete, and its first n - 1 tokens are the last n - 1 written.
        starts = ops.broadcast_to(index + size <= position, ops.shape(ids))
        for offset in range(size - 1):
            now = ops.take(ids, ops.clip(position - (size - 1) + offset, 0, length - 1), axis=-1)[..., None]
            then = ops.take(ids, ops.clip(index + offset, 0, length - 1), axis=-1)
            starts = ops.logical_and(starts, ops.equal(now, then))
        enough = ops.logical_and(starts, position >= size - 1)
        ends = ops.take(ids, ops.clip(index + size - 1, 0, length - 1), axis=-1)
        hits = ops.one_hot(ops.where(enough, ends, self.eos_id), vocab_size, dtype="int32")
        return ops.logical_and(ops.max(hits, axis=-2) > 0, ops.arange(vocab_size) != self.eos_id)

    def penalty(self, tokens):
        """The length penalty of outputs of `tokens` tokens, float32."""
        return ((5.0 + ops.cast(tokens, "float32")) / 6.0) ** self.config.length_penalty


def _write(ids, position, new):
    """ids (..., L) with column `position` replaced by new (...)."""
    return ops.where(ops.equal(ops.arange(ids.shape[-1]), position), new[..., None], ids)


def _one_by_one(step, state, config, rules, batch_size, length):
    """Greedy decoding or sampling: one hypothesis a sentence."""
    ids = ops.full((batch_size, length), rules.pad_id, dtype="int32")
    last = ops.full((batch_size,), rules.bos_id, dtype="int32")
    score, tokens = ops.zeros((batch_size,), "float32"), ops.zeros((batch_size,), "int32")
    done = ops.zeros((batch_size,), "bool")

    def unfinished(position, ids, last, score, tokens, done, *state):
        return ops.logical_and(position < length, ~ops.all(done))

    def body(position, ids, last, score, tokens, done, *flat):
        logits, new = step(last, position, keras.tree.pack_sequence_as(state, list(flat)))
        raw = ops.cast(logits, "float32")
        logits = rules.apply(raw[:, None], position, ids[:, None])[:, 0]
        if config.temperature > 0:
            raw = logits = truncate(logits / config.temperature, config.top_k, config.top_p)
            chosen = ops.argmax(logits + _gumbel(ops.shape(logits), config.sampling_seed, position), axis=-1)
        else:
            chosen = ops.argmax(logits, axis=-1)
        chosen = ops.cast(chosen, "int32")
        gained = ops.take_along_axis(raw, chosen[:, None], axis=-1)[:, 0] - ops.logsumexp(raw, axis=-1)
        last = ops.where(done, rules.pad_id, chosen)
        score = score + ops.where(done, 0.0, gained)
        tokens = tokens + ops.cast(~done, "int32")
        done = ops.logical_or(done, ops.equal(chosen, rules.eos_id))
        return position + 1, _write(ids, position, last), last, score, tokens, done, *keras.tree.flatten(new)

    start = (ops.convert_to_tensor(0, "int32"), ids, last, score, tokens, done, *keras.tree.flatten(state))
    _, ids, _, score, tokens, *_ = ops.while_loop(unfinished, body, start)
    if not config.temperature:
        score = score / rules.penalty(tokens)
    return ids[:, None], score[:, None]


def _gumbel(shape, seed, position):
    """Gumbel noise, a function of seed and position: the argmax of logits + noise is a draw from their softmax."""
    key = ops.stack([ops.convert_to_tensor(seed, "uint32"), ops.cast(position, "uint32")])
    uniform = keras.random.uniform(shape, 1e-7, 1.0 - 1e-7, seed=key)
    return -ops.log(-ops.log(uniform))


def truncate(logits, top_k=0, top_p=1.0):
    """Logits (B, V) with all but the likeliest tokens at NEVER.

    Args:
        top_k: how many stay (Fan et al. 2018); 0: all.
        top_p: the fewest whose probabilities sum to at least p stay (Holtzman et al. 2020).
    """
    if top_k:
        smallest = ops.top_k(logits, min(top_k, logits.shape[-1]))[0][:, -1:]
        logits = ops.where(logits >= smallest, logits, NEVER)
    if top_p < 1.0:
        falling = ops.flip(ops.sort(logits, axis=-1), axis=-1)
        chance = ops.softmax(falling)
        before = ops.cumsum(chance, axis=-1) - chance
        smallest = ops.min(ops.where(before < top_p, falling, float("inf")), axis=-1, keepdims=True)
        logits = ops.where(logits >= ops.minimum(smallest, falling[:, :1]), logits, NEVER)
    return logits


def _repeat(x, beams):
    """(B, ...) -> (B * W, ...)"""
    return ops.repeat(x, beams, axis=0)


def _gather(x, beam):
    """Picks hypotheses: x (B, W, ...), beam int (B, K) -> (B, K, ...)."""
    batch, beams = ops.shape(beam)[0], x.shape[1]
    flat = ops.reshape(x, (-1, *x.shape[2:]))
    rows = beam + ops.arange(batch)[:, None] * beams
    return ops.reshape(ops.take(flat, ops.reshape(rows, (-1,)), axis=0), (-1, beam.shape[1], *x.shape[2:]))


def _reorder(state, beam):
    """Picks hypotheses of a state with leading dimension N = B * W by beam int (B, W)."""
    batch, beams = ops.shape(beam)[0], beam.shape[1]
    rows = ops.reshape(beam + ops.arange(batch)[:, None] * beams, (-1,))
    return [ops.take(leaf, rows, axis=0) for leaf in state]


def _best_extensions(logits, normalizer, score, count):
    """The `count` best one-token extensions of all hypotheses of a sentence.

    The two-level search (per hypothesis, then across) needs no log-softmax of the whole vocabulary. Ties go to the
    lower beam, then to the lower token.

    Args:
        logits: float32 (B, W, V), forbidden tokens at NEVER. normalizer: float32 (B, W, 1), log of the sum of their
            exponentials before any was forbidden. score: float32 (B, W), log-probability so far.

    Returns:
        score float32, beam int32, token int32, each (B, count).
    """
    count_each = min(count, logits.shape[-1])
    top, token = ops.top_k(logits, count_each)  # (B, W, count)
    total = ops.reshape(score[..., None] + top - normalizer, (-1, logits.shape[1] * count_each))
    best, index = ops.top_k(total, count)
    index = ops.cast(index, "int32")
    token = ops.take_along_axis(ops.reshape(ops.cast(token, "int32"), ops.shape(total)), index, axis=1)
    return best, index // count_each, token


def _beam_search(step, state, config, rules, batch_size, length):
    """Beam search with a set of living and a set of finished hypotheses (as in Tensor2Tensor, Vaswani et al. 2018)."""
    beams = config.beam_size
    flat = [_repeat(leaf, beams) for leaf in keras.tree.flatten(state)]
    ids = ops.full((batch_size, beams, length), rules.pad_id, dtype="int32")
    # Only the first hypothesis lives at the start: the others would be copies of it.
    first = ops.where(ops.arange(beams) == 0, 0.0, NEVER)[None]
    alive = ops.broadcast_to(ops.cast(first, "float32"), (batch_size, beams))
    last = ops.full((batch_size, beams), rules.bos_id, dtype="int32")
    finished = ops.full((batch_size, beams), NEVER, dtype="float32")

    def promising(position, ids, alive, last, finished_ids, finished, *flat):
        # What the best living hypothesis can still reach, against the worst finished one that would be returned.
        bound = ops.max(alive, axis=1) / rules.penalty(rules.max_lengths)
        worst = finished[:, config.n_best - 1]
        open_ = ops.logical_and(bound > worst, ops.max(alive, axis=1) > NEVER / 2)
        return ops.logical_and(position < length, ops.any(open_))

    def body(position, ids, alive, last, finished_ids, finished, *flat):
        packed = keras.tree.pack_sequence_as(state, list(flat))
        logits, new = step(ops.reshape(last, (-1,)), position, packed)
        logits = ops.reshape(ops.cast(logits, "float32"), (-1, beams, logits.shape[-1]))
        normalizer = ops.logsumexp(logits, axis=-1, keepdims=True)
        logits = rules.apply(logits, position, ids)
        # Twice as many as beams, so that enough go on living even if half of them end.
        score, beam, token = _best_extensions(logits, normalizer, alive, 2 * beams)
        candidates = _write(_gather(ids, beam), position, token)
        ends = ops.equal(token, rules.eos_id)
        ended = ops.where(ends, score / rules.penalty(position + 1), NEVER)
        ended = ops.where(score > NEVER / 2, ended, NEVER)
        finished, index = ops.top_k(ops.concatenate([finished, ended], axis=1), beams)
        finished_ids = _gather(ops.concatenate([finished_ids, candidates], axis=1), ops.cast(index, "int32"))
        alive, index = ops.top_k(ops.where(ends, NEVER, score), beams)
        index = ops.cast(index, "int32")
        ids, last = _gather(candidates, index), ops.take_along_axis(token, index, axis=1)
        new = _reorder(keras.tree.flatten(new), ops.take_along_axis(beam, index, axis=1))
        return position + 1, ids, alive, last, finished_ids, finished, *new

    start = (ops.convert_to_tensor(0, "int32"), ids, alive, last, ids, finished, *flat)
    _, _, _, _, finished_ids, finished, *_ = ops.while_loop(promising, body, start)
    return finished_ids[:, : config.n_best], finished[:, : config.n_best]
