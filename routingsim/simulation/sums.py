"""Sums over the tasks of a run in compiled loops, during which other threads run.

NumPy takes the interpreter's lock between its loops, and keeps it in short ones: a run is summed up
by a few long loops instead. The figures are the same to the last bit, since :func:`total` adds as
NumPy does, in pairs. The loops allocate nothing, which would make them slow to compile: the
functions that call them do.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.simulation.compiling import called, kernel

Floats = NDArray[np.float64]

_BLOCK = 128  # values that NumPy adds in eight columns before it pairs them
_DEEP = 64  # halvings of any number of values
_KEPT = 1 << 20  # numbers that a thread keeps room for, 8 MB
_FEW = 1 << 14  # values up to which NumPy holds the GIL too briefly to need compiled code


def stack() -> Floats:
    """Room for :func:`total`."""
    return np.empty((_DEEP, 3))


_kept = threading.local()


def scratch(rows: int, columns: int) -> Floats:
    """Numbers to be written over, which the next call of this thread writes over again.

    Memory that is asked for and given back run by run costs threads more than the sums: the
    system empties its pages each time, and stops all threads to take them back. Of long runs
    nothing is kept.
    """
    size = rows * columns
    if size > _KEPT:
        return np.empty((rows, columns))
    if getattr(_kept, "room", np.empty(0)).size < size:
        _kept.room = np.empty(size)
    return _kept.room[:size].reshape(rows, columns)


@called
def _columns(values, first, count):
    """The sum of up to ``_BLOCK`` values, in eight columns."""
    if count < 8:
        found = 0.0
        for k in range(first, first + count):
            found += values[k]
        return found
    a, b, c, d = values[first], values[first + 1], values[first + 2], values[first + 3]
    e, f, g, h = values[first + 4], values[first + 5], values[first + 6], values[first + 7]
    for k in range(first + 8, first + count - count % 8, 8):
        a += values[k]
        b += values[k + 1]
        c += values[k + 2]
        d += values[k + 3]
        e += values[k + 4]
        f += values[k + 5]
        g += values[k + 6]
        h += values[k + 7]
    found = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for k in range(first + count - count % 8, first + count):
        found += values[k]
    return found


@called
def total(values, first, count, room):
    """The sum of ``count`` values from ``first`` on, as ``numpy.sum`` adds them.

    That is the sum of the sums of both halves, and so on. ``room`` keeps of each half where it
    begins, how long it is (0 once its left half is added), and the sum of its left half.
    """
    level = 0
    while True:
        while count > _BLOCK:
            room[level, 0], room[level, 1] = first, count
            level += 1
            count = count // 2 - (count // 2) % 8
        found = _columns(values, first, count)
        while level and room[level - 1, 1] == 0.0:
            level -= 1
            found += room[level, 2]
        if not level:
            return found
        whole = np.int64(room[level - 1, 1])
        half = whole // 2 - (whole // 2) % 8
        first, count = np.int64(room[level - 1, 0]) + half, whole - half
        room[level - 1, 1], room[level - 1, 2] = 0.0, found


@called
def variance(values, first, count, room):
    """The variance of ``count`` values from ``first`` on, which are overwritten."""
    mean = total(values, first, count, room) / count
    for k in range(first, first + count):
        values[k] = (values[k] - mean) * (values[k] - mean)
    return total(values, first, count, room) / count


@called
def quantile(values, count, share):
    """The smallest of ``count`` values, without NaN, with at least a share not above it.

    The values are rearranged; NaN where there are none.
    """
    if not count:
        return math.nan
    low, high = 0, count - 1
    k = max(np.int64(math.ceil(count * share - 1.0)), 0)
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@kernel
def _quantiles(values, shares, found):
    for k in range(shares.size):
        found[k] = quantile(values, values.size, shares[k])


def quantiles_of(values: Floats, shares: Floats) -> Floats:
    """The smallest value with at least a share not above it, of each share; NaN of no values.

    The values have no NaN, and are rearranged.
    """
    found = np.empty(shares.size)
    _quantiles(values, shares, found)
    return found


@kernel
def _deviation(times, gaps, room):
    for k in range(gaps.size):
        gaps[k] = times[k + 1] - times[k]
    return math.sqrt(variance(gaps, 0, gaps.size, room))


def deviation_of_gaps(times: Floats) -> float:
    """The standard deviation of the gaps between times in order, two or more."""
    if times.size <= _FEW:
        return float(np.diff(times).std())
    return _deviation(np.ascontiguousarray(times), scratch(1, times.size - 1)[0], stack())


@kernel
def together(times):
    """Of times in order: the most that are the same, and how many differ from that before."""
    later, most, since = 0, 1, 0
    for k in range(1, times.size):
        if times[k] != times[k - 1]:
            later += 1
            since = k
        most = max(most, k - since + 1)
    return most, later


@kernel
def _gap_moments(arrived, agent, times, place, room, found):
    agents = found.shape[0]
    for k in range(agent.size):
        place[agent[k] + 1] += 1
    for a in range(agents):
        place[a + 1] += place[a]
    for k in range(agent.size):
        times[place[agent[k]]] = arrived[k]
        place[agent[k]] += 1
    first = 0  # place[a] is now where agent a ends
    for a in range(agents):
        gaps = place[a] - first - 1
        if gaps > 0:
            for k in range(first, first + gaps):
                times[k] = times[k + 1] - times[k]
            found[a, 0] = gaps
            found[a, 1] = total(times, first, gaps, room) / gaps
            found[a, 2] = variance(times, first, gaps, room)
        first = place[a]


def gap_moments(arrived: Floats, agent: NDArray[np.integer], agents: int) -> Floats:
    """Of the gaps between each agent's calls: how many, their mean and variance, (agents, 3).

    Calls are in order of arrival.
    """
    found, place = np.zeros((agents, 3)), np.zeros(agents + 1, np.int64)
    _gap_moments(arrived, agent, scratch(1, agent.size)[0], place, stack(), found)
    return found


@kernel
def _served_moments(agent, status, begin, end, worst, found):
    for k in range(agent.size):
        if status[k] <= worst:
            took = end[k] - begin[k]
            found[agent[k], 0] += 1.0
            found[agent[k], 1] += took
            found[agent[k], 2] += took * took


def served_moments(log: Any, worst: int, agents: int) -> Floats:
    """Of each agent's calls with a status up to ``worst``: how many, the sum of the seconds that
    they took and that of their squares, (agents, 3)."""
    found = np.zeros((agents, 3))
    _served_moments(log.agent, log.status, log.left, log.finished, worst, found)
    return found


@kernel
def _gathered(table, row, agent, found):
    for k in range(agent.size):
        found[k] = table[row[k], agent[k]]


def gathered(table: Floats, row: NDArray[np.integer], agent: NDArray[np.integer]) -> Floats:
    """The cell of each task, ``table[row, agent]``."""
    found = np.empty(agent.size)
    _gathered(table, row, agent, found)
    return found


@kernel
def true_cells(table, row, agent):
    """In how many tasks the cell of a table of booleans, ``table[row, agent]``, is true."""
    found = 0
    for k in range(agent.size):
        found += table[row[k], agent[k]]
    return found


@kernel
def _counted(codes, found):
    for k in range(codes.size):
        found[codes[k]] += 1


def counted(codes: NDArray[np.integer], most: int) -> NDArray[np.int64]:
    """How often each of the numbers below ``most`` is there."""
    if codes.size <= _FEW:
        return np.bincount(codes, minlength=most)
    found = np.zeros(most, np.int64)
    _counted(codes, found)
    return found


@kernel
def _by_agent(agent, values, count, summed):
    for k in range(agent.size):
        count[agent[k]] += 1
        summed[agent[k]] += values[k]


def by_agent(
    agent: NDArray[np.integer], values: Floats, agents: int
) -> tuple[NDArray[np.int64], Floats]:
    """How many there are of each agent, and the sum of their values."""
    count, summed = np.zeros(agents, np.int64), np.zeros(agents)
    _by_agent(agent, values, count, summed)
    return count, summed


@kernel
def _in_cells(agent, arrived, values, begin, scale, count, summed):
    cells = count.shape[1]
    for k in range(agent.size):
        cell = np.int64(min((arrived[k] - begin) * scale, cells - 1.0))
        count[agent[k], cell] += 1.0
        summed[agent[k], cell] += values[k]


def in_cells(
    agent: NDArray[np.integer],
    arrived: Floats,
    values: Floats,
    span: tuple[float, float],
    shape: tuple[int, int],
) -> tuple[Floats, Floats]:
    """Number and sum of values by agent and cell of the time ``span``, each of this shape."""
    count, summed = np.zeros(shape), np.zeros(shape)
    begin, end = span
    _in_cells(agent, arrived, values, begin, shape[1] / (end - begin), count, summed)
    return count, summed


@kernel
def _busy(agent, begin, end, first, last, found):
    for k in range(agent.size):
        found[agent[k]] += min(max(end[k], first), last) - min(max(begin[k], first), last)


def busy_in(
    agent: NDArray[np.integer], begin: Floats, end: Floats, window: tuple[float, float], agents: int
) -> Floats:
    """Seconds of the window that calls of each agent took."""
    found = np.zeros(agents)
    _busy(agent, begin, end, *window, found)
    return found


@called
def _step(value, sign, edges, found):
    cells = found.size
    begin, end = edges[0], edges[cells]
    if begin <= value <= end:
        k = min(np.int64((value - begin) / (end - begin) * cells), cells - 1)
        if value < edges[k]:
            k -= 1
        if value >= edges[k + 1] and k != cells - 1:
            k += 1
        found[k] += sign


@kernel
def _steps(entered, left, edges, found):
    for k in range(entered.size):
        _step(entered[k], 1, edges, found)
        _step(left[k], -1, edges, found)


def steps(entered: Floats, left: Floats, edges: Floats) -> NDArray[np.int64]:
    """By how much more values of one array than of another are in each of equal cells.

    As the difference of two ``numpy.histogram``, with its care for values beside an edge.
    """
    found = np.zeros(edges.size - 1, np.int64)
    _steps(entered, left, edges, found)
    return found


@kernel
def rising(excess, least):
    """Shares of the steps in rises of ``least`` or more: in all, and in one still going on."""
    steps = excess.size - 1
    up, low, high, going_on = 0, 0, 0, False  # low, high: places of the last trough and peak
    for k in range(excess.size):
        value = excess[k]
        if going_on:
            if value >= excess[high]:
                high = k
            elif excess[high] - value >= least:
                up, low, going_on = up + high - low, k, False
        elif value <= excess[low]:
            low = k
        elif value - excess[low] >= least:
            high, going_on = k, True
    if going_on:
        up += high - low
    return up / steps, (steps - low) / steps if going_on else 0.0


@kernel
def _answer_moments(
    agent, status, wait, begin, end, arrived, slowed, ok, room, latency, alone, means, found
):
    count = 0
    for k in range(agent.size):
        if status[k] == ok:
            a = agent[k]
            waited = wait[k] + slowed[a] * (end[k] - begin[k])
            latency[count] = end[k] - arrived[k]
            alone[count] = latency[count] - waited
            found[a, 0] += 1.0
            found[a, 1] += waited
            found[a, 2] += waited * waited
            count += 1
    if not count:
        return 0, 0.0, 0.0
    length = count // means.size
    if length:
        for k in range(means.size):
            first = count - (means.size - k) * length
            means[k] = total(latency, first, length, room) / length
    return count, total(latency, 0, count, room) / count, variance(alone, 0, count, room)


def answer_moments(
    log: Any, arrived: Floats, slowed: Floats, ok: int, batches: int
) -> tuple[int, float, float, Floats, Floats]:
    """Moments of the answers, those with status ``ok``.

    Returns
    -------
    count : int
    mean : float
        Of their latencies.
    served : float
        Variance of the latencies without the waits.
    means : ndarray, shape (batches,)
        Mean latencies of batches in order; the first few answers are left out of them.
    found : ndarray, shape (agents, 3)
        Of each agent: answers, and sums of their waits and of the squares of these. To a wait
        counts the share ``slowed`` of the seconds of service.
    """
    room, means, found = scratch(2, arrived.size), np.zeros(batches), np.zeros((slowed.size, 3))
    of = _answer_moments(
        *(log.agent, log.status, log.wait, log.left, log.finished, arrived, slowed, ok),
        *(stack(), room[0], room[1], means, found),
    )
    return *of, means, found
