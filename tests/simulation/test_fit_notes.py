"""What the times of a log say about how they were taken."""

import numpy as np
import pandas as pd
import pytest

from routingsim.corpora.logs.read import read_log
from routingsim.simulation.fit_notes import about_times, ceiling


def latencies(count: int = 1_000, *, mean: float = 2.0, seed: int = 1) -> np.ndarray:
    return mean * np.random.default_rng(seed).lognormal(-0.125, 0.5, count)


def found(log: pd.DataFrame) -> tuple[int, list[str]]:
    mine, notes = ceiling(read_log(log, "calls"))
    return int(mine.sum()), notes


def test_a_pile_at_the_largest_latency_is_a_ceiling() -> None:
    latency = np.minimum(latencies(), 3.0)
    count = int((latency == 3.0).sum())
    log = pd.DataFrame({"latency": latency})
    said = "calls end at 3 s, the largest latency"
    assert found(log) == (count, [f"{count} of 1,000 {said}: they are taken as given up there"])
    failed = log.assign(status=np.where(latency == 3.0, "failed", "ok"))
    assert found(failed) == (count, [f"{count} failed {said}: they are taken as given up there"])
    assert found(log.assign(status="ok")) == (
        0,
        [
            f"{count} answered {said} of an answer: if they were given up there, give them the "
            "status timeout"
        ],
    )
    assert found(log.assign(status=np.where(latency == 3.0, "timeout", "ok"))) == (0, [])


def test_a_pile_that_is_not_exact_is_one_too() -> None:
    latency = latencies()
    late = latency > 3.0
    latency[late] = 3.0 + 0.04 * np.random.default_rng(2).random(late.sum())
    assert found(pd.DataFrame({"latency": latency}))[0] >= late.sum()


@pytest.mark.parametrize(
    ("count", "seed"), [*((20, k) for k in range(5)), *((1_000, k) for k in range(5)), (20_000, 0)]
)
def test_times_without_a_ceiling_have_none(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = latencies(count, seed=seed)
    for latency in (
        smooth,
        np.ceil(smooth),
        np.full(count, 2.0),
        1 + rng.random(count),
        np.where(rng.random(count) < 0.5, 1.0, 5.0),
        2 * rng.lognormal(0, 0.01, count),
        rng.exponential(2.0, count),
    ):
        assert found(pd.DataFrame({"latency": latency})) == (0, [])


def test_answers_of_the_greatest_length_are_no_ceiling() -> None:
    tokens = np.minimum(np.random.default_rng(3).lognormal(5, 0.8, 1_000), 200.0)
    log = pd.DataFrame({"latency": 0.1 + tokens / 50, "tokens": tokens})
    assert found(log) == (0, [])
    assert found(log.drop(columns="tokens"))[0] == (tokens == 200).sum()


def test_milliseconds_are_named_with_the_remedy() -> None:
    latency = np.full(50, 2_500.0)
    remedy = (
        "these are probably milliseconds; if so, say it with "
        'read_log(log, columns={"latency": "latency:ms"})'
    )
    assert about_times(latency, None) == [f"a median latency of 2,500 s: {remedy}"]
    assert about_times(latency, np.full(50, 500.0)) == [
        f"a median latency of 2,500 s and 0.2 tokens per second: {remedy}"
    ]
    assert about_times(latency / 1000, None) == []
    assert about_times(latency / 1000, np.full(50, 500.0)) == []
    hours = np.linspace(2_000.0, 3_000.0, 50)
    assert about_times(hours, 30 * hours) == []


def test_times_of_the_first_token_are_named() -> None:
    rng = np.random.default_rng(4)
    latency, tokens = rng.lognormal(-1, 0.3, 500), rng.integers(50, 300, 500).astype(float)
    [said] = about_times(latency, tokens)
    assert said.startswith("latency does not grow with tokens (rank correlation ")
    assert said.endswith(
        " over 500 calls); if it is the time to the first token, give the time of the whole call"
    )
    assert about_times(0.3 + tokens / 50, tokens) == []
    assert about_times(latency[:29], tokens[:29]) == []
    assert about_times(np.full(50, 0.2), np.full(50, 500.0)) == [
        "a median of 2,500 tokens per second is faster than calls are: latency may not be that of "
        "the whole call; if it is the time to the first token, give the time of the whole call"
    ]
    assert about_times(np.full(50, 10.0), np.full(50, 500.0)) == []
