"""The summary of a replay: a row for each agent and one for the whole, and how it is shown."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.policies.kernel import OK, STATUS_NAMES
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.statistics import quantiles

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
"""Quantiles in summaries, by column suffix."""


def table(run: RunRecord, whole: dict[str, Any]) -> pd.DataFrame:
    """A row for each agent, and ``whole`` as the last, as ``ReplayResult.summary`` describes."""
    counts = np.bincount(run.log.agent, minlength=len(run.pool))
    used = run.utilisation
    rows = {
        agent: with_share(_row(run, run.log.agent == a, used[a]), counts[a] / len(run))
        for a, agent in enumerate(run.pool.ids)
    }
    frame = pd.DataFrame.from_dict({**rows, "all": with_share(whole, 1.0)}, orient="index")
    frame.index.name = "agent"
    return frame


def whole(run: RunRecord) -> dict[str, Any]:
    """The summary's last row without share, computed without the others."""
    slots = run.pool.column("concurrency")
    return _row(run, np.ones(len(run), bool), float(run.utilisation @ slots / slots.sum()))


def with_share(row: dict[str, Any], share: float) -> dict[str, Any]:
    """A row of the summary with its share of the tasks, which stands second."""
    return {"tasks": row["tasks"], "share": float(share), **row}


def _row(run: RunRecord, mine: NDArray[np.bool_], utilisation: float) -> dict[str, Any]:
    """One row of the summary, without share."""
    status = np.bincount(run.log.status[mine], minlength=len(STATUS_NAMES))
    timed = mine & run.timed
    begin, end = run.window
    finished = run.log.finished[mine & (run.log.status == OK)]
    done = np.count_nonzero((finished > begin) & (finished <= end))
    quality = run.compared_quality[mine]
    tasks = int(mine.sum())
    row: dict[str, Any] = {"tasks": tasks}
    row |= {STATUS_NAMES[s]: int(status[s]) for s in run.statuses}
    row["utilisation"] = utilisation
    times = {"wait": run.log.wait[timed], "latency": run.latency[timed]}
    if run.work.first.size:
        times["first_token"] = run.first_token[timed]
    for name, values in times.items():
        row[f"{name}_mean"] = float(values.mean()) if values.size else math.nan
        found = quantiles(values, list(QUANTILES.values()))
        row |= {f"{name}_{q}": float(v) for q, v in zip(QUANTILES, found, strict=True)}
    row["throughput"] = done / (end - begin) if end > begin else math.nan
    row["cost_recorded"] = float(run.cost_recorded[mine].mean()) if tasks else math.nan
    row["cost"] = float(run.log.cost[mine].sum())
    if row["cost_recorded"] < 1 and run.cost_basis.kind == "log":
        row["cost"] = math.nan  # the records are of other tasks for each policy
    row["cost_mean"] = row["cost"] / tasks if tasks else math.nan
    recorded = quality[~np.isnan(quality)]
    row["quality"] = float(recorded.mean()) if recorded.size else math.nan
    answers = int(status[OK])
    row["quality_all"] = row["quality"] * answers / tasks if tasks else math.nan
    row["recorded"] = recorded.size / answers if answers else math.nan
    return row


def quality_columns(run: RunRecord, whole: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Columns of the summary that say how good the answers are: key, title, format.

    The share recorded is among them where it is below 1, and the quality of all tasks
    where some have no answer. A log with one answer a task has no mean to show. ``whole`` is
    the summary's last row.
    """
    found = [("quality", "quality", "{:.3f}")]
    if whole["ok"] < len(run):
        found.append(("quality_all", "of all tasks", "{:.3f}"))
    if whole["recorded"] < 1 and run.basis.kind != "none":
        found = [] if run.basis.kind == "log" else found
        found.append(("recorded", "quality known", "{:.1%}"))
    return tuple(found)
