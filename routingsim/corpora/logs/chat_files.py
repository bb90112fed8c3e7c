"""Chats: a conversation a row, as chat data sets and fine-tuning files hold them."""

import numpy as np

from routingsim.corpora.logs.fields import decoded, lookup
from routingsim.corpora.logs.shape import Shape
from routingsim.corpora.mapping import likely
from routingsim.corpora.rows import Rows

_CHATS = "messages|conversation|conversations"


def _fits(rows: Rows) -> bool:
    """Whether there are chats, and no times or costs of calls that would be lost."""
    chats = next(found for path in _CHATS.split("|") if (found := lookup(rows.columns, path)))
    value = next((each for each in rows.columns[chats[0]] if each), None)
    value = decoded(value) if isinstance(value, str) else value
    value = value.tolist() if isinstance(value, np.ndarray) else value
    first = value[0] if isinstance(value, list) and value else None
    is_message = isinstance(first, dict) and ({"role", "from"} & first.keys())
    return bool(is_message) and not (
        {"latency", "ttft", "cost", "status", "output_tokens"} & likely(rows.columns).keys()
    )


SHAPES = (
    Shape(
        "chats",
        "a file of chats",
        {
            "call_id": "id|conversation_id|conversation_hash|uuid|prompt_id",
            "arrived_at": "timestamp|created_at|tstamp",
            "agent": "model",
            "tags": "category|language|source",
            "text": _CHATS,
        },
        always=(_CHATS,),
        fits=_fits,
        said={
            "text": "the last user message",
            "agent": "`model`, where the file names it",
        },
    ),
)
