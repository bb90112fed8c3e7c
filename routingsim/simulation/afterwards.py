"""What follows the end of a call: whether the task is sent again, and when."""

import numpy as np

from routingsim import rng
from routingsim.policies.kernel import LIMITED
from routingsim.simulation.compiling import called, greater
from routingsim.simulation.state import ESCALATED


@called
def sent_again(s, rules, log, keys, call, now):
    """When a task whose call has ended is sent again; -1 if it is not.

    A call that is sent again is noted in the log.
    """
    tried, status = np.int64(call.attempt) + 1, np.int64(call.status)
    pause = 0.0
    if status != ESCALATED:
        if not (rules.on >> status) & 1 or tried >= rules.attempts:
            return -1.0
        if rules.budget >= 0.0:
            if s.level[0] < 1.0:
                return -1.0
            s.level[0] -= 1.0
        pause = rules.backoff * rules.factor ** np.float64(tried - 1)
        if rules.jitter > 0.0:
            i = np.int64(call.task)
            pause *= 1.0 - rules.jitter * rng.uniform(keys.jitter, i, tried - 1)
    at = now + pause
    if status == LIMITED and rules.retry_after:
        at = greater(at, call.due)
    i, k = np.uint32(call.task), log.retries[0]
    log.retries[0] = k + 1
    log.retried[k] = call.task
    log.retried_agent[k] = call.agent
    log.retried_status[k] = call.status
    log.retried_left[k] = call.left
    log.retried_ended[k] = log.finished[i]
    log.retried_next[k] = at
    log.retried_before[k] = call.tried
    call.tried = k
    return at
