"""Where policies differ: by category, by complexity, and task by task."""

import math
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.formatting import percent
from routingsim.policies.kernel import OK, STATUS_NAMES
from routingsim.report.document import Block, Choice, Column, Section, Task, Tasks, table
from routingsim.report.figures import Experiment
from routingsim.report.palette import agent_colours

LEAST = 20
"""Tasks of a group below which its mean is not shown: chance moves it too far."""

_CATEGORIES = 20
_BANDS = 5
_CHARACTERS = 280
MOST_TASKS = 8
"""Tasks shown of those on which policies disagree."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


_TASKS = Column("tasks", kind="count")
_MEASURES = (
    (Column("Median latency", "s", "seconds"), "timed_latency", np.median, 1.0),
    (Column("Cost", "USD per 1,000 tasks"), "cost", np.mean, 1000.0),
    (Column("Mean quality", "0–1", "quality"), "quality", np.mean, 1.0),
)
"""Figures of groups of tasks, each with its field of TaskFigures, an average and a scale."""


def categories(experiment: Experiment) -> Section | None:
    """Latency, cost and quality by category; None where no task has one."""
    corpus = experiment.corpus
    if corpus is None or not any(corpus.tasks["category"].tolist()):
        return None
    names = corpus.tasks["category"].replace("", "(none)")
    by_task = names.take(experiment.rows).to_numpy(dtype=object)
    counts = pd.Series(by_task).value_counts(sort=False)
    kept = counts.sort_index().sort_values(ascending=False, kind="stable").index[:_CATEGORIES]
    codes = kept.get_indexer(by_task)
    text = [*_few(codes), *_at_load(experiment)]
    if counts.size > _CATEGORIES:
        text.insert(0, f"The {_CATEGORIES} most frequent of {counts.size} categories.")
    blocks = _tables(experiment, "category", list(kept), codes)
    return Section("categories", "By category", tuple(text), blocks)


def complexity(experiment: Experiment) -> Section | None:
    """The same by fifths of the tasks in order of D_var; None where there is no text."""
    if experiment.d_var is None:
        return None
    d_var = experiment.d_var[experiment.rows]
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
        *_few(codes),
        *_at_load(experiment),
    )
    blocks = _tables(experiment, "D_var", names, codes)
    return Section("complexity", "By complexity", text, blocks)


def _few(codes: NDArray[np.intp]) -> list[str]:
    """A note that figures of groups of few tasks are left out, if there are any."""
    small = int((np.bincount(codes[codes >= 0]) < LEAST).sum())
    if not small:
        return []
    groups = "one group has" if small == 1 else f"{small} groups have"
    return [f"Figures of fewer than {LEAST} tasks are left out ({groups} so few)."]


def _at_load(experiment: Experiment) -> list[str]:
    load = experiment.last.load
    return [] if load is None else [f"Means over all runs at load {load:g}."]


def _tables(
    experiment: Experiment, by: str, names: list[str], codes: NDArray[np.intp]
) -> tuple[Block, ...]:
    """A table a measure: a row a group of tasks, a column a policy."""
    masks = [codes == group for group in range(len(names))]
    policies, blocks = experiment.last.policies, []
    for measure, field, average, scale in _MEASURES:
        columns = [(by, names), (_TASKS, [mask.sum() for mask in masks])]
        known = False
        for entry in policies:
            values = getattr(entry.tasks, field)
            if values is None or field in entry.estimated:
                break  # a log's answers are of other tasks under each policy
            groups = [values[mask & ~np.isnan(values)] for mask in masks]
            shown = [group.size >= LEAST for group in groups]
            found = [
                scale * average(group) if enough else math.nan
                for group, enough in zip(groups, shown, strict=True)
            ]
            known = known or any(shown)
            columns.append((Column(entry.name, kind=measure.kind, of=measure.title), found))
        if known:
            blocks.append(table(f"{measure.title} by {by}", columns))
    counted = table(f"Tasks by {by}", [(by, names), (_TASKS, [int(m.sum()) for m in masks])])
    return tuple(blocks) or (counted,)


def disagreements(experiment: Experiment) -> Section | None:
    """The tasks on which policies differ most; None where there are not two policies or texts.

    A record that was drawn several times is shown once.
    """
    at, corpus = experiment.last, experiment.corpus
    tasks = [entry.tasks for entry in at.policies]
    run = np.flatnonzero(np.all([each.agent >= 0 for each in tasks], axis=0))
    if len(tasks) < 2 or corpus is None or not run.size:
        return None
    stacked = (np.stack([getattr(t, f)[run] for t in tasks]) for f in ("agent", "quality", "cost"))
    order, alike = most_different(*stacked)
    _, firsts = np.unique(experiment.rows[run[order]], return_index=True)
    picked = run[order[np.sort(firsts)[:MOST_TASKS]]].tolist()
    text = [f"All policies sent {percent(alike)} of the tasks to the same agent."]
    if at.load is not None:
        text.append(
            f"Agents are those of the first run at load {at.load:g}; cost and quality are means "
            "over runs, in which the agent may have been another."
        )
    blocks = (Tasks(tuple(_task(experiment, task) for task in picked)),) if picked else ()
    return Section("disagreements", "Where the policies disagree most", tuple(text), blocks)


def most_different(
    agents: NDArray[np.integer], quality: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[NDArray[np.intp], float]:
    """Tasks that went to two agents or more in order of how much policies differ on them.

    Of arrays of shape (policies, tasks). Tasks with the most different agents come first;
    among these those with the widest range of quality, then of cost. With the order comes
    the share of the tasks that all policies sent to the same agent.
    """
    distinct = 1 + (np.diff(np.sort(agents, axis=0), axis=0) != 0).sum(axis=0)
    gap = np.fmax.reduce(quality) - np.fmin.reduce(quality)
    spread = np.ptp(np.nan_to_num(cost), axis=0)
    order = np.lexsort((np.arange(distinct.size), -spread, -np.nan_to_num(gap), -distinct))
    return order[distinct[order] > 1], float((distinct == 1).mean())


def _task(experiment: Experiment, task: int) -> Task:
    """A task of the corpus, its texts shortened, and what each policy did with it."""
    assert experiment.corpus is not None
    row, pool = int(experiment.rows[task]), experiment.pool
    record = experiment.corpus.tasks.iloc[row]
    choices = []
    for entry in experiment.last.policies:
        tasks = entry.tasks
        agent, quality = int(tasks.agent[task]), float(tasks.quality[task])
        status = OK if tasks.status is None else int(tasks.status[task])
        choice = Choice(
            policy=entry.name,
            agent=pool.ids[agent],
            colour=agent_colours(len(pool))[agent],
            status="" if status == OK else STATUS_NAMES[status].replace("_", " "),
            latency=None if tasks.latency is None else float(tasks.latency[task]),
            cost=float(tasks.cost[task]),
            quality=None if math.isnan(quality) else quality,
        )
        choices.append(choice)
    return Task(
        id=shortened(record["id"], 60),
        text=shortened(record["text"], _CHARACTERS),
        category=shortened(record["category"], 60),
        d_var=None if experiment.d_var is None else float(experiment.d_var[row]),
        choices=tuple(choices),
    )


def shortened(text: str, most: int) -> str:
    """A text on one line, cut to ``most`` characters; what no printer prints becomes U+FFFD.

    Marks that turn the direction of writing are replaced too: they would change the order
    of what stands after the text.
    """
    start = _UNPRINTABLE.sub("\ufffd", " ".join(text[: 4 * most].split()))
    if len(start) <= most and len(text) <= 4 * most:
        return start
    cut = start[:most]
    space = cut.rfind(" ", most - most // 8)
    kept = cut[:space] if space > 0 else cut
    return f"{kept} … ({len(text):,} characters)".lstrip()
