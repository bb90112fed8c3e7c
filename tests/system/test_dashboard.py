"""The dashboard in the system's Chromium, on a real Valkey, bridge and API."""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker, connect
from routingsim.live.http.app import create_app
from routingsim.live.publisher.playback import play
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.settings import Settings
from routingsim.messages import (
    AgentInfo,
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    ReplayProgress,
    RoutingDecision,
    Try,
    encode,
)
from routingsim.routing import TaskRouter

from ..axe import SCREENS, violations

pytestmark = [pytest.mark.system, pytest.mark.browser]

GPT = AgentInfo("GPT-4", "gpt-4", ("code", "reasoning"), 0.03, 2.5)
FACTORS = ComplexityFactors(118, 2, 13)

expect.set_options(timeout=20_000)  # a machine may be busy


def decision(task_id: str, d_var: float = 0.652, **other: Any) -> RoutingDecision:
    """A decision with the reason of the threshold policy."""
    band = "Low" if d_var < 0.3 else "Medium" if d_var < 0.5 else "High"
    reason = f"{band} complexity (D_var={d_var:.3f}): Routed {task_id}"
    fields = {"agent": GPT, "reason": reason, "timestamp": int(time.time() * 1000)}
    score = ComplexityScore(d_var, FACTORS)
    return RoutingDecision(task_id=task_id, complexity_score=score, **(fields | other))


@dataclass
class InThread:
    """Something asynchronous that runs in a thread of its own until it is stopped."""

    run: Callable[[asyncio.Event, threading.Event], Any]
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        started = threading.Event()

        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await self.run(self._stop, started)

        self._thread = threading.Thread(target=lambda: asyncio.run(main()))
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        if self._loop and self._stop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


