"""Kept weights out of a network's one array, and gradients back into one.

Legend: P numbers of parameters, K kept weights of all layers, O rows of all layers.
"""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from epymarl_mast.sparse.kernels.cache import compiled
from epymarl_mast.sparse.kernels.products import sum_16

ZERO = np.float32(0.0)


@compiled
def read_network(numbers, weights, first_bias, second_bias, kept, bias):
    """Kept weights (K,) and each row's bias (O,), which may be the sum of two."""
    for i in range(len(weights)):
        kept[i] = numbers[weights[i]]
    for row in range(len(first_bias)):
        bias[row] = numbers[first_bias[row]] + numbers[second_bias[row]]


@compiled
def start_gradients(kept, by_columns, turned, sums):
    """Kept weights in the order of the transposed matrices, and sums of gradients at 0."""
    for i in range(len(by_columns)):
        turned[i] = kept[by_columns[i]]
    for i in range(len(sums)):
        sums[i] = ZERO


@compiled
def end_gradients(sums, width, sources, targets, gradient):
    """gradient[targets] = sums[sources], each the sum of ``width`` numbers, 16 or 1; else 0."""
    for i in range(len(gradient)):
        gradient[i] = ZERO
    if width == 1:
        for i in range(len(sources)):
            gradient[targets[i]] = sums[sources[i]]
    else:
        for i in range(len(sources)):
            sum_16(sums, sources[i], gradient, targets[i])
