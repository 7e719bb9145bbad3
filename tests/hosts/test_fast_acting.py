"""Fast acting and storing: the host's own decisions and episodes, at another speed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from epymarl_mast import plugin
from epymarl_mast.controllers.actor import Actor
from epymarl_mast.hosts.compat import pad_short_observations_only
from epymarl_mast.sparse import kernels

LBF = {"key": "lbforaging:Foraging-8x8-2p-3f-v3", "time_limit": 25, "seed": 5}
AGENTS = {
    "shared-gru": {},
    "shared-ff": {"use_rnn": False, "obs_last_action": False},
    "per-agent-gru": {"agent": "rnn_ns", "obs_agent_id": False},
    "per-agent-ff": {"agent": "rnn_ns", "use_rnn": False},
}
ENGINES = ("auto", "masked")  # decisions by the sparse kernels, and by numpy


class SilentLogger:
    def __init__(self):
        self.stats = {}
        self.console_logger = SimpleNamespace(info=lambda *_: None, error=print)

    def log_stat(self, key, value, t, to_sacred=True):
        self.stats.setdefault(key, []).append((t, float(np.asarray(value))))


@pytest.fixture
def make_runner(host, host_module, make_args):
    """A runner on level-based foraging with a controller whose network is 80 % sparse."""

    running = []

    def make(runner, mac, **changes):
        modules = plugin.register(host)
        extra = {"pretrained_wrapper": None} if host.name == "epymarl" else {}
        args = make_args(
            **{
                "env": "gymma", "env_args": {**LBF, **extra}, "runner": runner, "mac": mac,
                "batch_size_run": 1, "render": False, "evaluate": False, "explorer": None,
                "reward_scalarisation": "sum", "runner_log_interval": 60, "test_nepisode": 2,
                "learner": "mast_q_learner", "epsilon_start": 0.0, "epsilon_finish": 0.0,
                "mixer": "qmix", "mast": changes.pop("mast"), **changes,
            }
        )  # fmt: skip
        logger = SilentLogger()
        made = modules.runners[runner](args, logger)
        running.append(made)
        info = made.get_env_info()
        args.n_agents, args.n_actions = info["n_agents"], info["n_actions"]
        args.state_shape = info["state_shape"]
        one_hot = host_module("components.transforms").OneHot(out_dim=args.n_actions)
        scheme = {
            "state": {"vshape": info["state_shape"]},
            "obs": {"vshape": info["obs_shape"], "group": "agents"},
            "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
            "avail_actions": {"vshape": (args.n_actions,), "group": "agents", "dtype": torch.int},
            "reward": {"vshape": (1,)},
            "terminated": {"vshape": (1,), "dtype": torch.uint8},
        }
        groups, preprocess = {"agents": args.n_agents}, {"actions": ("actions_onehot", [one_hot])}
        full = {**scheme, "actions_onehot": {"vshape": (args.n_actions,), "group": "agents"}}
        torch.manual_seed(3)
        controller = modules.controllers[mac](full, groups, args)
        with torch.no_grad():
            for weight in controller.parameters():
                if weight.ndim == 2:
                    weight.mul_(torch.rand(weight.shape) < 0.2).mul_(4.0)
        controller.online_buffer = SimpleNamespace(insert=lambda fields: None)
        explorer = (None,) if host.name == "pymarlzooplus" else ()
        made.setup(scheme, groups, preprocess, controller, *explorer)
        return made, modules, logger

    yield make
    for made in running:
        made.close_env()
        for worker in getattr(made, "ps", ()):
            worker.join(timeout=30)


@pytest.fixture
def quick_workers(host, host_module, monkeypatch):
    """Workers of PyMARLzoo+ are forked, as EPyMARL's are, and not waited for by the clock."""
    if host.name == "pymarlzooplus":
        runners = host_module("runners.parallel_runner")
        monkeypatch.setattr(runners, "time", SimpleNamespace(sleep=lambda seconds: None))
        monkeypatch.setattr(
            runners.th.multiprocessing, "get_start_method", lambda allow_none: "fork"
        )


def stock_controller(agent):
    return "non_shared_mac" if "per-agent" in agent else "basic_mac"


def check_same_episodes(stock, fast, modules, stock_log, fast_log):
    for test_mode in (False, False, True, True, False):
        theirs = modules.episodes_of(stock.run(test_mode=test_mode)).data.transition_data
        ours = modules.episodes_of(fast.run(test_mode=test_mode)).data.transition_data
        assert ours.keys() == theirs.keys()
        for key, field in theirs.items():
            assert ours[key].dtype == field.dtype, key
            assert torch.equal(ours[key], field), key
    assert fast.t == stock.t
    assert fast.t_env == stock.t_env > 0
    assert fast_log.stats == stock_log.stats
    assert {"return_mean", "test_return_mean", "ep_length_mean", "epsilon"} <= set(fast_log.stats)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("agent", AGENTS)
