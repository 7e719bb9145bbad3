"""Target operators over a whole episode batch: the same numbers as :mod:`epymarl_mast.targets`.

Torch needs a dozen passes over the (B, T, N, U) values for them, and slow ones, since few actions
make short rows.

Legend: B episodes, T steps, N agents, U actions.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import rounded, row_lanes
from epymarl_mast.sparse.kernels.memory import memory
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
    lanes = row_lanes(batch, time * agents)
    rows = [
        (array, lanes.offsets(stride, actions))
        for array, stride in map(_rows, (values, chooser, _flags(available)))
    ]
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
    lanes = row_lanes(batch, time * agents)
    q_rows, q_stride = _rows(q)
    present, present_stride = _rows(_flags(available))
    out = np.empty(len(lanes.steps) * LANES, np.float32)
    scratch = Scratch(*[rounded(actions) * LANES] * 2)
    call(
        loops().soft_mellowmax,
        q_rows, lanes.offsets(q_stride, actions), present, lanes.offsets(present_stride, actions),
        actions, float(alpha), float(omega), *scratch.arrays, out,
    )  # fmt: skip
    return torch.from_numpy(out[: batch * time * agents].reshape(batch, time, agents))


def _flags(available: Tensor) -> Tensor:
    """The same memory where it can be; kernels look at whether any bit is set."""
    if available.dtype != torch.int32:
        available = available.to(torch.int32)
    return available.view(torch.float32)


def _rows(tensor: Tensor) -> tuple[NDArray[Any], int]:
    """A (B, T, N, U) tensor's memory from its first number on, and its stride of episodes.

    Within an episode rows of actions follow each other; a copy is made where they do not.
    """
    _, _, agents, actions = tensor.shape
    if tensor.stride()[1:] != (agents * actions, actions, 1):
        tensor = tensor.contiguous()
    return memory(tensor)[0], tensor.stride(0)
