"""Replays and studies in one form: two agents by hand, and what the study itself says."""

import math

import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.errors import SimulationError
from routingsim.evaluation import cell
from routingsim.evaluation.replay_difference import replay_difference
from routingsim.evaluation.study import Study
from routingsim.report.figures import METRICS, of_replays, of_study
from routingsim.report.palette import control_styles, policy_styles
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import Interval


def two_agents(slow: str) -> ReplayResult:
    """Eight tasks, one a second, in turn to agents that take 1 s and 2 s."""
    agents = (
        Agent(id=name, name=name, cost=0.002 if name == slow else 0.001, concurrency=1,
              latency=2.0 if name == slow else 1.0, service="deterministic")
        for name in ("a", "b")
    )  # fmt: skip
    return replay(
        None, AgentPool(tuple(agents)), "round-robin", arrivals="deterministic:1", tasks=8
    )


@pytest.mark.parametrize("slow", ["a", "b"])
def test_a_replay_worked_out_by_hand(slow: str) -> None:
    result = two_agents(slow)
    at = of_replays([result])
    (entry,) = at.entries
    assert at.load is None
    assert at.baseline is entry
    assert (entry.name, entry.control, entry.in_sample) == ("round-robin", False, 0.0)
    # No task waits, so that the load of 8/7 is no overload.
    assert (entry.verdict, entry.agreed, entry.runs) == ("too short to say", 1, 1)
    assert not entry.overloaded
    assert entry.busiest == slow
    assert entry.lost == {"failed": 0, "timed_out": 0, "shed": 0}
    # Four tasks of 2 s in the 7 s between the first arrival and the last.
    assert entry.mean("offered_max") == pytest.approx(8 / 7)
    for metric, expected in (
        ("answered", 1.0), ("latency_mean", 1.5), ("latency_p50", 1.0), ("latency_p95", 2.0),
        ("wait_mean", 0.0), ("cost", 0.45), ("cost_total", 0.0036),
    ):  # fmt: skip
        found = entry.shown(metric)
        assert found.mean == pytest.approx(expected), metric
        assert math.isnan(found.half_width)
    assert entry.figure("cost").mean == pytest.approx(0.00045)
    assert entry.tasks.agent.tolist() == [0, 1] * 4
    assert entry.tasks.latency is not None
    assert entry.tasks.latency.tolist() == ([2.0, 1.0] if slow == "a" else [1.0, 2.0]) * 4
    assert not at.recorded


def test_a_steady_replay_is_not_overloaded() -> None:
    run = replay(None, policy="least-loaded", arrivals="poisson:0.1", tasks=500)
    (entry,) = of_replays([run]).entries
    assert (entry.verdict, entry.state) == ("steady", "steady")
    assert not entry.overloaded


def test_a_replay_whose_queue_grows_is_overloaded() -> None:
    run = replay(None, policy="static:gpt-4", arrivals="poisson:9", tasks=500)
    (entry,) = of_replays([run]).entries
    assert (entry.verdict, entry.state) == ("growing", "growing")
    assert entry.overloaded
    assert entry.mean("left") == run.stability.left > 100


def test_what_was_lost() -> None:
    pool = AgentPool((Agent(id="a", name="A", cost=1.0, latency=9.0, concurrency=1, patience=0.5,
                            service="deterministic"),))  # fmt: skip
    run = replay(None, pool, "cheapest", arrivals="deterministic:1", tasks=8)
    (entry,) = of_replays([run]).entries
    # The first is served, those that come in its 9 s give up.
    assert entry.lost == {"failed": 0, "timed_out": 7, "shed": 0}
    assert entry.mean("answered") == 1 / 8
    assert entry.tasks.timed_latency is not None
    assert np.isnan(entry.tasks.timed_latency).sum() == 7


def test_a_difference_is_the_entry_less_the_baseline(results: list[ReplayResult]) -> None:
    at = of_replays(results)
    assert [entry.in_sample for entry in at.entries] == [0.0, 1.0, 0.0]
    one = at.entries[1]
    for metric in ("cost", "quality_all"):
        found = at.difference(metric, one)
        assert found is not None
        assert found == replay_difference(metric, results[1], results[0])
        assert 0 < found.half_width < abs(found.mean) * 20
        assert at.difference(metric, one) is found  # made once


def test_controls_come_last_in_grey(results: list[ReplayResult]) -> None:
    at = of_replays(results[:2], {"mine": results[2]})
    assert [entry.name for entry in at.policies] == ["threshold", "threshold:calibrated"]
    assert [entry.name for entry in at.controls] == ["mine"]
    assert [entry.style for entry in at.entries] == [*policy_styles(2), *control_styles(1)]


@pytest.mark.slow
def test_a_study_in_the_same_form(study: Study) -> None:
    at = of_study(study, 0.2)
    assert at.load == 0.2
    assert [entry.name for entry in at.entries] == list(study.names)
    assert ["control" if entry.control else "policy" for entry in at.entries] == [
        *study.kinds.values()
    ]
    apart = study.differences("quality", 0.2)
    for entry in at.entries:
        cell = study.cells[entry.name, 0.2]
        assert entry.in_sample == study.in_sample[entry.name]
        assert entry.verdict == cell.verdict
        assert entry.agreed == list(cell.verdicts).count(cell.verdict)
        assert entry.runs == 3
        assert entry.lost == {}
        assert entry.figure("quality") == study.interval(entry.name, 0.2, "quality")
        assert entry.tasks.agent is cell.chosen
        if entry is not at.baseline:
            assert at.difference("quality", entry) == apart[entry.name].interval
    cost = study.interval("threshold", 0.2, "cost")
    shown = at.baseline.shown("cost")
    assert shown == Interval(1000 * cost.mean, 1000 * cost.half_width)
    assert at.recorded
    assert of_study(study).load == 0.8
    assert [entry.style for entry in at.policies] == policy_styles(3)
    assert [entry.style for entry in at.controls] == control_styles(len(at.controls))


def test_a_load_that_is_not_there(study: Study) -> None:
    with pytest.raises(SimulationError, match=r"no load 0\.5 in this study: there are 0\.2, 0\.8"):
        of_study(study, 0.5)


def test_units() -> None:
    assert set(cell.METRICS) <= set(METRICS)
    assert METRICS["cost"].title == "cost (USD per 1,000 tasks)"
    assert METRICS["answered"].title == "answered (%)"
