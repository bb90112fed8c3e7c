"""The result of ``compare()``: metrics of every run, ranked tables, verdicts and plots.

:class:`Study` has the plots and reports. The results of the runs are in
:mod:`routingsim.evaluation.study_record`, the figures computed from them in
:mod:`routingsim.evaluation.study_figures`, and the texts in ``study_text``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from routingsim.evaluation import decision_text, study_text
from routingsim.evaluation.study_figures import StudyFigures
from routingsim.simulation.export import write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Study(StudyFigures):
    """Policies x loads x replications; made by :func:`routingsim.compare`.

    Attributes
    ----------
    kinds : mapping of str to str
        The kind of each name, "policy" or "control", policies first. The first policy is
        the baseline: verdicts compare with it, and the controls zero router, shuffle and
        length have its mix of agents or its cost.
    in_sample : mapping of str to float
        Share of the tasks whose texts a policy was fitted or chosen on, so its figures are too
        favourable.
    loads : tuple of float
        Shares of ``capacity`` (tasks/s).
    arrivals : str
        The arrival process that was scaled to each load.
    cells : mapping
        ``(name, load)`` to its :class:`~routingsim.evaluation.cell.Cell`.
    group : ndarray of int, shape (records,)
        The same number for records with the same or nearly the same prompt.
    tenant_names : tuple of str
        The tenants of the tasks, in the order of :attr:`Cell.tenants`; "" are tasks without one.
    conditions : mapping of str to object
        Retries, outages and all else of :mod:`routingsim.simulation.conditions`, by name.
    remarks : tuple of str
        What the reader should know of the policies; among the ``notes``.
    cautions : tuple of str
        What the reader should know before the figures: that the pool is not the corpus's, what
        the check-up found, at which load the arrivals met are not those asked for, which tasks
        the runs take, and in which order; among the ``notes``.
    """

    def __repr__(self) -> str:
        return study_text.plain(self, self._rankings(), self._answer)

    def to_html(self) -> str:
        """What a notebook shows: the answer, and the rankings at all loads with intervals."""
        return study_text.html(self, self._rankings(), self._answer)

    def _rankings(self) -> list[tuple[float, pd.DataFrame]]:
        return [(load, self.table(load)) for load in self.loads]

    @cached_property
    def _answer(self) -> str:
        return decision_text.sentences(self.decision()).answer

    # The report stands a layer above: these few methods import it when they are called.

    def plot_frontier(
        self,
        load: float | None = None,
        ax: "Axes | None" = None,
        *,
        against: str = "cost",
        controls: bool = True,
        legend: str = "",
        intervals: str = "bars",
    ) -> "Axes":
        """Quality against cost, or a latency, with the frontier and the controls; returns the Axes.

        ``against`` is ``cost`` or ``latency_mean``, ``_p50``, ``_p95``, ``_p99``. ``legend`` is
        "below", "right", "direct" (names at their marks) or "none", by default what there is
        room for; ``intervals`` is "bars", "bands" or "none".
        """
        from routingsim.report.frontier import plot_frontier

        asked = {"controls": controls, "legend": legend, "intervals": intervals}
        return plot_frontier(self, load, ax, against=against, **asked)

    def plot_load(
        self,
        metric: str | None = None,
        ax: "Axes | None" = None,
        *,
        controls: bool = True,
        legend: str = "",
        intervals: str = "bands",
    ) -> "Axes":
        """A metric against load, a line per policy with its interval; returns the Axes.

        ``aiq`` and ``apgr`` are those of the policies together. ``controls``, ``legend`` and
        ``intervals`` as for :meth:`plot_frontier`.
        """
        from routingsim.report import study_plots

        asked = {"controls": controls, "legend": legend, "intervals": intervals}
        return study_plots.plot_load(self, metric, ax, **asked)

    def plot_regret(
        self,
        load: float | None = None,
        ax: "Axes | None" = None,
        *,
        controls: bool = True,
        legend: str = "",
    ) -> "Axes":
        """Cumulative regret over the run against the best agent of each task; returns the Axes.

        ``controls`` and ``legend`` as for :meth:`plot_frontier`.
        """
        from routingsim.report import study_plots

        return study_plots.plot_regret(self, load, ax, controls=controls, legend=legend)

    def explore(self, load: float | None = None) -> Any:
        """A widget: the policies by quality, cost, latency and time, with sliders that replay.

        It begins at ``load`` (by default the first); :mod:`routingsim.report.explore` has more.
        """
        from routingsim.report.explore import explore_study

        return explore_study(self, load)

    def report(
        self,
        path: str | Path,
        *,
        slo: Mapping[str, float] | None = None,
        quality: float | None = None,
        baseline: str | None = None,
    ) -> Path:
        """Write the report as one file: HTML, or by suffix .pdf, .md, .json or .ipynb.

        It leads with the decision (:meth:`decision`) on these targets.
        """
        from routingsim.report.html import write_report

        return write_report(self, path, slo=slo, quality=quality, baseline=baseline)

    def write(self, path: str | Path) -> Path:
        """Write ``runs``, a row per run, as CSV, Parquet or JSON lines by the file's suffix.

        Raises
        ------
        SimulationError
            If the suffix is another, or the file cannot be written.
        """
        return write_table(self.runs, path)
