"""How far two policies differ, as predicates with 95 % confidence intervals (CI).

Each takes the interval of one policy's figure less the other's. Where that contains 0 the
difference may be chance, and the predicate says so.
"""

import math

from routingsim.formatting import duration, number, percent, usd
from routingsim.simulation.statistics import Interval


def cost_difference(one: float, other: float, whose: str, interval: Interval) -> str:
    """A mean cost compared with that of the policy ``whose``, with the difference's interval."""
    if one != other and _may_be_chance(interval):
        said = f"costs as much as {whose}, as far as can be told"
        if other == 0:
            return said
        low, high = (100 * end / other for end in (interval.low, interval.high))
        return said + _ends(max(low, -100), high, "+.0f", "%")
    said = compare_costs(one, other, whose)
    if one == other or other == 0:
        return said
    if one / other >= 2:
        low, high = (1 + end / other for end in (interval.low, interval.high))
        return f"{said} (95 % CI {number(low, 2)}–{number(high, 2)})"
    low, high = _sizes(interval, 100 / other)
    if interval.mean < 0:
        high = min(high, 100.0)
    return f"{said} (95 % CI {_range(low, high)} %)"


def compare_costs(one: float, other: float, whose: str) -> str:
    """A cost compared with that of the policy ``whose``: ``costs 31 % less than threshold``."""
    if one == other:
        return f"costs the same as {whose}"
    if other == 0:
        return f"costs {usd(1000 * one)} per 1,000 tasks, where {whose} costs nothing"
    change = one / other - 1
    if abs(change) < 0.005:
        return f"costs about the same as {whose}"
    if change >= 1:
        return f"costs {number(one / other, 2)} times as much as {whose}"
    return f"costs {percent(abs(change))} {'more' if change > 0 else 'less'} than {whose}"


def quality_difference(interval: Interval, of: str = "", how: str = "") -> str:
    """How much better or worse the answers are, in points: hundredths of the scale from 0 to 1.

    ``of`` says of which tasks (`` of all tasks``); ``how`` how it is known (``; estimated``).
    """
    if interval.mean == 0 and interval.half_width == 0:
        return f" at the same quality{of}"
    if _may_be_chance(interval):
        said = f", at a quality{of} that cannot be told apart"
        return said + _ends(100 * interval.low, 100 * interval.high, "+.1f", f"points{how}")
    low, high = _sizes(interval, 100)
    more = "higher" if interval.low > 0 else "lower"
    size = f"{abs(100 * interval.mean):.1f} points’"
    return f" at {size} {more} quality{of} (95 % CI {low:.1f}–{high:.1f}{how})"


def zero_router_difference(name: str, interval: Interval) -> str:
    """A policy's quality less that of its zero router, as a sentence."""
    control = "zero-router, which reads no task and mixes single agents at its cost"
    if _may_be_chance(interval):
        return f"{name} cannot be told apart in quality from {control}."
    low, high = _sizes(interval, 100)
    more = "better" if interval.low > 0 else "worse"
    size = f"{abs(100 * interval.mean):.1f} points (95 % CI {low:.1f}–{high:.1f})"
    return f"{name} has {more} answers than {control}, by {size}."


def latency_difference(interval: Interval) -> str:
    """How much higher or lower a latency is."""
    if interval.mean == 0 and interval.half_width == 0:
        return "the same"
    if _may_be_chance(interval):
        return "cannot be told apart" + _ends(interval.low, interval.high, "+.2g", "s")
    low, high = _sizes(interval, 1)
    more = "higher" if interval.low > 0 else "lower"
    return f"{duration(abs(interval.mean))} {more} (95 % CI {_range(low, high)} s)"


def interval_ends(interval: Interval) -> str:
    """The ends of an interval of a positive figure: ``1.2–2.4``."""
    return _range(interval.low, interval.high)


def _may_be_chance(interval: Interval) -> bool:
    """Whether the interval contains 0, or has no width to tell by."""
    return not (interval.low > 0 or interval.high < 0)


def _ends(low: float, high: float, form: str, unit: str) -> str:
    """The interval of a difference that may be chance, if it has a width."""
    return "" if math.isnan(high) else f" (95 % CI {low:{form}} to {high:{form}} {unit})"


def _sizes(interval: Interval, scale: float) -> tuple[float, float]:
    """The ends of the interval without their sign, the smaller first."""
    low, high = sorted((abs(scale * interval.low), abs(scale * interval.high)))
    return low, high


def _range(low: float, high: float) -> str:
    """Two ends with the decimals that tell them apart."""
    decimals = next((d for d in range(5) if round(low, d) != round(high, d)), 0)
    decimals = decimals if high >= 10 else max(decimals, 1)
    return f"{low:,.{decimals}f}–{high:,.{decimals}f}"
