"""The command line, run as a process or in this one."""

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from routingsim.cli import app


def routingsim(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-c", "from routingsim.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def invoke(*arguments: str | Path):
    """Run the command in this process; what it raises is raised."""
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
