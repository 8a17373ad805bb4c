"""Sequences of token ids as batches; NumPy alone, so that it runs in every peer's environment."""

import numpy as np


def rows(ids, offsets):
    """The sequences that were laid end to end, a list of arrays."""
    return [ids[start:end] for start, end in zip(offsets, offsets[1:])]


def padded(sequences, pad):
    """Sequences of int -> int64 (rows, longest), filled up with `pad`."""
    ids = np.full((len(sequences), max(map(len, sequences))), pad, dtype=np.int64)
    for row, sequence in zip(ids, sequences):
        row[: len(sequence)] = sequence
    return ids


def specials_first(task):
    """Our id for each of a vocabulary that begins with padding, start and end, and its id for each
    of ours, two int arrays.

    Args:
        task: {"pad", "bos", "eos", "vocab_size"}: our ids of these, and how many there are.
    """
    special = [task["pad"], task["bos"], task["eos"]]
    order = [*special, *sorted({*range(task["vocab_size"])} - {*special})]
    return np.array(order), np.argsort(order)


def epoch_batches(lengths, count, seed):
    """Numbers of pairs in `count` batches of as many tokens each, pairs of about the same length
    together, in random order.

    Args:
        lengths: int (pairs, 2), of source and target.
        seed: of numpy.random.default_rng.
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(lengths)), lengths[:, 0], lengths[:, 1]))
    part = np.cumsum(lengths[order].sum(axis=1))
    cuts = np.searchsorted(part, part[-1] * np.arange(1, count) / count)
    batches = np.split(order, cuts)
    return [batches[number] for number in generator.permutation(count)]


class Pairs:
    """Pairs of sequences, in the order in which a training learns from them.

    Args:
        data: {"source_ids", "source_offsets", "target_ids", "target_offsets"}: arrays.
        task: dict with "steps_per_epoch", "seed".
    """

    def __init__(self, data, task):
        self.source, self.target = (
            rows(data[f"{side}_ids"], data[f"{side}_offsets"]) for side in ("source", "target")
        )
        self.lengths = np.array([[*map(len, pair)] for pair in zip(self.source, self.target)])
        self.task, self.epoch, self.batches = task, -1, []

    def batch(self, step):
        """The sources and the targets of one update, two lists of sequences."""
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
    """Outputs for sources, in their order, of `translate`: some sources of like length -> a list
    of their outputs."""
    outputs = [None] * len(sources)
    order = sorted(range(len(sources)), key=lambda number: len(sources[number]))
    for start in range(0, len(order), size):
        numbers = order[start : start + size]
        for number, output in zip(numbers, translate([sources[number] for number in numbers])):
            outputs[number] = output
    return outputs
