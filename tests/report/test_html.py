"""The HTML report: true to the results, self-contained, escaped, readable, repeatable."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import msgspec
import pytest

from routingsim.agents import AgentPool, load_agents
from routingsim.errors import SimulationError
from routingsim.evaluation.replay_difference import replay_difference, replay_figure
from routingsim.report import compose, html, render, write_report
from routingsim.report.html import _coded
from routingsim.simulation.arrivals import ClosedLoop
from routingsim.simulation.faults import Retries
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stability import VERDICTS

from ..cli.running import in_process

DATE = "2026-01-02"
COMMAND = "do <it> & again"
VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.words))

    def tags(self, *names: str) -> list[tuple[str, dict[str, str | None]]]:
        return [element for element in self.elements if element[0] in names]


@pytest.fixture(scope="module")
def page(results: list[ReplayResult], tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert write_report(results, path, command=COMMAND, date=DATE) == path
    return Page(path)


@pytest.mark.slow
def test_says_what_the_results_say(page: Page, results: list[ReplayResult]) -> None:
    first = results[0]
    assert first.corpus is not None
    for fact in (first.corpus.sha256, "wild <corpus>", COMMAND, DATE, "poisson:4"):
        assert fact in page.text
    for result in results:
        assert result.policy.name in page.text
        assert result.stability.verdict in page.text
        assert f"{result.overall['quality']:.3f}" in page.text
        for share in result.summary()["share"]:
            assert f" {100 * share:.1f} " in page.text
    apart = replay_difference("cost", results[1], first)
    assert apart is not None
    cheaper = -apart.mean / replay_figure("cost", first).mean  # of further runs, both
    assert f"threshold:calibrated costs {100 * cheaper:.0f} % less than threshold" in page.text


@pytest.mark.slow
def test_stability_comes_before_any_percentile(page: Page) -> None:
    assert results_order(page, "growing", "Latency p50") == ["growing", "Latency p50"]
    titles = [attrs["id"] for _, attrs in page.tags("section")]
    assert titles == [
        "decision", "summary", "stability", "run", "comparison", "usage", "latency", "queue",
        "recovery", "quality", "categories", "complexity", "disagreements", "warnings", "glossary",
    ]  # fmt: skip


def results_order(page: Page, *words: str) -> list[str]:
    return sorted(words, key=page.text.index)


@pytest.mark.slow
def test_an_overloaded_policy_has_no_latency_to_boast_of(page: Page) -> None:
    assert "latency is not compared, as the backlog of static:gpt-4 outlasts the run" in page.text
    warnings = page.text[page.text.rindex("Warnings") :]
    assert "static:gpt-4 (highest offered load " in warnings
    assert "waiting at the end) is growing: queues grow for as long as" in warnings
    assert "threshold:calibrated, best-single, zero-router and oracle are in-sample" in warnings
    assert "simulated" in warnings
    assert "costs are modelled" in warnings.lower()


@pytest.mark.slow
def test_texts_are_escaped_and_shortened(wild: list[ReplayResult], tmp_path: Path) -> None:
    page = Page(write_report(wild, tmp_path / "wild.html"))
    assert "<script" not in page.source
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "i", "b", "iframe", "object"})
    assert '<script>alert("x")</script> & | `code` $x$ مرحبا بالعالم 😀 漢字' in page.text
    assert "(198,000 characters)" in page.text
    assert "</td><i>0" in page.text
    assert "\u202e" not in page.source
    assert "\x07" not in page.source


@pytest.mark.slow
def test_no_option_is_cut_in_two_at_the_end_of_a_line() -> None:
    assert _coded("As `--slo p95=2 --fallback-all`, <b>.") == (
        'As <code><span class="whole">--slo</span> p95=2 '
        '<span class="whole">--fallback-all</span></code>, &lt;b&gt;.'
    )


def test_needs_nothing_else(page: Page) -> None:
    assert "//" not in page.source
    assert not page.tags("link", "img", "base")
    for _, attrs in page.elements:
        for name in ("href", "src", "xlink:href", "srcset", "action", "data"):
            assert (attrs.get(name) or "#").startswith("#")
        assert not any(name.startswith("on") for name in attrs)
    assert "@import" not in page.source
    assert re.findall(r"url\((?!#)", page.source) == []


@pytest.mark.slow
def test_is_accessible(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert page.tags("html")[0][1]["lang"] == "en"
    assert all(attrs.get("scope") for _, attrs in page.tags("th"))
    assert len(page.tags("caption")) == len(page.tags("table")) > 0
    pictures = [attrs for _, attrs in page.tags("div") if attrs.get("role") == "img"]
    assert len(pictures) == len(page.tags("svg")) == 3 * 3 + 3
    assert all(len(attrs["aria-label"] or "") > 20 for attrs in pictures)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page.source)
    assert {one or other for one, other in used} <= set(ids)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:matplotlib.font_manager")
def test_same_results_give_the_same_bytes(
    page: Page, results: list[ReplayResult], tmp_path: Path
) -> None:
    """Replayed again, in a session with another look of plots, written on another day."""
    again = [
        replay(r.corpus, r.pool, r.policy, arrivals="poisson:4", seed=3, outages=r.outages)
        for r in results
    ]
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "lines.linewidth": 9}):
        other = write_report(again, tmp_path / "x.html", command=COMMAND, date="2027-01-01")
    assert other.read_bytes() == page.source.replace(DATE, "2027-01-01").encode()


@pytest.mark.slow
def test_any_run(odd: ReplayResult, tmp_path: Path) -> None:
    page = Page(odd.report(tmp_path / "odd.html"))
    assert "Quality: not recorded" in page.text
    assert "nan" not in page.text.lower().replace("nano", "")
    assert "disagree" not in page.text
    if not odd.timed.any():
        assert "0 % of the tasks were answered" in page.text


@pytest.mark.slow
def test_retries_and_closed_loops(tmp_path: Path) -> None:
    shaky = AgentPool(tuple(msgspec.structs.replace(a, error_rate=0.3) for a in load_agents()))
    run = replay(None, shaky, "random", arrivals="poisson:2", tasks=300, retries=Retries(3))
    page = Page(run.report(tmp_path / "retries.html"))
    assert run.log.retries[0] > 0
    assert f"{run.log.retries[0]} tries more" in page.text
    assert f"retries={run.retries!r}" in page.text
    users = ClosedLoop(users=20, think=2.0)
    loops = [replay(None, policy=p, arrivals=users, tasks=300) for p in ("random", "least-loaded")]
    assert str(users) in Page(write_report(loops, tmp_path / "loops.html")).text


@pytest.mark.slow
def test_many_tasks_stay_small(tmp_path: Path) -> None:
    """Four characters for each task would be too much already."""
    big = replay(None, policy="least-loaded", tasks=300_000, arrivals="poisson:9", seed=1)
    assert write_report([big], tmp_path / "big.html").stat().st_size < 1_000_000


def test_refuses_what_cannot_be_compared(results: list[ReplayResult], tmp_path: Path) -> None:
    other = replay(results[0].corpus, policy="cheapest", arrivals="poisson:4", seed=4)
    with pytest.raises(SimulationError, match="differ in seed"):
        write_report([results[0], other], tmp_path / "x.html")
    with pytest.raises(SimulationError, match="needs a result"):
        write_report([], tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    results = [replay(None, policy="cheapest", tasks=1)]
    with pytest.raises(SimulationError, match="cannot be written"):
        write_report(results, tmp_path / "absent" / "x.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(SimulationError, match="cannot be written"):
        write_report(results, tmp_path / "folder.html")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


@pytest.mark.slow
def test_same_bytes_from_other_processes_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["report", "tasks", "-p", "threshold", "-p", "random", "--tasks", "40"]
    words += ["-o", "report.html"]
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)  # where strings have another hash: theirs are drawn anew
    done = in_process(*words)
    assert done.returncode == 0, done.stderr
    command = [str(Path(sys.executable).parent / "routingsim"), *words]
    environ = os.environ | {"PYTHONHASHSEED": "1"}
    done = subprocess.run(command, cwd=there, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, other = (
        re.sub(r"\d{4}-\d\d-\d\d", "", (folder / "report.html").read_text(encoding="utf-8"))
        for folder in (here, there)
    )
    assert one == other


def test_every_verdict_has_a_colour() -> None:
    css = (Path(html.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    for verdict in VERDICTS:
        assert f".{verdict.replace(' ', '-')}" in css


@pytest.mark.slow
def test_an_overload_for_a_part_of_the_time_has_its_colour(results: list[ReplayResult]) -> None:
    document = compose(results)
    card = replace(document.cards[0], verdict="overloaded in 10 % of the time")
    page = render(replace(document, cards=(card,)), "html")
    assert '<p class="verdict overloaded">overloaded in 10 % of the time</p>' in page
