"""Records that were skipped: whether they are like those that were read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.checkup.finding import Finding

_LEAST = 10  # skipped records below which nothing is said of them
_LEVEL = 0.001  # chance that anything is said of records that were skipped at random
_MUCH = 0.02  # share of all records from which skipped ones make figures wrong
_LABELS = 50  # most different values of a column of labels


def skipped_records(columns: Mapping[str, Sequence[Any]], bad: NDArray[np.bool_]) -> list[Finding]:
    """A note that skipped records differ from those that were read, and in what they differ most.

    Compared are the shares of the values of columns with few of them (categories, agents), what
    is filled in, numbers, the length of texts, and places in the file. The smallest p-value
    counts, times the number of tests.

    Parameters
    ----------
    columns : mapping of str to sequence
        Raw values, one a record, of the columns in which no record is faulty.
    bad : ndarray of bool, shape (records,)
        Which records were skipped.
    """
    count, every = int(bad.sum()), bad.size
    if count < _LEAST or count > every - _LEAST:
        return []
    tests = [_position(bad)]
    for name, values in columns.items():
        if name != "id":
            tests += _of_column(name, values, bad)
    p, said = min(tests)
    if p * len(tests) >= _LEVEL:
        return []
    return [
        Finding(
            "records",
            "wrong" if count >= _MUCH * every else "suspicious",
            f"{count:,} of {every:,} records are skipped, and not at random: {said}",
            "every figure, as the tasks that are left are not those of the file",
            "correct the records; skipped lists each with its reason",
        )
    ]


def unreadable_records(numbers: Sequence[int], lost: int) -> list[Finding]:
    """A note that records cannot be read at all, so that only their places can be compared.

    Parameters
    ----------
    numbers : sequence of int
        The places among all records, from 1, of those that can be read.
    lost : int
        How many cannot.
    """
    every = len(numbers) + lost
    if lost < min(_LEAST, _MUCH * every) or not numbers:
        return []
    bad = np.ones(every, dtype=np.bool_)
    bad[np.asarray(numbers) - 1] = False
    p, where = _position(bad)
    said = f"; {where}" if lost >= _LEAST and p < _LEVEL else ""
    return [
        Finding(
            "records",
            "wrong" if lost >= _MUCH * every else "suspicious",
            f"{lost:,} of {every:,} records cannot be read at all, so whether their tasks are like "
            f"the rest is not known{said}",
            "every figure, if they are not",
            "correct the records; skipped lists each with its reason",
        )
    ]


def _position(bad: NDArray[np.bool_]) -> tuple[float, str]:
    place = np.arange(bad.size) / bad.size
    p = _rank_test(place[bad], place[~bad])
    where = np.median(place[bad])
    return p, f"half of them are in the {'first' if where < 0.5 else 'last'} " + (
        f"{100 * min(where, 1 - where):.0f} % of the file"
    )


def _of_column(name: str, values: Sequence[Any], bad: NDArray[np.bool_]) -> list[tuple[float, str]]:
    given = np.array([value is not None and value != "" for value in values])
    found = []
    if 0 < given.sum() < given.size:
        found.append(_shares(f"{name} is given", given, bad))
    flat = pd.Series([None if isinstance(v, dict | list) else v for v in values], dtype=object)
    read = pd.Series(pd.to_numeric(flat, errors="coerce"))
    numbers = read.to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(numbers)
    if known.sum() > given.sum() / 2:
        one, other = numbers[bad & known], numbers[~bad & known]
        if min(one.size, other.size) >= _LEAST and np.ptp(numbers[known]) > 0:
            p = _rank_test(one, other)
            found.append(
                (p, f"{name} is {one.mean():.3g} on average, {other.mean():.3g} in the rest")
            )
        return found
    labels = flat.where(given).astype("str")
    if labels.nunique() <= _LABELS:
        for label in sorted(set(labels[given].tolist())):
            found.append(_shares(f"{name} is {label}", (labels == label).to_numpy(), bad))
        return found
    length = labels.str.len().to_numpy(dtype=np.float64, na_value=0.0)
    if name == "text" and np.ptp(length) > 0:
        p = _rank_test(length[bad], length[~bad])
        of_both = (length[bad].mean(), length[~bad].mean())
        found.append(
            (p, "text has {:.0f} characters on average, {:.0f} in the rest".format(*of_both))
        )
    return found


def _shares(what: str, true: NDArray[np.bool_], bad: NDArray[np.bool_]) -> tuple[float, str]:
    """Fisher's exact test of a share among the skipped and the rest."""
    table = [[int((true & side).sum()), int((~true & side).sum())] for side in (bad, ~bad)]
    from scipy import stats  # takes long to load, and is seldom needed

    found: Any = stats.fisher_exact(table)
    p = float(found[1])
    here, there = (100 * one / (one + other) for one, other in table)
    return p, f"{what} in {here:.0f} % of them, and in {there:.0f} % of the rest"


def _rank_test(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The p-value of Mann and Whitney's test."""
    from scipy import stats  # takes long to load, and is seldom needed

    return float(stats.mannwhitneyu(one, other).pvalue)
