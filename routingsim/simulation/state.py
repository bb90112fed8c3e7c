"""Input, state and output of the engine, as arrays of numbers.

Each NamedTuple of arrays has its numba type below, in capitals, for the engine's
signature.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
from numba import from_dtype, types
from numpy.typing import NDArray

from routingsim.policies.kernel import FAILED, STATUS_NAMES, TOO_LONG, Kernel
from routingsim.policies.ranking import (
    BY_LATENCY,
    BY_LOAD,
    BY_MEMORY,
    UNRANKED,
    first_leaf,
    ranking_size,
)
from routingsim.policies.reads import may_read_load, may_read_wait
from routingsim.simulation.cache_lines import memory, records, whole_lines
from routingsim.simulation.calls import CALL, NONE, PAIR
from routingsim.simulation.events import (
    BOUNDED,
    COUNTERS,
    EVENT,
    EVENTS,
    FREE,
    LEAF,
    LOADS,
    MOST_CALLS,
    NEWS_FIRST,
    PARTS_USED,
    RANKS,
    UPS,
    USED,
)
from routingsim.simulation.ladder import BOUNDS, PART, UNTIL, room_for
from routingsim.simulation.latencies import BINS
from routingsim.simulation.queues import FAIR, LINE, PRIORITY
from routingsim.simulation.sharing import NODE
from routingsim.simulation.tables import TableType

DETERMINISTIC, EXPONENTIAL, LOGNORMAL = range(3)
WINDOW_LAWS = SLIDING, FIXED, BUCKET = range(3)
REQUESTS, TOKENS, DAILY, WINDOWS = range(4)
MINUTE, DAY = 60.0, 86_400.0
CHANGES = SPEED, ERRORS, LISTED, PRICE, QUALITY = range(5)
BILLED = ALL, SERVED, NOTHING, PROMPT = range(4)
"""What a call that is cut off in service costs: all, its share of the service, nothing, or its
prompt."""


class Workload(NamedTuple):
    """n tasks, the corpus records (rows) that they refer to, and their figures for m agents."""

    arrived: NDArray[np.float64]  # (n,) intended arrivals; in a closed loop the engine writes them
    row: NDArray[np.int32]  # (n,) index of the task's record
    d_var: NDArray[np.float64]  # (rows,)
    prompt_tokens: NDArray[np.float64]  # (rows,)
    category: NDArray[np.int64]  # (rows,)
    features: NDArray[np.float64]  # (rows, k)
    predicted: NDArray[np.float64]  # (rows, m)
    service: NDArray[np.float64]  # (rows, m) mean service time of a call, seconds
    cost: NDArray[np.float64]  # (rows, m) USD of a call
    quality: NDArray[np.float64]  # (rows, m) NaN where not recorded
    # (rows, m) 1 if the recorded call failed, 0 if not, NaN if unknown; (0, 0) if none is recorded
    failed: NDArray[np.float64] = np.zeros((0, 0))
    # (rows, m) seconds in service before the first token; (0, 0) if all come at the end
    first: NDArray[np.float64] = np.zeros((0, 0))
    # (rows, m) tokens of a call, prompt and answer, whole; (0, 0) if no limit counts them
    tokens: NDArray[np.float64] = np.zeros((0, 0))
    # (rows, m) USD of a prompt alone, and of a call that fails; (0, 0) if none is billed so
    prompt_cost: NDArray[np.float64] = np.zeros((0, 0))
    failed_cost: NDArray[np.float64] = np.zeros((0, 0))
    # (n,) priority, 0 to 255, and code of the tenant; (0,) if all are 0
    priority: NDArray[np.int16] = np.zeros(0, np.int16)
    tenant: NDArray[np.int32] = np.zeros(0, np.int32)
    weight: NDArray[np.float64] = np.ones(1)  # (tenants,)


class System(NamedTuple):
    """The m agents, one array for each quantity."""

    slots: NDArray[np.int64]
    noise: NDArray[np.int64]  # DETERMINISTIC, EXPONENTIAL or LOGNORMAL
    sigma: NDArray[np.float64]  # standard deviation of the lognormal's logarithm
    queue_limit: NDArray[np.int64]
    patience: NDArray[np.float64]  # seconds, inf for none
    error_rate: NDArray[np.float64]
    first_outage: NDArray[np.int64]  # (m + 1,) where an agent's outages begin in `down` and `up`
    down: NDArray[np.float64]
    up: NDArray[np.float64]
    price: NDArray[np.float64]  # USD per 1,000 tokens, for policies to see
    mean_service: NDArray[np.float64]  # seconds, for policies to see
    impatient: NDArray[np.int64]  # 1: patience is exponential, 0: constant
    timeout: NDArray[np.float64]  # seconds from the sending to the end, inf for none
    first_token_timeout: NDArray[np.float64]  # seconds from the sending to the first token
    holds: NDArray[np.int64]  # 1: a call that is cut off holds its slot to its natural end
    billed: NDArray[np.int64]  # what a call that is cut off costs: BILLED
    fallback: NDArray[np.int64]  # the agent that gets the tasks that fail here, -1 for none
    context: NDArray[np.float64]  # tokens of the longest prompt, inf for no bound
    sharing: NDArray[np.float64]  # what each further call adds to a call's time, as a share of it
    mean_first: NDArray[np.float64]  # seconds to the first token, for policies to see
    listed: NDArray[np.int64]  # 1 if policies are offered it at the beginning
    # what changes, in order of time: when, of which agent, what (CHANGES), and its new value
    change_at: NDArray[np.float64]
    change_agent: NDArray[np.int64]
    change_what: NDArray[np.int64]
    change_value: NDArray[np.float64]
    # The accounts, each with WINDOWS limits (0 for none), requests a minute, tokens a minute,
    # requests a day; the law of its windows; and whether it rejects calls or lets them wait.
    account: NDArray[np.int64]  # (m,) -1 for none
    limits: NDArray[np.float64]
    window: NDArray[np.int64]  # SLIDING, FIXED or BUCKET
    rejects: NDArray[np.int64]
    order: NDArray[np.int64]  # (m,) FIFO, PRIORITY or FAIR
    # USD that a call is expected to cost, and that each token of its prompt adds
    call_cost: NDArray[np.float64]
    token_cost: NDArray[np.float64]


class Rules(NamedTuple):
    """What happens after a failure, and who sends the tasks."""

    attempts: int  # most tries of a task
    backoff: float  # seconds before the first retry
    factor: float  # each further back-off is this many times as long
    fallback: int  # 1: for a retry, the agent that failed counts as down; 2: all that failed
    users: int  # users of a closed loop; 0 if arrivals are given
    think: float  # mean think time, seconds
    think_cv: int  # 1: exponential think time, 0: constant
    # The judge of a cascade assesses every answer except that of the last level, in the
    # agent's slot. If the answer is not good enough, the task is sent on at once.
    levels: int = 1  # most tries of a cascade, 1 for no cascade
    bar: float = 0.0  # the lowest quality that is good enough
    judge_error: float = 0.0  # share of verdicts that are wrong
    judge_seconds: float = 0.0  # per verdict
    judge_cost: float = 0.0  # USD per verdict
    on: int = 1 << FAILED  # the statuses that are tried again: a bit for each
    jitter: float = 0.0  # share of a back-off that is random
    # Retries are paid for by a budget that each task fills by `budget`, -1 for no budget, up to
    # `reserve`, with which it begins.
    budget: float = -1.0
    reserve: float = 0.0
    # After `cool_failures` (0: never) of the statuses `cool_on` within `cool_within` seconds an
    # agent is not offered for `cool_seconds`, then for one call.
    cool_failures: int = 0
    cool_within: float = 0.0
    cool_seconds: float = 0.0
    cool_on: int = 0
    signal_delay: float = 0.0  # seconds until a router sees the calls of the others
    routers: int = 1
    shows_room: int = 0  # 1: the policy may read how much of each limit is left
    shows_price: int = 0  # 1: the policy may read what this task is expected to cost
    retry_after: int = 1  # 1: a call that was rejected is not sent again before the limit opens
    # A second copy of a try is sent after so many seconds, -1 for never, or (> 0) after a quantile
    # of the times of the agent's first copies, once there are `hedge_least` of them.
    hedge: float = -1.0
    hedge_quantile: float = 0.0
    hedge_least: int = 1


def hedges(rules: Rules) -> bool:
    """Whether a try may have two copies."""
    return rules.hedge >= 0.0 or rules.hedge_quantile > 0.0


class Log(NamedTuple):
    """The outcome of each of n tasks, and of the tries that were followed by another."""

    agent: NDArray[np.int16]
    status: NDArray[np.int8]
    attempts: NDArray[np.int16]
    left: NDArray[np.float64]  # when the last try left the queue: its start, unless timed out
    finished: NDArray[np.float64]
    wait: NDArray[np.float64]  # seconds in queues, over all tries
    cost: NDArray[np.float64]  # USD, over all tries
    # tries that were followed by a retry, in order of their ends
    retried: NDArray[np.int32]  # the task
    retried_agent: NDArray[np.int16]
    retried_status: NDArray[np.int8]  # never OK
    retried_left: NDArray[np.float64]
    retried_ended: NDArray[np.float64]
    retries: NDArray[np.int64]  # (1,) number of these tries
    # (n,) when the answer's first token came, NaN without an answer; (0,) if at its end
    first: NDArray[np.float64]
    retried_next: NDArray[np.float64]  # when the task was sent again
    retried_before: NDArray[np.int32]  # index of the try before, among these; -1 for none
    # calls that were cut off and held their slots: agent, from when, until when, how many
    held_agent: NDArray[np.int16]
    held_from: NDArray[np.float64]
    held_until: NDArray[np.float64]
    holds: NDArray[np.int64]
    # copies of tries that did not decide how the try ended
    lost: NDArray[np.int32]  # the task
    lost_attempt: NDArray[np.int16]
    lost_copy: NDArray[np.int8]
    lost_agent: NDArray[np.int16]
    lost_status: NDArray[np.int8]  # CANCELLED, or without an answer
    lost_left: NDArray[np.float64]
    lost_ended: NDArray[np.float64]
    lost_hedged: NDArray[np.float64]  # when the second copy was sent
    lost_cost: NDArray[np.float64]  # USD
    losses: NDArray[np.int64]
    # (n,) quality of the answer, NaN without one; (0,) if no change of quality is planned
    quality: NDArray[np.float64]


ESCALATED = TOO_LONG + 1
"""Status of a try whose answer the judge of a cascade sent on; never a task's last."""

