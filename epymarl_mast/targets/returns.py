"""From rewards and values of next states to regression targets.

Legend: B episodes, T steps; rewards, terminated, mask (B, T, 1) and next_values (B, T, C), or any
shapes that broadcast to (B, T, C); ``next_values[:, t]`` is the value of the state after step t.
``terminated`` is 1 at a step that ends the task, 0 at one that the time limit cut. ``mask`` is 1
inside the episode. All returns are (B, T, C), 0 where ``mask`` is 0, of the type to which torch
promotes that of ``rewards`` and that of ``next_values``, as it is in the hosts.

An episode that ends without ``terminated`` was cut by its time limit: its returns stop there and
bootstrap from the value of the last state.
"""

from __future__ import annotations

import torch
from torch import Tensor

# rewards, terminated, mask, next_values
Step = tuple[Tensor, Tensor, Tensor, Tensor]


def one_step(
    rewards: Tensor, terminated: Tensor, mask: Tensor, next_values: Tensor, gamma: float
) -> Tensor:
    """T^(1) = r_t + γ·(1-term_t)·V_{t+1}."""
    # where, not a product: what lies in padding or beyond a terminal step may be anything.
    bootstrap = torch.where(terminated > 0, 0.0, gamma * next_values)
    return torch.where(mask > 0, rewards + bootstrap, 0.0)


def n_step(
    rewards: Tensor, terminated: Tensor, mask: Tensor, next_values: Tensor, gamma: float, n: int
) -> Tensor:
    """T^(n) = Σ_{i<n} γ^i·r_{t+i} + γ^n·V_{t+n}, cut at the end of the episode.

    Args:
        n: number of rewards, at least 1.

    Raises:
        ValueError: if ``n`` is below 1.

    Source: MAST §3.1.
    """
    if n < 1:
        raise ValueError(f"n={n} is out of range: n >= 1")
    target = one_step(rewards, terminated, mask, next_values, gamma)
    goes_on = _goes_on(mask)
    for _ in range(n - 1):
        # T^(k)_t = r_t + γ·T^(k-1)_{t+1}: one reward deeper at every round.
        deeper = torch.where(goes_on, _shift(target), next_values)
        target = one_step(rewards, terminated, mask, deeper, gamma)
    return target


def td_lambda(
    rewards: Tensor,
    terminated: Tensor,
    mask: Tensor,
    next_values: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """T_λ = (1-λ)·Σ_{n>=1} λ^{n-1}·T^(n), the remaining weight on the longest return.

    By the backward recursion y_t = r_t + γ·(1-term_t)·[(1-λ)·V_{t+1} + λ·y_{t+1}], where y_{t+1}
    is V_{t+1} at the last step of the episode.

    Args:
        lam: λ, 0 <= λ <= 1; 0 gives :func:`one_step`.

    Raises:
        ValueError: if ``lam`` is out of range.

    Source: MAST §3.1.
    """
    if not 0.0 <= lam <= 1.0:
        raise ValueError(f"lam={lam} is out of range: 0 <= lam <= 1")
    goes_on = _goes_on(mask)
    # y_t = constant_t + slope_t * y_{t+1}
    own = torch.where(goes_on, (1 - lam) * next_values, next_values)
    constant = one_step(rewards, terminated, mask, own, gamma)
    slope = (gamma * lam * (goes_on & (terminated <= 0)).to(constant.dtype)).expand_as(constant)
    return _backward_recursion(constant, slope)


def _backward_recursion(constant: Tensor, slope: Tensor) -> Tensor:
    """y_t = constant_t + slope_t·y_{t+1}, from 0 beyond the last step; all are (B, T, C)."""
    following = torch.zeros_like(constant[:, 0])
    backward = []
    for constant_t, slope_t in zip(
        reversed(constant.unbind(1)), reversed(slope.unbind(1)), strict=True
    ):
        following = torch.addcmul(constant_t, slope_t, following)
        backward.append(following)
    return torch.stack(backward[::-1], dim=1)


def _goes_on(mask: Tensor) -> Tensor:
    """(B, T, ·) bool: the step after this one is inside the episode too."""
    return _shift(mask) > 0


def _shift(x: Tensor) -> Tensor:
    """x_{t+1} at position t; 0 at the last one."""
    return torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], dim=1)
