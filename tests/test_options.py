"""What the ``mast:`` block and the run around it may hold; every wrong input's message."""

from __future__ import annotations

import math

import pytest

from epymarl_mast.checks import check_run
from epymarl_mast.errors import OptionError
from epymarl_mast.options import MastOptions
from epymarl_mast.overrides import read_yaml, shipped_algorithms

A_SHARE = "is not allowed: a number >= 0 and < 1 or 'auto' is"


@pytest.fixture
def config():
    """The shipped MAST-QMIX configuration with changes laid over it."""

    def build(**changes):
        return {**read_yaml(shipped_algorithms()["mast_qmix"], "mast_qmix"), **changes}

    return build


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsity": 1.0}, f"mast.sparsity=1.0 {A_SHARE}"),
        (
            {"sparsity": -0.1},
            "mast.sparsity=-0.1 is not allowed: a number >= 0 and < 1 or 'auto' is",
        ),
        (
            {"sparsity": math.nan},
            "mast.sparsity=nan is not allowed: a number >= 0 and < 1 or 'auto' is",
        ),
        (
            {"sparsity": "0.9"},
            "mast.sparsity='0.9' is not allowed: a number >= 0 and < 1 or 'auto' is",
        ),
        (
            {"sparsity": True},
            "mast.sparsity=True is not allowed: a number >= 0 and < 1 or 'auto' is",
        ),
        (
            {"sparsity": None},
            "mast.sparsity=None is not allowed: a number >= 0 and < 1 or 'auto' is",
        ),
        ({"sparsity": "automatic"}, "mast.sparsity='automatic' is not allowed: a number >= 0 and"),
        (
            {"sparsity": "auto", "auto_min": 0.96},
            "mast.auto_min=0.96 is not allowed: at most mast.auto_max=0.95 is",
        ),
        (
            {"sparsity": "auto", "topology": "static"},
            "mast.sparsity=auto changes with the topology: mast.topology='static' is not allowed "
            "with it, 'rigl', 'set' are",
        ),
        (
            {"sparsity": "auto", "online_buffer_size": 0, "online_batch_size": 0},
            "mast.sparsity=auto reads the returns of the newest episodes: "
            "mast.online_buffer_size=0 is not allowed with it",
        ),
        ({"auto_factor": 1.0}, "mast.auto_factor=1.0 is not allowed: a number > 1 is"),
        (
            {"agent_sparsity": 1.0},
            "mast.agent_sparsity=1.0 is not allowed: a number >= 0 and < 1 or None is",
        ),
        (
            {"topology": "riggle"},
            "mast.topology='riggle' is not allowed: one of 'rigl', 'set', 'static', 'dense' is",
        ),
        (
            {"topology_interval": 0},
            "mast.topology_interval=0 is not allowed: a whole number >= 1 is",
        ),
        (
            {"topology_interval": 200.0},
            "mast.topology_interval=200.0 is not allowed: a whole number >= 1 is",
        ),
        ({"topology_end": 0.0}, "mast.topology_end=0.0 is not allowed: a number > 0 and <= 1 is"),
        ({"drop_fraction": [0.5]}, "mast.drop_fraction=[0.5] is not allowed: a number >= 0 and"),
        ({"omega": 0.0}, "mast.omega=0.0 is not allowed: a number > 0 is"),
        ({"omega": math.inf}, "mast.omega=inf is not allowed"),
        ({"td_lambda": 1.5}, "mast.td_lambda=1.5 is not allowed: a number >= 0 and <= 1 is"),
        ({"sparsty": 0.9}, "mast.sparsty is not an option (did you mean 'sparsity'?)"),
        ({"qqq": 0.9}, "mast.qqq is not an option"),
        ({3: 0.9}, "mast.3 is not an option"),
        (
            {"online_batch_size": 101},
            "mast.online_batch_size=101 is larger than its buffer, mast.online_buffer_size=100: "
            "allowed are 0 to 100",
        ),
        (
            {"online_buffer_size": 0},
            "mast.online_batch_size=8 is larger than its buffer, mast.online_buffer_size=0",
        ),
        (
            {"online_batch_size": 0},
            "mast.online_batch_size=0 never reads mast.online_buffer_size=100",
        ),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if type(value) is dict else "",
)
def test_a_wrong_option_is_refused_with_a_message(config, changes, message):
    block = {**config()["mast"], **changes}

    with pytest.raises(OptionError) as refused:
        MastOptions.from_config(block)

    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", MastOptions.model_fields)
def test_every_option_is_needed_and_has_a_type(config, key):
    block = config()["mast"]

    with pytest.raises(OptionError, match=rf"mast\.{key}=<object .*> is not allowed: "):
        MastOptions.from_config({**block, key: object()})
    del block[key]
    with pytest.raises(OptionError, match=rf"mast\.{key} is missing"):
        MastOptions.from_config(block)


