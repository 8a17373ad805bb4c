"""Training with `fit` in a run folder: resumable, on one device or several.

Start reading at loop.py, which runs a training. step_jax.py is its update step on JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
