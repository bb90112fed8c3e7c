"""Files: those that come with the package, and writing one whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from routingsim.errors import RoutingSimError


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
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        yield temporary
        temporary.replace(path)
    except OSError as cause:
        raise error(
            f"{path}: cannot be written ({cause.strerror or cause}); name a file in a folder "
            "that exists"
        ) from cause
    finally:
        with suppress(OSError):  # nothing was written, or the error above says why
            temporary.unlink()
