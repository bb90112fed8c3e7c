"""Tasks answered within a latency objective, counted of arrays or block by block alike."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import CorpusError, SimulationError
from routingsim.formatting import short
from routingsim.policies.kernel import OK
from routingsim.simulation.arrivals.checks import is_finite
from routingsim.simulation.run_record import RunRecord

Floats = NDArray[np.float64]

_LENGTHS = np.ldexp(1.0, np.arange(-1022, 1024))  # s: times of a run are rounded by its power of 2


def in_time(latency: Floats, objective: float, seconds: float) -> NDArray[np.bool_]:
    """Which latencies are within an objective, up to the rounding of the clock.

    A latency is the difference of two times of a run, which are rounded in their last bits:
    of many tasks that take exactly the objective a share would be late.

    Parameters
    ----------
    latency : ndarray
        In seconds.
    objective : float
        In seconds; one that equals the latency holds.
    seconds : float
        Length of the run, by which times are rounded.
    """
    return latency <= latest(objective, seconds)


def latest(objective: float, seconds: float) -> float:
    """The latency (s) that is just in time, with what :func:`in_time` allows for rounding.

    Raises
    ------
    CorpusError
        If one of them is not above 0.
    """
    if not (objective > 0 and seconds > 0):
        raise CorpusError(
            f"objective={objective} s over {seconds} s of arrivals: both must be above 0"
        )
    return float(_latest(objective, seconds))


def _latest(objective: float, seconds: float | Floats) -> Floats:
    return objective + np.maximum(1e-9 * objective, 4 * np.spacing(seconds))


@dataclass(frozen=True)
class Objective:
    """The limits within which an answer counts for goodput.

    Attributes
    ----------
    latency : float
        Seconds from intended arrival to the end.
    first_token : float, optional
        Seconds to the first token, which has to come in time, too.
    right : float
        Lowest quality of a right answer.
    """

    latency: float
    first_token: float | None = None
    right: float = 0.5

    def __str__(self) -> str:
        first = "" if self.first_token is None else f", first token within {self.first_token:g} s"
        right = "" if self.right == 0.5 else f", quality of {self.right:g} or more"
        return f"within {self.latency:g} s{first}{right}"


def check_objectives(latency: float | None, first_token: float | None) -> None:
    """Refuse objectives that are not seconds above 0 with a SimulationError."""
    for name, seconds in (("objective", latency), ("first_token_objective", first_token)):
        if seconds is not None and not (is_finite(seconds) and seconds > 0):
            raise SimulationError(f"{name}={seconds!r}: a number of seconds above 0 is needed")


@dataclass(frozen=True)
class InTime:
    """Counts and sums of the tasks of a run, some of which are answered in time.

    Attributes
    ----------
    seconds : float
        Length of the run.
    tasks, prompt : int
        All tasks, and those answered in time.
    judged, right : int
        Of those in time: how many have a known quality, and how many of these are right.
    known : int
        Tasks of which the quality is known, or that have no answer.
    quality : float
        Sum over the judged ones.
    cost : float
        USD, of all tasks.
    """

    seconds: float
    tasks: int
    prompt: int
    judged: int
    right: int
    known: int
    quality: float
    cost: float

    @property
    def scale(self) -> float:
        """Tasks in time for each that is judged, which stands for them."""
        return (self.prompt / self.judged if self.judged else math.nan) if self.prompt else 1.0

    @property
    def correct(self) -> float:
        """Right answers in time: of those that are not judged as many as of the others."""
        return self.scale * self.right

    @property
    def goodput(self) -> float:
        """Right answers in time, per second."""
        return self.correct / self.seconds

    @property
    def within(self) -> float:
        """Share of all tasks answered in time, right or wrong."""
        return self.prompt / self.tasks if self.tasks else math.nan

    @property
    def mean_quality(self) -> float:
        """Mean quality, where a late, failed or missing answer has quality 0."""
        return self.scale * self.quality / self.tasks if self.tasks else math.nan

    @property
    def cost_per_right(self) -> float:
        """USD of all tasks for each right answer in time; infinite if there is none."""
        return self.cost / self.correct if self.correct else math.inf


def as_dict(goal: Objective, found: InTime) -> dict[str, float | None]:
    """The objective and what was counted within it as plain values, NaN and infinity as None."""
    values = {
        "objective": goal.latency,
        "first_token_objective": goal.first_token,
        "goodput": found.goodput,
        "within": found.within,
        "quality_in_time": found.mean_quality,
        "cost_per_right": found.cost_per_right,
    }
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in values.items()
    }


def in_words(goal: Objective, found: InTime, lasts: bool) -> str:
    """Goodput in a line; ``lasts`` says whether the backlog outlasts the run."""
    said = f"{found.within:.1%} of the tasks answered {goal}"
    if lasts:
        return f"{said}; goodput says only how long the run was"
    if math.isnan(found.goodput):
        return f"{said}; goodput is not known, as no quality of these is recorded"
    return f"goodput: {short(found.goodput)} right answers/s, {said}"


class Answers(NamedTuple):
    """What is judged of tasks, arrays of shape (tasks,).

    Attributes
    ----------
    latency, first_token : ndarray
        Seconds from intended arrival to the end and to the first token.
    quality : ndarray
        From 0 to 1; NaN where an answer's is unknown.
    cost : ndarray
        USD, over all attempts; the mean of the others is taken where it is NaN.
    answered : ndarray of bool
    """

    latency: Floats
    first_token: Floats
    quality: Floats
    cost: Floats
    answered: NDArray[np.bool_]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Answers whose quality is known."""
        return self.answered & ~np.isnan(self.quality)

    def prompt(self, goal: Objective, seconds: float) -> NDArray[np.bool_]:
        """Which are answered in time, in a run of this length (s)."""
        found = self.answered & in_time(self.latency, goal.latency, seconds)
        if goal.first_token is not None:
            found &= in_time(self.first_token, goal.first_token, seconds)
        return found

    def counted(self, goal: Objective, seconds: float) -> InTime:
        """All of them counted, as those of a run of this length (s)."""
        prompt, judged = self.prompt(goal, seconds), self.judged
        good, cost = self.quality[prompt & judged], self.cost
        if not (paid := ~np.isnan(cost)).all():
            cost = np.full(cost.size, cost[paid].mean() if paid.any() else math.nan)
        return InTime(
            seconds,
            tasks=self.answered.size,
            prompt=int(prompt.sum()),
            judged=good.size,
            right=int((good >= goal.right).sum()),
            known=int((judged | ~self.answered).sum()),
            quality=float(good.sum()),
            cost=float(cost.sum()),
        )


