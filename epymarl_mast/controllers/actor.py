"""Acting without torch: the agent networks' weights as arrays, one call a decision.

Legend: E environments, N agents, R = E*N rows in the order of a host's batch, O observation, I
inputs (observation, last action, agent id: the hosts' order), H hidden units, U actions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from epymarl_mast.controllers.act_kernel import Array, DenseDecision
from epymarl_mast.sparse import kernels
from epymarl_mast.sparse.layers import layer_name

_PARAMETERS = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
_GRU = {"rnn.weight_ih", "rnn.weight_hh", "rnn.bias_ih", "rnn.bias_hh"}
_LINEAR = {"rnn.weight", "rnn.bias"}
_DRAWN_AT_ONCE = 4096  # random numbers; drawing few costs more than deciding


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
        compiled: whether to decide by the sparse kernels, where they run; else by numpy.
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
        compiled: bool = True,
    ) -> None:
        modules = getattr(agent, "agents", [agent])  # of each agent, or shared
        self._parameters = [list(module.named_parameters()) for module in modules]
        self._generator = generator
        self._random = np.zeros(0)
        networks = self._networks()
        inputs = networks[0]["fc1.weight"].shape[1]
        first_id = inputs - n_agents if agent_id else inputs
        decision = kernels.SparseDecision if compiled and kernels.available() else DenseDecision
        self._decide = decision(
            networks,
            n_agents,
            last_action=first_id - n_actions if last_action else None,
            agent_id=first_id if agent_id else None,
        )

    def start(self, environments: int) -> None:
        """Take over the agent module's weights as they are now, and start new episodes."""
        self._decide.read(self._networks())
        self._decide.reset(environments)

    def act(self, observations: Array, available: Array, epsilon: float) -> Array:
        """One decision for all agents.

        Args:
            observations: (R, O).
            available: (R, U) 1 for an action that can be taken.
            epsilon: probability of a random action.

        Returns:
            (R,) actions, int64, which the next decision may overwrite.
        """
        return self._decide(
            np.ascontiguousarray(observations, np.float32),
            np.ascontiguousarray(available, np.int32),
            epsilon,
            self._draw(2 * len(observations)),
        )

    def random_state(self) -> dict[str, Any]:
        """Where its random actions go on from."""
        return {"generator": self._generator.bit_generator.state, "drawn": self._random.copy()}

    def set_random_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`random_state` gave."""
        self._generator.bit_generator.state = state["generator"]
        self._random = state["drawn"]

    @property
    def q_values(self) -> Array:
        """(R, U) action values of the last decision."""
        return self._decide.q_values

    def _draw(self, count: int) -> Array:
        """The generator's next uniform numbers."""
        if len(self._random) < count:
            more = self._generator.random(max(count, _DRAWN_AT_ONCE))
            self._random = np.concatenate([self._random, more])
        drawn, self._random = self._random[:count], self._random[count:]
        return drawn

    def _networks(self) -> list[dict[str, Array]]:
        """The parameters of each network by their names in RNNAgent."""
        return [
            {name: weight.detach().cpu().numpy() for name, weight in network}
            for network in self._parameters
        ]
