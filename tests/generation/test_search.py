"""Tests of decoding against a plain-Python search over scripted scores.

Both must find the same ids and the same scores. The tests run on either backend, for example with
KERAS_BACKEND=jax python -m pytest tests/generation/test_search.py
"""

import functools
import math

import keras
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from keras import ops

from transformer.compilation import graph
from transformer.config import DecodingConfig
from transformer.generation.search import NEVER, BeamSearch, Greedy, decode, make_search, top_k

PAD, UNK, BOS, EOS = 0, 1, 2, 3
BATCH, VOCAB, LENGTH = 3, 9, 7
# A history is hashed into one of these buckets, so the scripted logits depend on all of it.
BUCKETS = 11


def table(seed, vocab=VOCAB, scale=2.0, batch=BATCH, length=LENGTH):
    """Logits float32 (batch, length, BUCKETS, vocab): what follows a history, by sentence,
    position and hash."""
    return (
        np.random.default_rng(seed)
        .normal(0.0, scale, (batch, length, BUCKETS, vocab))
        .astype("float32")
    )


def script(logits):
    """A `step` over a table, and the state it starts with: the hash and, to test reordering, the
    whole history."""
    batch, length = logits.shape[:2]
    flat = ops.convert_to_tensor(logits.reshape(-1, logits.shape[-1]))

    def step(ids, position, state):
        (hashed, sentence), history = state["own"], state["history"]
        history = ops.where(ops.arange(length) == position, ids[:, None], history)
        hashed = (hashed * 5 + ids) % BUCKETS
        row = (sentence * length + position) * BUCKETS + hashed
        return ops.take(flat, row, axis=0), {"own": (hashed, sentence), "history": history}

    zeros = np.zeros(batch, "int32")
    state = {
        "own": (zeros, np.arange(batch, dtype="int32")),
        "history": np.full((batch, length), -1, "int32"),
    }
    return step, keras.tree.map_structure(ops.convert_to_tensor, state)


def draws(batch, seed=1, length=LENGTH):
    """Uniform numbers for sampling."""
    return np.ascontiguousarray(np.random.default_rng(seed).random((length, batch), "float32").T)


def by(kind):
    """`decode` by a kind of Search, also with one beam."""

    def method(step, state, config, *, batch_size, max_lengths, length, bos_id, eos_id, pad_id):
        search = kind(config, bos_id, eos_id, pad_id)
        return search.results(
            search.advance(step, search.begin(state, batch_size, max_lengths, length), length)
        )

    return method


beam_search, greedy = by(BeamSearch), by(Greedy)


def run(method, logits, config, caps=None, compiled=None, bos=BOS, pad=PAD, seed=1):
    """ids (B, n, length) and scores (B, n) of a decoding method as NumPy arrays; `compiled`:
    None, "graph" or "xla"."""
    step, state = script(logits)
    batch, length = logits.shape[:2]
    caps = np.full(batch, length, "int32") if caps is None else np.asarray(caps, "int32")

    chance = (
        {"draws": ops.convert_to_tensor(draws(batch, seed, length))} if method is decode else {}
    )

    def function(caps):
        return method(
            step,
            state,
            config,
            batch_size=batch,
            max_lengths=caps,
            length=length,
            bos_id=bos,
            eos_id=EOS,
            pad_id=pad,
            **chance,
        )

    caps = ops.convert_to_tensor(caps)
    if compiled and keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function)
    elif compiled:
        function = graph(function, jit_compile=compiled == "xla")
    return [ops.convert_to_numpy(result) for result in function(caps)]


# The same search in plain Python: one sentence at a time, with lists of tokens and the stopping
# rule written out.


def log_probabilities(logits, sentence, tokens, config, cap, bos=BOS, pad=PAD):
    """{token: log-probability} of the tokens allowed after `tokens`."""
    hashed = 0
    for token in [bos, *tokens]:
        hashed = (hashed * 5 + token) % BUCKETS
    row = logits[sentence, len(tokens), hashed]
    normalizer = np.float32(math.log(sum(math.exp(x) for x in row.tolist())))
    found = {token: np.float32(x) - normalizer for token, x in enumerate(row)}
    n = config.no_repeat_ngram
    written = {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)} if n else set()
    allowed = {
        token: x
        for token, x in found.items()
        if token not in {pad, bos} - {EOS}
        and not (token == EOS and len(tokens) < config.min_length)
        and not (n and tuple([*tokens, token][-n:]) in written and len(tokens) >= n)
    }
    return allowed if allowed and len(tokens) + 1 < cap else {EOS: found[EOS]}


def penalty(count, config):
    return ((5 + count) / 6) ** config.length_penalty


def python_greedy(logits, sentence, config, cap, **ids):
    tokens, score = [], 0.0
    while not tokens or tokens[-1] != EOS:
        found = log_probabilities(logits, sentence, tokens, config, cap, **ids)
        best = max(found, key=lambda token: (found[token], -token))
        tokens, score = [*tokens, best], score + found[best]
    return [(score / penalty(len(tokens), config), tokens)]


