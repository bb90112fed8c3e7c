"""How the functions of the event loop are compiled: all as one piece of code.

Numba optimises each compiled function and makes machine code of it, again for each function
that calls it. Here only the loop itself is made machine code; the functions that it
calls are handed to it as they are written, and optimised with it once.

Integer arguments are 64 bits wide in all of them, whatever a caller has, so that none is
compiled for each width and each constant.

Like :mod:`routingsim.simulation.tables` this rests on numba's internals.
"""

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite.binding import parse_assembly
from numba import _dynfunc, njit, types  # pyright: ignore[reportAttributeAccessIssue]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags

from routingsim.compiled import cached_njit, without_collector

_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}


class _Part(JITCodeLibrary):
    """The code of one function, to be optimised with that of its callers."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Only name the processor: the final module is optimised as a whole."""
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Say that nothing more comes."""
        self._finalized = True

    def parts(self) -> list[Any]:
        """The libraries of this function and of all that it calls, callers first."""
        return [self, *(part for each in self._linking_libraries for part in _parts(each))]


def _parts(library: Any) -> list[Any]:
    return library.parts() if isinstance(library, _Part) else [library]


class _Whole(JITCodeLibrary):
    """The code of a function with that of all that it calls."""

    def finalize(self) -> None:
        """Optimise all, and make machine code."""
        # Callers come first: the linker leaves out what nothing refers to yet.
        found = [part for each in self._linking_libraries for part in _parts(each)]
        self._linking_libraries = list(dict.fromkeys(found))
        super().finalize()

    def _optimize_final_module(self) -> None:
        """Optimise once: an earlier pass of numba only removes needless reference counts."""
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def _get_module_for_linking(self) -> Any:
        """What the cache keeps beside machine code: names alone, as nothing compiled calls it."""
        found = [each.name for each in self.get_defined_functions()]
        return parse_assembly(
            "".join(f'define void @"{name}"() {{ ret void }}\n' for name in found)
        )


_NEEDLESS = {
    *("WithLifting", "InlineClosureLikes", "InlineInlinables", "DeadBranchPrune"),
    *("FindLiterallyCalls", "LiteralUnroll", "LiteralPropagationSubPipelinePass"),
    *("MakeFunctionToJitFunction", "RewriteSemanticConstants", "GenericRewrites"),
    *("InlineOverloads", "NopythonRewrites", "AnnotateTypes", "DumpParforDiagnostics"),
}


class _Flags(Flags):
    """Options of numba's compiler, which are compared some 20,000 times."""

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other) -> bool:
        return type(other) is _Flags and self._values == other._values


class _Compiler(Compiler):
    """Numba's compiler without the passes for what the event loop does not do."""

    def define_pipelines(self):
        """The passes in order."""
        (pipeline,) = super().define_pipelines()
        pipeline.passes = [each for each in pipeline.passes if each[0].__name__ not in _NEEDLESS]
        return [pipeline]


class _PartCompiler(_Compiler):
    """Numba's compiler, but that it makes no machine code."""

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals) -> None:
        flags = _Flags(flags)
        options: Any = flags  # its stubs lack the options' types
        options.no_compile = True
        part = _Part(targetctx.codegen(), "part")
        super().__init__(typingctx, targetctx, part, args, return_type, flags, locals)

    def compile_extra(self, func):
        """Compile, and let other functions call the code."""
        made = super().compile_extra(func)
        # By this object numba knows the function; without an address it cannot be called.
        entry = _dynfunc.make_function(
            *(inspect.getmodule(func), func.__name__, "", 0, made.environment, (made.library,))
        )
        self.state.targetctx.insert_user_function(entry, made.fndesc, [made.library])
        return made._replace(entry_point=entry)


class _WholeCompiler(_Compiler):
    """Numba's compiler, but that it optimises all parts at once."""

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals) -> None:
        whole = _Whole(targetctx.codegen(), "whole")
        whole.enable_object_caching()
        super().__init__(typingctx, targetctx, whole, args, return_type, _Flags(flags), locals)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function of the event loop so that it is inlined where it is called.

    Inlined and without reference counts (``_nrt``), passing the state costs nothing. Both
    together make the loop about thirty times as fast.
    """
    return _part(function, forceinline=True)


def called(function: Callable[..., Any]) -> Any:
    """Compile a function of the event loop that is rarely needed: it is called, not inlined."""
    return _part(function, inline="never")


def whole(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile the event loop itself with all that it calls, and keep it on disk."""
    compiler = cached_njit(signature, pipeline_class=_WholeCompiler, **_OPTIONS)

    def compiled(function: Callable[..., Any]) -> Any:
        with without_collector():
            return compiler(function)

    return compiled


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, with all that it calls, and keep it on disk.

    It allocates nothing, and other threads run meanwhile.
    """
    return cached_njit(pipeline_class=_WholeCompiler, **_OPTIONS)(function)


def _part(function: Callable[..., Any], **options: Any) -> Any:
    given = {**_OPTIONS, "pipeline_class": _PartCompiler, "no_cpython_wrapper": True, **options}
    made: Any = njit(**given)(function)
    fold = made._compiler.fold_argument_types

    def fold_wide(args, kws):
        found, kinds = fold(args, kws)
        return found, tuple(map(_wide, kinds))

    made._compiler.fold_argument_types = fold_wide
    return made


def _wide(kind: Any) -> Any:
    plain = types.unliteral(kind)
    number = plain.value if isinstance(plain, types.Omitted) else None
    whole = isinstance(plain, types.Integer) and plain != types.uint64
    return types.int64 if whole or isinstance(number, int) else plain


# Numba compiles its ``min`` and ``max`` as functions of their own, one for each pair of types.


@inlined
def lesser(one, other):
    """The lesser of two numbers of one kind, as ``min`` finds it."""
    return other if other < one else one


@inlined
def greater(one, other):
    """The greater of two numbers of one kind, as ``max`` finds it."""
    return other if other > one else one
