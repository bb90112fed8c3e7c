"""The layers hold: an import goes down, never up."""

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


def test_layers_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


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
