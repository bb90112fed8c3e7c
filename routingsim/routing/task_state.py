"""What a policy may know of tasks from their texts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.corpus import CHARACTERS_PER_TOKEN
from routingsim.errors import PolicyError
from routingsim.policies.category import categories, holds_text
from routingsim.policies.policy import Policy
from routingsim.policies.reads import reads

Table = NDArray[np.float64]
State = tuple[list[float], list[float], Sequence[int], Table, Table]
"""The d_var, prompt tokens, categories, features and predictions of tasks."""

Row = tuple[float, float, int, Table, Table]
"""The same of one task."""

Categories = Callable[[Iterable[str]], Sequence[int]]
"""From names of categories to what a policy sees."""

_NOTHING = np.zeros(0)
"""Features or predictions for a policy without any."""


def category_reader(policy: Policy, known: Mapping[str, int] | None) -> Categories:
    """A function that gives the categories of tasks as the policy sees them.

    Parameters
    ----------
    policy : Policy
    known : mapping of str to int, optional
        The codes of the corpus; None without one.
    """
    by_name = policy.interpreted and holds_text(policy.choose.python)
    if known is None and "category" in reads(policy) and not by_name:
        return partial(_unknown, policy.name)
    return partial(categories if policy.interpreted else _codes, known=known)


def _codes(names: Iterable[str], known: Mapping[str, int] | None) -> list[int]:
    return [known.get(name, -1) for name in names] if known else [-1 for _ in names]


def _unknown(policy: str, names: Iterable[str]) -> list[int]:
    """The codes where no corpus says them: that of no category."""
    found = []
    for name in names:
        if name:
            raise PolicyError(
                f"category={name!r}: policy {policy} goes by codes of categories, and without a "
                "corpus this router cannot know them; give it the corpus whose codes are meant "
                "(TaskRouter(…, corpus=…))"
            )
        found.append(-1)
    return found


def state_of(
    policy: Policy,
    read_categories: Categories,
    texts: list[str],
    labels: list[str],
    d_var: list[float],
) -> State:
    """What the policy may know of tasks."""
    featurize, predict = policy.featurize, policy.predict
    nothing = np.zeros((len(texts), 0))
    return (
        d_var,
        [float(-(-size // CHARACTERS_PER_TOKEN)) for size in map(len, texts)],
        read_categories(labels),
        _floats(featurize(texts, labels)) if featurize else nothing,
        _floats(predict(texts, labels)) if predict else nothing,
    )


def row_of(
    policy: Policy, read_categories: Categories, text: str, category: str, d_var: float
) -> Row:
    """The row of :func:`state_of` for one task, made without arrays of one element."""
    featurize, predict = policy.featurize, policy.predict
    return (
        d_var,
        float(-(-len(text) // CHARACTERS_PER_TOKEN)),
        read_categories((category,))[0],
        _floats(featurize([text], [category]))[0] if featurize else _NOTHING,
        _floats(predict([text], [category]))[0] if predict else _NOTHING,
    )


def _floats(table: NDArray[Any]) -> Table:
    return np.ascontiguousarray(table, np.float64)