def answers(run: RunRecord) -> Answers:
    """The tasks of a run, or of a block of it, after its warm-up.

    Where costs are recorded of some agents on a part of the tasks, those tasks stand for all:
    recorded and modelled costs of other tasks would be no comparison.
    """
    counted = run.work.arrived >= run.window[0]
    cost = np.where(run.cost_basis.rows[run.work.row], run.log.cost, np.nan)
    return Answers(
        run.latency[counted],
        run.first_token[counted],
        run.compared_quality[counted],
        cost[counted],
        run.log.status[counted] == OK,
    )


class Tally:
    """Tasks counted block by block, by the length of the run from which on they are in time.

    Times are rounded by that length, which may be known only after the last task. Counts are
    those of :meth:`Answers.counted`; sums differ from its by rounding.

    Parameters
    ----------
    goal : Objective
    """

    def __init__(self, goal: Objective) -> None:
        self.goal = goal
        codes = _LENGTHS.size + 1  # the last is for those that are late in any run
        self._prompt, self._judged, self._right = np.zeros((3, codes), np.int64)
        self._quality, self._cost = np.zeros(codes), 0.0
        self._tasks = self._known = self._paid = 0

    def add(self, block: Answers) -> None:
        """Add the tasks of a block."""
        code = np.searchsorted(_latest(self.goal.latency, _LENGTHS), block.latency)
        if self.goal.first_token is not None:
            first = np.searchsorted(_latest(self.goal.first_token, _LENGTHS), block.first_token)
            code = np.maximum(code, first)
        judged, paid = block.judged, ~np.isnan(block.cost)
        right = judged & (block.quality >= self.goal.right)
        size = self._quality.size
        self._prompt += np.bincount(code[block.answered], minlength=size)
        self._judged += np.bincount(code[judged], minlength=size)
        self._right += np.bincount(code[right], minlength=size)
        self._quality += np.bincount(code[judged], block.quality[judged], size)
        self._cost += float(block.cost[paid].sum())
        self._tasks += block.answered.size
        self._known += int((judged | ~block.answered).sum())
        self._paid += int(paid.sum())

    def over(self, seconds: float) -> InTime:
        """What was counted, of a run of this length (s).

        Raises
        ------
        CorpusError
            If an objective or the length is not above 0.
        """
        latest(self.goal.latency, seconds)  # refuses a run without length
        upto = np.searchsorted(_LENGTHS, seconds, side="right")  # the power of 2 at or below it
        cost = self._cost
        if self._paid < self._tasks:
            cost = cost / self._paid * self._tasks if self._paid else math.nan
        counts = (self._prompt, self._judged, self._right)
        prompt, judged, right = (int(each[:upto].sum()) for each in counts)
        quality = float(self._quality[:upto].sum())
        return InTime(seconds, self._tasks, prompt, judged, right, self._known, quality, cost)
