"""Concurrency and limits, inferred where a log shows them and not where it does not."""

import heapq
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import simpy

import routingsim as rs
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.logs.call_log import CallLog
from routingsim.simulation.limit_fit import LimitFit, fit_limits
from routingsim.simulation.limit_levels import Most

from .logs_of_known_truth import log_of, starts

SIZE = 3_000


def found(rate: float, slots: int, per_minute: int | None, seed: int = 1) -> LimitFit:
    rng = np.random.default_rng(seed)
    service = rng.lognormal(0.5, 0.5, SIZE)  # 1.87 s on average
    arrived = np.cumsum(rng.exponential(1 / rate, SIZE))
    begun = starts(arrived, service, slots, per_minute)
    fit = fit_limits(log_of(arrived_at=begun, latency=service))
    assert fit is not None
    return fit


@pytest.mark.parametrize(
    ("rate", "slots", "per_minute", "fields"),
    [
        (1.2, 4, None, {"concurrency": 4}),  # 56 % of the slots in use
        (2.5, 4, None, {"concurrency": 4}),  # overloaded
        (1.2, 999, 60, {"requests_per_minute": 60}),
        (0.9, 999, 60, {"requests_per_minute": 60}),
        (1.0, 4, 60, {"concurrency": 4, "requests_per_minute": 60}),
    ],
)
def test_limits_that_bind_are_found(
    rate: float, slots: int, per_minute: int | None, fields: dict[str, int]
) -> None:
    fit = found(rate, slots, per_minute)
    assert fit.at_once.binds == ("concurrency" in fields)
    assert {name: fit.fields.get(name) for name in fields} == fields
    assert ("requests_per_minute" in fit.fields) == ("requests_per_minute" in fields)
    assert all(fit.comments[name].startswith("inferred: ") for name in fields)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("rate", "per_minute"), [(1.2, None), (0.5, 60)])
def test_limits_that_do_not_bind_are_not_claimed(
    rate: float, per_minute: int | None, seed: int
) -> None:
    fit = found(rate, 999, per_minute, seed)
    assert fit.fields == {"concurrency": 4 * fit.at_once.level}
    said = f"assumed: the log shows no limit; at most {fit.at_once.level} calls at once, and 4 "
    assert fit.comments["concurrency"].startswith(said)


@pytest.mark.parametrize("service", [np.full(SIZE, 3.5), np.linspace(1.0, 3.9, SIZE)])
def test_calls_by_the_clock_show_no_limit(service: np.ndarray) -> None:
    """A call a second: 60 in any minute, and 4 at once, without any limit."""
    fit = fit_limits(log_of(arrived_at=np.arange(SIZE) * 1.0, latency=service))
    assert fit is not None
    assert not fit.at_once.binds
    assert not fit.in_a_minute.binds


@pytest.mark.parametrize(("rate", "window"), [(1.0, "sliding"), (0.8, "sliding"), (1.1, "fixed")])
def test_limits_of_tokens_that_bind_are_found(rate: float, window: str) -> None:
    """Calls of 926 tokens on average under 60,000 a minute, of which they ask 44,000 or more."""
    fit = fit_limits(limited(rate, 60_000, window))
    assert fit is not None
    assert fit.fields["tokens_per_minute"] == 60_000
    assert fit.fields.get("limit_window", "sliding") == window
    assert "requests_per_minute" not in fit.fields
    what = "any 60 s" if window == "sliding" else "any minute of the clock"
    said = fit.comments["tokens_per_minute"]
    assert said.startswith(f"inferred: the most tokens of calls that began in {what}, reached ")
    most = fit.tokens_in_a_minute
    assert most is not None
    assert said.endswith(
        f"(chance without a limit below 1e-9), {most.level:,} at the most, while calls that would "
        f"have made it {most.short_of:,.0f} waited; or a client that sends no more"
    )
    assert 59_900 < most.level <= 60_000 < most.short_of < 60_100


@pytest.mark.parametrize(("rate", "limit"), [(1.0, 10**9), (0.3, 10**9), (0.8, 120_000)])
def test_limits_of_tokens_that_do_not_bind_are_not_claimed(rate: float, limit: int) -> None:
    fit = fit_limits(limited(rate, limit))
    assert fit is not None
    assert {*fit.fields} == {"concurrency"}


def test_the_same_batch_again_and_again_shows_no_limit() -> None:
    """Fifty calls every ten minutes: no more of them, for there are no more."""
    rng = np.random.default_rng(2)
    begun = np.sort(rng.uniform(0, 25, 50 * 40) + np.repeat(np.arange(40) * 600.0, 50))
    tokens = np.tile(rng.lognormal(6, 0.7, 50).round(), 40)
    both = {"prompt_tokens": tokens, "output_tokens": tokens}
    fit = fit_limits(log_of(arrived_at=begun, latency=0.5 + tokens / 200, **both))
    assert fit is not None
    assert {*fit.fields} == {"concurrency"}
    assert not fit.at_once.binds


