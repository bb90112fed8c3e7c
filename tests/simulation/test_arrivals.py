"""Arrival processes have the laws they claim, and keep the promises of every process."""

import inspect
import math
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.simulation import arrivals
from routingsim.simulation.arrivals import (
    GRAMMAR,
    MMPP,
    Arrivals,
    ClosedLoop,
    CorpusTimes,
    Deterministic,
    Diurnal,
    Gamma,
    Piecewise,
    Poisson,
    Superposition,
    Trace,
    Weibull,
    burst,
    parse_arrivals,
    realised,
)

Times = NDArray[np.float64]

STAMPS = (5.0, 6.0, 6.0, 8.5, 11.0)

MODELS: dict[type[Arrivals], list[Arrivals]] = {
    Poisson: [Poisson(4.0), Poisson(1e-3)],
    Gamma: [Gamma(4.0, 2.0), Gamma(4.0, 0.4)],
    Weibull: [Weibull(4.0, 2.0), Weibull(4.0, 0.4)],
    Deterministic: [Deterministic(4.0)],
    MMPP: [burst(rate=2, peak=20, on=10, off=50), MMPP(rates=(1, 0, 9), sojourns=(3, 1, 2))],
    Piecewise: [Piecewise(steps=((3, 2), (1, 0), (2, 10)))],
    Diurnal: [Diurnal(4.0, 0.8, period=60), Diurnal(4.0, 1.0, period=7, peak_at=1)],
    Superposition: [Poisson(4.0) + Gamma(1.0, 3.0), Poisson(1.0) + Trace(STAMPS)],
    Trace: [Trace(STAMPS, loop=True, jitter=2), Trace(STAMPS, loop=True, speed=3)],
}
EXAMPLES = [process for examples in MODELS.values() for process in examples]
WITHOUT_TIMES_OF_THEIR_OWN = {CorpusTimes, ClosedLoop}


def corpus(times: list[float]) -> Corpus:
    frame = {"id": [f"t{i}" for i in range(len(times))], "text": "why", "arrived_at": times}
    return Corpus.from_frame(pd.DataFrame(frame), "mine")


def hold(found: float, expected: float, error: float, what: str) -> None:
    """Fail when a figure is further from what is expected than chance has it."""
    z = (found - expected) / error
    print(f"{what}: {found:.6g}, expected {expected:.6g}, z = {z:+.2f}")
    assert abs(z) <= 4.5


def hold_gaps(gaps: Times, law: Any, what: str) -> None:
    """Fail when the gaps do not follow the law (of scipy): KS, and the mean.

    Late times are multiples of 1e-11 s, so of the shortest gaps only the share is held.
    """
    short = law.cdf(1e-9)
    if short > 0.01:
        error = math.sqrt(short * (1 - short) / gaps.size)
        hold((gaps < 1e-9).mean(), short, error, f"{what}, share of gaps below 1 ns")
    test = stats.kstest(gaps[gaps >= 1e-9], lambda x: (law.cdf(x) - short) / (1 - short))
    print(f"{what}: KS distance {test.statistic:.2g}, p = {test.pvalue:.2g}")
    assert test.pvalue > 1e-5
    hold(gaps.mean(), law.mean(), law.std() / math.sqrt(gaps.size), f"{what}, mean gap")


def dispersion(times: Times, window: float, rate: float) -> tuple[float, float]:
    """Index of dispersion of counts in windows around the known rate, and its standard error."""
    bins = int(times[-1] // window)
    counts = np.histogram(times, bins=bins, range=(0, bins * window))[0]
    squares = (counts - rate * window) ** 2 / (rate * window)
    return float(squares.mean()), float(squares.std() / math.sqrt(bins))


# -- what every process promises -----------------------------------------------------------------


def test_every_process_is_among_the_examples() -> None:
    public = {getattr(arrivals, name) for name in arrivals.__all__}
    kinds = {each for each in public if inspect.isclass(each) and each is not Arrivals}
    assert kinds == MODELS.keys() | WITHOUT_TIMES_OF_THEIR_OWN
    assert all(type(each) is kind for kind, examples in MODELS.items() for each in examples)


@pytest.mark.parametrize("process", EXAMPLES, ids=str)
@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_times_are_sorted_positive_and_as_many_as_asked_for(process: Arrivals, n: int) -> None:
    times = process.times(n, seed=3)
    assert times.shape == (n,)
    assert times.dtype == np.float64
    assert np.isfinite(times).all()
    assert (np.diff(times, prepend=0.0) >= 0).all()


@pytest.mark.parametrize("process", EXAMPLES, ids=str)
def test_the_first_times_are_the_same_whatever_number_is_asked_for(process: Arrivals) -> None:
    longest = process.times(3000, seed=3)
    for n in (1, 50, 999):
        np.testing.assert_array_equal(process.times(n, seed=3), longest[:n])


@pytest.mark.parametrize("process", EXAMPLES, ids=str)
def test_a_seed_gives_the_same_times_and_another_gives_others(process: Arrivals) -> None:
    times = process.times(500, seed=3)
    np.testing.assert_array_equal(process.times(500, seed=3), times)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(process)).times(500, seed=3), times)
    chance = not isinstance(process, Deterministic) and (
        not isinstance(process, Trace) or process.jitter > 0
    )
    for seed in (4, -1, 2**63 - 1):
        assert np.array_equal(process.times(500, seed=seed), times) is not chance


