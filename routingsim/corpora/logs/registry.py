"""The shapes of logs: ours, and those of installed plug-ins."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from routingsim.corpora.logs import (
    aiperf,
    azure,
    burstgpt,
    chat_files,
    helicone,
    helm,
    langfuse,
    langsmith,
    litellm,
    llmrouter,
    lm_eval,
    mlflow,
    mooncake,
    openai_batch,
    openrouter,
    opentelemetry,
    own,
    promptfoo,
    routerarena,
    servegen,
    vidur,
    vllm_bench,
)
from routingsim.corpora.logs.shape import Shape
from routingsim.corpora.mapping import map_to_start_from
from routingsim.corpora.rows import Rows, shown
from routingsim.errors import CorpusError

GROUP = "routingsim.logs"
"""The entry-point group of plug-ins: ``name = "package.module:SHAPE"``."""

_OURS = (
    *litellm.SHAPES,
    *opentelemetry.SHAPES,
    *langfuse.SHAPES,
    *openrouter.SHAPES,
    *helicone.SHAPES,
    *langsmith.SHAPES,
    *mlflow.SHAPES,
    *openai_batch.SHAPES,
    *azure.SHAPES,
    *burstgpt.SHAPES,
    *mooncake.SHAPES,
    *vidur.SHAPES,
    *aiperf.SHAPES,
    *vllm_bench.SHAPES,
    *routerarena.SHAPES,
    *llmrouter.SHAPES,
    *promptfoo.SHAPES,
    *lm_eval.SHAPES,
    *helm.SHAPES,
    *own.SHAPES,
    *servegen.SHAPES,
    *chat_files.SHAPES,
)


def shapes() -> Mapping[str, Shape]:
    """All shapes by name, in the order in which they are tried."""
    return {**{shape.name: shape for shape in _OURS}, **_plugged_in()}


@cache
def _plugged_in() -> dict[str, Shape]:
    return {point.name: _loaded(point) for point in entry_points(group=GROUP)}


def _loaded(point: EntryPoint) -> Shape:
    package = point.dist.name if point.dist else "a plug-in"
    try:
        found = point.load()
    except Exception as error:  # any, since it is not ours
        raise CorpusError(
            f"source {point.name!r} cannot be loaded from {package} ({point.value}): {error}; fix "
            "or uninstall that package"
        ) from error
    if not isinstance(found, Shape):
        raise CorpusError(
            f"source {point.name!r} of {package} ({point.value}) is {shown(found)}; expected a "
            "routingsim.corpora.logs.shape.Shape"
        )
    return found


_MAP = "; to start from, with columns of yours: --map agent=…,arrived_at=…,latency=…,text=…"


def named(source: str) -> Shape:
    """The shape of this name.

    Raises
    ------
    CorpusError
        If there is none.
    """
    known = shapes()
    if source not in known:
        raise CorpusError(f"source is {shown(source)}; allowed are auto, {', '.join(known)}")
    return known[source]


def recognised(rows: Rows) -> Shape | None:
    """The shape of a sample; None where it is of none that is known."""
    return next((shape for shape in shapes().values() if shape.recognises(rows)), None)


def closest(rows: Rows, near: bool = True) -> str:
    """Which shape is the closest to a sample of none, and what it lacks.

    With ``near``, "" where it lacks more than a third of its columns.
    """
    best = min(
        (shape for shape in shapes().values() if len(shape.always) > 1),
        key=lambda shape: len(shape.lacks(rows)) / len(shape.always),
    )
    lacks = best.lacks(rows)
    if near and 3 * len(lacks) > len(best.always):
        return ""
    if 2 * len(lacks) >= len(best.always):
        return "the closest is our own form (calls), which has agent, arrived_at and latency"
    if not lacks:
        return f"it is like {best.title} ({best.name}), but has columns that no such file has"
    missing = ", ".join(" or ".join(map(shown, each.split("|"))) for each in lacks)
    return f"the closest is {best.title} ({best.name}), which has {missing}, too"


def unknown(rows: Rows) -> str:
    """Why a sample is of no shape: the closest, what it lacks, and a mapping to start from."""
    names = list(rows.columns)
    listed = ", ".join(map(shown, names[:12])) or "no columns"
    listed += f" and {len(names) - 12} more" if names[12:] else ""
    said = f"{rows.file}: is of no shape that is known; it has {listed}"
    said += f"; {closest(rows, near=False)}"
    return said + (map_to_start_from(rows.columns) or _MAP)
