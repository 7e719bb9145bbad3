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
    centred, top = _centre(q, available)
    weight = torch.exp(_log_softmax(centred, alpha))
    value = (weight * q.masked_fill(~available.bool(), 0.0)).sum(dim=-1)
    bottom = -_only(-q, available).amax(dim=-1)
    return _or_zero(value.clamp(min=bottom, max=top.squeeze(-1)), available)


def soft_mellowmax(q: Tensor, available: Tensor, alpha: float, omega: float) -> Tensor:
    """(1/ω)·log Σ_u softmax(α·q)_u · exp(ω·q_u), never above the max.

    Computed in log space around the max, so that no finite q overflows or loses precision.

    Args:
        q: (..., U) action values.
        available: (..., U) bool or 0/1.
        alpha: inverse temperature of the weights; 0 gives mellowmax.
        omega: sharpness, > 0; the limit ω -> inf gives the max.

    Returns:
        (...) values.

    Source: MAST Eq. 3; Gan et al. 2021.
    """
    centred, top = _centre(q, available)
    log_weight = _log_softmax(centred, alpha)
    value = top.squeeze(-1) + torch.logsumexp(log_weight + omega * centred, dim=-1) / omega
    # Rounding may lift the sum of the weights a hair above 1; the max is an upper bound in theory.
    return _or_zero(torch.minimum(value, top.squeeze(-1)), available)


def _centre(q: Tensor, available: Tensor) -> tuple[Tensor, Tensor]:
    """Q minus its max (..., U), -inf where unavailable, and that max (..., 1)."""
    top = _only(q, available).amax(dim=-1, keepdim=True)
    lowest = torch.finfo(q.dtype).min  # keeps available actions finite, however far apart
    return _only((q - top).clamp(min=lowest), available), top


def _log_softmax(centred: Tensor, alpha: float) -> Tensor:
    """Log softmax(α·q) (..., U), -inf where ``centred`` is."""
    absent = centred.isneginf()
    scaled = (alpha * centred.masked_fill(absent, 0.0)).masked_fill(absent, -math.inf)
    return scaled - torch.logsumexp(scaled, dim=-1, keepdim=True)


def _only(q: Tensor, available: Tensor) -> Tensor:
    return q.masked_fill(~available.bool(), -math.inf)


def _or_zero(value: Tensor, available: Tensor) -> Tensor:
    return value.masked_fill(~available.bool().any(dim=-1), 0.0)
