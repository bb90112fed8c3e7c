"""What a corpus records of its agents, and on which tasks figures of it may rest.

Agents are compared on the same tasks or not at all. A corpus that records every agent on
every task is *complete*. One that lacks some is compared on the *common* tasks, those
recorded for all agents of which anything is recorded. A *log* has one answer a task: means
of its agents are of different tasks, and only an estimate can compare them
(:mod:`routingsim.evaluation.estimate`). A task of which a failed call is recorded counts as
recorded.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.caching import Itself
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.coverage import Coverage, Kind, known_on
from routingsim.errors import SimulationError

_LIKELY = 0.02  # error rate from which zeros are asked about
_ERRORS = 3.0  # standard errors by which a share of zeros may be below an error rate


@dataclass(frozen=True, eq=False)
class Basis:
    """The tasks on which figures of an outcome rest.

    Attributes
    ----------
    kind : {"complete", "common", "log", "none"}
    rows : ndarray of bool, shape (records,)
        The records that count: all but for "common".
    """

    kind: Kind
    rows: NDArray[np.bool_]


def basis(
    corpus: Corpus | None, pool: AgentPool, field: Literal["quality", "cost"] = "quality"
) -> Basis:
    """What kind of record a corpus has of a pool, and the tasks that figures of it rest on."""
    if corpus is None:
        return Basis("none", np.ones(1, dtype=bool))
    return _basis(Itself(corpus), pool, field)


@lru_cache(maxsize=4)  # asked for again by every run of a study
def _basis(of: Itself[Corpus], pool: AgentPool, field: Literal["quality", "cost"]) -> Basis:
    return basis_of_block(of.value, pool, field, _coverage(of, field))


@lru_cache(maxsize=4)
def _coverage(of: Itself[Corpus], field: Literal["quality", "cost"]) -> Coverage:
    return Coverage.of(of.value, field)


def basis_of_block(
    block: Corpus, pool: AgentPool, field: Literal["quality", "cost"], coverage: Coverage
) -> Basis:
    """The same of a block of a corpus, all of which is covered as ``coverage`` says."""
    names = [agent.recorded_as for agent in pool]
    kind = coverage.kind(names)
    if kind == "common":
        seen = coverage.seen(names)
        return Basis(kind, known_on(block, field, seen).sum(axis=1) == len(seen))
    return Basis(kind, np.ones(len(block), dtype=bool))


def recorded_costs(corpus: Corpus, pool: AgentPool) -> NDArray[np.bool_]:
    """Where the cost of a call is recorded, shape (records, agents)."""
    return _recorded_costs(Itself(corpus), pool)


@lru_cache(maxsize=4)
def _recorded_costs(of: Itself[Corpus], pool: AgentPool) -> NDArray[np.bool_]:
    corpus = of.value
    known = ~np.isnan(corpus.outcome("cost", [agent.recorded_as for agent in pool]))
    return np.ascontiguousarray(known)


def basis_notes(corpus: Corpus | None, pool: AgentPool) -> list[str]:
    """What the reader of figures should know of the tasks that they rest on."""
    if corpus is None:
        return []
    common = int(basis(corpus, pool).rows.sum())
    return coverage_notes(corpus.name, pool, _coverage(Itself(corpus), "quality"), common)


def coverage_notes(name: str, pool: AgentPool, coverage: Coverage, common: int) -> list[str]:
    """The same of a corpus with this name, ``common`` of whose tasks are in its basis."""
    names = list(dict.fromkeys(agent.recorded_as for agent in pool))
    kind = coverage.kind(names)
    if kind == "none":
        return []
    share = {each: coverage.known[each] / coverage.tasks for each in names}
    said = []
    if missing := [agent.id for agent in pool if not share[agent.recorded_as]]:
        said.append(f"no quality is recorded of {', '.join(missing)}: nothing is known of theirs")
    if kind == "log":
        served = ", ".join(f"{each} {part:.1%}" for each, part in share.items() if part)
        said.append(
            f"{name} is a log with one answer a task ({served}): of the agents that did not "
            "serve a task nothing is recorded, so means of recorded qualities are of other tasks "
            "for each policy; estimates stand in their place"
        )
    if kind == "common":
        parts = ", ".join(f"{each} {part:.1%}" for each, part in share.items() if 0 < part < 1)
        said.append(
            f"quality is recorded on a part of the tasks only ({parts}): figures of quality rest "
            f"on the {common:,} of {coverage.tasks:,} tasks recorded for every agent of which "
            "anything is; a call that failed is recorded by outcomes.AGENT.failed"
        )
    return said


def failure_table(corpus: Corpus, pool: AgentPool) -> NDArray[np.float64]:
    """Which first calls fail, shape (tasks, agents); (0, 0) where no corpus decides it.

    1 or 0 as recorded; NaN where the agent's error rate decides.

    Raises
    ------
    SimulationError
        If failures may count twice: an agent has an error rate, its recorded qualities
        contain at least as many zeros as that, and nothing says which calls failed.
    """
    names = [agent.recorded_as for agent in pool]
    quality, failed = corpus.outcome("quality", names), corpus.outcome("failed", names)
    for a, agent in enumerate(pool):
        if agent.failures == "drawn":
            failed[:, a] = np.nan
        elif agent.failures == "recorded":
            failed[np.isnan(failed[:, a]) & np.isfinite(quality[:, a]), a] = 0.0
        elif np.isnan(failed[:, a]).all():
            _check_zeros(corpus, agent, quality[:, a])
    return failed if np.isfinite(failed).any() else np.zeros((0, 0))


def _check_zeros(corpus: Corpus, agent: Agent, quality: NDArray[np.float64]) -> None:
    rate, known = agent.error_rate, quality[~np.isnan(quality)]
    if rate < _LIKELY or not known.size:
        return
    zeros = float((known == 0).mean())
    if zeros < rate - _ERRORS * math.sqrt(rate * (1 - rate) / known.size):
        return
    once, twice = float(known.mean()), (1 - rate) * float(known.mean())
    raise SimulationError(
        f"agent {agent.id} fails {rate:.1%} of its calls (error_rate), and {corpus.name} records "
        f"quality 0 on {zeros:.1%} of its tasks: if these are the failed calls, they count twice "
        f"(quality {twice:.3f} of all tasks instead of {once:.3f}). Mark the failed calls in "
        f"outcomes.{agent.recorded_as}.failed, or say in the agents' file, for {agent.id}, "
        'failures = "recorded" (the zeros are the failures, no other call fails) or '
        'failures = "drawn" (the zeros are wrong answers, further calls fail)'
    )