def python_beam(logits, sentence, config, cap, **ids):
    width = config.beam_size
    living, finished, ended = [(np.float32(0.0), [])], [], 0

    def leads():
        score, tokens = living[0]
        return score / penalty(len(tokens) + 1, config) > finished[config.n_best - 1][0]

    while living and (ended < width or leads()):
        extended = []
        for score, tokens in living:
            found = log_probabilities(logits, sentence, tokens, config, cap, **ids)
            extended += [(score + x, [*tokens, token]) for token, x in sorted(found.items())]
        # sorted() is stable, so ties keep their order.
        extended = sorted(extended, key=lambda pair: -pair[0])[: 2 * width]
        finished += [
            (score / penalty(len(tokens), config), tokens)
            for score, tokens in extended
            if tokens[-1] == EOS
        ]
        finished = sorted(finished, key=lambda pair: -pair[0])[:width]
        ended += sum(tokens[-1] == EOS for _, tokens in extended[:width])
        living = [pair for pair in extended if pair[1][-1] != EOS][:width]
    return finished[: config.n_best]


def check(result, expected, pad=PAD):
    """The decoder's (ids, scores) of one sentence are the expected [(score, tokens), ...], then
    only pad."""
    ids, scores = result
    assert len(ids) == len(scores) >= len(expected)
    for row, score, (expected_score, tokens) in zip(ids, scores, expected):
        assert row.tolist() == tokens + [pad] * (len(row) - len(tokens))
        assert score == pytest.approx(float(expected_score), rel=1e-6, abs=1e-5)
    assert (ids[len(expected) :] == pad).all() and (scores[len(expected) :] == NEVER).all()


CASES = [
    dict(),
    dict(length_penalty=0.0, n_best=2),
    dict(length_penalty=1.0, min_length=3),
    dict(no_repeat_ngram=2, n_best=2),
    dict(no_repeat_ngram=1, min_length=4, length_penalty=1.0),
    dict(no_repeat_ngram=3, length_penalty=0.0, min_length=2),
]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_beam_search_is_that_of_plain_python(width, case):
    options = {**CASES[case], "beam_size": width}
    options["n_best"] = min(width, options.get("n_best", width))
    config = DecodingConfig(**options)
    rng, batch = np.random.default_rng(10 * case + width), 16
    caps, scales = rng.integers(1, LENGTH + 1, batch), rng.choice([0.3, 1.0, 2.0, 4.0], batch)
    logits = table(100 * case + width, batch=batch, scale=1.0) * scales[:, None, None, None].astype(
        "float32"
    )
    ids, scores = run(beam_search, logits, config, caps)
    for sentence in range(batch):
        check(
            (ids[sentence], scores[sentence]), python_beam(logits, sentence, config, caps[sentence])
        )


# Failing examples are not shrunk, because a search takes too long.
@settings(max_examples=10, phases=[Phase.generate])
@given(
    width=st.integers(2, 5),
    n_best=st.integers(1, 5),
    alpha=st.floats(0, 2),
    ngram=st.integers(0, 3),
    min_length=st.integers(0, 5),
    vocab=st.integers(5, 14),
    seed=st.integers(0, 10**6),
)
def test_whatever_the_options_a_beam_is_that_of_plain_python(
    width, n_best, alpha, ngram, min_length, vocab, seed
):
    config = DecodingConfig(
        beam_size=width,
        n_best=min(n_best, width),
        length_penalty=alpha,
        no_repeat_ngram=ngram,
        min_length=min_length,
    )
    rng, batch = np.random.default_rng(seed), 12
    caps, scales = rng.integers(1, LENGTH + 3, batch), rng.choice([0.3, 1.0, 3.0], (batch, 1, 1, 1))
    logits = table(seed, vocab, scale=1.0, batch=batch) * scales.astype("float32")
    ids, scores = run(beam_search, logits, config, caps)
    for sentence in range(batch):
        # No output is longer than LENGTH, whatever its own limit.
        expected = python_beam(logits, sentence, config, min(caps[sentence], LENGTH))
        check((ids[sentence], scores[sentence]), expected)


@pytest.mark.parametrize(
    "width, alpha", [(2, 1.0), (2, 2.0), (3, 0.0), (3, 0.6), (4, 1.5), (5, 1.0), (6, 2.0)]
)
def test_the_best_of_several_beams_is_not_lost_by_stopping_early(width, alpha):
    """Ends are likely early, while what lives on is sure: whether it comes to more depends on
    its length."""
    length, batch = 12, 60
    rng = np.random.default_rng(10 * width + int(10 * alpha))
    logits = table(50 + width, batch=batch, length=length, scale=1.0)
    sure = rng.integers(2, 6, batch)
    for sentence in range(batch):
        logits[sentence, : sure[sentence], :, EOS] += rng.uniform(0.0, 3.0)
        logits[sentence, sure[sentence] :, :, 4] += rng.uniform(2.0, 9.0)
    caps = rng.integers(4, length + 1, batch)
    config = DecodingConfig(beam_size=width, length_penalty=alpha)
    ids, scores = run(beam_search, logits, config, caps)
    for sentence in range(batch):
        check(
            (ids[sentence], scores[sentence]), python_beam(logits, sentence, config, caps[sentence])
        )


