"""Text generation: greedy, beam and sampling search, and the `Generator` from text to text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
