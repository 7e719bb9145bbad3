"""MAST for QMIX, VDN and independent Q-learning.

Legend: B episodes, T transitions, N agents, U actions, C columns of the value: N without a mixer;
with one it is 1, or N equal copies where the hosts have them.
"""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epymarl_mast import targets
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.learners.batch import Transitions, with_newest_episodes
from epymarl_mast.learners.checkpoint import load_learner, save_learner
from epymarl_mast.learners.engines import (
    HostEngine,
    MaskedEngine,
    agent_inputs,
    choose_engine,
    knows,
)
from epymarl_mast.learners.sparse_networks import SparseNetworks
from epymarl_mast.options import MastOptions, check_run
from epymarl_mast.replay import OnlineBuffer
from epymarl_mast.sparse import OPTIMIZERS
from epymarl_mast.sparse.accounting import q_learning_cost
from epymarl_mast.sparse.kernels import AgentInputs
from epymarl_mast.tracking.metrics import sparse_metrics

_TARGET_KINDS = {"one_step": 0.0, "n_step": 1.0, "td_lambda": 2.0}


class MastQLearner:
    """Value-decomposition learner whose networks are sparse throughout.

    Registered as ``mast_q_learner``; it has the interface of the hosts' own learners. With every
    part switched off its updates equal those of the host's ``QLearner`` (docs/method.md names the
    one kind of batch, which the hosts' runners never make, where they do not).

    Args:
        mac: the host's multi-agent controller.
        scheme: the replay buffer's scheme.
        logger: the host's logger.
        args: the run's configuration; ``args.mast`` is the block of options.
        host: the imported host's parts.

    Raises:
        OptionError: if the configuration cannot be run.
    """

    def __init__(self, mac: Any, scheme: Any, logger: Any, args: Any, *, host: HostModules) -> None:
        self.args = args
        self.options: MastOptions = check_run(vars(args))
        self.logger = logger
        self.mac = mac
        self.mixer = host.mixers[args.mixer](args) if args.mixer is not None else None
        # Before mac.online_buffer is set below: the target must not share the buffer.
        self.target_mac = copy.deepcopy(mac)
        self.target_mixer = copy.deepcopy(self.mixer)
        self.params = [p for network in self._online().values() for p in network.parameters()]
        self.optimiser = self._make_optimiser()

        topology_seed, replay_seed = np.random.SeedSequence(args.seed).generate_state(2).tolist()
        generator = torch.Generator().manual_seed(topology_seed)
        self.networks = SparseNetworks(
            self._online(), self._targets(), self.options, args.t_max, generator
        )
        self.online_buffer = OnlineBuffer(
            self.options.online_buffer_size,
            torch.Generator().manual_seed(replay_seed),
            device="cpu" if args.buffer_cpu_only else args.device,
        )
        mac.online_buffer = self.online_buffer  # filled by the mast_* runners
        self.cost = q_learning_cost(
            self.networks.costs, args.batch_size + self.options.online_batch_size
        )

        device = "cuda" if args.use_cuda else "cpu"
        reward_columns = _columns(scheme["reward"]["vshape"])
        rewards_in_common = reward_columns == 1
        self.ret_ms = host.running_mean_std(shape=(args.n_agents,), device=device)
        self.rew_ms = host.running_mean_std(shape=(reward_columns,), device=device)

        self._masked = MaskedEngine() if knows(mac, host) else HostEngine()
        self.engine, why = choose_engine(
            self.options.engine,
            known=self._masked.needs_inputs,
            dense=self.options.topology == "dense",
            device=device,
        )
        self.engine.follow(self.networks.topology.masks)
        console = getattr(logger, "console_logger", None) or logging.getLogger(__name__)
        console.info(f"mast.engine: {self.engine.name} ({why})")
        # Targets and replay are the host's own: then they are so to the last bit.
        self._as_host = (
            self.options.operator == "max"
            and self.options.target == "one_step"
            and self.options.online_buffer_size == 0
        )
        self._copies_reward = host.copies_common_reward and rewards_in_common
        self.training_steps = 0
        self.last_target_update_step = 0
        self.log_stats_t = -args.learner_log_interval - 1

    def train(self, batch: Any, t_env: int, episode_num: int) -> None:
        """One gradient update.

        Args:
            batch: the host's sample from its replay buffer.
            t_env: environment steps so far.
            episode_num: training episodes so far; unused, part of the hosts' interface.
        """
        batch = with_newest_episodes(batch, self.online_buffer, self.options.online_batch_size)
        data = Transitions.from_batch(batch, as_host=self._as_host)
        engine = self._engine_for(t_env)
        inputs = agent_inputs(self.mac, batch) if engine.needs_inputs else None
        q_values = engine.unroll(self.mac, batch, inputs)  # (B, T+1, N, U)
        taken = torch.gather(q_values[:, :-1], 3, data.actions).squeeze(3)  # (B, T, N)
        values = engine.mix(self.mixer, taken, data.state[:, :-1])  # (B, T, C)
        with torch.no_grad():
            kind = self.target_kind(t_env)
            next_values = self._next_values(batch, inputs, data, q_values)
            target = self._targets_of(kind, data, next_values)

        td_error = values - target
        mask = data.mask.expand_as(td_error)
        td_error = td_error * mask
        loss = (td_error**2).sum() / mask.sum()
        updates = self.networks.topology.updates
        grad_norm = self._optimise(loss, t_env)
        self._refresh_targets()
        evolved = self.networks.topology.updates > updates
        if evolved:
            self._log(sparse_metrics(self.networks.topology, self.cost), t_env)
        if t_env - self.log_stats_t >= self.args.learner_log_interval:
            scalars = {
                "loss": loss.item(),
                "grad_norm": float(grad_norm),
                "td_error_abs": (td_error.abs().sum() / mask.sum()).item(),
                "q_taken_mean": self._mean_per_agent(values, mask),
                "target_mean": self._mean_per_agent(target, mask),
                "mast_target_kind": _TARGET_KINDS[kind],
                "mast_online_episodes": float(len(self.online_buffer)),
            }
            self._log(scalars, t_env)
            if not evolved:
                self._log(sparse_metrics(self.networks.topology, self.cost), t_env)
            self.log_stats_t = t_env

    def target_kind(self, t_env: int) -> str:
        """Which return is the regression target at ``t_env``: hybrid switches at T_0."""
        if self.options.target != "hybrid":
            return self.options.target
        start = self.options.td_lambda_start * self.args.t_max
        return "one_step" if t_env < start else "td_lambda"

    def _engine_for(self, t_env: int) -> HostEngine:
        """The engine of the next update: one that evolves the topology needs dense gradients."""
        due = self.networks.topology.due(self.training_steps + 1, t_env)
        return self._masked if due and self.engine.gradient_is_masked else self.engine

    def _next_values(
        self, batch: Any, inputs: AgentInputs | None, data: Transitions, q_values: Tensor
    ) -> Tensor:
        """Target value of the state after each step, (B, T, C)."""
        next_q = self.engine.unroll(self.target_mac, batch, inputs)[:, 1:]  # (B, T, N, U)
        next_available = data.available[:, 1:]
        per_agent = self._operate(next_q, next_available, q_values[:, 1:].detach())  # (B, T, N)
        return self.engine.mix(self.target_mixer, per_agent, data.state[:, 1:])

    def _operate(self, next_q: Tensor, available: Tensor, online_q: Tensor) -> Tensor:
        """From action values (B, T, N, U) to one value per agent (B, T, N)."""
        options = self.options
        if options.operator == "soft_mellowmax":
            return self.engine.soft_mellowmax(next_q, available, options.alpha, options.omega)
        if options.operator == "mellowmax":
            return targets.mellowmax(next_q, available, options.omega)
        if options.operator == "softmax":
            return targets.softmax_expectation(next_q, available, options.alpha)
        chooser = online_q if self.args.double_q else next_q
        return self.engine.greedy_values(next_q, chooser, available)

    def _targets_of(self, kind: str, data: Transitions, next_values: Tensor) -> Tensor:
        """Regression targets (B, T, C)."""
        rewards = data.rewards
        # The hosts compute targets of padded steps too, and their running statistics see those and
        # their rewards; no loss does. Ours leave padding out: joining batches adds some.
        real = data.mask.squeeze(2) > 0
        if self._as_host:
            real = torch.ones_like(real)
        mask = real.unsqueeze(2).to(data.mask.dtype)
        if self.args.standardise_rewards:
            self.rew_ms.update(rewards[real])
            rewards = (rewards - self.rew_ms.mean) / torch.sqrt(self.rew_ms.var)
        if self.args.standardise_returns:
            next_values = next_values * torch.sqrt(self.ret_ms.var) + self.ret_ms.mean
        if self._as_host and self._copies_reward:
            rewards = rewards.expand(-1, -1, self.args.n_agents)
        step = (rewards, data.terminated, mask, next_values, self.args.gamma)
        if kind == "td_lambda":
            target = targets.td_lambda(*step, self.options.td_lambda)
        elif kind == "n_step":
            target = targets.n_step(*step, self.options.n_step)
        else:
            target = targets.one_step(*step)
        if self.args.standardise_returns:
            self.ret_ms.update(target[real])
            target = (target - self.ret_ms.mean) / torch.sqrt(self.ret_ms.var)
        return target

    def _optimise(self, loss: Tensor, t_env: int) -> Tensor:
        """Gradient step and, when it is due, topology update, in the order of METHOD.md §2."""
        for parameter in self.params:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        self.training_steps += 1
        due = self.networks.topology.due(self.training_steps, t_env)
        dense_gradients = self.networks.dense_gradients() if due else {}
        if due or not self.engine.gradient_is_masked:
            self.networks.mask_gradients_()
        grad_norm = torch.nn.utils.clip_grad_norm_(self.params, self.args.grad_norm_clip)
        self.optimiser.step()
        if due:
            self.networks.evolve_(dense_gradients, self.optimiser, t_env)
            self.engine.follow(self.networks.topology.masks)
        return grad_norm

    def _refresh_targets(self) -> None:
        """Hard copy every so many updates, or a soft step at every one; same masks after it."""
        interval_or_tau = self.args.target_update_interval_or_tau
        if interval_or_tau > 1:
            if self.training_steps - self.last_target_update_step >= interval_or_tau:
                self.copy_to_targets()
                self.last_target_update_step = self.training_steps
        else:
            for name, weight in self.networks.weights.items():
                target = self.networks.target_weights[name].data
                # Zero outside the masks, as both are.
                target.copy_(target * (1.0 - interval_or_tau) + weight.data * interval_or_tau)

    def copy_to_targets(self) -> None:
        """Hard update: the target networks become the online ones."""
        targets_by_name = self._targets()
        for name, network in self._online().items():
            targets_by_name[name].load_state_dict(network.state_dict())

    def _mean_per_agent(self, values: Tensor, mask: Tensor) -> float:
        """Mean over real steps, divided by N as the hosts do, for a joint value too."""
        total = (values.detach() * mask).sum().item()
        return float(total / (mask.sum().item() * self.args.n_agents))

    def _log(self, scalars: dict[str, float], t_env: int) -> None:
        for key, value in scalars.items():
            self.logger.log_stat(key, value, t_env)

    def _make_optimiser(self) -> torch.optim.Optimizer:
        # One kernel for all weights; without sparsity it is the host's own, to the last bit.
        named: dict[str, Any] = {"lr": self.args.lr, "fused": self.options.topology != "dense"}
        if self.options.optimizer == "rmsprop":
            named = {"lr": self.args.lr, "alpha": self.args.optim_alpha, "eps": self.args.optim_eps}
        return OPTIMIZERS[self.options.optimizer](self.params, **named)

    def _online(self) -> dict[str, Any]:
        networks = {"agent": self.mac.agent, "mixer": self.mixer}
        return {name: network for name, network in networks.items() if network is not None}

    def _targets(self) -> dict[str, Any]:
        networks = {"agent": self.target_mac.agent, "mixer": self.target_mixer}
        return {name: network for name, network in networks.items() if network is not None}

    def cuda(self) -> None:
        """Move everything to the GPU; called by the hosts."""
        for mac in (self.mac, self.target_mac):
            mac.cuda()
        for mixer in (self.mixer, self.target_mixer):
            if mixer is not None:
                mixer.cuda()
        self.networks.to("cuda")

    def save_models(self, path: str) -> None:
        """Write the host's own files and ``mast.pt`` into the folder ``path``."""
        save_learner(self, Path(path))

    def load_models(self, path: str) -> None:
        """Read what :meth:`save_models` wrote; targets start as copies of the online networks.

        Raises:
            CheckpointError: if the checkpoint does not fit this run.
        """
        load_learner(self, Path(path))


def _columns(vshape: int | tuple[int, ...]) -> int:
    return vshape if isinstance(vshape, int) else vshape[0]
