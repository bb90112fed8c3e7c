"""Tokens of answers that are recorded once a task, for whichever agent answered."""

import numpy as np

from routingsim.corpora.checkup.finding import Columns, Finding

_LEAST = 20  # answers of an agent below which nothing is said of its length
_APART = 1.25  # factor between the mean lengths of two agents' answers, at least, and
_CERTAIN = 4.0  # standard errors between them


def shared_tokens(columns: Columns) -> list[Finding]:
    """A note that one column of tokens stands for agents whose answers differ in length."""
    own = columns.outcomes["output_tokens"]
    served = columns.answered.sum(axis=1) == 1
    found = {}
    for a, name in enumerate(columns.agents):
        mine = columns.output_tokens[served & columns.answered[:, a]]
        mine = mine[np.isfinite(mine)]
        if np.isnan(own[:, a]).all() and mine.size >= _LEAST:
            found[name] = float(mine.mean()), float(mine.std()) / mine.size**0.5
    if len(found) < 2 or not columns.is_log:
        return []
    short, *_, long = sorted(found, key=lambda name: found[name][0])
    (low, error), (high, other) = found[short], found[long]
    if high < _APART * low or high - low < _CERTAIN * (error**2 + other**2) ** 0.5:
        return []
    return [
        Finding(
            "tokens",
            "suspicious",
            f"output_tokens are those of whoever answered: {high:.0f} on average where {long} "
            f"did, {low:.0f} where {short} did: on a task that another answered, an agent is given "
            "these tokens times the ratio of their means",
            "service by tokens and costs by price on such tasks; they are wrong if the agents "
            "were sent tasks of different length",
            f"record every agent's own on a sample of tasks (outcomes.{long}.output_tokens, …)",
        )
    ]
