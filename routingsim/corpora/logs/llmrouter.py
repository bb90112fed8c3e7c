"""LLMRouter: its long form, with a row an answer."""

from hashlib import blake2b

from routingsim.corpora.logs.shape import Shape, column
from routingsim.corpora.rows import Rows


def _prepare(rows: Rows) -> Rows:
    """Name the tasks, which have no ids, by their set and text."""
    tasks = [
        f"{name or 'task'}-{blake2b(str(query).encode(), digest_size=6).hexdigest()}"
        for name, query in zip(column(rows, "task_name"), column(rows, "query"), strict=True)
    ]
    return rows.also(task=tasks)


SHAPES = (
    Shape(
        "llmrouter",
        "LLMRouter's routing data",
        {
            "task_id": "task",
            "agent": "model_name",
            "prompt_tokens": "input_tokens|prompt_tokens",
            "output_tokens": "output_tokens|completion_tokens",
            "latency": "response_time:s",
            "cost": "cost",
            "quality": "performance",
            "tags": "task_name",
            "text": "query",
        },
        always=("query", "model_name", "performance"),
        kind="answers",
        prepare=_prepare,
        reads=("query", "task_name"),
        said={
            "task_id": "rows of one `task_name` and `query` are answers to one task",
            "latency": "seconds of the whole call, which is not streamed",
        },
        form="JSON lines or CSV",
    ),
)
