"""EPyMARL's RNNAgent over a whole episode batch.

Legend: B episodes, T steps, N agents, I inputs, H hidden units, U actions.
R = LANES rows of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.flat import FlatNetwork, Layer
from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.inputs import AgentInputs
from epymarl_mast.sparse.kernels.lanes import Lanes, agent_lanes, flat, rounded
from epymarl_mast.sparse.kernels.patterns import (
    LANES,
    Indices,
    SparseMatrix,
    gru_cell,
    matrix_of,
    stacked,
)
from epymarl_mast.sparse.kernels.workspace import Lease, Scratch
from epymarl_mast.sparse.vector import ParameterVector


class SparseAgent:
    """Values of all actions at all steps, from hidden states that start at 0.

    Args:
        weights: one network's parameters by their names in RNNAgent (``fc1.weight``,
            ``rnn.weight_ih``, …), which are moved to shared memory. With a ``rnn.weight_ih`` the
            network is recurrent.
        patterns: the kept weights of each matrix, by the same names; a matrix that is missing
            here is dense. Absent weights are never read, and their gradient is 0.
        vector: the weights in one piece, where gradients are for it and not for each of them.

    Raises:
        ValueError: if a pattern does not fit, or weights are not float32 on the CPU.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        patterns: Mapping[str, SparseMatrix],
        vector: ParameterVector | None = None,
    ) -> None:
        self.recurrent = "rnn.weight_ih" in weights
        core = ("rnn.weight_ih", "rnn.weight_hh") if self.recurrent else ("rnn.weight",)
        layers = [
            _layer(names, weights, patterns) for names in (("fc1.weight",), core, ("fc2.weight",))
        ]
        self.network = FlatNetwork(vector or weights, layers)
        self.hidden, self.features = self.network.layers[0].matrix.shape
        self.actions = self.network.layers[2].matrix.shape[0]
        self._plan: _Plan | None = None
        self._make_room()

    def __call__(self, inputs: AgentInputs, lengths: Tensor | None = None) -> Tensor:
        """Unroll.

        Args:
            inputs: of all steps; no gradient is computed for them.
            lengths: (B,) int, steps that matter of each episode. Values of later steps are 0 or
                as computed, and a gradient given for them is ignored or not, depending on the
                block.

        Returns:
            (B, T, N, U) float32.

        Raises:
            ValueError: if the inputs do not fit the network or are not float32 on the CPU.
        """
        leaves = self.network.leaves
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in leaves):
            return _Unroll.apply(self, inputs, lengths, *leaves)  # type: ignore[no-untyped-call, no-any-return]
        return self.forward(inputs, lengths, save=False)[0]

    def forward(
        self, inputs: AgentInputs, lengths: Tensor | None, save: bool
    ) -> tuple[Tensor, _Saved]:
        """The values, and with ``save`` what the gradients need."""
        if inputs.features != self.features:
            raise ValueError(f"{inputs.features} inputs, but the network has {self.features}")
        batch, time, agents, _ = inputs.observations.shape
        plan = self._plan_of(batch, time, agents, lengths)
        self.network.read()
        outputs = (np.empty if lengths is None else np.zeros)(plan.shape, np.float32)
        slots = plan.slots if save else 2
        zh = Lease(slots * 2 * self.hidden * LANES)
        gates = Lease(slots * 4 * self.hidden * LANES if save and self.recurrent else 0)
        call(
            loops().agent_forward,
            inputs.placed(plan.lanes), plan.lanes.steps, self.recurrent,
            self.network.matrices, self.network.biases,
            outputs.reshape(-1), plan.output_rows, plan.output_stride, self._sizes, save,
            zh.array, gates.array, *self._forward_room.arrays,
        )  # fmt: skip
        return torch.from_numpy(outputs), _Saved(inputs, plan, zh, gates)

    def backward(self, saved: _Saved, d_outputs: Tensor) -> list[Tensor]:
        """The gradient of each of the network's leaves."""
        inputs, plan, zh, gates = saved
        network = self.network
        network.start_gradients()
        target, (by_batch, by_time, by_agent, _) = flat(d_outputs)
        call(
            loops().agent_backward,
            inputs.placed(plan.lanes), plan.lanes.steps, plan.lanes.in_last, self.recurrent,
            network.transposed,
            target, plan.lanes.offsets(by_batch, by_agent), by_time, self._sizes,
            network.spread, zh.array, gates.array, *self._backward_room.arrays,
            network.d_matrices, network.d_biases,
        )  # fmt: skip
        return network.gradients()

    def _plan_of(self, batch: int, time: int, agents: int, lengths: Tensor | None) -> _Plan:
        """What follows from the shape of a batch; the last shape is remembered."""
        shape = (batch, time, agents, self.actions)
        if lengths is None and self._plan is not None and self._plan.shape == shape:
            return self._plan
        lanes = agent_lanes(batch, time, agents, lengths)
        by_batch, by_time = time * agents * self.actions, agents * self.actions
        plan = _Plan(
            shape,
            lanes,
            int(lanes.steps.sum()) + len(lanes.steps),
            lanes.offsets(by_batch, self.actions),
            by_time,
        )
        if lengths is None:
            self._plan = plan
        return plan

    def _make_room(self) -> None:
        """Blocks that the kernels work in."""
        self._forward_room = Scratch(self._input_room * LANES, rounded(self.actions) * LANES)
        core = self.network.layers[1].matrix.shape[0]
        features = (self._input_room, rounded(self.actions), self.hidden, core, self.hidden)
        self._backward_room = Scratch(*(LANES * n for n in features))

    @property
    def _input_room(self) -> int:
        """Features of a block of inputs; each piece is packed in whole vectors."""
        return rounded(self.features) + 16

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return self.features, self.hidden, self.actions


