"""Arrivals on any clock become seconds, and what was read how is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.corpora.numbers import RawColumn
from routingsim.corpora.times import NO_TIME, read_clock
from routingsim.errors import CorpusError

Write = Callable[..., Path]

SECONDS = [1745226000.067, 1745226000.169, 1745226003.0]


def table(stamps: list) -> str:
    return "\n".join(["id,text,arrived_at", *(f"{row},x,{at}" for row, at in enumerate(stamps))])


def arrivals(corpus: Corpus) -> list[float]:
    return corpus.tasks["arrived_at"].tolist()


@pytest.mark.parametrize("unit", ["milliseconds", "microseconds", "nanoseconds"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "frame"])
def test_epochs_in_any_unit_are_the_same_traffic(write: Write, unit: str, form: str) -> None:
    factor = {"milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}[unit]
    stamps = [round(each * 1000) * (factor // 1000) for each in SECONDS]
    frame = pd.DataFrame({"id": list("abc"), "text": "x", "arrived_at": stamps})
    if form == "frame":
        corpus = Corpus.from_frame(frame)
    elif form == "csv":
        corpus = load_corpus(write(table(stamps), "tasks.csv"))
    else:
        lines = [json.dumps({"id": str(at), "text": "x", "arrived_at": at}) for at in stamps]
        corpus = load_corpus(write("\n".join(lines)))
    assert arrivals(corpus) == pytest.approx(SECONDS, abs=1e-6)
    assert corpus.notes == (
        f"arrived_at: {unit} since 1970, divided by {factor:,} to give seconds",
    )


def test_milliseconds_with_thousands_separators(write: Write) -> None:
    corpus = load_corpus(write(table(['"1,745,226,000,067"']), "tasks.csv"))
    assert arrivals(corpus) == [1745226000.067]
    assert corpus.notes == (
        "arrived_at: milliseconds since 1970, divided by 1,000 to give seconds",
        "arrived_at: 1 value read with the comma as thousands separator, as '1,745,226,000,067'",
    )


def test_seconds_stay_as_they_are(write: Write) -> None:
    corpus = load_corpus(write(table(SECONDS), "tasks.csv"))
    assert arrivals(corpus) == SECONDS
    assert corpus.notes == ()
    # Five days in milliseconds may as well be seconds since some other day.
    assert load_corpus(write(table([0, 4.32e8]), "tasks.csv")).notes == ()


def test_a_clock_of_another_unit_among_milliseconds(write: Write) -> None:
    path = write(table([1745226000067, 1745226001, 1745226002067]), "tasks.csv")
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert str(caught.value).startswith(
        f"{path}:3: arrived_at: expected milliseconds since 1970 as in other rows, found "
        "'1745226001'. "
    )
    assert arrivals(load_corpus(path, on_error="skip")) == [1745226000.067, 1745226002.067]


@pytest.mark.parametrize(
    ("stamps", "seconds", "notes"),
    [
        (
            ["2025-04-21", "2025-04-22"],
            [0.0, 86400.0],
            ["times, counted in seconds from 2025-04-21T00:00:00+00:00"],
        ),
        (
            ["2025/04/21 09:00:00", "2025-04-21 09:00:01.5 UTC"],
            [0.0, 1.5],
            [
                "times, counted in seconds from 2025-04-21T09:00:00+00:00",
                "1 time without a zone read as UTC",
            ],
        ),
        (
            ["13/6/2023 00:30", "14/6/2023 12:30 AM"],
            [0.0, 86400.0],
            [
                "dates read day first, as '13/6/2023 00:30' shows",
                "times, counted in seconds from 2023-06-13T00:30:00+00:00",
            ],
        ),
        (
            ["6.10.2023 10:00", "6.10.2023 10:00:05"],
            [0.0, 5.0],
            [
                "dates read day first, as '6.10.2023 10:00' shows",
                "times, counted in seconds from 2023-10-06T10:00:00+00:00",
            ],
        ),
        (
            ["12/31/2023 11:59:58 PM", "1/1/2024 12:00 AM"],
            [0.0, 2.0],
            [
                "dates read month first, as '12/31/2023 11:59:58 PM' shows",
                "times, counted in seconds from 2023-12-31T23:59:58+00:00",
            ],
        ),
    ],
)
def test_dates_that_can_mean_one_thing_only(
    write: Write, stamps: list[str], seconds: list[float], notes: list[str]
) -> None:
    corpus = load_corpus(write(table(stamps), "tasks.csv"))
    assert arrivals(corpus) == seconds
    assert corpus.notes == tuple(f"arrived_at: {note}" for note in notes)


def test_the_order_of_a_date_is_asked_for(write: Write) -> None:
    path = write(table(["10/6/2023 12:37 AM", "10/7/2023 12:38 PM"]), "tasks.csv")
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert str(caught.value) == (
        f"{path}:2: arrived_at: '10/6/2023 12:37 AM' can be 2023-10-06 00:37:00 or "
        "2023-06-10 00:37:00; write it so, or say which with dates='month first' or dates='day "
        "first' (--dates) (and 1 more). Mend the file, or leave such records out with "
        "on_error='skip' (--on-error skip)"
    )
    day, noon = 86400.0, 43260.0
    assert arrivals(load_corpus(path, dates="month first")) == [0.0, day + noon]
    assert arrivals(load_corpus(path, dates="day first")) == [0.0, 30 * day + noon]
    frame = pd.read_csv(path, dtype={"id": str})
    assert load_corpus(frame, dates="day first").notes == (
        "arrived_at: times, counted in seconds from 2023-06-10T00:37:00+00:00",
    )
    with pytest.raises(CorpusError, match="dates is 'us'; allowed are 'month first' and 'day firs"):
        load_corpus(path, dates="us")


def test_dates_in_both_orders_are_refused(write: Write) -> None:
    path = write(table(["13/6/2023", "6/13/2023"]), "tasks.csv")
    with pytest.raises(CorpusError, match=r":2: arrived_at: expected a time like .*'13/6/2023' \("):
        load_corpus(path)


def test_a_repeated_hour_is_said(write: Write) -> None:
    stamps = ["2025-10-26 02:30:00", "2025-10-26 02:10:00", "2025-10-26 03:00:00"]
    corpus = load_corpus(write(table(stamps), "tasks.csv"))
    assert corpus.notes == (
        "arrived_at: times, counted in seconds from 2025-10-26T02:10:00+00:00",
        "1 arrival was unsorted: sorted",
    )
    assert list(map(str, corpus.findings)) == [
        "arrived_at: 2025-10-26 02:10:00 comes after 2025-10-26 02:30:00, as when clocks are set "
        "back: the hour that came twice is taken as one. It touches the order, rate and waits of "
        "the tasks around it; write times with their zone, as 2025-10-26 02:10:00+01:00"
    ]
    # The day before, and by some seconds only, it is a log that is not in order.
    for other in (
        [stamp.replace("26", "25") for stamp in stamps],
        ["2025-10-26 02:30:00", "2025-10-26 02:29:57"],
    ):
        corpus = load_corpus(write(table(other), "tasks.csv"))
        assert (len(corpus.notes), corpus.findings) == (2, ())


def test_missing_and_wrong_times_among_dates(write: Write) -> None:
    corpus = load_corpus(write(table(["2025-04-21", "null", "2025-04-22"]), "tasks.csv"))
    assert corpus.notes == (
        "arrived_at: 1 value read as not recorded, as 'null'",
        "arrived_at: times, counted in seconds from 2025-04-21T00:00:00+00:00",
        "1 task has no arrived_at: the corpus's own times cannot be replayed",
    )
    path = write(table(["21 Apr 2025", "22 Apr 2025"]), "tasks.csv")
    with pytest.raises(CorpusError, match=r"expected a time like 2023-11-16 18:17:03\.97.*'21 Apr"):
        load_corpus(path)


def test_a_clock_of_two_units_is_refused() -> None:
    frame = {"id": ["x", "y"], "text": ["a", "b"], "arrived_at": [1745226000, 1745226001000]}
    with pytest.raises(
        CorpusError,
        match=r"arrived_at: expected seconds since 1970 as in other rows, found 1745226001000",
    ):
        Corpus.from_frame(pd.DataFrame(frame))
    frame["arrived_at"] = [1745226000, 1745226001]
    assert Corpus.from_frame(pd.DataFrame(frame)).tasks["arrived_at"].iloc[1] == 1745226001


def test_years_that_a_clock_of_nanoseconds_does_not_reach(write: Write) -> None:
    """A corpus counts from its first time; a log wants the clock, and says which it cannot hold."""
    path = write(
        "id,text,arrived_at\na,x,3026-01-05T09:00:00Z\nb,y,3026-01-05T09:00:02Z\n", "a.csv"
    )
    assert load_corpus(str(path)).to_frame()["arrived_at"].tolist() == [0.0, 2.0]
    column = RawColumn("t", ["2026-01-05T09:00:00Z", "3026-01-05T09:00:00Z", None])
    problems: dict[int, str] = {}
    found = read_clock(column, "", problems, [], None)
    assert found.tolist() == [1767603600 * 10**9, NO_TIME, NO_TIME]
    assert problems == {
        1: "t: expected a time like 2023-11-16 18:17:03.9799600, found '3026-01-05T09:00:00Z'"
    }
