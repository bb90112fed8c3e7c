"""``replay()``: one policy, one corpus, one pool, one seed."""

from collections.abc import Callable
from typing import Unpack

from routingsim.agents import PoolLike, load_agents
from routingsim.corpora.corpus import CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.simulation.arrivals import Arrivals, CorpusTimes, Poisson, as_arrivals
from routingsim.simulation.conditions import Conditions, conditions, takes_conditions
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import prepare
from routingsim.synonyms import argument_hints

DEFAULT_LOAD = 0.7
"""Load, as a share of the pool's capacity, if no arrivals are given and the corpus has no times."""


@argument_hints
@takes_conditions
def replay(
    corpus: CorpusLike | None = None,
    pool: PoolLike | None = None,
    policy: str | Policy | Kernel | Callable[..., int] = "threshold",
    *,
    arrivals: str | Arrivals | None = None,
    tasks: int | None = None,
    seed: int = 0,
    warm_up: float | None = None,
    **given: Unpack[Conditions],
) -> ReplayResult:
    """Simulate a pool of agents under a policy and a stream of tasks.

    Parameters
    ----------
    corpus : Corpus, or anything that ``load_corpus`` takes, optional
        The tasks. Without any, tasks have no text, no category and no recorded
        outcome, and only queueing is simulated.
    pool : AgentPool, or anything that ``load_agents`` takes, optional
        The agents; by default the five default agents.
    policy
        Anything that :func:`routingsim.policies.make_policy` takes.
    arrivals : str or arrival process, optional
        When tasks arrive: ``"poisson:4"``, ``rs.Poisson(4)``, ``"corpus:2x"``, …
        By default the corpus's own times, or Poisson arrivals at 70 % of the
        pool's capacity if it has none. With the corpus's own times each task
        keeps its own, and only tasks in the window (``"corpus:start=600"``) are
        run. A trace (``"trace:FILE"``) gives times only;
        :meth:`Corpus.with_arrivals` takes its token counts too.
    tasks : int, optional
        How many tasks to run. By default each of the corpus once, in its order. Fewer are
        drawn at random without replacement, in proportion to their categories, and played in
        the corpus's order; with the corpus's own times they are the first of the window, and
        a note says how these differ from all. More are drawn with replacement.
    seed : int
        Seed of all random numbers. Two policies under one seed get the same
        arrivals, texts, service noise and failures.
    retries : Retries
        What happens after a failed call; by default there is no retry.
    outages : Outage or sequence of Outage
        When which agent is down.
    changes : Change or sequence of Change
        What changes at agents in the run.
    signal_delay : float
        Seconds until a router sees the calls that the others have sent, and their ends.
    routers : int
        How many routers share the agents, each with the same chance for a task. A router sees
        its own calls at once (:mod:`routingsim.simulation.signals`); the policy's memory is one
        for all.
    hedge : Hedge or str, optional
        When a second copy of a call that takes long is sent to another agent:
        ``rs.Hedge(after=2.0)`` or ``"2s"``, ``rs.Hedge(quantile=0.95)`` or ``"p95"``. Never by
        default.
    tenants : sequence of Tenant or str
        What the corpus does not say of tenants: weights, priorities, and shares of the tasks.
        The corpus's columns ``tenant`` and ``priority`` need no argument.
    discipline : str, optional
        Which of the tasks that wait is next, at every agent, in place of its own ``discipline``:
        ``fifo``, ``priority`` or ``fair``.
    service : str, optional
        Service-time model of every agent, in place of its own: ``exponential``,
        ``lognormal``, ``deterministic``, ``tokens`` or ``recorded``.
    warm_up : float, optional
        Share of the horizon, from its beginning, left out of wait, latency,
        utilisation and throughput. By default 0.1 for arrivals of a stationary
        model without outages, and 0 for all others: recorded times, and rates
        that change. What a warm-up should not leave out is named in the notes.

    Raises
    ------
    CorpusError, AgentError, PolicyError, SimulationError
        If an argument is of the wrong type, or two do not suit each other; the
        message says which and what to do.
    """
    corpus = None if corpus is None else as_corpus(corpus)
    pool = load_agents(pool)
    met = conditions(**given)
    scenario = prepare(corpus, pool, make_policy(pool, policy, corpus), **met)
    if arrivals is None:
        own = corpus is not None and corpus.has_arrivals
        process = CorpusTimes() if own else Poisson(DEFAULT_LOAD * scenario.capacity)
    else:
        process = as_arrivals(arrivals)
    return scenario.run(process, seed=seed, tasks=tasks, warm_up=warm_up)
