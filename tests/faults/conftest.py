"""Small learners and runners of each host, and a disk that is full."""

from __future__ import annotations

import resource
from contextlib import contextmanager

import pytest

from epymarl_mast.bench.plan import Dims
from epymarl_mast.bench.workplace import Workplace
from epymarl_mast.command import merge
from epymarl_mast.overrides import read_yaml, shipped_algorithms

SIZES = Dims(episodes=2, steps=5, n_agents=2, obs=5, state=6, n_actions=3)
SMALL = {
    "hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6, "critic_hidden_dim": 8,
    "central_mixing_embed_dim": 4, "use_cuda": False, "seed": 1, "batch_size": 2, "env": "gymma",
    "common_reward": True, "evaluate": False, "t_max": 1000, "env_args": {}, "render": False,
}  # fmt: skip


@pytest.fixture(scope="session")
def workplace(host):
    return Workplace(host, SIZES)


@pytest.fixture
def small(host):
    """The configuration of a small run: ``(algorithm, **changes)``."""

    def configuration(algorithm="mast_qmix", mast=(), **changes):
        config = read_yaml(host.config_dir / "default.yaml", "")
        merge(config, read_yaml(shipped_algorithms()[algorithm], algorithm))
        merge(config, {**SMALL, "mast": {"engine": "masked", **dict(mast)}, **changes})
        return config

    return configuration


@pytest.fixture
def learner(workplace, small):
    """Build a learner: ``(algorithm, **changes)``."""
    return lambda *args, **named: workplace.learner(small(*args, **named))


@pytest.fixture
def full_disk():
    """Inside, no file can grow beyond some bytes; the system refuses to write more."""

    @contextmanager
    def full(most):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full
