"""What a backtest found: predicted beside recorded figures, and how far to believe them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import AgentPool
from routingsim.corpora.rows import counted
from routingsim.evaluation.backtest_figures import LEAST, Coverage, Prediction, believable
from routingsim.evaluation.tabular import Reported, records, table_of, texts
from routingsim.formatting import cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AT = "latency p95"
"""The figure by which a simulator is judged in one sentence."""

_SHOWN = 24  # rows of a terminal


@dataclass(frozen=True, eq=False)
class Load:
    """Mean calls under way in parts of the held-out time, as recorded and as predicted.

    Attributes
    ----------
    begin, length, recorded, predicted, low, high : ndarray, shape (parts,)
        Seconds since the first held-out call, and calls; ``low`` and ``high`` hold 95 % of
        the replications.
    """

    begin: NDArray[np.float64]
    length: NDArray[np.float64]
    recorded: NDArray[np.float64]
    predicted: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def to_frame(self) -> pd.DataFrame:
        """A row for each part."""
        return pd.DataFrame(vars(self))


@dataclass(frozen=True, eq=False, repr=False)
class Backtest(Reported):
    """What :meth:`.CallLog.backtest` found.

    Attributes
    ----------
    log, sha256 : str
        Name and digest of the log.
    at : str
        Where the first part ended.
    fitted : int
        Calls of the first part.
    pool : AgentPool
        The agents fitted to it.
    replications, seed : int
    figures : tuple of Prediction
        Of all calls and of each agent: mean, p50, p95 and p99 of latency and ttft (s), cost
        (USD) and error rate, as far as they are recorded.
    coverage : tuple of Coverage
        How often predicted intervals held what rolling windows recorded.
    load : Load
        Calls under way over time.
    answers : mapping of str to ndarray
        ``share`` of the answers, and the latencies below which it is: ``recorded``,
        ``predicted``, ``low``, ``high``.
    causes : tuple of str
        What the latencies show that the fit does not know.
    notes : tuple of str
        What was left out, and what the log does not say.
    """

    log: str
    sha256: str
    at: str
    fitted: int
    pool: AgentPool
    replications: int
    seed: int
    figures: tuple[Prediction, ...]
    coverage: tuple[Coverage, ...]
    load: Load
    answers: Mapping[str, NDArray[np.float64]] = field(repr=False)
    causes: tuple[str, ...]
    notes: tuple[str, ...]

    def figure(self, name: str, agent: str = "all") -> Prediction:
        """One figure, such as ``latency p95``.

        Raises
        ------
        KeyError
            If it is not compared; the message lists those that are.
        """
        found = {each.figure: each for each in self.figures if each.agent == agent}
        if name not in found:
            raise KeyError(f"{name!r} of {agent!r}; there are {', '.join(found) or 'none'}")
        return found[name]

    @property
    def held_out(self) -> int:
        """Calls that were replayed."""
        return self._counts.get("error rate", self._counts["latency mean"])

    @cached_property
    def _counts(self) -> dict[str, int]:
        return {each.figure: each.calls for each in self.figures if each.agent == "all"}

    @cached_property
    def off(self) -> float:
        """How far the predicted p95 of latency is from the recorded, as a share; NaN if unknown."""
        return abs(self.figure(AT).off)

    @cached_property
    def believe(self) -> float:
        """The share above which a difference is more than an error of the simulator, or NaN.

        See :func:`~routingsim.evaluation.backtest_figures.believable`.
        """
        whole = self.figure(AT)
        if math.isnan(whole.off):
            return math.nan
        found = [each for each in self.coverage if (each.agent, each.figure) == ("all", AT)]
        return believable(whole, found[0] if found else None)

    @cached_property
    def sentence(self) -> str:
        """How far off the simulator is on this log, without a capital and a full stop."""
        whole = self.figure(AT)
        if math.isnan(self.off):
            return (
                f"on your traffic it cannot be said how far the simulator is off: "
                f"{counted(whole.calls, 'answered call')} of {self.log} were held out, and "
                f"{LEAST['p95']} or more are needed for a p95"
            )
        return (
            f"on your traffic the simulator is off by {_percent(self.off)} at p95 "
            f"({whole.predicted:.3g} s predicted, {whole.recorded:.3g} s recorded, "
            f"{whole.calls:,} calls); believe differences above {_percent(self.believe)}"
        )

    def to_frame(self) -> pd.DataFrame:
        """A row for each agent and figure.

        Columns: agent ("all" first), figure, calls, recorded, predicted, low and high (of the
        95 % prediction interval), off (predicted over recorded, less 1) and verdict ("as
        predicted", "off", "too few calls to say").
        """
        return table_of(self.figures, _HEADS)

    def calibration(self) -> pd.DataFrame:
        """How often predicted intervals held what rolling windows recorded, a row a figure.

        Columns: agent, figure, windows (rolling, each half over the one before), calls (of
        one), held (share of the windows), low and high (95 % interval of it), promised (0.95)
        and verdict ("as promised", "not contradicted", "too narrow").
        """
        names = ("agent", "figure", "windows", "calls", "held", "low", "high", "verdict")
        frame = table_of(self.coverage, names)
        frame.insert(frame.shape[1] - 1, "promised", 0.95)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON."""
        return {
            **{name: getattr(self, name) for name in _IN_JSON},
            "off": None if math.isnan(self.off) else self.off,
            "believe": None if math.isnan(self.believe) else self.believe,
            "figures": records(self.to_frame()),
            "calibration": records(self.calibration()),
            "load": records(self.load.to_frame()),
            "causes": list(self.causes),
            "notes": list(self.notes),
            "agents": self.pool.to_dict()["agents"],
        }

    def __str__(self) -> str:
        return f"{self.sentence[0].upper()}{self.sentence[1:]}."

    def __repr__(self) -> str:
        heads, rows = self.shown()
        lines = [display.wrapped(str(self)), *(f"  {each}" for each in self.below())]
        frame = pd.DataFrame(rows[:_SHOWN], columns=heads)
        more = [f"… {len(rows) - _SHOWN} more rows: to_frame()"] if rows[_SHOWN:] else []
        lines = [display.wrapped(line) for line in lines]
        return "\n".join([*lines, frame.to_string(index=False), *more])

    def shown(self) -> tuple[list[str], list[list[str]]]:
        """Heads and rows of the figures as people read them."""
        rows = []
        for each in self.figures:
            found = [each.recorded, each.predicted, each.low, each.high]
            numbers = cells([None if math.isnan(v) else v for v in found], "number", absent="-")
            off = "-" if math.isnan(each.off) else f"{each.off:+z.1%}"
            rows.append([each.agent, each.figure, f"{each.calls:,}", *numbers, off, each.verdict])
        return _HEADS, rows

    def below(self) -> list[str]:
        """What stands below the sentence: what was done, whether intervals held, why not."""
        return [self.done, *self.calibration_said(), *(f"why: {each}" for each in self.causes)] + [
            f"note: {each}" for each in self.notes
        ]

    @property
    def done(self) -> str:
        """What was fitted, what was replayed, and how often."""
        return (
            f"{self.fitted:,} calls fitted, the {self.held_out:,} after them replayed "
            f"{self.replications} times at their own times, to their own agents, with their own "
            "lengths"
        )

    @property
    def then(self) -> list[str]:
        """What to do next."""
        if math.isnan(self.off):
            return ["Use a longer log, or hold out more of it (`--at 0.5`)."]
        said = [
            "Ask what another policy, load or price would have done: `routingsim whatif`. "
            f"Differences of its p95 below {_percent(self.believe)} may be errors of the simulator."
        ]
        if not self.coverage:
            said.append("Use a longer log, so that the intervals can be checked, too.")
        return said

    def calibration_said(self) -> list[str]:
        """Whether intervals held as often as they promise, in a sentence."""
        named = [each for each in self.coverage if each.agent == "all"]
        if not named:
            return ["too few calls for rolling windows: how often intervals hold is not known"]
        held = ", ".join(f"{each.figure} {each.held:.0%}" for each in named)
        worst = "; too narrow where less" if any(e.verdict == "too narrow" for e in named) else ""
        return [
            f"predicted 95 % intervals held in {named[0].windows} rolling windows: {held}{worst}"
        ]

    def to_markdown(self) -> str:
        """The sentence, and the tables of figures and of calibration."""
        said = [str(self), *(f"- {display.markdown_text(each)}" for each in self.below())]
        tables = [
            display.markdown_table(*self.shown(), left=(0, 1)),
            display.markdown_table(*texts(self.calibration()), left=(0, 1)),
        ]
        return "\n\n".join(["\n".join([said[0], "", *said[1:]]), *tables])

    def plot_latency(self, ax: "Axes | None" = None, *, legend: str = "") -> "Axes":
        """How latencies are distributed: recorded, and predicted with its interval."""
        from routingsim.report.backtest_plots import plot_backtest_latency

        return plot_backtest_latency(self, ax, legend=legend)

    def plot_load(self, ax: "Axes | None" = None, *, legend: str = "") -> "Axes":
        """Calls under way over time: recorded, and predicted with its interval."""
        from routingsim.report.backtest_plots import plot_backtest_load

        return plot_backtest_load(self, ax, legend=legend)


_IN_JSON = ("log", "sha256", "at", "fitted", "held_out", "replications", "seed", "sentence")
_HEADS = ["agent", "figure", "calls", "recorded", "predicted", "low", "high", "off", "verdict"]


def _percent(share: float) -> str:
    if share < 0.001:
        return "less than 0.1 %"
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:,.0f} %"
