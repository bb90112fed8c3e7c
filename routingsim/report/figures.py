"""The figures that reports and plots show, in one form for replays and for studies.

A replay has one run of each policy, a study several at each of several loads. Both become
:class:`Comparison` objects, so that each table, sentence and plot is written once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.evaluation import partial as logs
from routingsim.evaluation.cell import by_task
from routingsim.evaluation.estimate import Estimates
from routingsim.evaluation.policy_value import PolicyEstimate
from routingsim.evaluation.replay_difference import replay_difference, replay_figure
from routingsim.evaluation.study import Study
from routingsim.evaluation.study_record import ESTIMATED
from routingsim.formatting import percent
from routingsim.policies.fitted import in_sample
from routingsim.report.document import Column
from routingsim.report.palette import Style, control_styles, policy_styles
from routingsim.report.plot_data import Shown
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stability import ABOVE, in_words, lasts
from routingsim.simulation.statistics import Interval

Floats = NDArray[np.float64]

_OF_STABILITY = ("above", "peak", "left", "enough")
_FIELDS: tuple[logs.Field, ...] = ("quality", "cost")

METRICS: Mapping[str, Column] = {
    "quality": Column("quality", "0–1", "quality"),
    "quality_all": Column("quality of all tasks", "0–1", "quality"),
    "recorded": Column("answers with recorded quality", "%", "percent"),
    "quality_in_time": Column("quality in time", "0–1", "quality"),
    "goodput": Column("right answers in time", "1/s"),
    "regret": Column("regret", "quality lost, 0–1"),
    "cost": Column("cost", "USD per 1,000 tasks"),
    "cost_recorded": Column("tasks with recorded cost", "%", "percent"),
    "cost_total": Column("cost", "USD"),
    "cost_per_right": Column("cost", "USD per 1,000 right answers"),
    "wait_mean": Column("mean wait", "s", "seconds"),
    "latency_mean": Column("mean latency", "s", "seconds"),
    "latency_p50": Column("latency p50", "s", "seconds"),
    "latency_p95": Column("latency p95", "s", "seconds"),
    "latency_p99": Column("latency p99", "s", "seconds"),
    "first_token_mean": Column("mean first token", "s", "seconds"),
    "first_token_p50": Column("first token p50", "s", "seconds"),
    "first_token_p95": Column("first token p95", "s", "seconds"),
    "first_token_p99": Column("first token p99", "s", "seconds"),
    "fairness": Column("Jain’s index", "0–1"),
    "answered": Column("answered", "%", "percent"),
    "utilisation": Column("utilisation", "%", "percent"),
    "offered_max": Column("highest offered load", "%", "percent"),
    "rate_met": Column("arrivals met", "1/s"),
    "span": Column("first arrival to last", "s"),
    "above": Column("time above capacity", "%", "percent"),
    "peak": Column("most tasks waiting", kind="count"),
    "left": Column("tasks waiting at the end", kind="count"),
    "enough": Column("tasks that would do", kind="count"),
}
"""How each metric is called in tables and on axes, and in which unit."""


def timed(metric: str) -> bool:
    """Whether a metric is a time of tasks, which says nothing where a backlog outlasts the run."""
    return metric.startswith(("latency", "wait", "first_token"))


def column_of(entries: Sequence["Entry"], metric: str) -> Column:
    """A metric's column, called estimated where it is."""
    column = METRICS[metric]
    estimated = any(metric in entry.estimated for entry in entries)
    return replace(column, name=f"estimated {column.name}") if estimated else column


def axis_label(metric: str, entries: Sequence["Entry"] = ()) -> str:
    """The label of a metric's axis, its unit included."""
    column = column_of(entries, metric)
    if column.kind != "quality" or column is not METRICS[metric]:
        return column.title
    known = [entry.mean("recorded") for entry in entries]
    rest = f", known for {percent(min(known))}" if known and min(known) < 1 else ""
    return f"mean {column.title}{rest}"


