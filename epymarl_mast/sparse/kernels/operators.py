"""Target operators over a whole episode batch: the same numbers as :mod:`epymarl_mast.targets`.

Torch needs a dozen passes over the (B, T, N, U) values for them, and slow ones, since few actions
make short rows.

Legend: B episodes, T steps, N agents, U actions.
"""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import rounded, row_lanes
from epymarl_mast.sparse.kernels.memory import need_shape, place
from epymarl_mast.sparse.kernels.patterns import LANES
from epymarl_mast.sparse.kernels.workspace import Scratch


def greedy_values(values: Tensor, chooser: Tensor, available: Tensor) -> Tensor:
    """``values`` at the available action that is highest in ``chooser``: Double Q-learning.

    Args:
        values: (B, T, N, U) float32, for instance the target network's.
        chooser: (B, T, N, U) float32, for instance the online network's.
        available: (B, T, N, U), not 0 for an action that can be taken.

    Returns:
        (B, T, N); -9999999, as the hosts have it, where no action is available.
    """
    batch, time, agents, actions = values.shape
    need_shape("choosing values", chooser, *values.shape)
    need_shape("flags of actions", available, *values.shape)
    lanes = row_lanes(batch, time * agents)
    read = [_rows(tensor) for tensor in (values, chooser, _flags(available))]
    rows = [(where, lanes.offsets(stride, actions)) for where, stride, _ in read]
    out = np.empty(len(lanes.steps) * LANES, np.float32)
    scratch = Scratch(*[rounded(actions) * LANES] * 3)
    call(loops().greedy_values, *chain(*rows), actions, *scratch.arrays, out)
    return torch.from_numpy(out[: batch * time * agents].reshape(batch, time, agents))


def soft_mellowmax(q: Tensor, available: Tensor, alpha: float, omega: float) -> Tensor:
    """(1/ω)·log Σ_u softmax(α·q)_u · exp(ω·q_u) over the available actions.

    Args:
        q: (B, T, N, U) float32.
        available: (B, T, N, U), not 0 for an action that can be taken.
        alpha: inverse temperature of the weights.
        omega: sharpness, > 0.

    Returns:
        (B, T, N); 0 where no action is available.

    Source: MAST Eq. 3; :func:`epymarl_mast.targets.soft_mellowmax` says how it is computed.
    """
    batch, time, agents, actions = q.shape
    need_shape("flags of actions", available, *q.shape)
    lanes = row_lanes(batch, time * agents)
    read = [_rows(tensor) for tensor in (q, _flags(available))]
    rows = [(where, lanes.offsets(stride, actions)) for where, stride, _ in read]
    out = np.empty(len(lanes.steps) * LANES, np.float32)
    scratch = Scratch(*[rounded(actions) * LANES] * 2)
    call(
        loops().soft_mellowmax,
        *chain(*rows), actions, float(alpha), float(omega), *scratch.arrays, out,
    )  # fmt: skip
    return torch.from_numpy(out[: batch * time * agents].reshape(batch, time, agents))


def _flags(available: Tensor) -> Tensor:
    """The same memory where it can be; kernels look at whether any bit is set."""
    if available.dtype != torch.int32:
        available = available.to(torch.int32)
    return available.view(torch.float32)


def _rows(tensor: Tensor) -> tuple[int, int, Tensor]:
    """A (B, T, N, U) tensor's address, its stride of episodes, and itself, to keep it alive.

    Within an episode rows of actions follow each other; a copy is made where they do not.
    """
    _, _, agents, actions = tensor.shape
    if tensor.stride()[1:] != (agents * actions, actions, 1):
        tensor = tensor.contiguous()
    where, strides = place(tensor)
    return where, strides[0], tensor
