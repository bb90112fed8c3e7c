"""Further runs of a replay: by hand, and intervals that hold what exact theory says."""

import io
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.simulation.log_blocks import another_day
from routingsim.simulation.replications import (
    REPLICATIONS,
    Replications,
    of_days,
    replication_seeds,
)
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import hall_interval

from .batches import batch_means


def one(**fields: Any) -> AgentPool:
    given: dict[str, Any] = {"latency": 1.0, "service": "exponential", "concurrency": 4} | fields
    return AgentPool((Agent(id="a", name="A", cost=1.0, **given),))


def run(tasks: int = 200, arrivals: Any = "poisson:2", **settings: Any) -> ReplayResult:
    return rs.replay(None, one(), "static:a", arrivals=arrivals, tasks=tasks, **settings)


class Counted:
    """A replay whose runs give the values handed in, in turn by their seeds."""

    def __init__(self, values: dict[int, float]) -> None:
        self.values, self.asked = values, []

    def __call__(self, *, seed: int, day: int | None = None) -> float:
        self.asked.append(seed if day is None else day)
        return self.values[seed]


def as_figures(value: float) -> dict[str, float]:
    return {"x": value}


def replications(values: list[float]) -> tuple[Replications, Counted]:
    again = Counted(dict(zip(replication_seeds(5, len(values)), values, strict=True)))
    return Replications(again, 5, 1), again


# -- seeds ----------------------------------------------------------------------------------


def test_seeds_of_neighbours_have_none_in_common() -> None:
    seeds = [replication_seeds(seed, 400) for seed in range(-3, 30)]
    assert len({each for some in seeds for each in some}) == 33 * 400
    assert all(2**31 < each < 2**63 for some in seeds for each in some)
    assert replication_seeds(7, 3) == replication_seeds(7, 10)[:3]


def test_runs_are_made_when_asked_for_and_once() -> None:
    made, again = replications([float(k) for k in range(12)])
    assert again.asked == []
    assert made.measured(as_figures, 10) == [{"x": float(k)} for k in range(10)]
    assert made.measured(as_figures, 3) == [{"x": 0.0}, {"x": 1.0}, {"x": 2.0}]
    made.measured(as_figures, 12)
    assert sorted(again.asked) == sorted(replication_seeds(5, 12))


def test_a_further_run_is_the_replay_under_that_seed() -> None:
    result = run(seed=3, tasks=300)
    seeds = replication_seeds(3, REPLICATIONS)
    latencies = [run(seed=seed, tasks=300).overall["latency_mean"] for seed in seeds]
    found = result.interval()
    assert found.mean == pytest.approx(np.mean(latencies), rel=1e-12)
    assert found == hall_interval(latencies)
    assert found.runs == 10
    assert found.method == "10 further runs, other days with the same tasks"


# -- which question ------------------------------------------------------------------------


def test_recorded_times_stay_and_services_change() -> None:
    times = np.sort(np.random.default_rng(1).uniform(0, 100, 200))
    result = run(arrivals=rs.Trace(times))
    assert result.again is not None
    other, day = result.again(seed=9), result.again(seed=9, day=9)
    np.testing.assert_array_equal(other.work.arrived, result.work.arrived)
    assert (other.log.finished != result.log.finished).all()
    assert (day.work.arrived != result.work.arrived)[1:].any()
    said = {
        False: "10 further runs, the same tasks at the same times",
        True: "50 further runs, other days like this one (blocks of recorded tasks)",
    }
    for days, method in said.items():
        assert result.interval(days=days).method == method
    assert result.interval(days=True).half_width > result.interval().half_width


def test_without_chance_the_interval_is_a_point() -> None:
    """Recorded times and services that do not vary: every further run is the run itself."""
    pool = one(service="deterministic", concurrency=1)
    result = rs.replay(None, pool, "static:a", arrivals=rs.Trace([0.0, 0.5, 5.0]), tasks=3)
    found = result.interval("wait")
    assert (found.mean, found.half_width) == (pytest.approx(0.5 / 3), 0.0)


def test_more_tasks_than_the_corpus_has_are_drawn_anew() -> None:
    corpus = Corpus.from_frame(pd.DataFrame({"id": ["x", "y"], "text": ["a b", "c d"]}))
    for tasks, said in ((2, "with the same tasks"), (3, "with tasks drawn anew from the corpus")):
        result = rs.replay(corpus, one(), "static:a", arrivals="poisson:1", tasks=tasks)
        assert result.question() == f"other days {said}"


