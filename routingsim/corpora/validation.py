"""Rows to tasks: every value is checked, and every problem is reported with its place.

A :class:`Draft` says which column of a file holds which field of a task. :func:`check`
turns drafts into one table in our own format: the columns of :data:`BASE`, then
``outcomes.<agent>.<field>`` for recorded outcomes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from routingsim.corpora.checkup.finding import Finding
from routingsim.corpora.checkup.skipped import skipped_records, unreadable_records
from routingsim.corpora.mapping import map_to_start_from
from routingsim.corpora.numbers import RawColumn, allowed, read_numbers
from routingsim.corpora.readers import OutcomeRecord, TaskRecord
from routingsim.corpora.rows import Rows, Skipped, TextColumn, any_match, shown
from routingsim.errors import CorpusError
from routingsim.files import beyond, limit

SCORES = ("d_var", "length", "punctuation", "unique_tokens")
"""The complexity score of a text that is not there, and the counts behind it."""

_TASK = TaskRecord.__struct_fields__[:-1]

OPTIONAL = ("cached_tokens", "cache_write_tokens", "priority", "tenant")
"""Columns of a task that are there where a file has them: a prompt's tokens that a provider reads
from its cache and writes to it, and what queues go by that are not first come, first served."""

BASE = tuple(name for name in _TASK if name not in (*SCORES, *OPTIONAL))
"""The columns of a task, in order: id, text, arrived_at, category, two token counts, propensity."""

OUTCOMES = OutcomeRecord.__struct_fields__
"""What can be recorded of an agent on a task: quality, cost, latency, output_tokens and failed."""

STRING = pd.StringDtype("pyarrow", na_value=np.nan)
"""The dtype of the text columns."""

_BLANK = r"^[\s\x0b\x1c-\x1f\x{85}\p{Z}]*$"

_STRINGS = ("id", "text", "category", "tenant")
_MAY_BE_BLANK = ("category", "tenant")


@dataclass
class Draft:
    """The rows of one file under our own column names, not yet checked.

    ``problems`` holds the first problem of a record, by the record's position, and ``findings``
    what is suspicious about values that are allowed.
    """

    rows: Rows
    columns: dict[str, RawColumn]
    problems: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


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
        found = ", ".join(map(shown, rows.columns)) or "none"
        raise CorpusError(
            f"{rows.file}: column {', '.join(map(shown, missing))} is missing; found {found}"
            f"{_remedy(rows, missing)}"
        )


def _remedy(rows: Rows, missing: Sequence[str]) -> str:
    names = list(rows.columns)
    if rows.kind == "csv" and len(names) == 1 and "|" in names[0]:
        return "; separate the cells by commas, semicolons or tabs"
    if hint := map_to_start_from(rows.columns):
        return hint
    if list(missing) == ["text"]:
        return "; give every task its text, or an empty one where only its tokens are known"
    if len(rows) == 1:  # a result with the records inside
        for name, (value,) in rows.columns.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return f"; make each object in {shown(name)} a line of its own"
    bare = rows.kind == "csv" and (len(names) == 1 or any(map(_is_no_name, names)))
    return "; the first line must name the columns" if bare else ""


def _is_no_name(cell: str) -> bool:
    """Whether a cell of the first line looks like a value: a number, a date or a sentence."""
    return cell[:1].isdigit() or len(cell) > 40 or cell[-1:] in ".?!"


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
    seen: list[tuple[Draft, pa.ChunkedArray]] = []
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
    if len(frames) > 1 and "tenant" in frame:  # some files may have none
        frame["tenant"] = frame["tenant"].fillna("")
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
    for name in frame.columns[len(task_columns(frame)) :]:
        values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isnan(values).all():
            agent, key = agent_and_field(name)
            recorded.setdefault(agent, {})[key] = values
    outcomes = {key: np.full((len(frame), len(recorded)), np.nan) for key in OUTCOMES}
    for column, fields in enumerate(recorded.values()):
        for key, values in fields.items():
            outcomes[key][:, column] = values
    return tuple(recorded), outcomes


def task_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of a checked table that are not outcomes."""
    return [name for name in _TASK if name in frame.columns]


def agent_and_field(name: str) -> tuple[str, str]:
    """The parts of a column ``outcomes.<agent>.<field>``; only the agent's name has dots."""
    agent, _, key = name.removeprefix("outcomes.").rpartition(".")
    return agent, key


def _said(skipped: Sequence[Skipped]) -> str:
    more = f" (and {len(skipped) - 1:,} more)" if len(skipped) > 1 else ""
    return f"{skipped[0]}{more}"


