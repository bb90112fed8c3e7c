"""Rounded stamps are spread over what they stand for; clock changes are named."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from routingsim import load_corpus
from routingsim.corpora.checkup.clocks import clock_changes, spread_rounded


def poisson(size: int, mean: float, seed: int = 2) -> NDArray[np.float64]:
    return np.cumsum(np.random.default_rng(seed).exponential(mean, size))


@pytest.mark.parametrize(("step", "unit"), [(1, "second"), (60, "minute"), (3600, "hour")])
def test_rounded_stamps_are_spread(step: int, unit: str) -> None:
    exact = poisson(600, step / 5)
    stamps: NDArray[np.float64] = exact // step * step
    times, [found] = spread_rounded(stamps)
    assert (np.floor(times / step) * step == stamps).all()
    assert (np.diff(times) >= 0).all()
    assert (spread_rounded(stamps)[0] == times).all()
    gaps = np.diff(times)
    assert 0.85 < gaps.std() / gaps.mean() < 1.15  # as of a Poisson process, not of batches
    assert found.what.startswith(f"all 600 times are at a full {unit}, and ")
    assert found.what.endswith(f"spread over the {unit} that follows")
    # Times that count from the first of them are at a full minute by the clock.
    again, _ = spread_rounded(stamps - stamps[0], begins=stamps[0])
    np.testing.assert_allclose(again, times - stamps[0], atol=1e-6)


def test_other_stamps_are_left() -> None:
    minutes = np.floor(poisson(600, 12.0) / 60) * 60
    others: tuple[Any, ...] = (
        poisson(600, 1.0),
        np.repeat(np.arange(120) * 5.5, 5),  # batches
        np.repeat(np.arange(12) * 60.0, 5) + 0.001,
        np.arange(600) * 60.0,  # one a minute
        np.zeros(600),
        minutes[:40],
        np.full(600, np.nan),
    )
    for times in others:
        found, said = spread_rounded(times)
        assert found is times
        assert said == []
    partly = np.sort(np.where(np.arange(600) % 2, minutes, minutes + 0.5 + np.arange(600) % 50))
    found, [said] = spread_rounded(partly)
    assert found is partly
    assert said.what == (
        "50 % of the times are at a full minute, as if a part of the record were rounded"
    )
    _, said = spread_rounded(minutes + 17.0, begins=0.0)  # batches of a clock's 17th second
    assert [each.what[:36] for each in said] == ["all 600 times are at a full second, "]


def test_a_corpus_of_minutes_queues_as_one_of_seconds() -> None:
    stamps = pd.Timestamp("2024-05-06 08:00") + pd.to_timedelta(poisson(300, 10.0), unit="s")
    frame = pd.DataFrame({"id": range(300), "text": "x", "arrived_at": stamps})
    frame["arrived_at"] = frame["arrived_at"].dt.strftime("%Y-%m-%d %H:%M")
    corpus = load_corpus(frame)
    assert corpus.has_arrivals
    assert len(set(corpus.tasks["arrived_at"])) == 300
    assert [each.subject for each in corpus.check().findings] == ["times"]
    kept = load_corpus(frame.assign(arrived_at=frame["arrived_at"] + ":00.001"))
    assert len(set(kept.tasks["arrived_at"])) < 60
    assert not kept.check()


def local(begin: str, hours: float, size: int, zone: str) -> np.ndarray:
    seconds = np.sort(np.random.default_rng(1).uniform(0, 3600 * hours, size))
    utc = pd.to_datetime(
        np.datetime64(begin, "us") + (1e6 * seconds).astype("timedelta64[us]"), utc=True
    )
    return utc.tz_convert(zone).tz_localize(None).to_numpy()


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


@pytest.mark.parametrize(
    ("begin", "zone", "said"),
    [
        ("2024-10-26 20:00", BERLIN, "2024-10-27 02:00 for an hour"),
        ("2024-11-03 02:00", NEW_YORK, "2024-11-03 01:00 for an hour"),
        ("2024-03-30 20:00", BERLIN, "no task from 2024-03-31 02:00 for an hour"),
        ("2024-10-19 20:00", BERLIN, ""),
        ("2024-10-26 20:00", "UTC", ""),
        ("2024-07-06 20:00", BERLIN, ""),
    ],
)
def test_hours_that_a_clock_change_moved(begin: str, zone: str, said: str) -> None:
    times = local(begin, 10, 2000, zone)
    found = clock_changes(np.sort(times), "arrived_at")
    assert [said in each.what for each in found] == [True] * bool(said)
    back = clock_changes(times, "arrived_at")  # in the order of the tasks
    assert [
        "as when clocks are set back: the hour that came twice" in each.what for each in back
    ] == ([] if not said else [not said.startswith("no task")])
