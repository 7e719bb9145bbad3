"""Every algorithm with every baseline, shared and per agent, on the embedded host.

COMIX, whose actions are continuous, on a robot of Multi-Agent MuJoCo; all others on foraging.
"""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from typer.testing import CliRunner

from epymarl_mast import plugin
from epymarl_mast.checks import check_run
from epymarl_mast.cli.app import app
from epymarl_mast.costs import training_cost
from epymarl_mast.networks import Task, layers_of, network_shapes

FORAGING = Task(n_agents=2, obs=15, state=30, n_actions=6)
ROBOT = Task(n_agents=2, obs=15, state=17, n_actions=3)  # HalfCheetah, 2x3
ON_A_ROBOT = (
    "--env-config=mast_mamujoco", "with", "env_args.time_limit=20", "test_nepisode=1",
    "batch_size=4", "buffer_size=8", "mast.dynamic_buffer_minimum=4", "use_cuda=False",
    "learner_log_interval=100", "runner_log_interval=500", "log_interval=500",
)  # fmt: skip
needs_simulator = pytest.mark.skipif(
    importlib.util.find_spec("gymnasium_robotics") is None,
    reason="needs the extra mamujoco: pip install 'gymnasium-robotics>=1.4,<2'",
)

ALGORITHMS = (
    "mast_qmix", "mast_vdn", "mast_iql", "mast_ow_qmix", "mast_cw_qmix", "mast_res", "mast_facmac",
    "mast_comix",
)  # fmt: skip
BASELINES = ("mast", "dense", "tiny", "ss", "set", "rigl", "rlx2")
NETWORKS = ("shared", "per_agent")


def task_of(algorithm):
    return ROBOT if algorithm == "mast_comix" else FORAGING


def flops_of_an_update(algorithm, batch, network, samples):
    """METHOD.md §8's last table, from the FLOPs of one forward pass of each network.

    ``samples`` are the actions that COMIX draws to find the best one.
    """
    a, m = network["agent"], network.get("mixer", 0.0)
    if algorithm in ("mast_ow_qmix", "mast_cw_qmix"):
        return batch * (3 * a + 3 * m + 4 * network["central_agent"] + 4 * network["central_mixer"])
    if algorithm == "mast_res":
        return batch * (4 * a + (3 + 2 * FORAGING.n_agents * FORAGING.n_actions) * m)
    if algorithm == "mast_facmac":  # the policies' gradient passes the mixer forth and back
        return batch * (4 * a + 4 * network["critic"] + (4 + 3) * m)
    if algorithm == "mast_comix":  # the target's forward pass is one for each sample
        return batch * ((3 + samples) * a + 4 * m)
    return 4 * batch * (a + m)


def overrides_of(baseline, networks):
    return [name for name in (baseline, networks) if name not in ("mast", "shared")]


def said_by_flops(algorithm, *files):
    task = task_of(algorithm)
    sizes = (
        f"--n-agents={task.n_agents}", f"--obs={task.obs}", f"--state={task.state}",
        f"--n-actions={task.n_actions}",
    )  # fmt: skip
    arguments = ["flops", f"--config={algorithm}", *sizes, "--json", "with", *files, "seed=1"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    return json.loads(said.output)


@pytest.mark.parametrize("networks", NETWORKS)
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_mast_flops_gives_the_papers_ratio(algorithm, baseline, networks):
    cost = said_by_flops(algorithm, *overrides_of(baseline, networks))
    sparse, dense = (
        flops_of_an_update(algorithm, 1, {n: own[side] for n, own in cost["networks"].items()}, 128)
        for side in ("flops", "dense_flops")
    )
    assert cost["flops_train_ratio"] == pytest.approx(sparse / dense)
    if baseline == "dense":
        assert cost["size_ratio"] == sparse / dense == 1.0
    elif baseline == "tiny":  # of the sparse networks' size
        own = said_by_flops(algorithm, *overrides_of("mast", networks))
        assert cost["size_ratio"] == pytest.approx(own["size_ratio"], rel=0.02)
        assert sparse / dense == pytest.approx(0.1, rel=0.1)
    else:
        assert cost["size_ratio"] == pytest.approx(0.1, rel=0.01)
        assert sparse / dense == pytest.approx(0.1, rel=0.01)


@needs_simulator
def test_the_robots_sizes_are_those_of_the_simulator(host):
    robot = plugin.register(host).environments["mast_mamujoco"](
        key="HalfCheetah", agent_conf="2x3", agent_obsk=1, time_limit=20, seed=1
    )
    info = robot.get_env_info()
    sizes = (info["n_agents"], info["obs_shape"], info["state_shape"], info["n_actions"])
    assert sizes == (ROBOT.n_agents, ROBOT.obs, ROBOT.state, ROBOT.n_actions)
    robot.close()


def cells():
    """All of the matrix; those of COMIX where its simulator is there."""
    for algorithm in ALGORITHMS:
        marks = [needs_simulator] if algorithm == "mast_comix" else []
        for baseline in BASELINES:
            for networks in NETWORKS:
                yield pytest.param(algorithm, baseline, networks, marks=marks)


@pytest.mark.long
@pytest.mark.parametrize(("algorithm", "baseline", "networks"), list(cells()))
def test_two_thousand_steps(mast, small_run, records, tmp_path, algorithm, baseline, networks):
    files, on_a_robot = overrides_of(baseline, networks), algorithm == "mast_comix"
    environment = ON_A_ROBOT if on_a_robot else ("--env-config=gymma", "with", *small_run)
    mast(
        tmp_path, "train", "--host", "pymarlzooplus", f"--config={algorithm}",
        *environment, *files, "t_max=2000", "test_interval=1000",
        "mast.topology_interval=10", "save_model=True", "save_model_interval=1000", "seed=1",
    )  # fmt: skip
    [(_, config, metrics)] = records(tmp_path)
    assert all(abs(loss) < 1e6 for loss in metrics["loss"])

    options, task = check_run(config), task_of(algorithm)
    last = max(tmp_path.rglob("mast.pt"), key=lambda path: int(path.parent.name))
    topology = torch.load(last, weights_only=True)["topology"]
    for network, shapes in network_shapes(config, options, task).items():
        for layer in layers_of(network, {f"{network}.{n}": s for n, s in shapes.items()}, options):
            kept = sum(int(topology["masks"][member].sum()) for member in layer.members)
            assert kept == layer.kept, layer.name
    evolves = baseline not in ("dense", "tiny", "ss")
    assert (topology["updates"] > 0) == evolves

    cost = training_cost(config, options, task)
    batch = config["batch_size"] + options.online_batch_size
    for ours, flops in (("train_flops", "flops"), ("dense_train_flops", "dense_flops")):
        network = {name: getattr(own, flops) for name, own in cost.networks.items()}
        expected = flops_of_an_update(algorithm, batch, network, samples=2 * 64)
        assert getattr(cost, ours) == pytest.approx(expected)
    assert metrics["mast_flops_train"][-1] == pytest.approx(cost.train_flops)
    assert metrics["mast_flops_train_ratio"][-1] == pytest.approx(cost.train_flops_ratio)
    assert metrics["mast_size"][-1] == cost.size
