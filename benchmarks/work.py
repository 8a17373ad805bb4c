"""The work that all contestants do: model sizes, batches, and the number of parameters and FLOPs.

This module imports only NumPy, so it runs in every peer's environment.
"""

import numpy as np

# The model, with num_layers layers in the encoder and as many in the decoder, and its batch: rows,
# and the length of source and target.
SIZES = {
    "tiny": dict(
        d_model=128, num_heads=4, num_layers=4, ffn_dim=256, vocab_size=10000, rows=64, length=64
    ),
    "small": dict(
        d_model=256, num_heads=8, num_layers=4, ffn_dim=1024, vocab_size=8000, rows=64, length=32
    ),
    "base": dict(
        d_model=512, num_heads=8, num_layers=6, ffn_dim=2048, vocab_size=32000, rows=32, length=32
    ),
    "big": dict(
        d_model=1024, num_heads=16, num_layers=6, ffn_dim=4096, vocab_size=32000, rows=32, length=32
    ),
}
DROPOUT, LABEL_SMOOTHING, LEARNING_RATE, BETAS, EPSILON = 0.1, 0.1, 3e-4, (0.9, 0.98), 1e-9
PAD = 0
# Fields of DataConfig for the files of multi30k. The validation set also serves as the test set.
MULTI30K = {
    f"{side}_{split}": (f"{name}.{code}",)
    for split, name in (("train", "train"), ("validation", "val"), ("test", "val"))
    for side, code in (("source", "en"), ("target", "de"))
}


def model_options(size):
    """Returns the fields of ModelConfig of a size, dropout included, as a dict."""
    return {
        name: value
        for name, value in size.items()
        if name not in ("rows", "length", "source_length")
    } | {"dropout": DROPOUT}


def batch(size, seed=0):
    """Returns a random batch of token ids without padding.

    Args:
        size: dict, as in `SIZES`, with an optional "source_length" that defaults to "length".
        seed: seed of numpy.random.default_rng.

    Returns:
        source (B, S), target_in (B, T) and target_out (B, T), each int32. target_out is target_in
        shifted by one position.
    """
    generator = np.random.default_rng(seed)
    rows, length = size["rows"], size["length"]
    source = generator.integers(
        4, size["vocab_size"], (rows, size.get("source_length", length)), dtype=np.int32
    )
    target = generator.integers(4, size["vocab_size"], (rows, length + 1), dtype=np.int32)
    return source, target[:, :-1], target[:, 1:]


def parameters(size):
    """Returns the number of parameters of the model of a size.

    The model is post-norm, with biases, sinusoidal positions and one embedding table shared by
    source, target and output.
    """
    width, inner = size["d_model"], size["ffn_dim"]
    attention, feed_forward, norm = (
        4 * (width + 1) * width,
        2 * width * inner + inner + width,
        2 * width,
    )
    layers = size["num_layers"] * (
        (attention + feed_forward + 2 * norm) + (2 * attention + feed_forward + 3 * norm)
    )
    return size["vocab_size"] * width + layers


def training_flops(size):
    """Returns the FLOPs of one update: three times the matrix products of the forward pass.

    3 B T (2 N (4 D^2 + 2 D F) + 2 N (8 D^2 + 2 D F) + 12 S D N + 2 D V), where S = T. The summands
    are the encoder projections, the decoder projections, the products of queries, keys and values,
    and the logits.
    """
    width, inner, layers, length = (
        size[name] for name in ("d_model", "ffn_dim", "num_layers", "length")
    )
    projections = 2 * layers * (4 * width**2 + 2 * width * inner) + 2 * layers * (
        8 * width**2 + 2 * width * inner
    )
    a_token = projections + 12 * length * width * layers + 2 * width * size["vocab_size"]
    return 3 * size["rows"] * length * a_token
