"""The hosts' episode runner at a fraction of its cost a step.

Same environment, wrappers and seeding, same episode data and statistics. What differs is how: the
agents act without torch, and an episode is written into the host's batch once, at its end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from epymarl_mast.hosts.base import HostModules
from epymarl_mast.runners.record import EpisodeRecord
from epymarl_mast.runners.start import FastStart


def fast_episode_runner(base: type[Any], host: HostModules) -> type[Any]:
    """A subclass of a host's ``EpisodeRunner`` that uses ``mast_mac``'s actor where it has one."""

    class FastEpisodeRunner(FastStart, base):  # type: ignore[misc]
        """Runs one episode at a time."""

        def __init__(self, args: Any, logger: Any) -> None:
            super().__init__(args, logger)
            host.relieve(self.env)

        def run(self, test_mode: bool = False) -> Any:
            actor = self.start_actor(1)
            if actor is None:
                return super().run(test_mode=test_mode)
            self.reset()
            epsilon = self.mac.epsilon_at(self.t_env, test_mode)
            record = EpisodeRecord(self.batch)
            episode_return: Any = 0.0
            over = False
            info: dict[str, Any] = {}
            while not over:
                record.observe(self.t, 0, *self._shown())
                actions = record.act(self.t, actor, epsilon)[0]
                reward, over, info = host.step(self.env, actions)
                record.take(self.t, 0, reward, ended=over != info.get("episode_limit", False))
                episode_return = episode_return + np.asarray(reward)
                self.t += 1
                if test_mode and self.args.render:
                    self.env.render()
                if host.prints:
                    self._say(self.env.get_print_info())
            record.observe(self.t, 0, *self._shown())
            record.act(self.t, actor, epsilon)
            record.write(np.array([self.t]))
            if test_mode and self.args.render:
                print(f"Episode return: {episode_return}")
            self._account(episode_return, info, test_mode)
            return host.returned(self.batch, [episode_return])

        def _shown(self) -> tuple[Any, Any, Any]:
            """What the environment shows: state, available actions, observations."""
            return self.env.get_state(), self.env.get_avail_actions(), self.env.get_obs()

        def _say(self, text: str | None) -> None:
            if text is not None and text != "None":
                now = datetime.now().strftime("%H:%M:%S")
                self.logger.console_logger.info(f"\n[INFO {now}] episode_runner {text}")

        def _account(self, episode_return: Any, info: dict[str, Any], test_mode: bool) -> None:
            """The base's statistics of one episode, logged when the base would log them."""
            returns = self.test_returns if test_mode else self.train_returns
            stats = self.test_stats if test_mode else self.train_stats
            for key, value in {**info, "n_episodes": 1, "ep_length": self.t}.items():
                stats[key] = stats.get(key, 0) + value
            returns.append(episode_return)
            if not test_mode:
                self.t_env += self.t
            complete = len(returns) == self.args.test_nepisode
            self.log_when_due(returns, stats, test_mode=test_mode, complete=complete)

    FastEpisodeRunner.__name__ = FastEpisodeRunner.__qualname__ = f"Fast{base.__name__}"
    return FastEpisodeRunner
