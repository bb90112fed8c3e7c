"""Categories of tasks in policies: a code for compiled kernels, a name for people.

Compiled code sees numbers alone, and numba lets a comparison of a number with text pass as
never true. So a kernel with such a comparison is refused when it is compiled, and in plain
Python the category equals its name.
"""

from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import Any, Self

from numba import njit, types

from routingsim.corpora.corpus_text import no_such_category
from routingsim.errors import PolicyError


class Category(int):
    """A task's category in plain Python: its code, which also equals its name.

    ``task.category == "code"``, ``task.category in ("code", "maths")`` and ``str(task.category)``
    go by name. A set or dict, which could look up the one or the other, refuses it.

    Parameters
    ----------
    code : int
        -1 for none.
    name : str
        "" for none.
    known : mapping of str to int, optional
        The codes of all names. None where no corpus says them: then only the name can be
        asked for.

    Raises
    ------
    PolicyError
        On comparison with a name that no task of the corpus has, or with a number where the
        codes are not known; and when it is looked up in a set or dict.
    """

    name: str
    known: Mapping[str, int] | None

    def __new__(cls, code: int, name: str, known: Mapping[str, int] | None) -> Self:
        made = super().__new__(cls, code)
        made.name, made.known = name, known
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            self._check_known()
            return int(self) == other
        if other and other != self.name and self.known is not None and other not in self.known:
            raise PolicyError(f"task.category == {other!r}: {no_such_category(other, self.known)}")
        return other == self.name

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        raise PolicyError(
            "task.category is looked up in a set or dict, and is a name as well as a code: look up "
            "str(task.category), the name, or int(task.category), the code"
        )

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec)

    def _check_known(self) -> None:
        if self.known is None and self.name:
            raise PolicyError(
                f"task.category is {self.name!r}, and its code is not known without a corpus: "
                "compare it with a name, or give the router the corpus whose codes are meant"
            )


def categories(names: Iterable[str], known: Mapping[str, int] | None) -> list[Category]:
    """The category of each task; tasks with the same name share one."""
    made: dict[str, Category] = {}
    found = []
    for name in names:
        if name not in made:
            made[name] = Category((known or {}).get(name, -1), name, known)
        found.append(made[name])
    return found


def refuse_text(function: Callable[..., Any], signature: Any) -> None:
    """Refuse a kernel that compares a number with text, which would never be true.

    Raises
    ------
    PolicyError
    """
    if not holds_text(function):
        return
    [overload] = njit(signature)(function).overloads.values()
    for expression, typed in overload.type_annotation.calltypes.items():
        if getattr(expression, "op", "") not in ("binop", "inplace_binop"):
            continue
        left, right = typed.args[:2]
        if _is_text(left) != _is_text(right):
            raise PolicyError(
                f"kernel {function.__name__!r} compares a number with text ({expression}): "
                "task.category is a code in compiled code; compare it with corpus.category(name), "
                "a number, or run the kernel as plain Python (interpreted=True), where names work"
            )


def _is_text(kind: Any) -> bool:
    """Whether values of a numba type are text, or hold text."""
    if isinstance(kind, types.BaseTuple):
        parts: Any = kind
        return any(map(_is_text, parts))
    if isinstance(kind, types.Container):
        return _is_text(getattr(kind, "dtype", None))
    return isinstance(kind, types.UnicodeType | types.StringLiteral | types.UnicodeCharSeq)


def holds_text(function: Callable[..., Any]) -> bool:
    """Whether a function uses text other than its docstring."""
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None:  # an object that is called
        return False
    named = [function.__globals__.get(name) for name in code.co_names]
    cells = [_content(cell) for cell in function.__closure__ or ()]
    constants = [each for each in code.co_consts if each is not function.__doc__]
    return any(map(_has_text, (*constants, *named, *cells)))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _has_text(value: Any) -> bool:
    if isinstance(value, tuple | frozenset | list | set):
        return any(map(_has_text, value))
    return isinstance(value, str)
