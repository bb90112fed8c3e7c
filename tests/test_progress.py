"""Bars where somebody looks, and nowhere else."""

import io
import re
import time
from typing import Any

import pytest
from tqdm.notebook import tqdm

from routingsim import progress
from routingsim.progress import reporting


def test_a_bar_moves_at_a_terminal_and_is_gone_afterwards(terminal: io.StringIO) -> None:
    with reporting(True, "cell", "study") as tell:
        for done in range(4):
            time.sleep(0.11)  # a bar is drawn ten times a second at most
            tell(done, 3)
    shown = terminal.getvalue()
    assert re.search(r"study: 100%.* 3/3 ", shown)
    assert re.search(r"\r +\r$", shown)  # the line is free again


def test_short_work_shows_no_bar(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 1.0)
    with reporting(True, "cell") as tell:
        tell(1, 1)
    assert terminal.getvalue().strip() == ""


@pytest.mark.parametrize("hidden", ["asked", "TQDM_DISABLE", "file"])
def test_no_bar(hidden: str, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    if hidden == "TQDM_DISABLE":
        monkeypatch.setenv("TQDM_DISABLE", "1")
    if hidden == "file":
        monkeypatch.setattr(terminal, "isatty", lambda: False)
    with reporting(hidden != "asked", "cell") as tell:
        tell(1, 1)
    assert terminal.getvalue() == ""


def test_a_function_is_called_in_place_of_a_bar(terminal: io.StringIO) -> None:
    seen: list[tuple[int, int]] = []
    with reporting(lambda done, whole: seen.append((done, whole)), "cell") as tell:
        tell(1, 2)
    assert seen == [(1, 2)]
    assert terminal.getvalue() == ""


def test_a_notebook_keeps_nothing_of_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output that held the bar is emptied, and there is none of short work."""
    calls: list[Any] = []

    class Handle:
        def update(self, bundle: dict[str, Any], raw: bool) -> None:
            calls.append((bundle, raw))

    def display(shown: Any, display_id: bool) -> Handle:
        calls.append(type(shown).__name__)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(progress, "tqdm", tqdm)
    monkeypatch.setenv("TQDM_DISABLE", "0")
    for delay in (0.01, 100.0):
        monkeypatch.setattr(progress, "DELAY", delay)
        with reporting(True, "cell") as tell:
            for done in range(3):
                time.sleep(0.11)  # a bar is drawn ten times a second at most
                tell(done, 2)
    assert calls == ["TqdmHBox", ({}, True)]
