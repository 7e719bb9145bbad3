"""Acting without torch: the agent networks' weights as numpy arrays, one call a decision.

Legend: E environments, N agents, R = E*N rows in the order of a host's batch, O observation, I
inputs (observation, last action, agent id: the hosts' order), H hidden units, U actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from epymarl_mast.controllers import act_kernel
from epymarl_mast.controllers.act_kernel import Array, Csr
from epymarl_mast.sparse.layers import layer_name

_PARAMETERS = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
_GRU = {"rnn.weight_ih", "rnn.weight_hh", "rnn.bias_ih", "rnn.bias_hh"}
_LINEAR = {"rnn.weight", "rnn.bias"}


def can_act(agent: Any) -> bool:
    """Whether an agent module is one of the hosts' ``rnn`` or ``rnn_ns`` on vectors."""
    names = {layer_name(name).removeprefix("agents.*.") for name in agent.state_dict()}
    return names in (_PARAMETERS | _GRU, _PARAMETERS | _LINEAR)


class Actor:
    """Action values and epsilon-greedy actions of the hosts' recurrent and feed-forward agents.

    Args:
        agent: the host's agent module, shared (``fc1``, ``rnn``, ``fc2``) or per agent
            (``agents.<i>.…``).
        n_agents: N.
        n_actions: U.
        last_action: whether the input holds the last action.
        agent_id: whether the input holds the agent's id.
        generator: where random actions come from.
    """

    def __init__(
        self,
        agent: Any,
        n_agents: int,
        n_actions: int,
        *,
        last_action: bool,
        agent_id: bool,
        generator: np.random.Generator,
    ) -> None:
        self._agent = agent
        self._n_agents = n_agents
        self._n_actions = n_actions
        self._last_action = last_action
        self._agent_id = agent_id
        self._generator = generator
        self.refresh()

    def refresh(self) -> None:
        """Take over the agent module's weights as they are now."""
        state = {name: w.detach().cpu().numpy() for name, w in self._agent.state_dict().items()}
        prefixes = [f"agents.{i}." for i in range(self._n_agents)]
        own = prefixes if f"{prefixes[0]}fc1.weight" in state else [""]
        self._recurrent = f"{own[0]}rnn.weight_ih" in state
        self._fc1 = _csr(state, own, "fc1.weight", "fc1.bias")
        self._fc2 = _csr(state, own, "fc2.weight", "fc2.bias")
        if self._recurrent:
            self._in = _csr(state, own, "rnn.weight_ih", "rnn.bias_ih")
            self._hidden_layer = _csr(state, own, "rnn.weight_hh", "rnn.bias_hh")
        else:
            self._in = self._hidden_layer = _csr(state, own, "rnn.weight", "rnn.bias")
        self._inputs = state[f"{own[0]}fc1.weight"].shape[1]
        self._units = state[f"{own[0]}fc1.weight"].shape[0]

    def reset(self, environments: int) -> None:
        """Start new episodes: zero hidden states, no last actions."""
        rows = environments * self._n_agents
        self._hidden = np.zeros((rows, self._units), np.float32)
        self._x = np.zeros((rows, self._inputs), np.float32)
        self._q = np.empty((rows, self._n_actions), np.float32)
        self._actions = np.empty(rows, np.int64)
        self._observed = self._inputs
        if self._agent_id:
            self._observed -= self._n_agents
            self._x[:, self._observed :] = np.tile(np.eye(self._n_agents), (environments, 1))
        if self._last_action:
            self._observed -= self._n_actions

    def act(self, observations: Array, available: Array, epsilon: float) -> Array:
        """One decision for all agents.

        Args:
            observations: (R, O).
            available: (R, U) 1 for an action that can be taken.
            epsilon: probability of a random action.

        Returns:
            (R,) actions, int64; a buffer that the next call overwrites.
        """
        self._x[:, : self._observed] = observations
        act_kernel.forward(
            self._x, self._fc1, self._in, self._hidden_layer, self._fc2, self._hidden, self._q,
            self._recurrent,
        )  # fmt: skip
        draws = self._generator.random((len(self._q), 2))
        act_kernel.epsilon_greedy(self._q, available, epsilon, draws, self._actions)
        if self._last_action:
            block = self._x[:, self._observed : self._observed + self._n_actions]
            block[:] = 0.0
            block[np.arange(len(block)), self._actions] = 1.0
        return self._actions

    @property
    def q_values(self) -> Array:
        """(R, U) action values of the last decision."""
        return self._q


def _csr(state: Mapping[str, Array], prefixes: list[str], weight: str, bias: str) -> Csr:
    """One layer of all networks; absent weights are exact zeros, so they are found by value."""
    pointers, columns, values = [], [], []
    position = 0
    for prefix in prefixes:
        matrix = state[prefix + weight]
        rows, cols = np.nonzero(matrix)
        counts = np.bincount(rows, minlength=len(matrix))
        pointers.append(position + np.concatenate([[0], np.cumsum(counts)]))
        columns.append(cols)
        values.append(matrix[rows, cols])
        position += len(cols)
    return (
        np.stack(pointers).astype(np.int32),
        np.concatenate(columns).astype(np.int32),
        np.concatenate(values).astype(np.float32),
        np.stack([state[prefix + bias] for prefix in prefixes]).astype(np.float32),
    )
