"""How compiled functions of the engine read named tuples of arrays: by a table of addresses.

A table has three words for each field: the address of an array's data, its size and the length
of its rows; or a number. A function gets the address of the table, whatever the table holds.
Fields are read by name, as of the named tuple; of an array, a *column*, elements can be read
and written at indices that are not negative, and the size asked for.

Numba would pass some thirty words for each named tuple of arrays to each function, load seven
words for each access to an array, and test each index for a negative one. Compiling that took
longer than all else.

The types use numba's low-level extension API and its internals (``numba.core``), which may
change with any release. Tested up to numba 0.68; pyproject.toml bounds the version.
"""

import ctypes
import operator
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import (
    impl_ret_borrowed,
    lower_builtin,
    lower_getattr,
    lower_getattr_generic,
)
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import NativeValue, models, register_model, unbox
from numba.np.arrayobj import load_item, make_array, populate_array, store_item
from numba.np.numpy_support import as_dtype
from numpy.typing import NDArray

_WORD = ir.IntType(64)
_WORDS = _WORD.as_pointer()
DATA, SIZE, ROW, WORDS = range(4)


class TableType(types.Type):
    """The numba type of a table of a named tuple, ``held``."""

    def __init__(self, held: types.NamedTuple, dtypes: Sequence[Any]) -> None:
        self.held: Any = held
        self.dtypes = dtypes  # of arrays; None of numbers
        # The name is part of the names of all functions that take a table.
        super().__init__(name=f"table of {held.instance_class.__name__}")

    @property
    def key(self) -> Any:
        """What tells one type of table from another."""
        return self.held

    def __hash__(self) -> int:
        return hash(self.name)  # of all types of the fields it would take long

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        """Let a caller in Python pass the table's address."""
        return Conversion.safe if other == types.int64 else None


class ColumnType(types.Type):
    """The numba type of an array in a table."""

    def __init__(self, array: types.Array) -> None:
        self.array = array
        super().__init__(name=f"column of {array}")


@register_model(TableType)
@register_model(ColumnType)
class _Pointer(models.PrimitiveModel):
    def __init__(self, dmm, kind):
        super().__init__(dmm, kind, _WORDS)


def table(view: Any, kind: TableType) -> NDArray[np.int64]:
    """The table of a named tuple, which has to be kept as long as the table is used.

    Raises
    ------
    TypeError
        If a field is not of its type.
    """
    columns = kind.held.fields, view, kind.held.types, kind.dtypes
    words = []
    for name, value, of, dtype in zip(*columns, strict=True):
        if dtype is None:
            words += (_bits(value) if of is types.float64 else value, 0, 0)
            continue
        found = value.dtype is dtype or value.dtype == dtype
        if not (found and value.ndim == of.ndim and value.flags.carray):
            how = f"{value.dtype}, {value.ndim} dimensions, strides {value.strides}"
            raise TypeError(f"{name} must be {of}, not of {how}")
        words += (_address(value) if value.size else 0, value.size, value.shape[-1])
    return np.array(words, np.int64)


def _bits(number: float) -> int:
    """The word of a number."""
    return struct.unpack("q", struct.pack("d", number))[0]


def _address(array: NDArray[Any]) -> int:
    """Where an array's data begins: an order of magnitude sooner than ``array.ctypes.data``.

    In NumPy's C structure of an array (``PyArrayObject``) this is what follows the object's head.
    """
    return ctypes.c_void_p.from_address(id(array) + object.__basicsize__).value or 0


@unbox(TableType)
def _unbox(kind, address, c):
    pointer = c.pyapi.long_as_longlong(address)
    failed = cgutils.is_not_null(c.builder, c.pyapi.err_occurred())
    return NativeValue(c.builder.inttoptr(pointer, _WORDS), is_error=failed)


def _word(builder, slot, k, kind=_WORD):
    """A word of a field, which stays as it is as long as the table is used."""
    place = builder.gep(slot, [ir.Constant(ir.IntType(32), k)], inbounds=True)
    word = builder.load(builder.bitcast(place, kind.as_pointer()))
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    return word


