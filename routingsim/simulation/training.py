"""Training: a learning policy replayed again and again, its memory carried over."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from routingsim import rng
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError, SimulationError
from routingsim.policies.bandit_base import explore as exploring
from routingsim.policies.bandits import learn_by_agent
from routingsim.policies.kernel import OK
from routingsim.policies.linucb import learn_linear
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.qtable import learn_table
from routingsim.simulation.arrivals import Arrivals, Poisson, parse_arrivals
from routingsim.simulation.faults import ONE_TRY, Retries
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import prepare

__all__ = ["train"]

_SHIPPED = (learn_by_agent, learn_linear, learn_table)


def train(
    policy: str | Policy,
    corpus: Corpus,
    pool: AgentPool,
    *,
    episodes: int = 30,
    arrivals: str | Arrivals | None = None,
    load: float = 0.9,
    seed: int = 0,
    retries: Retries = ONE_TRY,
    explore: float = 0.0,
    progress: bool = True,
    on_episode: Callable[[ReplayResult], None] | None = None,
) -> Policy:
    """Let a policy learn from a corpus in the simulator.

    Each episode replays the corpus once, its tasks in an order of its own, and begins with
    what the one before had learned.

    Parameters
    ----------
    policy : str or Policy
        One that learns: ``"fs-qmix"``, ``"linucb:w_latency=0.01"``, …
    corpus : Corpus
        With recorded outcomes, of which rewards are made.
    pool : AgentPool
    episodes : int
        1 or more.
    arrivals : str or arrival process, optional
        Of every episode; Poisson at ``load`` by default.
    load : float
        Share of the pool's capacity, above 0, where ``arrivals`` are not given.
    seed : int
        Episodes have seeds drawn from it, far from the small ones that replays have.
    retries : Retries
        What happens after a failed call.
    explore : float
        How much a shipped policy explores afterwards, in place of its own ``epsilon`` or
        ``exploration``. A policy of your own is handed back as it is.
    progress : bool
        Show a bar, with the mean quality and latency of the latest episode.
    on_episode : callable, optional
        Called with the result of each episode.

    Returns
    -------
    Policy
        The same with its new memory, and the corpus in ``fitted_on``. It goes on learning
        wherever it is told how tasks went.

    Raises
    ------
    PolicyError
        If the policy does not learn.
    SimulationError
        If the parts do not go together.
    """
    made = make_policy(pool, policy, corpus)
    if not made.learns:
        raise PolicyError(f"{made.name} does not learn: there is nothing to train")
    if episodes < 1 or not load > 0 or not explore >= 0:
        raise SimulationError(
            f"episodes={episodes}, load={load}, explore={explore}: one episode or more, a load "
            "above 0 and exploration of 0 or more are needed"
        )
    scenario = prepare(corpus, pool, made, retries=retries)
    if isinstance(arrivals, str):
        arrivals = parse_arrivals(arrivals)
    elif arrivals is None:
        arrivals = Poisson(load * scenario.capacity)
    order = "file" if not arrivals.synthetic else "shuffled"
    bar = tqdm(range(episodes), desc=made.name, unit="episode", disable=not progress)
    for episode in bar:
        result = scenario.run(arrivals, seed=_seed(seed, episode), order=order)
        learned = replace(scenario.policy, memory=result.memory)
        scenario = replace(scenario, policy=learned)
        answered = result.log.status == OK
        if progress and answered.any():
            recorded = result.quality[~np.isnan(result.quality)]
            quality = recorded.mean() if recorded.size else np.nan
            latency = result.latency[answered].mean()
            bar.set_postfix_str(f"quality {quality:.3f}, latency {latency:.3g} s")
        if on_episode is not None:
            on_episode(result)
    trained = replace(
        scenario.policy, fitted_on=tuple(dict.fromkeys((*made.fitted_on, corpus.sha256)))
    )
    return exploring(trained, explore) if made.learn in _SHIPPED else trained


def _seed(seed: int, episode: int) -> int:
    return int(rng.bits(rng.stream(seed, rng.ROW), episode, 0) >> np.uint64(1))
