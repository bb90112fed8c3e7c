"""``routingsim policies``, ``corpora`` and ``agents``."""

import pytest

from .running import invoke


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("agents", ["gpt-4", "mistral", "Capacity", "paretobandit"]),
        ("policies", ["threshold", "least-loaded", "static"]),
        ("corpora", ["tasks", "gsm8k", "ROUTINGSIM_DATA"]),
    ],
)
def test_lists(command: str, words: list[str]) -> None:
    said = invoke(command).stdout
    assert all(word in said for word in words)
