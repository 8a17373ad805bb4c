"""Batches of static shape: several sentence pairs share a row, so that almost no position is
padding.

    pairs   ([5 6 7 e], [8 9 e])  ([5 e], [9 e])                     ids that end in e
    row     source           5 6 7 e 5 e 0 0      source_segments  1 1 1 1 2 2 0 0
            target_in        b 8 9 b 9 0 0 0      target_segments  1 1 1 2 2 0 0 0
            target_out       8 9 e 9 e 0 0 0

Attention stays within a segment, so that a packed row gives the loss of its pairs in rows of their
own. Which pairs come when is a function of (seed, epoch, step) alone: the batch of any step is
found without going through those before it.
"""

import collections
import functools
import math
import typing

import numpy as np

from data.config import DataError

# A row holds a little more than three pairs of mean length: enough that some combination of pairs
# fills it exactly, and no more, since attention costs as much as a row is long.
PAIRS_IN_A_ROW = 3.25


class Packing(typing.NamedTuple):
    """Rows as templates of lengths: which pairs may share a row. Row n has the places
    offsets[n]:offsets[n + 1]."""

    shapes: np.ndarray  # int (K, 2), the source and target length of each kind of row, ascending
    kinds: np.ndarray  # int (rows,), the kind of each row
    offsets: np.ndarray  # int (rows + 1,)
    lengths: np.ndarray  # int (pairs, 2), the source and target length of the pair at each place


class Plan:
    """Which examples stand in which row of which batch.

    Rows are packed once, as templates of lengths; each epoch deals the examples of every (source,
    target) length anew to the places of that length and shuffles the rows. So every epoch has every
    example once, in another company, and the same number of batches.

    Args:
        split: has int arrays `source_lengths` and `target_lengths`, the end token included, and
            their `packing`.
        max_tokens: positions in a micro-batch, on each side.
        seed: of the order.
        accumulate_steps: micro-batches in a batch; its rows are as many times more.
        replicas: devices that share a batch; each has as many rows of it as the others, so that its
            last rows may be empty. What is in which batch does not depend on their number: a
            training goes on in its order on more devices or fewer.
        rows: rows in a micro-batch, whatever their length; 0: as many as max_tokens allows.

    Attributes:
        steps_per_epoch: int. shapes: list of (rows, source length, target length). padding_share:
            share of positions that
        are padding, source and target together.

    Raises:
        DataError: max_tokens is smaller than the longest row.
    """

    def __init__(self, split, max_tokens, seed, accumulate_steps=1, replicas=1, rows=0):
        self.seed, self.packing = seed, split.packing
        row_shapes = [tuple(map(int, shape)) for shape in self.packing.shapes]
        longest = max(row_shapes[-1])
        if longest > max_tokens:
            raise DataError(
                f"max_tokens must hold the longest row. Received: max_tokens={max_tokens}, row of "
                f"{longest}. "
                f"Use --max_tokens={longest} or more, or a smaller --max_source_length and "
                f"--max_target_length."
            )
        width = row_shapes[-1][1] + 1
        # One number for each (source length, target length): of the examples, and of the places
        # that take them.
        self._examples = split.source_lengths * width + split.target_lengths
        self._places = np.argsort(self.packing.lengths @ [width, 1], kind="stable")
        found = {
            shape: np.nonzero(self.packing.kinds == kind)[0]
            for kind, shape in enumerate(row_shapes)
        }
        self._rows = {shape: numbers for shape, numbers in found.items() if len(numbers)}
        micro_batch = {shape: rows or max_tokens // max(shape) for shape in self._rows}
        self._filled = {shape: count * accumulate_steps for shape, count in micro_batch.items()}
        self._rows_in_batch = {
            shape: math.ceil(count / replicas) * replicas * accumulate_steps
            for shape, count in micro_batch.items()
        }
        sizes = {
            shape: math.ceil(len(numbers) / self._filled[shape])
            for shape, numbers in self._rows.items()
        }
        self.steps_per_epoch = sum(sizes.values())
        self.shapes = [(self._rows_in_batch[shape], *shape) for shape in self._rows]
        positions = sum(
            sum(shape) * self._rows_in_batch[shape] * size for shape, size in sizes.items()
        )
        self.padding_share = 1.0 - float(self.packing.lengths.sum()) / positions
        self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)

    def batch(self, step):
        """The batch of a step, counted from 0 over all epochs.

        Returns:
            rows, (source length, target length), and for each row that is not empty an array of
            example numbers.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        examples, batches = self._epoch(epoch)
        shape, rows = batches[position]
        offsets = self.packing.offsets
        return (
            self._rows_in_batch[shape],
            shape,
            [examples[offsets[row] : offsets[row + 1]] for row in rows],
        )

    def _make_epoch(self, epoch):
        """Example numbers by place, and the batches: list of (shape, row numbers)."""
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        examples = np.empty(len(self._examples), dtype=np.int64)
        examples[self._places] = np.lexsort((generator.random(len(self._examples)), self._examples))
        batches = []
        for shape, rows in self._rows.items():
            order, size = generator.permutation(rows), self._filled[shape]
            batches += [(shape, order[i : i + size]) for i in range(0, len(rows), size)]
        return examples, [batches[number] for number in generator.permutation(len(batches))]


def row_shapes(source_lengths, target_lengths):
    """The few (source length, target length) that rows have, ascending.

    The first is about three pairs long, its sides in the proportion of the mean lengths, so that
    both fill up together; then they double until the longest pair fits.

    >>> row_shapes(np.array([15] * 99), np.array([16] * 99))
    [(53, 56)]
    >>> row_shapes(np.array([15] * 99 + [90]), np.array([16] * 99 + [100]))
    [(53, 56), (105, 112)]
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


