"""What the code of a policy reads of a task and of the pool."""

from types import CodeType
from typing import Any

from routingsim.policies.policy import Policy

_READ = frozenset(["d_var", "prompt_tokens", "features", "predicted", "category"])
_OURS = __name__.partition(".")[0]


def reads(policy: Policy) -> set[str]:
    """What a policy reads of a task's text and category: names of fields of a TaskView.

    It is found in the code of the function and of those that it calls.
    """
    return _names(policy) & _READ


def may_read(policy: Policy, field: str) -> bool:
    """Whether a policy may read a field of the pool that takes time to bring up to date.

    Only of functions of this package all code is sure to be found.
    """
    kernels = (policy.choose.python, policy.learn.python)
    ours = all(getattr(f, "__module__", "").partition(".")[0] == _OURS for f in kernels)
    return not ours or field in _names(policy)


def _names(policy: Policy) -> set[str]:
    """The names of attributes and globals in the code of a policy."""
    found: set[str] = set()
    seen: set[CodeType] = set()
    todo: list[Any] = [policy.choose.python, policy.learn.python]
    while todo:
        function = _plain(todo.pop())
        if function is None or function.__code__ in seen:
            continue
        code = function.__code__
        seen.add(code)
        found |= set(code.co_names)
        known = function.__globals__
        todo += [known[name] for name in code.co_names if name in known]
        todo += [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    return found


def _plain(value: Any) -> Any:
    """The Python function behind a function or a compiled one; None for anything else."""
    value = getattr(value, "py_func", value)
    if callable(value) and not isinstance(value, type) and not hasattr(value, "__code__"):
        value = getattr(type(value).__call__, "__func__", type(value).__call__)
    ours = str(getattr(value, "__module__", "")).partition(".")[0] not in ("numpy", "numba")
    return value if ours and hasattr(value, "__code__") else None


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # not assigned yet
        return False
