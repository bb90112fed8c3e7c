"""Designs: which points of the space of what is varied are run.

A grid takes every combination; a Latin hypercube (McKay, Beckman & Conover, Technometrics 21,
1979) and a Sobol sequence (with Owen's scrambling) spread a number of points evenly.
"""

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from routingsim.errors import SimulationError, did_you_mean
from routingsim.simulation.arrivals.checks import is_finite, is_whole

Design = Literal["grid", "latin-hypercube", "sobol"]
"""Which points are run."""

RANGE = ("from", "to", "steps", "log")
"""The fields of a range."""


@dataclass(frozen=True)
class Axis:
    """What is varied: a list of values, or a range of numbers.

    Attributes
    ----------
    name : str
    values : tuple
        The values of a list, or those of a grid over the range; empty for a range without
        steps, which only points can be drawn from.
    low, high : float
        The ends of a range.
    log : bool
        Whether the range is even in the logarithm.
    whole : bool
        Whether it is one of whole numbers: where both ends are written as such.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False

    def at(self, share: float) -> Any:
        """The value at a share of the way, in [0, 1)."""
        if math.isnan(self.low):
            return self.values[int(share * len(self.values))]
        if self.whole and not self.log:
            return int(self.low) + int(share * (self.high - self.low + 1))
        if self.log:
            value = self.low * (self.high / self.low) ** share
            return round(value) if self.whole else float(value)
        return float(self.low + share * (self.high - self.low))


def axis(name: str, given: Any) -> Axis:
    """What is varied, from a list of values or a mapping with ``from`` and ``to``.

    Raises
    ------
    SimulationError
        If the list is empty or has a value twice, or the range is none.
    """
    if isinstance(given, Mapping):
        return _range(name, given)
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray | range):
        given = [given]
    values = [each.item() if isinstance(each, np.generic) else each for each in given]
    if not values:
        raise SimulationError(f"vary {name}: the list is empty; one value or more is needed")
    for k, value in enumerate(values):
        if any(value is other or _equal(value, other) for other in values[:k]):
            raise SimulationError(f"vary {name}: {value!r} occurs twice")
    return Axis(name, tuple(values))


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and isinstance(one, str | int | float) and one == other


def _range(name: str, given: Mapping[str, Any]) -> Axis:
    for key in given:
        if key not in RANGE:
            raise SimulationError(
                f"vary {name}: no field {key!r}; a range has {', '.join(RANGE)}"
                f"{did_you_mean(str(key), RANGE)}"
            )
    low, high, log = given.get("from"), given.get("to"), given.get("log", False)
    numbers = is_finite(low) and is_finite(high) and low < high  # type: ignore[operator]
    if not (numbers and isinstance(log, bool) and (not log or low > 0)):  # type: ignore[operator]
        raise SimulationError(
            f"vary {name}: {dict(given)!r} is no range; from and to are needed, two numbers of "
            "which the second is higher (both above 0 with log = true)"
        )
    whole = is_whole(low) and is_whole(high)
    found = Axis(name, (), float(low), float(high), log, whole)  # type: ignore[arg-type]
    steps = given.get("steps")
    if steps is None:
        return found
    if not is_whole(steps) or steps < 2:
        raise SimulationError(f"vary {name}: steps={steps!r}; a whole number, 2 or more, is needed")
    spaced = np.geomspace if log else np.linspace
    spread = spaced(found.low, found.high, steps).tolist()
    values = [*(float(f"{each:.12g}") for each in spread[:-1]), found.high]  # .3, not .30000…04
    kept = dict.fromkeys(round(each) for each in values) if whole else dict.fromkeys(values)
    return Axis(name, tuple(kept), found.low, found.high, log, whole)


def points(axes: Sequence[Axis], design: str, count: int | None, seed: int) -> list[dict[str, Any]]:
    """The settings to run, each a value by axis, without repetitions.

    Parameters
    ----------
    axes : sequence of Axis
    design : {"grid", "latin-hypercube", "sobol"}
    count : int, optional
        Points of a Latin hypercube or Sobol sequence; none for a grid.
    seed : int
        Of the points.

    Raises
    ------
    SimulationError
        If there is nothing to vary, or the design and the number of points do not go together.
    """
    if design not in get_args(Design):
        raise SimulationError(
            f"design={design!r}: choose one of {', '.join(get_args(Design))}"
            f"{did_you_mean(str(design), get_args(Design))}"
        )
    if not axes:
        raise SimulationError(
            'vary: nothing is varied; give lists or ranges by name, as {"load": [0.3, 0.6]}'
        )
    if design == "grid":
        if count is not None:
            raise SimulationError(
                f"points={count!r}: a grid has every combination; leave it out, or choose the "
                "design latin-hypercube or sobol"
            )
        if bare := [each.name for each in axes if not each.values]:
            raise SimulationError(f"vary {bare[0]}: in a grid a range needs steps")
        combined = itertools.product(*(each.values for each in axes))
        return [dict(zip((a.name for a in axes), each, strict=True)) for each in combined]
    if not is_whole(count) or count < 1:  # type: ignore[operator]
        raise SimulationError(f"points={count!r}: the design {design} needs a number of points")
    drawn = _drawn(design, len(axes), int(count), seed)  # type: ignore[arg-type]
    found = [{a.name: a.at(u) for a, u in zip(axes, row, strict=True)} for row in drawn.tolist()]
    return list(
        {
            tuple((k, id(v) if callable(v) else repr(v)) for k, v in each.items()): each
            for each in found
        }.values()
    )


def _drawn(design: str, dimensions: int, count: int, seed: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed & (2**63 - 1))
    if design == "latin-hypercube":
        return qmc.LatinHypercube(dimensions, rng=generator).random(count)
    with warnings.catch_warnings():  # its balance at other numbers than powers of two
        warnings.simplefilter("ignore", UserWarning)
        return qmc.Sobol(dimensions, rng=generator).random(count)
