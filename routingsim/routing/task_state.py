"""What a policy may know of tasks from their texts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.corpus import CHARACTERS_PER_TOKEN
from routingsim.policies.policy import Policy

Table = NDArray[np.float64]
State = tuple[list[float], list[float], list[int], Table, Table]
"""The d_var, prompt tokens, categories, features and predictions of tasks."""

Row = tuple[float, float, int, Table, Table]
"""The same of one task."""

_NOTHING = np.zeros(0)
"""Features or predictions for a policy without any."""


def state_of(
    policy: Policy,
    codes: Mapping[str, int],
    texts: list[str],
    categories: list[str],
    d_var: list[float],
) -> State:
    """What the policy may know of tasks; ``codes`` are those of the categories it knows."""
    featurize, predict = policy.featurize, policy.predict
    nothing = np.zeros((len(texts), 0))
    return (
        d_var,
        [float(-(-size // CHARACTERS_PER_TOKEN)) for size in map(len, texts)],
        [codes.get(each, -1) for each in categories] if codes else [-1] * len(texts),
        _floats(featurize(texts, categories)) if featurize else nothing,
        _floats(predict(texts, categories)) if predict else nothing,
    )


def row_of(policy: Policy, codes: Mapping[str, int], text: str, category: str, d_var: float) -> Row:
    """The row of :func:`state_of` for one task, made without arrays of one element."""
    featurize, predict = policy.featurize, policy.predict
    return (
        d_var,
        float(-(-len(text) // CHARACTERS_PER_TOKEN)),
        codes.get(category, -1),
        _floats(featurize([text], [category]))[0] if featurize else _NOTHING,
        _floats(predict([text], [category]))[0] if predict else _NOTHING,
    )


def _floats(table: NDArray[Any]) -> Table:
    return np.ascontiguousarray(table, np.float64)
