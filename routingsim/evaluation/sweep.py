"""``sweep()``: how many slots each agent needs for a latency objective and a budget.

Every combination of slots is replayed under the same seeds: all meet the same arrivals,
texts and service noise, and differ only in their slots.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from routingsim.agents import AgentPool, PoolLike, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import CorpusLike, load_corpus
from routingsim.errors import SimulationError
from routingsim.evaluation.intervals import t_interval
from routingsim.evaluation.metrics.timed import in_time
from routingsim.evaluation.tabular import Tabular
from routingsim.policies.kernel import OK, Kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.simulation.arrival_notes import seconds, unlike_asked
from routingsim.simulation.arrivals import Arrivals, ClosedLoop, as_arrivals
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.faults import ONE_TRY, Retries
from routingsim.simulation.replications import replication_seeds
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import check_kinds, prepare
from routingsim.simulation.statistics import quantiles


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Tabular):
    """Cost and latency of each combination of slots.

    Attributes
    ----------
    frame : DataFrame
        A row per combination; the index has a level for each agent that was varied, with
        its number of slots. Columns:

        - slots: of the whole pool
        - usd_per_hour: tokens and rent
        - p95, p95_half_width: latency (s) of answers
        - within, within_half_width: share of all tasks that arrived after the warm-up and
          were answered within the objective; lost tasks count as not answered
        - offered_max: highest offered load of an agent
        - rate_met, span: tasks that arrived per second, and seconds from the first arrival to
          the last
        - verdict: "met" if the whole interval of ``within`` is at or above ``share`` and
          no queue grows at the end of a run, "missed" if the whole interval is below, else
          "open": decided by more replications or tasks
    objective : float
        Latency in seconds.
    share : float
        Share of all tasks to be answered within the objective.
    asked : float or None
        Rate asked for (tasks/s); None if there is none.
    """

    frame: pd.DataFrame
    objective: float
    share: float
    asked: float | None = None

    def __repr__(self) -> str:
        counts = self.frame["verdict"].value_counts()
        said = ", ".join(f"{counts.get(word, 0)} {word}" for word in ("met", "open", "missed"))
        return (
            f"Sweep: {len(self.frame):,} combinations of slots for "
            f"{', '.join(map(str, self.frame.index.names))}; {self.share:.0%} of tasks within "
            f"{self.objective:g} s: {said}; {self._arrivals}"
        )

    @property
    def _arrivals(self) -> str:
        """The rate asked for, and that met, with the span of a run."""
        asked = "" if self.asked is None else f"{self.asked:.3g} tasks/s asked for, "
        met, span = self.frame[["rate_met", "span"]].mean()
        return f"{asked}{met:.3g} met over {seconds(span)}"

    def to_frame(self) -> pd.DataFrame:
        """``frame`` with the numbers of slots as columns."""
        return self.frame.reset_index()

    def frontier(self) -> pd.DataFrame:
        """The combinations that no other beats on both cost and p95, cheapest first."""
        ordered = self.frame.dropna(subset=["p95"]).sort_values(by=["usd_per_hour", "p95"])
        before = ordered["p95"].cummin().shift(fill_value=np.inf)
        return ordered.loc[ordered["p95"] < before, :]

    def meeting(self, budget: float = np.inf) -> pd.DataFrame:
        """The combinations whose verdict is "met", cheapest first.

        Parameters
        ----------
        budget : float
            Highest cost, in USD per hour.
        """
        good = (self.frame["verdict"] == "met") & (self.frame["usd_per_hour"] <= budget)
        return self.frame.loc[good, :].sort_values(by=["usd_per_hour", "p95"])


def sweep(
    corpus: CorpusLike | None,
    pool: PoolLike | None = None,
    policy: str | Policy | Kernel | Callable[..., int] = "threshold",
    *,
    slots: Mapping[str, int | Iterable[int]],
    arrivals: str | Arrivals,
    objective: float,
    share: float = 0.95,
    rent: float | Mapping[str, float] = 0.0,
    replications: int = 5,
    tasks: int | None = None,
    seed: int = 0,
    retries: Retries = ONE_TRY,
    service: str | None = None,
) -> Sweep:
    """Replay every combination of slots, under common random numbers.

    Parameters
    ----------
    corpus, pool, policy, tasks, retries, service
        As for :func:`routingsim.replay`.
    slots : mapping of str to int or iterable of int
        The numbers of slots to try, by agent id. Other agents keep theirs.
    arrivals : str or arrival process
        The traffic to be served, the same for all combinations.
    objective : float
        Latency in seconds.
    share : float
        Share of all tasks to be answered within the objective; 0.95 asks for p95.
    rent : float or mapping of str to float
        USD per slot and hour, used or not: of all agents, or by agent id.
    replications : int
        Runs of each combination, 2 or more.
    seed : int
        The seeds of the replications are derived from it, as those of a study.

    Raises
    ------
    AgentError
        If ``slots`` or ``rent`` names an agent that is not in the pool.
    CorpusError, PolicyError, SimulationError
        If a parameter is out of its range or of the wrong type, or the runs do not meet the
        arrivals asked for: shorter than a period, or at another rate than their error allows.
    """
    corpus = None if corpus is None else load_corpus(corpus)
    pool = load_agents(pool)
    check_kinds(retries, ())
    if not isinstance(slots, Mapping):
        raise SimulationError(
            f"slots={slots!r}: numbers of slots by agent are needed, as {{'{pool.ids[0]}': [2, 4]}}"
        )
    tried = {agent: _counts(agent, counts, pool) for agent, counts in slots.items()}
    if not (
        (tried and is_whole(replications) and is_finite(objective) and is_finite(share))
        and (replications >= 2 and objective > 0 and 0 < share < 1)
    ):
        raise SimulationError(
            f"slots for {len(tried)} agents, replications={replications!r}, "
            f"objective={objective!r}, share={share!r}: one agent or more, 2 replications or more, "
            "an objective above 0 s and a share between 0 and 1 are needed"
        )
    rents = _rents(rent, pool)
    process = as_arrivals(arrivals)
    _check_met(process, corpus, tasks, range(seed, seed + replications))
    rows, combinations = [], list(itertools.product(*tried.values()))
    for combination in combinations:
        counts = dict(zip(tried, combination, strict=True))
        sized = AgentPool(
            tuple(
                msgspec.structs.replace(a, concurrency=counts.get(a.id, a.concurrency))
                for a in pool
            )
        )
        made = make_policy(sized, policy, corpus)
        scene = prepare(corpus, sized, made, retries=retries, service=service)
        runs = [
            _figures(scene.run(process, seed=own, tasks=tasks), objective)
            for own in replication_seeds(seed, replications)
        ]
        rows.append(_row(runs, sized, rents, share))
    index = pd.MultiIndex.from_tuples(combinations, names=list(tried))
    return Sweep(pd.DataFrame(rows, index=index), objective, share, process.rate)


def _check_met(
    process: Arrivals, corpus: Corpus | None, tasks: int | None, seeds: Sequence[int]
) -> None:
    """A SimulationError unless the runs meet the arrivals asked for."""
    if isinstance(process, ClosedLoop) or (tasks is None and corpus is None):
        return
    count = len(corpus or ()) if tasks is None else tasks
    times = [process.times(count, seed, corpus) for seed in seeds]
    spans = [float(each[-1]) for each in times if each.size]
    if spans and (said := unlike_asked(process, process.rate, times[0].size, spans)):
        raise SimulationError(f"{process}: no capacity can be told, as {said}")


def _figures(result: ReplayResult, objective: float) -> list[float]:
    """Of a run: p95, share within the objective, USD of tokens per hour, load, growth, arrivals."""
    counted = result.work.arrived >= result.window[0]
    on_time = in_time(result.latency, objective, result.window[1])
    prompt = (result.log.status == OK) & on_time
    return [
        float(quantiles(result.latency[result.timed], 0.95)),
        float(prompt[counted].mean()),
        3600 * result.realised[0] * float(result.log.cost.mean()),
        max(result.stability.offered.values()),
        result.stability.verdict == "growing",
        result.realised[0],
        result.span,
    ]


def _row(
    runs: list[list[float]], pool: AgentPool, rents: Mapping[str, float], share: float
) -> dict[str, float | int | str]:
    p95s, shares, tokens, offered, growing, met, span = np.array(runs).T
    p95, within = t_interval(p95s), t_interval(shares)
    good = within.low >= share and not growing.any()
    return {
        "slots": int(pool.column("concurrency").sum()),
        "usd_per_hour": float(tokens.mean()) + sum(rents[a.id] * a.concurrency for a in pool),
        "p95": p95.mean,
        "p95_half_width": p95.half_width,
        "within": within.mean,
        "within_half_width": within.half_width,
        "offered_max": float(offered.mean()),
        "rate_met": float(met.mean()),
        "span": float(span.mean()),
        "verdict": "missed" if within.high < share else "met" if good else "open",
    }


def _counts(agent: str, counts: int | Iterable[int], pool: AgentPool) -> list[int]:
    pool.index(agent)  # raises an AgentError that names the agents of the pool
    found = list(counts) if isinstance(counts, Iterable) else [counts]
    whole = bool(found) and all(is_whole(count) and count >= 1 for count in found)
    if not whole or len(set(found)) < len(found):
        raise SimulationError(
            f"slots of {agent}: {counts!r}; different whole numbers of 1 or more are needed"
        )
    return [int(count) for count in found]


def _rents(rent: float | Mapping[str, float], pool: AgentPool) -> dict[str, float]:
    if not isinstance(rent, Mapping):
        rent = dict.fromkeys(pool.ids, float(rent))
    given = {pool.ids[pool.index(agent)]: usd for agent, usd in rent.items()}
    rents = dict.fromkeys(pool.ids, 0.0) | given
    wrong = [f"{agent}={usd}" for agent, usd in rents.items() if not 0 <= usd < np.inf]
    if wrong:
        raise SimulationError(f"rent: {wrong[0]}; USD per hour of 0 or more are needed")
    return rents
