"""The compiled event loop.

Queues are first in, first out and a call's service time is known once its
agent is, so everything about a try is known the moment it is sent: when it will
start, when it will end and how. The loop therefore handles one event a try
(its sending) and looks up the pool's state lazily: slots that have come free
and tasks that have left a queue are noticed when the next task asks.

Three kinds of event come back later and wait in a heap, ordered by (time,
kind, number): a try that *ended* (only kept when somebody must hear of it: a
policy that learns, a retry, a closed loop), a *retry* after its back-off, and a
*return* of a user of a closed loop. Fresh arrivals come last among equal times.

Times are seconds; tasks and agents are numbered from 0.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from routingsim import draws
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

__all__ = [
    "DETERMINISTIC",
    "EXPONENTIAL",
    "LOGNORMAL",
    "REJECTED",
    "Log",
    "Rules",
    "State",
    "System",
    "Workload",
    "empty_log",
    "empty_state",
    "pool_view",
    "run",
]

DETERMINISTIC, EXPONENTIAL, LOGNORMAL = range(3)


class Workload(NamedTuple):
    """The tasks (n of them) and the corpus records (rows) behind them, for m agents."""

    arrived: NDArray[np.float64]  # (n,) intended arrivals; written as they happen in a closed loop
    row: NDArray[np.int32]  # (n,) the record a task is
    d_var: NDArray[np.float64]  # (rows,)
    prompt_tokens: NDArray[np.float64]  # (rows,)
    category: NDArray[np.int64]  # (rows,)
    features: NDArray[np.float64]  # (rows, k)
    predicted: NDArray[np.float64]  # (rows, m)
    service: NDArray[np.float64]  # (rows, m) mean service time of a call, seconds
    cost: NDArray[np.float64]  # (rows, m) USD of a call
    quality: NDArray[np.float64]  # (rows, m) NaN where not recorded


class System(NamedTuple):
    """The agents (m of them), a column a quantity."""

    slots: NDArray[np.int64]
    noise: NDArray[np.int64]  # DETERMINISTIC, EXPONENTIAL or LOGNORMAL
    sigma: NDArray[np.float64]  # of the lognormal's logarithm
    queue_limit: NDArray[np.int64]
    patience: NDArray[np.float64]  # seconds, inf for none
    error_rate: NDArray[np.float64]
    per_minute: NDArray[np.int64]  # calls that may start in 60 s, 0 for no limit
    first_outage: NDArray[np.int64]  # (m + 1,) where an agent's outages begin in `down` and `up`
    down: NDArray[np.float64]
    up: NDArray[np.float64]
    price: NDArray[np.float64]  # USD per 1,000 tokens, for policies to see
    mean_service: NDArray[np.float64]  # seconds, for policies to see


class Rules(NamedTuple):
    """What happens after a failure, and who sends the tasks."""

    attempts: int  # tries a task has
    backoff: float  # seconds before the first retry
    factor: float  # by which each further back-off is longer
    fallback: int  # 1: a retry goes to another agent than the one that failed
    users: int  # of a closed loop; 0 where arrivals are given
    think: float  # seconds, mean
    think_cv: int  # 1: exponential think time, 0: constant
    # A judge looks at every answer but the last a cascade allows, in the agent's slot, and
    # sends the task on at once where it finds the answer wanting.
    levels: int = 1  # tries of a cascade, 1 for none
    bar: float = 0.0  # the least quality that is good enough
    judge_error: float = 0.0  # share of verdicts that are wrong
    judge_seconds: float = 0.0  # per verdict
    judge_cost: float = 0.0  # USD per verdict


class Log(NamedTuple):
    """What became of each task (n,)."""

    agent: NDArray[np.int16]
    status: NDArray[np.int8]
    attempts: NDArray[np.int16]
    left: NDArray[np.float64]  # the queue, on the last try: its start unless it timed out
    finished: NDArray[np.float64]
    wait: NDArray[np.float64]  # in queues, over all tries
    cost: NDArray[np.float64]  # USD, over all tries
    # tries after which the task was tried again, in order of their ends
    retried: NDArray[np.int32]  # the task
    retried_agent: NDArray[np.int16]
    retried_status: NDArray[np.int8]  # FAILED or REJECTED
    retried_left: NDArray[np.float64]
    retried_ended: NDArray[np.float64]
    retries: NDArray[np.int64]  # (1,) how many


class State(NamedTuple):
    """The pool at one moment."""

    # what policies see: slots in use, tasks waiting, expected wait, up or down
    busy: NDArray[np.int64]
    queued: NDArray[np.int64]
    wait: NDArray[np.float64]
    up: NDArray[np.int64]
    # when each agent next changes by itself
    due: NDArray[np.float64]
    # slots given to calls: a heap of the times at which they come free
    given: NDArray[np.int64]
    free_at: NDArray[np.float64]
    # calls in service, kept apart only for agents whose slots can stand reserved and idle
    reserves: NDArray[np.int64]
    ends_at: NDArray[np.float64]
    # the queue: a linked list of tasks, in order of leaving
    head: NDArray[np.int32]
    tail: NDArray[np.int32]
    behind: NDArray[np.int32]
    # the last starts of agents limited per minute: a ring
    started: NDArray[np.float64]
    starts: NDArray[np.int64]
    # the next outage to begin or end, as of now
    outage: NDArray[np.int64]
    # events to come: a heap ordered by (time, code)
    time: NDArray[np.float64]
    code: NDArray[np.int64]
    size: NDArray[np.int64]  # (1,)


REJECTED = SHED + 1
"""Status of a try whose answer the judge of a cascade sent on; never a task's last."""

