"""COMIX: one update written out, masks and engines without a simulator, whole runs with one."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from epymarl_mast import plugin
from epymarl_mast.networks import Task, network_shapes

SIZES = {"n_agents": 2, "obs": 7, "state": 6, "n_actions": 3}  # an action is 3 numbers
GAMMA = 0.9
CEM = {"cem_samples": 5, "cem_elites": 2, "cem_iterations": 2}
SIMULATOR = importlib.util.find_spec("gymnasium_robotics") is not None
needs_simulator = pytest.mark.skipif(
    not SIMULATOR, reason="needs the extra mamujoco: pip install 'gymnasium-robotics>=1.4,<2'"
)


@pytest.fixture
def comix(host, bench, make_args, mast_options):
    plugin.register(host)

    def make(mast=(), **changes):
        args = make_args(
            n_agents=2, n_actions=3, state_shape=6, learner="mast_comix_learner", gamma=GAMMA,
            **{
                "mac": "mast_cem_mac", "use_rnn": False, "obs_last_action": False, "seed": 5,
                **changes,
            },
            mast=mast_options(
                algorithm="mast_comix", **{**CEM, "online_batch_size": 2, "target": "one_step",
                                           "engine": "masked", **dict(mast)}
            ),
        )  # fmt: skip
        torch.manual_seed(1)
        return bench.ours(bench.scheme(**SIZES), args)

    return make


@pytest.fixture
def episodes(bench):
    """Episodes as the environment leaves them: the only whole-number action is 0."""

    def make(seed, count=4, steps=6):
        generator = torch.Generator().manual_seed(seed)
        fields = bench.random_fields(generator, episodes=count, steps=steps, **SIZES)
        fields["obs"][..., -3:].tanh_()
        fields["actions"].zero_()
        fields["avail_actions"].fill_(1)
        return fields

    return make


def value(network, observation, action, agent):
    """Utility of one action of one agent, layer by layer."""
    x = torch.cat([observation, action, torch.eye(2)[agent]])
    return network.fc2(torch.relu(network.rnn(torch.relu(network.fc1(x)))))


def test_an_update_is_that_of_the_equations(bench, comix, episodes):
    """Loops over episodes, steps and agents; samples as one seed draws them."""
    learner, log = comix({"topology": "dense", "online_buffer_size": 0, "online_batch_size": 0})
    for target in learner.targets().values():
        for weight in target.parameters():
            weight.data.add_(0.1 * torch.randn_like(weight))
    agent, mixer = learner.mac.agent, learner.mixer
    target, target_mixer = learner.target_mac.agent, learner.target_mixer
    fields = episodes(2, count=3)
    obs, state, steps = fields["obs"], fields["state"], 5

    noise = torch.Generator().manual_seed(int(np.random.SeedSequence(5).generate_state(4)[3]))
    drawn = [torch.randn(5, 3, steps, 2, 3, generator=noise) for _ in range(2)]
    losses = []
    with torch.no_grad():
        for b in range(3):
            for t in range(int(fields["filled"][b].sum()) - 1):
                taken, following = [], []
                for i in range(2):
                    taken.append(value(agent, obs[b, t, i], obs[b, t + 1, i, -3:], i))
                    seen = obs[b, t + 1, i]
                    first = drawn[0][:, b, t, i]
                    values = torch.cat([value(target, seen, a, i) for a in first.tanh()])
                    best = first[values.argsort(descending=True)[:2]]
                    second = best.mean(0) + best.std(0) * drawn[1][:, b, t, i]
                    values = torch.cat([value(target, seen, a, i) for a in second.tanh()])
                    following.append(values.max().view(1))
                joint = mixer(torch.cat(taken).view(1, 1, 2), state[b, t].view(1, 1, -1))
                after = target_mixer(
                    torch.cat(following).view(1, 1, 2), state[b, t + 1].view(1, 1, -1)
                )
                ended = float(fields["terminated"][b, t])
                y = float(fields["reward"][b, t]) + GAMMA * (1 - ended) * after.item()
                losses.append((joint.item() - y) ** 2)

    learner.train(bench.batch(bench.scheme(**SIZES), 2, fields), t_env=10, episode_num=1)

    assert log.stats["loss"] == pytest.approx([sum(losses) / len(losses)], rel=1e-4)


CASES = {
    "rigl": ({}, {}),
    "soft-mellowmax-td-lambda": ({"operator": "soft_mellowmax", "target": "td_lambda"}, {}),
    "per-agent-vdn-set": ({"topology": "set"}, {"agent": "rnn_ns", "mixer": "vdn"}),
    "static-no-ids": ({"topology": "static"}, {"obs_agent_id": False}),
}


def train(bench, learner, episodes, updates):
    for update in range(1, updates + 1):
        learner.replay.buffer.insert(episodes(100 + update, count=1, steps=9))
        batch = bench.batch(bench.scheme(**SIZES), 2, episodes(update))
        learner.train(batch, t_env=100 * update, episode_num=update)


@pytest.mark.parametrize("case", CASES)
def test_masks_hold_and_engines_learn_the_same(bench, comix, episodes, case):
    mast, changes = CASES[case]
    learners = {}
    for engine in ("masked", "sparse"):
        options = {"topology_interval": 2, "engine": engine, **mast}
        learners[engine], _ = comix(options, **changes)
        train(bench, learners[engine], episodes, 5)
    masked, sparse = learners["masked"].networks, learners["sparse"].networks
    for layer in masked.topology.layers:
        kept = sum(int(masked.topology.masks[member].sum()) for member in layer.members)
        assert kept == layer.kept
    for name, mask in masked.topology.masks.items():
        assert torch.equal(mask, sparse.topology.masks[name])
        for weight in (masked.weights[name], masked.target_weights[name]):
            assert not weight[~mask].any()
    for name, weight in masked.weights.items():
        torch.testing.assert_close(weight, sparse.weights[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("agent", ["rnn", "rnn_ns"])
def test_shapes_and_cost_are_those_of_mast_flops(comix, agent):
    learner, _ = comix(agent=agent)
    task = Task(n_agents=2, obs=7, state=6, n_actions=3)
    shapes = network_shapes(vars(learner.args), learner.options, task)
    assert {
        f"{network}.{name}": shape for network, own in shapes.items() for name, shape in own.items()
    } == {n: tuple(w.shape) for n, w in learner.networks.weights.items() if w.ndim > 1}
    own = learner.cost.networks
    assert learner.cost.test_flops == pytest.approx(10 * own["agent"].flops)  # 2 rounds of 5
    batch = learner.args.batch_size + 2
    expected = batch * ((3 + 10) * own["agent"].flops + 4 * own["mixer"].flops)
    assert learner.cost.train_flops == pytest.approx(expected)


@pytest.mark.parametrize("agent", ["rnn", "rnn_ns"])
def test_the_actor_takes_its_networks_best_sample(comix, agent):
    learner, _ = comix({"cem_samples": 200, "cem_elites": 10, "cem_iterations": 5}, agent=agent)
    actor = learner.mac.start_episodes(1)
    learner.mac.epsilon_at(0, test_mode=True)
    observations = np.random.default_rng(0).normal(size=(2, 7)).astype(np.float32)

    actions = torch.from_numpy(actor.act(observations, None, epsilon=0.0))

    grid = torch.linspace(-1, 1, 9)
    everywhere = torch.cartesian_prod(grid, grid, grid)  # (729, A)
    with torch.no_grad():
        for i in range(2):
            network = learner.mac.agent.agents[i] if agent == "rnn_ns" else learner.mac.agent
            seen = torch.from_numpy(observations[i])
            best = max(value(network, seen, a, i).item() for a in everywhere)
            assert value(network, seen, actions[i], i).item() > best - 0.02


def test_exploration_is_random_noisy_or_none(comix):
    learner, _ = comix({"action_noise": 0.5})
    actor, zeros = learner.mac.start_episodes(1), np.zeros((2, 7), np.float32)

    def spread(epsilon, test_mode):
        learner.mac.epsilon_at(0, test_mode)
        acts = np.stack([actor.act(zeros, None, epsilon) for _ in range(300)])
        assert np.abs(acts).max() <= 1.0
        return acts.std(axis=0).mean()

    assert spread(1.0, test_mode=False) == pytest.approx(3**-0.5, abs=0.03)  # uniform on [-1, 1]
    assert spread(0.0, test_mode=False) > spread(0.0, test_mode=True)


def test_policy_distance_is_that_of_the_best_sampled_actions(bench, comix, episodes):
    """RLx2's buffer: 0 for the actions that the policy takes, 1 for the other ends of the range."""
    learner, _ = comix({"online_buffer_size": 0, "online_batch_size": 0, "cem_samples": 300,
                        "cem_elites": 10, "cem_iterations": 6})  # fmt: skip
    fields = episodes(3)
    batch = bench.batch(bench.scheme(**SIZES), 2, fields)
    with torch.no_grad():  # whatever is seen: a little above -1 in every number is best
        for weight in learner.mac.agent.parameters():
            weight.zero_()
        learner.mac.agent.fc1.weight[0, 7:10] = -1.0
        learner.mac.agent.fc1.bias[0] = 3.0
        learner.mac.agent.rnn.weight[0, 0] = learner.mac.agent.fc2.weight[0, 0] = 1.0
    for taken, expected in ((-1.0, 0.0), (1.0, 1.0), (0.0, 0.5)):
        fields["obs"][..., -3:] = taken
        assert learner.policy_distance(batch) == pytest.approx(expected, abs=0.02)


