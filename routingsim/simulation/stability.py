"""Whether the waits and latencies of a run would be those of a longer one: the verdict on it.

The words of verdicts and their order are here, and nowhere else.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import TIME_OUTS, AgentPool
from routingsim.formatting import short
from routingsim.policies.kernel import OK
from routingsim.simulation.compiling import called, kernel
from routingsim.simulation.offered_load import (
    RARE,
    OfferedLoad,
    Run,
    mean_services,
    offered_load,
    sent_work,
)
from routingsim.simulation.statistics import of_means
from routingsim.simulation.sums import answer_moments, stack, steps, together, total

Verdict = Literal["steady", "too short to say", "no rate", "saturated", "overloaded", "growing"]
"""The words of verdicts, from the best to the worst."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""The same, as a tuple."""

ABOVE: tuple[Verdict, ...] = ("overloaded", "growing")
"""Verdicts on runs in which more came than could be done."""

CONSEQUENCES: dict[str, str] = {
    "growing": "queues grow for as long as tasks come, and waits say only how long the run was",
    "overloaded": "more comes than can be done, and waits say how long that lasts",
    "saturated": "slots are always in use, and more users add waits, not answers",
    "no rate": "tasks arrive as a batch, and waits depend on how many come together",
    "too short to say": "the waits of a longer run may differ",
}
"""What follows from each verdict but "steady", the gravest first."""

TOLERANCE = 0.2
"""Half-width of the 95 % interval of the mean latency, as a share of it, of a steady run."""

_Z = 1.96  # of a 95 % interval
_CERTAIN = 2.33  # standard errors above 1 from which a load is said to be above capacity
_FULL = 0.95  # share of an agent's time in use from which a closed loop is saturated
_BATCHES = 20
_MOST = 1e5  # times as many tasks as there were, beyond which no number is named
_LEAST = 30  # answers of a steady run
_MOST_RUNS = 20  # more runs do not make up for the beginning of each, in which queues are empty


@dataclass(frozen=True)
class Stability:
    """Whether waits and latencies of a run mean anything; read it before any percentile.

    Attributes
    ----------
    verdict : str
        One of :data:`VERDICTS`. "steady": the mean latency of a longer run would be the
        same, within ``half_width``, which is at most 20 %. "too short to say": it may
        differ by more; ``enough`` tasks would do. "overloaded": in the share ``above`` of
        the time an agent was sent more work than it can do. "growing": it still was at the
        end, on average over the run or in the last half of it, and its queue has no bound.
        "saturated": a closed loop whose users wait for slots that are always in use. "no
        rate": the arrivals are a batch.
    offered : dict of str to float
        Offered load of each agent after routing: the work sent to it over what its slots
        can do while it is up, or the calls over what its limit per minute allows,
        whichever is higher. NaN where no rate is known.
    error : dict of str to float
        Standard error of each offered load.
    half_width : float
        Half-width of the 95 % interval of the mean latency as a share of it, by the length
        of the run in relaxation times of its queues (:func:`stability`); infinite where a
        load cannot be distinguished from 1, NaN where no rate is known.
    enough : int
        Tasks with which ``half_width`` would be 20 %, 30 at least; 0 where that is not known.
    above : float
        Share of the time in which an agent was sent more than it can do: that of the agent
        with the most.
    peak, left : int
        Most tasks that waited at one time, and those that waited at the last arrival.
    bounded : bool
        Whether the queue of the agent with the highest load has a limit, or its tasks a
        patience.
    tasks : int
        Tasks of the run.
    reason : str
        Why no rate is known; "" where one is.
    """

    verdict: Verdict
    offered: dict[str, float]
    error: dict[str, float]
    half_width: float = math.nan
    enough: int = 0
    above: float = 0.0
    peak: int = 0
    left: int = 0
    bounded: bool = False
    tasks: int = 0
    reason: str = ""

    @property
    def busiest(self) -> str:
        """The agent with the highest offered load; "" where no rate is known."""
        if self.verdict == "no rate":
            return ""
        return max(self.offered, key=lambda agent: self.offered[agent])

    @property
    def lasts(self) -> bool:
        """Whether the run ends before its backlog does: see :func:`lasts`."""
        return lasts(self.verdict, self.peak, self.left)

    def __str__(self) -> str:
        if self.verdict == "no rate":
            return (
                f"no rate is known: {self.reason}; waits depend on how many come together, read "
                "percentiles with care"
            )
        load, error = self.offered[self.busiest], self.error[self.busiest]
        shown = f"{load:.2f}" if load < 1000 else short(load, 3)
        shown += f" ± {_Z * error:.2f}" if 0 < error < 100 else ""
        said = (
            f"{in_words(self.verdict, self.above)}: highest offered load {shown} ({self.busiest})"
        )
        return f"{said}; {consequence(self)}"