def test_another_day_keeps_tasks_with_the_gaps_before_them() -> None:
    arrived = 10.0 + np.cumsum(np.arange(40.0))  # the gap before task k is k
    drawn, times = another_day(arrived, 4)
    assert drawn.size == times.size == 40
    assert times[0] == arrived[0]
    # Ten blocks of four, each from where it begins on, round the end; the first gap is the mean.
    blocks = drawn.reshape(10, 4)
    np.testing.assert_array_equal((blocks - blocks[:, :1]) % 40, np.tile(np.arange(4), (10, 1)))
    gaps = np.where(drawn == 0, np.arange(40.0).sum() / 39, drawn)
    np.testing.assert_allclose(np.diff(times), gaps[1:])
    assert len(set(blocks[:, 0])) > 3
    assert not np.array_equal(another_day(arrived, 5)[0], drawn)
    single, at = another_day(np.array([3.0]), 1)
    assert (single.tolist(), at.tolist()) == ([0], [3.0])


def test_runs_of_a_day_are_in_a_row() -> None:
    made, again = replications([float(k) for k in range(12)])
    assert len(made.measured(as_figures, 12, days=True)) == 12
    first, second, third = replication_seeds(5, 3)
    assert sorted(again.asked) == sorted([first] * 4 + [second] * 4 + [third] * 4)


def test_days_by_hand() -> None:
    """Variances 1 within a day and 9 between days of four runs: 10/9 of 9, and 1/3 - 1/4 of 1."""
    days = [0.0, 2.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 6.0, 8.0, 6.0, 8.0]  # of means 1, 4 and 7
    found = of_days([4.0, 5.0, 6.0], days)
    assert (found.mean, found.runs) == (5.0, 15)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(10 + 1 / 12))
    unknown = of_days([4.0, 5.0, 6.0, math.nan], [*days, 9.0, math.nan, 9.0, 9.0])
    assert (unknown.mean, unknown.half_width) == (found.mean, found.half_width)
    assert math.isnan(of_days([4.0, 5.0], days).half_width)
    more = of_days([4.0, 5.0, 6.0, 4.0, 6.0], days)  # their chance is below that of four runs
    assert more.half_width == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(10))


def test_days_do_not_narrow_with_more_runs() -> None:
    rng = np.random.default_rng(0)
    same, other = rng.normal(5, 1, 200), np.repeat(rng.normal(5, 3, 200), 4)
    few, many = (
        of_days(same[:20].tolist(), other[:80].tolist()),
        of_days(same.tolist(), other.tolist()),
    )
    assert many.half_width > 0.7 * few.half_width
    assert hall_interval(same).half_width < 0.1 * many.half_width


# -- precision -----------------------------------------------------------------------------


def test_runs_are_added_until_the_interval_is_narrow_enough() -> None:
    result = run(arrivals="poisson:3.2", tasks=500)
    wide, narrow = result.interval(), result.interval(precision=0.05)
    assert wide.half_width > 0.05 * wide.mean
    assert narrow.half_width <= 0.05 * narrow.mean
    assert narrow.runs > 10
    assert narrow.method == (
        f"{narrow.runs} further runs, other days with the same tasks; to 0.05 of the mean"
    )
    short = result.interval(precision=0.001, most=15)
    assert short.runs == 15
    assert short.method == (
        "15 further runs, other days with the same tasks; not to 0.001 of the mean"
    )


def test_progress_is_shown_when_wanted(terminal: io.StringIO) -> None:
    run().interval("latency_p95", progress=False)
    assert terminal.getvalue() == ""
    run().interval("latency_p95")
    assert "latency_p95:   0%|          | 0/10" in terminal.getvalue()


# -- none ----------------------------------------------------------------------------------


def test_where_no_interval_can_be_had_there_is_none() -> None:
    few = run().interval(replications=2)
    assert math.isnan(few.half_width)
    assert str(few) == f"{few.mean:.4g}"
    over = run(arrivals="poisson:6")
    for metric in ("latency", "wait_p95"):
        found = over.interval(metric)
        assert math.isnan(found.half_width)
        assert found.runs == 0
        assert found.method == "none: growing, so it says only how long the run was"
    assert over.interval("latency").mean == over.overall["latency_mean"]
    assert over.interval("cost").half_width == 0  # the same 200 calls on any day
    assert math.isnan(run().interval("quality").half_width)  # none is recorded


