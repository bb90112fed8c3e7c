"""Whether recorded latencies can have the unit that they are taken to have."""

import numpy as np

from routingsim.corpora.checkup.finding import Columns, Finding

_LONG = 100.0  # seconds: few calls of a model take so long at the median
_SLOW = 1.0  # output tokens a second: models write tens
# From which median on, in seconds, latencies are rather in this unit; the largest first.
_UNITS = ((1e8, "nanoseconds", 1e9), (1e5, "microseconds", 1e6), (_LONG, "milliseconds", 1e3))


def latency_units(columns: Columns) -> list[Finding]:
    """The agents whose recorded latencies are probably milliseconds, or finer.

    Taken as seconds, their median is at least 100 s, and less than 1 output token a second
    was written at the median, or no tokens are recorded.
    """
    found = []
    for column, agent in enumerate(columns.agents):
        latency = columns.outcomes["latency"][:, column]
        known = latency[~np.isnan(latency)]
        median = float(np.median(known)) if known.size else 0.0
        if median < _LONG:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = columns.answer_tokens(column) / latency
        rates = rates[~np.isnan(rates)]
        if not rates.size or float(np.median(rates)) < _SLOW:
            unit, factor = next((unit, factor) for low, unit, factor in _UNITS if median >= low)
            found.append(
                Finding(
                    "latency",
                    "wrong",
                    f"outcomes.{agent}.latency: read as seconds, with a median of {median:,.6g} s; "
                    f"these are probably {unit}",
                    "waits, latencies and loads of runs with service = recorded",
                    f"divide them by {factor:,.0f}",
                )
            )
    return found
