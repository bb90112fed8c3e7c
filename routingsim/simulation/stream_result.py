"""What is kept of a streamed replay, and how it is read."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import AgentPool
from routingsim.caching import cached_property
from routingsim.corpora.stream import CorpusStream
from routingsim.equality import ByValue
from routingsim.errors import SimulationError, did_you_mean
from routingsim.policies.kernel import STATUS_NAMES
from routingsim.policies.policy import Policy
from routingsim.simulation.changes import Change
from routingsim.simulation.conditions import as_plain
from routingsim.simulation.faults import Hedge, Outage, Retries
from routingsim.simulation.in_time import InTime, Objective, as_dict, in_words
from routingsim.simulation.quantile_sketch import ERROR
from routingsim.simulation.run_intervals import INTERVALS, MEANS
from routingsim.simulation.run_record import CONDITIONS
from routingsim.simulation.run_summary import quality_columns
from routingsim.simulation.run_text import (
    arrivals_met,
    groups_lines,
    plain_rows,
    summary_html,
    summary_markdown,
    verdict,
)
from routingsim.simulation.signals import Signals
from routingsim.simulation.stability import Stability
from routingsim.simulation.statistics import Interval
from routingsim.simulation.stream_totals import Totals
from routingsim.simulation.tenants import Tenant

_TIMES = ("latency", "wait", "first_token")
MEASURED = (
    *(name for name in INTERVALS if name.startswith(_TIMES)),
    *("cost_mean", "quality", "quality_all", "answered", "goodput"),
)
"""Figures of which a streamed replay has intervals, beside latency and wait; goodput where it was
given an objective."""


@dataclass(frozen=True, eq=False, repr=False)
class StreamedReplay(ByValue):
    """What is kept of a streamed replay. ``summary()`` is the table to read first.

    Attributes
    ----------
    policy, pool, stream
        What was run.
    arrivals : str
        The arrival process, as text that ``replay`` reads.
    asked, realised : tuple of float or None
        Rate (tasks/s) of the arrivals, and coefficient of variation of their gaps: asked for, and
        realised.
    span : float
        Seconds from the first arrival to the last.
    seed : int
        Seed of all random numbers.
    retries, outages, changes, signals, hedge, tenants
        Under what it was run, as :class:`routingsim.ReplayResult` has them.
    synthetic : bool
        Whether a model made the arrivals.
    warm_up : float
        Share of the horizon left out of timing figures.
    notes, foremost : tuple of str
        Remarks for the reader, and those without which no figure is to be read: that the pool is
        not the corpus's, and that the arrivals are not those asked for.
    memory : ndarray
        The policy's memory at the end.
    tasks_to : Path or None
        Where the row of each task is.
    totals : Totals
        What was counted.
    """

    policy: Policy
    pool: AgentPool
    stream: CorpusStream
    arrivals: str
    asked: tuple[float | None, float | None]
    realised: tuple[float, float]
    span: float
    seed: int
    retries: Retries
    outages: tuple[Outage, ...]
    changes: tuple[Change, ...]
    signals: Signals
    hedge: Hedge | None
    tenants: tuple[Tenant, ...]
    synthetic: bool
    warm_up: float
    notes: tuple[str, ...]
    foremost: tuple[str, ...]
    memory: NDArray[np.float64]
    tasks_to: Path | None
    totals: Totals = field(repr=False)

    def __len__(self) -> int:
        return self.totals.tasks

    @property
    def stability(self) -> Stability:
        """Whether waits and latencies mean anything, from the verdicts on the blocks; read it
        before any percentile."""
        return self.totals.stability

    def summary(self) -> pd.DataFrame:
        """The columns of :meth:`routingsim.ReplayResult.summary`, a row an agent and ``all``.

        Counts are exact. Means and sums differ from those of a replay in memory by rounding.
        Quantiles are within 0.1 % of the exact ones.
        """
        return self.totals.table.copy()

    def by_tenant(self) -> pd.DataFrame:
        """As :meth:`routingsim.ReplayResult.by_tenant`, with the exactness of :meth:`summary`."""
        return self.totals.by_tenant()

    def by_priority(self) -> pd.DataFrame:
        """The same, a row for each priority, the most urgent first; no row where none is given."""
        return self.totals.by_priority()

    @property
    def fairness(self) -> float:
        """Jain's index of the service that tenants have had for their weights; NaN without any."""
        return self.totals.fairness

    def interval(self, metric: str = "latency") -> Interval:
        """95 % confidence interval of a figure, by batches of this run.

        As :meth:`routingsim.ReplayResult.interval` makes it of a run that is long enough: 30
        batches, here of equal time, and Student's interval of their means or quantiles, if they
        look independent (:mod:`routingsim.simulation.batches`). Of waits, latencies and first
        tokens there is one only if the run is steady and long, and its arrivals are a model's;
        of cost and quality it is about tasks like these. Where there is none the half-width is
        NaN, and ``method`` says why.

        Parameters
        ----------
        metric : str
            "latency" or "wait" (means, s), or one of :data:`MEASURED`.

        Raises
        ------
        SimulationError
            If the metric is another, or goodput without an objective.
        """
        name = self._known(metric)
        found, why = self._interval(name)
        return found or Interval(self.figure(name), math.nan, method=f"none: {why}")

    def difference(self, other: "StreamedReplay", metric: str) -> Interval | None:
        """A figure of this run less that of another, with a 95 % interval by paired batches.

        None where there is none. The other is of the same tasks, at the same times.
        """
        name = self._known(metric)
        if self._hindered(name) or other._hindered(name):
            return None
        apart = self.figure(name) - other.figure(name)
        return self.totals.batches.interval(self._kept(name), apart, other.totals.batches)

    def figure(self, metric: str) -> float:
        """A figure of the summary's last row, ``answered``, the share of the tasks, or
        ``goodput``, NaN where the run says only how long it was."""
        whole, counted = self.totals.whole, self.totals.in_time
        if metric == "goodput":
            return math.nan if counted is None or self.stability.lasts else counted.goodput
        return whole["ok"] / len(self) if metric == "answered" else float(whole[metric])

    @property
    def objective(self) -> Objective | None:
        """The limits within which an answer counts for goodput; None where none was given."""
        return None if self.totals.tally is None else self.totals.tally.goal

    def in_time(self, objective: Objective) -> InTime:
        """What was answered within the objective that the replay was given.

        Raises
        ------
        SimulationError
            If it was given another, or none: its tasks are no longer there.
        CorpusError
            If the run has no length.
        """
        if self.totals.tally is None or objective != self.objective:
            raise SimulationError(
                f"goodput {objective}: a streamed replay counts it while it runs, and this one "
                f"{self.objective or 'had no objective'}; replay it again with "
                f"objective={objective.latency:g}"
            )
        return self.totals.tally.over(self.totals.length)

    def _known(self, metric: str) -> str:
        name = MEANS.get(metric, metric)
        if name == "goodput" and self.totals.tally is None:
            raise SimulationError(
                "goodput: a streamed replay counts it while it runs; replay it with objective=, "
                "the seconds within which an answer counts (--objective)"
            )
        if name not in MEASURED:
            raise SimulationError(
                f"no interval of {metric!r}: of a streamed replay there are those of latency, "
                f"wait, {', '.join(MEASURED)}{did_you_mean(metric, MEASURED)}"
            )
        return name

    def _kept(self, name: str) -> str:
        """Under which name batches have the figure: answers that come whole have one time."""
        apart = "first_token" in self.totals.batches
        return name if apart else name.replace("first_token", "latency")

    def _interval(self, name: str) -> tuple[Interval | None, str]:
        """The interval, or why there is none."""
        if why := self._hindered(name):
            return None, why
        found = self.totals.batches.interval(self._kept(name), self.figure(name))
        return found, "batches of this run look dependent, or have too few values"

    def _hindered(self, name: str) -> str:
        """Why batches of the run are not alike; "" where they may be."""
        if self.policy.learns:
            return f"{self.policy.name} learns, so the run does not stay as it is"
        if not name.startswith((*_TIMES, "goodput")):
            return ""
        found = self.stability
        if found.lasts:
            return f"{found.verdict}, so it says only how long the run was"
        if not self.synthetic:
            return "recorded arrivals come once, and their hours are not alike"
        if self.outages or self.changes:
            return "the pool changes during the run"
        if found.verdict != "steady" or not self._long:
            return "the run is too short for batches of it to be as runs of their own"
        return ""

    @cached_property
    def _long(self) -> bool:
        return self.totals.long(self.realised[1])

    @property
    def timed_answers(self) -> list[int]:
        """How many answers of each agent count in waits and latencies."""
        return self.totals.timed

    @property
    def overall(self) -> dict[str, Any]:
        """The summary's last row as a dict."""
        return self.totals.overall

    @property
    def tenant_names(self) -> tuple[str, ...]:
        """The tenants, "none" for tasks without one; empty if there are none."""
        return tuple(self.totals.tenants)

    @property
    def quality_columns(self) -> tuple[tuple[str, str, str], ...]:
        """Columns of the summary that say how good the answers are: key, title, format."""
        return quality_columns(self.overall, self.recorded)

    @property
    def recorded(self) -> str:
        """Which qualities the corpus records: "complete", "common", "log" or "none"."""
        return self.totals.kind

    @property
    def endings(self) -> tuple[str, ...]:
        """The names of the statuses without an answer."""
        return tuple(STATUS_NAMES[status] for status in self.totals.statuses[1:])

    @property
    def arrivals_in_words(self) -> str:
        """The rate asked for beside that met, with the span of the run."""
        return arrivals_met(self.asked, self.realised, self.span)

    @property
    def groups_in_words(self) -> list[str]:
        """Waits and latencies by priority and by tenant, a line for each kind there is."""
        priorities, several = self.by_priority(), len(self.totals.tenants) > 1
        return groups_lines(
            priorities if len(priorities) else None,
            self.by_tenant() if several else None,
            self.fairness,
        )

    @property
    def goodput_in_words(self) -> str:
        """The answers within the objective, in a line; "" without one."""
        goal, counted = self.objective, self.totals.in_time
        if goal is None or counted is None:
            return ""
        return in_words(goal, counted, self.stability.lasts)

    def to_frame(self) -> pd.DataFrame:
        """The summary, its agents as a column."""
        return self.summary().reset_index()

    def to_markdown(self) -> str:
        """The summary in GitHub's Markdown: notes, arrivals, verdict, and a row an agent."""
        preface = [self.arrivals_in_words, str(self.stability)]
        preface += filter(None, [self.goodput_in_words])
        return summary_markdown(self.summary(), self.recorded, self.foremost, preface)

    def to_html(self) -> str:
        """The summary as a notebook shows it: at most 40 agents, those with most tasks."""
        heading = f"{len(self):,} tasks under {self.policy.name}, {self.arrivals}, seed {self.seed}"
        below = [self.arrivals_in_words, str(self.stability)]
        below += filter(None, [self.goodput_in_words, *self.groups_in_words])
        below += [f"note: {each}" for each in self.notes]
        return summary_html(heading, self.summary(), self.recorded, self.foremost, below)

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_dict(self) -> dict[str, Any]:
        """The summary for JSON, NaN as None, with the keys that a replay in memory has."""
        rows = plain_rows(self.summary())
        whole = rows.pop()
        del whole["agent"]
        totals, goal, counted = self.totals, self.objective, self.totals.in_time
        keys = ("rate", "cv"), ("rate_asked", "cv_asked")
        values = self.realised, self.asked
        arrivals = {
            name: None if value is None or not math.isfinite(value) else value
            for names, pair in zip(keys, values, strict=True)
            for name, value in zip(names, pair, strict=True)
        }
        window = {"begin": totals.begin, "end": totals.last_end, "warm_up": self.warm_up}
        fairness = self.fairness
        return {
            "policy": self.policy.name,
            "arrivals": {"process": self.arrivals, **arrivals, "span": self.span},
            "conditions": as_plain({name: getattr(self, name) for name in CONDITIONS}),
            "window": window,
            "stability": verdict(self.stability),
            "recorded": self.recorded,
            "overall": whole,
            "agents": rows,
            "in_time": None if goal is None or counted is None else as_dict(goal, counted),
            "tenants": plain_rows(self.by_tenant()) if len(totals.tenants) > 1 else [],
            "fairness": None if math.isnan(fairness) else fairness,
            "priorities": plain_rows(self.by_priority()),
            "quantiles_within": ERROR,
            "tasks_to": None if self.tasks_to is None else str(self.tasks_to),
            "notes": [*self.foremost, *self.notes],
        }

    def report(self, path: str | Path) -> Path:
        """Write the report as one file: HTML, or by suffix .pdf, .md, .json or .ipynb.

        Raises
        ------
        SimulationError
            If the file cannot be written.
        """
        from routingsim.report.html import write_report

        return write_report([self], path)

    def __repr__(self) -> str:
        columns = ["tasks", "share", "utilisation", "wait_mean", "latency_p50", "latency_p95"]
        table = self.summary()[[*columns, "cost", "quality"]]
        said = [f"note: {each}" for each in self.foremost]
        said += [f"{self.policy.name}  {self.stability}", *(f"note: {each}" for each in self.notes)]
        shown = table.map("{:,.4g}".format).to_string()
        below = map(display.wrapped, filter(None, [self.goodput_in_words, *self.groups_in_words]))
        return "\n".join([*map(display.wrapped, said), self.arrivals_in_words, shown, *below])
