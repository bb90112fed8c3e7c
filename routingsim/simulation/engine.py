"""The compiled event loop.

Queues are first in, first out, and the service time of a call depends only on
the task, the try and the agent. So all about a try is known when it is sent:
when it will start, when it will end, and with what status. The loop handles one
event for each try (its sending) and updates the pool's state lazily: freed slots
and tasks that have left a queue are processed when the next task is sent.

Three kinds of event wait in a heap, ordered by (time, kind, number): the *end* of
a try (only if something follows: a policy that learns, a retry, a cascade, a
closed loop), a *retry* after its back-off, and the *return* of a user of a closed
loop. Among equal times, new arrivals come last.

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
from routingsim.simulation.heaps import inlined, pop_event, push_event, push_time, sink_time
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
)

ENDED, RETRY, RETURN = range(3)
_KIND = 1 << 40  # an event's code is kind * _KIND + number


@inlined
def _refresh(s, system, log, now):
    """Bring all agents up to date to ``now``, inclusive."""
    for a in range(s.due.size):
        if s.due[a] <= now:
            _refresh_agent(s, system, log, a, now)


@inlined
def _refresh_agent(s, system, log, a, now):
    agent = s.agents[a]
    due = math.inf
    if agent.reserves:
        while s.busy[a] and s.ends_at[a, 0] <= now:
            s.busy[a] -= 1
            sink_time(s.ends_at[a], s.busy[a], s.ends_at[a, s.busy[a]])
    queued, head = s.queued[a], agent.head
    while queued and log.left[head] <= now:
        # In service: never more calls than slots.
        if agent.reserves and log.finished[head] > now:
            push_time(s.ends_at[a], s.busy[a], log.finished[head])
            s.busy[a] += 1
        head = s.behind[head]
        queued -= 1
    s.queued[a], agent.head = queued, head
    if queued:
        due = log.left[head]
    given = agent.given
    while given and s.free_at[a, 0] <= now:
        given -= 1
        sink_time(s.free_at[a], given, s.free_at[a, given])
    agent.given = given
    if given:
        due = min(due, s.free_at[a, 0])
    if agent.reserves:
        if s.busy[a]:
            due = min(due, s.ends_at[a, 0])
        while agent.outage < agent.outages_end and system.up[agent.outage] <= now:
            agent.outage += 1
        s.up[a] = 1
        if agent.outage < agent.outages_end:
            if system.down[agent.outage] <= now:
                s.up[a] = 0
                due = min(due, system.up[agent.outage])
            else:
                due = min(due, system.down[agent.outage])
    s.due[a] = due
    _note(s, agent, a)


@inlined
def _note(s, agent, a):
    """Update what policies see of agent ``a``."""
    if not agent.reserves:
        s.busy[a] = agent.given
    s.wait[a] = 0.0
    if s.busy[a] + s.queued[a] >= agent.slots:
        s.wait[a] = (s.queued[a] + 1) * agent.mean_service / agent.slots


@inlined
def _start(s, system, agent, a, now):
    """When a call sent to agent ``a`` at ``now`` would start."""
    start = now if agent.given < agent.slots else s.free_at[a, 0]
    if agent.reserves:
        limit = agent.per_minute
        if limit and agent.starts >= limit:
            start = max(start, s.started[a, agent.starts % limit] + 60.0)
        for o in range(agent.outage, agent.outages_end):
            if start < system.down[o]:
                break
            start = max(start, system.up[o])
    return start


@inlined
def _occupy(s, agent, a, now, start, end):
    """Assign a slot of agent ``a`` to a call."""
    if agent.given < agent.slots:
        push_time(s.free_at[a], agent.given, end)
        agent.given += 1
    else:
        sink_time(s.free_at[a], agent.given, end)
    if agent.reserves:
        if agent.per_minute:
            s.started[a, agent.starts % agent.per_minute] = start
            agent.starts += 1
        if start <= now:
            push_time(s.ends_at[a], s.busy[a], end)
            s.busy[a] += 1


@inlined
def _enqueue(s, agent, a, i):
    if s.queued[a]:
        s.behind[agent.tail] = i
    else:
        agent.head = i
    agent.tail = i
    s.queued[a] += 1


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


@inlined
def _choose(s, pool, system, log, rules, choose, memory, task):
    """Ask the policy; a retry with fallback hides the agent that has just failed."""
    if system.down.size == 0 and not (task.attempt and rules.fallback):
        return choose(task, pool, memory)
    hidden, kept = -1, 0
    if task.attempt and rules.fallback and s.up.size > 1:
        hidden = log.agent[task.index]
        kept = s.up[hidden]
        s.up[hidden] = 0
    nobody = True
    for b in range(s.up.size):
        if s.up[b]:
            nobody = False
    if nobody:  # the task must wait somewhere, so the policy chooses among all
        for b in range(s.up.size):
            s.up[b] = 1
    a = choose(task, pool, memory)
    if nobody:
        for b in range(s.up.size):
            s.up[b] = 0
    if hidden >= 0:
        s.up[hidden] = kept
    return a


@inlined
def _send(s, system, work, rules, log, keys, a, i, attempt, now, drawn):
    """Send try ``attempt`` of task ``i`` to agent ``a`` and log how and when it will end.

    ``drawn`` is the random number for agents whose service has the law of agent 0.
    Returns the status of the try and the time of its end.
    """
    agent = s.agents[a]
    wait, cost = 0.0, 0.0
    if attempt:
        wait, cost = log.wait[i], log.cost[i]
    start = _start(s, system, agent, a, now)
    if start > now and s.queued[a] >= agent.queue_limit:
        status, left, end = SHED, now, now
    elif start > now + agent.patience:
        status = TIMED_OUT
        left = end = now + agent.patience
        wait += agent.patience
        _enqueue(s, agent, a, i)
    else:
        row = _row(work, i)
        noise = (
            drawn
            if agent.noise == s.agents[0].noise
            else _draw(agent.noise, keys.service, i, attempt)
        )
        if agent.noise == LOGNORMAL:
            noise = math.exp(agent.sigma * (noise - 0.5 * agent.sigma))
        elif agent.noise == EXPONENTIAL:
            noise = -math.log(noise)
        left, end = start, start + work.service[row, a] * noise
        rate = agent.error_rate
        if work.failed.size and not attempt and not math.isnan(work.failed[row, a]):
            rate = work.failed[row, a]  # what is recorded is of the first call
        failed = rate > 0.0 and rng.uniform(keys.error, i, attempt) < rate
        judged = attempt + 1 < rules.levels and not failed
        if judged:
            judged = not math.isnan(work.quality[row, a])
        if judged:
            end += rules.judge_seconds
        if agent.reserves:  # an outage ends the calls in service
            for o in range(agent.outage, agent.outages_end):
                if start < system.down[o] < end:
                    end = system.down[o]
                    failed = True
                    break
        status = FAILED if failed else OK
        wait += start - now
        cost += work.cost[row, a]
        if judged and not failed:
            cost += rules.judge_cost
            mistaken = rng.uniform(keys.judge, i, attempt) < rules.judge_error
            if (work.quality[row, a] < rules.bar) != mistaken:
                status = REJECTED
        if start > now:
            _enqueue(s, agent, a, i)
        _occupy(s, agent, a, now, start, end)
    log.agent[i], log.status[i], log.attempts[i] = a, status, attempt + 1
    log.left[i], log.finished[i] = left, end
    log.wait[i], log.cost[i] = wait, cost
    if status != SHED:
        s.due[a] = min(s.due[a], left if left > now else end)
        _note(s, agent, a)
    return status, end


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
    """The loop. Returns -1, or the task for which the policy returned no valid agent."""
    # Passing by reference leaves less to compile; inlined, it makes the same loop.
    s, work, system, rules, log = refer(s), refer(work), refer(system), refer(rules), refer(log)
    n = work.row.size
    m = system.slots.size
    keys = _keys(seed)
    if n == 0:
        return -1
    pool = refer(_pool_view(s, system))
    task = refer(_task_view(work, keys.choice, 0, 0, 0.0))
    told = learns or rules.users > 0

    fresh = 0
    for user in range(rules.users):
        push_event(s, _think(rules, keys.think, user, 1), RETURN * _KIND)

    while True:
        next_arrival = work.arrived[fresh] if 0 <= fresh < n and rules.users == 0 else math.inf
        if s.size[0] and s.time[0] <= next_arrival:
            now, code = pop_event(s)
            kind, i = code // _KIND, code % _KIND
        elif 0 <= fresh < n and rules.users == 0:
            now, kind, i = next_arrival, RETURN, fresh
        else:
            return -1
        _refresh(s, system, log, now)

        after, at = -1, 0.0  # the event that follows from this one, if any, and its time
        if kind == ENDED:
            tried = log.attempts[i]
            if learns:
                rewrite(task, _task_view(work, keys.choice, i, tried - 1, now))
                learn(task, np.int64(log.agent[i]), _outcome(work, log, i), pool, memory)
            rejected = log.status[i] == REJECTED
            if rejected or (log.status[i] == FAILED and tried < rules.attempts):
                _note_retry(log, i)
                pause = 0.0 if rejected else rules.backoff * rules.factor ** np.float64(tried - 1)
                after, at = RETRY * _KIND + i, now + pause
            elif rules.users:
                after, at = RETURN * _KIND, now + _think(rules, keys.think, i, 0)
        elif kind == RETRY or 0 <= fresh < n:  # after the last task, users return in vain
            attempt = 0
            if kind == RETRY:
                attempt = np.int64(log.attempts[i])
            else:
                i = fresh
                fresh += 1
                work.arrived[i] = now
            # Does not depend on the choice; drawn before it, so that both run in parallel.
            drawn = _draw(s.agents[0].noise, keys.service, i, attempt)
            rewrite(task, _task_view(work, keys.choice, i, attempt, now))
            a = _choose(s, pool, system, log, rules, choose, memory, task)
            if a < 0 or a >= m:
                return i
            status, end = _send(s, system, work, rules, log, keys, a, i, attempt, now, drawn)
            again = status == FAILED and attempt + 1 < rules.attempts
            if told or again or status == REJECTED:
                after, at = ENDED * _KIND + i, end
        if after >= 0:
            push_event(s, at, after)


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
    state = empty_state(system, n, n + rules.users + 1)
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
    wrong = _run(state, work, system, rules, log, *kernels, learns, handed, seed)
    if callbacks is not None and callbacks.error is not None:
        raise callbacks.error
    if wrong >= 0:
        raise PolicyError(
            f"policy kernel {choose.name!r} returned an agent that does not exist for "
            f"task {wrong}; allowed: 0 to {agents - 1}"
        )
    return log
