"""Tables of named tuples, by which compiled functions read and write arrays."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import from_dtype, njit, types

from routingsim.simulation.tables import TableType, table

PAIR = np.dtype([("count", np.int32), ("share", np.float64)])


class Rows(NamedTuple):
    """One field of each kind."""

    many: int
    half: float
    numbers: Any
    pairs: Any
    square: Any


_arrays = (
    *(types.Array(types.float64, 1, "C"), types.Array(from_dtype(PAIR), 1, "C")),
    types.Array(types.int16, 2, "C"),
)
_dtypes = (None, None, np.dtype(float), PAIR, np.dtype(np.int16))
ROWS = TableType(types.NamedTuple((types.int64, types.float64, *_arrays), Rows), _dtypes)


def rows() -> Rows:
    square = np.arange(6, dtype=np.int16).reshape(2, 3)
    return Rows(-3, 0.5, np.arange(4.0), np.zeros(2, PAIR), square)


@njit(types.float64(ROWS))
def change(rows):
    third = np.uint32(2)
    rows.numbers[third] += rows.half
    rows.pairs[1].count = rows.many
    rows.pairs[1].share = rows.square[1, third]
    rows.square[np.uint8(0), 1] = 300
    return rows.square[1].sum() + 100 * rows.numbers.size + 1000 * rows.square.size


@pytest.mark.slow
def test_fields_are_read_and_written_by_name() -> None:
    view = rows()
    words = table(view, ROWS)
    assert change(words.ctypes.data) == 3 + 4 + 5 + 400 + 6000
    assert view.numbers.tolist() == [0.0, 1.0, 2.5, 3.0]
    assert view.pairs.tolist() == [(0, 0.0), (-3, 5.0)]
    assert view.square.tolist() == [[0, 300, 2], [3, 4, 5]]


def test_a_table_has_three_words_a_field() -> None:
    view = rows()
    words = table(view._replace(pairs=np.zeros(0, PAIR)), ROWS)
    half = int(np.array(0.5).view(np.int64))
    numbers, square = view.numbers.ctypes.data, view.square.ctypes.data
    assert words.tolist() == [
        *(-3, 0, 0, half, 0, 0, numbers, 4, 4),
        *(0, 0, 0, square, 6, 3),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("numbers", np.arange(4)),
        ("numbers", np.arange(8.0)[::2]),
        ("numbers", np.zeros((2, 2))),
        ("pairs", np.zeros(2, [("count", np.int64), ("share", float)])),
        ("square", np.zeros((3, 2), np.int16).T),
    ],
)
def test_an_array_of_another_kind_is_refused(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"{field} must be .*array\(.*, not of .* strides \("):
        table(rows()._replace(**{field: value}), ROWS)


def test_types_of_equal_tables_are_equal() -> None:
    same = TableType(types.NamedTuple((types.int64, types.float64, *_arrays), Rows), _dtypes)
    assert (same, hash(same)) == (ROWS, hash(ROWS))
    assert ROWS.name == "table of Rows"
