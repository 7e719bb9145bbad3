"""Shapes of the hosts' networks from the configuration alone: by hand, and as the hosts build."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from epymarl_mast.costs import training_cost
from epymarl_mast.errors import OptionError
from epymarl_mast.networks import Task, agent_shapes, mixer_shapes
from epymarl_mast.options import MastOptions

TASK = Task(n_agents=3, obs=10, state=17, n_actions=5)
CONFIG = {
    "name": "test",
    "agent": "rnn",
    "obs_last_action": True,
    "obs_agent_id": True,
    "use_rnn": True,
    "hidden_dim": 8,
    "mixer": "qmix",
    "mixing_embed_dim": 4,
    "hypernet_layers": 2,
    "hypernet_embed": 6,
    "batch_size": 24,
}
INPUTS = 10 + 5 + 3  # observation, last action, agent id
GRU = {
    "fc1.weight": (8, INPUTS),
    "rnn.weight_ih": (24, 8),
    "rnn.weight_hh": (24, 8),
    "fc2.weight": (5, 8),
}


def test_recurrent_agent():
    assert agent_shapes(CONFIG, TASK) == GRU


def test_feed_forward_agent():
    shapes = agent_shapes({**CONFIG, "use_rnn": False}, TASK)

    assert shapes == {"fc1.weight": (8, INPUTS), "rnn.weight": (8, 8), "fc2.weight": (5, 8)}


@pytest.mark.parametrize(
    ("last_action", "agent_id", "inputs"),
    [(True, True, 18), (True, False, 15), (False, True, 13), (False, False, 10)],
)
def test_inputs_of_an_agent(last_action, agent_id, inputs):
    config = {**CONFIG, "obs_last_action": last_action, "obs_agent_id": agent_id}

    assert agent_shapes(config, TASK)["fc1.weight"] == (8, inputs)


def test_own_networks_of_all_agents():
    shapes = agent_shapes({**CONFIG, "agent": "rnn_ns"}, TASK)

    assert shapes == {f"agents.{i}.{name}": shape for i in range(3) for name, shape in GRU.items()}


def test_the_agent_is_shared_where_the_configuration_does_not_say():
    config = {key: value for key, value in CONFIG.items() if key != "agent"}

    assert agent_shapes(config, TASK) == GRU


def test_an_agent_of_unknown_size_is_refused():
    with pytest.raises(OptionError, match="agent='commformer': sizes are known for 'rnn' and"):
        agent_shapes({**CONFIG, "agent": "commformer"}, TASK)


def test_mixer_with_two_layer_hypernetworks():
    assert mixer_shapes(CONFIG, TASK) == {
        "hyper_w_1.0.weight": (6, 17),
        "hyper_w_1.2.weight": (12, 6),  # embed * N
        "hyper_w_final.0.weight": (6, 17),
        "hyper_w_final.2.weight": (4, 6),
        "hyper_b_1.weight": (4, 17),
        "V.0.weight": (4, 17),
        "V.2.weight": (1, 4),
    }


@pytest.mark.parametrize("said", [{"hypernet_layers": 1}, {}], ids=["said", "by default"])
def test_mixer_with_one_layer_hypernetworks(said):
    config = {key: value for key, value in CONFIG.items() if key != "hypernet_layers"}

    assert mixer_shapes({**config, **said}, TASK) == {
        "hyper_w_1.weight": (12, 17),
        "hyper_w_final.weight": (4, 17),
        "hyper_b_1.weight": (4, 17),
        "V.0.weight": (4, 17),
        "V.2.weight": (1, 4),
    }


@pytest.mark.parametrize("mixer", ["vdn", None])
def test_vdn_and_independent_learners_have_no_mixer_weights(mixer):
    assert mixer_shapes({**CONFIG, "mixer": mixer}, TASK) == {}


AGENT_WEIGHTS = 8 * 18 + 2 * 24 * 8 + 5 * 8  # 568
MIXER_WEIGHTS = 2 * 6 * 17 + 12 * 6 + 4 * 6 + 2 * 4 * 17 + 4  # 440
AGENT_FLOPS = 35 * 8 + 24 * (2 * 16 - 1) + 15 * 5  # 1099
MIXER_FLOPS = 2 * 33 * 6 + 11 * 12 + 11 * 4 + 2 * 33 * 4 + 7  # 843


@pytest.fixture
def options(mast_options):
    return lambda **changes: MastOptions.from_config(mast_options(**changes))


def test_cost_of_a_dense_learner(options):
    cost = training_cost(CONFIG, options(topology="dense"), TASK)

    assert (cost.size, cost.dense_size) == (2 * (AGENT_WEIGHTS + MIXER_WEIGHTS),) * 2
    # the batch is 24 episodes of the large buffer and 8 of the small one
    assert cost.train_flops == cost.dense_train_flops == 4 * 32 * (AGENT_FLOPS + MIXER_FLOPS)
    assert cost.test_flops == AGENT_FLOPS


def test_cost_follows_each_networks_own_sparsity(options):
    own = options(agent_sparsity=0.5, mixer_sparsity=0.0, allocation="uniform")

    cost = training_cost(CONFIG, own, TASK)

    assert cost.networks["agent"].size == AGENT_WEIGHTS / 2
    assert cost.networks["mixer"].size == MIXER_WEIGHTS
    assert cost.test_flops_ratio == pytest.approx(0.5)
    assert cost.size == AGENT_WEIGHTS + 2 * MIXER_WEIGHTS


def test_cost_without_a_mixer(options):
    cost = training_cost({**CONFIG, "mixer": "vdn"}, options(topology="dense"), TASK)

    assert set(cost.networks) == {"agent"}
    assert cost.size == 2 * AGENT_WEIGHTS


# The modules a host builds, where one is here (see tests/conftest.py).


def matrices(module):
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    return {name: shape for name, shape in shapes.items() if len(shape) > 1}


def host_arguments(**changes):
    known = {"n_agents": TASK.n_agents, "n_actions": TASK.n_actions, "state_shape": TASK.state}
    return SimpleNamespace(**{**CONFIG, **known, **changes})


@pytest.mark.parametrize("use_rnn", [True, False], ids=["recurrent", "feed forward"])
@pytest.mark.parametrize("agent", ["rnn", "rnn_ns"])
def test_agent_is_as_the_host_builds_it(host_module, agent, use_rnn):
    build = host_module("modules.agents").REGISTRY[agent]

    theirs = build(INPUTS, host_arguments(agent=agent, use_rnn=use_rnn))

    assert agent_shapes({**CONFIG, "agent": agent, "use_rnn": use_rnn}, TASK) == matrices(theirs)


@pytest.mark.parametrize("layers", [1, 2])
def test_mixer_is_as_the_host_builds_it(host_module, layers):
    build = host_module("modules.mixers.qmix").QMixer

    theirs = build(host_arguments(hypernet_layers=layers))

    assert mixer_shapes({**CONFIG, "hypernet_layers": layers}, TASK) == matrices(theirs)


def test_vdn_of_the_host_has_no_weights(host_module):
    assert matrices(host_module("modules.mixers.vdn").VDNMixer()) == {}
