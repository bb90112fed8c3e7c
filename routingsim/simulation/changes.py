"""Changes during a run: agents become slower, more expensive or worse, fail more often, join
or leave."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from routingsim.agents import AgentPool
from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.checks import is_finite
from routingsim.synonyms import argument_hints, meant

# In the order of ``state.CHANGES``.
_MOST = 1e9  # the largest factor of speed, price or quality
_FIELDS = ("speed", "error_rate", "offered", "price", "quality")


@argument_hints
@dataclass(frozen=True)
class Change:
    """What changes at an agent, for calls that are sent from then on.

    Calls that were sent before are not touched, waiting or in service. Policies see who is
    offered, and prices in their view of the pool. They are not told of speeds, error rates and
    qualities, and learn of them by outcomes. A policy with a list of prices of its own
    (``cheapest``, ``threshold``, ``utility``, a cascade) goes by those at the beginning, as a
    router does whose list nobody has edited.

    Parameters
    ----------
    agent : str
        The agent's id, or the name of an account: then all its agents change.
    at : float
        Seconds since the replay began, 0 or more.
    speed : float, optional
        Speed from then on, as a multiple of that at the beginning: at 0.5 calls take twice
        their time, and so do their first tokens.
    error_rate : float, optional
        Share of calls that fail from then on, in [0, 1), recorded or not.
    offered : bool, optional
        Whether policies are offered the agent: False when it leaves. One whose first such
        change is True joins then, and is not offered before.
    price : float, optional
        What calls cost from then on, as a multiple of that at the beginning, recorded or not;
        0 for nothing.
    quality : float, optional
        Quality of answers from then on, as a multiple of what is recorded of them, and at most 1.

    Raises
    ------
    SimulationError
        If a number is out of its range, or nothing changes.
    """

    agent: str
    at: float
    speed: float | None = None
    error_rate: float | None = None
    offered: bool | None = None
    price: float | None = None
    quality: float | None = None

    def __post_init__(self) -> None:
        if not (is_finite(self.at) and self.at >= 0):
            raise SimulationError(
                f"change of {self.agent}: at={self.at!r}; seconds are needed, 0 or more and finite"
            )
        if all(getattr(self, name) is None for name in _FIELDS):
            raise SimulationError(
                f"change of {self.agent}: nothing changes; give one of {', '.join(_FIELDS)}"
            )
        speed, rate = self.speed, self.error_rate
        if speed is not None and not (is_finite(speed) and 1 / _MOST <= speed <= _MOST):
            raise SimulationError(
                f"change of {self.agent}: speed={speed!r}; a number above 0 is needed, 0.5 for "
                f"half, from {1 / _MOST:g} to {_MOST:g}"
            )
        if rate is not None and not (is_finite(rate) and 0 <= rate < 1):
            raise SimulationError(
                f"change of {self.agent}: error_rate={rate!r}; a share in [0, 1) is needed"
            )
        for name in ("price", "quality"):
            value = getattr(self, name)
            if value is not None and not (is_finite(value) and 0 <= value <= _MOST):
                raise SimulationError(
                    f"change of {self.agent}: {name}={value!r}; a number of 0 or more is needed, "
                    f"2 for twice as much, and {_MOST:g} at most"
                )
        if self.offered not in (None, True, False):
            raise SimulationError(
                f"change of {self.agent}: offered={self.offered!r}; True or False is needed"
            )

    @property
    def given(self) -> dict[str, float]:
        """The values of the fields that change."""
        named = [(each.name, getattr(self, each.name)) for each in fields(self)[2:]]
        return {name: float(value) for name, value in named if value is not None}

    def __repr__(self) -> str:
        said = [f"{name}={getattr(self, name)!r}" for name in self.given]
        return f"Change({self.agent!r}, {self.at!r}, {', '.join(said)})"

    @property
    def what(self) -> str:
        """What changes, in words."""
        said = [f"{name} {value:g}" for name, value in self.given.items() if name != "offered"]
        return ", ".join(said + {None: [], True: ["joins"], False: ["leaves"]}[self.offered])

    def __str__(self) -> str:
        return f"{self.agent} from {self.at:g} s: {self.what}"

    @classmethod
    def parse(cls, text: str) -> "Change":
        """Read ``AGENT:AT:FIELD=VALUE``, such as ``gpt-4:600:speed=0.5``."""
        agent, _, rest = text.partition(":")
        at, _, what = rest.partition(":")
        name, _, value = what.partition("=")
        try:
            time, number = float(at), float({"true": 1, "false": 0}.get(value.lower(), value))
        except ValueError:
            raise SimulationError(
                f"change {text!r}: write AGENT:AT:FIELD=VALUE, as gpt-4:600:speed=0.5"
            ) from None
        if name not in _FIELDS:
            raise SimulationError(
                f"change {text!r}: no field {name!r}; choose one of {', '.join(_FIELDS)}"
                f"{meant(name, _FIELDS)}"
            )
        truth = name == "offered" and number in (0, 1)
        given: Any = {name: bool(number) if truth else number}
        return cls(agent, time, **given)


def change_arrays(pool: AgentPool, changes: Sequence[Change]) -> dict[str, Any]:
    """The changes in order of time, as the engine takes them, and who is offered at first."""
    rows = sorted(
        (
            (float(change.at), pool.index(change.agent), _FIELDS.index(name), value)
            for change in changes
            for name, value in change.given.items()
        ),
        key=lambda row: row[0],
    )
    offered = np.ones(len(pool), np.int64)
    for _, a, what, value in reversed(rows):
        if what == _FIELDS.index("offered"):
            offered[a] = 1 - int(value)
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    kinds = (np.float64, np.int64, np.int64, np.float64)
    names = ("change_at", "change_agent", "change_what", "change_value")
    found = zip(names, columns, kinds, strict=True)
    return {name: np.array(column, kind) for name, column, kind in found} | {"listed": offered}
