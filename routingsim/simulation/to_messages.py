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
    Try,
)
from routingsim.policies.costs import expected_costs
from routingsim.policies.kernel import FAILED
from routingsim.scoring.corpora import corpus_scores
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.state import CALL_STATUS

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
        in ms. There is a status whenever a call starts or ends, an agent's load (slots in use
        over slots) or queue changes, or it goes down or comes up.
    """
    calls = result.calls()
    calls["served"] = (calls["status"] <= FAILED) | (calls["left_at"] < calls["ended_at"])
    yield from heapq.merge(_decisions(result, calls), _statuses(result, calls), key=itemgetter(0))


def _decisions(
    result: ReplayResult, calls: pd.DataFrame
) -> Iterator[tuple[float, RoutingDecision]]:
    infos = [agent.info for agent in result.pool]
    ids = result.task_ids().tolist()
    scores = _scores(result)
    call, token = (each.tolist() for each in expected_costs(result.pool, result.corpus))
    priced = [agent.priced for agent in result.pool]
    tokens = result.work.prompt_tokens.tolist()
    rows = result.work.row.tolist()
    tries = _tries(result, calls)
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
                expected_cost=call[a] + token[a] * tokens[rows[i]] if priced[a] else None,
                tries=tuple(tries[i]),
            ),
        )


def _tries(result: ReplayResult, calls: pd.DataFrame) -> list[list[Try]]:
    """The calls of each task."""
    sent, left, ended = (calls[name] for name in ("sent_at", "left_at", "ended_at"))
    columns = (
        calls["task"],
        calls["agent"],
        (sent - result.work.arrived[calls["task"]]).round(6),
        (left - sent).round(6),
        (ended - left).where(calls["served"], 0.0).round(6),
        calls["status"],
    )
    found: list[list[Try]] = [[] for _ in range(len(result))]
    ids = result.pool.ids
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for i, a, sent_after, waited, served, status in rows:
        found[i].append(Try(ids[a], sent_after, waited, served, CALL_STATUS[status]))
    return found


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
    served = calls.loc[calls["served"]]
    out = [result.pool.index(outage.agent) for outage in result.outages]
    changes = pd.concat(
        [
            _changes(calls["sent_at"], calls["agent"], queued=1),
            _changes(calls["left_at"], calls["agent"], queued=-1),
            _changes(served["left_at"], served["agent"], busy=1, since=served["sent_at"]),
            _changes(served["ended_at"], served["agent"], busy=-1, since=served["sent_at"]),
            _changes([o.down for o in result.outages], out, down=1),
            _changes([o.up for o in result.outages], out, down=-1),
        ]
    )
    changes = changes.loc[changes["at"] <= calls["ended_at"].max()].sort_values(
        by=["at", "agent"], kind="stable"
    )
    names = ("at", "agent", "queued", "busy", "down", "since")
    columns = (changes[name].tolist() for name in names)
    agents = len(result.pool)
    queued, busy, down = [0] * agents, [0] * agents, [0] * agents
    last: list[tuple[float, int, str]] = [(0.0, 0, "available")] * agents
    for (at, a), moment in groupby(zip(*columns, strict=True), key=itemgetter(0, 1)):
        wait = latency = None
        for _, _, more, started, out, since in moment:
            queued[a] += more
            busy[a] += started
            down[a] += out
            if started > 0:
                wait = round(at - since, 6)
            elif started < 0:
                latency = round(at - since, 6)
        agent = result.pool.agents[a]
        load = busy[a] / agent.concurrency
        word = "offline" if down[a] else "busy" if load >= 1.0 else "available"
        if last[a] != (load, queued[a], word) or wait is not None or latency is not None:
            last[a] = load, queued[a], word
            told = (queued[a], wait, latency)
            yield at, AgentStatus(agent.id, agent.name, word, load, int(at * 1000), *told)


def _changes(
    at: ArrayLike,
    agent: ArrayLike,
    queued: int = 0,
    busy: int = 0,
    down: int = 0,
    since: ArrayLike = np.nan,
) -> pd.DataFrame:
    """Changes of agents; ``since`` is when the call that starts or ends was sent."""
    agents = np.asarray(agent, dtype=np.int64)
    shared = {"queued": queued, "busy": busy, "down": down, "since": np.asarray(since)}
    return pd.DataFrame({"at": np.asarray(at), "agent": agents} | shared)


def _scores(result: ReplayResult) -> list[ComplexityScore]:
    columns = corpus_scores(result.corpus) if result.corpus is not None else None
    if columns is None:
        tasks = len(result.corpus) if result.corpus is not None else 1
        return [ComplexityScore(0.0, ComplexityFactors(0, 0, 0))] * tasks
    rows = zip(*(columns[c].tolist() for c in ("d_var", *_FACTORS)), strict=True)
    return [ComplexityScore(d, ComplexityFactors(*counts)) for d, *counts in rows]
