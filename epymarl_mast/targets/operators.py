"""From each agent's action values to one value per agent.

Legend: U actions; q (..., U) action values; available (..., U) bool or 0/1. Every operator reads
available actions only, returns (...), is finite for finite q, and gives 0 where no action is
available (padded steps of an episode).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def maximum(q: Tensor, available: Tensor) -> Tensor:
    """max_u q_u."""
    return _or_zero(_only(q, available).amax(dim=-1), available)


def mellowmax(q: Tensor, available: Tensor, omega: float) -> Tensor:
    """(1/ω)·log( mean_u exp(ω·q_u) ): between the mean (ω -> 0) and the max (ω -> inf).

    Source: Asadi and Littman 2017; compared in MAST Fig. 16.
    """
    return soft_mellowmax(q, available, alpha=0.0, omega=omega)


def softmax_expectation(q: Tensor, available: Tensor, alpha: float) -> Tensor:
    """Σ_u softmax(α·q)_u · q_u: the mean of q under a Boltzmann policy.

    Source: compared in MAST Fig. 16.
    """
    below, present, top = _below_top(q, available)
    weight = torch.exp(alpha * below) * present
    value = (weight * q.masked_fill(~available.bool(), 0.0)).sum(dim=-1) / weight.sum(dim=-1)
    bottom = -_only(-q, available).amax(dim=-1)
    return _or_zero(value.clamp(min=bottom, max=top), available)


def softmax_of(scores: Tensor, values: Tensor, available: Tensor, beta: float) -> Tensor:
    """Σ_k softmax(β·scores)_k · values_k over joint actions k.

    Args:
        scores: (..., K) what the weights are made of.
        values: (..., K) what is weighed.
        available: (..., K) bool or 0/1.
        beta: inverse temperature.

    Returns:
        (...) values; 0 where no joint action is available.

    Source: RES (Pan et al. 2021).
    """
    below, present, _ = _below_top(scores, available)
    weight = torch.exp(beta * below) * present
    total = (weight * values.masked_fill(~available.bool(), 0.0)).sum(dim=-1)
    return _or_zero(total / weight.sum(dim=-1), available)


def soft_mellowmax(q: Tensor, available: Tensor, alpha: float, omega: float) -> Tensor:
    """(1/ω)·log Σ_u softmax(α·q)_u · exp(ω·q_u), never above the max.

    With d_u = q_u - max q, which is never positive, it is
    max q + (log Σ_u exp((α+ω)·d_u) - log Σ_u exp(α·d_u)) / ω, where both sums are at least 1: no
    finite q overflows or loses precision.

    Args:
        q: (..., U) action values.
        available: (..., U) bool or 0/1.
        alpha: inverse temperature of the weights; 0 gives mellowmax.
        omega: sharpness, > 0; the limit ω -> inf gives the max.

    Returns:
        (...) values.

    Source: MAST Eq. 3; Gan et al. 2021.
    """
    below, present, top = _below_top(q, available)
    sharp = (torch.exp((alpha + omega) * below) * present).sum(dim=-1)
    weights = (torch.exp(alpha * below) * present).sum(dim=-1)
    return _or_zero(top + (sharp.log() - weights.log()) / omega, available)


def _below_top(q: Tensor, available: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far each action is below the best (..., U), 0 to the lowest number; 0 if unavailable.

    With it: which actions are available (..., U), and the best one's value (...).
    """
    top = _only(q, available).amax(dim=-1, keepdim=True)
    below = (q - top).masked_fill(~available.bool(), 0.0)
    lowest = torch.finfo(q.dtype).min  # keeps the product with α = 0 a number
    return below.clamp(min=lowest, max=0.0), available.to(q.dtype), top.squeeze(-1)


def _only(q: Tensor, available: Tensor) -> Tensor:
    return q.masked_fill(~available.bool(), -math.inf)


def _or_zero(value: Tensor, available: Tensor) -> Tensor:
    return value.masked_fill(~available.bool().any(dim=-1), 0.0)
