"""Estimates for replays and studies of a log with one answer a task.

The log is read from the corpus: the agent under which a task's outcome is recorded served
it, and the column ``propensity``, where there is one, says with which probability it was
chosen. The estimates are those of :mod:`routingsim.evaluation.estimate`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.display import free_name
from routingsim.errors import CorpusError
from routingsim.evaluation.choice_log import ChoiceLog, choice_log
from routingsim.evaluation.estimate import Estimates, estimate
from routingsim.evaluation.intervals import Difference, Verdict, not_comparable
from routingsim.evaluation.log_size import log_size
from routingsim.evaluation.support import MISSING, SupportVerdict, worst
from routingsim.simulation.recorded import basis
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stream_result import StreamedReplay

Field = Literal["quality", "cost"]

Run = TypeVar("Run", ReplayResult, StreamedReplay)

EXPLORE = 0.1
"""Share of random choices that is advised for the next log."""


@dataclass(frozen=True, eq=False)
class ServedLog:
    """The log that a corpus holds.

    Attributes
    ----------
    log : ChoiceLog
        Of all agents of the corpus.
    several : int
        Tasks with answers of several agents; they are left out.
    """

    log: ChoiceLog
    several: int


@lru_cache(maxsize=2)  # features and folds take a second for some thousand texts
def served_log(corpus: Corpus, others: tuple[str, ...] = ()) -> ServedLog:
    """Which agent served each task of a corpus with one answer a task.

    Parameters
    ----------
    corpus : Corpus
    others : tuple of str
        Agents that it does not record; the log never chose them.

    Raises
    ------
    CorpusError
        If no task has the outcome of exactly one agent.
    """
    known = np.zeros((len(corpus), len(corpus.agents)), dtype=bool)
    for table in corpus.outcomes.values():
        known |= np.isfinite(table)
    answers = known.sum(axis=1)
    chosen = np.where(answers == 1, known.argmax(axis=1), -1)
    if (chosen < 0).all():
        raise CorpusError(f"{corpus.name}: no task has the outcome of exactly one agent")
    tasks = corpus.tasks
    propensity = tasks["propensity"].to_numpy(dtype=np.float64)
    share = float(np.isfinite(propensity[chosen >= 0]).mean())
    log = choice_log(
        chosen,
        (*corpus.agents, *others),
        texts=tasks["text"].tolist(),
        categories=tasks["category"].tolist(),
        propensity=propensity if share == 1 else None,
    )
    if share < 1:
        log = replace(log, propensities=replace(log.propensities, known=share))
    return ServedLog(log, int((answers > 1).sum()))


def log_estimates(
    corpus: Corpus | None, pool: AgentPool, times: Mapping[str, NDArray[np.int64]], field: Field
) -> Estimates | None:
    """Estimate a recorded outcome of several policies; None unless the corpus is a log of it.

    Parameters
    ----------
    corpus, pool
        What was run.
    times : mapping of str to ndarray of int, shape (records, agents of the pool)
        How often each policy sent each record to each agent.
    field : {"quality", "cost"}
        A call of which the log says that it failed has quality 0.
    """
    if corpus is None or basis(corpus, pool, field).kind != "log":
        return None
    names = [agent.recorded_as for agent in pool]
    log = served_log(corpus, tuple(dict.fromkeys(n for n in names if n not in corpus.agents))).log
    column = [log.agents.index(name) for name in names]
    run = np.all([each.sum(axis=1) > 0 for each in times.values()], axis=0)
    chosen = np.where(run, log.chosen, -1)
    outcome = corpus.outcome(field, log.agents)
    if field == "quality":
        outcome = np.where(corpus.outcome("failed", log.agents) == 1, 0.0, outcome)

    def probabilities(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        found = np.zeros((len(counts), len(log.agents)))
        np.add.at(found.T, column, counts.T)  # agents of the pool may share a record
        found[~run] = 1.0  # not part of the estimate
        return found / found.sum(axis=1, keepdims=True)

    return estimate(
        replace(log, chosen=chosen),
        np.where(chosen >= 0, outcome[np.arange(len(corpus)), chosen], np.nan),
        {name: probabilities(each) for name, each in times.items()},
        higher_is_better=field == "quality",
        bounds=(0.0, 1.0 if field == "quality" else math.inf),
    )


def replay_estimates(
    results: ReplayResult | Sequence[ReplayResult], field: Field = "quality"
) -> Estimates | None:
    """Estimate the quality or cost of replays of a log with one answer a task.

    Parameters
    ----------
    results : ReplayResult or sequence of ReplayResult
        Of the same tasks; they are compared in pairs. Names that occur twice are numbered.
    field : {"quality", "cost"}

    Returns
    -------
    Estimates or None
        By the policies' names; None where the corpus is not such a log.
    """
    several = [results] if isinstance(results, ReplayResult) else results
    return named_estimates(named(several), field)


def named(results: Sequence[Run]) -> dict[str, Run]:
    """Replays by the name of their policy, each a name of its own."""
    found: dict[str, Run] = {}
    for result in results:
        found[free_name(result.policy.name, found)] = result
    return found


def named_estimates(results: Mapping[str, ReplayResult], field: Field) -> Estimates | None:
    """The same of replays with names of their own."""
    first, times = next(iter(results.values())), {}
    if basis(first.corpus, first.pool, field).kind != "log":
        return None
    for name, result in results.items():
        shape = result.work.quality.shape
        code = result.work.row.astype(np.int64) * shape[1] + result.log.agent
        times[name] = np.bincount(code, minlength=math.prod(shape)).reshape(shape)
    return log_estimates(first.corpus, first.pool, times, field)


def said(estimates: Estimates, name: str, field: Field = "quality") -> str:
    """A policy's estimate in words: ``0.548 ± 0.058 (estimated, weak)``; costs of 1,000 tasks."""
    found = estimates.policies[name]
    if found.verdict == "cannot":
        return "not known: the log cannot answer this"
    how = f"estimated, {found.verdict}"
    if field == "cost":
        return f"USD {found.interval.scaled(1000.0)} per 1,000 tasks ({how})"
    return f"{found.interval} ({how})"


