"""Rows to tasks: every value is checked, and every problem is reported with its place.

A :class:`Draft` says which column of a file holds which field of a task. :func:`check`
turns drafts into one table in our own format: the columns of :data:`BASE`, then
``outcomes.<agent>.<field>`` for recorded outcomes.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from routingsim.corpora.numbers import RawColumn, allowed, read_numbers
from routingsim.corpora.readers import (
    OutcomeRecord,
    Rows,
    Skipped,
    TaskRecord,
    shown,
    unnest,
)
from routingsim.errors import CorpusError

BASE = TaskRecord.__struct_fields__[:-1]
"""The columns of a task, in order: id, text, arrived_at, category, two token counts, propensity."""

OUTCOMES = OutcomeRecord.__struct_fields__
"""What can be recorded of an agent on a task: quality, cost, latency, output_tokens and failed."""

STRING = pd.StringDtype("pyarrow", na_value=np.nan)
"""The dtype of the text columns."""

_OTHER_NAMES = {
    "id": ("task_id", "taskid", "uuid", "key"),
    "text": ("prompt", "question", "query", "message", "input", "content", "instruction", "task"),
}
"""Other names in use for the two columns that a task must have."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d")
_FAR = 1e11  # seconds since 1970 in the year 5138, milliseconds in 1973

_STRINGS = ("id", "text", "category")


@dataclass
class Draft:
    """The rows of one file under our own column names, not yet checked.

    ``problems`` holds the first problem of a record, by the record's position.
    """

    rows: Rows
    columns: dict[str, RawColumn]
    problems: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def require(rows: Rows, *names: str) -> None:
    """Require a file to have these columns.

    Raises
    ------
    CorpusError
        If one is missing, or no record can be read at all.
    """
    if not rows.columns and rows.lost:
        raise CorpusError(_said(rows.lost))
    missing = [name for name in names if name not in rows.columns]
    if missing:
        found = ", ".join(map(shown, list(rows.columns)[:12])) or "none"
        bare = rows.kind == "csv" and set(missing) == set(names)
        raise CorpusError(
            f"{rows.file}: column {', '.join(map(shown, missing))} is missing; found {found}"
            f"{_renaming(missing, rows.columns)}"
            + ("; the first line must name the columns" if bare else "")
        )


def _renaming(missing: Sequence[str], columns: Collection[str]) -> str:
    """A hint which of the columns may be the missing one."""
    likely = {
        name: column
        for name in missing
        for column in columns
        if column.casefold() == name.casefold() or column.casefold() in _OTHER_NAMES.get(name, ())
    }
    said = [f"rename {shown(column)} to {shown(name)}" for name, column in likely.items()]
    if "id" in missing and "id" not in likely:
        said.append("give every task an id of its own, such as its number")
    return f"; {', '.join(said)}" if said else ""


def draft_own(rows: Rows) -> Draft:
    """Our own format: the columns of :data:`BASE` and recorded outcomes.

    Outcomes are in an object ``outcomes: {agent: {field: value}}`` (JSON) or in
    columns ``outcomes.<agent>.<field>``; an agent's name may contain dots.
    """
    require(rows, "id", "text")
    # An empty cell is an empty text, as in a trace.
    if rows.kind == "csv":
        rows.columns["text"] = [text or "" for text in rows.columns["text"]]
    draft = Draft(
        rows, {name: RawColumn(name, rows.columns[name]) for name in BASE if name in rows.columns}
    )
    if "arrived_at" in draft.columns:
        _count_times(draft, draft.columns["arrived_at"])
    ignored = []
    for name, values in rows.columns.items():
        if name == "outcomes":
            for agent, recorded in unnest(values, name, draft.problems).items():
                label = f"outcomes.{agent}"
                for key, inner in unnest(recorded, label, draft.problems).items():
                    _add_outcome(draft, agent, key, inner)
        elif name.startswith("outcomes."):
            agent, key = _agent_and_field(name)
            _add_outcome(draft, agent, key, values)
        elif name not in BASE:
            ignored.append(name)
    if ignored:
        more = f" and {len(ignored) - 8} more" if len(ignored) > 8 else ""
        hint = "; outcomes are read from outcomes.AGENT.quality, .cost and .latency"
        like = any(word in name.casefold() for name in ignored for word in OUTCOMES)
        draft.notes.append(f"ignored columns: {', '.join(ignored[:8])}{more}{hint if like else ''}")
    return draft


