"""Agents whose calls slow each other down: service at a speed that depends on how many there are.

With n calls in service, each is served at 1 / (1 + sharing x (n - 1)) of its speed alone. An
agent's *virtual time* moves at that speed: a call that begins at virtual time v and alone would
take w seconds ends at v + w. Virtual time is brought up to date only when the number of calls
changes; when the next end is due it is that end's, and with no call left it begins anew at 0.

The ends in virtual time form a heap for each agent, and so do the first tokens, where they come
before the ends or may come too late. Both are pairing heaps through nodes of the calls' records
(Fredman, Sedgewick, Sleator & Tarjan, "The pairing heap", Algorithmica 1, 1986), so that a call
leaves from anywhere. A call that was cut off and keeps its slot continues as another record.
"""

import math

import numpy as np

from routingsim.policies.kernel import OK, TIMED_OUT
from routingsim.simulation.calls import HELD, NONE, copy_of, free, take
from routingsim.simulation.compiling import called, greater, lesser
from routingsim.simulation.events import DEPART, FIRST, SHARED, code_of, push_rare

NODE = np.dtype(
    [
        ("key", np.float64),  # in virtual time: the end of the call, or its first token
        ("began", np.float64),  # in virtual time
        ("child", np.uint32),
        ("behind", np.uint32),
        ("before", np.uint32),  # the sibling before it; of the first child, the parent
        ("fails", np.int8),  # 1: its agent has gone down
        ("told", np.int8),  # 1: its first token has come
    ],
    align=True,
)
"""Record of a node: 2 x c is the end of call c, 2 x c + 1 its first token."""


@called
def begin_shared(s, rules, agent, a, c, now):
    """Start a call at an agent that shares its speed."""
    _move(s, agent, now)
    call, end, first = s.calls[c], s.nodes[np.uint32(2 * c)], s.nodes[np.uint32(2 * c + 1)]
    if call.judged:
        call.takes += rules.judge_seconds
    agent.busy += 1
    end.began, end.key, end.fails = agent.virtual, agent.virtual + call.takes, 0
    first.key, first.told = agent.virtual + call.first, 1 - agent.streams
    call.first, call.due = math.inf, call.sent + agent.timeout
    agent.ends = _added(s, agent.ends, np.uint32(2 * c))
    if agent.streams:
        agent.firsts = _added(s, agent.firsts, np.uint32(2 * c + 1))
        call.due = lesser(call.due, call.sent + agent.first_token_timeout)
    if call.due < math.inf:
        call.due = greater(call.due, now)
        push_rare(s, call.due, code_of(DEPART, call.task, c, copy_of(s, c)))
    _plan(s, agent, a)


@called
def first_token(s, agent, a, now):
    """The next first token of an agent comes."""
    node = np.uint32(agent.firsts)
    c = np.uint32(node >> np.uint32(1))
    call = s.calls[c]
    agent.firsts = _without(s, agent.firsts, node)
    s.nodes[node].told = 1
    call.first = now
    free_to_go_on = call.state != HELD and not s.nodes[np.uint32(2 * c)].fails
    if free_to_go_on and agent.first_token_timeout < math.inf:
        call.due = call.sent + agent.timeout
        if call.due < math.inf:
            call.due = greater(call.due, now)
            push_rare(s, call.due, code_of(DEPART, call.task, c, copy_of(s, c)))
    _plan_first(s, agent, a)


@called
def end_shared(s, log, agent, a, now):
    """The next call of an agent ends; returned is its record, NONE for one cut off before."""
    node = np.uint32(agent.ends)
    c = np.uint32(node >> np.uint32(1))
    call = s.calls[c]
    _move(s, agent, now)
    _leave(s, agent, a, c)
    if call.state == HELD:
        log.held_until[call.tried] = now
        free(s, c)
        return np.uint32(NONE)
    call.first = lesser(call.first, now)
    return c


@called
def cut_shared(s, log, agent, a, c, now):
    """A call ends before its time: it is cut off, or its agent has gone down."""
    call = s.calls[c]
    if s.nodes[np.uint32(2 * c)].fails:
        _move(s, agent, now)
        _leave(s, agent, a, c)
        return
    call.status, call.judged = TIMED_OUT, 0
    stop_shared(s, log, agent, a, c, now)


