"""Replay your tasks through a routing policy: quality, cost and queueing delay in one run.

>>> import routingsim as rs
>>> corpus = rs.load_corpus("tasks")
>>> result = rs.replay(corpus, policy="threshold", seed=7)

The public names are listed in ``__init__.pyi`` and loaded when first used, so that
``import routingsim`` stays quick: the compiler and the plotting library come in
only when something needs them.
"""

import lazy_loader

from routingsim.numba_cache import keep_somewhere

keep_somewhere()

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
