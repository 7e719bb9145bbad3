"""Units that do nothing are left out, and nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from epymarl_mast.export.network import (
    AgentNetwork,
    Layer,
    as_rnn_agents,
    from_rnn_agent,
    without_dead_units,
)


def layer(weight, bias):
    return Layer(np.array(weight, np.float32), np.array(bias, np.float32))


def test_a_constant_unit_moves_into_the_bias_after_it():
    network = AgentNetwork(
        fc1=layer([[1, 0], [0, 0], [0, 0]], [0, 0.5, -1]),
        core_in=layer([[1, 2, 3], [0, 4, 0]], [0.25, 0]),
        core_hidden=None,
        fc2=layer([[1, 10]], [7]),
    )
    small = without_dead_units(network)
    # fc1's units 1 and 2 always give 0.5 and 0; core unit 1 then always gives relu(4·0.5) = 2
    assert small.fc1.weight.tolist() == [[1, 0]]
    assert small.core_in.weight.tolist() == [[1]]
    assert small.core_in.bias.tolist() == [1.25]
    assert small.fc2.weight.tolist() == [[1]]
    assert small.fc2.bias.tolist() == [27]


def test_a_gru_unit_that_leads_to_no_action_goes_and_what_fed_it_alone():
    # unit 0 is read by fc2, unit 1 by unit 0, unit 2 by itself alone; fc1's unit 1 feeds unit 2
    hidden = np.zeros((9, 3))
    hidden[0, 1] = hidden[8, 2] = 1
    core_in = np.zeros((9, 2))
    core_in[[0, 1], 0] = 1
    core_in[5, 1] = 1
    network = AgentNetwork(
        fc1=layer(np.eye(2), [0, 0]),
        core_in=layer(core_in, np.arange(9)),
        core_hidden=layer(hidden, np.arange(9)),
        fc2=layer([[2, 0, 0]], [0]),
    )
    small = without_dead_units(network)
    assert small.fc1.weight.tolist() == [[1, 0]]
    assert small.core_in.bias.tolist() == [0, 1, 3, 4, 6, 7]
    assert small.core_hidden.weight.shape == (6, 2)
    assert small.core_hidden.weight[0].tolist() == [0, 1]
    assert small.fc2.weight.tolist() == [[2, 0]]


def test_a_gru_unit_without_inputs_stays_where_it_is_read():
    network = AgentNetwork(
        layer(np.zeros((1, 1)), [0]), layer(np.zeros((3, 1)), [1, 2, 3]),
        layer(np.zeros((3, 1)), [0, 0, 0]), layer([[1]], [0]),
    )  # fmt: skip
    assert without_dead_units(network).fc2.weight.shape == (1, 1)


@pytest.mark.parametrize("recurrent", [True, False])
def test_few_weights_leave_few_units(exported, make_agent, make_run, recurrent):
    agent = make_agent(9, 32, 4, 0.03, recurrent)
    header, [network] = exported([agent], make_run(2, 4, last_action=False))
    assert header.removed_units == 64 - network.units > 10


def test_networks_of_several_widths_are_padded_to_the_widest():
    wide = AgentNetwork(
        layer(np.ones((2, 3)), [1, 2]), layer(np.full((6, 2), 2), np.arange(6)),
        layer(np.full((6, 2), 3), np.arange(6)), layer(np.full((1, 2), 4), [5]),
    )  # fmt: skip
    narrow = AgentNetwork(
        layer(np.ones((1, 3)), [1]), layer([[1], [2], [3]], [4, 5, 6]),
        layer([[7], [8], [9]], [1, 2, 3]), layer([[4]], [5]),
    )  # fmt: skip
    first, second = as_rnn_agents([wide, narrow])
    assert first["rnn.weight_ih"].tolist() == [[2, 2]] * 6
    assert second["fc1.weight"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert second["rnn.weight_ih"].tolist() == [[1, 0], [0, 0], [2, 0], [0, 0], [3, 0], [0, 0]]
    assert second["rnn.bias_ih"].tolist() == [4, 0, 5, 0, 6, 0]
    assert second["rnn.weight_hh"][::2].tolist() == [[7, 0], [8, 0], [9, 0]]
    assert second["fc2.weight"].tolist() == [[4, 0]]
    assert from_rnn_agent(first).layers["core_hidden"].bias.tolist() == list(range(6))
