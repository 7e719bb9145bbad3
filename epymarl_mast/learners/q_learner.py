"""The learner of every algorithm: one ``train()``, and hooks that an algorithm fills in.

Legend: B episodes, T transitions, N agents, U actions, I inputs, C columns of the value: N without
a mixer; with one it is 1, or N equal copies where the hosts have them.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from epymarl_mast.checks import check_run
from epymarl_mast.costs import run_cost
from epymarl_mast.errors import warn
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.learners.auto_sparsity import AutoSparsity
from epymarl_mast.learners.batch import Transitions, Update
from epymarl_mast.learners.checkpoint import load_learner, save_learner
from epymarl_mast.learners.divergence import check_converging
from epymarl_mast.learners.engine_choice import choose_engine, knows
from epymarl_mast.learners.engines import HostEngine, MaskedEngine, agent_inputs
from epymarl_mast.learners.own_replay import OwnReplay, distance_from_policy
from epymarl_mast.learners.regression import TARGET_KINDS, Regression
from epymarl_mast.learners.sparse_networks import SparseNetworks
from epymarl_mast.learners.trained import ParameterGroup, TrainedParameters
from epymarl_mast.options import MastOptions
from epymarl_mast.sparse.kernels import AgentInputs
from epymarl_mast.tracking.mask_history import MaskRecorder
from epymarl_mast.tracking.metrics import log_all, say, sparse_metrics, update_metrics

Metrics = dict[str, Tensor]


class MastQLearner:
    """Value-decomposition learner whose networks are sparse throughout: QMIX, VDN, IQL.

    Registered as ``mast_q_learner``; it has the interface of the hosts' own learners. With every
    part switched off its updates equal those of the host's ``QLearner`` (docs/method.md, 19, names
    the exception). Other algorithms override :meth:`build`, :meth:`online`, :meth:`targets`,
    :meth:`action_values`, :meth:`next_values` and :meth:`loss` (docs/extending.md).

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
        seeds = np.random.SeedSequence(args.seed).generate_state(4).tolist()
        topology_seed, replay_seed, _, noise_seed = seeds  # the third is the controller's
        self.noise = torch.Generator().manual_seed(noise_seed)
        # Before mac.online_buffer is set below: no target must share the buffer.
        self.build(scheme, host)
        self.trained = TrainedParameters(self.online(), self.parameter_groups(), self.options, args)
        self.optimiser = self.trained.optimiser

        draws = torch.Generator().manual_seed(topology_seed)
        self.networks = SparseNetworks(
            self.online(), self.targets(), self.options, args.t_max, draws
        )
        self.replay = OwnReplay(self.options, args, replay_seed)
        mac.online_buffer = self.replay.buffer  # filled by the mast_* runners
        mac.learner = self  # for the runner's checkpoints
        mac.mask_recorder = MaskRecorder(logger, self.networks.topology, args.t_max)
        self.auto = AutoSparsity(self.options)
        self._scheme = scheme
        self.count_cost()

        device = "cuda" if args.use_cuda else "cpu"
        self.masked_engine = MaskedEngine() if knows(mac, host) else HostEngine()
        self.engine, why = self.pick_engine(device)
        self.regression = Regression(
            self.options, args, host, scheme["reward"]["vshape"], device, self.engine
        )
        if self.engine.gradient_is_masked:  # the sparse engine: on the CPU, with kernels
            self.trained.use_kernels()
        self.dense_engine = self.engine.of_dense_gradients(self.trained.vectors)
        self.follow_masks()
        say(logger, f"mast.engine: {self.engine.name} ({why})")
        if self.options.tiny:
            say(logger, f"mast.tiny: {args.mast_tiny.said}")
        for what in self.computed_by_torch if self.engine.gradient_is_masked else ():
            say(logger, f"mast.engine: masked torch for {what}")
        self.training_steps = 0
        self.last_target_update_step = 0
        self.log_stats_t = -args.learner_log_interval - 1

    def count_cost(self) -> None:
        """Note what the networks cost as they are."""
        self.cost = run_cost(self.networks.costs, vars(self.args), self.options, self._scheme)

    def build(self, scheme: Any, host: HostModules) -> None:
        """Make the networks beside ``mac``: the mixing network and the targets.

        Args:
            scheme: the replay buffer's scheme.
            host: the imported host's parts.
        """
        self.mixer = host.mixers[self.args.mixer](self.args) if self.args.mixer else None
        self.target_mac = copy.deepcopy(self.mac)
        self.target_mixer = copy.deepcopy(self.mixer)

    def online(self) -> dict[str, nn.Module]:
        """``{name: network}`` of all networks that are trained; ``agent`` is first."""
        return _existing(agent=self.mac.agent, mixer=self.mixer)

    def targets(self) -> dict[str, nn.Module]:
        """``{name: network}`` of the target networks, named like their online networks."""
        return _existing(agent=self.target_mac.agent, mixer=self.target_mixer)

    def train(self, batch: Any, t_env: int, episode_num: int) -> None:
        """One gradient update.

        Args:
            batch: the host's sample from its replay buffer.
            t_env: environment steps so far.
            episode_num: training episodes so far; unused, part of the hosts' interface.

        Raises:
            RunError: if the gradient is not finite; no network has been changed by it.
        """
        drawn = batch.batch_size  # from the host's buffer
        batch = self.replay.batch(batch, self.engine)
        data = Transitions.from_batch(batch, self.engine, as_host=self.regression.as_host)
        engine = self._engine_for(t_env)
        inputs = agent_inputs(self.mac, batch) if engine.needs_inputs else None
        q_values = self.action_values(engine, batch, inputs)  # (B, T+1, N, U)
        with torch.no_grad():
            kind = self.regression.kind(t_env)
            rewards = self.regression.rewards(data)
            update = Update(batch, data, inputs, engine, self.mixer, q_values, rewards)
            target = self.regression.target(kind, data, rewards, self.next_values(update))

        self.trained.zero_grad()
        values, td_error, loss, parts = self._fit(update, target)
        mask = data.mask.expand_as(td_error)
        self.auto.observe(td_error, target, mask)
        evolutions = self.networks.topology.updates
        grad_norm = self._optimise(loss, t_env)
        self._refresh_targets()
        self.replay.adapt(self.training_steps, self.policy_distance, batch)
        evolved = self.networks.topology.updates > evolutions
        self.mac.mask_recorder.after_update(t_env)
        if due := t_env - self.log_stats_t >= self.args.learner_log_interval:
            scalars = {
                **update_metrics(self.args, loss, grad_norm, td_error, values, target, mask),
                "mast_target_kind": TARGET_KINDS[kind],
                **self.replay.metrics(),
                **self.replay.distances(self.policy_distance, batch, drawn),
                **self.auto.metrics(),
                **{name: float(part) for name, part in parts.items()},
            }
            log_all(self.logger, scalars, t_env)
            self.log_stats_t = t_env
        if due or evolved:
            log_all(self.logger, sparse_metrics(self.networks.topology, self.cost), t_env)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Which networks take a step together; each group's gradient is clipped by itself."""
        return [ParameterGroup(tuple(self.online()))]

    def action_values(self, engine: HostEngine, batch: Any, inputs: AgentInputs | None) -> Tensor:
        """Online values (B, T+1, N, U) of all actions, which the TD error trains."""
        return engine.unroll(self.mac, batch, inputs)

    def next_values(self, update: Update) -> Tensor:
        """Target value of the state after each step, (B, T, C); called without gradient."""
        next_q = self.engine.unroll(self.target_mac, update.batch, update.inputs)[:, 1:]
        per_agent = self.regression.operate(
            next_q, update.data.available[:, 1:], update.q_values[:, 1:]
        )  # (B, T, N)
        return self.engine.mix(self.target_mixer, per_agent, update.data.state[:, 1:])

    def loss(
        self, update: Update, target: Tensor, td_error: Tensor, mask: Tensor
    ) -> tuple[Tensor, Metrics]:
        """What is minimised.

        Args:
            update: this update so far.
            target: (B, T, C) regression target, without gradient.
            td_error: (B, T, C) ``update.values`` minus target, 0 outside the episodes.
            mask: (B, T, C) 1 inside the episodes.

        Returns:
            The loss, and ``{metric: number}`` to log beside it.
        """
        return update.engine.mean_square(td_error, mask), {}

    def policy_distance(self, batch: Any) -> float:
        """How far today's greedy policy is from the actions in a batch, 0 to 1."""
        return distance_from_policy(self.mac, self.engine, batch)

    def pick_engine(self, device: str) -> tuple[HostEngine, str]:
        """The engine for ``mast.engine`` on a device, and why it is that one."""
        return choose_engine(
            self.options.engine,
            known=self.masked_engine.needs_inputs,
            dense=self.options.topology == "dense",
            device=device,
        )

    def follow_masks(self) -> None:
        """Tell the engine the masks of the networks it computes."""
        self.engine.follow(self.masks_of("agent", "mixer"), self.trained.vectors)

    def masks_of(self, *networks: str) -> dict[str, Tensor]:
        """``{weight: mask}`` of some networks."""
        masks = self.networks.topology.masks
        return {n: mask for n, mask in masks.items() if n.partition(".")[0] in networks}

    def _engine_for(self, t_env: int) -> HostEngine:
        """The engine of the next update: one that evolves the topology needs dense gradients."""
        due = self.networks.topology.due(self.training_steps + 1, t_env)
        return self.dense_engine if due else self.engine

    def _fit(self, update: Update, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Metrics]:
        """Values (B, T, C), TD errors (B, T, C) and the loss, whose gradients are computed."""
        data, engine = update.data, update.engine
        if type(self).loss is MastQLearner.loss:  # nothing else is minimised
            actions, state = data.actions, data.state[:, :-1]
            fit = engine.fit(self.mixer, update.q_values, actions, state, target, data.mask)
            if fit is not None:
                return fit.values, fit.errors, fit.loss, {}
        td_error = engine.masked_error(update.values, target, data.mask)
        loss, parts = self.loss(update, target, td_error, data.mask.expand_as(td_error))
        loss.backward()  # type: ignore[no-untyped-call]
        return update.values, td_error, loss, parts

    def _optimise(self, loss: Tensor, t_env: int) -> float:
        """Gradient step and, when it is due, topology update, in the order of METHOD.md §2."""
        self.training_steps += 1
        due = self.networks.topology.due(self.training_steps, t_env)
        dense = due or bool(self.computed_by_torch) or not self.engine.gradient_is_masked
        self.trained.gather_gradients(into_parameters=dense)
        dense_gradients = self.networks.dense_gradients() if due else {}
        if dense:
            self.networks.mask_gradients_()
        grad_norm = self.trained.clip(self.args.grad_norm_clip)
        check_converging(grad_norm, loss, self.training_steps, t_env)
        self.trained.step()
        if due:
            self._adapt_sparsity()
            self.trained.forget(self.networks.evolve_(dense_gradients, t_env))
            self.follow_masks()
        return grad_norm

    def _adapt_sparsity(self) -> None:
        """With ``mast.sparsity=auto``: how many weights the topology update will leave."""
        evolution = self.networks.topology.updates + 1
        sparsity = self.auto.decide(evolution, self.replay.buffer)
        if sparsity is not None:
            self.networks.set_sparsity(sparsity)
            self.count_cost()

    @property
    def computed_by_torch(self) -> tuple[str, ...]:
        """What no engine knows; torch computes it, on masked dense tensors."""
        return tuple(name for name in self.online() if name not in ("agent", "mixer"))

    def _refresh_targets(self) -> None:
        """Hard copy every so many updates, or a soft step at every one; same masks after it."""
        interval_or_tau = self.args.target_update_interval_or_tau
        if interval_or_tau > 1:
            if self.training_steps - self.last_target_update_step >= interval_or_tau:
                self.copy_to_targets()
                self.last_target_update_step = self.training_steps
        else:
            self.networks.blend_targets_(interval_or_tau)

    def copy_to_targets(self) -> None:
        """Hard update: the target networks become the online ones."""
        online = self.online()
        for name, network in self.targets().items():
            network.load_state_dict(online[name].state_dict())

    def cuda(self) -> None:
        """Move everything to the GPU; called by the hosts."""
        self.mac.cuda()
        for network in (*self.online().values(), *self.targets().values()):
            network.cuda()
        self.networks.to("cuda")
        self.trained.renew()

    def save_models(self, path: str) -> None:
        """Write the host's own files and ``mast.pt`` into the folder ``path``.

        Training goes on without them where that cannot be done.
        """
        try:
            save_learner(self, Path(path))
        except OSError as error:
            warn(f"no checkpoint in {path} ({error.strerror}): make room there; training goes on")

    def load_models(self, path: str) -> None:
        """Read what :meth:`save_models` wrote; targets start as copies of the online networks.

        Raises:
            CheckpointError: if the checkpoint does not fit this run.
        """
        load_learner(self, Path(path))


def _existing(**networks: nn.Module | None) -> dict[str, nn.Module]:
    return {name: network for name, network in networks.items() if network is not None}
