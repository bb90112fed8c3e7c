"""The limits of accounts: when they let a call start, and which call is next.

An account has up to three limits: requests a minute, tokens a minute, requests a day. Each
has a window: *sliding* (what was taken in the 60 s before), *fixed* (minutes of the run's
clock) or *bucket* (a token bucket that holds the limit and refills steadily). An account
that rejects is asked when a call is sent, and takes it then; one that lets calls wait is
asked when a call could start.

While one call waits for an account's limit, no other of that account starts.
"""

import math

import numpy as np

from routingsim.simulation.calls import NONE, copy_of
from routingsim.simulation.compiling import called, greater, lesser
from routingsim.simulation.events import LIMIT, code_of, push_rare
from routingsim.simulation.queues import PRIORITY, next_call, priority_of
from routingsim.simulation.state import BUCKET, SLIDING, TOKENS, WINDOWS


@called
def opens_at(s, work, acc, a, call, now):
    """From when on the limits of account ``acc`` let a call to agent ``a`` start."""
    latest = -math.inf
    for k in range(WINDOWS):
        w = s.windows[WINDOWS * acc + k]
        if w.limit > 0.0:
            latest = greater(latest, _opens(s, w, _need(work, k, w.limit, a, call), now))
    return latest


@called
def take_of(s, work, acc, a, call, now):
    """Take a call to agent ``a`` off the limits of account ``acc``."""
    for k in range(WINDOWS):
        w = s.windows[WINDOWS * acc + k]
        if w.limit > 0.0:
            _take(s, w, _need(work, k, w.limit, a, call), now)


@called
def _need(work, k, limit, a, call):
    """What a call takes of a limit: one request, or its tokens, but never more than there are."""
    if k == TOKENS:
        return lesser(work.tokens[np.uint32(work.row[np.uint32(call.task)]), a], limit)
    return 1.0


@called
def _opens(s, w, need, now):
    if w.law == SLIDING:
        _forget(s, w, now)
        used, opens, k = w.used, -math.inf, w.head
        while used + need > w.limit:
            used -= s.spent[w.first + k]
            opens = s.spent_at[w.first + k] + w.span
            k = (k + 1) % w.size
        return opens
    if w.law == BUCKET:
        if need <= w.used:
            return -math.inf
        return w.last + (need - w.used) / (w.limit / w.span)
    number = math.floor(now / w.span)
    used = w.used if w.last == number else 0.0
    return -math.inf if used + need <= w.limit else (number + 1.0) * w.span


@called
def _take(s, w, need, now):
    if w.law == SLIDING:
        if need > 0.0:
            k = w.first + (w.head + w.count) % w.size
            s.spent_at[k], s.spent[k] = now, need
            w.count += 1
            w.used += need
    elif w.law == BUCKET:
        w.used = lesser(w.limit, w.used + (now - w.last) * (w.limit / w.span)) - need
        w.last = now
    else:
        number = math.floor(now / w.span)
        if w.last != number:
            w.last, w.used = number, 0.0
        w.used += need


@called
def show_room(s, now):
    """Show policies which share of the limits of each account is left, of several the least."""
    for acc in range(s.accounts.size):
        least = 1.0
        for k in range(WINDOWS):
            w = s.windows[WINDOWS * acc + k]
            if w.limit > 0.0:
                least = lesser(least, _left(s, w, now) / w.limit)
        account = s.accounts[acc]
        for k in range(account.first, account.end):
            s.room[s.members[k]] = least


@called
def _left(s, w, now):
    if w.law == SLIDING:
        _forget(s, w, now)
        return w.limit - w.used
    if w.law == BUCKET:
        return lesser(w.limit, w.used + (now - w.last) * (w.limit / w.span))
    return w.limit - (w.used if w.last == math.floor(now / w.span) else 0.0)


@called
def _forget(s, w, now):
    """Drop what was taken of a sliding window before its span."""
    while w.count and s.spent_at[w.first + w.head] + w.span <= now:
        w.used -= s.spent[w.first + w.head]
        w.head = (w.head + 1) % w.size
        w.count -= 1


@called
def lets_start(s, work, acc, a, c, now):
    """Whether account ``acc`` lets call ``c`` to agent ``a`` start now."""
    waiting = np.uint32(s.accounts[acc].waiting)
    if waiting != NONE and np.uint32(c) != waiting:
        return False
    return opens_at(s, work, acc, a, s.calls[c], now) <= now


@called
def wait_for_limit(s, work, acc, a, c, now):
    """Let call ``c``, the next of its queue, be the one that waits for account ``acc``."""
    account = s.accounts[acc]
    if account.waiting == NONE:
        account.waiting = c
        push_rare(s, opens_at(s, work, acc, a, s.calls[c], now), code_of(LIMIT, acc, 0))


@called
def waits_no_more(s, acc, c, now):
    """Call ``c`` has left its queue, or cannot start any more: the account looks for another."""
    account = s.accounts[acc]
    if account.waiting == c:
        account.waiting = NONE
        push_rare(s, now, code_of(LIMIT, acc, 0))


@called
def next_of(s, work, acc):
    """The agent whose call is next at account ``acc``; -1 for none.

    That is the one that waits for a limit, or else the first sent of those that could start;
    at agents that go by priority, the lower number is first.
    """
    account = s.accounts[acc]
    if account.waiting != NONE:
        return np.int64(s.calls[np.uint32(account.waiting)].agent)
    found, level, sent, task = -1, 0, math.inf, np.int32(0)
    for k in range(account.first, account.end):
        a = s.members[k]
        agent = s.agents[a]
        if agent.works and agent.busy < agent.slots and agent.queued:
            c = next_call(s, agent, a)
            call = s.calls[c]
            mine = priority_of(work, call.task) if agent.order == PRIORITY else 0
            first = call.sent < sent
            if call.sent == sent:  # of the copies of one task the first
                first = call.task < task or (call.task == task and copy_of(s, c) == 0)
            if found < 0 or mine < level or (mine == level and first):
                found, level, sent, task = a, mine, call.sent, call.task
    return found
