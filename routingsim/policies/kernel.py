"""The contract between a policy and its callers, the live router and the simulator.

A policy is two small functions over numbers. ``choose(task, pool, memory)``
returns the index of the agent that gets the task; ``learn(task, agent,
outcome, pool, memory)`` gets the outcome, when it is known. Both see the
task as a :class:`TaskView` and the agents as a :class:`PoolView`, and share
``memory``, a float64 array that only they write. A third says, before the choice,
how likely each agent is: ``probabilities(task, pool, memory, out)``.

Numba compiles a kernel once, under one explicit signature, so that the engine
(compiled once, cached) takes any policy as a first-class function. Called from
Python the same compiled kernel serves the live router.
"""

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from typing import Any, NamedTuple, Self

import numpy as np
from numba import njit, types
from numba.core.errors import NumbaError
from numba.extending import overload_attribute, register_jitable
from numpy.typing import NDArray

from routingsim import rng
from routingsim.compiled import cached_njit, without_collector
from routingsim.errors import PolicyError
from routingsim.policies.category import refuse_text
from routingsim.policies.numba_reference import ByReference

OK, FAILED, TIMED_OUT, SHED, LIMITED, TOO_LONG = range(6)
STATUS_NAMES = ("ok", "failed", "timed_out", "shed", "rejected", "too_long")
"""Statuses by code; ``LIMITED`` is a call that was rejected over a limit, an HTTP 429."""


COPY = 16
"""Bits of the number of a try: its draws belong to ``attempt + (copy << COPY)``."""


@register_jitable
def _key(task):
    return rng.bits(task.stream, task.index, task.attempt + (task.copy << COPY))


class TaskView(NamedTuple):
    """What a policy may know of a task when it decides.

    Compiled kernels get it by reference and read its fields by name (no slices).
    """

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """Position of the task in the run, from 0."""
    attempt: int
    """0 for the first try, 1 for the first retry, …"""
    time: float
    """Now, in seconds since the run began."""
    stream: np.uint64
    """Key of the run's draws for policies."""
    d_var: float
    """Complexity of the text, in [0, 1)."""
    prompt_tokens: float
    """Length of the prompt in tokens (recorded, or characters / 4)."""
    category: int
    """Code of the task's category (:meth:`routingsim.Corpus.category`); -1 where it has none.

    In plain Python it equals its name too (:class:`~routingsim.policies.category.Category`).
    """
    features: NDArray[np.float64]
    """Features of the text, as the policy asked for them; may be empty."""
    predicted: NDArray[np.float64]
    """Predicted quality per agent, as the policy asked for it; may be empty."""
    copy: int = 0
    """0 for the first copy of a try, 1 for the second, which a hedge sends."""
    priority: int = 0
    """The task's priority, 0 to 255; lower is more urgent."""
    tenant: int = 0
    """Code of the task's tenant: its position among the names of all tenants in order."""

    # Computed on access: most policies draw nothing.
    @property
    def key(self) -> int:
        """Key of the task's own random draws (uint64): ``draw(task, part)``."""
        return _key(self)

    @property
    def uniform(self) -> float:
        """A uniform random number in (0, 1) that belongs to the task: ``draw(task, 0)``."""
        return rng.of_try(self.stream, self.index, self.attempt + (self.copy << COPY), 0)


_NOT_KNOWN = np.zeros(0)


