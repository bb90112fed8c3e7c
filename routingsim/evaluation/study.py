"""What a comparison returns: tidy figures, ranked tables, verdicts and plots."""

import html
import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.evaluation.controls.use import TextUse, text_use
from routingsim.evaluation.intervals import (
    Difference,
    bootstrap_mean,
    paired_bootstrap,
    paired_t,
    t_interval,
    versus,
)
from routingsim.evaluation.measure import HIGHER_IS_BETTER, METRICS, Cell
from routingsim.simulation.statistics import Interval

__all__ = ["Settings", "Study"]

_PER_TASK = ("quality", "cost")  # known task by task: compared by a bootstrap over tasks
_INDEX = {name: k for k, name in enumerate(METRICS)}


@dataclass(frozen=True)
class Settings:
    """What all runs of a study share.

    Replication r uses ``seed + r``. ``objective`` is the latency in seconds within
    which an answer counts for goodput, ``right`` the least quality of a right one.
    """

    seed: int
    replications: int
    tasks: int
    objective: float
    right: float


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """Policies x loads x replications; made by :func:`routingsim.compare`.

    Attributes
    ----------
    kinds : mapping of str to str
        Each name's kind, "policy" or "control", policies first; the first policy is
        the baseline that verdicts are against.
    hindsight : mapping of str to bool
        Whether a policy was fitted on the corpus it is shown on.
    loads : tuple of float
        Shares of ``capacity`` (tasks/s).
    arrivals : str
        The shape that was scaled to each load.
    cells : mapping
        ``(name, load)`` to its :class:`~routingsim.evaluation.measure.Cell`.
    """

    corpus: Corpus
    pool: AgentPool
    kinds: Mapping[str, str]
    hindsight: Mapping[str, bool]
    loads: tuple[float, ...]
    capacity: float
    arrivals: str
    settings: Settings
    cells: Mapping[tuple[str, float], Cell]

    # -- figures --------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Policies, then controls."""
        return tuple(self.kinds)

    @property
    def baseline(self) -> str:
        """The policy that verdicts are against."""
        return self.names[0]

    @cached_property
    def recorded(self) -> bool:
        """Whether the corpus records any quality of these agents."""
        return any(np.isfinite(cell.quality).any() for cell in self.cells.values())

    @property
    def ranked_by(self) -> str:
        """The metric of the ranking: goodput, or mean latency where no quality is recorded."""
        return "goodput" if self.recorded else "latency_mean"

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a run: policy, kind, load, replication, verdict and every metric."""
        frames = []
        for (name, load), cell in self.cells.items():
            frame = pd.DataFrame(cell.figures, columns=list(METRICS))
            frame.insert(0, "verdict", list(cell.verdicts))
            frame.insert(0, "replication", np.arange(len(frame)))
            frame.insert(0, "load", load)
            frame.insert(0, "kind", self.kinds[name])
            frame.insert(0, "policy", name)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def values(self, name: str, load: float, metric: str) -> NDArray[np.float64]:
        """A metric of each replication, shape (replications,)."""
        return self._cell(name, load).figures[:, _position(metric)]

    def interval(self, name: str, load: float, metric: str) -> Interval:
        """A metric's 95 % interval: over replications, or over tasks for quality and cost."""
        if metric in _PER_TASK:
            return bootstrap_mean(getattr(self._cell(name, load), metric))
        return t_interval(self.values(name, load, metric))

    def differences(
        self, metric: str, load: float, *, baseline: str | None = None
    ) -> dict[str, Difference]:
        """Every other policy and control less the baseline, with verdicts.

        Timing metrics are compared run by run under common random numbers (paired t),
        quality and cost task by task (paired bootstrap over tasks, which allows for
        the corpus being a sample). Verdicts hold together (Holm).
        """
        against = self.baseline if baseline is None else baseline
        per_task = metric in _PER_TASK
        _position(metric)

        def of(name: str) -> NDArray[np.float64]:
            return (
                getattr(self._cell(name, load), metric)
                if per_task
                else self.values(name, load, metric)
            )

        return versus(
            of(against),
            {name: of(name) for name in self.names if name != against},
            test=paired_bootstrap if per_task else paired_t,
            higher_is_better=metric in HIGHER_IS_BETTER,
        )

    def uses_text(self, name: str, load: float | None = None) -> TextUse:
        """Whether a policy's choices fit their tasks better than their shuffle does."""
        cell = self._cell(name, self.loads[0] if load is None else load)
        seen = cell.chosen >= 0
        names = [agent.recorded_as for agent in self.pool]
        return text_use(self.corpus.outcome("quality", names)[seen], cell.chosen[seen])

    def table(self, load: float | None = None, *, by: str | None = None) -> pd.DataFrame:
        """The ranking at a load (the highest by default), best first.

        Columns: rank, policy, kind, each of the main metrics with its half-width, the
        stability verdict of most replications, the verdict against the baseline on
        the ranking metric ``by``, and ``in_sample`` where fitted on this corpus.
        """
        load = self.loads[-1] if load is None else load
        metric = self.ranked_by if by is None else by
        apart = self.differences(metric, load)
        rows = []
        for name in self.names:
            row: dict[str, Any] = {"policy": name, "kind": self.kinds[name]}
            for shown in dict.fromkeys([metric, *self._main]):
                found = self.interval(name, load, shown)
                row[shown], row[f"{shown}_hw"] = found.mean, found.half_width
            row["stability"] = _usual(self._cell(name, load).verdicts)
            row["verdict"] = "baseline" if name not in apart else apart[name].verdict
            row["in_sample"] = self.hindsight.get(name, False)
            rows.append(row)
        frame = pd.DataFrame(rows).sort_values(
            metric, ascending=metric not in HIGHER_IS_BETTER, kind="stable", ignore_index=True
        )
        frame.insert(0, "rank", np.arange(1, len(frame) + 1))
        return frame

    @property
    def _main(self) -> list[str]:
        timing = ["cost", "latency_mean", "latency_p95"]
        return ["quality", *timing] if self.recorded else timing

    def _cell(self, name: str, load: float) -> Cell:
        try:
            return self.cells[name, load]
        except KeyError:
            raise SimulationError(
                f"no {name!r} at load {load} in this study: policies {', '.join(self.names)}; "
                f"loads {', '.join(map(str, self.loads))}"
            ) from None

    # -- for machines and people --------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, NaN as None: what ``--json`` prints."""
        tables = {}
        for load in self.loads:
            frame = self.table(load)
            tables[str(load)] = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return {
            "corpus": self.corpus.name,
            "sha256": self.corpus.sha256,
            "agents": list(self.pool.ids),
            "capacity": self.capacity,
            "arrivals": self.arrivals,
            "baseline": self.baseline,
            "ranked_by": self.ranked_by,
            "settings": asdict(self.settings),
            "loads": tables,
        }

    def __repr__(self) -> str:
        policies = sum(kind == "policy" for kind in self.kinds.values())
        lines = [
            f"Study: {policies} policies and {len(self.names) - policies} controls at loads "
            f"{', '.join(f'{load:g}' for load in self.loads)} x {self.settings.replications} "
            f"replications of {self.settings.tasks:,} tasks ({self.corpus.name})",
            f"At load {self.loads[-1]:g}, by {self.ranked_by}:",
        ]
        frame = self.table()
        shown = ["policy", self.ranked_by, *self._main, "stability", "verdict"]
        lines.append(frame[list(dict.fromkeys(shown))].to_string(index=False, float_format="%.4g"))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = html.escape(repr(self).splitlines()[0])
        frame = self.table()
        shown = ["rank", "policy", "kind", self.ranked_by, *self._main, "stability", "verdict"]
        table = frame[list(dict.fromkeys(shown))].to_html(
            index=False, float_format="%.4g", border=0, escape=True
        )
        return f"<p>{head}</p><p>At load {self.loads[-1]:g}:</p>{table}"

    def plot_frontier(self, load: float | None = None, ax: Any = None) -> Any:
        """Quality against cost with the hull and the controls; returns the Axes."""
        return _plots().plot_frontier(self, load=load, ax=ax)

    def plot_load(self, metric: str | None = None, ax: Any = None) -> Any:
        """A metric against load, a line a policy with its interval; returns the Axes."""
        return _plots().plot_load(self, metric=metric, ax=ax)

    def plot_regret(self, load: float | None = None, ax: Any = None) -> Any:
        """Cumulative regret over the run against the best agent of each task; returns the Axes."""
        return _plots().plot_regret(self, load=load, ax=ax)

    def report(self, path: str | Path) -> Path:
        """Write the study as one HTML file; returns its path."""
        return importlib.import_module("routingsim.report.html").write_study(self, path)


def _position(metric: str) -> int:
    if metric not in _INDEX:
        raise SimulationError(f"no metric {metric!r}: there are {', '.join(METRICS)}")
    return _INDEX[metric]


def _usual(verdicts: tuple[str, ...]) -> str:
    """The verdict of most replications; the worse one of two as frequent."""
    order = ("stable", "at the edge", "overloaded")
    return max(order, key=lambda each: (verdicts.count(each), order.index(each)))


def _plots() -> Any:
    """The plots stand a floor above: looked up when asked for, as pandas does."""
    return importlib.import_module("routingsim.report.study_plots")
