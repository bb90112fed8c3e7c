"""Our own format: columns ``id`` and ``text``, those of a task, and recorded outcomes."""

from collections.abc import Sequence
from typing import Any

from routingsim.corpora.chats import last_user_messages
from routingsim.corpora.mapping import suggestions
from routingsim.corpora.numbers import RawColumn
from routingsim.corpora.rows import Rows, TextColumn, counted, shown, unnest
from routingsim.corpora.times import DATE_ORDERS, read_arrivals
from routingsim.corpora.validation import (
    BASE,
    OPTIONAL,
    OUTCOMES,
    SCORES,
    Draft,
    agent_and_field,
    listed,
    require,
)
from routingsim.errors import CorpusError


def draft_own(rows: Rows, dates: str | None = None) -> Draft:
    """Our own format: the columns of :data:`BASE` and recorded outcomes.

    Outcomes are in an object ``outcomes: {agent: {field: value}}`` (JSON) or in
    columns ``outcomes.<agent>.<field>``; an agent's name may contain dots. Other columns
    are left, and a note names them.

    Parameters
    ----------
    rows : Rows
    dates : {None, "month first", "day first"}
        The order in dates such as 10/6/2023.

    Raises
    ------
    CorpusError
        If the column ``id`` or ``text`` is missing, or ``dates`` is unknown.
    """
    if dates is not None and dates not in DATE_ORDERS:
        raise CorpusError(
            f"dates is {shown(dates)}; allowed are {' and '.join(map(repr, DATE_ORDERS))}"
        )
    require(rows, "id", "text")
    draft = Draft(
        rows,
        {
            name: RawColumn(name, rows.columns[name])
            for name in (*BASE, *OPTIONAL)
            if name in rows.columns
        },
    )
    _add_texts(draft, rows.columns["text"])
    unused = _add_scores(draft, rows)
    if "arrived_at" in draft.columns:
        draft.columns["arrived_at"] = read_arrivals(
            draft.columns["arrived_at"], draft.problems, draft.notes, draft.findings, dates
        )
    for name, values in rows.columns.items():
        if name == "outcomes":
            for agent, recorded in unnest(values, name, draft.problems).items():
                label = f"outcomes.{agent}"
                for key, inner in unnest(recorded, label, draft.problems).items():
                    _add_outcome(draft, agent, key, inner)
        elif name.startswith("outcomes."):
            agent, key = agent_and_field(name)
            _add_outcome(draft, agent, key, values)
        elif name not in (*BASE, *OPTIONAL, *SCORES):
            unused.append(name)
    if unused:
        like = any(word in name.casefold() for name in unused for word in OUTCOMES)
        hint = "; outcomes are read from outcomes.AGENT.quality, .cost and .latency" if like else ""
        draft.notes.append(f"{left_columns(unused)}{suggestions(unused, rows.columns)}{hint}")
    return draft


def left_columns(names: Sequence[str]) -> str:
    """How many columns were not used, and which."""
    return f"{counted(len(names), 'column was', 'columns were')} left: {', '.join(names)}"


def _add_texts(draft: Draft, values: Sequence[Any]) -> None:
    # An empty cell is an empty text, as in a trace.
    if isinstance(values, TextColumn):
        values = values.filled()
    values, note = last_user_messages(values, "text")
    draft.columns["text"] = RawColumn("text", values)
    if note:
        draft.notes.append(note)


def _add_scores(draft: Draft, rows: Rows) -> list[str]:
    """Take recorded scores where no task has a text; else return the columns, which are left."""
    found = [name for name in SCORES if name in rows.columns]
    texts = draft.columns["text"].values
    if texts.holds_any if isinstance(texts, TextColumn) else any(texts):
        return found
    draft.columns |= {name: RawColumn(name, rows.columns[name]) for name in found}
    return []


def _add_outcome(draft: Draft, agent: str, key: str, values: Sequence[Any]) -> None:
    name = f"outcomes.{agent}.{key}"
    if agent and key in OUTCOMES and name not in draft.columns:
        draft.columns[name] = RawColumn(name, values)
        return
    reason = (
        f"{name}: given twice, in an object and in a column of its own; leave one out"
        if name in draft.columns
        else f"{name}: unknown; expected outcomes.<agent>.<field> with a field of "
        f"{listed(OUTCOMES)}"
    )
    for row, value in enumerate(values):
        if value is not None:
            draft.problems.setdefault(row, reason)
