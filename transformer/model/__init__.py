"""The Transformer in pure Keras 3: layers, heads, losses and LoRA.

Everything here runs on every Keras backend. Start reading in transformer.py.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
