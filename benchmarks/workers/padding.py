"""Sequences of ids as one batch of PyTorch's."""

import torch


def padded(sequences, pad):
    """Sequences of int -> int64 (rows, longest), filled up with `pad`."""
    ids = torch.full((len(sequences), max(map(len, sequences))), pad)
    for row, sequence in zip(ids, sequences):
        row[: len(sequence)] = torch.as_tensor(sequence)
    return ids