ENDED, RETRY, RETURN = range(3)
_KIND = 1 << 40  # an event's code is kind * _KIND + number


# Without reference counts (_nrt) and inlined, handing over the state costs nothing: together
# these make the loop some twenty times as fast.
inlined: Any = njit(  # pyright: ignore[reportCallIssue]
    nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
)


@inlined
def _push_time(heap, size, value):
    """Add ``value`` to a heap of ``size`` times."""
    k = size
    while k > 0:
        parent = (k - 1) >> 1
        if heap[parent] <= value:
            break
        heap[k] = heap[parent]
        k = parent
    heap[k] = value


@inlined
def _sink_time(heap, size, value):
    """Replace the least of ``size`` times by ``value``."""
    k = 0
    while True:
        child = 2 * k + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = value


@inlined
def _push_event(s, time, code):
    k = s.size[0]
    s.size[0] += 1
    while k > 0:
        parent = (k - 1) >> 1
        if s.time[parent] < time or (s.time[parent] == time and s.code[parent] < code):
            break
        s.time[k], s.code[k] = s.time[parent], s.code[parent]
        k = parent
    s.time[k], s.code[k] = time, code


@inlined
def _pop_event(s):
    """Take the first event away: its time and code."""
    first = s.time[0], s.code[0]
    s.size[0] -= 1
    size = s.size[0]
    time, code = s.time[size], s.code[size]
    k = 0
    while True:
        child = 2 * k + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            s.time[right] < s.time[child]
            or (s.time[right] == s.time[child] and s.code[right] < s.code[child])
        ):
            child = right
        if time < s.time[child] or (time == s.time[child] and code < s.code[child]):
            break
        s.time[k], s.code[k] = s.time[child], s.code[child]
        k = child
    s.time[k], s.code[k] = time, code
    return first


@inlined
def _refresh(s, system, log, now):
    """Notice all that has happened to the agents up to and including ``now``."""
    for a in range(system.slots.size):
        if s.due[a] <= now:
            _refresh_agent(s, system, log, a, now)


@inlined
def _refresh_agent(s, system, log, a, now):
    due = math.inf
    if s.reserves[a]:
        while s.busy[a] and s.ends_at[a, 0] <= now:
            s.busy[a] -= 1
            _sink_time(s.ends_at[a], s.busy[a], s.ends_at[a, s.busy[a]])
        while s.queued[a] and log.left[s.head[a]] <= now:
            i = s.head[a]
            if log.finished[i] > now:  # still in service: never more of these than slots
                _push_time(s.ends_at[a], s.busy[a], log.finished[i])
                s.busy[a] += 1
            s.head[a] = s.behind[i]
            s.queued[a] -= 1
        if s.busy[a]:
            due = s.ends_at[a, 0]
        last = system.first_outage[a + 1]
        while s.outage[a] < last and system.up[s.outage[a]] <= now:
            s.outage[a] += 1
        s.up[a] = 1
        if s.outage[a] < last:
            if system.down[s.outage[a]] <= now:
                s.up[a] = 0
                due = min(due, system.up[s.outage[a]])
            else:
                due = min(due, system.down[s.outage[a]])
    else:
        while s.queued[a] and log.left[s.head[a]] <= now:
            s.head[a] = s.behind[s.head[a]]
            s.queued[a] -= 1
    while s.given[a] and s.free_at[a, 0] <= now:
        s.given[a] -= 1
        _sink_time(s.free_at[a], s.given[a], s.free_at[a, s.given[a]])
    if s.given[a]:
        due = min(due, s.free_at[a, 0])
    if s.queued[a]:
        due = min(due, log.left[s.head[a]])
    s.due[a] = due
    _note(s, system, a)


