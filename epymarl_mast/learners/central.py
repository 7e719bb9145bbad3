"""The unrestricted mixing networks of weighted QMIX: any function of state and utilities.

Legend: B episodes, T steps, N agents, E utilities of an action, S state, W width.
Source: Rashid et al. 2020, "Weighted QMIX"; built from its description and recorded results.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn


class FeedForwardMixer(nn.Module):
    """Four layers on the state and all utilities together, plus a value of the state.

    Args:
        args: the run's configuration: ``state_shape``, ``n_agents``, ``central_action_embed`` (E),
            ``central_mixing_embed_dim`` (W).
    """

    def __init__(self, args: Any) -> None:
        super().__init__()
        state, width = _state_size(args), args.central_mixing_embed_dim
        inputs = state + args.n_agents * args.central_action_embed
        self.net = _layers(inputs, width, width, width, 1)
        self.V = _layers(state, width, 1)

    def forward(self, utilities: Tensor, state: Tensor) -> Tensor:
        """Joint value (B, T, 1) of utilities (B, T, N, E) in states (B, T, S)."""
        value: Tensor = self.net(torch.cat([state, utilities.flatten(2)], dim=2)) + self.V(state)
        return value


class AttentionMixer(nn.Module):
    """Heads that weigh the agents by the state, three layers on them, plus a value of the state.

    Args:
        args: as of :class:`FeedForwardMixer`, and ``hypernet_embed``; W is the number of heads too.
    """

    def __init__(self, args: Any) -> None:
        super().__init__()
        state, width = _state_size(args), args.central_mixing_embed_dim
        self.n_agents = args.n_agents
        self.atten_layer = _layers(state, args.hypernet_embed, args.n_agents * width)
        self.net = _layers(width * args.central_action_embed, width, width, 1)
        self.V = _layers(state, width, 1)

    def forward(self, utilities: Tensor, state: Tensor) -> Tensor:
        """Joint value (B, T, 1) of utilities (B, T, N, E) in states (B, T, S)."""
        scores = self.atten_layer(state).unflatten(2, (self.n_agents, -1))  # (B, T, N, W)
        heads = scores.softmax(dim=2).transpose(2, 3) @ utilities  # (B, T, W, E)
        value: Tensor = self.net(heads.flatten(2)) + self.V(state)
        return value


# By the option ``central_mixer``.
CENTRAL_MIXERS: dict[str, Callable[[Any], nn.Module]] = {
    "ff": FeedForwardMixer,
    "atten": AttentionMixer,
}


def _layers(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with ReLUs between them."""
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def _state_size(args: Any) -> int:
    shape = args.state_shape
    return shape if isinstance(shape, int) else prod(shape)
