"""The command line, run as a process or in this one."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from routingsim.cli import app, main
from routingsim.cli.console import out


def routingsim(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-c", "from routingsim.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def in_process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The same in this process, where all that a new one would load is loaded already."""
    words, said, complained = [*map(str, arguments)], io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
    ):
        patch.setattr(sys, "argv", ["routingsim", *words])
        try:
            main()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(
        words, int(code or 0), said.getvalue(), complained.getvalue()
    )


def invoke(*arguments: str | Path):
    """Run the command in this process; what it raises is raised."""
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def set_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the terminal so many columns wide: for Typer, and for our console, made already."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(out, "_width", columns)
