"""A log as a corpus: a task a row, outcomes under the agents that were called for it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from routingsim.corpora.checkup.clocks import spread_rounded
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.logs.statuses import CACHED, OK
from routingsim.corpora.logs.table import CallTable
from routingsim.corpora.rows import counted
from routingsim.corpora.validation import OUTCOMES, STRING


def corpus_of(log: CallTable, texts: pa.LargeStringArray, notes: Sequence[str]) -> Corpus:
    """The corpus of a log.

    Parameters
    ----------
    log : CallTable
    texts : LargeStringArray, shape (calls,)
        The text of each call; a task has that of its first call with one.
    notes : sequence of str
        Further notes, on the texts.

    Returns
    -------
    Corpus
        Tasks in the order of their first call. Of several calls of one agent for one task the
        last one counts; of calls that a cache answered, and of those without an agent's
        name, nothing is recorded.
    """
    calls = log.calls
    task, ids = pd.factorize(calls["task_id"])
    size = len(ids)
    first = np.full(size, len(calls))
    np.minimum.at(first, task, np.arange(len(calls)))
    names = log.agents
    agent = calls["agent"].cat.set_categories(list(names)).cat.codes.to_numpy(np.int64)
    counts = (agent >= 0) & (log.statuses != CACHED)
    rows = np.flatnonzero(counts)
    last = np.full((size, max(len(names), 1)), -1)
    last[task[rows], agent[rows]] = rows  # of several the last one stays
    recorded = last >= 0
    said = list(notes)
    said += [f"{count:,} {why} left out" for why, count in log.left_out.items()]
    if earlier := rows.size - int(recorded.sum()):
        said.append(
            f"{counted(earlier, 'earlier try', 'earlier tries')} of the same agent for the same "
            "task: the last one counts here; fits see all"
        )
    if cached := int((log.statuses == CACHED).sum()):
        said.append(f"{counted(cached, 'call')} answered from a cache: no outcome of an agent")
    outcomes = {
        field: np.where(recorded, _values(log, field)[last], np.nan)[:, : len(names)]
        for field in OUTCOMES
    }
    answered = np.full(size, -1)
    good = np.flatnonzero(log.statuses == OK)
    answered[task[good]] = good
    shown = np.where(answered >= 0, answered, first)
    text = _text_of_tasks(texts, task, first)
    frame = pd.DataFrame(
        {
            "id": pd.array(np.asarray(ids, dtype=object), dtype=STRING),
            "text": pd.array(text, dtype=STRING),
            "arrived_at": log.numbers("arrived_at")[first],
            "category": pd.array(calls["tags"].astype(object).to_numpy()[first], dtype=STRING),
            "prompt_tokens": _positive(log.numbers("prompt_tokens"))[shown],
            "output_tokens": log.numbers("output_tokens")[shown],
            "propensity": log.numbers("propensity")[first],
        }
    )
    for name in ("cached_tokens", "cache_write_tokens"):
        tokens = log.numbers(name)[shown]
        if (tokens > 0).any():
            frame[name] = tokens
    arrived, findings = frame["arrived_at"].to_numpy(), []
    if np.isnan(arrived).all() or not size:
        pass
    elif missing := int(np.isnan(arrived).sum()):
        tasks = counted(missing, "task has", "tasks have")
        said.append(f"{tasks} no arrived_at: the log's own times cannot be replayed")
    else:
        began, begins = log.began, 0.0
        if began is not None:
            begins = (began - began.normalize()).total_seconds() + float(arrived.min())
        frame["arrived_at"], findings = spread_rounded(arrived - arrived.min(), begins)
    blank = frame["text"].tolist().count("")
    if 0 < blank < size:
        said.append(f"{counted(blank, 'task has', 'tasks have')} an empty text")
    if len(calls) > size:
        said.append(f"{len(calls):,} calls for {size:,} tasks")
    return Corpus(
        log.name,
        frame,
        names,
        outcomes,
        log.source,
        log.sha256,
        (*log.notes, *said),
        log.skipped,
        findings=tuple(findings),
    )


def _values(log: CallTable, field: str) -> NDArray[np.float64]:
    if field != "failed":
        return log.numbers(field)
    if "status" not in log.columns:
        return np.full(len(log), np.nan)
    return (log.statuses != OK).astype(np.float64)


def _positive(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tokens of prompts; 0, as of calls that failed before they were counted, is not known."""
    return np.where(tokens > 0, tokens, np.nan)


def _text_of_tasks(
    texts: pa.LargeStringArray, task: NDArray[np.int64], first: NDArray[np.int64]
) -> pa.LargeStringArray:
    """The text of each task: that of its first call that has one."""
    lengths = pc.call_function("binary_length", [texts]).to_numpy(zero_copy_only=False)
    has_text = np.flatnonzero(lengths > 0)
    shown = first.copy()
    shown[task[has_text[::-1]]] = has_text[::-1]  # the earliest one stays
    return texts.take(pa.array(shown))
