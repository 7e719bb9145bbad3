"""Every algorithm with every baseline, shared and per agent, on the embedded host."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.checks import check_run
from epymarl_mast.costs import training_cost
from epymarl_mast.networks import Task, layers_of, network_shapes

FORAGING = Task(n_agents=2, obs=15, state=30, n_actions=6)


def flops_of_an_update(algorithm, batch, network):
    """METHOD.md §8's last table, from the FLOPs of one forward pass of each network."""
    a, m = network["agent"], network.get("mixer", 0.0)
    if algorithm in ("mast_ow_qmix", "mast_cw_qmix"):
        return batch * (3 * a + 3 * m + 4 * network["central_agent"] + 4 * network["central_mixer"])
    if algorithm == "mast_res":
        return batch * (4 * a + (3 + 2 * FORAGING.n_agents * FORAGING.n_actions) * m)
    if algorithm == "mast_facmac":  # the policies' gradient passes the mixer forth and back
        return batch * (4 * a + 4 * network["critic"] + (4 + 3) * m)
    return 4 * batch * (a + m)


@pytest.mark.long
@pytest.mark.parametrize("networks", ["shared", "per_agent"])
@pytest.mark.parametrize("baseline", ["mast", "dense", "tiny", "ss", "set", "rigl", "rlx2"])
@pytest.mark.parametrize(
    "algorithm",
    [
        "mast_qmix", "mast_vdn", "mast_iql", "mast_ow_qmix", "mast_cw_qmix", "mast_res",
        "mast_facmac",
    ],
)  # fmt: skip
def test_two_thousand_steps(mast, small_run, records, tmp_path, algorithm, baseline, networks):
    files = [name for name in (baseline, networks) if name not in ("mast", "shared")]
    mast(
        tmp_path, "train", "--host", "pymarlzooplus", f"--config={algorithm}",
        "--env-config=gymma", "with", *files, *small_run, "t_max=2000", "test_interval=1000",
        "mast.topology_interval=10", "save_model=True", "save_model_interval=1000", "seed=1",
    )  # fmt: skip
    [(_, config, metrics)] = records(tmp_path)
    assert all(abs(loss) < 1e6 for loss in metrics["loss"])

    options = check_run(config)
    last = max(tmp_path.rglob("mast.pt"), key=lambda path: int(path.parent.name))
    topology = torch.load(last, weights_only=True)["topology"]
    for network, shapes in network_shapes(config, options, FORAGING).items():
        for layer in layers_of(network, {f"{network}.{n}": s for n, s in shapes.items()}, options):
            kept = sum(int(topology["masks"][member].sum()) for member in layer.members)
            assert kept == layer.kept, layer.name
    evolves = baseline not in ("dense", "tiny", "ss")
    assert (topology["updates"] > 0) == evolves

    cost = training_cost(config, options, FORAGING)
    batch = config["batch_size"] + options.online_batch_size
    for ours, flops in (("train_flops", "flops"), ("dense_train_flops", "dense_flops")):
        network = {name: getattr(own, flops) for name, own in cost.networks.items()}
        expected = flops_of_an_update(algorithm, batch, network)
        assert getattr(cost, ours) == pytest.approx(expected)
    assert metrics["mast_flops_train"][-1] == pytest.approx(cost.train_flops)
    assert metrics["mast_flops_train_ratio"][-1] == pytest.approx(cost.train_flops_ratio)
    assert metrics["mast_size"][-1] == cost.size
