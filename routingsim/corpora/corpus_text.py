"""A corpus in words: its facts for people, and which categories it has."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.corpora.rows import shown

SHOWN = 12
"""Agents, categories and notes that the representations show."""


def category_counts(tasks: pd.DataFrame) -> dict[str, int]:
    """The number of tasks of each category, most first."""
    codes, names = pd.factorize(tasks["category"])  # in the order in which they come
    counts = np.bincount(codes, minlength=len(names))
    order = np.argsort(-counts, kind="stable").tolist()
    return {str(names[k]): int(counts[k]) for k in order if names[k]}


def facts(
    categories: Mapping[str, int],
    span: tuple[float, float] | None,
    quality: Mapping[str, NDArray[np.float64]],
    source: str,
    texts: str,
) -> list[tuple[str, str]]:
    """Names and values for people.

    Parameters
    ----------
    categories : mapping of str to int
        Tasks of each.
    span : tuple of two floats, or None
        First and last arrival (s), where all are known.
    quality : mapping of str to ndarray, shape (tasks,)
        Recorded quality of each agent; NaN where there is none.
    source, texts : str
        Where it came from, and what takes the place of texts that are not there; "" if they are.
    """
    found = []
    if counts := list(categories.items()):
        listed = [f"{display.shorten(name, 30)} {count:,}" for name, count in counts[:6]]
        more = [f"{len(counts) - 6} more"] if len(counts) > 6 else []
        found.append(("categories", ", ".join(listed + more)))
    arrivals = "none" if span is None else f"{span[0]:,.1f} s to {span[1]:,.1f} s"
    found.append(("arrivals", arrivals))
    if texts:
        found.append(("texts", texts))
    agents = []
    for agent, values in list(quality.items())[:SHOWN]:
        known = values[~np.isnan(values)]
        mean = f"{known.mean():.3f}" if known.size else "quality not recorded"
        agents.append(f"{display.shorten(agent, 60)} {mean}")
    if len(quality) > SHOWN:
        agents.append(f"{len(quality) - SHOWN} more")
    found.append(("recorded quality", ", ".join(agents) or "none"))
    found.append(("source", display.shorten(source)))
    return found


def no_such_category(name: str, known: Collection[str]) -> str:
    """The error that there is no category of this name, which there are, and which may be meant."""
    if not known:
        return f"no category {shown(name)}: the corpus has none"
    near = get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    names = [shown(each) for each in known]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"no category {shown(name)}: there are {', '.join(names[:SHOWN])}{more}{hint}"