@inlined
def _note(s, system, a):
    """Bring what policies see of agent ``a`` up to date."""
    if not s.reserves[a]:
        s.busy[a] = s.given[a]
    s.wait[a] = 0.0
    if s.busy[a] + s.queued[a] >= system.slots[a]:
        s.wait[a] = (s.queued[a] + 1) * system.mean_service[a] / system.slots[a]


@inlined
def _start(s, system, a, now):
    """When a call sent to agent ``a`` now would start."""
    start = now if s.given[a] < system.slots[a] else s.free_at[a, 0]
    if s.reserves[a]:
        limit = system.per_minute[a]
        if limit and s.starts[a] >= limit:
            start = max(start, s.started[a, s.starts[a] % limit] + 60.0)
        for o in range(s.outage[a], system.first_outage[a + 1]):
            if start < system.down[o]:
                break
            start = max(start, system.up[o])
    return start


@inlined
def _occupy(s, system, a, now, start, end):
    """Give a slot of agent ``a`` to a call."""
    if s.given[a] < system.slots[a]:
        _push_time(s.free_at[a], s.given[a], end)
        s.given[a] += 1
    else:
        _sink_time(s.free_at[a], s.given[a], end)
    if s.reserves[a]:
        if system.per_minute[a]:
            s.started[a, s.starts[a] % system.per_minute[a]] = start
            s.starts[a] += 1
        if start <= now:
            _push_time(s.ends_at[a], s.busy[a], end)
            s.busy[a] += 1


@inlined
def _enqueue(s, a, i):
    if s.queued[a]:
        s.behind[s.tail[a]] = i
    else:
        s.head[a] = i
    s.tail[a] = i
    s.queued[a] += 1


@inlined
def _service(system, work, key, a, row, i, attempt):
    """Service time of one try. The noise belongs to the task: every agent meets the same."""
    mean = work.service[row, a]
    noise = system.noise[a]
    if noise == DETERMINISTIC:
        return mean
    if noise == EXPONENTIAL:
        return mean * draws.exponential(key, i, attempt)
    sigma = system.sigma[a]
    return mean * math.exp(sigma * (draws.normal(key, i, attempt) - 0.5 * sigma))


@inlined
def _task_view(work, seed_key, i, attempt, now):
    row = work.row[i]
    key = draws.bits(seed_key, i, attempt)
    return TaskView(
        i,
        attempt,
        now,
        work.d_var[row],
        work.prompt_tokens[row],
        work.category[row],
        key,
        draws.uniform(key, 0, 0),
        work.features[row],
        work.predicted[row],
    )


@inlined
def _choose(s, pool, system, log, rules, choose, memory, task):
    """Ask the policy; a retry with fallback hides the agent that has just failed."""
    hidden, kept = -1, 0
    if task.attempt and rules.fallback and s.up.size > 1:
        hidden = log.agent[task.index]
        kept = s.up[hidden]
        s.up[hidden] = 0
    nobody = True
    for b in range(s.up.size):
        if s.up[b]:
            nobody = False
    if nobody:  # the task must wait somewhere: the policy chooses among all
        s.up[:] = 1
    a = choose(task, pool, memory)
    if nobody:
        s.up[:] = 0
    if hidden >= 0:
        s.up[hidden] = kept
    return a


