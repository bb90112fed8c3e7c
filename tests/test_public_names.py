"""Public names are documented, and packages list what users import from them."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import routingsim

MODULES = [
    "routingsim",
    *(
        module.name
        for module in pkgutil.walk_packages(routingsim.__path__, "routingsim.")
        if not module.name.rpartition(".")[2].startswith("_")
    ),
]


def ruff_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Sort as ruff's RUF022: CONSTANTS, Classes, the rest; digits by their value."""
    kind = 0 if len(name) > 1 and name.isupper() else 1 if name[0].isupper() else 2
    parts = re.split(r"(\d+)", name)
    return kind, [(int(part) if part.isdigit() else -1, part) for part in parts if part]


def definitions(module_file: str) -> set[str]:
    """Public functions and classes that a module's source defines at its top level."""
    text = Path(module_file).read_text(encoding="utf-8")
    return {*re.findall(r"^(?:async def|def|class) ([A-Za-z]\w*)", text, re.MULTILINE)}


def wrong_with(name: str) -> list[str]:
    """What a module lacks: its own docstring, the order of its list, docstrings of names."""
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    assert module.__file__
    wrong = [] if module.__doc__ else ["its docstring"]
    if not Path(module.__file__).with_suffix(".pyi").exists():  # the list is made from the stub
        wrong += [] if list(listed) == sorted(set(listed), key=ruff_order) else ["order of __all__"]
    for each in sorted(definitions(module.__file__) | set(listed)):
        value = getattr(module, each)
        if (inspect.isroutine(value) or inspect.isclass(value)) and not inspect.getdoc(value):
            wrong.append(each)
    return wrong


@pytest.mark.slow
def test_modules_document_their_public_names() -> None:
    assert len(MODULES) > 300
    assert {name: wrong for name in MODULES if (wrong := wrong_with(name))} == {}
