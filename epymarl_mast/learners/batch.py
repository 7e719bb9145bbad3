"""What a learner reads from a host's episode batch, and what it makes of it in one update.

Legend: B episodes, T transitions (the batch holds T+1 steps), N agents, U actions, I inputs, C
columns of the value: N without a mixer; with one it is 1, or N copies where the hosts have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from epymarl_mast.learners.engines import HostEngine
from epymarl_mast.sparse.kernels import AgentInputs


@dataclass(frozen=True)
class Transitions:
    """The fields of one update.

    Attributes:
        rewards: (B, T, 1), or (B, T, N) for individual rewards.
        actions: (B, T, N, 1) actions taken.
        terminated: (B, T, 1) 1 where the task ended.
        mask: (B, T, 1) 1 inside the episode.
        available: (B, T+1, N, U) 1 for an action that can be taken.
        state: (B, T+1, S).
    """

    rewards: Tensor
    actions: Tensor
    terminated: Tensor
    mask: Tensor
    available: Tensor
    state: Tensor

    @classmethod
    def from_batch(cls, batch: Any, engine: HostEngine, *, as_host: bool) -> Transitions:
        """Read a host's ``EpisodeBatch``.

        Args:
            batch: the host's episode batch.
            engine: the learner's.
            as_host: see :meth:`.engines.HostEngine.real_steps`.
        """
        terminated, mask = engine.real_steps(batch["filled"], batch["terminated"], as_host=as_host)
        return cls(
            rewards=batch["reward"][:, :-1],
            actions=batch["actions"][:, :-1],
            terminated=terminated,
            mask=mask,
            available=batch["avail_actions"],
            state=batch["state"],
        )


@dataclass(frozen=True)
class Update:
    """What one update has read and computed so far.

    Attributes:
        batch: the host's episode batch, the newest episodes among it.
        data: its fields.
        inputs: (B, T+1, N, I) of the agent networks, where the engine needs them.
        engine: computes the online networks in this update.
        mixer: the online mixing network, or None.
        q_values: (B, T+1, N, U) of the online agent networks.
        rewards: (B, T, 1) or (B, T, N), standardised if the run says so.
        kept: what one hook keeps for a later one.
    """

    batch: Any
    data: Transitions
    inputs: AgentInputs | None
    engine: HostEngine
    mixer: Any
    q_values: Tensor
    rewards: Tensor
    kept: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def values(self) -> Tensor:
        """(B, T, C) of the actions taken, by the online networks; computed when first asked for."""
        actions, state = self.data.actions, self.data.state[:, :-1]
        with torch.enable_grad():
            return self.engine.value_of_actions(self.mixer, self.q_values, actions, state)


def episode_batch(fields: Mapping[str, Tensor], like: Any) -> Any:
    """``{field: (B, T, ...)}`` as a host's ``EpisodeBatch``, on the device of another one."""
    episodes, steps = fields["filled"].shape[:2]
    if fields["filled"].device != torch.device(like.device):
        fields = {key: field.to(like.device) for key, field in fields.items()}
    data = SimpleNamespace(transition_data=fields, episode_data=like.data.episode_data)
    return type(like)(like.scheme, like.groups, episodes, steps, data=data, device=like.device)
