"""Weighted QMIX's unrestricted mixing network over a whole episode batch.

Legend: B episodes, T steps, S state features, F utilities of all agents, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.flat import FlatNetwork, Layer
from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import Lanes, flat, rounded, row_lanes
from epymarl_mast.sparse.kernels.memory import need_shape, rows_at
from epymarl_mast.sparse.kernels.patterns import (
    LANES,
    JoinedMatrix,
    SparseMatrix,
    matrix_of,
    side_by_side,
    stacked,
)
from epymarl_mast.sparse.kernels.workspace import Scratch
from epymarl_mast.sparse.vector import ParameterVector

# The linear layers by their names in the module: one below the other where they read the same
# features, side by side where they are added.
_FIRST, _SECOND, _THIRD, _VALUE = ("net.0", "V.0"), ("net.2",), ("net.4",), ("V.2", "net.6")


class SparseFeedForward:
    """Value of the state and all utilities: four layers on both, and two on the state alone.

    Args:
        weights: the network's parameters: ``net.0``, ``net.2``, ``net.4`` and ``net.6``, ``V.0``
            and ``V.2``, each with ``.weight`` and ``.bias``; moved to shared memory.
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
        def below(names: tuple[str, ...]) -> Layer:
            return _layer(names, stacked(*(_matrix(n, weights, patterns) for n in names)))

        added = side_by_side(*(_matrix(name, weights, patterns) for name in _VALUE))
        layers = [below(_FIRST), below(_SECOND), below(_THIRD), _layer(_VALUE, added)]
        self._network = FlatNetwork(vector or weights, layers)
        width, features = weights["net.0.weight"].shape
        state = weights["V.0.weight"].shape[1]
        self._sizes = state, features - state, width
        kept, utilities = 4 * width * LANES, rounded(features - state) * LANES
        block = (kept, state * LANES + utilities, LANES)
        self._forward = Scratch(*block)
        self._backward = Scratch(*block, kept, utilities, LANES)

    def __call__(self, utilities: Tensor, state: Tensor) -> Tensor:
        """The team's value.

        Args:
            utilities: (B, T, F) float32.
            state: (B, T, S) float32; no gradient is computed for it.

        Returns:
            (B, T, 1) float32.

        Raises:
            ValueError: if these do not fit the network or are not float32 on the CPU.
        """
        steps = tuple(utilities.shape[:2])
        need_shape("utilities", utilities, *steps, self._sizes[1])
        need_shape("states", state, *steps, self._sizes[0])
        inputs = (utilities, *self._network.leaves)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
            return _Mix.apply(self, utilities, state, *inputs[1:])  # type: ignore[no-untyped-call, no-any-return]
        return self.forward(utilities, state)[0]

    def forward(self, utilities: Tensor, state: Tensor) -> tuple[Tensor, _Saved]:
        """The team's value, and what the gradients need."""
        batch, time, _ = state.shape
        lanes = row_lanes(batch, time)
        first, utilities = _rows(utilities, lanes)
        second, state = _rows(state, lanes)
        network = self._network
        network.read()
        outputs = np.empty((batch, time, 1), np.float32)
        call(
            loops().feed_forward,
            *first, *second, network.matrices, network.biases,
            outputs.reshape(-1), lanes.offsets(time, 1), self._sizes, *self._forward.arrays,
        )  # fmt: skip
        return torch.from_numpy(outputs), _Saved((*first, *second), (utilities, state), lanes)

    def backward(self, saved: _Saved, d_outputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradient (B, T, F) of the utilities, and of each of the network's leaves."""
        lanes, network, count = saved.lanes, self._network, self._sizes[1]
        outer, (outer_batch, outer_time, _) = flat(d_outputs)
        batch, time, _ = d_outputs.shape
        d_utilities = np.empty((batch, time, count), np.float32)
        network.start_gradients()
        call(
            loops().feed_forward_backward,
            *saved.placed, lanes.in_last, network.matrices, network.biases, network.transposed,
            outer, lanes.offsets(outer_batch, outer_time),
            d_utilities.reshape(-1), lanes.offsets(time * count, count),
            self._sizes, network.spread, *self._backward.arrays,
            network.d_matrices, network.d_biases,
        )  # fmt: skip
        return torch.from_numpy(d_utilities), network.gradients()


class _Saved(NamedTuple):
    """What the backward needs of a forward."""

    placed: tuple[Any, ...]
    inputs: tuple[Tensor, Tensor]  # whose addresses those are
    lanes: Lanes


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, network: SparseFeedForward, utilities: Tensor, state: Tensor, *leaves: Tensor
    ) -> Tensor:
        ctx.save_for_backward(utilities, state, *leaves)
        outputs, ctx.saved = network.forward(utilities, state)
        ctx.network = network
        return outputs

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> Any:
        _ = ctx.saved_tensors  # an error where they have changed since
        d_utilities, gradients = ctx.network.backward(ctx.saved, d_outputs)
        return None, d_utilities, None, *gradients


def _rows(tensor: Tensor, lanes: Lanes) -> tuple[tuple[Any, ...], Tensor]:
    """Address and row of each lane, and the tensor that has to live as long as they are used."""
    where, (by_batch, by_time, _), kept = rows_at(tensor)
    return (where, lanes.offsets(by_batch, by_time)), kept


def _matrix(
    name: str, weights: Mapping[str, Tensor], patterns: Mapping[str, SparseMatrix]
) -> SparseMatrix:
    return matrix_of(f"{name}.weight", weights, patterns)


def _layer(names: tuple[str, ...], joined: JoinedMatrix) -> Layer:
    biases = tuple((f"{n}.bias", part.rows) for n, part in zip(names, joined.parts, strict=True))
    return Layer(joined, tuple(f"{name}.weight" for name in names), biases)
