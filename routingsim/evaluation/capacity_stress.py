"""What breaks first: a pool that meets its targets, under other conditions than those asked."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from routingsim.agents import AgentPool
from routingsim.evaluation import cell as cells
from routingsim.evaluation.capacity_question import HOURS, Candidate, Question
from routingsim.evaluation.targets import USD
from routingsim.formatting import duration
from routingsim.policies.costs import cost_order
from routingsim.policies.policy import make_policy
from routingsim.simulation.arrivals import Arrivals, ClosedLoop
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import Outage
from routingsim.simulation.replications import replication_seeds
from routingsim.simulation.scenario import prepare

RUNS = 5
"""Runs under each condition."""

DOWN = 600.0
"""Seconds for which the most expensive agent is down."""

MORE, LESS = 1.2, 0.8
"""Factors of prices and of service times."""


def stress(question: Question, candidate: Candidate) -> pd.DataFrame:
    """The targets of a question under conditions that are worse.

    Parameters
    ----------
    question, candidate
        As of :mod:`routingsim.evaluation.capacity`.

    Returns
    -------
    DataFrame
        A row for each condition (as asked, twice the load, the most expensive agent down for ten
        minutes or half of a shorter run, prices of calls and slots 20 % up and down, service
        times 20 % up and down): condition, the means over 5 runs of each target's metric, of the
        rate met (tasks/s), of the span (s) and of USD per hour; ``breaks``, the targets that the
        means miss, the one missed by the largest share of its bound first ("" for none);
        ``busiest``, the agent with the highest offered load ("" where that is not known), and
        ``offered``, that load. Policies use the prices and times of the question.
    """
    pool, process = candidate.pool, question.process
    costliest = cost_order(pool, question.corpus)[-1]
    span = question.tasks / question.rate if question.rate else DOWN
    length = min(DOWN, span / 2)
    outage = Outage(costliest, span / 4, span / 4 + length)
    table = [_row(question, candidate, "as asked", pool, process)]
    if not isinstance(process, ClosedLoop):
        twice = process.scaled(2.0)
        times = 2 if twice.period and twice.period == process.period else 1
        more = replace(question, tasks=times * question.tasks)  # as many periods as asked
        table.append(_row(more, candidate, "twice the load", pool, twice))
    down = f"{costliest} down for {duration(length)}"
    table += [
        _row(question, candidate, down, pool, process, outages=(outage,)),
        _row(question, candidate, "prices 20 % higher", pool, process, price=MORE),
        _row(question, candidate, "prices 20 % lower", pool, process, price=LESS),
        _row(question, candidate, "service times 20 % longer", pool, process, times=MORE),
        _row(question, candidate, "service times 20 % shorter", pool, process, times=LESS),
    ]
    return pd.DataFrame(table)


def _row(
    question: Question,
    candidate: Candidate,
    said: str,
    pool: AgentPool,
    process: Arrivals,
    *,
    outages: tuple[Outage, ...] = (),
    price: float = 1.0,
    times: float = 1.0,
) -> dict[str, float | str]:
    policy = make_policy(pool, candidate.wanted, question.corpus)
    met = question.met_by(pool)
    if outages:
        met["outages"] = [*outages, *(own for own in met["outages"] if _apart(own, outages, pool))]
    if times != 1.0:
        met["changes"] = _slower(met["changes"], pool, times)
    scene = prepare(question.corpus, pool, policy, **met)
    seeds = replication_seeds(question.seed + 2, RUNS)
    runs = [
        scene.run(process, seed=seed, tasks=question.tasks, order=question.order) for seed in seeds
    ]
    figures = np.array([cells.measure(run, question.objective, 0.5) for run in runs])
    means = dict(zip(cells.METRICS, figures.mean(axis=0).tolist(), strict=True))
    means["cost"] *= price
    means[USD] = price * candidate.rent + HOURS * means["rate_met"] * means["cost"]
    missed = [target for target in question.targets if not target.margin(means[target.metric]) >= 0]
    missed.sort(key=lambda target: -target.shortfall(means[target.metric]))
    offered = np.mean([list(run.stability.offered.values()) for run in runs], axis=0)
    first = int(offered.argmax()) if np.isfinite(offered).all() else None
    row: dict[str, float | str] = {"condition": said}
    row |= {target.metric: means[target.metric] for target in question.targets}
    row |= {name: means[name] for name in ("rate_met", "span")}
    row |= {USD: means[USD], "breaks": ", ".join(map(str, missed))}
    return row | {
        "busiest": "" if first is None else pool.ids[first],
        "offered": math.nan if first is None else float(offered[first]),
    }


def _apart(own: Outage, others: tuple[Outage, ...], pool: AgentPool) -> bool:
    """Whether an outage of the question overlaps with none of these."""
    members = pool.accounts.get(own.agent)
    of = [own.agent] if members is None else [pool.ids[k] for k in members]
    return all(o.agent not in of or own.up <= o.down or o.up <= own.down for o in others)


def _slower(changes: Sequence[Change], pool: AgentPool, times: float) -> list[Change]:
    """The changes of the question, with all service times this many times as long."""
    own = [each if each.speed is None else replace(each, speed=each.speed / times)
           for each in changes]  # fmt: skip
    return [*(Change(agent, 0.0, speed=1 / times) for agent in pool.ids), *own]
