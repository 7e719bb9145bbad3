"""Agent networks with few weights, and the header that goes with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from epymarl_mast.export.checkpoint import as_exported
from epymarl_mast.sparse import kernels

COMPUTE = ["numpy", *(["numba"] if kernels.available() else [])]


class TorchAgent(nn.Module):
    """The hosts' agent, written anew: what exported agents are compared with."""

    def __init__(self, inputs, hidden, actions, recurrent):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.rnn = nn.GRUCell(hidden, hidden) if recurrent else nn.Linear(hidden, hidden)
        self.fc2 = nn.Linear(hidden, actions)

    def forward(self, x, h):
        z = torch.relu(self.fc1(x))
        h = self.rnn(z, h) if isinstance(self.rnn, nn.GRUCell) else torch.relu(self.rnn(z))
        return self.fc2(h), h


def sparse_agent(inputs, hidden, actions, density, recurrent=True, seed=0):
    torch.manual_seed(seed)
    agent = TorchAgent(inputs, hidden, actions, recurrent)
    with torch.no_grad():
        for weight in agent.parameters():
            if weight.ndim == 2:
                weight.mul_(torch.rand(weight.shape) < density).mul_(density**-0.5)
    return agent


def run_of(n_agents, n_actions, *, last_action=True, agent_id=True):
    return {
        "name": "mast_qmix", "task": "a task", "seed": 1, "t_env": 100, "agent": "rnn",
        "action_selector": "epsilon_greedy", "n_agents": n_agents, "n_actions": n_actions,
        "obs_last_action": last_action, "obs_agent_id": agent_id,
    }  # fmt: skip


def arrays(agents):
    """The state of one shared network, or of a network for each agent, as a checkpoint has it."""
    if len(agents) == 1:
        return {name: w.numpy() for name, w in agents[0].state_dict().items()}
    return {
        f"agents.{i}.{name}": w.numpy()
        for i, agent in enumerate(agents)
        for name, w in agent.state_dict().items()
    }


@pytest.fixture
def exported():
    """``(agents, run) -> (header, networks)``."""
    return lambda agents, run: as_exported(arrays(agents), run, {"sparsity": 0.9})


@pytest.fixture
def make_agent():
    return sparse_agent


@pytest.fixture
def make_run():
    return run_of


@pytest.fixture(params=COMPUTE)
def compute(request):
    """Each way to compute a decision."""
    return request.param


@pytest.fixture
def unroll():
    """Action values (T, E, N, U) and greedy actions of torch agents."""

    def run(agents, observations, available, *, last_action=True, agent_id=True):
        steps, environments, n_agents, _ = observations.shape
        n_actions = available.shape[3]
        hidden = [torch.zeros(environments, a.fc2.in_features) for a in agents] * (
            n_agents if len(agents) == 1 else 1
        )
        last = np.zeros((environments, n_agents, n_actions), np.float32)
        values, actions = [], []
        for t in range(steps):
            step = np.empty((environments, n_agents, n_actions), np.float32)
            for i in range(n_agents):
                parts = [observations[t, :, i]]
                parts += [last[:, i]] if last_action else []
                parts += [
                    np.tile(np.eye(n_agents, dtype=np.float32)[i], (environments, 1))
                ] * agent_id
                agent = agents[i % len(agents)]
                with torch.no_grad():
                    q, hidden[i] = agent(torch.from_numpy(np.concatenate(parts, 1)), hidden[i])
                step[:, i] = q.numpy()
            chosen = np.where(available[t] != 0, step, -np.inf).argmax(-1)
            last = np.eye(n_actions, dtype=np.float32)[chosen]
            values.append(step)
            actions.append(chosen)
        return np.stack(values), np.stack(actions)

    return run
