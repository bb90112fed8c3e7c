"""A replay as the messages that a live router would have published."""

import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from routingsim.messages import (
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)
from routingsim.policies.kernel import FAILED
from routingsim.scoring.corpora import corpus_scores
from routingsim.simulation.result import ReplayResult

_FACTORS = ("length", "punctuation", "unique_tokens")


def to_messages(result: ReplayResult) -> Iterator[tuple[float, RoutingDecision | AgentStatus]]:
    """Decisions and agent statuses of a replay, in order of time.

    Parameters
    ----------
    result : ReplayResult
        A replay. The decision of a task is that of its last try.

    Yields
    ------
    (float, RoutingDecision or AgentStatus)
        Seconds since the replay began, and the message, whose timestamp is the same time
        in ms. There is a status whenever an agent's load (slots in use over slots)
        changes, or the agent goes down or comes up.
    """
    calls = result.calls()
    yield from heapq.merge(_decisions(result, calls), _statuses(result, calls), key=itemgetter(0))


def _decisions(
    result: ReplayResult, calls: pd.DataFrame
) -> Iterator[tuple[float, RoutingDecision]]:
    infos = [agent.info for agent in result.pool]
    ids = result.task_ids().tolist()
    scores = _scores(result)
    rows = result.work.row.tolist()
    last = calls.assign(load=_loads(result, calls)).drop_duplicates("task", keep="last")
    last = last.sort_values("sent_at", kind="stable")
    columns = (last[name].tolist() for name in ("task", "agent", "sent_at", "load"))
    for i, a, at, load in zip(*columns, strict=True):
        scored = scores[rows[i]]
        yield (
            at,
            RoutingDecision(
                task_id=ids[i],
                agent=infos[a],
                complexity_score=scored,
                reason=result.policy.reason(result.pool.agents[a], scored.d_var, load),
                timestamp=int(at * 1000),
            ),
        )


def _loads(result: ReplayResult, calls: pd.DataFrame) -> NDArray[np.float64]:
    """Load of the chosen agent that the policy saw: (slots in use + queue) / slots."""
    loads = np.empty(len(calls))
    for a, agent in enumerate(result.pool):
        mine = calls.loc[calls["agent"] == a].sort_values(by="sent_at", kind="stable")
        sent, ended = mine["sent_at"].to_numpy(), mine["ended_at"].to_numpy()
        stayed = ended > sent  # false for shed tries
        before = stayed.cumsum() - stayed
        gone = np.searchsorted(np.sort(ended[stayed]), sent, side="right")
        loads[mine.index] = (before - gone) / agent.concurrency
    return loads


def _statuses(result: ReplayResult, calls: pd.DataFrame) -> Iterator[tuple[float, AgentStatus]]:
    served = calls.loc[calls["status"] <= FAILED]
    out = [result.pool.index(outage.agent) for outage in result.outages]
    changes = pd.concat(
        [
            _changes(served["left_at"], served["agent"], busy=1),
            _changes(served["ended_at"], served["agent"], busy=-1),
            _changes([o.down for o in result.outages], out, down=1),
            _changes([o.up for o in result.outages], out, down=-1),
        ]
    )
    changes = changes.loc[changes["at"] <= calls["ended_at"].max()].sort_values(by=["at", "agent"])
    columns = (changes[name].tolist() for name in ("at", "agent", "busy", "down"))
    busy, down = [0] * len(result.pool), [0] * len(result.pool)
    last_status: list[tuple[float, str]] = [(0.0, "available")] * len(result.pool)
    for (at, a), moment in groupby(zip(*columns, strict=True), key=itemgetter(0, 1)):
        for _, _, more, out in moment:
            busy[a] += more
            down[a] += out
        agent = result.pool.agents[a]
        load = busy[a] / agent.concurrency
        word = "offline" if down[a] else "busy" if load >= 1.0 else "available"
        if last_status[a] != (load, word):
            last_status[a] = load, word
            yield at, AgentStatus(agent.id, agent.name, word, load, int(at * 1000))


def _changes(at: ArrayLike, agent: ArrayLike, busy: int = 0, down: int = 0) -> pd.DataFrame:
    agents = np.asarray(agent, dtype=np.int64)
    return pd.DataFrame({"at": np.asarray(at), "agent": agents, "busy": busy, "down": down})


def _scores(result: ReplayResult) -> list[ComplexityScore]:
    columns = corpus_scores(result.corpus) if result.corpus is not None else None
    if columns is None:
        tasks = len(result.corpus) if result.corpus is not None else 1
        return [ComplexityScore(0.0, ComplexityFactors(0, 0, 0))] * tasks
    rows = zip(*(columns[c].tolist() for c in ("d_var", *_FACTORS)), strict=True)
    return [ComplexityScore(d, ComplexityFactors(*counts)) for d, *counts in rows]
