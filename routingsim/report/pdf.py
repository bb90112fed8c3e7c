"""The report as PDF: its HTML page, printed by an installed Chromium, Chrome or Edge."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from routingsim.errors import SimulationError

_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_SECONDS = 120


def find_browser() -> str:
    """The path of a browser that prints.

    Raises
    ------
    SimulationError
        If there is none.
    """
    for name in _BROWSERS:
        if path := shutil.which(name):
            return path
    raise SimulationError(
        "a .pdf is printed by Chromium, Chrome or Edge, and none is on PATH: install one, or "
        "write .html and print it from any browser"
    )


def print_page(page: str, path: Path) -> None:
    """Print an HTML page to a PDF file.

    Raises
    ------
    SimulationError
        If there is no browser, or it fails.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "page.html"), Path(folder, "page.pdf")
        source.write_text(page, encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={made}",
            source.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium has no sandbox for root
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SimulationError(f"{browser} could not print the report: {error}") from error
        if not made.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise SimulationError(f"{browser} could not print the report: {''.join(said)}")
        shutil.copyfile(made, path)
