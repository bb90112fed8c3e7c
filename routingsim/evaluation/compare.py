"""``compare()``: policies x loads x replications, under common random numbers.

In replication r of a load every policy meets the same arrivals, order of tasks, service
noise and failures, so that differences come from the policies and not from chance. The
controls run beside the policies.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, get_args

import numpy as np

from routingsim.agents import AgentPool, PoolLike, load_agents
from routingsim.corpora.corpus import Corpus, CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.display import free_name
from routingsim.errors import SimulationError
from routingsim.evaluation.cell import Cell, means
from routingsim.evaluation.controls.identical import identical, said_of
from routingsim.evaluation.controls.simulated import chosen_by, control_policies
from routingsim.evaluation.jobs import run
from routingsim.evaluation.loads import Wanted, check_runs, mean_rate, several
from routingsim.evaluation.objective import default_objective
from routingsim.evaluation.resampling import Resamples
from routingsim.evaluation.study import Study
from routingsim.evaluation.study_notes import cautions_on, order_of, remarks_on, unlike
from routingsim.evaluation.study_record import Population, StudySettings
from routingsim.evaluation.workers import check_where
from routingsim.policies.fitted import in_sample
from routingsim.policies.folds import prompts
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.rules import cheapest, random
from routingsim.progress import Progress, reporting
from routingsim.simulation.arrivals import (
    Arrivals,
    CorpusTimes,
    Poisson,
    as_arrivals,
)
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.conditions import Conditions, conditions, takes_conditions
from routingsim.simulation.recorded import basis
from routingsim.simulation.remarks import of_record
from routingsim.simulation.scenario import Scenario, prepare
from routingsim.synonyms import argument_hints

DEFAULT_LOADS = (0.3, 0.6, 0.9)
"""Loads, as shares of the pool's capacity."""


