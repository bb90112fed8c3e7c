"""Training: a learning policy is replayed again and again and keeps its memory."""

from collections.abc import Callable
from dataclasses import replace
from typing import Unpack

import numpy as np

from routingsim import rng
from routingsim.agents import PoolLike, load_agents
from routingsim.corpora.corpus import CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.errors import PolicyError, SimulationError
from routingsim.policies.bandit_base import QUALITY
from routingsim.policies.bandit_base import explore as exploring
from routingsim.policies.bandits import learn_by_agent
from routingsim.policies.crossfit import builtin_fits
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import OK
from routingsim.policies.linucb import learn_linear
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.qtable import learn_table
from routingsim.progress import progress_bar
from routingsim.simulation.arrivals import Arrivals, Poisson, as_arrivals
from routingsim.simulation.arrivals.checks import check_seed, is_finite, is_whole
from routingsim.simulation.conditions import Conditions, conditions, takes_conditions
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import Scenario, prepare
from routingsim.synonyms import argument_hints

_BUILTIN = (learn_by_agent, learn_linear, learn_table)


@argument_hints
@takes_conditions
def train(
    corpus: CorpusLike,
    pool: PoolLike | None,
    policy: str | Policy,
    *,
    episodes: int = 30,
    arrivals: str | Arrivals | None = None,
    load: float = 0.9,
    seed: int = 0,
    explore: float = 0.0,
    progress: bool = True,
    on_episode: Callable[[ReplayResult], None] | None = None,
    **given: Unpack[Conditions],
) -> Policy:
    """Let a policy learn from a corpus in the simulator.

    Each episode replays the corpus once, in a new random order, and starts with the
    memory at the end of the episode before. Where a corpus records the quality of some
    agents on some tasks, such as a log with one answer a task, a built-in policy learns
    from predictions in place of what is not recorded: ridge regression, cross-fitted, on
    what is recorded of each agent; a note of the policy counts them.

    Parameters
    ----------
    corpus : Corpus, or anything that ``load_corpus`` takes
        With recorded outcomes, from which rewards are computed.
    pool : AgentPool, or anything that ``load_agents`` takes
        The agents; None for the five default agents.
    policy : str or Policy
        One that learns: ``"fs-qmix"``, ``"linucb:w_latency=0.01"``, …
    episodes : int
        Number of episodes, at least 1.
    arrivals : str or arrival process, optional
        Arrivals of every episode; by default Poisson at ``load``.
    load : float
        Share of the pool's capacity, above 0, used if ``arrivals`` is not given.
    seed : int
        The seeds of the episodes are derived from it; they are large, so that they
        differ from the small seeds of replays.
    retries, outages, changes, signal_delay, routers, hedge, tenants, discipline, service
        As for :func:`routingsim.replay`, in every episode.
    explore : float
        How much a built-in policy explores afterwards, in place of its own ``epsilon``
        or ``exploration``. Other policies are returned as they are.
    progress : bool
        Show a progress bar with the mean quality and latency of the latest episode.
    on_episode : callable, optional
        Called with the result of each episode.

    Returns
    -------
    Policy
        The policy with its new memory, and the corpus's texts in ``fitted_on``. It continues to
        learn wherever it gets outcomes.

    Raises
    ------
    PolicyError
        If the policy does not learn, or what is not recorded cannot be predicted.
    SimulationError
        If an argument is of the wrong type, or two do not suit each other.
    """
    corpus, pool = as_corpus(corpus), load_agents(pool)
    met = conditions(**given)
    check_seed(seed)
    made = make_policy(pool, policy, corpus)
    if not made.learns:
        raise PolicyError(f"{made.name} does not learn: there is nothing to train")
    _check(episodes, load, explore)
    scenario = _with_predictions(prepare(corpus, pool, made, **met), seed)
    process = Poisson(load * scenario.capacity) if arrivals is None else as_arrivals(arrivals)
    order = "shuffled" if process.synthetic else "file"
    bar = progress_bar(shown=progress, total=episodes, desc=made.name, unit="episode")
    seeds = rng.stream(seed, rng.ROW)
    with bar:
        for episode in range(episodes):
            own_seed = int(rng.bits(seeds, episode, 0) >> np.uint64(1))
            result = scenario.run(process, seed=own_seed, order=order)
            learned = replace(scenario.policy, memory=result.memory)
            scenario = replace(scenario, policy=learned)
            if not bar.disable and (result.log.status == OK).any():
                bar.set_postfix_str(_reached(result))
            bar.update()
            if on_episode is not None:
                on_episode(result)
    known = (*made.fitted_on, FittedTexts.of(corpus))
    trained = replace(scenario.policy, fitted_on=tuple(dict.fromkeys(known)))
    return exploring(trained, explore) if made.learn in _BUILTIN else trained


def _check(episodes: int, load: float, explore: float) -> None:
    numbers = is_whole(episodes) and is_finite(load) and is_finite(explore)
    if not (numbers and episodes >= 1 and load > 0 and explore >= 0):
        raise SimulationError(
            f"episodes={episodes!r}, load={load!r}, explore={explore!r}: one episode or more, a "
            "load above 0 and exploration of 0 or more are needed"
        )


def _reached(result: ReplayResult) -> str:
    """Mean quality and latency of an episode with answers."""
    recorded = result.quality[~np.isnan(result.quality)]
    quality = recorded.mean() if recorded.size else np.nan
    latency = result.latency[result.log.status == OK].mean()
    return f"quality {quality:.3f}, latency {latency:.3g} s"


def _with_predictions(scenario: Scenario, seed: int) -> Scenario:
    """The scenario with predicted qualities where a part of them is not recorded."""
    policy, corpus, quality = scenario.policy, scenario.corpus, scenario.records.work.quality
    missing = np.isnan(quality)
    learns = policy.learn in _BUILTIN and policy.memory[QUALITY] > 0
    if corpus is None or not learns or missing.all() or not missing.any():
        return scenario
    agents = tuple(agent.recorded_as for agent in scenario.pool)
    fits = builtin_fits("ridge", (), corpus, agents, seed)
    work = scenario.records.work._replace(
        quality=np.where(missing, np.clip(fits.crossed, 0.0, 1.0), quality)
    )
    counts = ", ".join(
        f"{agent} {n:,}" for agent, n in zip(scenario.pool.ids, missing.sum(axis=0), strict=True)
    )
    note = (
        f"{policy.name}: trained on qualities of which those that are not recorded were predicted "
        f"by ridge regression (of {len(corpus):,} tasks: {counts})"
    )
    return replace(
        scenario,
        records=replace(scenario.records, work=work),
        policy=replace(policy, notes=(note,)),
    )
