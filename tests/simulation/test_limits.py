"""Limits of accounts, context windows and first tokens, worked out by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import AgentError
from routingsim.policies import make_policy
from routingsim.policies.kernel import LIMITED, OK, TIMED_OUT, TOO_LONG
from routingsim.simulation import engine
from routingsim.simulation.service import system
from routingsim.simulation.state import Workload
from tests.simulation.test_afterwards import ANY, FAILURES, ONE_TRY, agent, run, work

NAN = math.nan


def tokens(tasks: Workload, *each: float) -> Workload:
    """The same tasks, a record each, with so many tokens a call and in the prompt."""
    n, m = len(each), tasks.service.shape[1]
    return tasks._replace(
        row=np.arange(n, dtype=np.int32),
        d_var=np.zeros(n),
        prompt_tokens=np.array(each),
        category=np.zeros(n, np.int64),
        features=np.zeros((n, 0)),
        predicted=np.zeros((n, 0)),
        service=np.repeat(tasks.service, n, axis=0),
        cost=np.repeat(tasks.cost, n, axis=0),
        quality=np.repeat(tasks.quality, n, axis=0),
        tokens=np.repeat(np.array(each)[:, None], m, axis=1),
    )


def limited(**given: Any) -> rs.AgentPool:
    return rs.AgentPool((agent(concurrency=10, **given),))


@pytest.mark.parametrize(
    ("law", "starts"),
    [
        ("sliding", [50.0, 55.0, 110.0, 115.0, 170.0]),
        ("fixed", [50.0, 55.0, 60.0, 60.0, 120.0]),
        ("bucket", [50.0, 55.0, 80.0, 110.0, 140.0]),  # full at 50; 2 in 60 s after that
    ],
)
def test_two_requests_a_minute(law: str, starts: list[float]) -> None:
    pool = limited(requests_per_minute=2, limit_window=law)
    log = run(work([50.0, 55.0, 56.0, 57.0, 58.0], 1.0), system(pool))
    assert log.left.tolist() == starts


def test_tokens_a_minute_and_requests_a_day() -> None:
    sent = [0.0, 1.0, 2.0, 3.0]
    pool = limited(tokens_per_minute=100, requests_per_day=3)
    log = run(tokens(work(sent, 1.0), 60.0, 30.0, 50.0, 10.0), system(pool))
    # The third waits until 60, and nobody overtakes it; the fourth waits for the next day.
    assert log.left.tolist() == [0.0, 1.0, 60.0, 86_400.0]
    alone = run(
        tokens(work(sent, 1.0), 60.0, 500.0, 50.0, 10.0), system(limited(tokens_per_minute=100))
    )
    assert alone.left.tolist() == [0.0, 60.0, 120.0, 120.0]


def test_a_rejected_call_is_a_429_with_retry_after() -> None:
    pool = limited(requests_per_minute=1, over_limit="reject")
    tasks, agents = work([0.0, 10.0, 20.0], 1.0), system(pool)
    log = run(tasks, agents)
    assert log.status.tolist() == [OK, LIMITED, LIMITED]
    assert log.finished.tolist() == [1.0, 10.0, 20.0]
    assert log.cost.tolist() == [1.0, 0.0, 0.0]
    rules = ONE_TRY._replace(attempts=3, backoff=0.5, on=1 << LIMITED)
    again = run(tasks, agents, rules)  # both are sent again at 60; the third once more at 120
    assert again.left.tolist() == [0.0, 60.0, 120.0]
    assert again.attempts.tolist() == [1, 2, 3]
    stormy = run(tasks, agents, rules._replace(retry_after=0))
    assert stormy.status.tolist() == [OK, LIMITED, LIMITED]
    assert stormy.finished.tolist() == [1.0, 11.0, 21.0]


def test_agents_of_an_account_share_its_limits_in_the_order_of_sending() -> None:
    both = {"account": "x", "requests_per_minute": 2}
    pool = rs.AgentPool((agent("a", **both), agent("b", **both)))
    log = run(work([0.0, 0.5, 0.75], 1.0, 1.0), system(pool))
    assert log.left.tolist() == [0.0, 60.0, 61.0] if log.agent[1] else [0.0, 1.0, 60.0]


def test_while_one_call_waits_for_the_account_no_other_starts() -> None:
    """The second call, at agent b, wants 90 tokens; the third, at a, 10, which there are."""
    both = {"account": "x", "tokens_per_minute": 100}
    pool = rs.AgentPool((agent("a", queue_limit=0, **both), agent("b", patience=30.0, **both)))
    tasks = tokens(work([0.0, 0.5, 20.0, 31.0], 1.0, 1.0), 50.0, 90.0, 10.0, 10.0)
    rules = ONE_TRY._replace(attempts=2, on=ANY, fallback=1)
    log = run(tasks, system(pool), rules)
    # The second is shed by a, which is busy, waits at b from 0.5 and leaves at 30.5. The third
    # would be shed at 20 by a, which may not start it, and waits at b behind the second.
    assert log.status.tolist() == [OK, TIMED_OUT, OK, OK]
    assert log.left.tolist() == [0.0, 30.5, 30.5, 31.0]
    assert log.agent.tolist() == [0, 1, 1, 0]


@pytest.mark.slow
@pytest.mark.parametrize("law", ["sliding", "fixed"])
@pytest.mark.parametrize("over", ["wait", "reject"])
def test_no_window_holds_more_than_its_limit(law: str, over: str, seed: int) -> None:
    """An independent count of all calls of an account, at one and a half times its limit."""
    given = {"account": "x", "requests_per_minute": 1600, "tokens_per_minute": 160_000,
             "over_limit": over, "limit_window": law, "latency": 0.37, "service": "lognormal",
             "concurrency": 40, "patience": 5.0}  # fmt: skip
    pool = rs.AgentPool(tuple(agent(name, **given) for name in ("a", "b", "c")))
    random = np.random.default_rng(seed)
    n = 60_000
    tasks = tokens(work(np.cumsum(random.exponential(1 / 40, n)).tolist(), *[0.37] * 3),
                   *np.ceil(random.exponential(100.0, n)))  # fmt: skip
    policy = make_policy(pool, "least-loaded")
    log = engine.run(tasks, system(pool), ONE_TRY, policy.choose, policy.learn,
                     policy.memory.copy(), seed)  # fmt: skip
    taken = log.status == OK
    times = log.left if over == "wait" else tasks.arrived
    order = np.argsort(times[taken], kind="stable")
    starts, spent = times[taken][order], tasks.tokens[taken, 0][order]
    assert 0.3 < taken.mean() < 0.9
    if law == "fixed":
        minute = np.floor(starts / 60.0).astype(int)
        assert np.bincount(minute).max() <= 1600
        assert np.bincount(minute, weights=spent).max() <= 160_000
        return
    assert (starts[1600:] >= starts[:-1600] + 60.0).all()
    before = np.searchsorted(starts + 60.0, starts, side="right")  # the first still in the window
    total = np.concatenate([[0.0], np.cumsum(spent)])
    inside = total[1:] - total[before]
    assert inside.max() <= 160_000
    assert inside.max() > 159_000


def test_a_task_that_does_not_fit_is_not_offered_and_counted_apart() -> None:
    pool = rs.AgentPool((agent("a", context_window=100), agent("b", context_window=1000)))
    tasks = tokens(work([0.0, 0.0, 0.0], 1.0, 1.0), 100.0, 101.0, 1001.0)
    log = run(tasks, system(pool))
    assert log.agent.tolist() == [0, 1, 0]
    assert log.status.tolist() == [OK, OK, TOO_LONG]
    assert log.cost.tolist() == [1.0, 1.0, 0.0]
    named = rs.AgentPool((agent("a", context_window=50, fallback="b"), agent("b")))
    down = system(named, [rs.Outage("b", 0.0, 5.0)])
    rules = ONE_TRY._replace(attempts=2, on=1 << TOO_LONG, backoff=10.0)
    back = run(tokens(work([0.0], 1.0, 1.0), 60.0), down, rules)
    assert back.agent.tolist() == [1]  # only b fits, down or not
    assert back.left.tolist() == [5.0]


def test_first_tokens_in_results() -> None:
    """Prompts of 1,000 tokens, read at 2,000 a second, and 0.25 s before the first token."""
    records = [{"id": str(k), "text": "x" * 4000, "prompt_tokens": 1000} for k in range(2)]
    corpus = rs.load_corpus(pd.DataFrame(records))
    one = agent(service="tokens", latency_cv=0.0, ttft=0.25, prefill_tokens_per_second=2000.0,
                tokens_per_second=100.0, output_tokens=100.0, first_token_timeout=60.0)  # fmt: skip
    result = rs.replay(corpus, rs.AgentPool((one,)), "static:a", arrivals="poisson:1000", seed=1)
    assert result.log.finished[0] - result.log.left[0] == pytest.approx(1.75)
    first = result.first_token
    np.testing.assert_allclose(first, result.log.left + 0.75 - result.work.arrived)
    assert result.to_frame()["first_token"].tolist() == first.tolist()
    assert result.summary().loc["all", "first_token_mean"] == pytest.approx(first.mean())
    shown = {q: f"{result.overall[f'first_token_{q}']:.2f}" for q in ("mean", "p50", "p95")}
    assert f"\nfirst tokens: mean {shown['mean']} s, p50 {shown['p50']} s, p90" in repr(result)
    for text in (result.to_markdown(), result.to_html()):
        assert "first token p95 (s)" in text
        assert shown["p95"] in text
    plain = rs.replay(None, rs.AgentPool((agent(),)), "static:a", arrivals="poisson:0.1", tasks=5)
    assert "first_token_mean" not in plain.summary()
    assert "first token" not in repr(plain) + plain.to_markdown() + plain.to_html()
    np.testing.assert_array_equal(plain.first_token, plain.latency)


def test_statuses_that_can_occur_are_in_the_summary() -> None:
    pool = rs.AgentPool((agent(requests_per_minute=1, over_limit="reject", context_window=10**6),))
    result = rs.replay(None, pool, "static:a", arrivals="poisson:0.5", tasks=40, seed=2)
    whole = result.summary().loc["all"]
    assert whole["rejected"] == (result.log.status == LIMITED).sum() > 10
    assert whole["too_long"] == 0
    assert "not answered: 39 rejected" in repr(result)
    plain = rs.replay(None, rs.AgentPool((agent(),)), "static:a", arrivals="poisson:0.1", tasks=5)
    assert not {"rejected", "too_long"} & set(plain.summary())


def test_an_agent_of_a_limited_account_may_have_no_calls() -> None:
    both = {"account": "x", "requests_per_minute": 60, "concurrency": 2}
    pool = rs.AgentPool((agent("a", **both), agent("b", **both)))
    result = rs.replay(None, pool, "static:a", arrivals="deterministic:1", tasks=61)
    assert result.stability.offered == pytest.approx({"a": 61 / 60, "b": 0.0})


def test_an_outage_of_an_account_is_of_all_its_agents() -> None:
    pool = rs.AgentPool((agent("a", account="x"), agent("b"), agent("c", account="x")))
    result = rs.replay(
        None, pool, "random", arrivals="poisson:5", tasks=60, outages=rs.Outage("x", 5, 9)
    )
    assert result.outages == (rs.Outage("a", 5, 9), rs.Outage("c", 5, 9))
    assert (result.log.agent[(result.work.arrived > 5) & (result.work.arrived < 9)] == 1).all()
    assert result.stability.offered.keys() == {"a", "b", "c"}


def test_capacity_counts_the_limits_of_an_account_once() -> None:
    both = {"account": "x", "requests_per_minute": 60, "concurrency": 2}
    pool = rs.AgentPool((agent("a", **both), agent("b", **both), agent("c")))
    assert pool.capacity == 2.0  # one a second of the account, one of c
    daily = agent("d", requests_per_day=8640, concurrency=2)
    assert daily.capacity == pytest.approx(0.1)


def test_contradictions_are_named() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"over_limit": "reject"}, "agent a, field over_limit: 'reject' needs a limit: one of "
         "requests_per_minute, tokens_per_minute, requests_per_day"),
        ({"limit_window": "bucket"}, "agent a, field limit_window: 'bucket' needs a limit: one of "
         "requests_per_minute, tokens_per_minute, requests_per_day"),
        ({"prefill_tokens_per_second": 9.0}, "agent a, field prefill_tokens_per_second: it adds to "
         "ttft, which is not given; give ttft, 0 for none"),
        ({"tokens_per_minute": 0}, "agent a, field tokens_per_minute: Expected `int` >= 1, found "
         "0"),
    ]  # fmt: skip
    for given, said in cases:
        with pytest.raises(AgentError) as caught:
            agent(**given)
        assert str(caught.value) == said
    with pytest.raises(AgentError) as caught:
        rs.AgentPool((agent("a", account="x", requests_per_minute=5), agent("b", account="x")))
    assert str(caught.value) == (
        "agent b, field requests_per_minute: None, and 5 at a of the same account 'x'; agents of "
        "one account share its limits, so give both the same"
    )
    with pytest.raises(AgentError, match="field account: 'b' is the id of an agent"):
        rs.AgentPool((agent("a", account="b"), agent("b")))
    text = [{"id": "a", "name": "A", "cost": 1, "latency": 1, "tpm": 5}]
    with pytest.raises(AgentError, match=r"no field 'tpm': .*did you mean 'tokens_per_minute'\?$"):
        rs.load_agents(text)


def test_limits_that_never_bind_leave_every_array_as_it_was() -> None:
    given = {"service": "lognormal", "concurrency": 2, "patience": 4.0}
    more = {"requests_per_minute": 10**6, "tokens_per_minute": 10**9, "requests_per_day": 10**7,
            "context_window": 10**6}  # fmt: skip
    arrived = np.cumsum(np.random.default_rng(2).exponential(1 / 4.5, 300))
    tasks = tokens(work(arrived.tolist(), 1.0, 1.0), *[100.0] * 300)
    logs = []
    for extra in ({}, more, {**more, "over_limit": "reject"}, {**more, "account": "x"},
                  {**more, "account": "x", "limit_window": "bucket"}):  # fmt: skip
        pool = rs.AgentPool(tuple(agent(name, **given, **extra) for name in ("a", "b")))
        logs.append(run(tasks, system(pool), ONE_TRY._replace(attempts=2, on=FAILURES)))
    assert (logs[0].status == TIMED_OUT).any()
    for log in logs[1:]:
        for name in ("agent", "status", "attempts", "left", "finished", "wait", "cost", "first"):
            np.testing.assert_array_equal(getattr(log, name), getattr(logs[0], name), name)
