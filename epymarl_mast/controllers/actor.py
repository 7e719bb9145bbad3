"""Acting without torch: the agent networks' weights as numpy arrays, one call a decision.

Legend: E environments, N agents, R = E*N rows in the order of a host's batch, O observation, I
inputs (observation, last action, agent id: the hosts' order), H hidden units, U actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from epymarl_mast.controllers import act_kernel
from epymarl_mast.controllers.act_kernel import Array, Layer
from epymarl_mast.sparse.layers import layer_name

_PARAMETERS = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
_GRU = {"rnn.weight_ih", "rnn.weight_hh", "rnn.bias_ih", "rnn.bias_hh"}
_LINEAR = {"rnn.weight", "rnn.bias"}


def can_act(agent: Any) -> bool:
    """Whether an agent module is one of the hosts' ``rnn`` or ``rnn_ns`` on vectors."""
    return is_known_agent(agent.state_dict())


def is_known_agent(parameters: Iterable[str]) -> bool:
    """The same, by the names of its parameters."""
    names = {layer_name(name).removeprefix("agents.*.") for name in parameters}
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
        self._fc1 = _layer(state, own, "fc1.weight", "fc1.bias")
        self._fc2 = _layer(state, own, "fc2.weight", "fc2.bias")
        if f"{own[0]}rnn.weight_ih" in state:
            self._core_in = _layer(state, own, "rnn.weight_ih", "rnn.bias_ih")
            self._core_hidden: Layer | None = _layer(state, own, "rnn.weight_hh", "rnn.bias_hh")
        else:
            self._core_in = _layer(state, own, "rnn.weight", "rnn.bias")
            self._core_hidden = None
        self._inputs = state[f"{own[0]}fc1.weight"].shape[1]
        self._units = state[f"{own[0]}fc1.weight"].shape[0]

    def reset(self, environments: int) -> None:
        """Start new episodes: zero hidden states, no last actions."""
        rows = environments * self._n_agents
        self._hidden = np.zeros((rows, self._units), np.float32)
        self._x = np.zeros((rows, self._inputs), np.float32)
        self._q = np.zeros((rows, self._n_actions), np.float32)
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
            (R,) actions, int64.
        """
        self._x[:, : self._observed] = observations
        self._q = act_kernel.forward(
            self._x, self._fc1, self._core_in, self._core_hidden, self._fc2, self._hidden
        )
        draws = self._generator.random((len(self._q), 2))
        actions = act_kernel.epsilon_greedy(self._q, available, epsilon, draws)
        if self._last_action:
            block = self._x[:, self._observed : self._observed + self._n_actions]
            block[:] = 0.0
            block[np.arange(len(block)), actions] = 1.0
        return actions

    @property
    def q_values(self) -> Array:
        """(R, U) action values of the last decision."""
        return self._q


def _layer(state: Mapping[str, Array], prefixes: list[str], weight: str, bias: str) -> Layer:
    """One layer of all networks, transposed for rows of inputs."""
    weights = np.stack([state[prefix + weight].T for prefix in prefixes])
    biases = np.stack([state[prefix + bias][None] for prefix in prefixes])
    return np.ascontiguousarray(weights), biases
