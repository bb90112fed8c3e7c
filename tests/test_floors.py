"""The floors of the house hold: an import goes down, never up."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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


def test_floors_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_upwards_is_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "routingsim", tmp_path / "routingsim")
    with (tmp_path / "routingsim" / "errors.py").open("a", encoding="utf-8") as errors:
        errors.write("\nimport routingsim.agents\n")
    with (tmp_path / "routingsim" / "live" / "__init__.py").open("a", encoding="utf-8") as live:
        live.write("\nimport routingsim.agents\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "routingsim.errors is not allowed to import routingsim.agents" in done.stdout
    assert "routingsim.live is not allowed to import routingsim.agents" in done.stdout
