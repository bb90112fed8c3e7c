"""Compile the engine, the scorer, sums and the kernels of all policies into numba's cache.

A script; ``compiling.py 0`` does one half, ``compiling.py 1`` the other.
"""

import gc
import importlib
import pkgutil
import sys

from routingsim import policies, replay
from routingsim.evaluation.cell import measure
from routingsim.policies.kernel import Kernel


def kernels() -> list[Kernel]:
    """Those that the modules of :mod:`routingsim.policies` hold, each once."""
    modules = pkgutil.iter_modules(policies.__path__, f"{policies.__name__}.")
    held = [vars(importlib.import_module(each.name)).values() for each in modules]
    found = [each for values in held for each in values if isinstance(each, Kernel)]
    return list(dict.fromkeys(found))


def main(half: int) -> None:
    """Compile the engine, which is so when imported, and a third of the kernels, or the rest."""
    importlib.import_module(("routingsim.simulation.engine", "routingsim.scoring.kernel")[half])
    if half:
        run = replay(None, tasks=30, arrivals="poisson:1")
        measure(run, 1.0, 0.5)
        run.summary()
    for number, each in enumerate(kernels()):
        if (number % 3 > 0) == (half > 0):
            each.compiled  # noqa: B018


if __name__ == "__main__":
    gc.disable()  # a twelfth of the time; what numba leaves fits into memory
    main(int(sys.argv[1]))
