"""The plan of batches: nothing lost, nothing doubled, little padding, any step found alone, and
what a row holds."""

import collections
import itertools
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.batches import (
    Packing,
    Pairs,
    Plan,
    Texts,
    batch_at,
    evaluation_batches,
    gather,
    one_a_row,
    pack,
    positions_of,
    row_shapes,
    training_dataset,
)
from data.config import DataConfig, DataError
from data.prepare import prepare
from transformer.config import TokenizerConfig


class Split:
    """Pairs of ids, each pair with numbers of its own, so that it is known again in a batch."""

    source_pad_id, target_pad_id, bos_id = 0, 0, 2
    gather = gather

    def __init__(self, lengths):
        self.source_lengths, self.target_lengths = (np.asarray(side) for side in zip(*lengths))
        for side, lengths in (("source", self.source_lengths), ("target", self.target_lengths)):
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            ids = np.concatenate(
                [[100 + number] * (length - 1) + [3] for number, length in enumerate(lengths)]
            )
            (
                setattr(self, f"{side}_offsets", offsets),
                setattr(self, f"{side}_ids", ids.astype(np.int32)),
            )
        self.packing = pack(self.source_lengths, self.target_lengths)


def random_split(size=500, seed=0, longest=30):
    generator = np.random.default_rng(seed)
    source = generator.integers(2, longest, size)
    return Split(list(zip(source, np.clip(source + generator.integers(-4, 5, size), 2, None))))


def packed_by_hand(turned=False):
    """Six pairs in four rows: two of two pairs and one of one in rows of (8, 6), and one of (16,
    10); `turned`: sides swapped."""
    lengths = np.array([(4, 3)] * 4 + [(8, 6), (16, 10)])
    shapes = np.array([(8, 6), (16, 10)])
    side = slice(None, None, -1 if turned else 1)
    split = Split(lengths[:, side].tolist())
    split.packing = Packing(
        shapes[:, side], np.array([0, 0, 0, 1]), np.array([0, 2, 4, 5, 6]), lengths[:, side]
    )
    return split


def examples_of(plan, epoch):
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    return [number for step in steps for row in plan.batch(step)[2] for number in row]


def test_a_row_by_hand():
    split = Split([(4, 3), (2, 2)])
    (source, target_in, source_segments, target_segments), target_out = batch_at(
        split, Plan(split, 32, seed=0), 0
    )
    first = int(source[0, 0]) - 100  # which of the two pairs stands first is the seed's choice
    one, two = (first, 1 - first)
    ids = {0: ([100, 100, 100, 3], [100, 100, 3]), 1: ([101, 3], [101, 3])}
    assert source[0, :6].tolist() == ids[one][0] + ids[two][0]
    assert target_out[0, :5].tolist() == ids[one][1] + ids[two][1]
    assert target_in[0, :5].tolist() == [2, *ids[one][1][:-1], 2, *ids[two][1][:-1]]
    assert source_segments[0, :7].tolist() == [1] * len(ids[one][0]) + [2] * len(ids[two][0]) + [0]
    assert target_segments[0, :6].tolist() == [1] * len(ids[one][1]) + [2] * len(ids[two][1]) + [0]
    assert not source[0, 6:].any() and not target_out[0, 5:].any() and not source[1:].any()


def test_the_row_of_the_module_s_docstring():
    class Two(Pairs):
        source_ids, source_offsets = np.array([5, 6, 7, 3, 5, 3]), np.array([0, 4, 6])
        target_ids, target_offsets = np.array([8, 9, 3, 9, 3]), np.array([0, 3, 5])
        source_pad_id, target_pad_id, bos_id = 30, 31, 2

    split = Two()
    assert (
        len(split) == 2
        and split.source_lengths.tolist() == [4, 2]
        and split.target_lengths.tolist() == [3, 2]
    )
    assert split.packing.lengths.tolist() == [
        [4, 3],
        [2, 2],
    ] and split.packing.offsets.tolist() == [0, 2]
    (source, target_in, source_segments, target_segments), target_out = split.gather(
        3, (8, 7), [[0, 1], [1]]
    )
    assert source.tolist() == [[5, 6, 7, 3, 5, 3, 30, 30], [5, 3] + [30] * 6, [30] * 8]
    assert source_segments.tolist() == [[1, 1, 1, 1, 2, 2, 0, 0], [1, 1] + [0] * 6, [0] * 8]
    assert target_in.tolist() == [[2, 8, 9, 2, 9, 31, 31], [2, 9] + [31] * 5, [31] * 7]
    assert target_segments.tolist() == [[1, 1, 1, 2, 2, 0, 0], [1, 1] + [0] * 5, [0] * 7]
    assert target_out.tolist() == [[8, 9, 3, 9, 3, 31, 31], [9, 3] + [31] * 5, [31] * 7]
    for array in (source, target_in, source_segments, target_segments, target_out):
        assert array.dtype == np.int32


