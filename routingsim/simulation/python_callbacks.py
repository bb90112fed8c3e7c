"""Policies written as plain Python functions, run by the compiled engine.

The engine calls a small compiled kernel, the *trampoline*, which calls back into
the interpreter. The addresses to call are in the engine's ``memory``; the Python
function gets the policy's memory. Only the numbers of task, try and copy and the time
are passed by value: the rest is read from lists made once for each run.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from routingsim.policies.kernel import CHOOSE, LEARN, Kernel, Outcome, PoolView, TaskView
from routingsim.simulation.state import Workload

_TASK = (ctypes.c_int64, ctypes.c_int64, ctypes.c_double, ctypes.c_int64)
_CHOOSE = ctypes.CFUNCTYPE(ctypes.c_int64, *_TASK)
_LEARN = ctypes.CFUNCTYPE(
    ctypes.c_int64, *_TASK, ctypes.c_int64, ctypes.c_int64, *[ctypes.c_double] * 6
)


def _pointer_call(*kinds: Any) -> Callable[..., Any]:
    """An intrinsic that calls the C function at an address with arguments of these types."""

    @intrinsic
    def call(typing_context, address, arguments):  # pragma: no cover - compiled
        signature = types.int64(types.int64, types.Tuple(kinds))

        def codegen(context, builder, _, values):
            pointer, packed = values
            numbers = [builder.extract_value(packed, k) for k in range(len(kinds))]
            kind = ir.FunctionType(ir.IntType(64), [number.type for number in numbers])
            return builder.call(builder.inttoptr(pointer, kind.as_pointer()), numbers)

        return signature, codegen

    return call


_i8, _f8 = types.int64, types.float64
_call_choose = _pointer_call(_i8, _i8, _f8, _i8)
_call_learn = _pointer_call(_i8, _i8, _f8, _i8, _i8, _i8, *[_f8] * 6)


@njit(CHOOSE, nogil=True)
def _choose_trampoline(task, pool, memory):
    return _call_choose(int(memory[0]), (task.index, task.attempt, task.time, task.copy))


@njit(LEARN, nogil=True)
def _learn_trampoline(task, agent, outcome, pool, memory):
    _call_learn(
        int(memory[1]),
        (
            *(task.index, task.attempt, task.time, task.copy, agent, outcome.status),
            *(outcome.wait, outcome.service, outcome.latency, outcome.cost, outcome.quality),
            outcome.first_token,
        ),
    )


def _by_row(table: NDArray[np.float64]) -> Callable[[int], NDArray[np.float64]]:
    """A function that returns rows of a table; without columns, all share an empty row."""
    if table.shape[1] == 0:
        none = np.zeros(0)
        return lambda row: none
    return table.__getitem__


def _by_task(column: NDArray[np.integer]) -> Callable[[int], int]:
    """A function that returns an entry of a column; of an empty one, 0."""
    return column.item if column.size else lambda index: 0


class Callbacks:
    """Trampolines and addresses for one run of a policy in plain Python.

    Attributes
    ----------
    kernels : tuple
        The trampolines.
    addresses : ndarray of float64
        The engine's memory for this run.
    error : BaseException or None
        What a function raised, which ends the run early.
    """

    kernels = _choose_trampoline, _learn_trampoline

    def __init__(
        self,
        choose: Kernel,
        learn: Kernel,
        work: Workload,
        pool: PoolView,
        memory: NDArray[np.float64],
        stream: np.uint64,
        categories: Sequence[int],
    ) -> None:
        self.error: BaseException | None = None
        row_of, tokens = work.row.item, work.prompt_tokens.tolist()
        d_var = work.d_var.tolist()
        priority_of, tenant_of = _by_task(work.priority), _by_task(work.tenant)
        features, predicted = _by_row(work.features), _by_row(work.predicted)

        def view(index: int, attempt: int, time: float, copy: int) -> TaskView:
            row = row_of(index)
            known = d_var[row], tokens[row], categories[row], features(row), predicted(row)
            own = copy, priority_of(index), tenant_of(index)
            return TaskView(index, attempt, time, stream, *known, *own)

        def on_choose(*task: Any) -> int:
            if self.error is not None:
                return -1
            try:
                return int(choose.python(view(*task), pool, memory))
            except BaseException as error:  # compiled code must not see an exception
                self.error = error
                return -1

        def on_learn(
            index: int, attempt: int, time: float, copy: int, agent: int, status: int, *rest: float
        ) -> int:
            if self.error is None:
                try:
                    task = view(index, attempt, time, copy)
                    learn.python(task, agent, Outcome(status, *rest), pool, memory)
                except BaseException as error:  # compiled code must not see an exception
                    self.error = error
            return 0

        # ctypes does not keep a callback alive while only C holds its address.
        self._alive = _CHOOSE(on_choose), _LEARN(on_learn)
        self.addresses = np.array(
            [float(ctypes.cast(f, ctypes.c_void_p).value or 0) for f in self._alive]
        )
