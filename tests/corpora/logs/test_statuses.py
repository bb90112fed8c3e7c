"""Statuses in the words of many tools."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from routingsim.corpora.logs.read import read_log
from routingsim.corpora.logs.statuses import (
    CACHED,
    FAILED,
    OK,
    TIMED_OUT,
    WORDS,
    read_statuses,
    said_of_statuses,
)
from routingsim.errors import CorpusError


def ended(column: str, values: list[Any]) -> list[int]:
    problems: dict[int, str] = {}
    found = read_statuses(values, column, problems, {}).tolist()
    assert not problems
    return found


SAID: list[tuple[Any, int]] = [
    *((word, how) for how, words in WORDS.items() for word in words.split()),
    *((code, OK) for code in (200, 201, 299, "200", "200 OK", "HTTP 200", 200.0)),
    *((code, OK) for code in ("HTTP/1.1 200 OK", np.int64(204), "201 Created")),
    *((code, FAILED) for code in (429, 500, 301, 400, "429 Too Many Requests", "error 503")),
    *((code, TIMED_OUT) for code in (408, 499, 504, 524, "504 Gateway Timeout")),
    ("OK", OK),
    (" Success ", OK),
    ("STATUS_CODE_OK", OK),
    ("StatusCode.OK", OK),
    ("status=ok", OK),
    ("level=DEFAULT", OK),
    (True, OK),
    (np.True_, OK),
    ("ERROR", FAILED),
    ("level=ERROR", FAILED),
    ("rate-limited", FAILED),
    ("Rate Limited", FAILED),
    ("STATUS_CODE_ERROR", FAILED),
    ("error: connection reset", FAILED),
    (False, FAILED),
    (np.False_, FAILED),
    ("Timed out", TIMED_OUT),
    ("error: timeout", TIMED_OUT),
    ("failed (timeout)", TIMED_OUT),
]


def test_statuses_in_the_words_of_many_tools() -> None:
    found = [(value, ended("status", [value])[0]) for value, _ in SAID]
    assert found == SAID


@pytest.mark.parametrize(
    ("column", "values", "how"),
    [
        ("success", [True, False, 1, 0], [OK, FAILED] * 2),
        ("success", ["true", "False", "1", "0"], [OK, FAILED] * 2),
        ("error", [False, True, 0, 1], [OK, FAILED] * 2),
        ("error", ["", "false", None, math.nan, "null"], [OK] * 5),
        ("error", ["rate limit", {"code": 1}, "Request timed out.", 429],
         [FAILED, FAILED, TIMED_OUT, FAILED]),
        ("level", ["DEFAULT", "WARNING", "ERROR"], [OK, OK, FAILED]),
        ("status_code", [200, 429, 504], [OK, FAILED, TIMED_OUT]),
        ("status_code", [200.0, 503.0], [OK, FAILED]),
        ("finish_reason", ["stop", "length", "tool_calls", "content_filter"], [OK] * 3 + [FAILED]),
        ("status", ["cached", None, "", math.nan], [CACHED, OK, OK, OK]),
        ("error.type", [None, "TimeoutError", "BadRequestError"], [OK, TIMED_OUT, FAILED]),
    ],
)  # fmt: skip
def test_other_columns_say_how_a_call_ended(column: str, values: list[Any], how: list[int]) -> None:
    assert ended(column, values) == how


def test_the_first_of_these_columns_is_read_and_the_others_are_named() -> None:
    frame = pd.DataFrame({"latency": [1.0, 2.0], "error": [None, "bad"], "status": ["ok", "ok"]})
    log = read_log(frame)
    assert log.calls["status"].tolist() == ["ok", "ok"]
    assert log.notes == ("columns not used: error",)
    log = read_log(frame.drop(columns="status"))
    assert log.calls["status"].tolist() == ["ok", "failed"]
    assert log.notes == ("error: an empty cell read as answered; 'bad' read as failed",)


def test_an_error_column_without_errors_says_that_all_were_answered() -> None:
    log = read_log(pd.DataFrame({"latency": [1.0, 2.0], "error": [None, None]}))
    assert log.columns["status"] == "error"


@pytest.mark.parametrize("unknown", ["weird", 0, 1, 42, 100, 1.5])
def test_words_that_are_not_known_are_refused_with_their_place(unknown: Any) -> None:
    frame = pd.DataFrame({"latency": 1.0, "status": pd.Series(["ok", unknown], dtype=object)})
    with pytest.raises(CorpusError) as caught:
        read_log(frame)
    assert str(caught.value) == (
        f"frame, row 2: status: {unknown!r} is not known; an answered call is ok, success, "
        "succeeded, completed, true or 200 to 299; a failed one error, failed, rate_limited, "
        "cancelled, false or 300 to 599; one that was given up timeout, timed_out, 408 or 504. "
        "Mend the file, or leave such records out with on_error='skip' (--on-error skip)"
    )
    log = read_log(frame, on_error="skip")
    assert len(log) == len(log.skipped) == 1


def test_how_words_were_read_is_said() -> None:
    assert said_of_statuses({"'ok'": OK, "'failed'": FAILED}, "status") == ""
    assert said_of_statuses({f"'w{k}'": OK for k in range(8)}, "state") == (
        "state: 'w0', 'w1', 'w2', 'w3', 'w4', 'w5' and 2 more read as answered"
    )
