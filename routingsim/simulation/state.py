"""What the engine runs on and what it returns: columns of numbers, no objects.

Each NamedTuple of arrays has its numba type beside it, in capitals, for the engine's
signature.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, types
from numpy.typing import NDArray

from routingsim.policies.kernel import SHED, STATUS_NAMES

__all__ = [
    "CALL_STATUS",
    "DETERMINISTIC",
    "EXPONENTIAL",
    "LOG",
    "LOGNORMAL",
    "REJECTED",
    "RULES",
    "STATE",
    "SYSTEM",
    "WORKLOAD",
    "Log",
    "Rules",
    "State",
    "System",
    "Workload",
    "empty_log",
    "empty_state",
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


REJECTED = SHED + 1
"""Status of a try whose answer the judge of a cascade rejected; never a task's last."""

CALL_STATUS = (*STATUS_NAMES, "rejected")
"""Names of the statuses of a try, by code."""


_AGENT = np.dtype(
    [
        # as asked
        ("slots", np.int64),
        ("noise", np.int64),
        ("sigma", np.float64),
        ("mean_service", np.float64),
        ("error_rate", np.float64),
        ("patience", np.float64),
        ("queue_limit", np.int64),
        ("per_minute", np.int64),
        ("reserves", np.int64),  # 1 where a slot can stand reserved and idle
        # the queue: the first and last of a linked list of tasks, in order of leaving
        ("head", np.uint32),
        ("tail", np.uint32),
        # slots given to calls, and calls that have started (of agents limited per minute)
        ("given", np.int64),
        ("starts", np.int64),
        # the next outage to begin or end, as of now, and the end of the agent's outages
        ("outage", np.int64),
        ("outages_end", np.int64),
    ]
)
"""What the loop keeps of an agent, side by side: all of it is near once one of it is."""


class State(NamedTuple):
    """The pool at one moment."""

    # what policies see: slots in use, tasks waiting, expected wait, up or down
    busy: NDArray[np.int64]
    queued: NDArray[np.int64]
    wait: NDArray[np.float64]
    up: NDArray[np.int64]
    # when each agent next changes by itself
    due: NDArray[np.float64]
    agents: NDArray[np.void]  # (m,) of records
    # the times at which slots given to calls come free: a heap an agent
    free_at: NDArray[np.float64]
    # the ends of calls in service, kept apart only for agents that reserve: a heap an agent
    ends_at: NDArray[np.float64]
    # the last starts of agents limited per minute: a ring an agent
    started: NDArray[np.float64]
    # the task behind each task in its queue
    behind: NDArray[np.uint32]
    # events to come: a heap ordered by (time, code)
    time: NDArray[np.float64]
    code: NDArray[np.int64]
    size: NDArray[np.int64]  # (1,)


def empty_state(system: System, tasks: int, events: int) -> State:
    """State of an idle pool, with room for ``tasks`` tasks and ``events`` events."""
    m = system.slots.size
    deep = min(system.slots.max(), tasks)  # no more calls at once than tasks
    agents = np.zeros(m, _AGENT)
    for name in set(_AGENT.fields or ()) & set(System._fields):
        agents[name] = getattr(system, name)
    agents["outage"], agents["outages_end"] = system.first_outage[:-1], system.first_outage[1:]
    agents["reserves"] = (system.per_minute > 0) | (np.diff(system.first_outage) > 0)
    behind, time, code = _side_by_side(events, np.uint32, np.float64, np.int64)
    return State(
        busy=np.zeros(m, np.int64),
        queued=np.zeros(m, np.int64),
        wait=np.zeros(m),
        up=np.ones(m, np.int64),
        due=np.full(m, -math.inf),
        agents=agents,
        free_at=np.empty((m, deep)),
        ends_at=np.empty((m, deep)),
        started=np.empty((m, system.per_minute.max())),
        behind=behind,
        time=time,
        code=code,
        size=np.zeros(1, np.int64),
    )


def empty_log(tasks: int, attempts: int) -> Log:
    """Room for what becomes of ``tasks`` tasks with ``attempts`` tries each."""
    again = tasks * (attempts - 1)
    ended = _side_by_side(tasks, np.int16, np.int8, np.int16, *[np.float64] * 4)
    retried = _side_by_side(again, np.int32, np.int16, np.int8, np.float64, np.float64)
    log = Log(*ended, *retried, np.zeros(1, np.int64))  # pyright: ignore[reportCallIssue]
    log.attempts[:] = 0
    return log


def _side_by_side(size: int, *kinds: type) -> list[NDArray[Any]]:
    """Columns of ``size`` numbers in one block: a large one comes in pages of 2 MiB.

    Each page that the system hands out costs it time, and a column alone may be too short
    for the large ones: then that is a fifth of a run.
    """
    room = [-(-size * np.dtype(kind).itemsize // 64) * 64 for kind in kinds]
    block = np.empty(sum(room), np.uint8)
    ends = np.cumsum(room)
    columns = zip(np.split(block, ends[:-1]), kinds, strict=True)
    return [column.view(kind)[:size] for column, kind in columns]


_i1, _i2, _i4, _u4, _i8, _f8 = (
    types.Array(t, 1, "C")
    for t in (types.int8, types.int16, types.int32, types.uint32, types.int64, types.float64)
)
_table = types.Array(types.float64, 2, "C")
WORKLOAD = types.NamedTuple([_f8, _i4, _f8, _f8, _i8, *[_table] * 5], Workload)
SYSTEM = types.NamedTuple([_i8, _i8, _f8, _i8, _f8, _f8, _i8, _i8, _f8, _f8, _f8, _f8], System)
RULES = types.NamedTuple(
    (types.int64, *[types.float64] * 2, *[types.int64] * 2, types.float64, *[types.int64] * 2)
    + (types.float64,) * 4,
    Rules,
)
_agents = types.Array(from_dtype(_AGENT), 1, "C")
STATE = types.NamedTuple(
    [_i8, _i8, _f8, _i8, _f8, _agents, _table, _table, _table, _u4, _f8, _i8, _i8], State
)
LOG = types.NamedTuple([_i2, _i1, _i2, *[_f8] * 4, _i4, _i2, _i1, _f8, _f8, _i8], Log)
