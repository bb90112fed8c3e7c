"""The interactive view: what it shows, what its sliders run again, and its page in a browser."""

import itertools
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.errors import SimulationError
from routingsim.report.explore import explore, page, recipe, view, what_if
from routingsim.report.html import write_report
from routingsim.simulation.arrivals import parse_arrivals
from routingsim.simulation.result import ReplayResult

TEMPLATES = Path(__file__).parents[2] / "routingsim" / "report" / "templates"


def pool() -> AgentPool:
    fixed = {"service": "deterministic", "concurrency": 1}
    return AgentPool(
        (
            Agent(id="a", name="A", cost=0.01, latency=2.0, **fixed),  # pyright: ignore
            Agent(id="b", name="B", cost=0.02, latency=1.0, **fixed),  # pyright: ignore
        )
    )


def corpus(known: int = 4) -> rs.Corpus:
    """Four tasks at 0, 0, 1 and 9 s; A is right on the first two, B on all."""
    rows = []
    for i, at in enumerate((0, 0, 1, 9)):
        row = {"id": f"t{i}", "text": "x", "arrived_at": at}
        if i < known:
            row |= {"outcomes.a.quality": float(i < 2), "outcomes.b.quality": 1.0}
            row |= {"outcomes.a.cost": 0.5, "outcomes.b.cost": 2.0}
        rows.append(row)
    return rs.Corpus.from_frame(pd.DataFrame(rows))


def played(policy: str = "static:a", known: int = 4) -> ReplayResult:
    return rs.replay(corpus(known), pool(), policy, seed=1)


def test_a_view_counted_by_hand() -> None:
    """A takes 2 s each: tasks wait 0, 2 and 3 s, the fourth none."""
    found = view([played(), played("static:b")])
    assert [agent["slots"] for agent in found["agents"]] == [1, 1]
    one, two = found["policies"]
    assert (one["name"], one["latency"]) == ("static:a", [2.0, 4.0, 5.0, 2.0])
    assert (one["quality"], one["cost"]) == ([1.0, 1.0, 0.0, 0.0], [0.5] * 4)
    assert (two["latency"], two["cost"]) == ([1.0, 2.0, 2.0, 1.0], [2.0] * 4)
    assert one["color"] != two["color"]
    width = one["edges"][1] - one["edges"][0]
    assert sum(one["waiting"][0]) * width == pytest.approx(2 + 3, rel=0.01)
    assert sum(one["waiting"][1]) == 0


def test_quality_of_a_part_is_not_shown() -> None:
    found = view([played(known=3)])
    assert found["quality"] is False
    assert found["policies"][0]["quality"] is None


def test_a_cost_that_a_log_does_not_have_is_not_shown() -> None:
    """One answer a task: what the other agent would have cost is not known."""
    rows = [
        {"id": f"t{i}", "text": "x", "arrived_at": 3.0 * i, f"outcomes.{name}.cost": 0.5}
        for i, name in enumerate("abababab")
    ]
    log = rs.Corpus.from_frame(pd.DataFrame(rows))
    (found,) = view([rs.replay(log, pool(), "static:a", seed=1)])["policies"]
    assert found["cost"] is None


def test_what_if() -> None:
    first = played()
    process = parse_arrivals(first.arrivals)
    (wider,) = what_if(first, ["static:a"], process, slots={"a": 3})
    assert wider.latency.tolist() == [2.0] * 4
    (slower,) = what_if(first, ["static:a"], process, load=0.1)
    assert slower.latency.tolist() == [2.0, 4.0, 2.0, 2.0]
    (dear,) = what_if(first, ["static:a"], process, price={"a": 3.0})
    assert dear.log.cost.tolist() == [1.5] * 4
    (same,) = what_if(first, ["static:a"], process, price={"b": 3.0})
    assert same.log.cost.tolist() == [0.5] * 4


def test_prices_move_the_cheapest() -> None:
    first = rs.replay(corpus(), pool(), "cheapest", seed=1)
    assert recipe(first) == "cheapest"
    (found,) = what_if(first, ["cheapest"], parse_arrivals(first.arrivals), price={"a": 9.0})
    assert found.log.agent.tolist() == [1] * 4


@pytest.mark.slow
def test_a_slider_runs_the_engine_again() -> None:
    widget = explore([played(), played("least-loaded")])
    assert repr(widget) == "<Explorer: 2 policies on 4 tasks>"
    asked = {"load": 1.0, "slots": {"a": 3}, "price": {}}
    widget.asked = asked
    assert widget.data["policies"][0]["latency"] == [2.0] * 4
    assert widget.data["asked"] == asked
    assert widget.data["slots"] == {"a": 1, "b": 1}  # as before the sliders


