"""Tasks to route: texts, arrivals, and what was recorded of each agent on each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from routingsim import display
from routingsim.agents import AgentPool
from routingsim.corpora.assembly import assemble
from routingsim.corpora.checkup.finding import Columns, Finding
from routingsim.corpora.checkup.result import Checkup, check_up
from routingsim.corpora.corpus_text import SHOWN, category_counts, facts, no_such_category
from routingsim.corpora.own_format import draft_own
from routingsim.corpora.readers import TableLike, frame_of, rows_of_frame
from routingsim.corpora.rows import Skipped, shown
from routingsim.corpora.selection import at_times, drawn, positions, whole
from routingsim.corpora.validation import OUTCOMES, Draft
from routingsim.corpora.writers import csv_pieces, write_frame
from routingsim.errors import CorpusError, wrong_type

CHARACTERS_PER_TOKEN = 4.0
"""Characters of a prompt for each of its tokens, where the tokens are not recorded."""


@dataclass(frozen=True, repr=False, eq=False)
class Corpus:
    """Checked tasks in the order of their arrival. A trace is a corpus without texts.

    Get one from :func:`routingsim.load_corpus` or :meth:`from_frame`. A corpus does not
    change: methods that change something return a new one, and ``tasks`` is a copy.

    Attributes
    ----------
    name : str
        "tasks", the public corpus's name, or the file's stem.
    agents : tuple of str
        The names under which outcomes are recorded.
    outcomes : mapping of str to ndarray, shape (tasks, agents)
        Recorded "quality" (0 to 1), "cost" (USD), "latency" (s), "output_tokens" and
        "failed" (1 where the call failed, else 0); NaN where not recorded. Read-only.
    source : str
        The path or URL it came from.
    sha256 : str
        Of the file's bytes; for several files, of the concatenation in sorted
        order; for a DataFrame, of its canonical CSV; for a corpus joined with a
        trace, of the two hexadecimal digests, one after the other. A selection
        keeps the digest of the whole corpus.
    notes : tuple of str
        What the reader should know: arrivals that were sorted, records skipped.
    skipped : tuple of Skipped
        The records left out, each with file, line and reason.
    categories : tuple of str
        Names of categories in the order of their codes, which are those of the names in
        order. A selection keeps the codes of the whole corpus.
    findings : tuple of Finding
        What only the file shows to be suspicious: :meth:`check` has all.
    """

    name: str
    _tasks: pd.DataFrame
    agents: tuple[str, ...]
    outcomes: Mapping[str, NDArray[np.float64]]
    source: str
    sha256: str
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    categories: tuple[str, ...] | None = None
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if self.categories is None:
            names = sorted(set(self._tasks["category"].tolist()) - {""})
            object.__setattr__(self, "categories", tuple(names))
        for array in self.outcomes.values():
            array.flags.writeable = False
        object.__setattr__(self, "outcomes", MappingProxyType(dict(self.outcomes)))

    @classmethod
    def from_frame(
        cls,
        frame: TableLike,
        name: str = "frame",
        *,
        on_error: str = "raise",
        agents: Collection[str] | None = None,
        dates: str | None = None,
    ) -> Self:
        """A corpus from a table in memory with the columns of our CSV format.

        Parameters
        ----------
        frame : DataFrame or Arrow table
            Of pandas, pyarrow, polars, HuggingFace datasets, or anything else that has the
            Arrow PyCapsule interface (``__arrow_c_stream__``). Columns ``id`` and ``text``;
            optionally ``arrived_at`` (s), ``category``,
            ``prompt_tokens``, ``output_tokens``, ``propensity``, ``cached_tokens``,
            ``cache_write_tokens``, ``priority`` (0 to 255, lower is more urgent), ``tenant``;
            where no task has a text,
            ``d_var``, ``length``, ``punctuation`` and ``unique_tokens``; and
            ``outcomes.<agent>.quality|cost|latency|output_tokens|failed``. It is not changed.
        name : str
            The corpus's name.
        on_error : {"raise", "skip"}
            Whether a bad row is an error, or is left out and listed in ``skipped``.
        agents : collection of str, optional
            The names under which outcomes may be recorded. Default: any.
        dates : {None, "month first", "day first"}
            The order in dates such as 10/6/2023, which are an error without it.

        Raises
        ------
        CorpusError
            If a column is missing or a value is not allowed; rows count from 1.
        """
        drafts = [draft_own(rows_of_frame(frame_of(frame, name), name), dates)]
        corpus = cls.from_drafts(
            drafts, name=name, source="DataFrame", sha256="", on_error=on_error, agents=agents
        )
        digest = hashlib.sha256()
        for piece in csv_pieces(corpus.to_frame()):
            digest.update(piece)
        return replace(corpus, sha256=digest.hexdigest())

    @classmethod
    def from_drafts(
        cls,
        drafts: Sequence[Draft],
        *,
        name: str,
        source: str,
        sha256: str,
        on_error: str,
        agents: Collection[str] | None,
        notes: Sequence[str] = (),
    ) -> Self:
        """A corpus from the drafts of one or several files.

        Parameters are those of :func:`routingsim.corpora.assembly.assemble` and the
        attributes of a corpus.

        Raises
        ------
        CorpusError
            If a record is bad and ``on_error`` is "raise", or if none is left.
        """
        checked = assemble(drafts, on_error=on_error, agents=agents)
        return cls(
            name,
            checked.tasks,
            checked.agents,
            checked.outcomes,
            source,
            sha256,
            (*notes, *checked.notes),
            checked.skipped,
            findings=checked.findings,
        )

    @property
    def tasks(self) -> pd.DataFrame:
        """A row for each task; a change to the frame does not change the corpus.

        Columns: id, text, arrived_at (s, NaN where there is none), category ("" where
        there is none), prompt_tokens, output_tokens (NaN where not recorded), propensity
        (the probability with which the agent that served the task was chosen, above 0 and
        up to 1; NaN where unknown). Where a file has them: cached_tokens and cache_write_tokens
        (of the prompt, read from a provider's cache and written to it), priority (NaN where
        there is none), tenant ("" where there is none), and in a corpus without texts ``d_var``,
        ``length``, ``punctuation`` and ``unique_tokens``.
        """
        return self._tasks.copy(deep=False)  # pandas copies what is written to

    def __reduce__(self) -> tuple[Any, ...]:
        # Arrays that come from a pickle or a copy are made read-only again.
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return type(self), tuple((fields | {"outcomes": dict(self.outcomes)}).values())

    def __len__(self) -> int:
        return len(self._tasks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Corpus):
            return NotImplemented
        return (
            (self.name, self.agents, self.source, self.sha256)
            == (other.name, other.agents, other.source, other.sha256)
            and self._tasks.equals(other._tasks)
            and all(
                np.array_equal(self.outcomes[key], other.outcomes[key], equal_nan=True)
                for key in OUTCOMES
            )
        )

    def __hash__(self) -> int:
        return hash((self.name, self.sha256, len(self)))

    def __repr__(self) -> str:
        lines = [f"Corpus({display.shorten(self.name)!r}: {len(self):,} tasks)"]
        lines += [f"  {name}: {value}" for name, value in self._facts()]
        lines += [f"  note: {display.shorten(note)}" for note in self.notes[:SHOWN]]
        lines += [f"  {line}" for line in self.check().suspicions]
        return "\n".join(display.wrapped(line, "    ") for line in lines)

    def _repr_html_(self) -> str:
        return self.to_html()

    def check(self, pool: AgentPool | None = None) -> Checkup:
        """The check-up: what was read, what is suspicious, what it touches, and what to do.

        Parameters
        ----------
        pool : AgentPool, optional
            The agents: their slots and prices allow further checks.
        """
        if pool not in self._checkups:
            tasks = self._tasks
            columns = Columns(
                self.agents,
                self.outcomes,
                tasks["arrived_at"].to_numpy(),
                prompt_tokens(self),
                tasks["output_tokens"].to_numpy(),
                pool,
            )
            self._checkups[pool] = check_up(columns, len(self.skipped), self.findings)
        return self._checkups[pool]

    @cached_property
    def _checkups(self) -> dict[AgentPool | None, Checkup]:
        return {}

    @cached_property
    def texts(self) -> pa.LargeStringArray:
        """The texts as one Arrow array: no nulls, offset 0, UTF-8."""
        found = pa.chunked_array(pa.array(self._tasks["text"])).combine_chunks()
        return found.cast(pa.large_string())

    @property
    def has_arrivals(self) -> bool:
        """Whether every task has an arrival time; they are sorted then."""
        return len(self) > 0 and not np.isnan(self._tasks["arrived_at"].to_numpy()).any()

    @cached_property
    def has_texts(self) -> bool:
        """Whether any task has a text; a trace has none."""
        return bool(self._tasks["text"].ne("").any())

    @property
    def has_scores(self) -> bool:
        """Whether tasks have a complexity score: by their texts, or recorded."""
        return self.has_texts or "d_var" in self._tasks

    @cached_property
    def category_codes(self) -> Mapping[str, int]:
        """A number from 0 for each category, in order of their names; none for ""."""
        return {name: code for code, name in enumerate(self.categories or ())}

    def category(self, name: str) -> int:
        """The code of a category, as a policy sees it in ``task.category``.

        Raises
        ------
        CorpusError
            If no task of the corpus, or of the one that it was selected from, has it.
        """
        if name not in self.category_codes:
            raise CorpusError(f"{self.name}: {no_such_category(name, self.category_codes)}")
        return self.category_codes[name]

    def outcome(self, field: str, agents: Sequence[str]) -> NDArray[np.float64]:
        """A recorded outcome of these agents, in this order.

        Parameters
        ----------
        field : {"quality", "cost", "latency", "output_tokens", "failed"}
            Which outcome: 0 to 1, USD, s, tokens, 1 or 0.
        agents : sequence of str
            Outcome names; one the corpus does not know gives a column of NaN.

        Returns
        -------
        ndarray of float64, shape (tasks, agents)

        Raises
        ------
        CorpusError
            If there is no such outcome.
        """
        if field not in OUTCOMES:
            raise CorpusError(f"no outcome {shown(field)}; allowed are {', '.join(OUTCOMES)}")
        if isinstance(agents, str) or not isinstance(agents, Collection):
            raise CorpusError(wrong_type("agents", agents, "a list of names is needed"))
        result = np.full((len(self), len(agents)), np.nan)
        for column, agent in enumerate(agents):
            if agent in self.agents:
                result[:, column] = self.outcomes[field][:, self.agents.index(agent)]
        return result

    def select(self, indices: ArrayLike) -> Corpus:
        """The tasks at these positions (or where a mask is true), each at most once.

        They keep the order asked for, except that a corpus with arrival times
        stays sorted by them.

        Raises
        ------
        CorpusError
            If a position does not exist or is given twice.
        """
        chosen = positions(indices, len(self))
        if self.has_arrivals:
            chosen = np.sort(chosen)
        left_out = (
            [f"{len(chosen):,} of {len(self):,} tasks selected"] if len(chosen) < len(self) else []
        )
        return replace(
            self,
            _tasks=self._tasks.iloc[chosen].reset_index(drop=True),
            outcomes={key: array[chosen] for key, array in self.outcomes.items()},
            notes=(*self.notes, *left_out),
        )

    def head(self, n: int) -> Corpus:
        """The first ``n`` tasks, or all where there are fewer."""
        return self.select(np.arange(min(max(whole(n), 0), len(self))))

    def sample(self, n: int, seed: int) -> Corpus:
        """``n`` tasks drawn at random without replacement, in the corpus's order.

        Raises
        ------
        CorpusError
            If there are fewer than ``n``, or ``n`` is no whole number.
        """
        return self.select(drawn(len(self), n, seed))

    def split(self, fraction: float, seed: int) -> tuple[Corpus, Corpus]:
        """Two parts drawn at random, the first with this fraction of the tasks.

        Raises
        ------
        CorpusError
            If ``fraction`` is not between 0 and 1.
        """
        if not (isinstance(fraction, Real) and 0 <= fraction <= 1):
            raise CorpusError(f"fraction is {fraction!r:.60}; allowed is 0 to 1")
        first = drawn(len(self), round(fraction * len(self)), seed)
        return self.select(first), self.select(np.delete(np.arange(len(self)), first))

    def with_arrivals(self, trace: Corpus) -> Corpus:
        """These tasks, in order, at the times of a trace.

        The trace's token counts replace those recorded here; where the trace has none,
        these stay. A trace with more arrivals than there are tasks repeats the tasks,
        and the ids of repeats end in "#2", "#3", …; one with fewer leaves tasks out.
        ``notes`` says so.

        Parameters
        ----------
        trace : Corpus
            Any corpus whose tasks all have an arrival time.

        Raises
        ------
        CorpusError
            If the trace has no arrival times, or this corpus no tasks.
        """
        if not isinstance(trace, Corpus):
            raise CorpusError(wrong_type("trace", trace, "a corpus with arrival times is needed"))
        if not trace.has_arrivals:
            raise CorpusError(f"{trace.name} has no arrival times; expected a trace")
        if not len(self):
            raise CorpusError(f"{self.name} has no tasks for the arrivals of {trace.name}")
        tasks, row, note = at_times(self.name, self._tasks, trace.name, trace._tasks)
        digest = hashlib.sha256((self.sha256 + trace.sha256).encode()).hexdigest()
        return replace(
            self,
            _tasks=tasks,
            outcomes={key: array[row] for key, array in self.outcomes.items()},
            source=f"{self.source} + {trace.source}",
            sha256=digest,
            notes=(*self.notes, note, *(f"{trace.name}: {said}" for said in trace.notes)),
            findings=(*self.findings, *trace.findings),
        )

    def to_frame(self) -> pd.DataFrame:
        """One table, as :meth:`from_frame` takes it: outcomes in dotted columns.

        A propensity or an outcome that no task has is left out.
        """
        tasks = self._tasks
        if np.isnan(tasks["propensity"].to_numpy()).all():
            tasks = tasks.drop(columns="propensity")
        recorded = {
            f"outcomes.{agent}.{key}": self.outcomes[key][:, column]
            for column, agent in enumerate(self.agents)
            for key in OUTCOMES
            if not np.isnan(self.outcomes[key][:, column]).all()
        }
        return pd.concat([tasks, pd.DataFrame(recorded, index=tasks.index)], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """What the corpus is, for JSON: name, number of tasks, agents, source and notes."""
        return {
            "name": self.name,
            "tasks": len(self),
            "categories": self._category_counts(),
            "agents": list(self.agents),
            "source": self.source,
            "sha256": self.sha256,
            "notes": list(self.notes),
            "findings": [each.to_dict() for each in self.check().findings],
        }

    def to_html(self) -> str:
        """The corpus at a glance, as notebooks show it: HTML without scripts."""
        return display.card(
            f"{display.shorten(self.name, 180)} · {len(self):,} tasks",
            display.table([], self._facts()),
            self.notes[:SHOWN],
            first=self.check().suspicions,
        )

    def to_markdown(self) -> str:
        """The corpus at a glance, as a Markdown table."""
        rows = [("tasks", f"{len(self):,}"), *self._facts()]
        return display.markdown_table(["corpus", self.name], rows, left=(0, 1))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the corpus in our own format.

        Parameters
        ----------
        path : path
            Ends in .jsonl, .csv (each optionally with .gz) or .parquet.

        Raises
        ------
        CorpusError
            If the suffix is another one, or the file cannot be written.
        """
        write_frame(self.to_frame(), Path(path))

    def _category_counts(self) -> dict[str, int]:
        return category_counts(self._tasks)

    def _facts(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        span = tuple(self._tasks["arrived_at"].iloc[[0, -1]]) if self.has_arrivals else None
        quality = dict(zip(self.agents, self.outcomes["quality"].T, strict=True))
        counts = self._category_counts()
        silent = "none, D_var is recorded" if self.has_scores else "none"
        return facts(counts, span, quality, self.source, "" if self.has_texts else silent)


def cached_tokens(corpus: Corpus) -> NDArray[np.float64]:
    """Tokens of each prompt that a provider reads from its cache; 0 where not recorded."""
    if "cached_tokens" not in corpus.tasks:
        return np.zeros(len(corpus))
    recorded = corpus.tasks["cached_tokens"].to_numpy(dtype=np.float64)
    return np.minimum(np.nan_to_num(recorded), prompt_tokens(corpus))


def cache_write_tokens(corpus: Corpus) -> NDArray[np.float64]:
    """Tokens of each prompt that a provider writes to its cache; 0 where not recorded."""
    if "cache_write_tokens" not in corpus.tasks:
        return np.zeros(len(corpus))
    recorded = corpus.tasks["cache_write_tokens"].to_numpy(dtype=np.float64)
    return np.minimum(np.nan_to_num(recorded), prompt_tokens(corpus) - cached_tokens(corpus))


def prompt_tokens(corpus: Corpus) -> NDArray[np.float64]:
    """Tokens of each prompt, shape (tasks,): recorded, or characters / 4."""
    recorded = corpus.tasks["prompt_tokens"].to_numpy(dtype=np.float64)
    characters = corpus.tasks["text"].str.len().to_numpy(dtype=np.float64)
    return np.where(np.isnan(recorded), np.ceil(characters / CHARACTERS_PER_TOKEN), recorded)


CorpusLike = str | os.PathLike[str] | TableLike | Corpus
"""What :func:`routingsim.load_corpus` makes a corpus of."""
