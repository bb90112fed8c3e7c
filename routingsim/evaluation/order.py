"""Whether the tasks of a corpus depend on their order, which a random order would lose.

A log has hours with hard tasks and hours with easy ones, and a file may be sorted by subject. Each
of the length of the prompt, the category, and each agent's mean service time and recorded quality
is tested twice against the hypothesis that every order is as likely:

- *neighbours*: the correlation of successive ranks, which is normal with mean -1/n and variance
  1/n (Wald & Wolfowitz, Ann. Math. Stat. 14, 1943); of categories the number of runs, normal
  with the moments of Mood, Ann. Math. Stat. 11, 1940;
- *tenths* of the file: the test of Kruskal and Wallis (JASA 47, 1952), of categories Pearson's
  chi-squared.

A quantity depends on the order where the smaller p-value, times the number of tests, is below
``LEVEL``. Where tasks with the same prompt all have the same value, only the first of each counts:
a few prompts that are asked in turn would otherwise count again in each round.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.policies.folds import prompts
from routingsim.simulation.state import Workload

LEVEL = 0.01
"""Chance of a note on a corpus whose order means nothing."""

LEAST = 50
"""Tasks below which nothing is tested."""

_TENTHS = 10
_LENGTH = "the length of the prompt"


@dataclass(frozen=True)
class OrderTest:
    """How a quantity goes with the order of the tasks.

    Attributes
    ----------
    name : str
        What was tested.
    p_value : float
        The smaller of the two, times the number of all tests, at most 1.
    figures : str
        How far neighbours and tenths are from a random order, in words.
    """

    name: str
    p_value: float
    figures: str


def order_tests(corpus: Corpus, pool: AgentPool, work: Workload) -> tuple[OrderTest, ...]:
    """The quantities that go with the order of the tasks; none for a small corpus.

    Parameters
    ----------
    corpus : Corpus
    pool : AgentPool
        The agents.
    work : Workload
        The records of the corpus: mean service times, and qualities, which are tested where
        all are recorded.
    """
    if len(corpus) < LEAST:
        return ()
    numbers = {_LENGTH: np.log1p(work.prompt_tokens)}
    for what, table in (("service time", work.service), ("quality", work.quality)):
        numbers |= {f"the {what} of {agent}": table[:, k] for k, agent in enumerate(pool.ids)}
    varying = {
        name: values
        for name, values in numbers.items()
        if np.isfinite(values).all() and np.ptp(values) > 0
    }
    labels = corpus.tasks["category"].to_numpy(str)
    group = prompts(corpus)
    varying = {name: _once(values, group) for name, values in varying.items()}
    varying = {name: values for name, values in varying.items() if values.size >= LEAST}
    labels = _once(labels, group)
    several = len(set(labels.tolist())) > 1 and labels.size >= LEAST
    tests = 2 * (len(varying) + several)
    found = [_of_numbers(name, values, tests) for name, values in varying.items()]
    if several:
        found.append(_of_labels(labels.tolist(), tests))
    return tuple(each for each in found if each.p_value < LEVEL)


def _once(values: NDArray[Any], group: NDArray[np.intp]) -> NDArray[Any]:
    """The first value of each prompt where all of its are the same; all values where not."""
    first, prompt = np.unique(group, return_index=True, return_inverse=True)[1:]
    return values[np.sort(first)] if (values == values[first][prompt]).all() else values


def order_note(tests: Sequence[OrderTest], *, kept: bool, has_arrivals: bool) -> str:
    """What follows from tests for a study's runs; "" where there is nothing to say.

    Parameters
    ----------
    tests : sequence of OrderTest
    kept : bool
        Whether the runs keep the order of the file.
    has_arrivals : bool
        Whether the corpus has times of its own.
    """
    if not tests:
        return ""
    said = "; ".join(f"{each.name} ({each.figures})" for each in tests)
    if kept:
        return (
            "the runs keep the order of the file, as a policy of the study learns and tasks go "
            f"with their order: {said}"
        )
    remedy = (
        'arrivals="corpus" keeps each at its own time'
        if has_arrivals
        else "replay() keeps their order"
    )
    return (
        "the runs deal the tasks to other times, and tasks go with their order: "
        f"{said}. Queues and policies that learn would meet another stream; {remedy}"
    )


def _of_numbers(name: str, values: NDArray[np.float64], tests: int) -> OrderTest:
    count = values.size
    _, tied, ties = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[tied]
    centred = rank - rank.mean()
    neighbours = float(centred[1:] @ centred[:-1] / (centred @ centred))
    beside = _two_sided((neighbours + 1 / count) * math.sqrt(count))
    tenths = np.array_split(values, _TENTHS)
    sums = sum(float(part.sum()) ** 2 / part.size for part in np.array_split(rank, _TENTHS))
    between = 12 * sums / (count * (count + 1)) - 3 * (count + 1)  # Kruskal and Wallis
    between /= 1 - float((ties**3.0 - ties).sum()) / (count**3.0 - count)
    apart = special.chdtrc(_TENTHS - 1, between)
    p = min(1.0, min(beside, float(apart)) * tests)
    means = [float(part.mean()) for part in tenths]
    shown = [math.expm1(mean) if name == _LENGTH else mean for mean in means]
    low, high = min(shown), max(shown)
    unit = " tokens" if name == _LENGTH else ""
    figures = (
        f"neighbours correlate {neighbours:+.2f}; the mean of a tenth of the file goes from "
        f"{low:.3g} to {high:.3g}{unit}; p {_p(p)}"
    )
    return OrderTest(name, p, figures)


def _of_labels(labels: Sequence[str], tests: int) -> OrderTest:
    names, codes = np.unique(labels, return_inverse=True)
    count, sizes = codes.size, np.bincount(codes).astype(np.float64)
    alike = float((codes[1:] == codes[:-1]).mean())
    squares, cubes = float((sizes**2).sum()), float((sizes**3).sum())
    mean = count + 1 - squares / count
    variance = (squares * (squares + count * (count + 1)) - 2 * count * cubes - count**3) / (
        count**2 * (count - 1)
    )
    runs = 1 + int((codes[1:] != codes[:-1]).sum())
    beside = _two_sided((runs - mean) / math.sqrt(variance)) if variance > 0 else 1.0
    part = np.minimum(np.arange(count) * _TENTHS // count, _TENTHS - 1)
    table = np.zeros((names.size, _TENTHS))
    np.add.at(table, (codes, part), 1)
    common = table[sizes >= 5 * _TENTHS]  # rarer ones would break the approximation
    rest = table[sizes < 5 * _TENTHS].sum(axis=0)
    if rest.sum():
        common = np.vstack([common, rest])
    even = np.outer(common.sum(axis=1), common.sum(axis=0)) / count
    apart = special.chdtrc((len(common) - 1) * (_TENTHS - 1), ((common - even) ** 2 / even).sum())
    p = min(1.0, min(beside, float(apart)) * tests)
    expected = (squares / count - 1) / (count - 1)
    figures = (
        f"{100 * alike:.0f} % of neighbours share one, {100 * expected:.0f} % would at random; "
        f"p {_p(p)}"
    )
    return OrderTest("the category", p, figures)


def _two_sided(z: float) -> float:
    return 2 * float(special.ndtr(-abs(z)))


def _p(value: float) -> str:
    return "< 1e-6" if value < 1e-6 else f"= {value:.1g}"
