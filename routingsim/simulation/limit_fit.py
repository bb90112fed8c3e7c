"""Concurrency and limits of an agent, as far as a log shows them.

Looked for are the most calls under way at once, and the most requests and tokens of a minute: of
any 60 seconds, else of a minute of the clock (:mod:`routingsim.simulation.limit_levels` says when
a most is a limit); and slots for which calls wait in their latencies
(:mod:`routingsim.simulation.wait_fit`). Time in which two are at their most is evidence of
neither.

A log cannot tell an agent's limit from a client that sends no more at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.statuses import CACHED, FAILED, OK, TIMED_OUT
from routingsim.simulation.limit_levels import GRAIN, Levels, Most
from routingsim.simulation.state import MINUTE
from routingsim.simulation.wait_fit import CROWDED, WaitFit, crowding, fit_waits, waits

FEWEST = 30  # calls with times
ROOM = 4  # times the largest overlap: slots where no limit shows
EVEN = 0.3  # coefficient of variation of gaps below which starts are a clock's
LIKE = 0.05  # share by which a limit a minute may differ from what the slots serve in one
ALIKE = 0.05  # coefficient of variation of tokens below which they are as requests

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LimitFit:
    """What a log shows of the limits of one agent.

    Attributes
    ----------
    at_once, in_a_minute : Most
        Of calls under way, and of starts in a minute.
    tokens_in_a_minute : Most or None
        Of the tokens of prompts and answers of the calls that began in a minute; None where they
        are not known, or all calls have as many.
    windows : mapping of str to str
        Of each limit a minute, "sliding" (any 60 s) or "fixed" (minutes of the clock).
    waits : WaitFit or None
        Slots for which calls wait in their latencies.
    crowding : float
        Rank correlation of latency, less those waits, with the calls under way at the start;
        NaN if not known.
    """

    at_once: Most
    in_a_minute: Most
    tokens_in_a_minute: Most | None
    windows: Mapping[str, str]
    waits: WaitFit | None
    crowding: float

    @property
    def _a_minute(self) -> dict[str, Most]:
        """The limits a minute that bind, of one kind of window."""
        found = {"requests_per_minute": self.in_a_minute}
        if self.tokens_in_a_minute is not None:
            found["tokens_per_minute"] = self.tokens_in_a_minute
        found = {name: most for name, most in found.items() if most.binds}
        kinds = {self.windows[name] for name in found}
        kind = "sliding" if "sliding" in kinds else "fixed"
        return {name: most for name, most in found.items() if self.windows[name] == kind}

    @property
    def a_minute(self) -> bool:
        """Whether there is any limit a minute."""
        return bool(self._a_minute)

    @property
    def fields(self) -> dict[str, int | str]:
        """As fields of an agent: slots, and the limits where there are any."""
        slots = self.at_once.level if self.at_once.binds else ROOM * self.at_once.level
        found: dict[str, int | str] = {
            "concurrency": slots if self.waits is None else self.waits.slots
        }
        for name, most in self._a_minute.items():
            found[name] = most.roundest
            if self.windows[name] == "fixed":
                found["limit_window"] = "fixed"
        return found

    @property
    def comments(self) -> dict[str, str]:
        """What an agents file says beside these fields."""
        once = self.at_once
        if self.waits is not None:
            slots = f"inferred: {self.waits}"
        elif once.binds:
            slots = f"inferred: the most calls at once, {once}; or a client that sends no more"
        else:
            slots = (
                f"assumed: the log shows no limit; at most {once.level:,} calls at once, and "
                f"{ROOM} times as many slots, so that few wait"
            )
        said = {"concurrency": slots}
        for name, most in self._a_minute.items():
            what = "starts" if name == "requests_per_minute" else "tokens of calls that began"
            sliding = self.windows[name] == "sliding"
            said[name] = (
                f"inferred: the most {what} in any {'60 s' if sliding else 'minute of the clock'}, "
                f"{most}"
            )
            if name == "tokens_per_minute":
                said[name] += f", {most.level:,} at the most"
                if most.short_of < np.inf:
                    said[name] += (
                        f", while calls that would have made it {most.short_of:,.0f} waited"
                    )
            said[name] += "; or a client that sends no more"
            if not sliding:
                said["limit_window"] = "inferred, with the limit"
        return said

    @property
    def notes(self) -> list[str]:
        """What to mind: latencies that include waits, or seem to."""
        if self.waits is not None:
            return [
                f"latencies include waits for {self.waits.slots} slots at the provider: they are "
                "taken off service times, and a replay makes calls wait for the slots"
            ]
        if not self.crowding > CROWDED:
            return []
        return [
            "latency rises with the number of calls under way (rank correlation "
            f"{self.crowding:.2f}): it seems to include waits at the provider, which the fit takes "
            "for service"
        ]


def fit_limits(log: CallLog, *, queue: bool = True) -> LimitFit | None:
    """What a log shows of the limits of one agent; None without times of enough calls.

    Parameters
    ----------
    log : CallLog
        Of calls of one agent. Their ``arrived_at`` is taken for their start, unless they wait in
        their latencies.
    queue : bool
        Whether slots are looked for that calls wait for in their latencies.
    """
    served = (log.statuses == OK) | (log.statuses == TIMED_OUT)
    if "status" not in log.columns:
        served = log.statuses != CACHED
    begun, latency = log.numbers("arrived_at"), log.numbers("latency")
    known = served & np.isfinite(begun + latency)
    if known.sum() < FEWEST:
        return None
    refused = np.sort(begun[(log.statuses == FAILED) & np.isfinite(begun)])
    prompt, answer = log.numbers("prompt_tokens"), log.numbers("output_tokens")
    held = np.flatnonzero(np.isfinite(begun) & (log.statuses != CACHED) & (latency > 0))
    answered = served[held]
    found = fit_waits(begun[held], latency[held], answer[held], answered) if queue else None
    if found is not None:
        wait, _ = waits(begun[held], latency[held], answered, found.slots)
        begun, latency = begun.copy(), latency.copy()
        begun[held] += wait
        latency[held] -= wait
    order = np.argsort(begun[known], kind="stable")
    begun, latency = begun[known][order], latency[known][order]
    tokens = (prompt + answer)[known][order]
    offset = 0.0 if log.began is None else log.began.timestamp() % MINUTE
    once, minute, of_tokens, windows = _mosts(begun, latency, tokens, refused, offset)
    return LimitFit(once, minute, of_tokens, windows, found, crowding(begun, latency))


def _mosts(
    begun: Floats, latency: Floats, tokens: Floats, refused: Floats, offset: float
) -> tuple[Most, Most, Most | None, dict[str, str]]:
    """The most at once, and the most requests and tokens of a minute, with their windows."""
    ends = begun + np.maximum(latency - GRAIN, 0.9 * latency)
    sliding = begun + MINUTE - GRAIN
    clock = (np.floor((begun + offset) / MINUTE) + 1) * MINUTE - offset - GRAIN
    one = np.ones(begun.size)
    by_tokens = bool(np.isfinite(tokens).all()) and tokens.std() > ALIKE * tokens.mean()
    levels = Levels(begun, refused, ends, sliding, clock)
    busy, full = (levels.no_room(levels.level(leave, one), one) > 0 for leave in (ends, sliding))
    spent = np.zeros(busy.size, bool)  # where tokens leave no room to a typical call
    if by_tokens:
        spent = levels.no_room(levels.level(sliding, tokens), tokens) >= 0.5
    of_tokens = levels.most(sliding, tokens, ~(busy | full)) if by_tokens else None
    if of_tokens is None or not of_tokens.binds:
        spent[:] = False
    once = levels.most(ends, one, ~(full | spent))
    minute = levels.most(sliding, one, ~(busy | spent))
    if not once.binds and not minute.binds:  # at their most together: what explains the other?
        both_once, both_minute = levels.most(ends, one, ~spent), levels.most(sliding, one, ~spent)
        if both_once.binds and both_minute.binds:
            by_slots = MINUTE * both_once.level / float(latency.mean())
            if abs(both_minute.level / by_slots - 1.0) <= LIKE:
                once = both_once
            elif both_minute.level < by_slots:
                minute = both_minute
        elif both_once.binds:
            once = both_once
    windows = {"requests_per_minute": "sliding", "tokens_per_minute": "sliding"}
    if not minute.binds and not (of_tokens is not None and of_tokens.binds):
        if (fixed := levels.most(clock, one, ~busy)).binds:
            minute, windows["requests_per_minute"] = fixed, "fixed"
        elif by_tokens and (fixed := levels.most(clock, tokens, ~busy)).binds:
            of_tokens, windows["tokens_per_minute"] = fixed, "fixed"
    gaps = np.diff(begun)
    if gaps.std() < EVEN * gaps.mean():  # a clock's: they would be so without any limit
        once, minute = (replace(each, missing=0.0) for each in (once, minute))
        of_tokens = None if of_tokens is None else replace(of_tokens, missing=0.0)
    return once, minute, of_tokens, windows
