"""Cascades: the order of the agents, who comes next, and what is said."""

from typing import Any

import numpy as np
import pytest

from routingsim.agents import load_agents
from routingsim.errors import PolicyError
from routingsim.policies import cascade, make_policy
from routingsim.policies.kernel import PoolView, TaskView
from routingsim.policies.policy import Judge

POOL = load_agents()
BY_PRICE = ["llama", "mistral", "gemini", "claude", "gpt-4"]


def chosen(spec: str, attempt: int, down: tuple[str, ...] = ()) -> str:
    """Who gets the given try of a task."""
    policy = make_policy(POOL, spec)
    none, size = np.zeros(0), len(POOL)
    task = TaskView(0, attempt, 0.0, np.uint64(1), 0.5, 10.0, -1, none, none)
    counts, numbers = np.zeros(size, np.int64), np.zeros(size)
    up = np.array([int(agent not in down) for agent in POOL.ids])
    pool = PoolView(counts, counts, counts + 4, numbers, numbers, numbers + 1.0, up)
    return POOL.ids[policy.choose(task, pool, policy.memory)]


def test_each_try_goes_to_the_next_dearer_agent() -> None:
    assert [chosen("cascade", attempt) for attempt in range(7)] == [*BY_PRICE, "gpt-4", "gpt-4"]
    assert [chosen("cascade:gpt-4/llama", k) for k in range(3)] == ["gpt-4", "llama", "llama"]


def test_who_is_down_is_passed_over_upwards_first() -> None:
    assert chosen("cascade", 0, ("llama", "mistral")) == "gemini"
    assert chosen("cascade:llama/gemini/gpt-4", 1, ("gemini", "gpt-4")) == "llama"
    assert chosen("cascade:llama/gemini", 1, ("llama", "gemini")) == "gemini"


def test_the_judge_and_the_name_hold_what_was_given() -> None:
    policy = cascade(POOL, agents=["llama", "gpt-4"], bar=0.7, seconds=2.0)
    assert policy.judge == Judge(levels=2, bar=0.7, error=0.1, seconds=2.0, cost=0.0)
    assert policy.name == "cascade:llama/gpt-4,bar=0.7,seconds=2"
    assert make_policy(POOL, policy.name).parameters == policy.parameters
    assert make_policy(POOL, "cascade").name == "cascade"
    assert policy.reason(POOL.agents[POOL.index("gpt-4")], 0.5, 0.0) == (
        "Level 2 of 2 in the cascade: Routed to GPT-4"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agents": "llama/llama"}, "agents llama/llama: one is there twice"),
        ({"bar": 1.5}, r"bar in \[0, 1\]"),
        ({"error": 1.0}, r"error in \[0, 1\)"),
    ],
)
def test_what_makes_no_cascade_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        cascade(POOL, **given)