@pytest.mark.parametrize("case", range(len(CASES)))
def test_greedy_is_that_of_plain_python(case):
    config = DecodingConfig(**{**CASES[case], "beam_size": 1, "n_best": 1})
    caps, logits = np.arange(1, LENGTH + 1), table(1000 + case, batch=LENGTH, scale=1.0)
    # LENGTH is a limit too, even if a sentence has a higher one.
    ids, scores = run(decode, logits, config, np.where(caps == LENGTH, LENGTH + 9, caps))
    for sentence, cap in enumerate(caps):
        check((ids[sentence], scores[sentence]), python_greedy(logits, sentence, config, cap))


@pytest.mark.parametrize("width", [1, 2])
def test_limits_may_be_integers_of_any_size(width):
    """NumPy's own are of 64 bits; positions are of 32."""
    step, state = script(table(40 + width))
    config, caps = DecodingConfig(beam_size=width), np.array([2, 4, 30], "int64")
    sizes = dict(batch_size=BATCH, max_lengths=caps, length=LENGTH)
    ids, scores = decode(step, state, config, **sizes, bos_id=BOS, eos_id=EOS, pad_id=PAD)
    search = python_greedy if width == 1 else python_beam
    for sentence, cap in enumerate([2, 4, LENGTH]):
        result = ops.convert_to_numpy(ids)[sentence], ops.convert_to_numpy(scores)[sentence]
        check(result, search(table(40 + width), sentence, config, cap))


@pytest.mark.parametrize("width, compiled", [(1, None), (2, None), (3, "xla"), (4, None)])
def test_ties_go_to_the_lower_beam_then_to_the_lower_token(width, compiled):
    # At each position every history has the same number of possible tokens. So sums are equal to
    # the last bit, and only the order decides. Which tokens are possible differs by history.
    rng, caps = np.random.default_rng(width), [LENGTH, LENGTH, 5, 5, 3]
    logits = np.full((len(caps), LENGTH, BUCKETS, VOCAB), -64.0, "float32")
    for sentence, position in np.ndindex(len(caps), LENGTH):
        count = rng.integers(2, 5)
        for bucket in range(BUCKETS):
            logits[sentence, position, bucket, rng.permutation(np.arange(1, VOCAB))[:count]] = 0.0
    config = DecodingConfig(beam_size=width, n_best=width, length_penalty=1.0)
    ids, scores = run(beam_search, logits, config, caps, compiled)
    for sentence, cap in enumerate(caps):
        check((ids[sentence], scores[sentence]), python_beam(logits, sentence, config, cap))


def test_all_tokens_equal():
    config = DecodingConfig(beam_size=3, n_best=3, length_penalty=0.0)
    ids, scores = run(beam_search, np.zeros((1, LENGTH, BUCKETS, 8), "float32"), config)
    # Of 8 equally likely tokens pad and bos are forbidden. unk, eos, 4 ... come first, and unk, 4
    # and 5 stay alive. Shorter outputs are likelier.
    np.testing.assert_array_equal(
        ids[0, :, :4], [[EOS, 0, 0, 0], [UNK, EOS, 0, 0], [UNK, UNK, EOS, 0]]
    )
    np.testing.assert_allclose(scores[0], np.log(1 / 8) * np.array([1, 2, 3]), rtol=1e-6)


def test_a_hand_worked_beam():
    # a is 4 and b is 5. After bos: a 0.6, b 0.4. After a: eos 0.5, b 0.5. After b: eos 0.9, a 0.1.
    # After two tokens always eos.
    chances = {(): {4: 0.6, 5: 0.4}, (4,): {EOS: 0.5, 5: 0.5}, (5,): {EOS: 0.9, 4: 0.1}}
    logits = np.full((1, LENGTH, BUCKETS, 6), -50.0, "float32")
    logits[:, 2:, :, EOS] = 0.0
    for tokens, found in chances.items():
        bucket = BOS if not tokens else (BOS * 5 + tokens[0]) % BUCKETS
        for token, chance in found.items():
            logits[0, len(tokens), bucket, token] = math.log(chance)
    ids, scores = run(decode, logits, DecodingConfig(beam_size=2, n_best=2, length_penalty=0.0))
    np.testing.assert_array_equal(ids[0, :, :3], [[5, EOS, 0], [4, EOS, 0]])
    np.testing.assert_allclose(scores[0], np.log([0.36, 0.3]), rtol=1e-5)
    ids, scores = run(decode, logits, DecodingConfig(beam_size=1, length_penalty=0.0))
    # Of eos and b, which are equal, greedy search takes the lower id.
    np.testing.assert_array_equal(ids[0, 0, :3], [4, EOS, 0])
    ids, scores = run(decode, logits, DecodingConfig(beam_size=2, n_best=2, length_penalty=10.0))
    # Two hypotheses among the best have ended, but the living ones get long enough to score higher.
    np.testing.assert_array_equal(ids[0, :, :3], [[4, 5, EOS], [5, 4, EOS]])
    np.testing.assert_allclose(scores[0], np.log([0.3, 0.04]) / (8 / 6) ** 10, rtol=1e-5)