LENGTHS = st.lists(st.tuples(st.integers(2, 30), st.integers(2, 30)), min_size=1, max_size=40)


@settings(max_examples=30)
@given(lengths=LENGTHS, copies=st.sampled_from([1, 1, 60]))
@example(lengths=[(5, 6)] * 60 + [(6, 90), (80, 5)], copies=1)  # long on one side alone
def test_packed_rows_hold_each_pair_once_and_fit(lengths, copies):
    lengths = lengths * copies
    packing = pack(*np.array(lengths).T)
    assert (
        packing.lengths[:, 0].min() > 0
        and packing.offsets[0] == 0
        and packing.offsets[-1] == len(lengths)
    )
    assert collections.Counter(map(tuple, packing.lengths.tolist())) == collections.Counter(lengths)
    assert len(packing.offsets) == len(packing.kinds) + 1 and (np.diff(packing.offsets) > 0).all()
    assert packing.shapes.tolist() == sorted(packing.shapes.tolist())
    for kind, start, end in zip(packing.kinds, packing.offsets, packing.offsets[1:]):
        assert (packing.lengths[start:end].sum(axis=0) <= packing.shapes[kind]).all()
        fitting = (packing.lengths[start] <= packing.shapes).all(axis=1)
        assert kind == fitting.argmax()  # a pair stands in the shortest row that holds it


@settings(max_examples=30)
@given(
    lengths=LENGTHS,
    seed=st.integers(0, 99),
    accumulate=st.integers(1, 3),
    replicas=st.integers(1, 3),
)
def test_whatever_the_options_a_batch_holds_whole_pairs_and_an_epoch_each_of_them(
    lengths, seed, accumulate, replicas
):
    split = Split(lengths)
    plan = Plan(split, int(split.packing.shapes.max()) * 2, seed, accumulate, replicas)
    found = []
    for step in range(plan.steps_per_epoch):
        rows, shape, examples = plan.batch(step)
        (source, target_in, source_segments, target_segments), target_out = batch_at(
            split, plan, step
        )
        assert (
            (rows, *shape) in plan.shapes
            and source.shape == (rows, shape[0])
            and target_out.shape == (rows, shape[1])
        )
        assert (
            not source_segments[len(examples) :].any()
            and not target_segments[len(examples) :].any()
        )
        for row, numbers in enumerate(examples):
            for segment, number in enumerate(numbers, 1):
                ids = source[row][source_segments[row] == segment]
                assert ids.tolist() == [100 + number] * (lengths[number][0] - 1) + [3]
                targets = [100 + number] * (lengths[number][1] - 1) + [3]
                assert target_out[row][target_segments[row] == segment].tolist() == targets
                assert target_in[row][target_segments[row] == segment].tolist() == [
                    2,
                    *targets[:-1],
                ]
            assert (
                set(source_segments[row]) - {0}
                == set(target_segments[row]) - {0}
                == set(range(1, len(numbers) + 1))
            )
            found += list(numbers)
    assert sorted(found) == list(range(len(lengths)))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "options, shapes, steps, positions",
    [
        ({}, [(2, 8, 6), (1, 16, 10)], 3, 2 * 28 + 26),
        ({"accumulate_steps": 2}, [(4, 8, 6), (2, 16, 10)], 2, 56 + 52),
        ({"replicas": 2}, [(2, 8, 6), (2, 16, 10)], 3, 2 * 28 + 52),
        ({"replicas": 3, "accumulate_steps": 2}, [(6, 8, 6), (6, 16, 10)], 2, 84 + 156),
        ({"rows": 1}, [(1, 8, 6), (1, 16, 10)], 4, 3 * 14 + 26),
        ({"rows": 3}, [(3, 8, 6), (3, 16, 10)], 2, 42 + 78),
        ({"max_tokens": 23}, [(2, 8, 6), (1, 16, 10)], 3, 2 * 28 + 26),
        ({"max_tokens": 24}, [(3, 8, 6), (1, 16, 10)], 2, 42 + 26),
    ],
)
def test_a_plan_by_hand(options, shapes, steps, positions, turned):
    """68 of the positions hold tokens: 40 of the sources and 28 of the targets."""
    plan = Plan(packed_by_hand(turned), **{"max_tokens": 16, "seed": 3, **options})
    assert plan.shapes == [(rows, b, a) if turned else (rows, a, b) for rows, a, b in shapes]
    assert plan.steps_per_epoch == steps and plan.padding_share == pytest.approx(
        1 - 68 / positions, abs=1e-12
    )
    rows_of = {shape: rows for rows, *shape in map(tuple, plan.shapes) for shape in [tuple(shape)]}
    for step in range(2 * steps):
        rows, shape, examples = plan.batch(step)
        assert rows == rows_of[shape] and len(examples) <= rows
        assert ([5] in [row.tolist() for row in examples]) == (max(shape) == 16)


