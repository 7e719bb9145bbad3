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
@pytest.mark.parametrize("algorithm", ["mast_qmix", "mast_cw_qmix"])
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


def test_one_width_alone_is_the_nearest_there_is(tiny):
    """The agent of 3s5z: 150h + 6h² + 14h weights; the sparse one keeps 3509."""
    config, options = tiny("mast_vdn")

    assert sparse_sizes(config, options, TASKS["3s5z"]) == {"agent": 3509}
    assert tiny_widths(config, options, TASKS["3s5z"]) == {"hidden_dim": 14}  # 3472; 15 has 3810


def test_one_layer_hypernetworks_have_no_width_of_their_own(tiny):
    config, options = tiny("mast_qmix")
    config["hypernet_layers"] = 1

    cost = training_cost(config, options, TASKS["3s5z"])

    wanted = sum(sparse_sizes(config, options, TASKS["3s5z"]).values())
    assert sum(own.size for own in cost.networks.values()) == pytest.approx(wanted, rel=0.02)
