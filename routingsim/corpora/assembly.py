"""The checked records of one or several files as one table of tasks, in order of arrival."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.checkup.clocks import spread_rounded
from routingsim.corpora.checkup.finding import Finding
from routingsim.corpora.rows import Skipped, counted
from routingsim.corpora.validation import Draft, check, outcome_arrays, task_columns

_LISTED = 10  # skipped records that the notes list


class Assembled(NamedTuple):
    """What a :class:`routingsim.Corpus` holds of its files; attributes as there."""

    tasks: pd.DataFrame
    agents: tuple[str, ...]
    outcomes: Mapping[str, NDArray[np.float64]]
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    findings: tuple[Finding, ...]


def assemble(
    drafts: Sequence[Draft], *, on_error: str, agents: Collection[str] | None
) -> Assembled:
    """Check the drafts of files, and join them.

    Parameters are those of :func:`routingsim.corpora.validation.check`.

    Raises
    ------
    CorpusError
        If a record is bad and ``on_error`` is "raise", or if none is left.
    """
    table, skipped = check(drafts, on_error=on_error, agents=agents)
    said = list(dict.fromkeys(note for draft in drafts for note in draft.notes))
    if skipped:
        records = counted(len(skipped), "record was", "records were")
        said.append(f"{records} skipped; the first: {skipped[0]}")
        said += [f"also skipped: {each}" for each in skipped[1:_LISTED]]
        if len(skipped) > _LISTED:
            said.append(f"and {len(skipped) - _LISTED:,} more skipped, all in .skipped")
    arrived = table["arrived_at"].to_numpy()
    missing = int(np.isnan(arrived).sum())
    late = int((arrived < np.maximum.accumulate(arrived)).sum())
    if 0 < missing < len(arrived):
        tasks = counted(missing, "task has", "tasks have")
        said.append(f"{tasks} no arrived_at: the corpus's own times cannot be replayed")
    elif late:
        said.append(f"{counted(late, 'arrival was', 'arrivals were')} unsorted: sorted")
        table = table.iloc[np.argsort(arrived, kind="stable")].reset_index(drop=True)
    blank = int(table["text"].eq("").to_numpy().sum())
    if 0 < blank < len(table):
        said.append(f"{counted(blank, 'task has', 'tasks have')} an empty text")
    recorded, outcomes = outcome_arrays(table)
    tasks = table.loc[:, task_columns(table)]
    found = [finding for draft in drafts for finding in draft.findings]
    clock = drafts[0].columns.get("arrived_at")
    if clock is not None:
        spread, of_stamps = spread_rounded(tasks["arrived_at"].to_numpy(), clock.begins)
        tasks["arrived_at"] = spread
        found += of_stamps
    return Assembled(tasks, recorded, outcomes, tuple(said), skipped, tuple(found))