def in_words(verdict: str, above: float = math.nan) -> str:
    """The verdict as it is said: ``overloaded in 33 % of the time``."""
    if verdict != "overloaded" or math.isnan(above):
        return verdict
    percent = 100 * above
    return (
        f"overloaded in {percent:.0f} % of the time"
        if percent >= 1
        else (f"overloaded in {percent:.1g} % of the time")
    )


def consequence(found: Stability) -> str:
    """What follows from a verdict, with its figures."""
    if found.verdict == "steady":
        return f"a longer run's mean latency is within {100 * found.half_width:.0f} %"
    if found.verdict == "too short to say":
        said = f"the mean latency of {found.tasks:,} tasks may be "
        off = f"{100 * found.half_width:.0f} %" if found.half_width < 1 else "far"
        said += f"{off} off that of a longer run"
        return f"{said}, about {found.enough:,} tasks would do" if found.enough else said
    if found.verdict == "saturated":
        return (
            f"its slots are always in use and up to {found.peak:,} users wait: more users add "
            "waits, not answers"
        )
    if found.verdict == "growing":
        return (
            f"{found.left:,} tasks wait at the end and more would in a longer run, so percentiles "
            "say how long the run was"
        )
    waits = f"up to {found.peak:,} tasks wait" if found.peak else "tasks are lost"
    left = f", {found.left:,} of them at the end" if found.left and not found.bounded else ""
    return f"{waits}{left}, and percentiles say how long that lasts"


def lasts(verdict: str, peak: float, left: float) -> bool:
    """Whether a run ends before its backlog does, so that its figures say how long it was.

    That is so of "growing", and of "overloaded" where half of the most tasks that waited at
    one time still wait at the end.
    """
    return verdict == "growing" or (verdict == "overloaded" and left >= peak / 2)


def stability(run: Run, *, closed: bool = False) -> Stability:
    """The verdict on a run.

    A load is above capacity if it is by more than 2.33 standard errors above 1, or in spells
    that chance does not explain (:func:`~routingsim.simulation.offered_load.offered_load`).

    The variance of the mean latency is that of the service times over the number of tasks,
    and for each agent that of its waits over T / 2τ, the number of independent observations
    in T seconds. τ is the relaxation time of a queue: for c slots, mean service time s
    and load ρ

        τ = max(s, s (1 + ρ) / (c (1 − ρ)²) · (c_a² + c_s²) / 2),

    exact for the number of tasks in an M/M/1 queue, and in heavy traffic for others (Whitt,
    "Planning queueing simulations", Management Science 35 (1989), sec. 4). ρ is taken one
    standard error above its estimate. Batch means are taken where they are wider.

    No rate is known if there are fewer than three different times of arrival, if more
    than half of the tasks arrive at one time, or if all arrive within the mean service time
    of a call and the load is not above capacity: the work of a batch over the time in which
    it came is no load.

    Parameters
    ----------
    run : Run
    closed : bool
        Whether the arrivals came from a closed loop.
    """
    work, log, pool = run.work, run.log, run.pool
    begin, end = float(work.arrived[0]), float(work.arrived[-1])
    batch = "" if closed and end > begin else _batch(work.arrived)
    if batch:
        return _no_rate(pool, batch)
    load = offered_load(run)
    peak, left = _waiting(run, load.mean, begin, end)
    worst = int(load.mean.argmax())
    bounding = ("patience", "queue_limit", *TIME_OUTS)
    bounds = [any(getattr(agent, name) is not None for name in bounding) for agent in pool]
    half_width, enough = _precision(run, load, end - begin, closed=closed)
    found = Stability(
        verdict="steady",
        offered=dict(zip(pool.ids, load.mean.tolist(), strict=True)),
        error=dict(zip(pool.ids, load.error.tolist(), strict=True)),
        half_width=half_width,
        enough=enough,
        above=float(load.above.max()),
        peak=peak,
        left=left,
        bounded=bounds[worst],
        tasks=log.agent.size,
    )
    if closed:
        full = load.mean[worst] >= _FULL and peak > 0
        return replace(found, verdict="saturated") if full else _by_precision(found)
    waited = bool(peak or (log.status != OK).any() or log.wait.any())
    beyond = (np.isinf(load.mean) | (load.mean - 1 > _CERTAIN * load.error)) & waited
    unbounded = ~np.array(bounds)
    if (unbounded & (beyond | (load.last_spell >= 0.5))).any() and left:
        return replace(found, verdict="growing")
    if beyond.any() or found.above:
        return replace(found, verdict="overloaded", above=found.above or 1.0)
    mean_service = _mean_service(load.service, run)
    if end - begin < mean_service:
        return _no_rate(
            pool,
            f"all {log.agent.size:,} tasks arrive within {end - begin:.3g} s, and a call takes "
            f"{mean_service:.3g} s on average",
        )
    return _by_precision(found)