@pytest.mark.parametrize("process", EXAMPLES, ids=str)
def test_processes_are_values(process: Arrivals) -> None:
    assert process == pickle.loads(pickle.dumps(process))
    assert hash(process) == hash(pickle.loads(pickle.dumps(process)))
    assert process != process.scaled(2)
    assert eval(repr(process), {**vars(arrivals), "array": np.array}) == process


@pytest.mark.parametrize("process", EXAMPLES, ids=str)
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_scaled_multiplies_the_rate_and_keeps_the_kind(process: Arrivals, factor: float) -> None:
    scaled = process.scaled(factor)
    assert type(scaled) is type(process)
    assert process.rate
    assert scaled.rate == pytest.approx(process.rate * factor)
    assert scaled.synthetic == process.synthetic
    renewal_or_trace = not isinstance(process, MMPP | Piecewise | Diurnal)
    if renewal_or_trace:  # the others keep the seconds of their spells
        assert scaled.cv == process.cv
        np.testing.assert_allclose(
            scaled.times(200, seed=3) * factor, process.times(200, seed=3), rtol=1e-12
        )


def test_only_models_are_synthetic() -> None:
    assert all(each.synthetic for each in EXAMPLES if "trace" not in str(each))
    assert not any(each.synthetic for each in EXAMPLES if "trace" in str(each))
    assert not CorpusTimes().synthetic
    assert ClosedLoop(2, 1.0).synthetic


@pytest.mark.parametrize("n", [-1, 2.5, "4", True])
def test_a_number_of_arrivals_is_whole(n: object) -> None:
    with pytest.raises(SimulationError, match=r"n is .*needs a whole number of at least 0"):
        Poisson(1.0).times(n, seed=1)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("seed", [2**63, 0.5, None])
def test_a_seed_is_whole(seed: object) -> None:
    with pytest.raises(SimulationError, match=r"seed is .*at most 64 bits"):
        Poisson(1.0).times(1, seed=seed)  # pyright: ignore[reportArgumentType]


def test_seeds_are_independent() -> None:
    n = 200_000
    gaps = [np.diff(Poisson(1.0).times(n + 1, seed=seed)) for seed in (1, 2, 3)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        found = np.corrcoef(gaps[a], gaps[b])[0, 1]
        hold(found, 0, 1 / math.sqrt(n), f"correlation of seeds {a + 1} and {b + 1}")
    serial = np.corrcoef(gaps[0][1:], gaps[0][:-1])[0, 1]
    hold(serial, 0, 1 / math.sqrt(n), "correlation of neighbours")


def test_importing_compiles_nothing() -> None:
    code = "import sys, routingsim.simulation.arrivals; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_realised() -> None:
    rate, cv = realised([1.0, 2.0, 5.0])
    assert rate == 0.5
    assert cv == pytest.approx(0.5)
    assert realised([2.0, 2.0, 2.0])[0] == math.inf
    for times in ([], [3.0]):
        assert all(map(math.isnan, realised(times)))


# -- models: the laws they claim -----------------------------------------------------------------

N = 200_000


def test_poisson_gaps_are_exponential() -> None:
    times = Poisson(4.0).times(N, seed=11)
    hold_gaps(np.diff(times, prepend=0.0), stats.expon(scale=0.25), "Poisson")
    index, error = dispersion(times, 5.0, 4.0)
    hold(index, 1.0, error, "Poisson, dispersion")


@pytest.mark.parametrize("cv", [0.05, 0.5, 1.0, 1.5, 4.0])
def test_gamma_gaps_follow_their_law(cv: float) -> None:
    gaps = np.diff(Gamma(4.0, cv).times(N, seed=12), prepend=0.0)
    hold_gaps(gaps, stats.gamma(cv**-2, scale=cv**2 / 4), f"Gamma, cv {cv}")


@pytest.mark.parametrize("cv", [0.05, 0.5, 1.0, 1.5, 4.0])
def test_weibull_gaps_follow_their_law(cv: float) -> None:
    process = Weibull(4.0, cv)
    law = stats.weibull_min(process.shape, scale=0.25 / math.gamma(1 + 1 / process.shape))
    assert law.std() / law.mean() == pytest.approx(cv, rel=1e-9)
    hold_gaps(np.diff(process.times(N, seed=13), prepend=0.0), law, f"Weibull, cv {cv}")


@pytest.mark.parametrize("cv", [0.001, 0.01, 30.0, 1000.0])
def test_the_shape_of_a_weibull_is_solved_at_the_ends_too(cv: float) -> None:
    k = Weibull(1.0, cv).shape
    log_ratio = math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k)
    assert math.sqrt(math.expm1(log_ratio)) == pytest.approx(cv, rel=1e-6)


