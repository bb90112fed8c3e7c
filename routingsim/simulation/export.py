"""Results for other programs: tables as CSV, Parquet or JSON lines, schedules as Chrome traces."""

import heapq
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import pandas as pd

from routingsim.agents import AgentPool
from routingsim.corpora.writers import csv_bytes
from routingsim.errors import SimulationError
from routingsim.files import written
from routingsim.policies.kernel import FAILED, OK
from routingsim.policies.policy import Policy
from routingsim.simulation.state import CALL_STATUS

SUFFIXES = (".csv", ".parquet", ".jsonl")
"""Suffixes of the formats that a table can be written in."""

_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")


class Replayed(Protocol):
    """What an export reads of a :class:`~routingsim.simulation.result.ReplayResult`."""

    @property
    def policy(self) -> Policy: ...

    @property
    def pool(self) -> AgentPool: ...

    def task_ids(self) -> pd.Series: ...

    def to_frame(self) -> pd.DataFrame: ...

    def calls(self) -> pd.DataFrame: ...


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a table as CSV, Parquet or JSON lines, by the file's suffix.

    Floats are written in full, so that they read back the same. A missing figure
    is empty in CSV and null elsewhere. In CSV, a text that a spreadsheet would take for a
    formula gets a ``'`` before it, as OWASP advises ("CSV Injection"): one that begins with
    ``=``, ``+``, ``-``, ``@``, a tab or a line break. Numbers, Parquet and JSON stay as they are.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SimulationError
        If the suffix is another, or the file cannot be written.
    """
    path = Path(path)
    form = path.suffix.lower()
    if form not in SUFFIXES:
        raise SimulationError(f"{path}: name a table with one of {', '.join(SUFFIXES)}")
    with written(path, SimulationError) as file:
        if form == ".csv":
            file.write_bytes(csv_bytes(_without_formulas(frame)))
        elif form == ".parquet":
            frame.to_parquet(file, index=False)
        else:
            plain = frame.astype(object).where(frame.notna(), None).to_dict("records")
            file.write_bytes(msgspec.json.Encoder().encode_lines(plain))
    return path


def _without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with a ``'`` before every name and text that a spreadsheet would compute."""

    def safe(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value

    changed = {
        str(name): [safe(value) for value in column]
        for name, column in frame.items()
        if not pd.api.types.is_numeric_dtype(column)
    }
    return frame.assign(**changed).rename(columns=safe)


def write_tasks(results: Sequence[Replayed], path: str | os.PathLike[str]) -> Path:
    """Write every task of some replays as one table, the policy's name in the first column.

    Result and errors are those of :func:`write_table`.
    """
    frames = []
    for result in results:
        frame = result.to_frame()
        frame.insert(0, "policy", result.policy.name)
        frames.append(frame)
    return write_table(pd.concat(frames, ignore_index=True), path)


def write_trace(results: Sequence[Replayed], path: str | os.PathLike[str]) -> Path:
    """Write the schedules of some replays as Chrome-trace JSON, to open in Perfetto.

    Each agent of a policy is a process, each of its slots a thread. A call that was
    served is a complete event with its task, wait, attempt and status; a try that was
    shed or timed out is an instant event. Times are microseconds of the run. The format
    is Google's "Trace Event Format".

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SimulationError
        If the file cannot be written.
    """
    path = Path(path)
    encoder = msgspec.json.Encoder()
    with written(path, SimulationError) as temporary, temporary.open("wb") as file:
        file.write(b'{"displayTimeUnit":"ms","traceEvents":[\n')
        for k, event in enumerate(_events(results)):
            file.write((b",\n" if k else b"") + encoder.encode(event))
        file.write(b"\n]}\n")
    return path


def _events(results: Sequence[Replayed]) -> Iterator[dict[str, Any]]:
    first = 1
    for result in results:
        policy = f"{result.policy.name}: " if len(results) > 1 else ""
        for a, agent in enumerate(result.pool):
            pid = first + a
            yield _named("process_name", pid, 0, f"{policy}{agent.id}")
            for slot in range(agent.concurrency):
                yield _named("thread_name", pid, slot + 1, f"slot {slot + 1}")
        yield from _calls(result, first)
        first += len(result.pool)


def _named(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}


def _calls(result: Replayed, first: int) -> Iterator[dict[str, Any]]:
    """The calls in order of their starts, each in the lowest slot that is free then."""
    calls = result.calls()
    calls = calls.iloc[np.lexsort((calls["ended_at"], calls["left_at"]))]
    ids = result.task_ids().tolist()
    free = [list(range(1, agent.concurrency + 1)) for agent in result.pool]
    busy: list[list[tuple[float, int]]] = [[] for _ in result.pool]
    columns = ["task", "attempt", "agent", "sent_at", "left_at", "ended_at", "status"]
    for task, attempt, agent, sent, left, ended, status in zip(
        *(calls[column].tolist() for column in columns), strict=True
    ):
        event = {
            "name": ids[task],
            "cat": CALL_STATUS[status],
            "pid": first + agent,
            "ts": 1e6 * left,
            "args": {
                "task": ids[task],
                "attempt": attempt + 1,
                "wait": None if math.isnan(left - sent) else left - sent,
                "status": CALL_STATUS[status],
            },
        }
        if left == ended and status not in (OK, FAILED):
            yield event | {"ph": "i", "s": "p", "tid": 0}
            continue
        while busy[agent] and busy[agent][0][0] <= left:
            heapq.heappush(free[agent], heapq.heappop(busy[agent])[1])
        slot = heapq.heappop(free[agent])
        heapq.heappush(busy[agent], (ended, slot))
        yield event | {"ph": "X", "tid": slot, "dur": 1e6 * (ended - left)}
