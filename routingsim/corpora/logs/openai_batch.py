"""OpenAI: the output of a batch, and the requests that belong to it."""

from routingsim.corpora.logs.fields import dig
from routingsim.corpora.logs.shape import Shape, column
from routingsim.corpora.rows import Rows


def _prepare(rows: Rows) -> Rows:
    """The status: an error's code, else that of the response."""
    found = []
    for error, response in zip(column(rows, "error"), column(rows, "response"), strict=True):
        status = dig(response, ["status_code"])
        if error:
            status = dig(error, ["code"]) or "failed"
            status = "failed" if str(status) not in ("batch_expired", "timeout") else "timed_out"
        found.append(status)
    return rows.also(status=found)


SHAPES = (
    Shape(
        "openai-batch",
        "the output of an OpenAI batch",
        {
            "call_id": "custom_id",
            "agent": "response.body.model",
            "prompt_tokens": "response.body.usage.prompt_tokens|response.body.usage.input_tokens",
            "cached_tokens": "response.body.usage.prompt_tokens_details.cached_tokens|"
            "response.body.usage.input_tokens_details.cached_tokens",
            "output_tokens": "response.body.usage.completion_tokens|"
            "response.body.usage.output_tokens",
            "status": "status",
        },
        always=("custom_id", "response", "error"),
        prepare=_prepare,
        reads=("error", "response"),
        said={
            "text": "of the requests' file, where it is given too: a folder, or both files",
            "arrived_at": "there is none: `created` is when the batch came to a request",
            "latency": "there is none",
            "status": "`response.status_code`; an `error` is `failed`, `batch_expired` `timed_out`",
        },
        form="JSON lines",
    ),
    Shape(
        "openai-batch-requests",
        "the requests of an OpenAI batch",
        {
            "call_id": "custom_id",
            "agent": "body.model",
            "text": "body.messages|body.input|body.prompt",
        },
        always=("custom_id", "body", "method|url"),
        kind="requests",
        form="JSON lines; joined to their output by `custom_id`",
    ),
)
