"""Compares a train.py run with Hugging Face's Marian on PyTorch; see benchmarks/from_nothing.py.

Use the --precision that is faster for Marian: on some processors PyTorch is slower in bfloat16 than
in float32.

Marian is post-norm, so it is only compared with runs of --norm=post. Its beam search divides the
score by length^p, ours by GNMT's ((5 + length) / 6)^p. Marian gets the p whose penalty is as steep
as ours at the mean target length.
"""

from benchmarks.from_nothing import race


def run(config):
    """Returns the rows of the run and of Marian; see `from_nothing.race`.

    Args:
        config: BenchmarkConfig, of which run, peers_python and precision are used.
    """
    return race(
        config,
        "marian",
        {"model": {"norm": ("post",)}},
        lambda penalty, length: penalty * length / (5 + length),
    )
