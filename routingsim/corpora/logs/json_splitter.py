"""Where the values of a JSON array, or of values one after another, begin and end.

Imported only where a file is damaged or too large to be decoded at once: it compiles a kernel.
"""

import numpy as np
from numpy.typing import NDArray

from routingsim.compiled import cached_njit

DEPTH, IN_STRING, ESCAPED, STRAY = range(4)
"""What the state holds: brackets open, two flags, and values that are no objects or arrays."""

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_OPEN, _CLOSE = (ord("{"), ord("[")), (ord("}"), ord("]"))
_BETWEEN = (ord(","), ord(" "), ord("\n"), ord("\r"), ord("\t"))


@cached_njit()
def scan(
    data: NDArray[np.uint8],
    base: int,
    state: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Find the values at depth ``base``; ``state`` carries over from block to block.

    Parameters
    ----------
    data : ndarray of uint8
    base : int
        0 for values one after another, 1 for those of an array whose bracket was read.
    state : ndarray of int64, shape (4,)
    starts, ends : ndarray of int64
        Filled with offsets; an end without a start of its own closes a value of the
        block before.

    Returns
    -------
    begun, closed : int
        How many of ``starts`` and ``ends`` were filled.
    read : int
        Bytes read; fewer than there are where the array ended.
    """
    depth, in_string, escaped, stray = state[0], state[1], state[2], state[3]
    begun = closed = 0
    outside = True  # not inside a value that is neither an object nor an array
    read = data.size
    for k in range(data.size):
        byte = data[k]
        if in_string:
            if escaped:
                escaped = 0
            elif byte == _BACKSLASH:
                escaped = 1
            elif byte == _QUOTE:
                in_string = 0
            continue
        if byte == _QUOTE:
            in_string = 1
            if depth == base and outside:
                stray += 1
                outside = False
        elif byte == _OPEN[0] or byte == _OPEN[1]:
            if depth == base:
                starts[begun] = k
                begun += 1
            depth += 1
        elif byte == _CLOSE[0] or byte == _CLOSE[1]:
            depth -= 1
            if depth == base:
                ends[closed] = k + 1
                closed += 1
            elif depth < base:
                read = k + 1
                break
        elif depth == base:
            between = False
            for each in _BETWEEN:
                between = between or byte == each
            if between:
                outside = True
            elif outside:
                stray += 1
                outside = False
    state[0], state[1], state[2], state[3] = depth, in_string, escaped, stray
    return begun, closed, read
