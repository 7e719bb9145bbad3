"""What the networks say of the steps of test episodes, and what came of them (MAST Fig. 5b).

Legend: B episodes, T transitions, N agents, C columns of the value: N without a mixer; with one it
is 1, or N equal copies where the hosts have them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from epymarl_mast.learners.batch import Transitions, episode_batch
from epymarl_mast.learners.engines import agent_inputs


@torch.no_grad()
def estimated_and_realised(learner: Any, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Value of the actions taken by the online networks, and the return that followed.

    Nothing of the learner changes: statistics are read, and no random number is drawn.

    Args:
        learner: a :class:`.q_learner.MastQLearner`.
        batch: the host's episode batch, with the action chosen in the last state of each episode.

    Returns:
        Estimated values, realised returns and the mask that is 1 inside the episodes, (B, T, C)
        each. Both are in the unit that the networks learn. Where an episode was cut by its time
        limit, the value of the action chosen in the last state stands for what would have come.
    """
    fields = batch.data.transition_data
    steps = int(fields["filled"].sum(dim=1).max())  # T+1
    batch = episode_batch({key: field[:, :steps] for key, field in fields.items()}, like=batch)
    engine = learner.engine
    data = Transitions.from_batch(batch, engine, as_host=False)
    inputs = agent_inputs(learner.mac, batch) if engine.needs_inputs else None
    q_values = learner.action_values(engine, batch, inputs)  # (B, T+1, N, U)
    # One step more, as the engines leave out the last.
    q_values = torch.cat([q_values, q_values[:, -1:]], dim=1)
    values = engine.value_of_actions(learner.mixer, q_values, batch["actions"], data.state)
    # (B, T+1, C)
    realised = learner.regression.realised(data, values[:, 1:])
    return values[:, :-1], realised, data.mask.expand_as(realised)


class ValueEstimates:
    """The two means over the steps of one evaluation.

    Args:
        episodes: that an evaluation has.
    """

    def __init__(self, episodes: int) -> None:
        self._wanted = episodes
        self._clear()

    def _clear(self) -> None:
        self._episodes = 0
        self._estimated = self._realised = self._steps = 0.0

    def see(self, learner: Any, batch: Any) -> dict[str, float]:
        """Take in test episodes.

        Args:
            learner: the run's.
            batch: the host's episode batch.

        Returns:
            ``{metric: number}`` after the last episode of an evaluation, else nothing. Nothing
            either before the first update: the networks have no unit of reward yet.
        """
        if learner.training_steps == 0:
            return {}
        estimated, realised, mask = estimated_and_realised(learner, batch)
        self._estimated += float((estimated * mask).sum())
        self._realised += float(realised.sum())  # 0 outside the mask
        self._steps += float(mask.sum())
        self._episodes += batch.batch_size
        if self._episodes < self._wanted:
            return {}
        means = {
            "mast_value_estimated": self._estimated / self._steps,
            "mast_value_realised": self._realised / self._steps,
        }
        self._clear()
        return means