def test_calls_that_fail_at_the_most_show_a_limit_that_refuses() -> None:
    """Sixty a minute, the others refused at once; nobody tries again."""
    rng = np.random.default_rng(3)
    arrived, begun, status = np.cumsum(rng.exponential(0.9, 4_000)), [-60.0], []
    for at in arrived:
        taken = len(begun) < 60 or at >= begun[-60] + 60.0
        begun += [at] if taken else []
        status.append("ok" if taken else "failed")
    log = log_of(arrived_at=arrived, latency=np.full(4_000, 0.5), status=status)
    fit = fit_limits(log)
    assert fit is not None
    assert fit.fields["requests_per_minute"] == 60
    lost = log.select(log.statuses == 0)  # without the failed calls there are none to miss
    fit = fit_limits(lost)
    assert fit is not None
    assert "requests_per_minute" not in fit.fields


def limited(rate: float, limit: int, window: str = "sliding") -> CallLog:
    """Calls that start, one after the other, when their tokens have room in a minute."""
    rng = np.random.default_rng(int(10 * rate))
    answer = rng.lognormal(5.5, 0.7, SIZE).round()
    prompt = rng.lognormal(6.0, 0.9, SIZE).round()
    begun: list[float] = []
    leaves: list[float] = []
    first, held = 0, 0.0
    for k, at in enumerate(np.cumsum(rng.exponential(1 / rate, SIZE))):
        start = max(at, begun[-1]) if begun else at
        while True:
            while first < k and leaves[first] <= start:
                held -= answer[first] + prompt[first]
                first += 1
            if held + answer[k] + prompt[k] <= limit:
                break
            start = leaves[first]
        begun.append(start)
        leaves.append(start + 60 if window == "sliding" else (start // 60 + 1) * 60)
        held += answer[k] + prompt[k]
    service = (0.3 + answer / 160) * rng.lognormal(0, 0.2, SIZE)
    return log_of(
        arrived_at=np.array(begun), latency=service, prompt_tokens=prompt, output_tokens=answer
    )


@pytest.mark.parametrize(("slots", "load"), [(6, 0.9), (20, 0.97), (3, 0.8)])
def test_slots_that_latencies_wait_for_are_found(slots: int, load: float) -> None:
    arrived, service, tokens = calls(slots / load)
    latency = starts(arrived, service, slots) + service - arrived
    fit = fit_limits(log_of(arrived_at=arrived, latency=latency, output_tokens=tokens))
    assert fit is not None
    assert fit.waits is not None
    assert fit.fields == {"concurrency": slots}
    assert fit.waits.low <= slots <= fit.waits.high
    assert abs(fit.crowding) < 0.1
    wait = latency - service
    assert fit.waits.waited == pytest.approx((wait > 1e-9).mean(), abs=0.01)
    assert fit.waits.wait == pytest.approx(wait[wait > 1e-9].mean(), rel=0.02)
    assert fit.comments["concurrency"].startswith(f"inferred: {fit.waits.waited:.0%} of the calls ")
    assert fit.notes == [
        f"latencies include waits for {slots} slots at the provider: they are taken off service "
        "times, and a replay makes calls wait for the slots"
    ]
    told = fit_limits(log_of(arrived_at=arrived, latency=latency), queue=False)
    assert told is not None
    assert told.waits is None
    assert told.notes[0].startswith("latency rises with the number of calls under way (rank corr")


@pytest.mark.parametrize("tokens_told", [True, False])
@pytest.mark.parametrize("world", ["slow hours", "drift", "shared speed"])
def test_no_slots_are_claimed_where_other_things_make_calls_slow(
    world: str, tokens_told: bool
) -> None:
    arrived, service, tokens = calls(20.0)
    if world == "slow hours":
        latency = service * np.where(arrived // 300 % 3 == 0, 2.2, 1.0)
    elif world == "drift":
        latency = service * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.03, SIZE)))
    else:
        latency = shared(arrived, service, 22)
    given = {"output_tokens": tokens} if tokens_told else {}
    fit = fit_limits(log_of(arrived_at=arrived, latency=latency, **given))
    assert fit is not None
    assert fit.waits is None


def calls(busy: float) -> tuple[np.ndarray, ...]:
    """Arrivals and service times so that ``busy`` calls are under way on average, and tokens."""
    rng = np.random.default_rng(11)
    tokens = rng.lognormal(5.5, 0.7, SIZE).round()
    service = (0.5 + tokens / 80) * rng.lognormal(0, 0.3, SIZE)
    return np.cumsum(rng.exponential(service.mean() / busy, SIZE)), service, tokens


