"""Gains, regret and recovery by hand and against naive recomputation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import CorpusError
from routingsim.evaluation import (
    cumulative_regret,
    gains,
    recovery,
)

NAN = math.nan
unit = st.floats(0, 1, allow_subnormal=False)


outcomes = st.integers(2, 4).flatmap(
    lambda agents: st.lists(
        st.tuples(st.lists(unit, min_size=agents, max_size=agents), st.integers(0, agents - 1)),
        min_size=1,
        max_size=20,
    )
)


@pytest.mark.slow
@given(outcomes)
def test_regret_and_gains_by_the_slow_way(rows) -> None:
    quality, chosen = [list(row) for row, _ in rows], [agent for _, agent in rows]
    found = cumulative_regret(quality, chosen)
    tasks, agents = len(rows), len(quality[0])
    means = [math.fsum(row[a] for row in quality) / tasks for a in range(agents)]
    assert means[found.best] == pytest.approx(max(means), abs=1e-12)
    lost = behind = 0.0
    for t in range(tasks):
        lost += max(quality[t]) - quality[t][chosen[t]]
        behind += quality[t][found.best] - quality[t][chosen[t]]
        assert found.against_oracle[t] == pytest.approx(lost, abs=1e-9)
        assert found.against_best[t] == pytest.approx(behind, abs=1e-9)
    hits = sum(quality[t][chosen[t]] == max(quality[t]) for t in range(tasks))
    assert found.optimal_share == pytest.approx(hits / tasks)

    gained = gains(quality, chosen)
    assert gained.oracle - gained.quality == pytest.approx(lost / tasks, abs=1e-9)
    assert gained.best_single - gained.quality == pytest.approx(behind / tasks, abs=1e-9)
    assert gained.random == pytest.approx(sum(means) / agents, abs=1e-9)
    if gained.random > 1e-6:
        assert gained.over_random == pytest.approx(gained.quality / gained.random - 1)
        assert gained.to_oracle == pytest.approx(1 - gained.quality / gained.oracle)


def test_incomplete_tasks_add_no_regret() -> None:
    found = cumulative_regret([[1, 0], [NAN, 0], [1, 0]], [1, 1, 1])
    assert found.against_oracle.tolist() == [1, 1, 2]
    assert (found.tasks, found.left_out) == (2, 1)
    with pytest.raises(CorpusError, match="of every agent"):
        gains([[NAN, 1.0]], [0])


def test_gains_over_nothing_are_unknown() -> None:
    assert math.isnan(gains([[0.0, 0.0]], [0]).over_random)


def test_recovery_by_hand() -> None:
    # Agent 1 is best from task 4 on; the policy follows from task 7 on.
    reward = np.array([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 8)
    chosen = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert recovery(reward, chosen, 4, window=2, tolerance=0.0).tasks == 5
    assert recovery(reward, chosen, 4, window=2, tolerance=0.5).tasks == 4
    assert recovery(reward, chosen, 4, window=4, tolerance=0.0).tasks == 7
    stuck = recovery(reward, [0] * 12, 4, window=2)
    assert math.isnan(stuck.tasks)
    assert stuck.best == 1
    missing = reward.copy()
    missing[5, 0] = NAN
    assert recovery(missing, chosen, 4, window=2, tolerance=0.0).left_out == 1
    with pytest.raises(CorpusError, match="windows of 50"):
        recovery(reward, chosen, 4)
