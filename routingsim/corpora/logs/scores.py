"""Scores that people or judges gave to calls: which of them is the quality, on which scale."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routingsim.corpora.logs.fields import decoded
from routingsim.corpora.logs.shape import column
from routingsim.corpora.rows import Rows


def scores_in(name: str) -> Callable[[Rows], tuple[Mapping[str, str], Sequence[str]]]:
    """What :func:`score_fields` finds in the column of this name, as a shape asks for it."""
    return lambda rows: score_fields(column(rows, name), name)


def score_fields(values: Sequence[Any], column: str) -> tuple[Mapping[str, str], Sequence[str]]:
    """The field ``quality``, where a sample shows which score it is; else a note that asks.

    Parameters
    ----------
    values : sequence
        For each call an object of scores by name, a list of objects with name and value, or
        either as JSON.
    column : str
        Its name.

    Returns
    -------
    table : mapping of str to str
        A source of ``quality``, or nothing.
    notes : sequence of str
    """
    ranges: dict[str, tuple[float, float]] = {}
    end = ".avg" if any(_is_statistics(value) for value in values) else ""
    for value in values:
        for name, score in _scores(value):
            low, high = ranges.get(name, (score, score))
            ranges[name] = min(low, score), max(high, score)
    if not ranges:
        return {}, []
    name, (low, high) = next(iter(ranges.items()))
    if len(ranges) == 1 and low >= 0 and high <= 1:
        said = f"quality is the score {name} (from 0 to 1)"
        return {"quality": f"{column}.{name}{end}"}, [said]
    listed = ", ".join(f"{each} ({a:g} to {b:g})" for each, (a, b) in ranges.items())
    scale = f"{column}.{name}{end}:{min(low, 0):g}..{max(high, 1):g}"
    return {}, [
        f"scores {listed} are not read as quality: say which, and its scale from worst to best, as "
        f"in --map quality={scale}"
    ]


def _is_statistics(value: Any) -> bool:
    value = decoded(value) if isinstance(value, str) else value
    inner = list(value.values()) if isinstance(value, dict) else []
    return any(isinstance(each, dict) and "avg" in each for each in inner)


def _scores(value: Any) -> list[tuple[str, float]]:
    if isinstance(value, str):
        value = decoded(value)
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        found = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list):
        found = [
            (str(each.get("name") or each.get("key")), each.get("value"))
            for each in value
            if isinstance(each, dict)
        ]
    numbers = []
    for name, each in found:
        if isinstance(each, dict):  # statistics of feedback
            each = each.get("avg", each.get("value"))
        for one in each if isinstance(each, list) else [each]:
            if isinstance(one, int | float):
                numbers.append((name, float(one)))
    return numbers