def test_the_longest_row_just_fits_a_batch():
    for turned in (False, True):
        assert Plan(packed_by_hand(turned), 16, seed=0).steps_per_epoch == 3
        message = r"Received: max_tokens=15, row of 16 tokens. Use --max_tokens=16 or more"
        with pytest.raises(DataError, match=message):
            Plan(packed_by_hand(turned), 15, seed=0)


def test_a_row_has_its_pairs_in_the_order_in_which_they_were_packed():
    """The longest first."""
    split = Split([(4, 10), (5, 3), (16, 16)] * 30 + [(40, 30)] * 3)
    packing, plan = split.packing, Plan(split, 200, seed=4)
    templates = sorted(
        packing.lengths[a:b].tolist() for a, b in zip(packing.offsets, packing.offsets[1:])
    )
    for epoch in (0, 1, 7):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        rows = [row for step in steps for row in plan.batch(step)[2]]
        found = [
            [[split.source_lengths[number], split.target_lengths[number]] for number in row]
            for row in rows
        ]
        assert sorted(found) == templates


@pytest.mark.parametrize("longer, row", [((4, 10), (16, 10)), ((4, 14), (10, 16))])
def test_pairs_of_two_lengths_are_never_taken_for_each_other(longer, row):
    """Were a length a number of base 7 or 11, as the sides of rows suggest, the longer pairs
    would be (5, 3)."""
    split = Split([longer, (5, 3)] * 20)
    lengths = np.array([longer] * 20 + [(5, 3)] * 20)
    split.packing = Packing(
        np.array([(8, 6), row]), np.array([1] * 20 + [0] * 20), np.arange(41), lengths
    )
    plan = Plan(split, 16, seed=0)
    for step in range(plan.steps_per_epoch):
        _, shape, examples = plan.batch(step)
        assert {int(number) % 2 for (number,) in examples} == {0 if shape == row else 1}


def test_padding_has_the_ids_of_the_tokenizers():
    """OPUS-MT's vocabularies, for one, have their padding at the end."""
    split = Split([(4, 3)])
    split.source_pad_id, split.target_pad_id = 31, 32
    (source, target_in, source_segments, target_segments), target_out = batch_at(
        split, Plan(split, 32, seed=0), 0
    )
    for array, segments, pad in (
        (source, source_segments, 31),
        (target_in, target_segments, 32),
        (target_out, target_segments, 32),
    ):
        assert ((array == pad) == (segments == 0)).all()


@pytest.mark.parametrize(
    "split",
    [random_split(), random_split(50, 1, 90), Split([(5, 7)] * 40 + [(100, 3)]), Split([(2, 2)])],
)
def test_every_example_once_an_epoch(split):
    plan = Plan(split, 256, seed=3)
    for epoch in range(3):
        assert sorted(examples_of(plan, epoch)) == list(range(len(split.source_lengths)))


def test_every_row_fits_and_every_batch_has_its_shape():
    split = random_split(300, 2, 60)
    plan = Plan(split, 512, seed=0)
    shapes = set()
    for step in range(plan.steps_per_epoch):
        (source, target_in, *_), target_out = batch_at(split, plan, step)
        assert target_in.shape == target_out.shape
        shapes.add((*source.shape, target_in.shape[1]))
        assert source.size <= 512 and target_in.size <= 512
    assert shapes == set(plan.shapes)


