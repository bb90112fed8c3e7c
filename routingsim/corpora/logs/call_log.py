"""CallLog: a row a call, checked, with where each column came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from routingsim import display
from routingsim.corpora.logs.summary import SHOWN, columns_of, facts_of, summary_of, table_of
from routingsim.corpora.logs.table import CallTable
from routingsim.corpora.logs.to_corpus import corpus_of
from routingsim.corpora.rows import counted

if TYPE_CHECKING:
    from routingsim.agents import AgentPool
    from routingsim.corpora.corpus import Corpus


@dataclass(frozen=True, repr=False, eq=False)
class CallLog(CallTable):
    """Calls of agents in the order of their arrival.

    Get one from :func:`routingsim.read_log`. A log does not change.

    Attributes
    ----------
    name : str
        The file's stem, or the folder's name.
    source : str
        The path that it was read from.
    tools : tuple of str
        The names of the shapes that its files had.
    began : Timestamp or None
        The time, in UTC, at which ``arrived_at`` is 0; None where the log's clock is no
        calendar.
    columns : mapping of str to str
        Where each column came from; those not recorded are not there.
    left_out : mapping of str to int
        How many records are no calls, by reason.
    skipped : tuple of Skipped
        Records that were left out because they are damaged, each with its place.
    notes : tuple of str
        What the reader should know.
    sha256 : str
        Of the files' bytes, one after the other.
    """

    def corpus(self) -> Corpus:
        """A task a row, with outcomes under the agents that were called for it.

        Tries of one task are one row; of several calls of one agent the last one counts.
        Calls that a cache answered have no outcome.
        """
        texts, notes = self._read_texts
        return corpus_of(self, texts, notes)

    def calibrate(self, *, cost: float | Mapping[Any, float] | None = None, **fields: Any) -> Any:
        """The agents of the log, each with its service, prices and limits, and the arrivals.

        Parameters and errors are those of :func:`routingsim.fit_pool`.

        Returns
        -------
        routingsim.simulation.calibration.Calibration
            With ``pool``, ``fits`` by agent, and ``arrivals``.
        """
        from routingsim.simulation.calibration import calibrate

        return calibrate(self, cost=cost, **fields)

    def fit_pool(
        self, *, cost: float | Mapping[Any, float] | None = None, **fields: Any
    ) -> tuple[AgentPool, dict[str, Any]]:
        """The agents of :meth:`calibrate`, and the fit of each by its id.

        Parameters and errors are those of :func:`routingsim.fit_pool`.
        """
        found = self.calibrate(cost=cost, **fields)
        return found.pool, found.fits

    def backtest(self, *, at: float | str | pd.Timestamp = 0.7, **settings: Any) -> Any:
        """Would the simulator have predicted the last part of this log, fitted to the first?

        Parameters
        ----------
        at : float, str or Timestamp
            Where the first part ends: a share of the time, or a date.
        **settings
            As in :func:`routingsim.evaluation.backtest.backtest`: replications, seed, and
            fields of agents that a log does not show, such as ``concurrency=16``.

        Returns
        -------
        Backtest
            Of :mod:`routingsim.evaluation.backtest_result`.
        """
        from routingsim.evaluation.backtest import backtest

        return backtest(self, at=at, **settings)

    def whatif(
        self,
        policies: Sequence[Any] = ("cheapest", "least-loaded"),
        *,
        shift: float | str = 1.0,
        without: Collection[str] = (),
        prices: Mapping[str, float | Mapping[str, float]] | None = None,
        **settings: Any,
    ) -> Any:
        """What would other policies, loads, prices or fewer agents have done to this traffic?

        Parameters
        ----------
        policies : sequence
            To replay beside ``logged``, each anything that :func:`routingsim.replay` takes.
        shift : float or str
            How many times as fast tasks arrive: 2, or "2x".
        without : collection of str
            Agents that are no longer there.
        prices : mapping, optional
            New prices: ``{"gpt-4": {"input": 2}}``.
        **settings
            As for :meth:`backtest`.

        Returns
        -------
        WhatIf
            Of :mod:`routingsim.evaluation.whatif_result`.
        """
        from routingsim.evaluation.whatif import whatif

        return whatif(self, policies, shift=shift, without=without, prices=prices, **settings)

    def summary(self) -> pd.DataFrame:
        """A row for each agent, and one for all calls.

        Returns
        -------
        DataFrame
            Indexed by agent. Columns: calls, share, ok, failed, timed_out, cached,
            prompt_tokens and output_tokens (means), ttft_p50, latency_p50, latency_p95 (s, of
            answered calls), cost (USD, the sum), quality (mean).
        """
        return summary_of(self)

    def __repr__(self) -> str:
        lines = [f"CallLog({display.shorten(self.name)!r}: {counted(len(self), 'call')})"]
        lines += [f"  {name}: {value}" for name, value in facts_of(self)]
        lines.append(f"  columns: {columns_of(self)}")
        lines += [f"  note: {display.shorten(note)}" for note in self.notes[:SHOWN]]
        return "\n".join(display.wrapped(line, "    ") for line in lines)

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self) -> str:
        """The log at a glance, as notebooks show it: HTML without scripts."""
        came = display.table(["column", "from"], list(self.columns.items()))
        body = display.table([], facts_of(self)) + table_of(self) + came
        title = f"{display.shorten(self.name, 180)} · {counted(len(self), 'call')}"
        return display.card(title, body, self.notes[:SHOWN])

    def to_markdown(self) -> str:
        """The log at a glance, as a Markdown table."""
        rows = [("calls", f"{len(self):,}"), *facts_of(self), ("columns", columns_of(self))]
        return display.markdown_table(["log", self.name], rows, left=(0, 1))
