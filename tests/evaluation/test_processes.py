"""How worker processes begin: whole, whatever is interrupted meanwhile."""

import signal

import pytest

from routingsim.evaluation import processes
from routingsim.evaluation.processes import uninterrupted


def test_without_masks_of_signals_nothing_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_MASKS", False)
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_is_held_back_while_processes_begin() -> None:
    begun = []

    def begin() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            begun.append("all")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert begun == ["all"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
