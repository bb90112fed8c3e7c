"""What agents ask for that no task can have, named before a run."""

import math
from collections.abc import Iterable

import numpy as np

from routingsim.agents import LIMITS, AgentPool
from routingsim.errors import AgentError, SimulationError, did_you_mean
from routingsim.simulation.state import DETERMINISTIC, LOGNORMAL, SPEED, System, Workload

_NEVER = 4.0  # standard deviations of the logarithm: fewer than one call in 30,000


def check_tasks(pool: AgentPool, work: Workload, system: System) -> None:
    """Check that some task fits each agent's context window, and may answer in time.

    Parameters
    ----------
    pool : AgentPool
    work : Workload
        The records of the corpus.
    system : System
        The agents as the engine takes them.

    Raises
    ------
    SimulationError
        If none does; the message names agent and field.
    """
    shortest = float(work.prompt_tokens.min())
    soonest = work.first.min(axis=0) if work.first.size else np.zeros(len(pool))
    faster = set(system.change_agent[system.change_what == SPEED].tolist())
    for a, agent in enumerate(pool):
        if agent.context_window is not None and agent.context_window < shortest:
            raise SimulationError(
                f"agent {agent.id}, field context_window: {agent.context_window:,} tokens, and the "
                f"shortest prompt has {shortest:,.0f}, so that no task fits; leave the agent out, "
                "or give it a longer window"
            )
        for name in ("first_token_timeout", "timeout"):
            limit = getattr(agent, name)
            if limit is None or a in faster or not _too_late(float(soonest[a]), limit, system, a):
                continue
            raise SimulationError(
                f"agent {agent.id}, field {name}: {limit:g} s is below the first token of every "
                f"call ({soonest[a]:.3g} s with the shortest prompt), so that all are cut off; "
                "give it a longer one, or leave it out"
            )


def _too_late(soonest: float, limit: float, system: System, a: int) -> bool:
    """Whether the first token comes after a limit, hardly any call excepted."""
    if soonest <= limit:
        return False
    if system.noise[a] != LOGNORMAL:
        return bool(system.noise[a] == DETERMINISTIC)
    sigma = float(system.sigma[a])
    return math.log(limit / soonest) / sigma + sigma / 2 < -_NEVER


def check_known(pool: AgentPool, names: Iterable[str]) -> None:
    """Check that each name is that of an agent or of an account.

    Raises
    ------
    AgentError
        If one is of neither; the message says which there are.
    """
    accounts = list(pool.accounts)
    for name in names:
        if name in accounts or name in pool.ids:
            continue
        if not accounts:
            pool.index(name)  # raises
        raise AgentError(
            f"no agent or account {name!r} in this pool: it has {', '.join(pool.ids)}, and "
            f"accounts {', '.join(accounts)}{did_you_mean(str(name), [*pool.ids, *accounts])}"
        )


def unused_accounts(pool: AgentPool, named: Iterable[str] = ()) -> list[str]:
    """Accounts without effect: of one agent, without a limit, and not ``named`` by an event."""
    known, said = set(named), []
    for account, members in pool.accounts.items():
        agent = pool[members[0]]
        limited = any(getattr(agent, limit) is not None for limit in LIMITS)
        if len(members) == 1 and not limited and account not in known:
            near = did_you_mean(account, [each for each in pool.accounts if each != account])
            said.append(
                f"agent {agent.id}, field account: no other agent uses the account {account!r}, "
                f"and it has no limit, so that it changes nothing{near}"
            )
    return said
