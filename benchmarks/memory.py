"""Peak memory of a training step, and how its time grows with the tokens in a batch."""

from benchmarks import work
from benchmarks.rounds import compete
from benchmarks.train import PEERS, check_equal, chosen_peers, contestants

TOKENS = (256, 1024, 4096, 8192)


def run(config):
    """Rows {"size", "tokens", "name", "peak_memory_gib", "seconds", ...} for each size and
    number of tokens."""
    names, rows = chosen_peers(config, PEERS), []
    for size in config.sizes:
        for tokens in TOKENS:
            task = {"size": size, "shape": {"rows": tokens // 32, "length": 32}}
            # One after the other: side by side their memory would be that of all.
            found = [
                compete([contestant()], config.rounds, warm_up=3)[0]
                for contestant in contestants(config, names, task)
            ]
            check_equal({**work.SIZES[size], **task["shape"]}, found)
            rows += [
                {
                    "size": size,
                    "name": row["name"],
                    "tokens": tokens,
                    "peak_memory_gib": row["peak_memory_gib"],
                    "seconds": row["seconds"],
                    "milliseconds_per_1000_tokens": 1e6 * row["seconds"] / tokens,
                }
                for row in found
            ]
    return rows
