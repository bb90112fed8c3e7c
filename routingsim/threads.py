"""Work in threads on all cores, for code that releases the GIL."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def workers_of(n_jobs: int | None) -> int:
    """How many workers ``n_jobs`` asks for: None and -1 mean one a core, -2 one less, ….

    >>> workers_of(3)
    3
    """
    if n_jobs is not None and n_jobs > 0:
        return n_jobs
    can = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (can or 1) + 1 + (n_jobs or -1))


def mapped(
    function: Callable[[_Item], _Found], items: Iterable[_Item], n_jobs: int | None = None
) -> Iterator[_Found]:
    """``map(function, items)`` in threads, in the items' order; in this thread if one is enough.

    Parameters
    ----------
    function : callable
    items : iterable
    n_jobs : int, optional
        As of :func:`workers_of`.
    """
    given = list(items)
    workers = min(workers_of(n_jobs), len(given))
    if workers < 2:
        yield from map(function, given)
        return
    with ThreadPoolExecutor(workers) as threads:
        yield from threads.map(function, given)
