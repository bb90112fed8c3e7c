"""The compiled event loop.

The loop takes one event at a time from a calendar (:mod:`routingsim.simulation.events`): an
agent goes down or up, a limit lets a call start, a call ends, patience runs out, the end of a
call is reported to a policy that learns, a retry is due, a user of a closed loop returns.
Arrivals are read from the workload and come last among equal times.

An event ends one call at most, starts one at most, and sends one at most. So the code of
each is compiled once: what the event is, the sending (which asks the policy), the end, the
start, and the events that follow.

Random numbers belong to the task and the try and are drawn when a call is sent, before the
policy is asked, so that both run in parallel.

Times are in seconds; tasks and agents are numbered from 0. For an index that may be
negative the compiler adds a test, as it would count from the end. So indices of
tasks are unsigned, or compared with 0 where the compiler cannot know their sign.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from routingsim import rng
from routingsim.errors import PolicyError
from routingsim.policies.kernel import (
    CHOOSE,
    FAILED,
    LEARN,
    LIMITED,
    OK,
    POOL_VIEW,
    SHED,
    TIMED_OUT,
    TOO_LONG,
    Kernel,
    Outcome,
    PoolView,
    no_learning,
)
from routingsim.policies.numba_reference import ByReference, refer, rewrite
from routingsim.simulation.afterwards import sent_again
from routingsim.simulation.availability import (
    HALF_OPEN,
    NOBODY,
    change,
    choose_with_care,
    cooled,
    count_failure,
    factor_at,
    go,
    probe,
    rank_agent,
)
from routingsim.simulation.cache_lines import prefetch
from routingsim.simulation.calls import (
    IDLE,
    NONE,
    SERVING,
    WAITING,
    copy_of,
    enter_service,
    free,
    leave_service,
    take,
)
from routingsim.simulation.compiling import called, greater, inlined, lesser, whole
from routingsim.simulation.events import (
    BEGUN,
    BOUNDED,
    CHANGE,
    COOLED,
    DEPART,
    DOWN,
    ENDED,
    EVENTS,
    EXPIRE,
    FAR,
    FIRST,
    FREE,
    FREED,
    FRESH,
    HEDGE,
    HOLE,
    LIMIT,
    LOADS,
    LOOK,
    MORE,
    NEWS,
    RANKS,
    RETRY,
    RETURN,
    SHARED,
    UPS,
    USED,
    code_of,
    fill_hole,
    parts,
    push_rare,
)
from routingsim.simulation.hedging import (
    copy_ends,
    hedge_holds,
    hold_slot,
    pair,
    set_hedge,
)
from routingsim.simulation.ladder import UNTIL, draw_near, put
from routingsim.simulation.limits import (
    lets_start,
    next_of,
    opens_at,
    show_room,
    take_of,
    wait_for_limit,
    waits_no_more,
)
from routingsim.simulation.queues import FAIR, advance_clock, enqueue, leave_queue, next_call
from routingsim.simulation.sending import (
    draw_noise,
    keys_of,
    longest_wait,
    part_of,
    row_of,
    settle,
    task_view,
    worth,
)
from routingsim.simulation.sharing import begin_shared, cut_shared, end_shared, first_token
from routingsim.simulation.signals import are_stale, send_news, show_signals
from routingsim.simulation.state import (
    ALL,
    ESCALATED,
    FIRST_CALLS,
    LOG,
    PRICE,
    PROMPT,
    QUALITY,
    RULES,
    SERVED,
    STATE,
    SYSTEM,
    WORKLOAD,
    Log,
    Rules,
    State,
    System,
    Workload,
    empty_state,
    grown,
    log_of,
)
from routingsim.simulation.tables import table

# What the loop returns: all is done, or it needs room for more calls, or the next tasks.
DONE, GROW = -1, -2


@inlined
def _note(s, a):
    """Update what policies see of agent ``a``."""
    agent = s.agents[a]
    busy, queued = agent.busy, agent.queued
    s.busy[a], s.queued[a] = busy, queued
    if s.counters[LOADS] > 1:
        s.wait[a] = 0.0
        if busy + queued >= agent.slots:
            s.wait[a] = (queued + 1) * agent.mean_service / agent.slots
    if agent.shares:
        s.speed[a] = 1.0 / (1.0 + agent.sharing * lesser(busy, agent.slots - 1))
    if s.counters[RANKS]:
        rank_agent(s, a)


@inlined
def _holds(s, kind, number, c, time):
    """Whether the end of a call is still to come as it was put on the calendar."""
    call = s.calls[c]
    state = SERVING if kind == DEPART else WAITING
    return (call.state == state) & (call.task == number) & (call.due == time)


@called
def _compact(s):
    """Drop events that no longer hold."""
    size, kept = s.counters[EVENTS], 0
    s.counters[EVENTS] = 0
    for k in range(size):
        time, code = s.events[k].time, s.events[k].code
        kind, number, c = parts(code)
        s.events[k].time = math.inf
        holds = True
        if kind == HEDGE:
            holds = hedge_holds(s, number, np.uint32(c), time)
        elif kind in (DEPART, EXPIRE):
            holds = _holds(s, kind, number, np.uint32(c), time)
        elif kind == SHARED:
            holds = s.agents[number].next_end == time
        elif kind == FIRST:
            holds = s.agents[number].next_first == time
        if holds:
            push_rare(s, time, code)  # into the places of events already read
            kept += 1
    return kept


@inlined
def _outcome(work, log, call, i):
    """The outcome, for a learning policy, of the try of task ``i`` that has just ended."""
    row, a, status = row_of(work, i), log.agent[i], log.status[i]
    first = (log.first[i] if log.first.size else log.finished[i]) - work.arrived[i]
    quality = log.quality[i] if log.quality.size else work.quality[row, a]
    if status == ESCALATED:  # the verdict of the judge is not part of the outcome
        status = OK
    return Outcome(
        np.int64(status),  # pyright: ignore[reportArgumentType]
        log.wait[i],
        log.finished[i] - log.left[i],
        log.finished[i] - work.arrived[i],
        call.paid,
        quality if status == OK else math.nan,
        first if status == OK else math.nan,
    )


@inlined
def _note_sending(work, log, call, i, a):
    """Write down what is known of a call when it is sent.

    Tasks come in order, so that what the log has of them is in the cache then. How a call is to
    end is written down when it starts, too; only if it ends in another way is that changed.
    """
    log.agent[i], log.attempts[i] = a, call.attempt + 1
    if not call.attempt:
        log.cost[i] = work.cost[row_of(work, i), np.uint16(a)]


@inlined
def _end(s, work, system, rules, log, agent, a, c, now, told, hedged):
    """Write down how a call has ended, and what it cost."""
    call = s.calls[c]
    i = np.uint32(call.task)
    status, served = call.status, call.state == SERVING
    if log.quality.size:
        log.quality[i] = math.nan
        if status in (OK, ESCALATED):
            factor = factor_at(system, QUALITY, a, call.sent)
            log.quality[i] = worth(work.quality[row_of(work, i), np.uint16(a)], factor)
    if log.first.size:
        answered = served and status != TIMED_OUT and status != FAILED
        log.first[i] = call.first if answered else math.nan
    more = told | hedged | (call.attempt > 0) | (agent.repriced > 0) | (call.judged > 0)
    if served & (status == OK) & (agent.shares == 0) & (not more):  # all is written down
        return
    wait, cost, paid = 0.0, 0.0, 0.0
    if call.attempt or (s.pairs.size and s.pairs[c].hedged):
        wait, cost = log.wait[i], log.cost[i]
    if served:
        wait += call.left - call.sent
        paid = work.cost[row_of(work, i), np.uint16(a)]
        if status == TIMED_OUT:
            if agent.billed == PROMPT:
                paid = work.prompt_cost[row_of(work, i), np.uint16(a)]
            elif agent.billed != ALL:
                share = call.takes
                if agent.sharing == 0.0:
                    share = (now - call.left) / (call.takes - call.left)
                paid *= share if agent.billed == SERVED else 0.0
        elif status == FAILED and work.failed_cost.size:
            paid = work.failed_cost[row_of(work, i), np.uint16(a)]
        if agent.repriced:
            paid *= factor_at(system, PRICE, a, call.sent)
        cost += paid
        if call.judged:
            cost += rules.judge_cost
    elif status == TIMED_OUT:
        wait += call.left
        call.left = now
    else:
        call.left = now
    call.paid = paid
    log.agent[i], log.status[i], log.attempts[i] = a, status, call.attempt + 1
    log.left[i], log.finished[i] = call.left, now
    log.wait[i], log.cost[i] = wait, cost


@inlined
def _begin_service(s, rules, log, agent, a, c, now, hedged):
    """Start a call, and put its end on the calendar."""
    call = s.calls[c]
    call.state, call.left = SERVING, now
    if agent.shares:
        begin_shared(s, rules, agent, a, c, now)
        if agent.breaks:
            enter_service(s, agent, c)
        return
    due = now + call.takes
    call.first += now
    if call.judged:
        due += rules.judge_seconds
    if agent.cuts:
        limit = math.inf
        if call.first > call.sent + agent.first_token_timeout:
            limit = call.sent + agent.first_token_timeout
        limit = lesser(limit, call.sent + agent.timeout)
        if limit < due:
            call.takes, call.status, call.judged = due, TIMED_OUT, 0
            due = greater(limit, now)
    call.due = due
    agent.busy += 1
    if not (hedged or call.attempt):
        i = np.uint32(call.task)
        log.left[i], log.wait[i] = now, now - call.sent
        log.finished[i], log.status[i] = due, call.status
    if agent.breaks:
        enter_service(s, agent, c)
    put(s, due, code_of(DEPART, call.task, c, copy_of(s, c)))


@called
def _rejects(s, work, a, call, now):
    """Whether the account of agent ``a`` rejects a call; if not, it takes it."""
    acc = s.agents[a].account
    opens = opens_at(s, work, acc, a, call, now)
    if opens > now:
        call.status, call.due = LIMITED, opens
        return True
    take_of(s, work, acc, a, call, now)
    return False


def pool_view(s, system):
    """What policies see: views of the arrays of the state."""
    return PoolView(
        *(s.busy, s.queued, system.slots, s.cost, s.wait, system.mean_service, s.up),
        *(s.room, system.mean_first, s.speed, s.price, s.ranking),
    )


@called
def _show_price(s, system, task):
    """Show policies what a task is expected to cost at each agent."""
    for a in range(s.price.size):
        cost = system.call_cost[a] + system.token_cost[a] * task.prompt_tokens
        s.price[a] = cost * s.agents[a].price_factor


@inlined
def _think(rules, key, index, part):
    return rules.think * (rng.exponential(key, index, part) if rules.think_cv else 1.0)


@called
def _begin(s, system, rules, think_key):
    """Put the first events on the calendar: outages, and the users' first thoughts."""
    s.counters[BEGUN] = 1
    if system.change_at.size:
        push_rare(s, system.change_at[0], code_of(CHANGE, 0, 0))
    for a in range(s.agents.size):
        if s.counters[RANKS]:
            rank_agent(s, a)
        if s.agents[a].breaks:
            push_rare(s, system.down[s.agents[a].outage], code_of(DOWN, a, 0))
    for user in range(rules.users):
        push_rare(s, _think(rules, think_key, user, 1), code_of(RETURN, 0, 0))


