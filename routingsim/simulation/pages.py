"""Arrays as long as a run, of which the pages of what is done with are given back.

An array of a hundred million rows takes addresses, and memory for those of its pages alone that
have been written and not given back. So the engine counts tasks from the first to the last of a
run, as if all were there at once, while those under way and the next to come are in memory.
"""

import math
import mmap
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.errors import SimulationError

_RESERVE = 0x40 if sys.platform == "darwin" else 0x4000  # MAP_NORESERVE, which mmap lacks
_GIVE_BACK = mmap.MADV_FREE if sys.platform == "darwin" else mmap.MADV_DONTNEED


class Pages:
    """An array of zeros, written and given back from the front.

    Parameters
    ----------
    shape : tuple of int
        The first number is that of the rows.
    dtype : type
        Of the numbers.

    Attributes
    ----------
    array : ndarray
        The whole; what was given back must not be read any more.

    Raises
    ------
    SimulationError
        If the system has no addresses for so much.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        self._map: mmap.mmap | None = None
        self._row, self._given = size // max(shape[0], 1), 0
        if not size:
            self.array: NDArray[Any] = np.zeros(shape, dtype)
            return
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _RESERVE
        try:
            self._map = mmap.mmap(-1, size, flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise SimulationError(
                f"no addresses for an array of {size / 1e9:,.0f} GB ({error}), of which a small "
                "part would be in memory at once: raise the limit on virtual memory (ulimit -v), "
                "or replay fewer tasks"
            ) from None
        self.array = np.frombuffer(self._map, dtype).reshape(shape)

    def give_back(self, row: int) -> None:
        """Give back the memory of all rows before this one."""
        end = row * self._row // mmap.PAGESIZE * mmap.PAGESIZE
        if self._map is not None and end > self._given:
            self._map.madvise(_GIVE_BACK, self._given, end - self._given)
            self._given = end
