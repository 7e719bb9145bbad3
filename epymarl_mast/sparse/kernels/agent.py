"""EPyMARL's RNNAgent over a whole episode batch.

Legend: B episodes, T steps, N agents, O observation, I inputs, H hidden units, U actions.
R = LANES rows of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.flat import FlatNetwork, Layer
from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import Lanes, agent_lanes, flat, rounded
from epymarl_mast.sparse.kernels.patterns import (
    LANES,
    SparseMatrix,
    gru_cell,
    matrix_of,
    stacked,
)
from epymarl_mast.sparse.kernels.workspace import Lease, Scratch
from epymarl_mast.sparse.vector import ParameterVector


@dataclass(eq=False)
class AgentInputs:
    """What an agent network reads at each step, left in the pieces that it comes in.

    Attributes:
        observations: (B, T, N, O) float32.
        last_actions: (B, T, N, U) float32 or None: one-hot actions of each step, of which the
            network reads those of the step before; 0 at the first.
        ids: how many one-hot agent ids the network reads, 0 for none.
        first_id: id of the agent at index 0 of N.
    """

    observations: Tensor
    last_actions: Tensor | None = None
    ids: int = 0
    first_id: int = 0
    _placed: tuple[Lanes, tuple[Any, ...]] | None = field(default=None, init=False, repr=False)

    @property
    def features(self) -> int:
        """I."""
        actions = 0 if self.last_actions is None else self.last_actions.shape[-1]
        return int(self.observations.shape[-1]) + actions + self.ids

    def of_agent(self, agent: int) -> AgentInputs:
        """Those of one agent, N = 1."""
        here = slice(agent, agent + 1)
        actions = None if self.last_actions is None else self.last_actions[:, :, here]
        return AgentInputs(self.observations[:, :, here], actions, self.ids, self.first_id + agent)

    def dense(self) -> Tensor:
        """All in one tensor, (B, T, N, I)."""
        parts = [self.observations]
        if self.last_actions is not None:
            first = torch.zeros_like(self.last_actions[:, :1])
            parts.append(torch.cat([first, self.last_actions[:, :-1]], dim=1))
        if self.ids:
            agents = self.observations.shape[2]
            rows = torch.eye(self.ids, device=self.observations.device)
            rows = rows[self.first_id : self.first_id + agents]
            parts.append(rows.expand(*self.observations.shape[:2], -1, -1))
        return torch.cat(parts, dim=3)

    def placed(self, lanes: Lanes) -> tuple[Any, ...]:
        """The inputs as the kernels read them: arrays, the place of each lane's row, strides."""
        if self._placed is None or self._placed[0] is not lanes:
            pieces = _rows(self.observations, lanes)
            # Without last actions, the observations stand in for them with a size of 0.
            actions = self.last_actions
            pieces += (*pieces[:2], 0, 0) if actions is None else _rows(actions, lanes)
            self._placed = lanes, (*pieces, lanes.pairs[1], self.ids, self.first_id)
        return self._placed[1]


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
        lanes = agent_lanes(batch, time, agents, lengths)
        self.network.read()
        new = inputs.observations.new_empty if lengths is None else inputs.observations.new_zeros
        outputs = new((batch, time, agents, self.actions))
        slots = int(lanes.steps.sum()) + len(lanes.steps) if save else 2
        zh = Lease(slots * 2 * self.hidden * LANES)
        gates = Lease(slots * 4 * self.hidden * LANES if save and self.recurrent else 0)
        scratch = Scratch(self._input_room * LANES, rounded(self.actions) * LANES)
        target, (by_batch, by_time, by_agent, _) = flat(outputs)
        call(
            loops().agent_forward,
            inputs.placed(lanes), lanes.steps, self.recurrent,
            self.network.matrices, self.network.biases,
            target, lanes.offsets(by_batch, by_agent), by_time, self._sizes, save,
            zh.array, gates.array, *scratch.arrays,
        )  # fmt: skip
        return outputs, _Saved(inputs, lanes, zh, gates)

    def backward(self, saved: _Saved, d_outputs: Tensor) -> list[Tensor]:
        """The gradient of each of the network's leaves."""
        inputs, lanes, zh, gates = saved
        network = self.network
        network.clear_gradients()
        network.transpose()
        core = network.layers[1].matrix.shape[0]
        features = (self._input_room, rounded(self.actions), self.hidden, core, self.hidden)
        scratch = Scratch(*(LANES * n for n in features))
        target, (by_batch, by_time, by_agent, _) = flat(d_outputs)
        call(
            loops().agent_backward,
            inputs.placed(lanes), lanes.steps, lanes.in_last, self.recurrent,
            network.transposed,
            target, lanes.offsets(by_batch, by_agent), by_time, self._sizes,
            network.spread, zh.array, gates.array, *scratch.arrays,
            network.d_matrices, network.d_biases,
        )  # fmt: skip
        return network.gradients()

    @property
    def _input_room(self) -> int:
        """Features of a block of inputs; each piece is packed in whole vectors."""
        return rounded(self.features) + 16

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return self.features, self.hidden, self.actions


class _Saved(NamedTuple):
    """What the backward needs of a forward."""

    inputs: AgentInputs
    lanes: Lanes
    zh: Lease
    gates: Lease


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, agent: SparseAgent, inputs: AgentInputs, lengths: Tensor | None, *_: Tensor
    ) -> Tensor:
        outputs, ctx.saved = agent.forward(inputs, lengths, save=True)
        ctx.agent = agent
        return outputs

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> Any:
        return None, None, None, *ctx.agent.backward(ctx.saved, d_outputs)


def _layer(
    names: tuple[str, ...], weights: Mapping[str, Tensor], patterns: Mapping[str, SparseMatrix]
) -> Layer:
    """A linear layer, or a GRU cell's two matrices, whose gates r and u sum their biases."""
    matrices = [matrix_of(name, weights, patterns) for name in names]
    joined = stacked(*matrices) if len(matrices) == 1 else gru_cell(*matrices)
    biases = [name.replace("weight", "bias") for name in names]
    rows = [part.rows for part in joined.parts]
    return Layer(joined, names, tuple(zip(biases, rows, strict=True)))


def _rows(piece: Tensor, lanes: Lanes) -> tuple[Any, ...]:
    """(B, T, N, ·) as an array, the place of each lane's row, the stride of steps, row size."""
    array, (by_batch, by_time, by_agent, _) = flat(piece)
    return array, lanes.offsets(by_batch, by_agent), by_time, piece.shape[-1]
