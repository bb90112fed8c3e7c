"""Which of a corpus's tasks a run takes, and what is said of those that it leaves out.

With a corpus's own times a run of fewer tasks takes the first of them, a *window* that a note
names. With any other arrivals tasks are drawn at random without replacement, in proportion to
their categories, by the seed alone: every policy under one seed meets the same tasks.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from routingsim import rng
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.simulation.arrivals import Arrivals, CorpusTimes
from routingsim.simulation.arrivals.checks import is_whole

Order = Literal["file", "shuffled", "blocks"]
"""How a run takes the tasks: see :meth:`Scenario.run`."""

_SAME = 0.01  # a mix of categories that differs by less is not spoken of


@lru_cache(maxsize=4)  # asked for again by every scenario and run of a study
def category_numbers(corpus: Corpus) -> NDArray[np.int64]:
    """The code of each task's category, shape (tasks,), read-only; -1 where it has none."""
    codes = corpus.category_codes
    found = np.array([codes.get(name, -1) for name in corpus.tasks["category"].tolist()], np.int64)
    found.flags.writeable = False
    return found


def count_of(tasks: int | None, corpus: Corpus | None) -> int:
    """How many tasks a run has: as many as asked for, or all of the corpus.

    Raises
    ------
    SimulationError
        If it is no whole number of 1 or more, or neither is given.
    """
    if tasks is None:
        if corpus is None:
            raise SimulationError("without a corpus, say how many tasks: tasks=100_000")
        tasks = len(corpus)
    if not is_whole(tasks) or tasks < 1:
        raise SimulationError(f"tasks={tasks!r}: one task or more is needed, as a whole number")
    return tasks


def rows_of(
    count: int,
    corpus: Corpus | None,
    arrivals: Arrivals,
    seed: int,
    order: Order,
) -> tuple[NDArray[np.int32], list[str]]:
    """The corpus's record of each task, shape (count,), and what is said of their choice."""
    if corpus is None:
        return np.zeros(count, np.int32), []
    size = len(corpus)
    said: list[str] = []
    if count > size:
        rows = rng.integers(np.uint64(rng.stream(seed, rng.ROW)), count, size)
        return rows, [f"{count:,} tasks drawn with replacement from the {size:,} there are"]
    if isinstance(arrivals, CorpusTimes):
        first = arrivals.rows(corpus).start
        rows = np.arange(first, first + count, dtype=np.int32)
        said.append(window_note(corpus, slice(first, first + count)))
    elif count < size:
        rows = drawn_rows(corpus, count, seed)
        said.append(drawn_note(corpus, count))
    else:
        rows = np.arange(count, dtype=np.int32)
    if order == "shuffled":
        generator = np.random.default_rng([seed & (2**63 - 1), rng.ROW])
        rows = rows[generator.permutation(count)]
    return rows, list(filter(None, said))


def drawn_rows(corpus: Corpus, count: int, seed: int) -> NDArray[np.int32]:
    """Records of a random sample without replacement, in the corpus's order, shape (count,).

    The tasks, sorted by category and in random order within each, are taken at equal steps
    from a random start (systematic sampling: Cochran, "Sampling Techniques", 3rd ed. 1977,
    ch. 8). So each task has the same chance, and each category its share, up to one task.
    """
    generator = np.random.default_rng([seed & (2**63 - 1), rng.ROW, count])
    order = generator.permutation(len(corpus))
    if codes := corpus.category_codes:
        shuffled = generator.permutation(len(codes) + 1)  # so that no category is always first
        order = order[np.argsort(shuffled[category_numbers(corpus)[order]], kind="stable")]
    taken = np.floor((np.arange(count) + generator.random()) * (len(corpus) / count))
    return np.sort(order[np.minimum(taken, len(corpus) - 1).astype(np.intp)]).astype(np.int32)


def drawn_note(corpus: Corpus, count: int) -> str:
    """A note that the tasks are a sample; "" where they are all, or more than all."""
    if count >= len(corpus):
        return ""
    by = ", in proportion to their categories" if corpus.category_codes else ""
    return f"{count:,} of {len(corpus):,} tasks of {corpus.name}, drawn at random{by}"


def window_note(corpus: Corpus, rows: slice) -> str:
    """Which part of a log is played, and how it differs from the whole; "" where it is all."""
    count = rows.stop - rows.start
    if count >= len(corpus) or count < 1:
        return ""
    times = corpus.tasks["arrived_at"].to_numpy()
    whole = float(times[-1] - times[0])
    begin, end = (float(times[k] - times[0]) for k in (rows.start, rows.stop - 1))
    which = (
        f"the first {count:,}"
        if not rows.start
        else f"the tasks {rows.start + 1:,} to {rows.stop:,}"
    )
    said = (
        f"a window: {which} of {len(corpus):,} of {corpus.name}, "
        f"{clock(begin, whole)}–{clock(end, whole)} of {clock(whole, whole)}"
    )
    if end > begin and count > 1:
        here, over_all = (count - 1) / (end - begin), (len(corpus) - 1) / whole
        said += f", at {here:.3g} tasks/s ({over_all:.3g} over all)"
    if mix := _mix(corpus, rows):
        said += f"; category mix differs by {mix}"
    return said


def trace_note(arrivals: str, seconds: float, count: int) -> str:
    """Which part of a trace a run of a given number of tasks meets."""
    return f"a window: the first {count:,} arrivals of {arrivals}, {clock(seconds, seconds)} long"


def clock(seconds: float, whole: float) -> str:
    """A time from the beginning: hours and minutes, seconds too in a record below two hours."""
    left = round(seconds) if whole < 7200 else round(seconds / 60) * 60
    days, left = divmod(left, 86400)
    shown = f"{left // 3600:02d}:{left % 3600 // 60:02d}"
    shown += f":{left % 60:02d}" if whole < 7200 else ""
    return f"{days} d {shown}" if days else shown


def _mix(corpus: Corpus, rows: slice) -> str:
    """By how many points the mix of categories differs, and the one that does most."""
    names = corpus.tasks["category"].tolist()
    known = sorted(set(names))
    if len(known) < 2:
        return ""
    here, over_all = (
        np.array([part.count(name) for name in known]) / len(part) for part in (names[rows], names)
    )
    apart = np.abs(here - over_all)
    distance = float(apart.sum()) / 2
    if distance < _SAME:
        return ""
    most = int(apart.argmax())
    return (
        f"{100 * distance:.0f} points ({known[most] or 'no category'}: {100 * here[most]:.0f} % "
        f"for {100 * over_all[most]:.0f} % over all)"
    )
