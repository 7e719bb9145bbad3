"""RES's joint actions: all that differ from the greedy one in at most one agent.

Legend: B episodes, T steps, N agents, U actions, K = N·U joint actions, S state, E units.
Source: Pan et al. 2021, "Regularized Softmax Deep Multi-Agent Q-Learning".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def one_agent_deviates(q: Tensor, greedy: Tensor) -> Tensor:
    """Agents' values under each joint action; the greedy one is in there N times.

    Args:
        q: (B, T, N, U) action values.
        greedy: (B, T, N, 1) greedy action of each agent.

    Returns:
        (B, T, K, N): entry n·U + u has agent n take u, and the others their greedy action.
    """
    n_agents = q.shape[2]
    rest = torch.gather(q, 3, greedy).squeeze(3)[:, :, None, None]  # (B, T, 1, 1, N)
    deviates = torch.eye(n_agents, dtype=torch.bool, device=q.device)[:, None]  # (N, 1, N)
    return torch.where(deviates, q.unsqueeze(4), rest).flatten(2, 3)


def mix_candidates(mixer: Any, values: Tensor, state: Tensor) -> Tensor:
    """Joint value of every joint action, (B, T, K).

    QMIX's hypernetworks depend on the state alone, so they are computed once a state and not once
    a joint action.

    Args:
        mixer: one of the hosts' mixing networks.
        values: (B, T, K, N) from :func:`one_agent_deviates`.
        state: (B, T, S).
    """
    if not hasattr(mixer, "hyper_w_1"):
        value: Tensor = mixer(values.flatten(1, 2), state.repeat_interleave(values.shape[2], 1))
        return value.view(values.shape[:3])
    first = mixer.hyper_w_1(state).abs().unflatten(2, (values.shape[3], -1))  # (B, T, N, E)
    hidden = torch.nn.functional.elu(values @ first + mixer.hyper_b_1(state).unsqueeze(2))
    final = mixer.hyper_w_final(state).abs().unsqueeze(3)  # (B, T, E, 1)
    value = (hidden @ final).squeeze(3) + mixer.V(state)
    return value