def test_same_seed_without_exploration_gives_identical_episodes(
    make_runner, mast_options, agent, engine
):
    options = {"mast": mast_options(engine=engine), **AGENTS[agent]}
    stock, modules, stock_log = make_runner("episode", stock_controller(agent), **options)
    fast, _, fast_log = make_runner("mast_episode", "mast_mac", **options)
    assert fast.start_actor(1) is not None
    check_same_episodes(stock, fast, modules, stock_log, fast_log)


@pytest.mark.parametrize("agent", ["shared-gru", "per-agent-ff"])
def test_parallel_episodes_are_identical_too(make_runner, mast_options, agent, quick_workers):
    """Environments of 25 steps or fewer that end at different times."""
    options = {"mast": mast_options(), "batch_size_run": 3, "test_nepisode": 6, **AGENTS[agent]}
    stock, modules, stock_log = make_runner("parallel", stock_controller(agent), **options)
    fast, _, fast_log = make_runner("mast_parallel", "mast_mac", **options)
    assert fast.start_actor(3) is not None
    check_same_episodes(stock, fast, modules, stock_log, fast_log)


class StepsOf:
    """What steps of a host's environments led to; those that were over are left alone."""

    def __init__(self, modules, environments, actions, over):
        self._steps = {
            i: modules.step(environment, actions[i])
            for i, environment in enumerate(environments)
            if not over[i]
        }
        for i, (_, ended, _) in self._steps.items():
            over[i] = ended

    def of(self, i):
        reward, over, info = self._steps[i]
        cut = info.get("episode_limit", False)
        return reward, over and not cut, cut, info


class Neighbours:
    """The host's environments in one process, as the runner asks for environments together."""

    def __init__(self, modules, make, count, **arguments):
        self._modules = modules
        seed = arguments.pop("seed")
        extra = {"reward_scalarisation": "sum"} if modules.copies_common_reward else {}
        if not extra:
            del arguments["common_reward"]
        self._all = [make(**arguments, **extra, seed=seed + i) for i in range(count)]

    def get_env_info(self):
        return self._all[0].get_env_info()

    def reset(self):
        self._over = [False for _ in self._all]
        for environment in self._all:
            environment.reset()
        return self._shown()

    def step(self, actions):
        return StepsOf(self._modules, self._all, actions, self._over), self._shown()

    def _shown(self):
        return SimpleNamespace(
            state=[environment.get_state() for environment in self._all],
            available=[environment.get_avail_actions() for environment in self._all],
            observations=[environment.get_obs() for environment in self._all],
        )


@pytest.mark.parametrize("runs", ["fast", "host"])
def test_environments_in_this_process_have_the_same_episodes(
    make_runner, host, mast_options, quick_workers, monkeypatch, runs
):
    """Those of the host's worker processes, also where the host's own loop runs them."""
    options = {"mast": mast_options(), "batch_size_run": 3, "test_nepisode": 6}
    stock, modules, stock_log = make_runner("parallel", "basic_mac", **options)
    gymma = modules.environments["gymma"]

    def make(**arguments):
        return gymma(**arguments)

    make.together = lambda count, **arguments: Neighbours(modules, gymma, count, **arguments)
    monkeypatch.setitem(modules.environments, "gymma", make)
    mac = {"fast": "mast_mac", "host": "basic_mac"}[runs]
    fast, _, fast_log = make_runner("mast_parallel", mac, **options)
    assert (fast.start_actor(3) is not None) == (runs == "fast")
    assert not hasattr(fast, "ps")
    check_same_episodes(stock, fast, modules, stock_log, fast_log)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("agent", AGENTS)
def test_q_values_are_the_agents_own(make_runner, mast_options, agent, engine):
    options = {"mast": mast_options(engine=engine), **AGENTS[agent]}
    fast, modules, _ = make_runner("mast_episode", "mast_mac", **options)
    batch = modules.episodes_of(fast.run())
    mac = fast.mac
    actor = mac.start_episodes(1)
    mac.init_hidden(1)
    for t in range(int(batch["filled"].sum())):
        with torch.no_grad():
            theirs = mac.forward(batch, t)[0].numpy()
        chosen = actor.act(batch["obs"][0, t].numpy(), batch["avail_actions"][0, t].numpy(), 0.0)
        np.testing.assert_allclose(actor.q_values, theirs, rtol=1e-5, atol=1e-5)
        assert chosen.tolist() == batch["actions"][0, t].flatten().tolist()


def test_weights_are_taken_anew_for_every_episode(make_runner, mast_options):
    fast, _, _ = make_runner("mast_episode", "mast_mac", mast=mast_options())
    fast.run()
    before = fast.mac._actor.q_values.copy()
    with torch.no_grad():
        for parameter in fast.mac.agent.fc2.parameters():
            parameter.zero_()
    fast.run()
    assert before.any()
    assert not fast.mac._actor.q_values.any()


