"""Decisions of all agents on kept weights only, one compiled call each.

Legend: E environments, N agents, R = E*N rows, K networks (1 shared, or N); I inputs, O
observation, F units of the first layer, H of the core, U actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from epymarl_mast.sparse.kernels.host import call, loops

_LANES = 16  # of a block: emit.WIDTH, which cannot be imported without numba
_MOST_DENSITY = 0.3  # up to one of these two, numpy's whole matrices are slower
_MOST_UNITS = 64
_NOTHING = (np.zeros((0, 0), np.float32), np.zeros(0, np.float32))

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Network = Mapping[str, Floats]


def beats_matrices(density: float, units: int) -> bool:
    """Whether kept weights one by one are faster than numpy's whole matrices, as measured.

    Args:
        density: share of weights that are kept.
        units: hidden units of the core.
    """
    return density <= _MOST_DENSITY or units <= _MOST_UNITS


class SparseDecision:
    """Agent networks that decide step by step.

    Args:
        networks: K of them, their weights (out, in) and biases by their names in RNNAgent, float32.
            With a ``rnn.weight_ih`` they are recurrent. All have the same shapes, kept for good.
        n_agents: N.
        last_action: input at which the one-hot last action begins; None if it is not read.
        agent_id: input at which the one-hot id begins; None if it is not read.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        n_agents: int,
        *,
        last_action: int | None,
        agent_id: int | None,
    ) -> None:
        first = networks[0]
        self._networks = len(networks)
        self._n_agents = n_agents
        self._n_actions = len(first["fc2.bias"])
        self._last_action = -1 if last_action is None else last_action
        self._agent_id = agent_id
        self._first, self._inputs = first["fc1.weight"].shape
        self._units = first["fc2.weight"].shape[1]
        self._recurrent = "rnn.weight_ih" in first
        core = (4 if self._recurrent else 1) * self._units
        self._rows = self._first + core + self._n_actions
        # Room for all weights and one more; memory that is never written is never taken.
        room = 1 + sum(weight.size for network in networks for weight in network.values())
        self._columns, self._values = np.empty(room, np.int32), np.empty(room, np.float32)
        self._starts = np.zeros(self._networks * self._rows + 1, np.int32)
        self._biases = np.empty(self._networks * self._rows, np.float32)

    def read(self, networks: Sequence[Network]) -> None:
        """Take over the weights as they are now; those that are 0 are left out."""
        for number, network in enumerate(networks):
            if self._recurrent:
                core = _layer(network, "rnn.weight_ih", "rnn.bias_ih")
                core_hidden = _layer(network, "rnn.weight_hh", "rnn.bias_hh")
            else:
                core, core_hidden = _layer(network, "rnn.weight", "rnn.bias"), _NOTHING
            call(
                loops().append_network,
                _layer(network, "fc1.weight", "fc1.bias"), core, core_hidden,
                _layer(network, "fc2.weight", "fc2.bias"),
                self._starts, self._columns, self._values, self._biases, number * self._rows,
            )  # fmt: skip

    def reset(self, environments: int) -> None:
        """Start new episodes: zero hidden states, no last actions."""
        self._step = 0
        self._actions = np.zeros(environments * self._n_agents, np.int64)
        lanes = len(self._actions) // self._networks
        blocks = self._networks * -(-lanes // _LANES)
        self._x = np.zeros((blocks, self._inputs, _LANES), np.float32)
        self._zh = np.zeros((blocks, 2, self._first + self._units, _LANES), np.float32)
        self._q = np.zeros((blocks, self._n_actions, _LANES), np.float32)
        if self._agent_id is not None:
            ids = np.arange(len(self._actions)) % self._n_agents
            block, lane = self._places()
            self._x[block, self._agent_id + ids, lane] = 1.0
        self._memory = self._x.reshape(-1), self._zh.reshape(-1), self._q.reshape(-1)

    def __call__(
        self,
        observations: NDArray[np.float32],
        available: NDArray[np.int32],
        epsilon: float,
        draws: NDArray[np.float64],
    ) -> Indices:
        """Epsilon-greedy actions.

        Args:
            observations: (R, O) float32, C-contiguous.
            available: (R, U) int32, C-contiguous; 1 for an action that can be taken.
            epsilon: probability of a uniformly random available action.
            draws: (2 R,) uniform random numbers in [0, 1).

        Returns:
            (R,) int64, overwritten by the next decision; ties go to the lowest action, and a row
            without an available one gives 0.
        """
        x, zh, q = self._memory
        call(
            loops().decide,
            observations, available, epsilon, draws,
            self._starts, self._columns, self._values, self._biases,
            self._networks, self._recurrent, self._first, self._units, self._last_action,
            x, zh, self._step, q, self._actions,
        )  # fmt: skip
        self._step += 1
        return self._actions

    @property
    def q_values(self) -> Floats:
        """(R, U) action values of the last decision."""
        block, lane = self._places()
        return self._q[block, :, lane]

    def _places(self) -> tuple[Indices, Indices]:
        """The block and the lane of each row."""
        lane, network = np.divmod(np.arange(len(self._actions)), self._networks)
        blocks_each = len(self._q) // self._networks
        return network * blocks_each + lane // _LANES, lane % _LANES


def _layer(network: Network, weight: str, bias: str) -> tuple[Floats, Floats]:
    layer = network[weight], network[bias]
    return np.ascontiguousarray(layer[0], np.float32), np.ascontiguousarray(layer[1], np.float32)
