"""Metrics. Each is a pure function of references and predictions that returns {name: value}.

There is one module for each kind of task. `sandbox` runs generated programs against their tests.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