class PoolView(NamedTuple):
    """The agents now: an array for each quantity, with an entry for each agent."""

    busy: NDArray[np.int64]
    """Slots in use."""
    queued: NDArray[np.int64]
    """Tasks that wait."""
    slots: NDArray[np.int64]
    """Slots in all."""
    cost: NDArray[np.float64]
    """USD per 1,000 tokens."""
    wait: NDArray[np.float64]
    """Expected wait of a task that came now, in seconds: (queued + 1) x mean service
    time / slots where busy + queued reaches the slots, else 0; the time is that with all slots in
    use where an agent's calls share its speed."""
    service: NDArray[np.float64]
    """Mean service time in seconds."""
    up: NDArray[np.int64]
    """1 where the agent may be chosen, 0 where it is down or has just failed this task."""
    room: NDArray[np.float64] = _NOT_KNOWN
    """Share of the limits of the agent's account that is left, in [0, 1]: of several limits
    the least, 1 without any."""
    first_token: NDArray[np.float64] = _NOT_KNOWN
    """Mean seconds in service before the first token; the mean service time where an answer
    comes whole."""
    speed: NDArray[np.float64] = _NOT_KNOWN
    """Speed at which a call that came now would be served, as a share of its speed alone: below
    1 where an agent's calls slow each other down."""
    price: NDArray[np.float64] = _NOT_KNOWN
    """USD that this task is expected to cost at the agent: its prompt's tokens are known, and
    its answer is of mean length (:func:`routingsim.policies.costs.expected_costs`)."""
    ranking: NDArray[np.float64] = _NOT_KNOWN
    """For rules of this package: see :mod:`routingsim.policies.ranking`. Empty for all others."""


class Outcome(NamedTuple):
    """How a try ended, as the learn kernel gets it."""

    status: int
    """``OK``, ``FAILED``, ``TIMED_OUT``, ``SHED``, ``LIMITED`` (over a limit, HTTP 429) or
    ``TOO_LONG`` (for the context window)."""
    wait: float
    """Seconds in queues, over all tries so far."""
    service: float
    """Seconds in service."""
    latency: float
    """Seconds since the task's intended arrival."""
    cost: float
    """USD of this try."""
    quality: float
    """Recorded quality of the answer; NaN where none is recorded or the try failed."""
    first_token: float = math.nan
    """Seconds from the task's intended arrival to the answer's first token; NaN where there is
    no answer, or it is not known."""


_floats = types.Array(types.float64, 1, "C")
_ints = types.Array(types.int64, 1, "C")
_int, _float = types.int64, types.float64
_task = types.NamedTuple(
    [_int, _int, _float, types.uint64, _float, _float, _int, _floats, _floats, _int, _int, _int],
    TaskView,
)
POOL_VIEW = types.NamedTuple([*[_ints] * 3, *[_floats] * 3, _ints, *[_floats] * 5], PoolView)
_outcome = types.NamedTuple((types.int64, *[types.float64] * 6), Outcome)

_any_task, _any_pool = ByReference(_task), ByReference(POOL_VIEW)
CHOOSE = types.int64(_any_task, _any_pool, _floats)
LEARN = types.void(_any_task, types.int64, _outcome, _any_pool, _floats)
PROBABILITIES = types.void(_any_task, _any_pool, _floats, _floats)
_SIGNATURES = {"choose": CHOOSE, "learn": LEARN, "probabilities": PROBABILITIES}


@cached_njit()
def draw(task, part):
    """A uniform number in (0, 1) that depends on the run's seed, the task and ``part``."""
    return rng.of_try(task.stream, task.index, task.attempt + (task.copy << COPY), part)


# The two properties in compiled code, for a task passed by reference or by value.
@overload_attribute(types.NamedTuple, "key")
@overload_attribute(ByReference, "key")
def _key_of(task):
    return _key if getattr(task, "held", task) == _task else None


@overload_attribute(types.NamedTuple, "uniform")
@overload_attribute(ByReference, "uniform")
def _uniform_of(task):
    return (lambda task: draw(task, 0)) if getattr(task, "held", task) == _task else None


