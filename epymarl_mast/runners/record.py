"""Episodes as numpy rows, written into a host's batch in one piece each field."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from epymarl_mast.controllers.actor import Actor

Array = npt.NDArray[Any]

# Of a host's batch; a batch with others is left to the host.
FIELDS = frozenset({"state", "obs", "actions", "avail_actions", "reward", "terminated"})


class EpisodeRecord:
    """Episodes that run side by side.

    Legend: E episodes, T steps an episode may have, N agents, U actions, O observation, S state.

    Args:
        batch: an empty ``EpisodeBatch`` of E episodes.
    """

    def __init__(self, batch: Any) -> None:
        self._fields: dict[str, torch.Tensor] = batch.data.transition_data

        def rows(key: str) -> Array:
            field = self._fields[key]
            episodes, steps = field.shape[:2]
            kind = torch.empty(0, dtype=field.dtype).numpy().dtype
            return np.zeros((steps, episodes, *field.shape[2:]), kind)

        self._rows = {key: rows(key) for key in FIELDS}
        self._state, self._obs = self._rows["state"], self._rows["obs"]
        self._available = self._rows["avail_actions"]
        self._reward, self._ended = self._rows["reward"], self._rows["terminated"]
        self._actions = self._rows["actions"]
        # The same as an actor reads and writes them: (T+1, E*N, ·)
        self._for_actor = [
            rows.reshape(len(rows), -1, rows.shape[3])
            for rows in (self._obs, self._available, self._actions)
        ]

    def observe(self, t: int, episode: int, state: Any, available: Any, observations: Any) -> None:
        """Store what an environment shows at step ``t``: (S,), (N, U) and (N, O)."""
        self._state[t, episode] = state
        self._available[t, episode] = available
        self._obs[t, episode] = observations

    def act(self, t: int, actor: Actor, epsilon: float) -> Array:
        """Have all agents of all episodes decide on what step ``t`` shows.

        Returns:
            (E, N) int64, stored as the actions of step ``t``; or continuous actions (E, N, ·),
            which are not: they are in the next observation.
        """
        observations, available, actions = self._for_actor
        chosen = actor.act(observations[t], available[t], epsilon)
        if chosen.ndim == 2:
            return chosen.reshape(*self._actions.shape[1:3], -1)
        actions[t, :, 0] = chosen
        taken: Array = self._actions[t, :, :, 0]
        return taken

    def take(self, t: int, episode: int, reward: Any, *, ended: bool) -> None:
        """Store what came of the actions of step ``t``: the reward, () or (N,)."""
        self._reward[t, episode] = reward
        self._ended[t, episode] = ended

    def write(self, lengths: Array) -> None:
        """Write all steps into the batch.

        Args:
            lengths: (E,) steps that each episode took; its last observation is one later.
        """
        filled = np.arange(len(self._state)) <= lengths[:, None]  # (E, T+1)
        self._actions[~filled.T] = 0  # of episodes that were over
        for key, rows in self._rows.items():
            self._fields[key].copy_(torch.from_numpy(rows.swapaxes(0, 1)))
        self._fields["filled"][..., 0] = torch.from_numpy(filled)
        taken = self._fields["filled"].unsqueeze(2).expand_as(self._fields["actions"])
        onehot = self._fields["actions_onehot"]
        onehot.scatter_(3, self._fields["actions"], taken.to(onehot.dtype))
