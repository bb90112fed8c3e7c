"""What every arrival process promises, and superpositions."""

import inspect
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from routingsim.errors import SimulationError
from routingsim.simulation import arrivals
from routingsim.simulation.arrivals import (
    MMPP,
    Arrivals,
    ClosedLoop,
    CorpusTimes,
    Deterministic,
    Diurnal,
    Piecewise,
    Poisson,
    Superposition,
    Trace,
    parse_arrivals,
    realised,
)
from tests.simulation.arrivals.laws import (
    EXAMPLES,
    MODELS,
    WITHOUT_TIMES_OF_THEIR_OWN,
    N,
    hold,
    hold_gaps,
)


def test_every_process_is_among_the_examples() -> None:
    public = {getattr(arrivals, name) for name in arrivals.__all__}
    kinds = {each for each in public if inspect.isclass(each) and each is not Arrivals}
    assert kinds == MODELS.keys() | WITHOUT_TIMES_OF_THEIR_OWN
    assert all(type(each) is kind for kind, examples in MODELS.items() for each in examples)


@pytest.mark.slow
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


@pytest.mark.slow
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
