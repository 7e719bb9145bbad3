"""One agent network as numpy arrays, and the removal of units that do nothing.

Legend: I inputs, F units of the first layer, H units of the core, U actions, G gates (3 for a GRU,
1 for a linear core); a GRU's rows are those of its reset gates, update gates and new states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FC1, _FC2 = ("fc1.weight", "fc1.bias"), ("fc2.weight", "fc2.bias")
_LINEAR = {"fc1": _FC1, "core_in": ("rnn.weight", "rnn.bias"), "fc2": _FC2}
_GRU = {
    "fc1": _FC1,
    "core_in": ("rnn.weight_ih", "rnn.bias_ih"),
    "core_hidden": ("rnn.weight_hh", "rnn.bias_hh"),
    "fc2": _FC2,
}  # {layer: its names in the hosts' RNNAgent}


@dataclass(frozen=True)
class Layer:
    """Weight (out, in), absent weights being 0, and bias (out,); float32."""

    weight: Array
    bias: Array

    def with_rows(self, keep: Array) -> Layer:
        """Only some outputs."""
        return Layer(self.weight[keep], self.bias[keep])

    def with_columns(self, keep: Array) -> Layer:
        """Only some inputs."""
        return Layer(self.weight[:, keep], self.bias)

    def with_constants(self, inputs: Array, values: Array) -> Layer:
        """Inputs (k,) that always have these values go into the bias."""
        weight = self.weight.copy()
        weight[:, inputs] = 0.0
        return Layer(weight, self.bias + self.weight[:, inputs] @ values)


@dataclass(frozen=True)
class AgentNetwork:
    """The hosts' ``rnn`` agent: a linear layer, a GRU or a second linear layer, action values.

    Attributes:
        fc1: (F, I), followed by a ReLU.
        core_in: (G·H, F).
        core_hidden: (3·H, H) of a GRU; None for a linear core, which a ReLU follows.
        fc2: (U, H).
    """

    fc1: Layer
    core_in: Layer
    core_hidden: Layer | None
    fc2: Layer

    @property
    def layers(self) -> dict[str, Layer]:
        """``{name: layer}``."""
        core = {} if self.core_hidden is None else {"core_hidden": self.core_hidden}
        return {"fc1": self.fc1, "core_in": self.core_in, **core, "fc2": self.fc2}

    @property
    def units(self) -> int:
        """Hidden units of both layers, F + H."""
        return len(self.fc1.bias) + int(self.fc2.weight.shape[1])


def from_rnn_agent(parameters: Mapping[str, Array]) -> AgentNetwork:
    """The network with these parameters of the hosts' RNNAgent."""
    names = _GRU if "rnn.weight_ih" in parameters else _LINEAR
    layers = {layer: Layer(parameters[w], parameters[b]) for layer, (w, b) in names.items()}
    return AgentNetwork(layers["fc1"], layers["core_in"], layers.get("core_hidden"), layers["fc2"])


def as_rnn_agents(networks: Sequence[AgentNetwork]) -> list[dict[str, Array]]:
    """Parameters by their names in the hosts' RNNAgent, of one shape in all networks.

    Smaller networks are padded to the widest by zeros: such a unit of the first layer gives 0, and
    one of the core is read by nothing.
    """
    first = max(len(network.fc1.bias) for network in networks)
    units = max(network.fc2.weight.shape[1] for network in networks)
    return [_as_rnn_agent(network, first, units) for network in networks]


def _as_rnn_agent(network: AgentNetwork, first: int, units: int) -> dict[str, Array]:
    recurrent = network.core_hidden is not None
    names, gates = (_GRU, 3) if recurrent else (_LINEAR, 1)
    outputs_inputs = {
        "fc1": (first, network.fc1.weight.shape[1]),
        "core_in": (units, first),
        "core_hidden": (units, units),
        "fc2": (len(network.fc2.bias), units),
    }
    parameters: dict[str, Array] = {}
    for name, layer in network.layers.items():
        padded = _padded(layer, *outputs_inputs[name], gates if name.startswith("core") else 1)
        weight, bias = names[name]
        parameters |= {weight: padded.weight, bias: padded.bias}
    return parameters


def _padded(layer: Layer, outputs: int, inputs: int, gates: int) -> Layer:
    """The same with this many inputs, and outputs of each gate."""
    rows, columns = layer.weight.shape
    own = rows // gates
    weight = np.zeros((gates, outputs, inputs), np.float32)
    weight[:, :own, :columns] = layer.weight.reshape(gates, own, columns)
    bias = np.zeros((gates, outputs), np.float32)
    bias[:, :own] = layer.bias.reshape(gates, own)
    return Layer(weight.reshape(gates * outputs, inputs), bias.ravel())


def without_dead_units(network: AgentNetwork) -> AgentNetwork:
    """The same function of observations and state, with fewer units.

    A unit that no weight leads into has the same output at every step: it moves into the biases
    after it. A unit that leads to no action value is left out. A GRU unit without inputs stays
    where something reads it, because its state still changes with its biases.
    """
    return _without_unread_units(_without_constant_units(network))


def _without_constant_units(network: AgentNetwork) -> AgentNetwork:
    constant = ~_any(network.fc1.weight, 1)
    always = np.maximum(network.fc1.bias[constant], 0.0)
    core_in = network.core_in.with_constants(constant, always)
    network = replace(network, core_in=core_in)
    if network.core_hidden is None:
        constant = ~_any(core_in.weight, 1)
        always = np.maximum(core_in.bias[constant], 0.0)
        network = replace(network, fc2=network.fc2.with_constants(constant, always))
    return network


def _without_unread_units(network: AgentNetwork) -> AgentNetwork:
    read = _any(network.fc2.weight, 0)  # (H,)
    if network.core_hidden is not None:
        leads_to = _any(network.core_hidden.weight.reshape(3, len(read), len(read)), 0)
        before = None
        while before is None or (read != before).any():
            before, read = read, read | _any(leads_to[read], 0)
    rows = np.tile(read, len(network.core_in.bias) // len(read))
    core_in = network.core_in.with_rows(rows)
    hidden = network.core_hidden
    first = _any(core_in.weight, 0)  # (F,)
    return AgentNetwork(
        network.fc1.with_rows(first),
        core_in.with_columns(first),
        None if hidden is None else hidden.with_rows(rows).with_columns(read),
        network.fc2.with_columns(read),
    )


def _any(matrix: Array, axis: int) -> Array:
    """Where there is anything but zeros along an axis, bool."""
    found: Array = np.any(matrix, axis=axis)
    return found
