"""Mooncake's traces of chats and tool agents."""

from routingsim.corpora.logs.shape import Shape

SHAPES = (
    Shape(
        "mooncake",
        "a Mooncake trace",
        {
            "session_id": "session_id",
            "arrived_at": "timestamp:ms",
            "prompt_tokens": "input_length",
            "output_tokens": "output_length",
        },
        always=("timestamp", "input_length", "output_length", "hash_ids"),
        said={"arrived_at": "milliseconds from the trace's start", "text": "there is none"},
        form="JSON lines",
    ),
)
