"""What a replay returns: every task's fate, and summaries computed once from it.

Statuses are never mixed: waits and latencies are of tasks answered (``ok``);
failed, timed out and shed tasks are counted apart. Latency runs from the
*intended* arrival to completion, so a stall shows in every task it delayed (no
coordinated omission). A warm-up is left out of timing figures only; counts,
costs and quality are of all tasks.
"""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.policies.kernel import FAILED, OK, SHED, STATUS_NAMES, TIMED_OUT
from routingsim.policies.policy import Policy
from routingsim.simulation.faults import Outage, Retries
from routingsim.simulation.stability import Stability, stability
from routingsim.simulation.state import Log, Workload
from routingsim.simulation.statistics import Interval, batch_means, quantiles

__all__ = ["CALL_STATUS", "QUANTILES", "ReplayResult"]

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
"""Quantiles in summaries, by column suffix."""

CALL_STATUS = (*STATUS_NAMES, "rejected")
"""What the codes of a call's status mean; "rejected" is a cascade's judge's verdict."""

_SHOWN = (
    ("tasks", "tasks", "{:,.0f}"),
    ("share", "share", "{:.1%}"),
    ("utilisation", "utilisation", "{:.1%}"),
    ("wait_mean", "mean wait (s)", "{:.2f}"),
    ("latency_p50", "p50 (s)", "{:.2f}"),
    ("latency_p95", "p95 (s)", "{:.2f}"),
    ("cost", "cost (USD)", "{:,.4g}"),
    ("quality", "quality", "{:.3f}"),
)