@pytest.mark.parametrize("block", ["rigl", 0.9, None, ["sparsity"]], ids=repr)
def test_a_block_that_is_none_is_refused(config, block):
    with pytest.raises(OptionError) as refused:
        check_run(config(mast=block))

    assert str(refused.value).startswith(f"mast={block!r} is not a block of options")


def test_a_whole_number_will_do_for_a_number(config):
    options = MastOptions.from_config({**config()["mast"], "sparsity": 0, "omega": 5})

    assert (options.sparsity, options.omega) == (0.0, 5.0)


def test_a_networks_own_sparsity_goes_before_the_common_one(config):
    block = {**config()["mast"], "sparsity": 0.9, "mixer_sparsity": 0.0}

    options = MastOptions.from_config(block)

    assert options.network_sparsity("agent") == 0.9
    assert options.network_sparsity("mixer") == 0.0


def run_of(algorithm, *, mast=(), **changes):
    before = read_yaml(shipped_algorithms()[algorithm], algorithm)
    return {**before, **changes, "mast": {**before["mast"], **dict(mast)}}


@pytest.mark.parametrize(
    ("algorithm", "mast", "changes", "message"),
    [
        ("mast_ow_qmix", {"weighting": "cv"}, {}, "mast.weighting='cv' is not allowed: one of"),
        ("mast_cw_qmix", {"small_weight": 2}, {}, "mast.small_weight=2 is not allowed: a number"),
        (
            "mast_ow_qmix", {}, {"central_action_embed": 2},
            "central_action_embed=2 gives an action no single value",
        ),
        (
            "mast_ow_qmix", {"operator": "max"}, {"central_action_embed": 2, "double_q": False},
            "central_action_embed=2 gives an action no single value",
        ),
        ("mast_ow_qmix", {}, {"central_mixer": "qmix"}, "central_mixer='qmix' is not known to"),
        (
            "mast_cw_qmix", {}, {"mixer": None},
            "mixer=None is not known to mast_wqmix_learner: allowed are 'qmix' and 'vdn'",
        ),
        ("mast_qmix", {"tiny": "yes"}, {}, "mast.tiny='yes' is not allowed: True or False is"),
        ("mast_qmix", {"tiny": True}, {}, "mast.tiny=True is a dense network: mast.topology="),
        (
            "mast_qmix", {"tiny": True, "topology": "dense"}, {"mac": "basic_mac"},
            "mast.tiny=True is set up by the controller: mac='basic_mac' is not allowed",
        ),
        (
            "mast_iql", {"dynamic_buffer_size": 900}, {},
            "mast.dynamic_buffer_size=900 does not go with a second buffer",
        ),
        (
            "mast_iql",
            {"dynamic_buffer_size": 100, "online_buffer_size": 0, "online_batch_size": 0}, {},
            "mast.dynamic_buffer_minimum=500 is not allowed: at most mast.dynamic_buffer_size=100",
        ),
        (
            "mast_iql",
            {"dynamic_buffer_size": 900, "online_buffer_size": 0, "online_batch_size": 0},
            {"batch_size": 600},
            "mast.dynamic_buffer_minimum=500 is less than a batch: at least batch_size=600",
        ),
        (
            "mast_iql",
            {"dynamic_buffer_size": 900, "online_buffer_size": 0, "online_batch_size": 0},
            {"runner": "episode"},
            "runner='episode' does not fill the second buffer (mast.dynamic_buffer_size=900)",
        ),
        ("mast_qmix", {"mask_from": 3}, {}, "mast.mask_from=3 is not allowed: text or None is"),
        (
            "mast_qmix", {"mask_from": "x"}, {},
            "mast.mask_from=x gives a mask that stays: mast.topology='rigl' is not allowed with it",
        ),
        (
            "mast_vdn", {"tiny": True, "topology": "dense", "engine": "sparse"}, {},
            "mast.tiny=True is a dense network: mast.engine='sparse' is not allowed with it",
        ),
        (
            "mast_qmix",
            {"log_value_estimates": True, "online_buffer_size": 0, "online_batch_size": 0},
            {"runner": "episode"},
            "runner='episode' does not show its test episodes to the learner "
            "(mast.log_value_estimates=True): allowed are 'mast_episode' and 'mast_parallel'",
        ),
        (
            "mast_vdn", {"log_policy_distance": "yes"}, {},
            "mast.log_policy_distance='yes' is not allowed: True or False is",
        ),
        (
            "mast_comix", {"log_value_estimates": True}, {},
            "mast.log_value_estimates=True is not known to COMIX, whose greedy action is drawn",
        ),
        (
            "mast_comix", {"log_policy_distance": True}, {},
            "mast.log_policy_distance=True is not known to COMIX, whose greedy action is drawn",
        ),
        ("mast_res", {"res_operator": "most"}, {}, "mast.res_operator='most' is not allowed"),
        ("mast_res", {"res_beta": -1.0}, {}, "mast.res_beta=-1.0 is not allowed: a number >= 0"),
        ("mast_res", {}, {"mixer": None}, "mixer=None is not known to mast_res_learner"),
        ("mast_qmix", {"res_beta": 1.0}, {}, "mast.res_beta is not an option"),
        ("mast_facmac", {"actor_lr": 0.0}, {}, "mast.actor_lr=0.0 is not allowed: a number > 0 or"),
        ("mast_facmac", {"logit_penalty": -0.1}, {}, "mast.logit_penalty=-0.1 is not allowed: a"),
        ("mast_facmac", {"gumbel_temperature": 0}, {}, "mast.gumbel_temperature=0 is not allowed"),
        ("mast_comix", {"cem_elites": 65}, {}, "mast.cem_elites=65 is not allowed: at most"),
        ("mast_comix", {"engine": "host"}, {}, "mast.engine='host' cannot compute values of"),
        ("mast_comix", {}, {"use_rnn": True}, "use_rnn=True is not known to COMIX: allowed is"),
        ("mast_comix", {}, {"env": "gymma"}, "env='gymma' is not known to COMIX: allowed is 'mast"),
        ("mast_facmac", {}, {"mixer": None}, "mixer=None is not known to mast_facmac_learner"),
    ],
)  # fmt: skip
def test_what_an_algorithm_cannot_do_is_refused(algorithm, mast, changes, message):
    with pytest.raises(OptionError) as refused:
        check_run(run_of(algorithm, mast=mast, **changes))

    assert str(refused.value).startswith(message)


