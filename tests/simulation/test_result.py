"""What a replay says of itself.

Tests of ``result`` and of the functions of its record: ``run_record``, ``run_tables``,
``run_summary``, ``run_intervals`` and ``run_text``.
"""

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.simulation import theory
from routingsim.simulation.result import ReplayResult


def one(**fields) -> AgentPool:
    given: dict[str, Any] = {"latency": 1.0, "service": "deterministic", "concurrency": 1} | fields
    return AgentPool((Agent(id="a", name="A", cost=1.0, **given),))


def run(pool: AgentPool, times: list[float], **settings) -> ReplayResult:
    return rs.replay(None, pool, "static:a", arrivals=rs.Trace(times), tasks=len(times), **settings)


# -- by hand: one slot, one second a task ------------------------------------------------


def test_a_frame_by_hand() -> None:
    frame = run(one(patience=1.5), [0, 0, 0, 10]).to_frame()
    np.testing.assert_array_equal(frame["started_at"], [0, 1, np.nan, 10])
    np.testing.assert_array_equal(frame["finished_at"], [1, 2, 1.5, 11])
    np.testing.assert_array_equal(frame["wait"], [0, 1, 1.5, 0])
    np.testing.assert_array_equal(frame["latency"], [1, 2, 1.5, 1])
    np.testing.assert_array_equal(frame["service"], [1, 1, np.nan, 1])
    assert frame["status"].tolist() == ["ok", "ok", "timed_out", "ok"]
    assert frame["task_id"].tolist() == ["0", "1", "2", "3"]


@pytest.mark.slow
def test_statuses_are_kept_apart() -> None:
    times = [0.0] * 5
    row = run(one(queue_limit=2, patience=1.5), times).summary().loc["a"]
    assert row[["tasks", "ok", "failed", "timed_out", "shed"]].tolist() == [5, 2, 0, 1, 2]
    assert row["latency_mean"] == 1.5
    assert row["wait_mean"] == 0.5
    assert row["throughput"] == 1.0
    lost = run(one(error_rate=0.999), [0, 5, 10]).overall
    assert lost["failed"] == 3
    assert math.isnan(lost["latency_mean"])
    assert lost["throughput"] == 0


def test_the_overall_figures_are_the_last_row_of_the_summary() -> None:
    result = run(one(queue_limit=2, patience=1.5), [0.0] * 5)
    last = result.summary().iloc[-1]
    assert list(result.overall) == list(last.index)
    np.testing.assert_array_equal(list(result.overall.values()), last.to_numpy())
    assert (result.overall["tasks"], result.overall["share"], result.overall["shed"]) == (5, 1.0, 2)


def test_utilisation_and_window_by_hand() -> None:
    result = run(one(concurrency=2), [0, 4, 4, 8])
    assert result.window == (0, 9)
    np.testing.assert_allclose(result.utilisation, 4 / 18)


@pytest.mark.slow
def test_utilisation_and_wait_against_exact_values() -> None:
    pool = one(service="exponential", concurrency=3)
    result = rs.replay(None, pool, "static:a", arrivals="poisson:2.1", tasks=400_000, seed=5)
    exact = theory.mmc(2.1, 1.0, 3)
    assert result.overall["utilisation"] == pytest.approx(0.7, abs=0.01)
    assert result.overall["throughput"] == pytest.approx(2.1, rel=0.01)
    found = result.interval("wait")
    error = found.half_width / 2.045  # t of 29 degrees of freedom
    assert abs(found.mean - exact.wait_mean) < 4.5 * error
    assert result.overall["wait_p95"] == pytest.approx(exact.wait_quantile(0.95), rel=0.05)


# -- every try --------------------------------------------------------------------------


