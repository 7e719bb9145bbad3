"""EPyMARL's QMixer over a whole episode batch.

Legend: B episodes, T steps, N agents, S state features, E mixing units, G units of a hypernet's
hidden layer. R = LANES rows of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.flat import FlatNetwork, Layer
from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import Lanes, flat, mixer_lanes, rounded
from epymarl_mast.sparse.kernels.memory import need_shape, rows_at
from epymarl_mast.sparse.kernels.patterns import LANES, SparseMatrix, matrix_of, stacked
from epymarl_mast.sparse.kernels.taken import Taken
from epymarl_mast.sparse.kernels.workspace import Scratch
from epymarl_mast.sparse.vector import ParameterVector

# The layers that read the state, as their rows follow each other in one matrix; layers on them.
_ONE_LAYER = (("hyper_w_1", "hyper_w_final", "hyper_b_1", "V.0"), ("V.2",))
_TWO_LAYERS = (
    ("hyper_w_1.0", "hyper_w_final.0", "hyper_b_1", "V.0"),
    ("V.2", "hyper_w_1.2", "hyper_w_final.2"),
)


class SparseMixer:
    """The team's value, from the values of the agents' actions.

    Args:
        weights: the mixer's parameters by their names in QMixer (``hyper_w_1.0.weight``, …), of
            hypernets of one or two layers, which are moved to shared memory.
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
        self.two_layers = "hyper_w_1.0.weight" in weights
        on_state, later = _TWO_LAYERS if self.two_layers else _ONE_LAYER
        layers = [_layer(names, weights, patterns) for names in (on_state, *((n,) for n in later))]
        self.network = FlatNetwork(vector or weights, layers)
        wide, narrow, self.embed, _ = (len(weights[f"{name}.bias"]) for name in on_state)
        first_weights = "hyper_w_1.2" if self.two_layers else "hyper_w_1"
        self.n_agents = len(weights[f"{first_weights}.bias"]) // self.embed
        self.state_features = layers[0].matrix.shape[1]
        self._hypernets = (wide, narrow)
        self._room: _Room | None = None

    def __call__(
        self, agent_values: Tensor, state: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        """Mix.

        Args:
            agent_values: (B, T, N) float32.
            state: (B, T, S) float32; no gradient is computed for it.
            lengths: (B,) int, steps that matter of each episode. Later ones give 0, and no
                gradient.

        Returns:
            (B, T, 1) float32.

        Raises:
            ValueError: if values or state do not fit the network or are not float32 on the CPU.
        """
        return self._mixed(agent_values, None, state, lengths)

    def of_actions(self, q_values: Tensor, actions: Tensor, state: Tensor) -> Tensor:
        """Mix the values of the actions taken.

        Args:
            q_values: (B, T', N, U) float32.
            actions: (B, T, N, 1) int64 of the first T <= T' steps.
            state: as of a call, (B, T, S).

        Returns:
            (B, T, 1) float32.

        Raises:
            ValueError: as of a call.
        """
        return self._mixed(q_values, actions, state, None)

    def _mixed(
        self, values: Tensor, actions: Tensor | None, state: Tensor, lengths: Tensor | None
    ) -> Tensor:
        """By the values of agents, or those of all actions and the actions taken."""
        self.check(values, actions, state)
        inputs = (values, *self.network.leaves)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
            return _Mix.apply(self, values, actions, state, lengths, *inputs[1:])  # type: ignore[no-untyped-call, no-any-return]
        taken = _flat(values) if actions is None else Taken(values, actions).read()
        return self.forward(taken, state, lengths)[0]

    def forward(
        self, agent_values: tuple[Any, ...], state: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, _Saved]:
        """The team's value, and what the gradients need.

        Args:
            agent_values: from :func:`.lanes.flat`.
            state: (B, T, S).
            lengths: (B,) or None.
        """
        batch, time, _ = state.shape
        values, (value_batch, value_time, _), n_agents = agent_values
        lanes = mixer_lanes(batch, time, lengths)
        self.network.read()
        outputs = (np.empty if lengths is None else np.zeros)((batch, time, 1), np.float32)
        room = self.room_of(n_agents)
        states, (state_batch, state_time, _), kept = rows_at(state)
        placed = (states, lanes.offsets(state_batch, state_time))
        call(
            loops().mixer_forward,
            values, lanes.offsets(value_batch, value_time), *placed, self.two_layers,
            self.by_four(self.network.matrices), self.by_four(self.network.biases),
            outputs.reshape(-1), lanes.offsets(time, 1), self.sizes(n_agents),
            *room.forward.arrays,
        )  # fmt: skip
        return torch.from_numpy(outputs), _Saved(agent_values, placed, kept, lanes)

    def backward(self, saved: _Saved, d_outputs: Tensor) -> tuple[Any, list[Tensor]]:
        """The gradient (B, T, N) of the agents' values, and of each of the network's leaves."""
        lanes, network = saved.lanes, self.network
        values, (value_batch, value_time, _), n_agents = saved.agent_values
        outer, (outer_batch, outer_time, _) = flat(d_outputs)
        batch, time, _ = d_outputs.shape
        # Lanes that an episode does not have are not written.
        d_values = np.zeros((batch, time, n_agents), np.float32)
        room = self.room_of(n_agents)
        network.start_gradients()
        call(
            loops().mixer_backward,
            values, lanes.offsets(value_batch, value_time), *saved.placed_state, lanes.in_last,
            self.two_layers, self.by_four(network.matrices), self.by_four(network.biases),
            self.by_four(network.transposed),
            outer, lanes.offsets(outer_batch, outer_time),
            d_values.reshape(-1), lanes.offsets(time * n_agents, n_agents),
            self.sizes(n_agents), network.spread, *room.backward.arrays,
            self.by_four(network.d_matrices), self.by_four(network.d_biases),
        )  # fmt: skip
        return d_values, network.gradients()

    def check(self, values: Tensor, actions: Tensor | None, state: Tensor) -> None:
        """Refuse values of agents, or of all actions and those taken, and states that do not fit.

        Raises:
            ValueError: naming what does not.
        """
        steps = tuple((values if actions is None else actions).shape[:2])
        need_shape("states", state, *steps, self.state_features)
        if actions is None:
            need_shape("agents' values", values, *steps, self.n_agents)
        elif values.shape[2] != self.n_agents:
            raise ValueError(f"values of {values.shape[2]} agents, not {self.n_agents}")

    def room_of(self, n_agents: int) -> _Room:
        """Blocks that the kernels work in."""
        if self._room is None or self._room.n_agents != n_agents:
            kept = self._kept_rows(n_agents) * LANES
            state, agents = rounded(self.state_features) * LANES, rounded(n_agents) * LANES
            forward = (kept, state, agents, LANES)
            self._room = _Room(n_agents, Scratch(*forward), Scratch(*forward, agents, LANES, kept))
        return self._room

    def by_four(self, layers: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of the layers on the state, value, first and final weights.

        The kernels do not look at the last two where a hypernet is one layer.
        """
        return layers if self.two_layers else (*layers, layers[1], layers[1])

    def sizes(self, n_agents: int) -> tuple[int, int, int, int, int]:
        """What the kernels call sizes."""
        return n_agents, self.state_features, self.embed, *self._hypernets

    def _kept_rows(self, n_agents: int) -> int:
        """Features that are computed of a block."""
        on_state = int(self.network.layers[0].matrix.shape[0])
        return on_state + self.embed * (n_agents + 2 if self.two_layers else 1)


class _Room(NamedTuple):
    """What follows from the number of agents."""

    n_agents: int
    forward: Scratch
    backward: Scratch


class _Saved(NamedTuple):
    """What the backward needs of a forward."""

    agent_values: tuple[Any, ...]
    placed_state: tuple[Any, ...]
    state: Tensor  # whose address that is
    lanes: Lanes


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mixer: SparseMixer,
        values: Tensor,
        actions: Tensor | None,
        state: Tensor,
        lengths: Tensor | None,
        *leaves: Tensor,
    ) -> Tensor:
        ctx.taken = None if actions is None else Taken(values, actions)
        read = _flat(values) if ctx.taken is None else ctx.taken.read()
        ctx.save_for_backward(*leaves)
        outputs, ctx.saved = mixer.forward(read, state, lengths)
        ctx.mixer = mixer
        return outputs

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> Any:
        _ = ctx.saved_tensors  # an error where they have changed since
        d_values, gradients = ctx.mixer.backward(ctx.saved, d_outputs)
        d_values = torch.from_numpy(d_values) if ctx.taken is None else ctx.taken.spread(d_values)
        return None, d_values, None, None, None, *gradients


def _flat(values: Tensor) -> tuple[Any, ...]:
    """(B, T, N): the array, its strides, N."""
    return (*flat(values), values.shape[2])


def _layer(
    names: tuple[str, ...], weights: Mapping[str, Tensor], patterns: Mapping[str, SparseMatrix]
) -> Layer:
    """Linear layers of one input, one below the other."""
    matrices = [matrix_of(f"{name}.weight", weights, patterns) for name in names]
    joined = stacked(*matrices)
    biases = tuple((f"{n}.bias", part.rows) for n, part in zip(names, joined.parts, strict=True))
    return Layer(joined, tuple(f"{name}.weight" for name in names), biases)
