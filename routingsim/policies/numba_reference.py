"""Named tuples that compiled functions pass on by reference.

By value, numba passes each word of a named tuple of arrays as an argument of its own: a task
and a pool make seventy, written out at every call of a kernel that reads a few. By reference
they are two pointers. The Python code stays the same: fields are read by name, and a caller
in the interpreter passes the named tuple itself.

The types use numba's low-level extension API and its internals (``numba.core``), which may
change with any release. Tested up to numba 0.68; pyproject.toml bounds the version.
"""

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed, lower_getattr_generic
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, intrinsic, lower_cast, models, register_model, unbox


class ByReference(types.Type):
    """The numba type of a reference to a named tuple, ``held``."""

    def __init__(self, held: types.NamedTuple) -> None:
        self.held: Any = held
        # The name is part of the names of all functions that take one: the types of the fields
        # would make these thousands of characters long.
        super().__init__(name=f"reference to {held.instance_class.__name__}")

    @property
    def key(self) -> Any:
        """What tells one type of reference from another."""
        return self.held

    def __hash__(self) -> int:
        return hash(self.name)  # of all types of the fields it would take long

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        """Let a caller pass the named tuple."""
        return Conversion.safe if other == self.held else None


@register_model(ByReference)
class _Pointer(models.PrimitiveModel):
    def __init__(self, dmm, reference):
        held = dmm.lookup(reference.held).get_value_type()
        super().__init__(dmm, reference, held.as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):
    key = ByReference

    def generic_resolve(self, reference, name):  # pyright: ignore[reportIncompatibleMethodOverride]
        if name in reference.held.fields:
            return reference.held.types[reference.held.fields.index(name)]
        return None


@lower_getattr_generic(ByReference)
def _read(context, builder, reference, pointer, name):
    k = reference.held.fields.index(name)
    value = builder.load(cgutils.gep_inbounds(builder, pointer, 0, k))
    return impl_ret_borrowed(context, builder, reference.held.types[k], value)


# A reference is to the caller's stack: it lives as long as the call it is made for.
@lower_cast(types.NamedTuple, ByReference)
def _refer(context, builder, held, reference, value):
    return cgutils.alloca_once_value(builder, value)


@unbox(ByReference)
def _unbox(reference, tuple_, c):
    native = c.unbox(reference.held, tuple_)
    pointer = cgutils.alloca_once_value(c.builder, native.value)
    return NativeValue(pointer, is_error=native.is_error, cleanup=native.cleanup)


_compiled: Any = intrinsic  # typed to take any arguments


@_compiled
def refer(typingctx, view):  # pragma: no cover - compiled
    """Make a reference once, for many calls."""

    def codegen(context, builder, signature, arguments):
        return cgutils.alloca_once_value(builder, arguments[0])

    return ByReference(view)(view), codegen


@_compiled
def rewrite(typingctx, reference, view):  # pragma: no cover - compiled
    """Let a reference refer to ``view``, whose arrays have the shapes of those referred to before.

    Only the address of an array's data is written.
    """

    def codegen(context, builder, signature, arguments):
        pointer, values = arguments
        for k, kind in enumerate(view.types):
            field, value = (0, k), builder.extract_value(values, k)
            if isinstance(kind, types.Array):
                data = context.data_model_manager[kind].get_field_position("data")
                field, value = (*field, data), builder.extract_value(value, data)
            builder.store(value, cgutils.gep_inbounds(builder, pointer, *field))
        return context.get_dummy_value()

    return types.void(reference, view), codegen
