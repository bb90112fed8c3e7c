"""A corpus, a pool and a policy, prepared once to be run under any arrivals and seed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool, Discipline
from routingsim.caching import cached_property
from routingsim.corpora.corpus import Corpus
from routingsim.equality import ByValue
from routingsim.errors import AgentError, SimulationError, did_you_mean
from routingsim.policies.category import Category, categories
from routingsim.policies.costs import expected_costs
from routingsim.policies.policy import Policy
from routingsim.policies.reads import may_read
from routingsim.simulation import engine
from routingsim.simulation.arrival_notes import left_out, too_late, unlike_asked
from routingsim.simulation.arrivals import (
    Arrivals,
    ClosedLoop,
    CorpusTimes,
    parse_arrivals,
    realised,
)
from routingsim.simulation.arrivals.checks import check_seed, is_finite
from routingsim.simulation.changes import Change
from routingsim.simulation.contradictions import (
    above_limits,
    always_cut_off,
    check_known,
    check_tasks,
    unused_accounts,
    unused_fallbacks,
)
from routingsim.simulation.faults import ONE_TRY, Hedge, Outage, Retries
from routingsim.simulation.log_blocks import another_day, another_log
from routingsim.simulation.recorded import basis_notes
from routingsim.simulation.remarks import (
    judge_assumed,
    met_before,
    modelled,
    no_texts,
    of_record,
    one_for_all,
    unknown_failures,
    whose_agents,
)
from routingsim.simulation.replications import Again
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.rules import rules_of
from routingsim.simulation.run_record import CONDITIONS
from routingsim.simulation.service import system, undisturbed
from routingsim.simulation.signals import AT_ONCE, Signals
from routingsim.simulation.state import DAY, MINUTE, WINDOWS, Rules, System, Workload
from routingsim.simulation.sums import counted
from routingsim.simulation.task_choice import Order, count_of, rows_of, trace_note
from routingsim.simulation.tenants import Classes, Tenant, classes, without_effect
from routingsim.simulation.workload import Records, records

_Event = TypeVar("_Event", Outage, Change)

WARM_UP = 0.1
"""Default share of the horizon left out of timing figures.

