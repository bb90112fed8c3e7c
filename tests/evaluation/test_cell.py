"""The figures of a run are those that can be counted by hand."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.evaluation.cell import METRICS, POINTS, best_recorded, by_task, gather, measure
from routingsim.evaluation.metrics.timed import timed_replay
from routingsim.policies.kernel import OK
from routingsim.simulation.faults import Retries
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import quantiles

RIGHT = [1.0, 0.0, 1.0, 1.0]


def run(seed: int = 0, **agent: Any) -> ReplayResult:
    """Four tasks, ten seconds apart, at one agent that takes one second each."""
    corpus = rs.Corpus.from_frame(
        pd.DataFrame(
            {
                "id": [str(k) for k in range(4)],
                "text": [f"task {k}" for k in range(4)],
                "arrived_at": [10.0 * at for at in range(4)],
                "outcomes.a.quality": RIGHT,
                "outcomes.a.cost": [0.1, 0.2, 0.3, 0.4],
                "outcomes.b.quality": 0.75,
                "outcomes.b.cost": 1.0,
            }
        )
    )
    given = {"latency": 1.0, "service": "deterministic", **agent}
    pool = rs.AgentPool(tuple(rs.Agent(id=a, name=a, cost=1, concurrency=1, **given) for a in "ab"))
    return rs.replay(corpus, pool, "static:a", arrivals="corpus", seed=seed)


def figures(result: ReplayResult, objective: float = 5.0, right: float = 0.5) -> dict[str, float]:
    return dict(zip(METRICS, measure(result, objective, right), strict=True))


def test_figures_by_hand() -> None:
    found = figures(run())
    seconds = 31.0  # from the first arrival to the last answer
    assert found["quality"] == found["quality_in_time"] == 0.75
    assert found["goodput"] == pytest.approx(3 / seconds)
    assert found["regret"] == pytest.approx((0.75 + 0 + 0 + 0) / 4)
    assert found["cost"] == pytest.approx(0.25)
    assert found["cost_per_right"] == pytest.approx(1.0 / 3)
    assert [found[f"latency_{q}"] for q in ("mean", "p50", "p95", "p99")] == pytest.approx([1] * 4)
    assert found["wait_mean"] == 0
    assert found["answered"] == 1
    assert found["utilisation"] == pytest.approx(4 / seconds / 2)


def test_what_is_late_is_not_in_time() -> None:
    found = figures(run(), objective=0.5)
    assert found["quality"] == 0.75
    assert found["quality_in_time"] == found["goodput"] == 0
    assert found["cost_per_right"] == math.inf


def test_the_bar_of_a_right_answer() -> None:
    assert figures(run(), right=0.0)["goodput"] == pytest.approx(4 / 31)


def test_a_lost_task_loses_all_and_still_costs() -> None:
    found = figures(run(error_rate=0.999999))
    assert found["answered"] == 0
    assert math.isnan(found["quality"])
    assert found["regret"] == pytest.approx(np.mean([1.0, 0.75, 1.0, 1.0]))
    assert found["cost"] == pytest.approx(0.25)
    assert math.isnan(found["latency_mean"])


def test_every_try_costs() -> None:
    once = run(error_rate=0.999999)
    assert once.corpus is not None
    again = rs.replay(
        once.corpus,
        once.pool,
        "static:a",
        arrivals="corpus",
        retries=Retries(3, fallback=False),
    )
    assert figures(again)["cost"] == pytest.approx(3 * 0.25)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"arrivals": "poisson:1.5"},
        {"arrivals": "poisson:9"},
        {"arrivals": "poisson:1e6"},  # no rate is known
        {"arrivals": rs.Trace([0.0] * 150 + [5.0] * 150)},  # as of a batch
        {"arrivals": "closed:users=20,think=1"},
        {"arrivals": "poisson:4", "outages": [rs.Outage("a", 10, 30)], "retries": Retries(3)},
    ],
)
def test_a_resampled_run_is_measured_without_its_assessment(given: dict[str, Any]) -> None:
    agents = (
        rs.Agent(id="a", name="a", cost=1, latency=1.0, concurrency=2, error_rate=0.1),
        rs.Agent(id="b", name="b", cost=1, latency=2.0, requests_per_minute=30, queue_limit=4),
    )
    result = rs.replay(None, rs.AgentPool(agents), "random", tasks=300, seed=1, **given)
    whole, found = (
        dict(zip(METRICS, measure(result, 5.0, 0.5, resampled=asked), strict=True))
        for asked in (False, True)
    )
    assert math.isnan(found.pop("above"))
    assert math.isnan(found.pop("enough"))
    np.testing.assert_array_equal([*found.values()], [whole[name] for name in found])
    assert whole["offered_max"] > 0 or result.stability.verdict == "no rate"


def one_by_one(result: ReplayResult, first_token: float | None) -> dict[str, float]:
    """The metrics that :func:`measure` sums up in one loop, each from its own arrays."""
    timed = timed_replay(result, 5.0, first_token_objective=first_token)
    answered, known = result.log.status == OK, ~np.isnan(result.compared_quality)
    latency = result.latency[result.timed]
    first = result.first_token[result.timed] if result.work.first.size else latency
    best = best_recorded(result)[result.work.row]
    lost = (best - np.nan_to_num(result.quality))[~np.isnan(best)]
    found = {
        "quality": result.compared_quality[known].mean() if known.any() else math.nan,
        "recorded": known.sum() / answered.sum(),
        "quality_in_time": timed.quality.value if known.any() else math.nan,
        "goodput": timed.goodput if known.any() else math.nan,
        "cost_per_right": timed.cost_per_right if known.any() else math.nan,
        "regret": lost.mean() if lost.size else math.nan,
        "cost": result.log.cost[result.cost_basis.rows[result.work.row]].mean(),
        "cost_recorded": result.cost_recorded.mean(),
        "latency_mean": latency.mean(),
        "wait_mean": result.log.wait[result.timed].mean(),
        "first_token_mean": first.mean(),
        "answered": answered.mean(),
        "span": np.ptp(result.work.arrived),
    }
    for metric, values in (("latency", latency), ("first_token", first)):
        for share, value in zip((50, 95, 99), quantiles(values, [0.5, 0.95, 0.99]), strict=True):
            found[f"{metric}_p{share}"] = value
    return found


@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0], ids=["all", "a part", "nothing"])
@pytest.mark.parametrize("first_token", [None, 0.4])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"warm_up": 0.2, "retries": Retries(3)},
        {"changes": [rs.Change("a", 20.0, quality=0.5, price=2.0)], "hedge": rs.Hedge(1.0)},
    ],
    ids=["plain", "retries", "changes"],
)
def test_the_sums_of_a_run_are_those_of_its_arrays(
    missing: float, first_token: float | None, given: dict[str, Any]
) -> None:
    random = np.random.default_rng(7)
    quality = random.uniform(size=(300, 2))
    quality[random.uniform(size=quality.shape) < missing] = np.nan
    costs = np.where(random.uniform(size=300) < missing, np.nan, random.uniform(size=300))
    columns = {"outcomes.a.quality": quality[:, 0], "outcomes.b.quality": quality[:, 1]}
    frame = pd.DataFrame({"id": range(300), "text": "x", "outcomes.a.cost": costs, **columns})
    agents = [
        {"id": "a", "name": "a", "cost": 1, "latency": 1.0, "error_rate": 0.1, "ttft": 0.3},
        {"id": "b", "name": "b", "cost": 2, "latency": 2.0, "queue_limit": 4, "ttft": 0.2},
    ]
    result = rs.replay(frame, agents, "random", arrivals="poisson:2", seed=3, **given)
    measured = measure(result, 5.0, 0.5, first_token=first_token)
    found = dict(zip(METRICS, measured, strict=True))
    for name, expected in one_by_one(result, first_token).items():
        np.testing.assert_equal(found[name], float(expected), name)


def test_a_cell_joins_runs_by_their_records() -> None:
    cell = gather([run(0), run(1)], 5.0, 0.5)
    assert cell.figures.shape == (2, len(METRICS))
    assert cell.quality.tolist() == RIGHT
    np.testing.assert_allclose(cell.cost, [0.1, 0.2, 0.3, 0.4])
    assert cell.chosen.tolist() == [0, 0, 0, 0]
    assert cell.verdicts == ("too short to say", "too short to say")


def test_the_regret_curve_ends_at_the_sum() -> None:
    cell = gather([run()], 5.0, 0.5)
    assert cell.regret.shape == (POINTS,)
    assert (np.diff(cell.regret) >= 0).all()
    assert cell.regret[-1] == pytest.approx(0.75)
    assert cell.regret[-1] == pytest.approx(4 * figures(run())["regret"])


def test_records_that_never_ran_are_unknown() -> None:
    result = run()
    assert result.corpus is not None
    short = rs.replay(result.corpus, result.pool, "static:a", tasks=2, arrivals="corpus")
    cell = gather([short], 5.0, 0.5)
    assert cell.chosen.tolist() == [0, 0, -1, -1]
    assert np.isnan(cell.quality[2:]).all()
    assert np.isnan(cell.cost[2:]).all()


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (("steady", "no rate", "no rate"), "no rate"),
        (("steady", "steady", "no rate"), "steady"),
        (("too short to say", "no rate"), "no rate"),
        (("no rate", "overloaded"), "overloaded"),
        (("growing", "overloaded"), "growing"),
    ],
)
def test_the_verdict_of_most_and_in_a_tie_the_worse(
    verdicts: tuple[str, ...], verdict: str
) -> None:
    assert dataclasses.replace(gather([run()], 5.0, 0.5), verdicts=verdicts).verdict == verdict


def test_a_policy_that_learns_has_met_a_prompt_before() -> None:
    texts = ["one prompt", "ONE prompt ", "two", "one prompt", "two", ""]
    corpus = rs.Corpus.from_frame(
        pd.DataFrame(
            {
                "id": list("abcdef"),
                "text": texts,
                "arrived_at": np.arange(6.0),
                "outcomes.a.quality": 1.0,
                "outcomes.b.quality": 0.0,
            }
        )
    )
    pool = rs.AgentPool(tuple(rs.Agent(id=a, name=a, cost=1, latency=1.0) for a in "ab"))
    cells = [
        gather([rs.replay(corpus, pool, policy, arrivals="corpus", seed=1)], 5.0, 0.5)
        for policy in ("linucb", "static:a")
    ]
    assert cells[0].unseen.sum(axis=1).tolist() == [1, 0, 1, 0, 0, 1]
    assert cells[0].times.sum(axis=1).tolist() == [1] * 6
    assert (cells[1].unseen == cells[1].times).all()


def test_failures_alone_are_no_quality() -> None:
    flaky = rs.AgentPool((rs.Agent(id="a", name="A", cost=0.01, latency=1.0, error_rate=0.5),))
    result = rs.replay(rs.load_corpus("tasks").head(40), flaky, arrivals="poisson:1", seed=1)
    assert 0 < (result.log.status != OK).sum() < 40
    assert np.isnan(by_task(result)[1]).all()
