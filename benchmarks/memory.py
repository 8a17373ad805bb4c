"""Measures the peak memory and the time of a training step for batches of different sizes."""

from benchmarks import work
from benchmarks.rounds import compete
from benchmarks.train import PEERS, check_equal, chosen_peers, contestants

# Target tokens in a batch.
TOKENS = (256, 1024, 4096, 8192)


def run(config):
    """Measures each contestant for each size and number of tokens.

    Returns:
        Rows {"size", "name", "tokens", "peak_memory_gib", "seconds",
        "milliseconds_per_1000_tokens"}.

    Raises:
        ConfigError: A size or a peer is unknown, or contestants differ in parameters or tokens.
    """
    names, rows = chosen_peers(config, PEERS), []
    for size in config.sizes:
        for tokens in TOKENS:
            task = {"size": size, "shape": {"rows": tokens // 32, "length": 32}}
            # Run the contestants one after the other. Side by side they would compete for memory.
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
