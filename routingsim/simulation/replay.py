"""``replay()``: one policy, one corpus, one pool, one seed."""

from collections.abc import Callable, Sequence
from typing import Any

from routingsim.agents import AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.simulation.arrivals import Arrivals, CorpusTimes, Poisson, parse_arrivals
from routingsim.simulation.faults import ONE_TRY, Outage, Retries
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import prepare

__all__ = ["DEFAULT_LOAD", "replay"]

DEFAULT_LOAD = 0.7
"""Load, as a share of the pool's capacity, where a corpus has no times and none are asked for."""


def replay(
    corpus: Corpus | None = None,
    pool: AgentPool | None = None,
    policy: str | Policy | Kernel | Callable[..., int] = "threshold",
    *,
    arrivals: str | Arrivals | None = None,
    tasks: int | None = None,
    seed: int = 0,
    retries: Retries = ONE_TRY,
    outages: Outage | Sequence[Outage] = (),
    service: str | None = None,
    warm_up: float | None = None,
) -> ReplayResult:
    """Simulate a pool of agents under a policy and a stream of tasks.

    Parameters
    ----------
    corpus : Corpus, optional
        The tasks. Without one, tasks have no text, no category and no recorded
        outcome: queueing alone.
    pool : AgentPool, optional
        The agents; the five defaults if not given.
    policy
        Anything :func:`routingsim.policies.make_policy` takes.
    arrivals : str or arrival process, optional
        When tasks arrive: ``"poisson:4"``, ``rs.Poisson(4)``, ``"corpus:2x"``, …
        By default the corpus's own times, or Poisson arrivals at 70 % of the
        pool's capacity where it has none. With the corpus's own times each task
        keeps its own, and only those in the window (``"corpus:start=600"``) are
        run. Of a trace (``"trace:FILE"``) only the times are taken;
        :meth:`Corpus.with_arrivals` takes its token counts too.
    tasks : int, optional
        How many tasks to run. By default each of the corpus once, in its order.
        More than the corpus has are drawn from it with replacement.
    seed : int
        Of every draw. Two policies under one seed meet the same arrivals, texts,
        service noise and failures.
    retries : Retries
        What happens after a failed call; by default one try and no more.
    outages : Outage or sequence of Outage
        When which agent is down.
    service : str, optional
        Service-time model of every agent, in place of its own: ``exponential``,
        ``lognormal``, ``deterministic``, ``tokens`` or ``recorded``.
    warm_up : float, optional
        Share of the horizon, from its beginning, left out of wait, latency,
        utilisation and throughput. By default 0.1 for synthetic arrivals and 0
        for a corpus's or trace's own times.

    Raises
    ------
    SimulationError, PolicyError, AgentError
        If the parts do not go together; the message says which and how to mend it.
    """
    pool = load_agents() if pool is None else pool
    outages = (outages,) if isinstance(outages, Outage) else outages
    _refuse_other_kinds(corpus, pool, retries, outages)
    made = make_policy(pool, policy, corpus)
    scenario = prepare(corpus, pool, made, retries=retries, outages=outages, service=service)
    if isinstance(arrivals, str):
        arrivals = parse_arrivals(arrivals)
    elif arrivals is None:
        own = corpus is not None and corpus.has_arrivals
        arrivals = CorpusTimes() if own else Poisson(DEFAULT_LOAD * scenario.capacity)
    elif not isinstance(arrivals, Arrivals):
        raise SimulationError(
            f"arrivals is a {type(arrivals).__name__}: give a process such as rs.Poisson(4), a "
            "text such as 'poisson:4', or times as rs.Trace(times)"
        )
    return scenario.run(arrivals, seed=seed, tasks=tasks, warm_up=warm_up)


def _refuse_other_kinds(corpus: Any, pool: Any, retries: Any, outages: Any) -> None:
    """Say what is wanted of what is given as something else."""
    wanted = [
        ("corpus", corpus, Corpus | None, "rs.load_corpus(...) gives one"),
        ("pool", pool, AgentPool, "rs.load_agents(...) gives one, rs.AgentPool(agents) makes one"),
        ("retries", retries, Retries, "write rs.Retries(attempts=3)"),
        *(("outages", each, Outage, "write [rs.Outage('gpt-4', 600, 900)]") for each in outages),
    ]
    for name, value, kind, hint in wanted:
        if not isinstance(value, kind):
            raise SimulationError(f"{name}: {value!r:.60} is a {type(value).__name__}; {hint}")
