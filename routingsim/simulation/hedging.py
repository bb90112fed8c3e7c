"""Second copies of tries: when one is sent, and what becomes of the copy that is not needed.

A try is hedged at most once. It ends with the first answer of either copy; the other is then
cancelled: it leaves its queue, or its slot as a call that is cut off does. A copy that ends
without an answer while the other is under way ends nothing.
"""

import math

import numpy as np

from routingsim.policies.kernel import LIMITED, OK, SHED, TIMED_OUT, TOO_LONG
from routingsim.simulation.availability import HALF_OPEN, factor_at, offer
from routingsim.simulation.calls import IDLE, NONE, SERVING, free, leave_service
from routingsim.simulation.compiling import called, inlined
from routingsim.simulation.events import FREED, HEDGE, LOOK, code_of, push_rare
from routingsim.simulation.latencies import note_time, quantile
from routingsim.simulation.limits import waits_no_more
from routingsim.simulation.queues import leave_queue
from routingsim.simulation.sharing import stop_shared
from routingsim.simulation.signals import are_stale, send_news
from routingsim.simulation.state import ALL, CANCELLED, ESCALATED, PRICE, PROMPT, SERVED


@inlined
def hedge_holds(s, number, c, time):
    """Whether the second copy of a try is still to be sent, as it was put on the calendar."""
    call = s.calls[c]
    return (call.state != IDLE) & (call.task == number) & (s.pairs[c].at == time)


@called
def set_hedge(s, rules, a, c, now):
    """Put the sending of a second copy on the calendar, unless the call ends before."""
    call, delay = s.calls[c], rules.hedge
    if rules.hedge_quantile > 0.0:
        delay = math.inf
        if s.agents[a].timed >= rules.hedge_least:
            delay = quantile(s, a, rules.hedge_quantile)
    at = s.pairs[c].at = now + delay
    known = call.state == SERVING and s.agents[a].sharing == 0.0  # its end is
    if delay < math.inf and not (known and call.due <= at):
        push_rare(s, at, code_of(HEDGE, call.task, c))


@called
def pair(s, log, c, first, copy):
    """Note which copy of its try call ``c`` is: if the second, the other of call ``first``."""
    own = s.pairs[c]
    own.copy, own.hedged, own.mate = copy, copy, NONE
    if not copy:
        return
    call, other = s.calls[c], s.pairs[first]
    own.mate, other.mate, other.hedged = first, c, 1
    own.at = math.inf
    i = np.uint32(call.task)
    if not call.attempt:  # what both copies cost is summed up from here
        log.wait[i], log.cost[i] = 0.0, 0.0


@called
def hold_slot(s, log, a, now, until):
    """Let a call that is cut off keep its slot to its natural end."""
    k = log.holds[0]
    log.holds[0] = k + 1
    log.held_agent[k], log.held_from[k], log.held_until[k] = a, now, until
    push_rare(s, until, code_of(FREED, a, 0))


@called
def lose(s, log, c, now):
    """Write down a copy that did not decide how its try ended, and give its record back."""
    call, k = s.calls[c], log.losses[0]
    copy, mate = s.pairs[c].copy, np.uint32(s.pairs[c].mate)
    s.pairs[mate].mate = NONE
    log.losses[0] = k + 1
    log.lost[k], log.lost_attempt[k], log.lost_copy[k] = call.task, call.attempt, copy
    log.lost_agent[k], log.lost_status[k] = call.agent, call.status
    log.lost_left[k], log.lost_ended[k], log.lost_cost[k] = call.left, now, call.paid
    log.lost_hedged[k] = call.sent if copy else s.calls[mate].sent
    call.state = IDLE
    free(s, c)


@called
def cancel(s, work, system, rules, log, keys, c, now):
    """Cancel a copy whose other has answered; its agent looks at its queue after the other's."""
    call = s.calls[c]
    a, i = np.uint16(call.agent), np.uint32(call.task)
    agent = s.agents[a]
    paid = 0.0
    if call.state == SERVING:
        natural = call.takes if call.status == TIMED_OUT else call.due
        share = 1.0
        if agent.sharing > 0.0:
            stop_shared(s, log, agent, np.int64(a), c, now)
            share = call.takes
        elif natural > call.left:
            share = (now - call.left) / (natural - call.left)
        paid = work.cost[np.uint32(work.row[i]), a]
        if agent.billed == PROMPT:
            paid = work.prompt_cost[np.uint32(work.row[i]), a]
        elif agent.billed != ALL:
            paid *= share if agent.billed == SERVED else 0.0
        if agent.repriced:
            paid *= factor_at(system, PRICE, np.int64(a), call.sent)
        if agent.sharing == 0.0:
            if agent.holds:
                hold_slot(s, log, a, now, natural)
            else:
                agent.busy -= 1
        if agent.breaks:
            leave_service(s, agent, c)
    else:
        leave_queue(s, work, agent, c)
        call.left = now
        if agent.waits:
            waits_no_more(s, agent.account, c, now)
    call.paid = paid
    log.cost[i] += paid
    if are_stale(rules):
        send_news(s, rules, keys, np.int64(call.task), np.int64(a), -1, now)
    call.status = CANCELLED
    if call.probe:
        call.probe, agent.cool = 0, HALF_OPEN
        offer(s, a)
    if rules.hedge_quantile > 0.0 and not s.pairs[c].copy:
        note_time(s, a, now - call.sent)
    lose(s, log, c, now)
    push_rare(s, now, code_of(LOOK, a, 0))


@called
def copy_ends(s, work, system, rules, log, keys, a, c, waited, now):
    """Settle what the end of call ``c`` means for its try; true where the other copy continues.

    ``waited`` is what the task had waited before this call.
    """
    call = s.calls[c]
    status = call.status
    refused = status in (SHED, LIMITED, TOO_LONG)
    if rules.hedge_quantile > 0.0 and not s.pairs[c].copy and not refused:
        note_time(s, a, now - call.sent)
    mate = np.uint32(s.pairs[c].mate)
    if mate == NONE:
        return False
    if status in (OK, ESCALATED):
        cancel(s, work, system, rules, log, keys, mate, now)
        return False
    log.wait[np.uint32(call.task)] = waited
    lose(s, log, c, now)
    return True
