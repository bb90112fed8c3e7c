"""The engine's input, from a corpus, a pool and a policy."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.errors import SimulationError
from routingsim.policies.policy import Policy, TextTable
from routingsim.scoring.corpora import corpus_scores
from routingsim.simulation.billing import cost_table, failed_cost_table, prompt_cost_table
from routingsim.simulation.recorded import failure_table
from routingsim.simulation.service import first_token_table, service_table, token_table
from routingsim.simulation.state import Workload
from routingsim.simulation.task_choice import category_numbers


@dataclass(frozen=True)
class Records:
    """The engine's input without its tasks: all about each corpus record.

    ``modelled`` is the share of the costs that are modelled, not recorded.
    """

    work: Workload
    modelled: float

    def tasks(self, arrived: NDArray[np.float64], row: NDArray[np.int32]) -> Workload:
        """The workload of tasks with these arrival times and records."""
        return self.work._replace(arrived=_own(arrived), row=np.ascontiguousarray(row, np.int32))


def records(corpus: Corpus | None, pool: AgentPool, policy: Policy) -> Records:
    """The records of a corpus for a pool and a policy.

    Without a corpus there is one record, with no text, no category and no outcome.

    Raises
    ------
    SimulationError
        If the policy reads texts and there are none, or an agent's recorded latency
        is missing.
    """
    if corpus is None:
        if policy.featurize or policy.predict:
            raise SimulationError(f"policy {policy.name} reads texts: give a corpus")
        corpus = _one_record()
    known = records_of(corpus, pool)
    features, predicted = (
        _own(_table(policy.featurize, corpus)),
        _own(_table(policy.predict, corpus)),
    )
    return Records(known.work._replace(features=features, predicted=predicted), known.modelled)


@lru_cache(maxsize=1)  # as long to make as all else of a short replay
def _one_record() -> Corpus:
    """A corpus that says nothing of its tasks."""
    return Corpus.from_frame(pd.DataFrame({"id": ["0"], "text": [""]}))


@lru_cache(maxsize=2)  # asked for again by every policy and every replay
def records_of(corpus: Corpus, pool: AgentPool) -> Records:
    """The records as they are for any policy."""
    cost, modelled = cost_table(corpus, pool)
    prompt_cost = prompt_cost_table(corpus, pool, cost)
    names = [agent.recorded_as for agent in pool]
    none = np.zeros((len(corpus), 0))
    work = Workload(
        arrived=np.zeros(0),
        row=np.zeros(0, np.int32),
        d_var=_own(_scores(corpus)),
        prompt_tokens=_own(prompt_tokens(corpus)),
        category=category_numbers(corpus).copy(),
        features=none,
        predicted=none,
        service=_own(service_table(corpus, pool)),
        cost=_own(cost),
        quality=_own(corpus.outcome("quality", names)),
        failed=failure_table(corpus, pool),
        first=_own(first_token_table(corpus, pool)),
        tokens=_own(token_table(corpus, pool)),
        prompt_cost=_own(prompt_cost),
        failed_cost=_own(failed_cost_table(corpus, pool, cost, prompt_cost)),
    )
    return Records(work, modelled / cost.size)


def _scores(corpus: Corpus) -> NDArray[np.float64]:
    scores = corpus_scores(corpus)
    return np.zeros(len(corpus)) if scores is None else scores["d_var"].to_numpy()


def _table(make: TextTable | None, corpus: Corpus) -> NDArray[np.float64]:
    if make is None:
        return np.zeros((len(corpus), 0))
    return make(corpus.tasks["text"].tolist(), corpus.tasks["category"].tolist())


def _own(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """A copy in C order that can be written, which the arrays of pandas cannot."""
    return np.array(array, dtype=np.float64, order="C")
