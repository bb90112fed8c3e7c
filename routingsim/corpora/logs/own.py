"""Our own form of a log: columns with our own names."""

from collections.abc import Collection

from routingsim.corpora.logs.shape import Shape
from routingsim.corpora.logs.statuses import STATUS_COLUMNS
from routingsim.corpora.rows import Rows

_TABLE = {
    "call_id": "call_id|id",
    "task_id": "task_id",
    "session_id": "session_id",
    "parent_id": "parent_id",
    "turn": "turn",
    "arrived_at": "arrived_at",
    "agent": "agent",
    "prompt_tokens": "prompt_tokens",
    "cached_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens|tokens",
    "ttft": "ttft",
    "latency": "latency",
    "cost": "cost",
    "status": STATUS_COLUMNS,
    "quality": "quality",
    "propensity": "propensity",
    "tags": "tags|category",
    "text": "text",
}

_OUTCOMES = {"latency", "ttft", "cost", "output_tokens", "quality"}
_COLUMNS = {path for paths in _TABLE.values() for path in paths.split("|")}


def are_calls(names: Collection[str]) -> bool:
    """Whether records with these columns are calls, not tasks: an agent, and what came of it."""
    return "agent" in names and not _OUTCOMES.isdisjoint(names)


def _fits(rows: Rows) -> bool:
    """Whether the columns are ours, and there are no others unless agents are named."""
    names = rows.columns.keys()
    return names <= _COLUMNS or are_calls(names) or {"agent", "arrived_at"} <= names


SHAPES = (
    Shape(
        "calls",
        "our own form",
        _TABLE,
        always=("agent|arrived_at|latency",),
        fits=_fits,
        said={
            "arrived_at": "seconds on any clock, seconds or finer since 1970, or dates",
            "latency": "seconds, of the whole call",
            "status": "the first of these columns that there is; a flag or word of `error` is a "
            "failure",
        },
    ),
)