def test_passes_of_an_update_follow_the_paper():
    """B(3A + 3M + 4A_u + 4M_u) for WQMIX, B(4A + (3 + 2NU)M) for RES, 4B(A + M) otherwise."""
    sizes = {"n_agents": 3, "n_actions": 5}
    passes = {
        name: dict(check_run(run_of(name)).passes(**sizes))
        for name in ("mast_qmix", "mast_ow_qmix", "mast_res", "mast_facmac", "mast_comix")
    }
    without = check_run(run_of("mast_res", mast={"res_operator": "none"})).passes(**sizes)

    assert passes == {
        "mast_qmix": {"agent": 4, "mixer": 4},
        "mast_ow_qmix": {"agent": 3, "mixer": 3, "central_agent": 4, "central_mixer": 4},
        "mast_res": {"agent": 4, "mixer": 3 + 2 * 3 * 5},
        "mast_facmac": {"agent": 4, "critic": 4, "mixer": 7},
        "mast_comix": {"agent": 3 + 2 * 64, "mixer": 4},
    }
    assert without == {"agent": 4, "mixer": 4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixer": "qplex"}, "mixer='qplex' is not known to mast_q_learner: allowed are 'qmix'"),
        (
            {"common_reward": False},
            "common_reward=False does not go with mixer='qmix', which learns one joint value",
        ),
        (
            {"common_reward": False, "mixer": "vdn"},
            "common_reward=False does not go with mixer='vdn', which learns one joint value",
        ),
        ({"runner": "episode"}, "runner='episode' does not fill the second buffer"),
        ({"prioritized_buffer": True}, "prioritized_buffer=True is not supported"),
        ({"use_emdqn": True}, "use_emdqn=True is not supported"),
        ({"agent_output_type": "pi_logits"}, "agent_output_type='pi_logits' is not supported"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if type(value) is dict else "",
)
def test_a_run_that_cannot_be_is_refused_with_a_message(config, changes, message):
    with pytest.raises(OptionError) as refused:
        check_run(config(**changes))

    assert str(refused.value).startswith(message)
    assert "allowed" in str(refused.value)


def test_a_run_without_the_block_is_told_where_one_is(config):
    without = config()
    del without["mast"]

    message = "learner='mast_q_learner' needs a mast: block of options; --config=mast_qmix has one"
    with pytest.raises(OptionError, match=message):
        check_run(without)


@pytest.mark.parametrize("mixer", [None, "qmix", "vdn"])
@pytest.mark.parametrize("runner", ["mast_episode", "mast_parallel"])
def test_runs_that_are_allowed(config, mixer, runner):
    assert check_run(config(mixer=mixer, runner=runner, common_reward=True))


def test_individual_rewards_go_with_independent_learners(config):
    assert check_run(config(mixer=None, common_reward=False))


def test_without_the_second_buffer_any_runner_will_do(config):
    changed = config(runner="episode")
    changed["mast"].update(online_buffer_size=0, online_batch_size=0)

    assert check_run(changed).online_buffer_size == 0
