"""A made-up corpus and pool of three agents, and real data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus


@pytest.fixture(scope="session")
def pareto(shared_data: Path) -> Corpus:
    return load_corpus(shared_data / "paretobandit_val_k4.jsonl")


def make_corpus(tasks: int = 60) -> Corpus:
    """Two categories, each with an agent of its own; the third agent is never right."""
    odd = np.arange(tasks) % 2 == 1
    return Corpus.from_frame(
        pd.DataFrame(
            {
                "id": [f"t{k}" for k in range(tasks)],
                "text": ["x" * (k + 1) for k in range(tasks)],
                "category": np.where(odd, "odd", "even"),
                "outcomes.a.quality": np.where(odd, 0.0, 1.0),
                "outcomes.b.quality": np.where(odd, 1.0, 0.0),
                "outcomes.c.quality": np.zeros(tasks),
                "outcomes.a.cost": np.full(tasks, 2.0),
                "outcomes.b.cost": np.full(tasks, 3.0),
                "outcomes.c.cost": np.full(tasks, 1.0),
            }
        )
    )


def make_pool(**fields: Any) -> AgentPool:
    return AgentPool(
        tuple(
            Agent(id=name, name=name, cost=cost, latency=1.0, concurrency=100, **fields)
            for name, cost in (("a", 0.002), ("b", 0.003), ("c", 0.001))
        )
    )


@pytest.fixture
def made_up() -> Callable[..., Corpus]:
    return make_corpus


@pytest.fixture
def small_pool() -> Callable[..., AgentPool]:
    return make_pool