def pack(source_lengths, target_lengths):
    """Packs pairs into rows by their lengths alone.

    The longest pair left begins a row. Frequent pairs are added while there is room for more than
    three; then the one or two pairs that leave the least of both sides empty finish it. While a
    template is cheap for the supply, it is used several times at once, so that millions of pairs
    cost little more than thousands.

    Args:
        source_lengths, target_lengths: int (n,), n > 0.

    Returns:
        Packing.

    >>> pack(np.array([5, 4]), np.array([6, 3])).lengths.tolist()
    [[5, 6], [4, 3]]
    """
    shapes = row_shapes(source_lengths, target_lengths)
    rows = list(_rows(source_lengths, target_lengths, shapes))
    return Packing(
        np.array(shapes),
        np.array([kind for kind, _ in rows], dtype=np.int8),
        np.concatenate([[0], np.cumsum([len(row) for _, row in rows])]),
        np.array([pair for _, row in rows for pair in row]),
    )


def one_a_row(lengths, most_shapes=6):
    """The Packing of texts without a target, each in a row of its own: rows of a few lengths,
    chosen so that least is padding.

    Args:
        lengths: int (n,), n > 0.

    >>> one_a_row(np.array([3, 5, 9, 30])).shapes.tolist()
    [[8, 1], [16, 1], [30, 1]]
    """
    # No longer than the longest text: an encoder may have no position there.
    kinds, counts = np.unique(np.minimum(-(-lengths // 8) * 8, lengths.max()), return_counts=True)
    sums, size = np.concatenate([[0], np.cumsum(counts)]), len(kinds) + 1
    # cost[i, j]: positions of the texts of kinds i to j - 1 in rows of the longest of them; 0 where
    # there are none.
    cost = np.concatenate([[0], kinds])[None] * (sums[None] - sums[:, None]).astype(float)
    cost[np.tril_indices(size, -1)] = np.inf
    least, before = cost[0], []
    for _ in range(most_shapes - 1):
        ways = least[:, None] + cost
        least, before = ways.min(axis=0), [*before, ways.argmin(axis=0)]
    ends = [size - 1]
    for starts in reversed(before):
        ends.append(int(starts[ends[-1]]))
    shapes = kinds[sorted({end - 1 for end in ends if end})]
    ones = np.ones(len(shapes), np.int64), np.ones(len(lengths), np.int64)
    kinds = np.searchsorted(shapes, lengths)
    return Packing(
        np.stack([shapes, ones[0]], 1),
        kinds,
        np.arange(len(lengths) + 1),
        np.stack([lengths, ones[1]], 1),
    )


def _rows(source_lengths, target_lengths, shapes):
    """The rows of `pack`: (number of the shape, list of (source length, target length))."""
    supply = np.zeros((shapes[-1][0] + 1, shapes[-1][1] + 1), dtype=np.int64)
    np.add.at(supply, (source_lengths, target_lengths), 1)
    means = source_lengths.mean(), target_lengths.mean()
    for pair in sorted(
        zip(*np.nonzero(supply)), key=lambda pair: (max(pair), min(pair)), reverse=True
    ):
        kind = next(
            n
            for n, shape in enumerate(shapes)
            if all(side <= room for side, room in zip(pair, shape))
        )
        while supply[pair]:
            row = _fill_row(supply, pair, shapes[kind], means)
            needed = collections.Counter(row)
            repeats = min(supply[other] // count for other, count in needed.items()) // 16
            for other, count in needed.items():
                supply[other] -= count * repeats
            yield from ((kind, row) for _ in range(1 + repeats))


def _fill_row(supply, pair, shape, means):
    """Takes from the supply the pairs of one row that begins with `pair`."""
    row = [pair]
    supply[pair] -= 1
    source, target = shape[0] - pair[0], shape[1] - pair[1]
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
    """One or two pairs that fill (source, target) but for the smallest rest, or None if more
    than `most_rest` is left."""
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
    """The most frequent pair among those that leave the two sides room for as many more pairs as
    each other."""
    window = supply[: source + 1, : target + 1]
    room = (source - np.arange(source + 1))[:, None] / means[0] - (target - np.arange(target + 1))[
        None
    ] / means[1]
    uneven = np.where(window > 0, np.abs(room), np.inf)
    best = np.where(uneven <= uneven.min() + 0.5 / max(means), window, 0)
    return divmod(int(best.argmax()), target + 1)


def gather(split, rows, shape, examples):
    """The arrays of one batch.

    Args:
        split: has `source_ids`, `target_ids` (flat int arrays), `source_offsets`, `target_offsets`
            (int (n + 1,)) and the ints `source_pad_id`, `target_pad_id`, `bos_id`.
        rows, shape: the shape of the batch.
        examples: for each row the example numbers that stand in it.

    Returns:
        (source, target_in, source_segments, target_segments), target_out: int32, (rows, shape[0])
        for the source and (rows, shape[1]) for the target.
    """
    source_segments, target_segments = (
        np.zeros((rows, length), dtype=np.int32) for length in shape
    )
    source = np.full_like(source_segments, split.source_pad_id)
    target_in, target_out = (np.full_like(target_segments, split.target_pad_id) for _ in range(2))
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
            target_in[row, at_target] = split.bos_id
            target_in[row, at_target + 1 : end] = ids[:-1]
            target_segments[row, at_target:end] = segment
            at_target = end
    return (source, target_in, source_segments, target_segments), target_out


class Pairs:
    """Tokenised pairs as Plan and `batch_at` take them: several share a row. A subclass has the
    attributes that `gather` names.

    Pair n has the ids source_ids[source_offsets[n]:source_offsets[n + 1]], the end token last, and
    so for the target.
    """

    @property
    def source_lengths(self):
        """int64 (n,), the end token included."""
        return np.diff(self.source_offsets)

    @property
    def target_lengths(self):
        """int64 (n,)."""
        return np.diff(self.target_offsets)

    def __len__(self):
        return len(self.source_offsets) - 1

    @functools.cached_property
    def packing(self):
        """See `pack`."""
        return pack(self.source_lengths, self.target_lengths)

    gather = gather


def positions_of(split, texts):
    """The max_tokens of a Plan of pairs whose micro-batches hold about so many of them, on
    average."""
    lengths = split.packing.shapes.max(axis=1)
    return max(
        round(texts * lengths[split.packing.kinds].sum() / len(split.source_lengths)),
        int(lengths.max()),
    )


class Texts:
    """Texts with targets that are no text, as Plan and `batch_at` take them: one a row.

    Args:
        ids, types: lists of lists of int, as long as each other.
        targets: array (n, K); one row an example.
        pad_id: fills up the ids.
        empty: fills up the targets, where a batch has fewer examples than rows.
        num_texts: equal parts of a row of ids, each of which is filled up by itself.
    """

    def __init__(self, ids, types, targets, pad_id, empty, num_texts=1):
        self.ids, self.types, self.targets, self.pad_id, self.empty = (
            ids,
            types,
            targets,
            pad_id,
            empty,
        )
        self.num_texts = num_texts
        self.source_lengths, self.target_lengths = (
            np.array([len(row) for row in ids]),
            np.ones(len(ids), np.int64),
        )
        self.packing = one_a_row(self.source_lengths)

    def __len__(self):
        return len(self.ids)

    def gather(self, rows, shape, examples):
        """(ids, types), targets: int32 (rows, length) twice, and (rows, K). Arguments as for
        `gather`."""
        ids, types = (
            np.full((rows, shape[0]), self.pad_id, np.int32),
            np.zeros((rows, shape[0]), np.int32),
        )
        targets = np.full((rows, self.targets.shape[1]), self.empty, self.targets.dtype)
        for row, (number,) in enumerate(examples):
            length = len(self.ids[number]) // self.num_texts
            for batch, own in ((ids, self.ids), (types, self.types)):
                parts = batch[row].reshape(self.num_texts, -1)  # a view
                parts[:, :length] = np.reshape(own[number], (self.num_texts, length))
            targets[row] = self.targets[number]
        return (ids, types), targets


def batch_at(split, plan, step):
    """The arrays of the batch of a step, (inputs, targets), as the split gathers them."""
    return split.gather(*plan.batch(step))


def training_dataset(split, plan, start_step, num_steps):
    """A tf.data.Dataset of the batches of steps start_step ... start_step + num_steps - 1, in this
    order.

    Element: (inputs, targets) as the split gathers them, each array of its batch's shape.
    """
    import tensorflow as tf

    structure = batch_at(split, plan, start_step)
    types = [array.dtype for array in tf.nest.flatten(structure)]

    def to_element(step):
        load = lambda step: tf.nest.flatten(batch_at(split, plan, int(step)))  # noqa: E731
        arrays = tf.numpy_function(load, [step], types)
        for array in arrays:
            array.set_shape((None, None))
        return tf.nest.pack_sequence_as(structure, arrays)

    steps = tf.data.Dataset.range(start_step, start_step + num_steps)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )  # to each worker its rows
    # Nothing is left to tune, and the tuner may miss that the iterator ends: who drops it then
    # waits for up to a minute.
    options.autotune.enabled = False
    return (
        steps.map(to_element, num_parallel_calls=2, deterministic=True)
        .prefetch(4)
        .with_options(options)
    )


def evaluation_batches(split, max_tokens):
    """All examples once, in an order that never changes: a list of batches as `gather` makes
    them."""
    plan = Plan(split, max(max_tokens, int(split.packing.shapes.max())), seed=0)
    return [batch_at(split, plan, step) for step in range(plan.steps_per_epoch)]
