"""Queues by priority and between tenants, worked out by hand."""

from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.policies.kernel import OK, SHED, TIMED_OUT
from routingsim.simulation.service import system
from routingsim.simulation.state import Workload
from tests.simulation.test_afterwards import agent, run, work


def tasks(
    arrived: list[float],
    *,
    priority: list[int] | None = None,
    tenant: list[int] | None = None,
    weight: tuple[float, ...] = (1.0,),
    service: float = 1.0,
) -> Workload:
    """Tasks of one agent, with their priorities and tenants."""
    plain = work(arrived, service)
    return plain._replace(
        priority=np.array(priority or [], np.int16),
        tenant=np.array(tenant or [], np.int32),
        weight=np.array(weight),
    )


def one(**given: Any) -> rs.AgentPool:
    return rs.AgentPool((agent(**given),))


def test_the_most_urgent_goes_first_and_nobody_is_interrupted() -> None:
    given = tasks([0.0, 0.1, 0.2, 0.3, 0.4], priority=[200, 2, 0, 1, 1])
    assert run(given, system(one(discipline="priority"))).left.tolist() == [0, 4, 1, 2, 3]
    assert run(given, system(one())).left.tolist() == [0, 1, 2, 3, 4]  # first come, first served


def test_a_full_queue_sheds_an_urgent_task_too() -> None:
    given = tasks([0.0, 0.1, 0.2], priority=[1, 1, 0])
    log = run(given, system(one(discipline="priority", queue_limit=1)))
    assert log.status.tolist() == [OK, OK, SHED]


def test_a_task_leaves_the_middle_of_its_line() -> None:
    """The third runs out of patience between two others of its priority."""
    pool = one(discipline="priority", patience=1.95)
    log = run(tasks([0.0, 0.5, 0.6, 1.6, 1.7], priority=[0, 1, 1, 1, 0], service=1.0), system(pool))
    assert log.status.tolist() == [OK, OK, TIMED_OUT, OK, OK]
    assert log.left.tolist() == [0.0, 1.0, 2.55, 3.0, 2.0]


def test_service_is_shared_by_weights() -> None:
    """The clock of tenant 0 runs by 1 a start, that of tenant 1 by a half; ties by sending."""
    given = tasks(
        [0.0] + [0.1] * 7,
        tenant=[0, 0, 0, 0, 1, 1, 1, 1],
        weight=(1.0, 2.0),
    )
    log = run(given, system(one(discipline="fair")))
    assert np.argsort(log.left).tolist() == [0, 4, 5, 1, 6, 7, 2, 3]


def test_a_tenant_that_was_idle_saves_nothing_up() -> None:
    """Tenant 0 has had ten seconds alone; then they take turns."""
    given = tasks([0.0] * 10 + [9.5] * 3 + [9.6] * 3, tenant=[0] * 13 + [1] * 3, weight=(1.0, 1.0))
    log = run(given, system(one(discipline="fair")))
    assert np.argsort(log.left).tolist() == [*range(10), 13, 10, 14, 11, 15, 12]


def test_a_call_is_charged_with_its_mean_service() -> None:
    """Three calls of tenant 1 weigh as much as one of tenant 0, which takes three times as long."""
    given = tasks([0.0] + [0.1] * 8, tenant=[0, 0, 0] + [1] * 6, weight=(1.0, 1.0))
    given = given._replace(row=np.array([0, 1, 1] + [0] * 6, np.int32))
    for name in ("d_var", "prompt_tokens", "category", "cost", "quality"):
        given = given._replace(**{name: np.repeat(getattr(given, name), 2, axis=0)})
    given = given._replace(
        service=np.array([[1.0], [3.0]]), features=np.zeros((2, 0)), predicted=np.zeros((2, 0))
    )
    log = run(given, system(one(discipline="fair")))
    assert np.argsort(log.left).tolist() == [0, 3, 1, 4, 5, 6, 2, 7, 8]


def test_priorities_hold_among_the_agents_of_an_account() -> None:
    """Two a minute: the urgent task at the second agent starts before the other at the first."""
    given = work([0.0, 0.1, 0.2, 0.3], 1.0, 1.0)._replace(priority=np.array([0, 0, 1, 0], np.int16))
    fields = {"account": "x", "requests_per_minute": 2, "discipline": "priority", "patience": 500.0}
    pool = rs.AgentPool((agent("a", **fields), agent("b", **fields)))
    log = run(given, system(pool))
    assert log.left.tolist() == pytest.approx([0.0, 1.0, 61.0, 60.0])
