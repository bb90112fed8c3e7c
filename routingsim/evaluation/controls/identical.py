"""Controls that do exactly as another: one row is enough for them."""

from collections.abc import Mapping

import numpy as np

from routingsim.evaluation.cell import Cell


def identical(
    kinds: Mapping[str, str], cells: Mapping[tuple[str, float], Cell]
) -> dict[str, list[str]]:
    """Names, and the controls that did the same with every task at every load.

    Where the baseline is the cheapest agent, for one, the controls with its mix and its
    cost are that agent, too.

    Parameters
    ----------
    kinds : mapping of str to str
        The kind of each name, "policy" or "control".
    cells : mapping
        ``(name, load)`` to what was found.
    """
    loads = {load for _, load in cells}
    found: dict[str, list[str]] = {}
    kept: list[str] = []
    for name, kind in kinds.items():
        twins = [o for o in kept if all(_same(cells[o, at], cells[name, at]) for at in loads)]
        if kind == "control" and (twins := allowed(name, twins, kinds)):
            found.setdefault(twins[0], []).append(name)
        else:
            kept.append(name)
    return found


def allowed(name: str, twins: list[str], kinds: Mapping[str, str]) -> list[str]:
    """Those whose row may stand for a control's.

    The oracle, which is a bound, has its own, and so has the zero router, unless it is a
    policy: sentences compare with it.
    """
    if name.startswith("oracle"):
        return []
    return [o for o in twins if kinds[o] == "policy" or not name.startswith("zero-router")]


def _same(one: Cell, other: Cell) -> bool:
    return np.array_equal(one.times, other.times) and np.array_equal(
        one.figures, other.figures, equal_nan=True
    )


def said_of(found: Mapping[str, list[str]]) -> list[str]:
    """A sentence on each row that stands for others."""
    return [
        f"of the controls, {', '.join(others)} did exactly as {name}: no row of "
        f"{'its' if len(others) == 1 else 'their'} own"
        for name, others in found.items()
    ]