@called
def stop_shared(s, log, agent, a, c, now):
    """A call is stopped: ``takes`` becomes the share of it that is done, for the bill."""
    call, end = s.calls[c], s.nodes[np.uint32(2 * c)]
    done = 1.0
    if call.takes > 0.0:
        done = (_virtual(s, agent, now) - end.began) / call.takes
    call.takes = done
    if not agent.holds:
        _move(s, agent, now)
        _leave(s, agent, a, c)
        return
    k = log.holds[0]
    log.holds[0] = k + 1
    log.held_agent[k], log.held_from[k] = a, now
    other = take(s)
    s.calls[other] = call
    held, old = s.calls[other], np.uint32(2 * c)
    held.state, held.status, held.tried = HELD, OK, k
    if s.pairs.size:
        s.pairs[other].at = math.inf
    for part in range(2):
        node, new = np.uint32(old + part), np.uint32(2 * other + part)
        s.nodes[new].key, s.nodes[new].told = s.nodes[node].key, s.nodes[node].told
        s.nodes[new].began, s.nodes[new].fails = s.nodes[node].began, 0
    agent.ends = _added(s, _without(s, agent.ends, old), np.uint32(2 * other))
    if not s.nodes[np.uint32(old + 1)].told:
        rest = _without(s, agent.firsts, np.uint32(old + 1))
        agent.firsts = _added(s, rest, np.uint32(2 * other + 1))


@called
def ends_by(s, agent, c, now):
    """Whether a call that is in service ends at this very moment."""
    return s.nodes[np.uint32(2 * c)].key <= _virtual(s, agent, now)


@called
def _virtual(s, agent, now):
    """An agent's virtual time."""
    if agent.busy == 0:
        return 0.0
    if now >= agent.next_end:
        return s.nodes[np.uint32(agent.ends)].key
    return agent.virtual + (now - agent.moved) / (1.0 + agent.sharing * (agent.busy - 1))


@called
def _move(s, agent, now):
    if now > agent.moved or now >= agent.next_end:
        agent.virtual, agent.moved = _virtual(s, agent, now), now


@called
def _leave(s, agent, a, c):
    """Take a call out of service."""
    agent.busy -= 1
    agent.ends = _without(s, agent.ends, np.uint32(2 * c))
    first = np.uint32(2 * c + 1)
    if not s.nodes[first].told:
        agent.firsts = _without(s, agent.firsts, first)
        s.nodes[first].told = 1
    if agent.busy == 0:
        agent.virtual = 0.0
    _plan(s, agent, a)


@called
def _plan(s, agent, a):
    """Put the next end and the next first token of an agent on the calendar."""
    agent.next_end = math.inf
    if agent.ends != NONE:
        agent.next_end = _when(s, agent, agent.ends)
        push_rare(s, agent.next_end, code_of(SHARED, a, 0))
    _plan_first(s, agent, a)


@called
def _plan_first(s, agent, a):
    agent.next_first = math.inf
    if agent.firsts != NONE:
        agent.next_first = _when(s, agent, agent.firsts)
        push_rare(s, agent.next_first, code_of(FIRST, a, 0))


@called
def _when(s, agent, node):
    """The time of an event in virtual time, if the number of calls stays as it is."""
    ahead = s.nodes[np.uint32(node)].key - agent.virtual
    slower = 1.0 + agent.sharing * (agent.busy - 1)
    return greater(agent.moved, agent.moved + ahead * slower)


@called
def _sooner(s, one, other):
    """Whether a node comes before another; of equal times, the task and try with less."""
    x, y = s.nodes[one], s.nodes[other]
    if x.key != y.key:
        return x.key < y.key
    mine, its = s.calls[one >> np.uint32(1)], s.calls[other >> np.uint32(1)]
    return mine.task < its.task or (mine.task == its.task and mine.attempt < its.attempt)


@called
def _melded(s, one, other):
    """The root of two heaps as one; the second may be empty."""
    one, other = np.uint32(one), np.uint32(other)
    if other == NONE:
        return one
    if _sooner(s, other, one):
        one, other = other, one
    root, child = s.nodes[one], s.nodes[other]
    child.behind, child.before = root.child, one
    if root.child != NONE:
        s.nodes[np.uint32(root.child)].before = other
    root.child = other
    return one


@called
def _added(s, root, node):
    new = s.nodes[node]
    new.child = new.behind = new.before = NONE
    return np.uint32(_melded(s, node, root))


@called
def _without(s, root, node):
    """The root of a heap from which a node is taken."""
    root, node = np.uint32(root), np.uint32(node)
    gone = s.nodes[node]
    rest = _merged(s, np.uint32(gone.child))
    if node == root:
        return rest
    before, behind = np.uint32(gone.before), np.uint32(gone.behind)
    if s.nodes[before].child == node:
        s.nodes[before].child = behind
    else:
        s.nodes[before].behind = behind
    if behind != NONE:
        s.nodes[behind].before = before
    return np.uint32(_melded(s, root, rest))


@called
def _merged(s, first):
    """One heap of a node and its siblings: in pairs from the front, then from the back."""
    pairs, node = np.uint32(NONE), first
    while node != NONE:
        one = node
        other = np.uint32(s.nodes[one].behind)
        node = np.uint32(NONE)
        if other != NONE:
            node = np.uint32(s.nodes[other].behind)
        pair = np.uint32(_melded(s, one, other))
        s.nodes[pair].behind = pairs
        pairs = pair
    root = np.uint32(NONE)
    while pairs != NONE:
        behind = np.uint32(s.nodes[pairs].behind)
        root = np.uint32(_melded(s, pairs, root))
        pairs = behind
    return root
