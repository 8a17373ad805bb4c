"""OpenNMT-tf's Transformer beside a run of train.py: see benchmarks/from_nothing.py. What it needs
installed, and where: python -m benchmarks --help.

Where the run has no sinusoidal positions, it has those of its TransformerRelative. Its smoothed
labels give the wrong tokens all that the right one lacks, ours a share to the right one too. Its
beam has GNMT's length penalty, as ours.
"""

from benchmarks.from_nothing import race


def run(config):
    """Rows of the run and of OpenNMT-tf; config: BenchmarkConfig: run, peers_python, precision."""
    return race(config, "opennmt", {}, lambda penalty, length: penalty)
