"""Numbers about a sparse network, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import tensor

from epymarl_mast.sparse import health


def mask(*rows):
    return tensor(rows).bool()


def test_sparsity_weighs_layers_by_their_size():
    assert health.sparsity([mask([1, 0, 0, 0]), mask([1, 1])]) == pytest.approx(3 / 6)
    assert health.sparsity(iter([mask([1, 0, 0, 0])])) == pytest.approx(3 / 4)


def test_explored_is_the_share_of_positions_ever_kept():
    assert health.explored({"a": mask([1, 1, 0, 0]), "b": mask([1, 1])}) == pytest.approx(4 / 6)


def test_overlap_is_a_share_of_the_kept_weights():
    now = {"a": mask([1, 1, 0, 0]), "b": mask([0, 1])}
    earlier = {"a": mask([1, 0, 1, 0]), "b": mask([0, 1])}

    assert health.overlap(now, earlier) == pytest.approx(2 / 3)
    assert health.overlap(now, now) == 1.0


def test_a_dense_network_is_fully_there():
    assert health.sparsity([]) == 0.0
    assert health.explored({}) == 1.0
    assert health.overlap({}, {}) == 1.0
    assert health.dead_neurons({}) == 0
    assert health.density_per_agent({}) == {}


def test_a_linear_unit_without_inputs_is_dead():
    assert health.dead_neurons({"fc.weight": mask([0, 0, 0], [0, 1, 0], [0, 0, 0])}) == 2


def test_a_convolution_filter_without_inputs_is_dead():
    filters = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    filters[1, 0, 1, 1] = True

    assert health.dead_neurons({"cnn.weight": filters}) == 2


def test_a_gru_unit_is_dead_when_all_six_rows_are_empty():
    from_input = torch.zeros(6, 2, dtype=torch.bool)  # h = 2: unit 1 owns the rows 1, 3 and 5
    from_hidden = torch.zeros(6, 2, dtype=torch.bool)
    masks = {"rnn.weight_ih": from_input, "rnn.weight_hh": from_hidden}
    assert health.dead_neurons(masks) == 2

    from_hidden[5, 0] = True
    assert health.dead_neurons(masks) == 1

    from_input[3, 1] = True  # another gate of the same unit
    assert health.dead_neurons(masks) == 1

    from_input[0, 0] = True
    assert health.dead_neurons(masks) == 0


def test_density_per_agent():
    masks = {
        "agent.agents.1.fc1.weight": mask([1, 1, 1, 1]),
        "agent.agents.0.fc1.weight": mask([1, 0, 0, 0]),
        "agent.agents.0.fc2.weight": mask([0, 1]),
        "mixer.V.0.weight": mask([0, 0]),
    }

    assert health.density_per_agent(masks) == {0: pytest.approx(2 / 6), 1: 1.0}
