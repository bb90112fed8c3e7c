"""A log of calls, read as numbers: statuses in the words of many tools, and columns by name."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from routingsim.errors import CorpusError
from routingsim.simulation.call_log import ANSWERED, FAILED, GIVEN_UP, WORDS, read_calls


def ended(column: str, values: list[Any]) -> list[int]:
    log = pd.DataFrame({"latency": 1.0, column: pd.Series(values, dtype=object)})
    return read_calls(log).ended.tolist()


@pytest.mark.parametrize(
    ("value", "how"),
    [
        *((word, how) for how, words in WORDS.items() for word in words.split()),
        *((code, ANSWERED) for code in (200, 201, 299, "200", "200 OK", "HTTP 200", 200.0)),
        *((code, ANSWERED) for code in ("HTTP/1.1 200 OK", np.int64(204), "201 Created")),
        *((code, FAILED) for code in (429, 500, 301, 400, "429 Too Many Requests", "error 503")),
        *((code, GIVEN_UP) for code in (408, 499, 504, 524, "504 Gateway Timeout")),
        ("OK", ANSWERED),
        (" Success ", ANSWERED),
        ("STATUS_CODE_OK", ANSWERED),
        ("StatusCode.OK", ANSWERED),
        ("status=ok", ANSWERED),
        ("level=DEFAULT", ANSWERED),
        (True, ANSWERED),
        (np.True_, ANSWERED),
        ("ERROR", FAILED),
        ("level=ERROR", FAILED),
        ("rate-limited", FAILED),
        ("Rate Limited", FAILED),
        ("STATUS_CODE_ERROR", FAILED),
        ("error: connection reset", FAILED),
        (False, FAILED),
        (np.False_, FAILED),
        ("Timed out", GIVEN_UP),
        ("error: timeout", GIVEN_UP),
        ("failed (timeout)", GIVEN_UP),
    ],
)
def test_statuses_in_the_words_of_many_tools(value: Any, how: int) -> None:
    assert ended("status", [value]) == [how]


@pytest.mark.parametrize(
    ("column", "values", "how"),
    [
        ("success", [True, False, 1, 0], [ANSWERED, FAILED] * 2),
        ("success", ["true", "False", "1", "0"], [ANSWERED, FAILED] * 2),
        ("error", [False, True, 0, 1], [ANSWERED, FAILED] * 2),
        ("error", ["", "false", None, math.nan, "null"], [ANSWERED] * 5),
        ("error", ["rate limit", {"code": 1}, "Request timed out.", 429],
         [FAILED, FAILED, GIVEN_UP, FAILED]),
        ("level", ["DEFAULT", "WARNING", "ERROR"], [ANSWERED, ANSWERED, FAILED]),
        ("status_code", [200, 429, 504], [ANSWERED, FAILED, GIVEN_UP]),
        ("status_code", [200.0, 503.0], [ANSWERED, FAILED]),
    ],
)  # fmt: skip
def test_other_columns_say_how_a_call_ended(column: str, values: list[Any], how: list[int]) -> None:
    assert ended(column, values) == how


def test_the_first_of_these_columns_is_read_and_the_others_are_named() -> None:
    log = pd.DataFrame({"latency": [1.0, 2.0], "error": [None, "bad"], "status": ["ok", "ok"]})
    calls = read_calls(log)
    assert calls.ended.tolist() == [ANSWERED, ANSWERED]
    assert calls.notes == ("columns not used: error",)
    assert read_calls(log.drop(columns="status")).notes == (
        "error: an empty cell read as answered; 'bad' read as failed",
    )


def test_words_that_are_not_known_are_refused_in_one_error() -> None:
    words = ["ok", "weird", "ok", "odd", "weird"]
    log = pd.DataFrame({"latency": 1.0, "status": words})
    with pytest.raises(CorpusError) as caught:
        read_calls(log)
    assert str(caught.value) == (
        "status: 'weird' (2 rows, the first is row 1 from 0), 'odd' (1 row, the first is row 3 "
        "from 0) not known; an answered call is ok, success, succeeded, completed, true or 200 to "
        "299; a failed one error, failed, rate_limited, cancelled, false or 300 to 599; one that "
        "was given up timeout, timed_out, 408 or 504; write one of these, as "
        "log['status'].replace({'weird': 'ok'})"
    )
    for unknown in (0, 1, 42, 100, 1.5, "", None):
        with pytest.raises(CorpusError, match="not known; an answered call is ok"):
            ended("status", [unknown])
    many = pd.DataFrame({"latency": 1.0, "status": [f"w{k}" for k in range(10)]})
    with pytest.raises(CorpusError, match=r"'w7' \(1 row, .*\) and 2 more not known"):
        read_calls(many)


def test_how_a_log_was_read_is_said() -> None:
    log = pd.DataFrame({"latency": [1.0, 2.0], "status": ["ok", "failed"]})
    assert read_calls(log).notes == ()
    assert read_calls(log.drop(columns="status")).notes == (
        "no status column: every call is taken as answered",
    )
    more = log.assign(completion_tokens=5, model="m")
    assert read_calls(more, "model").notes == (
        "columns not used: completion_tokens; name completion_tokens tokens to fit the speed",
    )
    assert read_calls(more.assign(tokens=5), "model").notes == (
        "columns not used: completion_tokens",
    )
    wide = log.assign(**{f"c{k}": 0 for k in range(14)})
    assert read_calls(wide).notes[0].endswith("c10, c11 and 2 more")


def test_a_latency_of_another_name_is_named_with_the_remedy() -> None:
    log = pd.DataFrame({"response_time": [1.0], "status": ["ok"]})
    remedy = r"if response_time is it, write log.rename\(columns=\{'response_time': 'latency'\}\)"
    with pytest.raises(CorpusError, match=remedy):
        read_calls(log)
    log = log.rename(columns={"response_time": "latency_ms"})
    with pytest.raises(CorpusError, match=r"log.assign\(latency=log\['latency_ms'\] / 1000\)"):
        read_calls(log)
    with pytest.raises(CorpusError, match=r"no column 'latency'; it has status$"):
        read_calls(log.filter(["status"]))