class _Plan(NamedTuple):
    """What follows from the shape (B, T, N, U) of a batch's values."""

    shape: tuple[int, int, int, int]
    lanes: Lanes
    slots: int  # of the steps of all blocks, and one more of each
    output_rows: Indices
    output_stride: int


class _Saved(NamedTuple):
    """What the backward needs of a forward."""

    inputs: AgentInputs
    plan: _Plan
    zh: Lease
    gates: Lease


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, agent: SparseAgent, inputs: AgentInputs, lengths: Tensor | None, *leaves: Tensor
    ) -> Tensor:
        ctx.save_for_backward(*leaves)
        outputs, ctx.saved = agent.forward(inputs, lengths, save=True)
        ctx.agent = agent
        return outputs

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> Any:
        return None, None, None, *_backward(ctx, d_outputs)


def backward(values: Tensor, gradient: Tensor) -> None:
    """``values.backward(gradient)``, past torch's graph where one agent network gave the values.

    Args:
        values: (B, T, N, U) of a :class:`SparseAgent`, or computed from such.
        gradient: (B, T, N, U).
    """
    node: Any = values.grad_fn
    agent = getattr(node, "agent", None)
    if not isinstance(agent, SparseAgent):
        values.backward(gradient)  # type: ignore[no-untyped-call]
        return
    for leaf, own in zip(agent.network.leaves, _backward(node, gradient), strict=True):
        leaf.grad = own if leaf.grad is None else leaf.grad + own


def _backward(unrolled: Any, gradient: Tensor) -> list[Tensor]:
    """The gradients of the leaves; torch's own error where those have changed since."""
    _ = unrolled.saved_tensors
    gradients: list[Tensor] = unrolled.agent.backward(unrolled.saved, gradient)
    return gradients


def _layer(
    names: tuple[str, ...], weights: Mapping[str, Tensor], patterns: Mapping[str, SparseMatrix]
) -> Layer:
    """A linear layer, or a GRU cell's two matrices, whose gates r and u sum their biases."""
    matrices = [matrix_of(name, weights, patterns) for name in names]
    joined = stacked(*matrices) if len(matrices) == 1 else gru_cell(*matrices)
    biases = [name.replace("weight", "bias") for name in names]
    rows = [part.rows for part in joined.parts]
    return Layer(joined, names, tuple(zip(biases, rows, strict=True)))