TRAIN = (
    "train", "--config=mast_comix", "--env-config=mast_mamujoco", "with", "env_args.time_limit=20",
    "t_max=300", "test_nepisode=2", "test_interval=150", "log_interval=150",
    "learner_log_interval=50", "runner_log_interval=50", "batch_size=4", "buffer_size=8",
    "use_cuda=False", "seed=1", "mast.topology_interval=5",
)  # fmt: skip


@needs_simulator
def test_it_trains_on_a_robot(mast, records, tmp_path):
    mast(tmp_path, *TRAIN, "--host", "pymarlzooplus", "mast.engine=masked")
    [(_, config, metrics)] = records(tmp_path)
    assert config["env"] == "mast_mamujoco"
    assert metrics["mast_topology_updates"][-1] >= 1
    assert metrics["mast_sparsity_agent"][-1] == pytest.approx(0.9, abs=2e-3)
    assert all(0 < loss < 1e6 for loss in metrics["loss"])


RUNS = {
    "dense": ("dense",),
    "tiny-per-agent": ("tiny", "per_agent"),
    "ss": ("ss", "mast.engine=masked"),
    "rlx2": ("rlx2", "mast.dynamic_buffer_minimum=4", "mast.dynamic_buffer_interval=2"),
    "set-per-agent": ("set", "per_agent", "mast.engine=masked"),
    "rigl-unlike-agents": ("rigl", "env_args.key=Humanoid", "env_args.agent_conf=9|8"),
    "soft-mellowmax-two-robots": (
        "mast.operator=soft_mellowmax", "env_args.key=Ant", "env_args.agent_conf=4x2",
    ),
}  # fmt: skip


