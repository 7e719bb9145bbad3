"""Learners of a host and ours on fixed batches, without an environment."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from epymarl_mast.learners import LEARNERS


class RecordingLogger:
    """The part of a host's logger that learners use."""

    def __init__(self):
        self.stats = {}
        self.console_logger = logging.getLogger("host")

    def log_stat(self, key, value, t, to_sacred=True):
        self.stats.setdefault(key, []).append(float(value))


def default_args(**changes) -> SimpleNamespace:
    """What a host's configuration has beside an algorithm's own keys."""
    values = {
        "name": "test",
        "seed": 7,
        "t_max": 10_000,
        "buffer_cpu_only": True,
        "use_cuda": False,
        "device": "cpu",
        "common_reward": True,
        "agent": "rnn",
        "mac": "basic_mac",
        "agent_output_type": "q",
        "action_selector": "epsilon_greedy",
        "epsilon_start": 1.0,
        "epsilon_finish": 0.05,
        "epsilon_anneal_time": 50,
        "evaluation_epsilon": 0.0,
        "hidden_dim": 16,
        "obs_agent_id": True,
        "obs_last_action": True,
        "use_rnn": True,
        "learner": "mast_q_learner",
        "runner": "mast_episode",
        "mixer": "qmix",
        "mixing_embed_dim": 8,
        "hypernet_layers": 2,
        "hypernet_embed": 12,
        "central_mixer": "ff",
        "central_mixing_embed_dim": 10,
        "central_action_embed": 1,
        "critic_hidden_dim": 14,
        "critic_use_rnn": False,
        "double_q": True,
        "standardise_returns": False,
        "standardise_rewards": False,
        "gamma": 0.99,
        "lr": 5e-4,
        "grad_norm_clip": 10,
        "target_update_interval_or_tau": 200,
        "learner_log_interval": 1,
        "optim_alpha": 0.99,
        "optim_eps": 1e-5,
        "batch_size": 4,
        # PyMARLzoo+ reads these too
        "prioritized_buffer": False,
        "action_selector_strategy": "basic_selector_strategy",
        "extra_in_buffer": [],
    }
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture
def make_args():
    return default_args


class Bench:
    """Builds batches, controllers and learners of one host."""

    def __init__(self, host, host_module):
        self.modules = host.load()
        self.import_host = host_module

    def scheme(self, n_agents, obs, state, n_actions, reward=1):
        agents = {"group": "agents"}
        return {
            "state": {"vshape": state},
            "obs": {"vshape": obs, **agents},
            "actions": {"vshape": (1,), "dtype": torch.long, **agents},
            "avail_actions": {"vshape": (n_actions,), "dtype": torch.int, **agents},
            "reward": {"vshape": (reward,)},
            "terminated": {"vshape": (1,), "dtype": torch.uint8},
            "actions_onehot": {"vshape": (n_actions,), "dtype": torch.float32, **agents},
        }

    def batch(self, scheme, n_agents, fields):
        """The host's EpisodeBatch around ``fields``, a dict of (B, T, ...) tensors."""
        episodes, steps = fields["filled"].shape[:2]
        data = SimpleNamespace(transition_data=fields, episode_data={})
        return self.modules.episode_batch(
            scheme, {"agents": n_agents}, episodes, steps, data=data, device="cpu"
        )

    def mac(self, scheme, args):
        registry = self.import_host("controllers").REGISTRY
        return registry[args.mac](scheme, {"agents": args.n_agents}, args)

    def ours(self, scheme, args):
        logger = RecordingLogger()
        learner = LEARNERS[args.learner]
        return learner(self.mac(scheme, args), scheme, logger, args, host=self.modules), logger

    def stock(self, scheme, args):
        logger = RecordingLogger()
        learner = self.import_host("learners").REGISTRY["q_learner"]
        return learner(self.mac(scheme, args), scheme, logger, args), logger

    def random_fields(self, generator, episodes, steps, n_agents, obs, state, n_actions, reward=1):
        """Episodes of unlike lengths as a host stores them: zero after the last step."""

        def normal(*shape):
            return torch.randn(episodes, steps, *shape, generator=generator)

        lengths = torch.randint(2, steps, (episodes,), generator=generator)  # transitions
        lengths[0] = steps - 1
        time = torch.arange(steps)
        filled = (time <= lengths[:, None]).long()[..., None]
        available = torch.rand(episodes, steps, n_agents, n_actions, generator=generator) < 0.7
        available[..., 0] = True
        actions = torch.multinomial(available.float().flatten(0, 2), 1, generator=generator).view(
            episodes, steps, n_agents, 1
        )
        onehot = torch.zeros(episodes, steps, n_agents, n_actions).scatter_(3, actions, 1.0)
        ends = (time == lengths[:, None] - 1)[..., None]
        ends[0] = False  # cut by its time limit
        keep = filled[..., None]
        return {
            "state": normal(state) * filled,
            "obs": normal(n_agents, obs) * keep,
            "actions": actions * keep,
            "avail_actions": (available * keep).int(),
            "reward": normal(reward) * (time < lengths[:, None])[..., None],
            "terminated": ends.to(torch.uint8),
            "actions_onehot": onehot * keep,
            "filled": filled,
        }


@pytest.fixture(scope="session")
def bench(host, host_module):
    return Bench(host, host_module)


def copy_networks(source, target):
    """Give one learner the networks of another."""
    pairs = [
        (source.mac.agent, target.mac.agent),
        (source.target_mac.agent, target.target_mac.agent),
    ]
    if source.mixer is not None:
        pairs += [(source.mixer, target.mixer), (source.target_mixer, target.target_mixer)]
    for one, other in pairs:
        other.load_state_dict(one.state_dict())


@pytest.fixture
def same_networks():
    return copy_networks


RECORDED_DTYPES = {
    "actions": torch.long,
    "avail_actions": torch.int32,
    "terminated": torch.uint8,
    "filled": torch.long,
}


class Recorded:
    """Updates of another implementation, recorded as numbers (tests/conformance/data)."""

    folder = Path(
        os.environ.get(
            "MAST_REFERENCE", Path(__file__).resolve().parent.parent / "conformance" / "data"
        )
    )

    def __init__(self, name):
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as archive:
            self.arrays = {key: torch.from_numpy(archive[key]) for key in archive.files}

    def fields(self, batch, n_actions):
        """What an EpisodeBatch holds, from the arrays below ``batch``."""
        fields = {
            key: value.to(RECORDED_DTYPES.get(key, torch.float32))
            for key, value in self.below(batch).items()
        }
        onehot = torch.nn.functional.one_hot(fields["actions"].squeeze(3), n_actions).float()
        return {**fields, "actions_onehot": onehot * fields["filled"][..., None]}

    def below(self, prefix):
        """``{rest of the key: array}``: a network's weights, a step's arrays."""
        prefix += "/"
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}


@pytest.fixture(scope="session")
def recorded():
    return Recorded
