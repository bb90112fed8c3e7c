"""Evaluations with a row a task, and columns of each agent's answers.

===============  ====================================================================
``routellm``     CSV: ``prompt``, a True/False column a model, ``<model>_response``
``paretobandit`` JSON lines: ``prompt``, ``source``, ``arms.<model>.reward|cost``
``dcrouter``     JSON, LLMRouter's wide form: ``question`` or ``query``,
                 ``scores.<model>``
``routerbench``  CSV or Parquet: ``sample_id``, ``prompt``, ``eval_name``, ``<model>``,
                 ``<model>|total_cost``, ``<model>|model_response``
===============  ====================================================================

``jsonl``, ``csv`` and ``parquet`` are our own format (:mod:`routingsim.corpora.own_format`). A
file with ``id`` and ``text`` is of our own format, whatever else it holds; a foreign format is
recognised only by all the fields that it always has. Where files of others have no ids, a task's
id is ``<corpus>-<number of the record>``. A note says what was taken from where.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routingsim.corpora.logs.own import are_calls
from routingsim.corpora.numbers import RawColumn
from routingsim.corpora.own_format import draft_own, left_columns
from routingsim.corpora.rows import Rows, shown, unnest
from routingsim.corpora.validation import Draft, require
from routingsim.errors import CorpusError

_TRUTHS = {"true": 1.0, "false": 0.0}
# A model's name in earlier files of RouteLLM, and in its present ones.
_RENAMED = {"mixtral-8x7b-instruct-v0.1": "mistralai/Mixtral-8x7B-Instruct-v0.1"}
_ROUTELLM = {*_RENAMED, *_RENAMED.values(), "gpt-4-1106-preview"}
# How a table's row numbers are called when it is saved by pandas.
_COST = "|total_cost"
_ROW_NUMBERS = ("column 1", "Unnamed: 0")


def draft_routellm(rows: Rows, name: str) -> Draft:
    """Whether each model answered right: quality 1 or 0.

    Each column of True and False is a model; the answers' texts
    (``<model>_response``) and other columns are left.
    """
    require(rows, "prompt")
    models = _routellm_models(rows)
    if not models:
        raise CorpusError(
            f"{rows.file}: no column of True and False; expected one a model, with whether it "
            f"answered right; found {', '.join(map(shown, rows.columns))}; for tasks "
            "of your own, call the columns id and text"
        )
    result = _draft(rows, name, "routellm", models, text="prompt")
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


def _is_routellm(rows: Rows) -> bool:
    """Whether there is nothing but prompts, models and their answers.

    A log may hold prompts and flags too: each model is one that RouteLLM publishes, or has
    a column of answers.
    """
    if "prompt" not in rows.columns:
        return False
    models = _routellm_models(rows)
    answers = {f"{model}_response" for model in models}
    rest = rows.columns.keys() - {"prompt", *_ROW_NUMBERS, *models, *answers}
    known = [model in _ROUTELLM or f"{model}_response" in rows.columns for model in models]
    return not rest and bool(known) and all(known)


def _routellm_models(rows: Rows) -> list[str]:
    return [
        column
        for column, values in rows.columns.items()
        if column != "prompt" and not column.endswith("_response") and _mostly_truths(values)
    ]


def _truth(value: Any) -> float | None:
    return _TRUTHS.get(str(value).lower())


def _mostly_truths(values: Sequence[Any]) -> bool:
    return 2 * sum(_truth(value) is not None for value in values) > len(values)


def draft_paretobandit(rows: Rows, name: str) -> Draft:
    """Reward (0 to 1) and cost (USD per call) of each model; the source is the category."""
    require(rows, "prompt", "arms")
    result = _draft(rows, name, "paretobandit", ["arms"], text="prompt", category="source")
    for model, arms in unnest(rows.columns["arms"], "arms", result.problems).items():
        label = f"arms.{model}"
        recorded = unnest(arms, label, result.problems)
        for ours, theirs in (("quality", "reward"), ("cost", "cost")):
            if theirs in recorded:
                column = RawColumn(f"{label}.{theirs}", recorded[theirs])
                result.columns[f"outcomes.{model}.{ours}"] = column
    return result


def _has_arms(rows: Rows) -> bool:
    """Whether the arms of some record have rewards and costs."""
    arms = next((each for each in rows.columns["arms"] if isinstance(each, dict) and each), {})
    return any(
        isinstance(each, dict) and {"reward", "cost"} <= each.keys() for each in arms.values()
    )


def draft_dcrouter(rows: Rows, name: str) -> Draft:
    """Score (0 to 1) of each model, without costs.

    ``cluster_id`` is left: the authors made it from the scores, so as a category
    it would tell a policy the outcomes.
    """
    text = "question" if "question" in rows.columns else "query"
    require(rows, text, "scores")
    result = _draft(rows, name, "dcrouter", ["scores"], text=text)
    for model, scores in unnest(rows.columns["scores"], "scores", result.problems).items():
        result.columns[f"outcomes.{model}.quality"] = RawColumn(f"scores.{model}", scores)
    return result


def draft_routerbench(rows: Rows, name: str) -> Draft:
    """Quality (0 to 1) and cost (USD per call) of each model; the benchmark is the category."""
    require(rows, "sample_id", "prompt")
    models = [column.removesuffix(_COST) for column in rows.columns if column.endswith(_COST)]
    others = [f"{model}{end}" for model in models for end in ("", _COST, "|model_response")]
    result = _draft(
        rows, name, "routerbench", [*others, "sample_id"], text="prompt", category="eval_name"
    )
    result.columns["id"] = RawColumn("sample_id", rows.columns["sample_id"])
    result.notes = [
        note.replace("id from the record's number", "id from sample_id") for note in result.notes
    ]
    for model in models:
        result.columns[f"outcomes.{model}.quality"] = RawColumn(model, rows.columns[model])
        cost = RawColumn(f"{model}{_COST}", rows.columns[f"{model}{_COST}"])
        result.columns[f"outcomes.{model}.cost"] = cost
    return result


def _has_costs(rows: Rows) -> bool:
    """Whether there is a model with its quality and its cost."""
    return any(
        column.endswith(_COST) and column.removesuffix(_COST) in rows.columns
        for column in rows.columns
    )


def _has_question(rows: Rows) -> bool:
    return "question" in rows.columns or "query" in rows.columns


def _draft(rows: Rows, name: str, format: str, others: Sequence[str], **labels: str) -> Draft:
    """A draft with ids from record numbers, columns as they are in the file, and a note.

    ``others`` are columns that the caller reads.
    """
    ids = [f"{name}-{number:05d}" for number in rows.numbers]
    columns = {"id": RawColumn("id", ids)}
    for ours, theirs in labels.items():
        if theirs in rows.columns:
            columns[ours] = RawColumn(theirs, rows.columns[theirs])
    text = f"text from {labels['text']}" if "text" in labels else "no texts"
    note = f"format {format}: id from the record's number, {text}"
    unused = [each for each in rows.columns if each not in (*others, *labels.values())]
    return Draft(rows, columns, notes=[f"{note}; {left_columns(unused)}" if unused else note])


@dataclass(frozen=True)
class Format:
    """The format of a file.

    Attributes
    ----------
    kinds : tuple of str
        Its forms on disk, of :data:`routingsim.corpora.rows.KINDS`.
    draft : callable
        Makes a draft from rows and the corpus's name; None for our own format.
    always : tuple of str
        The columns that it always has.
    fits : callable, optional
        Whether rows with these columns are of this format.
    """

    kinds: tuple[str, ...]
    draft: Callable[[Rows, str], Draft] | None = None
    always: tuple[str, ...] = ()
    fits: Callable[[Rows], bool] | None = None

    def recognises(self, rows: Rows) -> bool:
        """Whether a file is surely of this format."""
        return (
            self.draft is not None
            and rows.kind in self.kinds
            and all(each in rows.columns for each in self.always)
            and (self.fits is None or self.fits(rows))
        )


FORMATS: Mapping[str, Format] = {
    "paretobandit": Format(("json",), draft_paretobandit, ("prompt", "source", "arms"), _has_arms),
    "dcrouter": Format(
        ("json",),
        draft_dcrouter,
        ("scores", "cluster_id"),
        lambda rows: bool({"question", "query"} & rows.columns.keys()),
    ),
    "routellm": Format(("csv",), draft_routellm, ("prompt",), _is_routellm),
    "routerbench": Format(
        ("csv", "parquet"), draft_routerbench, ("sample_id", "prompt"), _has_costs
    ),
    "jsonl": Format(("json",)),
    "csv": Format(("csv",)),
    "parquet": Format(("parquet",)),
}
"""Every format by its name."""


def draft(rows: Rows, name: str, format: str | None = None, dates: str | None = None) -> Draft:
    """A draft of a corpus from the rows of a file.

    Parameters
    ----------
    rows : Rows
    name : str
        The corpus's name, for ids where the file has none.
    format : str, optional
        One of :data:`FORMATS`; default: our own.
    dates : {None, "month first", "day first"}
        The order in dates such as 10/6/2023, in our own format.

    Raises
    ------
    CorpusError
        If the file does not have the format.
    """
    foreign = FORMATS[format].draft if format else None
    return foreign(rows, name) if foreign else draft_own(rows, dates)


def format_of(rows: Rows) -> str | None:
    """The format of a sample: ours where it has ``id`` and ``text``; None where it is of none.

    Calls (:func:`routingsim.corpora.logs.own.are_calls`) are of none, whatever else they have.
    """
    names = rows.columns.keys()
    if are_calls(names):
        return None
    if {"id", "text"} <= names:
        return {"json": "jsonl"}.get(rows.kind, rows.kind)
    return next((name for name, each in FORMATS.items() if each.recognises(rows)), None)
