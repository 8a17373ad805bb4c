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

# A row holds a little more than three pairs of mean length: enough that some combination of pairs fills it exactly.
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
        steps_per_epoch: int. shapes: list of (rows, row length). padding_share: share of positions that are padding,
        source and target together.

    Raises:
        DataError: max_tokens is smaller than the longest pair, or there is no pair.
    """

    def __init__(self, split, max_tokens, seed, accumulate_steps=1):
        self.seed = seed
        source, target = np.asarray(split.source_lengths), np.asarray(split.target_lengths)
        if not len(source):
            raise DataError("a data set must have at least one pair. Received: none.")
        lengths = row_lengths(source, target)
        if lengths[-1] > max_tokens:
            raise DataError(
                f"max_tokens must hold the longest row. Received: max_tokens={max_tokens}, row of {lengths[-1]}. "
                f"Use --max_tokens={lengths[-1]} or more, or a smaller --max_source_length and --max_target_length."
            )
        width = int(lengths[-1]) + 1
        kinds = source * width + target  # one number for each (source length, target length)
        self._kinds = kinds
        self._rows = {}  # row length -> list of rows, each a list of places
        place_kinds = []
        for length, row in pack(source, target, lengths):
            places = range(len(place_kinds), len(place_kinds) + len(row))
            place_kinds += [s * width + t for s, t in row]
            self._rows.setdefault(length, []).append(np.arange(places.start, places.stop))
        self._places_by_kind = np.argsort(np.asarray(place_kinds), kind="stable")
        self._rows_in_batch = {length: max_tokens // length * accumulate_steps for length in self._rows}
        self._sizes = {length: math.ceil(len(rows) / self._rows_in_batch[length]) for length, rows in self._rows.items()}
        self.steps_per_epoch = sum(self._sizes.values())
        self.shapes = [(self._rows_in_batch[length], int(length)) for length in sorted(self._rows)]
        positions = sum(2 * length * self._rows_in_batch[length] * size for length, size in self._sizes.items())
        self.padding_share = 1.0 - float(source.sum() + target.sum()) / positions
        self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)

    def batch(self, step):
        """The batch of a step, counted from 0 over all epochs: (rows, row length, list of arrays of example numbers)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        examples, batches = self._epoch(epoch)
        length, rows = batches[position]
        return self._rows_in_batch[length], length, [examples[places] for places in rows]

    def _make_epoch(self, epoch):
        """Example numbers by place, and the batches: list of (row length, rows)."""
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        examples = np.empty(len(self._kinds), dtype=np.int64)
        examples[self._places_by_kind] = np.lexsort((generator.random(len(self._kinds)), self._kinds))
        batches = []
        for length, rows in sorted(self._rows.items()):
            order, size = generator.permutation(len(rows)), self._rows_in_batch[length]
            batches += [(length, [rows[row] for row in order[i : i + size]]) for i in range(0, len(rows), size)]
        return examples, [batches[number] for number in generator.permutation(len(batches))]


def row_lengths(source_lengths, target_lengths):
    """The few lengths that rows have: about three pairs long, doubled until the longest pair fits.

    Lengths 15, 14, 16, 40 -> [48]; with a pair of 100 more -> [48, 96, 112].
    """
    longest = _up(max(source_lengths.max(), target_lengths.max()))
    first = _up(PAIRS_IN_A_ROW * max(source_lengths.mean(), target_lengths.mean()))
    if longest <= 1.5 * first:
        return [max(first, longest)]
    lengths = [first]
    while lengths[-1] < longest:
        lengths.append(min(2 * lengths[-1], longest))
    return lengths


def _up(length):
    return 16 * math.ceil(length / 16)


def pack(source_lengths, target_lengths, lengths):
    """Packs pairs into rows by their lengths alone.

    The longest pair left begins a row. Frequent pairs are added while there is room for more than three; then the one
    or two pairs that leave the least of both sides empty finish it. While a template is cheap for the supply, it is used
    several times at once, so that millions of pairs cost no more than thousands.

    Args:
        source_lengths, target_lengths: int (n,). lengths: allowed row lengths, ascending.

    Yields:
        (row length, list of (source length, target length)).
    """
    width = lengths[-1] + 1
    supply = np.zeros((width, width), dtype=np.int64)
    np.add.at(supply, (source_lengths, target_lengths), 1)
    mean = max(source_lengths.mean(), target_lengths.mean())
    kinds = sorted(zip(*np.nonzero(supply)), key=lambda kind: (max(kind), min(kind)), reverse=True)
    for kind in kinds:
        while supply[kind]:
            length = next(length for length in lengths if length >= max(kind))
            row = _fill_row(supply, kind, length, mean)
            needed = collections.Counter(row)
            repeats = min(supply[kind] // count for kind, count in needed.items()) // 16
            for other, count in needed.items():
                supply[other] -= count * repeats
            yield from ((length, row) for _ in range(1 + repeats))


def _fill_row(supply, kind, length, mean):
    """Takes from the supply the pairs of one row that begins with `kind`."""
    row = [kind]
    supply[kind] -= 1
    source, target = length - kind[0], length - kind[1]
    while source > 0 and target > 0 and supply[: source + 1, : target + 1].any():
        last = _finish(supply, source, target) if min(source, target) < 3.1 * mean else None
        for chosen in last or [_most_frequent(supply, source, target)]:
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


def _most_frequent(supply, source, target):
    """The most frequent pair among those that leave the two sides as equal as can be."""
    window = supply[: source + 1, : target + 1]
    rest = np.abs((source - np.arange(source + 1))[:, None] - (target - np.arange(target + 1))[None])
    rest = np.where(window > 0, rest, rest.max() + 1)
    best = np.where(rest == rest.min(), window, 0)
    return divmod(int(best.argmax()), target + 1)


def gather(split, rows, length, examples, bos_id):
    """The arrays of one batch.

    Args:
        split: has `source_ids`, `target_ids` (flat int arrays) and `source_offsets`, `target_offsets` (int (n + 1,)).
        rows, length: the shape. examples: for each row the example numbers that stand in it.

    Returns:
        (source, target_in, source_segments, target_segments), target_out: int32 (rows, length) each.
    """
    source, source_segments, target_in, target_segments, target_out = np.zeros((5, rows, length), dtype=np.int32)
    for row, numbers in enumerate(examples):
        at_source = at_target = 0
        for segment, number in enumerate(numbers, 1):
            ids = split.source_ids[split.source_offsets[number] : split.source_offsets[number + 1]]
            end = min(at_source + len(ids), length)
            source[row, at_source:end] = ids[: end - at_source]
            source_segments[row, at_source:end] = segment
            at_source = end
            ids = split.target_ids[split.target_offsets[number] : split.target_offsets[number + 1]]
            end = min(at_target + len(ids), length)
            target_out[row, at_target:end] = ids[: end - at_target]
            target_in[row, at_target] = bos_id
            target_in[row, at_target + 1 : end] = ids[: end - at_target - 1]
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
    plan = Plan(split, max(max_tokens, *row_lengths(split.source_lengths, split.target_lengths)), seed=0)
    return [batch_at(split, plan, step, bos_id) for step in range(plan.steps_per_epoch)]
