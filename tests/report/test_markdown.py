"""The report as Markdown and JSON."""

import json
from itertools import pairwise

import pytest

from routingsim.report import compose, render
from routingsim.simulation.result import ReplayResult


def test_markdown_holds_the_tables(results: list[ReplayResult]) -> None:
    text = render(compose(results, command="do it", date="2026-01-02"), "md")
    lines = text.splitlines()
    assert lines[0] == r"# Routing report: wild \<corpus\>"
    assert sum(line.startswith("# ") for line in lines) == 1
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[:3] == ["## Decision", "## Summary", "## Can the waits be believed?"]
    assert "To repeat: do it" in text
    quality = f"{results[1].overall['quality']:.3f} |"
    assert any(
        line.startswith("| threshold:calibrated |") and f"| {quality}" in line for line in lines
    )


def test_markdown_tables_are_rectangular(odd: ReplayResult) -> None:
    lines = render(compose([odd]), "md").splitlines()
    for one, other in pairwise(lines):
        if one.startswith("|") and other.startswith("|"):
            assert one.replace(r"\|", "").count("|") == other.replace(r"\|", "").count("|")


def test_markdown_is_escaped(wild: list[ReplayResult]) -> None:
    text = render(compose(wild), "md")
    assert "<script" not in text.replace(r"\<", "")
    assert r"\<script\>" in text


@pytest.mark.slow
def test_json_holds_the_figures_unrounded(results: list[ReplayResult]) -> None:
    report = json.loads(
        render(compose(results, date="2026-01-02"), "json"), parse_constant=pytest.fail
    )
    assert report["policies"] == [result.to_dict() for result in results]
    tables = [t for s in report["sections"] for t in s["content"] if "rows" in t]
    usage = next(t for t in tables if t["caption"] == "Agents under threshold:calibrated")
    share = [c["name"] for c in usage["columns"]].index("share")
    shares = results[1].summary()["share"].iloc[:-1].tolist()
    assert [row[share] for row in usage["rows"]] == shares


def test_json_of_any_run(odd: ReplayResult) -> None:
    report = json.loads(render(compose([odd]), "json"), parse_constant=pytest.fail)
    assert report["policies"][0]["overall"]["quality"] is None