@inlined
def _send(s, system, work, rules, log, keys, a, i, attempt, now):
    """Send try ``attempt`` of task ``i`` to agent ``a``: all that will become of it."""
    log.agent[i] = a
    log.attempts[i] = attempt + 1
    start = _start(s, system, a, now)
    if start > now and s.queued[a] >= system.queue_limit[a]:
        log.status[i] = SHED
        log.left[i] = log.finished[i] = now
        return
    if start > now + system.patience[a]:
        log.status[i] = TIMED_OUT
        log.left[i] = log.finished[i] = now + system.patience[a]
        log.wait[i] += system.patience[a]
        _enqueue(s, a, i)
    else:
        row = work.row[i]
        end = start + _service(system, work, keys.service, a, row, i, attempt)
        rate = system.error_rate[a]
        failed = rate > 0.0 and draws.uniform(keys.error, i, attempt) < rate
        quality = work.quality[row, a]
        judged = attempt + 1 < rules.levels and not failed and not math.isnan(quality)
        if judged:
            end += rules.judge_seconds
        if s.reserves[a]:  # an outage cuts off the calls it finds in service
            for o in range(s.outage[a], system.first_outage[a + 1]):
                if start < system.down[o] < end:
                    end = system.down[o]
                    failed = True
                    break
        log.status[i] = FAILED if failed else OK
        log.left[i] = start
        log.finished[i] = end
        log.wait[i] += start - now
        log.cost[i] += work.cost[row, a]
        if judged and not failed:
            log.cost[i] += rules.judge_cost
            mistaken = draws.uniform(keys.judge, i, attempt) < rules.judge_error
            if (quality < rules.bar) != mistaken:
                log.status[i] = REJECTED
        if start > now:
            _enqueue(s, a, i)
        _occupy(s, system, a, now, start, end)
    due = min(log.finished[i], log.left[i]) if log.left[i] > now else log.finished[i]
    s.due[a] = min(s.due[a], due)
    _note(s, system, a)


class _Keys(NamedTuple):
    service: int
    error: int
    choice: int
    think: int
    judge: int


