"""A finding of a check-up, and the columns that checks read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool

Floats = NDArray[np.float64]

Subject = Literal["records", "times", "latency", "cost", "tokens"]
"""The part of the record that a finding is about."""

Severity = Literal["wrong", "suspicious"]
"""Whether figures are wrong as they stand, or may be."""

_SEVERAL = 0.05  # share of the tasks of a log that may have answers of several agents


@dataclass(frozen=True)
class Finding:
    """Something in a record that makes figures wrong, or may.

    Attributes
    ----------
    subject : {"records", "times", "latency", "cost", "tokens"}
    severity : {"wrong", "suspicious"}
    what : str
        What was found, with its figures.
    touches : str
        The figures that it makes wrong.
    remedy : str
        What to do.
    """

    subject: Subject
    severity: Severity
    what: str
    touches: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. It touches {self.touches}; {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Columns:
    """What checks read; NaN where not recorded.

    Attributes
    ----------
    agents : tuple of str
        The names under which outcomes are recorded.
    outcomes : mapping of str to ndarray, shape (tasks, agents)
        As :class:`routingsim.Corpus` has them.
    arrived, prompt_tokens, output_tokens : ndarray, shape (tasks,)
        Times in order (s), tokens of prompts (recorded or estimated), and those recorded of
        the task's answer.
    pool : AgentPool or None
        The agents, where they are known.
    """

    agents: tuple[str, ...]
    outcomes: Mapping[str, Floats]
    arrived: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    pool: AgentPool | None = None

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Where anything is recorded, shape (tasks, agents)."""
        found = [~np.isnan(values) for values in self.outcomes.values()]
        return np.any(found, axis=0)

    @cached_property
    def is_log(self) -> bool:
        """Whether tasks have the answer of one agent each, as a log has."""
        served = self.answered.sum(axis=1)
        return bool((served > 1).sum() <= _SEVERAL * (served > 0).sum())

    def agent(self, name: str) -> Agent | None:
        """The agent of the pool that is recorded under a name."""
        return next((each for each in self.pool or () if each.recorded_as == name), None)

    def calls(self, column: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """Times and latencies of an agent's calls, in order of their times, and their tasks."""
        latency = self.outcomes["latency"][:, column]
        known = np.flatnonzero(np.isfinite(latency) & (latency > 0) & np.isfinite(self.arrived))
        known = known[np.argsort(self.arrived[known], kind="stable")]
        return self.arrived[known], latency[known], known

    def answer_tokens(self, column: int) -> Floats:
        """Tokens of an agent's answers: its own, or those recorded of the task."""
        own = self.outcomes["output_tokens"][:, column]
        return np.where(np.isnan(own), self.output_tokens, own)