def reasons(estimates: Estimates) -> list[str]:
    """Why estimates are not better, with the policies that each reason is about."""
    found: dict[str, list[str]] = {}
    for name, each in estimates.policies.items():
        for reason in each.support.reasons:
            found.setdefault(reason, []).append(name)
    every = len(estimates.policies)
    return [
        reason if len(names) == every else f"{', '.join(names)}: {reason}"
        for reason, names in found.items()
    ]


def verdict_of(estimates: Estimates) -> SupportVerdict:
    """The worst verdict on a policy."""
    verdicts: list[SupportVerdict] = [each.verdict for each in estimates.policies.values()]
    return worst(*verdicts)


def ranks(estimates: Estimates) -> dict[str, int | None]:
    """1 more than the number of policies that are better, by the simultaneous intervals.

    Policies that cannot be distinguished may share a rank; one that the log cannot answer for
    has none.
    """
    behind = dict.fromkeys(estimates.policies, 0)
    for difference in estimates.differences.values():
        if difference.comparison in ("better", "worse"):
            better = difference.comparison == "better"
            behind[difference.second if better else difference.first] += 1
    return {
        name: None if estimates.policies[name].verdict == "cannot" else 1 + count
        for name, count in behind.items()
    }


def best_of(estimates: Estimates, names: Sequence[str]) -> list[str]:
    """The policy with the highest estimate, and those that it is not better than."""
    known = [name for name in names if estimates.policies[name].verdict != "cannot"]
    if not known:
        return []
    first = max(known, key=lambda name: estimates.policies[name].value)
    rest = (name for name in known if name != first)
    apart = {name: difference_of(estimates, first, name).verdict for name in rest}
    return [first, *(name for name, verdict in apart.items() if verdict != "better")]


def difference_of(estimates: Estimates, name: str, baseline: str) -> Difference:
    """A policy less the baseline, by estimates; without figures where the log cannot answer."""
    if (name, baseline) in estimates.differences:
        found, sign = estimates.differences[name, baseline], 1
    else:
        found, sign = estimates.differences[baseline, name], -1
    if found.verdict == "cannot":
        return not_comparable("the log cannot answer this", found.interval.level)
    turned = {"better": "worse", "worse": "better"}
    return Difference(
        found.interval.scaled(sign),
        found.p_value,
        cast(
            Verdict,
            found.comparison if sign > 0 else turned.get(found.comparison, found.comparison),
        ),
        f"estimated from a log with one answer a task ({found.verdict})",
        estimates.tasks,
        correction=f"simultaneous over {len(estimates.differences)}",
    )


def advice(estimates: Estimates) -> str:
    """How to make a log that answers, where an estimate is not "answered"."""
    said, agents = [], len(estimates.agents)
    found = [reason for each in estimates.policies.values() for reason in each.support.reasons]
    lacking = [reason for reason in found if reason.startswith(MISSING)]
    if lacking:
        said.append(
            "To have a log that answers, record how good every answer was, and mark the calls that "
            "failed (outcomes.AGENT.failed)."
        )
    if len(lacking) < len(found):
        size = log_size(agents, EXPLORE)
        said.append(
            "To have a log that answers, let the router choose at random for a small share of the "
            f"tasks and record the probabilities: TaskRouter(…, explore={EXPLORE:g}) does so, and "
            f"{size.tasks:,} tasks of {agents} agents are enough "
            f"(routingsim log-size --agents {agents} --explore {EXPLORE:g})."
        )
    return " ".join(said)
