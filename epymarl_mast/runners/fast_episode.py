"""The hosts' episode runner at a fraction of its cost a step.

Same environment, wrappers and seeding, same episode data and statistics. What differs is how: the
agents act without torch, and an episode is written into the host's batch once, at its end.

Legend: T steps an episode may have, N agents, U actions, O observation, S state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from epymarl_mast.hosts.base import HostModules


def fast_episode_runner(base: type[Any], host: HostModules) -> type[Any]:
    """A subclass of a host's ``EpisodeRunner`` that uses ``mast_mac``'s actor where it has one."""

    class FastEpisodeRunner(base):  # type: ignore[misc]
        """Runs one episode at a time."""

        def run(self, test_mode: bool = False) -> Any:
            start = getattr(self.mac, "start_episodes", None)
            actor = start(1) if start is not None else None
            if actor is None:
                return super().run(test_mode=test_mode)
            self.reset()
            epsilon = self.mac.epsilon_at(self.t_env, test_mode)
            record = EpisodeRecord(self.batch)
            episode_return: Any = 0.0
            over = False
            info: dict[str, Any] = {}
            while not over:
                record.observe(self.t, self.env)
                actions = actor.act(record.obs[self.t], record.available[self.t], epsilon)
                record.choose(self.t, actions)
                reward, over, info = host.step(self.env, actions)
                record.take(self.t, reward, ended=over != info.get("episode_limit", False))
                episode_return = episode_return + np.asarray(reward)
                self.t += 1
                if test_mode and self.args.render:
                    self.env.render()
            record.observe(self.t, self.env)
            last = actor.act(record.obs[self.t], record.available[self.t], epsilon)
            record.choose(self.t, last)
            record.write(self.t)
            self._account(episode_return, info, test_mode)
            return host.returned(self.batch, [episode_return])

        def _account(self, episode_return: Any, info: dict[str, Any], test_mode: bool) -> None:
            """The base's statistics of one episode, logged when the base would log them."""
            returns = self.test_returns if test_mode else self.train_returns
            stats = self.test_stats if test_mode else self.train_stats
            for key, value in {**info, "n_episodes": 1, "ep_length": self.t}.items():
                stats[key] = stats.get(key, 0) + value
            returns.append(episode_return)
            if not test_mode:
                self.t_env += self.t
            if test_mode and len(returns) == self.args.test_nepisode:
                self._log(returns, stats, "test_")
            elif self.t_env - self.log_train_stats_t >= self.args.runner_log_interval:
                self._log(returns, stats, "test_" if test_mode else "")
                self.logger.log_stat("epsilon", self.mac.action_selector.epsilon, self.t_env)
                self.log_train_stats_t: int = self.t_env

    FastEpisodeRunner.__name__ = FastEpisodeRunner.__qualname__ = f"Fast{base.__name__}"
    return FastEpisodeRunner


class EpisodeRecord:
    """One episode as numpy rows, written into a host's batch at the end.

    Args:
        batch: an empty ``EpisodeBatch`` of one episode.
    """

    def __init__(self, batch: Any) -> None:
        self._fields: dict[str, torch.Tensor] = batch.data.transition_data

        def rows(key: str) -> np.ndarray[Any, Any]:
            field = self._fields[key]
            return np.zeros(field.shape[1:], torch.empty(0, dtype=field.dtype).numpy().dtype)

        self._state = rows("state")  # (T+1, S)
        self.obs = rows("obs")  # (T+1, N, O)
        self.available = rows("avail_actions")  # (T+1, N, U)
        self._actions = rows("actions").squeeze(2)  # (T+1, N)
        self._reward = rows("reward")  # (T+1, 1) or (T+1, N)
        self._ended = rows("terminated")  # (T+1, 1)

    def observe(self, t: int, environment: Any) -> None:
        """Store what the environment shows at step ``t``."""
        self._state[t] = environment.get_state()
        self.available[t] = environment.get_avail_actions()
        self.obs[t] = environment.get_obs()

    def choose(self, t: int, actions: Any) -> None:
        """Store the actions of step ``t``; continuous ones are in the next observation."""
        if actions.ndim == 1:
            self._actions[t] = actions

    def take(self, t: int, reward: Any, *, ended: bool) -> None:
        """Store what came of the actions of step ``t``."""
        self._reward[t] = reward
        self._ended[t] = ended

    def write(self, last: int) -> None:
        """Write steps 0 to ``last`` into the batch."""
        steps = slice(0, last + 1)
        for key, rows in (
            ("state", self._state), ("obs", self.obs), ("avail_actions", self.available),
            ("actions", self._actions[..., None]), ("reward", self._reward),
            ("terminated", self._ended),
        ):  # fmt: skip
            self._fields[key][0, steps] = torch.from_numpy(rows[steps])
        self._fields["filled"][0, steps] = 1
        onehot = self._fields["actions_onehot"][0, steps]
        onehot.scatter_(2, self._fields["actions"][0, steps], 1.0)