def test_unlikely_ends_do_not_cut_off_what_leads():
    # Twice, one of the best two extensions ends before the likeliest output is complete.
    logits = np.full((1, LENGTH, BUCKETS, 6), -50.0, "float32")
    logits[:, :, :, EOS], logits[:, :, :, 4], logits[:, 3:, :, EOS] = -6.0, 0.0, 50.0
    ids, scores = run(decode, logits, DecodingConfig(beam_size=2, length_penalty=1.0))
    np.testing.assert_array_equal(ids[0, 0, :5], [4, 4, 4, EOS, 0])
    np.testing.assert_allclose(scores[0, 0], -3 * np.log1p(np.exp(-6)) / (9 / 6), rtol=1e-3)


def certain(rows, length=LENGTH, vocab=8):
    """Logits (1, length, BUCKETS, vocab) of a dict position -> {token: chance}, whatever was
    written before."""
    logits = np.full((1, length, BUCKETS, vocab), -50.0, "float32")
    for position, chances in rows.items():
        for token, chance in chances.items():
            logits[:, position, :, token] = math.log(chance)
    return logits


def test_two_beams_go_on_while_the_longest_output_may_be_worth_more():
    # The outputs 4 eos and 5 eos score log 0.2 / (7 / 6) = -1.38. The living hypotheses of three
    # tokens have log 0.075 = -2.59. If one ended there, at three or at four tokens, it would score
    # -1.94 or -1.73. But at seven tokens it scores -2.59 / (12 / 6) = -1.295.
    rows = {
        0: {4: 0.5, 5: 0.5},
        1: {4: 0.6, EOS: 0.4},
        2: {4: 0.25, 5: 0.25, 6: 0.25, 7: 0.25},
        6: {EOS: 1.0},
    }
    logits = certain(rows | {position: {4: 1.0} for position in (3, 4, 5)})
    config = DecodingConfig(beam_size=2, length_penalty=1.0)
    assert python_beam(logits, 0, config, LENGTH)[0][1] == [4] * 6 + [EOS]
    ids, scores = run(decode, logits, config)
    np.testing.assert_array_equal(ids[0], [[4, 4, 4, 4, 4, 4, EOS]])
    np.testing.assert_allclose(scores[0], [math.log(0.075) / 2], rtol=1e-5)
    # With room for six tokens it reaches at most log 0.075 / (11 / 6) = -1.41.
    ids, scores = run(decode, logits, config, [6])
    np.testing.assert_array_equal(ids[0], [[4, EOS, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(scores[0], [math.log(0.2) * 6 / 7], rtol=1e-5)
    assert steps_of(logits, config, 6) == 3


def steps_of(logits, config, cap):
    """How many tokens are written before a search of one sentence stops."""
    step, state = script(logits)
    search = make_search(config, BOS, EOS, PAD)
    loop = search.begin(state, 1, ops.convert_to_tensor([cap]), LENGTH)
    return int(search.advance(step, loop, LENGTH)["position"])


def test_a_search_stops_where_nothing_lives_though_fewer_outputs_than_asked_exist():
    # The only output of one token is the end token.
    config, logits = DecodingConfig(beam_size=3, n_best=3), table(24, batch=1)
    assert steps_of(logits, config, cap=1) == 1
    ids, scores = run(decode, logits, config, [1])
    assert ids[0, :, 0].tolist() == [EOS, PAD, PAD] and scores[0, 1:].tolist() == [NEVER, NEVER]


def test_a_sentence_at_its_end_does_not_begin_again_beside_a_longer_one():
    # The living hypothesis of the first sentence scores below the ended one, since
    # log 0.4 / (7 / 6) < log 0.6. At six tokens it would score above.
    logits = np.full((2, LENGTH, BUCKETS, 6), -50.0, "float32")
    logits[:, :, :, 4], logits[0, 5:, :, EOS] = 0.0, 50.0
    logits[0, 0, :, EOS], logits[0, 0, :, 4] = math.log(0.6), math.log(0.4)
    config = DecodingConfig(beam_size=1, length_penalty=1.0)
    ids, scores = run(beam_search, logits, config)
    for sentence in range(2):
        check((ids[sentence], scores[sentence]), python_beam(logits, sentence, config, LENGTH))
    np.testing.assert_array_equal(ids[:, 0, :2], [[EOS, PAD], [4, 4]])


def test_the_state_follows_its_hypothesis():
    logits = table(7)
    step, state = script(logits)

    def exact(ids, position, state):
        # The history recorded in each row's state must be the path that the decoder believes to
        # extend.
        scores, state = step(ids, position, state)
        known = ops.sum(ops.cast(ops.not_equal(state["history"], -1), "int32"), axis=1)
        spelt = ops.zeros_like(ids)
        for index in range(LENGTH):
            inside = index <= position
            spelt = ops.where(inside, (spelt * 5 + state["history"][:, index]) % BUCKETS, spelt)
        good = ops.logical_and(ops.equal(spelt, state["own"][0]), ops.equal(known, position + 1))
        return ops.where(good[:, None], scores, float("nan")), state

    config = DecodingConfig(beam_size=4, n_best=4)
    caps = ops.convert_to_tensor(np.full(BATCH, LENGTH, "int32"))
    ids, scores = beam_search(
        exact,
        state,
        config,
        batch_size=BATCH,
        max_lengths=caps,
        length=LENGTH,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=PAD,
    )
    for sentence in range(BATCH):
        result = ops.convert_to_numpy(ids[sentence]), ops.convert_to_numpy(scores[sentence])
        check(result, python_beam(logits, sentence, config, LENGTH))


def test_one_beam_is_greedy_where_the_model_is_sure():
    logits, config = table(3, scale=1.0), DecodingConfig(beam_size=1, length_penalty=0.0)
    logits[..., [PAD, BOS]] = -20.0
    logits[:, 4:, :, EOS] = 20.0
    logits += 20.0 * (logits == logits.max(-1, keepdims=True))
    for result, expected in zip(run(beam_search, logits, config), run(greedy, logits, config)):
        np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        dict(beam_size=1),
        dict(beam_size=4, n_best=3, no_repeat_ngram=2),
        dict(temperature=1.0, top_k=4, top_p=0.9),
        dict(temperature=0.7),
    ],
)
def test_eager_graph_and_xla_agree(options):
    logits, config, caps = table(11, scale=1.0), DecodingConfig(**options), [LENGTH, 4, 1]
    ids, scores = run(decode, logits, config, caps)
    for compiled in ("graph", "xla"):
        other_ids, other_scores = run(decode, logits, config, caps, compiled)
        np.testing.assert_array_equal(ids, other_ids)
        np.testing.assert_allclose(scores, other_scores, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a batch of unknown size is TensorFlow's"
)
@pytest.mark.parametrize(
    "options", [dict(beam_size=1), dict(beam_size=3, no_repeat_ngram=2), dict(temperature=1.0)]
)
def test_the_batch_may_be_of_any_size(options):
    import tensorflow as tf

    logits, config = table(12), DecodingConfig(**options)
    step, _ = script(logits)

    @graph(input_signature=[tf.TensorSpec([None], "int32"), tf.TensorSpec([None, LENGTH], "int32")])
    def function(caps, history):
        batch, sentence = tf.shape(caps)[0], tf.range(tf.shape(caps)[0])
        state = {"own": (tf.zeros_like(caps), sentence), "history": history}
        return decode(
            step,
            state,
            config,
            batch_size=batch,
            max_lengths=caps,
            length=LENGTH,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=PAD,
            draws=tf.constant(draws(BATCH))[:batch],
        )

    for batch in (1, BATCH):
        ids, scores = function(np.full(batch, 5, "int32"), np.full((batch, LENGTH), -1, "int32"))
        expected_ids, expected_scores = run(decode, logits, config, [5] * BATCH)
        expected_ids, expected_scores = expected_ids[:batch], expected_scores[:batch]
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


@pytest.mark.parametrize(
    "options", [dict(beam_size=3), dict(beam_size=1), dict(beam_size=1, no_repeat_ngram=1)]
)
@pytest.mark.parametrize(
    "bos, pad",
    [(EOS, 1), (0, 0), (VOCAB - 1, VOCAB - 1), (VOCAB - 2, VOCAB - 1)],
    ids=["BART", "T5", "Marian", "neither"],
)
def test_bos_may_be_eos_or_pad(bos, pad, options):
    logits, config = table(13, batch=6, scale=1.0), DecodingConfig(**options)
    # These tokens are likely, so that it matters whether they are forbidden.
    logits[..., [0, bos, pad]] += 1.0
    ids, scores = run(decode, logits, config, bos=bos, pad=pad)
    plain = python_beam if config.beam_size > 1 else python_greedy
    for sentence in range(6):
        expected = plain(logits, sentence, config, LENGTH, bos=bos, pad=pad)
        check((ids[sentence], scores[sentence]), expected, pad)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_however_likely_what_is_forbidden_there_are_candidates_enough(width):
    """Pad, bos and, before `min_length`, eos come first, of 20 tokens; then those that may be
    written."""
    logits = table(23, vocab=20, scale=1.0)
    logits[..., [PAD, BOS, EOS]] += 20.0
    config = DecodingConfig(beam_size=width, n_best=width, min_length=3, length_penalty=0.0)
    ids, scores = run(decode, logits, config)
    for sentence in range(BATCH):
        plain = python_greedy if width == 1 else python_beam
        check((ids[sentence], scores[sentence]), plain(logits, sentence, config, LENGTH))


# Each n-gram size with the expected output, where 4 5 4 5 ... is likeliest, 6 next and eos last,
# with at most ten tokens.
REPEATED = [
    (0, [4, 5, 4, 5, 4, 5, 4, 5, 4, EOS]),
    (1, [4, 5, 6, EOS]),
    # 4 5 and 4 6 have already been written.
    (2, [4, 5, 4, 6, 4, EOS]),
    # 4 5 4 and 4 5 6 have already been written.
    (3, [4, 5, 4, 5, 6, 4, 5, EOS]),
    (4, [4, 5, 4, 5, 4, 6, 4, 5, 4, EOS]),
]


@pytest.mark.parametrize(
    "options", [dict(beam_size=1), dict(temperature=1e-3)], ids=["greedy", "sampled"]
)
@pytest.mark.parametrize("size, expected", REPEATED)
def test_no_n_gram_is_written_twice(size, expected, options):
    follows = np.full((7, 7), -50.0, "float32")
    follows[BOS, 4] = follows[4, 5] = follows[5, 4] = follows[6, 4] = 3.0
    follows[4, 6] = follows[5, 6] = follows[6, 5] = 2.0
    follows[4:, EOS] = 0.0
    follows = ops.convert_to_tensor(follows)
    ids, _ = decode(
        lambda ids, position, state: (ops.take(follows, ids, axis=0), state),
        ops.zeros((1, 1)),
        DecodingConfig(no_repeat_ngram=size, **options),
        batch_size=1,
        max_lengths=ops.convert_to_tensor([10]),
        length=10,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=PAD,
        draws=ops.full((1, 10), 0.5),
    )
    assert ops.convert_to_numpy(ids)[0, 0].tolist() == expected + [PAD] * (10 - len(expected))


def test_where_nothing_is_allowed_the_hypothesis_ends():
    # There are two tokens, none may come twice, and five are required. That is impossible after two
    # tokens.
    logits = np.zeros((1, LENGTH, BUCKETS, 5), "float32")
    for width in (1, 2):
        config = DecodingConfig(beam_size=width, no_repeat_ngram=1, min_length=5)
        ids, _ = run(decode, logits, config)
        np.testing.assert_array_equal(ids[0, 0], [UNK, 4, EOS, 0, 0, 0, 0])


def test_low_precision_logits_and_a_masked_vocabulary():
    logits = table(14)
    logits[..., 6:] = -np.inf
    step, state = script(logits)

    def half(ids, position, state):
        scores, state = step(ids, position, state)
        return ops.cast(scores, "bfloat16"), state

    rounded = ops.convert_to_numpy(ops.cast(ops.cast(logits, "bfloat16"), "float32"))
    for config in (
        DecodingConfig(beam_size=3, n_best=3),
        DecodingConfig(beam_size=1),
        DecodingConfig(temperature=1.0),
    ):
        caps = ops.convert_to_tensor(np.full(BATCH, LENGTH, "int32"))
        ids, scores = decode(
            half,
            state,
            config,
            batch_size=BATCH,
            max_lengths=caps,
            length=LENGTH,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=PAD,
            draws=ops.convert_to_tensor(draws(BATCH)),
        )
        expected_ids, expected_scores = run(decode, rounded, config)
        np.testing.assert_array_equal(ops.convert_to_numpy(ids), expected_ids)
        np.testing.assert_allclose(ops.convert_to_numpy(scores), expected_scores, atol=1e-6)
        assert expected_ids.max() < 6 and np.isfinite(expected_scores).all()


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="counts calls of an eager loop, which JAX traces once"
)
def test_the_search_stops_when_nothing_better_can_come():
    logits = np.full((2, LENGTH, BUCKETS, VOCAB), -20.0, "float32")
    logits[0, 1, :, EOS] = logits[1, 2, :, EOS] = 20.0
    logits[0, [0, 2, 3, 4, 5, 6], :, 5] = logits[1, [0, 1, 3, 4, 5, 6], :, 5] = 20.0
    step, state = script(logits)
    for width in (1, 3):
        calls = []

        def counted(ids, position, state):
            calls.append(1)
            return step(ids, position, state)

        caps = ops.convert_to_tensor([LENGTH, LENGTH])
        ids, _ = decode(
            counted,
            state,
            DecodingConfig(beam_size=width),
            batch_size=2,
            max_lengths=caps,
            length=LENGTH,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=PAD,
        )
        np.testing.assert_array_equal(ids[:, 0, :3], [[5, EOS, 0], [5, 5, EOS]])
        assert len(calls) == 3


