"""The candidates of a question of capacity: pools of certain slots, policies with parameters."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from routingsim.agents import AgentPool
from routingsim.errors import SimulationError, did_you_mean
from routingsim.evaluation.capacity_question import HOURS, Candidate, Question
from routingsim.evaluation.loads import Wanted
from routingsim.evaluation.sweeps.design import Axis, axis, points
from routingsim.evaluation.sweeps.plan import with_parameters
from routingsim.policies.policy import recipes
from routingsim.simulation.arrivals.checks import is_whole


def slots_of(slots: Mapping[str, int | Iterable[int]], pool: AgentPool) -> dict[str, list[int]]:
    """The numbers of slots to try, by agent.

    Raises
    ------
    AgentError, SimulationError
        If an agent is not in the pool, or a number is none.
    """
    if not isinstance(slots, Mapping) or not slots:
        raise SimulationError(
            f"slots={slots!r}: numbers of slots by agent are needed, as "
            f"{{'{pool.ids[0]}': range(0, 9)}}"
        )
    found = {}
    for agent, counts in slots.items():
        pool.index(agent)  # raises an AgentError that names the agents of the pool
        several = list(counts) if isinstance(counts, Iterable) else [counts]
        whole = bool(several) and all(is_whole(count) and count >= 0 for count in several)
        if not whole or len(set(several)) < len(several):
            raise SimulationError(
                f"slots of {agent}: {counts!r}; different whole numbers of 0 or more are needed"
            )
        found[agent] = [int(count) for count in several]
    return found


def with_varied(wanted: Sequence[Wanted], vary: Mapping[str, Any] | None) -> list[Wanted]:
    """The policies with each combination of what is varied, as far as they have the parameter.

    Parameters
    ----------
    wanted : sequence of policies
    vary : mapping of str to list or range, optional
        By "policy.PARAMETER"; lists and ranges as of :func:`routingsim.sweep`.

    Raises
    ------
    SimulationError
        If no policy has the parameter, or there are no values.

    Examples
    --------
    >>> with_varied(["threshold", "cheapest"], {"policy.low": [0.2, 0.3]})
    ['threshold:low=0.2', 'threshold:low=0.3', 'cheapest']
    """
    axes = [_parameter(wanted, name, given) for name, given in (vary or {}).items()]
    found: list[Wanted] = []
    for policy in wanted:
        own = [a for a in axes if a.name.removeprefix("policy.") in _parameters(policy)]
        for values in points(own, "grid", None, 0) if own else [{}]:
            given = {name.removeprefix("policy."): value for name, value in values.items()}
            found.append(with_parameters(policy, given) if given else policy)  # type: ignore[arg-type]
    return found


def _parameter(wanted: Sequence[Wanted], name: str, given: Any) -> Axis:
    where, _, parameter = name.partition(".")
    if where != "policy" or not parameter:
        raise SimulationError(
            f"vary {name}: capacity varies policy.PARAMETER, as policy.low, and slots by slots="
        )
    known = {each for policy in wanted for each in _parameters(policy)}
    if parameter not in known:
        there = f"they have {', '.join(sorted(known))}" if known else "they have none by name"
        raise SimulationError(
            f"vary {name}: none of {', '.join(map(str, wanted))} has a parameter {parameter!r}; "
            f"{there}{did_you_mean(parameter, known)}"
        )
    return axis(name, given)


def _parameters(policy: Wanted) -> Collection[str]:
    recipe = recipes().get(policy.partition(":")[0]) if isinstance(policy, str) else None
    return recipe.parameters if recipe else ()


def candidates(
    question: Question,
    pool: AgentPool,
    tried: Mapping[str, Sequence[int]],
    wanted: Sequence[Wanted],
) -> list[Candidate]:
    """All combinations, those that can cost least first, with why some cannot do it."""
    corpus = question.corpus
    table = None
    if corpus is not None:
        table = corpus.outcome("quality", [agent.recorded_as for agent in pool])
        table = table[~np.isnan(table).any(axis=1)]
    made = []
    for counts in itertools.product(*tried.values()):
        chosen = dict(zip(tried, counts, strict=True))
        sized = [
            msgspec.structs.replace(each, concurrency=chosen.get(each.id, each.concurrency))
            for each in pool
            if chosen.get(each.id, 1)
        ]
        if not sized:
            continue
        some = AgentPool(tuple(sized))
        places = [pool.index(each.id) for each in some]
        quality = np.nan
        if table is not None and len(table):
            quality = float(table[:, places].max(axis=1).mean())
        why, lack = _why(question, some, quality)
        for each in wanted:
            name = each if isinstance(each, str) else getattr(each, "name", str(each))
            made.append(Candidate(counts, some, each, name, _floor(question, some), why, lack))
    if not made:
        raise SimulationError("slots: no combination has a slot")
    return sorted(made, key=lambda each: each.floor)


def _floor(question: Question, pool: AgentPool) -> float:
    """USD per hour at least: slots, and every call at the agent that is cheapest for it."""
    corpus = question.corpus
    rent = float(pool.column("price_per_slot_hour") @ pool.column("concurrency"))
    whole = all(agent.failed_cost == agent.cut_off_cost == "all" for agent in pool)
    whole &= not question.conditions["changes"]
    if corpus is not None and whole:
        recorded = corpus.outcome("cost", [agent.recorded_as for agent in pool])
        if not np.isnan(recorded).any():
            return rent + HOURS * question.rate * float(recorded.min(axis=1).mean())
    return rent


def _why(question: Question, pool: AgentPool, quality: float) -> tuple[str, float]:
    """The target that no policy can meet with this pool, and by which share of it; of
    several the most; "" and infinity where theory cannot tell."""
    if question.conditions["changes"]:
        return "", math.inf
    lacking: list[tuple[float, str]] = []
    if question.rate >= pool.capacity and question.process.stationary:
        said = f"{question.rate:.3g} tasks/s, and it serves {pool.capacity:.3g}/s at most"
        lacking.append((1 - pool.capacity / question.rate, said))
    for target in question.targets:
        if target.metric == "quality_all" and quality < target.bound:
            said = f"no choice of agents has a quality above {quality:.3f}"
            lacking.append((1 - quality / target.bound, said))
    lack, why = max(lacking, default=(math.inf, ""))
    return why, lack
