"""``routingsim report``."""

from pathlib import Path

import pytest

from .running import invoke


@pytest.mark.slow
@pytest.mark.parametrize(
    ("named", "form", "begins"),
    [
        ("r.html", None, "<!doctype html>"),
        ("r.md", None, "# Routing report: mine"),
        ("r.json", None, "{"),
        ("r.txt", "md", "# Routing report: mine"),
        ("-", "json", "{"),
    ],
)
def test_report_in_every_form(own: Path, named: str, form: str | None, begins: str) -> None:
    path = own.parent / named if named != "-" else Path("-")
    wanted = ["--format", form] if form else []
    result = invoke("report", own, "--arrivals", "poisson:2", "-o", path, *wanted)
    text = result.stdout if named == "-" else path.read_text(encoding="utf-8")
    assert text.startswith(begins)
    assert "threshold:calibrated" in text