# Sampling: 4,000 sentences with the same logits draw 4,000 independent first tokens.

DRAWS = 4000
CHANCES = {UNK: 0.1, EOS: 0.2, 4: 0.4, 5: 0.25, 6: 0.05}


def drawn(**options):
    """How often each token comes first, and the ids and scores."""
    row = np.log([CHANCES.get(token, 1e-30) for token in range(8)]).astype("float32")
    logits = np.broadcast_to(row, (DRAWS, 1, 1, 8))
    flat = ops.convert_to_tensor(np.ascontiguousarray(logits[:, 0, 0]))
    caps = ops.convert_to_tensor(np.full(DRAWS, 2, "int32"))
    config = DecodingConfig(**{"temperature": 1.0, **options})
    ids, scores = decode(
        lambda ids, position, state: (flat, state),
        ops.zeros((DRAWS, 1)),
        config,
        batch_size=DRAWS,
        max_lengths=caps,
        length=2,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=PAD,
        draws=ops.convert_to_tensor(draws(DRAWS, length=2)),
    )
    ids, scores = ops.convert_to_numpy(ids)[:, 0], ops.convert_to_numpy(scores)[:, 0]
    tokens, counts = np.unique(ids[:, 0], return_counts=True)
    return dict(zip(tokens.tolist(), counts / DRAWS)), ids, scores


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(), CHANCES),
        (dict(top_k=2), {4: 0.4 / 0.65, 5: 0.25 / 0.65}),
        (dict(top_k=100), CHANCES),
        (dict(top_p=0.6), {4: 0.4 / 0.65, 5: 0.25 / 0.65}),
        (dict(top_p=0.7), {4: 0.4 / 0.85, 5: 0.25 / 0.85, EOS: 0.2 / 0.85}),
        (dict(top_p=0.0), {4: 1.0}),
        (dict(top_k=3, top_p=0.5), {4: 0.4 / 0.65, 5: 0.25 / 0.65}),
        # Among the two likeliest it has 0.615.
        (dict(top_k=2, top_p=0.6), {4: 1.0}),
        # In the sharpened distribution it has 0.58.
        (dict(temperature=0.5, top_p=0.55), {4: 1.0}),
        (dict(temperature=2.0, top_k=1), {4: 1.0}),
        (dict(temperature=0.5), {token: p**2 / 0.275 for token, p in CHANCES.items()}),
        (dict(temperature=1e-4), {4: 1.0}),
        (dict(min_length=1), {token: p / 0.8 for token, p in CHANCES.items() if token != EOS}),
        (dict(min_length=1, top_k=2), {4: 0.4 / 0.65, 5: 0.25 / 0.65}),
    ],
)
def test_samples_come_as_often_as_they_should(options, expected):
    found, ids, scores = drawn(**options)
    assert set(found) == set(expected)
    for token, chance in expected.items():
        assert abs(found[token] - chance) <= 4 * math.sqrt(chance * (1 - chance) / DRAWS) + 1e-9, (
            token
        )
    # The outputs are cut at two tokens, so the second is eos unless the first was. The scores are
    # the model's own log-probabilities.
    assert (ids[:, 1] == np.where(ids[:, 0] == EOS, PAD, EOS)).all()
    first = np.log([CHANCES[token] for token in ids[:, 0].tolist()])
    np.testing.assert_allclose(
        scores, first + np.where(ids[:, 0] == EOS, 0.0, math.log(0.2)), atol=1e-5
    )


BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))


@pytest.mark.parametrize(
    "options, drawn, expected",
    [
        (dict(), [0.0, 0.6, 0.9, 0.3], [UNK, 4, 5, EOS]),
        # A draw on a boundary belongs to the token that begins there.
        (dict(), [0.5, 0.75, 0.25, 0.0], [4, 5, EOS, PAD]),
        (dict(), [0.2499, 0.7499, 0.4999, 0.0], [UNK, 4, EOS, PAD]),
        # The limit forces the last token.
        (dict(), [BELOW_ONE, 0.0, BELOW_ONE, 0.0], [5, UNK, 5, EOS]),
        # Two of the four tokens have half of the probability.
        (dict(top_p=0.5), [BELOW_ONE, 0.0, 0.0, 0.0], [EOS, PAD, PAD, PAD]),
        (dict(top_p=0.51), [BELOW_ONE, BELOW_ONE, 0.34, 0.0], [4, 4, EOS, PAD]),
        (dict(top_k=3), [BELOW_ONE, 0.0, 0.34, 0.0], [4, UNK, EOS, PAD]),
        # First three tokens with a third each, then four with a quarter each.
        (dict(min_length=2), [0.34, 0.67, 0.25, 0.0], [4, 5, EOS, PAD]),
    ],
)
def test_a_draw_says_which_token_is_drawn(options, drawn, expected):
    """Of 1, 3, 4 and 5 each has a quarter of the probability, in this order; a draw for each
    position."""
    row = np.array([[-np.inf, 0, -np.inf, 0, 0, 0, -np.inf, -np.inf]], "float32")
    flat, config = ops.convert_to_tensor(row), DecodingConfig(**{"temperature": 1.0, **options})
    ids, scores = decode(
        lambda ids, position, state: (flat, state),
        ops.zeros((1, 1)),
        config,
        batch_size=1,
        max_lengths=ops.convert_to_tensor([4]),
        length=4,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=PAD,
        draws=ops.convert_to_tensor([np.float32(drawn)]),
    )
    assert ops.convert_to_numpy(ids).tolist() == [[expected]]
    tokens = sum(token != PAD for token in expected)
    np.testing.assert_allclose(ops.convert_to_numpy(scores), [[tokens * math.log(0.25)]], rtol=1e-6)