@whole(
    types.int64(
        *(STATE, WORKLOAD, SYSTEM, RULES, LOG, ByReference(POOL_VIEW)),
        *(types.FunctionType(CHOOSE), types.FunctionType(LEARN), types.int64),
        *(types.Array(types.float64, 1, "C"), types.int64),
    )
)
def _run(s, work, system, rules, log, pool, choose, learn, learns, memory, seed):
    """The loop, from where it was left.

    Returns ``DONE``, ``GROW`` (to be continued with a larger state or more tasks), or the task
    for which the policy returned no valid agent.
    """
    n = work.row.size
    m = system.slots.size
    keys = keys_of(seed)
    if n == 0:
        return DONE
    task = refer(task_view(work, keys.choice, 0, 0, 0.0))
    told = learns or rules.users > 0
    stale = are_stale(rules)
    hedged = rules.hedge >= 0.0 or rules.hedge_quantile > 0.0
    if not s.counters[BEGUN]:
        _begin(s, system, rules, keys.think)
    fresh = s.counters[FRESH]

    while True:
        if s.counters[HOLE]:
            fill_hole(s)
        full = False
        if s.counters[EVENTS] > s.events.size - s.calls.size - 64:
            full = _compact(s) > s.events.size - 2 * s.calls.size - 64
        full |= s.counters[FREE] < 0 and s.counters[USED] >= s.calls.size
        full |= fresh >= n and s.counters[MORE] > 0
        if full or (stale and s.counters[NEWS] > s.news.size - 4):
            s.counters[FRESH] = fresh
            return GROW

        if s.counters[FAR] and (not s.counters[EVENTS] or s.events[0].time >= s.bounds[UNTIL]):
            draw_near(s)

        # The next event: ``a`` is the agent at which something changes, ``ended`` the call that
        # ends, ``i`` the task that is sent, with the record ``c`` if it is a retry, or of the first
        # copy if it is the second.
        a, i, attempt, copy, kind = -1, -1, 0, 0, RETURN
        c = ended = begins = np.uint32(NONE)
        after, at = -1, 0.0  # the event that follows, if any, and its time
        next_arrival = work.arrived[fresh] if 0 <= fresh < n and rules.users == 0 else math.inf
        if s.counters[EVENTS] and s.events[0].time <= next_arrival:
            now = s.events[0].time
            kind, number, record = parts(s.events[0].code)
            s.counters[HOLE] = 1
            if s.calls.size > FIRST_CALLS:  # ask for what the events that may be next begin
                for k in range(1, 5):
                    call = s.calls[np.uint32(parts(s.events[k].code)[2])]
                    agent = s.agents[np.uint16(call.agent)]
                    if agent.queued:
                        prefetch(s.calls[np.uint32(agent.head)])
            c = np.uint32(record)
            call = s.calls[c]
            if kind == DEPART:
                if not _holds(s, kind, number, c, now):
                    continue
                a, ended = np.int64(call.agent), c
                agent = s.agents[np.uint16(a)]
                if agent.shares:
                    cut_shared(s, log, agent, a, c, now)
                elif call.status == TIMED_OUT and agent.holds:
                    hold_slot(s, log, a, now, call.takes)
                else:
                    agent.busy -= 1
                if agent.breaks:
                    leave_service(s, agent, c)
            elif kind == ENDED:
                i = np.int64(call.task)
                if learns:
                    if rules.shows_room:
                        show_room(s, now)
                    if stale:
                        show_signals(s, rules, keys, i, now)
                    told_of = (i, np.int64(call.attempt), now, copy_of(s, c))
                    rewrite(task, task_view(work, keys.choice, *told_of))
                    if rules.shows_price:
                        _show_price(s, system, task)
                    outcome = _outcome(work, log, call, i)
                    learn(task, np.int64(call.agent), outcome, pool, memory)
                at = sent_again(s, rules, log, keys, call, now)
                if at >= 0.0:
                    after = code_of(RETRY, i, c)
                else:
                    free(s, c)
                    if rules.users:
                        after, at = code_of(RETURN, 0, 0), now + _think(rules, keys.think, i, 0)
                i = -1
            elif kind == RETRY:
                i, attempt = number, np.int64(call.attempt) + 1
            elif kind == EXPIRE:
                if not _holds(s, kind, number, c, now):
                    continue
                a, ended = np.int64(call.agent), c
                agent = s.agents[np.uint16(a)]
                leave_queue(s, work, agent, c)
                call.status = TIMED_OUT
                if agent.waits:
                    waits_no_more(s, agent.account, c, now)
            elif kind == HEDGE:
                if not hedge_holds(s, number, c, now):
                    continue
                i, attempt, copy = number, np.int64(call.attempt), 1
                s.pairs[c].at = math.inf
            elif kind < RETURN:
                a = number
                if kind == CHANGE:
                    change(s, system, number)
                    continue
                if kind <= DOWN:
                    go(s, system, kind, a, now)
                elif kind == COOLED:
                    cooled(s, a)
                elif kind == FREED:
                    s.agents[np.uint16(a)].busy -= 1
                elif kind == FIRST:
                    agent = s.agents[np.uint16(a)]
                    if agent.next_first == now:
                        first_token(s, agent, a, now)
                    continue
                elif kind == SHARED:
                    agent = s.agents[np.uint16(a)]
                    if agent.next_end != now:
                        continue
                    ended = end_shared(s, log, agent, a, now)
                    if agent.breaks and ended != NONE:
                        leave_service(s, agent, ended)
                elif kind == LIMIT:
                    a = next_of(s, work, number)
        elif 0 <= fresh < n and rules.users == 0:
            now = next_arrival
        else:
            return DONE
        if kind == RETURN:
            if not 0 <= fresh < n:  # after the last task, users return in vain
                continue
            i = fresh
            fresh += 1
            work.arrived[i] = now
            c = np.uint32(NONE)
            if rules.budget >= 0.0:
                s.level[0] = lesser(rules.reserve, s.level[0] + rules.budget)

        sent = i >= 0
        if sent:
            # Does not depend on the choice; drawn before it, so that both run in parallel.
            drawn = draw_noise(s.agents[0].noise, keys.service, i, part_of(attempt, copy))
            if rules.shows_room:
                show_room(s, now)
            if stale:
                show_signals(s, rules, keys, i, now)
            rewrite(task, task_view(work, keys.choice, i, attempt, now, copy))
            if rules.shows_price:
                _show_price(s, system, task)
            if attempt or copy or s.counters[BOUNDED] or not s.counters[UPS]:
                given = (s, pool, system, work, log, rules, choose, memory, task)
                a = choose_with_care(*given, c)
                if a == NOBODY:
                    continue
            else:
                a = choose(task, pool, memory)
            if a < 0 or a >= m:
                return i
            first = c
            if c == NONE or copy:
                c = take(s)
                s.calls[c].tried = s.calls[first].tried if copy else -1
            call = s.calls[c]
            call.task, call.attempt, call.agent, call.sent = i, attempt, a, now
            if hedged:
                pair(s, log, c, first, copy)
            settle(s, work, rules, keys, call, copy, drawn)
            if not hedged:
                _note_sending(work, log, call, i, a)
            if stale:
                send_news(s, rules, keys, i, a, 1, now)
            if rules.cool_failures and s.agents[np.uint16(a)].cool == HALF_OPEN:
                probe(s, a, call)

        if a >= 0:
            agent = s.agents[np.uint16(a)]
            ready = agent.works and agent.busy < agent.slots
            if sent:
                call, straight = s.calls[c], ready and not agent.queued
                if agent.waits and straight:
                    straight = lets_start(s, work, agent.account, a, c, now)
                if s.counters[BOUNDED] and task.prompt_tokens > agent.context:
                    ended, call.status = c, TOO_LONG
                elif not straight and agent.queued >= agent.queue_limit:
                    ended, call.status = c, SHED
                elif agent.rejects and _rejects(s, work, a, call, now):
                    ended = c
                elif straight:
                    begins = c
                else:
                    enqueue(s, work, agent, c)
                    longest = longest_wait(agent, keys, i, part_of(attempt, copy))
                    call.state, call.left, call.due = WAITING, longest, now + longest
                    if longest < math.inf:
                        after, at = code_of(EXPIRE, i, c, copy), call.due
                    if agent.waits and ready and agent.queued == 1:
                        wait_for_limit(s, work, agent.account, a, c, now)
            elif agent.queued and ready:
                head = next_call(s, agent, a)
                if not agent.waits:
                    begins = head
                elif kind != LIMIT:
                    push_rare(s, now, code_of(LIMIT, agent.account, 0))
                elif lets_start(s, work, agent.account, a, head, now):
                    begins = head
                    s.accounts[agent.account].waiting = NONE
                    push_rare(s, now, code_of(LIMIT, agent.account, 0))
                else:
                    wait_for_limit(s, work, agent.account, a, head, now)
                if begins != NONE:
                    leave_queue(s, work, agent, begins)

            if ended != NONE:
                call = s.calls[ended]
                waited = log.wait[np.uint32(call.task)] if hedged else 0.0
                _end(s, work, system, rules, log, agent, a, ended, now, told, hedged)
                if stale:
                    send_news(s, rules, keys, np.int64(call.task), a, -1, now)
                if rules.cool_failures:
                    count_failure(s, rules, a, call, now)
                i, status = np.int64(call.task), call.status
                again = (rules.on >> np.int64(status)) & 1 and call.attempt + 1 < rules.attempts
                goes_on = False
                if hedged:
                    goes_on = copy_ends(
                        *(s, work, system, rules, log, keys, np.uint16(a), ended, waited, now)
                    )
                if goes_on:
                    pass
                elif told or again or status == ESCALATED:
                    call.state = IDLE
                    after, at = code_of(ENDED, i, ended), now
                else:
                    free(s, ended)

            if begins != NONE:
                _begin_service(s, rules, log, agent, a, begins, now, hedged)
                if agent.order == FAIR:
                    advance_clock(s, work, agent, np.uint16(a), s.calls[begins].task)
                if agent.waits:
                    take_of(s, work, agent.account, a, s.calls[begins], now)
                elif agent.queued and agent.busy < agent.slots:
                    push_rare(s, now, code_of(LOOK, a, 0))
            if hedged and sent and not copy and ended == NONE:
                set_hedge(s, rules, np.uint16(a), c, now)
            if s.counters[LOADS]:
                _note(s, np.uint16(a))
        if after >= 0:
            put(s, at, after)


