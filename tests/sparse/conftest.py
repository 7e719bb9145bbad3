"""Small topologies, and a small recurrent network trained as the learner trains its own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from epymarl_mast.learners.sparse_networks import SparseNetworks
from epymarl_mast.options import MastOptions
from epymarl_mast.sparse import TOPOLOGIES, UpdateSchedule, reset_optimizer_state, sparse_layers


@pytest.fixture(scope="session")
def make_topology():
    """Build a topology over ``{parameter: shape}``."""

    def make(kind, shapes, *, sparsity=0.5, allocation="uniform", drop_fraction=0.5, seed=0):
        return TOPOLOGIES[kind](
            sparse_layers(shapes, sparsity, allocation),
            shapes,
            UpdateSchedule(interval=1, end=100, initial_drop_fraction=drop_fraction),
            torch.Generator().manual_seed(seed),
        )

    return make


@pytest.fixture(scope="session")
def random_tensors():
    """``{parameter: normal numbers}`` from a seed."""

    def draw(shapes, seed):
        generator = torch.Generator().manual_seed(seed)
        return {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}

    return draw


class Agent(nn.Module):
    """The shape of the hosts' agent network."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(5, 8)
        self.rnn = nn.GRUCell(8, 8)
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        hidden = self.rnn(x, None)
        return self.fc2(self.rnn(x, hidden))  # two steps, so that weight_hh has a gradient


class OwnAgents(nn.Module):
    """Three agents without parameter sharing; each sees its own inputs."""

    def __init__(self):
        super().__init__()
        self.agents = nn.ModuleList(Agent() for _ in range(3))

    def forward(self, x):
        return torch.stack([agent(x) for agent in self.agents])


class Training:
    """A network, its target and an optimiser, stepped in the order of METHOD.md §2."""

    def __init__(self, network, optimiser, block, seed):
        generator = torch.Generator().manual_seed(seed)
        self.network = network
        self.target = copy.deepcopy(network)
        self.optimiser = optimiser(network.parameters())
        self.sparse = SparseNetworks(
            {"agent": network},
            {"agent": self.target},
            MastOptions.from_config(block),
            t_max=100,
            generator=generator,
        )
        self.topology = self.sparse.topology
        self.data = torch.Generator().manual_seed(seed)
        self.updates = 0

    def step(self):
        """One gradient update; returns whether the topology evolved."""
        self.gradient_step()
        due = self.topology.due(self.updates, t_env=self.updates)
        if due:
            self.evolve()
        return due

    def gradient_step(self):
        self.optimiser.zero_grad()
        x = torch.randn(16, 5, generator=self.data)
        wanted = torch.sin(3 * x[:, :3])
        ((self.network(x) - wanted) ** 2).mean().backward()
        self.updates += 1
        self.gradients = self.sparse.dense_gradients()
        self.sparse.mask_gradients_()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()

    def evolve(self):
        survivors = self.sparse.evolve_(self.gradients, t_env=self.updates)
        pairs = [(self.sparse.weights[name], mask) for name, mask in survivors.items()]
        reset_optimizer_state(self.optimiser, pairs)

    def masks(self):
        return dict(self.topology.masks)

    def state_of(self, name):
        """Every tensor of the weight's shape that the optimiser keeps for it, by key."""
        weight = self.sparse.weights[name]
        return {
            key: value
            for key, value in self.optimiser.state[weight].items()
            if isinstance(value, torch.Tensor) and value.shape == weight.shape
        }


@pytest.fixture
def training(mast_options):
    """Start a training run; changes go into the ``mast:`` block."""

    def start(optimiser=torch.optim.Adam, *, own_agents=False, seed=3, **changes):
        torch.manual_seed(seed)
        network = OwnAgents() if own_agents else Agent()
        changes = {"sparsity": 0.6, "topology_interval": 3, **changes}
        return Training(network, optimiser, mast_options(**changes), seed)

    return start
