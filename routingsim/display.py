"""Representations of results: HTML for notebooks, Markdown, and text that fits a terminal.

The HTML is in the colours of the page around it and has no scripts.
"""

import html
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from routingsim.formatting import short

MOST_ROWS = 40
"""The most rows of a table that a notebook shows."""

_NOTE = 600  # characters of a note, or a title
_TEXT = 200  # characters of a task's text
_COLUMNS = 79  # of a terminal, less one

_QUIET = "color:inherit;background:transparent"
_LEFT = "text-align:left"

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")


def card(title: str, body: str, notes: Iterable[str] = (), *, first: Iterable[str] = ()) -> str:
    """HTML of a title, a body, and notes below it.

    Parameters
    ----------
    title : str
        Plain text, as are the notes.
    body : str
        HTML, from :func:`table`.
    notes : iterable of str
    first : iterable of str
        Notes that stand above the body, as figures are not to be read without them.
    """
    said = "".join(f"<li>{html.escape(shorten(note, _NOTE))}</li>" for note in notes)
    above = "".join(f"<p><b>{html.escape(shorten(note, _NOTE))}</b></p>" for note in first)
    return (
        f"<div style='{_QUIET}'><b>{html.escape(shorten(title, _NOTE))}</b>{above}{body}"
        + (f"<ul style='opacity:.75'>{said}</ul>" if said else "")
        + "</div>"
    )


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    strong: int | None = None,
    most: int = _TEXT,
) -> str:
    """An HTML table of plain texts whose first column names the rows.

    Parameters
    ----------
    heads : sequence of str
        The columns' names; none for a table without a head.
    rows : sequence of sequence of str
    strong : int, optional
        The row to set in bold.
    most : int
        Characters of a cell, which is cut where it is longer.
    """
    side = "text-align:right" if heads else _LEFT
    top = "".join(
        f"<th style='{side if k else _LEFT}'>{html.escape(head)}</th>"
        for k, head in enumerate(heads)
    )
    body = "".join(
        f"<tr style='font-weight:{600 if k == strong else 400}'>"
        f"<th style='{_LEFT};font-weight:inherit'>{html.escape(shorten(name, most))}</th>"
        + "".join(f"<td style='{side}'>{html.escape(shorten(text, most))}</td>" for text in rest)
        + "</tr>"
        for k, (name, *rest) in enumerate(rows)
    )
    head = f"<thead><tr>{top}</tr></thead>" if heads else ""
    return f"<table style='{_QUIET}'>{head}<tbody>{body}</tbody></table>"


def free_name(name: str, taken: Collection[str], form: str = "{} ({})") -> str:
    """The name, or if it is taken ``form`` of it and a number: ``random (2)``."""
    found, number = name, 2
    while found in taken:
        found, number = form.format(name, number), number + 1
        form = "{} ({})"
    return found


def markdown_text(text: str) -> str:
    """A text on one line, in which Markdown and HTML find no markup."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: Collection[int] = (0,)
) -> str:
    """A table of texts in GitHub's Markdown.

    Parameters
    ----------
    columns : sequence of str
        Their names.
    rows : iterable of sequence of str
        As many texts each as there are columns.
    left : collection of int
        The columns aligned to the left, by default the first; the others are numbers.
    """
    rules = ["---" if k in left else "---:" for k in range(len(columns))]
    escaped = [[markdown_text(cell) for cell in row] for row in (columns, *rows)]
    lines = [escaped[0], rules, *escaped[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shorten(text: str, most: int = _TEXT) -> str:
    """A text cut to at most ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def middle(text: str, most: int) -> str:
    """A name cut in its middle to at most ``most`` characters, as names often differ in the end."""
    start = (most + 1) // 2
    return text if len(text) <= most else f"{text[:start]}…{text[start + 1 - most :]}"


def parameter(value: object) -> str:
    """A parameter's value as text: four digits at most, no brackets."""
    if isinstance(value, float):
        return short(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {parameter(part)}" for key, part in value.items())
    if isinstance(value, tuple | list):
        return "/".join(map(parameter, value))
    return str(value)


def wrapped(text: str, indent: str = "  ") -> str:
    """A text broken into lines that fit a terminal, all but the first one indented."""
    return textwrap.fill(
        text, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def fits(text: str) -> bool:
    """Whether no line of a text is wider than a terminal."""
    return max(map(len, text.splitlines())) <= _COLUMNS


def fitted(names: Sequence[str], render: Callable[[Sequence[str]], str]) -> str:
    """A table as text; the names of its rows are cut if it does not fit a terminal.

    Parameters
    ----------
    names : sequence of str
        One or more.
    render : callable
        Makes the table from names.
    """
    text = render(names)
    over = max(map(len, text.splitlines())) - _COLUMNS
    if over <= 0:
        return text
    most = max(12, max(map(len, names)) - over)
    return render([middle(name, most) for name in names])
