"""The regression target of an update, from the values of the next states.

Legend: B episodes, T transitions, N agents, U actions, C columns of the value: N without a mixer;
with one it is 1, or N equal copies where the hosts have them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from epymarl_mast import targets
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.learners.batch import Transitions
from epymarl_mast.learners.engines import UNAVAILABLE, HostEngine
from epymarl_mast.options import MastOptions

# As logged.
TARGET_KINDS = {"one_step": 0.0, "n_step": 1.0, "td_lambda": 2.0}
# What these become at T_0; one-step before.
_LATER = {"hybrid": "td_lambda", "delayed_n_step": "n_step"}


class Regression:
    """Operator and returns of the ``mast:`` block, and the hosts' running statistics.

    Args:
        options: the checked ``mast:`` block.
        args: the run's configuration.
        host: the imported host's parts.
        reward_shape: ``vshape`` of the reward: 1 for a common one, else N.
        device: where the statistics are kept.
        engine: computes all of it.

    Attributes:
        as_host: whether targets and replay are the host's own; then they are so to the last bit.
        rew_ms, ret_ms: running statistics of rewards and returns.
    """

    def __init__(
        self,
        options: MastOptions,
        args: Any,
        host: HostModules,
        reward_shape: int | tuple[int, ...],
        device: str,
        engine: HostEngine,
    ) -> None:
        reward_columns = reward_shape if isinstance(reward_shape, int) else reward_shape[0]
        self.options = options
        self.args = args
        self.as_host = (
            options.operator == "max"
            and options.target == "one_step"
            and options.own_buffer_size == 0
        )
        self._engine = engine
        self._copies_reward = host.copies_common_reward and reward_columns == 1
        self.ret_ms = host.running_mean_std(shape=(args.n_agents,), device=device)
        self.rew_ms = host.running_mean_std(shape=(reward_columns,), device=device)

    def kind(self, t_env: int) -> str:
        """Which return is the target at ``t_env``: hybrid and delayed_n_step switch at T_0."""
        target = self.options.target
        if target not in _LATER:
            return target
        start = self.options.td_lambda_start * self.args.t_max
        return "one_step" if t_env < start else _LATER[target]

    def operate(self, next_q: Tensor, available: Tensor, online_q: Tensor) -> Tensor:
        """From action values (B, T, N, U) to one value per agent (B, T, N)."""
        options = self.options
        if options.operator == "soft_mellowmax":
            return self._engine.soft_mellowmax(next_q, available, options.alpha, options.omega)
        if options.operator == "mellowmax":
            return targets.mellowmax(next_q, available, options.omega)
        if options.operator == "softmax":
            return targets.softmax_expectation(next_q, available, options.alpha)
        chooser = online_q if self.args.double_q else next_q
        return self._engine.greedy_values(next_q, chooser, available)

    def rewards(self, data: Transitions) -> Tensor:
        """Rewards of a batch, (B, T, 1) or (B, T, N), standardised if the run says so."""
        if not self.args.standardise_rewards:
            return data.rewards
        return self._engine.standardise(data.rewards, self._seen(data), self.rew_ms)

    def target(self, kind: str, data: Transitions, rewards: Tensor, next_values: Tensor) -> Tensor:
        """Regression targets (B, T, C).

        Args:
            kind: from :meth:`kind`.
            data: the batch.
            rewards: from :meth:`rewards`.
            next_values: (B, T, C) value of the state after each step.
        """
        options, seen = self.options, self._seen(data)
        next_values = self._as_returns(next_values)
        if self.as_host and self._copies_reward:
            rewards = rewards.expand(-1, -1, self.args.n_agents)
        mask = torch.ones_like(data.mask) if seen is None else seen
        step = (rewards, data.terminated, mask, next_values)
        target = self._engine.returns(
            kind, step, self.args.gamma, options.td_lambda, options.n_step
        )
        if self.args.standardise_returns:
            self.ret_ms.update(target[mask.squeeze(2) > 0])
            target = self.standardised(target)
        return target

    def realised(self, data: Transitions, next_values: Tensor) -> Tensor:
        """Discounted returns (B, T, C) that followed each step, in the unit of the networks.

        The running statistics are those of now, and do not see this batch.

        Args:
            data: the batch.
            next_values: (B, T, C) value of the state after each step: what counts where an episode
                was cut and not terminated.
        """
        rewards = data.rewards
        if self.args.standardise_rewards:
            rewards = (rewards - self.rew_ms.mean) / torch.sqrt(self.rew_ms.var)
        step = (rewards, data.terminated, data.mask, self._as_returns(next_values))
        returns = targets.td_lambda(*step, self.args.gamma, lam=1.0)
        return torch.where(data.mask > 0, self.standardised(returns), 0.0)

    def standardised(self, returns: Tensor) -> Tensor:
        """Returns in the unit that the networks learn."""
        if not self.args.standardise_returns:
            return returns
        standard: Tensor = (returns - self.ret_ms.mean) / torch.sqrt(self.ret_ms.var)
        return standard

    def _as_returns(self, values: Tensor) -> Tensor:
        """What :meth:`standardised` undoes: values in the unit of the rewards."""
        if not self.args.standardise_returns:
            return values
        returns: Tensor = values * torch.sqrt(self.ret_ms.var) + self.ret_ms.mean
        return returns

    def _seen(self, data: Transitions) -> Tensor | None:
        """(B, T, 1) 1 for the steps that targets and running statistics see; None: all.

        The hosts compute targets of padded steps too, and their running statistics see those and
        their rewards; no loss does. Ours leave padding out: joining batches adds some.
        """
        return None if self.as_host else data.mask


def greedy_actions(q: Tensor, available: Tensor) -> Tensor:
    """Available action of highest value, (..., U) to (..., 1); as the hosts choose it."""
    return q.masked_fill(available == 0, UNAVAILABLE).argmax(dim=-1, keepdim=True)
