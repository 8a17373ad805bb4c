"""`pipeline(task, model)`: texts in, answers out; `fit` teaches it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