CANCELLED = ESCALATED + 1
"""Status of a copy that was cancelled, as the other had answered; never a task's."""

CALL_STATUS = (*STATUS_NAMES, "escalated", "cancelled")
"""Names of the statuses of a try, by code."""


_AGENT = whole_lines(
    [
        # What nearly every call needs, in the first 64 bytes: slots in use, calls that wait,
        ("busy", np.int32),
        ("queued", np.int32),
        ("slots", np.int32),
        ("queue_limit", np.int32),
        # the standard deviation of the lognormal's logarithm,
        ("sigma", np.float64),
        ("error_rate", np.float64),
        ("mean_service", np.float64),
        ("head", np.uint32),  # its queue where that is first come, first served: a LINE,
        ("tail", np.uint32),
        ("line", np.int32),  # the first line of its queue,
        ("noise", np.int8),
        ("works", np.int8),  # 1 if it is up,
        ("order", np.int8),  # the order of its queue,
        ("waits", np.int8),  # 1 if calls wait for the limits of the account,
        ("rejects", np.int8),  # 1 if they are rejected over them,
        ("drawn", np.int8),  # 1: all calls fail by the error rate, recorded or not,
        ("shares", np.int8),  # 1 if its calls share its speed,
        ("cuts", np.int8),  # 1 if it has time-outs,
        ("breaks", np.int8),  # 1 if it has outages,
        ("patient", np.int8),  # 1 if no call leaves its queue before it starts,
        ("repriced", np.int8),  # 1 once its price has changed,
        ("paced", np.int8),  # 1 once its speed has changed.
        ("context", np.float64),
        ("pace", np.float64),  # a call's time as a multiple of that at the beginning
        # patience, longest wait of a call with a constant patience, and what cuts a call off
        ("patience", np.float64),
        ("longest", np.float64),
        ("timeout", np.float64),
        ("first_token_timeout", np.float64),
        ("account", np.int64),  # -1 for none
        ("clock", np.float64),  # of service by weights: the tag of the call that started last
        # first call in service, of an agent that has outages, and the number of its lines
        ("first", np.uint32),
        ("lines", np.int32),
        ("clocks", np.int32),  # where the clocks of these begin, for service by weights
        # index of the current or next outage, and one past the agent's last
        ("outage", np.int32),
        ("outages_end", np.int32),
        # whether policies are offered it, and whether they are unless it is down or cools down
        ("offered", np.int32),
        ("listed", np.int32),
        ("fails", np.int64),  # counted for the cooldown
        # its prices and its qualities, as multiples of those at the beginning
        ("price_factor", np.float64),
        ("quality_factor", np.float64),
        # first copies that were timed, and the part of the histogram where the quantile was last
        ("timed", np.int64),
        ("bin", np.int64),
        ("below", np.int64),
        # where calls share the agent's speed: how much, whether first tokens are looked for,
        # virtual time and when it was so, the next end and first token, and the heaps of both
        ("sharing", np.float64),
        ("virtual", np.float64),
        ("moved", np.float64),
        ("next_end", np.float64),
        ("next_first", np.float64),
        ("ends", np.uint32),
        ("firsts", np.uint32),
        ("streams", np.int32),
        ("billed", np.int8),
        ("holds", np.int8),
        ("impatient", np.int8),
        ("cool", np.int8),  # the state of its cooldown
    ]
)
"""Record of an agent, by lines of the cache of 64 bytes."""
_OWN_LINE = (_AGENT.fields or {})["head"][1] // LINE.itemsize
_GIVEN = set(_AGENT.fields or ()) & (set(System._fields) - {"rejects", "queue_limit"})


