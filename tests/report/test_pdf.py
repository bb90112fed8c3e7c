"""A report as PDF, printed by the system's browser; without one it is refused before any work."""

from pathlib import Path

import pytest

from routingsim.errors import SimulationError
from routingsim.report import write_report
from routingsim.report.pdf import find_browser
from routingsim.simulation.result import ReplayResult


@pytest.mark.slow
@pytest.mark.browser
def test_it_is_printed(chromium: str, results: list[ReplayResult], tmp_path: Path) -> None:
    assert find_browser() == chromium
    path = write_report(results, tmp_path / "report.pdf")
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") > 3  # all sections are open


def test_without_a_browser_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SimulationError, match=r"none is on PATH: install one, or write \.html"):
        find_browser()
