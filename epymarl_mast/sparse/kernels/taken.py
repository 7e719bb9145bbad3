"""The values of the actions taken, out of those of all, and their gradient.

Legend: B episodes, T transitions, N agents, U actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.memory import need_shape, place
from epymarl_mast.sparse.kernels.patterns import Floats


class Taken:
    """The actions taken in a batch.

    Args:
        values: (B, T', N, U) float32.
        actions: (B, T, N, 1) int64 of the first T <= T' steps.

    Raises:
        ValueError: for other shapes.
    """

    def __init__(self, values: Tensor, actions: Tensor) -> None:
        self._all = tuple(values.shape)
        episodes, steps, agents, _ = self._all
        self._shape = (episodes, min(steps, actions.shape[1]), agents)
        need_shape("actions", actions, *self._shape, 1)
        self._values, self._actions = values, actions

    def read(self) -> tuple[Floats, tuple[int, int, int], int]:
        """Their values: an array, the strides of (B, T, N), N.

        Raises:
            IndexError: for an action that is none of the U.
        """
        _, steps, agents = self._shape
        out = np.empty(self._shape, np.float32).reshape(-1)
        values, actions = place(self._values), place(self._actions, torch.int64)
        call(loops().values_of_actions, *values, self._all[3], *actions, self._shape, out)
        return out, (steps * agents, agents, 1), agents

    def spread(self, gradient: Floats) -> Tensor:
        """From the gradient (B, T, N) of those read to that of all, (B, T', N, U)."""
        out = np.empty(self._all, np.float32)
        actions = place(self._actions, torch.int64)
        places = gradient.reshape(-1), *actions, self._shape, self._all[1:], out.reshape(-1)
        call(loops().spread_to_actions, *places)
        return torch.from_numpy(out)


def values_of_actions(values: Tensor, actions: Tensor) -> Tensor:
    """The values of the actions taken, with their gradient.

    Args:
        values: (B, T', N, U) float32.
        actions: (B, T, N, 1) int64 of the first T <= T' steps.

    Returns:
        (B, T, N).
    """
    taken: Tensor = _Take.apply(values, actions)  # type: ignore[no-untyped-call]
    return taken


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, actions: Tensor) -> Tensor:
        ctx.taken = Taken(values, actions)
        array, _, agents = ctx.taken.read()
        return torch.from_numpy(array.reshape(*actions.shape[:2], agents))

    @staticmethod
    def backward(ctx: Any, d_taken: Tensor) -> Any:
        return ctx.taken.spread(d_taken.contiguous().numpy()), None
