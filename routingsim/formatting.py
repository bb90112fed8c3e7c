"""Numbers as people read them: three significant digits, units, no exponents."""

import math
import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import Any

ABSENT = "–"
"""What is shown where there is no figure."""

_MOST_DECIMALS = 8


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, thousands set apart: ``1,240``, ``0.0312``."""
    return ABSENT if not math.isfinite(value) else f"{value:,.{_decimals(value, digits)}f}"


def short(value: float, digits: int = 4) -> str:
    """At most so many significant digits, no zeros at the end: ``12,346``, ``2``, ``0.000078``.

    With an exponent only below a millionth and from 10^15 on.
    """
    if not math.isfinite(value) or (value and not 1e-6 <= abs(value) < 1e15):
        return f"{value:.{digits}g}"
    shown = number(value, digits)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


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


def upper_first(text: str, names: Collection[str] = ()) -> str:
    """The text with a capital at its beginning, unless it begins with one of the names."""
    return text if text.partition(" ")[0] in names else text[:1].upper() + text[1:]


def decimals(values: Sequence[Any], kind: str) -> int:
    """How many decimals the values of columns of one kind are shown with, all of them alike.

    Of "number" as many as show three digits of the largest and one of the smallest, two more
    than the former at most. Of "seconds" two, three where all are below 1, none where all are
    100 or more. Of "interval" as many as show two digits of the smallest half-width, two more than
    show three digits of the largest mean at most; of means alone as of "number". Absent values
    (None) and zeros do not count.
    """
    if kind == "interval":
        widths = [width for mean, width, *_ in values if mean is not None and width]
        means = [abs(mean) for mean, *_ in values if mean]
        if not widths:
            return decimals(means, "number")
        most = _decimals(max(means, default=0.0), 3) + 2
        return min(_decimals(min(widths), 2), most)
    found = [abs(value) for value in values if value]
    if not found:
        return 0
    if kind == "seconds":
        places = 3 if max(found) < 1 else 2 if min(found) < 100 else 0
    else:
        least = _decimals(max(found), 3)
        places = min(max(_decimals(min(found), 1), least), least + 2)
    while (
        places
        and min(found) >= 10.0**-places
        and all(f"{value:.{places}f}".endswith("0") for value in found)
    ):
        places -= 1
    return places


def cells(
    values: Sequence[Any], kind: str, places: int | None = None, *, absent: str = ABSENT
) -> list[str]:
    """The values of a table's column as texts, all numbers with as many decimals.

    ``kind`` is "text", "count", "percent" (of a share), "quality", "number", "seconds" (a
    wait or latency), or "interval" (a mean and a half-width, and how far the interval's middle is
    from the mean where it is). ``places`` are the decimals of the last three, if the column shares
    them with others; ``absent`` stands for None.
    """
    if kind in ("number", "seconds", "interval"):
        places = decimals(values, kind) if places is None else places
        if kind == "interval":
            return [absent if m is None else _interval(places, m, *rest) for m, *rest in values]
        return [absent if v is None else f"{v:z,.{places}f}" for v in values]
    form: Callable[[Any], str] = {
        "text": str,
        "count": "{:,}".format,
        "percent": lambda share: f"{100 * share:z,.1f}",
        "quality": "{:.3f}".format,
    }[kind]
    return [absent if v is None else form(v) for v in values]


def tight(cell: str) -> str:
    """An interval as a terminal has room for: ``0.548±0.058``, ``0.97(0.89–1.00)``."""
    return cell.replace(" ± ", "±").replace(" (", "(").replace(" to ", "–")


def _interval(places: int, mean: float, width: float | None, shift: float | None = None) -> str:
    """A mean and its half-width, one of the last digit at least; with its ends; or alone."""
    shown = f"{mean:z,.{places}f}"
    if width and shift:
        low, high = (f"{mean + shift + sign * width:z,.{places}f}" for sign in (-1, 1))
        return f"{shown} ({low} to {high})"
    return f"{shown} ± {max(width, 10.0**-places):,.{places}f}" if width else shown


def _decimals(value: float, digits: int) -> int:
    if value == 0:
        return 0
    # The magnitude after rounding: 9.996 to three digits is 10.0.
    rounded = float(f"{abs(value):.{digits - 1}e}")
    return min(max(digits - 1 - math.floor(math.log10(rounded)), 0), _MOST_DECIMALS)
