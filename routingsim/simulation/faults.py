"""What goes wrong, and what is done about it: outages, retries, cooldowns and hedging."""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal

from routingsim.errors import SimulationError, did_you_mean
from routingsim.policies.kernel import FAILED, STATUS_NAMES
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.synonyms import argument_hints

_LONGEST = 15  # power of ten of a back-off in seconds; beyond it, times lose their seconds
_HIGHEST_QUANTILE = 0.9999
_MOST_FAILURES = 1000  # of each agent so many times are kept


@argument_hints
@dataclass(frozen=True)
class Outage:
    """A time in which an agent is down.

    Calls in service when it goes down fail at that moment. Tasks in its queue
    wait, and may run out of patience, until it is up again.

    Parameters
    ----------
    agent : str
        The agent's id, or the name of an account: then all its agents are down.
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


@argument_hints
@dataclass(frozen=True)
class Cooldown:
    """A time in which an agent that keeps failing is not offered to the policy.

    After that time it is offered for one call, the probe, and not again until that has
    ended: if it ends in a status of ``on`` the agent cools down again, if not, all is as at
    the beginning. While an agent cools down, how its calls end is not counted. If no agent
    is offered, the policy chooses among all.

    Parameters
    ----------
    failures : int
        So many failures begin a cooldown, 1 or more.
    within : float
        Seconds in which they happen: from the first to the last of them at most.
    seconds : float
        How long the agent is not offered.
    on : collection of str
        What counts as a failure: ``failed``, ``rejected``, ``timed_out``, ``shed``, ``too_long``.

    Raises
    ------
    SimulationError
        If a number is out of its range, or there is no such status.
    """

    failures: int = 3
    within: float = 60.0
    seconds: float = 30.0
    on: Collection[str] = ("failed", "rejected", "timed_out")

    def __post_init__(self) -> None:
        whole = is_whole(self.failures) and 1 <= self.failures <= _MOST_FAILURES
        times = [is_finite(each) and each >= 0 for each in (self.within, self.seconds)]
        if not (whole and all(times)):
            raise SimulationError(
                f"{self}: failures from 1 to {_MOST_FAILURES:,} (whole), within >= 0 s and "
                "seconds >= 0 s (finite) are needed"
            )
        object.__setattr__(self, "on", _statuses("Cooldown", self.on))

    @classmethod
    def parse(cls, text: str) -> "Cooldown":
        """Read ``FAILURES:WITHIN:SECONDS``, such as ``3:60:30``."""
        try:
            failures, within, seconds = text.split(":")
            return cls(int(failures), float(within), float(seconds))
        except ValueError:
            raise SimulationError(
                f"cooldown {text!r}: write FAILURES:WITHIN:SECONDS, as 3:60:30"
            ) from None


@argument_hints
@dataclass(frozen=True)
class Retries:
    """What happens after a call has ended without an answer.

    Parameters
    ----------
    attempts : int
        Most tries of a task, 1 to 1000.
    backoff : float
        Seconds before the first retry, at least 0.
    factor : float
        Each further back-off is this many times as long as the one before.
    fallback : bool or "all"
        Whether the agent that failed counts as down when the policy chooses for the retry;
        ``"all"``: all agents that have had the task or a copy of it. An agent's own ``fallback``
        takes precedence.
    on : collection of str
        What is tried again: ``failed``, ``rejected``, ``timed_out``, ``shed``, ``too_long``.
    jitter : float
        Share of a back-off that is random, 0 to 1: the back-off is times 1 - jitter x U, with
        U uniform in (0, 1).
    budget : float, optional
        Retries that each task pays for, such as 0.1; without a whole one that is paid for,
        there is no retry. No limit by default.
    reserve : float
        Retries that are paid for at the beginning, and that can be saved up, at most.
    retry_after : bool
        Whether a call that was rejected over a limit is not sent again before the limit opens.
    cooldown : Cooldown or str, optional
        When an agent that keeps failing is not offered, as ``rs.Cooldown(3, 60, 30)`` or
        ``"3:60:30"``. Never by default.

    Raises
    ------
    SimulationError
        If a number is out of its range, the last back-off too long, or there is no such
        status.
    """

    attempts: int = 3
    backoff: float = 1.0
    factor: float = 2.0
    fallback: "bool | Literal['all']" = True
    on: Collection[str] = ("failed",)
    jitter: float = 0.0
    budget: float | None = None
    reserve: float = 10.0
    retry_after: bool = True
    cooldown: "Cooldown | str | None" = None

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
        if not (is_finite(self.jitter) and 0 <= self.jitter <= 1):
            raise SimulationError(f"Retries: jitter={self.jitter!r}; a share in [0, 1] is needed")
        paid = self.budget is None or (is_finite(self.budget) and self.budget >= 0)
        if not (paid and is_finite(self.reserve) and self.reserve >= 0):
            raise SimulationError(
                f"Retries: budget={self.budget!r}, reserve={self.reserve!r}; numbers of 0 or more "
                "are needed: retries a task, and retries saved up"
            )
        if self.budget is not None and self.reserve < 1 and self.attempts > 1:
            raise SimulationError(
                f"Retries: reserve={self.reserve!r}; with a budget, 1 or more is needed, as no "
                "whole retry could ever be saved up"
            )
        if self.fallback not in (True, False, "all"):
            raise SimulationError(
                f"Retries: fallback={self.fallback!r}; choose True, False or 'all'"
            )
        if isinstance(self.cooldown, str):
            object.__setattr__(self, "cooldown", Cooldown.parse(self.cooldown))
        if not isinstance(self.cooldown, Cooldown | None):
            raise SimulationError(
                f"Retries: cooldown={self.cooldown!r:.60}; write rs.Cooldown(failures=3)"
            )
        object.__setattr__(self, "on", _statuses("Retries", self.on))

    def arguments(self) -> dict[str, Any]:
        """``attempts``, and what differs from the defaults, by the names of the parameters."""
        given = {f.name: (getattr(self, f.name), f.default) for f in fields(self)}
        differ = {name: value for name, (value, plain) in given.items() if value != plain}
        return {"attempts": self.attempts} | differ

    def __repr__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in fields(self)]
        extra = [f.name for f in fields(self)][4:]
        default = {f.name: f.default for f in fields(self)}
        said = [f"{n}={v!r}" for n, v in given if n not in extra or v != default[n]]
        return f"Retries({', '.join(said)})"


def _statuses(of: str, names: Any) -> tuple[str, ...]:
    """Names of statuses, each once, in their order."""
    given = (names,) if isinstance(names, str) else names
    allowed = STATUS_NAMES[FAILED:]
    unknown = [n for n in given if n not in allowed] if isinstance(given, Collection) else [given]
    if unknown:
        near = did_you_mean(str(unknown[0]), allowed)
        raise SimulationError(f"{of}: on={names!r}; choose among {', '.join(allowed)}{near}")
    return tuple(name for name in allowed if name in given)


ONE_TRY = Retries(attempts=1)
"""No retries."""


@argument_hints
@dataclass(frozen=True)
class Hedge:
    """When a second copy of a call that takes long is sent.

    The copy goes to the policy's choice among the other agents. The try ends with the first
    answer; the other copy is cancelled, and costs what its agent's ``cut_off_cost`` says.

    Parameters
    ----------
    after : float, optional
        Seconds after the first copy was sent; 0 sends both at once.
    quantile : float, optional
        Instead: the time within which this share, such as 0.95, of the first copies that the
        agent has had so far has ended, from their sending. There is no copy until it has had
        1 / (1 - quantile).

    Raises
    ------
    SimulationError
        Unless one of both is given, in its range.
    """

    after: float | None = None
    quantile: float | None = None

    def __post_init__(self) -> None:
        if (self.after is None) == (self.quantile is None):
            raise SimulationError(
                "Hedge: give after (seconds) or quantile (a share below 1), as rs.Hedge(after=2.0) "
                "or rs.Hedge(quantile=0.95)"
            )
        if self.after is not None and not (is_finite(self.after) and self.after >= 0):
            raise SimulationError(
                f"Hedge: after={self.after!r}; seconds are needed, 0 or more and finite"
            )
        if self.quantile is not None and not (
            is_finite(self.quantile) and 0 < self.quantile <= _HIGHEST_QUANTILE
        ):
            raise SimulationError(
                f"Hedge: quantile={self.quantile!r}; a share above 0 and up to "
                f"{_HIGHEST_QUANTILE} is needed, as 0.95"
            )

    @classmethod
    def parse(cls, text: str) -> "Hedge":
        """Read seconds, as ``2s`` or ``0.5``, or a percentile, as ``p95``."""
        word = text.strip().lower()
        try:
            if word.startswith("p"):
                return cls(quantile=float(word[1:]) / 100.0)
            return cls(after=float(word.removesuffix("s")))
        except ValueError:
            raise SimulationError(
                f"hedge {text!r}: write seconds, as 2s, or a percentile, as p95"
            ) from None

    @property
    def least(self) -> int:
        """First copies that an agent must have had before a quantile is taken."""
        return 1 if self.quantile is None else math.ceil(round(1 / (1 - self.quantile), 6))

    def __repr__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return f"Hedge({', '.join(f'{name}={v!r}' for name, v in given if v is not None)})"
