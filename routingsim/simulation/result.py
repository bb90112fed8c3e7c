"""What a replay returns: the outcome of every task, and summaries of them.

Statuses are never mixed: waits and latencies are those of answered tasks (``ok``);
failed, timed-out and shed tasks are counted apart. Latency runs from the
*intended* arrival to completion, so a stall shows in every task it delayed (no
coordinated omission). The warm-up is left out of timing figures only; counts,
costs and quality cover all tasks.

Quality is that of the answers whose quality is recorded for the agent chosen; ``recorded``
is their share of the answers. Where it is below 1, two policies' means are of different
tasks unless the corpus records all agents on the same (:mod:`routingsim.simulation.recorded`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.policies.kernel import FAILED, OK, SHED, STATUS_NAMES, TIMED_OUT
from routingsim.policies.policy import Policy
from routingsim.simulation.arrival_notes import seconds
from routingsim.simulation.batches import batch_interval, long_enough
from routingsim.simulation.export import write_tasks, write_trace
from routingsim.simulation.faults import Outage, Retries
from routingsim.simulation.recorded import Basis, basis
from routingsim.simulation.remarks import whose_agents
from routingsim.simulation.replications import MOST, REPLICATIONS, Again, Replications
from routingsim.simulation.stability import Stability, stability
from routingsim.simulation.state import Log, Workload
from routingsim.simulation.statistics import Interval, quantiles

if TYPE_CHECKING:  # the plotting library takes a second to load
    from matplotlib.axes import Axes

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
"""Quantiles in summaries, by column suffix."""

_MEANS = {"latency": "latency_mean", "wait": "wait_mean"}
_TIMES = ("mean", *QUANTILES)

INTERVALS = (
    *(f"{time}_{each}" for time in ("latency", "wait") for each in _TIMES),
    *("utilisation", "throughput", "cost", "cost_mean", "quality", "quality_all"),
)
"""Figures of the summary that :meth:`ReplayResult.interval` takes, beside latency and wait."""

_WINDOWS = 240  # in which arrivals are counted

_SHOWN = (
    ("tasks", "tasks", "{:,.0f}"),
    ("share", "share", "{:.1%}"),
    ("utilisation", "utilisation", "{:.1%}"),
    ("wait_mean", "mean wait (s)", "{:.2f}"),
    ("latency_p50", "p50 (s)", "{:.2f}"),
    ("latency_p95", "p95 (s)", "{:.2f}"),
    ("cost", "cost (USD)", "{:,.4g}"),
)


@dataclass(frozen=True, repr=False, eq=False)
class ReplayResult:
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
    retries, outages
        What happened after failed calls, and when which agent was down.
    synthetic, closed : bool
        Whether a model made the arrivals, and whether they came from a closed loop.
    warm_up : float
        Share of the horizon left out of timing figures.
    notes : tuple of str
        Remarks for the reader. That the pool is not the corpus's comes first, and stands
        before the figures wherever they are shown.
    work, log
        Input and output of the engine (see :mod:`routingsim.simulation.state`).
    memory : ndarray
        The policy's memory at the end: what it has learned.
    again : callable or None
        Runs the replay again under another seed (:mod:`routingsim.simulation.replications`).
    unlike : str
        That the arrivals met are not those asked for, and how many tasks would do; "" if they
        are. Among the ``notes``.
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
    again: Again | None = None
    unlike: str = ""

    def __len__(self) -> int:
        return self.log.agent.size

    # -- every task ---------------------------------------------------------------

    @cached_property
    def latency(self) -> NDArray[np.float64]:
        """Seconds from intended arrival to the end, with any status, shape (tasks,)."""
        return self.log.finished - self.work.arrived

    @cached_property
    def basis(self) -> Basis:
        """The records of the corpus on which figures of quality rest."""
        return basis(self.corpus, self.pool)

    @cached_property
    def cost_basis(self) -> Basis:
        """The records of the corpus on which comparisons of cost rest."""
        return basis(self.corpus, self.pool, "cost")

    @cached_property
    def quality(self) -> NDArray[np.float64]:
        """Recorded quality of each answer, shape (tasks,); NaN if unrecorded or unanswered."""
        found = self.work.quality[self.work.row, self.log.agent]
        return np.where(self.log.status == OK, found, np.nan)

    @cached_property
    def compared_quality(self) -> NDArray[np.float64]:
        """The same, NaN for tasks that are not in the ``basis``: summaries rest on it."""
        return np.where(self.basis.rows[self.work.row], self.quality, np.nan)

    @cached_property
    def cost_recorded(self) -> NDArray[np.bool_]:
        """Whether the cost of each task's last call is recorded, not modelled, shape (tasks,)."""
        if self.corpus is None:
            return np.zeros(len(self), dtype=bool)
        known = self.corpus.outcome("cost", [agent.recorded_as for agent in self.pool])
        return ~np.isnan(known[self.work.row, self.log.agent])

    def to_frame(self) -> pd.DataFrame:
        """One row for each task, in order of arrival; times in seconds, cost in USD."""
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
        """One row for each try, in order of the tasks.

        Columns: task and attempt (from 0); agent (index); sent_at; left_at, when the try
        left the queue (its start, unless it timed out or was shed); ended_at; status, a
        code of :data:`routingsim.simulation.state.CALL_STATUS`. Times in seconds.
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
        pause = pause.where(tries["status"].shift() == FAILED, 0.0)  # rejected: no back-off
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
        """Begin and end (s) of the interval over which rates and utilisation are measured.

        From the end of the warm-up to the last arrival for synthetic arrivals, to
        the last completion for a corpus's or trace's own times.
        """
        last_arrival = float(self.work.arrived[-1])
        end = last_arrival if self.synthetic else float(self.log.finished.max())
        return self.warm_up * last_arrival, end

    @cached_property
    def timed(self) -> NDArray[np.bool_]:
        """Tasks that count in waits and latencies: answered, and arrived after the warm-up."""
        return (self.log.status == OK) & (self.work.arrived >= self.window[0])

    @cached_property
    def utilisation(self) -> NDArray[np.float64]:
        """Share of each agent's slots in use over the window, shape (agents,)."""
        log, again = self.log, slice(self.log.retries[0])
        last = (column[log.status <= FAILED] for column in (log.agent, log.left, log.finished))
        others = (log.retried_agent, log.retried_left, log.retried_ended)
        busy = np.zeros(len(self.pool))
        for agent, begins, ends in (last, (column[again] for column in others)):
            seconds = np.clip(ends, *self.window) - np.clip(begins, *self.window)
            busy += np.bincount(agent, weights=seconds, minlength=busy.size)
        length = self.window[1] - self.window[0]
        return busy / (self.pool.column("concurrency") * length) if length > 0 else busy * np.nan

    @cached_property
    def stability(self) -> Stability:
        """Whether waits and latencies mean anything; read it before any percentile.

        A run that did not meet the arrivals asked for is never steady.
        """
        found = stability(
            self.work, self.log, self.pool, self.outages, self.policy.judge, closed=self.closed
        )
        if self.unlike and found.verdict == "steady":
            found = replace(found, verdict="too short to say", half_width=math.inf, enough=0)
        return found

    def summary(self) -> pd.DataFrame:
        """One row for each agent, and one, ``all``, for the whole.

        Columns: tasks, share, ok, failed, timed_out, shed (counts); utilisation;
        wait and latency of answered tasks (s): mean, p50, p90, p95, p99; throughput
        (answers/s); cost (USD, total), cost_mean (USD per task), cost_recorded (share of
        tasks with a recorded cost; the others' is modelled, and of a log with one answer a
        task there is no cost unless it is 1); quality (mean of the answers
        whose quality is recorded), quality_all (of all tasks: one without an answer counts
        0), recorded (share of the answers whose quality is).
        """
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        counts = np.bincount(self.log.agent, minlength=len(self.pool))
        used = self.utilisation
        rows = {
            agent: self._row(self.log.agent == a, used[a]) for a, agent in enumerate(self.pool.ids)
        }
        frame = pd.DataFrame.from_dict({**rows, "all": self.whole}, orient="index")
        frame.insert(1, "share", [*(counts / len(self)), 1.0])
        frame.index.name = "agent"
        return frame

    @cached_property
    def whole(self) -> dict[str, Any]:
        """The summary's last row without share, computed without the others."""
        slots = self.pool.column("concurrency")
        return self._row(np.ones(len(self), bool), float(self.utilisation @ slots / slots.sum()))

    def _row(self, mine: NDArray[np.bool_], utilisation: float) -> dict[str, Any]:
        """One row of the summary, without share."""
        status = np.bincount(self.log.status[mine], minlength=4)
        timed = mine & self.timed
        begin, end = self.window
        finished = self.log.finished[mine & (self.log.status == OK)]
        done = np.count_nonzero((finished > begin) & (finished <= end))
        quality = self.compared_quality[mine]
        tasks = int(mine.sum())
        row: dict[str, Any] = {"tasks": tasks}
        row |= {STATUS_NAMES[s]: int(status[s]) for s in (OK, FAILED, TIMED_OUT, SHED)}
        row["utilisation"] = utilisation
        for name, values in (("wait", self.log.wait[timed]), ("latency", self.latency[timed])):
            row[f"{name}_mean"] = float(values.mean()) if values.size else math.nan
            found = quantiles(values, list(QUANTILES.values()))
            row |= {f"{name}_{q}": float(v) for q, v in zip(QUANTILES, found, strict=True)}
        row["throughput"] = done / (end - begin) if end > begin else math.nan
        row["cost_recorded"] = float(self.cost_recorded[mine].mean()) if tasks else math.nan
        row["cost"] = float(self.log.cost[mine].sum())
        if row["cost_recorded"] < 1 and self.cost_basis.kind == "log":
            row["cost"] = math.nan  # the records are of other tasks for each policy
        row["cost_mean"] = row["cost"] / tasks if tasks else math.nan
        recorded = quality[~np.isnan(quality)]
        row["quality"] = float(recorded.mean()) if recorded.size else math.nan
        answers = int(status[OK])
        row["quality_all"] = row["quality"] * answers / tasks if tasks else math.nan
        row["recorded"] = recorded.size / answers if answers else math.nan
        return row

    @property
    def quality_columns(self) -> tuple[tuple[str, str, str], ...]:
        """Columns of the summary that say how good the answers are: key, title, format.

        The share recorded is among them where it is below 1, and the quality of all tasks
        where some have no answer. A log with one answer a task has no mean to show.
        """
        whole = self.overall
        found = [("quality", "quality", "{:.3f}")]
        if whole["ok"] < len(self):
            found.append(("quality_all", "of all tasks", "{:.3f}"))
        if whole["recorded"] < 1 and self.basis.kind != "none":
            found = [] if self.basis.kind == "log" else found
            found.append(("recorded", "quality known", "{:.1%}"))
        return tuple(found)

    @property
    def overall(self) -> dict[str, Any]:
        """The summary's last row as a dict."""
        return self._summary.loc["all"].to_dict()

    def interval(
        self,
        metric: str = "latency",
        *,
        replications: int = REPLICATIONS,
        precision: float | None = None,
        most: int = MOST,
        days: bool = False,
        progress: bool = False,
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
            ``_mean``, ``_p50``, ``_p90``, ``_p95`` or ``_p99``, utilisation, throughput,
            cost, cost_mean, quality or quality_all.
        replications : int
            Further runs.
        precision : float, optional
            Half-width wished for, as a share of the mean: 0.05 makes further runs until the
            interval is so narrow. ``method`` says whether it was.
        most : int
            Further runs at most, with ``precision``.
        days : bool
            Recorded arrivals only: answer for other days like this one. Blocks of
            consecutive tasks are drawn from the record, which takes its hours to be alike.
        progress : bool
            Show a progress bar.

        Raises
        ------
        SimulationError
            If there is no such metric, a setting is out of its range, or two do not go
            together.
        """
        name = _MEANS.get(metric, metric)
        if name not in INTERVALS:
            raise SimulationError(
                f"interval: no metric {metric!r}; there are latency, wait, {', '.join(INTERVALS)}"
            )
        if days and self.synthetic:
            raise SimulationError(
                f"interval: days=True draws days from recorded times, and {self.arrivals} makes "
                "its own: each further run is another day already; leave it out"
            )
        if name.startswith(("latency", "wait")):
            if self.stability.lasts:
                why = f"none: {self.stability.verdict}, so it says only how long the run was"
                return Interval(float(self.whole[name]), math.nan, method=why)
            found = None if days else self.batch_interval(name)
            if found is not None and (
                precision is None or found.half_width <= precision * found.mean
            ):
                return found
        if self.replications is None:
            return Interval(float(self.whole[name]), math.nan, method="none: one run alone")
        found = self.replications.interval(
            _whole,
            name,
            count=replications,
            precision=precision,
            most=most,
            days=days,
            progress=progress,
            question=self.question(days=days),
        )
        return found.within(0.0, 1.0 if name.startswith("quality") else math.inf)

    @cached_property
    def replications(self) -> Replications | None:
        """The further runs; None where the replay cannot be run again by itself."""
        return None if self.again is None else Replications(self.again, self.seed, len(self))

    def question(self, *, days: bool = False) -> str:
        """What further runs draw anew, in words."""
        if days:
            return "other days like this one (blocks of recorded tasks)"
        if self.synthetic and self.corpus is not None and len(self) > len(self.corpus):
            return "other days with tasks drawn anew from the corpus"
        if self.synthetic:
            return "other days with the same tasks"
        return "the same tasks at the same times"

    def batch_interval(self, name: str) -> Interval | None:
        """The interval of a wait or latency from this one run; None where it is too short."""
        if not self.long:
            return None
        return batch_interval(
            self.times(name)[self.timed], quantile=QUANTILES.get(name.partition("_")[2])
        )

    def times(self, name: str) -> NDArray[np.float64]:
        """The waits or latencies (s) behind a figure such as ``wait_p95``, shape (tasks,)."""
        return self.log.wait if name.startswith("wait") else self.latency

    @cached_property
    def long(self) -> bool:
        """Whether the run is steady, and long against the time in which its queues forget."""
        steady = self.stability.verdict == "steady" and not (self.closed or self.outages)
        if not (steady and self.synthetic) or self.policy.learns:
            return False
        agents = len(self.pool)
        served = self.log.status <= FAILED
        agent, took = self.log.agent[served], (self.log.finished - self.log.left)[served]
        calls = np.bincount(agent, minlength=agents)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(agent, took, agents) / calls
            square = np.bincount(agent, took**2, agents) / calls
            varied = (square / mean**2 - 1 + max(self.realised[1] ** 2, self._clumping)) / 2
        load = np.array([self.stability.offered[each] for each in self.pool.ids])
        return long_enough(calls, load, np.nan_to_num(varied))

    @property
    def _clumping(self) -> float:
        """Index of dispersion of the arrivals: the variance of their number in a window over
        its mean, 1 for a Poisson process and more where rates rise and fall."""
        edges = np.linspace(self.work.arrived[0], self.work.arrived[-1], _WINDOWS + 1)
        counts = np.diff(np.searchsorted(self.work.arrived, edges))
        return float(counts.var() / counts.mean())

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain Python values, NaN as None: ``--json`` prints it."""
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
                "span": self.span,
            },
            "window": {"begin": begin, "end": end, "warm_up": self.warm_up},
            "stability": {
                "verdict": self.stability.verdict,
                "reason": self.stability.reason,
                "offered": {a: _none(load) for a, load in self.stability.offered.items()},
                "error": {a: _none(error) for a, error in self.stability.error.items()},
                "half_width": _none(self.stability.half_width),
                "enough": self.stability.enough,
                "above": self.stability.above,
                "peak": self.stability.peak,
                "left": self.stability.left,
            },
            "recorded": self.basis.kind,
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
    def span(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.work.arrived[-1] - self.work.arrived[0])

    @property
    def arrivals_in_words(self) -> str:
        """The rate asked for beside that met, with the span of the run."""
        asked = f"{known} asked for, " if (known := _rate_cv(self.asked)) else ""
        met = f"{_rate_cv(self.realised) or 'no rate'} met"
        return f"arrivals: {asked}{met} over {seconds(self.span)}"

    @property
    def foremost(self) -> list[str]:
        """Notes without which no figure is to be read, and which stand before all.

        That the pool is not the corpus's, and that the arrivals are not those asked for.
        """
        return [*filter(None, (whose_agents(self.corpus, self.pool), self.unlike))]

    @property
    def _preface(self) -> list[str]:
        """Remarks on how to read the figures: arrivals, stability, warm-up."""
        said = [self.arrivals_in_words, str(self.stability)]
        if self.warm_up:
            said.append(
                f"timing figures from {self.window[0]:.4g} s on: the first {self.warm_up:.0%} "
                "is warm-up"
            )
        return said

    @property
    def _remarks(self) -> list[str]:
        """Remarks after the figures: tasks not answered, and notes."""
        lost = {name: int(self.overall[name]) for name in STATUS_NAMES[FAILED:]}
        said = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in lost.items() if n)
        remarks = [f"not answered: {said}"] if said else []
        whole = self.overall
        if self.basis.kind == "log" and whole["recorded"] < 1:
            remarks.append(
                f"quality: known for {whole['recorded']:.1%} of the answers, those of the agent "
                "that served the task in the log; their mean is not this policy's quality, which "
                "routingsim.evaluation.replay_estimates(result) estimates"
            )
        notes = [note for note in self.notes if note not in self.foremost]
        return [*remarks, *(f"note: {n}" for n in notes)]

    def __repr__(self) -> str:
        shown = ["tasks", "share", "utilisation", "wait_mean", "latency_p50", "latency_p95", "cost"]
        short = {"utilisation": "used", "wait_mean": "wait s", "cost": "USD"}
        short |= {f"latency_{q}": f"{q} s" for q in QUANTILES}
        short |= {"quality_all": "of all", "recorded": "known"}
        shown += [key for key, *_ in self.quality_columns]
        table = pd.DataFrame(self._summary, columns=shown).rename(columns=short)

        def render(names: Sequence[str]) -> str:
            named = table.set_axis(pd.Index(names, name="agent"))
            return named.to_string(float_format="%.3g", na_rep="-")

        return "\n".join(
            [
                display.wrapped(f"ReplayResult: {self._title}"),
                *(display.wrapped(f"note: {said}") for said in self.foremost),
                *map(display.wrapped, self._preface),
                display.fitted([str(name) for name in table.index], render),
                *map(display.wrapped, self._remarks),
            ]
        )

    def to_html(self) -> str:
        """The summary as a notebook shows it: at most 40 agents, those with most tasks."""
        agents = self._summary.iloc[:-1]
        most = np.sort(np.argsort(-agents["tasks"], kind="stable")[: display.MOST_ROWS])
        rows = self._rows_as_text([*most, len(agents)])
        more = len(agents) - len(most)
        return display.card(
            self._title,
            display.table(self._heads, rows, strong=len(rows) - 1),
            [
                *([f"{more:,} agents with fewer tasks"] if more else []),
                *self._preface,
                *self._remarks,
            ],
            first=[f"note: {said}" for said in self.foremost],
        )

    _repr_html_ = to_html

    def to_markdown(self) -> str:
        """The summary as a table in GitHub's Markdown, with the columns of :meth:`to_html`."""
        return display.markdown_table(self._heads, self._rows_as_text(range(len(self._summary))))

    @property
    def _heads(self) -> list[str]:
        return ["agent", *(head for _, head, _ in (*_SHOWN, *self.quality_columns))]

    def _rows_as_text(self, rows: Iterable[int]) -> list[list[str]]:
        """Rows of the summary as people read them: the agent, then what is shown of it."""
        columns = (*_SHOWN, *self.quality_columns)
        records = self._summary.iloc[list(rows)].reset_index().to_dict("records")
        return [
            [str(row["agent"]), *(_as_text(row[key], form) for key, _, form in columns)]
            for row in records
        ]

    def plot_usage(self, ax: "Axes | None" = None) -> "Axes":
        """Share of tasks and utilisation of each agent."""
        return _plots().plot_usage(self, ax)

    def plot_latency(self, ax: "Axes | None" = None) -> "Axes":
        """Distribution of the latency of each agent (ECDF), percentiles marked."""
        return _plots().plot_latency(self, ax)

    def plot_queue(self, ax: "Axes | None" = None) -> "Axes":
        """Tasks in each agent's queue over time."""
        return _plots().plot_queue(self, ax)

    def plot_frontier(self, ax: "Axes | None" = None, *, against: str = "cost") -> "Axes":
        """Quality against cost, or a latency, of the policy and the controls.

        ``against`` is ``cost`` or ``latency_mean``, ``_p50``, ``_p95``, ``_p99``.
        """
        return _plots().plot_beside_controls(self, ax, against=against)

    # -- for other programs -------------------------------------------------------------

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

    def report(self, path: str | Path) -> Path:
        """Write the report as one file: HTML, or by suffix ``.md`` or ``.json``.

        Raises
        ------
        SimulationError
            If the file cannot be written.
        """
        from routingsim.report.html import write_report  # not at the top: it uses this module

        return write_report([self], path)


def _whole(result: ReplayResult) -> dict[str, Any]:
    """The figures of a further run."""
    return result.whole


def _plots() -> Any:
    from routingsim.report import plots  # not at the top: it uses this module

    return plots


def _rate_cv(pair: tuple[float | None, float | None]) -> str:
    """Rate and cv of arrivals in words, as far as they are known."""
    rate, cv = (_none(value) for value in pair)
    said = [] if rate is None else [f"{rate:.3g}/s"]
    return " ".join([*said, *([] if cv is None else [f"(cv {cv:.3g})"])])


def _as_text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)


def _none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
