"""The plan of batches: nothing lost, nothing doubled, little padding, any step found alone, and what a row holds."""

import itertools

import numpy as np
import pytest

from data.batches import (
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
            ids = np.concatenate([[100 + number] * (length - 1) + [3] for number, length in enumerate(lengths)])
            setattr(self, f"{side}_offsets", offsets), setattr(self, f"{side}_ids", ids.astype(np.int32))
        self.packing = pack(self.source_lengths, self.target_lengths)


def random_split(size=500, seed=0, longest=30):
    generator = np.random.default_rng(seed)
    source = generator.integers(2, longest, size)
    return Split(list(zip(source, np.clip(source + generator.integers(-4, 5, size), 2, None))))


def examples_of(plan, epoch):
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    return [number for step in steps for row in plan.batch(step)[2] for number in row]


def test_a_row_by_hand():
    split = Split([(4, 3), (2, 2)])
    (source, target_in, source_segments, target_segments), target_out = batch_at(split, Plan(split, 32, seed=0), 0)
    first = int(source[0, 0]) - 100  # which of the two pairs stands first is the seed's choice
    one, two = (first, 1 - first)
    ids = {0: ([100, 100, 100, 3], [100, 100, 3]), 1: ([101, 3], [101, 3])}
    assert source[0, :6].tolist() == ids[one][0] + ids[two][0]
    assert target_out[0, :5].tolist() == ids[one][1] + ids[two][1]
    assert target_in[0, :5].tolist() == [2, *ids[one][1][:-1], 2, *ids[two][1][:-1]]
    assert source_segments[0, :7].tolist() == [1] * len(ids[one][0]) + [2] * len(ids[two][0]) + [0]
    assert target_segments[0, :6].tolist() == [1] * len(ids[one][1]) + [2] * len(ids[two][1]) + [0]
    assert not source[0, 6:].any() and not target_out[0, 5:].any() and not source[1:].any()


def test_padding_has_the_ids_of_the_tokenizers():
    """OPUS-MT's vocabularies, for one, have their padding at the end."""
    split = Split([(4, 3)])
    split.source_pad_id, split.target_pad_id = 31, 32
    (source, target_in, source_segments, target_segments), target_out = batch_at(split, Plan(split, 32, seed=0), 0)
    for array, segments, pad in ((source, source_segments, 31), (target_in, target_segments, 32), (target_out, target_segments, 32)):
        assert ((array == pad) == (segments == 0)).all()


@pytest.mark.parametrize("split", [random_split(), random_split(50, 1, 90), Split([(5, 7)] * 40 + [(100, 3)]), Split([(2, 2)])])
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
    plan, again, other = Plan(split, 256, seed=1), Plan(split, 256, seed=1), Plan(split, 256, seed=2)
    late = 5 * plan.steps_per_epoch + 3
    for a, b in zip(plan.batch(late)[2], again.batch(late)[2]):  # `again` is asked for this step alone
        assert a.tolist() == b.tolist()
    assert examples_of(plan, 0) != examples_of(plan, 1)
    assert examples_of(plan, 0) != examples_of(other, 0)


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
    plans = {replicas: Plan(split, 5 * longest, 1, accumulate_steps, replicas) for replicas in (1, 2, 4)}
    for step in range(2 * plans[1].steps_per_epoch):
        rows, shape, examples = plans[1].batch(step)
        for replicas, plan in plans.items():
            found = plan.batch(step)
            assert found[1] == shape and [row.tolist() for row in found[2]] == [row.tolist() for row in examples]
            assert found[0] % (replicas * accumulate_steps) == 0 and 0 <= found[0] - rows < replicas * accumulate_steps
    assert {plan.steps_per_epoch for plan in plans.values()} == {plans[1].steps_per_epoch}
    assert [rows for rows, *_ in plans[4].shapes] == [8 * accumulate_steps]


def test_shapes_are_few_and_in_the_proportion_of_the_sides():
    assert row_shapes(np.array([10] * 99), np.array([20] * 99)) == [(36, 72)]
    assert len(row_shapes(np.array([10] * 999 + [500]), np.array([10] * 999 + [500]))) == 5


def test_a_batch_that_cannot_hold_the_longest_row_is_refused():
    with pytest.raises(DataError, match="max_tokens must hold the longest row. Received: max_tokens=16, row of .*--max_tokens="):
        Plan(Split([(40, 40)]), 16, seed=0)


def test_a_batch_of_so_many_pairs_whatever_their_length():
    for split, shapes in ((random_split(2000, longest=60), 1), (Split([(5, 7)] * 400 + [(90, 80)] * 20), 2)):
        plan = Plan(split, positions_of(split, 40), seed=1)
        assert len(plan.shapes) == shapes and 28 < len(split.source_lengths) / plan.steps_per_epoch < 44
    assert positions_of(Split([(5, 7)] * 6), 1) == 24  # a row of three pairs is the least there is


def test_the_dataset_gives_the_plan_s_batches_from_any_step():
    split = random_split()
    plan = Plan(split, 256, seed=1)
    dataset = training_dataset(split, plan, start_step=7, num_steps=3)
    for step, (inputs, target_out) in zip((7, 8, 9), dataset.as_numpy_iterator(), strict=True):
        expected = batch_at(split, plan, step)
        assert all((a == b).all() for a, b in zip((*inputs, target_out), (*expected[0], expected[1])))
    assert not dataset.options().autotune.enabled  # or the iterator's end may wait for the tuner's next round


def test_evaluation_batches_hold_every_pair_once():
    split = random_split(100)
    batches = evaluation_batches(split, 64)  # smaller than the longest row: then a row a batch
    found = [row[start] - 100 for (source, *_), _ in batches for row in source for start in range(len(row))
             if row[start] > 3 and (start == 0 or row[start - 1] == 3)]  # fmt: skip
    assert sorted(found) == list(range(100))


@pytest.mark.parametrize("tokenizer", ["bpe", "unigram"])
def test_padding_of_multi30k(shared, tokenizer, tmp_path):
    names = {f"{side}_{split}": (f"{file}.{code}",) for split, file in (("train", "train"), ("validation", "val"), ("test", "test_2016_flickr"))
             for side, code in (("source", "en"), ("target", "de"))}  # fmt: skip
    prepared = prepare(DataConfig(data_dir=str(shared / "multi30k"), **names), TokenizerConfig(tokenizer=tokenizer, vocab_size=6000), tmp_path)
    plan = Plan(prepared.splits["train"], 4096, seed=1)
    print(tokenizer, "padding", plan.padding_share, "shapes", plan.shapes)
    assert plan.padding_share <= 0.03 and len(plan.shapes) <= 2
    real = sum(int((arrays > 0).sum()) for step in range(plan.steps_per_epoch)
               for arrays in [batch_at(prepared.splits["train"], plan, step)[0][2]])  # fmt: skip
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
    texts = Texts([[7, 8], [1, 2, 3, 4]], [[0, 0], [0, 0, 1, 1]], np.array([[1], [2]]), pad_id=5, empty=-1, num_texts=2)
    (ids, types), _ = texts.gather(3, (6, 1), [[0], [1]])
    assert ids.tolist() == [[7, 5, 5, 8, 5, 5], [1, 2, 5, 3, 4, 5], [5] * 6]
    assert types.tolist() == [[0] * 6, [0, 0, 0, 1, 1, 0], [0] * 6]


def test_every_text_once_an_epoch_in_batches_of_so_many_rows():
    lengths = np.random.default_rng(1).integers(1, 60, 203)
    texts = Texts([[number + 1] * length for number, length in enumerate(lengths)], [[0] * length for length in lengths],
                  np.arange(203, dtype=np.int32)[:, None], pad_id=0, empty=-1)  # fmt: skip
    plan = Plan(texts, 64, seed=3, rows=16)
    batches = [array for (array, _), array in training_dataset(texts, plan, 0, plan.steps_per_epoch).as_numpy_iterator()]
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
        ways = [way for size in range(1, most + 1) for way in itertools.combinations(known, size) if max(way) >= lengths.max()]
        assert rows.sum() == min(sum(min(end for end in way if end >= length) for length in lengths) for way in ways)
