"""The closed loop: arrivals that depend on the answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.checks import checked, is_whole, number, options, refuse
from routingsim.simulation.arrivals.process import Arrivals, Times
from routingsim.synonyms import argument_hints

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus


@argument_hints
@dataclass(frozen=True)
class ClosedLoop(Arrivals):
    """A fixed number of users; each thinks after an answer, then sends its next task.

    The engine makes the arrivals during the run, so :meth:`times` has none to give.

    Parameters
    ----------
    users : int
        Number of users.
    think : float
        Mean seconds between an answer and the same user's next task.
    think_cv : {1, 0}
        1 for exponential think times, 0 for constant ones.
    """

    users: int
    think: float
    think_cv: int = 1
    _alone = True

    def __post_init__(self) -> None:
        if not is_whole(self.users) or self.users < 1:
            refuse("ClosedLoop", "users", self.users, "a whole number of at least 1")
        number(self, "think", lambda x: x >= 0, "a number of at least 0 (seconds)")
        if self.think_cv not in (0, 1):
            refuse("ClosedLoop", "think_cv", self.think_cv, "1 (exponential) or 0 (constant)")
        object.__setattr__(self, "users", int(self.users))
        object.__setattr__(self, "think_cv", int(self.think_cv))

    def scaled(self, factor: float) -> Self:
        """The same users with think times ``factor`` times as short.

        Raises
        ------
        SimulationError
            If the think time is 0: then only the number of users sets the load.
        """
        if self.think == 0:
            raise SimulationError(f"{self}: with think=0 only users sets the load; vary users")
        checked("ClosedLoop", "factor", factor, lambda x: x > 0, "a number above 0")
        return replace(self, think=self.think / factor)

    def _draw(self, n: int, key: np.uint64, corpus: Corpus | None) -> Times:
        raise SimulationError(
            f"{self}: the times of a closed loop depend on the answers; only a replay has them"
        )

    def __str__(self) -> str:
        return f"closed:{','.join(options(self, 'users', 'think', 'think_cv'))}"
