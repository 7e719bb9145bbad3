"""Learners, controllers, runners and batches of a host, built from its registries alone."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from epymarl_mast.bench.plan import Dims, Plan, stock_options
from epymarl_mast.bench.synthetic import IdleEnvironment, episode_fields
from epymarl_mast.command import SacredCommand, merge
from epymarl_mast.errors import OptionError
from epymarl_mast.hosts import Host, find_host
from epymarl_mast.overrides import overrides_dir, read_yaml

# Past T_0 of the hybrid target and past the annealing of epsilon, before the end of the evolution.
T_MAX = 2_000_000
T_ENV = 1_200_000

# What both sides have, whatever the defaults of a host's qmix.yaml are.
NETWORKS: Mapping[str, Any] = {
    "use_rnn": True,
    "obs_last_action": True,
    "obs_agent_id": True,
    "mixer": "qmix",
    "mixing_embed_dim": 32,
    "hypernet_layers": 2,
    "hypernet_embed": 64,
}
# Our learner with all that is not sparsity switched off: the stock update on fewer weights.
PLAIN: Mapping[str, Any] = {
    "topology": "static",
    "operator": "max",
    "target": "one_step",
    "online_buffer_size": 0,
    "online_batch_size": 0,
}


def configurations(plan: Plan) -> tuple[Host, dict[str, dict[str, Any]]]:
    """The host, and ``{side: configuration}`` of the learners to compare.

    Sides: ``stock``; ``ours``, sparse and nothing else; ``mast``, with our defaults; and, where
    the topology evolves, ``mast_topology_update``, which does that at every update.

    Raises:
        OptionError: for an option that a side does not have, or cannot have here.
        HostError: if the host is not there.
    """
    host = find_host(plan.host)
    ours_file = overrides_dir() / "algs" / "mast_qmix.yaml"
    stock = _configuration(plan, host, host.config_dir / "algs" / "qmix.yaml")
    _apply(stock, stock_options(plan.options))
    sides = {"stock": stock}
    for side, part in (("ours", PLAIN), ("mast", {})):
        config = _configuration(plan, host, ours_file)
        merge(config["mast"], {"sparsity": plan.sparsity, **part})
        _apply(config, plan.options)
        config["batch_size"] = _episodes_of_large_buffer(plan, config["mast"]["online_batch_size"])
        config["mast"]["checkpoint_minutes"] = 0  # no record to keep them in
        sides[side] = config
    if sides["mast"]["mast"]["topology"] in ("rigl", "set"):
        every_time: dict[str, Any] = {}
        merge(every_time, sides["mast"])
        every_time["mast"]["topology_interval"] = 1
        sides["mast_topology_update"] = every_time
    return host, sides


def _configuration(plan: Plan, host: Host, algorithm: Any) -> dict[str, Any]:
    config = read_yaml(host.config_dir / "default.yaml", "the host's default.yaml")
    merge(config, read_yaml(algorithm, algorithm.name))
    merge(config, NETWORKS)
    config.update(
        hidden_dim=plan.hidden,
        batch_size=plan.sizes.episodes,
        use_cuda=plan.device == "cuda",
        t_max=T_MAX,
        seed=1,
        env="gymma",
    )
    return config


def _episodes_of_large_buffer(plan: Plan, online: int) -> int:
    """How many of a batch's episodes do not come from our second buffer."""
    if online >= plan.sizes.episodes:
        raise OptionError(
            f"mast.online_batch_size={online}: a batch here has {plan.sizes.episodes} episodes in "
            f"all, so allowed are 0 to {plan.sizes.episodes - 1}"
        )
    return plan.sizes.episodes - online


def _apply(config: dict[str, Any], options: Any) -> None:
    if options:
        SacredCommand.parse(["with", *options]).apply_to(config)


