"""MAST for weighted QMIX: OW-QMIX and CW-QMIX.

Unrestricted networks, one agent network of their own and a mixing network that need not be
monotonic, learn the value of joint actions; their targets give the regression target. The
monotonic networks follow it by a loss that weighs overestimated actions less.

Legend: B episodes, T transitions, N agents, U actions, E utilities of an action, C columns.
Source: Rashid et al. 2020; MAST App. A.5.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from epymarl_mast.hosts.base import HostModules
from epymarl_mast.learners.batch import Update
from epymarl_mast.learners.central import CENTRAL_MIXERS, FeedForwardMixer
from epymarl_mast.learners.q_learner import MastQLearner
from epymarl_mast.learners.regression import greedy_actions
from epymarl_mast.learners.second_agents import SecondAgents
from epymarl_mast.schemas import WqmixOptions
from epymarl_mast.sparse.health import sparsity

_COMPRESSED_FROM = 0.5  # sparsity of the unrestricted mixer; below it, torch is faster


class MastWqmixLearner(MastQLearner):
    """OW-QMIX or CW-QMIX by ``mast.weighting``; registered as ``mast_wqmix_learner``."""

    options: WqmixOptions

    def build(self, scheme: Any, host: HostModules) -> None:
        args = self.args
        self.mixer = host.mixers[args.mixer](args)
        wider = copy.copy(args)
        wider.n_actions = args.n_actions * args.central_action_embed
        self.central = SecondAgents("central_agent", self.mac, scheme, wider)
        self.central_mixer = CENTRAL_MIXERS[args.central_mixer](args)
        self.target_central_mixer = copy.deepcopy(self.central_mixer)

    def online(self) -> dict[str, nn.Module]:
        return {
            "agent": self.mac.agent,
            "mixer": self.mixer,
            "central_agent": self.central.agent,
            "central_mixer": self.central_mixer,
        }

    def targets(self) -> dict[str, nn.Module]:
        # The targets come from the unrestricted networks alone.
        return {
            "central_agent": self.central.target_agent,
            "central_mixer": self.target_central_mixer,
        }

    def next_values(self, update: Update) -> Tensor:
        target_q = self._unflatten(self.central.unroll_target(update.batch, update.inputs))
        update.kept["target_utilities"] = target_q
        available = update.data.available[:, 1:]
        online_q = update.q_values[:, 1:].detach()
        if self.args.central_action_embed == 1:
            operated = self.regression.operate(target_q[:, 1:, ..., 0], available, online_q)
            chosen = operated.unsqueeze(3)  # (B, T, N, E)
        else:
            chosen = _pick(target_q[:, 1:], greedy_actions(online_q, available))
        return self.engine.mix_unrestricted(
            self.target_central_mixer, chosen, update.data.state[:, 1:]
        )

    def loss(
        self, update: Update, target: Tensor, td_error: Tensor, mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        flat = self.central.unroll(update.engine, update.batch, update.inputs)
        utilities = self._unflatten(flat)[:, :-1]
        taken = _pick(utilities, update.data.actions)  # (B, T, N, E)
        state = update.data.state[:, :-1]
        central_values = update.engine.mix_unrestricted(self.central_mixer, taken, state)
        central_error = (central_values - target) * mask
        with torch.no_grad():
            weights = self.weights(update, target, td_error)
        steps = mask.sum()
        weighted = (weights * td_error**2).sum() / steps
        central = (central_error**2).sum() / steps
        parts = {
            "mast_weighted_loss": weighted.detach(),
            "mast_central_loss": central.detach(),
            "mast_weight_mean": (weights * mask).sum() / steps,
        }
        return weighted + central, parts

    def weights(self, update: Update, target: Tensor, td_error: Tensor) -> Tensor:
        """Weight of each squared TD error, (B, T, C): 1 or ``mast.small_weight``.

        ``ow``: 1 where the joint value is below its target. ``cw``: 1 where the joint action taken
        is the greedy one, or its target is above the value of the greedy one.
        """
        if self.options.weighting == "ow":
            full = td_error < 0
        else:
            data = update.data
            greedy = greedy_actions(update.q_values[:, :-1].detach(), data.available[:, :-1])
            chosen = _pick(update.kept["target_utilities"][:, :-1], greedy)
            value_of_greedy = self.engine.mix_unrestricted(
                self.target_central_mixer, chosen, data.state[:, :-1]
            )
            taken_is_greedy = (greedy == data.actions).all(dim=2)  # (B, T, 1)
            full = taken_is_greedy | (target > value_of_greedy)
        return torch.where(full, 1.0, self.options.small_weight)

    def follow_masks(self) -> None:
        absent = sparsity(self.masks_of("central_mixer").values())
        known = type(self.central_mixer) is FeedForwardMixer
        self._compressed = known and absent >= _COMPRESSED_FROM
        compressed = ("central_mixer",) if self._compressed else ()
        self.engine.follow(self.masks_of("agent", "mixer", *compressed), self.trained.vectors)
        self.central.follow(self.engine, self.masks_of("central_agent"), self.trained.vectors)

    @property
    def computed_by_torch(self) -> tuple[str, ...]:
        return () if self._compressed else ("central_mixer",)

    def _unflatten(self, flat: Tensor) -> Tensor:
        """Utilities (B, T+1, N, U, E) from an unrestricted agent's outputs (B, T+1, N, U*E)."""
        return flat.reshape(*flat.shape[:3], self.args.n_actions, self.args.central_action_embed)


def _pick(utilities: Tensor, actions: Tensor) -> Tensor:
    """Utilities (B, T, N, E) of one action of each agent, from (B, T, N, U, E) and (B, T, N, 1)."""
    index = actions.unsqueeze(4).expand(-1, -1, -1, -1, utilities.shape[4])
    return torch.gather(utilities, 3, index).squeeze(3)