For arrivals of a stationary model without outages; for all others it is 0.
"""


@dataclass(frozen=True, eq=False)
class Scenario(ByValue):
    """A replay without its arrivals and seed; made by :func:`prepare`."""

    corpus: Corpus | None
    pool: AgentPool
    policy: Policy
    retries: Retries
    outages: tuple[Outage, ...]
    changes: tuple[Change, ...]
    signals: Signals
    hedge: Hedge | None
    tenants: tuple[Tenant, ...]
    classes: Classes
    in_vain: tuple[str, ...]
    records: Records
    system: System

    @property
    def capacity(self) -> float:
        """Tasks/s at most: of the agents of each account what their slots serve, by their mean
        service times, or its limit of requests or tokens if that is less."""
        system, tokens = self.system, self.records.work.tokens
        served = system.slots / (system.mean_service * self.pool.column("slowdown"))
        total = float(served[system.account < 0].sum())
        for account, limits in enumerate(system.limits.reshape(-1, WINDOWS)):
            mine = system.account == account
            call = np.array([1.0, tokens[:, mine].mean() if tokens.size else 1.0, 1.0])
            most = np.array([MINUTE, MINUTE, DAY]) * call
            with np.errstate(divide="ignore", invalid="ignore"):
                bounds = np.where(limits > 0, limits / most, np.inf)
            total += min(float(served[mine].sum()), float(bounds.min()))
        return total

    def run(
        self,
        arrivals: Arrivals,
        *,
        seed: int = 0,
        tasks: int | None = None,
        order: Order = "file",
        warm_up: float | None = None,
    ) -> ReplayResult:
        """Simulate; see :func:`routingsim.replay` for the parameters.

        ``order="shuffled"`` takes the records in a random order set by the seed; "blocks" takes
        recorded tasks with their times, resampled in blocks
        (:func:`routingsim.simulation.log_blocks.another_log`).

        Raises
        ------
        SimulationError, PolicyError
            If the arrivals do not suit the corpus, or the policy returns an agent that
            does not exist.
        """
        check_seed(seed)
        if warm_up is not None and not (is_finite(warm_up) and 0 <= warm_up < 1):
            raise SimulationError(
                f"warm_up={warm_up!r}: a share of the horizon in [0, 1) is needed"
            )
        corpus = self.corpus
        count = count_of(tasks, corpus)
        closed = arrivals if isinstance(arrivals, ClosedLoop) else None
        times = np.zeros(count) if closed else arrivals.times(count, seed, corpus)
        unlike = ""
        if not closed:
            unlike = unlike_asked(arrivals, arrivals.rate, times.size, times[-1:].tolist())
        own_times = isinstance(arrivals, CorpusTimes)
        touching, others = self._of_record[own_times]
        touching = [*touching, *arrivals.cautions]
        first, of_records, of_judge, alike = self._always_said
        known = met_before(self.policy, corpus, count)
        notes = [first, unlike, *touching, *of_records, known, *of_judge]
        notes = [*filter(None, notes)]
        if times.size < count:
            notes.append(
                f"{arrivals} has {times.size:,} arrivals: {count - times.size:,} tasks left out"
            )
            count = times.size
        rows, chosen = rows_of(count, corpus, arrivals, seed, order)
        notes += chosen
        cautions = [*touching, *(chosen if own_times else [])]
        if order == "blocks":
            positions, times = another_log(times, seed)
            rows = rows[positions]
        if tasks is not None and not (arrivals.synthetic or isinstance(arrivals, CorpusTimes)):
            notes.append(trace_note(str(arrivals), float(times[-1]), count))
            cautions.append(notes[-1])
        notes += filter(None, [alike])
        result = self._play(
            self.records.tasks(times, rows),
            closed,
            seed=seed,
            arrivals=str(arrivals),
            asked=(arrivals.rate, arrivals.cv),
            synthetic=arrivals.synthetic,
            warm_up=self.default_warm_up(arrivals) if warm_up is None else float(warm_up),
            notes=tuple(notes),
            again=None,
            unlike=unlike,
            cautions=tuple(cautions),
        )
        if warm_up:
            told = left_out(result.work.arrived, self.outages, warm_up)
            result = replace(
                result, notes=(*result.notes, *told), cautions=(*result.cautions, *told)
            )
        once_more = partial(self.run, arrivals, tasks=tasks, order=order, warm_up=warm_up)
        result = result.with_(again=partial(self._again, once_more, result))
        sent = counted(result.log.agent, len(self.pool))
        met = counted(result.work.row, self.records.work.d_var.size)
        costs = modelled(result) if self.records.modelled else ""
        said = [
            costs,
            unknown_failures(result),
            one_for_all(self.policy, self.pool, self.records.work.d_var, sent, met),
            *too_late(result.work.arrived, self.outages, self.changes),
        ]
        return result.with_(notes=(*result.notes, *filter(None, said), *others))

    @cached_property
    def _of_record(self) -> tuple[tuple[list[str], list[str]], ...]:
        """What is known of the corpus, by whether tasks arrive at its own times."""
        return tuple(of_record(self.corpus, self.pool, own_times=own) for own in (False, True))

    @cached_property
    def _always_said(self) -> tuple[str, tuple[str, ...], tuple[str, ...], str]:
        """Notes on every run: on the agents, the records, the judge and the lengths."""
        one_length = np.ptp(self.records.work.service, axis=0) == 0
        alike = [
            agent.id
            for agent, same in zip(self.pool, one_length, strict=True)
            if same and agent.service == "tokens" and agent.latency_cv > 0
        ]
        lengths = (
            f"no lengths of answers are recorded for {', '.join(alike)}: each is taken to be the "
            "mean, so service varies by its noise alone"
        )
        return (
            whose_agents(self.corpus, self.pool),
            (
                no_texts(self.corpus, self.policy),
                *basis_notes(self.corpus, self.pool),
                *self.policy.notes,
                *without_effect(self.pool, self.classes),
                *self._no_effect,
                *self.in_vain,
            ),
            judge_assumed(self.policy, self.pool, self.records.work.quality),
            lengths if alike else "",
        )

    @property
    def _no_effect(self) -> list[str]:
        """Notes that there is no other agent for second copies, or no router to see late."""
        delay, routers, said = self.signals.delay, self.signals.routers, []
        if self.hedge is not None and len(self.pool) == 1:
            said.append("hedge: the pool has one agent, so no second copy is ever sent")
        if delay and routers == 1:
            said.append("signal_delay: one router sees all at once, so that it changes nothing")
        if routers > 1 and not delay:
            said.append("routers: without signal_delay each sees all, so that they change nothing")
        return said

    def default_warm_up(self, arrivals: Arrivals) -> float:
        """The warm-up of a run where none is given: none where an event may lie in it."""
        steady = arrivals.synthetic and arrivals.stationary
        return WARM_UP if steady and not (self.outages or self.changes) else 0.0

    def _again(
        self,
        once_more: Callable[..., ReplayResult],
        first: ReplayResult,
        seed: int,
        *,
        day: int | None = None,
    ) -> ReplayResult:
        """The same call under another seed, or the first run's tasks on another day."""
        if day is None:
            return once_more(seed=seed)
        drawn, times = another_day(first.work.arrived, day)
        return self._play(
            self.records.tasks(times, first.work.row[drawn]),
            None,
            seed=seed,
            arrivals=first.arrivals,
            asked=first.asked,
            synthetic=first.synthetic,
            warm_up=first.warm_up,
            notes=(),
            again=None,
        )

    def rerun(
        self, result: ReplayResult, records: NDArray[np.integer] | None = None
    ) -> ReplayResult:
        """Simulate the tasks of another run, at the same times and under the same seed.

        Parameters
        ----------
        result : ReplayResult
            The other run, of the same pool, retries and outages.
        records : ndarray of int, shape (records,), optional
            Of each record of this scenario's corpus, its index in that of the other run,
            ascending; not needed where the corpus is the same. Further runs of the other,
            which may draw other records, are then no further runs of this one.
        """
        if records is not None:
            return self.rerun_rows(result, np.searchsorted(records, result.work.row))
        found, other = self.rerun_rows(result, result.work.row), result.again
        return found if other is None else replace(found, again=partial(self._rerun_again, other))

    def rerun_rows(self, result: ReplayResult, row: NDArray[np.integer]) -> ReplayResult:
        """The same with other records, one for each task, shape (tasks,)."""
        process = parse_arrivals(result.arrivals) if result.closed else None
        closed = process if isinstance(process, ClosedLoop) else None
        times = np.zeros(len(result)) if closed else result.work.arrived
        return self._play(
            self.records.tasks(times, row.astype(np.int32)),
            closed,
            seed=result.seed,
            arrivals=result.arrivals,
            asked=result.asked,
            synthetic=result.synthetic,
            warm_up=result.warm_up,
            notes=(),
            again=None,
            unlike=result.unlike,
        )

    @cached_property
    def _undisturbed(self) -> "Scenario":
        return replace(self, outages=(), changes=(), system=undisturbed(self.system))

    def _rerun_again(self, other: Again, seed: int, *, day: int | None = None) -> ReplayResult:
        return self.rerun(other(seed=seed, day=day))

    def _play(
        self, work: Workload, closed: ClosedLoop | None, *, seed: int, **said: Any
    ) -> ReplayResult:
        control = None
        if self.outages or self.changes:
            control = partial(self._undisturbed._play, work, closed, seed=seed, **said)
        memory = np.array(self.policy.memory, dtype=np.float64)
        work = self.classes.of(work, seed)
        try:
            log = engine.run(
                *(work, self.system, self.rules(closed)),
                *(self.policy.choose, self.policy.learn, memory, seed),
                interpreted=self.policy.interpreted,
                categories=self._categories if self.policy.interpreted else None,
            )
        except MemoryError as error:
            tries = max(self.retries.attempts, self.rules(closed).levels)
            raise SimulationError(
                f"{work.row.size:,} tasks of up to {tries:,} attempts do not fit into this "
                f"machine's memory ({error}); run fewer tasks, or allow fewer attempts"
            ) from None
        return ReplayResult(
            policy=self.policy,
            pool=self.pool,
            corpus=self.corpus,
            realised=realised(work.arrived),
            seed=seed,
            **{name: getattr(self, name) for name in CONDITIONS},
            tenant_names=self.classes.names,
            closed=closed is not None,
            work=work,
            log=log,
            memory=memory,
            control=control,
            **said,
        )

    @cached_property
    def _categories(self) -> list[Category]:
        """The category of each record, for a policy in plain Python."""
        corpus = self.corpus
        names = [""] if corpus is None else corpus.tasks["category"].tolist()
        return categories(names, {} if corpus is None else corpus.category_codes)

    def rules(self, closed: ClosedLoop | None = None) -> Rules:
        """What happens after a failure, and who sends the tasks, as the engine takes it."""
        price, room = self._may_read
        said = self.policy.judge, self.retries, self.signals, self.hedge, closed
        return rules_of(*said, shows_price=price, shows_room=room)

    @cached_property
    def _may_read(self) -> tuple[bool, bool]:
        """Whether the policy may read prices and room, which take time to bring up to date."""
        limited = self.system.window.size > 0
        return may_read(self.policy, "price"), limited and may_read(self.policy, "room")