class Live:
    """Bridge and API over one broker; the bridge can be stopped and started again."""

    def __init__(self, redis_url: str, bridge_port: int = 0, token: str | None = None) -> None:
        self.publisher = RedisPublisher(redis_url)
        self._redis_url, self._token = redis_url, token
        self._bridge_port = bridge_port
        self.start_bridge()
        router = TaskRouter(publisher=self.publisher)
        app = create_app(router, websocket=f":{self._bridge_port}", token=token)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))

        async def serve(stop: asyncio.Event, started: threading.Event) -> None:
            serving = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
            started.set()
            await stop.wait()
            server.should_exit = True
            await serving

        self._api = InThread(serve)
        port = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://localhost:{port}/"

    def start_bridge(self) -> None:
        async def serve(stop: asyncio.Event, started: threading.Event) -> None:
            bridge = Bridge(self._redis_url, port=self._bridge_port, token=self._token)
            async with bridge:
                self._bridge_port = bridge.port
                started.set()
                await stop.wait()

        self._bridge = InThread(serve)

    def stop_bridge(self) -> None:
        self._bridge.stop()

    def publish(self, *decisions: RoutingDecision) -> None:
        self.publisher.publish_routing_decisions(decisions)
        assert self.publisher.flush(10)

    def close(self) -> None:
        self._api.stop()
        self._bridge.stop()
        self.publisher.disconnect()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(Settings(redis_port=0)) as broker:
        yield broker


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chrome(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """One for all tests, as it takes a second to start."""
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture
def browser(chrome: Browser) -> Iterator[Browser]:
    """The browser, without a page that another test has opened."""
    yield chrome
    for context in chrome.contexts:
        context.close()


@pytest.fixture
def redis_url(broker: Broker) -> str:
    """A server with nothing in it."""
    with contextlib.closing(connect(broker.url)) as client:
        client.flushall()
    return broker.url


@pytest.fixture
def live(redis_url: str, port: int) -> Iterator[Live]:
    live = Live(redis_url, port)
    yield live
    live.close()


@contextlib.contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page that must stay without errors."""
    options = {"viewport": {"width": 1440, "height": 900}} | options
    with contextlib.closing(browser.new_context(**options)) as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: _note(message, problems))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.goto(url)
        yield page
        assert problems == []


def _note(message: Any, problems: list[str]) -> None:
    # Chromium itself reports refusals and lost connections, which some tests are about.
    expected = re.search(r"status of (401|422) |WebSocket connection to", message.text)
    if message.type in ("error", "warning") and not expected:
        problems.append(message.text)


@pytest.fixture
def page(browser: Browser, live: Live) -> Iterator[Page]:
    """The dashboard, connected."""
    with opened(browser, live.url) as page:
        connected(page)
        yield page


def connected(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=20_000)


def rows(page: Page) -> Locator:
    return page.locator("#rows tr")


def task_ids(page: Page) -> list[str]:
    return page.eval_on_selector_all("#rows tr", "rows => rows.map(row => row.dataset.task)")


# What it shows


def test_decisions_appear_newest_first_in_their_colours(page: Page, live: Live) -> None:
    expect(page.get_by_text("No decisions yet.")).to_be_visible()
    scores = {"low": (0.0, 0.2999), "medium": (0.30, 0.4999), "high": (0.50, 0.999)}
    bands = {
        f"and-more-{band}-{d_var}": (band, d_var) for band, two in scores.items() for d_var in two
    }
    live.publish(*(decision(task, d_var) for task, (_, d_var) in bands.items()))
    expect(rows(page)).to_have_count(6)
    expect(page.get_by_text("No decisions yet.")).to_be_hidden()
    assert task_ids(page) == [*reversed(bands)]
    colors: dict[str, set[str]] = {}
    for row, (task, (band, d_var)) in zip(rows(page).all(), reversed(bands.items()), strict=True):
        cells = row.locator("td").all_inner_texts()
        assert cells[0] == f"…{task[-8:]}"
        assert cells[1] == "GPT-4"
        assert cells[2].split() == [f"{d_var:.3f}", band]
        assert cells[3] == f"{band.title()} complexity (D_var={d_var:.3f}): Routed {task}"
        assert cells[4] == "now" or cells[4].endswith(" s")
        color = row.locator(".score").evaluate("it => getComputedStyle(it).color")
        colors.setdefault(band, set()).add(color)
    red, green, blue = zip(*(_rgb(colors[band].pop()) for band in scores), strict=True)
    assert set(map(len, colors.values())) == {0}
    assert green[0] > max(red[0], blue[0])
    assert red[2] > max(green[2], blue[2])
    assert red[1] > green[1] > blue[1]  # amber


def test_bands_are_those_of_the_policy_that_decided(page: Page, live: Live) -> None:
    """Not those of the API's policy, whose bounds are 0.3 and 0.5."""
    text = "What time is it?"
    for policy in ("threshold:low=0.1,medium=0.11", "threshold:low=0.9,medium=0.95", "random"):
        TaskRouter(policy=policy, publisher=live.publisher).route(text)
    assert live.publisher.flush(10)
    expect(rows(page)).to_have_count(3)
    d_var = TaskRouter().route(text).complexity_score.d_var
    scores = [row.locator(".dvar").inner_text().split() for row in rows(page).all()]
    assert scores == [[f"{d_var:.3f}"], [f"{d_var:.3f}", "low"], [f"{d_var:.3f}", "high"]]
    label = page.locator("#bands")
    expect(label).to_have_attribute("aria-label", "50 % low, 0 % medium, 50 % high")


def test_agents_show_status_load_and_silence(page: Page, live: Live) -> None:
    expect(page.locator("#agents li")).to_have_count(5)  # the pool, before a word is said
    now = int(time.time() * 1000)
    live.publisher.publish_agent_status(AgentStatus("gpt-4", "GPT-4", "busy", 0.65, now))
    live.publisher.publish_agent_status(
        AgentStatus("llama", "Llama", "available", 0.25, now - 31_000)
    )
    live.publisher.publish_agent_status(AgentStatus("new", "Newcomer", "offline", 0.0, now))
    busy = page.locator("#agents li", has_text="GPT-4")
    expect(busy.locator(".status")).to_have_text("busy")
    expect(busy.get_by_role("meter", name="Load of GPT-4")).to_have_attribute("aria-valuenow", "65")
    expect(busy).not_to_have_class(re.compile("silent"))
    expect(busy).to_have_attribute("title", re.compile(r"Last status: .*\d:\d\d"))
    silent = page.locator("#agents li", has_text="Llama")
    expect(silent).to_have_class(re.compile("silent"))
    expect(silent).to_contain_text(re.compile(r"silent for 3\d s"))
    expect(page.locator("#agents li", has_text="Newcomer").locator(".status")).to_have_text(
        "offline"
    )
    expect(page.locator("#agents-note")).to_have_text("2 of 6 reported in 30 s")


def test_an_overload_looks_like_one(page: Page, live: Live) -> None:
    expect(page.locator("#queues")).to_be_hidden()  # no status has told a queue
    expect(page.get_by_text("Expected latency", exact=True)).to_be_visible()

    def tell(load: float, queued: int, **seconds: float) -> None:
        now = int(time.time() * 1000)
        word = "busy" if load == 1 else "available"
        status = AgentStatus("gpt-4", "GPT-4", word, load, now, queued=queued, **seconds)
        live.publisher.publish_agent_status(status)

    tell(1.0, 12, wait=1.4)  # less than its mean service of 2.5 s
    expect(page.locator("#queues")).to_be_visible()
    expect(page.locator("#waiting-legend li:visible")).to_have_text(["GPT-412 · 1.4 s"])
    expect(page.locator("#waiting-figure b")).to_have_text("12")
    expect(page.locator("#saturation")).to_be_hidden()
    tell(1.0, 40, wait=14.2)
    tell(1.0, 40, latency=16.5)
    strip = page.locator("#saturation")
    expect(strip).to_have_text(
        "Saturated. GPT-4: 40 wait; the last to start had waited 14.2 s; a call takes 2.5 s"
    )
    agent = page.locator("#agents li", has_text="GPT-4")
    expect(agent).to_contain_text("40 waiting · 14.2 s")
    expect(page.get_by_text("Latency of calls that ended")).to_be_visible()
    expect(page.locator("#latency")).to_have_text("16.50 s")
    tell(0.5, 0, wait=0.0)
    expect(strip).to_be_hidden()
    expect(page.locator("#waiting-figure b")).to_have_text("0")


def test_a_click_shows_what_became_of_a_task(page: Page, live: Live) -> None:
    tries = (Try("llama", 0.0, 3.2, 1.0, "failed"), Try("gpt-4", 5.2, 0.0, 2.5, "ok"))
    live.publish(decision("told", tries=tries), decision("untold"))
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="told", exact=True).click()
    journey = page.get_by_role("dialog", name="Task told")
    expect(journey.locator("li")).to_have_text(
        [
            "Llamawaited 3.2 s, served 1 s: failed",
            "GPT-4sent after 5.2 s, waited 0 s, served 2.5 s: answered",
        ]
    )
    expect(journey).to_contain_text("ended after 7.7 s of simulated time")
    page.keyboard.press("Escape")
    expect(journey).to_be_hidden()
    rows(page).first.locator(".why").click()
    untold = page.get_by_role("dialog", name="Task untold")
    expect(untold).to_contain_text("not told by this publisher")
    untold.get_by_role("button", name="Close").click()
    expect(untold).to_be_hidden()


