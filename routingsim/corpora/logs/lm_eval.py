"""EleutherAI's evaluation harness: the samples that it logs, a file a task and model."""

import re
from pathlib import Path
from typing import Any

from routingsim.corpora.logs.fields import dig
from routingsim.corpora.logs.shape import LeftOut, Shape, column, mask
from routingsim.corpora.rows import Rows

_METRICS = [
    "exact_match",
    "acc_norm",
    "acc",
    "pass@1",
    "prompt_level_strict_acc",
    "f1",
    "em",
    "bleu",
    "rouge1",
    "rougeL",
    "mcc",
]
_NO_METRICS = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash", "task_name", "model_name",
}  # fmt: skip


def _prepare(rows: Rows) -> Rows:
    """Task, model, prompt and the measure of each sample."""
    stem = Path(rows.file.removesuffix(".gz")).stem
    task = re.sub(r"_\d{4}-\d{2}-\d{2}T.*$", "", stem.removeprefix("samples_"))
    model = Path(rows.file).resolve().parent.name.replace("__", "/")
    given = next((each for each in column(rows, "metrics") if each), None)
    names = list(given) if isinstance(given, list) else []
    known = [name for name in (*names, *_METRICS, *rows.columns) if name not in _NO_METRICS]
    measure = next(
        (
            name
            for name in known
            if any(_is_number(each) for each in rows.columns.get(name, [])[:50])
        ),
        None,
    )
    size = len(rows)
    numbers = column(rows, "doc_id")
    extra: dict[str, Any] = {
        "task": [f"{task}-{number}" for number in numbers],
        "set": [task] * size,
        "model": [model] * size,
        "measure": rows.columns[measure] if measure else [None] * size,
    }
    documents = column(rows, "doc")
    if any(each is not None for each in column(rows, "arguments")):
        extra["prompt"] = [_prompt(each) for each in column(rows, "arguments")]
    elif any(each is not None for each in documents):
        extra["prompt"] = [
            dig(each, ["question"]) or dig(each, ["query"]) or dig(each, ["text"])
            for each in documents
        ]
    return rows.also(**extra)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, str) and bool(re.fullmatch(r"-?\d+(\.\d+)?", value))
    )


def _prompt(arguments: Any) -> Any:
    """The prompt of the first request: ``[["prompt", …]]`` or ``{"gen_args_0": {"arg_0": …}}``."""
    if isinstance(arguments, dict) and arguments:
        first = next(iter(arguments.values()))
        return dig(first, ["arg_0"]) if isinstance(first, dict) else first
    if isinstance(arguments, list) and arguments:
        first = arguments[0]
        return first[0] if isinstance(first, list) and first else first
    return arguments


def _left_out(rows: Rows) -> LeftOut:
    filters = column(rows, "filter")
    first = next((each for each in filters if each), None)
    others = mask(filters, lambda value: value is not None and value != first)
    return {f"samples by another filter than {first}": others} if others.any() else {}


SHAPES = (
    Shape(
        "lm-eval",
        "samples of the lm-evaluation-harness",
        {
            "task_id": "task",
            "agent": "model",
            "quality": "measure",
            "tags": "set",
            "text": "prompt",
        },
        always=("doc_id", "doc|doc_hash", "filtered_resps|resps|arguments"),
        kind="answers",
        prepare=_prepare,
        left_out=_left_out,
        reads=("*",),
        beside=("results_*.json",),
        said={
            "task_id": "the task in the file's name, and `doc_id`",
            "agent": "the name of the folder: `org__model` is `org/model`",
            "quality": "the first of `metrics`, else `exact_match`, `acc_norm`, `acc` and the like",
            "text": "the prompt in `arguments`",
        },
        form="JSON lines, `MODEL/samples_TASK_TIME.jsonl`; a folder joins them",
    ),
)
