"""OpenNMT-tf's Transformer beside a run of train.py: see benchmarks/from_nothing.py. It wants an environment of its own, where
--peers_python points: Python 3.11 or older, pip install OpenNMT-tf==2.32.0 tensorflow-cpu==2.13.1.

Its smoothed labels give the wrong tokens all that the right one lacks, ours a share to the right one too.
"""

from benchmarks.from_nothing import race


def run(config):
    """Rows of the run and of OpenNMT-tf; config: BenchmarkConfig: run, peers_python, precision."""
    return race(config, "opennmt")
