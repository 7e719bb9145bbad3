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
def start_gradients(kept, by_columns, turned, weight_sums, bias_sums):
    """Kept weights in the order of the transposed matrices, and sums of gradients at 0."""
    for i in range(len(by_columns)):
        turned[i] = kept[by_columns[i]]
    for i in range(len(weight_sums)):
        weight_sums[i] = ZERO
    for i in range(len(bias_sums)):
        bias_sums[i] = ZERO


@compiled
def end_gradients(
    weight_sums, spread, weight_targets, bias_sums, bias_sources, bias_targets, gradient
):
    """Sums to their places in the gradient, which is 0 elsewhere.

    A bias' sum is 16 numbers, and with ``spread`` so is a weight's.
    """
    for i in range(len(gradient)):
        gradient[i] = ZERO
    for i in range(len(weight_targets)):
        if spread:
            sum_16(weight_sums, i, gradient, weight_targets[i])
        else:
            gradient[weight_targets[i]] = weight_sums[i]
    for i in range(len(bias_sources)):
        sum_16(bias_sums, bias_sources[i], gradient, bias_targets[i])
