"""Target operators over a whole episode batch: the same numbers as :mod:`epymarl_mast.targets`.

Torch needs a dozen passes over the (B, T, N, U) values for them, and slow ones, since few actions
make short rows.

Legend: B episodes, T steps, N agents, U actions.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import rounded, row_lanes
from epymarl_mast.sparse.kernels.patterns import LANES
from epymarl_mast.sparse.kernels.workspace import Scratch


def greedy_values(values: Tensor, chooser: Tensor, available: Tensor) -> Tensor:
    """``values`` at the available action that is highest in ``chooser``: Double Q-learning.

    Args:
        values: (B, T, N, U) float32, for instance the target network's.
        chooser: (B, T, N, U) float32, for instance the online network's.
        available: (B, T, N, U), 1 for an action that can be taken.

    Returns:
        (B, T, N); -9999999, as the hosts have it, where no action is available.
    """
    batch, time, agents, actions = values.shape
    lanes = row_lanes(batch, time * agents)
    out = torch.empty(len(lanes.steps) * LANES)
    rows = [
        (array, lanes.offsets(stride, actions))
        for array, stride in map(_rows, (values, chooser, available.float()))
    ]
    scratch = Scratch(*[rounded(actions) * LANES] * 3)
    call(loops().greedy_values, *chain(*rows), actions, *scratch.arrays, out.numpy())
    return out[: batch * time * agents].view(batch, time, agents)


def soft_mellowmax(q: Tensor, available: Tensor, alpha: float, omega: float) -> Tensor:
    """(1/ω)·log Σ_u softmax(α·q)_u · exp(ω·q_u) over the available actions.

    Args:
        q: (B, T, N, U) float32.
        available: (B, T, N, U), 1 for an action that can be taken.
        alpha: inverse temperature of the weights.
        omega: sharpness, > 0.

    Returns:
        (B, T, N); 0 where no action is available.

    Source: MAST Eq. 3; :func:`epymarl_mast.targets.soft_mellowmax` says how it is computed.
    """
    batch, time, agents, actions = q.shape
    lanes = row_lanes(batch, time * agents)
    q_rows, q_stride = _rows(q)
    present, present_stride = _rows(available.float())
    top, ratio = torch.empty(2, len(lanes.steps) * LANES)
    scratch = Scratch(rounded(actions) * LANES, rounded(actions) * LANES)
    call(
        loops().soft_mellowmax_parts,
        q_rows, lanes.offsets(q_stride, actions), present, lanes.offsets(present_stride, actions),
        actions, alpha, alpha + omega, *scratch.arrays, top.numpy(), ratio.numpy(),
    )  # fmt: skip
    value = (top + ratio.log() / omega).masked_fill_(top == -torch.inf, 0.0)
    rows: Tensor = value[: batch * time * agents]
    return rows.view(batch, time, agents)


def backward_recursion(constant: Tensor, slope: Tensor) -> Tensor:
    """See :func:`epymarl_mast.targets.backward_recursion`; (B, T, C) float32."""
    c, s = constant.contiguous(), slope.contiguous()
    out = torch.empty_like(c)
    arrays = (tensor.detach().numpy().reshape(-1) for tensor in (c, s))
    call(loops().backward_recursion, *arrays, tuple(c.shape), out.numpy().reshape(-1))
    return out


def values_of_actions(values: Tensor, actions: Tensor) -> Tensor:
    """The values of the actions taken, with their gradient.

    Args:
        values: (B, T, N, U) float32.
        actions: (B, T', N, 1) int64 of the first T' <= T steps.

    Returns:
        (B, T', N).
    """
    taken: Tensor = _Take.apply(values, actions)  # type: ignore[no-untyped-call]
    return taken


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, actions: Tensor) -> Tensor:
        batch, time, agents, n_actions = values.shape
        rows = _first_rows(batch, time, actions.shape[1], agents)
        ctx.places = rows * n_actions + actions.numpy()[..., 0]
        ctx.shape = values.shape
        return torch.from_numpy(values.contiguous().numpy().reshape(-1)[ctx.places])

    @staticmethod
    def backward(ctx: Any, d_taken: Tensor) -> Any:
        d_values = np.zeros(ctx.shape, np.float32)
        d_values.reshape(-1)[ctx.places] = d_taken.numpy()
        return torch.from_numpy(d_values), None


@lru_cache(maxsize=16)
def _first_rows(batch: int, time: int, steps: int, agents: int) -> NDArray[np.int64]:
    """(B, T', N): number of each row of (B, T, N) in the first T' steps."""
    return np.arange(batch * time * agents).reshape(batch, time, agents)[:, :steps]


def _rows(tensor: Tensor) -> tuple[NDArray[Any], int]:
    """A (B, T, N, U) tensor's memory from its first number on, and its stride of episodes.

    Within an episode rows of actions follow each other; a copy is made where they do not.
    """
    tensor = tensor.detach()
    batch, time, agents, actions = tensor.shape
    if tensor.stride()[1:] != (agents * actions, actions, 1):
        tensor = tensor.contiguous()
    stride = tensor.stride(0)
    size = (batch - 1) * stride + time * agents * actions
    return tensor.as_strided((size,), (1,)).numpy(), stride
