"""The reference simulator: plain Python, one event at a time, slow and obvious.

It answers the same question as :func:`routingsim.simulation.engine.run`, with
the same inputs, outputs and random draws, but by the book: a calendar of
events, a list for each agent's queue, a set of the calls each agent serves,
and nothing known before its time. Tests compare the engine with it, bit for bit.

Events at one time happen in the order of their kinds, and those of one kind in
the order of their numbers (of agents or of tasks): first outages and the ends of
cooldowns, then departures, each with the starts that follow, then ends are reported, then
retries are sent, then second copies, then new tasks arrive.
"""

import math
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim import rng
from routingsim.errors import PolicyError
from routingsim.policies.kernel import (
    FAILED,
    LIMITED,
    OK,
    SHED,
    TIMED_OUT,
    TOO_LONG,
    Kernel,
    Outcome,
    PoolView,
    TaskView,
    no_learning,
)
from routingsim.simulation.queues import FAIR, PRIORITY
from routingsim.simulation.state import (
    BUCKET,
    CANCELLED,
    DAY,
    DETERMINISTIC,
    ERRORS,
    ESCALATED,
    EXPONENTIAL,
    FIXED,
    LISTED,
    MINUTE,
    PRICE,
    PROMPT,
    SPEED,
    Log,
    Rules,
    System,
    Workload,
    log_of,
)

__all__ = ["run"]

# UP, DOWN, COOLED, FREED (by a call cut off before) and LOOK (may the head of the queue start?)
# happen to an agent, LIMIT (may a call of it start?) to an account, DEPARTURE, EXPIRY and HEDGE to
# a call, the others to a task. FIRST (token) and SHARE (the end of a call) happen to an agent whose
# calls share its speed.
UP, DOWN, COOLED, FREED, LOOK, CHANGE, FIRST, SHARE, DEPARTURE = range(9)
LIMIT, EXPIRY, ENDED, RETRY, HEDGE, ARRIVAL = range(9, 15)


def run(
    work: Workload,
    system: System,
    rules: Rules,
    choose: Kernel,
    learn: Kernel,
    memory: NDArray[np.float64],
    seed: int,
) -> Log:
    """Run all tasks of ``work`` through the agents of ``system``, kernels interpreted.

    Parameters, result and errors are those of :func:`routingsim.simulation.engine.run`.
    """
    return _Simulation(work, system, rules, choose, learn, memory, seed).run()


@dataclass(slots=True)
class _Task:
    """A task, and what its tries came to. Times in seconds."""

    attempt: int = 0
    hedged: bool = False  # whether a second copy of its try was sent
    hedged_at: float = 0.0
    tried: list[int] = field(default_factory=list)  # of the copies that decided
    lost: list[int] = field(default_factory=list)  # of the others
    agent: int = -1
    status: int = -1
    left: float = 0.0
    ends: float = 0.0
    first: float = math.nan
    quality: float = math.nan
    paid: float = 0.0
    again_from: float = 0.0  # Retry-After
    copy: int = 0
    wait: float = 0.0
    cost: float = 0.0


@dataclass(slots=True)
class _Call:
    """A copy of a task's try; the number of the call is twice that of the task, plus the copy."""

    agent: int = -1
    sent: float = 0.0
    under_way: bool = False
    pace: float = 1.0
    rate: float = 0.0
    drawn: bool = False  # its failure is drawn, even if one is recorded
    dearer: float = 1.0  # price and quality, as multiples of those at the beginning
    better: float = 1.0
    hedge: float = math.inf
    longest: float = 0.0
    deadline: float = 0.0
    waiting: bool = False
    left: float = 0.0
    waited: float = 0.0
    ends: float = 0.0
    fails: bool = False
    judged: bool = False
    cut: bool = False
    natural: float = 0.0
    again_from: float = 0.0
    first: float = math.nan
    probe: bool = False
    paid: float = 0.0
    status: int = -1


@dataclass(slots=True)
class _Shared:
    """A call in service that shares the agent's speed with others; in virtual time."""

    number: int
    attempt: int
    began: float
    work: float
    end: float
    first: float  # infinite once it has come, or if nobody looks
    held: int = -1  # its number among the calls that were cut off and hold their slots
    broken: bool = False  # its agent has gone down