def prepare(
    corpus: Corpus | None,
    pool: AgentPool,
    policy: Policy,
    *,
    retries: Retries = ONE_TRY,
    outages: Sequence[Outage] = (),
    changes: Sequence[Change] = (),
    signals: Signals = AT_ONCE,
    hedge: Hedge | None = None,
    tenants: Sequence[Tenant] = (),
    discipline: str | None = None,
    service: str | None = None,
) -> Scenario:
    """Compute everything that does not depend on arrivals or seed: scores, predictions, prices.

    Raises
    ------
    SimulationError
        If the service model does not suit the pool, outages overlap, no task fits an agent's
        context window or can answer in time, or the policy needs texts and there are none.
    """
    if service is not None:
        pool = _with_service(pool, service)
    if discipline is not None:
        pool = _with_discipline(pool, discipline)
    recorded = [agent.id for agent in pool if agent.service == "recorded"]
    if recorded and corpus is None:
        raise SimulationError(
            f'agent {recorded[0]} has service = "recorded": without a corpus no latency is '
            "recorded; give one, or another service model"
        )
    known = records(corpus, pool, policy)
    named = [event.agent for event in (*outages, *changes)]
    check_known(pool, named)
    outages, changes = _of_agents(pool, outages), _of_agents(pool, changes)
    agents = system(
        pool,
        outages,
        known.work.service.mean(axis=0),
        known.work.first.mean(axis=0) if known.work.first.size else None,
        changes,
        expected_costs(pool, corpus),
    )
    check_tasks(pool, known.work, agents)
    return Scenario(
        corpus=corpus,
        pool=pool,
        policy=policy,
        retries=retries,
        outages=outages,
        changes=changes,
        signals=signals,
        hedge=hedge,
        tenants=tuple(tenants),
        classes=classes(corpus, tenants),
        in_vain=(
            *unused_accounts(pool, named),
            *unused_fallbacks(pool, retries.attempts),
            *always_cut_off(pool, known.work, agents),
            *above_limits(pool, known.work),
        ),
        records=known,
        system=agents,
    )


