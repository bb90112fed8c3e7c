"""The result of a sweep: a row a cell, the best of them, the failed ones, two figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.errors import SimulationError, did_you_mean
from routingsim.evaluation.cell import HIGHER_IS_BETTER, METRICS
from routingsim.evaluation.intervals import versus
from routingsim.evaluation.sweeps.plan import Plan, shown
from routingsim.evaluation.tabular import Reported, records, texts
from routingsim.formatting import short
from routingsim.simulation.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = ("goodput", "quality", "cost", "latency_mean", "latency_p95")


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Reported):
    """The result of a sweep; made by :func:`routingsim.sweep`.

    Attributes
    ----------
    plan : Plan
        What was to be run: ``plan.fixed``, ``plan.axes`` and ``plan.settings``.
    rows : mapping of str to dict
        A row for each cell that has ended, by the cell's digest.
    """

    plan: Plan
    rows: Mapping[str, Mapping[str, Any]]

    @property
    def varied(self) -> list[str]:
        """The names of what was varied."""
        return [each.name for each in self.plan.axes]

    @cached_property
    def _frame(self) -> Any:
        names = ["status", "stability", *(n for m in METRICS for n in (m, f"{m}_hw"))]
        rows = []
        for key, setting in zip(self.plan.keys, self.plan.settings, strict=True):
            row = self.rows.get(key, {"status": "not run"})
            axes = {name: shown(value) for name, value in setting.items()}
            rows.append(axes | {name: row.get(name) for name in names})
        frame = pd.DataFrame(rows, columns=[*self.varied, *names])
        return frame.astype(dict.fromkeys(names[2:], np.float64))

    def to_frame(self) -> pd.DataFrame:
        """A row for each cell, in the order of the plan.

        What was varied, status ("done", "failed" or "not run"), stability (the verdict on its
        runs), and each metric's mean over the replications with the half-width of its 95 %
        interval (``cost``, ``cost_hw``), which is about these tasks.
        """
        return self._frame.copy()

    @property
    def has_figures(self) -> bool:
        """Whether any cell has a figure for :attr:`ranked_by`."""
        return bool(np.isfinite(self._frame[self.ranked_by].to_numpy()).any())

    @property
    def runs(self) -> pd.DataFrame:
        """A row for each run: what was varied, replication, and each metric."""
        found = []
        for key, setting in zip(self.plan.keys, self.plan.settings, strict=True):
            frame = pd.DataFrame(self._figures(key), columns=list(METRICS))
            frame.insert(0, "replication", np.arange(len(frame)))
            for place, (name, value) in enumerate(setting.items()):
                frame.insert(place, name, shown(value))
            found.append(frame)
        return pd.concat(found, ignore_index=True)

    def _figures(self, key: str) -> NDArray[np.float64]:
        found = self.rows.get(key, {}).get("figures") or []
        return np.array(found, dtype=np.float64).reshape(-1, len(METRICS))

    @property
    def failed(self) -> pd.DataFrame:
        """A row for each cell that failed: what was varied, error and traceback."""
        rows = [
            {name: shown(value) for name, value in setting.items()}
            | {"error": row["error"], "traceback": row["traceback"]}
            for key, setting in zip(self.plan.keys, self.plan.settings, strict=True)
            if (row := self.rows.get(key, {})).get("status") == "failed"
        ]
        return pd.DataFrame(rows, columns=[*self.varied, "error", "traceback"])

    @property
    def ranked_by(self) -> str:
        """The metric of :meth:`best` unless one is named: goodput, or mean latency without
        recorded qualities."""
        return "latency_mean" if self._frame["goodput"].isna().all() else "goodput"

    def best(
        self,
        by: str | None = None,
        *,
        at_least: Mapping[str, float] | None = None,
        at_most: Mapping[str, float] | None = None,
        at: Mapping[str, Any] | None = None,
        n: int = 5,
    ) -> pd.DataFrame:
        """The best cells by a metric, of those whose intervals meet all bounds.

        Parameters
        ----------
        by : str, optional
            A metric; :attr:`ranked_by` by default.
        at_least, at_most : mapping of str to float, optional
            Bounds by metric: the whole 95 % interval is to lie within.
        at : mapping of str to value, optional
            Only cells with these values of what was varied: ``{"load": 0.6}``.
        n : int
            How many.

        Returns
        -------
        DataFrame
            Rows as of :meth:`to_frame`, the best first; ``verdict`` says whether a cell is worse
            than the first, or not distinguishable from it (paired t over replications, adjusted by
            Holm). The first was chosen by these very runs, so its figures are too favourable: run
            it again under another seed before you rely on its figure.

        Raises
        ------
        SimulationError
            If there is no such metric, nothing of the name in ``at`` was varied, or no cell meets
            the bounds.
        """
        by = self.ranked_by if by is None else by
        for name in (by, *(at_least or ()), *(at_most or ())):
            check_metric(name)
        frame = self._frame
        good = np.isfinite(frame[by])
        for name, value in (at or {}).items():
            check_varied("at", name, self.varied)
            good &= frame[name] == shown(value)
        for name, bound in (at_least or {}).items():
            good &= frame[name] - frame[f"{name}_hw"].fillna(np.inf) >= bound
        for name, bound in (at_most or {}).items():
            good &= frame[name] + frame[f"{name}_hw"].fillna(np.inf) <= bound
        if not good.any():
            bounds = [f"{name} >= {bound:g}" for name, bound in (at_least or {}).items()]
            bounds += [f"{name} <= {bound:g}" for name, bound in (at_most or {}).items()]
            bounds += [f"{name} = {shown(value)}" for name, value in (at or {}).items()]
            raise SimulationError(
                f"no cell of this sweep is shown to meet {', '.join(bounds)}"
                if bounds
                else f"no cell of this sweep has a figure for {by}"
            )
        rising = by not in HIGHER_IS_BETTER
        found = frame[good].sort_values(by, ascending=rising, kind="stable").head(n)
        place = list(METRICS).index(by)
        values = {k: self._figures(self.plan.keys[k])[:, place] for k in found.index}
        first, *others = found.index
        against = {str(k): values[k] for k in others}
        said = versus(values[first], against, higher_is_better=not rising) if others else {}
        verdicts = ["best", *(each.verdict for each in said.values())]
        kept = dict.fromkeys([*self.varied, "stability", by, f"{by}_hw", *found.columns])
        found = found[[name for name in kept if name != "status"]]
        found.insert(len(self.varied), "verdict", verdicts)
        return found

    def plot(
        self,
        metric: str | None = None,
        ax: "Axes | None" = None,
        *,
        over: str | None = None,
        legend: str = "",
    ) -> "Axes":
        """A metric over what was varied, by default the numbers varied most; returns the Axes.

        ``legend`` is "below" (by default), "right" or "none".
        """
        from routingsim.report.sweep_plots import plot_sweep

        return plot_sweep(self, metric, ax, over=over, legend=legend)

    def plot_trade_off(
        self,
        x: str = "cost",
        y: str | None = None,
        ax: "Axes | None" = None,
        *,
        legend: str = "",
    ) -> "Axes":
        """One metric against another, a mark a cell; returns the Axes."""
        from routingsim.report.sweep_plots import plot_trade_off

        return plot_trade_off(self, x, y, ax, legend=legend)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON: what was varied, rows, failed cells."""
        return {
            "varied": self.varied,
            "replications": self.plan.fixed.replications,
            "seed": self.plan.fixed.seed,
            "objective": self.plan.fixed.objective,
            "rows": records(self._frame.replace(np.inf, np.nan)),
            "failed": records(self.failed),
        }

    def __repr__(self) -> str:
        return "\n".join([self._said(), *(f"  {line}" for line in self._below())])

    def to_html(self) -> str:
        """What a notebook shows: what was run, and the best cells."""
        frame: Any = self._frame
        if self.has_figures:
            frame = self.best(n=display.MOST_ROWS)
        names = [*self.varied, "verdict", "stability", *_SHOWN]
        names = [n for n in names if n in frame and not frame[n].isna().all()]
        return display.card(self._said(), display.table(*texts(frame[names])), self._below())

    def _said(self) -> str:
        states = self._frame["status"].value_counts()
        counts = ", ".join(
            f"{states[s]:,} {s}" for s in ("done", "failed", "not run") if s in states
        )
        return f"Sweep of {', '.join(self.varied)}: {len(self._frame):,} cells ({counts})"

    def _below(self) -> list[str]:
        fixed = self.plan.fixed
        lines = [
            f"each {fixed.replications:,} replications of {fixed.corpus.name}, root seed "
            f"{fixed.seed}; goodput counts answers within {short(fixed.objective, 3)} s"
        ]
        if self.has_figures:
            row = self.best(n=1).iloc[0]
            at = ", ".join(f"{name} {display.parameter(row[name])}" for name in self.varied)
            lines.append(
                f"best by {self.ranked_by}: "
                f"{Interval(row[self.ranked_by], row[f'{self.ranked_by}_hw'])} at {at}"
            )
        growing = int((self._frame["stability"] == "growing").sum())
        if growing:
            lines.append(f"{growing:,} whose queues grow have no figures of time")
        failed = records(self.failed)
        if failed:
            at = ", ".join(f"{name} {display.parameter(failed[0][name])}" for name in self.varied)
            which = "failed" if len(failed) == 1 else f"{len(failed):,} failed, the first"
            lines.append(f"{which}: {at}: {failed[0]['error']}")
        return lines


def check_metric(name: str) -> None:
    """Refuse what is no metric, with a SimulationError that names those there are."""
    if name not in METRICS:
        raise SimulationError(
            f"no metric {name!r}: there are {', '.join(METRICS)}{did_you_mean(name, METRICS)}"
        )


def check_varied(argument: str, name: str, varied: Sequence[str]) -> None:
    """Refuse what was not varied, with a SimulationError that names what was."""
    if name not in varied:
        raise SimulationError(
            f"{argument}={name!r}: choose one of {', '.join(varied)}"
            f"{did_you_mean(str(name), varied)}"
        )
