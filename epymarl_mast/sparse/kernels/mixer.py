"""EPyMARL's QMixer over a whole episode batch.

Legend: B episodes, T steps, N agents, S state features, E mixing units, G units of a hypernet's
hidden layer. R = LANES rows of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.flat import FlatNetwork, Layer
from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import Lanes, flat, mixer_lanes, rounded
from epymarl_mast.sparse.kernels.patterns import LANES, SparseMatrix, matrix_of, stacked
from epymarl_mast.sparse.kernels.workspace import Lease, Scratch
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
        self.state_features = layers[0].matrix.shape[1]
        self._hypernets = (wide, narrow)

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
            ValueError: if the state does not fit the network or is not float32 on the CPU.
        """
        inputs = (agent_values, *self.network.leaves)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
            return _Mix.apply(self, agent_values, state, lengths, *inputs[1:])  # type: ignore[no-untyped-call, no-any-return]
        return self.forward(agent_values, state, lengths, save=False)[0]

    def forward(
        self, agent_values: Tensor, state: Tensor, lengths: Tensor | None, save: bool
    ) -> tuple[Tensor, _Saved]:
        """The team's value, and with ``save`` what the gradients need."""
        if state.shape[-1] != self.state_features:
            raise ValueError(f"{state.shape[-1]} state features, not {self.state_features}")
        batch, time, n_agents = agent_values.shape
        lanes = mixer_lanes(batch, time, lengths)
        self.network.read()
        outputs = (state.new_empty if lengths is None else state.new_zeros)((batch, time, 1))
        stride = self._saved_rows(n_agents) * LANES
        saved = Lease((len(lanes.steps) if save else 1) * stride)
        scratch = Scratch(rounded(self.state_features) * LANES, rounded(n_agents) * LANES, LANES)
        values, (value_batch, value_time, _) = flat(agent_values)
        states, (state_batch, state_time, _) = flat(state)
        call(
            loops().mixer_forward,
            values, lanes.offsets(value_batch, value_time),
            states, lanes.offsets(state_batch, state_time), self.two_layers,
            self._four(self.network.matrices), self._four(self.network.biases),
            flat(outputs)[0], lanes.offsets(time, 1), self._sizes(n_agents),
            saved.array, stride if save else 0, *scratch.arrays,
        )  # fmt: skip
        return outputs, _Saved(agent_values, state, lanes, saved, stride)

    def backward(self, saved: _Saved, d_outputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradient of the agents' values, and of each of the network's leaves."""
        lanes, network = saved.lanes, self.network
        values, (value_batch, value_time, _) = flat(saved.agent_values.contiguous())
        states, (state_batch, state_time, _) = flat(saved.state)
        outer, (outer_batch, outer_time, _) = flat(d_outputs)
        d_values = saved.agent_values.new_zeros(saved.agent_values.shape)
        network.clear_gradients()
        network.transpose()
        n_agents = d_values.shape[-1]
        features = (rounded(self.state_features), rounded(n_agents), rounded(n_agents), 1)
        scratch = Scratch(*(n * LANES for n in features), saved.stride)
        call(
            loops().mixer_backward,
            values, lanes.offsets(value_batch, value_time),
            states, lanes.offsets(state_batch, state_time), lanes.in_last, self.two_layers,
            self._four(network.transposed),
            outer, lanes.offsets(outer_batch, outer_time), flat(d_values)[0],
            self._sizes(n_agents), network.spread, saved.features.array, saved.stride,
            *scratch.arrays, self._four(network.d_matrices), self._four(network.d_biases),
        )  # fmt: skip
        return d_values, network.gradients()

    def _four(self, layers: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of the layers on the state, value, first and final weights.

        The kernels do not look at the last two where a hypernet is one layer.
        """
        return layers if self.two_layers else (*layers, layers[1], layers[1])

    def _sizes(self, n_agents: int) -> tuple[int, int, int, int, int]:
        return n_agents, self.state_features, self.embed, *self._hypernets

    def _saved_rows(self, n_agents: int) -> int:
        """Features of a block that the backward needs."""
        on_state = int(self.network.layers[0].matrix.shape[0])
        return on_state + self.embed * (n_agents + 2 if self.two_layers else 1)


class _Saved(NamedTuple):
    """What the backward needs of a forward."""

    agent_values: Tensor
    state: Tensor
    lanes: Lanes
    features: Lease
    stride: int


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mixer: SparseMixer,
        agent_values: Tensor,
        state: Tensor,
        lengths: Tensor | None,
        *_: Tensor,
    ) -> Tensor:
        outputs, ctx.saved = mixer.forward(agent_values, state, lengths, save=True)
        ctx.mixer = mixer
        return outputs

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> Any:
        d_values, gradients = ctx.mixer.backward(ctx.saved, d_outputs)
        return None, d_values, None, None, *gradients


def _layer(
    names: tuple[str, ...], weights: Mapping[str, Tensor], patterns: Mapping[str, SparseMatrix]
) -> Layer:
    """Linear layers of one input, one below the other."""
    matrices = [matrix_of(f"{name}.weight", weights, patterns) for name in names]
    joined = stacked(*matrices)
    biases = tuple((f"{n}.bias", part.rows) for n, part in zip(names, joined.parts, strict=True))
    return Layer(joined, tuple(f"{name}.weight" for name in names), biases)
