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
from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from routingsim import rng
from routingsim.errors import PolicyError
from routingsim.policies.kernel import (
    CHOOSE,
    FAILED,
    LEARN,
    OK,
    SHED,
    TIMED_OUT,
    Kernel,
    Outcome,
    PoolView,
    TaskView,
    no_learning,
)
from routingsim.policies.numba_reference import refer, rewrite
from routingsim.simulation.calls import (
    IDLE,
    NONE,
    SERVING,
    WAITING,
    enqueue,
    enter_service,
    free,
    leave_queue,
    leave_service,
    take,
)
from routingsim.simulation.events import (
    BEGUN,
    DEPART,
    DOWN,
    ENDED,
    EVENTS,
    EXPIRE,
    FREE,
    FRESH,
    HOLE,
    LOOK,
    MOST_CALLS,
    RETRY,
    RETURN,
    UP,
    UPS,
    USED,
    called,
    code_of,
    fill_hole,
    inlined,
    parts,
    push,
    push_rare,
)
from routingsim.simulation.state import (
    EXPONENTIAL,
    LOG,
    LOGNORMAL,
    REJECTED,
    RULES,
    STATE,
    SYSTEM,
    WORKLOAD,
    Log,
    Rules,
    System,
    Workload,
    empty_log,
    empty_state,
    grown,
)

MINUTE = 60.0
DONE, GROW = -1, -2  # what the loop returns: all is done, or it needs room for more calls


@inlined
def _note(s, a):
    """Update what policies see of agent ``a``."""
    agent = s.agents[a]
    busy, queued = agent.busy, agent.queued
    s.busy[a], s.queued[a] = busy, queued
    s.wait[a] = 0.0
    if busy + queued >= agent.slots:
        s.wait[a] = (queued + 1) * agent.mean_service / agent.slots


@inlined
def _can_start(s, a, now):
    """Whether agent ``a`` can start a call now."""
    agent = s.agents[a]
    if not agent.works or agent.busy >= agent.slots:
        return False
    limit = agent.per_minute
    if limit and agent.starts >= limit:
        return now >= s.started[agent.first_start + agent.starts % limit] + MINUTE
    return True


@called
def _look_again(s, a, now):
    """Put the moment on the calendar at which agent ``a`` may start the next call in its queue.

    It needs one if it has calls that wait, a free slot, and no event that will free one.
    """
    agent = s.agents[a]
    limit, opens = agent.per_minute, now
    if limit and agent.starts >= limit:
        opens = max(opens, s.started[agent.first_start + agent.starts % limit] + MINUTE)
    if agent.works and opens != agent.opens:
        agent.opens = opens
        push(s, opens, code_of(LOOK, a, 0))


@called
def _go(s, system, kind, a, now):
    """Agent ``a`` goes up or down, and its next change is put on the calendar.

    Calls in service fail as it goes down, but for those that end at this very moment.
    """
    agent = s.agents[a]
    agent.opens = -math.inf
    if kind == UP:
        agent.outage += 1
        follows = agent.outage < agent.outages_end
        if not (follows and system.down[agent.outage] == now):
            agent.works = s.up[a] = 1
            s.count[UPS] += 1
            if follows:
                push(s, system.down[agent.outage], code_of(DOWN, a, 0))
            return
    else:
        agent.works = s.up[a] = 0
        s.count[UPS] -= 1
        c = np.uint32(agent.first)
        while c != NONE:
            call = s.calls[c]
            if call.due > now:
                call.due, call.status, call.judged = now, FAILED, 0
                push(s, now, code_of(DEPART, call.task, c))
            c = np.uint32(call.behind)
    push(s, system.up[agent.outage], code_of(UP, a, 0))


@inlined
def _holds(s, kind, number, c, time):
    """Whether the end of a call is still to come as it was put on the calendar."""
    call = s.calls[c]
    state = SERVING if kind == DEPART else WAITING
    return (call.state == state) & (call.task == number) & (call.due == time)


@called
def _compact(s):
    """Drop events that no longer hold."""
    size, kept = s.count[EVENTS], 0
    s.count[EVENTS] = 0
    for k in range(size):
        time, code = s.time[k], s.code[k]
        kind, number, c = parts(code)
        s.time[k] = math.inf
        if not (DEPART <= kind <= EXPIRE) or _holds(s, kind, number, np.uint32(c), time):
            push_rare(s, time, code)  # into the places of events already read
            kept += 1
    return kept