def test_clocks_that_jump_do_not_age_anything(page: Page, live: Live) -> None:
    agent = page.locator("#agents li", has_text="GPT-4")
    page.wait_for_timeout(2_500)  # until what comes counts as new
    for hours in (-1, 1):  # the publisher's
        now = int(time.time() * 1000) + hours * 3_600_000
        live.publisher.publish_agent_status(AgentStatus("gpt-4", "GPT-4", "busy", 0.5, now))
        live.publish(decision(f"off{hours}", timestamp=now))
        expect(rows(page).first).to_have_attribute("data-task", f"off{hours}")
        expect(rows(page).first.locator(".when")).to_have_text(re.compile(r"now|^\d s$"))
        expect(agent.locator(".seen")).to_have_text(re.compile(r"now|^\d s ago$"))
    for hours in (1, -1):  # this computer's
        page.evaluate(
            "ahead => { const real = Date.now; Date.now = () => real() + ahead }",
            hours * 3_600_000,
        )
        page.wait_for_timeout(1_500)
        expect(agent).not_to_have_class(re.compile("silent"))
        expect(rows(page).first.locator(".when")).to_have_text(re.compile(r"now|^\d+ s$"))
        live.publish(decision(f"own{hours}"))
        expect(rows(page).first.locator(".when")).to_have_text(re.compile(r"now|^\d s$"))


