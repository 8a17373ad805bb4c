"""Peak memory of a training step, and how its time grows with the tokens in a batch."""

from benchmarks.rounds import Contestant, compete
from benchmarks.train import OURS, PEERS, chosen_peers

TOKENS = (256, 1024, 4096, 8192)


def run(config):
    """Rows {"size", "tokens", "name", "peak_memory_gib", "seconds", ...} for each size and number of tokens."""
    names, rows = chosen_peers(config, PEERS), []
    for size in config.sizes:
        for tokens in TOKENS:
            task = {"size": size, "shape": {"rows": tokens // 32, "length": 32}}
            contestants = [Contestant(name, PEERS[name][0], {**PEERS[name][1], **task}, config.peers_python) for name in names]
            contestants += [Contestant(name, "train_ours", {**own, **task}) for name, own in OURS.items()]
            rows += [
                {"size": size, **row, "seconds_per_1000_tokens": 1000 * row["seconds"] / tokens}
                for row in compete(contestants, config.rounds, warm_up=3)
            ]
    return rows
