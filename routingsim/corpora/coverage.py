"""On how many tasks a corpus records its agents, whole or block by block."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.corpus import Corpus

Kind = Literal["complete", "common", "log", "none"]

_SEVERAL = 0.05  # share of a log's tasks that may have answers of several agents


def known_on(corpus: Corpus, field: str, agents: Sequence[str]) -> NDArray[np.bool_]:
    """Where an outcome is recorded, shape (tasks, agents); a failed call needs no quality."""
    known = np.isfinite(corpus.outcome(field, agents))
    return known | (corpus.outcome("failed", agents) == 1) if field == "quality" else known


@dataclass(frozen=True)
class Coverage:
    """On how many tasks an outcome is recorded.

    Attributes
    ----------
    tasks : int
    known : Counter of str
        The tasks on which it is recorded of each agent.
    answered, several : int
        Tasks on which it is of any agent, and of more than one.
    valued : bool
        Whether there is any value: failures alone say nothing of quality.
    """

    tasks: int
    known: Counter[str]
    answered: int
    several: int
    valued: bool

    @classmethod
    def of(cls, corpus: Corpus, field: str) -> "Coverage":
        """That of a corpus, or of a block of one."""
        known = known_on(corpus, field, corpus.agents)
        answers = known.sum(axis=1)
        return cls(
            len(corpus),
            Counter(dict(zip(corpus.agents, known.sum(axis=0).tolist(), strict=True))),
            int((answers > 0).sum()),
            int((answers > 1).sum()),
            not np.isnan(corpus.outcomes[field]).all(),
        )

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(
            self.tasks + other.tasks,
            self.known + other.known,
            self.answered + other.answered,
            self.several + other.several,
            self.valued or other.valued,
        )

    def seen(self, agents: Sequence[str]) -> list[str]:
        """The agents of which it is recorded on any task, each once."""
        return [name for name in dict.fromkeys(agents) if self.known[name]]

    def kind(self, agents: Sequence[str]) -> Kind:
        """What kind of record it is of some agents, as :mod:`routingsim.simulation.recorded`
        describes them."""
        seen = self.seen(agents)
        if not (self.valued and seen):
            return "none"
        if all(self.known[name] == self.tasks for name in seen):
            return "complete"
        one_each = self.several <= _SEVERAL * self.answered
        return "log" if one_each and len(self.seen(list(self.known))) > 1 else "common"
