"""The same agent as an ONNX graph of dense matrices, for other runtimes.

Legend: R rows (environments x agents), I inputs (observation, last action one-hot, agent id
one-hot, as the header says), H hidden units, U actions, K networks (1 shared, or N).

Inputs of the graph: ``inputs`` (R, I) and ``hidden`` (R, H), zero at the start of an episode.
Outputs: ``q_values`` (R, U) and ``next_hidden`` (R, H).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epymarl_mast.controllers.act_kernel import stacked_layers
from epymarl_mast.errors import needs_package
from epymarl_mast.export.file import KEY, Header, write_bytes
from epymarl_mast.export.network import AgentNetwork, as_rnn_agents

_OPSET = 17


def write_onnx(path: Path, header: Header, networks: Sequence[AgentNetwork]) -> None:
    """Write the graph; to a temporary name first.

    Raises:
        ExportError: if the file cannot be written.
        MastError: if the package ``onnx`` is missing.
    """
    with needs_package("an ONNX file", extra="onnx"):
        import onnx
    model = _Graph(networks).model(header)
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self, networks: Sequence[AgentNetwork]) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._layers = stacked_layers(as_rnn_agents(networks))
        self._networks = len(networks)

    def model(self, header: Header) -> Any:
        from onnx import TensorProto, helper

        fc1, core_in, core_hidden, fc2 = self._layers
        units, actions = fc2[0].shape[1:]
        z = self._add("Relu", self._apply(fc1, self._by_network("inputs", header.inputs)))
        state = self._by_network("hidden", units)
        from_input = self._apply(core_in, z)
        if core_hidden is None:
            state = self._add("Relu", from_input)
        else:
            state = self._gru(from_input, self._apply(core_hidden, state), state, units)
        self._by_row(self._apply(fc2, state), actions, "q_values")
        self._by_row(state, units, "next_hidden")

        def tensor(name: str, size: int) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size])

        graph = helper.make_graph(
            self._nodes,
            "agent",
            [tensor("inputs", header.inputs), tensor("hidden", units)],
            [tensor("q_values", actions), tensor("next_hidden", units)],
            self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name=KEY, ir_version=8)
        helper.set_model_props(model, {KEY: header.model_dump_json()})
        return model

    def _gru(self, from_input: str, from_hidden: str, state: str, units: int) -> str:
        reset_in, update_in, new_in = self._split(from_input, units)
        reset_h, update_h, new_h = self._split(from_hidden, units)
        reset = self._add("Sigmoid", self._add("Add", reset_in, reset_h))
        update = self._add("Sigmoid", self._add("Add", update_in, update_h))
        new = self._add("Tanh", self._add("Add", new_in, self._add("Mul", reset, new_h)))
        return self._add("Add", new, self._add("Mul", update, self._add("Sub", state, new)))

    def _split(self, gates: str, units: int) -> list[str]:
        from onnx import helper

        names = [f"{gates}_{part}" for part in ("reset", "update", "new")]
        sizes = self._constant(np.full(3, units, np.int64))
        self._nodes.append(helper.make_node("Split", [gates, sizes], names, axis=2))
        return names

    def _apply(self, layer: tuple[Any, Any], x: str) -> str:
        weight, bias = layer
        product = self._add("MatMul", x, self._constant(weight))
        return self._add("Add", product, self._constant(bias))

    def _by_network(self, rows: str, size: int) -> str:
        """(R, size) -> (K, R/K, size)."""
        shape = self._constant(np.array([-1, self._networks, size]))
        return self._add("Transpose", self._add("Reshape", rows, shape), perm=[1, 0, 2])

    def _by_row(self, x: str, size: int, name: str) -> None:
        """(K, R/K, size) -> (R, size)."""
        x = self._add("Transpose", x, perm=[1, 0, 2])
        self._add("Reshape", x, self._constant(np.array([-1, size])), output=name)

    def _add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