def shared(arrived: np.ndarray, work: np.ndarray, slots: int) -> np.ndarray:
    """Latencies of calls that share the speed of ``slots`` among all (processor sharing)."""
    now, ends, done = 0.0, np.zeros(arrived.size), 0.0
    left: list[tuple[float, int]] = []  # done when each ends, of the work that all have had
    for k, at in enumerate([*arrived, np.inf]):
        while left:
            speed = min(1.0, slots / len(left))
            end = now + (left[0][0] - done) / speed
            if end > at:
                break
            done, now = left[0][0], end
            ends[heapq.heappop(left)[1]] = now
        if left:
            done += (at - now) * min(1.0, slots / len(left))
        now = at
        if k < arrived.size:
            heapq.heappush(left, (done + work[k], k))
    return ends - arrived


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["ours", "SimPy"])
def test_logs_of_simulators_show_what_their_agents_have(simulator: str) -> None:
    """Tokens a minute, where calls are logged as they begin; slots, as they are sent."""
    run = our_run if simulator == "ours" else simpys_run
    limit = 65_000  # of some 59,000 that they ask for
    sent, begun, ended, tokens = run(slots=40, limit=limit)
    fit = fit_limits(
        log_of(arrived_at=begun, latency=ended - begun, prompt_tokens=tokens, output_tokens=tokens)
    )
    assert fit is not None
    assert (fit.waits, fit.fields["tokens_per_minute"]) == (None, limit)
    sent, begun, ended, tokens = run(slots=8, limit=None)
    fit = fit_limits(log_of(arrived_at=sent, latency=ended - sent, output_tokens=tokens))
    assert fit is not None
    assert fit.fields == {"concurrency": 8}
    fit = fit_limits(log_of(arrived_at=begun, latency=ended - begun, output_tokens=tokens))
    assert fit is not None
    assert (fit.waits, fit.fields) == (None, {"concurrency": 8})
    sent, begun, ended, tokens = run(slots=999, limit=None)
    fit = fit_limits(
        log_of(arrived_at=begun, latency=ended - begun, prompt_tokens=tokens, output_tokens=tokens)
    )
    assert fit is not None
    assert (fit.waits, {*fit.fields}) == (None, {"concurrency"})
    assert not fit.at_once.binds


def our_run(slots: int, limit: int | None) -> tuple[np.ndarray, ...]:
    """When calls are sent, begin and end in our own simulator, and tokens of prompt and answer."""
    arrived, _, tokens = calls(7.3)
    tasks = {"id": np.arange(SIZE).astype(str), "text": "", "arrived_at": arrived}
    tasks |= {"prompt_tokens": tokens, "output_tokens": tokens}
    fields: dict[str, Any] = {
        "latency_cv": 0.3,
        "ttft": 0.5,
        "tokens_per_second": 80.0,
        "latency": 4.0,
    }
    one = rs.Agent(
        id="m", name="M", cost=0.0, service="tokens", concurrency=slots, tokens_per_minute=limit,
        **fields,
    )  # fmt: skip
    corpus = Corpus.from_frame(pd.DataFrame(tasks))
    result = rs.replay(corpus, rs.AgentPool((one,)), "static:m", arrivals="corpus", seed=1)
    table = result.to_frame()
    order = np.argsort(table["started_at"].to_numpy(), kind="stable")
    columns = ("arrived_at", "started_at", "finished_at")
    sent, begun, ended = (table[name].to_numpy()[order] for name in columns)
    return sent, begun, ended, tokens[order]


def simpys_run(slots: int, limit: int | None) -> tuple[np.ndarray, ...]:
    """The same in SimPy, where tokens come back a minute after they were taken."""
    arrived, service, tokens = calls(7.3)
    env = simpy.Environment()
    slot, line = simpy.Resource(env, slots), simpy.Resource(env, 1)
    left = simpy.Container(env, limit or 10**9, limit or 10**9)
    begun, ended = np.zeros(SIZE), np.zeros(SIZE)

    def back(count: float):
        yield env.timeout(60.0)
        yield left.put(count)

    def call(k: int):
        yield env.timeout(arrived[k])
        with slot.request() as mine:
            yield mine
            with line.request() as turn:
                yield turn
                yield left.get(2 * tokens[k])
            env.process(back(2 * tokens[k]))
            begun[k] = env.now
            yield env.timeout(service[k])
        ended[k] = env.now

    for k in range(SIZE):
        env.process(call(k))
    env.run()
    return arrived, begun, ended, tokens


def test_too_few_calls_show_nothing() -> None:
    assert fit_limits(log_of(arrived_at=np.arange(29) * 1.0, latency=np.ones(29))) is None


def test_how_sure() -> None:
    said = "reached 12 times, for 1,500 s without a further start (chance without a limit "
    assert str(Most(4, 1500.0, 12, 10.0)) == f"{said}5e-05)"
    assert str(Most(4, 1500.0, 12, math.inf)) == f"{said}below 1e-9)"
    assert Most(4, 1500.0, 10, 10.0).binds
    assert not Most(4, 1500.0, 10, 10.0, wanted=False).binds
    assert not Most(4, 1500.0, 9, 10.0).binds
    assert not Most(4, 1500.0, 10, 9.9).binds


@pytest.mark.parametrize(
    ("level", "short_of", "roundest"),
    [
        (59_963, 60_001.0, 60_000),
        (59_963, 59_990.0, 59_970),
        (59_963, 59_964.0, 59_963),
        (60, 61.0, 60),
        (60_000, 60_001.0, 60_000),
        (59_963, math.inf, 59_963),
    ],
)
def test_a_limit_is_the_roundest_number_that_can_be(
    level: int, short_of: float, roundest: int
) -> None:
    assert Most(level, 9.0, 20, 20.0, True, short_of).roundest == roundest
