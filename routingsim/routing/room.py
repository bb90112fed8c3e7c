"""How much of its accounts' limits a live router has left, as far as it can know.

It counts the calls that it has routed itself: a request each, and the tokens of the prompt and
of the agent's mean answer. Calls that others make under the same account are not known to it.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import LIMITS, AgentPool

_SPANS = (60.0, 60.0, 86_400.0)  # seconds, of LIMITS


class _Window:
    """One limit, and what was taken of it; times in seconds and ascending."""

    def __init__(self, limit: float, span: float, law: str) -> None:
        self._limit, self._span, self._law = limit, span, law
        self._taken: deque[tuple[float, float]] = deque()  # of a sliding window
        self._used, self._last = 0.0, 0.0  # of a fixed window its number, else a time

    def take(self, now: float, need: float) -> None:
        self._move(now)
        self._used += need
        if self._law == "sliding":
            self._taken.append((now, need))

    def left(self, now: float) -> float:
        """Share that is left, in [0, 1]."""
        self._move(now)
        return max(0.0, 1.0 - self._used / self._limit)

    def _move(self, now: float) -> None:
        """Give back what was taken too long ago."""
        if self._law == "sliding":
            while self._taken and self._taken[0][0] + self._span <= now:
                self._used -= self._taken.popleft()[1]
        elif self._law == "bucket":
            refilled = (now - self._last) * self._limit / self._span
            self._used, self._last = max(0.0, self._used - refilled), now
        elif self._last != now // self._span:
            self._used, self._last = 0.0, now // self._span


class Room:
    """The limits of the accounts of a pool, and what one router has taken of them."""

    def __init__(self, pool: AgentPool) -> None:
        self._windows: list[list[tuple[bool, _Window]]] = [[] for _ in pool]
        self._of: list[int] = list(range(len(pool)))  # the agent that stands for the account
        for positions in pool.accounts.values():
            for a in positions:
                self._of[a] = positions[0]
        for a in sorted(set(self._of)):
            for name, span in zip(LIMITS, _SPANS, strict=True):
                limit = getattr(pool[a], name)
                if limit is not None:
                    window = _Window(float(limit), span, pool[a].limit_window)
                    self._windows[a].append((name == "tokens_per_minute", window))
        self._answers = pool.column("output_tokens").tolist()
        self.limited = any(self._windows)
        """Whether there is any limit."""

    def take(self, a: int, prompt_tokens: float, now: float) -> None:
        """Count a call to agent ``a``."""
        for by_tokens, window in self._windows[self._of[a]]:
            tokens = math.ceil(prompt_tokens + self._answers[a])
            window.take(now, tokens if by_tokens else 1.0)

    def show(self, room: NDArray[np.float64], now: float) -> None:
        """Write the share of each agent's limits that is left, of several the least."""
        for a, of in enumerate(self._of):
            room[a] = min((window.left(now) for _, window in self._windows[of]), default=1.0)
