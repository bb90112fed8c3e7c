"""Conditions of a sweep: each cell is the replays under them; what is wrong is refused at once."""

from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.sweeps.conditions import OF_CONDITIONS, conditions_of
from routingsim.simulation.faults import ONE_TRY, Outage
from routingsim.simulation.replications import replication_seeds

from ..samples import corpus, pool

NONE: dict[str, Any] = dict.fromkeys(OF_CONDITIONS, "") | {
    "service": None, "signal_delay": 0.0, "routers": 1,
}  # fmt: skip


def test_outages_and_changes_as_they_are_given() -> None:
    down, dear = Outage("a", 1.0, 2.0), rs.Change("a", 1.0, price=2.0)
    for name, text, one in (("outages", "a:1:2", down), ("changes", "a:1:price=2", dear)):
        for none in ("", [], None):
            assert conditions_of(ONE_TRY, NONE | {name: none})[name] == ()
        for given in (text, [text], one, [one]):
            assert conditions_of(ONE_TRY, NONE | {name: given})[name] == (one,)
    plain = conditions_of(ONE_TRY, NONE)
    assert (plain["tenants"], plain["hedge"], plain["discipline"]) == ((), None, None)


@pytest.mark.parametrize(
    ("varied", "replayed"),
    [
        ({"retries.attempts": [3]}, {"retries": rs.Retries(attempts=3)}),
        ({"outages": [["a1:5:60", "a2:0:9"]]},
         {"outages": [Outage("a1", 5, 60), Outage("a2", 0, 9)]}),
        ({"changes": ["a1:2:speed=0.5"]}, {"changes": rs.Change("a1", 2.0, speed=0.5)}),
        ({"hedge": ["1s"]}, {"hedge": "1s"}),
        ({"tenants": [["x:share=0.5", "y:share=0.5"]], "discipline": ["fair"]},
         {"tenants": ["x:share=0.5", "y:share=0.5"], "discipline": "fair"}),
    ],
)  # fmt: skip
def test_a_cell_is_the_replays_under_its_conditions(
    varied: dict[str, Any], replayed: dict[str, Any]
) -> None:
    agents, given = pool(), {"arrivals": "poisson:9", "tasks": 80}
    once = {"retries": rs.Retries(attempts=1)} if "retries.attempts" in varied else {}
    found = rs.sweep(
        *(corpus(), agents, "random"),
        vary={**varied, "pool.*.error_rate": [0.2], "pool.*.failures": ["drawn"]},
        replications=2,
        objective=5.0,
        n_jobs=1,
        **once,
        **given,
    )
    frail = [
        rs.Agent(**_fields(agent) | {"error_rate": 0.2, "failures": "drawn"}) for agent in agents
    ]
    seeds = replication_seeds(0, 2)
    means = [
        float(np.mean(rs.replay(corpus(), frail, "random", seed=s, **given, **replayed).latency))
        for s in seeds
    ]
    plain = [
        float(np.mean(rs.replay(corpus(), frail, "random", seed=s, **given).latency)) for s in seeds
    ]
    assert means != plain  # the condition matters
    answered = [
        float((rs.replay(corpus(), frail, "random", seed=s, **given, **replayed).log.status == 0)
              .mean()) for s in seeds
    ]  # fmt: skip
    assert found.runs["answered"].tolist() == answered


def _fields(agent: rs.Agent) -> dict[str, Any]:
    return {name: getattr(agent, name) for name in agent.__struct_fields__}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"outages": 3}, r"outages: 3 is an int; write \[rs.Outage\('gpt-4', 600, 900\)\]"),
        ({"routers": 0}, "routers=0: "),
        ({"hedge": "x"}, "hedge 'x': write seconds, as 2s, or a percentile, as p95"),
        ({"outages": ["a:1"]}, "outage 'a:1': write AGENT:DOWN:UP in seconds"),
        ({"tenants": ["a:share=2"]}, r"tenant a: share=2.0; a share in \(0, 1\] is needed"),
        ({"retries.attempts": 0}, r"attempts=0.*: attempts from 1 to 1000 \(whole\)"),
    ],
)
def test_what_is_no_condition(setting: dict[str, Any], said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        conditions_of(ONE_TRY, NONE | setting)


def test_an_unknown_field_of_retries_is_named() -> None:
    with pytest.raises(
        SimulationError, match=r"vary retries\.attempt: .*; did you mean 'attempts'"
    ):
        rs.sweep(corpus(), pool(), vary={"retries.attempt": [1]})
