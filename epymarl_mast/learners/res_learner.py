"""MAST for RES: regularised softmax Q-learning.

Legend: B episodes, T transitions, N agents, U actions, K = N·U joint actions, C columns.
Source: Pan et al. 2021; MAST App. A.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from epymarl_mast import targets
from epymarl_mast.learners.batch import Update
from epymarl_mast.learners.candidates import mix_candidates, one_agent_deviates
from epymarl_mast.learners.engines import UNAVAILABLE
from epymarl_mast.learners.q_learner import MastQLearner
from epymarl_mast.learners.regression import greedy_actions
from epymarl_mast.schemas import ResOptions


class MastResLearner(MastQLearner):
    """RES; registered as ``mast_res_learner``."""

    options: ResOptions

    def next_values(self, update: Update) -> Tensor:
        """RES's own operator: Σ_k softmax(β·Q_tot)_k · Q̄_tot,k over joint actions k."""
        if self.options.res_operator == "none":
            return super().next_values(update)
        available = update.data.available[:, 1:]
        state = update.data.state[:, 1:]
        target_q = self.engine.unroll(self.target_mac, update.batch, update.inputs)[:, 1:]
        online_q = update.q_values[:, 1:].detach()
        greedy = greedy_actions(online_q, available)
        online, target = (
            mix_candidates(
                mixer,
                one_agent_deviates(q.masked_fill(available == 0, UNAVAILABLE), greedy),
                state,
            )
            for mixer, q in ((self.mixer, online_q), (self.target_mixer, target_q))
        )  # (B, T, K) each
        counted = available.flatten(2)
        if self.options.res_operator == "all":
            counted = torch.ones_like(counted)
        return targets.softmax_of(online, target, counted, self.options.res_beta).unsqueeze(2)

    def loss(
        self, update: Update, target: Tensor, td_error: Tensor, mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared TD error, plus λ_res times the squared distance to the episode's own return."""
        data = update.data
        none_after = torch.zeros_like(update.rewards)
        returns = targets.td_lambda(
            update.rewards, data.terminated, data.mask, none_after, self.args.gamma, lam=1.0
        )
        distance = (update.values - self.regression.standardised(returns)) * mask
        penalty = (distance**2).sum() / mask.sum()
        loss, parts = super().loss(update, target, td_error, mask)
        total = loss + self.options.res_lambda * penalty
        return total, {**parts, "mast_return_penalty": penalty.detach()}

    @property
    def computed_by_torch(self) -> tuple[str, ...]:
        own = () if self.options.res_operator == "none" else ("mixer over joint actions",)
        return (*super().computed_by_torch, *own)