def test_the_order_is_a_function_of_seed_epoch_and_step():
    split = random_split()
    plan, again, other = (
        Plan(split, 256, seed=1),
        Plan(split, 256, seed=1),
        Plan(split, 256, seed=2),
    )
    late = 5 * plan.steps_per_epoch + 3
    for a, b in zip(
        plan.batch(late)[2], again.batch(late)[2]
    ):  # `again` is asked for this step alone
        assert a.tolist() == b.tolist()
    assert examples_of(plan, 0) != examples_of(plan, 1)
    assert examples_of(plan, 0) != examples_of(other, 0)


def test_each_epoch_of_each_seed_has_an_order_of_its_own():
    split = random_split(60)
    orders = [examples_of(Plan(split, 256, seed), epoch) for seed in range(4) for epoch in range(4)]
    assert len(set(map(tuple, orders))) == 16


def test_each_epoch_brings_others_together():
    same = Split([(5, 7)] * 200)  # of one length: who shares a row
    company = [
        {
            frozenset(row.tolist())
            for step in range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
            for row in plan.batch(step)[2]
        }
        for plan in [Plan(same, 256, seed=1)]
        for epoch in range(2)
    ]
    assert company[0] != company[1]
    # Of lengths that all differ: who shares a batch.
    texts = Texts(
        [[9] * length for length in range(1, 9)],
        [[0] * length for length in range(1, 9)],
        np.zeros((8, 1)),
        0,
        0,
    )
    plan = Plan(texts, 16, seed=1)
    batches = [
        frozenset(int(number) for (number,) in plan.batch(step)[2])
        for step in range(5 * plan.steps_per_epoch)
    ]
    epochs = [frozenset(batches[start : start + 4]) for start in range(0, 20, 4)]
    assert plan.steps_per_epoch == 4 and len(set(epochs)) > 1
    # And where the long rows come among the short ones.
    plan = Plan(packed_by_hand(), 16, seed=1)
    assert {step % 3 for step in range(30) if plan.batch(step)[1] == (16, 10)} == {0, 1, 2}


def test_accumulated_batches_have_as_many_times_the_rows():
    split = random_split()
    one, four = Plan(split, 256, seed=1), Plan(split, 256, seed=1, accumulate_steps=4)
    assert [rows * 4 for rows, *_ in one.shapes] == [rows for rows, *_ in four.shapes]
    assert sorted(examples_of(four, 0)) == list(range(500))


@pytest.mark.parametrize("accumulate_steps", [1, 3])
def test_the_order_is_the_same_on_any_number_of_devices(accumulate_steps):
    """A batch of 5 rows, or 15: on more devices it ends in empty rows, so that each has as many."""
    split = random_split()
    longest = max(random_split().packing.shapes.ravel())
    plans = {
        replicas: Plan(split, 5 * longest, 1, accumulate_steps, replicas) for replicas in (1, 2, 4)
    }
    for step in range(2 * plans[1].steps_per_epoch):
        rows, shape, examples = plans[1].batch(step)
        for replicas, plan in plans.items():
            found = plan.batch(step)
            assert found[1] == shape and [row.tolist() for row in found[2]] == [
                row.tolist() for row in examples
            ]
            assert (
                found[0] % (replicas * accumulate_steps) == 0
                and 0 <= found[0] - rows < replicas * accumulate_steps
            )
    assert {plan.steps_per_epoch for plan in plans.values()} == {plans[1].steps_per_epoch}
    assert [rows for rows, *_ in plans[4].shapes] == [8 * accumulate_steps]


def test_shapes_are_few_and_in_the_proportion_of_the_sides():
    assert row_shapes(np.array([10] * 99), np.array([20] * 99)) == [(36, 72)]
    assert len(row_shapes(np.array([10] * 999 + [500]), np.array([10] * 999 + [500]))) == 5
    assert row_shapes(np.array([32]), np.array([32])) == [
        (104, 104)
    ]  # 3.25 times 32 is a multiple of 8 already
    # 3.25 times 16, which is 52, becomes 56, and 3.25 times 15 becomes 52.5: twice as much is 105,
    # whatever a float makes of it.
    shapes = row_shapes(np.array([15] * 99 + [90]), np.array([16] * 99 + [100]))
    assert shapes == [(53, 56), (105, 112)]


