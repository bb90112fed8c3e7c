"""A small corpus, pool and study for several tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import routingsim as rs
from routingsim.evaluation.study import Study

COSTS = (0.001, 0.01, 0.03)
QUALITY = (0.5, 0.7, 0.9)


def pool() -> rs.AgentPool:
    """Three agents, the dearer the better and the slower."""
    return rs.AgentPool(
        tuple(
            rs.Agent(id=f"a{k}", name=f"A{k}", cost=COSTS[k], latency=1.0 + k, concurrency=4)
            for k in range(3)
        )
    )


def corpus(tasks: int = 60, *, seed: int = 0, quality: bool = True, text: bool = True) -> rs.Corpus:
    """Tasks right or wrong by each agent at random, in two categories."""
    rng = np.random.default_rng(seed)
    number = np.arange(tasks)
    columns: dict[str, Any] = {"id": number.astype(str), "arrived_at": number // 3 * 1.0}
    columns["text"] = [f"task {k} " + f"word{k} " * (k % 9) if text else "" for k in range(tasks)]
    if text:
        columns["category"] = ["xy"[k % 2] for k in range(tasks)]
    if quality:
        right = rng.random((tasks, 3)) < QUALITY
        for a in range(3):
            columns[f"outcomes.a{a}.quality"] = right[:, a] * 1.0
            columns[f"outcomes.a{a}.cost"] = COSTS[a]
    return rs.Corpus.from_frame(pd.DataFrame(columns))


def same(one: Study, other: Study) -> bool:
    """Whether all figures are the same, bit for bit."""
    fields = ("figures", "quality", "cost", "halves", "resampled", "chosen", "regret")
    return list(one.cells) == list(other.cells) and all(
        cell.verdicts == other.cells[key].verdicts
        and all(
            getattr(cell, f).tobytes() == getattr(other.cells[key], f).tobytes() for f in fields
        )
        for key, cell in one.cells.items()
    )


def typed(bound: float) -> Callable[..., int]:
    """A policy as a user would type it: a function of no module that can be imported."""

    def first(task, pool, memory):
        return 0 if task.d_var < bound else 2

    return first


POLICIES = ["threshold", "least-loaded", "thompson", typed(0.3)]
SMALL: dict[str, Any] = {"loads": [0.4, 0.9], "replications": 3}