@inlined
def _keys(seed):
    return _Keys(
        draws.stream(seed, draws.SERVICE),
        draws.stream(seed, draws.ERROR),
        draws.stream(seed, draws.CHOICE),
        draws.stream(seed, draws.THINK),
        draws.stream(seed, draws.JUDGE),
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
    """What a learning policy is told of the try of task ``i`` that has just ended."""
    row, a, status = work.row[i], log.agent[i], log.status[i]
    served = status in (OK, FAILED, REJECTED)
    if status == REJECTED:  # the judge's verdict is not the outcome's
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
    """What policies see, over the state's own arrays."""
    return PoolView(s.busy, s.queued, system.slots, system.price, s.wait, system.mean_service, s.up)


_pool_view = inlined(pool_view)


@inlined
def _think(rules, key, index, part):
    return rules.think * (draws.exponential(key, index, part) if rules.think_cv else 1.0)


def empty_state(system: System, tasks: int, events: int) -> State:
    """State of an idle pool, with room for ``tasks`` tasks and ``events`` events."""
    m = system.slots.size
    deep = system.slots.max()
    reserves = ((system.per_minute > 0) | (np.diff(system.first_outage) > 0)).astype(np.int64)
    return State(
        np.zeros(m, np.int64),
        np.zeros(m, np.int64),
        np.zeros(m),
        np.ones(m, np.int64),
        np.full(m, -math.inf),
        np.zeros(m, np.int64),
        np.empty((m, deep)),
        reserves,
        np.empty((m, deep)),
        np.zeros(m, np.int32),
        np.zeros(m, np.int32),
        np.empty(tasks, np.int32),
        np.empty((m, system.per_minute.max())),
        np.zeros(m, np.int64),
        system.first_outage[:-1].copy(),
        np.empty(events),
        np.empty(events, np.int64),
        np.zeros(1, np.int64),
    )


_i1, _i2, _i4, _i8, _f8 = (
    types.Array(t, 1, "C")
    for t in (types.int8, types.int16, types.int32, types.int64, types.float64)
)
_table = types.Array(types.float64, 2, "C")
_workload = types.NamedTuple([_f8, _i4, _f8, _f8, _i8, *[_table] * 5], Workload)
_system = types.NamedTuple([_i8, _i8, _f8, _i8, _f8, _f8, _i8, _i8, _f8, _f8, _f8, _f8], System)
_rules = types.NamedTuple(
    (types.int64, *[types.float64] * 2, *[types.int64] * 2, types.float64, *[types.int64] * 2)
    + (types.float64,) * 4,
    Rules,
)
_heaps = [_i4] * 3 + [_table, _i8, _i8, _f8, _i8, _i8]
_state = types.NamedTuple([_i8, _i8, _f8, _i8, _f8, _i8, _table, _i8, _table, *_heaps], State)
_log = types.NamedTuple([_i2, _i1, _i2, *[_f8] * 4, _i4, _i2, _i1, _f8, _f8, _i8], Log)


@njit(  # pyright: ignore[reportCallIssue]
    types.int64(
        *(_state, _workload, _system, _rules, _log),
        *(types.FunctionType(CHOOSE), types.FunctionType(LEARN), types.int64, _f8, types.int64),
    ),
    cache=True,
    nogil=True,
    _nrt=False,
)
def _run(s, work, system, rules, log, choose, learn, learns, memory, seed):
    """The loop. Returns -1, or the task for which the policy named no agent there is."""
    n = work.row.size
    m = system.slots.size
    keys = _keys(seed)
    pool = _pool_view(s, system)
    told = learns or rules.users > 0

    fresh = 0
    for user in range(rules.users):
        _push_event(s, _think(rules, keys.think, user, 1), RETURN * _KIND)

    while True:
        next_arrival = work.arrived[fresh] if fresh < n and rules.users == 0 else math.inf
        if s.size[0] and s.time[0] <= next_arrival:
            now, code = _pop_event(s)
            kind, i = code // _KIND, code % _KIND
        elif fresh < n and rules.users == 0:
            now, kind, i = next_arrival, RETURN, fresh
        else:
            return -1
        _refresh(s, system, log, now)

        if kind == ENDED:
            tried = log.attempts[i]
            if learns:
                task = _task_view(work, keys.choice, i, tried - 1, now)
                learn(task, np.int64(log.agent[i]), _outcome(work, log, i), pool, memory)
            if log.status[i] == REJECTED:
                _note_retry(log, i)
                _push_event(s, now, RETRY * _KIND + i)
            elif log.status[i] == FAILED and tried < rules.attempts:
                _note_retry(log, i)
                pause = rules.backoff * rules.factor ** np.float64(tried - 1)
                _push_event(s, now + pause, RETRY * _KIND + i)
            elif rules.users:
                _push_event(s, now + _think(rules, keys.think, i, 0), RETURN * _KIND)
            continue

        attempt = 0
        if kind == RETRY:
            attempt = np.int64(log.attempts[i])
        else:
            if fresh == n:  # a user returns, and the run is over
                continue
            i = fresh
            fresh += 1
            work.arrived[i] = now
            log.wait[i] = log.cost[i] = 0.0
        task = _task_view(work, keys.choice, i, attempt, now)
        a = _choose(s, pool, system, log, rules, choose, memory, task)
        if a < 0 or a >= m:
            return i
        _send(s, system, work, rules, log, keys, a, i, attempt, now)
        again = log.status[i] == FAILED and attempt + 1 < rules.attempts
        if told or again or log.status[i] == REJECTED:
            _push_event(s, log.finished[i], ENDED * _KIND + i)


def empty_log(tasks: int, attempts: int) -> Log:
    """Room for what becomes of ``tasks`` tasks with ``attempts`` tries each."""
    again = tasks * (attempts - 1)
    return Log(
        agent=np.empty(tasks, np.int16),
        status=np.empty(tasks, np.int8),
        attempts=np.zeros(tasks, np.int16),
        left=np.empty(tasks),
        finished=np.empty(tasks),
        wait=np.empty(tasks),
        cost=np.empty(tasks),
        retried=np.empty(again, np.int32),
        retried_agent=np.empty(again, np.int16),
        retried_status=np.empty(again, np.int8),
        retried_left=np.empty(again),
        retried_ended=np.empty(again),
        retries=np.zeros(1, np.int64),
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
) -> Log:
    """Run all tasks of ``work`` through the agents of ``system``.

    Parameters
    ----------
    work, system, rules
        The tasks, the agents, and what happens after a failure. In a closed loop
        ``work.arrived`` is written.
    choose, learn : Kernel
        The policy. ``no_learning`` is not called.
    memory : ndarray of float64
        The policy's memory; it is written to.
    seed : int
        Of every draw.
    interpreted : bool
        Run ``choose`` and ``learn`` as plain Python functions.

    Raises
    ------
    PolicyError
        If the policy names an agent that does not exist.
    """
    n, agents = work.row.size, system.slots.size
    state = empty_state(system, n, n + rules.users + 1)
    log = empty_log(n, max(rules.attempts, rules.levels))
    learns = int(learn is not no_learning)
    if interpreted:
        from routingsim.simulation.interpreted import Callbacks

        callbacks = Callbacks(choose, learn, work, pool_view(state, system), memory)
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