@argument_hints
@takes_conditions
def compare(
    corpus: CorpusLike,
    pool: PoolLike | None = None,
    policies: Wanted | Sequence[Wanted] = ("threshold", "least-loaded"),
    *,
    loads: float | Sequence[float] | None = None,
    rates: float | Sequence[float] | None = None,
    arrivals: str | Arrivals | None = None,
    replications: int = 20,
    tasks: int | None = None,
    seed: int = 0,
    population: Population = "tasks like these",
    objective: float | None = None,
    first_token_objective: float | None = None,
    right: float = 0.5,
    controls: bool | Sequence[str] = True,
    executor: Any = None,
    n_jobs: int | None = None,
    progress: Progress = True,
    resume: str | Path | None = None,
    on_cell: Callable[[dict[str, Any]], object] | None = None,
    **given: Unpack[Conditions],
) -> Study:
    """Compare policies on quality, cost and latency at several loads.

    Parameters
    ----------
    corpus : Corpus, or anything that ``load_corpus`` takes
        The tasks. Each replication takes all of them, in a new random order, unless they have
        times of their own and ``arrivals`` plays these. If no task
        has a recorded quality of every agent, the controls are random and cheapest;
        policies are compared on latency and cost, and for a log with one answer a task on
        estimated quality (:meth:`Study.estimates`).
    pool : AgentPool, or anything that ``load_agents`` takes, optional
        The agents; by default the five default agents.
    policies
        One or several of what :func:`routingsim.policies.make_policy` takes. The first is
        the baseline of all verdicts. A policy that learns starts each run anew. A name
        that occurs twice is numbered: ``random (2)``.
    loads : float or sequence of float, optional
        Shares ρ of the pool's capacity (what the slots of all agents serve, or their limits of
        requests per minute); the arrival rate is ρ times the capacity. By default (0.3, 0.6, 0.9).
    rates : float or sequence of float, optional
        Arrival rates (tasks/s), instead of ``loads``.
    arrivals : str or arrival process, optional
        The process that is scaled to each load; Poisson by default. A trace gives every
        replication the same arrivals, with the tasks in another order. With the corpus's own
        times each task keeps its own: a replication resamples the log in blocks of tasks and
        times together (:mod:`routingsim.simulation.log_blocks`), or, if a policy of the study
        learns, plays it as it is. Other times are assigned to the tasks at random, and a note
        says if these go with their order (:mod:`routingsim.evaluation.order`); the order of
        the file is then kept if a policy learns.
    replications : int
        Runs of each policy at each load; an interval needs 2 or more. More runs make
        figures of these tasks more exact; what other tasks would show, only more tasks tell.
    tasks : int, optional
        Tasks of a run. By default the whole corpus. Fewer or more are drawn from it as by
        :func:`routingsim.replay`, in each replication anew, the same for every policy.
    seed : int
        The seeds of the replications are derived from it (``StudySettings.seeds``).
    population : {"tasks like these", "these tasks"}
        What intervals and verdicts are about. By default the corpus is a sample, and they
        hold for other tasks of its kind: each policy and load is run 40 times more, on
        corpora drawn from it (:mod:`routingsim.evaluation.resampling`), and a corpus of
        fewer than 50 different prompts gives none. Or of these very tasks alone, whose
        intervals are narrower and say nothing of others.
    objective : float, optional
        Latency (s) within which an answer counts for goodput. By default
        :func:`routingsim.evaluation.objective.default_objective`: three times the mean service
        time of the slowest agent that a policy of the study uses.
    first_token_objective : float, optional
        Seconds within which the first token has to come, too, for an answer to count.
    right : float
        Lowest recorded quality of a right answer.
    retries, outages, changes, signal_delay, routers, hedge, tenants, discipline, service
        As for :func:`routingsim.replay`.
    controls : bool or sequence of str
        Run the controls beside the policies: all, none, or those named of random,
        cheapest, best-single, zero-router, shuffle, length, category and oracle
        (:mod:`routingsim.evaluation.controls`). Zero router, shuffle and length have the
        baseline's mix of agents, or its cost, at the first load; for any other policy
        there is :meth:`Study.uses_text`. A control that equals a policy of the study is
        not run again, and one that did exactly as another has no row; a note names it.
    executor : str, concurrent.futures.Executor, Client or Parallel, optional
        Where to run: "threads", as compiled kernels release the global interpreter lock;
        "processes", for policies in plain Python; "dask" on this machine; "serial"; or any
        executor, client of Dask or ``joblib.Parallel`` of your own, which gets the corpus
        once. Figures are the same bit for bit. By default in threads.
    n_jobs : int, optional
        How many threads, processes or workers; by default one for each core, as -1; -2 is
        one less.
    progress : bool or callable
        A bar, at a terminal and in notebooks; or ``progress(done, all)``, called
        after each policy and load.
    resume : path, optional
        A checkpoint file. Finished cells are added to it, and those already in it are not
        run again. A cell is reused only for the same policy, load, corpus, agents and
        settings, so several studies may share a file.
    on_cell : callable, optional
        ``on_cell(row)``, called in this thread as each policy and load ends: a dict of policy,
        load, stability, and each metric's mean with the half-width of its interval over the
        runs (``cost``, ``cost_hw``).

    Raises
    ------
    CorpusError, AgentError, PolicyError, SimulationError
        If a parameter is out of its range or of the wrong type, the parameters do not go
        together, or ``resume`` is not a checkpoint file.
    """
    corpus, pool = as_corpus(corpus), load_agents(pool)
    check_where(executor, n_jobs)
    wanted = several(policies)
    _check(len(wanted), replications, population)
    check_runs(replications, objective, right, first_token_objective)
    met = conditions(**given)
    made = _made(pool, wanted, corpus)
    scenes = [prepare(corpus, pool, policy, **met) for policy in made]
    capacity = scenes[0].capacity
    shares = _shares(loads, rates, capacity)
    shape = Poisson(1.0) if arrivals is None else as_arrivals(arrivals)
    order, of_order = order_of(scenes, corpus, shape)
    count = len(corpus) if tasks is None else tasks
    rate = mean_rate(shape, corpus, count)
    processes = {share: shape.scaled(share * capacity / rate) for share in shares}
    if objective is None:
        first = processes[shares[0]]
        pilots = (scene.run(first, seed=seed, tasks=count, order=order) for scene in scenes)
        objective = default_objective(pilots, scenes[0].system.mean_service)
    settings = StudySettings(
        seed,
        replications,
        count,
        float(objective),
        float(right),
        population,
        order,
        first_token_objective=first_token_objective,
    )
    if controls is not False:
        beside = _controls(corpus, pool, scenes, shares[0] * capacity, seed, controls)
        scenes += [prepare(corpus, pool, policy, **met) for policy in beside]
    _, others = of_record(corpus, scenes[0].pool, own_times=isinstance(shape, CorpusTimes))
    group = prompts(corpus)
    drawn = Resamples(group, seed, in_order=order != "shuffled")
    jobs = [(scene, each, settings, drawn) for scene in scenes for each in processes.values()]
    kept = None if resume is None else Path(resume)
    keys = [(scene.policy.name, share) for scene in scenes for share in shares]

    def tell(k: int, cell: Cell) -> None:
        row = {"policy": keys[k][0], "load": keys[k][1], "stability": cell.verdict}
        if on_cell is not None:
            on_cell(row | means(cell.figures))

    with reporting(progress, "cell") as bar:
        done = run(
            jobs, executor=executor, n_jobs=n_jobs, progress=bar, checkpoint=kept, on_cell=tell
        )
    cells = dict(zip(keys, done, strict=True))
    names = [scene.policy.name for scene in scenes]
    kinds = {name: "policy" if k < len(made) else "control" for k, name in enumerate(names)}
    twins = identical(kinds, cells)
    shown = set(names) - {name for others in twins.values() for name in others}
    return Study(
        corpus=corpus,
        pool=pool,
        kinds={name: kind for name, kind in kinds.items() if name in shown},
        in_sample={
            scene.policy.name: in_sample(corpus, scene.policy.fitted_on)
            for scene in scenes
            if scene.policy.name in shown
        },
        loads=shares,
        capacity=capacity,
        arrivals=str(shape),
        settings=settings,
        cells={key: cell for key, cell in cells.items() if key[0] in shown},
        group=group,
        tenant_names=scenes[0].classes.names,
        conditions=met,
        cautions=cautions_on(
            *(corpus, scenes[0].pool, shape, count, of_order),
            unlike(corpus, capacity, processes, settings),
        ),
        remarks=(*remarks_on(scenes[: len(made)], cells, settings), *said_of(twins), *others),
    )