def load_and_queue(run: Run, *, closed: bool = False) -> tuple[float, int, int]:
    """The highest offered load, and the most and the last that waited, as :func:`stability` says.

    It takes a third of the time, without the verdict. Parameters are the same.
    """
    work = run.work
    begin, end = float(work.arrived[0]), float(work.arrived[-1])
    if end > begin and (closed or not _batch(work.arrived)):
        sent = sent_work(run)
        if closed or end - begin >= _mean_service(sent.service, run):
            return float(sent.mean.max()), *_waiting(run, sent.mean, begin, end)
    found = stability(run, closed=closed)
    return max(found.offered.values()), found.peak, found.left


def _mean_service(service: NDArray[np.float64], run: Run) -> float:
    """The mean service time (s), alone, of the agents that the tasks went to."""
    agent, alone = run.log.agent, service / run.pool.column("slowdown")
    return float(alone @ np.bincount(agent, minlength=alone.size)) / agent.size


def _by_precision(found: Stability, runs: int = 1) -> Stability:
    wide = not found.half_width / math.sqrt(runs) <= TOLERANCE or found.tasks * runs < _LEAST
    return replace(found, verdict="too short to say" if wide else "steady")


def over_runs(found: Sequence[Stability]) -> tuple[Verdict, ...]:
    """The verdict on each of several runs that differ in their seeds alone.

    Several runs may decide what one leaves open: the half-width of their mean is 1/√R of one's.
    More than 20 runs count as 20, as each begins with empty queues.
    """
    runs = min(len(found), _MOST_RUNS)
    rated = [each for each in found if each.verdict != "no rate"]
    if not rated:
        return tuple(each.verdict for each in found)
    load, error = (
        np.array([[*getattr(each, name).values()] for each in rated]).T.copy().mean(axis=1)
        for name in ("offered", "error")
    )
    above = (load - 1 > _CERTAIN * (error / math.sqrt(len(rated)))).any()
    verdicts = []
    for each in found:
        if each.verdict not in ("steady", "too short to say"):
            verdicts.append(each.verdict)
            continue
        if above and each.peak:
            verdicts.append("overloaded" if each.bounded else "growing")
        else:
            verdicts.append(_by_precision(each, runs).verdict)
    return tuple(verdicts)


