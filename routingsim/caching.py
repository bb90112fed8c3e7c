"""Values computed once: properties without a lock, and caches that threads share.

Before Python 3.12, ``functools.cached_property`` holds one lock for all instances of a class while
it computes a value, so that threads with a run each wait for each other. From 3.12 on it holds
none, and threads that ask at the same time each compute the value.
"""

import functools
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING or sys.version_info >= (3, 12):
    cached_property = functools.cached_property
else:

    class cached_property:
        """As :class:`functools.cached_property` is from Python 3.12 on."""

        def __init__(self, function: Any) -> None:
            self.func, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self.attrname = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            found = self.func(instance)
            vars(instance)[self.attrname] = found  # found before this by the next access
            return found


_Found = TypeVar("_Found")
_Held = TypeVar("_Held")


class Itself(Generic[_Held]):
    """A cache key that compares its value by identity, since comparing corpora takes long."""

    __slots__ = ("value",)

    def __init__(self, value: _Held) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


class Once:
    """A value computed once: a thread that asks while another computes it waits."""

    def __init__(self, *found: Any) -> None:
        self._lock, self._found = threading.RLock(), [*found]

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:  # a lock cannot be pickled
        return Once, tuple(self._found)

    def get(self, function: Callable[[], _Found]) -> _Found:
        """The value, computed by ``function`` the first time."""
        with self._lock:
            if not self._found:
                self._found.append(function())
            return self._found[0]


def once(
    most: int,
) -> "Callable[[Callable[..., _Found]], functools._lru_cache_wrapper[_Found]]":
    """As ``functools.lru_cache(most)``; threads never compute the same value twice."""

    def of(function: Callable[..., _Found]) -> "functools._lru_cache_wrapper[_Found]":
        lock = threading.Lock()

        @functools.lru_cache(most)
        def place(*given: Any) -> Once:
            return Once()

        @functools.wraps(function)
        def found(*given: Any) -> _Found:
            with lock:
                mine = place(*given)
            return mine.get(lambda: function(*given))

        vars(found).update(cache_clear=place.cache_clear, cache_info=place.cache_info)
        return cast("functools._lru_cache_wrapper[_Found]", found)

    return of