def _made(pool: AgentPool, wanted: Sequence[Wanted], corpus: Corpus) -> list[Policy]:
    """The policies, each under a name of its own."""
    made: dict[str, Policy] = {}
    for each in wanted:
        policy = make_policy(pool, each, corpus)
        name = free_name(policy.name, made)
        made[name] = replace(policy, name=name)
    return list(made.values())


def _check(policies: int, replications: int, population: str) -> None:
    if not is_whole(replications) or replications < 1 or not policies:
        raise SimulationError(
            f"{policies} policies, replications={replications!r}: one policy or more and a whole "
            "number of replications, 1 or more, are needed"
        )
    if population not in get_args(Population):
        allowed = " or ".join(map(repr, get_args(Population)))
        raise SimulationError(f"population={population!r}: {allowed} is needed")


def _same(one: Policy, other: Policy) -> bool:
    """Whether two policies are equal and read no texts."""
    reads = (one.featurize, one.predict, other.featurize, other.predict)
    equal = one.choose is other.choose and np.array_equal(one.memory, other.memory)
    return equal and all(each is None for each in reads)


def _shares(
    loads: float | Sequence[float] | None, rates: float | Sequence[float] | None, capacity: float
) -> tuple[float, ...]:
    """Loads as shares of the capacity, in the order given."""
    if loads is not None and rates is not None:
        raise SimulationError("loads and rates: give one of them")
    name, given = ("loads", loads) if rates is None else ("rates", rates)
    numbers = several(DEFAULT_LOADS if given is None else given, str)
    if not numbers or not all(is_finite(each) and each > 0 for each in numbers):
        raise SimulationError(f"{name}={given!r}: one or more numbers above 0 are needed")
    if len(set(numbers)) < len(numbers):
        raise SimulationError(f"{name}={given!r}: a number occurs twice")
    return tuple(float(each) if rates is None else each / capacity for each in numbers)


def _controls(
    corpus: Corpus,
    pool: AgentPool,
    scenes: Sequence[Scenario],
    rate: float,
    seed: int,
    names: bool | Sequence[str],
) -> list[Policy]:
    """The controls that equal no policy of the study, each under a different name.

    Those that need recorded quality are left out if there is none.
    """
    made = {scene.policy.name: scene.policy for scene in scenes}
    known = np.isfinite(scenes[0].records.work.quality).all(axis=1).any()
    if known and basis(corpus, pool).kind != "log":
        pilot = scenes[0].run(Poisson(rate), seed=seed, order="shuffled")
        found = control_policies(corpus, pool, chosen_by(pilot), seed=seed)
    else:
        found = {"random": random(pool), "cheapest": cheapest(pool, corpus)}
    wanted = list(found) if names is True else several(names, str)
    if unknown := [name for name in wanted if name not in found]:
        raise SimulationError(
            f"controls={names!r}: no control {unknown[0]!r} for this corpus; there are "
            f"{', '.join(found)}"
        )
    controls: dict[str, Policy] = {}
    for policy in (found[name] for name in wanted):
        if policy.name not in made or not _same(policy, made[policy.name]):
            name = free_name(policy.name, {**made, **controls}, "{} (control)")
            controls[name] = replace(policy, name=name)
    return list(controls.values())
