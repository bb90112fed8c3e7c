"""How calls ended: words, codes and flags of tools as one of four statuses."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.rows import TextColumn, shown

STATUSES = ("ok", "failed", "timed_out", "cached")
"""How a call can have ended: answered; without an answer; given up, and would have taken longer;
answered from a cache, without a call of the agent."""

OK, FAILED, TIMED_OUT, CACHED = range(4)

STATUS_COLUMNS = "status|status_code|success|error|level"
"""Columns that say how a call ended; the first that a log has is read."""

WORDS = {
    OK: "ok okay success successful succeeded complete completed done finished answered "
    "passed true yes default debug info notice warning warn unset stop length tool_calls tool_use "
    "end_turn max_tokens function_call eos stop_sequence max_output_tokens",
    FAILED: "error errored err failed failure fail exception false no fatal critical rate_limited "
    "rate_limit ratelimited rate_limit_exceeded rate_limit_error throttled too_many_requests "
    "server_error internal_error internal_server_error bad_gateway service_unavailable "
    "unavailable overloaded overloaded_error connection_error bad_request unauthorized forbidden "
    "not_found invalid rejected refused blocked content_filter cancelled canceled aborted expired "
    "incomplete shed interrupted",
    TIMED_OUT: "timeout timed_out time_out timedout timeouterror timeout_error request_timeout "
    "read_timeout gateway_timeout deadline_exceeded given_up",
    CACHED: "cached cache_hit",
}
"""Words of a status, in lower case, blanks and hyphens as underscores."""

ALLOWED = (
    "an answered call is ok, success, succeeded, completed, true or 200 to 299; a failed one "
    "error, failed, rate_limited, cancelled, false or 300 to 599; one that was given up timeout, "
    "timed_out, 408 or 504"
)

_MEANING = {word: how for how, words in WORDS.items() for word in words.split()}
_CODE = re.compile(
    r"(?:http(?:/[\d.]+)?|status(?:[ _]?code)?|code|error)?[\s:=]*([1-5]\d\d)(?:\.0)?(?:\D.*)?"
)
_PREFIX = re.compile(r"(?:level|status_?code|status)[_=:]+")
_CODES_GIVEN_UP = (408, 499, 504, 524, 598, 599)
_LATE = re.compile(r"time_?d?_?out|deadline_exceeded|cancelled_after")


def read_statuses(
    values: Sequence[Any], label: str, problems: dict[int, str], seen: dict[str, int]
) -> NDArray[np.int8]:
    """The status of each call, as a position in :data:`STATUSES`.

    Parameters
    ----------
    values : sequence
        Words, HTTP codes or flags; of a column that names errors, an empty cell is an answer.
    label : str
        The column's name; one like "error" says that its flags and words are failures.
    problems : dict of int to str
        Values that are not known are added here, by position.
    seen : dict of str to int
        The values that were read, and their status.
    """
    errors = _names_errors(label)
    plain = values.values if isinstance(values, TextColumn) else values
    keys = [each if isinstance(each, str | int | float | None) else _key(each) for each in plain]
    codes, found_values = pd.factorize(pd.Series(keys, dtype=object), use_na_sentinel=False)
    found = []
    for code, value in enumerate(found_values):
        how = _ending(value, label, errors)
        if how is None:
            reason = f"{label}: {shown(_native(value))} is not known; {ALLOWED}"
            for row in np.flatnonzero(codes == code).tolist():
                problems.setdefault(row, reason)
            how = FAILED
        else:
            seen.setdefault("an empty cell" if _missing(value) else shown(_native(value)), how)
        found.append(how)
    return np.array(found, dtype=np.int8)[codes]


def ends_late(text: str) -> bool:
    """Whether an error's text says that the call was given up."""
    return bool(_LATE.search(re.sub(r"[\s-]+", "_", text.casefold())))


def said_of_statuses(seen: dict[str, int], label: str) -> str:
    """How words were read, where that is not plain; "" where it is."""
    if set(seen) <= {repr(each) for each in STATUSES}:
        return ""
    said = []
    for how, words in enumerate(("answered", "failed", "given up", "answered from a cache")):
        mine = [value for value, each in seen.items() if each == how]
        listed = ", ".join(mine[:6]) + (f" and {len(mine) - 6} more" if len(mine) > 6 else "")
        said += [f"{listed} read as {words}"] if mine else []
    return f"{label}: {'; '.join(said)}"


def _names_errors(label: str) -> bool:
    word = label.casefold()
    last = word.rpartition(".")[2]
    return "error" in word or "exception" in word or last in ("failed", "failure", "is_failed")


def _key(value: Any) -> Any:
    """A hashable value: of an object its text, of an empty one nothing."""
    if isinstance(value, dict | list | tuple | set):
        return str(value) if value else None
    return value


def _native(value: Any) -> Any:
    return getattr(value, "item", lambda: value)()


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value


def _ending(value: Any, label: str, errors: bool) -> int | None:
    """How a call with this status ended, None if that is not known."""
    if _missing(value) or (isinstance(value, str) and not value.strip()):
        return OK
    yes, no = (FAILED, OK) if errors else (OK, FAILED)
    flag = errors or label.rpartition(".")[2].casefold() in ("success", "succeeded", "ok")
    if isinstance(value, bool | np.bool_) or (flag and value in (0, 1, "0", "1")):
        return yes if int(value) else no
    text = str(value).strip().lower()
    if code := _CODE.fullmatch(text):
        return _of_code(int(code[1]))
    if isinstance(value, int | float | np.number):
        return None
    word = re.sub(r"[\s_-]+", "_", text)
    word = _PREFIX.sub("", word.replace("statuscode.", "").replace("status_code_", "")).strip("_")
    if not errors:
        parts = [_MEANING.get(part.strip("_")) for part in re.split(r"[:(),;]", word)]
        known = [part for part in (_MEANING.get(word), *parts) if part is not None]
        return TIMED_OUT if TIMED_OUT in known else known[0] if known else None
    if word in ("", "none", "null", "nan", "false", "no", "ok", "success", "[]", "{}"):
        return OK
    return TIMED_OUT if ends_late(word) else FAILED


def _of_code(code: int) -> int | None:
    """How a call with this HTTP status ended; None before it has."""
    if code < 200:
        return None
    return OK if code < 300 else TIMED_OUT if code in _CODES_GIVEN_UP else FAILED
