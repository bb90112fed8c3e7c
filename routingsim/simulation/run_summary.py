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
from routingsim.simulation.tenants import jain

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


def first_tokens(row: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of first tokens of answers that come whole: those of their latencies."""
    latency, first = "latency_", "first_token_"
    return {
        first + name.removeprefix(latency): value
        for name, value in row.items()
        if name.startswith(latency)
    }


def with_share(row: dict[str, Any], share: float) -> dict[str, Any]:
    """A row of the summary with its share of the tasks, which stands second."""
    return {"tasks": row["tasks"], "share": float(share), **row}


def _of_hedging(run: RunRecord, mine: NDArray[np.bool_]) -> dict[str, float]:
    """The share of these tasks with a second copy, and of the seconds of service of those copies
    that did not decide."""
    lost = slice(run.log.losses[0])
    task = run.log.lost[lost]
    chosen = mine[task]
    seconds = (run.log.lost_ended[lost] - run.log.lost_left[lost])[chosen].sum()
    served, tasks = float(run.served_seconds[mine].sum()), int(mine.sum())
    return {
        "hedged": np.unique(task[chosen]).size / tasks if tasks else math.nan,
        "spare": float(seconds) / served if served else math.nan,
    }


def by_tenant(run: RunRecord) -> pd.DataFrame:
    """A row for each tenant, as ``ReplayResult.by_tenant`` describes."""
    codes = run.work.tenant if run.work.tenant.size else np.zeros(len(run), np.int32)
    names = [name or "none" for name in run.tenant_names]
    frame = _grouped(run, codes, dict(enumerate(names)), "tenant")
    if names:
        frame.insert(3, "weight", run.work.weight)
    return frame


def by_priority(run: RunRecord) -> pd.DataFrame:
    """A row for each priority, as ``ReplayResult.by_priority`` describes."""
    codes = run.work.priority if run.work.priority.size else np.zeros(len(run), np.int16)
    return _grouped(run, codes, {int(code): int(code) for code in np.unique(codes)}, "priority")


def fairness(run: RunRecord) -> float:
    """Jain's index over tenants, as ``ReplayResult.fairness`` describes."""
    if not run.tenant_names:
        return math.nan
    codes = run.work.tenant if run.work.tenant.size else np.zeros(len(run), np.int32)
    served = np.bincount(codes, run.served_seconds, minlength=run.work.weight.size)
    return jain(served / run.work.weight)


def _grouped(
    run: RunRecord, codes: NDArray[np.integer], names: Mapping[int, Any], index: str
) -> pd.DataFrame:
    """A row of the summary for each code."""
    rows = {}
    whole = float(run.served_seconds.sum())
    for code, name in names.items():
        mine = codes == code
        row = _row(run, mine, math.nan)
        del row["utilisation"]
        service = float(run.served_seconds[mine].sum()) / whole if whole else math.nan
        rows[name] = {"tasks": row["tasks"], "share": row["tasks"] / len(run), "service": service}
        rows[name] |= row
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = index
    return frame


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
    if run.hedge is not None:
        row |= _of_hedging(run, mine)
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


def quality_columns(whole: Mapping[str, Any], records: str) -> tuple[tuple[str, str, str], ...]:
    """Columns of the summary that say how good the answers are: key, title, format.

    The share recorded is among them where it is below 1, and the quality of all tasks
    where some have no answer. A log with one answer a task has no mean to show. ``whole`` is
    the summary's last row, and ``records`` the kind of the run's basis.
    """
    found = [("quality", "quality", "{:.3f}")]
    if whole["ok"] < whole["tasks"]:
        found.append(("quality_all", "of all tasks", "{:.3f}"))
    if whole["recorded"] < 1 and records != "none":
        found = [] if records == "log" else found
        found.append(("recorded", "quality known", "{:.1%}"))
    return tuple(found)
