"""Targets that a pool and a policy have to meet, and whether an interval meets one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from routingsim.errors import SimulationError, did_you_mean, wrong_type
from routingsim.formatting import number, percent
from routingsim.simulation.arrivals.checks import is_finite
from routingsim.simulation.statistics import Interval

USD = "usd_per_hour"
"""The cost of calls and of slots, in an hour."""

AT_LEAST = ("quality_all", "goodput", "answered")
"""Metrics that a target bounds from below; all others are bounded from above."""

_TIMES = (
    *(f"{time}_{q}" for time in ("latency", "first_token") for q in ("mean", "p50", "p95", "p99")),
    "wait_mean",
)

METRICS = (
    *_TIMES,
    *AT_LEAST,
    "cost",
    USD,
)
"""What a target may bound: metrics of a study, and :data:`USD`."""

SHORT = {
    "mean": "latency_mean",
    "p50": "latency_p50",
    "p95": "latency_p95",
    "p99": "latency_p99",
    "wait": "wait_mean",
    "ttft": "first_token_p95",
    **{f"ttft_{q}": f"first_token_{q}" for q in ("mean", "p50", "p95", "p99")},
    "quality": "quality_all",
}
"""Short names of metrics."""

ANSWERED = 0.99
"""Share of tasks to be answered, where no target says otherwise: lost tasks have no latency."""

_IN_WORDS = {
    "quality_all": "mean quality",
    "answered": "share answered",
    "wait_mean": "mean wait",
    "latency_mean": "mean latency",
    "first_token_mean": "mean first token",
    "cost": "cost a task",
    USD: "cost",
}

UNITS = dict.fromkeys(_TIMES, " s") | {"goodput": "/s", "cost": " USD", USD: " USD/h"}


def in_words(metric: str) -> str:
    """What a metric is called in sentences and on axes."""
    return _IN_WORDS.get(metric, metric.replace("_", " "))


@dataclass(frozen=True)
class Target:
    """A bound on a metric: at most, or at least for :data:`AT_LEAST`."""

    metric: str
    bound: float

    @property
    def at_least(self) -> bool:
        """Whether the metric may not be below the bound."""
        return self.metric in AT_LEAST

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{in_words(self.metric)} {sign} {self.bound:g}{UNITS.get(self.metric, '')}"

    def shown(self, value: float) -> str:
        """A value of the metric, with three digits and no unit but that of a share."""
        if self.metric == "answered":
            return percent(value)
        return f"{value:.3f}" if self.metric == "quality_all" else number(value)

    def margin(self, value: float) -> float:
        """By how much a value is on the right side of the bound, in the metric's unit."""
        return value - self.bound if self.at_least else self.bound - value

    def shortfall(self, value: float) -> float:
        """By how much a value is on the wrong side, as a share of the bound; NaN is infinite."""
        missed = max(0.0, -self.margin(value)) / (self.bound or 1.0)
        return math.inf if math.isnan(value) else missed

    def verdict(self, interval: Interval) -> str:
        """``met`` or ``missed`` where the whole interval is on one side, else ``open``.

        An interval without a width, as of equal values, is its mean. One that is not known
        (NaN) is open, and an unknown mean, as of latencies where nothing is answered, missed.
        """
        if math.isnan(interval.mean):
            return "missed"
        if math.isnan(interval.half_width):
            return "open"
        ends = self.margin(interval.low), self.margin(interval.high)
        return "met" if min(ends) >= 0 else "missed" if max(ends) < 0 else "open"


def targets_of(
    slo: Mapping[str, float] | None, quality: float | None, budget: float | None
) -> tuple[Target, ...]:
    """The targets of a question; at least one of latency or quality.

    Raises
    ------
    SimulationError
        If there is none, a metric is unknown or a bound is not a number of 0 or more.
    """
    if not isinstance(slo, Mapping | None):
        raise SimulationError(wrong_type("slo", slo, "write {'latency_p95': 2.0}"))
    asked = {SHORT.get(name, name): bound for name, bound in (slo or {}).items()}
    if quality is not None:
        asked["quality_all"] = quality
    if not asked:
        raise SimulationError(
            "no target: give slo={'latency_p95': 2.0} (--slo p95=2), quality=0.85 or both"
        )
    if budget is not None:
        asked[USD] = budget
    for name, bound in asked.items():
        if name not in METRICS:
            hint = did_you_mean(name, [*METRICS, *SHORT])
            raise SimulationError(f"no metric {name!r} to aim at: {', '.join(METRICS)}{hint}")
        if not (is_finite(bound) and bound >= 0):
            raise SimulationError(f"target {name}={bound!r}: a number of 0 or more is needed")
    asked.setdefault("answered", ANSWERED)
    return tuple(Target(name, float(bound)) for name, bound in asked.items())
