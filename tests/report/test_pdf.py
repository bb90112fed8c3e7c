"""A report as PDF, printed by the system's browser; without one it is refused before any work."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from routingsim.errors import SimulationError
from routingsim.report import write_report
from routingsim.report.pdf import find_browser
from routingsim.simulation.result import ReplayResult

from ..axe import overflow, screens, violations


@pytest.mark.slow
@pytest.mark.browser
def test_it_is_printed(chromium: str, results: list[ReplayResult], tmp_path: Path) -> None:
    assert find_browser() == chromium
    path = write_report(results, tmp_path / "report.pdf")
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") > 3  # all sections are open


def test_without_a_browser_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SimulationError, match=r"none is on PATH: install one, or write \.html"):
        find_browser()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One for all tests, as it takes a second to start."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@pytest.mark.slow
@pytest.mark.browser
def test_anybody_can_read_it_on_any_screen(
    browser: Browser, results: list[ReplayResult], tmp_path: Path
) -> None:
    path = write_report(results, tmp_path / "report.html", explore=True)
    with contextlib.closing(browser.new_page()) as page:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true })")
        for screen in screens(page):
            assert (screen, violations(page), overflow(page)) == (screen, [], 0)


@pytest.mark.slow
@pytest.mark.browser
def test_on_a_phone_it_is_short_and_links_open_their_sections(
    browser: Browser, results: list[ReplayResult], tmp_path: Path
) -> None:
    path = write_report(results, tmp_path / "report.html")
    with contextlib.closing(browser.new_page(viewport={"width": 390, "height": 844})) as page:
        page.goto(path.as_uri())
        height, width = page.evaluate(
            "[document.documentElement.scrollHeight, document.documentElement.scrollWidth]"
        )
        assert height <= 6 * 844
        assert width <= 390
        assert page.locator("details[open]").count() == 1
        assert not page.locator("#warnings").is_visible()
        page.locator("nav.contents a[href='#warnings']").click()
        page.locator("#warnings").wait_for(state="visible")
        assert page.locator("details[open]").count() == 2
