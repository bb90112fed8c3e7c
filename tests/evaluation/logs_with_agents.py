"""Made-up logs of two agents, of which the law of service times is known."""

from typing import Any

import numpy as np
import pandas as pd

from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.read import read_log


def table(calls: int = 1500, **changes: Any) -> pd.DataFrame:
    """A call each second to ``big`` (40 tokens/s) or ``small`` (120), noise of cv .2."""
    rng = np.random.default_rng(5)
    agent = rng.choice(["big", "small"], calls, p=[0.4, 0.6])
    tokens = rng.lognormal(5, 0.6, calls).round() + 1
    noise = rng.lognormal(-0.02, 0.2, calls)
    columns = {
        "id": [f"r{k}" for k in range(calls)],
        "text": [f"Write {n:.0f} words" for n in tokens],
        "agent": agent,
        "arrived_at": np.cumsum(rng.exponential(1.0, calls)),
        "latency": (0.5 + tokens / np.where(agent == "big", 40, 120)) * noise,
        "prompt_tokens": 20,
        "output_tokens": tokens,
        "cost": np.where(agent == "big", 1e-5, 1e-6) * (tokens + 20),
        "status": np.where(rng.random(calls) < 0.02, "failed", "ok"),
    }
    return pd.DataFrame(columns | changes)


def log(calls: int = 1500, **changes: Any) -> CallLog:
    """The same as a log."""
    return read_log(table(calls, **changes))
