"""The hosts' agent networks over whole sequences, in torch.

Legend: B episodes, T steps, N agents, I inputs, H hidden units, U outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def run_agents(agent: Any, inputs: Tensor) -> Tensor:
    """(B, T, N, U) values of an agent module, shared or per agent, from (B, T, N, I)."""
    own = getattr(agent, "agents", None)
    if own is None:
        return _sequence(agent, inputs)
    return torch.cat([_sequence(network, inputs[:, :, [i]]) for i, network in enumerate(own)], 2)


def _sequence(agent: Any, inputs: Tensor) -> Tensor:
    """(B, T, N, U) values of one agent network from (B, T, N, I)."""
    episodes, steps, agents, _ = inputs.shape
    x = torch.relu(agent.fc1(inputs))  # (B, T, N, H)
    if isinstance(agent.rnn, nn.GRUCell):
        rows = x.transpose(0, 1).reshape(steps, episodes * agents, -1)  # (T, B*N, H)
        cell = agent.rnn
        start = rows.new_zeros(1, rows.shape[1], cell.hidden_size)
        weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
        hidden, _ = torch.gru(rows, start, weights, True, 1, 0.0, agent.training, False, False)
        h = hidden.view(steps, episodes, agents, -1).transpose(0, 1)
    else:
        h = torch.relu(agent.rnn(x))
    values: Tensor = agent.fc2(h)
    return values
