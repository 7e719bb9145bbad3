"""``mast_mamujoco``: Multi-Agent MuJoCo of gymnasium-robotics, with the hosts' interface.

The hosts store an action as one whole number, so continuous ones cannot be in that field. Each
agent's observation ends with the action it took last, between -1 and 1, and the learner reads the
action of step t from the observation of step t+1.

Legend: N agents, O observation of an agent, A numbers in its action.
Source: Peng et al. 2021, "FACMAC", App. on Multi-Agent MuJoCo.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from epymarl_mast.hosts.base import HostModules

Floats = npt.NDArray[np.float32]


def multi_agent_mujoco(host: HostModules) -> Callable[..., Any]:
    """The factory to register: ``(**env_args) -> environment`` for a host."""

    class HostedMuJoCo(MultiAgentMuJoCo):
        def step(self, actions: Any) -> Any:
            return host.stepped(*self.advance(actions))

    return HostedMuJoCo


class MultiAgentMuJoCo:
    """A robot whose joints belong to several agents.

    Observations and actions of unlike sizes are filled up with zeros; what fills up an action is
    not used.

    Args:
        key: robot, for instance ``HalfCheetah``.
        agent_conf: how its joints are shared out, for instance ``2x3``: 2 agents, 3 joints each.
        agent_obsk: how many joints away an agent sees; 0: its own.
        time_limit: steps of an episode.
        seed: of the first reset.
        **ignored: what hosts pass to every environment.
    """

    def __init__(
        self,
        key: str,
        agent_conf: str,
        agent_obsk: int = 0,
        time_limit: int = 1000,
        seed: int | None = None,
        **ignored: Any,
    ) -> None:
        from gymnasium_robotics import mamujoco_v1  # slow, and an extra

        self._robot = mamujoco_v1.parallel_env(key, agent_conf, agent_obsk=agent_obsk)
        self._names: list[str] = list(self._robot.possible_agents)
        self._seed = seed
        spaces = [self._robot.action_space(name) for name in self._names]
        self._low = [space.low for space in spaces]
        self._high = [space.high for space in spaces]
        self.n_agents = len(self._names)
        self.episode_limit = time_limit
        self._action_size = max(len(low) for low in self._low)
        self._seen_size = max(self._robot.observation_space(n).shape[0] for n in self._names)
        self.reset()

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[list[Floats], Floats]:
        """Start an episode."""
        first, self._seed = self._seed, None
        self._observations, _ = self._robot.reset(seed=first if seed is None else seed)
        self._last_actions = np.zeros((self.n_agents, self._action_size), np.float32)
        self._steps = 0
        return self.get_obs(), self.get_state()

    def advance(self, actions: Any) -> tuple[float, bool, bool, dict[str, Any]]:
        """One step.

        Args:
            actions: (N, A) between -1 and 1, the ends of each joint's range.

        Returns:
            Reward of the team, whether the task ended, whether the time limit was reached, and
            ``{"episode_limit": …}`` in that case.
        """
        self._last_actions[:] = actions
        joints = {}
        for agent, (name, low, high) in enumerate(
            zip(self._names, self._low, self._high, strict=True)
        ):
            own = self._last_actions[agent, : len(low)]
            joints[name] = low + (own + 1.0) * 0.5 * (high - low)
        observations, rewards, terminated, truncated, _ = self._robot.step(joints)
        self._observations = observations
        self._steps += 1
        ended = any(terminated.values())
        cut = not ended and (self._steps >= self.episode_limit or any(truncated.values()))
        reward = float(rewards[self._names[0]])  # the same for all
        return reward, ended, cut, {"episode_limit": cut}

    def get_obs(self) -> list[Floats]:
        """(O,) of each agent: what it sees, and its last action."""
        rows = np.zeros((self.n_agents, self.get_obs_size()), np.float32)
        for agent, name in enumerate(self._names):
            seen = self._observations[name]
            rows[agent, : len(seen)] = seen
        rows[:, self._seen_size :] = self._last_actions
        return list(rows)

    def get_obs_size(self) -> int:
        """O."""
        return int(self._seen_size + self._action_size)

    def get_state(self) -> Floats:
        """State of the whole robot."""
        return np.asarray(self._robot.state(), np.float32)

    def get_state_size(self) -> int:
        """Size of the state."""
        return int(self.get_state().size)

    def get_avail_actions(self) -> list[list[int]]:
        """Every action can be taken."""
        return [[1] * self._action_size] * self.n_agents

    def get_total_actions(self) -> int:
        """A: with continuous actions the hosts' number of actions is this."""
        return self._action_size

    def get_env_info(self) -> dict[str, int]:
        """Sizes, under the hosts' names."""
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": self.get_total_actions(),
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }

    def get_print_info(self) -> None:
        """Nothing to print when a run starts."""

    def get_stats(self) -> dict[str, Any]:
        """No statistics of its own."""
        return {}

    def render(self) -> None:
        """Show the robot."""
        self._robot.render()

    def close(self) -> None:
        """Free the simulator."""
        self._robot.close()
