"""LangSmith: runs, exported in bulk or from its API."""

from collections.abc import Sequence
from typing import Any

from routingsim.corpora.logs.fields import decoded
from routingsim.corpora.logs.scores import scores_in
from routingsim.corpora.logs.shape import LeftOut, Shape, column, mask
from routingsim.corpora.logs.statuses import ends_late
from routingsim.corpora.rows import Rows

_OPEN = ("pending", "running", "in_progress", "streaming")


def _prepare(rows: Rows) -> Rows:
    """The status, with timeouts apart; the inputs' messages as lists of messages."""
    statuses = []
    for status, error in zip(column(rows, "status"), column(rows, "error"), strict=True):
        if error:
            status = "timed_out" if ends_late(str(error)) else "failed"
        statuses.append(status or "success")
    extra: dict[str, Sequence[Any]] = {"status of run": statuses}
    inputs = column(rows, "inputs")
    if any(inputs):
        extra["messages"] = [_messages(value) for value in inputs]
    return rows.also(**extra)


def _messages(value: Any) -> Any:
    """Messages as LangChain nests them, ``[[{"kwargs": {…}}]]``, as plain ones."""
    value = decoded(value) if isinstance(value, str) and value[:1] in "{[" else value
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list):
        return value
    while len(messages) == 1 and isinstance(messages[0], list):
        messages = messages[0]
    return [_message(each) for each in messages]


def _message(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("kwargs"), dict):
        name = str((value.get("id") or [""])[-1]).removesuffix("Chunk").removesuffix("Message")
        return {"role": value["kwargs"].get("type") or name.lower(), **value["kwargs"]}
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        return {"role": value.get("type"), **value["data"]}
    return value


def _left_out(rows: Rows) -> LeftOut:
    others = mask(column(rows, "run_type"), lambda value: str(value or "").casefold() != "llm")
    open_ones = mask(column(rows, "status"), lambda value: str(value or "").casefold() in _OPEN)
    return {
        "runs that are no calls of a model": others,
        "runs that have not ended": open_ones & ~others,
    }


SHAPES = (
    Shape(
        "langsmith",
        "an export of LangSmith's runs",
        {
            "call_id": "id",
            "session_id": "trace_id",
            "parent_id": "parent_run_id",
            "arrived_at": "start_time",
            "ended_at": "end_time",
            "first_token_at": "first_token_time",
            "agent": "extra.metadata.ls_model_name|extra.invocation_params.model|"
            "extra.invocation_params.model_name|extra.metadata.model|name",
            "prompt_tokens": "prompt_tokens|outputs.usage_metadata.input_tokens|"
            "outputs.llm_output.token_usage.prompt_tokens|"
            "outputs.generations.0.0.message.kwargs.usage_metadata.input_tokens",
            "cached_tokens": "prompt_token_details.cache_read|"
            "outputs.usage_metadata.input_token_details.cache_read",
            "cache_write_tokens": "prompt_token_details.cache_creation|"
            "outputs.usage_metadata.input_token_details.cache_creation",
            "output_tokens": "completion_tokens|outputs.usage_metadata.output_tokens|"
            "outputs.llm_output.token_usage.completion_tokens|"
            "outputs.generations.0.0.message.kwargs.usage_metadata.output_tokens",
            "cost": "total_cost",
            "status": "status of run",
            "tags": "tags",
            "text": "messages",
        },
        always=("id", "run_type", "start_time", "trace_id|dotted_order|parent_run_id"),
        prepare=_prepare,
        left_out=_left_out,
        more=scores_in("feedback_stats"),
        text_reads=("inputs",),
        reads=("run_type", "status", "error", "feedback_stats"),
        said={
            "agent": "the model's name in `extra`, else the run's `name`",
            "status": "`error` is `failed`, or `timed_out` where it says so",
            "session_id": "LangSmith's own `session_id` is a project",
            "quality": "the mean of a feedback: taken by itself where there is one, from 0 to 1",
            "text": "the last user message of `inputs`",
        },
    ),
)
