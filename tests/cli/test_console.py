"""What commands print and write."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from routingsim.cli import console
from routingsim.evaluation.choice_log import choice_log
from routingsim.evaluation.estimate import estimate
from routingsim.evaluation.outcome_model import Features

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


@pytest.mark.slow
def test_tasks_and_failures_that_no_figure_rests_on_are_counted(tmp_path: Path) -> None:
    agents = "".join(
        f'[[agents]]\nid = "{a}"\nname = "{a}"\ncost = 0.0\nlatency = 1.0\n' for a in "ab"
    )
    (tmp_path / "ab.toml").write_text(agents)
    rows = ["id,text,outcomes.a.quality,outcomes.b.quality,outcomes.a.failed,propensity"]
    rows += [f"{k},hello {k},1,,{int(k % 3 == 0)},0.5" for k in range(0, 80, 2)]
    rows += [f"{k},hello {k},,0,,0.5" for k in range(1, 80, 2)]
    rows += ["80,hello,1,0,0,0.5"]  # two answers
    log = tmp_path / "log.csv"
    log.write_text("\n".join(rows) + "\n")
    given = ["replay", log, "--agents", tmp_path / "ab.toml", "--arrivals", "poisson:0.1"]
    said = " ".join(invoke(*given, "-p", "static:a").stdout.split())
    assert "not answered: 14 failed" in said
    assert "quality over 80 of 81 tasks, estimated from a log with one answer a task" in said
    assert "note: 1 task that no one agent served is left out" in said
    assert "whether a call fails is not recorded for 49% of static:a's calls" in said


HEADS = ("agent", "tasks", "p95 s", "p99 s", "USD")
ROWS = [("gemini-2.5-flash", "1,355", "9.43", "12.31", "0.03586"), ("all", "1,766", "-", "-", "1")]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (46, "agent             tasks  p95 s  p99 s      USD"),
        (45, "agent             tasks  p95 s      USD\nleft out at this width: p99 s"),
        (38, "agent             tasks      USD\nleft out at this width: p99 s, p95 s"),
    ],
)
def test_a_table_leaves_columns_out_and_cuts_no_figure(
    width: int, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(width=width))
    console.print_table(HEADS, ROWS, words=["agent"], spare=["p99 s", "p95 s"])
    head, first, last, *more = (line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert "\n".join([head, *more]) == expected
    assert first.split() == [
        cell for name, cell in zip(HEADS, ROWS[0], strict=True) if name in head
    ]  # fmt: skip
    assert last.split()[0] == "all"


def test_words_are_wrapped_and_none_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(width=30))
    row = ("gemini-2.5-flash", "8", "general, speed")
    console.print_table(("id", "slots", "strengths"), [row], words=["id", "strengths"])
    said = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in said] == [
        "id            slots  strengths",
        "gemini-2.5-f      8  general,",
        "lash                 speed",
    ]


def test_columns_of_a_tuple_are_left_out_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(width=16))
    heads, spare = ("figure", "mean", "low", "high"), [("low", "high")]
    console.print_table(heads, [("p95", "1.0", "0.9", "1.1")], words=["figure"], spare=spare)
    said = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in said] == [
        "figure  mean",
        "p95      1.0",
        "left out at this",
        "width: low, high",
    ]


def test_a_name_is_folded_where_nothing_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(width=20))
    console.print_table(("agent", "USD"), [("gemini-2.5-flash", "0.03586")], words=["agent"])
    said = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in said] == [
        "agent            USD",
        "gemini-2.5-  0.03586",
        "flash",
    ]


def test_estimated_costs_are_of_1000_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = np.arange(400) % 2
    log = choice_log(
        chosen,
        ["a", "b"],
        propensity=np.full((400, 2), 0.5),
        features=Features(np.zeros((400, 0)), ()),
        fold=np.arange(400) % 5,
    )
    cost = np.where(chosen, 0.004, 0.002) + 0.0005 * (np.arange(400) % 4 < 2)
    each = {"a": np.zeros(400, int), "b": np.ones(400, int)}
    console.print_estimates(estimate(log, cost, each, higher_is_better=False), "cost")
    said = " ".join(capsys.readouterr().out.split())
    assert "cost in USD per 1,000 tasks over all 400 tasks, estimated" in said
    assert re.search(r"a USD 2\.2\d+ ± 0\.0\d+ per 1,000 tasks \(estimated, answered\)", said)
    assert re.search(r"a against b: -2\.0\d+ ± 0\.0\d+ \(better; estimated, answered\)", said)
