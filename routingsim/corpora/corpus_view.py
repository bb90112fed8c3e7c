"""A corpus at a glance, as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import html
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from routingsim import display

if TYPE_CHECKING:
    from routingsim.corpora.corpus import Corpus

__all__ = ["corpus_html", "corpus_text"]

_MANY = 12


def corpus_text(corpus: Corpus) -> str:
    """A few lines that fit a terminal."""
    lines = [f"Corpus({_short(corpus.name)!r}: {len(corpus):,} tasks)"]
    lines += [f"{name}: {value}" for name, value in _facts(corpus)]
    lines += [f"note: {_short(note)}" for note in corpus.notes[:_MANY]]
    return "\n".join(
        display.wrapped(f"{'  ' if k else ''}{line}", "    ") for k, line in enumerate(lines)
    )


def corpus_html(corpus: Corpus) -> str:
    """A small table without script, in the colours of the page around it."""
    rows = "".join(
        f"<tr><th style='text-align:left;font-weight:600'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in _facts(corpus)
    )
    notes = "".join(f"<li>{html.escape(_short(note))}</li>" for note in corpus.notes[:_MANY])
    return (
        "<div style='color:inherit;background:transparent'>"
        f"<b><bdi>{html.escape(_short(corpus.name))}</bdi></b> &middot; {len(corpus):,} tasks"
        f"<table style='color:inherit;background:transparent'>{rows}</table>"
        + (f"<ul style='opacity:.75'>{notes}</ul>" if notes else "")
        + "</div>"
    )


def _facts(corpus: Corpus) -> list[tuple[str, str]]:
    facts = []
    counts = Counter(name for name in corpus.tasks["category"].tolist() if name).most_common()
    if counts:
        listed = ", ".join(f"{_short(name, 30)} {count:,}" for name, count in counts[:6])
        more = f", {len(counts) - 6} more" if len(counts) > 6 else ""
        facts.append(("categories", f"{listed}{more}"))
    if corpus.has_arrivals:
        arrived = corpus.tasks["arrived_at"]
        facts.append(("arrivals", f"{arrived.iloc[0]:,.1f} s to {arrived.iloc[-1]:,.1f} s"))
    else:
        facts.append(("arrivals", "none"))
    if not corpus.has_texts:
        facts.append(("texts", "none"))
    quality = corpus.outcomes["quality"]
    agents = []
    for column, agent in enumerate(corpus.agents[:_MANY]):
        values = quality[:, column]
        known = values[~np.isnan(values)]
        mean = f"{known.mean():.3f}" if known.size else "quality not recorded"
        agents.append(f"{_short(agent, 60)} {mean}")
    if len(corpus.agents) > _MANY:
        agents.append(f"{len(corpus.agents) - _MANY} more")
    facts.append(("recorded quality", ", ".join(agents) or "none"))
    facts.append(("source", _short(corpus.source)))
    return facts


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
