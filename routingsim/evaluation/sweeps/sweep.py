"""``sweep()``: a grid or a sample of policy parameters, pool fields, arrivals and seeds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from routingsim.agents import PoolLike, load_agents
from routingsim.corpora.corpus import CorpusLike
from routingsim.corpora.corpus_like import as_corpus
from routingsim.errors import SimulationError
from routingsim.evaluation.loads import Wanted, check_runs, mean_rate
from routingsim.evaluation.objective import default_objective
from routingsim.evaluation.sweeps.cells import Item, row_of, run_nth
from routingsim.evaluation.sweeps.design import axis
from routingsim.evaluation.sweeps.design import points as points_of
from routingsim.evaluation.sweeps.plan import Fixed, Plan, check_axes
from routingsim.evaluation.sweeps.result import Sweep
from routingsim.evaluation.sweeps.store import Store
from routingsim.evaluation.workers import check_where, execution
from routingsim.policies.policy import make_policy
from routingsim.progress import Progress, reporting
from routingsim.simulation.arrivals import Arrivals, Poisson, as_arrivals
from routingsim.simulation.arrivals.checks import check_seed, is_finite
from routingsim.simulation.conditions import DEFAULTS, Conditions, conditions, takes_conditions
from routingsim.simulation.replay import DEFAULT_LOAD
from routingsim.simulation.scenario import prepare
from routingsim.synonyms import argument_hints


@argument_hints
@takes_conditions
def sweep(
    corpus: CorpusLike,
    pool: PoolLike | None = None,
    policy: Wanted = "threshold",
    *,
    vary: Mapping[str, Any],
    design: str = "grid",
    points: int | None = None,
    arrivals: str | Arrivals | None = None,
    load: float | None = None,
    rate: float | None = None,
    tasks: int | None = None,
    replications: int = 5,
    seed: int = 0,
    common: bool = True,
    objective: float | None = None,
    first_token_objective: float | None = None,
    right: float = 0.5,
    results: str | Path | None = None,
    executor: Any = None,
    n_jobs: int | None = None,
    progress: Progress = True,
    on_cell: Callable[[dict[str, Any]], object] | None = None,
    **given: Unpack[Conditions],
) -> Sweep:
    """Run many settings of a policy, its pool and its load; each is a cell.

    Parameters
    ----------
    corpus, pool, policy
        As for :func:`routingsim.replay`.
    retries, outages, changes, signal_delay, routers, hedge, tenants, discipline, service
        As for :func:`routingsim.replay`.
    vary : mapping of str to list or range
        What is varied: "policy" (several policies), "policy.PARAMETER", "pool.AGENT.FIELD"
        (a field of the agents' file; "pool.*.FIELD" sets it for all), "load" (share of the
        cell's own capacity), "rate" (tasks/s), "arrivals" (processes), "seed", "tasks",
        "service", "signal_delay", "routers", "hedge", "discipline", "retries.FIELD", "outages"
        and "changes" (in text, as "AGENT:DOWN:UP", or a list of them), "tenants" (a list of
        them); "" for no outage, change, tenant, hedge or discipline. A list has the values to
        try; a range is ``{"from": 0.1, "to": 0.9}``, of whole numbers where both ends are, with
        ``"log": True`` even in the logarithm and with ``"steps": 5`` in a grid.
    design : {"grid", "latin-hypercube", "sobol"}
        Every combination, or ``points`` of them spread evenly (``scipy.stats.qmc``).
    points : int, optional
        How many, for a Latin hypercube or a Sobol sequence; best a power of 2 for Sobol.
    arrivals, load, rate, tasks
        The arrival process, scaled to a share of the capacity or to a rate if one is given; by
        default Poisson at a load of .7. Tasks of a run as for :func:`routingsim.compare`.
    replications : int
        Runs of each cell; an interval needs 2 or more.
    seed : int
        The root seed: of the points, and of all runs.
    common : bool
        Whether replication r has the same random numbers in every cell, so that differences
        come from the settings; else each cell has its own. Either way they follow from the
        root seed, the cell and the replication, wherever it runs.
    objective, first_token_objective, right
        As for :func:`routingsim.compare`; the objective by default by a run of ``policy`` as
        it stands.
    results : path, optional
        A folder of Parquet files to which each cell is added as it ends. With the same plan,
        cells that are there already are not run again, except those that failed.
    executor, n_jobs
        Where to run, as for :func:`routingsim.compare`; figures are the same bit for bit.
        Cells whose worker dies are run again.
    progress : bool or callable
        A bar, at a terminal and in notebooks; or ``progress(done, all)``, called as each cell ends.
    on_cell : callable, optional
        ``on_cell(row)``, called in this thread with a dict for each cell as it ends: its
        digest, what was varied, status, and the columns of :meth:`Sweep.to_frame`.

    Returns
    -------
    Sweep
        Cells that failed are in :attr:`Sweep.failed`, with their tracebacks.

    Raises
    ------
    CorpusError, AgentError, PolicyError, SimulationError
        If a parameter is out of its range or of the wrong type, or the folder cannot be
        written or has the results of another plan.
    """
    check_where(executor, n_jobs)
    plan = planned(
        *(corpus, pool, policy, vary, design, points),
        arrivals=arrivals,
        load=load,
        rate=rate,
        tasks=tasks,
        seed=seed,
        replications=replications,
        objective=objective,
        first_token_objective=first_token_objective,
        right=right,
        common=common,
        **given,
    )
    store = None if results is None else Store(Path(results), plan)
    rows = {} if store is None else dict(store.rows)
    todo: list[Item] = [
        (key, setting)
        for key, setting in zip(plan.keys, plan.settings, strict=True)
        if rows.get(key, {}).get("status") != "done"
    ]
    known = len(plan.settings) - len(todo)
    ended = known
    where = {"executor": executor, "n_jobs": n_jobs}
    with (
        reporting(progress, "cell") as tell,
        execution(run_nth, (plan.fixed, todo), **where) as each,
    ):

        def done(place: int, result: Any) -> None:
            nonlocal ended
            row = row_of(todo[place], result)
            if store is not None:
                store.add(row)
            rows[row["cell"]] = row
            ended += 1
            tell(ended, len(plan.settings))
            if on_cell is not None:
                on_cell({name: value for name, value in row.items() if name != "figures"})

        tell(known, len(plan.settings))
        each(range(len(todo)), done)
    if store is not None:
        store.finish()
    return Sweep(plan, rows)


def planned(
    corpus: CorpusLike,
    pool: PoolLike | None,
    policy: Wanted,
    vary: Mapping[str, Any],
    design: str,
    points: int | None,
    **given: Any,
) -> Plan:
    """The plan of a sweep, checked; parameters as of :func:`sweep`."""
    corpus, agents = as_corpus(corpus), load_agents(pool)
    given = {"first_token_objective": None, **DEFAULTS, **given}
    checked = conditions(**{name: given[name] for name in DEFAULTS})
    given |= {name: checked[name] for name in ("outages", "changes", "tenants")}
    first = given["first_token_objective"]
    check_runs(given["replications"], given["objective"], given["right"], first)
    check_seed(given["seed"])
    load, rate = given["load"], given["rate"]
    if load is not None and rate is not None:
        raise SimulationError("load and rate: give one of them")
    for name, value in (("load", load), ("rate", rate)):
        if value is not None and not (is_finite(value) and value > 0):
            raise SimulationError(f"{name}={value!r}: a number above 0 is needed")
    if not isinstance(vary, Mapping):
        raise SimulationError(f'vary={vary!r:.60}: lists by name are needed, as {{"load": [0.5]}}')
    axes = tuple(axis(name, values) for name, values in vary.items())
    fixed = Fixed(corpus, agents, policy, **{**given, "objective": given["objective"] or 0.0})
    check_axes(fixed, axes)
    settings = points_of(axes, design, points, given["seed"])
    if given["objective"] is None:
        fixed = replace(fixed, objective=_objective(fixed))
    return Plan(fixed, axes, settings, design, points)


def _objective(fixed: Fixed) -> float:
    """That of the policy and pool as they stand."""
    made = make_policy(fixed.pool, fixed.policy, fixed.corpus)
    scene = prepare(fixed.corpus, fixed.pool, made, **fixed.conditions({}))
    shape = Poisson(1.0) if fixed.arrivals is None else as_arrivals(fixed.arrivals)
    rate = fixed.rate or (fixed.load or DEFAULT_LOAD) * scene.capacity
    count = fixed.tasks or len(fixed.corpus)
    shape = shape.scaled(rate / mean_rate(shape, fixed.corpus, count))
    order = "file" if not shape.synthetic else "shuffled"
    run = scene.run(shape, seed=fixed.seed, tasks=count, order=order)
    return default_objective([run], scene.system.mean_service)
