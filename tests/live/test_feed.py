"""The table for notebooks: its HTML, and its updates in a browser."""

import contextlib
import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect, sync_playwright

from routingsim.live import LiveStack, Settings
from routingsim.live.broker import connect
from routingsim.live.feed import Feed
from routingsim.live.redis_schema import history_key
from routingsim.messages import (
    DECISIONS,
    AgentInfo,
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)
from routingsim.routing import TaskRouter

FACTORS = ComplexityFactors(118, 2, 13)


HIGH = "High complexity (D_var=0.652): Routed to GPT-4 for advanced reasoning"


def decision(task: str, reason: str = HIGH, d_var: float = 0.652) -> RoutingDecision:
    agent = AgentInfo("GPT-4", "gpt-4", ("code",), 0.03, 2.5)
    return RoutingDecision(task, agent, ComplexityScore(d_var, FACTORS), reason, 1_699_564_800_000)


STATUS = AgentStatus("gpt-4", "GPT-4", "busy", 0.75, 1_699_564_800_000)


def feed(*decisions: RoutingDecision, url: str = "ws://127.0.0.1:1", locked: bool = False) -> str:
    return Feed(url, decisions, (STATUS,), 20, locked)._repr_html_()


def test_the_snapshot_shows_what_was_decided() -> None:
    shown = feed(decision("0123456789abcdef"))
    assert "<code>01234567</code>" in shown
    assert '<b class="high">0.652</b>' in shown
    assert '<meter value="0.75">75 %</meter>' in shown


@pytest.mark.parametrize(
    ("policy", "text", "band"),
    [
        ("threshold", "What time is it?", "medium"),  # D_var 0.325
        ("threshold:low=0.33,medium=0.5", "What time is it?", "low"),
        ("threshold:low=0.1,medium=0.32", "What time is it?", "high"),
        ("random", "What time is it?", ""),
    ],
)
def test_scores_have_the_band_of_the_policy_that_decided(policy: str, text: str, band: str) -> None:
    decided = TaskRouter(policy=policy).route(text)
    score = decided.complexity_score.d_var
    assert f'<b class="{band}">{score:.3f}</b>' in feed(decided)


@pytest.mark.parametrize("reason", ["Highly unlikely", "A low complexity", "Lower complexity", ""])
def test_other_reasons_state_no_band(reason: str) -> None:
    assert '<b class="">0.652</b>' in feed(decision("a", reason))


def test_texts_are_shown_not_run() -> None:
    shown = feed(decision("<b>", "<script>alert(1)</script>"), url='"><script>')
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert shown.count("<script") == 1  # the feed's own


def test_what_is_stored_does_not_change_from_run_to_run() -> None:
    shown = feed(decision("a"))
    assert shown == feed(decision("a"))
    assert "1699564800000" not in shown


@pytest.fixture
def page_at() -> Iterator[tuple[str, list[str]]]:
    """A page on this machine, as JupyterLab's is, and what it shows."""
    shown = [""]

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>x</title>{shown[0]}".encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", shown
        server.shutdown()
        thread.join()


@pytest.mark.browser
@pytest.mark.system
def test_a_browser_updates_it(chromium: str, page_at: tuple[str, list[str]]) -> None:
    address, shown = page_at
    with (
        LiveStack(Settings(), http=False, port=0) as live,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        live.publisher.publish_routing_decision(decision("first"))
        live.publisher.publish_agent_status(STATUS)
        made = live.feed(rows=3)
        assert [d.task_id for d in made.decisions] == ["first"]
        shown[0] = made._repr_html_()
        page = browser.new_page()
        page.goto(address)
        state, tasks = page.get_by_role("status"), page.locator(".decisions tbody code")
        expect(state).to_have_text("Live.")
        expect(tasks).to_have_text(["first"])
        with contextlib.closing(connect(live.redis_url)) as client:  # as other programs may
            for payload in ("null", "{}", '{"taskId":1}', '{"taskId":"x","complexityScore":{}}'):
                body = f'{{"type":"routing_decision","payload":{payload}}}'
                client.xadd(history_key(DECISIONS), {"m": body})
                client.publish(DECISIONS, body)
        reasons = ("", HIGH, "<i>because</i>", "Low complexity (D_var=0.652): low=0.9 here")
        for name, reason in zip(("second", "third", "<i>4th", "fifth"), reasons, strict=True):
            live.publisher.publish_routing_decision(decision(name, reason))
        expect(tasks).to_have_text(["fifth", "<i>4th", "third"])
        scores = page.locator(".decisions tbody b")
        bands = scores.evaluate_all("scores => scores.map(score => score.className)")
        assert bands == ["low", "", "high"]
        expect(page.locator(".decisions tbody i")).to_have_count(0)
        assert live.messages()["task_id"].tolist() == [
            "first",
            "second",
            "third",
            "<i>4th",
            "fifth",
        ]
        expect(page.locator(".agents tbody td").nth(0)).to_have_text("GPT-4")

        # Where it cannot connect, the snapshot remains.
        for html, said in (
            (feed(decision("first")), "no bridge at ws://127.0.0.1:1/"),
            (feed(decision("first"), locked=True), "requires a token"),
        ):
            shown[0] = html
            page.goto(address)
            expect(state).to_contain_text(said)
            expect(tasks).to_have_text(["first"])
