"""References to named tuples in compiled code: read, made once, and pointed elsewhere."""

import numpy as np
import pytest
from numba import njit, types

from routingsim.policies.kernel import POOL_VIEW, PoolView
from routingsim.policies.numba_reference import ByReference, refer, rewrite


def view(busy: int) -> PoolView:
    counts, numbers = np.arange(3), np.arange(3.0)
    return PoolView(counts + busy, counts, counts, numbers, numbers + busy, numbers, counts)


@njit(types.float64(ByReference(POOL_VIEW)))
def read(pool):
    return pool.busy[1] + pool.wait[2] + pool.slots.size


@njit
def read_both(one, other):
    reference = refer(one)
    first = read(reference)
    rewrite(reference, other)
    return first, read(reference)


def test_fields_are_read_by_name_and_the_tuple_itself_is_taken() -> None:
    assert read(view(0)) == 1 + 2 + 3
    assert read(view(10)) == 11 + 12 + 3


@pytest.mark.slow
def test_a_reference_is_made_once_and_rewritten() -> None:
    assert read_both(view(0), view(10)) == (6.0, 26.0)
    one, other = ByReference(POOL_VIEW), ByReference(POOL_VIEW)
    assert one == other
    assert read.signatures == [(one,)]
