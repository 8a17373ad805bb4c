"""Checks that the fast settings learn as well as the slow ones.

It compares the validation loss of short trainings for each precision, dropout and jit setting, over
several seeds.
"""

import concurrent.futures
import itertools
import os
import statistics

from benchmarks.rounds import Contestant

# Each way to train: precision, dropout ("plain" is Keras's own layer, "hashed" is ours), jit.
WAYS = list(itertools.product(("float32", "bfloat16"), ("plain", "hashed"), ("off", "on")))


def run(config):
    """Trains each of the `WAYS` with each seed.

    Nothing is timed, so as many trainings run at once as there are cores.

    Args:
        config: BenchmarkConfig, of which data_dir, seeds and steps are used.

    Returns:
        Rows {"name", "loss", "deviation", "losses"}, one per way: the mean validation loss over the
        seeds, its sample standard deviation (0 with one seed), and the loss of each seed.

    Raises:
        ConfigError: --data_dir does not exist, or a training fails.
    """
    config.require("learn", "data_dir")
    trainings = list(itertools.product(range(1, config.seeds + 1), WAYS))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        losses = dict(
            zip(trainings, pool.map(lambda training: _loss(config, *training), trainings))
        )
    rows = []
    for way in WAYS:
        found = [losses[seed, way] for seed in range(1, config.seeds + 1)]
        deviation = statistics.stdev(found) if len(found) > 1 else 0.0
        rows.append(
            {
                "name": _name(way),
                "loss": statistics.mean(found),
                "deviation": deviation,
                "losses": found,
            }
        )
    return rows


def _loss(config, seed, way):
    """Trains once and returns the validation loss in nats per token."""
    precision, dropout, jit = way
    task = dict(
        precision=precision,
        dropout=dropout,
        jit=jit,
        seed=seed,
        steps=config.steps,
        max_tokens=1024,
        data_dir=config.data_dir,
    )
    contestant = Contestant("ours", "learn", task)
    try:
        contestant.round(1)
    finally:
        contestant.close()
    loss = contestant.answers[0]["loss"]
    print(f"seed {seed}, {_name(way)}: {loss:.4f}", flush=True)
    return loss


def _name(way):
    return "{}, {} dropout, jit {}".format(*way)
