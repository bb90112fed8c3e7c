"""The live router: it scores a text, chooses an agent, explains the choice and learns from it."""

import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import pandas as pd
from numba import njit, types
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim import display, rng
from routingsim.agents import Agent, PoolLike, load_agents
from routingsim.corpora.corpus import CHARACTERS_PER_TOKEN, Corpus
from routingsim.corpora.datasets import CorpusLike, load_corpus
from routingsim.errors import PolicyError, RoutingSimError
from routingsim.messages import (
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)
from routingsim.policies.kernel import (
    CHOOSE,
    POOL_VIEW,
    STATUS_NAMES,
    Kernel,
    Outcome,
    PoolView,
    TaskView,
)
from routingsim.policies.policy import Policy, make_policy
from routingsim.scoring.dvar import score, score_column


class Publisher(Protocol):
    """Where decisions and statuses go: any object with these two methods."""

    def publish_routing_decision(self, decision: RoutingDecision) -> None:
        """Take a decision, without blocking."""

    def publish_agent_status(self, status: AgentStatus) -> None:
        """Take a status, without blocking."""


PART = 500
"""Decisions of a batch that the publisher gets in one call."""

_FACTORS = ("length", "punctuation", "unique_tokens")

_Table = NDArray[np.float64]
_State = tuple[list[float], list[float], list[int], _Table, _Table]
"""The d_var, prompt tokens, categories, features and predictions of tasks."""

_Row = tuple[float, float, int, _Table, _Table]
"""The same of one task."""

_NOTHING = np.zeros(0)
"""Features or predictions for a policy without any."""


class _InFlight(msgspec.Struct, frozen=True, gc=False):
    """A task in flight."""

    agent: int
    routed_at: float
    task: TaskView | None  # only for policies that learn


