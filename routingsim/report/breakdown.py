"""Where policies differ: by category, by complexity, and task by task."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.corpus import Corpus
from routingsim.policies.kernel import OK, STATUS_NAMES
from routingsim.report.document import Block, Choice, Column, Kind, Section, Task, Tasks, table
from routingsim.report.formatting import percent
from routingsim.report.palette import agent_colours
from routingsim.simulation.result import ReplayResult

__all__ = [
    "MOST_TASKS",
    "Measure",
    "by_category",
    "by_complexity",
    "categories",
    "complexity",
    "disagreements",
    "mean_known",
    "most_apart",
    "shortened",
    "task_shown",
]

_CATEGORIES = 20
_BANDS = 5
_CHARACTERS = 280
MOST_TASKS = 8
"""Tasks shown of those on which policies disagree."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Measure:
    """A figure of groups of tasks: its table's title, and a mean or median a policy.

    ``of`` gives, by policy, the figure of the tasks that a mask picks.
    """

    title: str
    kind: Kind
    of: Mapping[str, Callable[[NDArray[np.bool_]], float]]


def categories(results: Sequence[ReplayResult]) -> Section | None:
    """Median latency, cost and quality by category; None where no task has one."""
    corpus = results[0].corpus
    if corpus is None:
        return None
    return by_category(corpus, results[0].work.row, _measures(results))


def complexity(results: Sequence[ReplayResult]) -> Section | None:
    """The same by fifths of the tasks in order of D_var; None where there is no text."""
    first = results[0]
    if first.corpus is None or not first.corpus.has_texts:
        return None
    return by_complexity(first.work.d_var[first.work.row], _measures(results))


def by_category(
    corpus: Corpus, rows: NDArray[np.integer], measures: Sequence[Measure]
) -> Section | None:
    """Tables of the measures by category; ``rows`` are the tasks' records."""
    if not any(corpus.tasks["category"].tolist()):
        return None
    names = corpus.tasks["category"].replace("", "(none)")
    by_task = names.take(rows).to_numpy(dtype=object)
    counts = pd.Series(by_task).value_counts(sort=False)
    kept = counts.sort_index().sort_values(ascending=False, kind="stable").index[:_CATEGORIES]
    text = (
        (f"The {_CATEGORIES} most frequent of {counts.size} categories.",)
        if counts.size > _CATEGORIES
        else ()
    )
    codes = pd.Categorical(by_task, categories=kept).codes.astype(np.int64)
    blocks = _tables(measures, "category", list(kept), codes)
    return Section("categories", "By category", text, blocks)


def by_complexity(d_var: NDArray[np.float64], measures: Sequence[Measure]) -> Section:
    """Tables of the measures by fifths of the tasks in order of D_var."""
    bounds = np.unique(np.quantile(d_var, np.linspace(0, 1, _BANDS + 1), method="inverted_cdf"))
    codes = np.clip(np.searchsorted(bounds, d_var, side="left") - 1, 0, None)
    _, codes = np.unique(codes, return_inverse=True)
    names = [
        f"{d_var[codes == band].min():.3f} to {d_var[codes == band].max():.3f}"
        for band in range(codes.max() + 1)
    ]
    text = (
        "Tasks in order of their complexity score D_var, cut into fifths. D_var is from 0 to 1 "
        "and rises with the length of a text, its punctuation and its different words.",
    )
    return Section("complexity", "By complexity", text, _tables(measures, "D_var", names, codes))


def _measures(results: Sequence[ReplayResult]) -> tuple[Measure, ...]:
    def of(figure: Callable[..., float]) -> dict[str, Callable[..., float]]:
        return {r.policy.name: partial(figure, r) for r in results}

    return (
        Measure("Median latency (s)", "seconds", of(_latency)),
        Measure("Cost (USD per 1,000 tasks)", "number", of(_cost)),
        Measure("Mean quality (0–1)", "quality", of(_quality)),
    )


def _latency(result: ReplayResult, mask: NDArray[np.bool_]) -> float:
    values = result.latency[mask & result.timed]
    return float(np.median(values)) if values.size else math.nan


def _cost(result: ReplayResult, mask: NDArray[np.bool_]) -> float:
    return 1000 * mean_known(result.log.cost[mask])


def _quality(result: ReplayResult, mask: NDArray[np.bool_]) -> float:
    return mean_known(result.quality[mask])


def mean_known(values: NDArray[np.float64]) -> float:
    """The mean of what is not NaN, NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _tables(
    measures: Sequence[Measure], by: str, names: list[str], codes: NDArray[np.int64]
) -> tuple[Block, ...]:
    """A table a measure: a row a group, a column a policy."""
    masks = [codes == group for group in range(len(names))]
    blocks = []
    for measure in measures:
        found = [[figure(mask) for figure in measure.of.values()] for mask in masks]
        if np.isnan(found).all():
            continue
        columns = [
            Column(by, kind="text"),
            Column("tasks", kind="count"),
            *(Column(name, kind=measure.kind) for name in measure.of),
        ]
        rows = [
            (name, int(mask.sum()), *row)
            for name, mask, row in zip(names, masks, found, strict=True)
        ]
        blocks.append(table(f"{measure.title} by {by}", columns, rows))
    return tuple(blocks)


def disagreements(results: Sequence[ReplayResult]) -> Section | None:
    """The tasks on which policies differ most; None where there are not two policies or texts.

    A record that was drawn several times is shown once.
    """
    first = results[0]
    if len(results) < 2 or first.corpus is None:
        return None
    order, alike = most_apart(
        np.stack([r.log.agent for r in results]),
        np.stack([r.quality for r in results]),
        np.stack([r.log.cost for r in results]),
    )
    _, firsts = np.unique(first.work.row[order], return_index=True)
    picked = order[np.sort(firsts)[:MOST_TASKS]]
    same = percent(alike)
    text = (f"All policies sent {same} of the tasks to the same agent.",)
    blocks = (Tasks(tuple(_task(results, int(i)) for i in picked)),) if picked.size else ()
    return Section("disagreements", "Where the policies disagree most", text, blocks)


def most_apart(
    agents: NDArray[np.integer], quality: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[NDArray[np.intp], float]:
    """Tasks on which policies differ, those most apart first, and the share that all send alike.

    All of shape (policies, tasks). Apart are those that went to the most different agents;
    among these those with the widest range of quality, then of cost.
    """
    distinct = 1 + (np.diff(np.sort(agents, axis=0), axis=0) != 0).sum(axis=0)
    gap = np.fmax.reduce(quality) - np.fmin.reduce(quality)
    spread = np.ptp(np.nan_to_num(cost), axis=0)
    order = np.lexsort((np.arange(distinct.size), -spread, -np.nan_to_num(gap), -distinct))
    return order[distinct[order] > 1], float((distinct == 1).mean())


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
    d_var = float(first.work.d_var[row]) if first.corpus.has_texts else None
    return task_shown(record, d_var, choices)


def task_shown(record: Any, d_var: float | None, choices: Sequence[Choice]) -> Task:
    """A task of the corpus, its texts shortened."""
    return Task(
        id=shortened(record["id"], 60),
        text=shortened(record["text"], _CHARACTERS),
        category=shortened(record["category"], 60),
        d_var=d_var,
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
