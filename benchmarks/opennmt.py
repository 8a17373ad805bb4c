"""OpenNMT-tf's Transformer beside a run of train.py: see benchmarks/from_nothing.py. What it needs installed, and
where: python -m benchmarks --help.

Its smoothed labels give the wrong tokens all that the right one lacks, ours a share to the right one too.
"""

from benchmarks.from_nothing import race


def run(config):
    """Rows of the run and of OpenNMT-tf; config: BenchmarkConfig: run, peers_python, precision."""
    return race(config, "opennmt")
