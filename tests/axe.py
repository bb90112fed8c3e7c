"""axe-core on pages: what keeps people with a phone, a dark screen or no mouse from using them."""

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SCREENS: tuple[tuple[int, Any], ...] = ((1440, "light"), (1024, "dark"), (390, "light"))
"""Pixels of a desk, a tablet and a phone, and the colours of each."""


def screens(page: Page) -> Iterator[tuple[int, str]]:
    """Give the page each of the screens."""
    for width, scheme in SCREENS:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        yield width, scheme


def violations(page: Page) -> list[str]:
    """A sentence for each element of the page that violates a rule."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{rule['id']}: {node['html']:.200}" for rule in found for node in rule["nodes"]]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the screen."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
