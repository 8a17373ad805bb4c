"""Makes batches of sequences of token ids.

This module imports only NumPy, so it runs in every peer's environment.
"""

import numpy as np


def rows(ids, offsets):
    """Splits concatenated sequences.

    Args:
        ids: int array, all sequences end to end.
        offsets: int array, where each sequence begins, and the end of the last.

    Returns:
        A list of int arrays.
    """
    return [ids[start:end] for start, end in zip(offsets, offsets[1:])]


def padded(sequences, pad):
    """Pads sequences of int with `pad` to an int64 array (B, L), L the length of the longest."""
    ids = np.full((len(sequences), max(map(len, sequences))), pad, dtype=np.int64)
    for row, sequence in zip(ids, sequences):
        row[: len(sequence)] = sequence
    return ids


def specials_first(task):
    """Renumbers our vocabulary so that it begins with padding, start and end.

    Args:
        task: dict {"pad", "bos", "eos", "vocab_size"}, our ids of these tokens and the size.

    Returns:
        Two int arrays (V,): our id of each new id, and the new id of each of ours.
    """
    special = [task["pad"], task["bos"], task["eos"]]
    order = [*special, *sorted({*range(task["vocab_size"])} - {*special})]
    return np.array(order), np.argsort(order)


def epoch_batches(lengths, count, seed):
    """Groups pairs of similar length into batches with about the same number of tokens.

    Args:
        lengths: int array (pairs, 2), the lengths of source and target.
        count: number of batches.
        seed: seed of numpy.random.default_rng.

    Returns:
        A list of `count` int arrays, the numbers of the pairs of each batch. The batches are in
        random order.
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(lengths)), lengths[:, 0], lengths[:, 1]))
    part = np.cumsum(lengths[order].sum(axis=1))
    cuts = np.searchsorted(part, part[-1] * np.arange(1, count) / count)
    batches = np.split(order, cuts)
    return [batches[number] for number in generator.permutation(count)]


class Pairs:
    """Pairs of sequences, in the order in which a training sees them.

    Args:
        data: dict of arrays {"source_ids", "source_offsets", "target_ids", "target_offsets"}; see
            `rows`.
        task: dict with "steps_per_epoch" and "seed".
    """

    def __init__(self, data, task):
        self.source, self.target = (
            rows(data[f"{side}_ids"], data[f"{side}_offsets"]) for side in ("source", "target")
        )
        self.lengths = np.array([[*map(len, pair)] for pair in zip(self.source, self.target)])
        self.task, self.epoch, self.batches = task, -1, []

    def batch(self, step):
        """Returns the sources and the targets of update `step`, two lists of int arrays."""
        epoch, place = divmod(step, self.task["steps_per_epoch"])
        if epoch != self.epoch:
            self.epoch, self.batches = (
                epoch,
                epoch_batches(
                    self.lengths, self.task["steps_per_epoch"], [self.task["seed"], epoch]
                ),
            )
        chosen = self.batches[place]
        return [self.source[number] for number in chosen], [
            self.target[number] for number in chosen
        ]


def translated(sources, size, translate):
    """Translates sources in batches of similar length.

    Args:
        sources: list of sequences.
        size: number of sources in a batch.
        translate: function, list of sources -> list of their outputs.

    Returns:
        A list of the outputs, in the order of the sources.
    """
    outputs = [None] * len(sources)
    order = sorted(range(len(sources)), key=lambda number: len(sources[number]))
    for start in range(0, len(order), size):
        numbers = order[start : start + size]
        for number, output in zip(numbers, translate([sources[number] for number in numbers])):
            outputs[number] = output
    return outputs
