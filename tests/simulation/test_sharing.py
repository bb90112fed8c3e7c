"""Calls that slow each other down: by hand, and against exact theory."""

import numpy as np
import pytest

import routingsim as rs
from routingsim import rng
from routingsim.errors import AgentError
from routingsim.policies.kernel import FAILED, OK, TIMED_OUT, no_learning
from routingsim.simulation import engine
from routingsim.simulation.faults import Outage
from routingsim.simulation.service import system
from tests.simulation.test_afterwards import ONE_TRY, agent, lowest_up, run, work

from .batches import batch_means

SEED = 20_260


def shared(**given) -> rs.AgentPool:
    return rs.AgentPool((agent(**{"concurrency": 10, "sharing": 1.0} | given),))


def test_two_calls_at_half_speed() -> None:
    # Half of the first is done at 1, and all at 3; half of the second, which then is alone.
    log = run(work([0.0, 1.0], 2.0), system(shared()))
    assert log.finished.tolist() == [3.0, 4.0]
    # H / (W + H) = 1/2: with two in service a step takes 1.5 as long.
    log = run(work([0.0, 1.0], 2.0), system(shared(sharing=0.5)))
    assert log.finished.tolist() == [2.5, 3.5]
    # Three at once at a third of the speed, in two slots: the third begins when both end.
    log = run(work([0.0, 0.0, 0.0], 2.0), system(shared(concurrency=2)))
    assert (log.left.tolist(), log.finished.tolist()) == ([0.0, 0.0, 4.0], [4.0, 4.0, 6.0])


def test_first_tokens_come_late_too() -> None:
    tasks = work([0.0, 1.0], 2.0)
    tasks = tasks._replace(first=np.full_like(tasks.service, 1.0))
    log = run(tasks, system(shared()))
    assert log.first.tolist() == [1.0, 3.0]
    # Without the first token by 1.5 s after its sending the second is cut off, at 2.5.
    log = run(tasks, system(shared(first_token_timeout=1.5)))
    assert (log.status.tolist(), log.finished.tolist()) == ([OK, TIMED_OUT], [2.75, 2.5])
    assert np.isnan(log.first[1])


@pytest.mark.parametrize(
    ("given", "paid"),
    [
        # Cut off 2.5 s after their sendings: at 2.5 with 1.75 of 2 s done, and, alone from then
        # on, at 3.5 with 0.75 + 1 of them.
        ({}, [1.0, 1.0]),
        ({"cut_off_cost": "served"}, [0.875, 0.875]),
        ({"cut_off_cost": "nothing"}, [0.0, 0.0]),
        # The first goes on at half the speed until 3; the second has done 1.5 s at 3.5.
        ({"cut_off": "holds"}, [1.0, 1.0]),
        ({"cut_off": "holds", "cut_off_cost": "served"}, [0.875, 0.75]),
    ],
)
def test_a_call_that_is_cut_off(given: dict, paid: list[float]) -> None:
    log = run(work([0.0, 1.0], 2.0), system(shared(timeout=2.5, **given)))
    assert log.status.tolist() == [TIMED_OUT, TIMED_OUT]
    assert log.finished.tolist() == [2.5, 3.5]
    assert log.cost.tolist() == paid
    held = slice(log.holds[0])
    assert log.held_from[held].tolist() == ([2.5, 3.5] if "cut_off" in given else [])
    assert log.held_until[held].tolist() == ([3.0, 4.0] if "cut_off" in given else [])


def test_an_outage_fails_what_is_in_service() -> None:
    pool = shared()
    log = run(work([0.0, 0.0, 5.0], 2.0), system(pool, [Outage(pool.ids[0], 4.0, 6.0)]))
    # Both end at 4, as it goes down; the third waits.
    assert log.status.tolist() == [OK, OK, OK]
    assert log.finished.tolist() == [4.0, 4.0, 8.0]
    log = run(work([0.0, 0.0, 3.9], 2.0), system(pool, [Outage(pool.ids[0], 3.95, 6.0)]))
    assert log.status.tolist() == [FAILED, FAILED, FAILED]


