"""Strings to token ids and back: tokenizers, symbols for values to copy, inputs of encoders."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