def test_calls_are_sent_when_their_back_off_is_over() -> None:
    retries = rs.Retries(attempts=4, backoff=0.5, factor=3.0)
    result = run(one(error_rate=0.6, concurrency=2), list(range(0, 400, 3)), seed=2,
                 retries=retries)  # fmt: skip
    calls = result.calls()
    assert calls["attempt"].to_numpy().max() == 3
    assert len(calls) == result.log.attempts.sum()
    for _, tries in calls.groupby("task"):
        sent, ended = tries["sent_at"].to_numpy(), tries["ended_at"].to_numpy()
        np.testing.assert_array_equal(sent[:1], result.work.arrived[tries["task"]][:1])
        np.testing.assert_array_equal(sent[1:], ended[:-1] + 0.5 * 3.0 ** np.arange(len(sent) - 1))
    waits = (calls["left_at"] - calls["sent_at"]).to_numpy()
    summed = np.bincount(calls["task"], weights=waits)
    np.testing.assert_allclose(summed, result.log.wait, atol=1e-9)
    np.testing.assert_array_equal(calls.groupby("task")["status"].last(), result.log.status)


def test_calls_without_retries_are_the_tasks() -> None:
    result = run(one(), [0, 0, 5])
    calls = result.calls()
    np.testing.assert_array_equal(calls["sent_at"], [0, 0, 5])
    np.testing.assert_array_equal(calls["left_at"], [0, 1, 5])
    assert calls["attempt"].tolist() == [0, 0, 0]


def test_retries_count_in_utilisation_and_cost() -> None:
    result = run(one(error_rate=0.5), list(range(0, 2_000, 20)), retries=rs.Retries(3), seed=1)
    tries = int(result.log.attempts.sum())
    assert tries > 120
    begin, end = result.window
    assert result.overall["utilisation"] == pytest.approx(tries / (end - begin))
    assert result.overall["cost"] == pytest.approx(tries * 0.3)


# -- warm-up ------------------------------------------------------------------------------


def test_warm_up_is_of_timing_only() -> None:
    corpus = rs.load_corpus("tasks")
    whole, part = (
        rs.replay(corpus, None, "least-loaded", arrivals="poisson:6", seed=1, warm_up=share)
        for share in (0.0, 0.5)
    )
    for name in ("tasks", "ok", "cost", "share", "quality"):
        pd.testing.assert_frame_equal(whole.summary().filter([name]), part.summary().filter([name]))
    assert part.window[0] == 0.5 * part.work.arrived[-1]
    late = part.work.arrived >= part.window[0]
    assert part.timed.sum() == late.sum() < len(part)
    assert part.overall["latency_mean"] == pytest.approx(part.latency[late].mean())
    assert whole.overall["latency_mean"] == pytest.approx(whole.latency.mean())


def test_warm_up_is_a_tenth_of_the_horizon_for_models_alone() -> None:
    pool = one()
    synthetic = rs.replay(None, pool, "static:a", arrivals="poisson:0.5", tasks=100)
    assert synthetic.warm_up == 0.1
    assert "the first 10% is warm-up" in repr(synthetic)
    assert synthetic.to_dict()["window"] == {
        "begin": 0.1 * synthetic.work.arrived[-1],
        "end": synthetic.work.arrived[-1],
        "warm_up": 0.1,
    }
    recorded = run(pool, [0, 1, 2])
    assert recorded.warm_up == 0
    assert "warm-up" not in repr(recorded)


# -- may it be believed -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrivals", "verdict"),
    [
        ("deterministic:0.5", "steady"),
        ("poisson:0.97", "too short to say"),
        ("deterministic:1.3", "growing"),
    ],
)
def test_stability(arrivals: str, verdict: str) -> None:
    result = rs.replay(None, one(), "static:a", arrivals=arrivals, tasks=5_000, seed=2)
    assert result.stability.verdict == verdict
    assert result.stability.offered["a"] == pytest.approx(float(arrivals[-4:].strip(":")), rel=0.04)
    assert str(result.stability) in " ".join(repr(result).split())


def test_a_limit_a_minute_can_be_the_bottleneck() -> None:
    pool = one(requests_per_minute=30, concurrency=10)
    result = rs.replay(None, pool, "static:a", arrivals="deterministic:0.6", tasks=500)
    assert result.stability.verdict == "growing"
    assert result.stability.offered["a"] == pytest.approx(1.2, rel=0.01)


