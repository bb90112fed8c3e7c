"""What a what-if found: policies on a log's traffic beside what the log did, and the backtest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import pandas as pd

from routingsim import display
from routingsim.evaluation.backtest_result import Backtest
from routingsim.evaluation.estimate import Estimates
from routingsim.evaluation.partial import Field, replay_estimates, said
from routingsim.evaluation.tabular import Reported, records
from routingsim.formatting import cells, decimals
from routingsim.simulation.result import ReplayResult

TODAY = "today"
"""The row of what the log did before anything was changed."""

_TIMES = ("latency_p50", "latency_p95", "latency_p99", "wait_mean")
_METRICS = ("latency_mean", *_TIMES)


@dataclass(frozen=True, eq=False, repr=False)
class WhatIf(Reported):
    """What :meth:`.CallLog.whatif` found.

    Attributes
    ----------
    log : str
        The log's name.
    question : str
        What was changed, in words; "" for the policies alone.
    backtest : Backtest
        How far the figures can be believed.
    today : ReplayResult or None
        ``logged`` before the change; None where nothing is changed.
    results : tuple of ReplayResult
        The baseline ``logged`` under the change, then each policy.
    notes : tuple of str
        What was left out of the log.
    """

    log: str
    question: str
    backtest: Backtest
    today: ReplayResult | None
    results: tuple[ReplayResult, ...]
    notes: tuple[str, ...]

    @cached_property
    def estimates(self) -> Mapping[Field, Estimates]:
        """Estimates of "quality" and "cost", as far as the log records one answer a task."""
        estimates: dict[Field, Estimates] = {}
        for field in ("quality", "cost"):
            if (found := replay_estimates(self.results, field)) is not None:
                estimates[field] = found
        return estimates

    def to_frame(self) -> pd.DataFrame:
        """A row for each policy, ``today`` first where something is changed.

        Columns: policy, tasks, answered (share), latency_mean, latency_p50, latency_p95,
        latency_p99 and wait_mean (s; NaN where the backlog outlasts the run), cost (USD, as
        recorded where the log's agent answered, and else price x tokens), p95_change (share,
        against the log: ``today``, or ``logged``), believed (whether that is more than the
        backtest's error) and stability.
        """
        runs = [*([(TODAY, self.today)] if self.today else [])]
        runs += [(result.policy.name, result) for result in self.results]
        reference = runs[0][1]
        base = _p95(reference)
        rows = []
        for name, result in runs:
            change = math.nan if result is reference else _p95(result) / base - 1
            whole, lasts = result.whole, result.stability.lasts
            rows.append(
                {
                    "policy": name,
                    "tasks": len(result),
                    "answered": float(whole["ok"]) / len(result),
                    **{key: math.nan if lasts else float(whole[key]) for key in _METRICS},
                    "cost": float(result.log.cost.sum()),
                    "p95_change": change,
                    "believed": None if math.isnan(change) else self.believed(change),
                    "stability": result.stability.verdict,
                }
            )
        return pd.DataFrame(rows)

    def believed(self, change: float) -> bool | None:
        """Whether a change is more than the simulator's error; None where that is unknown."""
        bound = self.backtest.believe
        return None if math.isnan(bound) else bool(abs(change) > bound)

    def estimated(self) -> list[str]:
        """The estimates in words, a line a policy and outcome."""
        return [
            f"{field} under {name}: {said(each, name, field)}"
            for field, each in self.estimates.items()
            for name in each.policies
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON."""
        return {
            "log": self.log,
            "question": self.question,
            "sentence": self.backtest.sentence,
            "rows": records(self.to_frame()),
            "estimates": {field: each.to_dict() for field, each in self.estimates.items()},
            "backtest": self.backtest.to_dict(),
            "policies": [result.to_dict() for result in self.results],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        asked = self.question or "other policies"
        return f"What if: {asked}, on the traffic of {self.log}. {self.backtest}"

    def shown(self) -> tuple[list[str], list[list[str]]]:
        """Heads and rows as people read them."""
        heads = ["policy", "answered", "p50 s", "p95 s", "p99 s", "wait s", "USD", "p95 change"]
        rows, found = [], records(self.to_frame())
        times = [[row[key] for row in found] for key in _TIMES]
        places = decimals(list(chain(*times)), "seconds")
        columns = [cells(each, "seconds", places, absent="-") for each in times]
        columns.append(cells([row["cost"] for row in found], "number", absent="-"))
        for row, *shown in zip(found, *columns, strict=True):
            change = "-" if row["p95_change"] is None else f"{row['p95_change']:+z.1%}"
            if row["believed"] is False:
                change = f"({change})"
            verdict = row["stability"]
            rows.append([row["policy"], f"{row['answered']:.1%}", *shown, change, verdict])
        return [*heads, "stability"], rows

    def below(self) -> list[str]:
        """What stands below the table."""
        kept = "USD: recorded where the log's agent answered, else its price x tokens"
        bound = "p95 change: against today's, " if self.today else "p95 change: against logged, "
        bound += "in brackets where it is not more than the simulator is off"
        return [bound, kept, *self.estimated(), *(f"note: {note}" for note in self.notes)]

    def __repr__(self) -> str:
        heads, rows = self.shown()
        table = pd.DataFrame(rows, columns=heads).to_string(index=False)
        lines = [display.wrapped(str(self)), table, *map(display.wrapped, self.below())]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """The sentence, the table, and what stands below it."""
        below = [f"- {display.markdown_text(each)}" for each in self.below()]
        table = display.markdown_table(*self.shown())
        return "\n\n".join([display.markdown_text(str(self)), table, "\n".join(below)])


def _p95(result: ReplayResult) -> float:
    return math.nan if result.stability.lasts else float(result.whole["latency_p95"])