@inlined
def _draw(law, key, i, attempt):
    """The random number of a try's service time, which is the same for every agent."""
    if law == LOGNORMAL:
        return rng.normal(key, i, attempt)
    if law == EXPONENTIAL:
        return rng.uniform(key, i, attempt)
    return 1.0


@inlined
def _row(work, i):
    """The corpus record of task ``i``."""
    return np.uint32(work.row[i])


@inlined
def _task_view(work, stream, i, attempt, now):
    row = _row(work, i)
    return TaskView(
        i,
        attempt,
        now,
        stream,
        work.d_var[row],
        work.prompt_tokens[row],
        work.category[row],
        work.features[row],
        work.predicted[row],
    )


@called
def _choose_among(s, pool, choose, memory, task, hidden):
    """Ask the policy where an agent is down or ``hidden`` (-1 for none)."""
    m = s.up.size
    if hidden >= 0 and m > 1 and s.up[hidden]:
        if s.count[UPS] > 1:
            s.up[hidden] = 0
            a = choose(task, pool, memory)
            s.up[hidden] = 1
            return a
    elif s.count[UPS] > 0:
        return choose(task, pool, memory)
    # The task must wait somewhere, so the policy chooses among all.
    for b in range(m):
        s.up[b] = 1
    a = choose(task, pool, memory)
    for b in range(m):
        s.up[b] = s.agents[b].works
    return a


@inlined
def _choose(s, pool, rules, choose, memory, task, last):
    """Ask the policy; a retry with fallback hides the agent that has just failed, ``last``."""
    hidden = np.int64(last) if task.attempt and rules.fallback else -1
    if hidden < 0 and s.count[UPS] > 0:
        return choose(task, pool, memory)
    return _choose_among(s, pool, choose, memory, task, hidden)


@inlined
def _settle(s, work, rules, keys, call, drawn):
    """What a call that is sent will take in service, and how it will end there.

    ``drawn`` is the random number for agents whose service has the law of agent 0.
    """
    i, attempt, a = np.int64(call.task), np.int64(call.attempt), np.uint16(call.agent)
    agent, row = s.agents[a], _row(work, i)
    noise = (
        drawn
        if agent.noise == s.agents[0].noise
        else _draw(agent.noise, keys.service, i, attempt)
    )
    if agent.noise == LOGNORMAL:
        noise = math.exp(agent.sigma * (noise - 0.5 * agent.sigma))
    elif agent.noise == EXPONENTIAL:
        noise = -math.log(noise)
    call.takes = work.service[row, a] * noise
    rate = agent.error_rate
    if work.failed.size and not attempt and not math.isnan(work.failed[row, a]):
        rate = work.failed[row, a]  # what is recorded is of the first call
    failed = rate > 0.0 and rng.uniform(keys.error, i, attempt) < rate
    call.status = FAILED if failed else OK
    call.judged = 0
    if attempt + 1 < rules.levels and not failed:
        quality = work.quality[row, a]
        if not math.isnan(quality):
            call.judged = 1
            mistaken = rng.uniform(keys.judge, i, attempt) < rules.judge_error
            if (quality < rules.bar) != mistaken:
                call.status = REJECTED


class _Keys(NamedTuple):
    service: int
    error: int
    choice: int
    think: int
    judge: int


@inlined
def _keys(seed):
    return _Keys(
        rng.stream(seed, rng.SERVICE),
        rng.stream(seed, rng.ERROR),
        rng.stream(seed, rng.CHOICE),
        rng.stream(seed, rng.THINK),
        rng.stream(seed, rng.JUDGE),
    )


@inlined
def _note_retry(log, i):
    k = log.retries[0]
    log.retries[0] = k + 1
    log.retried[k] = i
    log.retried_agent[k] = log.agent[i]
    log.retried_status[k] = log.status[i]
    log.retried_left[k] = log.left[i]
    log.retried_ended[k] = log.finished[i]


@inlined
def _outcome(work, log, i):
    """What a learning policy is told about the try of task ``i`` that has just ended."""
    row, a, status = _row(work, i), log.agent[i], log.status[i]
    served = status != SHED and status != TIMED_OUT
    if status == REJECTED:  # the verdict of the judge is not part of the outcome
        status = OK
    return Outcome(
        np.int64(status),  # pyright: ignore[reportArgumentType]
        log.wait[i],
        log.finished[i] - log.left[i],
        log.finished[i] - work.arrived[i],
        work.cost[row, a] if served else 0.0,
        work.quality[row, a] if status == OK else math.nan,
    )