class TaskRouter:
    """Routes tasks one by one or in batches, and publishes its decisions.

    The policy is the same object that the simulator runs. A task is in flight (busy, or
    queued where all the agent's slots are in use) until :meth:`complete` is called for it.
    Several threads may use one router.

    Parameters
    ----------
    pool : optional
        The agents: anything :func:`routingsim.load_agents` takes; the five defaults if
        not given.
    policy
        Anything :func:`routingsim.policies.make_policy` takes.
    publisher : Publisher, optional
        Where decisions and statuses go.
    corpus : optional
        The tasks on which fitted policies are fitted, and whose categories they know:
        anything :func:`routingsim.load_corpus` takes.
    seed : int
        Seed of the policy's own random numbers.
    recent : int
        Number of decisions that :meth:`stats` lists.

    Raises
    ------
    AgentError, CorpusError, PolicyError
        If there is no such pool, corpus or policy, or they do not go together.
    """

    def __init__(
        self,
        pool: PoolLike | None = None,
        policy: str | Policy | Kernel | Callable[..., int] = "threshold",
        *,
        publisher: Publisher | None = None,
        corpus: CorpusLike | None = None,
        seed: int = 0,
        recent: int = 100,
    ) -> None:
        self.pool = load_agents(pool)
        known = None if corpus is None else load_corpus(corpus)
        self.policy = make_policy(self.pool, policy, known)
        self.publisher = publisher
        self.memory = np.array(self.policy.memory, dtype=np.float64)
        agents = len(self.pool)
        self._view = PoolView(
            busy=np.zeros(agents, np.int64),
            queued=np.zeros(agents, np.int64),
            slots=self.pool.column("concurrency").astype(np.int64),
            cost=self.pool.column("cost"),
            wait=np.zeros(agents),
            service=self.pool.column("mean_service"),
            up=np.ones(agents, np.int64),
        )
        self._categories = {} if known is None else known.category_codes
        self._infos = [agent.info for agent in self.pool]
        kernel = self.policy.choose
        self._choose = kernel.python if self.policy.interpreted else kernel.entry
        self._used = [0] * agents
        self._nobody = False  # whether every agent is offline
        self._recent: deque[RoutingDecision] = deque(maxlen=recent)
        self._in_flight: dict[str, _InFlight] = {}
        self._stream = np.uint64(rng.stream(seed, rng.CHOICE))
        self._routed = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        publisher = "no publisher" if self.publisher is None else type(self.publisher).__name__
        return display.wrapped(
            f"TaskRouter({self.policy.name}: {', '.join(self.pool.ids[:10])}"
            f"{', …' * (len(self.pool) > 10)}; {publisher}; {self._routed:,} tasks routed)"
        )

    def route(
        self, text: str, *, task_id: str | None = None, category: str = "", attempt: int = 0
    ) -> RoutingDecision:
        """Choose an agent for one text, and publish the decision.

        Parameters
        ----------
        text : str
            The task.
        task_id : str, optional
            Its id; a random UUID if not given.
        category : str
            Its category, for policies that know categories.
        attempt : int
            0 for the first try; a cascade chooses its next agent with 1, 2, …

        Raises
        ------
        RoutingSimError
            If ``task_id`` is in flight already.
        """
        name = _new_id() if task_id is None else task_id
        scored = score(text)
        row = self._row(text, category, scored.d_var)
        with self._lock:
            a, load = self._assign_one(name, row, attempt)
            [decision] = self._decisions([(name, scored, a, load)], _milliseconds())
            self._recent.append(decision)
            status = self._status(a)
        if self.publisher is not None:
            self.publisher.publish_routing_decision(decision)
            self.publisher.publish_agent_status(status)
        return decision

    def route_batch(self, tasks: Corpus | pd.DataFrame | Sequence[str]) -> pd.DataFrame:
        """Choose an agent for each task in order, and publish the decisions.

        Parameters
        ----------
        tasks : Corpus, DataFrame or sequence of str
            A corpus, whose ids are kept, or plain texts.

        Returns
        -------
        DataFrame
            A row for each task: task_id, agent, d_var, reason, timestamp (ms since the epoch).

        Raises
        ------
        RoutingSimError
            If an id is in flight already, or the policy names an agent that does not
            exist; no task is routed then.
        """
        if isinstance(tasks, str):
            raise RoutingSimError("route_batch takes a corpus or a list of texts; route takes one")
        if isinstance(tasks, Corpus | pd.DataFrame):
            frame = load_corpus(tasks).tasks
            ids, texts, categories = (frame[name].tolist() for name in ("id", "text", "category"))
        else:
            texts, categories = list(tasks), [""] * len(tasks)
            ids = _new_ids(len(texts))
        table = score_column(texts)
        d_var, *counts = (table[name].tolist() for name in ("d_var", *_FACTORS))
        scores = map(ComplexityScore, d_var, map(ComplexityFactors, *counts))
        columns = self._state_of(texts, categories, d_var)
        with self._lock:
            if not self._in_flight.keys().isdisjoint(ids):
                raise self._in_flight_already(next(each for each in ids if each in self._in_flight))
            agents, loads = self._assign(ids, columns)
        stamp = _milliseconds()
        rows = zip(ids, scores, agents, loads, strict=True)
        decisions: list[RoutingDecision] = []
        # In parts: the publisher can send the first while the others are made.
        while part := self._decisions(islice(rows, PART), stamp):
            self._publish(part)
            decisions += part
        with self._lock:
            self._recent.extend(decisions)
            statuses = [self._status(a) for a in dict.fromkeys(agents)]
        if self.publisher is not None:
            for status in statuses:
                self.publisher.publish_agent_status(status)
        return pd.DataFrame(
            {
                "task_id": ids,
                "agent": pd.Categorical.from_codes(agents, list(self.pool.ids)),
                "d_var": d_var,
                "reason": [d.reason for d in decisions],
                "timestamp": np.full(len(ids), stamp),
            }
        )

    def complete(
        self,
        task_id: str,
        *,
        status: Literal["ok", "failed", "timed_out", "shed"] = "ok",
        quality: float = math.nan,
        cost: float = math.nan,
        latency: float | None = None,
    ) -> None:
        """Report the outcome of a task: its slot becomes free, and a learning policy learns.

        Parameters
        ----------
        task_id : str
            The id of a task in flight.
        status : {"ok", "failed", "timed_out", "shed"}
            How it ended.
        quality : float, optional
            Quality of the answer, 0 to 1, where known.
        cost : float, optional
            USD, where known.
        latency : float, optional
            Seconds; by default the time since it was routed.

        Raises
        ------
        RoutingSimError
            If the task is not in flight, or the status is not one of the four.
        """
        if status not in STATUS_NAMES:
            raise RoutingSimError(f"status={status!r}: choose one of {', '.join(STATUS_NAMES)}")
        with self._lock:
            flight = self._in_flight.pop(task_id, None)
            if flight is None:
                raise RoutingSimError(f"task {task_id!r} is not in flight: routed here, and once?")
            view, a = self._view, flight.agent
            if view.queued[a]:
                view.queued[a] -= 1
            else:
                view.busy[a] -= 1
            _expect(view, a, int(view.busy[a]), int(view.queued[a]))
            if flight.task is not None:
                took = time.monotonic() - flight.routed_at if latency is None else latency
                outcome = Outcome(STATUS_NAMES.index(status), 0.0, took, took, cost, quality)
                kernel: Any = self.policy.learn
                learn = kernel.python if self.policy.interpreted else kernel.compiled
                learn(flight.task, a, outcome, view, self.memory)
            told = self._status(a)
        if self.publisher is not None:
            self.publisher.publish_agent_status(told)

    def set_offline(self, agent: str, offline: bool = True) -> None:
        """Exclude an agent from the choice, or admit it again, and publish its status."""
        with self._lock:
            a = self.pool.index(agent)
            self._view.up[a] = int(not offline)
            self._nobody = not self._view.up.any()
            told = self._status(a)
        if self.publisher is not None:
            self.publisher.publish_agent_status(told)

    def stats(self) -> dict[str, Any]:
        """``totalRoutes``, ``agentUsage`` (of every agent) and ``recentDecisions``.

        Recent decisions come newest first, in the form of their messages.
        """
        with self._lock:
            recent = list(reversed(self._recent))
            usage = dict(zip(self.pool.ids, self._used, strict=True))
        return {
            "totalRoutes": sum(usage.values()),
            "agentUsage": usage,
            "recentDecisions": msgspec.to_builtins(recent),
        }

    def statuses(self) -> list[AgentStatus]:
        """The present status of every agent."""
        with self._lock:
            return [self._status(a) for a in range(len(self.pool))]

    # -- called with the lock held --------------------------------------------------

    def _assign_one(self, task_id: str, row: _Row, attempt: int) -> tuple[int, float]:
        """Choose an agent for a task; return its index and its load before the task."""
        if task_id in self._in_flight:
            raise self._in_flight_already(task_id)
        now = time.monotonic()
        task = TaskView(self._routed, attempt, now - self._began, self._stream, *row)
        a, load = _choose(self._choose, self._view, self.memory, self._nobody, task)
        if a < 0:
            raise self._no_such_agent(task_id)
        self._routed += 1
        self._used[a] += 1
        self._in_flight[task_id] = _InFlight(a, now, task if self.policy.learns else None)
        return a, load

    def _assign(self, ids: list[str], columns: _State) -> tuple[list[int], list[float]]:
        """Choose an agent for each task in order; return their indices and loads before it."""
        policy, first, now = self.policy, self._routed, time.monotonic()
        at = now - self._began
        view = self._view
        before = [each.copy() for each in (view.busy, view.queued, view.wait)]
        told = (view, self.memory, self._stream, first, at, self._nobody)
        # Handing a kernel over to compiled code takes as long as about ten choices.
        if policy.interpreted or len(ids) < 10:
            found: Any = _choose_in_turn.py_func(self._choose, *told, *columns)
        else:
            found = _choose_in_turn(policy.choose.compiled, *told, *map(np.asarray, columns))
        agents: list[int] = found[0].tolist()
        loads: list[float] = found[1].tolist()
        if len(agents) < len(ids):
            view.busy[:], view.queued[:], view.wait[:] = before
            raise self._no_such_agent(ids[len(agents)])
        self._routed += len(ids)
        for a, count in Counter(agents).items():
            self._used[a] += count
        if policy.learns:
            for i, (task_id, *own) in enumerate(zip(ids, *columns, strict=True)):
                task = TaskView(first + i, 0, at, self._stream, *own)
                self._in_flight[task_id] = _InFlight(agents[i], now, task)
        else:  # all tasks of an agent share one record
            kept = {a: _InFlight(a, now, None) for a in set(agents)}
            self._in_flight.update(zip(ids, map(kept.__getitem__, agents), strict=True))
        return agents, loads

    def _no_such_agent(self, task_id: str) -> PolicyError:
        return PolicyError(
            f"policy {self.policy.name} named an agent that does not exist for task "
            f"{task_id!r}; allowed: 0 to {len(self.pool) - 1}"
        )

    def _in_flight_already(self, task_id: str) -> RoutingSimError:
        return RoutingSimError(f"task {task_id!r} is in flight already: ids must differ")

    def _status(self, a: int) -> AgentStatus:
        busy, slots = int(self._view.busy[a]), int(self._view.slots[a])
        return status_of(self.pool.agents[a], busy / slots, bool(self._view.up[a]))

    # -- called without the lock ----------------------------------------------------

    def _state_of(self, texts: list[str], categories: list[str], d_var: list[float]) -> _State:
        """What a policy may know of tasks from their texts."""
        featurize, predict = self.policy.featurize, self.policy.predict
        codes, nothing = self._categories, np.zeros((len(texts), 0))
        return (
            d_var,
            [float(-(-size // CHARACTERS_PER_TOKEN)) for size in map(len, texts)],
            [codes.get(each, -1) for each in categories] if codes else [-1] * len(texts),
            _floats(featurize(texts, categories)) if featurize else nothing,
            _floats(predict(texts, categories)) if predict else nothing,
        )

    def _row(self, text: str, category: str, d_var: float) -> _Row:
        """The row of :meth:`_state_of` for one task, made without arrays of one element."""
        featurize, predict = self.policy.featurize, self.policy.predict
        return (
            d_var,
            float(-(-len(text) // CHARACTERS_PER_TOKEN)),
            self._categories.get(category, -1),
            _floats(featurize([text], [category]))[0] if featurize else _NOTHING,
            _floats(predict([text], [category]))[0] if predict else _NOTHING,
        )

    def _decisions(
        self, rows: Iterable[tuple[str, ComplexityScore, int, float]], stamp: int
    ) -> list[RoutingDecision]:
        agents, infos, reason = self.pool.agents, self._infos, self.policy.reason
        return [
            RoutingDecision(task_id, infos[a], scored, reason(agents[a], scored.d_var, load), stamp)
            for task_id, scored, a, load in rows
        ]

    def _publish(self, decisions: list[RoutingDecision]) -> None:
        """Publish decisions, in one call where the publisher has a method for many."""
        if many := getattr(self.publisher, "publish_routing_decisions", None):
            many(decisions)
        elif self.publisher is not None:
            for decision in decisions:
                self.publisher.publish_routing_decision(decision)


def status_of(agent: Agent, load: float, up: bool = True) -> AgentStatus:
    """An agent's status message, from its load (slots in use over slots)."""
    word = "offline" if not up else "busy" if load >= 1.0 else "available"
    return AgentStatus(agent.id, agent.name, word, load, _milliseconds())


def _floats(table: NDArray[Any]) -> _Table:
    return np.ascontiguousarray(table, np.float64)


def _milliseconds() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@register_jitable
def _expect(view, a, busy, queued):
    """Update the expected wait at agent ``a``."""
    slots = int(view.slots[a])
    view.wait[a] = (queued + 1) * float(view.service[a]) / slots if busy + queued >= slots else 0.0


@register_jitable
def _choose(choose, view, memory, nobody, task):
    """An agent for a task, and its load before it; -1 for an agent that does not exist."""
    if nobody:  # every agent is offline, and the policy chooses among all
        view.up[:] = 1
    a = int(choose(task, view, memory))
    if nobody:
        view.up[:] = 0
    if a < 0 or a >= view.slots.size:
        return -1, 0.0
    # In interpreted code, Python's own numbers are quicker than NumPy's.
    busy, queued, slots = int(view.busy[a]), int(view.queued[a]), int(view.slots[a])
    load = (busy + queued) / slots
    if busy < slots:
        busy += 1
        view.busy[a] = busy
    else:
        queued += 1
        view.queued[a] = queued
    _expect(view, a, busy, queued)
    return a, load


_f8, _i8 = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
_table = types.Array(types.float64, 2, "C")


@njit(
    types.Tuple((_i8, _f8))(
        *(types.FunctionType(CHOOSE), POOL_VIEW, _f8, types.uint64),
        *(types.int64, types.float64, types.boolean),
        *(_f8, _f8, _i8, _table, _table),
    ),
    cache=True,
    nogil=True,
)
def _choose_in_turn(
    choose, view, memory, stream, first, now, nobody,
    d_var, tokens, category, features, predicted,
):  # fmt: skip
    """Choose an agent for each task; each choice sees the loads that those before it made.

    Returns the agents and their loads before, up to the first choice of an agent
    that does not exist.
    """
    chosen, loads = np.empty(len(d_var), np.int64), np.empty(len(d_var))
    for i in range(len(d_var)):
        row = (d_var[i], tokens[i], category[i], features[i], predicted[i])
        task = TaskView(first + i, 0, now, stream, *row)
        chosen[i], loads[i] = _choose(choose, view, memory, nobody, task)
        if chosen[i] < 0:
            return chosen[:i], loads[:i]
    return chosen, loads


def _new_ids(count: int) -> list[str]:
    """Random UUIDs (version 4), quicker for many than :func:`uuid.uuid4`."""
    drawn = np.frombuffer(os.urandom(16 * count), np.uint8).reshape(count, 16).copy()
    drawn[:, 6] = drawn[:, 6] & 0x0F | 0x40  # the version
    drawn[:, 8] = drawn[:, 8] & 0x3F | 0x80  # the variant
    digits = np.frombuffer(drawn.tobytes().hex().encode(), np.uint8).reshape(count, 32)
    written = np.full((count, 36), ord("-"), np.uint8)
    written[:, _DIGITS] = digits
    text = written.tobytes().decode()
    return [text[at : at + 36] for at in range(0, len(text), 36)]


_DIGITS = [at for at in range(36) if at not in (8, 13, 18, 23)]  # places without a dash
_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)  # a child must not use its parent's


def _new_id() -> str:
    """A random UUID from a stock of 500."""
    while True:
        try:
            return _ids.pop()  # safe between threads
        except IndexError:
            _ids.extend(_new_ids(500))
