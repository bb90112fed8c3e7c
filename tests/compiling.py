"""Compile the kernels of all policies, and the scorer, into numba's cache (a script)."""

import importlib
import pkgutil

import routingsim.scoring.kernel  # noqa: F401  compiled as it is imported
from routingsim import policies
from routingsim.policies.kernel import Kernel


def main() -> None:
    """Compile each kernel that a module of :mod:`routingsim.policies` holds."""
    for module in pkgutil.iter_modules(policies.__path__, f"{policies.__name__}."):
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, Kernel):
                each.compiled  # noqa: B018


if __name__ == "__main__":
    main()
