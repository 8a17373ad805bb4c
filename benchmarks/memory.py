"""Peak memory of a training step, and how its time grows with the tokens in a batch."""

from benchmarks.rounds import compete
from benchmarks.train import PEERS, chosen_peers, contestants

TOKENS = (256, 1024, 4096, 8192)


def run(config):
    """Rows {"size", "tokens", "name", "peak_memory_gib", "seconds", ...} for each size and number of tokens."""
    names, rows = chosen_peers(config, PEERS), []
    for size in config.sizes:
        for tokens in TOKENS:
            task = {"size": size, "shape": {"rows": tokens // 32, "length": 32}}
            rows += [
                {"size": size, **row, "seconds_per_1000_tokens": 1000 * row["seconds"] / tokens}
                for row in compete(contestants(config, names, task), config.rounds, warm_up=3)
            ]
    return rows
