"""Metrics of routing, each by the paper that defined it, over plain arrays."""

from routingsim.evaluation.metrics.arena import (
    arena_score,
    cost_ratio,
    cost_score,
    optimal_selection,
    robustness,
)
from routingsim.evaluation.metrics.regret import (
    Gains,
    Recovery,
    Regret,
    cumulative_regret,
    gains,
    recovery,
)
from routingsim.evaluation.metrics.routellm import RoutingCurve, apgr, cpt, pgr, routing_curve
from routingsim.evaluation.metrics.routerbench import (
    Hull,
    aiq,
    non_decreasing_hull,
    oracle,
    zero_router,
)
from routingsim.evaluation.metrics.timed import Timed, timed_quality, timed_replay

__all__ = [
    "Gains",
    "Hull",
    "Recovery",
    "Regret",
    "RoutingCurve",
    "Timed",
    "aiq",
    "apgr",
    "arena_score",
    "cost_ratio",
    "cost_score",
    "cpt",
    "cumulative_regret",
    "gains",
    "non_decreasing_hull",
    "optimal_selection",
    "oracle",
    "pgr",
    "recovery",
    "robustness",
    "routing_curve",
    "timed_quality",
    "timed_replay",
    "zero_router",
]