@dataclass(frozen=True, eq=False)
class TaskFigures:
    """What one policy did with each task; arrays of shape (tasks,), NaN where unknown.

    Attributes
    ----------
    agent : ndarray of int
        Positions in the pool; -1 for a task that was never run.
    quality, cost : ndarray
        Quality from 0 to 1, and USD; means over the runs of a study. NaN where figures do
        not rest on the task.
    latency, timed_latency, status : ndarray, optional
        Of replays only: seconds from arrival to the end, those of tasks answered after the
        warm-up, and a position in :data:`~routingsim.policies.kernel.STATUS_NAMES`.
    """

    agent: NDArray[np.integer]
    quality: Floats
    cost: Floats
    latency: Floats | None = None
    timed_latency: Floats | None = None
    status: NDArray[np.integer] | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """A policy or a control at one load.

    Attributes
    ----------
    style : Style
        How plots draw it.
    in_sample : float
        Share of the tasks it is scored on whose texts it was fitted or chosen on.
    verdict : str
        On its stability; that of most runs.
    agreed, runs : int
        Runs with that verdict, and runs in all.
    figure : callable
        From a metric to its interval; without a half-width (NaN) where there is one run.
        Metrics are those of :data:`~routingsim.evaluation.cell.METRICS`, of a replay all
        that need no latency objective.
    busiest : str
        The agent with the highest offered load; "" for a study, whose runs may differ, and
        where no rate is known.
    lost : mapping of str to int
        Tasks without an answer by how they ended, where there is one run.
    count : int
        Tasks of that run.
    estimated : mapping of str to PolicyEstimate
        By metric: what is estimated from a log with one answer a task, not measured.
    """

    name: str
    control: bool
    style: Style
    in_sample: float
    verdict: str
    agreed: int
    runs: int
    figure: Callable[[str], Interval]
    tasks: TaskFigures
    busiest: str = ""
    lost: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    count: int = 0
    estimated: Mapping[str, PolicyEstimate] = field(default_factory=lambda: MappingProxyType({}))

    def mean(self, metric: str) -> float:
        """A metric without its interval, in the unit of :data:`METRICS`; percent as a share."""
        return self.shown(metric).mean

    def shown(self, metric: str) -> Interval:
        """A metric and its interval in the unit of :data:`METRICS`; percent as a share."""
        found, scale = self.figure(metric), 1000.0 if "1,000" in METRICS[metric].unit else 1.0
        return found.scaled(scale)

    @property
    def overloaded(self) -> bool:
        """Whether its latencies say only how long the run was."""
        return self.verdict in ABOVE and lasts(self.verdict, self.mean("peak"), self.mean("left"))

    @property
    def state(self) -> str:
        """The verdict in words: ``overloaded in 33 % of the time``."""
        return in_words(self.verdict, self.mean("above")) if self.verdict in ABOVE else self.verdict


@dataclass(frozen=True, eq=False)
class Comparison:
    """Policies and their controls at one load.

    Attributes
    ----------
    load : float or None
        Share of capacity; None for replays.
    entries : tuple of Entry
        Policies, the baseline first, then controls.
    difference : callable
        From a metric ("cost", "quality_all" or "latency_p95") and an entry to the interval
        of that entry less the baseline; None where no valid one can be made, NaN where the
        two rest on different tasks or the log cannot answer.
    estimates : mapping of str to Estimates
        By metric; empty unless the corpus is a log with one answer a task.
    centre : callable
        From a metric and an entry to the mean behind its differences: of replays that of further
        runs, not of the one run shown.
    """

    load: float | None
    entries: tuple[Entry, ...]
    difference: Callable[[str, Entry], Interval | None]
    estimates: Mapping[str, Estimates] = field(default_factory=lambda: MappingProxyType({}))
    centre: Callable[[str, Entry], float] = lambda metric, entry: entry.figure(metric).mean

    @property
    def baseline(self) -> Entry:
        """The policy that the others are compared with."""
        return self.entries[0]

    @property
    def policies(self) -> tuple[Entry, ...]:
        """Without the controls."""
        return tuple(entry for entry in self.entries if not entry.control)

    @property
    def controls(self) -> tuple[Entry, ...]:
        """Without the policies."""
        return tuple(entry for entry in self.entries if entry.control)

    @property
    def recorded(self) -> bool:
        """Whether the quality of any answer is recorded."""
        return any(not np.isnan(entry.tasks.quality).all() for entry in self.entries)


@dataclass(frozen=True, eq=False)
class Experiment:
    """All that a report shows.

    Attributes
    ----------
    corpus, pool
        What was run; no corpus where queueing alone was simulated.
    rows : ndarray of int, shape (tasks,)
        The record in the corpus of each task in the entries' :class:`TaskFigures`.
    d_var : ndarray, shape (records,), optional
        Complexity of each record; None where there is no text.
    comparisons : tuple of Comparison
        One a load, the lowest first.
    notes : tuple of str
        What the reader should know.
    foremost : tuple of str
        Those of the notes that stand before all figures.
    """

    corpus: Corpus | None
    pool: AgentPool
    rows: NDArray[np.integer]
    d_var: Floats | None
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    foremost: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """Names of policies, controls and agents, with which a sentence may begin."""
        return {entry.name for entry in self.last.entries} | set(self.pool.ids)

    @property
    def last(self) -> Comparison:
        """The comparison at the highest load."""
        return self.comparisons[-1]


