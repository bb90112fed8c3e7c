"""BurstGPT: traces of a campus's use of ChatGPT and GPT-4."""

from routingsim.corpora.logs.shape import Shape, column
from routingsim.corpora.rows import Rows


def _prepare(rows: Rows) -> Rows:
    """The status: an answer of no tokens is a failure, says the trace's README."""
    tokens = column(rows, "Response tokens")
    statuses = ["failed" if str(each) in ("0", "0.0") else "ok" for each in tokens]
    return rows.also(status=statuses)


SHAPES = (
    Shape(
        "burstgpt",
        "a BurstGPT trace",
        {
            "session_id": "Session ID",
            "arrived_at": "Timestamp:s",
            "agent": "Model",
            "prompt_tokens": "Request tokens",
            "output_tokens": "Response tokens",
            "latency": "Elapsed time",
            "status": "status",
            "tags": "Log Type",
        },
        always=("Timestamp", "Model", "Request tokens", "Response tokens"),
        prepare=_prepare,
        reads=("Response tokens",),
        said={
            "arrived_at": "seconds from the trace's start",
            "latency": "`Elapsed time`, in the files that have it",
            "status": "0 response tokens are `failed`",
            "text": "there is none",
        },
        form="CSV",
    ),
)
