"""What the times and latencies of a log show together: stamps of completion, waits in latencies.

Calls that do not wait for each other are as likely to be followed by a longer one as by a
shorter one. Calls that do leave a trace in the order of time. Where stamps are of arrivals, the
latency of the next call cannot be shorter by more than the gap between both, as it waits for the
same work; it can be longer by any amount. Where stamps are of completions it is the other way
round: time runs backwards (the departures of a queue are its arrivals in reversed time: Kelly,
*Reversibility and Stochastic Networks*, 1979, sec. 2.2). So falls and rises of more than the gap
are counted, and a sign test compares them. And where slots limit the calls in flight, so many
are often in flight and never more, if times are read correctly.

A call's time in service does not depend on how many others are in flight when it comes. So the
rank correlation of both, within parts of the log so that times of day do not count, and after
what the lengths of prompts and answers explain, tells that latencies contain waits or slow down
under load.
"""

import math

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.checkup.finding import Columns, Finding, Floats

LEAST = 100
"""Calls of a log below which nothing is said."""

_CERTAIN = 4.5  # standard errors from which chance is left out of account
_LOPSIDED = 0.6  # share of falls among falls and rises from which stamps are of completions
_RELATED = 0.15  # rank correlation from which latencies are said to rise with calls in flight
_LONGER = 1.25  # and by what factor the latencies of calls that met many have to be longer
_PARTS = 20  # of a log, within which latencies are compared
_CEILING = 0.05  # share of the calls that bring those in flight to the most that ever are
_MISSING = 10.0  # calls that would have come meanwhile without a ceiling
_FULL = 1.25  # calls in flight on average, in slots, from which some must have waited
_SAME = 1e-3  # seconds by which calls that start together may differ
_TOGETHER = 0.2  # share of the calls that start together, and
_APART = 0.02  # of those whose stamps coincide


def completion_stamps(columns: Columns) -> list[Finding]:
    """A note that the times of a log seem to be those of its answers."""
    reason = _why_completions(columns) if columns.is_log else ""
    if not reason:
        return []
    return [
        Finding(
            "times",
            "wrong",
            f"the times are rather those of answers than of arrivals: {reason}",
            "arrivals, waits and latencies of runs with the log's own times",
            "write arrived_at = time - latency",
        )
    ]


def waits_in_latencies(columns: Columns) -> list[Finding]:
    """A note that recorded latencies contain waits: they rise with calls in flight, or exceed
    slots."""
    if not columns.is_log:
        return []
    found = []
    for column, name in enumerate(columns.agents):
        time, latency, rows = columns.calls(column)
        if time.size < LEAST or time[-1] <= time[0]:
            continue
        said = _beyond_slots(columns, name, time, latency)
        for backwards in (False, True):  # stamps of arrivals, or of completions
            arrived = time - latency if backwards else time
            order = np.argsort(arrived, kind="stable")
            met = in_flight(arrived[order], latency[order])
            said = said or _rising(columns, column, latency[order], met, rows[order])
        if said:
            found.append(f"outcomes.{name}.latency: {said}")
    if not found:
        return []
    return [
        Finding(
            "latency",
            "wrong",
            f"latencies contain waits of the log's own load and are not service times: "
            f"{'; '.join(found)}",
            "waits, latencies and loads of runs with service = recorded, and fits to them: tasks "
            "queue twice",
            "record the time from the start of a call to its end, or describe the agents by "
            "latencies at low load",
        )
    ]


def in_flight(time: Floats, latency: Floats) -> NDArray[np.intp]:
    """How many calls each call met, of those that came before and had not ended.

    Parameters
    ----------
    time, latency : ndarray, shape (calls,)
        Times in order, and latencies above 0 (s).
    """
    ended = np.searchsorted(np.sort(time + latency), time, side="right")
    return np.arange(time.size) - ended


