"""Traces, and the times of a corpus."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals import (
    CorpusTimes,
    Trace,
    realised,
)
from tests.simulation.arrivals.laws import (
    STAMPS,
    corpus,
)


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


@pytest.mark.slow
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
        (object(), "source is an object; needs a file"),
    ],
)
def test_what_is_no_trace(source: object, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        Trace(source)  # pyright: ignore[reportArgumentType]


def test_a_window_without_arrivals_says_where_they_are() -> None:
    with pytest.raises(SimulationError, match=r"no arrival in \[20, \).* from 5 to 11 s"):
        Trace(STAMPS, start=20).times(3, seed=1)


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
