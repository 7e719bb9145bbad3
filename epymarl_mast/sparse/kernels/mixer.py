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

from epymarl_mast.sparse.kernels.host import call, kernels
from epymarl_mast.sparse.kernels.lanes import Lanes, flat, mixer_lanes, numbers, rounded
from epymarl_mast.sparse.kernels.patterns import (
    LANES,
    Floats,
    Gradients,
    JoinedMatrix,
    SparseMatrix,
    matrix_of,
    stacked,
)
from epymarl_mast.sparse.kernels.workspace import Lease, Scratch

# The layers that read the state, as their rows follow each other in one matrix; layers on them.
_ONE_LAYER = (("hyper_w_1", "hyper_w_final", "hyper_b_1", "V.0"), ("V.2",))
_TWO_LAYERS = (
    ("hyper_w_1.0", "hyper_w_final.0", "hyper_b_1", "V.0"),
    ("V.2", "hyper_w_1.2", "hyper_w_final.2"),
)


def qmix(
    agent_values: Tensor,
    state: Tensor,
    weights: Mapping[str, Tensor],
    patterns: Mapping[str, SparseMatrix],
    lengths: Tensor | None = None,
) -> Tensor:
    """The team's value, from the values of the agents' actions.

    Args:
        agent_values: (B, T, N) float32.
        state: (B, T, S) float32; no gradient is computed for it.
        weights: the mixer's parameters by their names in QMixer (``hyper_w_1.0.weight``, …), of
            hypernets of one or two layers.
        patterns: the kept weights of each matrix, by the same names; a matrix that is missing
            here is dense. Absent weights are never read, and their gradient is 0.
        lengths: (B,) int, steps that matter of each episode. Later ones give 0, and no gradient.

    Returns:
        (B, T, 1) float32.
    """
    two_layers = "hyper_w_1.0.weight" in weights
    on_state, later = _TWO_LAYERS if two_layers else _ONE_LAYER
    layers = (*on_state, *later)
    tensors = [weights[f"{layer}.weight"] for layer in layers]
    tensors += [weights[f"{layer}.bias"] for layer in layers]
    matrices = [matrix_of(f"{layer}.weight", weights, patterns) for layer in layers]
    network = _Network(
        stacked(*matrices[: len(on_state)]),
        tuple(stacked(matrix) for matrix in matrices[len(on_state) :]),
        (
            agent_values.shape[-1],
            state.shape[-1],
            matrices[2].shape[0],
            matrices[0].shape[0],
            matrices[1].shape[0],
        ),
        tuple(matrix.shape[0] for matrix in matrices[: len(on_state)]),
    )
    inputs = (agent_values, *tensors)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        return _Mix.apply(agent_values, state, lengths, network, *tensors)  # type: ignore[no-untyped-call, no-any-return]
    return _forward(agent_values, state, lengths, network, tensors, save=False)[0]


class _Network(NamedTuple):
    """The matrices of a mixer.

    Attributes:
        on_state: the layers that read the state, as one.
        later: V's second layer, and those of two-layer hypernets.
        sizes: (N, S, E, rows of hyper_w_1 on the state, rows of hyper_w_final on the state).
        splits: rows of each layer in on_state.
    """

    on_state: JoinedMatrix
    later: tuple[JoinedMatrix, ...]
    sizes: tuple[int, int, int, int, int]
    splits: tuple[int, ...]

    @property
    def two_layers(self) -> bool:
        return len(self.later) == 3

    @property
    def saved_rows(self) -> int:
        """Features of a block that the backward needs."""
        agents, _, embed, _, _ = self.sizes
        return self.on_state.shape[0] + embed * (agents + 2 if self.two_layers else 1)


class _Saved(NamedTuple):
    """What the backward needs of a forward."""

    lanes: Lanes
    features: Lease
    stride: int
    kept: list[Floats]


