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
    bar = tqdm(delay=DELAY, leave=False, disable=True if hidden else None, **given)
    if hasattr(bar, "container"):
        _leave_nothing(bar)
    return bar


def _leave_nothing(bar: Any) -> None:
    """Take a notebook's bar out of the cell's outputs, too, when the work is done.

    tqdm closes the widget and leaves its output, which is an error when the notebook is opened
    again.
    """
    from IPython.display import display

    draw, close, outputs = bar.display, bar.close, []

    def draw_to_remove(*args: Any, check_delay: bool = True, **given: Any) -> Any:
        if check_delay and not bar.displayed:
            outputs.append(display(bar.container, display_id=True))
            bar.displayed = True
        return draw(*args, check_delay=check_delay, **given)

    def close_and_remove() -> None:
        close()
        while outputs:
            outputs.pop().update({}, raw=True)

    bar.display, bar.close = draw_to_remove, close_and_remove


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
