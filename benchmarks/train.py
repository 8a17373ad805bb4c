"""Training steps a second, and what a step takes of memory: ours and the peers' on the same
batch."""

import math
from functools import partial

from benchmarks import work
from benchmarks.rounds import Contestant, compete
from transformer.config import ConfigError

# Name in the table -> worker, task. Ratios refer to the first that --peers names.
PEERS = {
    "torch": ("train_torch", dict(precision="float32")),
    "torch_bfloat16": ("train_torch", dict(precision="bfloat16")),
    "torch_unfused_adam": ("train_torch", dict(precision="float32", fused=False)),
    "marian": ("train_torch", dict(precision="float32", model="marian")),
}
OURS = {
    "ours, float32": dict(precision="float32", jit="off"),
    "ours, float32, XLA": dict(precision="float32", jit="on"),
    "ours, bfloat16": dict(precision="bfloat16", jit="off"),
}


def chosen_peers(config, known):
    """The peers that --peers names.

    Raises:
        ConfigError: there is none of that name, or a size that is not known.
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
    """Rows for each size: see rounds.compete; with parameters, tokens a second, FLOP/s and peak
    memory.

    Raises:
        ConfigError: contestants do not do the same work: parameters or tokens differ, or a loss
            does not fall.
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
    """What starts the peers of these names, then ours, all with the same task."""
    peers = [
        partial(Contestant, name, PEERS[name][0], {**PEERS[name][1], **task}, config.peers_python)
        for name in names
    ]
    return peers + [
        partial(Contestant, name, "train_ours", {**own, **task}) for name, own in OURS.items()
    ]


def check_equal(size, rows):
    """Raises ConfigError unless all did the same work; `size` as in work.SIZES."""
    expected = work.parameters(size), size["rows"] * size["length"]
    for row in rows:
        if (row["parameters"], row["tokens"]) != expected:
            raise ConfigError(
                f"contestants must have {expected[0]:,} parameters and {expected[1]:,} tokens. "
                f"Received: {row['name']}, "
                f"{row['parameters']:,} and {row['tokens']:,}."
            )


def check_learning(size, rows):
    """Raises ConfigError unless all learnt by their work."""
    for row in rows:
        # A model that knows nothing of the batch has the entropy of a uniform choice.
        if not row["loss"] < 0.97 * math.log(size["vocab_size"]):
            raise ConfigError(
                f"the loss must fall on the one batch. Received: {row['name']}, {row['loss']:.3f}."
            )
