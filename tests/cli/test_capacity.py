"""``routingsim capacity``: the answer in words, its files, and errors in one line."""

import json
from pathlib import Path

import pytest

from routingsim.agents import load_agents
from routingsim.cli.capacity import _slots, _varied
from routingsim.cli.options import bounds
from routingsim.errors import SimulationError

from .running import invoke


def test_slots_and_bounds_as_they_are_typed() -> None:
    assert _slots("big=0-3") == ("big", [0, 1, 2, 3])
    assert _slots("a=b=1,4-5") == ("a=b", [1, 4, 5])
    assert bounds(["p95=2.5"]) == {"p95": 2.5}
    assert _varied(["policy.low=[0.2]", "policy.medium={from=0.4, to=0.6, steps=3}"]) == {
        "policy.low": [0.2],
        "policy.medium": {"from": 0.4, "to": 0.6, "steps": 3},
    }
    with pytest.raises(SimulationError, match=r"--vary 'policy.low=0.1,0.2': is no line of a plan"):
        _varied(["policy.low=0.1,0.2"])
    with pytest.raises(SimulationError, match="--slots 'big=x': an agent and its slots are needed"):
        _slots("big=x")
    with pytest.raises(SimulationError, match="--slo 'p95': a metric and a bound are needed"):
        bounds(["p95"])


ASKED = (
    *("capacity", "paretobandit", "--agents", "paretobandit", "-p", "utility"),
    *("--arrivals", "poisson:2", "--slots", "llama-3.1-8b=1", "--slots", "gemini-2.5-pro=0"),
    *("--slots", "mistral-large=2", "--slots", "gemini-2.5-flash=2-3", "--runs", "3"),
)


@pytest.mark.slow
def test_the_answer_its_pool_and_every_candidate(tmp_path: Path) -> None:
    names = ("pools.csv", "answer.toml", "all.json", "page.md")
    pools, agents, whole, page = (tmp_path / name for name in names)
    files = ("--pools-to", pools, "--agents-to", agents, "--json", whole, "--report", page)
    said = invoke(*ASKED, "--slo", "p95=8", "--quality", "0.9", *files).stdout
    assert said.startswith("Use utility with llama-3.1-8b × 1, mistral-large × 2, gemini-2.5-flash")
    assert "twice the load" in said
    assert page.read_text().startswith("# Capacity: paretobandit\n")
    assert len(pools.read_text().splitlines()) == 3
    found = json.loads(whole.read_text())
    assert found["status"] == "answered"
    assert [each["verdict"] for each in found["targets"]] == ["met", "met", "met"]
    sized = load_agents(agents)
    assert {agent.id: agent.concurrency for agent in sized} == found["answer"]["slots"]


@pytest.mark.slow
def test_what_cannot_be_met_is_said_and_exits_with_success() -> None:
    found = invoke(*ASKED, "--quality", "0.99")
    assert found.exit_code == 0
    assert "No pool of these can meet mean quality ≥ 0.99" in found.stdout
