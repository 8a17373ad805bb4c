"""That what is fast learns as well: validation loss of short trainings, each way and each seed."""

import concurrent.futures
import itertools
import os
import statistics

from benchmarks.rounds import Contestant

WAYS = list(itertools.product(("float32", "bfloat16"), ("plain", "hashed"), ("off", "on")))


def run(config):
    """Rows {"name", "loss" (mean over seeds), "deviation", "losses"}, one for each precision,
    dropout and jit.

    Nothing is timed, so that as many trainings run at once as there are cores.

    Args:
        config: BenchmarkConfig: data_dir, seeds, steps.
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
    """The validation loss of one training, nats a token."""
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
