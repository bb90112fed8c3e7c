"""Blocks of calls to one table: clocks, latencies, ids, tries and turns, each checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from routingsim.corpora.logs.fields import CLOCKS, NAMES, NUMBERS, Reading
from routingsim.corpora.logs.shape import PER_RECORD
from routingsim.corpora.logs.statuses import OK, STATUSES
from routingsim.corpora.logs.table import COLUMNS
from routingsim.corpora.logs.tries import codes_of, tasks_of
from routingsim.corpora.rows import counted
from routingsim.corpora.times import NO_TIME
from routingsim.corpora.validation import STRING

_CALENDAR = 5e8  # seconds since 1970 from which a clock is a calendar
_MILLISECONDS = (500.0, 2000.0)  # times by which a latency in ms is longer than in seconds
_WRITTEN = "cache_write_tokens"
_SAME = 1e-6  # seconds by which a first token that is the end may differ from it

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """The calls of a block: arrays by field, and the numbers of their records in the file."""

    file: int
    arrays: Mapping[str, Any]
    numbers: NDArray[np.int64]
    left_out: Mapping[str, int]


@dataclass
class Joined:
    """A log's table, and notes on it."""

    calls: pd.DataFrame
    origin: tuple[NDArray[np.int32], NDArray[np.int64]]
    began: pd.Timestamp | None = None
    columns: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def join(
    parts: Sequence[Part],
    stems: Sequence[str],
    kind: str,
    reading: Reading,
    labels: Mapping[str, str],
    asked: Mapping[str, str],
) -> Joined:
    """The table of a log.

    Parameters
    ----------
    parts : sequence of Part
    stems : sequence of str
        A name for each file, for ids where it has none.
    kind : {"calls", "answers"}
    reading : Reading
        What was seen while blocks were read.
    labels : mapping of str to str
        Where each field comes from.
    asked : mapping of str to str
        The agents that requests asked for, by the call's id.
    """
    left_out: dict[str, int] = {}
    for part in parts:
        for why, count in part.left_out.items():
            left_out[why] = left_out.get(why, 0) + count
    parts = [part for part in parts if part.numbers.size]
    size = sum(part.numbers.size for part in parts)
    file = np.repeat(
        np.array([part.file for part in parts], dtype=np.int32),
        [part.numbers.size for part in parts],
    )
    number = np.concatenate([part.numbers for part in parts]) if parts else np.empty(0, np.int64)
    result = Joined(pd.DataFrame(), (file, number), left_out=left_out, notes=list(reading.notes))
    if not size:
        return result
    given = {ours for part in parts for ours in part.arrays}
    values: dict[str, Any] = {
        **{ours: _names(parts, ours) for ours in NAMES},
        **{ours: _stack(parts, ours, np.nan, np.float64) for ours in NUMBERS},
        "status": _stack(parts, "status", OK, np.int8),
    }
    clocks = {ours: _stack(parts, ours, NO_TIME, np.int64) for ours in CLOCKS}
    _set_clock(result, values, clocks)
    made_up = _set_ids(result, values, stems)
    if asked:
        wanted = values["call_id"].map(asked).fillna("")
        values["agent"] = values["agent"].where(values["agent"] != "", wanted)
    _set_spans(result, values, clocks, labels)
    frame = pd.DataFrame(
        {ours: values[ours] for ours in (*NAMES, *NUMBERS, "status", "arrived_at")}
    )
    frame, result.origin = _sorted(result, frame)
    frame = _without_repeats(result, frame)
    _set_tasks(result, frame, kind, given, number_of=made_up)
    _set_turns(frame)
    _add_cached(result, frame)
    frame["status"] = pd.Categorical.from_codes(frame["status"].to_numpy(), categories=STATUSES)
    for ours in ("agent", "tags"):
        frame[ours] = frame[ours].astype("category")
    result.calls = frame.loc[:, list(COLUMNS)].reset_index(drop=True)
    _set_columns(result, given, labels, made_up)
    return result


def _stack(parts: Sequence[Part], ours: str, missing: Any, kind: type) -> NDArray[Any]:
    return np.concatenate(
        [
            part.arrays[ours] if ours in part.arrays else np.full(part.numbers.size, missing, kind)
            for part in parts
        ]
    )


def _names(parts: Sequence[Part], ours: str) -> pd.Series:
    chunks: list[pa.Array] = []
    for part in parts:
        if ours in part.arrays:
            chunks += part.arrays[ours].chunks
        else:
            chunks.append(pa.array([""] * part.numbers.size, pa.large_string()))
    found = pa.chunked_array(chunks, pa.large_string())
    return pd.Series(pd.array(found, dtype=STRING))


