"""promptfoo: the results of an evaluation."""

from collections.abc import Sequence
from typing import Any

from routingsim.corpora.logs.fields import dig, values_at
from routingsim.corpora.logs.shape import Shape, column, is_true
from routingsim.corpora.rows import Rows


def _prepare(rows: Rows) -> Rows:
    """Tasks and agents by name; a status; no time of an answer from the cache."""
    tests, prompts = column(rows, "testIdx"), column(rows, "promptIdx")
    variables = column(rows, "vars")
    several = len({str(each) for each in prompts if each is not None}) > 1
    providers, labels = column(rows, "provider"), []
    for provider in providers:
        labels.append(dig(provider, ["label"]) or dig(provider, ["id"]) or provider)
    statuses, times, scores = [], [], []
    answers = column(rows, "response")
    reasons, errors = column(rows, "failureReason"), column(rows, "error")
    graded = values_at(rows.columns, ("gradingResult.score", "score", "success"))
    for reason, error, answer, time, score in zip(
        reasons,
        errors,
        answers,
        column(rows, "latencyMs"),
        graded or [None] * len(rows),
        strict=True,
    ):
        failed = reason == 2 or dig(answer, ["error"]) or (error and reason is None and not answer)
        statuses.append("failed" if failed else "ok")
        scores.append(None if failed else score)
        times.append(None if is_true(dig(answer, ["cached"])) else time)
    extra: dict[str, Sequence[Any]] = {
        "task": [
            _task(test, prompt if several else None, given)
            for test, prompt, given in zip(tests, prompts, variables, strict=True)
        ],
        "agent": labels,
        "status": statuses,
        "milliseconds": times,
        "graded": scores,
    }
    return rows.also(**extra)


def _task(test: Any, prompt: Any, variables: Any) -> str:
    own = str(variables) if test is None else str(test)
    return own if prompt is None else f"{own}-{prompt}"


SHAPES = (
    Shape(
        "promptfoo",
        "a promptfoo result",
        {
            "task_id": "task",
            "agent": "agent",
            "prompt_tokens": "response.tokenUsage.prompt|tokenUsage.prompt",
            "cached_tokens": "response.tokenUsage.cached",
            "output_tokens": "response.tokenUsage.completion|tokenUsage.completion",
            "latency": "milliseconds:ms",
            "cost": "cost|response.cost",
            "status": "status",
            "quality": "graded",
            "tags": "metadata.category",
            "text": "prompt.raw|prompt",
        },
        always=("provider", "prompt", "score|success|gradingResult", "vars|testIdx|promptIdx"),
        kind="answers",
        prepare=_prepare,
        reads=(
            "testIdx",
            "promptIdx",
            "vars",
            "provider",
            "response",
            "failureReason",
            "error",
            "latencyMs",
            "gradingResult",
            "score",
            "success",
        ),
        said={
            "quality": "`gradingResult.score`, else `score` or `success`; none of failed calls",
            "task_id": "`testIdx`, with `promptIdx` where there are several prompts",
            "agent": "`provider.label`, else `provider.id`",
            "latency": "`latencyMs`; not of answers from promptfoo's cache",
            "status": "`failureReason` 2, an error of the call, is `failed`",
        },
        form="JSON, or JSON lines of its results",
    ),
)
