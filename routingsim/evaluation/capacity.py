"""``capacity()``: the cheapest pool and policy that meet targets of latency, quality and cost.

Every combination of slots, under every policy, is a candidate. Candidates are taken in the
order of the least that they can cost; one that cannot keep up, or cannot reach the quality
however it routes, is not run. The others are run under the same seeds until their 95 %
intervals lie on one side of every target, or the budget of runs is used up. The cheapest that
meets them all is run again, under seeds of its own and on resampled corpora, and is the answer
only if the intervals of these runs meet the targets too: the figures by which a candidate was
chosen are too favourable. Where the model is an M/M/c queue, exact results take the place of runs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from routingsim.agents import LIMITS, TIME_OUTS, PoolLike, load_agents
from routingsim.corpora.corpus import CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.errors import AgentError, PolicyError, SimulationError
from routingsim.evaluation import cell as cells
from routingsim.evaluation.capacity_answer import Capacity
from routingsim.evaluation.capacity_candidates import candidates, slots_of, with_varied
from routingsim.evaluation.capacity_question import HOURS, Candidate, Question, Tried
from routingsim.evaluation.evidence import evidence
from routingsim.evaluation.intervals import t_interval
from routingsim.evaluation.jobs import simulate
from routingsim.evaluation.loads import Wanted, several
from routingsim.evaluation.study_notes import cautions_on, order_of
from routingsim.evaluation.study_record import StudySettings
from routingsim.evaluation.targets import USD, Target, targets_of
from routingsim.evaluation.travel import Failed
from routingsim.evaluation.workers import Done, execution
from routingsim.policies.costs import expected_costs
from routingsim.policies.policy import make_policy
from routingsim.progress import Progress, reporting
from routingsim.simulation import theory
from routingsim.simulation.arrival_notes import unlike_asked
from routingsim.simulation.arrivals import Arrivals, ClosedLoop, Poisson, as_arrivals
from routingsim.simulation.arrivals.checks import is_whole
from routingsim.simulation.conditions import Conditions, conditions, takes_conditions
from routingsim.simulation.replications import replication_seeds
from routingsim.simulation.scenario import Scenario, prepare
from routingsim.simulation.stability import lasts, of_most, over_runs
from routingsim.simulation.statistics import Interval, either_side
from routingsim.synonyms import argument_hints

FIRST = 3
"""Runs of a candidate before it is first judged; they are doubled until it is decided."""

BATCH = 8
"""Candidates that are run at the same time, whatever the workers: the answer is the same."""


@argument_hints
@takes_conditions
def capacity(
    corpus: CorpusLike | None,
    pool: PoolLike | None = None,
    policies: Wanted | Sequence[Wanted] = "threshold",
    *,
    arrivals: str | Arrivals,
    slots: Mapping[str, int | Iterable[int]],
    vary: Mapping[str, Any] | None = None,
    slo: Mapping[str, float] | None = None,
    quality: float | None = None,
    budget: float | None = None,
    runs: int = 20,
    tasks: int | None = None,
    seed: int = 0,
    executor: Any = None,
    n_jobs: int | None = None,
    progress: Progress = True,
    **given: Unpack[Conditions],
) -> Capacity:
    """Find the cheapest pool and policy that meet targets of latency, quality and cost.

    Parameters
    ----------
    corpus, pool, tasks, retries, outages, changes, signal_delay, routers, hedge, tenants, \
    discipline, service
        As for :func:`routingsim.replay`; an outage or a change of an agent that a candidate
        leaves out does not concern it. Slots cost what the agents' field
        ``price_per_slot_hour`` says, calls what they cost anywhere.
    policies : policy or sequence of policies
        Any that :func:`routingsim.policies.make_policy` takes, with their parameters.
    arrivals : str or arrival process
        The traffic to be served; its peaks are served too.
    slots : mapping of str to int or iterable of int
        The numbers of slots to try, by agent id; 0 leaves the agent out. Other agents keep
        theirs.
    vary : mapping of str to list or range, optional
        Parameters of the policies to try, by "policy.PARAMETER", as lists or ranges of
        :func:`routingsim.sweep`: ``{"policy.low": {"from": 0.2, "to": 0.4, "steps": 3}}``.
        Policies that do not have the parameter are tried as they are.
    slo : mapping of str to float, optional
        Bounds by metric (:data:`routingsim.evaluation.targets.METRICS`), as
        ``{"latency_p95": 2.0}``. 99 % of tasks are to be answered unless ``answered`` is given.
    quality : float, optional
        Least mean quality of all tasks, of which one without an answer counts 0.
    budget : float, optional
        USD per hour at most.
    runs : int
        Runs of a candidate at most, 3 or more. The answer is run as often again.
    seed : int
    executor, n_jobs
        Where to run, as for :func:`routingsim.compare`; the answer is the same.
    progress : bool or callable
        A bar, at a terminal and in notebooks; or ``progress(done, all)``, called as
        candidates are decided.

    Raises
    ------
    AgentError
        If ``slots`` names an agent that is not in the pool.
    CorpusError, PolicyError, SimulationError
        If a parameter is out of its range or of the wrong type, or the runs do not meet the
        arrivals asked for: shorter than a period, or at another rate than their error allows.
    """
    corpus = None if corpus is None else as_corpus(corpus)
    pool = load_agents(pool)
    met = conditions(**given)
    targets = targets_of(slo, quality, budget)
    tried = slots_of(slots, pool)
    if not is_whole(runs) or runs < FIRST:
        raise SimulationError(f"runs={runs!r}: {FIRST} or more are needed")
    process = as_arrivals(arrivals)
    wanted: list[Wanted] = several(policies)
    if not wanted:
        raise SimulationError("policies: one or more are needed")
    count = tasks if tasks is not None else len(corpus) if corpus is not None else None
    if count is None:
        raise SimulationError("tasks: without a corpus, a number of tasks is needed")
    first = prepare(corpus, pool, make_policy(pool, wanted[0], corpus), **met)
    order, of_order = ("file", "") if corpus is None else order_of([first], corpus, process)
    question = Question(
        *(corpus, targets, process, int(count), order, seed, int(runs), met),
        first.pool,
        cautions_on(corpus, first.pool, process, int(count), of_order),
    )
    asks_quality = any(target.metric in ("quality_all", "goodput") for target in targets)
    if asks_quality and not question.graded:
        raise SimulationError(
            "quality: the corpus does not record the quality of every agent on the same tasks, so "
            "that of another pool is not known; compare estimates it from a log"
        )
    _check_met(question)
    asked = candidates(question, pool, tried, with_varied(wanted, vary))
    shared, where = (question, asked), {"executor": executor, "n_jobs": n_jobs}
    with execution(_screen_nth, shared, **where) as each, reporting(progress, "pool") as tell:
        return _search(question, asked, list(tried), each, tell)


def _search(
    question: Question,
    asked: list[Candidate],
    varied: list[str],
    each: Callable[[Sequence[int], Done], None],
    tell: Callable[[int, int], object],
) -> Capacity:
    found: dict[int, Tried] = {}
    best: Tried | None = None
    able = [k for k, candidate in enumerate(asked) if not candidate.why]
    for begin in range(0, len(able), BATCH):
        ceiling = np.inf if best is None else best.price
        batch = [k for k in able[begin : begin + BATCH] if asked[k].floor < ceiling]
        if not batch:
            break

        def done(place: int, screened: Tried | Failed, batch: list[int] = batch) -> None:
            if isinstance(screened, Failed):
                raise screened.error
            found[batch[place]] = screened

        each(batch, done)
        good = (k for k in batch if found[k].verdict == "met")
        for k in sorted(good, key=lambda k: found[k].price):
            if best is not None and found[k].price >= best.price * (1 - 1e-9):  # rounding
                break
            found[k] = _confirm(question, found[k])
            if found[k].verdict == "met":
                best = found[k]
        tell(begin + len(batch), len(able))
    tell(len(able), len(able))
    found = dict(sorted(found.items()))  # in the order of candidates, not in that of their ends
    ceiling = np.inf if best is None else best.price
    undecided = [each for each in found.values() if each.verdict == "open"]
    cheaper = sum(each.price < ceiling for each in undecided)
    status = "answered" if best else "undecided" if undecided else "none"
    ran = [each for each in found.values() if each.found]
    if best is None and ran:
        best = min(ran, key=lambda each: _shortfall(question.targets, each))
        best = best if best.verdict == "growing" else _confirm(question, best)
    frame = _frame(question, asked, found, varied)
    nearest = min(asked, key=lambda each: each.lack) if best is None else None
    return Capacity(question.targets, status, best, frame, cheaper, question, nearest)


def _shortfall(targets: Sequence[Target], tried: Tried) -> tuple[bool, float]:
    """How far a candidate is from the targets, as the largest share of a bound that it misses."""
    shares = [target.shortfall(tried.found[target.metric].mean) for target in targets]
    return tried.verdict == "growing", max(shares)


def _scene(question: Question, candidate: Candidate) -> Scenario:
    policy = make_policy(candidate.pool, candidate.wanted, question.corpus)
    return prepare(question.corpus, candidate.pool, policy, **question.met_by(candidate.pool))


def _screen_nth(shared: tuple[Question, Sequence[Candidate]], k: int) -> Tried:
    question, asked = shared
    return _screen(question, asked[k])


def _screen(question: Question, candidate: Candidate) -> Tried:
    """Run a candidate until it is decided, or the budget of runs is used up."""
    try:
        scene = _scene(question, candidate)
    except (AgentError, PolicyError) as error:  # such as of an agent that has no slots
        return Tried(replace(candidate, why=str(error)), {}, "cannot", 0)
    if (exact := _exact(question, candidate, scene)) is not None:
        return exact
    seeds = replication_seeds(question.seed, question.runs)
    rows, states, upto = [], [], 0
    while True:
        upto = min(max(FIRST, 2 * upto), question.runs)
        for seed in seeds[len(rows) : upto]:
            result = scene.run(
                question.process, seed=seed, tasks=question.tasks, order=question.order
            )
            rows.append(cells.measure(result, question.objective, 0.5))
            states.append(result.stability)
        table = dict(zip(cells.METRICS, np.array(rows).T, strict=True))
        usd = candidate.rent + HOURS * table["rate_met"] * table["cost"]
        found = {metric: t_interval(table[metric]) for metric in question.metrics}
        found[USD] = t_interval(usd)
        said = _verdict(question.targets, found)
        most = of_most(over_runs(states))
        if lasts(most, float(table["peak"].mean()), float(table["left"].mean())):
            said = "growing"
        if said != "open" or upto == question.runs:
            met, span = float(table["rate_met"].mean()), float(table["span"].mean())
            rate = question.rate or table["rate_met"]
            price = float((candidate.rent + HOURS * rate * table["cost"])[:FIRST].mean())
            return Tried(candidate, found, said, upto, met, span, price)


def _confirm(question: Question, tried: Tried) -> Tried:
    """The candidate with intervals of runs under other seeds, and on resampled corpora."""
    candidate = tried.candidate
    if not tried.runs:
        return tried
    settings = StudySettings(
        seed=question.seed + 1,
        replications=question.runs,
        tasks=question.tasks,
        objective=question.objective,
        right=0.5,
        population="tasks like these" if question.sampled else "these tasks",
        order=question.order,
    )
    cell = simulate((_scene(question, candidate), question.process, settings, question.resamples))
    count = question.resamples.independent

    def interval(metric: str) -> Interval:
        shown = evidence(cell, metric, question.group, count, sampled=settings.sampled)
        return either_side(shown.interval()[0])

    found = {metric: interval(metric) for metric in question.metrics}
    hourly = HOURS * float(cell.figures[:, list(cells.METRICS).index("rate_met")].mean())
    cost = interval("cost")
    found[USD] = Interval(candidate.rent + hourly * cost.mean, hourly * cost.half_width)
    said = "growing" if cell.lasts else _verdict(question.targets, found)
    return replace(tried, found=found, verdict=said, runs=tried.runs + question.runs)


def _verdict(targets: Sequence[Target], found: Mapping[str, Interval]) -> str:
    said = {target.verdict(found[target.metric]) for target in targets}
    return "missed" if "missed" in said else "open" if "open" in said else "met"


def _exact(question: Question, candidate: Candidate, scene: Scenario) -> Tried | None:
    """The candidate by queueing theory, if it is one agent with an M/M/c queue."""
    metrics = {*question.metrics} - {"answered", "cost"}
    timed = all(name == "wait_mean" or name.startswith("latency_") for name in metrics)
    agent, met = candidate.pool[0], question.conditions
    plain = (
        len(candidate.pool) == 1
        and isinstance(question.process, Poisson)
        and (met["service"] or agent.service) == "exponential"
        and not any(met[name] for name in ("outages", "changes", "hedge", "tenants", "discipline"))
        and agent.error_rate == 0
        and agent.queue_limit is None
        and agent.patience is None
        and agent.discipline == "fifo"
        and agent.sharing == 0
        and scene.policy.judge is None
        and not any(getattr(agent, field) for field in (*LIMITS, *TIME_OUTS))
    )
    if not (plain and timed and question.corpus is None):
        return None
    queue = theory.mmc(question.rate, agent.mean_service, agent.concurrency)
    named = {"latency_mean": queue.latency_mean, "wait_mean": queue.wait_mean, "answered": 1.0}
    cost = float(expected_costs(candidate.pool)[0][0])
    named |= {"cost": cost, USD: candidate.rent + HOURS * question.rate * cost}
    for name in metrics - set(named):
        named[name] = queue.latency_quantile(int(name.removeprefix("latency_p")) / 100)
    found = {name: Interval(named[name], 0.0) for name in (*question.metrics, USD)}
    said = _verdict(question.targets, found)
    return Tried(candidate, found, said, 0, price=named[USD])


def _frame(
    question: Question,
    asked: Sequence[Candidate],
    found: Mapping[int, Tried],
    varied: Sequence[str],
) -> pd.DataFrame:
    names = [USD, *question.metrics]
    rows = []
    for k, candidate in enumerate(asked):
        got = found.get(k)
        candidate = got.candidate if got else candidate
        known = got.found if got else {}
        row = dict(zip(varied, candidate.slots, strict=True)) | {"policy": candidate.policy}
        row |= {name: known[name].mean if known else np.nan for name in names}
        row |= {"rate": question.rate or np.nan}
        row |= {name: getattr(got, name, np.nan) for name in ("rate_met", "span")}
        if not known:
            row[USD] = candidate.floor
        verdict = got.verdict if got else "cannot" if candidate.why else "dearer"
        rows.append(
            row | {"runs": got.runs if got else 0, "verdict": verdict, "why": candidate.why}
        )
    return pd.DataFrame(rows).sort_values(USD, kind="stable", ignore_index=True)


def _check_met(question: Question) -> None:
    """A SimulationError unless the runs meet the arrivals asked for."""
    process = question.process
    if isinstance(process, ClosedLoop):
        return
    seeds = replication_seeds(question.seed, FIRST)
    times = [process.times(question.tasks, seed, question.corpus) for seed in seeds]
    spans = [float(each[-1]) for each in times if each.size]
    if spans and (said := unlike_asked(process, process.rate, times[0].size, spans)):
        raise SimulationError(f"{process}: no capacity is known, as {said}")
