"""Acting with an exported agent: numpy alone, or compiled kernels where numba is installed.

Legend: E environments, N agents, R = E*N rows, agents of one environment together, O observation,
U actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from epymarl_mast.controllers import act_kernel
from epymarl_mast.errors import ExportError
from epymarl_mast.export.file import Header, read_agent
from epymarl_mast.export.network import AgentNetwork, Array, Layer

Decision = Callable[[Array, Array], Array]
COMPUTE = ("auto", "numba", "numpy")


def load_agent(path: str | Path, compute: str = "auto") -> ExportedAgent:
    """Read what ``mast export`` wrote.

    Args:
        path: the file.
        compute: ``numba`` for compiled kernels on kept weights, ``numpy``, or ``auto``: the
            kernels where numba is installed.

    Raises:
        ExportError: for a file that is not one, or a ``compute`` that cannot be had.
    """
    header, networks = read_agent(Path(path))
    return ExportedAgent(header, networks, compute)


class ExportedAgent:
    """The greedy policy of all agents of a task, step by step.

    Args:
        header: what the file says.
        networks: one, or one for each agent.
        compute: as for :func:`load_agent`.
    """

    def __init__(
        self, header: Header, networks: Sequence[AgentNetwork], compute: str = "auto"
    ) -> None:
        self.header = header
        self._decide = decision(networks, compute)
        self._units = max(network.fc2.weight.shape[1] for network in networks)
        self.reset()

    def reset(self, environments: int = 1) -> None:
        """Start new episodes in E environments: zero states, no last actions."""
        header, rows = self.header, environments * self.header.n_agents
        self._hidden = np.zeros((rows, self._units), np.float32)
        self._inputs = np.zeros((rows, header.inputs), np.float32)
        self._values = np.zeros((rows, header.n_actions), np.float32)
        self._no_draws = np.zeros((rows, 2))
        self._rows = np.arange(rows)
        if header.agent_id:
            self._inputs[:, -header.n_agents :] = np.tile(
                np.eye(header.n_agents), (environments, 1)
            )
        behind = header.observation
        self._last_actions = self._inputs[:, behind : behind + header.n_actions]

    def act(self, observations: Array, available: Array) -> Array:
        """One step of all agents: the available action of highest value, the lowest of equal ones.

        Args:
            observations: (R, O).
            available: (R, U), not 0 for an action that can be taken. A row without any gives 0.

        Returns:
            (R,) actions, int64.

        Raises:
            ExportError: for another shape; :meth:`reset` says how many environments there are.
        """
        observations, available = np.asarray(observations), np.asarray(available)
        rows, header = len(self._rows), self.header
        wanted = (rows, header.observation), (rows, header.n_actions)
        if (observations.shape, available.shape) != wanted:
            raise ExportError(
                f"observations {observations.shape} and available {available.shape} are not "
                f"allowed: {wanted[0]} and {wanted[1]} are"
            )
        self._inputs[:, : header.observation] = observations
        self._values = self._decide(self._inputs, self._hidden)
        actions = act_kernel.epsilon_greedy(self._values, available, 0.0, self._no_draws)
        if header.last_action:
            self._last_actions[:] = 0.0
            self._last_actions[self._rows, actions] = 1.0
        return actions

    @property
    def q_values(self) -> Array:
        """(R, U) action values of the last step."""
        return self._values


def decision(networks: Sequence[AgentNetwork], compute: str = "auto") -> Decision:
    """The function that computes action values.

    Args:
        networks: one, or one for each agent.
        compute: one of :data:`COMPUTE`.

    Returns:
        ``(inputs (R, I), hidden (R, H)) -> values (R, U)``; ``hidden`` becomes the next state. H
        is that of the widest network.

    Raises:
        ExportError: for ``numba`` where it is not installed, or another word.
    """
    if compute not in COMPUTE:
        raise ExportError(f"compute={compute!r} is not allowed: {', '.join(COMPUTE)} are")
    if compute != "numpy":
        try:
            from epymarl_mast.export.kernel import SparseDecision

            return SparseDecision(networks)
        except ImportError as error:
            if compute == "numba":
                raise ExportError(f"compute='numba' needs numba: {error}") from None
    return _numpy_decision(networks)


def _numpy_decision(networks: Sequence[AgentNetwork]) -> Decision:
    fc1, core_in, core_hidden, fc2 = dense_layers(networks)

    def decide(inputs: Array, hidden: Array) -> Array:
        return act_kernel.forward(inputs, fc1, core_in, core_hidden, fc2, hidden)

    return decide


DenseLayers = tuple[
    act_kernel.Layer, act_kernel.Layer, Optional[act_kernel.Layer], act_kernel.Layer
]


def dense_layers(networks: Sequence[AgentNetwork]) -> DenseLayers:
    """fc1, core_in, core_hidden (None if linear) and fc2 of all networks, padded to the widest.

    Each is a weight (K, in, out) and a bias (K, 1, out); what is added is 0.
    """
    units = max(network.fc2.weight.shape[1] for network in networks)
    fc1 = _stacked([n.fc1 for n in networks])
    first = fc1[1].shape[2]
    core_in = _stacked([_gates_to(n.core_in, n, units) for n in networks], first)
    recurrent = [_gates_to(n.core_hidden, n, units) for n in networks if n.core_hidden is not None]
    core_hidden = _stacked(recurrent, units) if recurrent else None
    return fc1, core_in, core_hidden, _stacked([n.fc2 for n in networks], units)


def _gates_to(layer: Layer, network: AgentNetwork, units: int) -> Layer:
    """The same with ``units`` rows a gate; rows that are added are 0."""
    own = network.fc2.weight.shape[1]
    gates = len(layer.bias) // own if own else (3 if network.core_hidden is not None else 1)
    weight = layer.weight.reshape(gates, own, layer.weight.shape[1])
    weight = np.pad(weight, ((0, 0), (0, units - own), (0, 0)))
    bias = np.pad(layer.bias.reshape(gates, own), ((0, 0), (0, units - own)))
    return Layer(weight.reshape(gates * units, weight.shape[2]), bias.ravel())


def _stacked(layers: Sequence[Layer], inputs: int | None = None) -> act_kernel.Layer:
    """Weights (K, in, out) and biases (K, 1, out), padded with 0 to the widest."""
    outputs = max(len(layer.bias) for layer in layers)
    columns = inputs if inputs is not None else layers[0].weight.shape[1]
    weights = np.zeros((len(layers), columns, outputs), np.float32)
    biases = np.zeros((len(layers), 1, outputs), np.float32)
    for k, layer in enumerate(layers):
        rows, own = layer.weight.shape
        weights[k, :own, :rows] = layer.weight.T
        biases[k, 0, :rows] = layer.bias
    return weights, biases
