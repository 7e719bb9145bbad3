"""Products with sparse matrices: one row of an SpMM, some weights of an SDDMM."""

# Emitters take LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from epymarl_mast.sparse.kernels.emit import (
    FLOAT,
    INDEX,
    INT,
    VECTORS,
    WIDTH,
    Builder,
    Value,
    address,
    bias_of,
    constant,
    dot,
    fma,
    index,
    load,
    loop,
    operation,
    positive,
    relu,
    shuffle,
    splat,
    store,
)

GROUPS = (16, 4, 1)  # kept weights whose gradients are summed over lanes together


# ------------------------------------------------------------------------------ SpMM, one row


@operation
def row_linear(b, x, x0, columns, values, k, stop, bias, row, y, y0):
    """Y = W x + bias, for one row of W."""
    sums = dot(b, bias_of(b, bias, row), address(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        store(b, sums[v], address(b, y, y0, WIDTH * v))


@operation
def row_relu(b, x, x0, columns, values, k, stop, bias, row, y, y0):
    """Y = relu(W x + bias), for one row of W."""
    sums = dot(b, bias_of(b, bias, row), address(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        store(b, relu(b, sums[v]), address(b, y, y0, WIDTH * v))


# ------------------------------------------------------------------------------ SDDMM


def _sum_vectors(b: Builder, vectors: list[Value]) -> Value:
    """A vector whose lane j is the sum of vectors[j]; their number a power of 2 up to 16."""

    def fold(first: Value, second: Value, groups: int, width: int) -> Value:
        # Both hold `groups` partial sums of `width` lanes each; halve the width, join the groups.
        half = width // 2
        low = [g * width + i for g in range(groups) for i in range(half)]
        picked = low + [WIDTH + i for i in low]
        return b.fadd(
            shuffle(b, first, second, picked),
            shuffle(b, first, second, [i + half for i in picked]),
        )

    groups, width = 1, WIDTH
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [fold(first, second, groups, width) for first, second in pairs]
        groups, width = groups * 2, width // 2
    (total,) = vectors
    while width > 1:
        half = width // 2
        low = [g * width + i for g in range(groups) for i in range(half)]
        low += [0] * (WIDTH - len(low))
        total = b.fadd(
            shuffle(b, total, total, low), shuffle(b, total, total, [i + half for i in low])
        )
        width = half
    return total


def _kept_weights_of_column(
    b: Builder, g: Value, rows: Value, values: Value | None, x: list[Value],
    at: Value, size: int, sums: list[Value], totals: list[Value],
) -> tuple[list[Value], list[Value]]:  # fmt: skip
    """One read of each weight's gradients g serves both products: sums += w g, totals += g x."""
    totals = list(totals)
    for j in range(size):
        row = address(b, g, b.sext(b.load(address(b, rows, at, j)), INDEX))
        outer = [load(b, address(b, row, WIDTH * v)) for v in range(VECTORS)]
        for v in range(VECTORS):
            totals[j] = fma(b, outer[v], x[v], totals[j])
        if values is not None:
            weight = splat(b, b.load(address(b, values, at, j)))
            sums = [fma(b, weight, outer[v], sums[v]) for v in range(VECTORS)]
    return sums, totals


def _column(
    b: Builder, g: Value, rows: Value, values: Value | None, k: Value, stop: Value,
    x: list[Value], sums: list[Value], gradient: Value, spread: bool,
) -> list[Value]:  # fmt: skip
    """Add to sums W^T g for one column of W, and to its weights' gradients g x.

    With ``spread`` a gradient is 16 numbers in a row, whose sum it is: no sum over lanes is needed
    until the end. Else groups of weights are summed over their lanes together.
    """
    if spread:

        def one(i: Value, sums: list[Value]) -> list[Value]:
            place = address(b, gradient, b.mul(i, index(WIDTH)))
            start = [load(b, place)]
            sums, (total,) = _kept_weights_of_column(b, g, rows, values, x, i, 1, sums, start)
            store(b, total, place)
            return sums

        return loop(b, k, stop, sums, one)
    for size in GROUPS:

        def group(i: Value, sums: list[Value], size: int = size, k: Value = k) -> list[Value]:
            at = b.add(k, b.mul(i, index(size)))
            start = [constant(0.0)] * size
            sums, totals = _kept_weights_of_column(b, g, rows, values, x, at, size, sums, start)
            _add_lanes(b, totals, address(b, gradient, at))
            return sums

        groups = b.sdiv(b.sub(stop, k), index(size))
        sums = loop(b, index(0), groups, sums, group)
        k = b.add(k, b.mul(groups, index(size)))
    return sums


def _add_lanes(b: Builder, vectors: list[Value], target: Value) -> None:
    """target[j] += the sum of vectors[j]."""
    size = len(vectors)
    target = b.bitcast(target, ir.VectorType(FLOAT, size).as_pointer())
    total = _sum_vectors(b, vectors)
    indices = ir.Constant(ir.VectorType(INT, size), list(range(size)))
    before = b.load(target)
    before.align = 4
    b.store(b.fadd(before, b.shuffle_vector(total, total, indices)), target).align = 4


def _column_add(spread: bool) -> Any:
    @operation
    def column_add(b, g, g0, rows, values, k, stop, x, x0, y, y0, gradient):
        """Y += W^T g for one column of W, whose input is x; gradient += g x."""
        inputs = [load(b, address(b, x, x0, WIDTH * v)) for v in range(VECTORS)]
        start = [load(b, address(b, y, y0, WIDTH * v)) for v in range(VECTORS)]
        g = address(b, g, g0)
        sums = _column(b, g, rows, values, k, stop, inputs, start, gradient, spread)
        for v in range(VECTORS):
            store(b, sums[v], address(b, y, y0, WIDTH * v))

    return column_add


def _column_relu(spread: bool) -> Any:
    @operation
    def column_relu(b, g, g0, rows, values, k, stop, x, x0, y, y0, gradient):
        """Y = W^T g where x > 0, else 0, for one column of W with input x; gradient += g x."""
        inputs = [load(b, address(b, x, x0, WIDTH * v)) for v in range(VECTORS)]
        start = [constant(0.0)] * VECTORS
        g = address(b, g, g0)
        sums = _column(b, g, rows, values, k, stop, inputs, start, gradient, spread)
        for v in range(VECTORS):
            passed = b.select(positive(b, inputs[v]), sums[v], constant(0.0))
            store(b, passed, address(b, y, y0, WIDTH * v))

    return column_relu


def _column_gradient(spread: bool) -> Any:
    @operation
    def column_gradient(b, g, g0, rows, k, stop, x, x0, gradient):
        """Gradient += g x for one column of W, whose input x needs no gradient."""
        inputs = [load(b, address(b, x, x0, WIDTH * v)) for v in range(VECTORS)]
        _column(b, address(b, g, g0), rows, None, k, stop, inputs, [], gradient, spread)

    return column_gradient


column_add, column_add_spread = _column_add(spread=False), _column_add(spread=True)
column_relu, column_relu_spread = _column_relu(spread=False), _column_relu(spread=True)
column_gradient, column_gradient_spread = (
    _column_gradient(spread=False),
    _column_gradient(spread=True),
)


@operation
def row_sum(b, g, g0, row, total):
    """The 16 numbers total[row] += g, whose sum over lanes is a bias' gradient."""
    g = address(b, g, g0)
    first, second, third, fourth = (load(b, address(b, g, WIDTH * v)) for v in range(VECTORS))
    place = address(b, total, b.mul(row, index(WIDTH)))
    whole = b.fadd(b.fadd(first, second), b.fadd(third, fourth))
    store(b, b.fadd(load(b, place), whole), place)


@operation
def sum_16(b, sums, k, target, place):
    """target[place] = the sum of the 16 numbers of gradient k."""
    vector = load(b, address(b, sums, b.mul(k, index(WIDTH))))
    total = b.extract_element(_sum_vectors(b, [vector]), ir.Constant(INT, 0))
    b.store(total, address(b, target, place))