def test_a_newcomer_sees_what_was_before(browser: Browser, live: Live) -> None:
    live.publish(*(decision(f"{number:08}") for number in range(150)))
    with opened(browser, live.url) as page:
        expect(page.locator("#total")).to_have_text("150")
        expect(rows(page).first.locator("code")).to_have_text("00000149")
        expect(rows(page).nth(99)).to_have_attribute("data-task", "00000050")
        assert task_ids(page) == [f"{number:08}" for number in range(149, 49, -1)]
        chart = page.locator("#usage-chart")
        expect(chart).to_have_attribute("aria-label", re.compile("150 decisions.*GPT-4 100 %"))
        expect(page.locator("#latency")).to_have_text("2.50 s")
        painted = (
            "it => it.getContext('2d').getImageData(0, 0, it.width, it.height).data.some(x => x)"
        )
        assert chart.evaluate(painted)
        chart.focus()
        chart.press("ArrowLeft")
        expect(page.locator("#tip")).to_be_visible()


def test_it_stands_still_while_it_is_read(page: Page, live: Live) -> None:
    live.publish(decision("first"))
    expect(rows(page)).to_have_count(1)
    page.locator("#scroll").hover()
    live.publish(decision("second"), decision("third"))
    expect(page.locator("#paused")).to_have_text("Paused, 2 more")
    assert task_ids(page) == ["first"]
    page.mouse.move(5, 5)
    expect(rows(page)).to_have_count(3)
    button = page.get_by_role("button", name="Pause")
    button.press("Enter")
    live.publish(decision("fourth"))
    expect(page.locator("#paused")).to_have_text("Paused, 1 more")
    page.get_by_role("button", name="Resume", pressed=True).press("Enter")
    expect(rows(page)).to_have_count(4)


# What it survives


def test_it_resumes_where_the_bridge_broke_off(page: Page, live: Live) -> None:
    live.publish(*(decision(f"a{number}") for number in range(5)))
    expect(rows(page)).to_have_count(5)
    for round in "bc":
        live.stop_bridge()
        expect(page.locator("#link-text")).to_contain_text("Connection lost")
        live.publish(*(decision(f"{round}{number}") for number in range(20)))
        live.start_bridge()
        page.evaluate("dispatchEvent(new Event('online'))")  # spares us the wait for the next try
        connected(page)
        live.publish(*(decision(f"{round}{number}") for number in range(20, 25)))
    last = [f"{round}{number}" for round in "bc" for number in range(25)]
    expect(page.locator("#total")).to_have_text("55")
    expect(rows(page)).to_have_count(55)  # may come a quarter of a second after their number
    assert task_ids(page) == [*reversed([*(f"a{number}" for number in range(5)), *last])]
    expect(page.locator("#notice")).to_be_hidden()


def test_it_comes_back_by_itself(page: Page, live: Live) -> None:
    live.stop_bridge()
    expect(page.locator("#link-text")).to_contain_text(re.compile(r"next try in \d+ s"))
    live.publish(decision("meanwhile"))
    live.start_bridge()
    connected(page)
    expect(rows(page)).to_have_count(1)


def test_what_others_publish_does_not_stop_it(browser: Browser, live: Live, redis_url: str) -> None:
    odd = {"taskId": "odd", "agent": {"id": "x"}, "complexityScore": {"d_var": 0.5}}
    with contextlib.closing(browser.new_context()) as context:
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(live.url)
        connected(page)
        with contextlib.closing(connect(redis_url)) as client:
            for payload in (odd, None, {}, odd | {"complexityScore": None}):
                message = {"type": "routing_decision", "payload": payload}
                client.publish("task:routing", json.dumps(message))
        live.publish(decision("good"))
        expect(rows(page)).to_have_count(1)
        expect(page.locator("#total")).to_have_text("1")
        assert errors == []


def test_after_a_flood_every_row_is_there(page: Page, live: Live) -> None:
    for start in range(0, 1_000, 100):
        live.publish(*(decision(f"{start + k}") for k in range(100)))
    expect(page.locator("#total")).to_have_text("1,000")
    expect(rows(page).nth(99)).to_have_attribute("data-task", "900")
    assert [int(task_id) for task_id in task_ids(page)] == list(range(999, 899, -1))


def test_it_says_when_something_is_lost_for_good(page: Page, live: Live, redis_url: str) -> None:
    with RedisPublisher(redis_url) as gone:  # a publisher that is there would send it again
        gone.publish_routing_decisions([decision("before")])
        assert gone.flush(10)
    expect(rows(page)).to_have_count(1)
    live.stop_bridge()
    with contextlib.closing(connect(redis_url)) as client:
        client.flushall()
    live.publish(decision("after"))
    live.start_bridge()
    connected(page)
    expect(page.locator("#notice")).to_contain_text("missed")
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#notice")).to_be_hidden()


def test_it_says_when_redis_is_away(browser: Browser, port: int) -> None:
    live = Live(f"redis://:pass@127.0.0.1:{port}")
    with contextlib.closing(live), opened(browser, live.url) as page:
        link = page.locator("#link")
        expect(link).to_have_attribute("data-state", "degraded")
        expect(link).to_contain_text("The bridge has lost Redis")
        with Broker(Settings(redis_port=port, redis_password="pass")):
            connected(page)
        expect(link).to_have_attribute("data-state", "degraded")


def test_what_is_no_decision_of_ours_does_no_harm(page: Page, live: Live, redis_url: str) -> None:
    with contextlib.closing(connect(redis_url)) as client:
        for body in ('{"type": "other"}', '{"type": "subscribed"}', '{"payload": null}', "[]"):
            client.publish("task:routing", body)
    live.publish(decision("good"))
    expect(rows(page)).to_have_count(1)


def test_numbers_that_make_no_sense_do_no_harm(page: Page, live: Live, redis_url: str) -> None:
    text = encode(decision("good", timestamp=int(time.time() * 1000))).decode()
    values = ("1e999", "-1e999", "1e308", "-1", '"1"', "null", "[]", "true", "{}")
    hostile = [
        re.sub(rf'"{name}":[\d.]+', f'"{name}":{value}', text)
        for name in ("cost", "latency", "d_var", "length", "timestamp")
        for value in values
    ]
    hostile += [text.replace('"good"', value) for value in ("1", "null", "[]")]
    hostile += [re.sub('"complexityScore":{.*?}},', "", text), re.sub('"agent":{.*?},', "", text)]
    assert text not in hostile
    statuses = [
        f'{{"type":"agent_status","payload":{{"agentId":"gpt-4","name":"GPT-4","status":"busy",'
        f'"load":{value},"timestamp":1}}}}'
        for value in values[:2] + values[4:]
    ]
    progress = [
        f'{{"type":"replay_progress","payload":{{"title":"x","at":{value},"end":{value},"speed":1,'
        f'"lag":0,"over":false,"timestamp":1}}}}'
        for value in values[:2] + values[4:]
    ]
    bodies = {"task:routing": hostile, "agent:status": statuses, "replay:progress": progress}
    with contextlib.closing(connect(redis_url)) as client:
        for channel, each in bodies.items():
            for body in each:
                client.publish(channel, body)
    live.publish(decision("good"))
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#price")).to_have_text("$0.0300")
    expect(page.locator("#latency")).to_have_text("2.50 s")
    expect(page.locator("#mean")).to_have_text("0.652")
    assert not re.search("NaN|Infinity|undefined|null", page.locator("body").inner_text())


def test_texts_are_never_markup(page: Page, live: Live) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    agent = AgentInfo(evil, evil, (evil,), 0.1, 1.0)
    live.publish(decision(evil, agent=agent, reason=evil))
    row = rows(page).first
    expect(row).to_contain_text(evil)
    assert row.locator("td").nth(0).inner_text() == f"…{evil[-8:]}"
    expect(page.locator("#agents")).to_contain_text(evil)
    page.locator("#text").fill(evil)
    page.locator("#send-button").click()
    expect(page.locator("#answer")).to_contain_text("Routed to")
    assert page.locator("img").count() == 1  # the emblem
    assert page.locator("main script").count() == 0


def test_a_thousand_messages_a_second(page: Page, live: Live) -> None:
    page.evaluate("""() => {
      window.frames_seen = 0; window.drawings = 0; window.long_tasks = [];
      new MutationObserver(() => { drawings += 1; })
        .observe(document.querySelector("#total"), {childList: true});
      // Rows that fade in are painted in each frame: none once it is known to be busy.
      const calm = performance.now() + 2500;
      window.faded = 0;
      new MutationObserver(list => list.forEach(({addedNodes}) => addedNodes.forEach(row => {
        faded += performance.now() > calm && row.classList.contains("fresh");
      }))).observe(document.querySelector("#rows"), {childList: true});
      const count = () => { window.frames_seen += 1; requestAnimationFrame(count); };
      requestAnimationFrame(count);
      new PerformanceObserver(list => long_tasks.push(...list.getEntries().map(it => it.duration)))
        .observe({type: "longtask"});
    }""")
    began = time.monotonic()
    for batch in range(100):
        live.publisher.publish_routing_decisions(
            decision(f"{batch * 50 + number:08}", number / 50) for number in range(50)
        )
        time.sleep(max(0, began + batch * 0.05 - time.monotonic()))
    expect(page.locator("#total")).to_have_text("5,000")
    expect(rows(page).first.locator("code")).to_have_text("00004999")
    assert rows(page).count() == 100
    frames, drawings, tasks = page.evaluate("[frames_seen, drawings, long_tasks]")
    print(f"{frames} frames, {len(tasks)} long tasks, longest {max(tasks, default=0):.0f} ms")
    assert page.evaluate("faded") == 0
    # At most once a frame, however many frames this machine has time for.
    assert 0 < drawings <= frames + 1


# What it does


def test_a_task_can_be_sent(page: Page) -> None:
    page.get_by_role("button", name="Hard").click()
    page.get_by_role("textbox", name="Send a task").press("Control+Enter")
    answer = page.locator("#answer")
    expect(answer).to_contain_text("High complexity")
    expect(answer).to_contain_text(re.compile(r"answered in [\d.]+ ms"))
    mine = rows(page).first
    expect(mine).to_contain_text("yours")
    badge = answer.locator(".agent").inner_text()
    assert mine.locator(".agent").inner_text() == badge
    page.get_by_role("textbox", name="Send a task").fill("   ")
    page.get_by_role("button", name="Route").click()
    expect(answer).to_contain_text("Not routed: ")
    expect(answer).to_contain_text("white space")