def _count_times(draft: Draft, column: RawColumn) -> None:
    """Turn arrivals that are dates and times into seconds from the earliest."""
    first = next((value for value in column.values if value is not None), None)
    if isinstance(first, datetime) or (isinstance(first, str) and _TIME.match(first)):
        seconds, earliest = seconds_from_earliest(column, draft.problems)
        draft.columns["arrived_at"] = RawColumn(column.label, seconds)
        draft.notes.append(f"{column.label}: times, counted in seconds from {earliest}")
    elif isinstance(first, int | float) and first > _FAR:
        draft.notes.append(
            f"{column.label}: read as seconds; if {first:.0f} is milliseconds since 1970, divide "
            "by 1,000"
        )


def seconds_from_earliest(
    column: RawColumn, problems: dict[int, str]
) -> tuple[list[float | None], str]:
    """Dates and times as seconds from the earliest of them.

    Parameters
    ----------
    column : RawColumn
        ISO 8601 texts or datetimes; one without a time zone is in UTC.
    problems : dict of int to str
        Values that are neither are added here, by position.

    Returns
    -------
    seconds : list of float or None
    earliest : str
        In ISO 8601.
    """
    texts = [None if value is None else str(value) for value in column.values]
    stamps = pd.Series(texts, dtype="str")
    times = pd.to_datetime(stamps, format="ISO8601", errors="coerce", utc=True)
    earliest = times.min()
    seconds: list[float | None] = ((times - earliest) / pd.Timedelta(seconds=1)).tolist()
    for row in np.flatnonzero(times.isna()).tolist():
        seconds[row] = None
        if column.values[row] is not None:
            problems.setdefault(
                row,
                f"{column.label}: expected a time like 2023-11-16 18:17:03.9799600, "
                f"found {shown(column.values[row])}",
            )
    return seconds, earliest.isoformat() if pd.notna(earliest) else "none"


def _add_outcome(draft: Draft, agent: str, key: str, values: list[Any]) -> None:
    name = f"outcomes.{agent}.{key}"
    if agent and key in OUTCOMES and name not in draft.columns:
        draft.columns[name] = RawColumn(name, values)
        return
    reason = (
        f"{name}: given twice, in an object and in a column of its own; leave one out"
        if name in draft.columns
        else f"{name}: unknown; expected outcomes.<agent>.<field> with a field of {_list(OUTCOMES)}"
    )
    for row, value in enumerate(values):
        if value is not None:
            draft.problems.setdefault(row, reason)


def check(
    drafts: Sequence[Draft], *, on_error: str = "raise", agents: Collection[str] | None = None
) -> tuple[pd.DataFrame, tuple[Skipped, ...]]:
    """Check every record.

    Parameters
    ----------
    drafts : sequence of Draft
        One a file.
    on_error : {"raise", "skip"}
        Whether a bad record is an error, or is left out and listed.
    agents : collection of str, optional
        The names under which outcomes may be recorded. Default: any.

    Returns
    -------
    frame : DataFrame
        The valid records: columns of :data:`BASE` and ``outcomes.<agent>.<field>``.
    skipped : tuple of Skipped
        The others, in the order of the files.

    Raises
    ------
    CorpusError
        If a record is bad and ``on_error`` is "raise", or if none is left.
    """
    if on_error not in ("raise", "skip"):
        raise CorpusError(f"on_error is {shown(on_error)}; allowed are 'raise' and 'skip'")
    frames, skipped = [], []
    seen: dict[str, int] = {}
    for draft in drafts:
        frames.append(_checked(draft, agents, seen))
        rows = draft.rows
        bad = [
            Skipped(rows.file, rows.lines[row], reason, rows.unit)
            for row, reason in draft.problems.items()
        ]
        skipped += sorted(rows.lost + bad, key=lambda item: item.line)
    if skipped and on_error == "raise":
        raise CorpusError(
            f"{_said(skipped)}. Mend the file, or leave such records out with on_error='skip' "
            "(--on-error skip)"
        )
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    if frame.empty:
        why = f"; {_said(skipped)}" if skipped else ""
        raise CorpusError(f"{drafts[0].rows.file}: holds no valid record{why}")
    return frame, tuple(skipped)


