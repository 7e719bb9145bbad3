"""Loops that agents and mixers share: products, and moving rows to blocks and back.

Legend: a block is 64 lanes, features-major; LANES = 64. All arrays are flat float32 but for
``*_rows`` (int64, where each lane's row begins in a caller's array), ``steps`` (int64, each
block's number of steps) and the matrices (:class:`patterns.Csr`).
"""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.cache import inlined
from epymarl_mast.sparse.kernels.emit import (
    LANES,
    WIDTH,
)
from epymarl_mast.sparse.kernels.products import (
    column_add,
    column_add_spread,
    column_gradient,
    column_gradient_spread,
    column_relu,
    column_relu_spread,
    row_linear,
    row_relu,
    row_sum,
)
from epymarl_mast.sparse.kernels.tiles import (
    pack_tile,
    unpack_tile,
)

# ------------------------------------------------------------------------------ products


@inlined
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


@inlined
def back_add(matrix_t, first, last, spread, g, g0, x, x0, y, y0, d_values):
    """Y += inputs first … last - 1 of W^T G, and SDDMM: d_values += (G X^T) at their weights.

    x0 and y0 are where input ``first`` is. With ``spread`` each of d_values is 16 numbers that the
    caller has to sum.
    """
    starts, rows, values = matrix_t
    for i in range(first, last):
        k, stop, at = starts[i], starts[i + 1], (i - first) * LANES
        if spread:
            column_add_spread(g, g0, rows, values, k, stop, x, x0 + at, y, y0 + at, d_values)
        else:
            column_add(g, g0, rows, values, k, stop, x, x0 + at, y, y0 + at, d_values)


@inlined
def back_relu(matrix_t, count, spread, g, g0, x, x0, y, y0, d_values):
    """Y = inputs 0 … count - 1 of W^T G through the relu they come from; SDDMM as back_add."""
    starts, rows, values = matrix_t
    for i in range(count):
        k, stop, at = starts[i], starts[i + 1], i * LANES
        if spread:
            column_relu_spread(g, g0, rows, values, k, stop, x, x0 + at, y, y0 + at, d_values)
        else:
            column_relu(g, g0, rows, values, k, stop, x, x0 + at, y, y0 + at, d_values)


@inlined
def back_weights(matrix_t, count, spread, g, g0, x, x0, d_values):
    """SDDMM as :func:`back_add`, for inputs 0 … count - 1, which need no gradient."""
    starts, rows, _ = matrix_t
    for i in range(count):
        k, stop, at = starts[i], starts[i + 1], i * LANES
        if spread:
            column_gradient_spread(g, g0, rows, k, stop, x, x0 + at, d_values)
        else:
            column_gradient(g, g0, rows, k, stop, x, x0 + at, d_values)


@inlined
def back_bias(count, g, g0, d_bias):
    """d_bias += G 1, each as 16 numbers that the caller has to sum."""
    for row in range(count):
        row_sum(g, g0 + row * LANES, row, d_bias)


# ------------------------------------------------------------------------------ layout


@inlined
def pack(source, rows, lane0, shift, features, ahead, y, y0):
    """Rows of a caller's array to a block; y needs room for features rounded up to 16."""
    for feature in range(0, features, WIDTH):
        count = min(WIDTH, features - feature)
        for lane in range(0, LANES, WIDTH):
            at = y0 + feature * LANES - lane0
            pack_tile(source, rows, lane0 + lane, shift + feature, count, ahead, y, at)


@inlined
def unpack(x, x0, features, target, rows, lane0, shift):
    """A block to rows of a caller's array: the inverse of :func:`pack`."""
    for feature in range(0, features, WIDTH):
        count = min(WIDTH, features - feature)
        for lane in range(0, LANES, WIDTH):
            at = x0 + feature * LANES - lane0
            unpack_tile(x, at, lane0 + lane, count, target, rows, shift + feature)


@inlined
def clear_lanes(x, x0, features, first):
    """Set lanes first … 63 to 0."""
    for feature in range(features):
        for lane in range(first, LANES):
            x[x0 + feature * LANES + lane] = 0.0


@inlined
def clear(x, x0, count):
    """Set ``count`` numbers to 0."""
    for i in range(x0, x0 + count):
        x[i] = 0.0
