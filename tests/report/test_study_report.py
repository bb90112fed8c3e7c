"""The report on a study: true to the study, self-contained, escaped, repeatable."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.study import Study
from routingsim.formatting import number, percent
from routingsim.report import compose_study, render, write_report
from routingsim.report.document import Document, Table
from routingsim.simulation.result import ReplayResult

DATE = "2026-01-02"


@pytest.fixture(scope="module")
def document(study: Study) -> Document:
    return compose_study(study, command="do <it> & again", date=DATE)


@pytest.fixture(scope="module")
def page(document: Document) -> str:
    return render(document, "html")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["threshold:calibrated", "cheapest"])
def test_compares_with_the_baseline_in_words_with_intervals(
    name: str, document: Document, study: Study
) -> None:
    said = next(each for each in document.summary.findings if each.startswith(f"{name} costs"))
    load = next(load for load in reversed(study.loads) if f"at load {load:g}" in said)
    ours, base = (study.values(each, load, "cost").mean() for each in (name, "threshold"))
    apart = study.differences("cost", load)[name]
    if apart.verdict == "not distinguishable":
        assert "costs as much as threshold, as far as can be told" in said
        assert f"{max(100 * apart.interval.low / base, -100):+.0f} to" in said
    else:
        assert f"costs {percent(1 - ours / base)} less than threshold (95 % CI" in said
    apart = study.differences("quality", load)[name]
    if apart.verdict == "not distinguishable":
        assert f"{100 * apart.interval.low:+.1f} to" in said
    else:
        assert f"{abs(100 * apart.interval.mean):.1f} points’" in said


def test_says_who_does_not_use_the_text(document: Document) -> None:
    assert any("not use the text" in said for said in document.summary.findings)
    section = next(section for section in document.sections if section.id == "text-use")
    (block,) = section.blocks
    assert isinstance(block, Table)
    assert [row[0] for row in block.rows] == ["threshold", "threshold:calibrated", "cheapest"]


def test_sections_begin_with_stability(document: Document) -> None:
    assert [section.id for section in document.sections] == [
        "stability", "ranking", "frontier", "loads", "regret", "text-use", "categories",
        "complexity", "disagreements", "warnings", "run", "glossary",
    ]  # fmt: skip


def test_tables_hold_the_ranking_of_each_load(document: Document, study: Study) -> None:
    ranking = next(section for section in document.sections if section.id == "ranking")
    assert len(ranking.blocks) == len(study.loads)
    for block, load in zip(ranking.blocks, reversed(study.loads), strict=True):
        assert isinstance(block, Table)
        frame = study.table(load)
        assert [row[:2] for row in block.rows] == list(
            zip(frame["policy"], frame["kind"], strict=True)
        )
        quality = [column.name for column in block.columns].index("quality")
        assert [row[quality][0] for row in block.rows] == frame["quality"].tolist()
        assert ["100 %" in row for row in block.rows] == (frame["in_sample"] > 0).tolist()


@pytest.mark.slow
def test_page_needs_nothing_else_and_is_escaped(page: str) -> None:
    assert "//" not in page
    assert "<script" not in page
    assert "wild &lt;corpus&gt;" in page
    assert "do &lt;it&gt; &amp; again" in page
    assert "<i>chat" not in page
    assert len(page.encode()) < 3_000_000
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert (
        page.count("<svg") == page.count('role="img"') == 3 + 4 + 1
    )  # at the higher load all are overloaded
    assert all(len(said) > 20 for said in re.findall(r'role="img" aria-label="([^"]*)"', page))


@pytest.mark.slow
def test_same_study_same_bytes(study: Study, tmp_path: Path) -> None:
    one, two = (write_report(study, tmp_path / name, date=DATE) for name in ("a.html", "b.html"))
    assert one.read_bytes() == two.read_bytes()
    assert f"{study.corpus.sha256}" in one.read_text(encoding="utf-8")
    assert "compare(load_corpus(" in one.read_text(encoding="utf-8")


@pytest.mark.slow
def test_suffix_chooses_the_form(study: Study, tmp_path: Path) -> None:
    text = study.report(tmp_path / "study.md").read_text(encoding="utf-8")
    assert text.startswith(r"# Routing study: wild \<corpus\>")
    said = json.loads(study.report(tmp_path / "study.json").read_text(encoding="utf-8"))
    assert said["study"]["baseline"] == "threshold"
    assert {section["id"] for section in said["sections"]} >= {"ranking", "frontier"}


def test_nothing_recorded(plain_study: Study) -> None:
    document = compose_study(plain_study, date=DATE)
    assert any("Quality: not recorded" in said for said in document.summary.caveats)
    for form in ("html", "md", "json"):
        text = render(document, form)
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    plain_study.plot_frontier(ax=Figure().subplots())
    plain_study.plot_regret(ax=Figure().subplots())


def test_shows_itself_in_a_notebook(study: Study) -> None:
    shown = study._repr_html_()
    assert "wild &lt;corpus&gt;" in shown
    assert "<script" not in shown
    assert len(shown.encode()) < 50_000
    assert all(name in shown for name in study.names)


def test_runs_are_written(study: Study, tmp_path: Path) -> None:
    back = pd.read_parquet(study.write(tmp_path / "runs.parquet"))
    pd.testing.assert_frame_equal(back, study.runs, check_dtype=False)


def test_results_fit_a_terminal(results: list[ReplayResult], study: Study) -> None:
    for shown in (results[0], study):
        assert max(map(len, repr(shown).splitlines()[1:])) <= 80


@pytest.mark.slow
def test_tenants_have_a_table_and_conditions_stand_in_the_call() -> None:
    pool = rs.AgentPool((rs.Agent(id="a", name="A", cost=1.0, latency=1.0, discipline="fair"),))
    study = rs.compare(
        rs.load_corpus("tasks"), pool, "static:a", loads=0.8, tasks=60, replications=3,
        tenants=["gold:share=0.5,weight=2", "free:share=0.5"], retries=rs.Retries(2),
        outages=[rs.Outage("a", 5.0, 6.0)], changes=[rs.Change("a", 9.0, speed=0.5)],
        population="these tasks", controls=False, progress=False,
    )  # fmt: skip
    document = compose_study(study, date=DATE)
    [section] = [each for each in document.sections if each.id == "tenants"]
    shown: Any = section.blocks[0]
    heads = [head.name for head in shown.columns]
    wait = heads.index("mean wait")
    each = [study.tenant_interval("static:a", 0.8, name, "wait_mean") for name in ("free", "gold")]
    assert [row[0] for row in shown.rows] == ["free", "gold"]
    assert [row[wait] for row in shown.rows] == [(one.mean, one.half_width) for one in each]
    even = study.interval("static:a", 0.8, "fairness")
    assert section.text[0].startswith(
        "Jain’s index of the service that tenants had for their weights is "
        f"{even.mean:.3f} ± {number(even.half_width, 2)} under static:a: 1 is even"
    )
    [run] = [each for each in document.sections if each.id == "run"]
    facts: Any = run.blocks[0]
    said = dict(facts.items)["To repeat"]
    assert said.endswith(
        ", retries=Retries(attempts=2, backoff=1.0, factor=2.0, fallback=True), "
        "outages=[Outage(agent='a', down=5.0, up=6.0)], changes=[Change('a', 9.0, speed=0.5)], "
        "tenants=[Tenant('gold', weight=2.0, share=0.5), Tenant('free', share=0.5)], "
        "controls=False)"
    )
    with pytest.raises(SimulationError, match="no figure 'wait' of a tenant 'x'"):
        study.tenant_interval("static:a", 0.8, "x", "wait")
