"""The check-up: what was read, and the findings of every check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from routingsim import display
from routingsim.corpora.checkup.answers import shared_tokens
from routingsim.corpora.checkup.costs import cost_units, unknown_costs
from routingsim.corpora.checkup.finding import Columns, Finding, Subject
from routingsim.corpora.checkup.queues import completion_stamps, waits_in_latencies
from routingsim.corpora.checkup.units import latency_units
from routingsim.corpora.rows import counted

_LINE = 1000  # characters of a finding on its line

CHECKS: tuple[Callable[[Columns], list[Finding]], ...] = (
    latency_units,
    completion_stamps,
    waits_in_latencies,
    cost_units,
    unknown_costs,
    shared_tokens,
)
"""Checks of what is recorded. What only the file shows is found when it is read."""


@dataclass(frozen=True, repr=False)
class Checkup:
    """What was read, and what is suspicious about it; false where nothing is.

    Attributes
    ----------
    read : str
        What was read, in a sentence.
    findings : tuple of Finding
        Those that make figures wrong before those that may.
    """

    read: str
    findings: tuple[Finding, ...]

    def __bool__(self) -> bool:
        return bool(self.findings)

    def about(self, *subjects: Subject) -> tuple[Finding, ...]:
        """The findings about these parts of the record."""
        return tuple(each for each in self.findings if each.subject in subjects)

    @property
    def suspicions(self) -> list[str]:
        """A line for each finding."""
        return [display.shorten(f"{each.severity}: {each}", _LINE) for each in self.findings]

    @property
    def lines(self) -> list[str]:
        """What was read, then a line for each finding, or that there is none."""
        return [f"read: {self.read}", *(self.suspicions or ["nothing suspicious was found"])]

    def __repr__(self) -> str:
        return "\n".join(display.wrapped(line) for line in self.lines)

    def _repr_html_(self) -> str:
        return display.card("Check-up", "", self.lines)

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON: ``read``, and ``findings`` with their fields."""
        return {"read": self.read, "findings": [each.to_dict() for each in self.findings]}


def check_up(columns: Columns, skipped: int = 0, found: tuple[Finding, ...] = ()) -> Checkup:
    """Run all checks.

    Parameters
    ----------
    columns : Columns
        What is recorded, and the agents where they are known.
    skipped : int
        Records that were left out.
    found : tuple of Finding
        What reading the file has found already.
    """
    checks = CHECKS if columns.arrived.size else ()
    every = [*found, *(finding for check in checks for finding in check(columns))]
    every.sort(key=lambda each: each.severity != "wrong")
    return Checkup(_read(columns, skipped), tuple(every))


def _read(columns: Columns, skipped: int) -> str:
    said = [counted(columns.arrived.size, "task")]
    if skipped:
        said.append(f"{counted(skipped, 'record')} skipped")
    times = columns.arrived
    if times.size and not np.isnan(times).any():
        said.append(f"times over {times[-1] - times[0]:,.0f} s")
    if not columns.agents:
        return ", ".join([*said, "no outcomes"])
    of_log = " with one answer a task" if columns.is_log and len(columns.agents) > 1 else ""
    said.append(f"{counted(len(columns.agents), 'agent')}{of_log}")
    said += _known(columns.outcomes, max(1, columns.answered.sum()))
    return ", ".join(said)


def _known(outcomes: Mapping[str, Any], answers: int) -> list[str]:
    """How many of the answers have each outcome recorded."""
    shares = {name: (~np.isnan(values)).sum() / answers for name, values in outcomes.items()}
    return [
        f"{name.replace('_', ' ')} of {'all' if share == 1 else f'{100 * share:.0f} %'}"
        for name, share in shares.items()
        if share
    ]
