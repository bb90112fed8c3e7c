"""Where compiled code is kept when neither the package nor the user has a place for it.

Numba keeps what it has compiled beside the source, or else in the user's cache folder, and
refuses to start with neither: a package installed by root, run by a service without a home.
The third place is a folder for this user alone among the temporary files.
"""

import os
import sys
from pathlib import Path

__all__ = ["keep_somewhere", "place"]


def keep_somewhere() -> None:
    """Name numba the third place, if that is the one; ``NUMBA_CACHE_DIR`` goes before it."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    folder = place(Path(__file__).parent)
    if folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = folder
        os.environ.setdefault("MPLCONFIGDIR", folder)  # matplotlib has the same need, and warns
        if "numba" in sys.modules:  # it has read its settings
            sys.modules["numba"].config.CACHE_DIR = folder


def place(package: Path) -> str | None:
    """A folder for what is compiled of ``package``; None where numba finds one by itself."""
    beside = package / "__pycache__"
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if any(map(_can_be_made, (beside, user))) or not hasattr(os, "getuid"):
        return None
    import tempfile  # rarely needed, and slower to import than all of this

    # Code is run from there: nobody else may have put it there.
    folder = os.path.join(tempfile.gettempdir(), f"routingsim-compiled-{os.getuid()}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if found.st_uid != os.getuid() or found.st_mode != 0o40700:
            return tempfile.mkdtemp(prefix="routingsim-compiled-")
    return folder


def _can_be_made(folder: Path) -> bool:
    """Whether a folder can be written to, or made."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)
