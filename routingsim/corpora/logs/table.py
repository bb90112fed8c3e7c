"""The table of a log: its columns, its texts, parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from routingsim.corpora.logs.texts import TextFile, texts_of
from routingsim.corpora.rows import Skipped, shown
from routingsim.equality import ByValue
from routingsim.errors import CorpusError

COLUMNS = (
    "call_id",
    "task_id",
    "session_id",
    "parent_id",
    "turn",
    "arrived_at",
    "agent",
    "prompt_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "ttft",
    "latency",
    "cost",
    "status",
    "quality",
    "propensity",
    "tags",
)
"""The columns of a log, beside its texts."""

_PARTS = 1e-9  # seconds by which a time that is cut at is early


@dataclass(frozen=True, repr=False, eq=False)
class CallTable(ByValue):
    """The calls of a :class:`.CallLog`, which describes its attributes, and what they say."""

    name: str
    source: str
    tools: tuple[str, ...]
    _calls: pd.DataFrame
    began: pd.Timestamp | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str = ""
    _files: tuple[TextFile, ...] = field(default=(), compare=False)
    _origin: tuple[NDArray[np.int32], NDArray[np.int64]] | None = field(default=None, compare=False)
    _texts: pa.LargeStringArray | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("columns", "left_out"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[Any, ...]:
        # With its texts: elsewhere its files may not be there.
        texts, said = self._read_texts
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        given |= {"columns": dict(self.columns), "left_out": dict(self.left_out)}
        given |= {"notes": tuple(dict.fromkeys([*self.notes, *said]))}
        given |= {"_files": (), "_origin": None, "_texts": texts}
        return type(self), tuple(given.values())

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def calls(self) -> pd.DataFrame:
        """A row for each call, without its text; a change to it does not change the log.

        Columns: call_id, task_id (tries of one task share it), session_id ("" where there is
        none), parent_id (the call or step that made this call), turn (from 0, in the
        session), arrived_at (s since ``began``, NaN where unknown), agent ("" where unknown),
        prompt_tokens, cached_tokens and cache_write_tokens (of these, read from a provider's
        cache and written to it), output_tokens,
        ttft and latency (s, of the first token and of the whole call), cost (USD), status (ok,
        failed, timed_out, cached), quality (0 to 1), propensity (above 0 and up to 1), tags.
        Numbers are NaN where not recorded.
        """
        return self._calls.copy(deep=False)

    def texts(self) -> pa.LargeStringArray:
        """The task's text of each call, of chat messages the last one of the user.

        They are read from the log's files, which must be there still; answers never are.

        Raises
        ------
        CorpusError
            If a file is gone, or has changed since the log was read.
        """
        return self._read_texts[0]

    @cached_property
    def _read_texts(self) -> tuple[pa.LargeStringArray, list[str]]:
        if self._texts is not None:
            return self._texts, []
        if not self._files or self._origin is None:
            return pa.array([""] * len(self), type=pa.large_string()), []
        return texts_of(self._files, *self._origin, lambda column: self._calls[column].tolist())

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents in the order in which they were first called."""
        return tuple(name for name in dict.fromkeys(self.names("agent").tolist()) if name)

    @property
    def has_arrivals(self) -> bool:
        """Whether the time of every call is known."""
        return len(self) > 0 and not np.isnan(self._calls["arrived_at"].to_numpy()).any()

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column of numbers as float64, shape (calls,); NaN where not recorded."""
        return self._calls[column].to_numpy(dtype=np.float64)

    def names(self, column: str) -> NDArray[np.object_]:
        """A column of short texts, shape (calls,); "" where there is none."""
        return self._calls[column].astype(object).to_numpy()

    @cached_property
    def statuses(self) -> NDArray[np.int8]:
        """The status of each call as a position in :data:`~.statuses.STATUSES`."""
        return self._calls["status"].cat.codes.to_numpy()

    def select(self, mask: NDArray[np.bool_]) -> Self:
        """The calls where a mask is true."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: NDArray[np.integer]) -> Self:
        """The calls at these positions, in their order; one may be taken several times."""
        origin = None
        if self._origin is not None:
            origin = (self._origin[0][rows], self._origin[1][rows])
        return replace(
            self,
            _calls=self._calls.iloc[rows].reset_index(drop=True),
            _origin=origin,
            _texts=None if self._texts is None else self._texts.take(pa.array(rows)),
        )

    def split(self, *, at: float | str | pd.Timestamp = 0.7) -> tuple[Self, Self]:
        """The calls that began before a time, and those after it.

        Parameters
        ----------
        at : float, str or Timestamp
            A share of the log's time, above 0 and below 1; or a date and time, in UTC where
            it has no zone.

        Raises
        ------
        CorpusError
            If the times of the calls are not known, or one part has no calls.
        """
        if not self.has_arrivals:
            raise CorpusError(f"{self.name}: cannot be split, for not every call has a time")
        arrived = self.numbers("arrived_at")
        if isinstance(at, str | pd.Timestamp):
            if self.began is None:
                raise CorpusError(f"{self.name}: has no dates; split it at a share, such as at=0.7")
            try:
                when = pd.Timestamp(at)
            except ValueError as error:
                raise CorpusError(f"at is {shown(at)}; expected a date and time: {error}") from None
            when = when.tz_localize("UTC") if when.tzinfo is None else when
            cut = (when - self.began).total_seconds()
        elif isinstance(at, Real) and 0 < at < 1:
            cut = arrived[0] + at * (arrived[-1] - arrived[0])
        else:
            raise CorpusError(f"at is {at!r:.60}; expected a share above 0 and below 1, or a date")
        early = arrived < cut - _PARTS
        if early.all() or not early.any():
            lasts = f"{arrived[0]:,.6g} s to {arrived[-1]:,.6g} s"
            raise CorpusError(
                f"{self.name}: no call is {'after' if early.all() else 'before'} {at}; the log's "
                f"calls are from {lasts}"
            )
        return self.select(early), self.select(~early)

    def to_frame(self, *, texts: bool = False) -> pd.DataFrame:
        """The calls as a table that :func:`routingsim.read_log` reads again."""
        frame = self.calls
        if self.began is not None:
            seconds = pd.to_timedelta(self.numbers("arrived_at"), unit="s")
            frame["arrived_at"] = self.began + seconds
        if texts:
            frame["text"] = pd.array(self.texts(), dtype="str")
        return frame

    def to_dict(self) -> dict[str, Any]:
        """What the log is, for JSON."""
        return {
            "name": self.name,
            "source": self.source,
            "sha256": self.sha256,
            "tools": list(self.tools),
            "calls": len(self),
            "began": None if self.began is None else self.began.isoformat(),
            "agents": list(self.agents),
            "columns": dict(self.columns),
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
        }
