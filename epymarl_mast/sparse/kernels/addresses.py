"""A tensor's memory by its address: what a compiled function is told of it costs next to nothing.

An array of numpy for a tensor, and its unpacking, take several calls, each slow on a core whose
caches a kernel has just filled.
"""

# Intrinsics take numba's own types, which mypy does not know.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN202

from __future__ import annotations

from typing import Any

import numba
from numba import njit, types
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