def _of_agents(pool: AgentPool, events: Iterable[_Event]) -> tuple[_Event, ...]:
    """Outages or changes of agents, where some are of all agents of an account."""
    found: list[_Event] = []
    for event in events:
        members = pool.accounts.get(event.agent)
        of = [event.agent] if members is None else [pool.ids[k] for k in members]
        found += [replace(event, agent=agent) for agent in of]
    return tuple(found)


def _with_service(pool: AgentPool, service: str) -> AgentPool:
    allowed = ("lognormal", "exponential", "deterministic", "tokens", "recorded")
    if service not in allowed:
        hint = did_you_mean(str(service), allowed)
        raise SimulationError(f"service={service!r}: choose one of {', '.join(allowed)}{hint}")
    try:
        return AgentPool(tuple(msgspec.structs.replace(agent, service=service) for agent in pool))
    except AgentError as error:
        raise SimulationError(f"service={service!r} does not suit this pool: {error}") from None


def _with_discipline(pool: AgentPool, discipline: str) -> AgentPool:
    allowed = get_args(Discipline)
    if discipline not in allowed:
        hint = did_you_mean(str(discipline), allowed)
        raise SimulationError(
            f"discipline={discipline!r}: choose one of {', '.join(allowed)}{hint}"
        )
    replaced = (msgspec.structs.replace(agent, discipline=discipline) for agent in pool)
    return AgentPool(tuple(replaced), pool.comments)
