"""Loops that agents and mixers share: products, and moving rows to blocks and back.

Legend: a block is 64 lanes, features-major; LANES = 64. All arrays are flat float32 but for
``*_rows`` (int64, where each lane's row begins in a caller's array), ``steps`` (int64, each
block's number of steps) and the matrices (:class:`patterns.Csr`).
"""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.cache import (
    compiled,
)
from epymarl_mast.sparse.kernels.emit import (
    LANES,
    WIDTH,
)
from epymarl_mast.sparse.kernels.products import (
    row_add,
    row_linear,
    row_relu,
    row_sum,
    row_sum_spread,
    row_where_positive,
    sddmm_1,
    sddmm_2,
    sddmm_4,
    sddmm_8,
    sddmm_16,
    spread_1,
    spread_2,
    spread_4,
    spread_8,
    spread_16,
)
from epymarl_mast.sparse.kernels.tiles import (
    pack_tile,
    unpack_tile,
)

# ------------------------------------------------------------------------------ products


@compiled
def multiply(matrix, bias, first, last, relu, x, x0, y, y0):
    """Rows first … last - 1 of Y = W X + bias, through a relu if wanted; y0 is row 0's place."""
    starts, columns, values = matrix
    for row in range(first, last):
        k, stop = starts[row], starts[row + 1]
        at = y0 + row * LANES
        if relu:
            row_relu(x, x0, columns, values, k, stop, bias, row, y, at)
        else:
            row_linear(x, x0, columns, values, k, stop, bias, row, y, at)


@compiled
def multiply_add(matrix, first, last, x, x0, y, y0):
    """Y += rows first … last - 1 of W X; y0 is where row ``first`` goes."""
    starts, columns, values = matrix
    for row in range(first, last):
        at = y0 + (row - first) * LANES
        row_add(x, x0, columns, values, starts[row], starts[row + 1], y, at)


@compiled
def multiply_where_positive(matrix, rows, x, x0, gate, gate0, y, y0):
    """Y = rows 0 … rows - 1 of W X where gate > 0, else 0: the gradient through a relu."""
    starts, columns, values = matrix
    for row in range(rows):
        at = row * LANES
        k, stop = starts[row], starts[row + 1]
        row_where_positive(x, x0, columns, values, k, stop, gate, gate0 + at, y, y0 + at)


@compiled
def add_weight_gradient(
    matrix,
    x,
    x0,
    x_stride,
    g,
    g0,
    g_stride,
    steps,
    spread,
    d_values,
    d_bias,
):
    """SDDMM: d_values += (G X^T) at the kept weights, d_bias += G 1, summed over steps.

    With ``spread`` each gradient is 16 numbers that the caller has to sum.
    """
    starts, columns, _ = matrix
    for row in range(len(starts) - 1):
        k, stop = starts[row], starts[row + 1]
        at = g0 + row * LANES
        if spread:
            while stop - k >= 16:
                spread_16(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 16
            if stop - k >= 8:
                spread_8(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 8
            if stop - k >= 4:
                spread_4(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 4
            if stop - k >= 2:
                spread_2(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 2
            if stop - k >= 1:
                spread_1(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
            row_sum_spread(g, at, g_stride, steps, row, d_bias)
        else:
            while stop - k >= 16:
                sddmm_16(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 16
            if stop - k >= 8:
                sddmm_8(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 8
            if stop - k >= 4:
                sddmm_4(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 4
            if stop - k >= 2:
                sddmm_2(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 2
            if stop - k >= 1:
                sddmm_1(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
            row_sum(g, at, g_stride, steps, row, d_bias)


# ------------------------------------------------------------------------------ layout


@compiled
def pack(source, rows, lane0, shift, features, ahead, y, y0):
    """Rows of a caller's array to a block; y needs room for features rounded up to 16."""
    for feature in range(0, features, WIDTH):
        count = min(WIDTH, features - feature)
        for lane in range(0, LANES, WIDTH):
            at = y0 + feature * LANES - lane0
            pack_tile(source, rows, lane0 + lane, shift + feature, count, ahead, y, at)


@compiled
def unpack(x, x0, features, target, rows, lane0, shift):
    """A block to rows of a caller's array: the inverse of :func:`pack`."""
    for feature in range(0, features, WIDTH):
        count = min(WIDTH, features - feature)
        for lane in range(0, LANES, WIDTH):
            at = x0 + feature * LANES - lane0
            unpack_tile(x, at, lane0 + lane, count, target, rows, shift + feature)


@compiled
def clear_lanes(x, x0, features, first):
    """Set lanes first … 63 to 0."""
    for feature in range(features):
        for lane in range(first, LANES):
            x[x0 + feature * LANES + lane] = 0.0


@compiled
def clear(x, x0, count):
    """Set ``count`` numbers to 0."""
    for i in range(x0, x0 + count):
        x[i] = 0.0