def _checked(
    draft: Draft, agents: Collection[str] | None, seen: list[tuple[Draft, pa.ChunkedArray]]
) -> pd.DataFrame:
    """The valid rows of a draft; the others are added to its problems."""
    size = len(draft.rows)
    columns: dict[str, Any] = {}
    scored = [name for name in (*OPTIONAL, *SCORES) if name in draft.columns]
    for name in dict.fromkeys((*BASE, *scored, *draft.columns)):
        column = draft.columns.get(name)
        agent, key = ("", name) if name in _TASK else agent_and_field(name)
        if column and agent and agents is not None and agent not in agents:
            _refuse_agent(agent, column, agents, draft.problems)
        if name in _STRINGS:
            columns[name] = _strings(name, column or RawColumn(name, [None] * size), draft.problems)
        elif column is None:
            columns[name] = np.full(size, np.nan)
        else:
            columns[name] = read_numbers(
                column,
                allowed(key),
                draft.problems,
                draft.notes,
                comma_decimals=draft.rows.delimiter in (";", "\t"),
            )
    _refuse_repeats(columns["id"], draft, seen)
    draft.findings += unreadable_records(draft.rows.numbers, len(draft.rows.lost))
    if draft.problems:
        keep = np.delete(np.arange(size), list(draft.problems))
        draft.findings += _of_skipped(draft)
        columns = {name: values.take(keep) for name, values in columns.items()}
    size -= len(draft.problems)
    for name in (each for each in _STRINGS if each in columns):
        columns[name] = pd.array(columns[name], dtype=STRING)
    return pd.DataFrame(columns, index=pd.RangeIndex(size))


def _of_skipped(draft: Draft) -> list[Finding]:
    """How the records that are left out differ from the others, in columns that are sound."""
    bad = np.zeros(len(draft.rows), dtype=np.bool_)
    bad[list(draft.problems)] = True
    faulty = {reason.partition(":")[0] for reason in draft.problems.values()}
    columns = {
        name: column.values for name, column in draft.columns.items() if column.label not in faulty
    }
    return skipped_records(columns, bad)


def _strings(name: str, column: RawColumn, problems: dict[int, str]) -> pa.ChunkedArray:
    """A column of texts, empty where one is not allowed."""
    values = column.values
    if name in _MAY_BE_BLANK:
        values = (
            values.filled()
            if isinstance(values, TextColumn)
            else ["" if value is None else value for value in values]
        )
    if (clean := _all_clean(values, name)) is not None:
        return clean
    result = []
    for row, value in enumerate(values):
        text = str(value) if name == "id" and type(value) is int else value
        reason = _string_trouble(text, name)
        if reason is not None:
            problems.setdefault(row, f"{column.label}: {reason}")
            text = ""
        result.append(text)
    return pa.chunked_array([pa.array(result, pa.large_string())])


def _all_clean(values: Sequence[Any], name: str) -> pa.ChunkedArray | None:
    """The whole column at once, if every value in it is allowed."""
    if isinstance(values, TextColumn):
        texts = values.arrow
    elif set(map(type, values)) <= {str}:
        try:
            texts = pa.chunked_array([pa.array(values, pa.large_string())])
        except UnicodeEncodeError:
            return None
    else:
        return None
    bad = rf"\x00|{_BLANK}" if name == "id" else r"\x00"
    if texts.null_count or any_match(texts, bad):
        return None
    longest = pc.call_function("max", [pc.call_function("binary_length", [texts])]).as_py() or 0
    if longest > limit("ROUTINGSIM_MAX_TEXT"):
        return None
    return texts


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
        return beyond("ROUTINGSIM_MAX_TEXT", len(text.encode()), "bytes")
    except UnicodeEncodeError as error:
        return f"U+{ord(text[error.start]):04X} is half a character; it cannot be written as UTF-8"


def _refuse_agent(
    agent: str, column: RawColumn, agents: Collection[str], problems: dict[int, str]
) -> None:
    near = get_close_matches(agent, agents, n=1)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    reason = f"{column.label}: unknown agent {shown(agent)}; allowed are {listed(agents)}{hint}"
    for row, value in enumerate(column.values):
        if value is not None:
            problems.setdefault(row, reason)


def _refuse_repeats(
    ids: pa.ChunkedArray, draft: Draft, seen: list[tuple[Draft, pa.ChunkedArray]]
) -> None:
    """Report ids that occurred before; ``seen`` holds earlier drafts with their ids."""
    seen.append((draft, ids))
    every = pa.chunked_array([chunk for _, each in seen for chunk in each.chunks], ids.type)
    if not draft.problems and len(every.unique()) == len(every):
        return
    first: dict[str, str] = {}
    for each, names in seen:
        rows = each.rows
        for row, (name, line) in enumerate(zip(names.to_pylist(), rows.lines, strict=True)):
            if row in each.problems:
                continue
            if name not in first:
                first[name] = f"{rows.unit} {line}"
                if rows is not draft.rows:
                    first[name] += f" of {rows.file}"
            elif each is draft:
                label = draft.columns["id"].label
                each.problems[row] = f"{label}: {shown(name)} is already the id of {first[name]}"


def listed(names: Collection[str]) -> str:
    """The first dozen of these names, and how many more there are."""
    some = ", ".join(list(names)[:12])
    return some if len(names) <= 12 else f"{some} and {len(names) - 12} more"
