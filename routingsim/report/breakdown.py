"""Where policies differ: by category, by complexity, and task by task."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.policies.kernel import OK, STATUS_NAMES
from routingsim.report.document import Block, Choice, Column, Kind, Section, Task, Tasks, table
from routingsim.report.formatting import percent
from routingsim.report.palette import agent_colours
from routingsim.simulation.result import ReplayResult

__all__ = ["categories", "complexity", "disagreements", "shortened"]

_CATEGORIES = 20
_BANDS = 5
_TASKS = 8
_CHARACTERS = 280
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def categories(results: Sequence[ReplayResult]) -> Section | None:
    """Median latency, cost and quality by category; None where no task has one."""
    corpus = results[0].corpus
    if corpus is None or not any(corpus.tasks["category"].tolist()):
        return None
    names = corpus.tasks["category"].replace("", "(none)")
    by_task = names.take(results[0].work.row).to_numpy(dtype=object)
    counts = pd.Series(by_task).value_counts(sort=False)
    kept = counts.sort_index().sort_values(ascending=False, kind="stable").index[:_CATEGORIES]
    text = (
        (f"The {_CATEGORIES} most frequent of {counts.size} categories.",)
        if counts.size > _CATEGORIES
        else ()
    )
    codes = pd.Categorical(by_task, categories=kept).codes.astype(np.int64)
    blocks = _measures(results, "category", list(kept), codes)
    return Section("categories", "By category", text, blocks)


def complexity(results: Sequence[ReplayResult]) -> Section | None:
    """The same by fifths of the tasks in order of D_var; None where there is no text."""
    first = results[0]
    if first.corpus is None or not first.corpus.has_texts:
        return None
    d_var = first.work.d_var[first.work.row]
    bounds = np.unique(np.quantile(d_var, np.linspace(0, 1, _BANDS + 1), method="inverted_cdf"))
    codes = np.clip(np.searchsorted(bounds, d_var, side="left") - 1, 0, None)
    lows = [d_var[codes == band].min() for band in np.unique(codes)]
    names = [
        f"{low:.3f} to {d_var[codes == band].max():.3f}"
        for low, band in zip(lows, np.unique(codes), strict=True)
    ]
    text = (
        "Tasks in order of their complexity score D_var, cut into fifths. D_var is from 0 to 1 "
        "and rises with the length of a text, its punctuation and its different words.",
    )
    return Section("complexity", "By complexity", text, _measures(results, "D_var", names, codes))


def _measures(
    results: Sequence[ReplayResult], by: str, names: list[str], codes: NDArray[np.int64]
) -> tuple[Block, ...]:
    """A table a measure: a row a group, a column a policy."""
    groups = range(len(names))
    tasks = np.bincount(codes[codes >= 0], minlength=len(names))
    columns = (Column(by, kind="text"), Column("tasks", kind="count"))
    kinds: tuple[Kind, ...] = ("seconds", "number", "quality")
    titles = (
        f"Median latency (s) by {by}",
        f"Cost (USD per 1,000 tasks) by {by}",
        f"Mean quality (0–1) by {by}",
    )
    values: tuple[list[list[float]], ...] = ([], [], [])
    for result in results:
        quality = result.quality
        masks = [codes == group for group in groups]
        values[0].append([_median(result.latency[mask & result.timed]) for mask in masks])
        values[1].append([1000 * float(result.log.cost[mask].mean()) for mask in masks])
        values[2].append([_mean(quality[mask]) for mask in masks])
    blocks = []
    for title, kind, found in zip(titles, kinds, values, strict=True):
        if np.isnan(found).all():
            continue
        shown = [*columns, *(Column(r.policy.name, kind=kind) for r in results)]
        rows = [
            (name, n, *row)
            for name, n, row in zip(names, tasks, zip(*found, strict=True), strict=True)
        ]
        blocks.append(table(title, shown, rows))
    return tuple(blocks)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else math.nan


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def disagreements(results: Sequence[ReplayResult]) -> Section | None:
    """The tasks on which policies differ most; None where there are not two policies or texts.

    First those that went to the most different agents; among these the widest range
    of quality, then of cost. A record that was drawn several times is shown once.
    """
    first = results[0]
    if len(results) < 2 or first.corpus is None:
        return None
    agents = np.stack([r.log.agent for r in results])
    ordered = np.sort(agents, axis=0)
    distinct = 1 + (np.diff(ordered, axis=0) != 0).sum(axis=0)
    quality = np.stack([r.quality for r in results])
    gap = np.fmax.reduce(quality) - np.fmin.reduce(quality)
    cost = np.ptp(np.stack([r.log.cost for r in results]), axis=0)
    order = np.lexsort((np.arange(len(first)), -cost, -np.nan_to_num(gap), -distinct))
    order = order[distinct[order] > 1]
    _, firsts = np.unique(first.work.row[order], return_index=True)
    picked = order[np.sort(firsts)[:_TASKS]]
    same = percent(float((distinct == 1).mean()))
    text = (f"All policies sent {same} of the tasks to the same agent.",)
    blocks = (Tasks(tuple(_task(results, int(i)) for i in picked)),) if picked.size else ()
    return Section("disagreements", "Where the policies disagree most", text, blocks)


def _task(results: Sequence[ReplayResult], i: int) -> Task:
    first = results[0]
    assert first.corpus is not None
    row = int(first.work.row[i])
    record = first.corpus.tasks.iloc[row]
    colours = agent_colours(len(first.pool))
    choices = []
    for result in results:
        agent, status = int(result.log.agent[i]), int(result.log.status[i])
        quality = float(result.quality[i])
        choices.append(
            Choice(
                policy=result.policy.name,
                agent=result.pool.ids[agent],
                colour=colours[agent],
                status="" if status == OK else STATUS_NAMES[status].replace("_", " "),
                latency=float(result.latency[i]),
                cost=float(result.log.cost[i]),
                quality=None if math.isnan(quality) else quality,
            )
        )
    return Task(
        id=shortened(record["id"], 60),
        text=shortened(record["text"], _CHARACTERS),
        category=shortened(record["category"], 60),
        d_var=float(first.work.d_var[row]) if first.corpus.has_texts else None,
        choices=tuple(choices),
    )


def shortened(text: str, most: int) -> str:
    """A text on one line, cut to ``most`` characters; what no printer prints becomes U+FFFD.

    Marks that turn the direction of writing are taken for unprintable: they would
    reach beyond the text they came with.
    """
    start = _UNPRINTABLE.sub("\ufffd", " ".join(text[: 4 * most].split()))
    if len(start) <= most and len(text) <= 4 * most:
        return start
    cut = start[:most]
    space = cut.rfind(" ", most - most // 8)
    kept = cut[:space] if space > 0 else cut
    return f"{kept} … ({len(text):,} characters)".lstrip()
