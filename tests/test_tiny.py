"""``mast.tiny``: widths whose dense networks have the size of the sparse ones."""

from __future__ import annotations

import pytest

from epymarl_mast.checks import check_run
from epymarl_mast.command import SacredCommand
from epymarl_mast.costs import training_cost
from epymarl_mast.networks import Task
from epymarl_mast.overrides import read_yaml, shipped_algorithms
from epymarl_mast.tiny import sparse_sizes, tiny_widths

TASKS = {
    "3s5z": Task(n_agents=8, obs=128, state=216, n_actions=14),
    "foraging": Task(n_agents=2, obs=15, state=30, n_actions=6),
}


@pytest.fixture
def tiny():
    """A shipped algorithm as tiny: ``(configuration, options)``."""

    def make(algorithm, *files, **mast):
        config = read_yaml(shipped_algorithms()[algorithm], algorithm)
        SacredCommand({"mast": mast}, [*files, "tiny"], force=False).apply_to(config)
        return config, check_run(config)

    return make


@pytest.mark.parametrize("files", [(), ("per_agent",)], ids=["shared", "per agent"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("algorithm", ["mast_qmix", "mast_cw_qmix", "mast_facmac"])
def test_the_size_is_that_of_the_sparse_networks_within_two_percent(tiny, algorithm, task, files):
    config, options = tiny(algorithm, *files)

    cost = training_cost(config, options, TASKS[task])

    wanted = sparse_sizes(config, options, TASKS[task])
    size = {network: own.size for network, own in cost.networks.items()}
    assert sum(size.values()) == pytest.approx(sum(wanted.values()), rel=0.02)
    for network in wanted:  # no network pays for another
        assert size[network] == pytest.approx(wanted[network], rel=0.2)
    assert cost.size_ratio == pytest.approx(0.1, rel=0.03)


def test_it_follows_the_sparsity(tiny):
    widths = [
        tiny_widths(*tiny("mast_qmix", sparsity=sparsity), TASKS["3s5z"])["hidden_dim"]
        for sparsity in (0.5, 0.9, 0.95)
    ]

    assert widths == sorted(widths, reverse=True)
    assert widths[0] < 64


def test_one_width_is_enough_where_it_comes_near(tiny):
    """The agent of 3s5z: 150h + 6h² + 14h weights; the sparse one keeps 3509."""
    config, options = tiny("mast_vdn")

    assert sparse_sizes(config, options, TASKS["3s5z"]) == {"agent": 3509}
    assert tiny_widths(config, options, TASKS["3s5z"]) == {"hidden_dim": 14}  # 3472: -1.1 %


def test_the_first_layer_has_a_width_of_its_own_where_one_is_too_coarse(tiny):
    """Foraging: 23f + 3h(f + h) + 6h weights; the sparse agent keeps 1323.

    h = f = 13 has 1391 (+5.1 %), 12 has 1212 (-8.4 %).
    """
    config, options = tiny("mast_vdn", sparsity=0.95)

    assert sparse_sizes(config, options, TASKS["foraging"]) == {"agent": 1323}
    widths = tiny_widths(config, options, TASKS["foraging"])
    h, f = widths["hidden_dim"], widths["first_layer_dim"]
    assert abs(23 * f + 3 * h * (f + h) + 6 * h - 1323) < 0.01 * 1323
    assert abs(h - f) <= 2


@pytest.mark.parametrize("files", [(), ("per_agent",)], ids=["shared", "per agent"])
@pytest.mark.parametrize("sparsity", [0.8, 0.85, 0.9, 0.95])
@pytest.mark.parametrize("algorithm", ["mast_vdn", "mast_iql"])
def test_agents_alone_match_within_two_percent_too(tiny, algorithm, sparsity, files):
    config, options = tiny(algorithm, *files, sparsity=sparsity)
    for task in (*TASKS.values(), Task(3, 30, 48, 9), Task(5, 80, 120, 11), Task(2, 332, 342, 70)):
        cost = training_cost(config, options, task)

        (wanted,) = sparse_sizes(config, options, task).values()
        assert cost.networks["agent"].size == pytest.approx(wanted, rel=0.02), task


def test_one_layer_hypernetworks_have_no_width_of_their_own(tiny):
    config, options = tiny("mast_qmix")
    config["hypernet_layers"] = 1

    cost = training_cost(config, options, TASKS["3s5z"])

    wanted = sum(sparse_sizes(config, options, TASKS["3s5z"]).values())
    assert sum(own.size for own in cost.networks.values()) == pytest.approx(wanted, rel=0.02)
