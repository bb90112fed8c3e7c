"""Files: those of the package, reading with a limit, writing one whole or not at all.

A small file can stand for more than memory holds: a compressed one, a table of one value many
times over, a device without end. What a reader takes from one file is therefore limited, by
:data:`LIMITS`, each of which an environment variable raises.
"""

import errno
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from routingsim.errors import RoutingSimError

LIMITS = {
    "ROUTINGSIM_MAX_BYTES": 2**31,
    "ROUTINGSIM_MAX_CELLS": 30_000_000,
    "ROUTINGSIM_MAX_COLUMNS": 10_000,
    "ROUTINGSIM_MAX_LINE": 2**26,
    "ROUTINGSIM_MAX_POLICY": 2**26,
    "ROUTINGSIM_MAX_TEXT": 2**24,
    "ROUTINGSIM_STREAM_BYTES": 2**29,
}
"""Most of what is read of one file, by the variable that sets it: bytes, unpacked; cells of a
table; its columns; bytes of a line; of what a policy's file says of the policy; of one text. And
the bytes of a folder of tasks above which it is not loaded whole."""


def limit(variable: str) -> int:
    """The value of a limit.

    Raises
    ------
    RoutingSimError
        If the environment has a value that is no whole number above 0.
    """
    text = os.environ.get(variable, "")
    if text and not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text)):
        raise RoutingSimError(
            f"{variable} (environment): found {text!r}, allowed is a whole number above 0"
        )
    return int(text) if text else LIMITS[variable]


def beyond(variable: str, found: int, what: str) -> str | None:
    """What is wrong where more was found than a limit allows; None where nothing is.

    >>> beyond("ROUTINGSIM_MAX_COLUMNS", 20_000, "columns")
    '20,000 columns, and at most 10,000 are read; ROUTINGSIM_MAX_COLUMNS sets another limit'
    """
    most = limit(variable)
    if found <= most:
        return None
    return f"{found:,} {what}, and at most {most:,} are read; {variable} sets another limit"


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file or pipe.

    Raises
    ------
    OSError
        If it cannot be read, is a device, or is larger than ``ROUTINGSIM_MAX_BYTES``.
    """
    most = limit("ROUTINGSIM_MAX_BYTES")
    with open(path, "rb") as file:
        kind = os.fstat(file.fileno()).st_mode
        if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
            raise OSError(errno.EINVAL, "it is a device, not a file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(
            errno.EFBIG, f"larger than {most:,} bytes; ROUTINGSIM_MAX_BYTES sets another limit"
        )
    return data


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a TOML file holds.

    Raises
    ------
    OSError
        As of :func:`read_file`.
    RecursionError
        If it is nested too deeply; a key of more than 100 parts counts as that, since
        time and memory of :mod:`tomllib` grow with the square of their number.
    ValueError
        If it is not TOML in UTF-8, or has a number of thousands of digits.
    """
    text = read_file(path).decode("utf-8")
    for part in re.finditer(r"[^=,{}\[\]\n#]+", text):
        if part[0].count(".") >= 100 and sum(map(bool, part[0].split("."))) > 100:
            raise RecursionError
    return tomllib.loads(text)


def bundled(folder: str) -> Path:
    """A folder that comes with routingsim: "data" or "notebooks".

    It lies inside the package when installed, and beside it in a checkout.
    """
    package = Path(__file__).parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


@contextmanager
def written(
    path: str | os.PathLike[str], error: type[RoutingSimError] = RoutingSimError
) -> Iterator[Path]:
    """Write a file under a temporary name; rename it to ``path`` when the block ends well.

    The temporary file lies in the same folder, so that the renaming is atomic: a reader
    finds the old file or the new one. It is removed when the block raises.

    Parameters
    ----------
    path : path
        The file to write; one that is there is replaced.
    error : type of RoutingSimError
        Which error to raise if the file cannot be written.

    Yields
    ------
    Path
        The temporary file. The block creates it.

    Raises
    ------
    RoutingSimError
        Of the given type, on an OSError of the block or of the renaming.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as cause:
        raise error(_refused(path, cause)) from cause
    finally:
        with suppress(OSError):  # nothing was written, or the error above says why
            temporary.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out, before the work that makes its content, whether a file can be written.

    A file is made beside it, as :func:`written` does, and removed: permissions alone do not say
    that a file system takes it.

    Raises
    ------
    RoutingSimError
        If the path is a folder, its folder is missing, or nothing can be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise RoutingSimError(f"{path}: is a folder; name a file in it")
    probe = _beside(path)
    try:
        probe.touch(exist_ok=False)
    except OSError as cause:
        raise RoutingSimError(_refused(path, cause)) from cause
    finally:
        with suppress(OSError):
            probe.unlink()


def _beside(path: Path) -> Path:
    return path.parent / f".{path.name}.{secrets.token_hex(4)}"


def _refused(path: Path, cause: OSError) -> str:
    return (
        f"{path}: cannot be written ({cause.strerror or cause}); name a file in a folder that "
        "exists and that you may write to"
    )