def pool_view(s, system):
    """What policies see: views of the arrays of the state."""
    return PoolView(s.busy, s.queued, system.slots, system.price, s.wait, system.mean_service, s.up)


_pool_view = inlined(pool_view)


@inlined
def _think(rules, key, index, part):
    return rules.think * (rng.exponential(key, index, part) if rules.think_cv else 1.0)


@called
def _begin(s, system, rules, think_key):
    """Put the first events on the calendar: outages, and the users' first thoughts."""
    s.count[BEGUN] = 1
    for a in range(s.agents.size):
        if s.agents[a].breaks:
            push(s, system.down[s.agents[a].outage], code_of(DOWN, a, 0))
    for user in range(rules.users):
        push(s, _think(rules, think_key, user, 1), code_of(RETURN, 0, 0))


@njit(  # pyright: ignore[reportCallIssue]
    types.int64(
        *(STATE, WORKLOAD, SYSTEM, RULES, LOG),
        *(types.FunctionType(CHOOSE), types.FunctionType(LEARN), types.int64),
        *(types.Array(types.float64, 1, "C"), types.int64),
    ),
    cache=True,
    nogil=True,
    _nrt=False,
    no_cfunc_wrapper=True,
)
def _run(s, work, system, rules, log, choose, learn, learns, memory, seed):
    """The loop, from where it was left.

    Returns ``DONE``, ``GROW`` (it goes on with a larger state), or the task for which the
    policy returned no valid agent.
    """
    # Passing by reference leaves less to compile; inlined, it makes the same loop.
    s, work, system, rules, log = refer(s), refer(work), refer(system), refer(rules), refer(log)
    n = work.row.size
    m = system.slots.size
    keys = _keys(seed)
    if n == 0:
        return DONE
    pool = refer(_pool_view(s, system))
    task = refer(_task_view(work, keys.choice, 0, 0, 0.0))
    told = learns or rules.users > 0
    if not s.count[BEGUN]:
        _begin(s, system, rules, keys.think)
    fresh = s.count[FRESH]

    while True:
        if s.count[HOLE]:
            fill_hole(s)
        if s.count[EVENTS] > s.time.size - s.calls.size - 64:
            _compact(s)
        if s.count[FREE] < 0 and s.count[USED] >= s.calls.size:
            s.count[FRESH] = fresh
            return GROW

        # The next event: ``a`` is the agent at which something changes, ``ended`` the call that
        # ends, ``i`` the task that is sent, with the record ``c`` if it is a retry.
        a, i, attempt, kind = -1, -1, 0, RETURN
        c = ended = begins = np.uint32(NONE)
        after, at = -1, 0.0  # the event that follows, if any, and its time
        next_arrival = work.arrived[fresh] if 0 <= fresh < n and rules.users == 0 else math.inf
        if s.count[EVENTS] and s.time[0] <= next_arrival:
            now = s.time[0]
            kind, number, record = parts(s.code[0])
            s.count[HOLE] = 1
            c = np.uint32(record)
            call = s.calls[c]
            if kind == DEPART:
                if not _holds(s, kind, number, c, now):
                    continue
                a, ended = np.int64(call.agent), c
                agent = s.agents[np.uint16(a)]
                agent.busy -= 1
                if agent.breaks:
                    leave_service(s, agent, c)
            elif kind == ENDED:
                i = np.int64(call.task)
                tried = np.int64(call.attempt) + 1
                if learns:
                    rewrite(task, _task_view(work, keys.choice, i, tried - 1, now))
                    learn(task, np.int64(call.agent), _outcome(work, log, i), pool, memory)
                rejected = call.status == REJECTED
                if rejected or (call.status == FAILED and tried < rules.attempts):
                    _note_retry(log, i)
                    pause = 0.0
                    if not rejected:
                        pause = rules.backoff * rules.factor ** np.float64(tried - 1)
                    after, at = code_of(RETRY, i, c), now + pause
                else:
                    if rules.users:
                        after, at = code_of(RETURN, 0, 0), now + _think(rules, keys.think, i, 0)
                    free(s, c)
                i = -1
            elif kind == RETRY:
                i, attempt = number, np.int64(call.attempt) + 1
            elif kind == EXPIRE:
                if not _holds(s, kind, number, c, now):
                    continue
                a, ended = np.int64(call.agent), c
                leave_queue(s, s.agents[np.uint16(a)], c)
                call.left, call.status = now, TIMED_OUT
            elif kind < LOOK:
                a = number
                _go(s, system, kind, a, now)
            elif kind == LOOK:
                a = number
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

        sent = i >= 0
        if sent:
            # Does not depend on the choice; drawn before it, so that both run in parallel.
            drawn = _draw(s.agents[0].noise, keys.service, i, attempt)
            rewrite(task, _task_view(work, keys.choice, i, attempt, now))
            last = -1 if c == NONE else np.int64(s.calls[c].agent)
            a = _choose(s, pool, rules, choose, memory, task, last)
            if a < 0 or a >= m:
                return i
            if c == NONE:
                c = take(s)
            call = s.calls[c]
            call.task, call.attempt, call.agent, call.sent = i, attempt, a, now
            _settle(s, work, rules, keys, call, drawn)

        if a >= 0:
            agent = s.agents[np.uint16(a)]
            ready = _can_start(s, np.uint16(a), now)
            if not sent:
                if agent.queued and ready:
                    begins = np.uint32(agent.head)
                    leave_queue(s, agent, begins)
                elif agent.queued and agent.busy < agent.slots:
                    _look_again(s, a, now)
            elif ready and not agent.queued:
                begins = c
            elif agent.queued < agent.queue_limit:
                enqueue(s, agent, c)
                s.calls[c].state = WAITING
                if agent.patience < math.inf:
                    after, at = code_of(EXPIRE, i, c), now + agent.patience
                s.calls[c].due = now + agent.patience
                if not ready and agent.queued == 1 and agent.busy < agent.slots:
                    _look_again(s, a, now)
            else:
                ended = c
                call = s.calls[c]
                call.left, call.status = now, SHED

            if ended != NONE:
                call = s.calls[ended]
                i = np.int64(call.task)
                wait, cost = 0.0, 0.0
                if call.attempt:
                    wait, cost = log.wait[i], log.cost[i]
                status = call.status
                if status == TIMED_OUT:
                    wait += agent.patience
                elif status != SHED:
                    wait += call.left - call.sent
                    cost += work.cost[_row(work, i), np.uint16(a)]
                    if call.judged:
                        cost += rules.judge_cost
                log.agent[i], log.status[i], log.attempts[i] = a, status, call.attempt + 1
                log.left[i], log.finished[i] = call.left, now
                log.wait[i], log.cost[i] = wait, cost
                again = status == FAILED and call.attempt + 1 < rules.attempts
                if told or again or status == REJECTED:
                    call.state = IDLE
                    after, at = code_of(ENDED, i, ended), now
                else:
                    free(s, ended)

            if begins != NONE:
                call = s.calls[begins]
                call.state, call.left = SERVING, now
                call.due = now + call.takes
                if call.judged:
                    call.due += rules.judge_seconds
                agent.busy += 1
                if agent.breaks:
                    enter_service(s, agent, begins)
                if agent.per_minute:
                    s.started[agent.first_start + agent.starts % agent.per_minute] = now
                    agent.starts += 1
                push(s, call.due, code_of(DEPART, call.task, begins))
                if agent.queued and agent.busy < agent.slots:
                    push_rare(s, now, code_of(LOOK, a, 0))
            _note(s, np.uint16(a))
        if after >= 0:
            push(s, at, after)


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
    state = empty_state(system, rules.users)
    log = empty_log(n, max(rules.attempts, rules.levels))
    learns = int(learn is not no_learning)
    if interpreted:
        from routingsim.simulation.python_callbacks import Callbacks

        stream = np.uint64(rng.stream(seed, rng.CHOICE))
        named = work.category.tolist() if categories is None else categories
        callbacks = Callbacks(choose, learn, work, pool_view(state, system), memory, stream, named)
        kernels, handed = callbacks.kernels, callbacks.addresses
    else:
        callbacks = None
        kernels, handed = (choose.compiled, learn.compiled), memory
    found = GROW
    while found == GROW:
        found = _run(state, work, system, rules, log, *kernels, learns, handed, seed)
        state = grown(state, rules.users) if found == GROW else state
    if callbacks is not None and callbacks.error is not None:
        raise callbacks.error
    if found >= 0:
        raise PolicyError(
            f"policy kernel {choose.name!r} returned an agent that does not exist for "
            f"task {found}; allowed: 0 to {agents - 1}"
        )
    return log