@pytest.mark.parametrize(
    "longest, others, shapes",
    [
        (56, [12] * 10, [56]),
        (57, [12] * 10 + [15], [57]),  # one shape that is a little longer is better than two
        (84, [12] * 17, [84]),  # one and a half times as long
        (85, [12] * 17 + [15], [56, 112]),
        (112, [12] * 24, [56, 112]),
        (113, [12] * 24 + [15], [56, 112, 224]),
    ],
)
def test_rows_double_until_the_longest_pair_fits(longest, others, shapes):
    """Texts of 16 tokens on average: rows of 3.25 times 16, which is 52, rounded up to a
    multiple of 8."""
    some = np.array([longest, *others] + [16] * 50)
    assert some.sum() == 16 * len(some)
    all_short = np.full(len(some), 16)
    for sides in ((some, some), (some, all_short), (all_short, some)):
        assert row_shapes(*sides) == [(side, side) for side in shapes]


@pytest.mark.parametrize(
    "seven",
    [
        [(16, 20), (20, 16), (20, 20), *[(14, 14)] * 4],
        [(8, 8), (16, 16), (32, 32), (8, 8), *[(16, 16)] * 3],
        [(8, 16), (16, 8), (32, 32), (8, 24), (24, 8), (12, 12), (12, 12)],
        [(10, 22), (22, 10), (24, 24), (10, 20), (20, 10), (13, 13), (13, 13)],
    ],
)
def test_rows_are_filled_to_the_last_position_where_pairs_can_do_it(seven):
    """Seven pairs fill two rows of 56, three in one and four in the other, or two and five."""
    packing = pack(*np.array(seven * 12).T)
    assert packing.shapes.tolist() == [[56, 56]] and len(packing.kinds) == 24
    assert all(
        packing.lengths[a:b].sum(axis=0).tolist() == [56, 56]
        for a, b in zip(packing.offsets, packing.offsets[1:])
    )


