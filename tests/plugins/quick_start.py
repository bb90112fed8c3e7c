"""A plugin that is loaded before the others: processes of a run begin with less work.

Where :mod:`rfc3987_syntax` is installed, as with JupyterLab, :mod:`jsonschema`, which nbval and
Schemathesis load, compiles a grammar of internationalised addresses: a second in each process, for
a format that no schema here has. And the garbage collector would go through modules and thousands
of tests, which all last, over and over.
"""

import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

gc.disable()  # until all is collected

modules: dict[str, Any] = sys.modules
modules.setdefault("rfc3987_syntax", None)  # an import of it fails, which jsonschema allows for


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the garbage collector pass over what is there once tests are collected."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
