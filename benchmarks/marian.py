"""Hugging Face's Marian on PyTorch beside a run of train.py: see benchmarks/from_nothing.py. Give
it the --precision that is the faster for it: PyTorch's bfloat16 is slower than its float32 on some
processors.

Its norms are behind the blocks, so that only runs of --norm=post are raced with it. Its beam
divides by length^p, ours by GNMT's ((5 + length) / 6)^p: it gets the p that is as steep at the mean
length of a target.
"""

from benchmarks.from_nothing import race


def run(config):
    """Rows of the run and of Marian; config: BenchmarkConfig: run, peers_python, precision."""
    return race(
        config,
        "marian",
        {"model": {"norm": ("post",)}},
        lambda penalty, length: penalty * length / (5 + length),
    )
