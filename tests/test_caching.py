"""Values that are worked out once, whichever thread asks first."""

import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from routingsim.caching import Once, once

begun: list[int] = []


def slow(value: int) -> list[int]:
    begun.append(value)
    time.sleep(0.02)
    return [value]


def _together(ask: Callable[[], Any]) -> list[Any]:
    """What four threads get that ask at the same time."""
    begun.clear()
    ready = threading.Barrier(4)

    def one(_: int) -> Any:
        ready.wait()
        return ask()

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(one, range(4)))


def test_threads_that_ask_together_get_the_same_value_worked_out_once() -> None:
    value, known = Once(), once(2)(slow)
    for ask in (lambda: value.get(lambda: slow(3)), lambda: known(3)):
        first, *others = _together(ask)
        assert begun == [3]
        assert first == [3]
        assert all(each is first for each in others)
    known(4)
    known(5)
    assert known(3) == [3]
    assert begun == [3, 4, 5, 3], "two are kept"
    assert known.cache_info().misses == 4


def test_a_value_travels_and_an_error_is_not_kept() -> None:
    value = Once()
    with pytest.raises(ZeroDivisionError):
        value.get(lambda: 1 / 0)
    assert value.get(lambda: 2) == 2
    assert pickle.loads(pickle.dumps(value)).get(lambda: 3) == 2
