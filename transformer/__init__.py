"""Encoder-decoder Transformers in Keras 3: build, train, translate.

The names below load on first use, so that `import transformer` and `python -m transformer --help`
stay fast.
"""

import importlib

_HOME = {
    "Transformer": "model",
    "Encoder": "model",
    "Decoder": "model",
    "ModelConfig": "config",
    "TrainingConfig": "config",
    "DecodingConfig": "config",
    "TokenizerConfig": "config",
    "Generator": "generation",
    "TextEncoder": "encoders",
    "load_encoder": "encoders",
    "load_tokenizer": "tokenizer",
    "train_tokenizer": "tokenizer",
}

__version__ = "0.1.0"
__all__ = [*_HOME, "__version__"]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'transformer' has no attribute {name!r}")
    return getattr(importlib.import_module(f"transformer.{_HOME[name]}"), name)


def __dir__():
    return sorted(__all__)
