"""How many tasks a log needs, so that policies that did not make it can be estimated.

A router that mixes in random choices with probability ``explore`` gives every agent a
propensity of at least explore / agents. The policy that is hardest to estimate never
chooses what the router would: the log is then worth tasks x explore / agents of its
own tasks, and 50 of those are an answer about a quality
(:mod:`routingsim.evaluation.support`); costs, which are skewed, need twenty times as many.
"""

import math
from dataclasses import dataclass

from routingsim.errors import SimulationError
from routingsim.evaluation.policy_value import degrees_of, quantile
from routingsim.evaluation.support import ENOUGH, RARE
from routingsim.formatting import short


@dataclass(frozen=True)
class LogSize:
    """What a log of so many tasks shows of the policy that is hardest to estimate.

    Attributes
    ----------
    agents : int
    explore : float
        Probability of a random choice.
    tasks : int
    worth : float
        Tasks that the policy itself would have to serve to tell as much.
    half_width : float
        Of the policy's estimate.
    difference : float
        Half-width of its difference from another such policy.
    level : float
    answers : bool
        Whether that is enough for an answer.
    """

    agents: int
    explore: float
    tasks: int
    worth: float
    half_width: float
    difference: float
    level: float
    answers: bool

    def __str__(self) -> str:
        said = f"{self.tasks:,} tasks" if self.answers else f"{self.tasks:,} tasks are too few"
        return (
            f"{said}: with {self.agents} agents and {self.explore:.3g} of choices at random, "
            f"worth {self.worth:.0f} tasks of a policy that never chooses as the router; its "
            f"estimate ± {short(self.half_width, 2)}, its difference from another ± "
            f"{short(self.difference, 2)} ({self.level:.0%} confidence)"
        )


def log_size(
    agents: int,
    explore: float,
    *,
    tasks: int | None = None,
    half_width: float | None = None,
    spread: float = 0.5,
    level: float = 0.95,
) -> LogSize:
    """Plan a log from which other policies can be estimated.

    Parameters
    ----------
    agents : int
        That the router chooses from.
    explore : float
        Probability with which it chooses one of them at random, all alike.
    tasks : int, optional
        Size of the log. Default: the least that answers, 50 x agents / explore.
    half_width : float, optional
        How wide an estimate may be; the log is made as large as that needs.
    spread : float
        Standard deviation of an outcome; 0.5, the most that right and wrong can have, is
        for qualities.
    level : float
        Confidence level.

    Raises
    ------
    SimulationError
        If a setting is out of its range, both sizes are given, or agents are so many that
        a random choice of one is too rare to answer, whatever the size.
    """
    if agents < 1 or not 0 < explore <= 1 or not spread > 0 or not 0 < level < 1:
        raise SimulationError(
            f"agents={agents}, explore={explore}, spread={spread}, level={level}: one agent or "
            "more, 0 < explore <= 1, a spread above 0 and 0 < level < 1 are needed"
        )
    if tasks is not None and half_width is not None:
        raise SimulationError("tasks and half_width: give one of them")
    if explore / agents < RARE - 1e-12:
        raise SimulationError(
            f"explore={explore}: each of {agents} agents is chosen at random with a probability "
            f"below {RARE:g}, which is too rare for an answer; explore={RARE * agents:.3g} or "
            "more is needed"
        )
    need = math.ceil(ENOUGH * agents / explore - 1e-9)
    size = need if tasks is None else tasks
    if size < 1 or (half_width is not None and not half_width > 0):
        raise SimulationError(f"tasks={tasks}, half_width={half_width}: a value above 0 is needed")
    if half_width is not None:
        while _half_width(size, agents, explore, spread, level) > half_width:
            size = math.ceil(size * 1.01)
    width = _half_width(size, agents, explore, spread, level)
    worth = size * explore / agents
    return LogSize(
        agents=agents,
        explore=explore,
        tasks=size,
        worth=worth,
        half_width=width,
        difference=math.sqrt(2) * width,
        level=level,
        answers=size >= need,
    )


def _half_width(tasks: int, agents: int, explore: float, spread: float, level: float) -> float:
    worth = tasks * explore / agents
    return quantile(degrees_of(worth), level, 0.0, bounded=True) * spread / math.sqrt(worth)