def _set_clock(
    result: Joined, values: dict[str, Any], clocks: Mapping[str, NDArray[np.int64]]
) -> None:
    """Times in seconds: from the first call on a calendar, else on the log's own clock."""
    start = clocks["arrived_at"]
    known = start != NO_TIME
    base = 0
    if known.any() and np.median(start[known]) >= _CALENDAR * 1e9:
        base = int(start[known].min())
        result.began = pd.to_datetime(base, unit="ns", utc=True)
    values["arrived_at"] = np.where(known, (start - base) / 1e9, np.nan)


def _between(start: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
    known = (start != NO_TIME) & (end != NO_TIME)
    return np.where(known, (np.where(known, end, 0) - np.where(known, start, 0)) / 1e9, np.nan)


def _set_spans(
    result: Joined,
    values: dict[str, Any],
    clocks: Mapping[str, NDArray[np.int64]],
    labels: Mapping[str, str],
) -> None:
    """Latency and time to the first token; impossible ones count as not recorded."""
    start = clocks["arrived_at"]
    whole = _between(start, clocks["ended_at"])
    latency, ttft = values["latency"], values["ttft"]
    both = np.isfinite(latency) & np.isfinite(whole) & (whole > 0)
    if both.any():
        ratio = float(np.median(latency[both] / whole[both]))
        if _MILLISECONDS[0] <= ratio <= _MILLISECONDS[1]:
            latency = latency / 1000
            result.notes.append(
                f"{labels.get('latency', 'latency')}: read as milliseconds, as the calls' ends show"
            )
    latency = np.where(np.isnan(latency), whole, latency)
    ttft = np.where(np.isnan(ttft), _between(start, clocks["first_token_at"]), ttft)
    ids = values["call_id"]
    unanswered = values["status"] != OK
    for name, bad in (
        (("call ends before it begins", "calls end before they begin"), latency < 0),
        (("call takes no time", "calls take no time"), (latency == 0) & ~unanswered),
    ):
        if count := int(bad.sum()):
            first = ids.iloc[int(bad.argmax())]
            named = f" (the first: {first})" if first else ""
            result.notes.append(
                f"{counted(count, *name)}{named}: their latency is taken as not recorded"
            )
            latency = np.where(bad, np.nan, latency)
    if count := int((bad := ttft < 0).sum()):
        result.notes.append(
            f"{counted(count, 'call has', 'calls have')} the first token before the start: its "
            "time is taken as not recorded"
        )
        ttft = np.where(bad, np.nan, ttft)
    late = ttft > latency + _SAME
    if count := int((late & ~unanswered).sum()):
        result.notes.append(
            f"{counted(count, 'answered call has', 'answered calls have')} the first token after "
            "the end: its time is taken as not recorded"
        )
    # A first token at the end is that of a call which was not streamed.
    ttft = np.where(late | (ttft >= latency - _SAME), np.nan, ttft)
    values["latency"], values["ttft"] = latency, ttft


def _set_ids(result: Joined, values: dict[str, Any], stems: Sequence[str]) -> NDArray[np.bool_]:
    """Ids from records' numbers, for calls that have none; where they were made."""
    made_up = (values["call_id"] == "").to_numpy()
    if made_up.any():
        file, number = result.origin
        record = np.where(number >= PER_RECORD, number // PER_RECORD, number)
        place = np.where(number >= PER_RECORD, number % PER_RECORD, -1)
        rows = np.flatnonzero(made_up)
        ids = values["call_id"].to_numpy(dtype=object).copy()
        ids[rows] = [
            f"{stems[f]}-{r:05d}" + (f"-{p}" if p >= 0 else "")
            for f, r, p in zip(
                file[rows].tolist(), record[rows].tolist(), place[rows].tolist(), strict=True
            )
        ]
        values["call_id"] = pd.Series(pd.array(ids, dtype=STRING))
    return made_up


def _sorted(
    result: Joined, frame: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """The calls in the order of their arrival."""
    arrived = frame["arrived_at"].to_numpy()
    missing = int(np.isnan(arrived).sum())
    file, number = result.origin
    if missing:
        if missing < arrived.size:
            result.notes.append(
                f"{counted(missing, 'call has', 'calls have')} no time: the calls stay in the "
                "file's order, and its own times cannot be replayed"
            )
        return frame, result.origin
    late = int((arrived < np.maximum.accumulate(arrived)).sum())
    if not late:
        return frame, result.origin
    order = np.argsort(arrived, kind="stable")
    if (np.diff(arrived) <= 0).all():
        order = np.argsort(arrived[::-1], kind="stable")
        order = arrived.size - 1 - order
        result.notes.append("the newest call was first: turned round")
    else:
        result.notes.append(f"{counted(late, 'call was', 'calls were')} unsorted: sorted by time")
    return frame.iloc[order].reset_index(drop=True), (file[order], number[order])


def _without_repeats(result: Joined, frame: pd.DataFrame) -> pd.DataFrame:
    """Without records that repeat an earlier one; other calls of the same id are further tries."""
    again = frame["call_id"].duplicated().to_numpy()
    if not again.any():
        return frame
    same = frame.duplicated(["call_id", "arrived_at", "agent", "latency", "status"]).to_numpy()
    if count := int(same.sum()):
        first = frame["call_id"].iloc[int(same.argmax())]
        result.left_out[f"records that repeat an earlier one (the first: {first})"] = count
        keep = np.flatnonzero(~same)
        frame = frame.iloc[keep].reset_index(drop=True)
        result.origin = (result.origin[0][keep], result.origin[1][keep])
        again = again[keep]
    if count := int(again.sum()):
        ids = frame["call_id"].to_numpy(dtype=object).copy()
        blank = (frame["task_id"] == "").to_numpy()
        tasks = frame["task_id"].to_numpy(dtype=object).copy()
        tasks[blank] = ids[blank]
        turn = frame.groupby("call_id", sort=False).cumcount().to_numpy()
        rows = np.flatnonzero(turn)
        taken = set(ids.tolist())
        for row in rows.tolist():
            name = f"{ids[row]}#{turn[row] + 1}"
            while name in taken:
                name += "'"
            taken.add(name)
            ids[row] = name
        frame["call_id"] = pd.array(ids, dtype=STRING)
        frame["task_id"] = pd.array(tasks, dtype=STRING)
        result.notes.append(
            f"{counted(count, 'call has', 'calls have')} the id of an earlier one: further tries "
            "of its task"
        )
    return frame


def _set_tasks(
    result: Joined, frame: pd.DataFrame, kind: str, given: set[str], number_of: NDArray[np.bool_]
) -> None:
    """The task of each call: as given, else the call itself, or that of which it is a try."""
    tasks = frame["task_id"].to_numpy(dtype=object).copy()
    ids = frame["call_id"].to_numpy(dtype=object)
    blank = tasks == ""
    if not blank.any():
        return
    first = np.arange(len(frame))
    if kind == "calls" and {"session_id", "status"} <= given and "task_id" not in given:
        first = tasks_of(
            codes_of(frame["session_id"].to_numpy(dtype=object)),
            frame["arrived_at"].to_numpy(),
            frame["latency"].to_numpy(),
            frame["status"].to_numpy(),
        )
        if count := int((first != np.arange(len(frame))).sum()):
            result.notes.append(
                f"{counted(count, 'call follows', 'calls follow')} a failed one in the same "
                "session: further tries of its task"
            )
    tasks[blank] = ids[first[blank]]
    frame["task_id"] = pd.array(tasks, dtype=STRING)


def _set_turns(frame: pd.DataFrame) -> None:
    """The place of each call in its session, from 0, where it is not given."""
    session = codes_of(frame["session_id"].to_numpy(dtype=object))
    turn = frame["turn"].to_numpy().copy()
    missing = np.isnan(turn) & (session >= 0)
    if missing.any():
        order = pd.Series(session).groupby(session).cumcount().to_numpy()
        turn[missing] = order[missing]
        frame["turn"] = turn


def _add_cached(result: Joined, frame: pd.DataFrame) -> None:
    """Count tokens read from a cache or written to it among those of the prompt.

    Providers that count them separately do so in all calls; it shows where they exceed the prompt.
    """
    prompt = frame["prompt_tokens"].to_numpy()
    parts = [np.nan_to_num(frame[name].to_numpy()) for name in ("cached_tokens", _WRITTEN)]
    cached = parts[0] + parts[1]
    more = cached > prompt
    if not more.any():
        return
    agent = frame["agent"].to_numpy(dtype=object)
    apart = np.isin(agent, list(set(agent[more]))) & (cached > 0) & ~np.isnan(prompt)
    frame["prompt_tokens"] = np.where(apart, prompt + cached, prompt)
    result.notes.append(
        f"{counted(int(more.sum()), 'call')} with more cached tokens than prompt tokens: of the "
        f"{counted(int(apart.sum()), 'call')} of the same agents with any, the prompt's are the sum"
    )


def _set_columns(
    result: Joined, given: set[str], labels: Mapping[str, str], made_up: NDArray[np.bool_]
) -> None:
    """Where each column that holds anything came from."""
    frame = result.calls
    for ours in COLUMNS:
        column = frame[ours]
        if ours == "status":
            held = "status" in given
        elif ours in ("agent", "tags", *NAMES):
            held = bool((column != "").any())
        else:
            held = bool(column.notna().any())
        if not held:
            continue
        if ours in given:
            result.columns[ours] = labels.get(ours, ours)
        elif ours == "latency":
            result.columns[ours] = f"{labels.get('ended_at')} − {labels.get('arrived_at')}"
        elif ours == "ttft":
            result.columns[ours] = f"{labels.get('first_token_at')} − {labels.get('arrived_at')}"
        elif ours == "call_id" and made_up.any():
            result.columns[ours] = "the record's number"
        elif ours == "turn":
            result.columns[ours] = "the order in the session"
        elif ours == "task_id":
            result.columns[ours] = "call_id"
    if made_up.any() and "call_id" in given:
        result.columns["call_id"] += ", or the record's number"
