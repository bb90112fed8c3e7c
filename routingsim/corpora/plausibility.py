"""Whether recorded figures can have the unit that they are taken to have."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_LONG = 100.0  # seconds: few calls of a model take so long at the median
_VERY_LONG = 1000.0
_SLOW = 1.0  # output tokens a second: models write tens, and a thousandth of that in milliseconds


def latency_notes(
    agents: Sequence[str],
    outcomes: Mapping[str, NDArray[np.float64]],
    output_tokens: NDArray[np.float64],
) -> list[str]:
    """Name the agents whose recorded latencies are probably milliseconds.

    Latencies are probably milliseconds where their median is at least 100 s and, taken
    as seconds, less than 1 output token a second was written at the median. Without
    tokens, the latencies are whole numbers or their median is at least 1,000 s.

    Parameters
    ----------
    agents : sequence of str
    outcomes : mapping of str to ndarray, shape (tasks, agents)
    output_tokens : ndarray, shape (tasks,)
        Those recorded of tasks, where none are of their outcomes.
    """
    notes = []
    for column, agent in enumerate(agents):
        latency = outcomes["latency"][:, column]
        own = outcomes["output_tokens"][:, column]
        known = latency[~np.isnan(latency)]
        median = float(np.median(known)) if known.size else 0.0
        if median < _LONG:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = np.where(np.isnan(own), output_tokens, own) / latency
        rates = rates[~np.isnan(rates)]
        if rates.size:
            probable = float(np.median(rates)) < _SLOW
        else:
            probable = median >= _VERY_LONG or not np.any(known % 1)
        if probable:
            notes.append(
                f"outcomes.{agent}.latency: read as seconds, with a median of {median:,.6g} s; "
                "these are probably milliseconds: divide them by 1,000"
            )
    return notes
