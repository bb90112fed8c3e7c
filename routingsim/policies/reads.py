"""What the code of a policy reads of a task and of the pool."""

from collections.abc import Callable, Set
from functools import lru_cache
from types import CodeType
from typing import Any

from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy
from routingsim.policies.ranking import BY_LATENCY, BY_LOAD

_READ = frozenset(["d_var", "prompt_tokens", "features", "predicted", "category"])
_LOAD = frozenset(["busy", "queued", "wait", "speed"])
_OURS = __name__.partition(".")[0]


def reads(policy: Policy) -> Set[str]:
    """What a policy reads of a task's text and category: names of fields of a TaskView.

    It is found in the code of the function and of those that it calls.
    """
    return _names(*_code_of(policy)) & _READ


def may_read(policy: Policy, field: str) -> bool:
    """Whether a policy may read a field of the pool that takes time to bring up to date.

    Only of functions of this package all code is sure to be found.
    """
    return not _ours(*_code_of(policy)) or field in _names(*_code_of(policy))


def may_read_load(choose: Kernel, learn: Kernel) -> bool:
    """Whether a policy may read the load of an agent, or what follows from it."""
    return choose.ranks == BY_LOAD or _may_read(_LOAD, choose, learn)


def may_read_wait(choose: Kernel, learn: Kernel) -> bool:
    """Whether a policy may read the expected wait for an agent."""
    return _may_read({"wait"}, choose, learn)


def _may_read(names: Set[str], choose: Kernel, learn: Kernel) -> bool:
    code = choose.python, learn.python
    latency = choose.ranks == BY_LATENCY
    return latency or not _ours(*code) or not _known(*code).isdisjoint(names)


def _code_of(policy: Policy) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return policy.choose.python, policy.learn.python


def _ours(*functions: Callable[..., Any]) -> bool:
    return all(getattr(f, "__module__", "").partition(".")[0] == _OURS for f in functions)


def _names(*functions: Callable[..., Any]) -> Set[str]:
    """The names of attributes and globals in the code of functions and of all that they call."""
    return _known(*functions) if _ours(*functions) else _found(*functions)


def _found(*functions: Callable[..., Any]) -> Set[str]:
    found: set[str] = set()
    seen: set[CodeType] = set()
    todo: list[Any] = list(functions)
    while todo:
        function = _plain(todo.pop())
        if function is None or function.__code__ in seen:
            continue
        known = function.__globals__
        todo += [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
        codes = [function.__code__]
        while codes:
            code = codes.pop()
            seen.add(code)
            found |= set(code.co_names)
            todo += [known[name] for name in code.co_names if name in known]
            codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return found


_known = lru_cache(maxsize=64)(_found)  # asked for again by every run


def _plain(value: Any) -> Any:
    """The Python function behind a function or a compiled one; None for anything else."""
    value = value.python if isinstance(value, Kernel) else getattr(value, "py_func", value)
    if callable(value) and not isinstance(value, type) and not hasattr(value, "__code__"):
        value = getattr(type(value).__call__, "__func__", type(value).__call__)
    ours = str(getattr(value, "__module__", "")).partition(".")[0] not in ("numpy", "numba")
    return value if ours and hasattr(value, "__code__") else None


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # not assigned yet
        return False
