"""Controls as policies, for the simulator."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routingsim.agents import PoolLike, load_agents
from routingsim.corpora.corpus import CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.controls.choices import (
    FOLDS,
    category_choice,
    hull_mix,
    length_choice,
    shuffled,
)
from routingsim.evaluation.controls.identical import allowed, said_of
from routingsim.evaluation.metrics.routerbench import oracle, zero_router
from routingsim.evaluation.outcomes import choices, complete, taken
from routingsim.policies.assignment import assign
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.policy import Policy
from routingsim.policies.rules import cheapest, random, static, weighted
from routingsim.simulation.billing import cost_table
from routingsim.simulation.recorded import basis
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import prepare


def assigned(
    corpus: CorpusLike, pool: PoolLike, chosen: ArrayLike, *, name: str = "assigned"
) -> Policy:
    """A policy that sends each task of a corpus to a given agent.

    The agent is the one feature of the corpus record, so a task that is drawn twice or
    retried has the same agent. An agent that is down, or has just failed the task, is
    replaced by the least loaded.

    Parameters
    ----------
    corpus : Corpus, or anything that ``load_corpus`` takes
        The only texts that the policy can route.
    pool : AgentPool, or anything that ``load_agents`` takes
    chosen : array_like of int, shape (tasks,)
        Index in the pool of each task's agent.
    name : str

    Raises
    ------
    CorpusError
        If there is not one agent of the pool per task.
    """
    corpus, pool = as_corpus(corpus), load_agents(pool)
    return assign(corpus, choices(chosen, len(corpus), len(pool)), name)


def chosen_by(result: ReplayResult) -> NDArray[np.intp]:
    """The index of the agent chosen for each corpus record in a replay, shape (tasks,).

    Raises
    ------
    SimulationError
        If the replay had no corpus, or did not run each of its tasks once.
    """
    tasks = len(result.corpus) if result.corpus is not None else 0
    rows = result.work.row
    if not tasks or not np.array_equal(np.sort(rows), np.arange(tasks)):
        raise SimulationError(
            f"a replay of {rows.size:,} tasks from a corpus of {tasks:,}: each must run once, so "
            "that it has one choice; leave out tasks="
        )
    chosen = np.empty(tasks, dtype=np.intp)
    chosen[rows] = result.log.agent
    return chosen


def control_policies(
    corpus: CorpusLike, pool: PoolLike, chosen: ArrayLike | None = None, *, seed: int = 0
) -> dict[str, Policy]:
    """The controls as policies for the simulator, by name.

    Costs are recorded, or modelled as in the simulator. In-sample controls have the texts
    that they were chosen on in ``fitted_on``.

    Parameters
    ----------
    corpus : Corpus, or anything that ``load_corpus`` takes
        The only texts that the policies can route, whole or drawn from.
    pool : AgentPool, or anything that ``load_agents`` takes
    chosen : array_like of int, shape (tasks,), optional
        A policy's choices (:func:`chosen_by`), needed for the controls with its mix or
        its cost: "zero-router", "shuffle" and "length".
    seed : int
        Shuffles the choices and assigns the tasks to folds.

    Raises
    ------
    CorpusError
        If no task has a recorded quality of every agent of the pool.
    """
    corpus, pool = as_corpus(corpus), load_agents(pool)
    good = corpus.outcome("quality", [agent.recorded_as for agent in pool])
    paid, _ = cost_table(corpus, pool)
    known = complete(good)
    if basis(corpus, pool).kind == "log":
        raise CorpusError(
            f"{corpus.name} is a log with one answer a task, and controls need the recorded "
            "quality of every agent on the same tasks"
        )
    if not known.any():
        raise CorpusError(
            f"{corpus.name}: no task has a recorded quality of all of {', '.join(pool.ids)}; "
            "controls need recorded outcomes (an agent's `outcome` names its record)"
        )
    by_id = np.argsort(pool.ids)  # the order of the agents in their file decides nothing
    good, paid = good[:, by_id], paid[:, by_id]
    best = by_id[np.lexsort((paid.mean(axis=0), -good[known].mean(axis=0)))[0]]
    found = {
        "random": random(pool),
        "cheapest": cheapest(pool, corpus),
        "best-single": static(pool, agent=pool.ids[best]),
    }
    by_task: dict[str, NDArray[np.intp]] = {}
    if chosen is not None:
        mine = np.argsort(by_id)[choices(chosen, *good.shape)]
        mix = np.bincount(mine, minlength=len(pool)) / mine.size
        cost = float(taken(paid, mine)[known].mean())
        coin = hull_mix(zero_router(good[known], paid[known]), cost, len(pool))
        found["zero-router"] = weighted(pool, weights=coin[np.argsort(by_id)].tolist())
        by_task["shuffle"] = shuffled(mine, seed=seed)
        if corpus.has_texts:
            texts = corpus.tasks["text"].tolist()
            by_task["length"] = length_choice(texts, mix, paid.mean(axis=0))
    if corpus.category_codes and len(corpus) >= FOLDS:
        by_task["category"] = category_choice(good, corpus.tasks["category"].tolist(), seed=seed)
    by_task["oracle"] = oracle(good, paid, seed=seed)
    found |= {
        name: assigned(corpus, pool, by_id[agent], name=name) for name, agent in by_task.items()
    }
    for name in ("best-single", "zero-router", "oracle"):
        if name in found:
            found[name] = replace(found[name], fitted_on=(FittedTexts.of(corpus, known),))
    return {name: replace(policy, name=name) for name, policy in found.items()}


def control_replays(result: ReplayResult) -> dict[str, ReplayResult]:
    """The controls of a replay's policy, run on the same tasks, by name.

    In the controls that have the policy's mix or cost, a record that was drawn several
    times has the agent of its first time.

    Raises
    ------
    CorpusError
        If there is no corpus, or no task has a recorded quality of every agent.
    """
    corpus = result.corpus
    if corpus is None:
        raise CorpusError("controls need recorded quality, and there is no corpus")
    drawn, first = np.unique(result.work.row, return_index=True)
    met = corpus if drawn.size == len(corpus) else corpus.select(drawn)
    found = control_policies(met, result.pool, result.log.agent[first], seed=result.seed)

    def run(policy: Policy) -> ReplayResult:
        # Policies that read no task can route records that this run did not meet.
        whole = met is corpus or not (policy.featurize or policy.predict)
        scene = prepare(corpus if whole else met, result.pool, policy, **result.conditions)
        return scene.rerun(result, None if whole else drawn)

    return {name: run(policy) for name, policy in found.items()}


def controls_for_replays(
    results: Sequence[ReplayResult],
) -> tuple[dict[str, ReplayResult], str, list[str]]:
    """The controls of the first of several replays, by name; the reason if there are none.

    A control that chose the same agents as one of the policies, or as another control, is
    left out, and a sentence names it. One with the name of a policy is marked as a control.
    """
    try:
        found = control_replays(results[0])
    except CorpusError as error:
        return {}, str(error), []
    policies = {result.policy.name: result for result in results}
    kinds = dict.fromkeys(policies, "policy")
    shown: dict[str, ReplayResult] = {}
    same: dict[str, list[str]] = {}
    for name, run in found.items():
        before = {**policies, **shown}
        twins = [o for o in before if np.array_equal(run.log.agent, before[o].log.agent)]
        if twins := allowed(name, twins, kinds):
            same.setdefault(twins[0], []).append(name)
        else:
            label = f"{name} (control)" if name in policies else name
            shown[label], kinds[label] = run, "control"
    return shown, "", said_of(same)
