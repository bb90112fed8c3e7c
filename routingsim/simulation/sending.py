"""What is known of a call when it is sent: what the policy sees of its task, and its fate.

Random numbers belong to the task, the try and its copy, so that a call that is cut off, or never
starts, shifts no other.
"""

import math
from typing import NamedTuple

import numpy as np

from routingsim import rng
from routingsim.policies.kernel import COPY, FAILED, OK, TaskView
from routingsim.simulation.compiling import inlined, lesser
from routingsim.simulation.queues import priority_of, tenant_of
from routingsim.simulation.state import ESCALATED, EXPONENTIAL, LOGNORMAL


class Keys(NamedTuple):
    """Keys of the streams of draws, one for each purpose."""

    service: int
    error: int
    choice: int
    think: int
    judge: int
    patience: int
    jitter: int
    router: int


@inlined
def keys_of(seed):
    """The keys of a run."""
    return Keys(
        rng.stream(seed, rng.SERVICE),
        rng.stream(seed, rng.ERROR),
        rng.stream(seed, rng.CHOICE),
        rng.stream(seed, rng.THINK),
        rng.stream(seed, rng.JUDGE),
        rng.stream(seed, rng.PATIENCE),
        rng.stream(seed, rng.JITTER),
        rng.stream(seed, rng.ROUTER),
    )


@inlined
def part_of(attempt, copy):
    """The part of the draws that belongs to a copy of a try."""
    return np.int64(attempt) + (np.int64(copy) << COPY)


@inlined
def draw_noise(law, key, i, part):
    """The random number of a call's service time, which is the same for every agent."""
    if law == LOGNORMAL:
        return rng.normal(key, i, part)
    if law == EXPONENTIAL:
        return rng.uniform(key, i, part)
    return 1.0


@inlined
def row_of(work, i):
    """The corpus record of task ``i``."""
    return np.uint32(work.row[i])


@inlined
def task_view(work, stream, i, attempt, now, copy=0):
    """What policies see of a try of task ``i``."""
    row = row_of(work, i)
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
        copy,
        priority_of(work, i),
        tenant_of(work, i),
    )


@inlined
def worth(quality, factor):
    """A quality times a factor, which is at most 1."""
    found = quality * factor
    return 1.0 if found > 1.0 else found


@inlined
def settle(s, work, rules, keys, call, copy, drawn):
    """What a call that is sent will take in service, and how it will end there.

    ``drawn`` is the random number for agents whose service has the law of agent 0.
    """
    i, attempt, a = np.int64(call.task), np.int64(call.attempt), np.uint16(call.agent)
    agent, row, part = s.agents[a], row_of(work, i), part_of(attempt, copy)
    noise = (
        drawn
        if agent.noise == s.agents[0].noise
        else draw_noise(agent.noise, keys.service, i, part)
    )
    if agent.noise == LOGNORMAL:
        noise = math.exp(agent.sigma * (noise - 0.5 * agent.sigma))
    elif agent.noise == EXPONENTIAL:
        noise = -math.log(noise)
    if agent.paced:
        noise *= agent.pace
    call.first = call.takes = work.service[row, a] * noise
    if work.first.size:
        call.first = work.first[row, a] * noise
    rate = agent.error_rate
    recorded = work.failed.size and not attempt and not agent.drawn
    if recorded and not math.isnan(work.failed[row, a]):
        rate = work.failed[row, a]  # what is recorded is of the first call
    failed = rate > 0.0 and rng.uniform(keys.error, i, part) < rate
    call.status = FAILED if failed else OK
    call.judged = call.probe = 0
    if attempt + 1 < rules.levels and not failed:
        quality = worth(work.quality[row, a], agent.quality_factor)
        if not math.isnan(quality):
            call.judged = 1
            mistaken = rng.uniform(keys.judge, i, part) < rules.judge_error
            if (quality < rules.bar) != mistaken:
                call.status = ESCALATED


@inlined
def longest_wait(agent, keys, i, part):
    """Seconds that a call waits at most."""
    if agent.patient:
        return math.inf
    longest = agent.longest
    if agent.impatient:
        drawn = agent.patience * rng.exponential(keys.patience, i, part)
        longest = lesser(longest, drawn)
    return longest