class _Company:
    """The calls in service at an agent that slow each other down."""

    def __init__(self, sharing: float) -> None:
        self.sharing, self.calls = sharing, list[_Shared]()
        self.virtual, self.moved = 0.0, 0.0
        self.next_end = self.next_first = math.inf

    def slower(self) -> float:
        return 1.0 + self.sharing * (len(self.calls) - 1)

    def next(self, what: str) -> _Shared:
        return min(self.calls, key=lambda c: (getattr(c, what), c.number // 2, c.attempt))

    def time(self, now: float) -> float:
        """The virtual time."""
        if not self.calls:
            return 0.0
        if now >= self.next_end:
            return self.next("end").end
        return self.virtual + (now - self.moved) / self.slower()

    def move(self, now: float) -> None:
        if now > self.moved or now >= self.next_end:
            self.virtual, self.moved = self.time(now), now

    def plan(self) -> None:
        self.next_end = self.when("end")
        self.next_first = self.when("first")

    def when(self, what: str) -> float:
        if not self.calls:
            return math.inf
        ahead = getattr(self.next(what), what) - self.virtual
        return max(self.moved, self.moved + ahead * self.slower())


class _Window:
    """One limit of an account, and what was taken of it."""

    def __init__(self, limit: float, span: float, law: int) -> None:
        self.limit, self.span, self.law = limit, span, law
        self.taken: list[tuple[float, float]] = []  # when, and how much
        self.level, self.last = limit, 0.0  # of a bucket

    def opens(self, now: float, need: float) -> float:
        """From when on it lets so much be taken, if nothing else is."""
        if self.law == BUCKET:
            if need <= self.level:
                return -math.inf
            return self.last + (need - self.level) / (self.limit / self.span)
        if self.law == FIXED:
            minute = math.floor(now / self.span)
            used = sum(n for t, n in self.taken if math.floor(t / self.span) == minute)
            return -math.inf if used + need <= self.limit else (minute + 1.0) * self.span
        held = [(t + self.span, n) for t, n in self.taken if t + self.span > now]
        opens = -math.inf
        while sum(n for _, n in held) + need > self.limit:
            opens = held.pop(0)[0]
        return opens

    def left(self, now: float) -> float:
        """How much may be taken now."""
        if self.law == BUCKET:
            return min(self.limit, self.level + (now - self.last) * (self.limit / self.span))
        if self.law == FIXED:
            minute = math.floor(now / self.span)
            return self.limit - sum(n for t, n in self.taken if math.floor(t / self.span) == minute)
        return self.limit - sum(n for t, n in self.taken if t + self.span > now)

    def take(self, now: float, need: float) -> None:
        self.taken.append((now, need))
        refilled = self.level + (now - self.last) * (self.limit / self.span)
        self.level, self.last = min(self.limit, refilled) - need, now


class _Simulation:
    """The pool, the tasks and the calendar."""

    def __init__(
        self,
        work: Workload,
        system: System,
        rules: Rules,
        choose: Kernel,
        learn: Kernel,
        memory: NDArray[np.float64],
        seed: int,
    ) -> None:
        self.work, self.system, self.rules, self.memory = work, system, rules, memory
        self.choose, self.learn = choose.python, learn.python
        self.learns = learn is not no_learning
        self.service_key = np.uint64(rng.stream(seed, rng.SERVICE))
        self.error_key = np.uint64(rng.stream(seed, rng.ERROR))
        self.judge_key = np.uint64(rng.stream(seed, rng.JUDGE))
        self.choice_key = np.uint64(rng.stream(seed, rng.CHOICE))
        self.think_key = np.uint64(rng.stream(seed, rng.THINK))
        self.patience_key = np.uint64(rng.stream(seed, rng.PATIENCE))
        self.jitter_key = np.uint64(rng.stream(seed, rng.JITTER))

        agents = range(system.slots.size)
        self.tasks = [_Task() for _ in work.row]
        self.calls = [_Call() for _ in work.row for _ in range(2)]
        self.times: list[list[float]] = [[] for _ in agents]  # that first copies took
        self.losses: list[tuple[Any, ...]] = []
        self.fresh = 0  # the next task to arrive
        self.queue: list[list[int]] = [[] for _ in agents]  # in the order of sending
        # of each tenant at each agent, and of each agent
        self.clock = [[0.0 for _ in work.weight] for _ in agents]
        self.virtual = [0.0 for _ in agents]
        self.serving: list[set[int]] = [set() for _ in agents]
        spans = (MINUTE, MINUTE, DAY)
        self.windows = [
            [_Window(limit, span, int(law)) for limit, span in zip(limits, spans, strict=True)]
            for limits, law in zip(
                system.limits.reshape(-1, 3).tolist(), system.window, strict=True
            )
        ]
        self.first_in_line: list[int | None] = [None for _ in system.window]  # it waits for a limit
        self.company = [_Company(float(each)) for each in system.sharing]
        self.held = [0 for _ in agents]  # slots that calls hold which were cut off
        self.cut_off: list[tuple[int, float, float]] = []  # the same, all of the run
        self.works = [True for _ in agents]
        self.cooling = ["closed" for _ in agents]
        self.failures: list[list[float]] = [[] for _ in agents]
        self.budget = rules.reserve
        self.listed = [bool(each) for each in system.listed]
        self.pace = [1.0 for _ in agents]
        self.error_rate = [(float(each), False) for each in system.error_rate]  # changed or not
        self.dearer, self.better = ([1.0 for _ in agents] for _ in range(2))
        self.router_key = np.uint64(rng.stream(seed, rng.ROUTER))
        self.news: list[tuple[float, int, int, int]] = []  # calls sent and ended: +1 and -1
        self.retried: list[tuple[Any, ...]] = []
        self.pool = PoolView(
            busy=np.zeros(len(agents), np.int64),
            queued=np.zeros(len(agents), np.int64),
            slots=system.slots,
            cost=system.price.copy(),
            wait=np.zeros(len(agents)),
            service=system.mean_service,
            up=system.listed.copy(),
            room=np.ones(len(agents)),
            first_token=system.mean_first,
            speed=np.ones(len(agents)),
            price=np.zeros(len(agents)),
        )
        self.calendar = self.first_events()

    def first_events(self) -> list[tuple[float, int, int]]:
        """Outages, and the arrivals or, in a closed loop, the ends of the users' first thoughts."""
        events = []
        for a in range(self.system.slots.size):
            for o in range(self.system.first_outage[a], self.system.first_outage[a + 1]):
                events.append((float(self.system.down[o]), DOWN, a))
                events.append((float(self.system.up[o]), UP, a))
        events += [(t, CHANGE, k) for k, t in enumerate(self.system.change_at.tolist())]
        if self.rules.users:
            events += [(self.think(user, 1), ARRIVAL, 0) for user in range(self.rules.users)]
        else:
            events += [(t, ARRIVAL, i) for i, t in enumerate(self.work.arrived.tolist())]
        heapify(events)
        return events

    def at(self, time: float, kind: int, number: int) -> None:
        """Put an event on the calendar."""
        heappush(self.calendar, (time, kind, number))

    def run(self) -> Log:
        happen = {
            UP: self.go_up,
            DOWN: self.go_down,
            COOLED: self.cooled,
            FREED: self.freed,
            CHANGE: self.change,
            FIRST: self.first_token,
            SHARE: self.end_shared,
            DEPARTURE: self.depart,
            LOOK: self.look,
            LIMIT: self.limit,
            EXPIRY: self.expire,
            ENDED: self.ended,
            RETRY: self.retry,
            HEDGE: self.hedge,
            ARRIVAL: self.arrive,
        }
        while self.calendar:
            now, kind, number = heappop(self.calendar)
            happen[kind](now, number)
        return self.log()

    # -- the agents -----------------------------------------------------------------

    def go_up(self, now: float, a: int) -> None:
        self.works[a] = True
        self.offer(a)
        self.at(now, LOOK, a)

    def go_down(self, now: float, a: int) -> None:
        """Calls in service fail, but for those that end at this very moment."""
        self.works[a] = False
        self.offer(a)
        if self.queue[a]:
            self.out_of_line(now, self.next_up(a))
        for k in self.serving[a]:
            call, mine = self.calls[k], self.shared(k)
            if mine and mine.end <= self.company[a].time(now):
                continue
            if call.ends > now:
                if mine:
                    mine.broken = True
                call.ends, call.natural, call.fails, call.cut = now, now, True, False
                self.at(now, DEPARTURE, k)

    def offer(self, a: int) -> None:
        """Policies are offered agents that are up and not in a cooldown, or its probe."""
        good = self.works[a] and self.listed[a]
        self.pool.up[a] = good and self.cooling[a] in ("closed", "half open")

    def change(self, now: float, k: int) -> None:
        """What is number ``k`` of the changes happens, for calls that are sent from now on."""
        a, value = int(self.system.change_agent[k]), float(self.system.change_value[k])
        if self.system.change_what[k] == SPEED:
            self.pace[a] = 1 / value
        elif self.system.change_what[k] == ERRORS:
            self.error_rate[a] = value, True
        elif self.system.change_what[k] == LISTED:
            self.listed[a] = bool(value)
            self.offer(a)
        elif self.system.change_what[k] == PRICE:
            self.dearer[a] = value
            self.pool.cost[a] = self.system.price[a] * value
        else:
            self.better[a] = value

    def cooled(self, now: float, a: int) -> None:
        self.cooling[a] = "half open"
        self.offer(a)

    def freed(self, now: float, a: int) -> None:
        """A call that was cut off long ago gives its slot back."""
        self.held[a] -= 1
        self.at(now, LOOK, a)

    # -- agents whose calls slow each other down ------------------------------------------

    def shared(self, k: int) -> _Shared | None:
        """A call that is in service at such an agent."""
        here = self.company[self.calls[k].agent]
        found = [each for each in here.calls if each.number == k and each.held < 0]
        return found[0] if found else None

    def begin_shared(self, now: float, k: int, work: float, first: float) -> None:
        call = self.calls[k]
        a = call.agent
        here, system = self.company[a], self.system
        here.move(now)
        streams = self.work.first.size > 0 or system.first_token_timeout[a] < math.inf
        began = here.virtual
        mark = began + first if streams else math.inf
        attempt = self.tasks[k // 2].attempt
        here.calls.append(_Shared(k, attempt, began, work, began + work, mark))
        call.first, call.cut = math.inf, True
        wanted = call.sent + system.timeout[a]
        if streams:
            wanted = min(wanted, call.sent + system.first_token_timeout[a])
        self.cut_at(now, k, float(wanted))
        self.plan(a)

    def cut_at(self, now: float, k: int, limit: float) -> None:
        """Let a call be cut off at a time."""
        self.calls[k].ends = max(limit, now)
        if limit < math.inf:
            self.at(max(limit, now), DEPARTURE, k)

    def plan(self, a: int) -> None:
        here = self.company[a]
        here.plan()
        for time, kind in ((here.next_first, FIRST), (here.next_end, SHARE)):
            if time < math.inf:
                self.at(time, kind, a)

    def first_token(self, now: float, a: int) -> None:
        here = self.company[a]
        if here.next_first == now:
            mine = here.next("first")
            mine.first = math.inf
            if mine.held < 0:
                call = self.calls[mine.number]
                call.first = now
                if self.system.first_token_timeout[a] < math.inf and not mine.broken:
                    self.cut_at(now, mine.number, float(call.sent + self.system.timeout[a]))
            here.next_first = here.when("first")
            if here.next_first < math.inf:
                self.at(here.next_first, FIRST, a)

    def end_shared(self, now: float, a: int) -> None:
        here = self.company[a]
        if here.next_end == now:
            mine = here.next("end")
            if mine.held < 0:
                call = self.calls[mine.number]
                call.ends, call.cut, call.first = now, False, min(call.first, now)
                self.depart(now, mine.number)
            else:
                agent, since, _ = self.cut_off[mine.held]
                self.cut_off[mine.held] = agent, since, now
                self.leave_shared(now, a, mine)
                self.look(now, a)

    def leave_shared(self, now: float, a: int, mine: _Shared) -> None:
        here = self.company[a]
        here.move(now)
        here.calls.remove(mine)
        if not here.calls:
            here.virtual = 0.0
        self.plan(a)

    def look(self, now: float, a: int) -> None:
        """Start calls from the head of the queue while the agent can."""
        if self.waits(a):
            if self.queue[a] and self.ready(a):
                self.at(now, LIMIT, int(self.system.account[a]))
        else:
            while self.queue[a] and self.ready(a):
                self.start(now, self.next_up(a))
        self.note(a)

    def next_up(self, a: int) -> int:
        """The call that is next in the queue of agent ``a``."""
        queue, order = self.queue[a], self.system.order[a]
        if self.waits(a) and self.first_in_line[self.system.account[a]] in queue:
            return self.first_in_line[self.system.account[a]] or 0
        if order == PRIORITY:
            return min(queue, key=lambda k: self.priority(k // 2))  # of equal ones, that sent first
        if order == FAIR:
            first = {self.tenant(k // 2): k for k in reversed(queue)}
            return min(first.values(), key=lambda k: (self.tag(a, k), self.calls[k].sent, k))
        return queue[0]

    def priority(self, i: int) -> int:
        return int(self.work.priority[i]) if self.work.priority.size else 0

    def tenant(self, i: int) -> int:
        return int(self.work.tenant[i]) if self.work.tenant.size else 0

    def tag(self, a: int, k: int) -> float:
        """How far the call's tenant is at agent ``a``, in seconds of service over its weight."""
        return max(self.clock[a][self.tenant(k // 2)], self.virtual[a])

    def ready(self, a: int) -> bool:
        """Whether an agent can start a call, as far as it is concerned."""
        return self.works[a] and self.used(a) < self.pool.slots[a]

    # -- the accounts -----------------------------------------------------------------

    def limit(self, now: float, account: int) -> None:
        """Start the call of an account that is first in line, if its limits allow it."""
        k = self.first_in_line[account]
        if k is None:
            members = np.flatnonzero(self.system.account == account).tolist()
            heads = [self.next_up(a) for a in members if self.queue[a] and self.ready(a)]
            if not heads:
                return
            k = min(heads, key=lambda k: (self.urgency(k), self.calls[k].sent, k))
        a = self.calls[k].agent
        if self.opens(now, k) <= now:
            self.first_in_line[account] = None
            self.start(now, k)
            self.at(now, LIMIT, account)
            self.note(a)
        else:
            self.wait_in_line(now, k)

    def urgency(self, k: int) -> int:
        """The priority of a call that waits at an agent which goes by priority; else 0."""
        by_priority = self.system.order[self.calls[k].agent] == PRIORITY
        return self.priority(k // 2) if by_priority else 0

    def waits(self, a: int) -> bool:
        """Whether calls to an agent wait for the limits of an account."""
        account = self.system.account[a]
        return bool(account >= 0 and not self.system.rejects[account])

    def needs(self, k: int) -> tuple[float, float, float]:
        """What a call takes of each limit: never more tokens than there are."""
        a = self.calls[k].agent
        limit = self.windows[self.system.account[a]][1].limit
        tokens = float(self.work.tokens[self.work.row[k // 2], a]) if limit else 0.0
        return 1.0, min(tokens, limit), 1.0

    def opens(self, now: float, k: int) -> float:
        windows = zip(
            self.windows[self.system.account[self.calls[k].agent]], self.needs(k), strict=True
        )
        return max(w.opens(now, need) if w.limit else -math.inf for w, need in windows)

    def show_room(self, now: float) -> None:
        """Bring the shares of limits that are left up to date, for policies that read them."""
        if self.rules.shows_room:
            for account, windows in enumerate(self.windows):
                left = [w.left(now) / w.limit for w in windows if w.limit]
                self.pool.room[self.system.account == account] = min(left)

    def tell(self, now: float, i: int, a: int, change: int) -> None:
        """Note that a call was sent, or has ended."""
        self.news.append((now, self.router(i), a, change))

    def router(self, i: int) -> int:
        return int(rng.uniform(self.router_key, i, 0) * self.rules.routers)

    def show_signals(self, now: float, i: int) -> None:
        """Show what the router of a task knows: its own calls, and late those of others."""
        rules, pool = self.rules, self.pool
        if rules.routers == 1 or not rules.signal_delay:
            return
        known = np.zeros(pool.slots.size, np.int64)
        for time, router, a, change in self.news:
            if router == self.router(i) or time + rules.signal_delay <= now:
                known[a] += change
        for a, count in enumerate(known.tolist()):
            pool.busy[a] = min(count, pool.slots[a])
            pool.queued[a] = queued = count - int(pool.busy[a])
            late = (queued + 1) * self.mean_service(a) / pool.slots[a]
            pool.wait[a] = late if count >= pool.slots[a] else 0.0
            sharing = self.system.sharing[a]
            pool.speed[a] = 1.0 / (1.0 + sharing * min(pool.busy[a], pool.slots[a] - 1))

    def take(self, now: float, k: int) -> None:
        windows = zip(
            self.windows[self.system.account[self.calls[k].agent]], self.needs(k), strict=True
        )
        for window, need in windows:
            if window.limit:
                window.take(now, need)

    def wait_in_line(self, now: float, k: int) -> None:
        """Nothing else of the account starts before the first in line, once there is one."""
        account = int(self.system.account[self.calls[k].agent])
        if self.first_in_line[account] is None:
            self.first_in_line[account] = k
            self.at(self.opens(now, k), LIMIT, account)

    def out_of_line(self, now: float, k: int) -> None:
        account = int(self.system.account[self.calls[k].agent])
        if account >= 0 and self.first_in_line[account] == k:
            self.first_in_line[account] = None
            self.at(now, LIMIT, account)

    def used(self, a: int) -> int:
        ghosts = sum(call.held >= 0 for call in self.company[a].calls)
        return len(self.serving[a]) + self.held[a] + ghosts

    def note(self, a: int) -> None:
        """Bring what policies see of agent ``a`` up to date."""
        pool, busy, queued = self.pool, self.used(a), len(self.queue[a])
        pool.busy[a] = busy
        pool.queued[a] = queued
        full = busy + queued >= pool.slots[a]
        mean, sharing = self.mean_service(a), self.system.sharing[a]
        pool.wait[a] = (queued + 1) * mean / pool.slots[a] if full else 0.0
        pool.speed[a] = 1.0 / (1.0 + sharing * min(busy, pool.slots[a] - 1))

    def mean_service(self, a: int) -> float:
        """Mean service time while all slots are in use."""
        alone = self.pool.service[a]
        return alone * (1.0 + self.system.sharing[a] * (self.pool.slots[a] - 1))

    # -- a call ---------------------------------------------------------------------

    def send(self, now: float, k: int) -> None:
        """Choose an agent for call ``k``: it starts, waits, or is refused."""
        i, copy = divmod(k, 2)
        a = self.chosen(now, k)
        if a is None:
            return
        if copy:
            self.tasks[i].hedged, self.tasks[i].hedged_at = True, now
        else:
            self.tasks[i].hedged = False
        rate, drawn = self.error_rate[a]
        call = self.calls[k] = _Call(
            agent=a, sent=now, under_way=True, pace=self.pace[a], rate=rate, drawn=drawn
        )
        call.dearer, call.better = self.dearer[a], self.better[a]
        self.tell(now, i, a, 1)
        if self.cooling[a] == "half open":
            self.cooling[a], call.probe = "probing", True
            self.offer(a)
        account = int(self.system.account[a])
        at_once = not self.queue[a] and self.ready(a)
        if at_once and self.waits(a):
            at_once = self.first_in_line[account] is None and self.opens(now, k) <= now
        if self.view(now, k).prompt_tokens > self.system.context[a]:
            self.refuse(now, k, TOO_LONG)
        elif not at_once and len(self.queue[a]) >= self.system.queue_limit[a]:
            self.refuse(now, k, SHED)
        elif account >= 0 and not self.waits(a) and self.opens(now, k) > now:
            call.again_from = self.opens(now, k)
            self.refuse(now, k, LIMITED)
        else:
            if account >= 0 and not self.waits(a):
                self.take(now, k)
            if at_once:
                self.start(now, k)
            else:
                self.queue[a].append(k)
                call.waiting = True
                call.longest = self.longest_wait(k)
                call.deadline = now + call.longest
                self.at(call.deadline, EXPIRY, k)
                if self.waits(a) and self.ready(a) and len(self.queue[a]) == 1:
                    self.wait_in_line(now, k)
            if not copy:
                call.hedge = now + self.hedge_delay(a)
                self.at(call.hedge, HEDGE, k)
        self.note(a)

    def hedge_delay(self, a: int) -> float:
        """Seconds after which a second copy of a try is sent whose first is at agent ``a``."""
        rules, times = self.rules, sorted(self.times[a])
        if rules.hedge_quantile > 0:
            if len(times) < rules.hedge_least:
                return math.inf
            enough = [t for n, t in enumerate(times, 1) if n >= rules.hedge_quantile * len(times)]
            return enough[0]
        return rules.hedge if rules.hedge >= 0 else math.inf

    def hedge(self, now: float, k: int) -> None:
        """A second copy of a try is sent, if the first is still under way."""
        if self.calls[k].under_way and self.calls[k].hedge == now:
            self.calls[k].hedge = math.inf
            self.send(now, k + 1)

    def refuse(self, now: float, k: int, status: int) -> None:
        self.over(now, k, status, left=now)

    def part(self, k: int) -> int:
        """Which of a task's draws belong to the call."""
        return self.tasks[k // 2].attempt + (k % 2 << 16)

    def longest_wait(self, k: int) -> float:
        """How long a call waits at most: its patience, or a time-out if that is shorter."""
        a, system = self.calls[k].agent, self.system
        patience = float(system.patience[a])
        if system.impatient[a]:
            patience *= rng.exponential(self.patience_key, k // 2, self.part(k))
        return min(patience, float(system.timeout[a]), float(system.first_token_timeout[a]))

    def chosen(self, now: float, k: int) -> int | None:
        """The agent for a call: one that a failed agent names, or else the policy's choice.

        For a second copy: that of the policy, if it is not that of the first.
        """
        i, copy = divmod(k, 2)
        task, agents = self.tasks[i], len(self.queue)
        fits = self.work.prompt_tokens[self.work.row[i]] <= self.system.context
        up = self.pool.up * fits
        if task.attempt and task.status != ESCALATED and not copy:
            named = self.system.fallback[task.agent]
            while named >= 0:
                if up[named]:
                    return int(named)
                named = self.system.fallback[named]
        if copy:
            up[self.calls[k - 1].agent] = 0
        if task.attempt and self.rules.fallback:
            up[task.tried[-1] if self.rules.fallback == 1 else task.tried + task.lost] = 0
        if copy and not up.any():
            return None
        if not up.any():
            up[:] = fits
        if not up.any():
            up[:] = 1
        self.show_room(now)
        self.show_signals(now, i)
        self.show_price(i)
        a = self.choose(self.view(now, k), self.pool._replace(up=up), self.memory)
        if not 0 <= a < agents:
            raise PolicyError(
                f"policy kernel {self.choose.__name__!r} returned an agent that does not exist for "
                f"task {i}; allowed: 0 to {agents - 1}"
            )
        return None if copy and a == self.calls[k - 1].agent else int(a)

    def start(self, now: float, k: int) -> None:
        """Call ``k`` takes a slot."""
        i = k // 2
        call, row = self.calls[k], self.work.row[i]
        a = call.agent
        if call.waiting:
            self.queue[a].remove(k)
        call.waiting = False
        tag = self.tag(a, k)
        self.virtual[a] = tag
        mean = float(self.work.service[row, a])
        self.clock[a][self.tenant(i)] = tag + mean / float(self.work.weight[self.tenant(i)])
        call.left = now
        call.waited = now - call.sent
        noise = self.noise(k) * call.pace
        takes = float(self.work.service[row, a]) * noise
        call.ends = now + takes
        means = self.work.first if self.work.first.size else self.work.service
        first = float(means[row, a]) * noise
        call.first = now + first
        rate, attempt = call.rate, self.tasks[i].attempt
        if self.work.failed.size and attempt == 0 and not call.drawn:
            recorded = self.work.failed[row, a]
            rate = rate if math.isnan(recorded) else recorded
        call.fails = bool(rng.uniform(self.error_key, i, self.part(k)) < rate)
        last = attempt + 1 >= self.rules.levels
        call.judged = not (last or call.fails or math.isnan(self.work.quality[row, a]))
        if call.judged:
            takes += self.rules.judge_seconds
            call.ends += self.rules.judge_seconds
        call.natural = call.ends
        self.serving[a].add(k)
        if self.system.sharing[a]:
            self.begin_shared(now, k, takes, first)
        else:
            limit = call.sent + self.system.timeout[a]
            if call.first > call.sent + self.system.first_token_timeout[a]:
                limit = min(limit, call.sent + self.system.first_token_timeout[a])
            call.cut = limit < call.ends
            if call.cut:
                call.ends = max(float(limit), now)
            self.at(call.ends, DEPARTURE, k)
        if self.waits(a):
            self.take(now, k)

    def show_price(self, i: int) -> None:
        """Bring what the task is expected to cost up to date, for policies that read it."""
        if self.rules.shows_price:
            tokens = float(self.work.prompt_tokens[self.work.row[i]])
            expected = self.system.call_cost + self.system.token_cost * tokens
            self.pool.price[:] = expected * self.dearer

    def noise(self, k: int) -> float:
        """Factor of a call's service time; its random number belongs to task, try and copy."""
        a, law = self.calls[k].agent, self.system.noise
        if law[a] == DETERMINISTIC:
            return 1.0
        if law[a] == EXPONENTIAL:
            return rng.exponential(self.service_key, k // 2, self.part(k))
        sigma = float(self.system.sigma[a])
        normal = rng.normal(self.service_key, k // 2, self.part(k))
        return math.exp(sigma * (normal - 0.5 * sigma))

    def depart(self, now: float, k: int) -> None:
        """A call ends, unless it has ended before; the queue moves at once."""
        call = self.calls[k]
        a = call.agent
        if k in self.serving[a] and call.ends == now:
            self.serving[a].remove(k)
            call.paid = float(self.work.cost[self.work.row[k // 2], a])
            status, shared = FAILED if call.fails else OK, self.shared(k)
            if call.fails and self.work.failed_cost.size:
                call.paid = float(self.work.failed_cost[self.work.row[k // 2], a])
            if call.cut:
                status = TIMED_OUT
                call.paid = self.billed(now, k)
                self.maybe_hold(now, k)
            call.paid *= call.dearer
            if shared and shared.held < 0:
                self.leave_shared(now, a, shared)
            self.tasks[k // 2].cost += call.paid
            if call.judged and status == OK:
                self.tasks[k // 2].cost += self.rules.judge_cost
                status = self.judge(k)
            self.over(now, k, status, left=call.left)
            self.look(now, a)

    def billed(self, now: float, k: int) -> float:
        """What a call that is cut off or cancelled costs."""
        call, shared = self.calls[k], self.shared(k)
        row, a = self.work.row[k // 2], call.agent
        if self.system.billed[a] == PROMPT:
            return float(self.work.prompt_cost[row, a])
        had, whole = now - call.left, call.natural - call.left
        if shared:
            had, whole = self.company[a].time(now) - shared.began, shared.work
        share = had / whole if whole > 0 else 1.0
        return float(self.work.cost[row, a]) * [1.0, share, 0.0][self.system.billed[a]]

    def maybe_hold(self, now: float, k: int) -> None:
        """A call that is cut off or cancelled holds its slot, where the agent is such."""
        call, shared = self.calls[k], self.shared(k)
        a = call.agent
        if self.system.holds[a] and shared:
            shared.held = len(self.cut_off)
            self.cut_off.append((a, now, math.nan))
        elif self.system.holds[a]:
            self.held[a] += 1
            self.cut_off.append((a, now, call.natural))
            self.at(call.natural, FREED, a)

    def judge(self, k: int) -> int:
        """Whether the answer is good enough, as far as the judge can tell."""
        rules = self.rules
        wanting = self.quality(k) < rules.bar
        mistaken = rng.uniform(self.judge_key, k // 2, self.part(k)) < rules.judge_error
        return ESCALATED if wanting != mistaken else OK

    def quality(self, k: int) -> float:
        """The quality of a call's answer, as far as it is recorded."""
        call = self.calls[k]
        recorded = float(self.work.quality[self.work.row[k // 2], call.agent])
        return math.nan if math.isnan(recorded) else min(recorded * call.better, 1.0)

    def expire(self, now: float, k: int) -> None:
        """A call loses patience, unless it has left the queue before."""
        call = self.calls[k]
        if call.waiting and call.deadline == now:
            self.leave(now, k)
            call.waited = call.longest
            self.over(now, k, TIMED_OUT, left=now)
            self.at(now, LOOK, call.agent)
            self.note(call.agent)

    def leave(self, now: float, k: int) -> None:
        """A call leaves the queue without a start."""
        self.queue[self.calls[k].agent].remove(k)
        self.calls[k].waiting = False
        self.out_of_line(now, k)

    def over(self, now: float, k: int, status: int, left: float) -> None:
        """A call has ended, whichever way; its try with it, unless its other copy goes on."""
        i, copy = divmod(k, 2)
        task, call = self.tasks[i], self.calls[k]
        call.under_way, call.status, call.left, call.ends = False, status, left, now
        self.tell(now, i, call.agent, -1)
        if self.rules.cool_failures:
            self.count_failure(now, call, bool(self.rules.cool_on >> status & 1))
        if not copy and status not in (SHED, LIMITED, TOO_LONG):
            self.note_time(now, call)
        other = k + 1 - 2 * copy
        both = task.hedged and self.calls[other].under_way
        if both and status not in (OK, ESCALATED):
            self.lose(k)
            return
        task.agent, task.status, task.left, task.ends = call.agent, status, left, now
        task.copy, task.paid, task.again_from = copy, call.paid, call.again_from
        task.wait += call.waited
        task.first = call.first if status in (OK, ESCALATED) else math.nan
        task.quality = self.quality(k) if status in (OK, ESCALATED) else math.nan
        self.at(now, ENDED, i)
        if both:
            self.cancel(now, other)

    def note_time(self, now: float, call: _Call) -> None:
        """Remember how long a first copy took, rounded up to six significant binary digits."""
        fraction, power = math.frexp(min(max(now - call.sent, 2.0**-20), 2.0**20))
        self.times[call.agent].append(math.ldexp(math.floor(64 * fraction) + 1, power - 6))

    def cancel(self, now: float, k: int) -> None:
        """The other copy has answered: this one leaves its queue or its slot."""
        call = self.calls[k]
        a = call.agent
        if call.waiting:
            self.leave(now, k)
            call.left = now
        else:
            self.serving[a].remove(k)
            call.paid, shared = self.billed(now, k) * call.dearer, self.shared(k)
            self.maybe_hold(now, k)
            if shared and shared.held < 0:
                self.leave_shared(now, a, shared)
        self.tasks[k // 2].cost += call.paid
        call.under_way, call.status, call.ends = False, CANCELLED, now
        self.tell(now, k // 2, a, -1)
        if call.probe:
            call.probe, self.cooling[a] = False, "half open"
            self.offer(a)
        if k % 2 == 0:
            self.note_time(now, call)
        self.lose(k)
        self.at(now, LOOK, a)
        self.note(a)

    def lose(self, k: int) -> None:
        """Write down a copy that did not decide how its try ended."""
        i, copy = divmod(k, 2)
        call, task = self.calls[k], self.tasks[i]
        what = (i, task.attempt, copy, call.agent, call.status, call.left, call.ends)
        self.losses.append((*what, task.hedged_at, call.paid))
        task.lost.append(call.agent)

    def count_failure(self, now: float, call: _Call, bad: bool) -> None:
        """A cooldown begins with enough failures in a time, or with a probe that fails."""
        a, rules = call.agent, self.rules
        cools = False
        if call.probe:
            call.probe, cools = False, bad
            if not bad:
                self.cooling[a], self.failures[a] = "closed", []
        elif bad and self.cooling[a] == "closed":
            self.failures[a].append(now)
            last = self.failures[a][-rules.cool_failures :]
            cools = len(last) == rules.cool_failures and last[0] + rules.cool_within >= now
        if cools:
            self.cooling[a], self.failures[a] = "cooling", []
            self.at(now + rules.cool_seconds, COOLED, a)
        self.offer(a)

    # -- the tasks ------------------------------------------------------------------

    def arrive(self, now: float, _: int) -> None:
        """The next task comes, or a user of a closed loop sends it."""
        if self.fresh < len(self.tasks):
            i = self.fresh
            self.fresh += 1
            if self.rules.budget >= 0:
                self.budget = min(self.rules.reserve, self.budget + self.rules.budget)
            self.work.arrived[i] = now
            self.send(now, 2 * i)

    def ended(self, now: float, i: int) -> None:
        """The policy learns how the try ended; then a retry is due, or a user thinks."""
        task, rules = self.tasks[i], self.rules
        if self.learns:
            outcome = self.outcome(now, i)
            self.show_room(now)
            self.show_signals(now, i)
            self.show_price(i)
            view = self.view(now, 2 * i + task.copy)
            self.learn(view, task.agent, outcome, self.pool, self.memory)
        again = self.again(now, i)
        if again is not None:
            before = [k for k, each in enumerate(self.retried) if each[0] == i]
            tried = (i, task.agent, task.status, task.left, task.ends, again)
            self.retried.append((*tried, before[-1] if before else -1))
            task.tried.append(task.agent)
            self.at(again, RETRY, i)
        elif rules.users:
            self.at(now + self.think(i, 0), ARRIVAL, 0)

    def again(self, now: float, i: int) -> float | None:
        """When the task is sent again, if it is."""
        task, rules = self.tasks[i], self.rules
        if task.status == ESCALATED:
            return now
        if not rules.on >> task.status & 1 or task.attempt + 1 >= rules.attempts:
            return None
        if rules.budget >= 0:
            if self.budget < 1:
                return None
            self.budget -= 1
        pause = rules.backoff * rules.factor ** float(task.attempt)
        if rules.jitter:
            pause *= 1 - rules.jitter * rng.uniform(self.jitter_key, i, task.attempt)
        if task.status == LIMITED and rules.retry_after:
            return max(now + pause, task.again_from)
        return now + pause

    def retry(self, now: float, i: int) -> None:
        self.tasks[i].attempt += 1
        self.send(now, 2 * i)

    def think(self, index: int, part: int) -> float:
        if self.rules.think_cv:
            return self.rules.think * rng.exponential(self.think_key, index, part)
        return self.rules.think

    # -- what is seen and written down ----------------------------------------------

    def view(self, now: float, k: int) -> TaskView:
        i, copy = divmod(k, 2)
        work, row, attempt = self.work, self.work.row[i], self.tasks[i].attempt
        return TaskView(
            index=i,
            attempt=attempt,
            time=now,
            stream=self.choice_key,
            d_var=float(work.d_var[row]),
            prompt_tokens=float(work.prompt_tokens[row]),
            category=int(work.category[row]),
            features=work.features[row],
            predicted=work.predicted[row],
            copy=copy,
            priority=self.priority(i),
            tenant=self.tenant(i),
        )

    def outcome(self, now: float, i: int) -> Outcome:
        task = self.tasks[i]
        answered = task.status in (OK, ESCALATED)
        return Outcome(
            status=OK if answered else task.status,
            wait=task.wait,
            service=now - task.left,
            latency=now - self.work.arrived[i],
            cost=task.paid,
            quality=task.quality,
            first_token=self.first(task, now) - self.work.arrived[i] if answered else math.nan,
        )

    def first(self, task: _Task, now: float) -> float:
        """When the first token of an answer came; with its end, where answers come whole."""
        return task.first if self.work.first.size else now

    def log(self) -> Log:
        log = log_of(len(self.tasks), self.work, self.system, self.rules)
        columns: dict[str, list[Any]] = {
            "agent": [task.agent for task in self.tasks],
            "status": [task.status for task in self.tasks],
            "attempts": [task.attempt + 1 for task in self.tasks],
            "left": [task.left for task in self.tasks],
            "finished": [task.ends for task in self.tasks],
            "wait": [task.wait for task in self.tasks],
            "cost": [task.cost for task in self.tasks],
            "first": [task.first for task in self.tasks],
            "quality": [task.quality for task in self.tasks],
        }
        for name in ("first", "quality"):
            if not getattr(log, name).size:
                del columns[name]
        for name, values in columns.items():
            getattr(log, name)[:] = values
        count = log.retries[0] = len(self.retried)
        if count:
            again = zip(*self.retried, strict=True)
            ends = ("agent", "status", "left", "ended", "next", "before")
            names = ("retried", *(f"retried_{x}" for x in ends))
            for name, values in zip(names, again, strict=True):
                getattr(log, name)[:count] = values
        log.losses[0] = len(self.losses)
        names = [name for name in log._fields if name.startswith("lost")]
        for k, values in enumerate(self.losses):
            for name, value in zip(names, values, strict=True):
                getattr(log, name)[k] = value
        log.holds[0] = len(self.cut_off)
        for k, held in enumerate(self.cut_off):
            log.held_agent[k], log.held_from[k], log.held_until[k] = held
        return log