@infer_getattr
class _Fields(AttributeTemplate):
    key = TableType

    def generic_resolve(self, of, name):  # pyright: ignore[reportIncompatibleMethodOverride]
        if name not in of.held.fields:
            return None
        kind = of.held.types[of.held.fields.index(name)]
        return ColumnType(kind) if isinstance(kind, types.Array) else kind


@lower_getattr_generic(TableType)
def _read(context, builder, of, address, name):
    k = of.held.fields.index(name)
    kind = of.held.types[k]
    if not isinstance(kind, types.Array):
        return _word(builder, address, WORDS * k, context.get_value_type(kind))
    return builder.gep(address, [ir.Constant(ir.IntType(32), WORDS * k)], inbounds=True)


@infer_getattr
class _Attributes(AttributeTemplate):
    key = ColumnType

    def resolve_size(self, column):
        return types.intp


@lower_getattr(ColumnType, "size")
def _size(context, builder, column, slot):
    return _word(builder, slot, SIZE)


def _data(context, builder, column, slot):
    """The address of an array's data."""
    return _word(builder, slot, DATA, context.get_data_type(column.array.dtype).as_pointer())


def _kinds(index: Any) -> tuple[Any, ...]:
    """The type of an index by dimension."""
    return tuple(index) if isinstance(index, (types.Tuple, types.UniTuple)) else (index,)


def _are_indices(column, index):
    found = _kinds(index)
    return len(found) == column.array.ndim and all(isinstance(i, types.Integer) for i in found)


_operator: Any = infer_global  # its stubs lack what it returns


@_operator(operator.getitem)
class _Get(AbstractTemplate):
    def generic(self, args, kws):
        column, index = args
        if not isinstance(column, ColumnType):
            return None
        if _are_indices(column, index):
            return signature(column.array.dtype, column, index)
        if column.array.ndim == 2 and isinstance(index, types.Integer):
            return signature(column.array.copy(ndim=1), column, index)
        return None


@_operator(operator.setitem)
class _Set(AbstractTemplate):
    def generic(self, args, kws):
        column, index, _ = args
        if isinstance(column, ColumnType) and _are_indices(column, index):
            return signature(types.none, column, index, column.array.dtype)
        return None


def _element(context, builder, column, slot, kind, index):
    """The address of an element, or of a row."""
    at = cgutils.unpack_tuple(builder, index) if isinstance(kind, types.BaseTuple) else [index]
    at = [context.cast(builder, i, of, types.intp) for i, of in zip(at, _kinds(kind), strict=True)]
    place = at[0]
    if column.array.ndim == 2:
        place = builder.mul(place, _word(builder, slot, ROW))
        place = builder.add(place, at[1]) if len(at) == 2 else place
    return builder.gep(_data(context, builder, column, slot), [place], inbounds=True)


@lower_builtin(operator.getitem, ColumnType, types.Any)
def _get(context, builder, sig, args):
    (column, kind), (slot, index) = sig.args, args
    element = _element(context, builder, column, slot, kind, index)
    if isinstance(sig.return_type, types.Array):  # a row
        row: Any = make_array(sig.return_type)(context, builder)
        size = context.get_constant(types.intp, as_dtype(column.array.dtype).itemsize)
        populate_array(row, element, [_word(builder, slot, ROW)], [size], size, None)
        return impl_ret_borrowed(context, builder, sig.return_type, row._getvalue())
    value = load_item(context, builder, column.array, element)
    return impl_ret_borrowed(context, builder, sig.return_type, value)


@lower_builtin(operator.setitem, ColumnType, types.Any, types.Any)
def _set(context, builder, sig, args):
    (column, kind, _), (slot, index, value) = sig.args, args
    element = _element(context, builder, column, slot, kind, index)
    store_item(context, builder, column.array, value, element)
    return context.get_dummy_value()
