"""The tasks in flight: routed and not completed, of which the oldest are given up."""

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from routingsim.errors import RoutingSimError
from routingsim.policies.kernel import TaskView


class Flight(msgspec.Struct, frozen=True, gc=False):
    """A task in flight: its agent's position, when it was routed (s of a monotonic clock), and
    what the policy knew of it, if that learns."""

    agent: int
    routed_at: float
    task: TaskView | None


class InFlight:
    """The tasks in flight by their ids, in the order in which they were routed.

    Parameters
    ----------
    most : int
        Tasks to keep.

    Attributes
    ----------
    tasks : dict of str to Flight
    abandoned : int
        Tasks given up so far.
    """

    def __init__(self, most: int) -> None:
        self.tasks: dict[str, Flight] = {}
        self.abandoned = 0
        self._most, self._peak = most, 0

    def __len__(self) -> int:
        return len(self.tasks)

    def check_new(self, ids: Sequence[str]) -> None:
        """Refuse ids of tasks in flight.

        Raises
        ------
        RoutingSimError
            If there is one.
        """
        if not self.tasks.keys().isdisjoint(ids):
            known = next(each for each in ids if each in self.tasks)
            raise RoutingSimError(f"task {known!r} is in flight already: ids must differ")

    def end(self, task_id: str) -> Flight:
        """Take a task out.

        Raises
        ------
        RoutingSimError
            If it is not in flight.
        """
        flight = self.tasks.pop(task_id, None)
        if flight is None:
            raise RoutingSimError(f"task {task_id!r} is not in flight: routed here, and once?")
        if len(self.tasks) < self._peak // 4:  # a dict does not shrink by itself
            self.tasks, self._peak = dict(self.tasks), len(self.tasks)
        return flight

    def give_up(self) -> Iterable[int]:
        """Forget the oldest, and some more, where there are too many; positions of their agents."""
        self._peak = max(self._peak, len(self.tasks))
        excess = len(self.tasks) - self._most
        if excess <= 0:
            return ()
        oldest = list(islice(self.tasks, excess + self._most // 100))
        self.abandoned += len(oldest)
        return [self.tasks.pop(task_id).agent for task_id in oldest]
