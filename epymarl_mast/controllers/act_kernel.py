"""One decision of all agents in one compiled call, on the kept weights only.

Legend: R rows (environments times agents), N agents, I inputs, H hidden units, U actions, K
networks (1 shared, or N). A layer is CSR over its networks: ``pointers`` (K, out+1) into
``columns`` and ``values``; ``bias`` (K, out).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]
Csr = tuple[Array, Array, Array, Array]


@njit(cache=True, fastmath=True, boundscheck=False, error_model="numpy")
def _apply(network: int, layer: Csr, x: Array, y: Array) -> None:
    """Compute y = W x + b for one row."""
    pointers, columns, values, bias = layer
    for out in range(y.shape[0]):
        total = bias[network, out]
        for k in range(pointers[network, out], pointers[network, out + 1]):
            total += values[k] * x[columns[k]]
        y[out] = total


@njit(cache=True, fastmath=True, boundscheck=False, error_model="numpy")
def _sigmoid(x: Any) -> Any:
    one = np.float32(1.0)
    return one / (one + np.exp(-x))


@njit(cache=True, fastmath=True, boundscheck=False, error_model="numpy")
def forward(
    inputs: Array, fc1: Csr, recurrent_in: Csr, recurrent_hidden: Csr, fc2: Csr,
    hidden: Array, q: Array, recurrent: bool,
) -> None:  # fmt: skip
    """Action values q (R, U) of inputs (R, I); hidden (R, H) is replaced by the next one."""
    rows, size = hidden.shape
    networks = fc1[0].shape[0]
    z = np.empty(size, np.float32)
    gates_in = np.empty(3 * size, np.float32)
    gates_hidden = np.empty(3 * size, np.float32)
    zero, one, two = np.float32(0.0), np.float32(1.0), np.float32(2.0)
    for row in range(rows):
        network = row % networks
        h = hidden[row]
        _apply(network, fc1, inputs[row], z)
        for j in range(size):
            z[j] = max(z[j], zero)
        if recurrent:
            _apply(network, recurrent_in, z, gates_in)
            _apply(network, recurrent_hidden, h, gates_hidden)
            for j in range(size):
                reset = _sigmoid(gates_in[j] + gates_hidden[j])
                update = _sigmoid(gates_in[size + j] + gates_hidden[size + j])
                pre = gates_in[2 * size + j] + reset * gates_hidden[2 * size + j]
                new = two * _sigmoid(two * pre) - one  # tanh
                h[j] = new + update * (h[j] - new)
        else:
            _apply(network, recurrent_in, z, h)
            for j in range(size):
                h[j] = max(h[j], zero)
        _apply(network, fc2, h, q[row])


@njit(cache=True, boundscheck=False, error_model="numpy")
def epsilon_greedy(
    q: Array, available: Array, epsilon: float, draws: Array, actions: Array
) -> None:
    """One action per row.

    Args:
        q: (R, U) action values.
        available: (R, U) 1 for an action that can be taken; at least one per row.
        epsilon: probability of a uniformly random available action.
        draws: (R, 2) uniform random numbers in [0, 1).
        actions: (R,) filled with the choice; ties go to the lowest action.
    """
    for row in range(q.shape[0]):
        chosen = -1
        if draws[row, 0] < epsilon:
            count = 0
            for action in range(q.shape[1]):
                count += available[row, action] != 0
            left = min(int(draws[row, 1] * count), count - 1)
            for action in range(q.shape[1]):
                if available[row, action] != 0:
                    if left == 0:
                        chosen = action
                        break
                    left -= 1
        else:
            for action in range(q.shape[1]):
                if available[row, action] != 0 and (chosen < 0 or q[row, action] > q[row, chosen]):
                    chosen = action
        actions[row] = max(chosen, 0)  # a row without any is one of an episode that is over
