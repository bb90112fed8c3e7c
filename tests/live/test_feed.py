"""The table for notebooks: its HTML, and what a browser makes of it."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect, sync_playwright

from routingsim.live import LiveStack, Settings
from routingsim.live.feed import Feed
from routingsim.messages import (
    AgentInfo,
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)

FACTORS = ComplexityFactors(118, 2, 13)


def decision(task: str, reason: str = "because", d_var: float = 0.652) -> RoutingDecision:
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
    ("d_var", "band"), [(0.299, "low"), (0.3, "medium"), (0.499, "medium"), (0.5, "high")]
)
def test_scores_are_coloured_by_band(d_var: float, band: str) -> None:
    assert f'<b class="{band}">{d_var:.3f}</b>' in feed(decision("a", d_var=d_var))


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
def test_in_a_browser_it_goes_on_by_itself(chromium: str, page_at: tuple[str, list[str]]) -> None:
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
        for name in ("second", "third", "<i>4th", "fifth"):
            live.publisher.publish_routing_decision(decision(name, "<i>because</i>"))
        expect(tasks).to_have_text(["fifth", "<i>4th", "third"])
        expect(page.locator(".decisions tbody i")).to_have_count(0)
        expect(page.locator(".agents tbody td").nth(0)).to_have_text("GPT-4")

        # Where it cannot go on, the snapshot remains.
        for html, said in (
            (feed(decision("first")), "no bridge at ws://127.0.0.1:1/"),
            (feed(decision("first"), locked=True), "wants a token"),
        ):
            shown[0] = html
            page.goto(address)
            expect(state).to_contain_text(said)
            expect(tasks).to_have_text(["first"])
