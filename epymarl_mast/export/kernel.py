"""Action values from kept weights alone, compiled by numba.

Legend: R rows, I inputs, F and H units, U actions, K networks (1 shared, or one an agent: row r
is computed by network r mod K). Rows are computed eight at a time, as lanes of one vector.
"""

# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from epymarl_mast.export.network import AgentNetwork, Array, Layer

_LANES = 8
_LN2_HIGH = np.float32(0.693359375)  # ln 2 in two parts: k times the first is exact
_LN2_LOW = np.float32(math.log(2.0) - 0.693359375)
_FUSED = {"contract"}  # a product and a sum may be one instruction, as in BLAS


class SparseDecision:
    """``(inputs (R, I), hidden (R, H)) -> values (R, U)``; ``hidden`` becomes the next state.

    Args:
        networks: one, or one for each agent.
    """

    def __init__(self, networks: Sequence[AgentNetwork]) -> None:
        self._fc1 = _packed([network.fc1 for network in networks])
        self._core_in = _packed([network.core_in for network in networks])
        hidden = [n.core_hidden for n in networks if n.core_hidden is not None]
        self._recurrent = bool(hidden)
        self._core_hidden = _packed(hidden) if hidden else self._core_in
        self._fc2 = _packed([network.fc2 for network in networks])
        self._actions = len(networks[0].fc2.bias)
        layers = [layer for n in networks for layer in (n.fc1, n.core_in, n.fc2)]
        widest = max(len(layer.bias) for layer in layers)
        inputs = networks[0].fc1.weight.shape[1]
        self._work = np.zeros((6, max(widest, inputs), _LANES), np.float32)
        self._bits = self._work[5].view(np.int32)
        self._sizes = np.array([[len(n.fc1.bias), n.fc2.weight.shape[1]] for n in networks])

    def __call__(self, inputs: Array, hidden: Array) -> Array:
        values = np.empty((len(inputs), self._actions), np.float32)
        _decide(
            inputs, hidden, values, self._work, self._bits, self._sizes, self._recurrent,
            *self._fc1, *self._core_in, *self._core_hidden, *self._fc2,
        )  # fmt: skip
        return values


def _packed(layers: Sequence[Layer]) -> tuple[Array, Array, Array, Array]:
    """Of all networks one after the other: row starts (K, out+1), columns, weights, biases."""
    outputs = max(len(layer.bias) for layer in layers)
    starts = np.zeros((len(layers), outputs + 1), np.int64)
    biases = np.zeros((len(layers), outputs), np.float32)
    columns, weights = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    stored = 0
    for k, layer in enumerate(layers):
        rows, where = np.nonzero(layer.weight)
        counts = np.bincount(rows, minlength=outputs)
        starts[k] = stored + np.concatenate([[0], np.cumsum(counts)])
        biases[k, : len(layer.bias)] = layer.bias
        columns.append(where.astype(np.int32))
        weights.append(layer.weight[rows, where].astype(np.float32))
        stored += len(rows)
    return starts, np.concatenate(columns), np.concatenate(weights), biases


def _compiled(function: Any) -> Any:
    try:
        return njit(cache=True, boundscheck=False, error_model="numpy", fastmath=_FUSED)(function)
    except RuntimeError:  # numba: no directory can be written
        return njit(boundscheck=False, error_model="numpy", fastmath=_FUSED)(function)


@_compiled
def _product(
    x: Any, y: Any, outputs: int, starts: Any, columns: Any, weights: Any, biases: Any
) -> None:
    """y[o, lane] = bias[o] + Σ weight · x[column, lane]; eight sums that stay in registers."""
    for o in range(outputs):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = biases[o]
        for p in range(starts[o], starts[o + 1]):
            weight, column = weights[p], columns[p]
            s0 += weight * x[column, 0]
            s1 += weight * x[column, 1]
            s2 += weight * x[column, 2]
            s3 += weight * x[column, 3]
            s4 += weight * x[column, 4]
            s5 += weight * x[column, 5]
            s6 += weight * x[column, 6]
            s7 += weight * x[column, 7]
        y[o, 0], y[o, 1], y[o, 2], y[o, 3] = s0, s1, s2, s3
        y[o, 4], y[o, 5], y[o, 6], y[o, 7] = s4, s5, s6, s7