def _why_completions(columns: Columns) -> str:
    """Why times seem to be those of completions; "" if they do not."""
    rises = falls = 0
    for column, name in enumerate(columns.agents):
        time, latency, _ = columns.calls(column)
        if time.size < LEAST:
            continue
        gap, step = np.diff(time), np.diff(latency)
        rises += int((step > gap).sum())
        falls += int((-step > gap).sum())
        begun = np.sort(time - latency)
        together = float((np.diff(begun) < _SAME).mean())
        if together > _TOGETHER and float((gap < _SAME).mean()) < _APART:
            return (
                f"{100 * together:.0f} % of the calls of {name} begin together with another if "
                "latencies are taken off the times, and the times themselves differ"
            )
        most, often, kept = _ceiling(begun, latency[np.argsort(time - latency, kind="stable")])
        other, seldom, _ = _ceiling(time, latency)
        if most < other and often >= _CEILING > seldom and kept >= _MISSING:
            return (
                f"with latencies taken off the times {most:,} call{'s' * (most > 1)} of {name} "
                f"{'are' if most > 1 else 'is'} often in flight and never more, and up to "
                f"{other:,} if they are added"
            )
    both = rises + falls
    if both < LEAST / 2 or falls - rises < _CERTAIN * math.sqrt(both):
        return ""
    if falls < _LOPSIDED * both:
        return ""
    return (
        "from one call to the next of the same agent the latency falls by more than the gap "
        f"{falls:,} times and rises so {rises:,} times, and calls that wait for each other do the "
        "opposite"
    )


def _ceiling(time: Floats, latency: Floats) -> tuple[int, float, float]:
    """The most calls in flight, the share of the calls that bring them to that, and those missing.

    Missing are as many as come on average in the time with the most in flight.
    """
    among = in_flight(time, latency) + 1
    most, ends = int(among.max()), np.sort(time + latency)
    full = time[among == most]
    seconds = float((ends[np.searchsorted(ends, full, side="right")] - full).sum())
    rate = time.size / max(float(time[-1] - time[0]), _SAME)
    return most, float((among == most).mean()), rate * seconds


def _beyond_slots(columns: Columns, name: str, time: Floats, latency: Floats) -> str:
    """A note that an agent of the pool has fewer slots than calls in flight on average; "" if
    not."""
    agent = columns.agent(name)
    mean = float(latency.sum() / (time[-1] - time[0]))
    if agent is None or mean <= _FULL * agent.concurrency:
        return ""
    return (
        f"{mean:.3g} calls were in flight on average, and the agent has {agent.concurrency} "
        f"slot{'s' * (agent.concurrency > 1)}"
    )


def _rising(
    columns: Columns, column: int, latency: Floats, met: NDArray[np.intp], rows: NDArray[np.intp]
) -> str:
    """A note that latencies rise with the calls in flight; "" if they do not."""
    own = _unexplained(latency, columns.prompt_tokens[rows], columns.answer_tokens(column)[rows])
    parts = np.array_split(np.arange(own.size), min(_PARTS, own.size // (LEAST // 2)))
    a, b = (np.concatenate([_centred_ranks(v[part]) for part in parts]) for v in (own, met))
    norm = math.sqrt(float(a @ a) * float(b @ b))
    related = float(a @ b) / norm if norm else 0.0
    if related < _RELATED or related * math.sqrt(own.size - len(parts)) < _CERTAIN:
        return ""
    low, high = np.quantile(met, [1 / 3, 2 / 3])
    few, many = float(latency[met <= low].mean()), float(latency[met >= high].mean())
    if many < _LONGER * few:
        return ""
    return (
        f"they rise with the number of calls in flight (rank correlation {related:.2f} over "
        f"{own.size:,} calls; {few:.3g} s on average where {low:.0f} or fewer were, {many:.3g} s "
        f"where {high:.0f} or more were)"
    )


def _unexplained(latency: Floats, *lengths: Floats) -> Floats:
    """Latencies less what the lengths of prompt and answer explain, by least squares."""
    known = [each for each in lengths if np.isfinite(each).all() and np.ptp(each) > 0]
    table = np.column_stack([np.ones(latency.size), *known])
    weights = np.linalg.lstsq(table, latency, rcond=None)[0]
    return latency - table @ weights if known else latency


def _centred_ranks(values: NDArray[np.generic]) -> Floats:
    """Ranks less their mean; equal values share one."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count + 1) / 2
    found = rank[place]
    return found - found.mean()
