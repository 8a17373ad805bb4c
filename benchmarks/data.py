"""The input pipeline: its preparation, its padding, and the host time of a batch beside that of a step."""

import pathlib
import statistics
import tempfile
import time

from benchmarks import work
from benchmarks.rounds import Contestant, compete
from transformer.config import ConfigError, TokenizerConfig

MAX_TOKENS = 4096


def run(config):
    """Rows {"name", "value", "unit"}.

    Raises:
        ConfigError: --data_dir is not there.
    """
    if not (pathlib.Path(config.data_dir or "?") / "train.en").exists():
        raise ConfigError(f"data needs --data_dir with multi30k's train.en. Received: {config.data_dir!r}.")
    from data.batches import Plan, batch_at
    from data.config import DataConfig
    from data.prepare import prepare

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        prepared = prepare(DataConfig(data_dir=config.data_dir, **work.MULTI30K), TokenizerConfig(), folder)
        preparation = time.perf_counter() - begun
        split = prepared.splits["train"]
        plan = Plan(split, MAX_TOKENS, seed=1)
        seconds = []
        for step in range(plan.steps_per_epoch):
            begun = time.perf_counter()
            batch_at(split, plan, step)
            seconds.append(time.perf_counter() - begun)
    rows, source, target = plan.shapes[0]
    step = tiny_step(rows, max(source, target))
    batch = statistics.median(seconds)
    return [
        {"name": "preparation of 29,000 pairs, tokenizer included", "value": preparation, "unit": "s"},
        {"name": "padding", "value": 100 * plan.padding_share, "unit": "%"},
        {"name": f"a batch of {MAX_TOKENS:,} positions on the host, median", "value": 1000 * batch, "unit": "ms"},
        {"name": "the step of the tiny model on it", "value": 1000 * step, "unit": "ms"},
        {"name": "host time of the step", "value": 100 * batch / step, "unit": "%"},
    ]


def tiny_step(rows, length):
    """Seconds of our bfloat16 step at tiny size, median of ten."""
    task = {"size": "tiny", "shape": {"rows": rows, "length": length}, "precision": "bfloat16", "jit": "off"}
    return compete([Contestant("ours", "train_ours", task)], rounds=10, warm_up=3, seconds_a_round=0.0)[0]["seconds"]
