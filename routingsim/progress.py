"""Progress bars: at a terminal and in notebooks, once the work has taken a second."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

Progress = bool | Callable[[int, int], object]
"""Whether to show a bar, or what to call as ``progress(done, all)`` in its place."""

DELAY = 1.0
"""Seconds before a bar is shown."""


def progress_bar(*, shown: bool = True, **given: Any) -> tqdm:
    """A bar that is gone when the work is done; other parameters are those of tqdm.

    Neither in a script whose standard error is a file, nor where the environment has
    ``TQDM_DISABLE=1``, is there one.
    """
    hidden = not shown or os.environ.get("TQDM_DISABLE", "").lower() not in ("", "0", "false")
    return tqdm(delay=DELAY, leave=False, disable=True if hidden else None, **given)


@contextmanager
def reporting(
    progress: Progress, unit: str, desc: str | None = None
) -> Iterator[Callable[..., object]]:
    """What to call as ``tell(done, all)``: it moves a bar, or is the caller's own function."""
    if callable(progress):
        yield progress
        return
    with progress_bar(shown=progress, unit=unit, desc=desc) as bar:

        def tell(done: int, whole: int) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        yield tell
