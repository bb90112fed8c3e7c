"""Properties that are worked out once, without a lock.

Before Python 3.12, ``functools.cached_property`` holds one lock for all instances of a class while
it works a value out, so that threads with a run each wait for each other.
"""

import functools
import sys
from typing import TYPE_CHECKING, Any

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
