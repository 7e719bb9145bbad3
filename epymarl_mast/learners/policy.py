"""Discrete actions that a gradient can pass through.

Legend: U actions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from epymarl_mast.learners.engines import UNAVAILABLE


def straight_through(
    logits: Tensor, available: Tensor, temperature: float, generator: torch.Generator
) -> Tensor:
    """Sampled actions as one-hot vectors, with the gradient of a softmax.

    The sample is the largest of logits plus Gumbel noise, so its distribution is softmax(logits).
    The gradient is that of the softmax of the same noisy logits over ``temperature``.

    Args:
        logits: (..., U).
        available: (..., U) 1 for an action that can be taken; others are never sampled.
        temperature: above 0; small: closer to the sample, with a larger variance.
        generator: CPU generator of the noise.

    Returns:
        (..., U).

    Source: Jang et al. 2017, "Categorical Reparameterization with Gumbel-Softmax".
    """
    uniform = torch.rand(logits.shape, generator=generator).clamp_min_(1e-20).to(logits.device)
    noisy = (logits - torch.log(-torch.log(uniform))).masked_fill(available == 0, UNAVAILABLE)
    soft = torch.softmax(noisy / temperature, dim=-1)
    hard = torch.nn.functional.one_hot(noisy.argmax(dim=-1), noisy.shape[-1]).to(soft.dtype)
    return hard + (soft - soft.detach())  # exactly one-hot


def entropy(logits: Tensor, available: Tensor) -> Tensor:
    """Entropy (...) in nats of softmax(logits) over the available actions of (..., U)."""
    log_policy = torch.log_softmax(logits.masked_fill(available == 0, UNAVAILABLE), dim=-1)
    return -(log_policy.exp() * log_policy).sum(dim=-1)
