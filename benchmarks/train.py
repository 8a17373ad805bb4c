"""Measures the speed and memory of training steps: ours and the peers', on the same batch."""

import math
from functools import partial

from benchmarks import work
from benchmarks.rounds import Contestant, compete
from transformer.config import ConfigError

# Name in the table -> (worker, task). Ratios are to the first peer that --peers names.
PEERS = {
    "torch": ("train_torch", dict(precision="float32")),
    "torch_bfloat16": ("train_torch", dict(precision="bfloat16")),
    "torch_unfused_adam": ("train_torch", dict(precision="float32", fused=False)),
    "marian": ("train_torch", dict(precision="float32", model="marian")),
}
# Name in the table -> task of the worker train_ours.
OURS = {
    "ours, float32": dict(precision="float32", jit="off"),
    "ours, float32, XLA": dict(precision="float32", jit="on"),
    "ours, bfloat16": dict(precision="bfloat16", jit="off"),
}


def chosen_peers(config, known):
    """Returns the names of the peers that --peers selects.

    Args:
        config: BenchmarkConfig, of which peers and sizes are used.
        known: dict or list of the names of the benchmark's peers.

    Raises:
        ConfigError: A peer or a size is unknown.
    """
    if wrong := sorted({*config.sizes} - {*work.SIZES}):
        raise ConfigError(
            f"sizes must be among {', '.join(work.SIZES)}. Received: {', '.join(wrong)}."
        )
    names = list(known) if "all" in config.peers else list(config.peers)
    if wrong := sorted({*names} - {*known}):
        raise ConfigError(
            f"peers must be among {', '.join(known)}, all. Received: {', '.join(wrong)}."
        )
    return names


def run(config):
    """Times the contestants for each size.

    Returns:
        The rows of `rounds.compete`, with size, parameters, tokens per second, FLOP/s and peak
        memory.

    Raises:
        ConfigError: The contestants do not do the same work: their parameters or tokens differ, or
            a loss does not fall. Or a size or a peer is unknown.
    """
    names, rows = chosen_peers(config, PEERS), []
    for size in config.sizes:
        found = compete(
            [contestant() for contestant in contestants(config, names, {"size": size})],
            config.rounds,
            warm_up=3,
        )
        check_equal(work.SIZES[size], found)
        check_learning(work.SIZES[size], found)
        flops = work.training_flops(work.SIZES[size])
        rows += [
            {
                "size": size,
                **row,
                "tokens_per_second": row["tokens"] / row["seconds"],
                "flops": flops / row["seconds"],
            }
            for row in found
        ]
    return rows


def contestants(config, names, task):
    """Returns functions that start the peers and then ours, all with the same task.

    Args:
        config: BenchmarkConfig, of which peers_python is used.
        names: names of the peers.
        task: dict, what every worker is given besides its own options.
    """
    peers = [
        partial(Contestant, name, PEERS[name][0], {**PEERS[name][1], **task}, config.peers_python)
        for name in names
    ]
    return peers + [
        partial(Contestant, name, "train_ours", {**own, **task}) for name, own in OURS.items()
    ]


def check_equal(size, rows):
    """Checks that all contestants did the same work.

    Args:
        size: dict, as in `work.SIZES`.
        rows: dicts with the name, parameters and tokens of each contestant.

    Raises:
        ConfigError: A number of parameters or tokens differs from what `size` implies.
    """
    expected = work.parameters(size), size["rows"] * size["length"]
    for row in rows:
        if (row["parameters"], row["tokens"]) != expected:
            raise ConfigError(
                f"contestants must have {expected[0]:,} parameters and {expected[1]:,} tokens. "
                f"Received: {row['name']}, "
                f"{row['parameters']:,} and {row['tokens']:,}."
            )


def check_learning(size, rows):
    """Checks that the loss of every contestant fell.

    Raises:
        ConfigError: A loss is not clearly below that of an untrained model.
    """
    for row in rows:
        # An untrained model has the loss of a uniform distribution over the vocabulary, ln V.
        if not row["loss"] < 0.97 * math.log(size["vocab_size"]):
            raise ConfigError(
                f"the loss must fall on the one batch. Received: {row['name']}, {row['loss']:.3f}."
            )
