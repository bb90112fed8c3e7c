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


def routingsim(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-c", "from routingsim.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def in_process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The same in this process, where all that a new one would load is loaded already."""
    words, out, err = [*map(str, arguments)], io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["routingsim", *words])
        try:
            main()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(words, int(code or 0), out.getvalue(), err.getvalue())


def invoke(*arguments: str | Path):
    """Run the command in this process; what it raises is raised."""
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