@pytest.mark.parametrize("longest, least", [(30, 568), (60, 601)])
def test_rows_of_any_pairs_are_hardly_more_than_there_must_be(longest, least):
    """The sum of the longer side by the length of a row is the least number of rows."""
    split = random_split(2000, 0, longest)
    sums = max(split.source_lengths.sum(), split.target_lengths.sum())
    assert len(split.packing.shapes) == 1 and -(-sums // split.packing.shapes.max()) == least
    assert len(split.packing.kinds) <= 1.01 * least


def test_a_batch_that_cannot_hold_the_longest_row_is_refused():
    with pytest.raises(
        DataError,
        match="max_tokens must be at least the length of the longest row. Received: "
        "max_tokens=16, row of .*--max_tokens=",
    ):
        Plan(Split([(40, 40)]), 16, seed=0)


def test_a_batch_of_so_many_pairs_whatever_their_length():
    for split, shapes in (
        (random_split(2000, longest=60), 1),
        (Split([(5, 7)] * 400 + [(90, 80)] * 20), 2),
    ):
        plan = Plan(split, positions_of(split, 40), seed=1)
        assert (
            len(plan.shapes) == shapes
            and 28 < len(split.source_lengths) / plan.steps_per_epoch < 44
        )
    assert positions_of(Split([(5, 7)] * 6), 1) == 24  # a row of three pairs is the least there is
    for turned in (
        False,
        True,
    ):  # three rows of 8 and one of 16 hold six pairs: 40 / 6 positions each
        assert [positions_of(packed_by_hand(turned), texts) for texts in (1, 2, 3, 6)] == [
            16,
            16,
            20,
            40,
        ]


def test_the_dataset_gives_the_plan_s_batches_from_any_step():
    split = random_split()
    plan = Plan(split, 256, seed=1)
    dataset = training_dataset(split, plan, start_step=7, num_steps=3)
    for step, (inputs, target_out) in zip((7, 8, 9), dataset.as_numpy_iterator(), strict=True):
        expected = batch_at(split, plan, step)
        assert all(
            (a == b).all() for a, b in zip((*inputs, target_out), (*expected[0], expected[1]))
        )
    specs = [*dataset.element_spec[0], dataset.element_spec[1]]
    assert [(spec.shape.as_list(), spec.dtype.name) for spec in specs] == [
        ([None, None], "int32")
    ] * 5
    assert dataset.options().experimental_distribute.auto_shard_policy.name == "DATA"
    assert (
        not dataset.options().autotune.enabled
    )  # or the iterator's end may wait for the tuner's next round


def test_a_batch_that_takes_longer_than_the_next_still_comes_before_it():
    class Slow(Split):
        def gather(self, rows, shape, examples):
            if examples[0][0] % 2 == 0:
                time.sleep(0.05)
            return gather(self, rows, shape, examples)

    lengths = np.array([(2, 2)] * 12)
    split = Slow(lengths.tolist())
    split.packing = Packing(lengths[:1], np.zeros(12, int), np.arange(13), lengths)
    plan = Plan(split, 2, seed=0)
    expected = [100 + plan.batch(step)[2][0][0] for step in range(12)]
    batches = training_dataset(split, plan, 0, 12).as_numpy_iterator()
    assert [source[0, 0] for (source, *_), _ in batches] == expected
    assert sorted(expected) == list(range(100, 112)) != expected


def test_evaluation_batches_hold_every_pair_once():
    split = random_split(100)
    batches = evaluation_batches(split, 64)  # smaller than the longest row: then a row a batch
    found = [
        row[start] - 100
        for (source, *_), _ in batches
        for row in source
        for start in range(len(row))
        if row[start] > 3 and (start == 0 or row[start - 1] == 3)
    ]
    assert sorted(found) == list(range(100))


@pytest.mark.parametrize(
    "max_tokens, sizes",
    [(8, [(1, 16), (2, 8), (2, 8)]), (24, [(1, 16), (3, 8)]), (32, [(2, 16), (4, 8)])],
)
def test_evaluation_batches_are_as_large_as_allowed(max_tokens, sizes):
    """A row of 16 is the least; the order is the same each time."""
    batches, again = (evaluation_batches(packed_by_hand(), max_tokens) for _ in range(2))
    assert sorted(source.shape for (source, *_), _ in batches) == sizes
    for one, other in zip(batches, again, strict=True):
        assert (one[0][0] == other[0][0]).all() and (one[1] == other[1]).all()


@pytest.mark.parametrize("tokenizer", ["bpe", "unigram"])
def test_padding_of_sentences_that_are_made_up(tokenizer, tmp_path):
    generator = np.random.default_rng(1)
    words = {
        "en": "a the man dog runs sees red small house street and on".split(),
        "de": "ein der Mann Hund rennt sieht rot klein Haus Gasse und auf".split(),
    }
    names = {}
    for split, count in (("train", 1500), ("validation", 9), ("test", 9)):
        sentences = [generator.integers(0, 12, generator.integers(3, 25)) for _ in range(count)]
        for side, language in (("source", "en"), ("target", "de")):
            path = tmp_path / f"{split}.{language}"
            path.write_text(
                "".join(
                    " ".join(words[language][n] for n in numbers) + "\n" for numbers in sentences
                )
            )
            names[f"{side}_{split}"] = (str(path),)
    split = prepare(
        DataConfig(**names),
        TokenizerConfig(tokenizer=tokenizer, vocab_size=320),
        tmp_path / "cache",
    ).splits["train"]
    plan = Plan(split, 2048, seed=1)
    assert plan.padding_share <= 0.04 and len(plan.shapes) == 1
    segments = [batch_at(split, plan, step)[0][2] for step in range(plan.steps_per_epoch)]
    assert sum(int((array > 0).sum()) for array in segments) == split.source_lengths.sum()


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["bpe", "unigram"])
def test_padding_of_multi30k(shared, tokenizer, tmp_path):
    names = {
        f"{side}_{split}": (f"{file}.{code}",)
        for split, file in (("train", "train"), ("validation", "val"), ("test", "test_2016_flickr"))
        for side, code in (("source", "en"), ("target", "de"))
    }
    prepared = prepare(
        DataConfig(data_dir=str(shared / "multi30k"), **names),
        TokenizerConfig(tokenizer=tokenizer, vocab_size=6000),
        tmp_path,
    )
    plan = Plan(prepared.splits["train"], 4096, seed=1)
    print(tokenizer, "padding", plan.padding_share, "shapes", plan.shapes)
    assert plan.padding_share <= 0.03 and len(plan.shapes) <= 2
    real = sum(
        int((arrays > 0).sum())
        for step in range(plan.steps_per_epoch)
        for arrays in [batch_at(prepared.splits["train"], plan, step)[0][2]]
    )
    assert real == prepared.splits["train"].source_lengths.sum()