class FixedValues(torch.nn.Module):
    """An agent whose values are the same whatever it sees: all weights 0 but the last bias."""

    def __init__(self, values):
        super().__init__()
        self.fc1 = torch.nn.Linear(1, 16)
        self.rnn = torch.nn.GRUCell(16, 16)
        self.fc2 = torch.nn.Linear(16, len(values))
        for parameter in self.parameters():
            parameter.data.zero_()
        self.fc2.bias.data.copy_(torch.as_tensor(values))


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "numpy"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_actions_follow_the_hosts_distribution(host_module, make_args, epsilon, compiled):
    """Chi-square of our counts and the host's against the exact probabilities."""
    draws, actions = 20_000, 6
    q = np.array([[0.1, 0.9, 0.5, 2.0, -1.0, 0.3]], np.float32)
    available = np.array([[1, 1, 0, 0, 1, 1]], np.int32)
    expected = np.where(available[0] > 0, epsilon / 4, 0.0)
    expected[1] += 1 - epsilon
    environments, decisions = 40, draws // 40
    actor = Actor(
        FixedValues(q[0]), 1, actions, last_action=False, agent_id=False,
        generator=np.random.default_rng(0), compiled=compiled,
    )  # fmt: skip
    actor.start(environments)
    shown = np.zeros((environments, 1), np.float32), np.repeat(available, environments, 0)
    ours = np.concatenate([actor.act(*shown, epsilon).copy() for _ in range(decisions)])

    selectors = host_module("components.action_selectors").REGISTRY
    args = make_args(epsilon_start=epsilon, epsilon_finish=epsilon)
    torch.manual_seed(0)
    theirs = selectors["epsilon_greedy"](args).select_action(
        torch.from_numpy(q).expand(draws, 1, -1),
        torch.from_numpy(available).expand(draws, 1, -1),
        t_env=0,
    )
    for chosen in (ours, theirs.flatten().numpy()):
        counts = np.bincount(chosen, minlength=actions)
        assert counts[expected == 0].sum() == 0
        possible = expected > 0
        goal = expected[possible] * draws
        statistic = ((counts[possible] - goal) ** 2 / goal).sum()
        assert statistic < 16.3  # 99.9 % quantile for 3 degrees of freedom


def test_an_unknown_agent_acts_as_the_host_does(make_runner, mast_options):
    fast, modules, _ = make_runner("mast_episode", "mast_mac", mast=mast_options())
    fast.mac._actor = None
    episodes = modules.episodes_of(fast.run())
    assert episodes["filled"].sum() > 1


def test_the_host_runs_episodes_that_hold_more(make_runner, mast_options):
    """PyMARLzoo+ can store hidden states, and have an explorer choose actions."""
    fast, modules, _ = make_runner("mast_episode", "mast_mac", mast=mast_options())
    fast._storable = False
    assert fast.start_actor(1) is None
    assert modules.episodes_of(fast.run())["filled"].sum() > 1
    fast._storable, fast.explorer = True, object()
    assert fast.start_actor(1) is None


def test_random_numbers_are_drawn_in_order_whatever_is_drawn_ahead():
    generator = np.random.default_rng(11)
    actor = Actor(FixedValues(np.zeros(6)), 3, 6, last_action=False, agent_id=False,
                  generator=np.random.default_rng(11))  # fmt: skip
    actor.start(1)
    shown = np.zeros((3, 1), np.float32), np.ones((3, 6), np.int32)
    for _ in range(2000):
        expected = (generator.random((3, 2))[:, 1] * 6).astype(int)
        assert actor.act(*shown, 1.0).tolist() == expected.tolist()


def test_without_the_kernels_numpy_decides(make_runner, mast_options, monkeypatch):
    monkeypatch.setattr(kernels, "available", lambda: False)
    fast, modules, _ = make_runner("mast_episode", "mast_mac", mast=mast_options())
    assert type(fast.start_actor(1)._decide).__name__ == "DenseDecision"
    assert modules.episodes_of(fast.run())["filled"].sum() > 1


def test_only_short_observations_are_padded():
    def pad(observations):
        return [np.pad(seen, (0, 3 - len(seen))) for seen in observations]

    environment = SimpleNamespace(longest_observation_space=np.zeros(3), _pad_observation=pad)
    pad_short_observations_only(environment)
    seen = [np.arange(3.0), np.ones(3)]
    kept = environment._pad_observation(seen)
    np.testing.assert_array_equal(kept, pad(seen))
    assert not any(ours is theirs for ours, theirs in zip(kept, seen, strict=True))
    short = environment._pad_observation([np.arange(3.0), np.ones(2)])
    np.testing.assert_array_equal(short, [[0, 1, 2], [1, 1, 0]])
    pad_short_observations_only(object())  # another wrapper, which does not pad
