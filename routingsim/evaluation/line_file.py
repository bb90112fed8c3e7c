"""Files of JSON lines to which finished work is appended, and which survive a crash."""

import errno
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from routingsim.errors import SimulationError

T = TypeVar("T")


def read_lines(path: Path, read: Callable[[Any], T], *, what: str, beginning: bytes) -> list[T]:
    """What each line of a file holds; the file is created if it does not exist.

    A last line that an interruption cut short is removed from the file.

    Parameters
    ----------
    path : path
    read : callable
        Makes a value of a line's JSON; raises ValueError, KeyError or TypeError if it is none.
    what : str
        What the file is, for messages.
    beginning : bytes
        How each line begins: what does not is of another file, and is not removed.

    Raises
    ------
    SimulationError
        If the file cannot be read and written, or a line is of something else.
    """

    def refused(number: int, why: str) -> SimulationError:
        return SimulationError(
            f"{path}:{number}: not a line of a {what} ({why}); remove the line, or give another "
            "file to resume"
        )

    def parsed(number: int, line: bytes) -> T:
        try:
            return read(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise refused(number, f"{type(error).__name__}: {error}") from None

    try:
        with path.open("a+b") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is a device or a pipe")
            file.seek(0)
            whole, newline, rest = file.read().rpartition(b"\n")
            lines = (whole + newline).splitlines()
            found = [parsed(number, line) for number, line in enumerate(lines, start=1)]
            if rest:
                if not (rest.startswith(beginning) or beginning.startswith(rest)):
                    raise refused(len(lines) + 1, "it begins differently")
                file.truncate(len(whole + newline))
    except OSError as error:
        raise SimulationError(
            f"{path}: cannot be read and written ({error.strerror}); a {what} is a file in a "
            "folder that exists"
        ) from None
    return found


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Add a line; where it cannot be written whole, the file is left as it was.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk.
    """
    line = json.dumps(record).encode() + b"\n"
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            done = 0
            while done < len(line):
                done += file.write(line[done:])
        except OSError:
            file.truncate(size)
            raise
