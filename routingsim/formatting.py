"""Numbers as people read them: three significant digits, units, no exponents."""

import math
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

ABSENT = "–"
"""What is shown where there is no figure."""

_MOST_DECIMALS = 8


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, thousands set apart: ``1,240``, ``0.0312``."""
    return ABSENT if not math.isfinite(value) else f"{value:,.{_decimals(value, digits)}f}"


def percent(share: float) -> str:
    """A share as ``31 %``, ``3.1 %`` or ``0.3 %``; rounded to neither 0 nor 100 % unless it is."""
    if not math.isfinite(share):
        return ABSENT
    if 0.98 <= share < 1:
        decimals = 1 if share < 0.999 else 2
        return f"{math.floor(share * 10 ** (decimals + 2)) / 10**decimals:.{decimals}f} %"
    return f"{number(100 * share, 2 if share >= 0.001 else 1)} %"


def usd(value: float) -> str:
    """An amount: ``USD 12.34``, ``USD 0.0412``, ``USD 1,240``."""
    if not math.isfinite(value):
        return ABSENT
    return f"USD {value:,.2f}" if 0.995 <= abs(value) < 1000 else f"USD {number(value)}"


def duration(seconds: float) -> str:
    """A time in its own unit: ``0.85 s``, ``3.4 min``, ``1.0 h``, ``2.0 days``."""
    for least, unit in ((172_800, "days"), (7_200, "h"), (180, "min")):
        if abs(seconds) >= least:
            return f"{number(seconds / {'days': 86_400, 'h': 3_600, 'min': 60}[unit], 2)} {unit}"
    return f"{number(seconds, 2 if abs(seconds) < 10 else 3)} s"


def count(value: int, one: str, many: str | None = None) -> str:
    """``1 task``, ``1,240 tasks``."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def isolated(name: str) -> str:
    """A name that keeps the sentence around it in order if it is written from right to left."""
    if any(unicodedata.bidirectional(c) in ("R", "AL") for c in name):
        return f"\u2068{name}\u2069"
    return name


def joined(words: Sequence[str], most: int = 4) -> str:
    """``a, b and c``; from ``most`` on ``a, b, c and 7 more``."""
    shown = list(words[:most])
    if len(words) > most:
        shown.append(f"{len(words) - most:,} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def upper_first(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def cells(values: Sequence[Any], kind: str) -> list[str]:
    """The values of a table's column as texts, all numbers with as many decimals.

    ``kind`` is "text", "count", "percent" (of a share), "quality", "number", "seconds" (a
    number shown to the millisecond at most), or "interval" (a pair of a mean and a
    half-width).
    """
    if kind == "interval":
        return [_interval(*pair) for pair in values]
    if kind in ("number", "seconds"):
        # Three digits for the largest; one decimal more where that shows the smallest.
        found = [abs(v) for v in values if v]
        decimals = 0
        if found:
            least = _decimals(max(found), 3)
            decimals = min(max(_decimals(min(found), 2), least), least + 1)
        while decimals and all(f"{v:.{decimals}f}".endswith("0") for v in found):
            decimals -= 1
        if kind == "seconds":
            decimals = min(decimals, 3)
        return [ABSENT if v is None else f"{v:,.{decimals}f}" for v in values]
    form: Callable[[Any], str] = {
        "text": str,
        "count": "{:,}".format,
        "percent": lambda share: f"{100 * share:.1f}",
        "quality": "{:.3f}".format,
    }[kind]
    return [ABSENT if v is None else form(v) for v in values]


def _interval(mean: float | None, width: float | None) -> str:
    """A mean and its half-width, with two digits of the latter; three digits of a mean alone."""
    if mean is None:
        return ABSENT
    if not width:
        return number(mean)
    decimals = _decimals(width, 2)
    return f"{mean:,.{decimals}f} ± {width:,.{decimals}f}"


def _decimals(value: float, digits: int) -> int:
    if value == 0:
        return 0
    # The magnitude after rounding: 9.996 to three digits is 10.0.
    rounded = float(f"{abs(value):.{digits - 1}e}")
    return min(max(digits - 1 - math.floor(math.log10(rounded)), 0), _MOST_DECIMALS)
