"""What studies and sweeps share: what names a policy, and arrivals scaled to a load."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy
from routingsim.simulation.arrivals import Arrivals, ClosedLoop, realised
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.in_time import check_objectives

Wanted = str | Policy | Kernel | Callable[..., int]


def several(given: Any, single: Any = str | Policy | Kernel | Callable) -> list[Any]:
    """One value, of the types ``single`` or none to go through, as a list; several as they are."""
    return [given] if isinstance(given, single) or not isinstance(given, Iterable) else list(given)


"""What names or is a policy."""


def mean_rate(shape: Arrivals, corpus: Corpus, count: int) -> float:
    """The mean rate of an arrival process (tasks/s), by which it is scaled to a load.

    For recorded times it is the rate of the arrivals that a run of ``count`` tasks meets: the
    beginning of a record may be faster than the whole.

    Raises
    ------
    SimulationError
        If it has none.
    """
    if isinstance(shape, ClosedLoop):
        raise SimulationError(
            "closed arrivals have no rate to scale to a load: use replay() for a closed loop"
        )
    rate = shape.rate
    if rate is None or not shape.synthetic:
        rate = realised(shape.times(count, 0, corpus))[0]
    if not 0 < rate < math.inf:
        raise SimulationError(
            f"{shape}: {count:,} tasks at the same time have no rate to scale to a load"
        )
    return float(rate)


def check_runs(
    replications: int, objective: float | None, right: float, first_token: float | None = None
) -> None:
    """Refuse numbers out of their ranges with a SimulationError that says what is allowed."""
    if not is_whole(replications) or replications < 1:
        raise SimulationError(
            f"replications={replications!r}: a whole number, 1 or more, is needed"
        )
    check_objectives(objective, first_token)
    if not is_finite(right):
        raise SimulationError(f"right={right!r}: a number is needed, the lowest right quality")
