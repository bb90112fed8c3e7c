"""What the metrics of one run are made of, summed in one compiled loop.

It does for all of them what :mod:`routingsim.evaluation.metrics.timed`,
:func:`routingsim.simulation.statistics.quantiles` and ``RunRecord`` do one by one, to the last bit,
and other threads run meanwhile (:mod:`routingsim.simulation.sums`).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routingsim.policies.kernel import OK
from routingsim.simulation.compiling import called, kernel
from routingsim.simulation.state import Log, Workload
from routingsim.simulation.sums import quantile, scratch, stack, total

_SHARES = np.array([0.5, 0.95, 0.99])


class CellSums(NamedTuple):
    """Counts, sums and means over the tasks of a run; means are NaN where there is nothing.

    ``answered`` tasks are those with an answer, ``answers`` those whose quality counts, with its
    mean ``quality``; ``cost`` and ``recorded`` are mean cost and number of recorded costs,
    ``lost`` the mean quality lost, ``span`` the seconds between first and last arrival. Of the
    answers after the warm-up: means and quantiles of latency, wait and first token. Of all tasks
    after the warm-up, which are ``counted``: those in time (``prompt``), of these those whose
    quality counts (``judged``), the sum of it (``good``), how many are right (``correct``), of how
    many the quality is ``known`` (one without an answer has 0), and what they cost (``spent``).
    """

    answered: float
    answers: float
    quality: float
    cost: float
    recorded: float
    lost: float
    span: float
    latency: float
    wait: float
    first: float
    counted: float
    prompt: float
    judged: float
    correct: float
    known: float
    good: float
    spent: float
    latencies: tuple[float, ...]
    firsts: tuple[float, ...]


@called
def _mean(values, count, stack):
    return total(values, 0, count, stack) / count if count else math.nan


@kernel
def _summed(
    arrived,
    row,
    table,
    agent,
    status,
    end,
    wait,
    cost,
    first_at,
    of_answer,
    compared,
    paid_for,
    recorded,
    best,
    begin,
    latest,
    first_latest,
    right,
    ok,
    shares,
    room,
    stack,
    found,
):
    tasks = agent.size
    latency, waits, firsts, qualities, costs = room[0], room[1], room[2], room[3], room[4]
    losses, goods, spendings, known_spendings = room[5], room[6], room[7], room[8]
    answered = answers = paid = lost = timed = streamed = costs_recorded = 0
    counted = prompt = judged = correct = known = known_spent = 0
    earliest, last = arrived[0], arrived[0]
    for i in range(tasks):
        r, a, is_answer = row[i], agent[i], status[i] == ok
        took = end[i] - arrived[i]
        earliest, last = min(earliest, arrived[i]), max(last, arrived[i])
        quality = math.nan
        if is_answer:
            answered += 1
            quality = of_answer[i] if of_answer.size else table[r, a]
        if not math.isnan(best[r]):
            losses[lost] = best[r] - (0.0 if math.isnan(quality) else quality)
            lost += 1
        if not compared[r]:
            quality = math.nan
        judgeable = not math.isnan(quality)
        if judgeable:
            qualities[answers] = quality
            answers += 1
        if paid_for[r]:
            costs[paid] = cost[i]
            paid += 1
        if recorded.size:
            costs_recorded += recorded[r, a]
        if arrived[i] < begin:
            continue
        first = took if is_answer else math.nan
        if first_at.size:
            first = first_at[i] - arrived[i]
        spendings[counted] = cost[i]
        counted += 1
        if paid_for[r]:
            known_spendings[known_spent] = cost[i]
            known_spent += 1
        known += judgeable or not is_answer
        if not is_answer:
            continue
        latency[timed], waits[timed], firsts[timed] = took, wait[i], first
        timed += 1
        if took <= latest and (first_latest == math.inf or first <= first_latest):
            prompt += 1
            if judgeable:
                goods[judged] = quality
                judged += 1
                correct += quality >= right
    if known_spent < counted:
        mean = _mean(known_spendings, known_spent, stack)
        for k in range(counted):
            spendings[k] = mean
    found[0], found[1], found[2] = answered, answers, _mean(qualities, answers, stack)
    found[3], found[4] = _mean(costs, paid, stack), costs_recorded
    found[5], found[6] = _mean(losses, lost, stack), last - earliest
    found[7], found[8] = _mean(latency, timed, stack), _mean(waits, timed, stack)
    found[9] = _mean(firsts, timed, stack) if first_at.size else found[7]
    found[10], found[11], found[12], found[13] = counted, prompt, judged, correct
    found[14], found[15] = known, total(goods, 0, judged, stack)
    found[16] = total(spendings, 0, counted, stack)
    for k in range(timed if first_at.size else 0):
        if not math.isnan(firsts[k]):
            firsts[streamed] = firsts[k]
            streamed += 1
    for k in range(shares.size):
        found[17 + k] = found[17 + shares.size + k] = quantile(latency, timed, shares[k])
        if first_at.size:
            found[17 + shares.size + k] = quantile(firsts, streamed, shares[k])


def cell_sums(
    work: Workload,
    log: Log,
    compared: NDArray[np.bool_],
    paid_for: NDArray[np.bool_],
    recorded: NDArray[np.bool_],
    best: NDArray[np.float64],
    *,
    begin: float,
    latest: float,
    first_latest: float,
    right: float,
) -> CellSums:
    """Sum a run up.

    Parameters
    ----------
    work, log
        Input and output of the engine.
    compared, paid_for : ndarray of bool, shape (records,)
        Whose quality and cost count.
    recorded : ndarray of bool, shape (records, agents)
        Whose costs are recorded; (0, 0) if none.
    best : ndarray, shape (records,)
        Highest quality; NaN where unknown.
    begin : float
        End of the warm-up (s).
    latest, first_latest : float
        Seconds in which an answer and its first token are in time; infinite for any.
    right : float
        Lowest quality of a right answer.
    """
    found = np.empty(17 + 2 * _SHARES.size)
    _summed(
        *(work.arrived, work.row, work.quality),
        *(log.agent, log.status, log.finished, log.wait, log.cost, log.first, log.quality),
        *(compared, paid_for, recorded, best, begin, latest, first_latest, right, OK, _SHARES),
        *(scratch(9, log.agent.size), stack(), found),
    )
    values = found.tolist()
    return CellSums._make([*values[:17], tuple(values[17:20]), tuple(values[20:])])
