"""Batches of static shape, with several pairs packed into each row so that little is padding.

    pairs   ([5 6 7 e], [8 9 e])  ([5 e], [9 e])                     ids that end in e
    row     source           5 6 7 e 5 e 0 0      source_segments  1 1 1 1 2 2 0 0
            target_in        b 8 9 b 9 0 0 0      target_segments  1 1 1 2 2 0 0 0
            target_out       8 9 e 9 e 0 0 0

Attention stays within a segment, so a packed row has the same loss as its pairs in separate rows.
The order of the pairs depends on (seed, epoch, step) alone. The batch of any step can therefore be
made without going through the steps before it.

- `pack`, `one_a_row`: assign texts to rows, by their lengths.
- `Plan`: decides which examples go into which batch.
- `Pairs`, `Texts`: the two kinds of splits, which make the arrays of a batch.
- `training_dataset`, `evaluation_batches`: the batches of a split.
"""

import collections
import functools
import math
import typing

import numpy as np

from data.config import DataError

# Pairs of mean length in the shortest row. With slightly more than three, some combination of pairs
# usually fills a row exactly. Longer rows would only make attention more expensive.
PAIRS_IN_A_ROW = 3.25


class Packing(typing.NamedTuple):
    """Row templates: the lengths of the pairs that share each row.

    A place is the slot of one pair in a row. Row n has the places `offsets[n]:offsets[n + 1]`.

    Attributes:
        shapes: int (shapes, 2), the source and target length of each row shape, ascending.
        kinds: int (rows,), the index into `shapes` of each row.
        offsets: int (rows + 1,), the first place of each row, then the number of places.
        lengths: int (pairs, 2), the source and target length of the pair at each place.
    """

    shapes: np.ndarray
    kinds: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray


