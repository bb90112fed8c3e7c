"""A replay as the messages a live router would have published."""

import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np

from routingsim.messages import (
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)
from routingsim.policies.kernel import FAILED
from routingsim.scoring import score_column
from routingsim.simulation.result import ReplayResult

__all__ = ["broadcast"]

_FACTORS = ("length", "punctuation", "unique_tokens")


def broadcast(result: ReplayResult) -> Iterator[tuple[float, RoutingDecision | AgentStatus]]:
    """Decisions and statuses of a replay, each with its time, in order of time.

    Parameters
    ----------
    result : ReplayResult
        A replay; a task's decision is the one of its last try.

    Yields
    ------
    (float, RoutingDecision or AgentStatus)
        Seconds since the replay began, and the message, stamped with the same time in
        ms. A status follows whenever an agent's load (slots in use over slots) changes.
    """
    yield from heapq.merge(_decisions(result), _statuses(result), key=itemgetter(0))


def _decisions(result: ReplayResult) -> Iterator[tuple[float, RoutingDecision]]:
    infos = [agent.info for agent in result.pool]
    ids = result.task_ids().tolist()
    scores = _scores(result)
    order = result.work.arrived.tolist()
    rows, agents = result.work.row.tolist(), result.log.agent.tolist()
    for i, at in enumerate(order):
        scored, a = scores[rows[i]], agents[i]
        yield (
            at,
            RoutingDecision(
                task_id=ids[i],
                agent=infos[a],
                complexity_score=scored,
                reason=result.policy.reason(result.pool[a], scored.d_var, 0.0),
                timestamp=int(at * 1000),
            ),
        )


def _statuses(result: ReplayResult) -> Iterator[tuple[float, AgentStatus]]:
    calls = result.calls()
    served = calls[calls["status"] <= FAILED]
    times = np.concatenate([served["left_at"], served["ended_at"]])
    changes = np.repeat([1, -1], len(served))
    who = np.tile(served["agent"].to_numpy(), 2)
    order = np.lexsort((changes, times))
    busy = [0] * len(result.pool)
    rows = zip(times[order].tolist(), who[order].tolist(), changes[order].tolist(), strict=True)
    for (at, a), moment in groupby(rows, key=itemgetter(0, 1)):
        busy[a] += sum(change for _, _, change in moment)
        agent = result.pool[a]
        load = busy[a] / agent.concurrency
        word = "busy" if load >= 1.0 else "available"
        yield at, AgentStatus(agent.id, agent.name, word, load, int(at * 1000))


def _scores(result: ReplayResult) -> list[ComplexityScore]:
    if result.corpus is None:
        return [ComplexityScore(0.0, ComplexityFactors(0, 0, 0))]
    columns = score_column(result.corpus.texts)
    rows = zip(*(columns[c].tolist() for c in ("d_var", *_FACTORS)), strict=True)
    return [ComplexityScore(d, ComplexityFactors(*counts)) for d, *counts in rows]
