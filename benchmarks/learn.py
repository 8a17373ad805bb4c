"""That what is fast learns as well: validation loss of short trainings, each way and each seed."""

import itertools
import statistics

from benchmarks.rounds import Contestant

WAYS = list(itertools.product(("float32", "bfloat16"), ("plain", "hashed"), ("off", "on")))


def run(config):
    """Rows {"name", "loss" (mean over seeds), "deviation", "losses", ...}, one for each precision, dropout and jit.

    Args:
        config: BenchmarkConfig: data_dir, seeds, steps.
    """
    found = {way: [] for way in WAYS}
    for seed in range(1, config.seeds + 1):
        for way in WAYS:
            precision, dropout, jit = way
            task = dict(precision=precision, dropout=dropout, jit=jit, seed=seed, steps=config.steps, max_tokens=1024,
                        data_dir=config.data_dir)  # fmt: skip
            contestant = Contestant("ours", "learn", task)
            try:
                contestant.round(1)
            finally:
                contestant.close()
            found[way].append(contestant.answers[0]["loss"])
            print(f"seed {seed}, {precision}, {dropout} dropout, jit {jit}: {found[way][-1]:.4f}", flush=True)
    return [
        {"name": f"{precision}, {dropout} dropout, jit {jit}", "loss": statistics.mean(losses), "losses": losses,
         "deviation": statistics.stdev(losses) if len(losses) > 1 else 0.0}
        for (precision, dropout, jit), losses in found.items()
    ]  # fmt: skip
