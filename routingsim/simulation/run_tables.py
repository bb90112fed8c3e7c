"""Tables of a replay: a row for each task, and a row for each try."""

import numpy as np
import pandas as pd

from routingsim.policies.kernel import FAILED, STATUS_NAMES
from routingsim.simulation.run_record import RunRecord


def tasks(run: RunRecord) -> pd.DataFrame:
    """One row for each task, in order of arrival; times in seconds, cost in USD."""
    served = (run.log.status <= FAILED) | (run.log.left < run.log.finished)
    started = np.where(served, run.log.left, np.nan)
    frame = pd.DataFrame(
        {
            "task_id": task_ids(run),
            "agent": pd.Categorical.from_codes(run.log.agent, categories=list(run.pool.ids)),
            "arrived_at": run.work.arrived,
            "started_at": started,
            "finished_at": run.log.finished,
            "wait": run.log.wait,
            "service": np.where(served, run.log.finished - run.log.left, np.nan),
            "latency": run.latency,
            "status": pd.Categorical.from_codes(run.log.status, categories=list(STATUS_NAMES)),
            "attempts": run.log.attempts,
            "cost": run.log.cost,
            "quality": run.quality,
            "d_var": run.work.d_var[run.work.row],
        }
    )
    if run.work.first.size:
        frame.insert(8, "first_token", run.first_token)
    if run.work.priority.size:
        frame["priority"] = run.work.priority
    if run.tenant_names:
        codes = run.work.tenant if run.work.tenant.size else np.zeros(len(run), np.int32)
        names = [name or "none" for name in run.tenant_names]
        frame["tenant"] = pd.Categorical.from_codes(codes, categories=names)
    if run.corpus is not None:
        category = run.corpus.tasks["category"].astype("category")
        frame["category"] = category.take(run.work.row).reset_index(drop=True)
    return frame


def task_ids(run: RunRecord) -> pd.Series:
    """The corpus's id of each task, in order of arrival; numbers without a corpus."""
    if run.corpus is None:
        return pd.Series(np.arange(len(run))).astype("string")
    return pd.Series(run.corpus.tasks["id"]).take(run.work.row).reset_index(drop=True)


def calls(run: RunRecord) -> pd.DataFrame:
    """One row for each try, in order of the tasks.

    Columns: task and attempt (from 0); agent (index); sent_at; left_at, when the try
    left the queue (its start, unless it timed out or was shed); ended_at; status, a
    code of :data:`routingsim.simulation.state.CALL_STATUS`. Times in seconds. With hedging a
    row for each copy, and its number, ``copy``; of two the one that decided comes last.
    """
    log, again = run.log, int(run.log.retries[0])
    frame = pd.DataFrame(
        {
            "task": np.concatenate([log.retried[:again], np.arange(len(run))]),
            "agent": np.concatenate([log.retried_agent[:again], log.agent]),
            "left_at": np.concatenate([log.retried_left[:again], log.left]),
            "ended_at": np.concatenate([log.retried_ended[:again], log.finished]),
            "status": np.concatenate([log.retried_status[:again], log.status]),
        }
    )
    if not again:
        frame.insert(1, "attempt", 0)
        frame.insert(3, "sent_at", run.work.arrived)
        return _with_copies(run, frame)
    frame["next_at"] = np.concatenate([log.retried_next[:again], np.full(len(run), np.nan)])
    frame = frame.sort_values("task", kind="stable", ignore_index=True)
    tries = frame.groupby("task", sort=False)
    frame.insert(1, "attempt", tries.cumcount())
    sent = tries["next_at"].shift()
    frame = frame.drop(columns="next_at")
    frame.insert(
        3,
        "sent_at",
        sent.fillna(pd.Series(run.work.arrived).take(frame["task"]).set_axis(frame.index)),
    )
    return _with_copies(run, frame)


def _with_copies(run: RunRecord, frame: pd.DataFrame) -> pd.DataFrame:
    """A table of tries with the copies that did not decide, each before the one that did."""
    if run.hedge is None:
        return frame
    log, lost = run.log, slice(run.log.losses[0])
    task, copy, hedged = log.lost[lost], log.lost_copy[lost], log.lost_hedged[lost]
    row = np.searchsorted(frame["task"], task) + log.lost_attempt[lost]
    frame = frame.assign(copy=0)
    others = pd.DataFrame(
        {
            "task": task,
            "attempt": log.lost_attempt[lost],
            "agent": log.lost_agent[lost],
            "sent_at": np.where(copy == 1, hedged, frame["sent_at"].to_numpy()[row]),
            "left_at": log.lost_left[lost],
            "ended_at": log.lost_ended[lost],
            "status": log.lost_status[lost],
            "copy": copy,
        }
    )
    second = row[copy == 0]
    frame.loc[second, "copy"] = 1
    frame.loc[second, "sent_at"] = hedged[copy == 0]
    both = pd.concat([others, frame], ignore_index=True).astype(dict(frame.dtypes))
    return both.sort_values(["task", "attempt"], kind="stable", ignore_index=True)
