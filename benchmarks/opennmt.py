"""Compares a train.py run with OpenNMT-tf's Transformer; see benchmarks/from_nothing.py.

`python -m benchmarks --help` says how to install OpenNMT-tf.

If the run does not use sinusoidal positions, OpenNMT-tf uses the relative positions of its
TransformerRelative. With label smoothing it gives all of the smoothed mass to the wrong tokens,
while ours gives the right token its share too. Its beam search has GNMT's length penalty, like
ours.
"""

from benchmarks.from_nothing import race


def run(config):
    """Returns the rows of the run and of OpenNMT-tf; see `from_nothing.race`.

    Args:
        config: BenchmarkConfig, of which run, peers_python and precision are used.
    """
    return race(config, "opennmt", {}, lambda penalty, length: penalty)
