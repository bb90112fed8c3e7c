"""The live router: score a text, choose an agent, explain, publish, learn, count."""

import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import pandas as pd
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


@dataclass(frozen=True, slots=True)
class _InFlight:
    """What is kept of a task until it completes."""

    agent: int
    task: TaskView
    routed_at: float


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
            service=self.pool.column("latency"),
            up=np.ones(agents, np.int64),
        )
        self._categories = {} if corpus is None else corpus.category_codes
        self._infos = [agent.info for agent in self.pool]
        self._used = np.zeros(agents, np.int64)
        self._recent: deque[RoutingDecision] = deque(maxlen=recent)
        self._in_flight: dict[str, _InFlight] = {}
        self._key = draws.stream(seed, draws.CHOICE)
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def route(
        self, text: str, *, task_id: str | None = None, category: str = ""
    ) -> RoutingDecision:
        """Choose an agent for one text, and publish the decision.

        Raises
        ------
        RoutingSimError
            If ``task_id`` is in flight already.
        """
        scored = score(text)
        features, predicted = self._read([text], [category])
        if task_id is None:
            task_id = str(uuid.uuid4())
        with self._lock:
            decision, agent = self._route(
                task_id, text, category, scored, features[0], predicted[0]
            )
            status = self._status(agent)
        if self.publisher is not None:
            self.publisher.publish_routing_decision(decision)
            self.publisher.publish_agent_status(status)
        return decision

    def route_batch(self, tasks: Corpus | Sequence[str]) -> pd.DataFrame:
        """Choose an agent for each task in order, and publish the decisions.

        Parameters
        ----------
        tasks : Corpus or sequence of str
            A corpus (its ids are kept) or plain texts.

        Returns
        -------
        DataFrame
            A row a task: task_id, agent, d_var, load (of the agent before, slots in
            use and queue over slots), reason, timestamp (ms since the epoch).
        """
        if isinstance(tasks, Corpus):
            texts = tasks.tasks["text"].tolist()
            ids, categories = tasks.tasks["id"].tolist(), tasks.tasks["category"].tolist()
        else:
            texts, categories = list(tasks), [""] * len(tasks)
            ids = [str(uuid.uuid4()) for _ in texts]
        scores = _scores(texts)
        features, predicted = self._read(texts, categories)
        decisions, chosen = [], []
        with self._lock:
            for i, text in enumerate(texts):
                decision, agent = self._route(
                    ids[i], text, categories[i], scores[i], features[i], predicted[i]
                )
                decisions.append(decision)
                chosen.append(agent)
            statuses = [self._status(agent) for agent in dict.fromkeys(chosen)]
        if self.publisher is not None:
            for decision in decisions:
                self.publisher.publish_routing_decision(decision)
            for status in statuses:
                self.publisher.publish_agent_status(status)
        return pd.DataFrame(
            {
                "task_id": [d.task_id for d in decisions],
                "agent": pd.Categorical.from_codes(chosen, categories=list(self.pool.ids)),
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
            self._expect(a)
            if self.policy.learns:
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

    def _route(
        self,
        task_id: str,
        text: str,
        category: str,
        scored: ComplexityScore,
        features: NDArray[np.float64],
        predicted: NDArray[np.float64],
    ) -> tuple[RoutingDecision, int]:
        if task_id in self._in_flight:
            raise RoutingSimError(f"task {task_id!r} is in flight already: ids must differ")
        view, number = self._view, int(self._used.sum())
        key = draws.bits(self._key, number, 0)
        now = time.monotonic()
        task = TaskView(
            index=number,
            attempt=0,
            time=now - self._began,
            d_var=scored.d_var,
            prompt_tokens=float(math.ceil(len(text) / CHARACTERS_PER_TOKEN)),
            category=self._categories.get(category, -1),
            key=key,
            uniform=draws.uniform(key, 0, 0),
            features=features,
            predicted=predicted,
        )
        a = self._choose(task)
        load = (view.busy[a] + view.queued[a]) / view.slots[a]
        if view.busy[a] < view.slots[a]:
            view.busy[a] += 1
        else:
            view.queued[a] += 1
        self._expect(a)
        self._used[a] += 1
        self._in_flight[task_id] = _InFlight(a, task, now)
        decision = RoutingDecision(
            task_id=task_id,
            agent=self._infos[a],
            complexity_score=scored,
            reason=self.policy.reason(self.pool.agents[a], scored.d_var, float(load)),
            timestamp=time.time_ns() // 1_000_000,
        )
        self._recent.append(decision)
        return decision, a

    def _choose(self, task: TaskView) -> int:
        view = self._view
        nobody = not view.up.any()
        if nobody:  # the task must go somewhere: the policy chooses among all
            view.up[:] = 1
        try:
            a = int(self._call(self.policy.choose, task, view, self.memory))
        finally:
            if nobody:
                view.up[:] = 0
        if not 0 <= a < len(self.pool):
            raise PolicyError(
                f"policy {self.policy.name} returned agent {a}; allowed: 0 to {len(self.pool) - 1}"
            )
        return a

    def _call(self, kernel: Kernel, *args: Any) -> Any:
        return (kernel.python if self.policy.interpreted else kernel.compiled)(*args)

    def _expect(self, a: int) -> None:
        """Bring the expected wait at agent ``a`` up to date."""
        view = self._view
        full = view.busy[a] >= view.slots[a]
        view.wait[a] = (view.queued[a] + 1) * view.service[a] / view.slots[a] if full else 0.0

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


def _scores(texts: list[str]) -> list[ComplexityScore]:
    columns = score_column(texts)
    rows = zip(*(columns[c].tolist() for c in ("d_var", *_FACTORS)), strict=True)
    return [ComplexityScore(d, ComplexityFactors(*counts)) for d, *counts in rows]


_FACTORS = ("length", "punctuation", "unique_tokens")
