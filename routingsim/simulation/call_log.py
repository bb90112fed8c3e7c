"""A log of calls as numbers: how each call ended, how long it took, and its tokens."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.errors import CorpusError

ANSWERED, FAILED, GIVEN_UP = range(3)
"""How a call ended; a call that was given up would have taken longer than it did."""

STATUS_COLUMNS = ("status", "status_code", "success", "error", "level")
"""Columns that say how a call ended; the first that a log has is read."""

WORDS = {
    ANSWERED: "ok okay success successful succeeded complete completed done finished answered "
    "passed true yes default debug info notice warning warn unset",
    FAILED: "error errored err failed failure fail exception false no fatal critical rate_limited "
    "rate_limit ratelimited rate_limit_exceeded rate_limit_error throttled too_many_requests "
    "server_error internal_error internal_server_error bad_gateway service_unavailable "
    "unavailable overloaded overloaded_error connection_error bad_request unauthorized forbidden "
    "not_found invalid rejected refused blocked content_filter cancelled canceled aborted expired "
    "incomplete shed",
    GIVEN_UP: "timeout timed_out time_out timedout timeouterror timeout_error request_timeout "
    "read_timeout gateway_timeout deadline_exceeded given_up",
}
"""Words of a status, in lower case, blanks and hyphens as underscores."""

_MEANING = {word: how for how, words in WORDS.items() for word in words.split()}
_CODE = re.compile(
    r"(?:http(?:/[\d.]+)?|status(?:[ _]?code)?|code|error)?[\s:=]*([1-5]\d\d)(?:\.0)?(?:\D.*)?"
)
_PREFIX = re.compile(r"(?:level|status_?code|status)[_=:]+")
_CODES_GIVEN_UP = (408, 499, 504, 524, 598, 599)
_ALLOWED = (
    "an answered call is ok, success, succeeded, completed, true or 200 to 299; a failed one "
    "error, failed, rate_limited, cancelled, false or 300 to 599; one that was given up timeout, "
    "timed_out, 408 or 504"
)
_OTHER_NAMES = {
    "latency": ("response_time", "duration", "elapsed", "elapsed_time", "total_time", "latency_s"),
    "tokens": ("output_tokens", "completion_tokens", "response_tokens", "generated_tokens"),
}
_MILLISECONDS = ("latency_ms", "response_time_ms", "duration_ms", "elapsed_ms")

Floats = NDArray[np.float64]


class Calls(NamedTuple):
    """The calls of a log, and how it was read."""

    latency: Floats  # (calls,) seconds; NaN, or not above 0, only where not answered
    tokens: Floats | None  # (calls,) NaN only where not answered
    ended: NDArray[np.int64]  # (calls,) ANSWERED, FAILED or GIVEN_UP
    has_status: bool
    notes: tuple[str, ...]

    def where(self, mine: NDArray[np.bool_]) -> "Calls":
        """A part of the calls."""
        tokens = None if self.tokens is None else self.tokens[mine]
        return self._replace(
            latency=self.latency[mine], tokens=tokens, ended=self.ended[mine]
        )  # fmt: skip


def read_calls(log: pd.DataFrame, *others: str) -> Calls:
    """Read and check a log; ``others`` are columns that the caller reads itself.

    Raises
    ------
    CorpusError
        If a column is missing, or a value or a status is not known; the message names
        column, row and remedy.
    """
    if not isinstance(log, pd.DataFrame):
        raise CorpusError(f"a log is a DataFrame with a row a call, not a {type(log).__name__}")
    notes, told = [], next((name for name in STATUS_COLUMNS if name in log), None)
    ended = np.full(len(log), ANSWERED)
    if told is None:
        notes.append("no status column: every call is taken as answered")
    else:
        ended, read = _endings(named_column(log, told), told)
        notes += [read] if read else []
    answered = ended == ANSWERED
    latency, tokens = _numbers(log, "latency"), None
    bad = answered & ~(np.isfinite(latency) & (latency > 0))
    refuse_first("latency", named_column(log, "latency"), bad, "more than 0 seconds")
    if "tokens" in log:
        tokens = _numbers(log, "tokens")
        bad = answered & ~(np.isfinite(tokens) & (tokens >= 0))
        needed = "0 or more, for every answered call"
        refuse_first("tokens", named_column(log, "tokens"), bad, needed)
    used = {"latency", "tokens", told, *others}
    unused = [str(name) for name in log.columns if name not in used]
    if unused:
        notes.append(_unused(unused, tokens is None))
    return Calls(latency, tokens, ended, told is not None, tuple(notes))


def _unused(names: Sequence[str], no_tokens: bool) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    said = f"columns not used: {', '.join(names[:12])}{more}"
    length = next((name for name in names if name in _OTHER_NAMES["tokens"]), None)
    if no_tokens and length:
        said += f"; name {length} tokens to fit the speed"
    return said


def named_column(log: pd.DataFrame, name: str) -> pd.Series:
    """The one column of that name.

    Raises
    ------
    CorpusError
        If there is none, or more than one.
    """
    columns = list(log.columns)
    count = columns.count(name)
    if count != 1:
        has = ", ".join(map(str, columns)) or "none"
        raise CorpusError(
            f"the log has {count or 'no'} column{'s' if count else ''} {name!r}; it has {has}"
            + ("" if count else _renaming(columns, name))
        )
    return pd.Series(log[name])


def _renaming(columns: Sequence[Any], name: str) -> str:
    """How to make the column ``name`` of one that the log has; "" if none is like it."""
    for other in columns:
        if other in _OTHER_NAMES.get(name, ()):
            return f"; if {other} is it, write log.rename(columns={{{other!r}: {name!r}}})"
        if name == "latency" and other in _MILLISECONDS:
            return f"; if {other} is it, write log.assign(latency=log[{other!r}] / 1000)"
    return ""


def _numbers(log: pd.DataFrame, name: str) -> Floats:
    """A column as float64, durations in seconds, empty cells NaN."""
    column = named_column(log, name)
    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    read = pd.Series(pd.to_numeric(column, errors="coerce"))
    numbers = read.to_numpy(dtype=np.float64, na_value=np.nan)
    unread = np.isnan(numbers) & column.notna().to_numpy()
    refuse_first(name, column, unread, "a number")
    return numbers


def refuse_first(name: str, column: pd.Series, bad: NDArray[np.bool_], needed: str) -> None:
    """Refuse the first value that is bad, if any is.

    Raises
    ------
    CorpusError
        It names column, row, what was found and what is needed.
    """
    if bad.any():
        row = int(bad.argmax())
        found = column.iloc[row]
        raise CorpusError(
            f"{name}, row {row} (from 0): {getattr(found, 'item', lambda: found)()!r} found, "
            f"needs {needed}" + (f"; so for {bad.sum():,} rows in all" if bad.sum() > 1 else "")
        )


# -- statuses ---------------------------------------------------------------------------


def _endings(column: pd.Series, name: str) -> tuple[NDArray[np.int64], str]:
    """How each call ended, and how the words were read where that is not plain."""
    plain: list[Any] = [str(v) if isinstance(v, dict | list | tuple | set) else v for v in column]
    codes, found_values = pd.factorize(pd.Series(plain, dtype=object), use_na_sentinel=False)
    values = list(found_values)
    counts = np.bincount(codes, minlength=len(values))
    found = [_ending(value, name) for value in values]
    unknown = [
        f"{_shown(value)} ({count:,} {'row' if count == 1 else 'rows'}, the first is row "
        f"{int((codes == k).argmax())} from 0)"
        for k, (value, how, count) in enumerate(zip(values, found, counts.tolist(), strict=True))
        if how is None
    ]
    if unknown:
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        raise CorpusError(
            f"{name}: {', '.join(unknown[:8])}{more} not known; {_ALLOWED}; write one of these, "
            f"as log[{name!r}].replace({{{_example(values, found)!r}: 'ok'}})"
        )
    ended = np.array(found, dtype=np.int64)
    said = []
    for how, words in ((ANSWERED, "answered"), (FAILED, "failed"), (GIVEN_UP, "given up")):
        mine = [_shown(v) for v, each in zip(values, found, strict=True) if each == how]
        listed = ", ".join(mine[:6]) + (f" and {len(mine) - 6} more" if len(mine) > 6 else "")
        said += [f"{listed} read as {words}"] if mine else []
    usual = name == "status" and {str(value) for value in values} <= {"ok", "failed"}
    return ended[codes], "" if usual else f"{name}: {'; '.join(said)}"


def _example(values: Sequence[Any], found: Sequence[int | None]) -> Any:
    value = next(v for v, how in zip(values, found, strict=True) if how is None)
    return getattr(value, "item", lambda: value)()


def _shown(value: Any) -> str:
    """A value of a status as notes show it."""
    return "an empty cell" if _missing(value) else repr(getattr(value, "item", lambda: value)())


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value


def _ending(value: Any, column: str) -> int | None:
    """How a call with this status ended, None if that is not known."""
    if _missing(value):
        return ANSWERED if column == "error" else None
    yes, no = (FAILED, ANSWERED) if column == "error" else (ANSWERED, FAILED)
    flag = column in ("success", "error")
    if isinstance(value, bool | np.bool_) or (flag and value in (0, 1, "0", "1")):
        return yes if int(value) else no
    text = str(value).strip().lower()
    if code := _CODE.fullmatch(text):
        return _of_code(int(code[1]))
    if isinstance(value, int | float | np.number):
        return None
    word = re.sub(r"[\s_-]+", "_", text)
    word = _PREFIX.sub("", word.replace("statuscode.", "").replace("status_code_", "")).strip("_")
    if column != "error":
        parts = [_MEANING.get(part.strip("_")) for part in re.split(r"[:(),;]", word)]
        known = [part for part in (_MEANING.get(word), *parts) if part is not None]
        return GIVEN_UP if GIVEN_UP in known else known[0] if known else None
    if word in ("", "none", "null", "nan", "false", "no", "ok", "success"):
        return ANSWERED
    return GIVEN_UP if re.search(r"time_?d?_?out|deadline_exceeded", word) else FAILED


def _of_code(code: int) -> int | None:
    """How a call with this HTTP status ended; None before it has."""
    if code < 200:
        return None
    return ANSWERED if code < 300 else GIVEN_UP if code in _CODES_GIVEN_UP else FAILED
