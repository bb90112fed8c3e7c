"""Where compiled code is kept, a folder where numba finds none, and when it is out of date.

Numba keeps compiled code beside the source, or else in the user's cache folder. It raises an
error if it can write to neither, as when a service without a home directory uses a package that
root installed. Such a user gets a private folder among the temporary files.
"""

import hashlib
import os
import re
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
_ABOVE = {"cli", "evaluation", "live", "report"}
"""Packages that lie above all compiled code, so that it uses none of them."""


def keep_somewhere() -> None:
    """Set numba's folder if it finds none; ``NUMBA_CACHE_DIR`` takes precedence."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    folder = place(Path(__file__).parent)
    if folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = folder
        os.environ.setdefault("MPLCONFIGDIR", folder)  # matplotlib would warn for the same reason
        if "numba" in sys.modules:  # it has read its settings already
            sys.modules["numba"].config.CACHE_DIR = folder


def place(package: Path) -> str | None:
    """A folder for the compiled code of ``package``; None where numba finds one by itself."""
    beside = package / "__pycache__"
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if any(map(_can_be_made, (beside, user))) or not hasattr(os, "getuid"):
        return None
    import tempfile  # rarely needed, and slow to import

    # Code is run from this folder: no other user may write to it.
    folder = os.path.join(tempfile.gettempdir(), f"routingsim-compiled-{os.getuid()}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if found.st_uid != os.getuid() or found.st_mode != 0o40700:
            return tempfile.mkdtemp(prefix="routingsim-compiled-")
    return folder


def _can_be_made(folder: Path) -> bool:
    """Whether a folder can be written to, or created."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)


@cache
def package_state() -> str:
    """The digest of this package's modules that have compiled code or types of it."""
    folders = [each for each in PACKAGE.iterdir() if each.is_dir() and each.name not in _ABOVE]
    found = [*PACKAGE.glob("*.py"), *(file for each in folders for file in each.rglob("*.py"))]
    words = re.compile(rb"compil|kernel|numba|NamedTuple")
    contents = {path.relative_to(PACKAGE): path.read_bytes() for path in sorted(found)}
    held = (f"{path}\n".encode() + text for path, text in contents.items() if words.search(text))
    return hashlib.sha256(b"".join(held)).hexdigest()