_ACCOUNT = np.dtype(
    [
        ("waiting", np.uint32),  # the call that waits for a limit
        ("rejects", np.uint32),
        ("first", np.int64),  # where its agents are among the members, and one past the last
        ("end", np.int64),
    ]
)
_WINDOW = np.dtype(
    [
        ("limit", np.float64),  # 0 for none
        ("span", np.float64),
        ("law", np.int64),
        ("used", np.float64),  # taken in the window; of a bucket, what is left
        ("last", np.float64),  # of a bucket, when that was so; of a fixed window, its number
        # the ring buffer of a sliding window: where it is, its size, its first entry, and how many
        ("first", np.int64),
        ("size", np.int64),
        ("head", np.int64),
        ("count", np.int64),
    ]
)


class State(NamedTuple):
    """The pool at one moment."""

    # what policies see: slots in use, tasks waiting, expected wait, up or down, share of the
    # limits left, speed, expected cost
    busy: NDArray[np.int64]
    queued: NDArray[np.int64]
    wait: NDArray[np.float64]
    up: NDArray[np.int64]
    room: NDArray[np.float64]
    speed: NDArray[np.float64]
    price: NDArray[np.float64]
    ranking: NDArray[np.float64]  # if any, and what it goes by besides the load or wait
    figure: NDArray[np.float64]  # (m,)
    cost: NDArray[np.float64]  # USD per 1,000 tokens
    agents: NDArray[np.void]  # (m,) records
    calls: NDArray[np.void]  # records of calls, as many as there have been at once
    pairs: NDArray[np.void]  # one more for each, if a try may have two copies
    lines: NDArray[np.void]  # records of the lines of queues, of which some are in `agents`
    clocks: NDArray[np.float64]  # of tenants at an agent: seconds of service over the weight
    nodes: NDArray[np.void]  # two for each call, if any agent's calls share its speed
    accounts: NDArray[np.void]  # records
    windows: NDArray[np.void]  # records of limits, WINDOWS for each account
    members: NDArray[np.int64]  # agents by account
    spent_at: NDArray[np.float64]  # what was taken of sliding windows and when: ring buffers
    spent: NDArray[np.float64]
    failed: NDArray[np.float64]  # last failures, a ring buffer for each agent
    level: NDArray[np.float64]  # (1,) what is left of the budget of retries
    # calls under way that each router has sent to each agent; those that were a delay ago; and
    # of all routers together
    own: NDArray[np.int64]
    late_own: NDArray[np.int64]
    late: NDArray[np.int64]
    news_at: NDArray[np.float64]  # what they still have to hear and when: a ring buffer
    news: NDArray[np.int64]
    histogram: NDArray[np.int64]  # times of first copies, BINS for each agent
    events: NDArray[np.void]  # the calendar: a heap of records ordered by (time, code)
    # what of it is far off (:mod:`routingsim.simulation.ladder`): buckets, records, and bounds
    buckets: NDArray[np.int32]
    far: NDArray[np.void]
    bounds: NDArray[np.float64]
    counters: NDArray[np.int64]  # named in :mod:`routingsim.simulation.events`


