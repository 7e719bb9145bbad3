"""Decisions of all agents in numpy, on whole matrices.

Legend: E environments, N agents, R = E*N rows, K networks (1 shared, or N), I inputs, O
observation, H hidden units, U actions. A layer is a weight (K, in, out) and a bias (K, 1, out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Layer = tuple[Array, Array]
Layers = tuple[Layer, Layer, Optional[Layer], Layer]


class DenseDecision:
    """Agent networks that decide step by step: what ``SparseDecision`` does, on any machine.

    Arguments and methods are those of :class:`epymarl_mast.sparse.kernels.SparseDecision`.
    """

    def __init__(
        self,
        networks: Sequence[Mapping[str, Array]],
        n_agents: int,
        *,
        last_action: int | None,
        agent_id: int | None,
    ) -> None:
        self._n_agents = n_agents
        self._n_actions = len(networks[0]["fc2.bias"])
        self._last_action = last_action
        self._agent_id = agent_id
        self._inputs = networks[0]["fc1.weight"].shape[1]
        self._units = networks[0]["fc2.weight"].shape[1]

    def read(self, networks: Sequence[Mapping[str, Array]]) -> None:
        """Take over the weights as they are now."""
        self._layers = stacked_layers(networks)

    def reset(self, environments: int) -> None:
        """Start new episodes: zero hidden states, no last actions."""
        rows = environments * self._n_agents
        self._hidden = np.zeros((rows, self._units), np.float32)
        self._x = np.zeros((rows, self._inputs), np.float32)
        self.q_values = np.zeros((rows, self._n_actions), np.float32)
        if self._agent_id is not None:
            ids = np.tile(np.eye(self._n_agents), (environments, 1))
            self._x[:, self._agent_id : self._agent_id + self._n_agents] = ids

    def __call__(
        self, observations: Array, available: Array, epsilon: float, draws: Array
    ) -> Array:
        """Epsilon-greedy actions."""
        self._x[:, : observations.shape[1]] = observations
        self.q_values = forward(self._x, *self._layers, self._hidden)
        actions = epsilon_greedy(self.q_values, available, epsilon, draws.reshape(-1, 2))
        if self._last_action is not None:
            block = self._x[:, self._last_action : self._last_action + self._n_actions]
            block[:] = 0.0
            block[np.arange(len(block)), actions] = 1.0
        return actions


def stacked_layers(networks: Sequence[Mapping[str, Array]]) -> Layers:
    """fc1, core_in, core_hidden (None of a feed-forward network) and fc2 of all networks.

    Args:
        networks: K of them, weights (out, in) and biases by their names in RNNAgent.
    """
    core_hidden: Layer | None = None
    if "rnn.weight_ih" in networks[0]:
        core_in = _layer(networks, "rnn.weight_ih", "rnn.bias_ih")
        core_hidden = _layer(networks, "rnn.weight_hh", "rnn.bias_hh")
    else:
        core_in = _layer(networks, "rnn.weight", "rnn.bias")
    fc1 = _layer(networks, "fc1.weight", "fc1.bias")
    return fc1, core_in, core_hidden, _layer(networks, "fc2.weight", "fc2.bias")


def _layer(networks: Sequence[Mapping[str, Array]], weight: str, bias: str) -> Layer:
    """One layer of all networks, transposed for rows of inputs."""
    weights = np.stack([network[weight].T for network in networks])
    biases = np.stack([network[bias][None] for network in networks])
    return np.ascontiguousarray(weights), biases


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
    by_agent = x.reshape(len(x) // networks, networks, x.shape[1]).swapaxes(0, 1)  # (N, E, in)
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
