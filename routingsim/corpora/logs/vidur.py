"""Vidur: traces that it replays, and the request metrics that it writes."""

from typing import Any

import numpy as np

from routingsim.corpora.logs.shape import Shape, column
from routingsim.corpora.rows import Rows


def _prepare(rows: Rows) -> Rows:
    """Arrival times from the delays between arrivals, where only these are given."""
    delays = column(rows, "request_inter_arrival_delay")
    if not any(each not in (None, "") for each in delays):
        return rows
    gaps = np.array([_number(each) for each in delays])
    return rows.also(**{"arrived at": np.nancumsum(gaps).tolist()})


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


SHAPES = (
    Shape(
        "vidur",
        "Vidur's request metrics",
        {
            "call_id": "Request Id",
            "arrived_at": "arrived_at|arrived at",
            "prompt_tokens": "request_num_prefill_tokens",
            "output_tokens": "request_num_decode_tokens",
            "ttft": "prefill_e2e_time",
            "latency": "request_e2e_time",
        },
        always=("request_e2e_time", "request_num_prefill_tokens", "request_num_decode_tokens"),
        prepare=_prepare,
        reads=("request_inter_arrival_delay",),
        said={
            "arrived_at": "the sum of `request_inter_arrival_delay`",
            "latency": "with the wait in Vidur's own queue",
            "agent": "there is none: `--map agent==NAME` gives one",
        },
        form="CSV",
    ),
    Shape(
        "vidur-trace",
        "a trace of Vidur",
        {
            "call_id": "request_id|id",
            "session_id": "session_id",
            "arrived_at": "arrived_at:s",
            "prompt_tokens": "num_prefill_tokens",
            "output_tokens": "num_decode_tokens",
        },
        always=("num_prefill_tokens", "num_decode_tokens"),
        never=("agent", "model", "latency"),
        said={"arrived_at": "seconds; processed traces of lengths alone have none"},
        form="CSV",
    ),
)
