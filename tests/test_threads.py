"""Items in threads, in their order."""

import threading

import pytest

from routingsim.threads import mapped, workers_of


def test_items_are_done_side_by_side_and_come_in_order() -> None:
    both = threading.Barrier(2, timeout=60)

    def meet(item: int) -> tuple[int, bool]:
        both.wait()
        return item, threading.current_thread() is threading.main_thread()

    assert list(mapped(meet, range(4), 2)) == [(k, False) for k in range(4)]


def test_one_worker_or_one_item_stays_in_this_thread() -> None:
    for items, workers in ((range(3), 1), ([5], 4), ([], None)):
        found = list(mapped(lambda item: (item, threading.current_thread()), items, workers))
        assert found == [(item, threading.main_thread()) for item in items]


def test_numbers_of_workers() -> None:
    cores = workers_of(None)
    assert workers_of(-1) == cores
    assert workers_of(-2) == max(1, cores - 1)
    assert workers_of(-99) == 1
    assert workers_of(7) == 7


def test_an_error_ends_the_items_that_have_not_begun() -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        list(mapped(fail, range(100), 2))
    assert 1 <= len(begun) <= 100
