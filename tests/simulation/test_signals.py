"""Routers that hear late of each other, by hand; and what leaves every array as it was."""

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim import rng
from routingsim.errors import SimulationError
from routingsim.policies.kernel import choose_kernel
from routingsim.simulation.signals import Signals

SEED = 5


def pool(slots: int = 1, agents: int = 2) -> rs.AgentPool:
    return rs.AgentPool(
        tuple(
            rs.Agent(id=f"a{k}", name="A", cost=1.0, latency=10.0, service="deterministic",
                     concurrency=slots)
            for k in range(agents)
        )
    )  # fmt: skip


def corpus(*times: float) -> rs.Corpus:
    frame = pd.DataFrame({"id": range(len(times)), "text": "x", "arrived_at": times})
    return rs.Corpus.from_frame(frame)


def routers_of(tasks: int, routers: int) -> list[int]:
    key = np.uint64(rng.stream(SEED, rng.ROUTER))
    return [int(rng.uniform(key, i, 0) * routers) for i in range(tasks)]


def test_a_router_sees_its_own_calls_and_late_those_of_others() -> None:
    seen: list[tuple[list[int], list[int], list[float]]] = []

    @choose_kernel
    def first(task, pool, memory):
        seen.append((pool.busy.tolist(), pool.queued.tolist(), pool.wait.tolist()))
        return 0

    times = [0.0, 1.0, 2.0, 3.0, 4.0, 12.0, 13.0, 14.0, 30.0, 60.0, 70.0]
    policy = rs.Policy("first", first, interpreted=True)
    result = rs.replay(
        corpus(*times), pool(), policy, arrivals="corpus", seed=SEED, signal_delay=2.0, routers=2
    )
    who, ends = routers_of(len(times), 2), result.log.finished.tolist()
    assert len(set(who)) == 2
    for i, now in enumerate(times):
        late = [2.0 if other != who[i] else 0.0 for other in who]
        known = sum(
            int(times[k] + late[k] <= now and k < i) - int(ends[k] + late[k] <= now)
            for k in range(len(times))
        )
        busy, queued = min(known, 1), max(known - 1, 0)
        wait = (queued + 1) * 10.0 if known else 0.0
        assert seen[i] == ([busy, 0], [queued, 0], [wait, 0.0])
    assert {each[1][0] for each in seen} >= {0, 1, 2}


@pytest.mark.parametrize("given", [{"signal_delay": 3.0}, {"routers": 4}, {}])
def test_one_router_or_no_delay_leaves_every_array_as_it_was(given: dict) -> None:
    kept = rs.replay(None, pool(3, 4), "least-loaded", arrivals="poisson:1", tasks=500, seed=3)
    other = rs.replay(
        None, pool(3, 4), "least-loaded", arrivals="poisson:1", tasks=500, seed=3, **given
    )
    for one, two in zip(kept.log, other.log, strict=True):
        np.testing.assert_array_equal(one, two)
    assert other.signals == Signals(given.get("signal_delay", 0.0), given.get("routers", 1))


@pytest.mark.slow
def test_more_news_than_there_is_room_for() -> None:
    """Ten thousand calls, none of which the other router hears of in time."""
    result = rs.replay(
        None, pool(10_000), "least-loaded", arrivals="poisson:1000", tasks=10_000, seed=SEED,
        signal_delay=1e6, routers=2,
    )  # fmt: skip
    who = np.array(routers_of(10_000, 2))
    for router in (0, 1):  # each keeps its own balance
        sent = np.bincount(result.log.agent[who == router], minlength=2)
        assert abs(int(sent[0]) - int(sent[1])) <= 1


def test_stale_news_sends_the_herd_to_one_agent() -> None:
    """Two of three calls within the delay go where each router knows of none."""
    fresh = rs.replay(None, pool(agents=3), "least-loaded", arrivals="poisson:0.2", tasks=3000)
    stale = rs.replay(
        None, pool(agents=3), "least-loaded", arrivals="poisson:0.2", tasks=3000,
        signal_delay=50.0, routers=8,
    )  # fmt: skip
    assert stale.latency.mean() > 1.5 * fresh.latency.mean()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"signal_delay": -1.0}, r"signal_delay=-1\.0: seconds are needed, 0 or more and finite"),
        ({"signal_delay": float("nan")}, "signal_delay=nan"),
        ({"routers": 0}, "routers=0: a whole number from 1 to 10,000 is needed"),
        ({"routers": 1.5}, r"routers=1\.5"),
    ],
)
def test_a_number_out_of_its_range_is_named(given: dict, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        rs.replay(None, pool(), "random", arrivals="poisson:1", tasks=3, **given)