FIRST_CALLS = 1 << 10  # records of calls to begin with
_SOME_CALLS = 1 << 16  # calls up to which room grows fourfold, as each growth takes time
FAR_FROM = 1 << 11  # events from which on those that are far off are set aside
RANKED_FROM = {UNRANKED: 0, BY_LOAD: 96, BY_LATENCY: 32, BY_MEMORY: 8}
"""Agents from which on a ranking is quicker than to look at all of them, equal or not."""


def empty_state(
    system: System,
    rules: Rules,
    work: Workload,
    choose: Kernel,
    learn: Kernel,
    memory: NDArray[np.float64],
) -> State:
    """State of an idle pool, with the agents ranked as a policy with this memory asks for."""
    m, ranks = system.slots.size, choose.ranks
    stale = rules.routers > 1 and rules.signal_delay > 0
    if m < RANKED_FROM[ranks] or stale:
        ranks = UNRANKED
    figure = memory[:m] if ranks == BY_MEMORY else system.mean_service
    ranking = records(ranking_size(m) if ranks else 0, np.dtype(np.float64), 2)
    ranking[::2] = math.inf
    each, lines_of = _AGENT.itemsize // LINE.itemsize, np.zeros(m, np.int64)
    by_class = bool(system.order.any())  # lines that are not in an agent's record
    if by_class:
        lines_of[system.order == PRIORITY] = 1 + work.priority.max(initial=0)
        lines_of[system.order == FAIR] = work.weight.size
    more = int(lines_of.sum())
    lines = records(m * each + more, LINE)
    agents = lines[: m * each].view(_AGENT)
    for name in _GIVEN:
        agents[name] = getattr(system, name)
    agents["queue_limit"] = np.minimum(system.queue_limit, MOST_CALLS)
    agents["works"] = 1
    agents["offered"] = system.listed
    agents["pace"] = agents["price_factor"] = agents["quality_factor"] = 1.0
    cut_off = np.minimum(system.timeout, system.first_token_timeout)
    agents["cuts"] = cut_off < math.inf
    agents["longest"] = np.minimum(np.where(system.impatient, math.inf, system.patience), cut_off)
    agents["first"] = NONE
    agents["patient"] = (system.impatient == 0) & (agents["longest"] == math.inf)
    agents["head"] = agents["tail"] = NONE
    agents["line"] = np.arange(_OWN_LINE, m * each, each)
    if by_class:
        agents["lines"], agents["clocks"] = lines_of, np.cumsum(lines_of) - lines_of
        agents["line"] = np.where(lines_of, m * each + agents["clocks"], agents["line"])
        lines[m * each :] = NONE
    agents["outage"], agents["outages_end"] = system.first_outage[:-1], system.first_outage[1:]
    agents["breaks"] = np.diff(system.first_outage) > 0
    agents["mean_service"] *= 1.0 + system.sharing * (system.slots - 1)  # with all slots in use
    agents["shares"] = system.sharing > 0
    agents["streams"] = (system.first_token_timeout < math.inf) | (work.first.size > 0)
    agents["next_end"] = agents["next_first"] = math.inf
    agents["ends"] = agents["firsts"] = NONE
    members = np.argsort(system.account, kind="stable")
    ordered = system.account[members]
    accounts = np.zeros(system.window.size, _ACCOUNT)
    accounts["waiting"], accounts["rejects"] = NONE, system.rejects
    numbers = np.arange(accounts.size)
    accounts["first"] = np.searchsorted(ordered, numbers)
    accounts["end"] = np.searchsorted(ordered, numbers, side="right")
    limited = system.account >= 0
    agents["rejects"][limited] = system.rejects[system.account[limited]]
    agents["waits"][limited] = 1 - agents["rejects"][limited]
    windows = _windows(system, work, work.row.size * max(rules.attempts, rules.levels))
    spent = np.empty(int(windows["size"].sum()))
    counters = np.zeros(COUNTERS, np.int64)
    counters[FREE], counters[UPS] = -1, system.listed.sum()
    counters[BOUNDED] = np.count_nonzero(system.context < math.inf)
    counters[RANKS], counters[LEAF] = ranks, first_leaf(m)
    if may_read_load(choose, learn):
        counters[LOADS] = 1 + may_read_wait(choose, learn)
    seen = m if stale else 0
    state = State(
        busy=np.zeros(m, np.int64),
        queued=np.zeros(m, np.int64),
        wait=np.zeros(m),
        up=system.listed.copy(),
        room=np.ones(m),
        speed=np.ones(m),
        price=np.zeros(m),
        ranking=ranking,
        figure=figure.copy(),
        cost=system.price.copy(),
        agents=agents,
        calls=np.zeros(0, CALL),
        pairs=np.zeros(0, PAIR),
        lines=lines,
        clocks=np.zeros(more),
        nodes=np.zeros(0, NODE),
        accounts=accounts,
        windows=windows,
        members=members,
        spent_at=np.empty_like(spent),
        spent=spent,
        failed=np.zeros(m * rules.cool_failures),
        level=np.array([rules.reserve]),
        own=np.zeros(seen * rules.routers, np.int64),
        late_own=np.zeros(seen * rules.routers, np.int64),
        late=np.zeros(seen, np.int64),
        news_at=np.zeros(0),
        news=np.zeros(0, np.int64),
        histogram=np.zeros(m * BINS * (rules.hedge_quantile > 0.0), np.int64),
        events=np.zeros(0, EVENT),
        buckets=np.zeros(0, np.int32),
        far=np.zeros(0, EVENT),
        bounds=np.zeros(BOUNDS),
        counters=counters,
    )
    state.bounds[UNTIL] = math.inf
    return grown(state, rules)


