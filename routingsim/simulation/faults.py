"""What goes wrong, and what is done about it: outages of agents, and retries of failed calls."""

import math
from dataclasses import dataclass
from numbers import Real

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.checks import is_finite, is_whole

_LONGEST = 15  # power of ten of a back-off in seconds; beyond it, times lose their seconds


@dataclass(frozen=True)
class Outage:
    """A time in which an agent is down.

    Calls in service when it goes down fail at that moment. Tasks in its queue
    wait, and may run out of patience, until it is up again.

    Parameters
    ----------
    agent : str
        The agent's id.
    down, up : float
        Seconds since the replay began. For an agent that stays down, give an ``up``
        after the end of the replay.

    Raises
    ------
    SimulationError
        Unless 0 <= down < up, both finite.
    """

    agent: str
    down: float
    up: float

    def __post_init__(self) -> None:
        numbers = isinstance(self.down, Real) and isinstance(self.up, Real)
        if not (numbers and 0 <= self.down < self.up < math.inf):
            raise SimulationError(
                f"outage of {self.agent}: down at {self.down}, up at {self.up}; "
                "0 <= down < up is needed, in seconds and finite"
            )

    @classmethod
    def parse(cls, text: str) -> "Outage":
        """Read ``AGENT:DOWN:UP``, such as ``gpt-4:600:900``."""
        agent, _, times = text.partition(":")
        try:
            down, up = (float(part) for part in times.split(":"))
        except ValueError:
            raise SimulationError(
                f"outage {text!r}: write AGENT:DOWN:UP in seconds, as gpt-4:600:900"
            ) from None
        return cls(agent, down, up)


@dataclass(frozen=True)
class Retries:
    """What happens after a call has failed.

    Parameters
    ----------
    attempts : int
        Most tries of a task, 1 to 1000.
    backoff : float
        Seconds before the first retry, at least 0.
    factor : float
        Each further back-off is this many times as long as the one before.
    fallback : bool
        Whether the agent that failed counts as down when the policy chooses for the retry.

    Raises
    ------
    SimulationError
        If a number is out of its range, or the last back-off too long.
    """

    attempts: int = 3
    backoff: float = 1.0
    factor: float = 2.0
    fallback: bool = True

    def __post_init__(self) -> None:
        whole = is_whole(self.attempts) and 1 <= self.attempts <= 1000
        backoff, factor = is_finite(self.backoff), is_finite(self.factor)
        if not (whole and backoff and factor and self.backoff >= 0 and self.factor > 0):
            raise SimulationError(
                f"{self}: attempts from 1 to 1000 (whole), backoff >= 0 s and factor > 0 "
                "(finite) are needed"
            )
        longest = max(self.attempts - 2, 0) * math.log10(self.factor)
        if self.backoff and math.log10(self.backoff) + longest > _LONGEST:
            raise SimulationError(
                f"{self}: the last back-off would be of more than 1e{_LONGEST} s; "
                "allow fewer attempts, or a lower factor"
            )


ONE_TRY = Retries(attempts=1)
"""No retries."""
