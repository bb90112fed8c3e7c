"""What policies are shown of a run: limits, first tokens, and outcomes, worked out by hand."""

import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.policies.kernel import LIMITED, OK, TOO_LONG, choose_kernel, learn_kernel
from routingsim.policies.policy import make_policy
from routingsim.policies.reads import may_read


def agent(name: str, **fields) -> rs.Agent:
    fields = {"cost": 1.0, "latency": 2.0, "service": "deterministic"} | fields
    return rs.Agent(id=name, name=name, **fields)


def corpus(*prompts: int) -> rs.Corpus:
    """A task every ten seconds, with prompts of so many tokens."""
    texts = ["x" * 4 * each for each in prompts]
    times = [10.0 * k for k in range(len(prompts))]
    frame = pd.DataFrame({"id": range(len(prompts)), "text": texts, "arrived_at": times})
    return rs.Corpus.from_frame(frame)


def test_a_policy_sees_what_is_left_of_the_limits_of_each_account() -> None:
    seen: list[list[float]] = []

    def watching(task, pool, memory):
        seen.append(pool.room.tolist())
        return 0

    shared = {"account": "team", "requests_per_minute": 4, "tokens_per_minute": 1000}
    pool = rs.AgentPool(
        tuple(
            agent(name, output_tokens=100.0, **more)
            for name, more in {"a": shared, "b": shared, "free": {}}.items()
        )
    )
    result = rs.replay(corpus(10, 10, 700, 10, 10, 10, 10, 10), pool, watching, arrivals="corpus")
    # The third takes 800 tokens: it waits until the first's 110 are given back, and all wait
    # behind it. From then on 910 of 1,000 are taken whenever a task comes.
    assert result.log.left.tolist() == [0.0, 10.0, 60.0, 70.0, 120.0, 120.0, 120.0, 130.0]
    rooms = [1.0, 0.75, 0.5, 0.5, 0.5, 0.5, 0.09, 0.09]
    assert seen == [[room, room, 1.0] for room in map(pytest.approx, rooms)]


def test_outcomes_carry_first_tokens_and_statuses() -> None:
    told: list[tuple[int, int, object]] = []
    expected: list[list[float]] = []

    @choose_kernel
    def first(task, pool, memory):
        expected.append(pool.first_token.tolist())
        return int(task.index == 1 or task.index == 3)

    @learn_kernel
    def hear(task, agent, outcome, pool, memory):
        told.append((task.index, outcome.status, outcome.first_token))

    streaming = {
        "service": "tokens", "latency_cv": 0.0, "ttft": 0.5, "tokens_per_second": 100.0,
        "prefill_tokens_per_second": 100.0, "output_tokens": 100.0,
    }  # fmt: skip
    limits = {"requests_per_minute": 2, "over_limit": "reject", "context_window": 500}
    pool = rs.AgentPool((agent("a", **limits, **streaming), agent("b", error_rate=0.999)))
    policy = rs.Policy("first", first, hear, interpreted=True)
    rs.replay(corpus(100, 600, 150, 600, 10), pool, policy, arrivals="corpus", seed=1)
    # Prompts of 292 tokens in the mean are read in 2.92 s; b's answers come whole, after 2 s.
    assert expected == [[pytest.approx(3.42), 2.0]] * 5
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert told == [
        (0, OK, pytest.approx(0.5 + 1.0)),
        (1, 1, nan),
        (2, OK, pytest.approx(0.5 + 1.5)),
        (3, 1, nan),
        (4, LIMITED, nan),
    ]
    told.clear()
    small = rs.AgentPool((agent("a", context_window=5),))
    always = rs.Policy("a", choose_kernel(lambda t, p, m: 0), hear, interpreted=True)
    rs.replay(corpus(6, 5), small, always, arrivals="corpus")
    assert told == [(0, TOO_LONG, nan), (1, OK, pytest.approx(2.0))]


def test_a_window_that_no_task_fits_is_named() -> None:
    small = rs.AgentPool((agent("a", context_window=5), agent("b")))
    assert len(rs.replay(corpus(6, 5), small, "random", arrivals="corpus")) == 2
    said = "agent a, field context_window: 5 tokens, and the shortest prompt has 6, so that no task"
    with pytest.raises(SimulationError, match=said):
        rs.replay(corpus(6, 7), small, "random", arrivals="corpus")


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_policy_sees_what_each_task_is_expected_to_cost(compiled: bool) -> None:
    """Answers of 100 tokens: n prompt tokens cost n + 1,000 at a, 8 n + 200 at b (USD/million)."""
    seen: list[list[float]] = []

    def watching(task, pool, memory):
        seen.append(pool.price.tolist())
        return reads_price(task, pool, memory)

    free = {"cost": 0.0, "output_tokens": 100.0}
    pool = rs.AgentPool(
        (
            agent("a", **free, price_input=1.0, price_output=10.0),
            agent("b", **free, price_input=8.0, price_output=2.0),
        )
    )
    policy = choose_kernel(reads_price) if compiled else watching
    tasks = corpus(10, 1000, 20)
    result = rs.replay(tasks, pool, policy, arrivals="corpus")
    assert result.log.agent.tolist() == [1, 0, 1]
    assert rs.replay(tasks, pool, "cheapest", arrivals="corpus").log.agent.tolist() == [1, 0, 1]
    assert result.log.cost.tolist() == pytest.approx([280e-6, 2000e-6, 360e-6])
    if not compiled:
        costs = [[1010e-6, 280e-6], [2000e-6, 8200e-6], [1020e-6, 360e-6]]
        assert seen == [pytest.approx(each) for each in costs]


def reads_price(task, pool, memory):
    return int(pool.price[1] < pool.price[0])


def reads_room(task, pool, memory):
    return int(pool.room[0] < 0.5)


def test_only_policies_that_may_read_it_are_shown_the_room() -> None:
    pool = rs.load_agents()
    assert not may_read(make_policy(pool, "least-loaded"), "room")
    assert not may_read(make_policy(pool, "linucb"), "room")
    assert may_read(make_policy(pool, reads_room), "room")
    # Not all code of others can be found, so it is shown to them all.
    assert may_read(make_policy(pool, lambda task, pool, memory: 0), "room")
