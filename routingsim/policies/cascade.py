"""Cascades: try a cheap agent, judge its answer, and try the next if it is not good enough."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies.costs import cost_order
from routingsim.policies.kernel import certain, choose_kernel
from routingsim.policies.policy import Judge, Policy, own_parameters, recipe, spelled


# Memory: the agents' indices, in the order in which they are tried.
@choose_kernel
def _next_in_line(task, pool, memory):
    first = min(task.attempt, memory.size - 1)
    for k in range(first, memory.size):
        if pool.up[int(memory[k])]:
            return int(memory[k])
    for k in range(first - 1, -1, -1):
        if pool.up[int(memory[k])]:
            return int(memory[k])
    return int(memory[first])


@recipe("cascade")
def cascade(
    pool: AgentPool,
    corpus: Corpus | None = None,
    *,
    agents: str | Sequence[str] = "",
    bar: float = 0.5,
    error: float = 0.1,
    seconds: float = 0.0,
    cost: float = 0.0,
) -> Policy:
    """Cheapest agent first; a judge sends answers that are not good enough on to the next.

    Every try's latency and cost count, and so do the judge's. In the simulator the judge goes by
    the recorded quality; an answer without one is accepted. As in FrugalGPT (Chen, Zaharia & Zou
    2023, sec. 3), with the judge's accuracy as a parameter: it is assumed, and a note beside every
    figure says so. :func:`routingsim.evaluation.judge_errors` says at which error of the judge the
    decision changes. Live, route the task again with ``attempt=1`` after your own judge.

    Parameters
    ----------
    agents : str or sequence of str
        Agents in the order they are tried, as ``llama/gemini/gpt-4``; all of the pool
        by the expected cost of a task where not given
        (:func:`routingsim.policies.costs.cost_order`).
    bar : float
        The least quality that is good enough, 0 to 1.
    error : float
        Share of verdicts that are wrong, either way, in [0, 1).
    seconds, cost : float
        Time (s) and price (USD) of a verdict, which occupies the agent's slot.

    Raises
    ------
    PolicyError
        If an agent is named twice, or a number is out of range.
    """
    given = own_parameters(locals())
    by_cost = cost_order(pool, corpus)
    line = agents.split("/") if isinstance(agents, str) and agents else list(agents) or by_cost
    order = [pool.index(agent) for agent in line]
    if len(set(order)) < len(order):
        raise PolicyError(
            f"cascade: agents {'/'.join(line)}: one is there twice; name each once, in the order "
            "they are tried"
        )
    given["agents"] = "" if line == by_cost else line
    return Policy(
        spelled("cascade", given, bare="agents"),
        _next_in_line,
        memory=np.array(order, dtype=np.float64),
        reason=partial(_level_reason, line),
        judge=Judge(levels=len(order), bar=bar, error=error, seconds=seconds, cost=cost),
        parameters={**given, "agents": line},
        probabilities=certain,
    )


def line_of(policy: Policy) -> NDArray[np.intp] | None:
    """Positions of the agents of a ``cascade`` in the order they are tried; None for another."""
    return policy.memory.astype(np.intp) if policy.choose is _next_in_line else None


def _level_reason(line: Sequence[str], agent: Agent, d_var: float, load: float) -> str:
    level = line.index(agent.id) + 1 if agent.id in line else 1
    return f"Level {level} of {len(line)} in the cascade: Routed to {agent.name}"
