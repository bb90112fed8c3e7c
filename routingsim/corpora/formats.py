"""The formats in which others publish corpora and traces.

Each has a function that makes a draft in our own columns from a file's rows:

===============  ====================================================================
``routellm``     CSV: ``prompt`` and a True/False column a model
``paretobandit`` JSON lines: ``prompt``, ``source``, ``arms.<model>.reward|cost``
``dcrouter``     JSON array: ``question``, ``cluster_id``, ``scores.<model>``
``azure``        CSV trace: ``TIMESTAMP``, ``ContextTokens``, ``GeneratedTokens``
``mooncake``     JSON lines trace: ``timestamp`` (ms), ``input_length``, ``output_length``
===============  ====================================================================

``jsonl``, ``csv`` and ``parquet`` are our own format (:mod:`routingsim.corpora.validation`).
The files of others have no ids; a task's id is ``<corpus>-<number of the record>``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from routingsim.corpora.readers import Rows, parse, shown, unnest
from routingsim.corpora.validation import (
    Draft,
    RawColumn,
    draft_own,
    require,
    seconds_from_earliest,
)
from routingsim.errors import CorpusError

_TRUTHS = {"true": 1.0, "false": 0.0}
# A model's name in earlier files of RouteLLM, and in its present ones.
_RENAMED = {"mixtral-8x7b-instruct-v0.1": "mistralai/Mixtral-8x7B-Instruct-v0.1"}


def draft_routellm(rows: Rows, name: str) -> Draft:
    """Whether each model answered right: quality 1 or 0.

    Each column of True and False is a model; the answers' texts
    (``<model>_response``) and other columns are ignored.
    """
    require(rows, "prompt")
    result = _draft(rows, name, text="prompt")
    models = [
        column
        for column, values in rows.columns.items()
        if column != "prompt" and not column.endswith("_response") and _mostly_truths(values)
    ]
    if not models:
        raise CorpusError(
            f"{rows.file}: no column of True and False; expected one a model, with whether it "
            f"answered right; found {', '.join(map(shown, list(rows.columns)[:12]))}; for tasks "
            "of your own, call the columns id and text"
        )
    for model in models:
        right = [_truth(value) for value in rows.columns[model]]
        for row, value in enumerate(rows.columns[model]):
            if value is not None and right[row] is None:
                result.problems.setdefault(
                    row, f"{model}: expected True or False, found {shown(value)}"
                )
        agent = _RENAMED.get(model, model)
        result.columns[f"outcomes.{agent}.quality"] = RawColumn(model, right)
    return result


def _truth(value: Any) -> float | None:
    return _TRUTHS.get(str(value).lower())


def _mostly_truths(values: list[Any]) -> bool:
    return 2 * sum(_truth(value) is not None for value in values) > len(values)


def draft_paretobandit(rows: Rows, name: str) -> Draft:
    """Reward (0 to 1) and cost (USD per call) of each model; the source is the category."""
    require(rows, "prompt", "arms")
    result = _draft(rows, name, text="prompt", category="source")
    for model, arms in unnest(rows.columns["arms"], "arms", result.problems).items():
        label = f"arms.{model}"
        recorded = unnest(arms, label, result.problems)
        for ours, theirs in (("quality", "reward"), ("cost", "cost")):
            if theirs in recorded:
                column = RawColumn(f"{label}.{theirs}", recorded[theirs])
                result.columns[f"outcomes.{model}.{ours}"] = column
    return result


def draft_dcrouter(rows: Rows, name: str) -> Draft:
    """Score (0 to 1) of each model, without costs.

    ``cluster_id`` is ignored: the authors made it from the scores, so as a category
    it would tell a policy the outcomes.
    """
    require(rows, "question", "scores")
    result = _draft(rows, name, text="question")
    for model, scores in unnest(rows.columns["scores"], "scores", result.problems).items():
        result.columns[f"outcomes.{model}.quality"] = RawColumn(f"scores.{model}", scores)
    return result


def draft_azure(rows: Rows, name: str) -> Draft:
    """Arrivals in seconds from the earliest, prompt and output tokens; no texts."""
    require(rows, "TIMESTAMP", "ContextTokens", "GeneratedTokens")
    result = _draft_trace(rows, name, "ContextTokens", "GeneratedTokens")
    stamps = RawColumn("TIMESTAMP", rows.columns["TIMESTAMP"])
    seconds, _ = seconds_from_earliest(stamps, result.problems)
    result.columns["arrived_at"] = RawColumn("TIMESTAMP", seconds)
    return result


def draft_mooncake(rows: Rows, name: str) -> Draft:
    """Arrivals (ms in the file), prompt and output tokens; no texts."""
    require(rows, "timestamp", "input_length", "output_length")
    result = _draft_trace(rows, name, "input_length", "output_length")
    result.columns["arrived_at"] = RawColumn("timestamp", rows.columns["timestamp"], divisor=1000.0)
    return result


def _draft(rows: Rows, name: str, **labels: str) -> Draft:
    """A draft with ids from record numbers, and columns as they are in the file."""
    ids = [f"{name}-{number:05d}" for number in rows.numbers]
    columns = {"id": RawColumn("id", ids)}
    for ours, theirs in labels.items():
        if theirs in rows.columns:
            columns[ours] = RawColumn(theirs, rows.columns[theirs])
    return Draft(rows, columns)


def _draft_trace(rows: Rows, name: str, prompt_tokens: str, output_tokens: str) -> Draft:
    result = _draft(rows, name, prompt_tokens=prompt_tokens, output_tokens=output_tokens)
    result.columns["text"] = RawColumn("text", [""] * len(rows))
    return result


def _draft_own(rows: Rows, name: str) -> Draft:
    return draft_own(rows)


@dataclass(frozen=True)
class Format:
    """The format of a file.

    Attributes
    ----------
    kind : str
        Its form on disk, one of :data:`routingsim.corpora.readers.KINDS`.
    signs : tuple of str
        The columns that identify it.
    draft : callable
        Makes a draft from rows and the corpus's name.
    """

    kind: str
    signs: tuple[str, ...]
    draft: Callable[[Rows, str], Draft]


FORMATS: Mapping[str, Format] = {
    "paretobandit": Format("json", ("prompt", "arms"), draft_paretobandit),
    "dcrouter": Format("json", ("question", "scores"), draft_dcrouter),
    "mooncake": Format("json", ("timestamp", "input_length", "output_length"), draft_mooncake),
    "azure": Format("csv", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), draft_azure),
    "routellm": Format("csv", ("prompt",), draft_routellm),
    "jsonl": Format("json", ("id", "text"), _draft_own),
    "csv": Format("csv", ("id", "text"), _draft_own),
    "parquet": Format("parquet", ("id", "text"), _draft_own),
}
"""Every format by its name."""


def draft(data: bytes, file: str, name: str, format: str | None = None) -> Draft:
    """A draft from the bytes of a file; its format is recognised where not given.

    Parameters
    ----------
    data : bytes
        The whole file, possibly gzipped.
    file : str
        Its path, for messages and its suffix.
    name : str
        The corpus's name, for ids where the file has none.
    format : str, optional
        One of :data:`FORMATS`.

    Raises
    ------
    CorpusError
        If the format is unknown or the file does not have it.
    """
    if format is not None:
        if format not in FORMATS:
            raise CorpusError(f"format is {shown(format)}; allowed are {', '.join(FORMATS)}")
        return FORMATS[format].draft(parse(data, file, FORMATS[format].kind), name)
    rows = parse(data, file)
    for known in FORMATS.values():
        if known.kind == rows.kind and all(sign in rows.columns for sign in known.signs):
            return known.draft(rows, name)
    # None fits: the errors of our own format say what is missing.
    return draft_own(rows)