def test_the_token(browser: Browser, redis_url: str) -> None:
    live = Live(redis_url, token="s3cret")
    with contextlib.closing(live):
        with opened(browser, live.url) as page:
            field = page.get_by_label("Token, as the server was started with")
            field.fill("wrong")
            field.press("Enter")
            expect(page.get_by_text("That token is wrong.")).to_be_visible()
            field.fill("s3cret")
            field.press("Enter")
            connected(page)
            expect(field).to_be_hidden()
            page.reload()
            connected(page)
        with opened(browser, f"{live.url}#token=s3cret") as page:
            connected(page)
            assert "s3cret" not in page.url
            live.publish(decision("secret"))
            expect(rows(page)).to_have_count(1)


def test_where_the_bridge_is(page: Page) -> None:
    find = """async ([setting, page]) =>
      (await import("/static/stream.js")).bridgeAddress(setting, page)"""
    for setting, base, address in [
        (":3001", "http://localhost:3000/#top", "ws://localhost:3001/"),
        (":3001", "https://[::1]/", "wss://[::1]:3001/"),
        ("wss://hub.example.org/ws", "http://localhost:3000/", "wss://hub.example.org/ws"),
        ("../3001/", "https://hub.org/user/x/proxy/3000/", "wss://hub.org/user/x/proxy/3001/"),
    ]:
        assert page.evaluate(find, [setting, base]) == address


def test_a_replay_is_called_one(browser: Browser, page: Page, live: Live) -> None:
    """On a page that is open, on one opened meanwhile, and no more when it is over."""
    timed = [(float(at), decision(f"{at:08}")) for at in range(60)]
    arguments = {"speed": 10.0, "title": "tasks, policy threshold", "end": 59.0}
    thread = threading.Thread(target=play, args=(timed, live.publisher), kwargs=arguments)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#policy")).to_be_visible()
    thread.start()
    try:
        for each in (page, browser.new_page()):
            if each is not page:
                each.goto(live.url)
            banner = each.get_by_role("region", name="Replay")
            expect(banner).to_contain_text("Replay: tasks, policy threshold")
            expect(banner).to_contain_text(re.compile(r"10 × real time · 0:\d\d of 0:59 · "))
            expect(each.locator("#policy")).to_be_hidden()  # that of the API
    finally:
        thread.join()
    expect(page.locator("#banner")).to_be_hidden()


def test_figures_are_those_of_the_replay_that_began_last(page: Page, live: Live) -> None:
    def tell(agent: str, name: str, queued: int, **told: float) -> None:
        now = int(time.time() * 1000)
        status = AgentStatus(agent, name, "busy", 1.0, now, queued=queued, **told)
        live.publisher.publish_agent_status(status)

    def replay(title: str, end: float) -> None:
        live.publisher.publish(ReplayProgress(title, 0.0, end, 1.0, 0.0, False, 0))

    replay("tasks, policy ridge", 300.0)
    expect(page.get_by_label("5 min", exact=True)).to_be_checked()
    page.wait_for_timeout(1000)  # figures count from the next whole second on
    tell("gpt-4", "GPT-4", queued=40, wait=14.2, latency=16.5)
    expect(page.locator("#latency")).to_have_text("16.50 s")
    replay("tasks, policy utility", 60.0)
    expect(page.get_by_label("1 min")).to_be_checked()  # the replay is over in a minute
    page.wait_for_timeout(1000)
    tell("llama", "Llama", queued=0, wait=0.0, latency=0.8)
    expect(page.locator("#latency")).to_have_text("0.80 s")
    expect(page.locator("#waiting-legend li:visible")).to_have_text(["Llama0 · 0 s"])
    page.get_by_text("5 min", exact=True).click()
    replay("tasks, policy cheapest", 30.0)
    expect(page.locator("#banner")).to_contain_text("cheapest")
    expect(page.get_by_label("5 min", exact=True)).to_be_checked()  # as the user has chosen