def test_offered_load_is_of_the_time_an_agent_is_up() -> None:
    """Half of the time down at 70 % of what the slot can do: too much for the other half."""
    outages = [rs.Outage("a", down, down + 50.0) for down in range(0, 1000, 100)]
    settings: dict[str, Any] = {"arrivals": "deterministic:0.7", "tasks": 700}
    broken = rs.replay(None, one(), "static:a", outages=outages, **settings)
    assert broken.stability.offered["a"] == pytest.approx(1.4, rel=0.01)
    assert broken.stability.verdict == "growing"
    gone = rs.replay(
        None, one(patience=1.0), "static:a", outages=rs.Outage("a", 0, 1e6), **settings
    )
    assert gone.stability.offered["a"] == math.inf
    assert gone.to_dict()["stability"]["offered"] == {"a": None}
    json.dumps(gone.to_dict(), allow_nan=False)


def test_offered_load_has_the_judge_of_a_cascade_in_it() -> None:
    pool = AgentPool(tuple(Agent(id=i, name=i, cost=c, latency=1.0, service="deterministic",
                                 concurrency=1) for i, c in (("a", 1.0), ("b", 2.0))))  # fmt: skip
    frame = pd.DataFrame({"id": ["x", "y"], "text": ["x", "y"]})
    for agent, quality in (("a", [1.0, 0.0]), ("b", [1.0, 1.0])):
        frame[f"outcomes.{agent}.quality"] = quality
    policy = rs.policies.make_policy(
        pool, "cascade:error=0,seconds=2", corpus := Corpus.from_frame(frame)
    )
    result = rs.replay(corpus, pool, policy, arrivals="deterministic:0.5", tasks=2_000)
    sent_on = float((result.log.attempts == 2).mean())
    assert 0.4 < sent_on < 0.6
    assert result.stability.offered["a"] == pytest.approx(0.5 * (1 + 2), rel=0.01)
    assert result.stability.offered["b"] == pytest.approx(0.5 * sent_on, rel=0.01)


def test_offered_load_is_after_routing() -> None:
    pool = AgentPool(tuple(Agent(id=i, name=i, cost=c, latency=1.0, concurrency=1)
                           for i, c in (("a", 1.0), ("b", 2.0))))  # fmt: skip
    found = rs.replay(None, pool, "cheapest", arrivals="deterministic:0.5", tasks=500).stability
    assert found.offered == {"a": pytest.approx(0.5, rel=0.01), "b": 0}


# -- as numbers for others -----------------------------------------------------------------


def test_asked_and_met_rates_stand_side_by_side() -> None:
    result = rs.replay(None, one(), "static:a", arrivals="gamma:0.5,cv=2", tasks=2_000, seed=3)
    said = result.to_dict()["arrivals"]
    assert (said["rate_asked"], said["cv_asked"]) == (0.5, 2)
    gaps = np.diff(result.work.arrived)
    assert said["rate"] == pytest.approx(1 / gaps.mean())
    assert said["cv"] == pytest.approx(gaps.std() / gaps.mean())
    assert f"0.5/s (cv 2) asked for, {said['rate']:.3g}/s (cv {said['cv']:.3g}) met" in repr(result)


def test_what_was_not_asked_is_not_said() -> None:
    assert "arrivals: 1/s (cv 0) met" in repr(rs.replay(
        Corpus.from_frame(pd.DataFrame({"id": ["a", "b"], "text": "x", "arrived_at": [0.0, 1.0]})),
        one(), "static:a"))  # fmt: skip
    closed = rs.replay(None, one(), "static:a", arrivals="closed:users=2,think=1", tasks=50)
    assert "asked for" not in repr(closed)


@pytest.mark.parametrize("times", [[0.0], [3.0, 3.0, 3.0]])
def test_a_dict_is_json_whatever_happened(times: list[float]) -> None:
    """All at once, the rate is infinite; of one task there is no rate: null both."""
    result = run(one(), times)
    said = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert said["arrivals"]["rate"] is None
    reason = "there is one task" if len(times) == 1 else "all 3 tasks arrive at the same time"
    assert said["stability"] == {
        "verdict": "no rate", "reason": reason, "offered": {"a": None}, "error": {"a": None},
        "half_width": None, "enough": 0, "above": 0.0, "peak": 0, "left": 0,
    }  # fmt: skip
    shown = " ".join(repr(result).split())
    assert f"arrivals: no rate met over 0 s no rate is known: {reason}; waits depend on" in shown


