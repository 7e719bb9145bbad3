"""A tensor's memory by its address: what a compiled function is told of it costs next to nothing.

An array of numpy for a tensor, and its unpacking, take several calls, each slow on a core whose
caches a kernel has just filled.
"""

# Intrinsics take numba's own types, which mypy does not know.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

carray = numba.carray  # type: ignore[attr-defined]
_SIZE = 1 << 40  # of an array whose length is not known; nothing checks it


def _array_at(kind: Any) -> Any:
    pointer = types.CPointer(kind)

    @intrinsic
    def pointer_to(context, address):
        def codegen(context, builder, signature, values):
            return builder.inttoptr(values[0], context.get_value_type(pointer))

        return pointer(types.int64), codegen

    @njit
    def array_at(address):
        return carray(pointer_to(address), _SIZE)  # type: ignore[call-arg]

    return array_at


floats_at, longs_at, bytes_at = map(_array_at, (types.float32, types.int64, types.uint8))

_BYTES = ir.IntType(8).as_pointer()


@intrinsic
def copy_bytes(context, target, source, count):
    """Copy ``count`` bytes from one address to another; they must not overlap."""

    def codegen(context, builder, signature, values):
        to, origin = (builder.inttoptr(value, _BYTES) for value in values[:2])
        cgutils.raw_memcpy(builder, to, origin, values[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def clear_bytes(context, target, count):
    """Set ``count`` bytes from an address on to 0."""

    def codegen(context, builder, signature, values):
        cgutils.memset(builder, builder.inttoptr(values[0], _BYTES), values[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen
