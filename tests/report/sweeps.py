"""The plan of a sweep whose cells are not run."""

from typing import Any

from routingsim.evaluation.sweeps.plan import Plan
from routingsim.evaluation.sweeps.sweep import planned


def plan_of(
    vary: dict[str, Any], design: str = "grid", points: int | None = None, **given: Any
) -> Plan:
    """The plan of a sweep of the shipped tasks with four replications of each cell."""
    usual = dict.fromkeys(("arrivals", "load", "rate", "tasks"))
    usual |= {"seed": 3, "replications": 4, "objective": 5.0, "right": 0.5, "common": True}
    return planned("tasks", None, "threshold", vary, design, points, **{**usual, **given})
