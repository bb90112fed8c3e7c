"""What the times of a log say about how they were taken: a ceiling, another unit, first tokens."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.corpora.logs.statuses import FAILED, OK
from routingsim.corpora.logs.table import CallTable

WIDTHS = (1e-6, 0.002, 0.02)  # relative widths of a pile of calls that end at a ceiling
PILE = 5  # fewest calls of a pile
SHARE, MOST = 0.01, 0.75  # smallest and largest share of all calls
STEEP = 4  # how many times more calls a pile has than the times below it
LONG = 100.0  # median seconds of a call from which milliseconds are probable
SLOW = 1.0  # or tokens per second below which they are
FASTEST = 1000.0  # tokens per second above which a latency is hardly that of the whole call
UNRELATED = 0.1  # rank correlation of latency and tokens below which they are called unrelated
FEW = 30  # calls without which nothing is said of a correlation

Floats = NDArray[np.float64]


def ceiling(log: CallTable) -> tuple[NDArray[np.bool_], list[str]]:
    """Calls that end at one largest time, as if they were given up there; and notes on them.

    Calls whose status says that they were answered are named, but not among them.
    """
    latency = log.numbers("latency")
    tokens = log.numbers("output_tokens") if "output_tokens" in log.columns else None
    known, answered = np.isfinite(latency) & (latency > 0), log.statuses == OK
    if "status" in log.columns:
        notes = []
        if count := int(_pile(latency, tokens, known & answered).sum()):
            notes.append(
                f"{count:,} answered calls end at {latency[known & answered].max():.4g} s, the "
                "largest latency of an answer: if they were given up there, give them the status "
                "timeout"
            )
        found = _pile(latency, tokens, known) & (log.statuses == FAILED)
        if count := int(found.sum()):
            notes.append(
                f"{count:,} failed calls end at {latency[known].max():.4g} s, the largest "
                "latency: they are taken as given up there"
            )
        return found, notes
    found = _pile(latency, tokens, known)
    if not (count := int(found.sum())):
        return found, []
    return found, [
        f"{count:,} of {latency.size:,} calls end at {latency[known].max():.4g} s, the largest "
        "latency: they are taken as given up there"
    ]


def _pile(latency: Floats, tokens: Floats | None, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The calls at the largest latency if there are far more than just below, else none."""
    times, none = latency[among], np.zeros(latency.size, bool)
    for width in WIDTHS if times.size else ():
        top = float(times.max())
        pile, rest = among & (latency >= (1 - width) * top), times[times < (1 - width) * top]
        count = int(pile.sum())
        if not max(PILE, SHARE * times.size) <= count <= MOST * times.size:
            continue
        next_ones = int((rest >= (1 - width) * rest.max()).sum())
        below = int((rest >= 0.8 * top).sum()) * width / (0.2 - width)
        if count >= STEEP * max(next_ones, below):
            # Answers of the greatest length that is allowed pile up too.
            longest = tokens is not None and np.ptp(tokens[pile]) == 0 and tokens[pile][0] > 0
            return none if longest else pile
    return none


def about_times(latency: Floats, tokens: Floats | None) -> list[str]:
    """Notes on answered calls whose times may be milliseconds, or those of a first token."""
    median = float(np.median(latency))
    speed = None if tokens is None else float(np.median(tokens / latency))
    in_milliseconds = median >= LONG if speed is None else speed < SLOW and median >= LONG / 10
    if in_milliseconds:
        of_tokens = "" if speed is None else f" and {speed:.2g} tokens per second"
        return [
            f"a median latency of {median:,.4g} s{of_tokens}: these are probably milliseconds; "
            'if so, say it with read_log(log, columns={"latency": "latency:ms"})'
        ]
    if tokens is None or speed is None:
        return []
    whole = "; if it is the time to the first token, give the time of the whole call"
    if speed > FASTEST:
        return [
            f"a median of {speed:,.4g} tokens per second is faster than calls are: latency may "
            f"not be that of the whole call{whole}"
        ]
    if latency.size >= FEW and np.ptp(tokens) > 0 and np.ptp(latency) > 0:
        ranks = pd.DataFrame({"latency": latency, "tokens": tokens}).rank().to_numpy()
        rank = float(np.corrcoef(ranks.T)[0, 1])  # Spearman's
        if rank < UNRELATED:
            return [
                f"latency does not grow with tokens (rank correlation {rank:.2f} over "
                f"{latency.size:,} calls){whole}"
            ]
    return []