def _forward(
    agent_values: Tensor,
    state: Tensor,
    lengths: Tensor | None,
    network: _Network,
    tensors: list[Tensor],
    save: bool,
) -> tuple[Tensor, _Saved]:
    batch, time, _ = agent_values.shape
    n_agents, n_state, *_ = network.sizes
    if network.on_state.shape[1] != n_state:
        raise ValueError(f"{n_state} state features, not {network.on_state.shape[1]}")
    lanes = mixer_lanes(batch, time, lengths)
    first = len(network.splits)
    layers = len(tensors) // 2
    kept = [network.on_state.gather(tensors[:first])]
    kept += [m.gather([w]) for m, w in zip(network.later, tensors[first:layers], strict=True)]
    biases = [numbers(bias) for bias in tensors[layers:]]
    csr = [m.csr(k) for m, k in zip((network.on_state, *network.later), kept, strict=True)]
    value, w_1, w_final = csr[1:] if network.two_layers else (csr[1], csr[1], csr[1])
    b_value, b_1, b_final = biases[first:] if network.two_layers else [biases[first]] * 3

    outputs = (state.new_empty if lengths is None else state.new_zeros)((batch, time, 1))
    stride = network.saved_rows * LANES
    blocks = len(lanes.steps) if save else 1
    saved = Lease(blocks * stride)
    scratch = Scratch(rounded(n_state) * LANES, rounded(n_agents) * LANES, LANES)
    values, (value_batch, value_time, _) = flat(agent_values)
    states, (state_batch, state_time, _) = flat(state)
    call(
        kernels().mixer_forward,
        values, lanes.offsets(value_batch, value_time),
        states, lanes.offsets(state_batch, state_time),
        csr[0], np.concatenate(biases[:first]), network.two_layers,
        w_1, b_1, w_final, b_final, value, b_value,
        flat(outputs)[0], lanes.offsets(time, 1), network.sizes,
        saved.array, stride if save else 0, *scratch.arrays,
    )  # fmt: skip
    return outputs, _Saved(lanes, saved, stride, kept)


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        agent_values: Tensor,
        state: Tensor,
        lengths: Tensor | None,
        network: _Network,
        *tensors: Tensor,
    ) -> Tensor:
        outputs, ctx.saved = _forward(
            agent_values, state, lengths, network, list(tensors), save=True
        )
        ctx.network = network
        ctx.partial = lengths is not None
        ctx.save_for_backward(agent_values, state)
        return outputs

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> Any:
        agent_values, state = ctx.saved_tensors
        network: _Network = ctx.network
        saved: _Saved = ctx.saved
        lanes = saved.lanes
        n_agents, n_state, *_ = network.sizes
        matrices = (network.on_state, *network.later)
        csr = [m.csr(k) for m, k in zip(matrices, saved.kept, strict=True)]
        transposed = [m.transposed(k) for m, k in zip(matrices, saved.kept, strict=True)]
        d = Gradients(matrices)
        # A one-layer hypernet has no second layer: the kernel does not look at these.
        value, w_1, w_final = (1, 2, 3) if network.two_layers else (1, 1, 1)
        d_values = (agent_values.new_zeros if ctx.partial else agent_values.new_empty)(
            agent_values.shape
        )
        features = (rounded(n_state), rounded(n_agents), rounded(n_agents), 1)
        scratch = Scratch(*(n * LANES for n in features), saved.stride)
        values, (value_batch, value_time, _) = flat(agent_values.contiguous())
        states, (state_batch, state_time, _) = flat(state)
        outer, (outer_batch, outer_time, _) = flat(d_outputs)
        call(
            kernels().mixer_backward,
            values, lanes.offsets(value_batch, value_time),
            states, lanes.offsets(state_batch, state_time), lanes.in_last,
            csr[0], network.two_layers, csr[w_1], transposed[w_1], csr[w_final],
            transposed[w_final], csr[value], transposed[value],
            outer, lanes.offsets(outer_batch, outer_time), flat(d_values)[0],
            network.sizes, d.spread, saved.features.array, saved.stride,
            *scratch.arrays, d.values[0], d.biases[0],
            d.values[w_1], d.biases[w_1],
            d.values[w_final], d.biases[w_final], d.values[value], d.biases[value],
        )  # fmt: skip
        d_kept, d_bias = zip(*map(d.sums, range(len(matrices))), strict=True)
        weights = [w for m, k in zip(matrices, d_kept, strict=True) for w in m.scatter(k)]
        biases = [*np.split(d_bias[0], np.cumsum(network.splits)[:-1]), *d_bias[1:]]
        return (
            d_values if ctx.needs_input_grad[0] else None, None, None, None,
            *weights, *(torch.from_numpy(bias) for bias in biases),
        )  # fmt: skip