@pytest.mark.parametrize(("known", "images"), [(4, 3), (3, 2)])
def test_pictures_stand_in_where_no_kernel_runs(
    known: int, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quality against cost is left out where quality is of other tasks for each policy."""
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
    widget = explore([played(known=known), played("static:b", known)])
    widget._ipython_display_()
    still, view = shown
    assert still["text/html"].startswith(f'<div id="{widget.still}">')
    assert still["text/html"].count('src="data:image/png;base64,') == images
    assert "application/vnd.jupyter.widget-view+json" in view


@pytest.mark.system
@pytest.mark.browser
def test_sliders_ask_while_they_move(tmp_path: Path, chromium: str) -> None:
    """One question at a time; the last settings are asked for when its answer has come."""
    script = (TEMPLATES / "explore.js").read_text(encoding="utf-8")
    data = json.dumps(view([played()]) | {"asked": {}, "slots": {"a": 1, "b": 1}})
    path = tmp_path / "view.html"
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><div></div><script type="module">{script}\n'
        f"window.data = {data}; window.asked = [];"
        "window.answer = show(document.querySelector('div'), data, (a) => asked.push(a));</script>",
        encoding="utf-8",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        at = browser.new_page()
        at.clock.install()
        at.goto(path.as_uri())
        price = at.get_by_role("slider", name="price of A")
        price.focus()
        for _ in range(3):
            at.keyboard.press("ArrowRight")
        assert at.evaluate("asked.map((each) => each.price.a)") == [2**0.25]
        at.evaluate("answer({ ...data, asked: asked.at(-1) })")
        assert at.evaluate("asked.map((each) => each.price.a)") == [2**0.25, 2**0.75]
        assert at.locator("div.busy").count() == 1
        # The same figures are an answer, too.
        at.evaluate("answer({ ...data, asked: asked.at(-1) })")
        assert at.evaluate("asked.length") == 2
        assert at.locator("div.busy").count() == 0
        at.get_by_role("slider", name="load").press("ArrowLeft")
        assert at.evaluate("asked.at(-1).load") == 2**-0.25
        at.clock.run_for(3000)
        assert "If it was restarted, run the cell again" in at.locator(".note").inner_text()
        # Names of points that coincide stand apart.
        at.evaluate("""answer({ ...data, asked: {}, policies: [..."abc"].map(
            (name) => ({ ...data.policies[0], name })) })""")
        boxes = [at.locator("circle + text").nth(k).bounding_box() for k in range(3)]
        heights = sorted(box["y"] for box in boxes if box)
        assert [b - a for a, b in itertools.pairwise(heights)] == [11, 11]
        browser.close()


def test_a_closed_loop_has_no_load_to_change() -> None:
    closed = rs.replay(None, pool(), "static:a", arrivals="closed:users=2,think=1", tasks=5)
    with pytest.raises(SimulationError, match="closed loop"):
        closed.explore()


@pytest.mark.slow
def test_a_study_at_one_of_its_loads() -> None:
    study = rs.compare(
        corpus(), pool(), ["static:a", "static:b"], loads=[0.2, 0.5], replications=2,
        arrivals="poisson:1", controls=False,
    )  # fmt: skip
    widget = study.explore(0.5)
    assert [each["name"] for each in widget.data["policies"]] == ["static:a", "static:b"]


def test_data_in_a_page_ends_no_script() -> None:
    agent = Agent(id="a", name="</script><b>", cost=0.01, latency=1.0)
    text = page([rs.replay(None, AgentPool((agent,)), "static:a", arrivals="poisson:1", tasks=5)])
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S)
    assert json.loads(data)["agents"][0]["name"] == "</script><b>"


@pytest.mark.system
@pytest.mark.browser
def test_a_marked_time_holds_for_all_charts(tmp_path: Path, chromium: str) -> None:
    path = tmp_path / "view.html"
    path.write_text(
        f'<!doctype html><meta charset="utf-8">{page([played(), played("static:b")])}',
        encoding="utf-8",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        at = browser.new_page(viewport={"width": 900, "height": 900})
        problems: list[str] = []
        at.on("pageerror", lambda error: problems.append(str(error)))
        asked: list[str] = []
        at.on("request", lambda request: asked.append(request.url))
        at.goto(path.as_uri())
        row = at.locator("tbody tr").first
        assert row.inner_text().split("\t") == [
            "static:a",
            "4",
            "0.500",
            "500",
            "5.00",
            "too short to say",
        ]
        # JupyterLab leaves the arrow keys to it.
        kept = at.locator("figure.wide svg[tabindex]").get_attribute("data-lm-suppress-shortcuts")
        assert kept == "true"
        at.locator("figure.wide svg").focus()
        at.keyboard.press("ArrowRight")  # the first tenth: the three that came early
        assert row.locator("td").first.inner_text() == "3"
        assert "arrived from 0 to" in at.locator(".note").inner_text()
        at.keyboard.press("Escape")
        assert row.locator("td").first.inner_text() == "4"
        at.get_by_role("button", name="static:b").click()
        assert "static:b" in at.locator("figure.wide figcaption").inner_text()
        assert problems == []
        assert asked == [path.as_uri()]
        browser.close()


@pytest.mark.slow
def test_a_report_with_the_view(tmp_path: Path) -> None:
    path = write_report([played()], tmp_path / "r.html", explore=True)
    assert path.read_text(encoding="utf-8").count("<script") == 2
    assert "<script" not in write_report([played()], path).read_text(encoding="utf-8")
    with pytest.raises(SimulationError, match="is of HTML reports on replays"):
        write_report([played()], tmp_path / "r.md", explore=True)
