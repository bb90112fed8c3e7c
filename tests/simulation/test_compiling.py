"""Functions that are compiled as one piece of code."""

import pytest
from numba import types

from routingsim.simulation.compiling import called, inlined, whole


@called
def third(a, b=1):
    return a * 3 if a in (b, 7) else a


@inlined
def both(a, b):
    return third(a) + third(b, 5)


@whole(types.int64(types.int64, types.uint32))
def run(a, b):
    return both(a, b) + 1000 * both(1, a) + third(7.0)


def test_functions_that_call_others_run_as_one() -> None:
    assert run(1, 5) == 3 + 15 + 1000 * (3 + 1) + 21


@pytest.mark.slow
def test_all_widths_and_constants_share_one_compilation() -> None:
    for kinds in ((types.uint32, types.literal(3)), (types.int64, types.int8)):
        both.get_call_template(kinds, {})
    assert both.signatures == [(types.int64, types.int64)]
    integers = [kinds for kinds in third.signatures if types.float64 not in kinds]
    assert integers == [(types.int64, types.int64)]
