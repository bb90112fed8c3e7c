"""Public names are documented, and packages list what users import from them."""

import ast
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
    tree = ast.parse(Path(module_file).read_text(encoding="utf-8"))
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, named) and node.name[0] != "_"}


@pytest.mark.parametrize("name", MODULES)
def test_module_documents_its_public_names(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    listed = getattr(module, "__all__", [])
    assert module.__file__
    if not Path(module.__file__).with_suffix(".pyi").exists():  # the list is made from the stub
        assert list(listed) == sorted(set(listed), key=ruff_order)

    undocumented = [
        each
        for each in definitions(module.__file__) | set(listed)
        for value in [getattr(module, each)]
        if (inspect.isroutine(value) or inspect.isclass(value)) and not inspect.getdoc(value)
    ]
    assert not undocumented
