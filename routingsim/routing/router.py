"""The live router: it scores a text, chooses an agent, explains the choice and learns from it."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from numbers import Real
from typing import Any, Literal, NoReturn

import msgspec
import numpy as np
import pandas as pd

from routingsim import display, rng
from routingsim.agents import Agent, PoolLike, load_agents
from routingsim.corpora.corpus import Corpus, CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.errors import PolicyError, RoutingSimError, wrong_type
from routingsim.messages import (
    AgentStatus,
    ComplexityFactors,
    ComplexityScore,
    RoutingDecision,
)
from routingsim.policies.costs import expected_costs
from routingsim.policies.kernel import STATUS_NAMES, Kernel, Outcome, TaskView
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.reads import may_read
from routingsim.routing.choices import (
    UNKNOWN,
    Choice,
    Choices,
    callables,
    choose_in_turn,
    choose_one,
    expect,
    exploration,
    idle,
)
from routingsim.routing.in_flight import Flight, InFlight
from routingsim.routing.publishing import PART, Publisher, milliseconds, publish, status_of
from routingsim.routing.room import Room
from routingsim.routing.task_ids import new_id, new_ids
from routingsim.routing.task_state import Row, State, category_reader, row_of, state_of
from routingsim.scoring.dvar import score, score_column
from routingsim.synonyms import argument_hints

_FACTORS = ("length", "punctuation", "unique_tokens")


class _Dropping(RoutingDecision, frozen=True, gc=False):
    """A decision for which older messages were dropped."""

    dropped: int = 0  # pyright: ignore


@argument_hints
class TaskRouter:
    """Routes tasks one by one or in batches, and publishes its decisions.

    The policy is the same object that the simulator runs. A task is in flight (busy, or
    queued where all the agent's slots are in use) until :meth:`complete` is called for it.
    Several threads may use one router. Of tasks that are never completed, the oldest are given
    up where there are more than ``in_flight``: their slots become free.

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
        Seed of the policy's own random numbers, and of those of ``explore``.
    recent : int
        Number of decisions that :meth:`stats` lists.
    in_flight : int
        Tasks in flight to keep in memory, about 200 bytes each.
    explore : float, optional
        Probability with which an agent is drawn at random, all alike, among those that are
        up; else the policy chooses. Each decision then carries its ``propensity``, so that
        other policies can be estimated from the log
        (:mod:`routingsim.routing.choices`). 0 draws none, and logs the propensities of the
        policy alone; None, the default, leaves decisions without.

    Raises
    ------
    AgentError, CorpusError, PolicyError
        If there is no such pool, corpus or policy, or they do not go together;
        if ``explore`` is not a probability, or no live router can use the policy.
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
        explore: float | None = None,
        in_flight: int = 1_000_000,
    ) -> None:
        if in_flight < 1:
            raise RoutingSimError(f"in_flight={in_flight!r}: at least 1 task is needed")
        if not hasattr(seed, "__index__"):
            raise RoutingSimError(f"seed={seed!r:.60}: a whole number is needed")
        if publisher is not None and not hasattr(publisher, "publish_routing_decision"):
            raise RoutingSimError(wrong_type("publisher", publisher, "a Publisher is needed"))
        number = isinstance(explore, Real) and not isinstance(explore, bool)
        if explore is not None and not (number and 0 <= explore <= 1):
            raise PolicyError(
                f"explore={explore!r}: a probability from 0 to 1 is needed, or None to log no "
                "propensities"
            )
        self.pool = load_agents(pool)
        known = None if corpus is None else as_corpus(corpus)
        self.policy = make_policy(self.pool, policy, known)
        if self.policy.replay_only:
            raise PolicyError(
                f"policy {self.policy.name} knows the tasks of one corpus only: replay that corpus "
                "with it, and give a live router another policy"
            )
        self.explore = explore
        self.publisher = publisher
        self.memory = np.array(self.policy.memory, dtype=np.float64)
        agents = len(self.pool)
        self._view = idle(self.pool)
        sharing = self.pool.column("sharing")
        self._sharing = sharing if sharing.any() else np.zeros(0)
        windows = self.pool.column("context_window")
        self._windows = np.zeros(0)
        if np.isfinite(windows).any():
            self._windows = np.where(np.isnan(windows), np.inf, windows)
        room = Room(self.pool)
        self._room = room if room.limited and may_read(self.policy, "room") else None
        self._costs = expected_costs(self.pool, known)
        self._call_cost, self._token_cost = (each.tolist() for each in self._costs)
        self._priced = [agent.priced for agent in self.pool]
        nothing = (np.zeros(0),) * 2
        self._shown_costs = self._costs if may_read(self.policy, "price") else nothing
        self._expected = 0.0
        codes = None if known is None else known.category_codes
        self._read_categories = category_reader(self.policy, codes)
        self._infos = [agent.info for agent in self.pool]
        self._plan = exploration(self.policy, explore, seed)
        # A propensity that no decision carries need not be found.
        self._plan_of_one = (
            self._plan if explore is not None else self._plan._replace(known=UNKNOWN)
        )
        self._choose, self._probabilities = callables(self.policy)
        self._own = np.empty(agents)
        self._used = [0] * agents
        self._nobody = False  # whether every agent is offline
        self._recent: deque[RoutingDecision] = deque(maxlen=recent)
        self._in_flight = InFlight(in_flight)
        self._is_told = False  # whether the end of any task was reported
        self._stream = np.uint64(rng.stream(seed, rng.CHOICE))
        self._routed = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TaskRouter cannot be pickled or copied: make another")

    def __repr__(self) -> str:
        publisher = "no publisher" if self.publisher is None else type(self.publisher).__name__
        explore = "" if self.explore is None else f"; explore={self.explore:g}"
        return display.wrapped(
            f"TaskRouter({self.policy.name}: {', '.join(self.pool.ids[:10])}"
            f"{', …' * (len(self.pool) > 10)}{explore}; {publisher}; {self._routed:,} tasks routed)"
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
            Its category, for policies that know categories: their codes are those of the
            router's corpus.
        attempt : int
            0 for the first try; a cascade chooses its next agent with 1, 2, …

        Raises
        ------
        RoutingSimError
            If ``task_id`` is in flight already; if the policy goes by codes of categories and
            the router has no corpus that says them.
        """
        name = new_id() if task_id is None else task_id
        scored = score(text)
        row = row_of(self.policy, self._read_categories, text, category, scored.d_var)
        with self._lock:
            choice = self._assign_one(name, row, attempt)
            [decision] = self._decisions([(name, scored, row[1], *choice)], milliseconds())
            self._recent.append(decision)
            status = self._status(choice[0])
        if self.publisher is None:
            return decision
        dropped = self.publisher.publish_routing_decision(decision) or 0
        dropped += self.publisher.publish_agent_status(status) or 0
        if dropped:
            return _Dropping(**msgspec.structs.asdict(decision), dropped=dropped)
        return decision

    def route_batch(
        self,
        tasks: Corpus | pd.DataFrame | Sequence[str],
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> pd.DataFrame:
        """Choose an agent for each task in order, and publish the decisions.

        Publishes all of them: waits where the publisher has no room, as while its server is away.

        Parameters
        ----------
        tasks : Corpus, DataFrame or sequence of str
            A corpus, whose ids are kept, or plain texts.
        progress : callable, optional
            ``progress(done, all)``, called after each 500 decisions handed to the publisher.

        Returns
        -------
        DataFrame
            A row for each task: task_id, agent, d_var, reason, timestamp (ms since the
            epoch), and propensity, the probability with which the agent was chosen; NaN
            where the policy's own are not known.

        Raises
        ------
        RoutingSimError
            If an id is in flight already, or the policy names an agent that does not
            exist; no task is routed then.
        """
        if isinstance(tasks, Corpus | pd.DataFrame):
            frame = as_corpus(tasks).tasks
            ids, texts, categories = (frame[name].tolist() for name in ("id", "text", "category"))
        elif isinstance(tasks, str) or not isinstance(tasks, Iterable):
            raise RoutingSimError("route_batch takes a corpus or a list of texts; route takes one")
        else:
            texts = list(tasks)
            categories = [""] * len(texts)
            ids = new_ids(len(texts))
        table = score_column(texts)
        d_var, *counts = (table[name].tolist() for name in ("d_var", *_FACTORS))
        scores = map(ComplexityScore, d_var, map(ComplexityFactors, *counts))
        columns = state_of(self.policy, self._read_categories, texts, categories, d_var)
        with self._lock:
            self._in_flight.check_new(ids)
            choices = self._assign(ids, columns)
        stamp = milliseconds()
        agents = choices.agents
        rows = zip(ids, scores, columns[1], *choices, strict=True)
        decisions: list[RoutingDecision] = []
        # In parts: the publisher can send the first while the others are made.
        while part := self._decisions(islice(rows, PART), stamp):
            publish(self.publisher, part)
            decisions += part
            if progress is not None:
                progress(len(decisions), len(ids))
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
                "propensity": np.array(choices.propensities),
            }
        )

    def complete(
        self,
        task_id: str,
        *,
        status: Literal["ok", "failed", "timed_out", "shed", "rejected", "too_long"] = "ok",
        quality: float = math.nan,
        cost: float = math.nan,
        latency: float | None = None,
        first_token: float = math.nan,
    ) -> None:
        """Report the outcome of a task: its slot becomes free, and a learning policy learns.

        Parameters
        ----------
        task_id : str
            The id of a task in flight.
        status : {"ok", "failed", "timed_out", "shed", "rejected", "too_long"}
            How it ended.
        quality : float, optional
            Quality of the answer, 0 to 1, where known.
        cost : float, optional
            USD, where known.
        latency : float, optional
            Seconds; by default the time since it was routed. NaN: not measured.
        first_token : float, optional
            Seconds from its routing to the first token of the answer, where known.

        Raises
        ------
        RoutingSimError
            If the task is not in flight, or there is no such status.
        """
        if status not in STATUS_NAMES:
            raise RoutingSimError(f"status={status!r}: choose one of {', '.join(STATUS_NAMES)}")
        with self._lock:
            flight = self._in_flight.end(task_id)
            view, a = self._view, flight.agent
            self._free(a)
            if latency is None:
                latency = time.monotonic() - flight.routed_at
            self._is_told = True
            if flight.task is not None:
                self._show_price(flight.task.prompt_tokens)
                code = STATUS_NAMES.index(status)
                outcome = Outcome(code, 0.0, latency, latency, cost, quality, first_token)
                kernel: Any = self.policy.learn
                learn = kernel.python if self.policy.interpreted else kernel.compiled
                learn(flight.task, a, outcome, view, self.memory)
            told = self._status(a, latency)
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
        """``totalRoutes``, ``agentUsage`` (of every agent), ``recentDecisions`` and more.

        ``expectedCost`` is the USD that all tasks routed so far were expected to cost at their
        agents (:func:`routingsim.policies.costs.expected_costs`).
        Recent decisions come newest first, in the form of their messages. ``inFlight`` are tasks
        not completed, ``abandoned`` those of them given up. ``publisher`` has the publisher's own
        counts where it has any, with ``dropped`` messages among them.
        """
        with self._lock:
            recent = list(reversed(self._recent))
            usage = dict(zip(self.pool.ids, self._used, strict=True))
            waiting, abandoned = len(self._in_flight), self._in_flight.abandoned
            expected = self._expected
        told = getattr(self.publisher, "stats", None)
        return {
            "totalRoutes": sum(usage.values()),
            "agentUsage": usage,
            "expectedCost": expected,
            "recentDecisions": msgspec.to_builtins(recent),
            "inFlight": waiting,
            "abandoned": abandoned,
        } | ({"publisher": msgspec.to_builtins(told())} if told else {})

    def statuses(self) -> list[AgentStatus]:
        """The present status of every agent."""
        with self._lock:
            return [self._status(a) for a in range(len(self.pool))]

    # -- called with the lock held --------------------------------------------------

    def _assign_one(self, task_id: str, row: Row, attempt: int) -> Choice:
        """Choose an agent for a task."""
        if task_id in self._in_flight.tasks:
            self._in_flight.check_new([task_id])
        now = time.monotonic()
        task = TaskView(self._routed, attempt, now - self._began, self._stream, *row)
        if self._room is not None:
            self._room.show(self._view.room, task.time)
        self._show_price(row[1])
        a, load, propensity, at_random = choose_one(
            *(self._choose, self._probabilities, self._plan_of_one),
            *(self._view, self._sharing, self._windows, self.memory, self._own, self._nobody, task),
        )
        if a < 0:
            raise self._no_such_agent(task_id)
        self._routed += 1
        self._used[a] += 1
        if self._room is not None:
            self._room.take(a, task.prompt_tokens, task.time)
        self._expected += self._call_cost[a] + self._token_cost[a] * row[1]
        self._in_flight.tasks[task_id] = Flight(a, now, task if self.policy.learns else None)
        self._give_up()
        return a, load, float(propensity), bool(at_random)

    def _assign(self, ids: list[str], columns: State) -> Choices:
        """Choose an agent for each task in order."""
        policy, first, now = self.policy, self._routed, time.monotonic()
        at = now - self._began
        view = self._view
        before = [(each, each.copy()) for each in (view.busy, view.queued, view.wait, view.speed)]
        if self._room is not None:  # as it is before the batch
            self._room.show(view.room, at)
        told = (self._stream, first, at, self._nobody, *self._shown_costs)
        choices = choose_in_turn(
            policy, self._plan, view, self._sharing, self._windows, self.memory, told, columns
        )
        agents = choices.agents
        if len(agents) < len(ids):
            for each, was in before:
                each[:] = was
            raise self._no_such_agent(ids[len(agents)])
        self._routed += len(ids)
        if self._room is not None:
            for a, tokens in zip(agents, columns[1], strict=True):
                self._room.take(a, tokens, at)
        call, token = self._costs
        self._expected += float((call[agents] + token[agents] * np.asarray(columns[1])).sum())
        for a, count in Counter(agents).items():
            self._used[a] += count
        if policy.learns:
            for i, (task_id, *own) in enumerate(zip(ids, *columns, strict=True)):
                task = TaskView(first + i, 0, at, self._stream, *own)
                self._in_flight.tasks[task_id] = Flight(agents[i], now, task)
        else:  # all tasks of an agent share one record
            kept = {a: Flight(a, now, None) for a in set(agents)}
            self._in_flight.tasks.update(zip(ids, map(kept.__getitem__, agents), strict=True))
        self._give_up()
        return choices

    def _show_price(self, tokens: float) -> None:
        """Show the policy what a task is expected to cost at each agent, if it reads that."""
        call, token = self._shown_costs
        if call.size:
            self._view.price[:] = call + token * tokens

    def _free(self, a: int) -> None:
        """Free a slot of an agent, or a place in its queue."""
        view = self._view
        if view.queued[a]:
            view.queued[a] -= 1
        else:
            view.busy[a] -= 1
        expect(view, self._sharing, a, int(view.busy[a]), int(view.queued[a]))

    def _give_up(self) -> None:
        """Free the slots of the oldest tasks where too many are in flight."""
        for agent in self._in_flight.give_up():
            self._free(agent)

    def _no_such_agent(self, task_id: str) -> PolicyError:
        return PolicyError(
            f"policy {self.policy.name} named an agent that does not exist for task "
            f"{task_id!r}; allowed: 0 to {len(self.pool) - 1}"
        )

    def _status(self, a: int, latency: float | None = None) -> AgentStatus:
        view = self._view
        load = int(view.busy[a]) / int(view.slots[a])
        # Where no end is ever reported, "waiting" would count all that was ever routed.
        queued = int(view.queued[a]) if self._is_told else None
        measured = None if latency is None or math.isnan(latency) else latency
        return status_of(self.pool.agents[a], load, bool(view.up[a]), queued, measured)

    # -- called without the lock ----------------------------------------------------

    def _decisions(
        self,
        rows: Iterable[tuple[str, ComplexityScore, float, int, float, float, bool]],
        stamp: int,
    ) -> list[RoutingDecision]:
        call, token, priced = self._call_cost, self._token_cost, self._priced
        agents, infos, reason = self.pool.agents, self._infos, self.policy.reason
        told = self.explore is not None
        return [
            RoutingDecision(
                task_id,
                infos[a],
                scored,
                self._drawn(agents[a]) if at_random else reason(agents[a], scored.d_var, load),
                stamp,
                propensity if told and propensity == propensity else None,  # NaN is not known
                call[a] + token[a] * tokens if priced[a] else None,
            )
            for task_id, scored, tokens, a, load, propensity, at_random in rows
        ]

    def _drawn(self, agent: Agent) -> str:
        return f"Drawn at random (explore={self.explore:g}): Routed to {agent.name}"
