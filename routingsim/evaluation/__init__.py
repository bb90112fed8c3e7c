"""Evaluation: metrics, controls, confidence intervals, leaks, and estimates from logs."""

from routingsim.evaluation.controls.choices import (
    category_choice,
    hull_mix,
    length_choice,
    shuffled,
)
from routingsim.evaluation.controls.offline import (
    Control,
    ControlTable,
    control_table,
    recorded_controls,
)
from routingsim.evaluation.controls.permutation import TextUse, text_use
from routingsim.evaluation.controls.simulated import (
    assigned,
    chosen_by,
    control_policies,
    control_replays,
)
from routingsim.evaluation.intervals import (
    Difference,
    bootstrap,
    bootstrap_mean,
    holm,
    paired_bootstrap,
    paired_t,
    t_interval,
    verdict,
    versus,
)
from routingsim.evaluation.leakage import Leak, LeakReport, find_leaks, folds
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
from routingsim.evaluation.off_policy import Estimate, doubly_robust, ips, snips
from routingsim.evaluation.outcomes import Mean
from routingsim.evaluation.sweep import Sweep, sweep

__all__ = [
    "Control",
    "ControlTable",
    "Difference",
    "Estimate",
    "Gains",
    "Hull",
    "Leak",
    "LeakReport",
    "Mean",
    "Recovery",
    "Regret",
    "RoutingCurve",
    "Sweep",
    "TextUse",
    "Timed",
    "aiq",
    "apgr",
    "arena_score",
    "assigned",
    "bootstrap",
    "bootstrap_mean",
    "category_choice",
    "chosen_by",
    "control_policies",
    "control_replays",
    "control_table",
    "cost_ratio",
    "cost_score",
    "cpt",
    "cumulative_regret",
    "doubly_robust",
    "find_leaks",
    "folds",
    "gains",
    "holm",
    "hull_mix",
    "ips",
    "length_choice",
    "non_decreasing_hull",
    "optimal_selection",
    "oracle",
    "paired_bootstrap",
    "paired_t",
    "pgr",
    "recorded_controls",
    "recovery",
    "robustness",
    "routing_curve",
    "shuffled",
    "snips",
    "sweep",
    "t_interval",
    "text_use",
    "timed_quality",
    "timed_replay",
    "verdict",
    "versus",
    "zero_router",
]
