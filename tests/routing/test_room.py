"""What a live router (``router``) counts of its accounts' limits."""

import numpy as np
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.policies.kernel import choose_kernel, learn_kernel
from routingsim.routing.room import Room


def pool(**fields) -> AgentPool:
    """Two agents of one account, and one without limits; a mean answer has 10 tokens."""
    shared = {"account": "team", "output_tokens": 10.0, **fields}
    ids = {"a": shared, "b": shared, "free": {}}
    return AgentPool(
        tuple(Agent(id=k, name=k, cost=1.0, latency=1.0, **more) for k, more in ids.items())
    )


@pytest.mark.parametrize(
    ("window", "then"),
    [
        # Calls at 30, 70 and 85 s: shares left at 85, 90, 120 and 145 s of 4 a minute.
        ("sliding", [0.25, 0.5, 0.5, 1.0]),
        ("fixed", [0.5, 0.5, 1.0, 1.0]),
        # 15 s give one call back: full before each of them.
        ("bucket", [0.75, 0.75 + 1 / 12, 1.0, 1.0]),
    ],
)
def test_each_window_gives_back_as_it_is_named(window: str, then: list[float]) -> None:
    room, seen = Room(pool(requests_per_minute=4, limit_window=window)), np.zeros(3)
    for a, now in ((0, 30.0), (1, 70.0), (0, 85.0)):
        room.take(a, 5.0, now)
    for now, share in zip((85.0, 90.0, 120.0, 145.0), then, strict=True):
        room.show(seen, now)
        assert seen.tolist() == pytest.approx([share, share, 1.0])


def test_the_least_share_of_several_limits_is_what_is_left() -> None:
    limits = {"requests_per_minute": 10, "tokens_per_minute": 100, "requests_per_day": 1000}
    room, seen = Room(pool(**limits)), np.zeros(3)
    room.take(1, 29.5, 0.0)  # one of ten requests; 39.5 tokens count as 40
    room.show(seen, 0.0)
    assert seen.tolist() == pytest.approx([0.6, 0.6, 1.0])
    room.take(1, 200.0, 1.0)  # more than there is
    room.show(seen, 1.0)
    assert seen.tolist() == [0.0, 0.0, 1.0]
    room.show(seen, 61.0)
    assert seen.tolist() == pytest.approx([0.998, 0.998, 1.0])


def test_a_live_policy_sees_the_room_first_tokens_and_speeds() -> None:
    seen, told = [], []

    @choose_kernel
    def watching(task, pool, memory):
        seen.append((pool.room.tolist(), pool.first_token.tolist(), pool.speed.tolist()))
        return 0

    @learn_kernel
    def hear(task, agent, outcome, pool, memory):
        told.append(outcome.first_token)

    agents = [
        {"id": "a", "name": "A", "cost": 1, "latency": 2, "requests_per_minute": 4, "ttft": 0.3,
         "tokens_per_second": 100, "service": "tokens"},
        {"id": "b", "name": "B", "cost": 1, "latency": 2},
    ]  # fmt: skip
    router = rs.TaskRouter(agents, rs.Policy("w", watching, hear, interpreted=True))
    decisions = [router.route("x"), router.route("x")]
    router.route_batch(["x", "x"])
    rooms = [[1.0, 1.0], [0.75, 1.0], [0.5, 1.0], [0.5, 1.0]]  # a batch sees what was before it
    assert seen == [(room, [0.3, 2.0], [1.0, 1.0]) for room in rooms]
    router.complete(decisions[0].task_id, latency=1.0, first_token=0.4)
    router.complete(decisions[1].task_id, latency=1.0)
    assert told == pytest.approx([0.4, np.nan], nan_ok=True)