def test_deterministic_gaps_are_equal_and_do_not_drift() -> None:
    times = Deterministic(10.0).times(1_000_000, seed=1)
    assert times[0] == 0.1
    assert times[-1] == 100_000.0
    assert realised(times) == (pytest.approx(10.0), pytest.approx(0.0, abs=1e-6))
    # Counts in windows that do not fit the gaps differ by one at most.
    index, _ = dispersion(times, 7.77, 10.0)
    assert index < 0.01


def mmpp2_dispersion(process: MMPP, window: float) -> float:
    """Index of dispersion of the counts of a 2-state MMPP (the cookbook, section 1.3)."""
    (l1, l2), (s1, s2) = process.rates, process.sojourns
    r1, r2 = 1 / s1, 1 / s2
    total = r1 + r2
    limit = 2 * (l1 - l2) ** 2 * r1 * r2 / (total**2 * (l1 * r2 + l2 * r1))
    return 1 + limit * (1 - (1 - math.exp(-total * window)) / (total * window))


@pytest.mark.parametrize("window", [0.1, 2.0, 10.0])
def test_a_burst_has_the_dispersion_of_its_formula(window: float) -> None:
    process = burst(rate=1, peak=10, on=1, off=3)
    times = process.times(1_000_000, seed=14)
    # Neighbouring windows are correlated: errors of batches of them.
    bins = int(times[-1] // window)
    counts = np.histogram(times, bins=bins, range=(0, bins * window))[0]
    mean = process.rate * window
    squares = (counts - mean) ** 2 / mean
    batches = squares[: bins // 50 * 50].reshape(50, -1).mean(axis=1)
    error = batches.std(ddof=1) / math.sqrt(50)
    hold(batches.mean(), mmpp2_dispersion(process, window), error, f"dispersion in {window} s")


@pytest.mark.parametrize("process", MODELS[MMPP], ids=str)
def test_an_mmpp_has_the_rate_and_cv_of_its_formula(process: MMPP) -> None:
    runs = np.array([realised(process.times(20_000, seed=seed)) for seed in range(40)])
    errors = runs.std(axis=0, ddof=1) / math.sqrt(len(runs))
    hold(runs[:, 0].mean(), process.rate, errors[0], "rate")
    hold(runs[:, 1].mean(), process.cv, errors[1], "cv")


def test_an_mmpp_of_one_rate_is_poisson() -> None:
    process = MMPP(rates=(4, 4, 4), sojourns=(1, 0.1, 3))
    assert process.cv == pytest.approx(1.0)
    gaps = np.diff(process.times(N, seed=15), prepend=0.0)
    hold_gaps(gaps, stats.expon(scale=0.25), "MMPP of one rate")


def test_an_mmpp_begins_in_its_steady_state() -> None:
    process = burst(rate=0, peak=1000, on=1, off=3)
    firsts = np.array([process.times(1, seed=seed)[0] for seed in range(4000)])
    hold((firsts < 0.02).mean(), 0.25, math.sqrt(0.25 * 0.75 / 4000), "begins in a burst")


def hold_profile(times: Times, period: float, shares: Times, what: str) -> None:
    """Fail when counts by the time within the period are not in these shares (chi-square)."""
    whole = times[times < times[-1] // period * period]
    counts = np.histogram(whole % period, bins=shares.size, range=(0, period))[0]
    test = stats.chisquare(counts, shares * counts.sum())
    print(f"{what}: chi-square {test.statistic:.1f} of {shares.size} bins, p = {test.pvalue:.2g}")
    assert test.pvalue > 1e-5


@pytest.mark.parametrize("amplitude", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("peak_at", [None, 0.0, 17.0])
def test_diurnal_arrivals_follow_the_swing(amplitude: float, peak_at: float | None) -> None:
    process = Diurnal(50.0, amplitude, period=60.0, peak_at=peak_at)
    times = process.times(N, seed=16)
    edges = np.linspace(0, 1, 49)
    peak = 0.5 if peak_at is None else peak_at / 60
    level = edges + amplitude * np.sin(2 * np.pi * (edges - peak)) / (2 * np.pi)
    hold_profile(times, 60.0, np.diff(level), f"amplitude {amplitude}")
    seconds = times[-1] // 60 * 60
    count = np.searchsorted(times, seconds)
    hold(count, 50 * seconds, math.sqrt(50 * seconds), "count in whole periods")


def test_piecewise_arrivals_follow_the_plan() -> None:
    process = Piecewise(steps=((30, 10), (10, 0), (20, 40)))
    assert process.rate == 1100 / 60
    times = process.times(N, seed=17)
    assert not ((times % 60 >= 30) & (times % 60 < 40)).any()
    level = np.repeat([10.0, 0.0, 40.0], [30, 10, 20])
    busy = np.flatnonzero(level)
    whole = times[times < times[-1] // 60 * 60]
    counts = np.histogram(whole % 60, bins=60, range=(0, 60))[0][busy]
    test = stats.chisquare(counts, level[busy] / level.sum() * counts.sum())
    print(f"chi-square p = {test.pvalue:.2g}")
    assert test.pvalue > 1e-5
    rounds = times[-1] // 60
    hold(whole.size, 1100 * rounds, math.sqrt(1100 * rounds), "count in whole rounds")


def test_a_plan_that_does_not_change_is_poisson_to_the_digit() -> None:
    np.testing.assert_allclose(
        Piecewise(steps=((3, 4), (2, 4))).times(1000, seed=1), Poisson(4.0).times(1000, seed=1)
    )


# -- superposition -------------------------------------------------------------------------------


def test_poissons_together_are_poisson() -> None:
    process = Poisson(1.0) + Poisson(2.5) + Poisson(0.5)
    assert len(process.parts) == 3
    assert (process.rate, process.cv) == (4.0, 1.0)
    gaps = np.diff(process.times(N, seed=18), prepend=0.0)
    hold_gaps(gaps, stats.expon(scale=0.25), "superposed Poisson")
    serial = np.corrcoef(gaps[1:], gaps[:-1])[0, 1]
    hold(serial, 0, 1 / math.sqrt(N), "correlation of neighbours")


def test_the_parts_are_drawn_apart() -> None:
    twins = (Poisson(1.0) + Poisson(1.0)).times(10_000, seed=1)
    assert (np.diff(twins) > 0).all()


def test_a_part_a_thousand_times_as_fast_does_not_hide_the_other() -> None:
    times = (Poisson(1000.0) + Trace([0.0, 1.5, 2.5])).times(10_000, seed=19)
    alone = Superposition((Poisson(1000.0),)).times(10_000, seed=19)
    assert np.isin([0.0, 1.5, 2.5], times).all()
    np.testing.assert_array_equal(times, np.sort(np.append(alone[:-3], [0.0, 1.5, 2.5])))


def test_traces_together_end_where_they_end() -> None:
    both = Trace([0.0, 2.0]) + Trace([0.0, 1.0, 3.0])
    assert both.times(10, seed=1).tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert not both.synthetic


@pytest.mark.parametrize("part", [CorpusTimes(), ClosedLoop(3, 1.0)], ids=str)
def test_some_processes_stand_alone(part: Arrivals) -> None:
    with pytest.raises(SimulationError, match="cannot be a part"):
        _ = part + Poisson(1.0)
    with pytest.raises(SimulationError, match=r"corpus \+ poisson:1.*cannot be a part"):
        parse_arrivals("corpus + poisson:1")


def test_only_processes_add_up() -> None:
    with pytest.raises(TypeError):
        _ = Poisson(1.0) + 3  # pyright: ignore[reportOperatorIssue]
    with pytest.raises(SimulationError, match="no parts"):
        Superposition(())


# -- traces --------------------------------------------------------------------------------------


def test_a_trace_gives_as_many_as_it_has() -> None:
    assert Trace(STAMPS).times(100, seed=1).tolist() == [0.0, 1.0, 1.0, 3.5, 6.0]
    assert Trace(STAMPS).times(2, seed=1).tolist() == [0.0, 1.0]


def test_a_trace_is_windowed_in_its_own_seconds_and_then_sped_up() -> None:
    window = Trace(STAMPS, speed=2, start=5.5, stop=11)
    assert window.times(100, seed=1).tolist() == [0.25, 0.25, 1.5]
    assert Trace(STAMPS, start=0, stop=6).times(9, seed=1).tolist() == [5.0]
    assert Trace(STAMPS, stop=8.5).times(9, seed=1).tolist() == [0.0, 1.0, 1.0]


def test_a_looped_trace_begins_again_a_mean_gap_after_its_end() -> None:
    looped = Trace([1.0, 2.0, 5.0], loop=True)
    assert looped.times(7, seed=1).tolist() == [0, 1, 4, 6, 7, 10, 12]
    assert looped.rate == 0.5
    windowed = Trace([1.0, 2.0, 5.0], start=0, stop=10, loop=True, speed=2)
    assert windowed.times(5, seed=1).tolist() == [0.5, 1.0, 2.5, 5.5, 6.0]
    assert windowed.rate == 0.6


def test_a_trace_all_at_once_can_only_be_looped_with_a_stop() -> None:
    assert Trace([3.0, 3.0], stop=4.0, loop=True).times(5, seed=1).tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(SimulationError, match="a lap has no length; give stop"):
        Trace([3.0, 3.0], loop=True).times(5, seed=1)


def test_jitter_moves_each_arrival_by_less_than_its_width() -> None:
    stamps = np.repeat(np.arange(1000) * 3.0, 7)
    for loop in (False, True):
        times = Trace(stamps, jitter=3.0, loop=loop).times(7000, seed=20)
        # In steps as wide as the jitter, arrivals stay in their own step.
        np.testing.assert_array_equal(np.floor(times / 3.0) * 3.0, stamps)
    test = stats.kstest(np.mod(times, 3.0) / 3.0, "uniform")
    print(f"jitter: p = {test.pvalue:.2g}")
    assert test.pvalue > 1e-5


def test_jitter_wider_than_a_lap_keeps_the_order_and_the_rate() -> None:
    process = Trace([0.0, 1.0], stop=2.0, loop=True, jitter=50.0)
    times = process.times(10_000, seed=21)
    assert (np.diff(times) >= 0).all()
    assert realised(times[200:])[0] == pytest.approx(1.0, rel=0.05)
    np.testing.assert_array_equal(process.times(20, seed=21), times[:20])


def test_a_trace_from_an_array_keeps_its_own_copy() -> None:
    stamps = np.array([0.0, 1.0])
    trace = Trace(stamps)
    stamps[1] = 7.0
    assert trace.times(2, seed=1).tolist() == [0.0, 1.0]
    assert trace == Trace([0.0, 1.0])
    assert trace != Trace([0.0, 7.0])
    assert trace != Trace("a file")
    assert str(trace) == "trace:<2 times>"


def test_a_corpus_a_file_and_an_array_are_the_same_trace(tmp_path: Path) -> None:
    mine = corpus([0.5, 1.5, 4.0])
    mine.write(tmp_path / "mine.csv")
    sources = [mine, tmp_path / "mine.csv", str(tmp_path / "mine.csv"), [0.5, 1.5, 4.0]]
    for source in sources:
        assert Trace(source).times(9, seed=1).tolist() == [0.0, 1.0, 3.5]
    assert Trace(tmp_path / "mine.csv") == Trace(str(tmp_path / "mine.csv"))
    assert str(Trace(mine)) == "trace:mine"


def test_a_bursty_trace_is_as_it_was_recorded(shared_data: Path) -> None:
    process = Trace(shared_data / "AzureLLMInferenceTrace_code.csv")
    times = process.times(10_000, seed=1)
    assert times.size == 8819
    assert (times[0], times[-1]) == (0.0, pytest.approx(3435.948056))
    assert realised(times) == (process.rate, process.cv)
    assert process.cv == pytest.approx(13.15, abs=0.01)
    fast = process.scaled(10)
    assert fast.rate == pytest.approx(10 * process.rate)
    assert fast.cv == process.cv
    minute = Trace(shared_data / "AzureLLMInferenceTrace_code.csv", start=600, stop=660, loop=True)
    inside = times[(times >= 600) & (times < 660)] - 600
    np.testing.assert_array_equal(minute.times(inside.size, seed=1), inside)
    assert minute.rate == inside.size / 60


def test_jitter_takes_the_steps_out_of_a_coarse_trace(shared_data: Path) -> None:
    path = shared_data / "mooncake_conversation_trace.jsonl"
    coarse = Trace(path).times(20_000, seed=1)
    fine = Trace(path, jitter=3.0).times(20_000, seed=1)
    assert coarse.size == fine.size == 12031
    assert (np.diff(coarse) == 0).mean() == pytest.approx(0.90, abs=0.005)
    assert (np.diff(fine) > 0).all()
    assert realised(coarse)[1] > 3
    assert realised(fine)[1] == pytest.approx(1.0, abs=0.1)
    assert np.abs(fine - coarse).max() < 3.1  # stamps are 2.997 to 3.003 s apart


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([], "needs a row of finite times"),
        ([[1.0]], "needs a row of finite times"),
        ([1.0, math.nan], "needs a row of finite times"),
        ([1.0, 3.0, 2.0], r"source\[2\] is 2, after 3; sort the times"),
        (object(), "source is a object; needs a file"),
    ],
)
def test_what_is_no_trace(source: object, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        Trace(source)  # pyright: ignore[reportArgumentType]


def test_a_window_without_arrivals_says_where_they_are() -> None:
    with pytest.raises(SimulationError, match=r"no arrival in \[20, \).* from 5 to 11 s"):
        Trace(STAMPS, start=20).times(3, seed=1)


# -- the corpus's own times, and closed loops ----------------------------------------------------


def test_the_corpus_own_times() -> None:
    mine = corpus([5.0, 6.0, 6.0, 8.5, 11.0])
    assert CorpusTimes().times(9, 1, mine).tolist() == [0.0, 1.0, 1.0, 3.5, 6.0]
    assert CorpusTimes().rows(mine) == slice(0, 5)
    window = CorpusTimes(speed=2, start=6, stop=9)
    assert window.times(9, 1, mine).tolist() == [0.0, 0.0, 1.25]
    assert window.times(2, 1, mine).tolist() == [0.0, 0.0]
    assert window.rows(mine) == slice(1, 4)
    assert window.scaled(3).speed == 6
    assert (window.rate, window.cv) == (None, None)


def test_a_corpus_without_times_is_told_what_to_do() -> None:
    with pytest.raises(SimulationError, match=r"mine has no arrival times.*poisson:4"):
        CorpusTimes().times(3, 1, corpus([math.nan, math.nan]))
    with pytest.raises(SimulationError, match="no corpus was given"):
        CorpusTimes().times(3, 1)


@pytest.mark.parametrize(
    "process", [Piecewise(((1e-9, 1), (1, 0))), MMPP((1, 2), (1e-9, 1e-9))], ids=str
)
def test_states_that_change_without_end_between_arrivals_are_refused(process: Arrivals) -> None:
    assert process.times(0, seed=1).size == 0
    with pytest.raises(SimulationError, match=r"changes of state.*let the states last longer"):
        process.times(1000, seed=1)


def test_a_closed_loop_has_no_times() -> None:
    loop = ClosedLoop(users=20, think=10)
    with pytest.raises(SimulationError, match="only a replay has them"):
        loop.times(3, seed=1)
    assert loop.scaled(4) == ClosedLoop(users=20, think=2.5)
    with pytest.raises(SimulationError, match="vary users"):
        ClosedLoop(users=20, think=0).scaled(2)
    with pytest.raises(SimulationError, match="factor is 0"):
        loop.scaled(0)


# -- bad parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Poisson(-4), "Poisson: rate is -4, needs a number above 0"),
        (lambda: Poisson(math.inf), "Poisson: rate is inf"),
        (lambda: Poisson("many"), "Poisson: rate is 'many'"),  # pyright: ignore
        (lambda: Deterministic(0), "Deterministic: rate is 0"),
        (lambda: Gamma(1, 0), "Gamma: cv is 0, .*for equal gaps take deterministic"),
        (lambda: Weibull(1, 2000), "Weibull: cv is 2000, needs a number from 0.001 to 1000"),
        (lambda: MMPP((1, 2), (1,)), "2 rates and 1 sojourns"),
        (lambda: MMPP((0, 0), (1, 1)), "every rate is 0"),
        (lambda: MMPP((1, -2), (1, 1)), r"rates\[1\] is -2, needs a number of at least 0"),
        (lambda: MMPP((1, 2), (1, 0)), r"sojourns\[1\] is 0, needs a number above 0 \(seconds\)"),
        (lambda: burst(1, 0, 1, 1), "burst: peak is 0"),
        (lambda: burst(1, 2, 1, -1), "burst: off is -1"),
        (lambda: Piecewise(((1, 0),)), "no step has a rate above 0"),
        (lambda: Poisson(1e-300), r"from 1e-12 to 1e\+18"),
        (lambda: Poisson(1e300), r"from 1e-12 to 1e\+18"),
        (lambda: Piecewise(((0, 1),)), r"seconds\[0\] is 0"),
        (lambda: Piecewise(((1, 1, 1),)), "needs pairs"),  # pyright: ignore
        (lambda: Diurnal(1, 1.1), "amplitude is 1.1, needs a number from 0 to 1"),
        (lambda: Diurnal(1, 0.5, period=0), "period is 0"),
        (lambda: Diurnal(1, 0.5, peak_at=math.nan), "peak_at is nan"),
        (lambda: Trace("a", speed=0), "Trace: speed is 0"),
        (lambda: Trace("a", jitter=-1), "Trace: jitter is -1"),
        (lambda: Trace("a", start=3, stop=3), "stop is 3, needs a number above start, 3"),
        (lambda: CorpusTimes(start=math.inf), "CorpusTimes: start is inf"),
        (lambda: ClosedLoop(0, 1), "users is 0, needs a whole number of at least 1"),
        (lambda: ClosedLoop(2.5, 1), "users is 2.5"),  # pyright: ignore
        (lambda: ClosedLoop(2, -1), "think is -1"),
        (lambda: ClosedLoop(2, 1, think_cv=2), "think_cv is 2, needs 1"),
    ],
)
def test_bad_parameters(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(SimulationError, match=said):
        make()


# -- the grammar ---------------------------------------------------------------------------------

POSITIVE = st.floats(1e-6, 1e17)
RATES = st.floats(0, 1e6)
SECONDS = st.floats(-1e9, 1e9)
CVS = st.floats(0.001, 1000)
NAMES = st.text(
    st.characters(blacklist_characters='"', blacklist_categories=("Cs", "Cc")), min_size=1
)
STEPS = st.lists(st.tuples(POSITIVE, RATES), min_size=1, max_size=4).filter(
    lambda steps: any(rate for _, rate in steps)
)
WINDOWS = st.one_of(
    st.just((None, None)),
    st.tuples(SECONDS, st.none()),
    st.tuples(st.none(), SECONDS),
    st.tuples(SECONDS, SECONDS).filter(lambda window: window[0] < window[1]),
)
PARTS = st.one_of(
    st.builds(Poisson, POSITIVE),
    st.builds(Deterministic, POSITIVE),
    st.builds(Gamma, POSITIVE, CVS),
    st.builds(Weibull, POSITIVE, CVS),
    st.builds(burst, RATES, POSITIVE, POSITIVE, POSITIVE),
    STEPS.map(lambda steps: MMPP([rate for _, rate in steps], [mean for mean, _ in steps])),
    st.builds(Piecewise, STEPS),
    st.builds(Diurnal, POSITIVE, st.floats(0, 1), POSITIVE, st.none() | SECONDS),
    st.builds(
        lambda source, speed, window, loop, jitter: Trace(
            source, speed, window[0], window[1], loop, jitter
        ),
        NAMES,
        POSITIVE,
        WINDOWS,
        st.booleans(),
        st.floats(0, 1e6),
    ),
)
PROCESSES = st.one_of(
    PARTS,
    st.lists(PARTS, min_size=2, max_size=3).map(lambda parts: Superposition(tuple(parts))),
    st.builds(lambda speed, window: CorpusTimes(speed, *window), POSITIVE, WINDOWS),
    st.builds(ClosedLoop, st.integers(1, 10**6), RATES, st.sampled_from([0, 1])),
)


@given(PROCESSES)
def test_what_is_written_reads_back_the_same(process: Arrivals) -> None:
    assert parse_arrivals(str(process)) == process


@given(st.text() | st.builds("{}:{}".format, st.sampled_from(["poisson", "mmpp"]), st.text()))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SimulationError):
        assert isinstance(parse_arrivals(text), Arrivals)


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("poisson:4", Poisson(4)),
        ("poisson:rate=4", Poisson(4)),
        ("gamma:4,cv=2", Gamma(4, 2)),
        ("gamma:4, cv=2", Gamma(4, 2)),
        ("weibull:4,cv=0.5", Weibull(4, 0.5)),
        ("deterministic:4", Deterministic(4)),
        ("mmpp:60@2/10@20", MMPP(rates=(2, 20), sojourns=(60, 10))),
        ("burst:rate=2,peak=20,on=10,off=60", MMPP(rates=(2, 20), sojourns=(60, 10))),
        ("piecewise:60@2/30@10", Piecewise(((60, 2), (30, 10)))),
        ("diurnal:4,amplitude=0.8,period=86400", Diurnal(4, 0.8)),
        ("corpus", CorpusTimes()),
        ("corpus:2x", CorpusTimes(2)),
        ("corpus:start=60,stop=120", CorpusTimes(1, 60, 120)),
        ("corpus:0.5x,start=60", CorpusTimes(0.5, 60)),
        ("trace:a.csv", Trace("a.csv")),
        ("trace:a.csv,speed=2,start=0,stop=600,loop,jitter=3", Trace("a.csv", 2, 0, 600, True, 3)),
        ("trace:a:b=c.csv,loop=false", Trace("a:b=c.csv")),
        ('trace:"a, b + c.csv",speed=2 + poisson:4', Trace("a, b + c.csv", 2) + Poisson(4)),
        ("closed:users=20,think=10", ClosedLoop(20, 10)),
        ("closed:users=20,think=10,think_cv=0", ClosedLoop(20, 10, 0)),
        ("poisson:1+burst:rate=0,peak=2,on=1,off=1", Poisson(1) + burst(0, 2, 1, 1)),
        ("trace:a+b.csv+poisson:1e+2", Trace("a+b.csv") + Poisson(1e2)),
        (" poisson:1 +  gamma:2,cv=3 + poisson:1e+16 ", Poisson(1) + Gamma(2, 3) + Poisson(1e16)),
    ],
)
def test_the_grammar(text: str, process: Arrivals) -> None:
    assert parse_arrivals(text) == process


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "poisson:-4",
            "poisson:-4: rate is -4, needs a number above 0 (arrivals a second); "
            "write poisson:RATE",
        ),
        ("poisson:4/s", "poisson:4/s: rate is '4/s', needs a number; write poisson:RATE"),
        ("poisson", "poisson: rate missing; write poisson:RATE"),
        (
            "trace:",
            "trace:: source missing; write trace:FILE[,speed=FACTOR][,start=SECONDS]"
            "[,stop=SECONDS][,loop][,jitter=SECONDS]",
        ),
        ("poisson:", "poisson:: rate missing; write poisson:RATE"),
        ("poisson:4,3", "poisson:4,3: '3' is no NAME=VALUE; write poisson:RATE"),
        ("poisson:4,cv=3", "poisson:4,cv=3: no 'cv' here, there are rate; write poisson:RATE"),
        ("poisson:4,rate=3", "poisson:4,rate=3: rate is given twice; write poisson:RATE"),
        ("gamma:4", "gamma:4: cv missing; write gamma:RATE,cv=CV"),
        (
            "poisson:1 + gamma:4,cv=-1",
            "gamma:4,cv=-1: cv is -1, needs a number from 0.001 to 1000; for equal gaps take "
            "deterministic; write gamma:RATE,cv=CV",
        ),
        (
            "piecewise:60@2/30",
            "piecewise:60@2/30: steps is '60@2/30', needs SECONDS@RATE, several divided by /; "
            "write piecewise:SECONDS@RATE/…",
        ),
        (
            "burst:2,peak=3,on=1,off=1",
            "burst:2,peak=3,on=1,off=1: '2' is no NAME=VALUE; "
            "write burst:rate=RATE,peak=RATE,on=MEAN_SECONDS,off=MEAN_SECONDS",
        ),
        (
            "closed:users=2.5,think=1",
            "closed:users=2.5,think=1: users is '2.5', needs a whole number; "
            "write closed:users=N,think=SECONDS[,think_cv=1|0]",
        ),
    ],
)
def test_the_grammar_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(SimulationError) as caught:
        parse_arrivals(text)
    assert str(caught.value) == said


@pytest.mark.parametrize("text", ["", "posson:4", "4", "poisson:4 + ", "trace"])
def test_an_unknown_process_is_shown_the_grammar(text: str) -> None:
    with pytest.raises(SimulationError) as caught:
        parse_arrivals(text)
    forms = GRAMMAR.split("\n")
    assert any(form in str(caught.value) for form in forms)


@pytest.mark.parametrize("text", ['trace:""', 'trace:"a', 'trace:a"b', 'trace:"a"b"'])
def test_a_file_is_named(text: str) -> None:
    with pytest.raises(SimulationError, match="needs a file or a public corpus"):
        parse_arrivals(text)


def test_a_flag_stands_alone() -> None:
    with pytest.raises(SimulationError, match="loop is '2', needs to stand alone"):
        parse_arrivals("trace:a.csv,loop=2")
