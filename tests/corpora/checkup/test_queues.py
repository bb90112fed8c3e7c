"""Stamps of completion, and waits in latencies, show in a log; nothing else looks like them."""

import heapq

import numpy as np
import pytest

from routingsim.corpora.checkup.queues import completion_stamps, in_flight, waits_in_latencies

from .columns import columns, pool_of

WORLDS = {"one slot": (1, 0.6, 1.0), "three": (3, 0.85, 1.0), "bursts": (2, 0.6, 3.0)}


def queue(slots: int, load: float, burst: float, size: int = 2000, seed: int = 5):
    """Arrivals, beginnings and ends of calls at an agent, first come, first served."""
    dice = np.random.default_rng(seed)
    shape = 1 / burst**2
    arrived = np.cumsum(dice.gamma(shape, 1 / (shape * load * slots), size))
    service = dice.lognormal(-0.35, 0.83, size)
    free = [0.0] * slots
    begun = np.empty(size)
    for k in range(size):
        begun[k] = max(arrived[k], free[0])
        heapq.heapreplace(free, begun[k] + service[k])
    return arrived, begun, begun + service


def found(times: np.ndarray, latency: np.ndarray, pool=None) -> tuple[bool, bool]:
    """Whether completions are found, and waits."""
    order = np.argsort(times, kind="stable")
    read = columns(times.size, arrived=times[order], pool=pool, a={"latency": latency[order]}, b={})
    return bool(completion_stamps(read)), bool(waits_in_latencies(read))


@pytest.mark.parametrize("world", WORLDS)
def test_what_times_and_latencies_are_of(world: str) -> None:
    arrived, begun, ended = queue(*WORLDS[world])
    assert found(arrived, ended - begun) == (False, False)
    assert found(begun, ended - begun) == (False, False)
    assert found(ended, ended - begun) == (True, False)
    assert found(arrived, ended - arrived) == (False, True)
    assert found(ended, ended - arrived)[1]


def test_calls_that_never_wait_are_not_suspected(seed: int) -> None:
    dice = np.random.default_rng(seed)
    for kind in range(4):
        arrived = np.cumsum(dice.gamma(1 / 4 if kind % 2 else 1.0, 1.0, 1500))
        latency = dice.lognormal(0, 1.0, 1500)
        if kind >= 2:  # long tasks at the busy hours, as a day has them
            latency *= 2 + np.sin(np.arange(1500) / 240)
        assert found(arrived, latency) == (False, False), (seed, kind)


def test_lengths_of_answers_that_go_with_the_load_are_no_waits() -> None:
    arrived, begun, _ = queue(2, 0.85, 1.0)
    tokens = 100 + 200 * (begun - arrived)  # as if busy moments had long answers
    read = columns(2000, arrived=arrived, output_tokens=tokens, a={"latency": tokens / 50})
    assert waits_in_latencies(read) == []
    read = columns(2000, arrived=arrived, a={"latency": tokens / 50})
    assert len(waits_in_latencies(read)) == 1


def test_more_calls_in_flight_than_slots() -> None:
    arrived, latency = np.arange(200.0), np.full(200, 4.0)
    assert found(arrived, latency) == (False, False)
    assert found(arrived, latency, pool_of(a=0.01)) == (False, True)
    read = columns(200, arrived=arrived, pool=pool_of(a=0.01), a={"latency": latency})
    [one] = waits_in_latencies(read)
    assert one.what == (
        "latencies contain waits of the log's own load and are not service times: "
        "outcomes.a.latency: 4.02 calls were in flight on average, and the agent has 2 slots"
    )
    assert (one.subject, one.severity) == ("latency", "wrong")
    assert found(arrived, latency / 2, pool_of(a=0.01)) == (False, False)


def test_calls_that_begin_together() -> None:
    latency = np.tile([1.0, 2.5, 4.0, 7.25], 50)
    begun = np.repeat(np.arange(50) * 20.0, 4)
    read = columns(200, arrived=begun + latency, a={"latency": latency})
    [one] = completion_stamps(read)
    assert one.what == (
        "the times are rather those of answers than of arrivals: 75 % of the calls of a begin "
        "together with another if latencies are taken off the times, and the times themselves "
        "differ"
    )
    assert found(begun, latency)[0] is False


def test_every_agent_on_every_task_is_no_log() -> None:
    arrived, _, ended = queue(1, 0.6, 1.0)
    both = {"latency": ended - arrived}
    read = columns(2000, arrived=arrived, a=both, b=both)
    assert (completion_stamps(read), waits_in_latencies(read)) == ([], [])


def test_calls_in_flight() -> None:
    time, latency = np.array([0.0, 1.0, 2.0, 6.0]), np.array([2.0, 4.0, 1.0, 1.0])
    assert in_flight(time, latency).tolist() == [0, 1, 1, 0]


def test_few_calls_in_flight_at_low_load_show_no_ceiling() -> None:
    """Two calls overlap 20 times, and three once if read as arrivals: some 1 call is missing."""
    time = np.arange(200) * 10.0
    time[1:39:2] = time[:38:2] + 0.5
    latency = np.ones(200)
    time[50:53], latency[50:53] = [500.0, 501.0, 502.0], [4.0, 1.5, 0.2]
    assert found(time, latency) == (False, False)