def test_texts_stand_one_a_row_and_batches_are_filled_up():
    texts = Texts([[7, 8], [9]], [[0, 1], [0]], np.array([[1], [2]], np.int32), pad_id=5, empty=-1)
    plan = Plan(texts, 32, seed=0, rows=4)
    assert plan.shapes == [(4, 2, 1)] and plan.steps_per_epoch == 1
    (ids, types), targets = batch_at(texts, plan, 0)
    order = [row for row in ids[:2].tolist()]
    assert sorted(order) == [[7, 8], [9, 5]] and (ids[2:] == 5).all()
    assert types[order.index([7, 8])].tolist() == [0, 1] and types.sum() == 1
    assert targets[:, 0].tolist() == [1 if row[0] == 7 else 2 for row in order] + [-1, -1]


def test_two_texts_of_a_row_fill_a_half_each():
    texts = Texts(
        [[7, 8], [1, 2, 3, 4]],
        [[0, 0], [0, 0, 1, 1]],
        np.array([[1], [2]]),
        pad_id=5,
        empty=-1,
        num_texts=2,
    )
    (ids, types), _ = texts.gather(3, (6, 1), [[0], [1]])
    assert ids.tolist() == [[7, 5, 5, 8, 5, 5], [1, 2, 5, 3, 4, 5], [5] * 6]
    assert types.tolist() == [[0] * 6, [0, 0, 0, 1, 1, 0], [0] * 6]


def test_a_batch_of_texts_keeps_the_kind_of_its_targets():
    targets = np.array([[0.25, 1.5], [2.0, -1.0]], np.float32)
    texts = Texts([[7], [8, 9]], [[1], [0, 1]], targets, pad_id=5, empty=-2)
    (ids, types), found = texts.gather(3, (3, 1), [[1], [0]])
    assert len(texts) == 2 and [array.dtype for array in (ids, types, found)] == [
        np.int32,
        np.int32,
        np.float32,
    ]
    assert ids.tolist() == [[8, 9, 5], [7, 5, 5], [5, 5, 5]] and types.tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 0],
    ]
    assert found.tolist() == [[2.0, -1.0], [0.25, 1.5], [-2.0, -2.0]]
    assert texts.packing.lengths.tolist() == [[1, 1], [2, 1]] and texts.packing.shapes.tolist() == [
        [2, 1]
    ]


def test_every_text_once_an_epoch_in_batches_of_so_many_rows():
    lengths = np.random.default_rng(1).integers(1, 60, 203)
    texts = Texts(
        [[number + 1] * length for number, length in enumerate(lengths)],
        [[0] * length for length in lengths],
        np.arange(203, dtype=np.int32)[:, None],
        pad_id=0,
        empty=-1,
    )
    plan = Plan(texts, 64, seed=3, rows=16)
    batches = [
        array
        for (array, _), array in training_dataset(
            texts, plan, 0, plan.steps_per_epoch
        ).as_numpy_iterator()
    ]
    seen = np.concatenate(batches)[:, 0]
    assert sorted(seen[seen >= 0]) == list(range(203)) and {len(batch) for batch in batches} == {16}
    assert len(plan.shapes) == 6 and plan.padding_share < 0.35


@pytest.mark.parametrize("most", [1, 2, 3])
def test_rows_of_a_few_lengths_leave_the_least_padding(most):
    """Against all ways to choose the lengths."""
    generator = np.random.default_rng(most)
    for _ in range(10):
        lengths = generator.integers(1, 80, 30)
        packing = one_a_row(lengths, most)
        rows = packing.shapes[packing.kinds, 0]
        assert (rows >= lengths).all() and len(packing.shapes) <= most
        known = {min(-(-length // 8) * 8, lengths.max()) for length in lengths}
        ways = [
            way
            for size in range(1, most + 1)
            for way in itertools.combinations(known, size)
            if max(way) >= lengths.max()
        ]
        assert rows.sum() == min(
            sum(min(end for end in way if end >= length) for length in lengths) for way in ways
        )
