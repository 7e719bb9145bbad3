"""MAST for COMIX: QMIX with continuous actions, whose maximum is found by sampling.

The agent network reads an action and gives its utility. The hosts store whole numbers as actions,
so the continuous ones travel at the end of the next observation (epymarl_mast/environments).

Legend: B episodes, T transitions, N agents, O observation, A numbers in an action, K samples.
Source: Peng et al. 2021, "FACMAC", which COMIX is from; MAST App. A.5.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from epymarl_mast.learners.batch import Transitions, Update
from epymarl_mast.learners.engines import HostEngine, MaskedEngine
from epymarl_mast.learners.q_learner import MastQLearner
from epymarl_mast.schemas import ComixOptions
from epymarl_mast.sparse.kernels import AgentInputs
from epymarl_mast.targets import best_of, cross_entropy_method


class MastComixLearner(MastQLearner):
    """COMIX; registered as ``mast_comix_learner``."""

    options: ComixOptions

    def action_values(self, engine: HostEngine, batch: Any, inputs: AgentInputs | None) -> Tensor:
        """Utilities (B, T+1, N, 1) of the actions taken; that of the last step is never read."""
        last = torch.zeros_like(batch["obs"][:, :1, :, : self.args.n_actions])
        taken = torch.cat([self._taken(batch), last], dim=1)
        return self._utilities(engine, self.mac, batch, batch["obs"], taken)

    def next_values(self, update: Update) -> Tensor:
        """``mast.operator`` over the last sampled actions of the target agents, then mixed."""
        _, values = self._sampled(self.target_mac, update.batch, update.batch["obs"][:, 1:])
        sampled = values.movedim(0, 3).contiguous()  # (B, T, N, K)
        all_of_them = torch.ones_like(sampled)
        per_agent = self.regression.operate(sampled, all_of_them, sampled)
        return self.engine.mix(self.target_mixer, per_agent, update.data.state[:, 1:])

    @torch.no_grad()
    def policy_distance(self, batch: Any) -> float:
        """Mean distance of the best sampled actions from those taken, as a share of their range."""
        mask = Transitions.from_batch(batch, self.engine, as_host=False).mask  # (B, T, 1)
        best = best_of(*self._sampled(self.mac, batch, batch["obs"][:, :-1]))
        away = ((best - self._taken(batch)).abs() / 2.0).mean(dim=(2, 3))  # (B, T)
        return float((away * mask[..., 0]).sum() / mask.sum())

    def pick_engine(self, device: str) -> tuple[HostEngine, str]:
        """The hosts' own steps know no continuous action: dense networks are computed by torch."""
        if self.options.engine == "auto" and self.options.topology == "dense":
            return MaskedEngine(), "dense networks"
        return super().pick_engine(device)

    def _taken(self, batch: Any) -> Tensor:
        """The actions (B, T, N, A) of a batch, which the next observations end with."""
        taken: Tensor = batch["obs"][:, 1:, :, -self.args.n_actions :]
        return taken

    def _sampled(self, mac: Any, batch: Any, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Actions (K, B, T, N, A) sampled last, and their utilities (K, B, T, N).

        Args:
            mac: the online or the target controller.
            batch: the host's episode batch.
            observations: (B, T, N, O).
        """

        def utilities(actions: Tensor) -> Tensor:
            """One sample at a time, to spare memory."""
            each = [self._utilities(self.engine, mac, batch, observations, a) for a in actions]
            return torch.stack(each).squeeze(4)

        options = self.options
        return cross_entropy_method(
            utilities,
            (*observations.shape[:3], self.args.n_actions),
            options.cem_samples,
            options.cem_elites,
            options.cem_iterations,
            self.noise,
            observations.device,
        )

    def _utilities(
        self, engine: HostEngine, mac: Any, batch: Any, observations: Tensor, actions: Tensor
    ) -> Tensor:
        """(B, T, N, 1) of actions (B, T, N, A) in observations (B, T, N, O)."""
        seen = torch.cat([observations, actions], dim=3)
        return engine.unroll(mac, batch, AgentInputs(seen, None, mac.id_size))