@dataclass(frozen=True)
class Kernel:
    """A choose, learn or probability function, plain to read and compiled to run.

    Called, it runs the compiled form. ``python`` is the function as written.

    A kernel pickles as the name of its function, by which another process finds it and
    compiles it again (or takes it from numba's cache).
    """

    python: Callable[..., Any]
    signature: Any
    ranks: int = 0
    """By what a choice ranks the agents, if the simulator is to keep the ranking."""

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return getattr(self.python, "__name__", repr(self.python))

    @cached_property
    def compiled(self) -> Any:
        """The numba dispatcher for the one signature, compiled when first asked for."""
        try:
            refuse_text(self.python, self.signature)
            with without_collector():
                return _found_once(_compile(self.python, self.signature))
        except NumbaError as error:
            reason = str(error).strip().splitlines()[0]
            raise PolicyError(
                f"kernel {self.name!r} cannot be compiled ({reason}): use numbers, arrays, loops "
                "and branches only, or run it as plain Python with interpreted=True"
            ) from error

    @property
    def entry(self) -> Any:
        """:attr:`compiled` for callers in the interpreter, without a check of the types.

        Numba's own check of two named tuples takes three times as long as a choice. The
        caller must pass contiguous arrays of the views' types.
        """
        [compiled] = self.compiled.overloads.values()
        return compiled.entry_point

    def __call__(self, *args: Any) -> Any:
        return self.compiled(*args)

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        [role] = [role for role, each in _SIGNATURES.items() if each == self.signature]
        name = getattr(self.python, "__qualname__", None)
        if name is None:  # an object that is called, which pickles or not by itself
            return _kernel, (self.python, role)
        module = self.python.__module__
        try:
            by_name = _found(module, name) in (self, self.python)
        except (ImportError, AttributeError, ValueError):
            by_name = False
        if by_name and not (_by_value.get() and module == "__main__"):
            return _kernel_named, (module, name, role)
        if _by_value.get():
            return _kernel, (self.python, role)
        raise PolicyError(
            f"kernel {self.name!r} cannot be pickled: {module} has no {name!r} by which another "
            "process would find it; define the function at module level, under that name"
        )


_by_value: ContextVar[bool] = ContextVar("_by_value", default=False)


@contextmanager
def pickled_by_value() -> Iterator[None]:
    """Let kernels that have no name at module level pickle with their functions.

    For picklers that write a function's code, such as cloudpickle: plain pickle does not.
    """
    token = _by_value.set(True)
    try:
        yield
    finally:
        _by_value.reset(token)


def _found(module: str, name: str) -> Any:
    return reduce(getattr, name.split("."), importlib.import_module(module))


def _kernel_named(module: str, name: str, role: str) -> Kernel:
    found = _found(module, name)
    return found if isinstance(found, Kernel) else _kernel(found, role)


def _kernel(function: Callable[..., Any], role: str) -> Kernel:
    return Kernel(function, _SIGNATURES[role])


def _found_once(compiled: Any) -> Any:
    """The same, its machine code looked up once: of itself numba asks LLVM in every run."""
    for each in compiled.overloads.values():
        each.library.get_pointer_to_function = cache(each.library.get_pointer_to_function)
    return compiled


def _compile(function: Callable[..., Any], signature: Any) -> Any:
    try:
        return cached_njit(signature, nogil=True)(function)
    except RuntimeError:  # no file to keep a cache beside, as of one typed at a prompt
        return njit(signature, nogil=True)(function)


def choose_kernel(function: Callable[..., int]) -> Kernel:
    """Make ``function(task, pool, memory) -> agent index`` a kernel (a decorator)."""
    return Kernel(function, CHOOSE)


def ranked(by: int) -> Callable[[Kernel], Kernel]:
    """Mark a kernel that takes the lowest agent of a ranking (a decorator).

    ``by`` is one of :mod:`routingsim.policies.ranking`.
    """
    return lambda kernel: replace(kernel, ranks=by)


def learn_kernel(function: Callable[..., None]) -> Kernel:
    """Make ``function(task, agent, outcome, pool, memory)`` a kernel (a decorator)."""
    return Kernel(function, LEARN)


def probability_kernel(function: Callable[..., None]) -> Kernel:
    """Make ``function(task, pool, memory, out)`` a kernel (a decorator).

    It is asked before the choice, and writes into ``out`` the probability with which the
    choose kernel is about to return each agent, over the task's random numbers. It writes
    nothing else.
    """
    return Kernel(function, PROBABILITIES)


@learn_kernel
def no_learning(task, agent, outcome, pool, memory):
    """The learn kernel of a policy that does not learn."""


@probability_kernel
def unknown(task, pool, memory, out):
    """The probabilities of a policy of which nothing is known: NaN."""
    out[:] = math.nan


@probability_kernel
def certain(task, pool, memory, out):
    """The mark of a policy that draws nothing: callers take 1 for the agent it returns."""
    out[:] = 0.0
