"""Which weights are sparse, and which of them share one budget."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from epymarl_mast.sparse import erdos_renyi, sparse_layers
from epymarl_mast.sparse.layers import agent_index, is_weight_matrix, layer_name, stack, unstack

GRU_AGENT = {
    "agent.fc1.weight": (6, 4),
    "agent.fc1.bias": (6,),
    "agent.rnn.weight_ih": (18, 6),
    "agent.rnn.weight_hh": (18, 6),
    "agent.rnn.bias_ih": (18,),
    "agent.rnn.bias_hh": (18,),
    "agent.fc2.weight": (3, 6),
    "agent.fc2.bias": (3,),
}
OWN_AGENTS = {
    f"agent.agents.{i}.{layer}": shape
    for i in range(11)  # past 9, where sorting by name would break the order
    for layer, shape in (("fc1.weight", (6, 4)), ("fc1.bias", (6,)), ("fc2.weight", (3, 6)))
}


@pytest.mark.parametrize(
    ("name", "shape", "sparse"),
    [
        ("fc1.weight", (3, 4), True),
        ("rnn.weight_ih", (9, 3), True),
        ("rnn.weight_hh", (9, 3), True),
        ("weight", (3, 4), True),
        ("conv.weight", (8, 3, 3, 3), True),
        ("fc1.bias", (3,), False),
        ("norm.weight", (3,), False),  # LayerNorm
        ("embedding.table", (3, 4), False),
        ("weights.bias", (3, 4), False),
    ],
)
def test_which_parameters_are_weight_matrices(name, shape, sparse):
    assert is_weight_matrix(name, shape) is sparse


def test_every_matrix_of_a_network_is_a_layer_and_biases_are_not():
    layers = sparse_layers(GRU_AGENT, 0.5, "uniform")

    assert {layer.members: layer.shape for layer in layers} == {
        ("agent.fc1.weight",): (6, 4),
        ("agent.rnn.weight_ih",): (18, 6),
        ("agent.rnn.weight_hh",): (18, 6),
        ("agent.fc2.weight",): (3, 6),
    }
    assert [layer.kept for layer in layers] == [12, 54, 54, 9]


def test_names_are_those_of_torch_modules():
    cell = nn.GRUCell(6, 6)
    shapes = {f"rnn.{name}": tuple(p.shape) for name, p in cell.named_parameters()}

    layers = sparse_layers(shapes, 0.5, "uniform")

    assert [layer.name for layer in layers] == ["rnn.weight_ih", "rnn.weight_hh"]


def test_agents_own_networks_share_one_budget_per_layer():
    layers = sparse_layers(OWN_AGENTS, 0.9, "erdos_renyi")

    assert [layer.name for layer in layers] == [
        "agent.agents.*.fc1.weight",
        "agent.agents.*.fc2.weight",
    ]
    assert layers[0].members == tuple(f"agent.agents.{i}.fc1.weight" for i in range(11))
    assert [layer.shape for layer in layers] == [(66, 4), (33, 6)]
    stacked = {"one": (66, 4), "two": (33, 6)}
    assert [layer.sparsity for layer in layers] == list(erdos_renyi(stacked, 0.9).values())


@pytest.mark.parametrize(
    ("parameter", "layer", "agent"),
    [
        ("agent.agents.12.fc1.weight", "agent.agents.*.fc1.weight", 12),
        ("agents.0.fc1.weight", "agents.*.fc1.weight", 0),
        ("agent.fc1.weight", "agent.fc1.weight", None),
        ("mixer.V.0.weight", "mixer.V.0.weight", None),
        ("mixer.subagents.0.weight", "mixer.subagents.0.weight", None),
    ],
)
def test_agent_and_layer_of_a_parameter(parameter, layer, agent):
    assert layer_name(parameter) == layer
    assert agent_index(parameter) == agent


def test_a_network_without_matrices_has_no_layers():
    assert sparse_layers({"mixer.bias": (3,)}, 0.5, "erdos_renyi") == []
    assert sparse_layers({}, 0.5, "erdos_renyi") == []


def test_a_convolution_is_a_layer_of_its_flattened_filters():
    (layer,) = sparse_layers({"cnn.weight": (8, 3, 5, 5)}, 0.5, "uniform")

    assert layer.shape == (8, 75)


def test_unstack_undoes_stack():
    shapes = {"agents.0.weight": (2, 3, 2), "agents.1.weight": (4, 3, 2)}
    (layer,) = sparse_layers(shapes, 0.5, "uniform")
    tensors = {name: torch.randn(*shape) for name, shape in shapes.items()}

    matrix = stack(layer, tensors)
    parts = unstack(layer, matrix, tensors)

    assert matrix.shape == layer.shape == (6, 6)
    assert torch.equal(matrix[2], tensors["agents.1.weight"][0].flatten())
    assert all(torch.equal(parts[name], tensors[name]) for name in shapes)