@_compiled
def _exponential(x: Any, power: Any, bits: Any) -> None:
    """X becomes e^x to 1e-7 of it, in straight lines that the compiler makes vectors of.

    x = k·ln 2 + r, |r| <= ln(2)/2: e^x is 2^k, whose bits are written as a whole number, times
    the Taylor polynomial of e^r. ``power`` and ``bits`` are the same memory, at least as long.
    """
    for i in range(len(x)):
        clipped = min(max(x[i], np.float32(-87.0)), np.float32(87.0))
        k = np.floor(clipped * np.float32(1.0 / math.log(2.0)) + np.float32(0.5))
        r = clipped - k * _LN2_HIGH - k * _LN2_LOW
        bits[i] = (np.int32(k) + np.int32(127)) << np.int32(23)
        e = np.float32(1.0 / 5040.0)
        e = e * r + np.float32(1.0 / 720.0)
        e = e * r + np.float32(1.0 / 120.0)
        e = e * r + np.float32(1.0 / 24.0)
        e = e * r + np.float32(1.0 / 6.0)
        e = e * r + np.float32(0.5)
        e = e * r + np.float32(1.0)
        x[i] = e * r + np.float32(1.0)
    for i in range(len(x)):
        x[i] *= power[i]


@_compiled
def _gru(from_input: Any, from_hidden: Any, state: Any, power: Any, bits: Any) -> None:
    """PyTorch's GRU cell on flat blocks; ``from_input`` is used up.

    Sigmoid 1/(1 + e^-x), tanh 1 - 2/(e^2x + 1).
    """
    one, n = np.float32(1.0), len(state)
    gates, new = from_input[: 2 * n], from_input[2 * n :]
    for i in range(2 * n):
        gates[i] = -(gates[i] + from_hidden[i])
    _exponential(gates, power, bits)
    for i in range(n):
        new[i] = np.float32(2.0) * (new[i] + from_hidden[2 * n + i] / (one + gates[i]))
    _exponential(new, power, bits)
    for i in range(n):
        candidate = one - np.float32(2.0) / (new[i] + one)
        state[i] = candidate + (state[i] - candidate) / (one + gates[n + i])


@_compiled
def _decide(
    inputs: Any, hidden: Any, values: Any, work: Any, bits: Any, sizes: Any, recurrent: bool,
    starts1: Any, columns1: Any, weights1: Any, biases1: Any,
    starts_in: Any, columns_in: Any, weights_in: Any, biases_in: Any,
    starts_h: Any, columns_h: Any, weights_h: Any, biases_h: Any,
    starts2: Any, columns2: Any, weights2: Any, biases2: Any,
) -> None:  # fmt: skip
    x, z, from_input, from_hidden, state = work[0], work[1], work[2], work[3], work[4]
    power = work[5]
    networks = len(sizes)
    rows = len(inputs)
    for k in range(networks):
        first, units = sizes[k, 0], sizes[k, 1]
        for start in range(k, rows, networks * 8):
            lanes = min(8, (rows - start + networks - 1) // networks)
            for lane in range(lanes):
                row = start + lane * networks
                for i in range(inputs.shape[1]):
                    x[i, lane] = inputs[row, i]
                for j in range(units):
                    state[j, lane] = hidden[row, j]
            _product(x, z, first, starts1[k], columns1, weights1, biases1[k])
            for j in range(first):
                for lane in range(8):
                    z[j, lane] = max(z[j, lane], np.float32(0.0))
            if recurrent:
                _product(
                    z, from_input, 3 * units, starts_in[k], columns_in, weights_in, biases_in[k]
                )
                _product(
                    state, from_hidden, 3 * units, starts_h[k], columns_h, weights_h, biases_h[k]
                )
                n = units * 8
                _gru(
                    from_input.ravel()[: 3 * n], from_hidden.ravel(), state.ravel()[:n],
                    power.ravel(), bits.ravel(),
                )  # fmt: skip
            else:
                _product(z, state, units, starts_in[k], columns_in, weights_in, biases_in[k])
                for j in range(units):
                    for lane in range(8):
                        state[j, lane] = max(state[j, lane], np.float32(0.0))
            _product(state, z, values.shape[1], starts2[k], columns2, weights2, biases2[k])
            for lane in range(lanes):
                row = start + lane * networks
                for u in range(values.shape[1]):
                    values[row, u] = z[u, lane]
                for j in range(units):
                    hidden[row, j] = state[j, lane]