def _windows(system: System, work: Workload, calls: int) -> NDArray[np.void]:
    """The limits of all accounts, with room for what so many calls take of each."""
    windows = np.zeros(system.limits.size, _WINDOW)
    kind = np.arange(windows.size) % WINDOWS
    windows["limit"] = system.limits
    windows["span"] = np.where(kind == DAILY, DAY, MINUTE)
    windows["law"] = np.repeat(system.window, WINDOWS)
    bucket, sliding = windows["law"] == BUCKET, windows["law"] == SLIDING
    windows["used"] = np.where(bucket, system.limits, 0.0)
    windows["last"] = np.where(bucket, 0.0, -1.0)
    least = np.ones(windows.size)  # that a call takes, if it takes anything
    if work.tokens.size:
        least[kind == TOKENS] = max(
            1.0, np.min(work.tokens, where=work.tokens > 0, initial=math.inf)
        )
    windows["size"] = np.where(sliding, np.minimum(system.limits // least, calls) + 1, 0)
    windows["first"] = np.cumsum(windows["size"]) - windows["size"]
    return windows


def grown(state: State, rules: Rules) -> State:
    """The same state with room for twice as many calls at once, or four times as many of few.

    An event is of a call, an agent or a user; before the calendar is full of events that no
    longer hold, these are dropped.
    """
    calls, m = state.calls.size, state.agents.size
    calls = max(FIRST_CALLS, calls * (4 if 2 * FAR_FROM <= calls < _SOME_CALLS else 2))
    events = (3 + hedges(rules)) * calls + 4 * m + rules.users + 64
    # Room that is not in use yet is not written: if it never is, it takes no time or memory.
    used, here = state.counters[USED], state.counters[EVENTS]
    more = memory(calls * CALL.itemsize).view(CALL)
    more[:FIRST_CALLS] = 0
    more[:used] = state.calls[:used]
    calendar = memory(events * EVENT.itemsize, EVENT.itemsize).view(EVENT)
    calendar.view(np.float64)[:] = math.inf
    calendar[:here] = state.events[:here]
    pairs = np.zeros(calls * hedges(rules), PAIR)
    pairs[: state.pairs.size] = state.pairs
    nodes = np.zeros(2 * calls * bool((state.agents["sharing"] > 0).any()), NODE)
    nodes[: state.nodes.size] = state.nodes
    lists = {"calls": more, "pairs": pairs, "nodes": nodes, "events": calendar}
    return state._replace(**lists, **_more_far(state, calls), **_more_news(state))


def _more_far(state: State, calls: int) -> dict[str, Any]:
    """Room for events that are far off, if the heap of so many calls would be large."""
    there = state.events["time"][: state.counters[EVENTS]]
    if state.bounds[UNTIL] == math.inf:  # the heap is all there is
        if there.size < FAR_FROM:
            return {}
        state.bounds[UNTIL] = there.mean()  # only what comes before this into the heap from now on
    size, parts = room_for(calls)
    buckets, far = np.zeros(size, np.int32), memory(parts * EVENT.itemsize).view(EVENT)
    buckets[: state.buckets.size] = state.buckets
    used = PART * (state.counters[PARTS_USED] + 1)
    far[:used] = state.far[:used] if state.far.size else 0
    return {"buckets": buckets, "far": far}


def _more_news(state: State) -> dict[str, Any]:
    """Room for twice as much news, if there is any."""
    if not state.late.size:
        return {}
    size, first = max(FIRST_CALLS, 2 * state.news.size), state.counters[NEWS_FIRST]
    news_at, news = np.zeros(size), np.zeros(size, np.int64)
    for new, old in ((news_at, state.news_at), (news, state.news)):
        new[: old.size] = np.roll(old, -first)
    state.counters[NEWS_FIRST] = 0
    return {"news_at": news_at, "news": news}


def log_of(tasks: int, work: Workload, system: System, rules: Rules) -> Log:
    """An empty log for ``tasks`` tasks, with the columns that such a run fills."""
    tries, held = max(rules.attempts, rules.levels), bool(system.holds.any())
    changes = bool((system.change_what == QUALITY).any())
    return empty_log(tasks, tries, held, work.first.size > 0, hedges(rules), changes)


def empty_log(
    tasks: int,
    attempts: int,
    held: bool = False,
    first: bool = False,
    hedges: bool = False,
    quality: bool = False,
) -> Log:
    """An empty log for ``tasks`` tasks of up to ``attempts`` tries each.

    ``held`` says whether calls that are cut off may hold their slots, ``first`` whether
    first tokens come before the ends of answers, ``hedges`` whether a try may have two copies,
    ``quality`` whether a change of quality is planned.
    """
    copies = tasks * attempts * hedges
    again, slots = tasks * (attempts - 1), (tasks * attempts + copies) * held
    last = ("agent", "status", "attempts", "left", "finished", "wait", "cost")
    ended = _side_by_side(tasks, np.int16, np.int8, np.int16, *[np.float64] * 4)
    others = ("", "_agent", "_status", "_left", "_ended", "_next", "_before")
    kinds = (np.int32, np.int16, np.int8, *[np.float64] * 3, np.int32)
    retried = zip(others, _side_by_side(again, *kinds), strict=True)
    lost = [name for name in Log._fields if name.startswith("lost")]
    lost_kinds = np.int32, np.int16, np.int8, np.int16, np.int8, *[np.float64] * 4
    log = Log(
        **dict(zip(last, ended, strict=True)),
        **{f"retried{name}": column for name, column in retried},
        retries=np.zeros(1, np.int64),
        first=np.empty(tasks * first),
        held_agent=np.empty(slots, np.int16),
        held_from=np.empty(slots),
        held_until=np.empty(slots),
        holds=np.zeros(1, np.int64),
        **dict(zip(lost, _side_by_side(copies, *lost_kinds), strict=True)),
        losses=np.zeros(1, np.int64),
        quality=np.empty(tasks * quality),
    )
    log.attempts[:] = 0
    return log


def _side_by_side(size: int, *kinds: type) -> list[NDArray[Any]]:
    """Arrays of ``size`` numbers in one block of memory.

    The system backs a large block by pages of 2 MiB. A single array may be too short for
    these; the page faults of small pages would then take a fifth of a run.
    """
    room = [-(-size * np.dtype(kind).itemsize // 64) * 64 for kind in kinds]
    block = memory(sum(room))
    ends = itertools.accumulate(room)
    columns = zip(ends, room, kinds, strict=True)
    return [block[end - each : end].view(kind)[:size] for end, each, kind in columns]


_RECORDS = {
    "agents": _AGENT, "calls": CALL, "pairs": PAIR, "lines": LINE, "nodes": NODE,
    "accounts": _ACCOUNT, "windows": _WINDOW, "events": EVENT, "far": EVENT,
}  # fmt: skip
_TABLES = (
    *("features", "predicted", "service", "cost", "quality", "failed", "first", "tokens"),
    *("prompt_cost", "failed_cost"),
)


def _numba_type(of: Any, tables: Sequence[str] = ()) -> Any:
    """The numba type of the table of a NamedTuple of numbers and arrays, by its annotations."""
    scalars, found, dtypes = {int: types.int64, float: types.float64}, [], []
    for name, kind in get_type_hints(of).items():
        dtype = None
        if kind not in scalars:
            item = get_args(get_args(kind)[1])[0]  # of ndarray[shape, dtype[item]]
            dtype = _RECORDS[name] if item is np.void else np.dtype(item)
        dtypes.append(dtype)
        array = dtype and types.Array(from_dtype(dtype), 2 if name in tables else 1, "C")
        found.append(array or scalars[kind])
    return TableType(types.NamedTuple(found, of), dtypes)


WORKLOAD = _numba_type(Workload, _TABLES)
SYSTEM, RULES, STATE, LOG = map(_numba_type, (System, Rules, State, Log))