def test_what_policies_and_capacity_see() -> None:
    seen: list[tuple[float, float]] = []

    def watching(task, pool, memory):
        seen.append((pool.speed[0], pool.wait[0]))
        return 0

    pool = shared(concurrency=2, sharing=0.5)
    assert pool.capacity == pytest.approx(2 / 1.5)
    rs.replay(None, pool, watching, arrivals="poisson:1000", tasks=4, seed=1)
    assert seen == [(1.0, 0.0), (pytest.approx(1 / 1.5), 0.0), (pytest.approx(1 / 1.5), 0.75),
                    (pytest.approx(1 / 1.5), 1.5)]  # fmt: skip


def test_a_share_is_from_0_to_1() -> None:
    with pytest.raises(AgentError, match=r"field sharing: Expected `float` <= 1\.0, found 1\.5"):
        rs.load_agents([{"id": "a", "name": "A", "cost": 1, "latency": 1, "sharing": 1.5}])


@pytest.mark.slow
@pytest.mark.parametrize("law", ["exponential", "deterministic", "lognormal"])
def test_processor_sharing_does_not_mind_the_law(law: str) -> None:
    """M/G/1-PS: T(x) = x / (1 - rho), so 5 in the mean at rho = .8."""
    pool = rs.AgentPool(
        (rs.Agent(id="a", name="A", cost=1, latency=1, latency_cv=2.0, concurrency=1000,
                  sharing=1.0),)
    )  # fmt: skip
    result = rs.replay(
        None, pool, "static:a", arrivals="poisson:0.8", tasks=400_000, seed=SEED, service=law
    )
    latency = result.latency[result.timed]
    found = batch_means(latency, 40)
    assert found.mean == pytest.approx(5.0, abs=2.2 * found.half_width)
    if law == "exponential":
        key = np.uint64(rng.stream(SEED, rng.SERVICE))
        sizes = np.array([rng.exponential(key, i, 0) for i in np.flatnonzero(result.timed)])
        edges = np.quantile(sizes, [0.25, 0.5, 0.75, 0.9])
        for part in range(5):
            here = np.searchsorted(edges, sizes) == part
            assert latency[here].sum() / sizes[here].sum() == pytest.approx(5.0, rel=0.06)


@pytest.mark.slow
def test_steps_of_a_batch_against_the_exact_chain() -> None:
    """W + H x n with 8 slots: a birth-death chain."""
    sharing, slots, tasks = 0.25, 8, 1_000_000
    rate = 0.7 * slots / (1 + sharing * (slots - 1))
    busy = np.minimum(np.arange(1, 1000), slots)
    ratios = rate / (busy / (1 + sharing * (busy - 1)))
    chain = np.concatenate([[1.0], np.cumprod(ratios)])
    chain /= chain.sum()
    exact = float(chain @ np.arange(1000)) / rate
    pool = rs.AgentPool(
        (rs.Agent(id="a", name="A", cost=1, latency=1, service="exponential", concurrency=slots,
                  sharing=sharing),)
    )  # fmt: skip
    result = rs.replay(None, pool, "static:a", arrivals=rs.Poisson(rate), tasks=tasks, seed=SEED)
    found = batch_means(result.latency[result.timed], 40)
    assert found.mean == pytest.approx(exact, abs=2.2 * found.half_width)
    assert found.half_width < 0.02 * exact


@pytest.mark.slow
@pytest.mark.parametrize("sharing", [0.0, 0.001])
def test_more_calls_that_hold_their_slots_than_calls_under_way(sharing: float) -> None:
    pool = shared(concurrency=100_000, timeout=0.5, cut_off="holds", sharing=sharing)
    tasks = work([k / 1000 for k in range(20_000)], 1e6)
    given = (system(pool), ONE_TRY, lowest_up, no_learning, np.zeros(1), 7)
    log = engine.run(tasks, *given)
    assert log.holds[0] == 20_000
    assert (log.status == TIMED_OUT).all()
    assert (log.held_until[:20_000] >= 1e6).all()
