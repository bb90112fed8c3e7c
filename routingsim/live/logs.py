"""Logs of the live part: lines for people, or JSON for programs."""

import logging
import re
from datetime import UTC, datetime
from typing import Literal

import msgspec

TEXT = "time=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"

_FIELDS = re.compile(r"(\w+)=%[a-z]")
_PLAIN = (str, int, float, bool, type(None))


class JsonFormatter(logging.Formatter):
    """Each record as one line of JSON; ``event=… key=value`` messages keep their values' types.

    Examples
    --------
    >>> record = logging.LogRecord("a", 20, "", 0, "event=client client=%d", (7,), None)
    >>> JsonFormatter().format(record)[35:]
    '"level":"INFO","logger":"a","message":"event=client client=7","event":"client","client":7}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := re.match(r"event=(\w+)", str(record.msg)):
            names = _FIELDS.findall(str(record.msg))
            values = record.args if isinstance(record.args, tuple) else ()
            line["event"] = found[1]
            line |= {
                name: value if isinstance(value, _PLAIN) else str(value)
                for name, value in zip(names, values, strict=False)
                if name not in line
            }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure(form: Literal["text", "json"], level: str) -> None:
    """Write records to standard error, unless logging is configured already."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("routingsim.live").setLevel(level.upper())
