"""``routingsim policies``, ``corpora`` and ``agents``."""

import pytest

from routingsim.agents import builtin_pools, load_agents
from routingsim.formatting import short

from .running import invoke, set_width


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


@pytest.mark.parametrize("width", [60, 80])
def test_agents_have_their_whole_ids_and_prices(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_width(width, monkeypatch)
    for name in [each for each in builtin_pools() if each != "dcrouter"]:  # its ids are long
        lines = [line.split() for line in invoke("agents", name).stdout.splitlines()]
        for agent in load_agents(name):
            words = next(line for line in lines if line[:1] == [agent.id])
            price = agent.cost if agent.price_input is None else agent.price_input
            assert short(price, 3) in words
