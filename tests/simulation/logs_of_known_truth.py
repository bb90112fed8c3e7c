"""Logs of one agent whose prices, limits and arrivals are known."""

import heapq

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.read import read_log

Floats = NDArray[np.float64]


def log_of(**columns) -> CallLog:
    """Calls of agent "m" with these columns; ``arrived_at`` in seconds."""
    size = len(next(iter(columns.values())))
    frame = pd.DataFrame({"call_id": [str(k) for k in range(size)], "agent": "m", **columns})
    return read_log(frame)


def starts(arrived: Floats, service: Floats, slots: int, per_minute: int | None = None) -> Floats:
    """When calls start, first come first served, under slots and a limit in any 60 seconds."""
    free, begun = [0.0] * slots, []
    for k, (at, takes) in enumerate(zip(arrived, service, strict=True)):
        start = max(at, heapq.heappop(free), begun[-1] if begun else 0.0)
        if per_minute and k >= per_minute:
            start = max(start, begun[k - per_minute] + 60.0)
        begun.append(start)
        heapq.heappush(free, start + takes)
    return np.array(begun)
