"""Records in arrays that begin and end with lines of the processor's cache, and their prefetch.

With many agents and calls at once each event is about records that are no longer in the cache.
A record that begins a line is there after one access to memory, and one that is asked for early
is there when it is needed.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

_BYTES = 64  # of a line
_PAGE = 1 << 21  # bytes of a large page of memory
_LARGE = 1 << 20  # bytes from which large pages are worth it
_ASKED = 1 << 22  # bytes from which NumPy asks the system for large pages


def whole_lines(fields: list[tuple[str, type]], **others: str) -> np.dtype[np.void]:
    """A record of an odd number of lines, so that the first lines fall into all sets of a cache.

    ``others`` are further names of fields, for a second use.
    """
    packed: Any = np.dtype(fields)
    place = {name: packed.fields[name] for name in packed.names}
    place |= {other: place[name] for other, name in others.items()}
    formats, offsets = zip(*place.values(), strict=True)
    size = (-(-packed.itemsize // _BYTES) | 1) * _BYTES
    return np.dtype(
        {"names": list(place), "formats": formats, "offsets": offsets, "itemsize": size}
    )


def records(size: int, dtype: np.dtype[Any], first: int = 0) -> NDArray[Any]:
    """Records of zeros, of which number ``first`` begins a line."""
    found = memory(size * dtype.itemsize, first * dtype.itemsize)
    found[:] = 0
    return found.view(dtype)


def memory(size: int, at: int = 0) -> NDArray[np.uint8]:
    """``size`` bytes of undefined content, of which byte ``at`` begins a cache line.

    A large array begins a large page: the system provides such pages, and the processor finds
    addresses in them, several times as fast. Pages that are never used take no memory.
    """
    unit = _PAGE if size >= _LARGE else _BYTES
    block = np.empty(max(size + unit, _ASKED * (size >= _LARGE)), np.uint8)
    begin = -(block.ctypes.data + at) % unit
    return block[begin : begin + size]


_compiled: Any = intrinsic  # typed to take any arguments


@_compiled
def prefetch(typingctx, record):  # pragma: no cover - compiled
    """Ask for a record that will be needed soon."""

    def codegen(context, builder, signature, arguments):
        address, number = cgutils.voidptr_t, ir.IntType(32)
        takes = ir.FunctionType(ir.VoidType(), [address, number, number, number])
        ask = cgutils.get_or_insert_function(builder.module, takes, "llvm.prefetch.p0i8")
        to_write, in_all_caches, of_data = number(1), number(3), number(1)
        at = builder.bitcast(arguments[0], address)
        builder.call(ask, [at, to_write, in_all_caches, of_data])
        return context.get_dummy_value()

    return types.void(record), codegen


_PAIR = ir.IntType(128)


def _pair(builder, record):
    """The first sixteen bytes of a record as one number."""
    pair = builder.load(builder.bitcast(record, _PAIR.as_pointer()))
    pair.align = 8
    return pair


@_compiled
def less(typingctx, one, other):  # pragma: no cover - compiled
    """1 if the first 16 bytes of one record are the lower number, else 0."""

    def codegen(context, builder, signature, arguments):
        found = builder.icmp_signed("<", *(_pair(builder, each) for each in arguments))
        return builder.zext(found, ir.IntType(64))

    return types.int64(one, other), codegen


@_compiled
def less_than(typingctx, record, low, high):  # pragma: no cover - compiled
    """Whether they are a lower number than a word and a floating-point number make."""

    def codegen(context, builder, signature, arguments):
        record, low, high = arguments
        high = builder.zext(builder.bitcast(high, ir.IntType(64)), _PAIR)
        other = builder.or_(builder.shl(high, _PAIR(64)), builder.zext(low, _PAIR))
        return builder.icmp_signed("<", _pair(builder, record), other)

    return types.boolean(record, types.int64, types.float64), codegen
