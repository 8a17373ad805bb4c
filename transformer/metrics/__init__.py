"""Scores: pure functions of targets and predictions that return {name: value}.

One module for each kind of task; sandbox.py runs programs whose tests are the score.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