def test_the_same_draws_give_the_same_samples_and_others_others():
    logits, config = table(15, scale=0.5), DecodingConfig(temperature=1.0)
    first, again, other = (run(decode, logits, config, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()
    assert len({tuple(row) for row in first[0][:, 0].tolist()}) == BATCH


@pytest.mark.parametrize(
    "options",
    [
        dict(beam_size=1),
        dict(beam_size=3, n_best=2),
        dict(beam_size=4, no_repeat_ngram=2),
        dict(temperature=1.0, top_k=4),
    ],
)
def test_a_search_in_pieces_equals_one_at_one_go(options):
    """Two tokens at a time, or until a third of the sentences is left; those at their end leave
    in between."""
    logits, config, caps = (
        table(21, batch=6, scale=1.5),
        DecodingConfig(**options),
        np.array([LENGTH, 3, 1, 5, LENGTH, 4], "int32"),
    )
    expected = run(decode, logits, config, caps)
    step, state = script(logits)
    search = make_search(config, BOS, EOS, PAD)
    loop = search.begin(
        state, 6, ops.convert_to_tensor(caps), LENGTH, ops.convert_to_tensor(draws(6))
    )
    sentences, positions = np.arange(6), []
    while len(sentences):
        loop = search.advance(step, loop, int(loop["position"]) + 2, len(sentences) // 3)
        finished = ~ops.convert_to_numpy(search.unfinished(loop))
        for found, whole in zip(search.results(loop), expected):
            np.testing.assert_allclose(
                ops.convert_to_numpy(found)[finished], whole[sentences[finished]], atol=1e-5
            )
        sentences, positions = sentences[~finished], [*positions, int(loop["position"])]
        loop = search.keep(loop, ops.convert_to_tensor(np.nonzero(~finished)[0].astype("int32")))
    assert positions[0] < LENGTH and len(positions) > 2


@pytest.mark.parametrize(
    "options", [dict(beam_size=1), dict(temperature=1.0)], ids=["greedy", "sampled"]
)
def test_scores_that_are_not_asked_for_change_no_token(options):
    logits, config = table(22), DecodingConfig(**options)
    unscored = functools.partial(decode, scored=False, draws=ops.convert_to_tensor(draws(BATCH)))
    ids, scores = run(unscored, logits, config)
    np.testing.assert_array_equal(ids, run(decode, logits, config)[0])
    assert (scores == 0).all()


@pytest.mark.parametrize("width", [1, 2])
def test_a_search_goes_on_until_a_position_or_until_few_are_unfinished(width):
    """Three sentences of one, two and four tokens."""
    logits, ends = np.full((3, LENGTH, BUCKETS, 6), -50.0, "float32"), [1, 2, 4]
    logits[..., 4] = 0.0
    for sentence, end in enumerate(ends):
        logits[sentence, end - 1, :, EOS] = 50.0
    step, state = script(logits)
    search = make_search(DecodingConfig(beam_size=width), BOS, EOS, PAD)
    begun = search.begin(state, 3, ops.convert_to_tensor([LENGTH] * 3), LENGTH)

    def advanced(until, *keep):
        loop = search.advance(step, begun, until, *keep)
        return int(loop["position"]), ops.convert_to_numpy(search.unfinished(loop)).tolist()

    assert advanced(0) == advanced(LENGTH, 3) == (0, [True, True, True])
    assert advanced(1) == advanced(LENGTH, 2) == (1, [False, True, True])
    assert advanced(LENGTH, 1) == advanced(3, 1) == (2, [False, False, True])
    assert advanced(3) == (3, [False, False, True])
    assert advanced(LENGTH) == (4, [False, False, False])


@pytest.mark.parametrize("size", [7, 260, 1000, 1009, 6000])
@pytest.mark.parametrize("k", [1, 4, 11])
def test_top_k_by_groups_is_top_k(size, k):
    """The values and the order, also of equals."""
    x = np.random.default_rng(size + k).integers(-40, 40, (5, size)).astype("float32")
    x[4] = 0.0
    k = min(k, size)
    values, index = map(ops.convert_to_numpy, top_k(ops.convert_to_tensor(x), k))
    expected = np.argsort(-x, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(x, expected, axis=1))