def test_a_dict_keeps_counts_whole() -> None:
    said = run(one(), [0, 1]).to_dict()
    assert json.dumps(said["overall"]["tasks"]) == "2"
    assert said["overall"]["quality"] is None
    assert said["agents"][0]["agent"] == "a"


def test_quality_is_of_answers_where_recorded() -> None:
    frame = pd.DataFrame({"id": ["x", "y", "z"], "text": ["x"] * 3, "arrived_at": [0.0, 0, 0],
                          "outcomes.a.quality": [1.0, None, 0.0]})  # fmt: skip
    result = rs.replay(Corpus.from_frame(frame), one(patience=1.0), "static:a")
    np.testing.assert_array_equal(result.quality, [1, np.nan, np.nan])
    assert result.overall["quality"] == 1.0
    assert result.overall["timed_out"] == 1
    assert "not answered: 1 timed out" in repr(result)


def test_shows_itself_in_a_notebook() -> None:
    corpus = Corpus.from_frame(
        pd.DataFrame({"id": ["a"], "text": ["x"]}), name="<script>alert(1)</script>"
    )
    shown = rs.replay(corpus, policy="random", tasks=50)._repr_html_()
    assert "<script" not in shown
    assert "&lt;script" in shown
    assert "random" in shown
    lossy = rs.replay(None, one(queue_limit=0), "static:a", arrivals="poisson:2", tasks=99)
    for said in ("2/s (cv 1) asked for", "overloaded", "first 10% is warm-up", "not answered"):
        assert said in lossy._repr_html_()
    crowd = AgentPool(
        tuple(Agent(id=f"agent-{k}", name="A", cost=0.1, latency=1.0) for k in range(500))
    )
    shown = rs.replay(None, crowd, "random", tasks=900)._repr_html_()
    assert len(shown.encode()) < 50_000
    assert "460 agents with fewer tasks" in shown
    assert "color:inherit" in shown


def test_shows_itself_as_markdown() -> None:
    """Two tasks at once, one slot: the second waits a second."""
    assert run(one(), [0, 0]).to_markdown().splitlines() == [
        r"- note: a window: the first 2 arrivals of trace:\<2 times\>, 00:00:00 long",
        "- arrivals: no rate met over 0 s",
        "- no rate is known: all 2 tasks arrive at the same time; waits depend on how many come "
        "together, read percentiles with care",
        "",
        r"| agent | tasks | share | utilisation | mean wait (s) | p50 (s) | p95 (s) | "
        r"cost (USD) | quality |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        r"| a | 2 | 100.0% | 100.0% | 0.50 | 1.00 | 2.00 | 0.6 | – |",
        r"| all | 2 | 100.0% | 100.0% | 0.50 | 1.00 | 2.00 | 0.6 | – |",
    ]


def test_a_notebook_shows_the_html() -> None:
    result = run(one(), [0, 0])
    assert result._repr_html_() == result.to_html()
    assert "<td style='text-align:right'>2.00</td>" in result.to_html()


def same(found: ReplayResult, result: ReplayResult) -> None:
    """Fail unless both say the same and a copy can be run and drawn like the first."""
    pd.testing.assert_frame_equal(found.to_frame(), result.to_frame())
    assert found.to_dict() == result.to_dict()
    assert found.policy.learns == result.policy.learns
    again = rs.replay(found.corpus, found.pool, found.policy, arrivals="poisson:3", seed=4)
    np.testing.assert_array_equal(again.memory, result.memory)


@pytest.mark.slow
def test_results_pickle_and_copy(tmp_path: Path) -> None:
    corpus = rs.load_corpus("tasks")
    for policy in ("threshold:calibrated", "fs-qmix"):
        result = rs.replay(corpus, None, policy, arrivals="poisson:3", seed=4)
        same(pickle.loads(pickle.dumps(result)), result)
        same(copy.deepcopy(result), result)
    result.report(tmp_path / "report.html")
    for plot in (result.plot_usage, result.plot_latency, result.plot_queue, result.plot_frontier):
        plot()
    for copied in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        same(copied, result)
    plt.close("all")
