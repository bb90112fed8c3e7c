"""A log at a glance: a row for each agent, and the facts that its representations show."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.corpora.logs.statuses import OK, STATUSES
from routingsim.corpora.logs.table import CallTable

SHOWN = 12
"""Agents and notes that the representations show."""

_COUNTS = ("calls", *STATUSES)


def summary_of(log: CallTable) -> pd.DataFrame:
    """A row for each agent, and one for all calls, indexed by agent."""
    agents = log.names("agent")
    rows = {name or "(unknown)": _row(log, agents == name) for name in dict.fromkeys(agents)}
    rows["all"] = _row(log, np.ones(len(log), dtype=bool))
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("agent")
    return frame.astype(dict.fromkeys(_COUNTS, "int64"))


def _row(log: CallTable, mine: NDArray[np.bool_]) -> dict[str, float]:
    statuses = np.bincount(log.statuses[mine], minlength=len(STATUSES))
    answered = mine & (log.statuses == OK)
    latency = log.numbers("latency")[answered]
    cost = _known(log.numbers("cost")[mine])
    return {
        "calls": int(mine.sum()),
        "share": float(mine.mean()),
        **dict(zip(STATUSES, statuses.tolist(), strict=True)),
        "prompt_tokens": _mean(log.numbers("prompt_tokens")[mine]),
        "output_tokens": _mean(log.numbers("output_tokens")[mine]),
        "ttft_p50": _quantile(log.numbers("ttft")[answered], 0.5),
        "latency_p50": _quantile(latency, 0.5),
        "latency_p95": _quantile(latency, 0.95),
        "cost": float(cost.sum()) if cost.size else np.nan,
        "quality": _mean(log.numbers("quality")[mine]),
    }


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _mean(values: NDArray[np.float64]) -> float:
    known = _known(values)
    return float(known.mean()) if known.size else np.nan


def _quantile(values: NDArray[np.float64], share: float) -> float:
    known = _known(values)
    return float(np.quantile(known, share)) if known.size else np.nan


def table_of(log: CallTable) -> str:
    """The summary as an HTML table."""
    table = summary_of(log)
    heads = ["agent", *(str(name).replace("_", " ") for name in table.columns)]
    rows = [
        [str(agent), *(_cell(name, float(row[name])) for name in table.columns)]
        for agent, row in table.to_dict("index").items()
    ]
    return display.table(heads, rows[:SHOWN] + rows[-1:] if len(rows) > SHOWN + 1 else rows)


def _cell(name: str, value: float) -> str:
    if value != value:
        return "-"
    return f"{value:.1%}" if name == "share" else f"{value:,.4g}"


def facts_of(log: CallTable) -> list[tuple[str, str]]:
    """Names and values for people."""
    facts = [("read as", ", ".join(log.tools))]
    if log.has_arrivals:
        arrived = log.numbers("arrived_at")
        since = f", from {log.began:%Y-%m-%d %H:%M:%S} UTC" if log.began is not None else ""
        facts.append(("arrivals", f"over {arrived[-1] - arrived[0]:,.6g} s{since}"))
    else:
        facts.append(("arrivals", "none, or not of every call"))
    names, counts = np.unique(log.names("agent"), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    named = [f"{names[k] or '(unknown)'} {counts[k] / len(log):.1%}" for k in order.tolist()]
    more = f" and {len(named) - SHOWN} more" if named[SHOWN:] else ""
    facts.append(("agents", ", ".join(named[:SHOWN]) + more))
    ended = np.bincount(log.statuses, minlength=len(STATUSES)).tolist()
    told = [f"{name} {count:,}" for name, count in zip(STATUSES, ended, strict=True) if count]
    facts.append(("ended", ", ".join(told)))
    if sessions := len(set(log.names("session_id").tolist()) - {""}):
        facts.append(("sessions", f"{sessions:,}"))
    if log.left_out:
        facts.append(("left out", ", ".join(f"{n:,} {why}" for why, n in log.left_out.items())))
    facts.append(("source", display.shorten(log.source)))
    return facts


def columns_of(log: CallTable) -> str:
    """Where each column came from, on one line."""
    return "; ".join(f"{ours} from {theirs}" for ours, theirs in log.columns.items())
