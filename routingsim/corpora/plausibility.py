"""Whether recorded figures can have the unit that they are taken to have."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_LONG = 100.0  # seconds: few calls of a model take so long at the median
_SLOW = 1.0  # output tokens a second: models write tens
# From which median on, in seconds, latencies are rather in this unit; the largest first.
_UNITS = ((1e8, "nanoseconds", 1e9), (1e5, "microseconds", 1e6), (_LONG, "milliseconds", 1e3))


def latency_notes(
    agents: Sequence[str],
    outcomes: Mapping[str, NDArray[np.float64]],
    output_tokens: NDArray[np.float64],
) -> list[str]:
    """Name the agents whose recorded latencies are probably milliseconds, or finer.

    Taken as seconds, their median is at least 100 s, and less than 1 output token a second
    was written at the median, or no tokens are recorded.

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
        if not rates.size or float(np.median(rates)) < _SLOW:
            unit, factor = next((unit, factor) for low, unit, factor in _UNITS if median >= low)
            notes.append(
                f"outcomes.{agent}.latency: read as seconds, with a median of {median:,.6g} s; "
                f"these are probably {unit}: divide them by {factor:,.0f}"
            )
    return notes
