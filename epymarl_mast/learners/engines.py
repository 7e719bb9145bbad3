"""How the networks are computed over an episode batch. The result is the same for every engine.

``masked`` computes on dense tensors whose absent weights are zero, on any device, and gives the
gradient at every position, the whole sequence at once. ``host`` does the same by the host's own
steps, for any agent network. ``sparse`` touches kept weights only, on the CPU, and gives the
gradient at their positions.

Legend: B episodes, T steps, N agents, O observation, I inputs, H hidden units, U actions, S state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from epymarl_mast import targets
from epymarl_mast.controllers.sequence import run_agents
from epymarl_mast.replay import Joined, copy_episodes
from epymarl_mast.sparse import ParameterVector
from epymarl_mast.sparse.kernels import (
    AgentInputs,
    Fit,
    Scattered,
)

Vectors = Mapping[nn.Module, ParameterVector]

# What hosts put in place of an unavailable action's value before an argmax.
UNAVAILABLE = -9999999


class HostEngine:
    """The host's own steps, one by one: any agent network, to the last bit."""

    name = "host"
    needs_inputs = False  # whether unroll() reads ``inputs``
    gradient_is_masked = False  # whether it is zero outside the masks by itself

    def unroll(self, mac: Any, batch: Any, inputs: AgentInputs | None) -> Tensor:
        """Action values of every step of a batch.

        Args:
            mac: the host's multi-agent controller.
            batch: the host's episode batch.
            inputs: from :func:`agent_inputs`, where the engine needs them.

        Returns:
            (B, T, N, U).
        """
        mac.init_hidden(batch.batch_size)
        steps = [mac.forward(batch, t=t) for t in range(batch.max_seq_length)]
        return torch.stack(steps, dim=1)

    def values_of_actions(self, values: Tensor, actions: Tensor) -> Tensor:
        """(B, T, N) from values (B, T+1, N, U) and the actions (B, T, N, 1) taken."""
        return torch.gather(values[:, :-1], 3, actions).squeeze(3)

    def mix(self, mixer: Any, agent_values: Tensor, state: Tensor) -> Tensor:
        """Joint value (B, T, 1) of agent values (B, T, N); those themselves without a mixer."""
        mixed: Tensor = agent_values if mixer is None else mixer(agent_values, state)
        return mixed

    def mix_unrestricted(self, mixer: Any, utilities: Tensor, state: Tensor) -> Tensor:
        """Joint value (B, T, 1) of utilities (B, T, N, E) by weighted QMIX's unrestricted mixer."""
        mixed: Tensor = mixer(utilities, state)
        return mixed

    def value_of_actions(
        self, mixer: Any, values: Tensor, actions: Tensor, state: Tensor
    ) -> Tensor:
        """:meth:`mix` of :meth:`values_of_actions`; (B, T, 1), or (B, T, N) without a mixer."""
        return self.mix(mixer, self.values_of_actions(values, actions), state)

    def greedy_values(self, values: Tensor, chooser: Tensor, available: Tensor) -> Tensor:
        """``values`` at the action that ``chooser`` has highest, exactly as the hosts do.

        Args:
            values: (B, T, N, U), for instance the target network's.
            chooser: (B, T, N, U), for instance the online network's: Double Q-learning.
            available: (B, T, N, U) 1 for an action that can be taken.

        Returns:
            (B, T, N); -9999999 where no action is available.
        """
        absent = available == 0
        greedy = chooser.masked_fill(absent, UNAVAILABLE).argmax(dim=3, keepdim=True)
        return torch.gather(values.masked_fill(absent, UNAVAILABLE), 3, greedy).squeeze(3)

    def soft_mellowmax(self, q: Tensor, available: Tensor, alpha: float, omega: float) -> Tensor:
        """See :func:`epymarl_mast.targets.soft_mellowmax`; (B, T, N, U) to (B, T, N)."""
        return targets.soft_mellowmax(q, available, alpha, omega)

    def copy_episodes(
        self, indices: Sequence[Tensor], fields: Sequence[tuple[Sequence[Tensor], Tensor]]
    ) -> None:
        """See :func:`epymarl_mast.replay.copy_episodes`."""
        copy_episodes(indices, fields)

    def real_steps(self, filled: Tensor, ended: Tensor, *, as_host: bool) -> tuple[Tensor, Tensor]:
        """Where the task ended and what is inside the episodes, both (B, T, 1) float.

        Args:
            filled: (B, T+1, 1) 1 for a step that was taken.
            ended: (B, T+1, 1) 1 for a step that ended the task.
            as_host: take steps as real exactly as the hosts do. They leave out that a transition
                needs a next state, and count one step too many for an episode that was cut, not
                terminated, before the end of the batch; joining batches makes such episodes.
        """
        terminated = ended[:, :-1].float()
        mask = filled[:, :-1].float()
        if not as_host:
            mask = mask * filled[:, 1:]
        mask[:, 1:] = mask[:, 1:] * (1 - terminated[:, :-1])
        return terminated, mask

    def standardise(self, rewards: Tensor, mask: Tensor | None, statistics: Any) -> Tensor:
        """Rewards (B, T, C) in the unit of a host's running statistics, which have seen them then.

        With a mask (B, T, 1), the statistics see those inside it only.
        """
        inside = None if mask is None else mask.squeeze(2) > 0
        # To leave nothing out is cheaper than to pick everything.
        everything = inside is None or bool(inside.all())
        statistics.update(rewards if everything else rewards[inside])
        standard: Tensor = (rewards - statistics.mean) / torch.sqrt(statistics.var)
        return standard

    def returns(self, kind: str, step: targets.Step, gamma: float, lam: float, n: int) -> Tensor:
        """Regression targets (B, T, C), see :mod:`epymarl_mast.targets.returns`.

        Args:
            kind: ``one_step``, ``n_step`` or ``td_lambda``.
            step: rewards (B, T, 1 or C), terminated and mask (B, T, 1), next values (B, T, C).
            gamma: discount.
            lam: λ of ``td_lambda``.
            n: number of rewards of ``n_step``.
        """
        if kind == "td_lambda":
            return targets.td_lambda(*step, gamma, lam)
        if kind == "n_step":
            return targets.n_step(*step, gamma, n)
        return targets.one_step(*step, gamma)

    def masked_error(self, values: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """``(values - target) * mask``; (B, T, C), the mask (B, T, 1)."""
        return (values - target) * mask

    def mean_square(self, errors: Tensor, mask: Tensor) -> Tensor:
        """Sum of the squares of errors (B, T, C) over the size of a mask (B, T, 1) or (B, T, C)."""
        return (errors**2).sum() / mask.expand_as(errors).sum()

    def fit(
        self,
        mixer: Any,
        values: Tensor,
        actions: Tensor,
        state: Tensor,
        target: Tensor,
        mask: Tensor,
    ) -> Fit | None:
        """:meth:`mean_square` of :meth:`masked_error` of :meth:`value_of_actions`, with gradients.

        Returns:
            None where the engine leaves it to those methods and to torch's autograd.
        """
        return None

    def follow(self, masks: Mapping[str, Tensor], vectors: Vectors) -> None:
        """Take over the masks as they are now.

        Args:
            masks: ``{name: bool mask}``, named ``agent.…``, ``mixer.…`` and ``central_mixer.…``; a
                weight matrix in none of them is dense.
            vectors: of the networks that are trained as one, see :mod:`.trained`.
        """

    def of_dense_gradients(self, vectors: Vectors) -> HostEngine:
        """The engine of an update that needs the gradient at every position: itself if it can.

        Args:
            vectors: as of :meth:`follow`.
        """
        return self


class MaskedEngine(HostEngine):
    """Torch on masked dense tensors, the whole sequence at once."""

    name = "masked"
    needs_inputs = True

    def unroll(self, mac: Any, batch: Any, inputs: AgentInputs | None) -> Tensor:
        assert inputs is not None
        return run_agents(mac.agent, inputs.dense())


def agent_inputs(mac: Any, batch: Any) -> AgentInputs:
    """What the hosts' controllers feed their agents, for all steps at once, not copied."""
    return AgentInputs(
        _field(batch, "obs"),
        _field(batch, "actions_onehot") if mac.args.obs_last_action else None,
        mac.n_agents if mac.args.obs_agent_id else 0,
    )


def _field(batch: Any, key: str) -> Tensor | Scattered:
    """A field of the batch; of two joined ones, where its episodes are."""
    fields = batch.data.transition_data
    parts = fields.places(key) if isinstance(fields, Joined) else None
    if parts is None:
        field: Tensor = batch[key]
        return field
    return Scattered(parts, fields.steps, lambda: fields[key])
