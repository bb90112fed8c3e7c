"""How results show themselves in notebooks: quiet HTML in the page's own colours, no scripts."""

import html
from collections.abc import Iterable, Sequence

__all__ = ["card", "shorten", "table"]

_QUIET = "color:inherit;background:transparent"
_LEFT = "text-align:left"


def card(title: str, body: str, notes: Iterable[str] = ()) -> str:
    """A title, some HTML, and remarks below it.

    Parameters
    ----------
    title : str
        Text, as are the notes.
    body : str
        HTML, of :func:`table`.
    notes : iterable of str
    """
    said = "".join(f"<li>{html.escape(shorten(note))}</li>" for note in notes)
    return (
        f"<div style='{_QUIET}'><b>{html.escape(shorten(title))}</b>{body}"
        + (f"<ul style='opacity:.75'>{said}</ul>" if said else "")
        + "</div>"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, strong: int | None = None) -> str:
    """A table of texts whose first column names the rows.

    Parameters
    ----------
    heads : sequence of str
        Of the columns; none for a table without.
    rows : sequence of sequence of str
    strong : int, optional
        The row to set in bold.
    """
    top = "".join(
        f"<th style='{_LEFT if not k else 'text-align:right'}'>{html.escape(head)}</th>"
        for k, head in enumerate(heads)
    )
    body = "".join(
        f"<tr style='font-weight:{600 if k == strong else 400}'>"
        f"<th style='{_LEFT};font-weight:inherit'>{html.escape(shorten(name))}</th>"
        + "".join(_cell(text, left=not heads) for text in rest)
        + "</tr>"
        for k, (name, *rest) in enumerate(rows)
    )
    head = f"<thead><tr>{top}</tr></thead>" if heads else ""
    return f"<table style='{_QUIET}'>{head}<tbody>{body}</tbody></table>"


def _cell(text: str, left: bool) -> str:
    side = "left" if left else "right"
    return f"<td style='text-align:{side}'>{html.escape(shorten(text))}</td>"


def shorten(text: str, most: int = 200) -> str:
    """A text cut to so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