def over_parts(
    parts: Sequence[tuple[Stability, float]], tasks: int, peak: int, left: int
) -> Stability:
    """The verdict on a long run from those on its parts of consecutive tasks.

    Loads, their errors and the half-width are those of a mean over the parts by their lengths. The
    run is growing if a mean load is by more than 2.33 standard errors above 1, or its last half is
    of parts that are growing. It is overloaded if more of its parts are above capacity than chance
    makes of steady ones (:func:`~routingsim.simulation.offered_load.offered_load` says how rarely),
    for the mean share of their time.

    Parameters
    ----------
    parts : sequence of (Stability, float)
        Each verdict with the seconds of the part; one or more.
    tasks, peak, left : int
        Of the whole run: its tasks, and those that waited, most and at the end.
    """
    rated = [(each, seconds) for each, seconds in parts if each.verdict != "no rate"]
    if len(parts) == 1 or not rated:
        return replace(parts[-1][0], tasks=tasks)
    share = np.array([seconds for _, seconds in rated])
    share = share / share.sum()
    found = [each for each, _ in rated]
    names = list(found[0].offered)
    offered = np.array([list(each.offered.values()) for each in found])
    error = np.array([list(each.error.values()) for each in found])
    wide = np.array([each.half_width for each in found])
    with np.errstate(invalid="ignore"):
        half_width = float(np.sqrt(((share * wide) ** 2).sum()))
    above = np.array([(each.above or 1.0) if each.verdict in ABOVE else 0.0 for each in found])
    grown = np.array([each.verdict == "growing" for each in found])
    whole = replace(
        found[-1],
        verdict="steady",
        offered=dict(zip(names, (share @ offered).tolist(), strict=True)),
        error=dict(zip(names, np.sqrt(share**2 @ error**2).tolist(), strict=True)),
        half_width=half_width,
        enough=0,
        above=float(share @ above),
        peak=peak,
        left=left,
        tasks=tasks,
    )
    busiest = whole.busiest
    beyond = whole.offered[busiest] - 1 > _CERTAIN * whole.error[busiest] and whole.peak
    if (grown[len(found) // 2 :].all() or beyond) and whole.left and not whole.bounded:
        return replace(whole, verdict="growing")
    if beyond:
        return replace(whole, verdict="overloaded", above=whole.above or 1.0)
    chance = RARE * len(found)
    if np.count_nonzero(above) > chance + _CERTAIN * math.sqrt(chance):
        return replace(whole, verdict="overloaded")
    return _by_precision(replace(whole, above=0.0))


def of_most(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of most runs; in a tie, the worse one."""
    return max(VERDICTS, key=lambda each: (verdicts.count(each), VERDICTS.index(each)))


def _precision(run: Run, load: OfferedLoad, length: float, *, closed: bool) -> tuple[float, int]:
    """Half-width of the mean latency as a share of it, and how many tasks would do."""
    work, log, pool = run.work, run.log, run.pool
    slowed = _slowed(run, load)
    tasks, mean, apart, means, sums = answer_moments(log, work.arrived, slowed, OK, _BATCHES)
    if tasks < 2 or mean <= 0:
        return math.inf, 0
    batches = of_means(means).half_width / mean if tasks >= 10 * _BATCHES else 0.0
    served = apart / tasks

    answers = np.maximum(sums[:, 0], 1)
    waits, squares = sums[:, 1] / answers, sums[:, 2] / answers
    spread = (answers / tasks) ** 2 * np.maximum(squares - waits**2, 0.0)
    alone = load.service / pool.column("slowdown")
    per_slot = load.service / pool.column("concurrency") * load.variation

    count = max(log.agent.size, _LEAST)
    if closed:
        half_width = max(_Z * math.sqrt(served) / mean, batches)
        return half_width, _round_up(count * max(half_width / TOLERANCE, 1.0) ** 2)
    half_width, times = _half_width_and_times(
        np.array([load.mean, load.error, per_slot]),
        *(alone, np.array([spread, answers]), length, served, mean, batches),
        *(np.empty(len(pool)), stack()),
    )
    if not (load.mean[spread > 0] < 1).all():  # until the load can be distinguished from 1
        known = np.isfinite(load.mean) & (load.mean >= 1)
        error = _CERTAIN * load.error[known] / np.maximum(load.mean[known] - 1, 0.01)
        times = max([1.1, *(error**2).tolist()])
    return half_width, max(_round_up(log.agent.size * times), _LEAST) if times < _MOST else 0


@called
def _half_width(times, load, alone, spread, length, served, mean, batches, each, room):
    """Half-width of the mean latency as a share of it, of a run ``times`` as long."""
    for a in range(each.size):
        each[a] = 0.0
        if spread[0, a] > 0:
            beyond = load[0, a] + load[1, a] / math.sqrt(times)
            forgets = math.inf
            if beyond < 1:
                forgets = load[2, a] * (1 + beyond) / ((1 - beyond) * (1 - beyond))
            observed = max(2 * max(alone[a], forgets) / length, 1 / spread[1, a])
            each[a] = spread[0, a] * observed
    variance = served + total(each, 0, each.size, room)
    return max(_Z * math.sqrt(variance) / mean, batches) / math.sqrt(times)


@kernel
def _half_width_and_times(load, alone, spread, length, served, mean, batches, each, room):
    """The half-width, and how many times as long a run is within the tolerance.

    ``load`` has of each agent its load, the error of this, and what :func:`_precision` calls
    ``per_slot``; ``spread`` the variance of its mean wait, and the number of its answers.
    """
    of = (load, alone, spread, length, served, mean, batches, each, room)
    first, times = _half_width(1.0, *of), 1.0
    while _half_width(times, *of) > TOLERANCE and times < _MOST:
        times *= 1.1
    return first, times


def _slowed(run: Run, load: OfferedLoad) -> NDArray[np.float64]:
    """Share of the seconds of service that calls at each agent owe to others in service."""
    log, pool = run.log, run.pool
    sharing = pool.column("sharing") > 0
    if not sharing.any():
        return np.zeros(len(pool))
    mean = mean_services(log, len(pool))[1]
    alone = load.service / pool.column("slowdown")
    share = np.divide(alone, mean, out=np.ones(len(pool)), where=mean > 0)
    return np.where(sharing, np.maximum(1.0 - share, 0.0), 0.0)


def _round_up(tasks: float) -> int:
    """The number, rounded up to two digits."""
    unit = 10 ** max(len(str(int(tasks))) - 2, 0)
    return math.ceil(tasks / unit) * unit


def _waiting(run: Run, load: NDArray[np.float64], begin: float, end: float) -> tuple[int, int]:
    """Most tasks that waited at one time until ``end``, and how many did then.

    In an agent that is overloaded and has slots for all, whose calls slow each other down, those in
    service wait.
    """
    log, left = run.log, run.log.left
    entered = left - log.wait
    for a in np.flatnonzero((run.pool.column("sharing") > 0) & (load > 1)):
        if not log.wait[log.agent == a].any():
            left = np.where(log.agent == a, log.finished, left)
    waiting = queue_steps(entered, left, cells_of(left.size), begin, end).cumsum()
    return int(waiting.max()), int(waiting[-1])


def cells_of(tasks: int) -> int:
    """Cells of time in which it is counted how many of so many tasks wait."""
    return int(np.clip(tasks, 16, 4096))


def queue_steps(
    entered: NDArray[np.float64], left: NDArray[np.float64], cells: int, begin: float, end: float
) -> NDArray[np.int64]:
    """By how much the number of tasks that wait rises in each of equal cells of time."""
    if begin == end:
        begin, end = begin - 0.5, end + 0.5
    return steps(entered, left, np.linspace(begin, end, cells + 1))


def _no_rate(pool: AgentPool, reason: str) -> Stability:
    unknown = dict.fromkeys(pool.ids, math.nan)
    return Stability("no rate", unknown, unknown, reason=reason)


def _batch(arrived: NDArray[np.float64]) -> str:
    """Why these times of arrival, in order, give no rate; "" if they do."""
    tasks = arrived.size
    if tasks == 1:
        return "there is one task"
    if arrived[0] == arrived[-1]:
        return f"all {tasks:,} tasks arrive at the same time"
    most, later = together(arrived)
    if later == 1:
        return f"the {tasks:,} tasks arrive at two times"
    if most > tasks / 2:
        return f"{most:,} of {tasks:,} tasks arrive at the same time"
    return ""
