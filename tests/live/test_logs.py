"""Log records as lines of JSON."""

import json
import logging
import sys

from routingsim.live.logs import JsonFormatter


def line(message: str, *values: object, error: bool = False) -> dict[str, object]:
    told = None
    if error:
        try:
            raise ValueError("why")
        except ValueError:
            told = sys.exc_info()
    record = logging.LogRecord("routingsim.live", 30, "", 0, message, values, told)
    record.created = 1_699_564_800.25
    return json.loads(JsonFormatter().format(record))


def test_an_event_is_an_object_with_its_values() -> None:
    assert line("event=refused address=%s status=%d reason=%r", "::1", 403, 'a "b"\n') == {
        "time": "2023-11-09T21:20:00.250Z",
        "level": "WARNING",
        "logger": "routingsim.live",
        "message": "event=refused address=::1 status=403 reason='a \"b\"\\n'",
        "event": "refused",
        "address": "::1",
        "status": 403,
        "reason": 'a "b"\n',
    }


def test_other_records_and_tracebacks() -> None:
    plain = line("%s is full: dropping the oldest", "it")
    assert plain.keys() == {"time", "level", "logger", "message"}
    assert plain["message"] == "it is full: dropping the oldest"
    assert str(line("failed", error=True)["traceback"]).endswith("ValueError: why")
    assert line("event=gap since=%s", (1, 0))["since"] == "(1, 0)"
