"""Rewards and exploration, by hand; the rest of the module in test_bandits.py."""

import math

import pytest

from routingsim.agents import load_agents
from routingsim.policies import make_policy
from routingsim.policies.bandit_base import CHOICES, epsilon, head, reward
from routingsim.policies.kernel import FAILED, OK, SHED, Outcome


def test_rewards_by_hand() -> None:
    given = {"w_quality": 2.0, "w_cost": 10.0, "w_latency": 0.5, "exploration": 0.0}
    memory = head(given)
    answered = Outcome(OK, wait=1.0, service=2.0, latency=3.0, cost=0.01, quality=0.8)
    assert reward(answered, memory) == pytest.approx(1.6 - 0.1 - 1.5)
    assert reward(answered._replace(quality=math.nan), memory) == pytest.approx(-1.6)
    assert reward(answered._replace(cost=math.nan), memory) == pytest.approx(0.1)
    failed = answered._replace(status=FAILED, quality=math.nan)
    assert reward(failed, memory) == pytest.approx(-1.6)
    assert reward(Outcome(SHED, 0.0, 0.0, 0.0, 0.0, math.nan), memory) == 0.0
    assert reward(answered._replace(latency=99.0), head(given, least=0.0, most=1.0)) == 0.0
    assert reward(answered._replace(latency=0.0), head(given, least=0.0, most=1.0)) == 1.0


def test_exploration_fades_to_its_floor() -> None:
    memory = make_policy(
        load_agents(), "epsilon-greedy:epsilon=0.8,decay=50,floor=0.1"
    ).memory.copy()
    for choices, expected in [(0, 0.8), (50, 0.4), (150, 0.2), (10**6, 0.1)]:
        memory[CHOICES] = choices
        assert epsilon(memory) == pytest.approx(expected)
