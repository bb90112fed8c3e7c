"""Whether a run met the arrivals asked for, and what its warm-up and its end leave out."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routingsim.simulation.arrivals import Arrivals
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import Outage

_CERTAIN = 3.0  # standard errors from which two rates are said to differ
_PARTS = 100  # of a run, in which a peak is looked for


def unlike_asked(process: Arrivals, asked: float | None, tasks: int, spans: Sequence[float]) -> str:
    """A note that a run did not meet the arrivals asked for, and how many tasks would; "" if it
    did.

    It did not if it is shorter than a period of its arrivals, or if its rate is more than
    three standard errors from the one asked for and its tasks do not make whole periods. The
    variance of the number of arrivals is the process's index of dispersion times their
    expected number.

    Parameters
    ----------
    process : Arrivals
        What was asked for.
    asked : float or None
        Its mean rate (tasks/s); None if there is none.
    tasks : int
        Tasks of each run.
    spans : sequence of float
        Seconds from 0 to the last arrival of each run.
    """
    span = math.fsum(spans) / len(spans)
    if not asked or not span or not math.isfinite(span):
        return ""
    met, period = tasks / span, process.period
    rates = f"{met:.3g} tasks/s arrive, and {asked:.3g} are asked for"
    dispersion = process.dispersion
    whole = asked * period if period else math.inf
    few = whole - _CERTAIN * math.sqrt((dispersion or 0.0) * whole) if period else 0.0
    if period and (span < period if process.stationary else tasks < few):
        mean = " on average" if process.stationary else ""
        return (
            f"{tasks:,} tasks take {seconds(span)} of the {seconds(period)} after which the "
            f"arrivals repeat{mean}: {rates}; {math.ceil(whole):,} tasks make a whole period"
        )
    if dispersion is None:
        return ""
    expected = asked * math.fsum(spans)
    error = math.sqrt(dispersion * expected)
    off = abs(tasks * len(spans) - expected)
    if off <= _CERTAIN * error + len(spans):  # the last arrival ends a run
        return ""
    said = f"{rates}, {off / error:.0f} standard errors apart" if error else rates
    if not period or process.stationary:
        return f"{said}: {tasks:,} tasks are no sample of these arrivals; run more"
    periods = max(round(tasks / whole), 1)
    if abs(tasks - periods * whole) <= _CERTAIN * math.sqrt(dispersion * periods * whole):
        return ""
    made = "a whole period" if periods == 1 else f"{periods} whole periods"
    return (
        f"{tasks:,} tasks take {span / period:.3g} times the {seconds(period)} after which the "
        f"arrivals repeat: {said}; {math.ceil(periods * whole):,} tasks make {made}"
    )


def asked_and_met(asked: float | None, met: float, span: float) -> str:
    """The rate asked for beside that met: ``3 tasks/s asked for, 2.97 met over 500 s``.

    Parameters
    ----------
    asked : float or None
        Tasks/s; 0 or None where the arrivals have no rate of their own.
    met, span : float
        Tasks/s that arrived, and seconds from the first to the last.
    """
    if not asked:
        return f"{met:.3g} tasks/s met over {seconds(span)}"
    return f"{asked:.3g} tasks/s asked for, {met:.3g} met over {seconds(span)}"


def left_out(
    arrived: NDArray[np.float64], outages: Sequence[Outage], warm_up: float
) -> tuple[str, ...]:
    """What is in a warm-up that should not be left out: an outage, another rate, a peak.

    Parameters
    ----------
    arrived : ndarray, shape (tasks,)
        Sorted times of arrival (s).
    outages : sequence of Outage
    warm_up : float
        Share of the time until the last arrival.
    """
    end = float(arrived[-1])
    begin = warm_up * end
    if begin <= 0:
        return ()
    share = f"the warm-up leaves out the first {seconds(begin)}"
    said = [
        f"{share}, and with it the outage of {each.agent} from {each.down:g} to {each.up:g} s: "
        "warm_up=0 counts it"
        for each in outages
        if each.down < begin
    ]
    before = int(np.searchsorted(arrived, begin))
    after = arrived.size - before
    rates = before / begin, after / (end - begin)
    error = math.sqrt(before / begin**2 + after / (end - begin) ** 2)
    if abs(rates[0] - rates[1]) > _CERTAIN * error:
        return (
            *said,
            f"{share}, in which {rates[0]:.3g} tasks/s arrive, and {rates[1]:.3g} after it: "
            "warm_up=0 counts both",
        )
    edge = math.ceil(_PARTS * warm_up)
    parts = np.histogram(arrived, _PARTS, (0.0, end))[0]
    first, rest = int(parts[:edge].max()), int(parts[edge:].max(initial=0))
    if first - rest > _CERTAIN * math.sqrt(first + rest):
        said.append(
            f"{share}, and with it the peak of the arrivals, {_PARTS * first / end:.3g} tasks/s: "
            "warm_up=0 counts it"
        )
    return tuple(said)


def seconds(span: float) -> str:
    """Seconds as text: three digits at least, and no fraction from 100 on."""
    return f"{span:,.0f} s" if span >= 100 else f"{span:.3g} s"


def too_late(
    arrived: NDArray[np.float64], outages: Sequence[Outage], changes: Sequence[Change]
) -> list[str]:
    """The outages and changes that begin after the last arrival (s)."""
    end = float(arrived[-1])
    events = [(f"the outage of {each.agent}", each.down) for each in outages]
    events += [(f"the change of {each.agent} ({each.what})", each.at) for each in changes]
    return [
        f"{event} begins at {at:g} s, after the last task has come, so that it changes little or "
        "nothing"
        for event, at in events
        if at > end
    ]
