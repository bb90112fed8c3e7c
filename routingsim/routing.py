"""The live router: score a text, choose an agent, explain, publish, learn, count."""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
import pandas as pd
from numba import njit, types
from numba.extending import register_jitable
from numpy.typing import NDArray

from routingsim import draws
from routingsim.agents import Agent, AgentPool, load_agents
from routingsim.corpus import CHARACTERS_PER_TOKEN, Corpus
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
from routingsim.scoring import score, score_column

__all__ = ["Publisher", "TaskRouter", "status_of"]


class Publisher(Protocol):
    """Whoever tells the world: anything with these two methods."""

    def publish_routing_decision(self, decision: RoutingDecision) -> None:
        """Hand over a decision; must not block."""

    def publish_agent_status(self, status: AgentStatus) -> None:
        """Hand over a status; must not block."""


class _InFlight(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a task until it completes."""

    agent: int
    routed_at: float
    task: TaskView | None  # only for policies that learn


class _Batch(NamedTuple):
    """Tasks to route, as columns."""

    ids: list[str]
    texts: list[str]
    categories: list[str]
    scores: list[ComplexityScore]


class TaskRouter:
    """Routes tasks one by one or in batches, and publishes what it decides.

    The policy is the very object that the simulator runs. A task counts as in
    flight (busy, or queued where all the agent's slots are in use) until
    :meth:`complete` is called for it. Safe to use from several threads.

    Parameters
    ----------
    pool : AgentPool, optional
        The agents; the five defaults if not given.
    policy
        Anything :func:`routingsim.policies.make_policy` takes.
    publisher : Publisher, optional
        Where decisions and statuses go.
    corpus : Corpus, optional
        What fitted policies are fitted on, and the categories they know.
    seed : int
        Of the policy's own random draws.
    recent : int
        How many decisions :meth:`stats` remembers.
    """

    def __init__(
        self,
        pool: AgentPool | None = None,
        policy: str | Policy | Kernel | Callable[..., int] = "threshold",
        *,
        publisher: Publisher | None = None,
        corpus: Corpus | None = None,
        seed: int = 0,
        recent: int = 100,
    ) -> None:
        self.pool = load_agents() if pool is None else pool
        self.policy = make_policy(policy, self.pool, corpus)
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
        self._categories = {} if corpus is None else corpus.category_codes
        self._infos = [agent.info for agent in self.pool]
        self._used = np.zeros(agents, np.int64)
        self._recent: deque[RoutingDecision] = deque(maxlen=recent)
        self._in_flight: dict[str, _InFlight] = {}
        self._key = draws.stream(seed, draws.CHOICE)
        self._routed = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def route(
        self, text: str, *, task_id: str | None = None, category: str = "", attempt: int = 0
    ) -> RoutingDecision:
        """Choose an agent for one text, and publish the decision.

        Parameters
        ----------
        text : str
        task_id : str, optional
            A new one if not given.
        category : str
        attempt : int
            0 for the first try; a cascade goes on to its next agent with 1, 2, …

        Raises
        ------
        RoutingSimError
            If ``task_id`` is in flight already.
        """
        [name] = _new_ids(1) if task_id is None else [task_id]
        return self._route(_Batch([name], [text], [category], [score(text)]), attempt)[0]

    def route_batch(self, tasks: Corpus | Sequence[str]) -> pd.DataFrame:
        """Choose an agent for each task in order, and publish the decisions.

        Parameters
        ----------
        tasks : Corpus or sequence of str
            A corpus (its ids are kept) or plain texts.

        Returns
        -------
        DataFrame
            A row a task: task_id, agent, d_var, reason, timestamp (ms since the epoch).

        Raises
        ------
        RoutingSimError
            If an id is in flight already, or there twice; nothing is routed then.
        """
        if isinstance(tasks, Corpus):
            ids, texts, categories = (
                tasks.tasks[column].tolist() for column in ("id", "text", "category")
            )
        else:
            texts, categories = list(tasks), [""] * len(tasks)
            ids = _new_ids(len(texts))
        decisions = self._route(_Batch(ids, texts, categories, _scores(texts)))
        return pd.DataFrame(
            {
                "task_id": ids,
                "agent": pd.Categorical(
                    [d.agent.id for d in decisions], categories=list(self.pool.ids)
                ),
                "d_var": [d.complexity_score.d_var for d in decisions],
                "reason": [d.reason for d in decisions],
                "timestamp": [d.timestamp for d in decisions],
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
        """Say how a task went: frees its slot and teaches a learning policy.

        Parameters
        ----------
        task_id : str
            Of a task in flight.
        status : {"ok", "failed", "timed_out", "shed"}
            How it ended.
        quality : float, optional
            Of the answer, 0 to 1, where known.
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
            _expect(view, a)
            if flight.task is not None:
                took = time.monotonic() - flight.routed_at if latency is None else latency
                outcome = Outcome(STATUS_NAMES.index(status), 0.0, took, took, cost, quality)
                self._call(self.policy.learn, flight.task, a, outcome, view, self.memory)
            told = self._status(a)
        if self.publisher is not None:
            self.publisher.publish_agent_status(told)

    def set_offline(self, agent: str, offline: bool = True) -> None:
        """Take an agent out of the choice, or bring it back; its status is published."""
        with self._lock:
            a = self.pool.index(agent)
            self._view.up[a] = int(not offline)
            told = self._status(a)
        if self.publisher is not None:
            self.publisher.publish_agent_status(told)

    def stats(self) -> dict[str, Any]:
        """``totalRoutes``, ``agentUsage`` (every agent, zeros too) and ``recentDecisions``.

        Recent decisions come newest first, as they go over the wire.
        """
        with self._lock:
            recent = list(reversed(self._recent))
            usage = dict(zip(self.pool.ids, self._used.tolist(), strict=True))
        return {
            "totalRoutes": sum(usage.values()),
            "agentUsage": usage,
            "recentDecisions": msgspec.to_builtins(recent),
        }

    def statuses(self) -> list[AgentStatus]:
        """Every agent's status now."""
        with self._lock:
            return [self._status(a) for a in range(len(self.pool))]

    # -- with the lock held ---------------------------------------------------------

    def _route(self, batch: _Batch, attempt: int = 0) -> list[RoutingDecision]:
        """Route tasks in order and publish what was decided."""
        features, predicted = self._read(batch.texts, batch.categories)
        columns = (
            [scored.d_var for scored in batch.scores],
            [float(-(-len(text) // CHARACTERS_PER_TOKEN)) for text in batch.texts],
            [self._categories.get(each, -1) for each in batch.categories],
            features,
            predicted,
        )
        policy, agents, infos = self.policy, self.pool.agents, self._infos
        choose = policy.choose.python if policy.interpreted else policy.choose.compiled
        # To hand a kernel over to compiled code takes as long as some ten choices do.
        alone = policy.interpreted or len(batch.ids) < 10
        with self._lock:
            self._check_new(batch.ids)
            first, now = self._routed, time.monotonic()
            told = (choose, self._view, self.memory, self._key)
            if alone:
                chosen = _choose_one_by_one(*told, first, attempt, now - self._began, *columns)
            else:
                arrays = [np.array(column) for column in columns]
                found = _choose_in_turn(*told, first, attempt, now - self._began, *arrays)
                chosen = list(zip(*(column.tolist() for column in found), strict=True))
            if len(chosen) < len(batch.ids):
                raise PolicyError(
                    f"policy {policy.name} named an agent that does not exist for task "
                    f"{batch.ids[len(chosen)]!r}; allowed: 0 to {len(agents) - 1}"
                )
            self._routed += len(batch.ids)
            stamp = time.time_ns() // 1_000_000
            decisions = []
            order = [a for a, _ in chosen]
            rows = zip(batch.ids, batch.scores, chosen, strict=True)
            for i, (task_id, scored, (a, load)) in enumerate(rows):
                reason = policy.reason(agents[a], scored.d_var, load)
                decisions.append(RoutingDecision(task_id, infos[a], scored, reason, stamp))
                task = None
                if policy.learns:
                    own = (column[i] for column in columns)
                    task = _task(self._key, first + i, attempt, now - self._began, *own)
                self._used[a] += 1
                self._in_flight[task_id] = _InFlight(a, now, task)
            self._recent.extend(decisions)
            statuses = [self._status(a) for a in dict.fromkeys(order)]
        if self.publisher is not None:
            for decision in decisions:
                self.publisher.publish_routing_decision(decision)
            for status in statuses:
                self.publisher.publish_agent_status(status)
        return decisions

    def _check_new(self, ids: list[str]) -> None:
        for task_id in ids:
            if task_id in self._in_flight:
                raise RoutingSimError(f"task {task_id!r} is in flight already: ids must differ")
        if len(ids) > 1 and len(set(ids)) < len(ids):
            twice = next(each for each in ids if ids.count(each) > 1)
            raise RoutingSimError(f"task {twice!r} is in this batch twice: ids must differ")

    def _call(self, kernel: Kernel, *args: Any) -> Any:
        return (kernel.python if self.policy.interpreted else kernel.compiled)(*args)

    def _status(self, a: int) -> AgentStatus:
        view, agent = self._view, self.pool.agents[a]
        return status_of(agent, float(view.busy[a] / view.slots[a]), bool(view.up[a]))

    def _read(
        self, texts: list[str], categories: list[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features and predictions of texts, as the policy asks for them."""
        nothing = np.zeros((len(texts), 0))
        featurize, predict = self.policy.featurize, self.policy.predict
        return (
            np.ascontiguousarray(featurize(texts, categories)) if featurize else nothing,
            np.ascontiguousarray(predict(texts, categories)) if predict else nothing,
        )


def status_of(agent: Agent, load: float, up: bool = True) -> AgentStatus:
    """An agent's status message now, from its load (slots in use over slots)."""
    word = "offline" if not up else "busy" if load >= 1.0 else "available"
    return AgentStatus(agent.id, agent.name, word, load, time.time_ns() // 1_000_000)


@register_jitable
def _expect(view, a):
    """Bring the expected wait at agent ``a`` up to date."""
    # Interpreted, Python's own numbers are quicker than NumPy's.
    busy, queued, slots = int(view.busy[a]), int(view.queued[a]), int(view.slots[a])
    view.wait[a] = (queued + 1) * float(view.service[a]) / slots if busy + queued >= slots else 0.0


@register_jitable
def _task(key, index, attempt, now, d_var, tokens, category, features, predicted):
    own = draws.bits(key, index, attempt)
    uniform = draws.uniform(own, 0, 0)
    return TaskView(index, attempt, now, d_var, tokens, category, own, uniform, features, predicted)


@register_jitable
def _choose(choose, view, memory, task):
    """An agent for a task, and its load before; -1 for an agent that does not exist."""
    nobody = not view.up.any()
    if nobody:  # the task must go somewhere: the policy chooses among all
        view.up[:] = 1
    a = choose(task, view, memory)
    if nobody:
        view.up[:] = 0
    if a < 0 or a >= view.slots.size:
        return -1, 0.0
    busy, queued, slots = int(view.busy[a]), int(view.queued[a]), int(view.slots[a])
    if busy < slots:
        view.busy[a] = busy + 1
    else:
        view.queued[a] = queued + 1
    _expect(view, a)
    return a, (busy + queued) / slots


def _choose_one_by_one(choose, view, memory, key, first, attempt, now, *columns):
    """What :func:`_choose_in_turn` does, without compiled code around the kernel."""
    chosen = []
    for i, row in enumerate(zip(*columns, strict=True)):
        a, load = _choose(choose, view, memory, _task(key, first + i, attempt, now, *row))
        if a < 0:
            break
        chosen.append((int(a), float(load)))
    return chosen


_f8, _i8 = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
_table = types.Array(types.float64, 2, "C")


@njit(
    types.Tuple((_i8, _f8))(
        *(types.FunctionType(CHOOSE), POOL_VIEW, _f8, types.uint64),
        *(types.int64, types.int64, types.float64),
        *(_f8, _f8, _i8, _table, _table),
    ),
    cache=True,
    nogil=True,
)
def _choose_in_turn(
    choose, view, memory, key, first, attempt, now, d_var, tokens, category, features, predicted
):
    """Choose an agent for each task, each choice seen by the next.

    Returns the agents and their loads before, up to the first choice of an agent
    that does not exist.
    """
    chosen, loads = np.empty(d_var.size, np.int64), np.empty(d_var.size)
    for i in range(d_var.size):
        row = (d_var[i], tokens[i], category[i], features[i], predicted[i])
        task = _task(key, first + i, attempt, now, *row)
        chosen[i], loads[i] = _choose(choose, view, memory, task)
        if chosen[i] < 0:
            return chosen[:i], loads[:i]
    return chosen, loads


def _new_ids(count: int) -> list[str]:
    """Random UUIDs (version 4), quicker than by :func:`uuid.uuid4`."""
    digits = os.urandom(16 * count).hex()
    texts = (digits[at : at + 32] for at in range(0, len(digits), 32))
    return [
        f"{x[:8]}-{x[8:12]}-4{x[13:16]}-{'89ab'[int(x[16], 16) & 3]}{x[17:20]}-{x[20:]}"
        for x in texts
    ]


def _scores(texts: list[str]) -> list[ComplexityScore]:
    columns = score_column(texts)
    rows = zip(*(columns[c].tolist() for c in ("d_var", *_FACTORS)), strict=True)
    return [ComplexityScore(d, ComplexityFactors(*counts)) for d, *counts in rows]


_FACTORS = ("length", "punctuation", "unique_tokens")
