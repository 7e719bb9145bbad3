"""Steps of torch's optimisers, and the norm of a gradient, in one pass over memory each.

Legend: P weights. Arrays are (P,) float32.
"""

# Compiled functions take arrays, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from epymarl_mast.sparse.kernels.cache import compiled, compiled_sums

FLOAT = np.float32
ZERO = np.float64(0.0)


@compiled_sums
def square_sum(x, out):
    """out[0] = sum of squares, in double precision."""
    total = ZERO
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(x[i])
    out[0] = total


@compiled
def adam_step(weight, gradient, average, square, factors):
    """Adam's step, or AdamW's.

    ``factors``: the complements of β1 and β2, β2, step size (lr by the first bias correction),
    inverse root of the second bias correction, ε, coupled weight decay, and what weights are
    multiplied by.
    """
    first, second, keep = FLOAT(factors[0]), FLOAT(factors[1]), FLOAT(factors[2])
    size, correction, epsilon = FLOAT(factors[3]), FLOAT(factors[4]), FLOAT(factors[5])
    decay, shrink = FLOAT(factors[6]), FLOAT(factors[7])
    for i in range(len(weight)):
        slope = gradient[i] + decay * weight[i]
        mean = average[i] + first * (slope - average[i])
        power = keep * square[i] + second * slope * slope
        average[i] = mean
        square[i] = power
        weight[i] = shrink * weight[i] - size * mean / (np.sqrt(power) * correction + epsilon)


@compiled
def rmsprop_step(weight, gradient, square, factors):
    """RMSprop's step; ``factors``: α, 1 - α, lr, ε, weight decay."""
    keep, second, rate = FLOAT(factors[0]), FLOAT(factors[1]), FLOAT(factors[2])
    epsilon, decay = FLOAT(factors[3]), FLOAT(factors[4])
    for i in range(len(weight)):
        slope = gradient[i] + decay * weight[i]
        power = keep * square[i] + second * slope * slope
        square[i] = power
        weight[i] -= rate * slope / (np.sqrt(power) + epsilon)


@compiled
def sgd_step(weight, gradient, factors):
    """Gradient descent; ``factors``: lr, weight decay."""
    rate, decay = FLOAT(factors[0]), FLOAT(factors[1])
    for i in range(len(weight)):
        weight[i] -= rate * (gradient[i] + decay * weight[i])
