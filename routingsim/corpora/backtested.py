"""What backtests found of logs, kept by the digest of the log's bytes.

The sentence that a backtest ends in stands in every later report on the same log, whatever
process makes it. It is therefore kept in the user's cache folder, or where ``ROUTINGSIM_BACKTESTS``
says, a line a log, and holds for the same bytes only: a log that has grown is another log.
"""

import os
from contextlib import suppress
from pathlib import Path

from routingsim.errors import RoutingSimError
from routingsim.files import written

_known: dict[str, str] = {}  # where the folder cannot be written, in this process at least


def remember(sha256: str, sentence: str) -> None:
    """Keep what a backtest found of a log, in place of what one found before."""
    if not sha256:
        return
    _known[sha256] = sentence
    path = _file(sha256)
    with suppress(RoutingSimError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as file:
            file.write_text(sentence + "\n", encoding="utf-8")


def said_of(sha256: str) -> str:
    """What the last backtest found of a log with this digest; "" if there was none."""
    if sha256 and sha256 not in _known:
        with suppress(OSError, UnicodeDecodeError):
            _known[sha256] = _file(sha256).read_text(encoding="utf-8").strip()
    return _known.get(sha256, "")


def _file(sha256: str) -> Path:
    import pooch  # takes long to import

    named = os.environ.get("ROUTINGSIM_BACKTESTS")
    folder = Path(named) if named else Path(pooch.os_cache("routingsim")) / "backtests"
    return folder / f"{sha256}.txt"
