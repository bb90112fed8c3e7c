"""Policies that know the agent of each task of one corpus beforehand, as ``logged`` does.

The agent is the one feature of the corpus record, so a task that is drawn twice, shuffled or
retried keeps its agent. An agent that is down, or has just failed the task, is replaced by
the least loaded.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies.kernel import choose_kernel, probability_kernel
from routingsim.policies.load_balancing import least_loaded_of_all, put_least_loaded
from routingsim.policies.policy import Policy, recipe, sentence

FEW = 0.01
"""Share of a log's tasks that no agent may have served: they go to the least loaded."""

_ROUTED = sentence("Routed to {agent.name}")


# The one feature of a task is its agent, -1 for none.
@choose_kernel
def _as_assigned(task, pool, memory):
    wanted = int(task.features[0])
    if wanted >= 0 and pool.up[wanted]:
        return wanted
    return least_loaded_of_all(task, pool)


@probability_kernel
def _probabilities(task, pool, memory, out):
    wanted = int(task.features[0])
    if wanted >= 0 and pool.up[wanted]:
        out[:] = 0.0
        out[wanted] = 1.0
    else:
        put_least_loaded(pool, out)


def assign(
    corpus: Corpus,
    chosen: NDArray[np.intp],
    name: str,
    *,
    reason: Callable[[Agent, float, float], str] = _ROUTED,
    notes: tuple[str, ...] = (),
) -> Policy:
    """A policy that sends each task of a corpus to a given agent.

    Parameters
    ----------
    corpus : Corpus
        The only texts that the policy can route, whole and in this order.
    chosen : ndarray of int, shape (tasks,)
        Index in the pool of each task's agent; -1 for the least loaded.
    name, reason, notes
        Of the policy.
    """
    table = chosen.astype(np.float64)[:, np.newaxis]
    own = corpus.tasks["text"].tolist()
    return Policy(
        name,
        _as_assigned,
        reason=reason,
        featurize=partial(_look_up, name, corpus.name, own, table),
        probabilities=_probabilities,
        replay_only=True,
        notes=notes,
    )


def _look_up(
    name: str,
    corpus: str,
    own: list[str],
    table: NDArray[np.float64],
    texts: Sequence[str],
    categories: Sequence[str],
) -> NDArray[np.float64]:
    if list(texts) != own:
        raise PolicyError(
            f"policy {name} has an agent for each of the {len(own):,} tasks of {corpus}, and was "
            f"asked about {len(texts):,} other texts; replay that corpus, whole and in its order"
        )
    return table


@recipe("logged")
def logged(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
    """Each task where the log sent it: the agent under which its outcome is recorded.

    The baseline of a replay of a log with one answer a task: what the router that made the log
    would do in this pool, queues and all. An outcome is any that is recorded: quality, cost,
    latency, output tokens, or that the call failed. An agent that is down, or has just failed
    the task, is replaced by the least loaded. So is the agent of tasks of which nothing is
    recorded, where these are at most 1 % of all; a note counts them.

    Raises
    ------
    PolicyError
        If there is no corpus, tasks have outcomes of several agents, or more than 1 % have
        none of this pool.
    """
    if corpus is None:
        raise PolicyError(
            "logged sends each task of a corpus where its log sent it: give that corpus to a "
            "replay; a live router cannot use it"
        )
    names = [agent.recorded_as for agent in pool]
    if shared := [name for name in names if names.count(name) > 1]:
        raise PolicyError(
            f"logged: several agents are recorded as {shared[0]}, so that the log does not say "
            "which of them served; give each its own `outcome`"
        )
    mine = _recorded(corpus, names)
    served = mine.sum(axis=1)
    several, none = int((served > 1).sum()), int((served == 0).sum())
    tasks = f"of {len(corpus):,} tasks of {corpus.name}"
    if several:
        raise PolicyError(
            f"logged: {several:,} {tasks} have outcomes of several agents, so that the corpus "
            "does not say where the log sent them; keep the outcome of the agent that each was "
            "sent to first, or compare policies that choose if all agents answered every task"
        )
    if none > FEW * len(corpus):
        others = none - int((~_recorded(corpus, corpus.agents).any(axis=1)).sum())
        elsewhere = f" ({others:,} have one of another agent)" if others else ""
        raise PolicyError(
            f"logged: {none:,} {tasks} have no outcome of {', '.join(pool.ids)}{elsewhere}; add "
            "the agents that served them (an agent's `outcome` names its record), record that the "
            "calls failed (outcomes.<agent>.failed), or leave the tasks out"
        )
    notes = (f"logged: {none:,} {tasks} have no outcome of any agent: they go to the least loaded",)
    return assign(
        corpus,
        np.where(served == 1, mine.argmax(axis=1), -1),
        "logged",
        reason=sentence("As in the log: Routed to {agent.name}"),
        notes=notes if none else (),
    )


def _recorded(corpus: Corpus, agents: Sequence[str]) -> NDArray[np.bool_]:
    """Where any outcome is recorded, shape (tasks, agents)."""
    found = [~np.isnan(corpus.outcome(field, agents)) for field in corpus.outcomes]
    return np.any(found, axis=0)
