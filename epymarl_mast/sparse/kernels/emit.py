"""LLVM IR over vectors of 16 lanes, and how a function that emits it becomes a numba intrinsic.

A lane is one row of a batch. A block holds LANES = 64 lanes features-major, (features, 64), in a
flat float32 array, so that one feature of all lanes is 4 vectors of 16 and a kept weight is 4
multiply-adds. numba's own loops reach neither this nor a vector exp (it has no SVML from PyPI),
which is why these are written in IR. LLVM splits the vectors of 16 where the CPU's are narrower.

Legend of the operations in products.py, units.py and tiles.py: ``x, y, …`` flat float32 arrays;
``x0, y0, …`` the index there of lane 0 of the feature meant; ``columns`` int32, the input feature
of each kept weight times LANES; ``k, stop`` range of kept weights. All operations return nothing
and write to their array arguments.
"""

# Compiled functions and emitters take arrays, offsets and LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LANES = 64
WIDTH = 16  # of one vector
VECTORS = LANES // WIDTH

FLOAT = ir.FloatType()
INT = ir.IntType(32)
INDEX = ir.IntType(64)
FLOATS = ir.VectorType(FLOAT, WIDTH)
INTS = ir.VectorType(INT, WIDTH)
BYTES = ir.IntType(8).as_pointer()

Value = Any  # llvmlite's values and builders have no useful types
Builder = Any


def operation(emit: Callable[..., None]) -> Any:
    """A numba intrinsic from a function that emits its IR.

    ``emit(builder, *arguments)`` gets a pointer to the first element for an array, and the value
    for a number; integers arrive as 64-bit ones.
    """
    parameters = list(inspect.signature(emit).parameters.values())[1:]

    def typing(context: Any, *arguments: Any) -> Any:
        cast = [a if isinstance(a, types.Array | types.Float) else types.int64 for a in arguments]

        def codegen(context: Any, builder: Builder, signature: Any, values: Any) -> Value:
            lowered = [
                context.make_array(kind)(context, builder, value).data
                if isinstance(kind, types.Array)
                else value
                for kind, value in zip(signature.args, values, strict=True)
            ]
            emit(builder, *lowered)
            return context.get_dummy_value()

        return types.void(*cast), codegen

    typing.__name__ = emit.__name__
    typing.__doc__ = emit.__doc__
    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    typing.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    return intrinsic(typing)


# ------------------------------------------------------------------------------ building blocks


def index(value: int) -> Value:
    """A 64-bit integer."""
    return ir.Constant(INDEX, value)


def constant(value: float) -> Value:
    """A vector of one number."""
    return ir.Constant(FLOATS, [value] * WIDTH)


def address(b: Builder, pointer: Value, *offsets: Value) -> Value:
    """A pointer, moved on by these numbers of elements."""
    for offset in offsets:
        pointer = b.gep(pointer, [offset if isinstance(offset, ir.Value) else index(offset)])
    return pointer


def load(b: Builder, pointer: Value) -> Value:
    """16 numbers from any place."""
    value = b.load(b.bitcast(pointer, FLOATS.as_pointer()))
    value.align = 4
    return value


def store(b: Builder, value: Value, pointer: Value) -> None:
    """Write 16 numbers to any place."""
    b.store(value, b.bitcast(pointer, FLOATS.as_pointer())).align = 4


def splat(b: Builder, scalar: Value) -> Value:
    """A vector of a scalar."""
    empty = ir.Constant(FLOATS, ir.Undefined)
    first = b.insert_element(empty, scalar, ir.Constant(INT, 0))
    return b.shuffle_vector(first, empty, ir.Constant(INTS, [0] * WIDTH))


def shuffle(b: Builder, first: Value, second: Value, picked: list[int]) -> Value:
    """Lanes picked from two vectors, 0 … 15 of the first and 16 … 31 of the second."""
    return b.shuffle_vector(first, second, ir.Constant(INTS, picked))


def call(b: Builder, name: str, result: Any, *arguments: Value) -> Value:
    """Call a function of LLVM by its name."""
    kind = ir.FunctionType(result, [a.type for a in arguments])
    function = b.module.globals.get(name) or ir.Function(b.module, kind, name)
    return b.call(function, arguments)


def fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """X y + z, rounded once."""
    return call(b, "llvm.fma.v16f32", FLOATS, x, y, z)


def loop(
    b: Builder, start: Value, stop: Value, carried: list[Value], body: Callable[..., list[Value]]
) -> list[Value]:
    """``for i in range(start, stop): carried = body(i, carried)``; returns the last carried."""
    before = b.block
    head, inside, after = (b.append_basic_block(n) for n in ("loop", "body", "after"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(INDEX)
    i.add_incoming(start, before)
    phis = [b.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    b.cbranch(b.icmp_signed("<", i, stop), inside, after)
    b.position_at_end(inside)
    updated = body(i, phis)
    i.add_incoming(b.add(i, index(1)), b.block)
    for phi, value in zip(phis, updated, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head)
    b.position_at_end(after)
    return phis


def positive(b: Builder, x: Value) -> Value:
    """Which lanes are above 0."""
    return b.fcmp_ordered(">", x, constant(0.0))


def relu(b: Builder, x: Value) -> Value:
    """max(x, 0); NaN stays NaN."""
    zero = constant(0.0)
    return b.select(b.fcmp_ordered("<", x, zero), zero, x)


def sign_of(b: Builder, x: Value) -> Value:
    """The derivative of abs, as torch has it: 0 at 0."""
    negative = b.fcmp_ordered("<", x, constant(0.0))
    other = b.select(negative, constant(-1.0), constant(0.0))
    return b.select(positive(b, x), constant(1.0), other)


def dot(
    b: Builder, start: list[Value], x: Value, columns: Value, values: Value, k: Value, stop: Value
) -> list[Value]:
    """Add to start the kept weights k … stop times their input features: one row of an SpMM."""

    def body(i: Value, sums: list[Value]) -> list[Value]:
        weight = splat(b, b.load(address(b, values, i)))
        feature = address(b, x, b.sext(b.load(address(b, columns, i)), INDEX))
        return [
            fma(b, weight, load(b, address(b, feature, WIDTH * v)), sums[v]) for v in range(VECTORS)
        ]

    return loop(b, k, stop, start, body)


def bias_of(b: Builder, bias: Value, row: Value) -> list[Value]:
    """One row's bias in all lanes of a block."""
    return [splat(b, b.load(address(b, bias, row)))] * VECTORS


def absolute(b: Builder, x: Value) -> Value:
    """|x|."""
    return call(b, "llvm.fabs.v16f32", FLOATS, x)