def advance(
    state: State,
    work: Workload,
    system: System,
    rules: Rules,
    log: Log,
    pool: PoolView,
    kernels: tuple[Any, Any],
    memory: NDArray[np.float64],
    seed: int,
    *,
    learns: bool,
) -> tuple[State, int]:
    """Run from ``state`` until all is done or, if there are ``MORE`` tasks, the next is to come.

    Returns
    -------
    state : State
        From which to continue.
    found : int
        ``GROW`` where more tasks are to come, ``DONE``, or the task for which the policy returned
        no valid agent.
    """
    fixed = table(work, WORKLOAD), table(system, SYSTEM), table(rules, RULES), table(log, LOG)
    addresses = [words.ctypes.data for words in fixed]
    while True:
        words = table(state, STATE)
        found = _run(
            *(words.ctypes.data, *addresses, pool, *kernels, int(learns), memory, seed),
        )
        if found != GROW or (state.counters[MORE] and state.counters[FRESH] >= work.row.size):
            return state, found
        state = grown(state, rules)


def no_such_agent(choose: Kernel, task: int, agents: int) -> PolicyError:
    """What is raised where a policy returned an agent that does not exist."""
    return PolicyError(
        f"policy kernel {choose.name!r} returned an agent that does not exist for "
        f"task {task}; allowed: 0 to {agents - 1}"
    )


def run(
    work: Workload,
    system: System,
    rules: Rules,
    choose: Kernel,
    learn: Kernel,
    memory: NDArray[np.float64],
    seed: int,
    *,
    interpreted: bool = False,
    categories: Sequence[int] | None = None,
) -> Log:
    """Run all tasks of ``work`` through the agents of ``system``.

    Parameters
    ----------
    work, system, rules
        The tasks, the agents, and what happens after a failure. In a closed loop the
        arrivals are written to ``work.arrived``.
    choose, learn : Kernel
        The policy. ``no_learning`` is not called.
    memory : ndarray of float64
        The policy's memory, which the policy changes.
    seed : int
        Seed of all random numbers.
    interpreted : bool
        Run ``choose`` and ``learn`` as plain Python functions.
    categories : sequence of int, optional
        What ``task.category`` is in plain Python, one a record
        (:func:`routingsim.policies.category.categories`); by default its code.

    Raises
    ------
    PolicyError
        If the policy returns an agent that does not exist.
    """
    n, agents = work.row.size, system.slots.size
    state = empty_state(system, rules, work, choose, learn, memory)
    log = log_of(n, work, system, rules)
    learns, pool = learn is not no_learning, pool_view(state, system)
    if interpreted:
        from routingsim.simulation.python_callbacks import Callbacks

        stream = np.uint64(rng.stream(seed, rng.CHOICE))
        named = work.category.tolist() if categories is None else categories
        callbacks = Callbacks(choose, learn, work, pool, memory, stream, named)
        kernels, handed = callbacks.kernels, callbacks.addresses
    else:
        callbacks = None
        kernels, handed = (choose.compiled, learn.compiled), memory
    _, found = advance(
        *(state, work, system, rules, log, pool, kernels, handed, seed), learns=learns
    )
    if callbacks is not None and callbacks.error is not None:
        raise callbacks.error
    if found >= 0:
        raise no_such_agent(choose, found, agents)
    return log
