"""What lies between the networks in an update, each step one compiled call.

The same numbers as torch's, but for rounding: at these sizes a call of torch costs more than its
arithmetic, and each of these would take some ten.

Legend: B episodes, T transitions, N agents, U actions, C columns of the value.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.memory import memory


def real_steps(filled: Tensor, ended: Tensor, *, as_host: bool) -> tuple[Tensor, Tensor]:
    """Which transitions of a batch are real.

    Args:
        filled: (B, T+1, 1) 1 for a step that was taken.
        ended: (B, T+1, 1) 1 for a step that ended the task.
        as_host: see :meth:`epymarl_mast.learners.batch.Transitions.from_batch`.

    Returns:
        Both (B, T, 1) float32: 1 where the task ended, and 1 inside the episode.
    """
    shape = (len(filled), filled.shape[1] - 1, 1)
    terminated, mask = torch.empty(2, *shape).unbind()
    call(
        loops().real_steps,
        *memory(filled.to(torch.int64)), *memory(ended.to(torch.uint8)), shape, as_host,
        _numbers(terminated), _numbers(mask),
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
    mean, variance = statistics.mean.clone(), statistics.var.clone()
    shape, out, rows = tuple(rewards.shape), torch.empty(rewards.shape), torch.empty(1)
    everything = mask is None
    call(
        loops().standardise,
        *memory(rewards), _numbers(out if mask is None else mask), everything, shape,
        _numbers(mean), _numbers(variance), float(statistics.count), _numbers(rows),
        _numbers(out),
    )  # fmt: skip
    statistics.mean, statistics.var = mean, variance
    statistics.count += int(rows)
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
        rewards: (B, T, 1) or (B, T, C) float32.
        terminated, mask: (B, T, 1) float32.
        next_values: (B, T, C) float32.
        gamma: discount.
        lam: λ, 0 <= λ <= 1.
        n: number of rewards, at least 1.

    Returns:
        (B, T, C); see :mod:`epymarl_mast.targets.returns`.
    """
    shape = tuple(next_values.shape)
    out = torch.empty(shape)
    reward, reward_at = memory(rewards)
    step = (reward, reward_at, _numbers(terminated), _numbers(mask))
    call(
        loops().td_lambda,
        *step, *memory(next_values), shape, float(gamma), float(lam), _numbers(out),
    )  # fmt: skip
    if n > 1:
        call(loops().deepen, *step, shape, float(gamma), n - 1, _numbers(out))
    return out


def masked_error(values: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """``(values - target) * mask`` with the gradient of values.

    Args:
        values, target: (B, T, C) float32.
        mask: (B, T, 1) float32.
    """
    error: Tensor = _MaskedError.apply(values, target, mask)  # type: ignore[no-untyped-call]
    return error


def mean_square(errors: Tensor, mask: Tensor) -> Tensor:
    """Sum of squares over the number of steps and columns in the mask, with its gradient.

    Args:
        errors: (B, T, C) float32.
        mask: (B, T, 1) float32; it counts once for each column.
    """
    mean: Tensor = _MeanSquare.apply(errors, mask)  # type: ignore[no-untyped-call]
    return mean


class _MaskedError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        ctx.mask, ctx.shape = _numbers(mask), tuple(values.shape)
        out = torch.empty(ctx.shape)
        arrays = _numbers(values), _numbers(target), ctx.mask
        call(loops().masked_error, *arrays, ctx.shape[2], _numbers(out))
        return out

    @staticmethod
    def backward(ctx: Any, d_error: Tensor) -> Any:
        out = torch.empty(ctx.shape)
        call(loops().times_mask, *memory(d_error), ctx.mask, ctx.shape, _numbers(out))
        return out, None, None


class _MeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, errors: Tensor, mask: Tensor) -> Tensor:
        out = torch.empty(2)
        columns = errors.shape[2]
        call(loops().mean_square, _numbers(errors), _numbers(mask), columns, _numbers(out))
        ctx.save_for_backward(errors)
        value, ctx.slope = out.unbind()
        return value

    @staticmethod
    def backward(ctx: Any, d_mean: Tensor) -> Any:
        (errors,) = ctx.saved_tensors
        return errors * (ctx.slope * d_mean), None


def _numbers(tensor: Tensor) -> Any:
    """A float32 tensor as one array, in the order of its elements."""
    return tensor.detach().contiguous().numpy().reshape(-1)
