"""The layers hold: an import goes down, never up, and no modules import each other in a circle."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "routingsim"

UPWARD = {
    ("routingsim.corpora.logs.call_log", "routingsim.simulation.calibration"),
    ("routingsim.evaluation.study", "routingsim.report.explore"),
    ("routingsim.corpora.logs.call_log", "routingsim.evaluation.backtest"),
    ("routingsim.corpora.logs.call_log", "routingsim.evaluation.whatif"),
    ("routingsim.evaluation.backtest_result", "routingsim.report.backtest_plots"),
    ("routingsim.evaluation.study", "routingsim.report.frontier"),
    ("routingsim.evaluation.study", "routingsim.report.html"),
    ("routingsim.evaluation.study", "routingsim.report.study_plots"),
    ("routingsim.evaluation.capacity_answer", "routingsim.report.capacity_plot"),
    ("routingsim.evaluation.tabular", "routingsim.report.html"),
    ("routingsim.evaluation.sweeps.result", "routingsim.report.sweep_plots"),
    ("routingsim.simulation.result", "routingsim.report.explore"),
    ("routingsim.simulation.stream_result", "routingsim.report.html"),
    ("routingsim.simulation.result", "routingsim.report.html"),
    ("routingsim.simulation.result", "routingsim.report.plots"),
}
"""The imports that climb, inside methods that results offer to users."""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of pyproject.toml on the package in ``folder``."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
            "--no-logo",
        ],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_layers_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_imports_that_break_a_layer_are_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "routingsim", tmp_path / "routingsim")
    wrong = {
        "errors.py": "import routingsim.agents",
        "live/__init__.py": "import routingsim.scoring",
        "messages.py": "import routingsim",
        "nowhere.py": "",
    }
    for name, line in wrong.items():
        with (tmp_path / "routingsim" / name).open("a", encoding="utf-8") as module:
            module.write(f"\n{line}\n")

    unplaced = lint_imports(tmp_path)
    assert unplaced.returncode == 1
    assert "routingsim.nowhere" in unplaced.stdout

    (tmp_path / "routingsim" / "nowhere.py").unlink()
    broken = lint_imports(tmp_path)
    assert broken.returncode == 1
    assert "routingsim.errors is not allowed to import routingsim.agents" in broken.stdout
    assert "routingsim.live is not allowed to import routingsim.scoring" in broken.stdout
    assert "routingsim.messages is not allowed to import routingsim" in broken.stdout


def exceptions() -> set[tuple[str, str]]:
    """What the layers contract ignores, apart from the package's front."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["id"] == "layers")
    pairs = (tuple(each.split(" -> ")) for each in layers["ignore_imports"])
    return {(a, b) for a, b in pairs if a != "routingsim"}


def imports_by_name(tree: ast.AST) -> list[str]:
    """The modules that are imported by ``import_module("...")`` or ``__import__("...")``."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in ("import_module", "__import__"):
                values = (getattr(each, "value", None) for each in ast.walk(node.args[0]))
                found += [value for value in values if isinstance(value, str)][:1]
    return found


@pytest.mark.slow
def test_no_module_imports_its_own_package_by_name() -> None:
    said = """
importlib.import_module("routingsim.report")
import_module("routingsim")
__import__("routingsim.live")
import_module(f"routingsim.{name}")
import_module("routingsim." + name)
import_module(name)
found("routingsim")
"""
    names = ["routingsim.report", "routingsim", "routingsim.live", "routingsim.", "routingsim."]
    assert imports_by_name(ast.parse(said)) == names
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "import_module" in text or "__import__" in text:  # to parse them all takes a second
            for name in imports_by_name(ast.parse(text)):
                assert not name.startswith(("routingsim", ".")), f"{path}: {name}"


@pytest.mark.slow
def test_upward_imports_are_these_and_stand_inside_functions() -> None:
    assert exceptions() == UPWARD
    for importer, imported in UPWARD:
        tree = ast.parse(_file(importer).read_text(encoding="utf-8"))
        inside = [
            node
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
            if isinstance(node, ast.ImportFrom)
        ]
        names = {name for node in inside for name in _imported(node)}
        assert imported in names, (importer, imported)
        outside = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        for node in outside:
            assert imported not in _imported(node) or node in inside, (importer, imported)


def _file(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def _imported(node: ast.ImportFrom) -> set[str]:
    return {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for type checking included, the named ones and the package's front left out."""
    graph = grimp.build_graph("routingsim", exclude_type_checking_imports=False, cache_dir=None)
    assert circles(graph, set())  # the named imports close one
    assert circles(graph, UPWARD) == []


def circles(graph: grimp.ImportGraph, without: set[tuple[str, str]]) -> list[list[str]]:
    """The strongly connected components of two modules or more."""
    modules = sorted(graph.modules - {"routingsim"})
    number = {module: k for k, module in enumerate(modules)}
    edges = np.zeros((len(modules), len(modules)), dtype=bool)
    for module in modules:
        for imported in graph.find_modules_directly_imported_by(module):
            if imported in number and (module, imported) not in without:
                edges[number[module], number[imported]] = True
    count, label = connected_components(edges, directed=True, connection="strong")
    parts = [[modules[k] for k in np.flatnonzero(label == part)] for part in range(count)]
    return [part for part in parts if len(part) > 1]
