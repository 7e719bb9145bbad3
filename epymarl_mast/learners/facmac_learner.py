"""MAST for FACMAC with discrete actions: policies, and critics that are mixed.

Each agent has a policy (the network that acts) and a critic, which gives a utility to each of its
actions. The mixing network makes the team's value of the utilities, as in QMIX; the policies climb
it together.

Legend: B episodes, T transitions, N agents, U actions, C columns.
Source: Peng et al. 2021, "FACMAC: Factored Multi-Agent Centralised Policy Gradients"; MAST
App. A.5.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from epymarl_mast.hosts.base import HostModules
from epymarl_mast.learners.batch import Update
from epymarl_mast.learners.engines import HostEngine
from epymarl_mast.learners.policy import entropy, straight_through
from epymarl_mast.learners.q_learner import MastQLearner
from epymarl_mast.learners.second_agents import SecondAgents
from epymarl_mast.learners.trained import ParameterGroup
from epymarl_mast.networks import critic_config
from epymarl_mast.schemas import FacmacOptions
from epymarl_mast.sparse.kernels import AgentInputs


class MastFacmacLearner(MastQLearner):
    """FACMAC; registered as ``mast_facmac_learner``."""

    options: FacmacOptions

    def build(self, scheme: Any, host: HostModules) -> None:
        super().build(scheme, host)
        args = copy.copy(self.args)
        vars(args).update(critic_config(vars(args)))
        self.critic = SecondAgents("critic", self.mac, scheme, args)

    def online(self) -> dict[str, nn.Module]:
        return {**super().online(), "critic": self.critic.agent}

    def targets(self) -> dict[str, nn.Module]:
        return {**super().targets(), "critic": self.critic.target_agent}

    def parameter_groups(self) -> list[ParameterGroup]:
        """Policies and critics take their own steps, each with its own clipping of the gradient."""
        critics = tuple(name for name in self.online() if name != "agent")
        return [ParameterGroup(("agent",), lr=self.options.actor_lr), ParameterGroup(critics)]

    def action_values(self, engine: HostEngine, batch: Any, inputs: AgentInputs | None) -> Tensor:
        """Utilities by the critics; it is these that the TD error trains."""
        return self.critic.unroll(engine, batch, inputs)

    def next_values(self, update: Update) -> Tensor:
        """Target critics and target mixing network; the target policies choose with ``max``."""
        utilities = self.critic.unroll_target(update.batch, update.inputs)[:, 1:]
        logits = self.engine.unroll(self.target_mac, update.batch, update.inputs)[:, 1:]
        available = update.data.available[:, 1:]
        per_agent = self.regression.operate(utilities, available, logits)
        return self.engine.mix(self.target_mixer, per_agent, update.data.state[:, 1:])

    def loss(
        self, update: Update, target: Tensor, td_error: Tensor, mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared TD error of the critics, and the team's value of the policies' actions.

        A penalty on the logits keeps the policies from becoming deterministic, where no gradient
        passes any more, before the critics know better.
        """
        critic, _ = super().loss(update, target, td_error, mask)
        logits = update.engine.unroll(self.mac, update.batch, update.inputs)[:, :-1]
        available, steps = update.data.available[:, :-1], update.data.mask
        policy = -(self.policy_values(update, logits) * steps).sum() / steps.sum()
        own = torch.where(available == 0, 0.0, logits**2).mean(dim=(2, 3)).unsqueeze(2)  # (B, T, 1)
        penalty = self.options.logit_penalty * (own * steps).sum() / steps.sum()
        uncertain = entropy(logits.detach(), available).mean(dim=2, keepdim=True)  # (B, T, 1)
        parts = {
            "mast_critic_loss": critic.detach(),
            "mast_policy_value": -policy.detach(),
            "mast_policy_entropy": (uncertain * steps).sum() / steps.sum(),
        }
        return critic + policy + penalty, parts

    def policy_values(self, update: Update, logits: Tensor) -> Tensor:
        """Team's value (B, T, 1) of actions drawn from the policies, for all agents at once.

        Its gradient reaches the policies alone: critics and mixing network are held fixed.

        Args:
            update: this update so far.
            logits: (B, T, N, U) of the policies.
        """
        actions = straight_through(
            logits, update.data.available[:, :-1], self.options.gumbel_temperature, self.noise
        )
        utilities = (actions * update.q_values[:, :-1].detach()).sum(dim=3)  # (B, T, N)
        mixer = self.online()["mixer"]
        fixed = {name: weight.detach() for name, weight in mixer.named_parameters()}
        state = update.data.state[:, :-1]
        value: Tensor = torch.func.functional_call(mixer, fixed, (utilities, state))
        return value

    def follow_masks(self) -> None:
        super().follow_masks()
        self.critic.follow(self.engine, self.masks_of("critic"), self.trained.vectors)

    @property
    def computed_by_torch(self) -> tuple[str, ...]:
        return ("mixer under the policies' actions",)
