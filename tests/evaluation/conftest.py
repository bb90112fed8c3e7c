"""Synthetic logs with one answer a task, of which the truth is known."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from routingsim.evaluation.choice_log import ChoiceLog, choice_log
from routingsim.evaluation.outcome_model import Features

Drawn = tuple[ChoiceLog, NDArray, NDArray]


@pytest.fixture(scope="session")
def drawn_log() -> Callable[..., Drawn]:
    """Draw a log by seed: the log, its outcomes, and all chances of a right answer.

    A visible feature makes tasks hard for three agents, of which the last is the best. The
    router chooses by that feature, and at random on 30 % of tasks.
    """

    def draw(seed: int, tasks: int = 2000, share: float = 0.3) -> Drawn:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(tasks)
        chance = 1 / (1 + np.exp(-(np.array([-0.5, 0.5, 1.5]) - x[:, np.newaxis])))
        base = np.digitize(x, np.quantile(x, [1 / 3, 2 / 3]))
        played = (1 - share) * np.eye(3)[base] + share / 3
        chosen = (rng.random((tasks, 1)) > played.cumsum(axis=1)[:, :-1]).sum(axis=1)
        outcome = (rng.random(tasks) < chance[np.arange(tasks), chosen]).astype(float)
        features = Features((x - x.mean())[:, np.newaxis], ("difficulty",))
        log = choice_log(chosen, ["a", "b", "c"], propensity=played, features=features, seed=seed)
        return log, outcome, chance

    return draw