def test_theme(browser: Browser, live: Live) -> None:
    background = "getComputedStyle(document.documentElement).backgroundColor"
    with opened(browser, live.url, color_scheme="dark") as page:
        connected(page)
        assert max(_rgb(page.evaluate(background))) < 40
        page.get_by_label("Theme").select_option("Light")
        assert min(_rgb(page.evaluate(background))) > 220
        page.reload()
        connected(page)
        assert min(_rgb(page.evaluate(background))) > 220


# Whoever uses it

NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, a, canvas")]
  .filter(it => !(it.getAttribute("aria-label") || it.textContent.trim()
      || [...(it.labels ?? [])].some(label => label.textContent.trim())))
  .map(it => it.outerHTML)"""

CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const over = (color, base) => {
    canvas.fillStyle = `rgb(${base})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const ground = it => {
    const base = it.parentElement ? ground(it.parentElement) : [255, 255, 255];
    return over(getComputedStyle(it).backgroundColor, base);
  };
  const light = rgb => rgb.map(x => x / 255)
    .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const seen = [];
  for (const it of document.querySelectorAll("body *")) {
    const own = [...it.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !it.checkVisibility() || it.matches(".hidden, .skip")) continue;
    const back = ground(it), front = over(getComputedStyle(it).color, back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    seen.push([(a + 0.05) / (b + 0.05), it.className + ": " + it.textContent.trim().slice(0, 40)]);
  }
  return seen;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_can_be_read(browser: Browser, live: Live, scheme: Any) -> None:
    options: Any = {"color_scheme": scheme, "reduced_motion": "reduce"}
    with opened(browser, live.url, **options) as page:
        connected(page)
        live.publish(*(decision(f"task-{d_var}", d_var) for d_var in (0.1, 0.4, 0.9)))
        for status, agent in [("available", "gemini"), ("busy", "llama"), ("offline", "gpt-4")]:
            now = int(time.time() * 1000)
            told = AgentStatus(agent, agent, status, 0.5, now, queued=30, wait=99.0, latency=120.0)  # pyright: ignore
            live.publisher.publish_agent_status(told)
        expect(page.locator("#saturation")).to_be_visible()
        page.get_by_role("button", name="Short").click()
        page.get_by_role("button", name="Route").click()
        expect(rows(page)).to_have_count(4)
        assert page.evaluate(NAMELESS) == []
        for landmark in ("banner", "main"):
            expect(page.get_by_role(landmark)).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_text("routingsim")
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 60
        assert [each for each in contrasts if each[0] < 4.5] == []
        moving = "document.getAnimations().filter(it => it.playState === 'running').length"
        assert page.evaluate(moving) == 0
        for width, _ in SCREENS:
            page.set_viewport_size({"width": width, "height": 844})
            assert (width, violations(page)) == (width, [])
        rows(page).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert violations(page) == []
        assert page.evaluate(NAMELESS) == []
        assert [each for each in page.evaluate(CONTRASTS) if each[0] < 4.5] == []


def test_the_keyboard_reaches_everything(page: Page) -> None:
    reached: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.className")
        )
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        if page.evaluate("document.activeElement.matches('button, select, textarea, canvas')"):
            assert page.evaluate(outline) != "none"
    assert reached[0] == "skip"
    wanted = ("theme", "usage-chart", "latency-chart", "pause", "scroll", "text", "send-button")
    assert set(wanted) <= set(reached)


def test_nothing_sticks_out(page: Page, live: Live) -> None:
    live.publish(decision("x" * 40, reason="A reason that goes on and on, " * 10))
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Hard").click()
    page.get_by_role("button", name="Route").click()
    expect(page.locator("#answer .why")).to_be_visible()
    now = int(time.time() * 1000)
    live.publisher.publish_agent_status(AgentStatus("a", "A" * 60, "busy", 1.0, now, 9999, 999.0))
    expect(page.locator("#saturation")).to_be_visible()
    for width in (320, 390, 800, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", color)[:3]))
