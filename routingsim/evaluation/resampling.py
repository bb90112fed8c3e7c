"""A corpus as a sample of tasks: what other corpora of the same kind would have shown.

More replications make a figure of *these* tasks as exact as one likes; what it would be on
other tasks like these, only more tasks can tell. So each policy is also run on corpora drawn
from the corpus with replacement (bootstrap: Efron & Tibshirani, *An Introduction to the
Bootstrap*, 1993, ch. 6 and 8). A drawn task keeps its place in the run, and the places of the
tasks that were not drawn go to the further copies of those that were: arrivals, order and
service noise stay those of the study's own runs, so the differences between the resamples
come from the tasks. Tasks with the same or nearly the same prompt are drawn together.

The variance of a mean over R runs of a corpus of N tasks is then

    V = N / (N - 1) · var_b(M*_b) + s² / R

with M*_b the mean over the runs of resample b, and s² the variance between the study's own
runs. The first part belongs to the corpus and no number of runs makes it smaller.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from routingsim import rng
from routingsim.caching import cached_property
from routingsim.evaluation.intervals import combined, exact_difference
from routingsim.policies.folds import prompts as prompts  # offered beside independent()
from routingsim.simulation.statistics import Interval

CORPORA = 20
"""Corpora drawn from that of a study."""

RUNS = 2
"""Runs of each: the first of the study's own."""

LEAST = 50
"""Independent tasks or prompts below which a corpus says nothing of other tasks."""


def independent(group: NDArray[np.intp]) -> int:
    """How many prompts there are, those asked more often than others counting for less.

    The effective number of Kish (*Survey Sampling*, 1965): (Σ n)² / Σ n², with n the number
    of records of each prompt. It is the number of prompts where all are asked equally often.
    """
    sizes = np.unique(group, return_counts=True)[1].astype(np.float64)
    return round(float(sizes.sum() ** 2 / (sizes**2).sum())) if sizes.size else 0


def stand_ins(group: NDArray[np.intp], seed: int, *, in_order: bool = False) -> NDArray[np.int32]:
    """The record that stands for each record in each resample, shape (CORPORA, records).

    Prompts are drawn with replacement. A record whose prompt was drawn stands for itself;
    the others are replaced by the further copies, in random order. Where prompts have
    different numbers of records, copies are repeated or left out to fill the places.

    With ``in_order`` the copies take the places in the order of the file, so that each comes
    near its own place, by the square root of the number of records or so: tasks that go with
    the order or their times still do so.
    """
    members = np.argsort(group, kind="stable")
    prompt = np.unique(group, return_inverse=True)[1]
    sizes = np.bincount(prompt)
    begins = np.concatenate([[0], np.cumsum(sizes)])
    drawn = np.empty((CORPORA, group.size), dtype=np.int32)
    for b in range(CORPORA):
        dice = np.random.default_rng([seed & (2**63 - 1), rng.RESAMPLE, b])
        times = np.bincount(dice.integers(0, sizes.size, sizes.size), minlength=sizes.size)
        further = np.repeat(np.arange(sizes.size), np.maximum(times - 1, 0))
        copies = [members[begins[g] : begins[g + 1]] for g in further.tolist()]
        drawn[b] = np.arange(group.size)
        empty = np.flatnonzero(times[prompt] == 0)
        if empty.size:
            filled = np.resize(dice.permutation(np.concatenate(copies)), empty.size)
            drawn[b, empty] = np.sort(filled) if in_order else filled
    return drawn


def scale(
    group: NDArray[np.intp], drawn: NDArray[np.int32], rows: Sequence[NDArray[np.int32]]
) -> float:
    """The factor from the variance between resamples to that between corpora.

    It is such that the variance of a mean over tasks has the right expectation: N / (N - 1)
    where each run takes each of N different tasks once, and less where a run takes only a
    part of the corpus, so that its resamples differ by more than corpora do.

    Parameters
    ----------
    group : ndarray of int, shape (records,)
        As :func:`routingsim.policies.folds.prompts` gives it.
    drawn : ndarray of int, shape (resamples, records)
        As :func:`stand_ins` gives it.
    rows : list of ndarray of int
        The record of each task of each run that is repeated.
    """
    prompt = np.unique(group, return_inverse=True)[1]
    share = np.bincount(prompt) / prompt.size
    met = np.concatenate(rows)
    shares = np.array(
        [np.bincount(prompt[each[met]], minlength=share.size) / met.size for each in drawn]
    )
    between = float(shares.var(axis=0, ddof=1).sum())
    return float((share**2).sum()) / between if between > 0 else 1.0


@dataclass(frozen=True, eq=False)
class Resamples:
    """The corpora drawn for a study, once for all its policies and loads.

    Attributes
    ----------
    group : ndarray of int, shape (records,)
        As :func:`routingsim.policies.folds.prompts` gives it.
    seed : int
        Of the study.
    in_order : bool
        Whether runs keep the order of the file: see :func:`stand_ins`.
    """

    group: NDArray[np.intp]
    seed: int
    in_order: bool = False
    _scales: dict[bytes, float] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def drawn(self) -> NDArray[np.int32]:
        """As :func:`stand_ins` gives it, when first asked for."""
        return stand_ins(self.group, self.seed, in_order=self.in_order)

    @cached_property
    def independent(self) -> int:
        """Independent prompts: :func:`independent`."""
        return independent(self.group)

    def scale(self, rows: Sequence[NDArray[np.int32]]) -> float:
        """As :func:`scale` gives it: the runs of all policies take the same tasks."""
        key = b"".join(each.tobytes() for each in rows)
        if key not in self._scales:
            self._scales[key] = scale(self.group, self.drawn, rows)
        return self._scales[key]


@dataclass(frozen=True, eq=False)
class Sampled:
    """A metric of each run and of each resample.

    Attributes
    ----------
    runs : ndarray, shape (runs,)
    resamples : ndarray, shape (resamples, repeated runs)
    scale : float
        As :func:`scale` gives it.
    prompts : int
        Independent prompts of the corpus (:func:`independent`).
    """

    runs: NDArray[np.float64]
    resamples: NDArray[np.float64]
    scale: float
    prompts: int
    method = f"paired t over replications and {CORPORA} resampled corpora"

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which runs have a value."""
        return ~np.isnan(self.runs)

    def less(self, other: "Sampled") -> "Sampled":
        """The differences from another policy, run by run and resample by resample."""
        return replace(
            self,
            runs=exact_difference(self.runs, other.runs),
            resamples=exact_difference(self.resamples, other.resamples),
        )

    def interval(self, level: float = 0.95) -> tuple[Interval, float]:
        """The interval of the mean on tasks like these, and the p-value of a mean of 0.

        Student's t, with Satterthwaite's degrees of freedom: of the corpus's part from
        1 / (1 / (CORPORA - 1) + 1 / (N - 1)) for N prompts, of the runs' part one less than
        their number. NaNs are left out; where half of the resamples are, there is no
        interval.
        """
        runs = self.runs[self.known]
        means = self.resamples.mean(axis=1)
        means = means[~np.isnan(means)]
        mean = float(runs.mean()) if runs.size else math.nan
        if runs.size < 2 or 2 * means.size < CORPORA or self.prompts < 2:
            return Interval(mean, math.nan, level), math.nan
        freedom = 1 / (1 / (means.size - 1) + 1 / (self.prompts - 1))
        of_corpus = self.scale * float(means.var(ddof=1)), freedom
        of_runs = float(runs.var(ddof=1)) / runs.size, runs.size - 1
        return combined(mean, (of_corpus, of_runs), level=level)