def use_threads(threads: int) -> None:
    """Set the threads of torch, OpenMP, MKL and numba, here and in child processes."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    torch.set_num_threads(threads)
    if "numba" in sys.modules:  # which has read its variable by now, and refuses a change
        numba = importlib.import_module("numba")
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(threads)


class SilentLogger:
    """A host's logger that writes nothing."""

    def __init__(self) -> None:
        self.console_logger = SimpleNamespace(info=_nothing, error=_nothing, warning=_nothing)

    def log_stat(self, key: str, value: Any, t: int, to_sacred: bool = True) -> None:
        """Forget a figure."""


def _nothing(*_: Any, **__: Any) -> None:
    pass


class Workplace:
    """Builds what a host's own ``run_sequential`` builds, for a task of given sizes.

    Args:
        host: the host; the plugin is registered with it.
        dims: sizes of the task.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, host: Host, dims: Dims, device: str = "cpu") -> None:
        from epymarl_mast.plugin import register

        self.dims = dims
        self.device = device
        self.modules = register(host)
        self._embedded = host.name == "pymarlzooplus"
        self._prefix = "pymarlzooplus." if self._embedded else ""
        agents = {"group": "agents"}
        self._scheme: dict[str, Any] = {
            "state": {"vshape": dims.state},
            "obs": {"vshape": dims.obs, **agents},
            "actions": {"vshape": (1,), "dtype": torch.long, **agents},
            "avail_actions": {"vshape": (dims.n_actions,), "dtype": torch.int, **agents},
            "terminated": {"vshape": (1,), "dtype": torch.uint8},
            "reward": {"vshape": (1,)},
        }
        self._groups = {"agents": dims.n_agents}
        one_hot = self.host_module("components.transforms").OneHot(out_dim=dims.n_actions)
        self._preprocess = {"actions": ("actions_onehot", [one_hot])}

    def host_module(self, name: str) -> Any:
        """A module of the host by its name in EPyMARL's source tree."""
        return importlib.import_module(self._prefix + name)

    def batch(self, episodes: int, steps: int, seed: int) -> Any:
        """The host's ``EpisodeBatch`` of random full-length episodes on the device."""
        batch = self.modules.episode_batch(
            dict(self._scheme),
            self._groups,
            episodes,
            steps + 1,
            preprocess=self._preprocess,
            device=self.device,
        )
        fields = episode_fields(self.dims, episodes, steps, seed)
        batch.update({key: field.to(self.device) for key, field in fields.items()})
        return batch

    def arguments(self, config: Mapping[str, Any]) -> SimpleNamespace:
        """A configuration as the hosts pass it on, with the task's sizes."""
        return SimpleNamespace(
            **{
                **config,
                "n_agents": self.dims.n_agents,
                "n_actions": self.dims.n_actions,
                "state_shape": self.dims.state,
                "unit_dim": self.dims.obs,
                "device": self.device,
                "device_cnn_modules": self.device,
                "unique_token": "bench",
            }
        )

    def learner(self, config: Mapping[str, Any]) -> Any:
        """The learner that a configuration names; its controller is ``learner.mac``."""
        torch.manual_seed(1)
        args = self.arguments(config)
        scheme = self.batch(1, 1, seed=0).scheme
        controllers = self.host_module("controllers").REGISTRY
        mac = controllers[args.mac](scheme, self._groups, args)
        learner = self.modules.learners[args.learner](mac, scheme, SilentLogger(), args)
        if self.device == "cuda":
            learner.cuda()
        return learner

    def runner(self, config: Mapping[str, Any], mac: Any) -> Any:
        """The episode runner that a configuration names, on an environment that costs nothing."""

        def idle(**_: Any) -> IdleEnvironment:
            return IdleEnvironment(self.dims, returns_observation=not self._embedded)

        args = self.arguments(config)
        with mock.patch.dict(self.modules.environments, {"gymma": idle}):
            runner = self.modules.runners[args.runner](args, SilentLogger())
        explorer = {"explorer": None} if self._embedded else {}
        runner.setup(
            scheme=dict(self._scheme),
            groups=self._groups,
            preprocess=self._preprocess,
            mac=mac,
            **explorer,
        )
        runner.t_env = T_ENV
        return runner
