"""The controls that stand beside replays in plots and reports."""

from collections.abc import Sequence

import numpy as np

from routingsim.errors import CorpusError
from routingsim.evaluation.controls.simulated import control_replays
from routingsim.simulation.result import ReplayResult

__all__ = ["controls_beside"]


def controls_beside(results: Sequence[ReplayResult]) -> tuple[dict[str, ReplayResult], str]:
    """The controls of the first policy, by name, and why there are none if so.

    One that did just what a policy here did is left out; one of another's name is
    marked as a control.
    """
    try:
        found = control_replays(results[0])
    except CorpusError as error:
        return {}, str(error)
    names = {result.policy.name for result in results}
    return {
        f"{name} (control)" if name in names else name: run
        for name, run in found.items()
        if not any(np.array_equal(run.log.agent, result.log.agent) for result in results)
    }, ""
