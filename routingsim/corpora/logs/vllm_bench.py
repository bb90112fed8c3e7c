"""vLLM's and SGLang's serving benchmarks: the detailed result, with a list a figure."""

from typing import Any

from routingsim.corpora.logs.shape import LeftOut, Shape, column, mask, unfolded
from routingsim.corpora.logs.statuses import ends_late
from routingsim.corpora.rows import Rows

_LISTS = ("input_lens", "output_lens", "ttfts", "itls", "errors", "start_times")


def _prepare(rows: Rows) -> Rows:
    """A row a request, from lists with one entry for each."""
    names = (
        "model_id",
        "input_lens",
        "output_lens",
        "ttfts",
        "ttfts + itls",
        "start_times",
        "errors",
        "prompts",
    )
    found: list[list[tuple[Any, ...]]] = []
    models = column(rows, "model_id")
    texts = column(rows, "prompts")
    lists = {name: column(rows, name) for name in _LISTS}
    for k in range(len(rows)):
        size = len(lists["input_lens"][k] or [])
        own = {name: _filled(lists[name][k], size) for name in _LISTS}
        prompts = _filled(texts[k], size)
        found.append([])
        for place in range(size):
            error, gaps = own["errors"][place], own["itls"][place]
            first = own["ttfts"][place]
            latency = None if first is None or gaps is None else first + sum(gaps)
            failed = "timed_out" if ends_late(str(error)) else "failed"
            row = (
                models[k],
                own["input_lens"][place],
                own["output_lens"][place],
                None if error else first,
                None if error else latency,
                own["start_times"][place],
                failed if error else "ok",
                prompts[place],
            )
            found[-1].append(row)
    return unfolded(rows, names, found)


def _filled(values: Any, size: int) -> list[Any]:
    return list(values) if isinstance(values, list) and len(values) == size else [None] * size


def _left_out(rows: Rows) -> LeftOut:
    return {"requests without a prompt": mask(rows.columns["input_lens"], lambda value: not value)}


SHAPES = (
    Shape(
        "vllm-bench",
        "the result of vLLM's serving benchmark",
        {
            "arrived_at": "start_times:s",
            "agent": "model_id",
            "prompt_tokens": "input_lens",
            "output_tokens": "output_lens",
            "ttft": "ttfts",
            "latency": "ttfts + itls",
            "status": "errors",
            "text": "prompts",
        },
        always=("input_lens", "output_lens", "ttfts"),
        prepare=_prepare,
        left_out=_left_out,
        reads=("model_id", *_LISTS),
        text_reads=("prompts",),
        said={
            "arrived_at": "where the result has them",
            "latency": "seconds; of `itls` the sum",
            "status": "a text is `failed` or `timed_out`",
        },
        form="JSON, or JSON lines with a result each, saved with `--save-detailed`",
    ),
)
