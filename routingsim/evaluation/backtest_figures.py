"""Predicted against recorded figures: intervals of a prediction, rolling windows, coverage.

A figure is predicted by replications, each a replay with a fit and draws of its own. Its 95 %
prediction interval is that of one further value of the same law,
``mean ± t sqrt(1 + 1/R) s`` over R replications (Hahn & Meeker, *Statistical Intervals*,
sec. 4.7), of logarithms where all values are above 0.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.95
"""The level of prediction intervals."""

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
LEAST = {"mean": 30, "p50": 20, "p95": 100, "p99": 500, "cost": 30, "error rate": 30}
"""Calls below which a figure has no verdict."""

IN_WINDOW = 200
"""Calls of a window, about."""

FEWEST, MOST = 5, 40  # windows side by side

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calls:
    """Calls in the order of their arrival, as recorded and as replayed.

    Attributes
    ----------
    agents : tuple of str
    agent : ndarray of int, shape (calls,)
    arrived : ndarray, shape (calls,)
        Seconds.
    measured : mapping of str to ndarray, shape (replications + 1, calls)
        "latency" and "ttft" (s; NaN without an answer), "cost" (USD) and "error rate" (1 where
        there was no answer); the last row is what was recorded. Those not recorded are not
        there.
    """

    agents: tuple[str, ...]
    agent: NDArray[np.integer]
    arrived: Floats
    measured: dict[str, Floats]

    def scopes(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """All calls, then those of each agent."""
        yield "all", np.ones(self.agent.size, bool)
        if len(self.agents) > 1:
            for position, name in enumerate(self.agents):
                yield name, self.agent == position


@dataclass(frozen=True)
class Prediction:
    """A figure as predicted, with its interval, beside the recorded one.

    ``variance`` is that of the prediction's logarithm, NaN where a value is 0.
    """

    agent: str
    figure: str
    calls: int
    recorded: float
    predicted: float
    low: float
    high: float
    variance: float

    @property
    def off(self) -> float:
        """Predicted over recorded, less 1; NaN where there is no verdict."""
        return self.predicted / self.recorded - 1 if self.recorded else math.nan

    @property
    def held(self) -> bool:
        """Whether the interval holds what was recorded, rounding apart."""
        slack = 1e-6 * abs(self.recorded)
        return self.low - slack <= self.recorded <= self.high + slack

    @property
    def verdict(self) -> str:
        """Whether the prediction agrees with the record within chance, in words."""
        if math.isnan(self.predicted):
            return "too few calls to say"
        return "as predicted" if self.held else "off"


def predictions(calls: Calls) -> list[Prediction]:
    """Every figure, of all calls and of each agent."""
    found = []
    for agent, mine in calls.scopes():
        for kind, table in calls.measured.items():
            found += _of(agent, kind, table[:, mine])
    return found


@dataclass(frozen=True)
class Coverage:
    """How often the predicted interval of a figure held what windows recorded.

    Attributes
    ----------
    agent, figure : str
    windows : int
        Rolling windows, each half over the one before.
    calls : int
        Consecutive calls in each.
    held : float
        Share of them in which it did.
    low, high : float
        95 % interval of that share (Wilson), of as many windows as neighbours that hang
        together are worth.
    errors : ndarray, shape (windows,)
        Logarithm of recorded over predicted.
    variances : ndarray, shape (windows,)
        Of the prediction's logarithm.
    """

    agent: str
    figure: str
    windows: int
    calls: int
    held: float
    low: float
    high: float
    errors: Floats
    variances: Floats

    @property
    def verdict(self) -> str:
        """What the share says of the intervals."""
        if self.high < LEVEL:
            return "too narrow"
        return "as promised" if self.low > LEVEL - 0.15 else "not contradicted"


def coverage(calls: Calls) -> list[Coverage]:
    """The coverage of each figure of which five windows or more have calls enough."""
    found = []
    for agent, mine in calls.scopes():
        size = int(mine.sum())
        count = min(MOST, size // IN_WINDOW)
        if count < FEWEST:
            continue
        length = size // count
        first = np.arange(2 * count - 1) * length // 2
        for kind, table in calls.measured.items():
            rows: dict[str, list[Prediction]] = {}
            for a in first.tolist():
                for each in _of(agent, kind, table[:, mine][:, a : a + length]):
                    if not math.isnan(each.predicted):
                        rows.setdefault(each.figure, []).append(each)
            found += [
                _covered(each, length) for each in rows.values() if len(each) >= 2 * FEWEST - 1
            ]
    return found


def _covered(windows: list[Prediction], calls: int) -> Coverage:
    held = np.array([each.held for each in windows], dtype=np.float64)
    low, high = wilson(float(held.mean()), worth(held))
    recorded = np.array([each.recorded for each in windows])
    predicted = np.array([each.predicted for each in windows])
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.log(recorded / predicted)
    return Coverage(
        windows[0].agent,
        windows[0].figure,
        held.size,
        calls,
        float(held.mean()),
        low,
        high,
        errors,
        np.array([each.variance for each in windows]),
    )


def worth(values: Floats) -> float:
    """How many independent windows rolling ones are worth: n (1 - r) / (1 + r).

    ``r`` is the correlation of neighbours; windows that overlap by half are worth half their
    number at most.
    """
    most = values.size / 2
    if np.ptp(values) == 0:
        return most
    apart = values - values.mean()
    r = float((apart[1:] * apart[:-1]).sum() / (apart**2).sum())
    return min(most, max(values.size * (1 - r) / (1 + r), 1.0))


def wilson(share: float, size: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    z2 = float(special.ndtri(0.975)) ** 2
    middle = (share + z2 / (2 * size)) / (1 + z2 / size)
    half = math.sqrt(z2 * (share * (1 - share) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    return max(0.0, middle - half), min(1.0, middle + half)


def _of(agent: str, kind: str, table: Floats) -> list[Prediction]:
    """The figures of a table, shape (replications + 1, calls), the last row the recorded one."""
    known = ~np.isnan(table)
    count = int(known[-1].sum())
    if not count:
        return []
    if kind in ("cost", "error rate"):
        both = table[:, known[-1]]
        values = both.sum(axis=1) if kind == "cost" else both.mean(axis=1, where=~np.isnan(both))
        return [_predicted(agent, kind, count, values)]
    counts = known.sum(axis=1)
    if not counts.all():
        return []
    ordered = np.sort(table, axis=1)  # NaN comes last
    found = [_predicted(agent, f"{kind} mean", count, np.nanmean(table, axis=1))]
    for name, share in QUANTILES.items():
        place = np.maximum(np.ceil(share * counts).astype(int) - 1, 0)
        values = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
        found.append(_predicted(agent, f"{kind} {name}", count, values))
    return found


def _predicted(agent: str, figure: str, count: int, values: Floats) -> Prediction:
    *draws, recorded = values.tolist()
    if count < LEAST[figure.rpartition(" ")[2] if figure not in LEAST else figure]:
        return Prediction(agent, figure, count, recorded, *[math.nan] * 4)
    log = min(draws) > 0
    found = np.log(draws) if log else np.array(draws)
    middle, spread = float(found.mean()), float(found.std(ddof=1)) * math.sqrt(1 + 1 / found.size)
    half = float(special.stdtrit(found.size - 1, (1 + LEVEL) / 2)) * spread
    ends = [middle, middle - half, middle + half]
    shown = [math.exp(each) if log else max(each, 0.0) for each in ends]
    return Prediction(
        agent, figure, count, recorded, *shown, variance=spread**2 if log else math.nan
    )


def believable(whole: Prediction, windows: Coverage | None) -> float:
    """The share from which on a difference is more than an error of the simulator.

    ``exp(|e| + 1.96 sqrt(v + t² / n)) - 1``: the error of the figure's logarithm over the whole
    time, the variance of its prediction, and what errors of windows vary by beyond chance, over
    the number of independent windows that they are worth. So a time of another mixture of slow
    and fast hours is allowed for.
    """
    error, variance = abs(math.log(whole.recorded / whole.predicted)), whole.variance
    if windows is not None:
        beyond = float((windows.errors - windows.errors.mean()).var() - windows.variances.mean())
        variance += max(beyond, 0.0) / worth(windows.errors)
    return math.expm1(error + float(special.ndtri(0.975)) * math.sqrt(variance))
