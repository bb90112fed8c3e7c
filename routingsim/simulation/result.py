"""What a replay returns: the outcome of every task, and summaries of them.

Statuses are never mixed: waits and latencies are those of answered tasks (``ok``);
failed, timed-out and shed tasks are counted apart. Latency runs from the
*intended* arrival to completion, so a stall shows in every task it delayed (no
coordinated omission). The warm-up is left out of timing figures only; counts,
costs and quality cover all tasks.

Quality is that of the answers whose quality is recorded for the agent chosen; ``recorded``
is their share of the answers. Where it is below 1, two policies' means are of different
tasks unless the corpus records all agents on the same (:mod:`routingsim.simulation.recorded`).

What the engine recorded is in the :mod:`~routingsim.simulation.run_record`; tables, summary,
intervals and texts are functions of it, in ``run_tables``, ``run_summary``, ``run_intervals`` and
``run_text``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.caching import cached_property
from routingsim.simulation import recovery, run_intervals, run_summary, run_tables, run_text
from routingsim.simulation.export import write_tasks, write_trace
from routingsim.simulation.replications import MOST, REPLICATIONS
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.statistics import Interval

if TYPE_CHECKING:  # the plotting library takes a second to load
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False, eq=False)
class ReplayResult(RunRecord):
    """One replay. ``summary()`` is the table to read first.

    ``summary()`` has a row for each agent, ``to_frame()`` one for each task, ``calls()``
    one for each try. ``to_markdown()`` and ``to_html()`` show the summary.

    Attributes
    ----------
    policy, pool, corpus
        What was run.
    arrivals : str
        The arrival process, as text that ``replay`` reads.
    asked, realised : tuple of float or None
        Rate (tasks/s) and coefficient of variation of the gaps between arrivals: asked
        for, and realised.
    seed : int
        Seed of all random numbers.
    retries, outages, changes
        What happened after failed calls, when which agent was down, and what changed at agents.
    signals : Signals
        How many routers there were, and how late they saw each other's calls.
    hedge, tenants
        When second copies were sent, and the tenants that were given.
    tenant_names : tuple of str
        The tenants by their codes (``work.tenant``); "" are tasks without one.
    synthetic, closed : bool
        Whether a model made the arrivals, and whether they came from a closed loop.
    warm_up : float
        Share of the horizon left out of timing figures.
    notes : tuple of str
        Remarks for the reader. The note that the pool is not the corpus's comes first,
        before the figures wherever they are shown.
    work, log
        Input and output of the engine (see :mod:`routingsim.simulation.state`).
    memory : ndarray
        The policy's memory at the end: what it has learned.
    again : callable or None
        Runs the replay again under another seed (:mod:`routingsim.simulation.replications`).
    control : callable or None
        Runs it with the same draws, but without its outages and changes; None if it has none.
    unlike : str
        That the arrivals met are not those asked for, and how many tasks would do; "" if they
        are. Among the ``notes``.
    cautions : tuple of str
        Further notes that come before the figures: what the corpus's check-up
        (:meth:`routingsim.Corpus.check`) found that touches them, which window of recorded
        arrivals was played, and what a warm-up leaves out. Among the ``notes``.
    """

    def to_frame(self) -> pd.DataFrame:
        """One row for each task, in order of arrival; times in seconds, cost in USD."""
        return run_tables.tasks(self)

    def task_ids(self) -> pd.Series:
        """The corpus's id of each task, in order of arrival; numbers without a corpus."""
        return run_tables.task_ids(self)

    def calls(self) -> pd.DataFrame:
        """One row for each try, in order of the tasks.

        Columns: task and attempt (from 0); agent (index); sent_at; left_at, when the try
        left the queue (its start, unless it timed out or was shed); ended_at; status, a
        code of :data:`routingsim.simulation.state.CALL_STATUS`. Times in seconds. With hedging a
        row for each copy, and its number, ``copy``; of two the one that decided comes last.
        """
        return run_tables.calls(self)

    def summary(self) -> pd.DataFrame:
        """One row for each agent, and one, ``all``, for the whole.

        Columns: tasks, share, ok, failed, timed_out, shed (counts), and rejected and
        too_long where agents reject calls over a limit or have a context window; utilisation;
        wait and latency of answered tasks (s): mean, p50, p90, p95, p99, and first_token
        likewise where an agent has a ttft; throughput
        (answers/s); cost (USD, total), cost_mean (USD per task), cost_recorded (share of
        tasks with a recorded cost; the others' is modelled, and of a log with one answer a
        task there is no cost unless it is 1); quality (mean of the answers
        whose quality is recorded), quality_all (of all tasks: one without an answer counts
        0), recorded (share of the answers whose quality is).
        """
        return self._summary.copy()

    def by_tenant(self) -> pd.DataFrame:
        """The columns of :meth:`summary`, a row for each tenant; no row where there are none.

        In place of utilisation it has ``share`` (of the tasks), ``service`` (share of the seconds
        of service) and ``weight``; :attr:`fairness` sums up how evenly service was shared.
        """
        return run_summary.by_tenant(self)

    def by_priority(self) -> pd.DataFrame:
        """The same, a row for each priority, the most urgent first, without ``weight``."""
        return run_summary.by_priority(self)

    @property
    def fairness(self) -> float:
        """Jain's index of the service that tenants have had for their weights; NaN without any.

        1 where each has had service in proportion to its weight, 1 / n where one has had all.
        Tenants that asked for less than their share lower it, too.
        """
        return run_summary.fairness(self)

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return run_summary.table(self, self._row)

    @cached_property
    def _row(self) -> dict[str, Any]:
        return run_summary.whole(self)

    @cached_property
    def whole(self) -> dict[str, Any]:
        """The summary's last row without share, computed without the others.

        Where answers come whole, their first tokens come with their ends.
        """
        return run_summary.first_tokens(self._row) | self._row

    @property
    def overall(self) -> dict[str, Any]:
        """The summary's last row as a dict, computed without the others."""
        return run_summary.with_share(self._row, 1.0)

    @property
    def quality_columns(self) -> tuple[tuple[str, str, str], ...]:
        """Columns of the summary that say how good the answers are: key, title, format."""
        return run_summary.quality_columns(self.overall, self.basis.kind)

    def interval(
        self,
        metric: str = "latency",
        *,
        replications: int = REPLICATIONS,
        precision: float | None = None,
        most: int = MOST,
        days: bool = False,
        progress: bool = True,
    ) -> Interval:
        """95 % confidence interval of a figure, from further runs under other seeds.

        The runs are made when they are asked for, in threads, and kept: what they draw anew
        is said in ``method``. With arrivals of a model they are other days with the same
        tasks; with recorded arrivals, the same tasks at the same times, with other service
        times, failures and draws of the policy. Means and percentiles of one run that is long
        enough (:mod:`routingsim.simulation.batches`) need no further ones. Of waits and
        latencies of a policy that is overloaded, and from fewer than three runs, there is no
        interval: its half-width is NaN, and ``method`` says why.

        Parameters
        ----------
        metric : str
            "latency" or "wait" (means, s), or a figure of the summary: latency or wait with
            ``_mean``, ``_p50``, ``_p90``, ``_p95`` or ``_p99``, first_token likewise,
            utilisation, throughput, cost, cost_mean, quality or quality_all.
        replications : int
            Further runs.
        precision : float, optional
            Half-width asked for, as a share of the mean: 0.05 makes further runs until the
            interval is so narrow. ``method`` says whether it was.
        most : int
            Further runs at most, with ``precision``.
        days : bool
            Recorded arrivals only: answer for other days like this one. Blocks of
            consecutive tasks are drawn from the record, which takes its hours to be alike, and
            each day is run four times.
        progress : bool
            Show a progress bar, at a terminal and in notebooks.

        Raises
        ------
        SimulationError
            If there is no such metric, a setting is out of its range, or two do not go
            together.
        """
        return run_intervals.interval(
            self,
            metric,
            self.whole,
            count=replications,
            precision=precision,
            most=most,
            days=days,
            progress=progress,
        )

    def recovery(
        self,
        *,
        window: float | None = None,
        replications: int = REPLICATIONS,
    ) -> pd.DataFrame:
        """How long the pool took to be as it was before each outage and change.

        A row for each event and figure (the mean and the 95th percentile of the latencies of the
        answers that end in a window, and the backlog, the mean number of tasks in the pool).
        Columns: event, begin, end (s), figure, window (s); before, bound (its mean before the
        first event, and the upper end of its band; where the same run without outages and changes
        is higher than that mean, the band is above this run); seconds (recovery time from ``end``
        on: 0 where the figure was never out of its band, infinite where it was not back by the last
        arrival, NaN where too little came before the first event for a band); of further runs,
        as those of :meth:`interval`: mean, low and high (95 % interval of the mean), runs, and
        not_back, how many of them were not back by their last arrival: if any, the mean is
        infinite, and there is no interval. :mod:`routingsim.simulation.recovery` has the rules.

        Parameters
        ----------
        window : float, optional
            Seconds of a window, the resolution of the answer. By default a fiftieth of the
            shorter of the times before and after the events.
        replications : int
            Further runs, 0 for none.

        Raises
        ------
        SimulationError
            If the window is not above 0, or so short that there are too many.
        """
        return recovery.table(self, window=window, replications=replications)

    def question(self, *, days: bool = False) -> str:
        """What further runs draw anew, in words."""
        return run_intervals.question(self, days=days)

    def batch_interval(self, name: str) -> Interval | None:
        """The interval of a wait or latency from this one run; None where it is too short."""
        return run_intervals.of_batches(self, name)

    def times(self, name: str) -> NDArray[np.float64]:
        """The waits or latencies (s) behind a figure such as ``wait_p95``, shape (tasks,)."""
        return run_intervals.times(self, name)

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain Python values, NaN as None: ``--json`` prints it."""
        return run_text.as_dict(self, self._summary)

    @property
    def arrivals_in_words(self) -> str:
        """The rate asked for beside that met, with the span of the run."""
        return run_text.arrivals_in_words(self)

    @property
    def groups_in_words(self) -> list[str]:
        """Waits and latencies by priority and by tenant, a line for each kind there is."""
        return run_text.groups_in_words(self)

    @property
    def foremost(self) -> list[str]:
        """Notes without which no figure is to be read, and which stand before all.

        That the pool is not the corpus's, that the arrivals are not those asked for, and the
        ``cautions``.
        """
        return run_text.foremost(self)

    def __repr__(self) -> str:
        return run_text.plain(self, self._summary)

    def to_html(self) -> str:
        """The summary as a notebook shows it: at most 40 agents, those with most tasks."""
        return run_text.html(self, self._summary)

    _repr_html_ = to_html

    def to_markdown(self) -> str:
        """The summary in GitHub's Markdown: notes, arrivals, verdict, and a row an agent."""
        return run_text.markdown(self, self._summary)

    # The report stands a layer above: these few methods import it when they are called.

    def plot_usage(self, ax: "Axes | None" = None, *, legend: str = "") -> "Axes":
        """Share of tasks and utilisation of each agent; returns the Axes.

        ``legend`` is "below" (by default), "right" or "none", here and in the next two.
        """
        from routingsim.report import plots

        return plots.plot_usage(self, ax, legend=legend)

    def plot_latency(self, ax: "Axes | None" = None, *, legend: str = "") -> "Axes":
        """Distribution of the latency of each agent (ECDF), percentiles marked."""
        from routingsim.report import plots

        return plots.plot_latency(self, ax, legend=legend)

    def plot_queue(self, ax: "Axes | None" = None, *, legend: str = "") -> "Axes":
        """Tasks in each agent's queue over time."""
        from routingsim.report import plots

        return plots.plot_queue(self, ax, legend=legend)

    def plot_frontier(
        self,
        ax: "Axes | None" = None,
        *,
        against: str = "cost",
        controls: bool = True,
        legend: str = "",
    ) -> "Axes":
        """Quality against cost, or a latency, of the policy and the controls; returns the Axes.

        ``against`` is ``cost`` or ``latency_mean``, ``_p50``, ``_p95``, ``_p99``; ``legend`` may
        be "direct", too.
        """
        from routingsim.report import plots

        asked: Any = {"against": against, "controls": controls, "legend": legend}
        return plots.plot_beside_controls(self, ax, **asked)

    def write(self, path: str | Path) -> Path:
        """Write ``to_frame()`` to a file, the policy's name in the first column.

        The file's suffix sets the format: ``.csv``, ``.parquet`` or ``.jsonl``.

        Raises
        ------
        SimulationError
            If the suffix is another, or the file cannot be written.
        """
        return write_tasks([self], path)

    def chrome_trace(self, path: str | Path) -> Path:
        """Write the schedule as Chrome-trace JSON, which Perfetto (ui.perfetto.dev) opens.

        Each agent is a process, each slot a thread, each call an event.

        Raises
        ------
        SimulationError
            If the file cannot be written.
        """
        return write_trace([self], path)

    def explore(self, *others: "ReplayResult") -> Any:
        """A widget: figures, waiting and latencies over time, with sliders that replay.

        ``others`` are replays of the same tasks under other policies, to be shown beside this
        one; :mod:`routingsim.report.explore` has more.
        """
        from routingsim.report.explore import explore

        return explore([self, *others])

    def report(self, path: str | Path) -> Path:
        """Write the report as one file: HTML, or by suffix .pdf, .md, .json or .ipynb.

        Raises
        ------
        SimulationError
            If the file cannot be written.
        """
        from routingsim.report.html import write_report

        return write_report([self], path)
