"""What commands print and write."""

import json
import re
from pathlib import Path

import pytest

from .running import invoke


@pytest.mark.slow
def test_files_are_written_beside_and_renamed(own: Path) -> None:
    report, document = own.parent / "report.html", own.parent / "result.json"
    for path in (report, document):
        path.write_text("old")
    before = report.stat().st_ino, document.stat().st_ino
    result = invoke("replay", own, "--arrivals", "poisson:2", "--report", report,
                    "--json", document)  # fmt: skip
    assert result.exit_code == 0
    assert report.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert json.loads(document.read_text())["tasks"] == 3
    assert report.stat().st_ino != before[0]
    assert document.stat().st_ino != before[1]
    assert sorted(each.name for each in own.parent.iterdir()) == [
        "mine.csv", "report.html", "result.json",
    ]  # fmt: skip


def test_a_table_for_people(own: Path) -> None:
    said = invoke("replay", own, "--arrivals", "poisson:2", "-p", "cheapest").stdout
    assert re.search(r"^cheapest\s+too short to say: highest offered load", said, re.MULTILINE)
    assert re.search(r"^arrivals: 2/s \(cv 1\) asked for, .* met over ", said, re.MULTILINE)
    for word in ("gpt-4", "all", "share", "p95 s", "quality"):
        assert word in said
