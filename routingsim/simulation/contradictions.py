"""What agents ask for that no task can have, named before a run."""

import math
from collections.abc import Iterable

import numpy as np

from routingsim.agents import LIMITS, AgentPool
from routingsim.errors import AgentError, SimulationError, did_you_mean
from routingsim.formatting import short
from routingsim.simulation.state import DETERMINISTIC, LOGNORMAL, SPEED, System, Workload

_LONGEST = 1e12  # seconds of a call: sums of far longer ones are imprecise or infinite
_NEVER = 4.0  # standard deviations of the logarithm: fewer than one call in 30,000


def check_tasks(pool: AgentPool, work: Workload, system: System) -> None:
    """Check that some task fits each agent's context window and may answer in time, and that
    no call is too long for the clock.

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
    most = work.service.max(axis=0)
    soonest = work.first.min(axis=0) if work.first.size else np.zeros(len(pool))
    faster = _sped_up(system)
    for a, agent in enumerate(pool):
        if not most[a] <= _LONGEST:
            raise SimulationError(
                f"agent {agent.id}: a call takes {most[a]:g} s; the simulator takes up to "
                f"{_LONGEST:g} s: correct latency, tokens_per_second or what is recorded of it"
            )
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


def always_cut_off(pool: AgentPool, work: Workload, system: System) -> list[str]:
    """Notes on time-outs that are shorter than every call of an agent that does not stream."""
    shortest, faster, said = work.service.min(axis=0), _sped_up(system), []
    for a, agent in enumerate(pool):
        for name in ("first_token_timeout", "timeout"):
            limit = getattr(agent, name)
            if limit is None or agent.ttft is not None or a in faster:
                continue
            if _too_late(float(shortest[a]), limit, system, a):
                said.append(
                    f"agent {agent.id}, field {name}: {limit:g} s is below every call "
                    f"({shortest[a]:.3g} s at least, and its answers come whole), so that all are "
                    "cut off"
                )
    return said


def _sped_up(system: System) -> set[int]:
    """The agents whose speed changes in the run."""
    return set(system.change_agent[system.change_what == SPEED].tolist())


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


def above_limits(pool: AgentPool, work: Workload) -> list[str]:
    """Notes on calls that take more tokens than their agent's limit of a minute."""
    said = []
    for a, agent in enumerate(pool):
        limit = agent.tokens_per_minute
        if limit is None:
            continue
        above, most = 100 * (work.tokens[:, a] > limit).mean(), float(work.tokens[:, a].max())
        if above:
            said.append(
                f"agent {agent.id}, field tokens_per_minute: {short(above, 3)} % of the records "
                f"take more than {limit:,} tokens ({most:,.0f} at most) and count as that many; a "
                "provider refuses such calls"
            )
    return said


def unused_fallbacks(pool: AgentPool, attempts: int) -> list[str]:
    """A note that fallbacks have no effect without retries, if there are any."""
    named = [agent.id for agent in pool if agent.fallback is not None]
    if not named or attempts > 1:
        return []
    return [
        f"agent {', '.join(named)}, field fallback: it is for retries, and there are none, so that "
        "it changes nothing; allow 2 attempts or more"
    ]
