"""What lies between the networks in an update, each step one compiled call.

The same numbers as torch's, but for rounding: at these sizes a call of torch costs more than its
arithmetic, and each of these would take some ten.

Legend: B episodes, T transitions, N agents, U actions, C columns of the value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.memory import address, need_shape, place


def real_steps(filled: Tensor, ended: Tensor, *, as_host: bool) -> tuple[Tensor, Tensor]:
    """Which transitions of a batch are real.

    Args:
        filled: (B, T+1, 1) 1 for a step that was taken.
        ended: (B, T+1, 1) 1 for a step that ended the task.
        as_host: see :meth:`epymarl_mast.learners.batch.Transitions.from_batch`.

    Returns:
        Both (B, T, 1) float32: 1 where the task ended, and 1 inside the episode.
    """
    need_shape("ended steps", ended, *filled.shape)
    if filled.dtype != torch.int64 or ended.dtype != torch.uint8:  # as no host has them
        filled, ended = filled.to(torch.int64), ended.to(torch.uint8)
    shape = (len(filled), filled.shape[1] - 1, 1)
    terminated, mask = torch.empty(shape), torch.empty(shape)
    call(
        loops().real_steps,
        *place(filled, torch.int64), *place(ended, torch.uint8), shape, as_host,
        terminated.data_ptr(), mask.data_ptr(),
    )  # fmt: skip
    return terminated, mask


def standardise(rewards: Tensor, mask: Tensor | None, statistics: Any) -> Tensor:
    """Rewards in the unit of their running statistics, which have seen them then.

    Args:
        rewards: (B, T, C) float32.
        mask: (B, T, 1) 1 for a step whose rewards the statistics see; None: they see all.
        statistics: a host's ``RunningMeanStd`` on the CPU.

    Returns:
        (B, T, C).
    """
    shape, out = tuple(rewards.shape), torch.empty(rewards.shape)
    if mask is not None:
        need_shape("masks", mask, *shape[:2], 1)
    columns = shape[2]
    after = np.empty(2 * columns + 1, np.float32)
    call(
        loops().standardise,
        *place(rewards), address(out if mask is None else mask), mask is None, shape,
        (address(statistics.mean), address(statistics.var)), float(statistics.count),
        after, out.data_ptr(),
    )  # fmt: skip
    statistics.mean = torch.from_numpy(after[:columns])
    statistics.var = torch.from_numpy(after[columns:-1])
    statistics.count += int(after[-1])
    return out


def returns(
    rewards: Tensor,
    terminated: Tensor,
    mask: Tensor,
    next_values: Tensor,
    gamma: float,
    lam: float = 0.0,
    n: int = 1,
) -> Tensor:
    """TD(λ) targets, or n-step ones with λ = 0; one-step ones with both defaults.

    Args:
        rewards: (B, T, 1) or (B, T, C) float32; or of any columns that are views of one.
        terminated, mask: (B, T, 1) float32.
        next_values: (B, T, C) float32.
        gamma: discount.
        lam: λ, 0 <= λ <= 1.
        n: number of rewards, at least 1.

    Returns:
        (B, T, C); see :mod:`epymarl_mast.targets.returns`.
    """
    shape = tuple(next_values.shape)
    same = rewards.shape[2] == 1 or rewards.stride(2) == 0
    need_shape(
        "rewards", rewards[..., :1] if same else rewards, *shape[:2], 1 if same else shape[2]
    )
    need_shape("ends", terminated, *shape[:2], 1)
    need_shape("masks", mask, *shape[:2], 1)
    out = torch.empty(shape)
    reward, (by_episode, by_step, by_column) = place(rewards)
    reward_at = (by_episode, by_step, 0 if same else by_column)
    step = (reward, reward_at, address(terminated), address(mask))
    to = out.data_ptr()
    call(loops().td_lambda, *step, *place(next_values), shape, float(gamma), float(lam), to)
    if n > 1:
        call(loops().deepen, *step, shape, float(gamma), n - 1, to)
    return out


def masked_error(values: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """``(values - target) * mask`` with the gradient of values.

    Args:
        values, target: (B, T, C) float32.
        mask: (B, T, 1) float32.
    """
    need_shape("targets", target, *values.shape)
    need_shape("masks", mask, *values.shape[:2], 1)
    error: Tensor = _MaskedError.apply(values, target, mask)  # type: ignore[no-untyped-call]
    return error


def mean_square(errors: Tensor, mask: Tensor) -> Tensor:
    """Sum of squares over the number of steps and columns in the mask, with its gradient.

    Args:
        errors: (B, T, C) float32.
        mask: (B, T, 1) float32; it counts once for each column.
    """
    need_shape("masks", mask, *errors.shape[:2], 1)
    mean: Tensor = _MeanSquare.apply(errors, mask)  # type: ignore[no-untyped-call]
    return mean


class _MaskedError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        ctx.mask, ctx.shape = mask, tuple(values.shape)
        out = torch.empty(ctx.shape)
        places = address(values), address(target), address(mask)
        call(loops().masked_error, *places, ctx.shape, out.data_ptr())
        return out

    @staticmethod
    def backward(ctx: Any, d_error: Tensor) -> Any:
        out = torch.empty(ctx.shape)
        call(loops().times_mask, *place(d_error), address(ctx.mask), ctx.shape, out.data_ptr())
        return out, None, None


class _MeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, errors: Tensor, mask: Tensor) -> Tensor:
        out = torch.empty(2)
        shape = tuple(errors.shape)
        call(loops().mean_square, address(errors), *place(mask), shape, out.data_ptr())
        ctx.errors, ctx.out = errors.detach(), out
        return out[0]

    @staticmethod
    def backward(ctx: Any, d_mean: Tensor) -> Any:
        errors, out = ctx.errors, torch.empty(ctx.errors.shape)
        factors = ctx.out.data_ptr() + 4, address(d_mean)  # the second number of the two
        call(loops().scaled, address(errors), *factors, errors.numel(), out.data_ptr())
        return out, None
