"""Token ids to text: greedy, beam and sampling search, and the Generator that reads and writes
text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