def outcome_arrays(
    frame: pd.DataFrame,
) -> tuple[tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """The dotted columns of a checked table as one array for each outcome.

    Returns
    -------
    agents : tuple of str
        Those with a recorded outcome, in the order of the columns.
    outcomes : dict of str to ndarray, shape (tasks, agents)
        One for each of :data:`OUTCOMES`; NaN where not recorded.
    """
    recorded: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name in frame.columns[len(BASE) :]:
        values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isnan(values).all():
            agent, key = _agent_and_field(name)
            recorded.setdefault(agent, {})[key] = values
    outcomes = {key: np.full((len(frame), len(recorded)), np.nan) for key in OUTCOMES}
    for column, fields in enumerate(recorded.values()):
        for key, values in fields.items():
            outcomes[key][:, column] = values
    return tuple(recorded), outcomes


def _agent_and_field(name: str) -> tuple[str, str]:
    # An agent's name may contain dots, a field has none.
    agent, _, key = name.removeprefix("outcomes.").rpartition(".")
    return agent, key


def _said(skipped: Sequence[Skipped]) -> str:
    more = f" (and {len(skipped) - 1:,} more)" if len(skipped) > 1 else ""
    return f"{skipped[0]}{more}"


def _checked(draft: Draft, agents: Collection[str] | None, seen: dict[str, int]) -> pd.DataFrame:
    """The valid rows of a draft; the others are added to its problems."""
    size, csv = len(draft.rows), draft.rows.kind == "csv"
    columns: dict[str, Any] = {}
    for name in BASE:
        column = draft.columns.get(name, RawColumn(name, [None] * size))
        if name in _STRINGS:
            columns[name] = _strings(name, column, draft.problems)
        else:
            columns[name] = read_numbers(column, allowed(name), csv, draft.problems)
    for name, column in draft.columns.items():
        if name in BASE:
            continue
        agent, key = _agent_and_field(name)
        if agents is not None and agent not in agents:
            _refuse_agent(agent, column, agents, draft.problems)
        columns[name] = read_numbers(column, allowed(key), csv, draft.problems)
    _refuse_repeats(columns["id"], draft, seen)
    keep = np.delete(np.arange(size), list(draft.problems))
    for name, values in columns.items():
        if name in _STRINGS:
            kept = [values[row] for row in keep] if draft.problems else values
            columns[name] = pd.array(pa.array(kept, pa.large_string()), dtype=STRING)
        elif draft.problems:
            columns[name] = values[keep]
    return pd.DataFrame(columns, index=pd.RangeIndex(len(keep)))


def _strings(name: str, column: RawColumn, problems: dict[int, str]) -> Sequence[str]:
    values = column.values
    if name == "category":
        values = ["" if value is None else value for value in values]
    if _all_clean(values, name):
        return values
    result = []
    for row, value in enumerate(values):
        text = str(value) if name == "id" and type(value) is int else value
        reason = _string_trouble(text, name)
        if reason is not None:
            problems.setdefault(row, f"{column.label}: {reason}")
            text = ""
        result.append(text)
    return result


def _all_clean(values: Sequence[Any], name: str) -> bool:
    """Whether every value is allowed, found by a look at the whole column."""
    if set(map(type, values)) != {str} or (name == "id" and not all(map(str.strip, values))):
        return False
    try:
        return b"\0" not in "".join(values).encode()
    except UnicodeEncodeError:
        return False


def _string_trouble(text: Any, name: str) -> str | None:
    if text is None:
        return "missing; every task needs one"
    if type(text) is not str:
        return f"expected text, found {shown(text)}"
    if name == "id" and (not text or text.isspace()):
        return "empty; every task needs an id of its own"
    if "\0" in text:
        return f"NUL character in {shown(text)}; the file is damaged or not text"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"U+{ord(text[error.start]):04X} is half a character; it cannot be written as UTF-8"
    return None


def _refuse_agent(
    agent: str, column: RawColumn, agents: Collection[str], problems: dict[int, str]
) -> None:
    near = get_close_matches(agent, agents, n=1)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    reason = f"{column.label}: unknown agent {shown(agent)}; allowed are {_list(agents)}{hint}"
    for row, value in enumerate(column.values):
        if value is not None:
            problems.setdefault(row, reason)


def _refuse_repeats(ids: Sequence[str], draft: Draft, seen: dict[str, int]) -> None:
    """Report ids that occurred before; ``seen`` holds the line or row of each."""
    rows = draft.rows
    own = dict(zip(ids, rows.lines, strict=True))
    if not draft.problems and len(own) == len(ids) and seen.keys().isdisjoint(own):
        seen.update(own)
        return
    for row, (name, line) in enumerate(zip(ids, rows.lines, strict=True)):
        if row in draft.problems:
            continue
        if name in seen:
            label = draft.columns["id"].label
            first = f"{rows.unit} {seen[name]}"
            draft.problems[row] = f"{label}: {shown(name)} is already the id of {first}"
        else:
            seen[name] = line


def _list(names: Collection[str]) -> str:
    some = ", ".join(list(names)[:12])
    return some if len(names) <= 12 else f"{some} and {len(names) - 12} more"
