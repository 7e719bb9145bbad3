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
    store,
)

GROUPS = (16, 8, 4, 2, 1)  # kept weights that one SDDMM loop accumulates together


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


@operation
def row_add(b, x, x0, columns, values, k, stop, y, y0):
    """Y += W x, for one row of W."""
    start = [load(b, address(b, y, y0, WIDTH * v)) for v in range(VECTORS)]
    sums = dot(b, start, address(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        store(b, sums[v], address(b, y, y0, WIDTH * v))


@operation
def row_where_positive(b, x, x0, columns, values, k, stop, gate, gate0, y, y0):
    """Y = W x where gate > 0, else 0, for one row of W: the gradient through a relu."""
    sums = dot(b, [constant(0.0)] * VECTORS, address(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        passes = positive(b, load(b, address(b, gate, gate0, WIDTH * v)))
        store(b, b.select(passes, sums[v], constant(0.0)), address(b, y, y0, WIDTH * v))


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


def _sddmm_group(size: int, spread: bool) -> Any:
    @operation
    def group(b, x, x0, x_stride, columns, g, g0, g_stride, steps, k, gradient):
        """gradient[k + j] += sum over steps and lanes of g * x[columns[k + j]], j < size.

        With ``spread`` a gradient is 16 numbers in a row, whose sum it is; to sum them once at
        the end, not at every call, lets the caller work on single steps that stay in the cache.
        """
        rows = [
            address(b, x, x0, b.sext(b.load(address(b, columns, k, j)), INDEX)) for j in range(size)
        ]
        places = [address(b, gradient, b.mul(k, index(WIDTH)), WIDTH * j) for j in range(size)]
        start = [load(b, p) for p in places] if spread else [constant(0.0)] * size
        g = address(b, g, g0)

        def body(i: Value, sums: list[Value]) -> list[Value]:
            x_offset, g_offset = b.mul(i, x_stride), b.mul(i, g_stride)
            for v in range(VECTORS):
                factor = load(b, address(b, g, g_offset, WIDTH * v))
                sums = [
                    fma(b, factor, load(b, address(b, row, x_offset, WIDTH * v)), total)
                    for row, total in zip(rows, sums, strict=True)
                ]
            return sums

        sums = loop(b, index(0), steps, start, body)
        if spread:
            for total, place in zip(sums, places, strict=True):
                store(b, total, place)
            return
        total = _sum_vectors(b, sums)
        kind = ir.VectorType(FLOAT, size).as_pointer()
        target = b.bitcast(address(b, gradient, k), kind)
        indices = ir.Constant(ir.VectorType(INT, size), list(range(size)))
        before = b.load(target)
        before.align = 4
        b.store(b.fadd(before, b.shuffle_vector(total, total, indices)), target).align = 4

    return group


sddmm_16, sddmm_8, sddmm_4, sddmm_2, sddmm_1 = (_sddmm_group(n, spread=False) for n in GROUPS)
spread_16, spread_8, spread_4, spread_2, spread_1 = (_sddmm_group(n, spread=True) for n in GROUPS)


def _row_sum(spread: bool) -> Any:
    @operation
    def row_sum(b, g, g0, g_stride, steps, row, total):
        """total[row] += the sum of g over steps and lanes: a bias' gradient."""
        g = address(b, g, g0)

        def body(i: Value, sums: list[Value]) -> list[Value]:
            at = address(b, g, b.mul(i, g_stride))
            return [b.fadd(sums[v], load(b, address(b, at, WIDTH * v))) for v in range(VECTORS)]

        sums = loop(b, index(0), steps, [constant(0.0)] * VECTORS, body)
        whole = b.fadd(b.fadd(sums[0], sums[1]), b.fadd(sums[2], sums[3]))
        if spread:
            place = address(b, total, b.mul(row, index(WIDTH)))
            store(b, b.fadd(load(b, place), whole), place)
            return
        target = address(b, total, row)
        added = b.extract_element(_sum_vectors(b, [whole]), ir.Constant(INT, 0))
        b.store(b.fadd(b.load(target), added), target)

    return row_sum


@operation
def sum_16(b, sums, k, target, place):
    """target[place] = the sum of the 16 numbers of gradient k."""
    vector = load(b, address(b, sums, b.mul(k, index(WIDTH))))
    total = b.extract_element(_sum_vectors(b, [vector]), ir.Constant(INT, 0))
    b.store(total, address(b, target, place))


row_sum, row_sum_spread = _row_sum(spread=False), _row_sum(spread=True)
