"""The answer to a question of capacity: which pool and policy, how sure, and what was tried."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from routingsim import display
from routingsim.evaluation.capacity_question import MONTH, Candidate, Question, Tried
from routingsim.evaluation.capacity_stress import stress
from routingsim.evaluation.tabular import Reported, records, texts
from routingsim.evaluation.targets import AT_LEAST, USD, Target
from routingsim.formatting import number, percent, usd
from routingsim.simulation.arrival_notes import asked_and_met
from routingsim.simulation.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Capacity(Reported):
    """The answer to a question of capacity; made by :func:`routingsim.capacity`.

    Attributes
    ----------
    targets : tuple of Target
    status : {"answered", "none", "undecided"}
        Whether a pool meets the targets, none of the candidates does, or some of them
        could not be decided within the budget of runs and no other meets the targets.
    best : Tried or None
        The cheapest pool and policy that meet the targets, with intervals of runs that had no
        part in choosing it; else the closest to them.
    frame : DataFrame
        A row for each candidate, cheapest first: slots of each varied agent, policy,
        usd_per_hour, each target's metric, latency_p95 and quality_all (means), rate asked for,
        rate_met (tasks/s) and span (s) of its runs, runs, verdict ("met", "missed", "growing",
        "open", "cannot", or "dearer" where it costs more than the answer and was not run) and
        why.
    nearest : Candidate or None
        Where theory rules out every pool, the one that lacks least.
    undecided : int
        Candidates that may be cheaper than the answer and were left open.
    """

    targets: tuple[Target, ...]
    status: str
    best: Tried | None
    frame: pd.DataFrame
    undecided: int
    question: Question = field(repr=False)
    nearest: Candidate | None = None

    def to_frame(self) -> pd.DataFrame:
        """A row for each candidate."""
        return self.frame.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON: the answer, its margins and every candidate."""
        best = None
        if self.best is not None:
            candidate, cost = self.best.candidate, self.best.found[USD]
            best = {
                "policy": candidate.policy,
                "slots": {agent.id: agent.concurrency for agent in candidate.pool},
                **{
                    f"usd_per_{name}": {
                        "mean": hours * cost.mean,
                        "low": hours * cost.low,
                        "high": hours * cost.high,
                    }
                    for name, hours in (("hour", 1.0), ("month", MONTH))
                },
            }
        question, met = self.question, self.best if self.best and self.best.runs else None
        corpus = question.corpus
        return {
            "status": self.status,
            "answer": best,
            "targets": records(self.margins),
            "stress": records(self.stress),
            "undecided": self.undecided,
            "runs": {"made": self.runs, "exhaustive": self.exhaustive},
            "arrivals": str(question.process),
            "rate": question.rate or None,
            "met": None if met is None else {"rate": met.rate_met, "span": met.span},
            "checkup": corpus.check(question.pool).to_dict() if corpus is not None else None,
            "rows": records(self.frame),
            "notes": self.foremost,
        }

    @property
    def foremost(self) -> list[str]:
        """Notes without which no figure is to be read, as those of a study."""
        return list(self.question.cautions)

    @property
    def arrivals_in_words(self) -> str:
        """The rate asked for beside that met in the runs of the answer, and their span."""
        best, question = self.best, self.question
        said = f"arrivals: {question.process}"
        if best is None or not best.runs:
            asked = f", {question.rate:.3g} tasks/s asked for" if question.rate else ""
            return f"{said}{asked}; none were run"
        return f"{said}, {asked_and_met(question.rate, best.rate_met, best.span)}"

    @property
    def margins(self) -> pd.DataFrame:
        """A row for each target: how far the answer is on the right side of its bound.

        Columns: metric, bound, mean, low and high (95 %), margin, margin_low and margin_high
        (95 %; below 0 on the wrong side), verdict.
        """
        return pd.DataFrame(
            {
                "metric": target.metric,
                "bound": target.bound,
                "mean": got.mean,
                "low": got.low,
                "high": got.high,
                "margin": target.margin(got.mean),
                "margin_low": min(target.margin(got.low), target.margin(got.high)),
                "margin_high": max(target.margin(got.low), target.margin(got.high)),
                "verdict": target.verdict(got),
            }
            for target, got in self._got()
        )

    @property
    def runs(self) -> int:
        """Runs that were made, those under worse conditions left out."""
        return sum(self.frame["runs"].tolist())

    @property
    def exhaustive(self) -> int:
        """Runs that it would take to run every candidate as often as allowed, and the answer
        again."""
        return (len(self.frame) + 1) * self.question.runs

    def _got(self) -> list[tuple[Target, Interval]]:
        best = self.best
        return (
            [] if best is None else [(target, best.found[target.metric]) for target in self.targets]
        )

    @cached_property
    def stress(self) -> pd.DataFrame:
        """The targets under worse conditions (:mod:`routingsim.evaluation.capacity_stress`).

        A row each for what was asked, twice the load, an outage of the most expensive agent, and
        prices and service times 20 % up and down; none where no pool meets the targets.
        """
        if self.status != "answered" or self.best is None:
            return pd.DataFrame(columns=["condition", "breaks"])
        return stress(self.question, self.best.candidate)

    def frontier(self) -> pd.DataFrame:
        """The candidates that keep up and that no other beats on all targets.

        Compared are the means of cost per hour, p95 latency and quality, as far as it is
        recorded, and of each target's metric.
        """
        names = [USD, *self.question.metrics]
        ran = self.frame["verdict"].isin(("met", "missed", "open"))
        kept = self.frame.loc[ran & self.frame[names].notna().all(axis=1), :]
        table = kept[names].to_numpy() * np.where(np.isin(names, AT_LEAST), -1.0, 1.0)
        beaten = [bool(((table <= row).all(1) & (table < row).any(1)).any()) for row in table]
        return kept.loc[~np.array(beaten, dtype=bool), :].sort_values(by=[USD])

    def plot(
        self, ax: "Axes | None" = None, *, metric: str | None = None, legend: str = ""
    ) -> "Axes":
        """Cost per hour against a metric, by default that of the first target; returns the Axes.

        ``legend`` is "below" (by default), "right" or "none".
        """
        from routingsim.report.capacity_plot import plot_capacity

        return plot_capacity(self, ax, metric=metric, legend=legend)

    def __repr__(self) -> str:
        notes = (f"note: {note}" for note in self.foremost)
        return "\n".join([*notes, self.said, *(f"  {line}" for line in self._below())])

    def to_html(self) -> str:
        """What a notebook shows: the answer, and the candidates that no other beats."""
        return display.card(
            self.said,
            display.table(*texts(self._foremost_rows())),
            self._below(),
            first=[f"note: {note}" for note in self.foremost],
        )

    def _foremost_rows(self) -> pd.DataFrame:
        """Candidates that no other beats; the cheapest where none was run."""
        best = self.frontier()
        return (self.frame if best.empty else best).head(display.MOST_ROWS)

    def _below(self) -> list[str]:
        """What stands below the answer: arrivals, targets, what was tried, what breaks first."""
        lines = [self.arrivals_in_words, *self.held, self.searched, *self.broken]
        return [*lines, *([self.left_open] if self.undecided else [])]

    @property
    def searched(self) -> str:
        """How many candidates there were, and how many runs it took."""
        tried = sum(runs > 0 for runs in self.frame["runs"].tolist())
        said = f"{len(self.frame):,} pools and policies were asked about, {tried:,} run"
        if not tried:
            return said
        saved = f", all would take {self.exhaustive:,}" if self.runs < self.exhaustive else ""
        return f"{said}: {self.runs:,} runs{saved}"

    @property
    def left_open(self) -> str:
        """How many that may be cheaper are undecided, and what would decide them."""
        are = "is" if self.undecided == 1 else "are"
        return (
            f"{self.undecided:,} that may be cheaper {are} undecided within "
            f"{self.question.runs} runs each; give more (runs=), or tasks"
        )

    @property
    def then(self) -> list[str]:
        """What to do next."""
        if self.status == "none":
            return [
                "Ask about more slots (`--slots`), other agents or policies, or a looser target."
            ]
        if self.status == "undecided":
            return ["Give more runs (`--runs`) or tasks (`--tasks`)."]
        said = ["Keep the pool (`--agents-to pool.toml`), and replay the tasks with it."]
        if any(self.stress["breaks"].tolist()):
            said.append(
                "Decide which of the conditions that break it the pool must withstand, and ask "
                "again under it (`--arrivals`, `--outage`, `--change`)."
            )
        return said

    @property
    def said(self) -> str:
        """The answer in a sentence."""
        asked = ", ".join(map(str, self.targets))
        if self.best is None:
            near = self.nearest
            if near is None or math.isinf(near.lack):
                return f"No pool of these can meet {asked}: {self.frame['why'].tolist()[0]}."
            nearest = f"{self.name(near)} comes closest: {near.why}"
            return f"No pool of these can meet {asked}; {nearest}."
        name, cost = self.name(self.best.candidate), self.best.found[USD]
        if self.status == "answered":
            per = f"{usd(cost.mean)} an hour, {number(MONTH * cost.mean)} a month"
            return f"Use {name}: {per}, the cheapest shown to meet {asked}."
        if self.status == "undecided":
            return f"Undecided: no pool is shown to meet {asked}; {name} comes closest."
        return f"No pool of these meets {asked}; {name} comes closest."

    @property
    def broken(self) -> list[str]:
        """What breaks first, where something does."""
        if self.stress.empty:
            return []
        said = []
        for row in records(self.stress):
            if row["breaks"]:
                at = f"; {row['busiest']} has an offered load of {percent(row['offered'] or 0)}"
                said.append(
                    f"{row['condition']}: misses {row['breaks']}{at * bool(row['busiest'])}"
                )
        return said or [f"it also holds under: {', '.join(self.stress['condition'].tolist()[1:])}"]

    @property
    def held(self) -> list[str]:
        """The targets in words, each with its figure, interval and verdict."""
        said = []
        for target, got in self._got():
            margin = target.margin(got.mean)
            by = "" if margin >= 0 else f", misses by {target.shown(-margin)}"
            mean, low, high = map(target.shown, (got.mean, got.low, got.high))
            width = f" ({low} to {high})" if low != high else ""
            if self.best and not self.best.runs:
                width = " (exact)"
            said.append(f"{target}: {mean}{width}, {target.verdict(got)}{by}")
        return said

    @staticmethod
    def name(candidate: Candidate) -> str:
        """Policy and slots of a candidate: ``threshold with big × 2, small × 4``."""
        slots = ", ".join(f"{a.id} × {a.concurrency}" for a in candidate.pool)
        return f"{candidate.policy} with {slots}"