class Plan:
    """Decides which examples go into which row of which batch.

    Rows are packed once, as templates of lengths. Each epoch assigns the examples of every (source
    length, target length) at random to the places of these lengths, and shuffles the rows and the
    batches. So every epoch has every example once, next to other examples than before, and every
    epoch has the same number of batches.

    Args:
        split: `Pairs`, `Texts`, or another object with int arrays `source_lengths` and
            `target_lengths` of shape (n,), which count the end token, and their `packing`.
        max_tokens: int, positions in a micro-batch, on each side.
        seed: int, the seed of the order.
        accumulate_steps: int, micro-batches in a batch. A batch has this many times the rows of a
            micro-batch.
        replicas: int, devices that share a batch. Each device gets the same number of rows, so the
            last rows of a batch may be empty. The examples of a batch do not depend on `replicas`:
            training can resume on more or fewer devices and keeps its order.
        rows: int, rows in a micro-batch, whatever their length. 0 means as many as `max_tokens`
            allows.

    Attributes:
        steps_per_epoch: int, batches in an epoch.
        shapes: list of (rows, source length, target length), the batch shapes that occur.
        padding_share: float, the share of positions that are padding, source and target together.

    Raises:
        DataError: `max_tokens` is smaller than the longest row.
    """

    def __init__(self, split, max_tokens, seed, accumulate_steps=1, replicas=1, rows=0):
        self.seed, self.packing = seed, split.packing
        row_shapes = [tuple(map(int, shape)) for shape in self.packing.shapes]
        longest = max(row_shapes[-1])
        if longest > max_tokens:
            raise DataError(
                "max_tokens must be at least the length of the longest row. Received: "
                f"max_tokens={max_tokens}, row of {longest} tokens. Use --max_tokens={longest} "
                "or more, or a smaller --max_source_length and --max_target_length."
            )
        width = row_shapes[-1][1] + 1
        # Each (source length, target length) is encoded as one number. Examples and places that
        # are both sorted by this number match.
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
        """Returns what the batch of a step contains.

        Args:
            step: int, counted from 0 over all epochs.

        Returns:
            A tuple `(rows, shape, examples)`: the number of rows, the (source length, target
            length) of a row, and for each row that is not empty an int array of example numbers.
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
        """Returns the example number at each place, and a list of batches: (shape, row numbers)."""
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        examples = np.empty(len(self._examples), dtype=np.int64)
        examples[self._places] = np.lexsort((generator.random(len(self._examples)), self._examples))
        batches = []
        for shape, rows in self._rows.items():
            order, size = generator.permutation(rows), self._filled[shape]
            batches += [(shape, order[i : i + size]) for i in range(0, len(rows), size)]
        return examples, [batches[number] for number in generator.permutation(len(batches))]


def row_shapes(source_lengths, target_lengths):
    """Returns the few (source length, target length) that rows may have, ascending.

    The first shape holds about three pairs of mean length. Its sides are in the proportion of the
    mean lengths, so that both fill up together. Each further shape is twice as long, until the
    longest pair fits.

    >>> row_shapes(np.array([15] * 99), np.array([16] * 99))
    [(53, 56)]
    >>> row_shapes(np.array([15] * 99 + [90]), np.array([16] * 99 + [100]))
    [(53, 56), (105, 112)]

    Args:
        source_lengths: int (n,), n > 0.
        target_lengths: int (n,).

    Returns:
        A list of (source length, target length).
    """
    means = source_lengths.mean(), target_lengths.mean()
    longest = int(source_lengths.max()), int(target_lengths.max())
    base = [mean * PAIRS_IN_A_ROW for mean in means]
    scale = 8 * math.ceil(max(base) / 8) / max(base)
    # A single shape that is slightly too long is better than a second shape for a few long pairs.
    needed = max(long / (side * scale) for long, side in zip(longest, base))
    scale *= needed if 1 < needed <= 1.5 else 1
    shapes = []
    while not shapes or any(long > side for long, side in zip(longest, shapes[-1])):
        shapes.append(tuple(math.ceil(round(side * scale, 6)) for side in base))
        scale *= 2
    return shapes


def pack(source_lengths, target_lengths):
    """Packs pairs into rows by their lengths alone.

    Each row begins with the longest pair that is left. Frequent pairs are added while there is room
    for more than three pairs of mean length. Then the one or two pairs that leave the least room
    complete the row. If many pairs of the same lengths are left, the same template is used for
    several rows at once, so that packing millions of pairs takes little longer than packing
    thousands.

    >>> pack(np.array([5, 4]), np.array([6, 3])).lengths.tolist()
    [[5, 6], [4, 3]]

    Args:
        source_lengths: int (n,), n > 0.
        target_lengths: int (n,).

    Returns:
        A `Packing`.
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
    """Gives each text a row of its own, with the few row lengths that need the least padding.

    The texts have no target text: the target length of every row is 1.

    >>> one_a_row(np.array([3, 5, 9, 30])).shapes.tolist()
    [[8, 1], [16, 1], [30, 1]]

    Args:
        lengths: int (n,), n > 0.
        most_shapes: int, the largest number of row lengths.

    Returns:
        A `Packing`.
    """
    # A row is never longer than the longest text: the encoder may have no positions beyond it.
    kinds, counts = np.unique(np.minimum(-(-lengths // 8) * 8, lengths.max()), return_counts=True)
    sums, size = np.concatenate([[0], np.cumsum(counts)]), len(kinds) + 1
    # cost[i, j] is the number of positions that the texts of kinds i to j - 1 take in rows as long
    # as kind j - 1. It is 0 for i == j, where there are no texts.
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
    """Yields the rows of `pack` as (index of the shape, list of (source length, target length))."""
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
    """Takes the pairs of one row out of the supply, beginning with `pair`."""
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
    """Returns the one or two pairs that leave the least room in (source, target).

    Returns None if `most_rest` positions or more would be left, both sides together.
    """
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
    """Returns the most frequent pair among those that use up both sides evenly.

    Evenly means that both sides then have room for about the same number of mean pairs.
    """
    window = supply[: source + 1, : target + 1]
    room = (source - np.arange(source + 1))[:, None] / means[0] - (target - np.arange(target + 1))[
        None
    ] / means[1]
    uneven = np.where(window > 0, np.abs(room), np.inf)
    best = np.where(uneven <= uneven.min() + 0.5 / max(means), window, 0)
    return divmod(int(best.argmax()), target + 1)


def gather(split, rows, shape, examples):
    """Returns the arrays of one batch of packed pairs.

    Args:
        split: an object with the flat int arrays `source_ids` and `target_ids`, the int arrays
            `source_offsets` and `target_offsets` of shape (n + 1,), and the ints `source_pad_id`,
            `target_pad_id` and `bos_id`.
        rows: int, rows of the batch, B.
        shape: (S, T), the source and target length of a row.
        examples: for each row that is not empty, the numbers of the examples in it.

    Returns:
        A tuple `((source, target_in, source_segments, target_segments), target_out)` of int32
        arrays. The arrays of the source have the shape (B, S), those of the target (B, T).
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
    """Base class of tokenized pairs, several of which share a row.

    A subclass has the attributes that `gather` reads. The source ids of pair n are
    `source_ids[source_offsets[n]:source_offsets[n + 1]]`, the end token last. The target ids are
    stored in the same way.
    """

    @property
    def source_lengths(self):
        """Source lengths, which count the end token, int64 (n,)."""
        return np.diff(self.source_offsets)

    @property
    def target_lengths(self):
        """Target lengths, which count the end token, int64 (n,)."""
        return np.diff(self.target_offsets)

    def __len__(self):
        return len(self.source_offsets) - 1

    @functools.cached_property
    def packing(self):
        """The `Packing` of the pairs, made by `pack`."""
        return pack(self.source_lengths, self.target_lengths)

    gather = gather


def positions_of(split, texts):
    """Returns the `max_tokens` of a `Plan` whose micro-batches hold about `texts` pairs on average.

    Args:
        split: `Pairs`.
        texts: int, pairs in a micro-batch.

    Returns:
        An int, at least the length of the longest row.
    """
    lengths = split.packing.shapes.max(axis=1)
    return max(
        round(texts * lengths[split.packing.kinds].sum() / len(split.source_lengths)),
        int(lengths.max()),
    )


class Texts:
    """Tokenized texts whose targets are not texts, one text in a row.

    Args:
        ids: list of lists of int, the token ids of each example.
        types: list of lists of int, the token types, of the same lengths as `ids`.
        targets: array (n, targets), one row for each example.
        pad_id: int, pads the ids.
        empty: pads the targets of a batch that has fewer examples than rows.
        num_texts: int, the number of equal parts in a row of ids. Each part is padded separately.
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
        """Returns the arrays of one batch.

        Args:
            rows: int, rows of the batch, B.
            shape: the length L of a row of ids, and the length of its target, which is not used.
            examples: for each row that is not empty, the number of its one example.

        Returns:
            A tuple `((ids, types), targets)`. `ids` and `types` are int32 (B, L). `targets` is
            (B, targets), in the dtype of the targets.
        """
        ids, types = (
            np.full((rows, shape[0]), self.pad_id, np.int32),
            np.zeros((rows, shape[0]), np.int32),
        )
        targets = np.full((rows, self.targets.shape[1]), self.empty, self.targets.dtype)
        for row, (number,) in enumerate(examples):
            length = len(self.ids[number]) // self.num_texts
            for batch, own in ((ids, self.ids), (types, self.types)):
                # A view, so that the next line writes into the batch.
                parts = batch[row].reshape(self.num_texts, -1)
                parts[:, :length] = np.reshape(own[number], (self.num_texts, length))
            targets[row] = self.targets[number]
        return (ids, types), targets


def batch_at(split, plan, step):
    """Returns the arrays of the batch of a step, as `split.gather` makes them.

    Args:
        split: `Pairs` or `Texts`.
        plan: the `Plan` of the split.
        step: int, counted from 0 over all epochs.

    Returns:
        A tuple `(inputs, targets)`.
    """
    return split.gather(*plan.batch(step))


def training_dataset(split, plan, start_step, num_steps):
    """Returns a `tf.data.Dataset` of the batches of consecutive steps, in their order.

    Args:
        split: `Pairs` or `Texts`.
        plan: the `Plan` of the split.
        start_step: int, the first step, counted from 0 over all epochs.
        num_steps: int, the number of batches.

    Returns:
        A `tf.data.Dataset`. An element is `(inputs, targets)` as `split.gather` makes them, and
        its arrays have the shape of their batch.
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
    # Each worker takes its own rows of a batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # There is nothing to tune. Besides, the autotuner may miss the end of the iterator, and then
    # dropping the iterator takes up to a minute.
    options.autotune.enabled = False
    return (
        steps.map(to_element, num_parallel_calls=2, deterministic=True)
        .prefetch(4)
        .with_options(options)
    )


def evaluation_batches(split, max_tokens):
    """Returns a list of batches that hold all examples once, in an order that never changes.

    Args:
        split: `Pairs` or `Texts`.
        max_tokens: int, positions in a batch, on each side. A batch has at least one row, however
            long.

    Returns:
        A list of `(inputs, targets)`, as `split.gather` makes them.
    """
    plan = Plan(split, max(max_tokens, int(split.packing.shapes.max())), seed=0)
    return [batch_at(split, plan, step) for step in range(plan.steps_per_epoch)]