def of_replays(
    results: Sequence[ReplayResult], controls: Mapping[str, ReplayResult] = MappingProxyType({})
) -> Comparison:
    """Replays of the same tasks as a comparison; the first is the baseline."""
    named = logs.named(results)
    found = {name: logs.named_estimates(named | dict(controls), name) for name in _FIELDS}
    estimates = {name: each for name, each in found.items() if each is not None}
    policies = zip(policy_styles(len(named)), named.items(), strict=True)
    beside = zip(control_styles(len(controls)), controls.items(), strict=True)
    entries = (
        *(_replayed(name, result, style, False, estimates) for style, (name, result) in policies),
        *(_replayed(name, result, style, True, estimates) for style, (name, result) in beside),
    )

    runs = named | dict(controls)

    @cache  # further runs are made when a difference is asked for
    def difference(metric: str, entry: Entry) -> Interval | None:
        if (by_log := estimates.get(ESTIMATED.get(metric, ""))) is not None:
            return logs.difference_of(by_log, entry.name, entries[0].name).interval
        return replay_difference(metric, runs[entry.name], runs[entries[0].name])

    def centre(metric: str, entry: Entry) -> float:
        if ESTIMATED.get(metric) in estimates:
            return entry.figure(metric).mean
        return replay_figure(metric, runs[entry.name]).mean

    return Comparison(None, entries, difference, estimates, centre)


def _estimated(estimates: Mapping[str, Estimates], name: str) -> dict[str, PolicyEstimate]:
    """The estimates of one policy, by metric."""
    return {
        metric: estimates[field].policies[name]
        for metric, field in ESTIMATED.items()
        if field in estimates
    }


def _replayed(
    name: str, result: ReplayResult, style: Style, control: bool, found: Mapping[str, Estimates]
) -> Entry:
    timed = np.where(result.timed, result.latency, np.nan)
    log = result.log
    quality, _, cost, _ = by_task(result)
    tasks = TaskFigures(log.agent, quality, cost, result.latency, timed, log.status)
    made = run_entry(name, result, style, result.whole | result.overall, tasks)
    share = in_sample(result.corpus, result.policy.fitted_on, result.work.row)
    estimated = _estimated(found, name)

    def figure(metric: str) -> Interval:
        return estimated[metric].interval if metric in estimated else made.figure(metric)

    return replace(made, control=control, in_sample=share, figure=figure, estimated=estimated)


def run_entry(
    name: str, result: Shown, style: Style, overall: Mapping[str, Any], tasks: TaskFigures
) -> Entry:
    """A policy's run; ``overall`` has the figures of all its tasks."""
    state = result.stability
    figures = dict(overall) | {
        "cost": overall["cost_mean"],
        "cost_total": overall["cost"],
        "answered": overall["ok"] / len(result),
        "fairness": result.fairness,
        "offered_max": max(state.offered.values()),
        "rate_met": result.realised[0],
        "span": result.span,
        **{name: getattr(state, name) for name in _OF_STABILITY},
    }
    return Entry(
        name=name,
        control=False,
        style=style,
        in_sample=0.0,
        verdict=state.verdict,
        agreed=1,
        runs=1,
        figure=lambda metric: Interval(float(figures[metric]), math.nan),
        tasks=tasks,
        busiest=state.busiest,
        lost={ending: int(overall[ending]) for ending in result.endings},
        count=len(result),
    )


def of_study(study: Study, load: float | None = None) -> Comparison:
    """A study at one load, the highest by default, as a comparison.

    Raises
    ------
    SimulationError
        If the study has no such load.
    """
    if load is not None and load not in study.loads:
        raise SimulationError(
            f"no load {load!r} in this study: there are {', '.join(map(str, study.loads))}"
        )
    at = study.loads[-1] if load is None else load
    controls = sum(kind == "control" for kind in study.kinds.values())
    styles = [*policy_styles(len(study.kinds) - controls), *control_styles(controls)]
    fields = {field: study.estimates(at, field) for field in _FIELDS}
    estimates = {field: each for field, each in fields.items() if each is not None}
    entries = []
    for (name, kind), style in zip(study.kinds.items(), styles, strict=True):
        cell = study.cells[name, at]
        made = Entry(
            name=name,
            control=kind == "control",
            style=style,
            in_sample=study.in_sample.get(name, 0.0),
            verdict=cell.verdict,
            agreed=cell.verdicts.count(cell.verdict),
            runs=len(cell.verdicts),
            figure=cache(partial(study.interval, name, at)),
            tasks=TaskFigures(cell.chosen, cell.quality, cell.cost),
            estimated=_estimated(estimates, name),
        )
        entries.append(made)
    found = cache(partial(study.differences, load=at))  # each takes many bootstraps
    return Comparison(
        at,
        tuple(entries),
        lambda metric, entry: found(metric)[entry.name].interval,
        estimates,
    )