@dataclass(frozen=True, repr=False, eq=False)
class ReplayResult:
    """One replay. ``summary()`` is the table to read first.

    Attributes
    ----------
    policy, pool, corpus
        What was run.
    arrivals : str
        The arrival process, as it can be given again.
    asked, realised : tuple of float or None
        Mean rate (tasks/s) and cv of inter-arrival times, asked for and met.
    seed : int
        Of every draw.
    retries, outages
        What happened after failed calls, and which agent was down when.
    synthetic, closed : bool
        Whether a model made the arrivals, and whether they waited for answers.
    warm_up : float
        Share of the horizon left out of timing figures.
    notes : tuple of str
        What the reader should know.
    work, log
        The engine's own arrays, a row a task (see :mod:`routingsim.simulation.engine`).
    memory : ndarray
        The policy's memory at the end: what it learned.
    """

    policy: Policy
    pool: AgentPool
    corpus: Corpus | None
    arrivals: str
    asked: tuple[float | None, float | None]
    realised: tuple[float, float]
    seed: int
    retries: Retries
    outages: tuple[Outage, ...]
    synthetic: bool
    closed: bool
    warm_up: float
    notes: tuple[str, ...]
    work: Workload
    log: Log
    memory: NDArray[np.float64]

    def __len__(self) -> int:
        return self.log.agent.size

    # -- every task ---------------------------------------------------------------

    @cached_property
    def latency(self) -> NDArray[np.float64]:
        """Seconds from intended arrival to the end, whatever the end was, shape (tasks,)."""
        return self.log.finished - self.work.arrived

    @cached_property
    def quality(self) -> NDArray[np.float64]:
        """Recorded quality of each answer, shape (tasks,); NaN if unrecorded or unanswered."""
        found = self.work.quality[self.work.row, self.log.agent]
        return np.where(self.log.status == OK, found, np.nan)

    def to_frame(self) -> pd.DataFrame:
        """A row a task, in order of arrival; times in seconds, cost in USD."""
        served = self.log.status <= FAILED
        started = np.where(served, self.log.left, np.nan)
        frame = pd.DataFrame(
            {
                "task_id": self.task_ids(),
                "agent": pd.Categorical.from_codes(self.log.agent, categories=list(self.pool.ids)),
                "arrived_at": self.work.arrived,
                "started_at": started,
                "finished_at": self.log.finished,
                "wait": self.log.wait,
                "service": np.where(served, self.log.finished - self.log.left, np.nan),
                "latency": self.latency,
                "status": pd.Categorical.from_codes(self.log.status, categories=list(STATUS_NAMES)),
                "attempts": self.log.attempts,
                "cost": self.log.cost,
                "quality": self.quality,
                "d_var": self.work.d_var[self.work.row],
            }
        )
        if self.corpus is not None:
            category = self.corpus.tasks["category"].astype("category")
            frame["category"] = category.take(self.work.row).reset_index(drop=True)
        return frame

    def task_ids(self) -> pd.Series:
        """The corpus's id of each task, in order of arrival; numbers without a corpus."""
        if self.corpus is None:
            return pd.Series(np.arange(len(self))).astype("string")
        return pd.Series(self.corpus.tasks["id"]).take(self.work.row).reset_index(drop=True)

    def calls(self) -> pd.DataFrame:
        """A row a try, retries included: task, attempt, agent, sent, left the queue, ended, status.

        ``left_at`` is when the try left the queue: its start, unless it timed out or
        was shed. ``status`` is a code, see :data:`CALL_STATUS`.
        """
        log, again = self.log, int(self.log.retries[0])
        frame = pd.DataFrame(
            {
                "task": np.concatenate([log.retried[:again], np.arange(len(self))]),
                "agent": np.concatenate([log.retried_agent[:again], log.agent]),
                "left_at": np.concatenate([log.retried_left[:again], log.left]),
                "ended_at": np.concatenate([log.retried_ended[:again], log.finished]),
                "status": np.concatenate([log.retried_status[:again], log.status]),
            }
        )
        if not again:
            frame.insert(1, "attempt", 0)
            frame.insert(3, "sent_at", self.work.arrived)
            return frame
        frame = frame.sort_values("task", kind="stable", ignore_index=True)
        tries = frame.groupby("task", sort=False)
        frame.insert(1, "attempt", tries.cumcount())
        pause = self.retries.backoff * self.retries.factor ** (frame["attempt"] - 1.0)
        pause = pause.where(tries["status"].shift() == FAILED, 0.0)  # a judge does not wait
        sent = tries["ended_at"].shift() + pause
        frame.insert(
            3,
            "sent_at",
            sent.fillna(pd.Series(self.work.arrived).take(frame["task"]).set_axis(frame.index)),
        )
        return frame

    # -- summaries ----------------------------------------------------------------

    @cached_property
    def window(self) -> tuple[float, float]:
        """Begin and end, in seconds, of the time over which rates and loads are taken.

        From the end of the warm-up to the last arrival for synthetic arrivals, to
        the last completion for a corpus's or trace's own times.
        """
        last_arrival = float(self.work.arrived[-1])
        end = last_arrival if self.synthetic else float(self.log.finished.max())
        return self.warm_up * last_arrival, end

    @cached_property
    def timed(self) -> NDArray[np.bool_]:
        """Which tasks count in waits and latencies: answered, and arrived after the warm-up."""
        return (self.log.status == OK) & (self.work.arrived >= self.window[0])

    @cached_property
    def utilisation(self) -> NDArray[np.float64]:
        """Share of each agent's slots in use over the window, shape (agents,)."""
        begin, end = self.window
        log, again = self.log, int(self.log.retries[0])
        served = log.status <= FAILED
        busy = _overlap(
            log.agent[served], log.left[served], log.finished[served], begin, end, len(self.pool)
        )
        if again:
            busy += _overlap(
                log.retried_agent[:again],
                log.retried_left[:again],
                log.retried_ended[:again],
                begin,
                end,
                len(self.pool),
            )
        length = end - begin
        return busy / (self.pool.column("concurrency") * length) if length > 0 else busy * np.nan

    @cached_property
    def stability(self) -> Stability:
        """The verdict to read before any percentile."""
        return stability(
            self.work, self.log, self.pool, self.outages, self.policy.judge, closed=self.closed
        )

    def summary(self) -> pd.DataFrame:
        """A row an agent and one, ``all``, for the whole.

        Columns: tasks, share, ok, failed, timed_out, shed (counts); utilisation;
        wait and latency of answered tasks (s): mean, p50, p90, p95, p99; throughput
        (answers/s); cost (USD in all), cost_mean (USD a task); quality (mean of
        answers where recorded).
        """
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        counts = np.bincount(self.log.agent, minlength=len(self.pool))
        rows = {
            agent: self._row(self.log.agent == a) | {"utilisation": self.utilisation[a]}
            for a, agent in enumerate(self.pool.ids)
        }
        slots = self.pool.column("concurrency")
        whole = self._row(np.ones(len(self), bool))
        whole["utilisation"] = float(self.utilisation @ slots / slots.sum())
        frame = pd.DataFrame.from_dict({**rows, "all": whole}, orient="index")
        frame.insert(1, "share", [*(counts / len(self)), 1.0])
        frame.index.name = "agent"
        return frame

    def _row(self, mine: NDArray[np.bool_]) -> dict[str, Any]:
        """One row of the summary, without share."""
        status = np.bincount(self.log.status[mine], minlength=4)
        timed = mine & self.timed
        begin, end = self.window
        finished = self.log.finished[mine & (self.log.status == OK)]
        done = np.count_nonzero((finished > begin) & (finished <= end))
        quality = self.quality[mine]
        tasks = int(mine.sum())
        cost = float(self.log.cost[mine].sum())
        row: dict[str, Any] = {"tasks": tasks}
        row |= {STATUS_NAMES[s]: int(status[s]) for s in (OK, FAILED, TIMED_OUT, SHED)}
        row["utilisation"] = math.nan
        for name, values in (("wait", self.log.wait[timed]), ("latency", self.latency[timed])):
            row[f"{name}_mean"] = float(values.mean()) if values.size else math.nan
            found = quantiles(values, list(QUANTILES.values()))
            row |= {f"{name}_{q}": float(v) for q, v in zip(QUANTILES, found, strict=True)}
        row["throughput"] = done / (end - begin) if end > begin else math.nan
        row["cost"] = cost
        row["cost_mean"] = cost / tasks if tasks else math.nan
        recorded = ~np.isnan(quality)
        row["quality"] = float(quality[recorded].mean()) if recorded.any() else math.nan
        return row

    @property
    def overall(self) -> dict[str, Any]:
        """The summary's last row as a dict."""
        return self._summary.loc["all"].to_dict()

    def interval(
        self, metric: Literal["wait", "latency"] = "latency", batches: int = 30
    ) -> Interval:
        """95 % confidence interval of a mean in this one run, by batch means.

        Of answered tasks after the warm-up, in order of arrival. It holds where a batch
        is much longer than the queue's memory, which near saturation takes long runs.
        """
        if metric not in ("wait", "latency"):
            raise SimulationError(f"interval: no metric {metric!r}; there are wait and latency")
        values = self.log.wait if metric == "wait" else self.latency
        return batch_means(values[self.timed], batches)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, NaN as None: what ``--json`` prints for a policy."""
        table = self._summary.astype(object).where(self._summary.notna(), None)
        rows = table.reset_index().to_dict("records")
        whole = rows.pop()
        del whole["agent"]
        begin, end = self.window
        return {
            "policy": self.policy.name,
            "arrivals": {
                "process": self.arrivals,
                "rate": _none(self.realised[0]),
                "cv": _none(self.realised[1]),
                "rate_asked": _none(self.asked[0]),
                "cv_asked": _none(self.asked[1]),
            },
            "window": {"begin": begin, "end": end, "warm_up": self.warm_up},
            "stability": {
                "verdict": self.stability.verdict,
                "offered": {a: _none(load) for a, load in self.stability.offered.items()},
            },
            "overall": whole,
            "agents": rows,
            "notes": list(self.notes),
        }

    # -- for people -----------------------------------------------------------------

    @property
    def _title(self) -> str:
        name = self.corpus.name if self.corpus is not None else "no corpus"
        return (
            f"{len(self):,} tasks ({name}) under {self.policy.name}, {self.arrivals}, "
            f"seed {self.seed}"
        )

    @property
    def _preface(self) -> list[str]:
        """What to know before the figures: arrivals, stability, warm-up."""
        met = f"{_rate_cv(self.realised)} met"
        asked = _rate_cv(self.asked)
        said = [f"arrivals: {asked} asked for, {met}" if asked else f"arrivals: {met}"]
        said.append(str(self.stability))
        if self.warm_up:
            said.append(
                f"timing figures from {self.window[0]:.4g} s on: the first {self.warm_up:.0%} "
                "is warm-up"
            )
        return said

    @property
    def _remarks(self) -> list[str]:
        """What to know after them: what was lost, and notes."""
        lost = {name: int(self.overall[name]) for name in STATUS_NAMES[FAILED:]}
        said = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in lost.items() if n)
        return [*([f"not answered: {said}"] if said else []), *(f"note: {n}" for n in self.notes)]

    def __repr__(self) -> str:
        shown = ["tasks", "share", "utilisation", "wait_mean", "latency_p50", "latency_p95", "cost"]
        short = {"utilisation": "used", "wait_mean": "wait s", "cost": "USD"}
        short |= {f"latency_{q}": f"{q} s" for q in QUANTILES}
        table = pd.DataFrame(self._summary, columns=[*shown, "quality"]).rename(columns=short)

        def render(names: Sequence[str]) -> str:
            named = table.set_axis(pd.Index(names, name="agent"))
            return named.to_string(float_format="%.3g", na_rep="-")

        return "\n".join(
            [
                display.wrapped(f"ReplayResult: {self._title}"),
                *map(display.wrapped, self._preface),
                display.fitted([str(name) for name in table.index], render),
                *map(display.wrapped, self._remarks),
            ]
        )

    def _repr_html_(self) -> str:
        agents = self._summary.iloc[:-1]
        shown = agents.loc[
            agents.index[np.sort(np.argsort(-agents["tasks"], kind="stable")[: display.MOST_ROWS])]
        ]
        rows = [
            [str(row["agent"]), *(_as_text(row[key], form) for key, _, form in _SHOWN)]
            for row in pd.concat([shown, self._summary.iloc[-1:]]).reset_index().to_dict("records")
        ]
        more = len(agents) - len(shown)
        return display.card(
            self._title,
            display.table(["agent", *(head for _, head, _ in _SHOWN)], rows, strong=len(rows) - 1),
            [
                *([f"{more:,} agents with fewer tasks"] if more else []),
                *self._preface,
                *self._remarks,
            ],
        )

    def plot_usage(self, ax: Any = None) -> Any:
        """Share of tasks an agent; returns the Axes."""
        return _plots().plot_usage(self, ax=ax)

    def plot_latency(self, ax: Any = None) -> Any:
        """Distribution of latency an agent (ECDF, percentiles marked); returns the Axes."""
        return _plots().plot_latency(self, ax=ax)

    def plot_queue(self, ax: Any = None) -> Any:
        """Tasks waiting over time an agent; returns the Axes."""
        return _plots().plot_queue(self, ax=ax)

    def plot_frontier(self, ax: Any = None, *, against: str = "cost") -> Any:
        """Quality against cost, or a latency, beside the controls; returns the Axes.

        ``against`` is ``cost`` or ``latency_mean``, ``_p50``, ``_p95``, ``_p99``.
        """
        return _plots().plot_beside_controls(self, ax=ax, against=against)

    # -- for other programs -------------------------------------------------------------

    def write(self, path: str | Path) -> Path:
        """Write every task as a table, ``to_frame()`` with the policy before it.

        CSV, Parquet or JSON lines, by the end of the name (``.csv``, ``.parquet``,
        ``.jsonl``).

        Raises
        ------
        SimulationError
            If the name ends otherwise, or the file cannot be written.
        """
        return _export().write_tasks([self], path)

    def chrome_trace(self, path: str | Path) -> Path:
        """Write the schedule as Chrome-trace JSON, which Perfetto (ui.perfetto.dev) opens.

        A process an agent, a thread a slot, an event a call.
        """
        return _export().write_trace([self], path)

    def report(self, path: str | Path) -> Path:
        """Write the one-file report, HTML or by suffix ``.md`` or ``.json``; returns its path."""
        return _report().write_report([self], path)


def _overlap(
    agent: NDArray[np.int16],
    begins: NDArray[np.float64],
    ends: NDArray[np.float64],
    begin: float,
    end: float,
    agents: int,
) -> NDArray[np.float64]:
    """Seconds of service an agent that lie between ``begin`` and ``end``."""
    seconds = np.clip(ends, begin, end) - np.clip(begins, begin, end)
    return np.bincount(agent, weights=seconds, minlength=agents).astype(np.float64, copy=False)


def _rate_cv(pair: tuple[float | None, float | None]) -> str:
    """Rate and cv of arrivals in words, as far as they are known."""
    rate, cv = (_none(value) for value in pair)
    said = [] if rate is None else [f"{rate:.3g}/s"]
    return " ".join([*said, *([] if cv is None else [f"(cv {cv:.3g})"])])


def _as_text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)


def _none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _plots() -> Any:
    """The plots stand a floor above: looked up when asked for, as pandas does."""
    return importlib.import_module("routingsim.report.plots")


def _export() -> Any:
    """Exports stand on results: looked up when asked for."""
    return importlib.import_module("routingsim.simulation.export")


def _report() -> Any:
    return importlib.import_module("routingsim.report.html")
