"""Batches of static shape: several sentence pairs share a row, so that almost no position is padding.

    pairs   ([5 6 7 e], [8 9 e])  ([5 e], [9 e])                     ids that end in e
    row     source           5 6 7 e 5 e 0 0      source_segments  1 1 1 1 2 2 0 0
            target_in        b 8 9 b 9 0 0 0      target_segments  1 1 1 2 2 0 0 0
            target_out       8 9 e 9 e 0 0 0

Attention stays within a segment, so that a packed row gives the loss of its pairs in rows of their own. Which pairs come
when is a function of (seed, epoch, step) alone: the batch of any step is found without going through those before it.
"""

import collections
import functools
import math

import numpy as np

from data.config import DataError

# A row holds a little more than three pairs of mean length: enough that some combination of pairs fills it exactly, and no
# more, since attention costs as much as a row is long.
PAIRS_IN_A_ROW = 3.25


class Plan:
    """Which examples stand in which row of which batch.

    Rows are packed once, as templates of lengths; each epoch deals the examples of every (source, target) length anew to
    the places of that length and shuffles the rows. So every epoch has every example once, in another company, and the
    same number of batches.

    Args:
        split: has int arrays `source_lengths` and `target_lengths`, the end token included.
        max_tokens: positions in a micro-batch, on each side.
        seed: of the order.
        accumulate_steps: micro-batches in a batch; its rows are as many times more.

    Attributes:
        steps_per_epoch: int. shapes: list of (rows, source length, target length). padding_share: share of positions that
        are padding, source and target together.

    Raises:
        DataError: max_tokens is smaller than the longest pair, or there is no pair.
    """

    def __init__(self, split, max_tokens, seed, accumulate_steps=1):
        self.seed = seed
        source, target = np.asarray(split.source_lengths), np.asarray(split.target_lengths)
        if not len(source):
            raise DataError("a data set must have at least one pair. Received: none.")
        shapes = row_shapes(source, target)
        longest = max(shapes[-1])
        if longest > max_tokens:
            raise DataError(
                f"max_tokens must hold the longest row. Received: max_tokens={max_tokens}, row of {longest}. "
                f"Use --max_tokens={longest} or more, or a smaller --max_source_length and --max_target_length."
            )
        width = shapes[-1][1] + 1
        kinds = source * width + target  # one number for each (source length, target length)
        self._kinds = kinds
        self._rows = {}  # (source length, target length) of a row -> list of rows, each an array of places
        place_kinds = []
        for shape, row in pack(source, target, shapes):
            self._rows.setdefault(shape, []).append(len(place_kinds) + np.arange(len(row)))
            place_kinds += [s * width + t for s, t in row]
        self._places_by_kind = np.argsort(np.asarray(place_kinds), kind="stable")
        self._rows_in_batch = {shape: max_tokens // max(shape) * accumulate_steps for shape in self._rows}
        sizes = {shape: math.ceil(len(rows) / self._rows_in_batch[shape]) for shape, rows in self._rows.items()}
        self.steps_per_epoch = sum(sizes.values())
        self.shapes = [(self._rows_in_batch[shape], *shape) for shape in sorted(self._rows)]
        positions = sum(sum(shape) * self._rows_in_batch[shape] * size for shape, size in sizes.items())
        self.padding_share = 1.0 - float(source.sum() + target.sum()) / positions
        self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)

    def batch(self, step):
        """The batch of a step, counted from 0 over all epochs.

        Returns:
            rows, (source length, target length), and for each row that is not empty an array of example numbers.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        examples, batches = self._epoch(epoch)
        shape, rows = batches[position]
        return self._rows_in_batch[shape], shape, [examples[places] for places in rows]

    def _make_epoch(self, epoch):
        """Example numbers by place, and the batches: list of (shape, rows)."""
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        examples = np.empty(len(self._kinds), dtype=np.int64)
        examples[self._places_by_kind] = np.lexsort((generator.random(len(self._kinds)), self._kinds))
        batches = []
        for shape, rows in sorted(self._rows.items()):
            order, size = generator.permutation(len(rows)), self._rows_in_batch[shape]
            batches += [(shape, [rows[row] for row in order[i : i + size]]) for i in range(0, len(rows), size)]
        return examples, [batches[number] for number in generator.permutation(len(batches))]


def row_shapes(source_lengths, target_lengths):
    """The few (source length, target length) that rows have, ascending.

    The first is about three pairs long, its sides in the proportion of the mean lengths, so that both fill up together;
    then they double until the longest pair fits. For sources of 15 and targets of 16 tokens on average: (53, 56); with a
    pair of 90 and 100 tokens more (105, 112).
    """
    means = source_lengths.mean(), target_lengths.mean()
    longest = int(source_lengths.max()), int(target_lengths.max())
    base = [mean * PAIRS_IN_A_ROW for mean in means]
    scale = 8 * math.ceil(max(base) / 8) / max(base)
    # One shape a little longer than need be is better than a second one for a few long pairs.
    needed = max(long / (side * scale) for long, side in zip(longest, base))
    scale *= needed if 1 < needed <= 1.5 else 1
    shapes = []
    while not shapes or any(long > side for long, side in zip(longest, shapes[-1])):
        shapes.append(tuple(math.ceil(round(side * scale, 6)) for side in base))
        scale *= 2
    return shapes


def pack(source_lengths, target_lengths, shapes):
    """Packs pairs into rows by their lengths alone.

    The longest pair left begins a row. Frequent pairs are added while there is room for more than three; then the one
    or two pairs that leave the least of both sides empty finish it. While a template is cheap for the supply, it is used
    several times at once, so that millions of pairs cost no more than thousands.

    Args:
        source_lengths, target_lengths: int (n,). shapes: allowed (source length, target length) of rows, ascending.

    Yields:
        (shape, list of (source length, target length)).
    """
    supply = np.zeros((shapes[-1][0] + 1, shapes[-1][1] + 1), dtype=np.int64)
    np.add.at(supply, (source_lengths, target_lengths), 1)
    means = source_lengths.mean(), target_lengths.mean()
    kinds = sorted(zip(*np.nonzero(supply)), key=lambda kind: (max(kind), min(kind)), reverse=True)
    for kind in kinds:
        shape = next(shape for shape in shapes if all(side <= room for side, room in zip(kind, shape)))
        while supply[kind]:
            row = _fill_row(supply, kind, shape, means)
            needed = collections.Counter(row)
            repeats = min(supply[other] // count for other, count in needed.items()) // 16
            for other, count in needed.items():
                supply[other] -= count * repeats
            yield from ((shape, row) for _ in range(1 + repeats))


def _fill_row(supply, kind, shape, means):
    """Takes from the supply the pairs of one row that begins with `kind`."""
    row = [kind]
    supply[kind] -= 1
    source, target = shape[0] - kind[0], shape[1] - kind[1]
    while source > 0 and target > 0 and supply[: source + 1, : target + 1].any():
        near = min(source / means[0], target / means[1]) < 3.1
        last = _finish(supply, source, target) if near else None
        for chosen in last or [_most_frequent(supply, source, target, means)]:
            supply[chosen] -= 1
            row.append(chosen)
            source, target = source - chosen[0], target - chosen[1]
        if last:
            break
    return row


def _finish(supply, source, target, most_rest=8):
    """One or two pairs that fill (source, target) but for the smallest rest, or None if more than `most_rest` is left."""
    for rest in range(most_rest):
        for short in range(rest + 1):
            s, t = source - short, target - (rest - short)
            if s <= 0 or t <= 0:
                continue
            if supply[s, t]:
                return [(s, t)]
            window = supply[: s + 1, : t + 1]
            both = np.minimum(window, window[::-1, ::-1])
            one = divmod(int(both.argmax()), t + 1)
            other = (s - one[0], t - one[1])
            if both[one] and (one != other or window[one] > 1):
                return [one, other]
    return None


def _most_frequent(supply, source, target, means):
    """The most frequent pair among those that leave the two sides room for as many more pairs as each other."""
    window = supply[: source + 1, : target + 1]
    room = (source - np.arange(source + 1))[:, None] / means[0] - (target - np.arange(target + 1))[None] / means[1]
    uneven = np.where(window > 0, np.abs(room), np.inf)
    best = np.where(uneven <= uneven.min() + 0.5 / max(means), window, 0)
    return divmod(int(best.argmax()), target + 1)


def gather(split, rows, shape, examples, bos_id):
    """The arrays of one batch.

    Args:
        split: has `source_ids`, `target_ids` (flat int arrays) and `source_offsets`, `target_offsets` (int (n + 1,)).
        rows, shape: the shape of the batch. examples: for each row the example numbers that stand in it.

    Returns:
        (source, target_in, source_segments, target_segments), target_out: int32, (rows, shape[0]) for the source and
        (rows, shape[1]) for the target.
    """
    source, source_segments = np.zeros((2, rows, shape[0]), dtype=np.int32)
    target_in, target_segments, target_out = np.zeros((3, rows, shape[1]), dtype=np.int32)
    for row, numbers in enumerate(examples):
        at_source = at_target = 0
        for segment, number in enumerate(numbers, 1):
            ids = split.source_ids[split.source_offsets[number] : split.source_offsets[number + 1]]
            end = at_source + len(ids)
            source[row, at_source:end] = ids
            source_segments[row, at_source:end] = segment
            at_source = end
            ids = split.target_ids[split.target_offsets[number] : split.target_offsets[number + 1]]
            end = at_target + len(ids)
            target_out[row, at_target:end] = ids
            target_in[row, at_target] = bos_id
            target_in[row, at_target + 1 : end] = ids[:-1]
            target_segments[row, at_target:end] = segment
            at_target = end
    return (source, target_in, source_segments, target_segments), target_out


def batch_at(split, plan, step, bos_id):
    """The arrays of the batch of a step; see `gather`."""
    return gather(split, *plan.batch(step), bos_id)


def training_dataset(split, plan, start_step, num_steps, bos_id):
    """A tf.data.Dataset of the batches of steps start_step ... start_step + num_steps - 1, in this order.

    Element: ((source, target_in, source_segments, target_segments), target_out), int32, each of its batch's shape.
    """
    import tensorflow as tf

    def load(step):
        inputs, target_out = batch_at(split, plan, int(step), bos_id)
        return *inputs, target_out

    def to_element(step):
        arrays = tf.numpy_function(load, [step], [tf.int32] * 5)
        for array in arrays:
            array.set_shape((None, None))
        return tuple(arrays[:4]), arrays[4]

    steps = tf.data.Dataset.range(start_step, start_step + num_steps)
    return steps.map(to_element, num_parallel_calls=2, deterministic=True).prefetch(4)


def evaluation_batches(split, max_tokens, bos_id):
    """All pairs once, in an order that never changes: a list of batches as `gather` makes them."""
    longest = max(row_shapes(split.source_lengths, split.target_lengths)[-1])
    plan = Plan(split, max(max_tokens, longest), seed=0)
    return [batch_at(split, plan, step, bos_id) for step in range(plan.steps_per_epoch)]
