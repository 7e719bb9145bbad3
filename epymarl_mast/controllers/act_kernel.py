"""One decision of all agents in numpy.

Legend: E environments, N agents, R = E*N rows, I inputs, H hidden units, U actions, K networks (1
shared, or N). A layer is a weight (K, in, out) and a bias (K, 1, out).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Layer = tuple[Array, Array]


def forward(
    inputs: Array, fc1: Layer, core_in: Layer, core_hidden: Layer | None, fc2: Layer, hidden: Array
) -> Array:
    """Action values (R, U) of inputs (R, I); ``hidden`` (R, H) is replaced by the next state.

    ``core_hidden`` is None for a feed-forward network.
    """
    z = np.maximum(_apply(fc1, inputs), 0.0)
    from_input = _apply(core_in, z)
    if core_hidden is None:
        np.maximum(from_input, 0.0, out=hidden)
    else:
        size = hidden.shape[1]
        from_hidden = _apply(core_hidden, hidden)
        gates = from_input[:, : 2 * size] + from_hidden[:, : 2 * size]
        gates = 1.0 / (1.0 + np.exp(-gates))
        reset, update = gates[:, :size], gates[:, size:]
        new = np.tanh(from_input[:, 2 * size :] + reset * from_hidden[:, 2 * size :])
        hidden[:] = new + update * (hidden - new)
    return _apply(fc2, hidden)


def _apply(layer: Layer, x: Array) -> Array:
    """W x + b for every row, each by its own agent's network."""
    weight, bias = layer
    networks = len(weight)
    if networks == 1:
        product: Array = x @ weight[0] + bias[0]
        return product
    by_agent = x.reshape(-1, networks, x.shape[1]).swapaxes(0, 1)  # (N, E, in)
    out: Array = (by_agent @ weight + bias).swapaxes(0, 1).reshape(len(x), -1)
    return out


def epsilon_greedy(q: Array, available: Array, epsilon: float, draws: Array) -> Array:
    """One action per row.

    Args:
        q: (R, U) action values.
        available: (R, U) 1 for an action that can be taken. A row without any, of an episode that
            is over, gives 0.
        epsilon: probability of a uniformly random available action.
        draws: (R, 2) uniform random numbers in [0, 1).

    Returns:
        (R,) actions, int64; ties go to the lowest action.
    """
    can = available != 0
    actions: Array = np.where(can, q, -np.inf).argmax(axis=1)
    if epsilon > 0.0:
        ranks = np.cumsum(can, axis=1)  # 1 for the first available action, and so on
        wanted = (draws[:, 1] * ranks[:, -1]).astype(np.int64) + 1
        at_random = ((ranks == wanted[:, None]) & can).argmax(axis=1)
        actions = np.where(draws[:, 0] < epsilon, at_random, actions)
    return actions