def test_ends_stay_within_what_is_possible() -> None:
    found = run(arrivals="poisson:0.9").interval("wait")
    assert 0 <= found.low < found.mean < found.high


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metric": "speed"}, "no metric 'speed'; there are latency, wait, latency_mean,"),
        ({"replications": 0}, "replications=0; a whole number above 0 is needed"),
        ({"replications": 2.5}, "replications=2.5; a whole number above 0 is needed"),
        ({"precision": 0}, "precision=0; a share of the mean above 0 is needed, as 0.05"),
        ({"precision": math.nan}, "precision=nan; a share of the mean above 0 is needed"),
        ({"precision": 0.1, "most": 9}, "most=9; a whole number of at least replications=10"),
        ({"days": True}, "days=True draws days from recorded times, and poisson:2 makes its own"),
    ],
)
def test_what_cannot_be_asked(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SimulationError, match=re.escape(said)):
        run().interval(**given)


def test_precision_is_not_for_days() -> None:
    result = run(arrivals=rs.Trace(np.arange(200.0)))
    with pytest.raises(SimulationError, match="more runs of days drawn from one record do not"):
        result.interval(precision=0.1, days=True)


# -- coverage ------------------------------------------------------------------------------


def mean_wait(load: float, servers: int, tasks: int) -> float:
    """Exact mean wait of the first tasks of an M/M/c queue that begins empty, service 1 s.

    The chain of the numbers met by arrivals: n + 1 after an arrival, and each next event is an
    arrival with probability rate / (rate + busy servers).
    """
    most = 600
    number = np.arange(most)
    busy = np.minimum(number, servers)
    arrives = load * servers / (load * servers + busy)
    step = np.zeros((most, most))  # from n to j met by the next arrival
    for n in range(most):
        begins = min(n + 1, most - 1)
        left = np.concatenate([[1.0], np.cumprod(1 - arrives[begins:0:-1])])  # down to begins - k
        step[n, begins::-1] = left * arrives[begins::-1]
    met: NDArray[np.float64] = np.eye(most)[0]
    waits = np.maximum(number - servers + 1, 0) / servers
    total = 0.0
    for _ in range(tasks):
        total += float(met @ waits)
        met = met @ step
    return total / tasks


def test_the_exact_mean_wait_is_that_of_theory_in_the_end() -> None:
    steady = rs.theory.mmc(2.4, 1.0, 4).wait_mean
    first, then = mean_wait(0.6, 4, 500) * 500, mean_wait(0.6, 4, 600) * 600
    assert (then - first) / 100 == pytest.approx(steady, rel=1e-9)
    assert mean_wait(0.6, 4, 4) == 0  # four tasks on four servers
    # One server: of two tasks the second waits if the first is there, for 1 s on average.
    assert mean_wait(0.5, 1, 2) == pytest.approx(0.5 * (0.5 / 1.5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "count", "least", "alone"), [(0.6, 60, 0.88, 0.9), (0.9, 60, 0.88, 0.6)]
)
def test_intervals_hold_what_they_say(load: float, count: int, least: float, alone: float) -> None:
    """Of the intervals .95 hold the exact mean, to chance; batches of one run do not."""
    exact = mean_wait(load, 4, 540)
    scene: dict[str, Any] = {"arrivals": rs.Poisson(4 * load), "tasks": 540, "warm_up": 0.0}
    runs = [run(**scene, seed=seed) for seed in range(count)]
    found = [
        each.replications.interval(waits_of, "x", question="")
        for each in runs
        if each.replications is not None  # whatever the verdict on the run itself
    ]
    assert len(found) == count
    held = np.mean([each.low <= exact <= each.high for each in found])
    assert least <= held <= 0.99, held
    batches = [batch_means(each.log.wait) for each in runs]
    held_alone = np.mean([each.low <= exact <= each.high for each in batches])
    assert held_alone < alone


def waits_of(result: ReplayResult) -> dict[str, float]:
    return {"x": float(result.log.wait.mean())}