@needs_simulator
@pytest.mark.long
@pytest.mark.parametrize("run", RUNS)
def test_baselines_train_on_robots(mast, host, records, tmp_path, run):
    where = host.root if host.name == "epymarl" else host.name
    mast(tmp_path, *TRAIN, "--host", where, *RUNS[run])
    [(_, _, metrics)] = records(tmp_path)
    assert all(0 < loss < 1e6 for loss in metrics["loss"])
    expected = {"dense": 0.0, "tiny-per-agent": 0.0}.get(run, 0.9)
    assert metrics["mast_sparsity_total"][-1] == pytest.approx(expected, abs=2e-3)


@needs_simulator
def test_the_environment_has_actions_in_its_observations(host):
    make = plugin.register(host).environments["mast_mamujoco"]
    robot = make(key="Humanoid", agent_conf="9|8", agent_obsk=1, time_limit=3, seed=7, common=True)
    again = make(key="Humanoid", agent_conf="9|8", agent_obsk=1, time_limit=3, seed=7)
    info = robot.get_env_info()
    assert (info["n_agents"], info["n_actions"], info["episode_limit"]) == (2, 9, 3)
    actions = np.linspace(-1, 1, 18, dtype=np.float32).reshape(2, 9)
    joints = []
    step = robot._robot.step
    robot._robot.step = lambda own: joints.append(own) or step(own)
    rewards = []
    for t in range(3):
        assert np.array_equal(robot.get_obs(), again.get_obs())
        assert np.shape(robot.get_obs()) == (2, info["obs_shape"])
        if t:
            assert np.array_equal(np.stack(robot.get_obs())[:, -9:], actions)
        returned, _ = robot.step(actions), again.step(actions)
        rewards.append(returned[-4] if host.name == "epymarl" else returned[0])
    assert all(isinstance(reward, float) for reward in rewards)
    assert returned[-1] == {"episode_limit": True}  # cut, not terminated
    first, second = joints[0].values()
    np.testing.assert_allclose(first, 0.4 * actions[0], rtol=1e-5)  # its joints go to 0.4
    np.testing.assert_allclose(second, 0.4 * actions[1, :8], rtol=1e-5)
    robot.reset()
    assert not np.stack(robot.get_obs())[:, -9:].any()
    robot.close()
