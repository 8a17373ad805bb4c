"""Encoder-decoder Transformers in Keras 3: build, train, translate.

Names are imported on first use, so that `import transformer` and `--help` import neither Keras nor
TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
