"""A stand-in with SMAC's interface, and ``mast train`` with it in the host's registry.

Two Stalkers and a Zealot against an enemy with hit points: unlike unit types, actions that are
only available in range or while alive, an episode limit, ``battle_won`` in the info, ``get_stats``.
Run as a script: ``python smac_standin.py <arguments of mast train>``.
"""

from __future__ import annotations

import sys

import numpy as np

N_AGENTS, N_ACTIONS, LIMIT = 3, 7, 12  # no-op, stop, four moves, attack
NO_OP, STOP, ATTACK = 0, 1, 6
UNIT_TYPES = np.eye(2)[[0, 0, 1]]  # two Stalkers, one Zealot
RANGES = (3, 3, 1)


class SmacStandIn:
    """What hosts call of ``StarCraft2Env``."""

    def __init__(self, map_name="2s1z", seed=None, **_):
        self.n_agents, self.episode_limit = N_AGENTS, LIMIT
        self._random = np.random.default_rng(seed)
        self._battles = self._won = 0

    def reset(self, seed=None, options=None):
        self._steps, self._enemy = 0, 8
        self._health = np.array([2, 2, 3])
        self._distance = self._random.integers(1, 6, N_AGENTS)
        return self.get_obs(), {}

    def step(self, actions):
        damage = 0
        for agent, action in enumerate(int(a) for a in actions):
            assert self.get_avail_agent_actions(agent)[action], f"agent {agent} took {action}"
            if 2 <= action < ATTACK:
                self._distance[agent] = max(1, self._distance[agent] + (-1 if action < 4 else 1))
            damage += action == ATTACK
        self._enemy -= damage
        self._steps += 1
        if self._random.random() < 0.3:
            victim = self._random.integers(N_AGENTS)
            self._health[victim] = max(0, self._health[victim] - 1)
        won, lost = self._enemy <= 0, not self._health.any()
        info = {"battle_won": bool(won), "dead_allies": int((self._health == 0).sum())}
        if self._steps >= LIMIT and not (won or lost):
            info["episode_limit"] = True
        done = bool(won or lost or self._steps >= LIMIT)
        if done:
            self._battles += 1
            self._won += won
        return self._answer(float(damage + 10 * won), done, info)

    def _answer(self, reward, done, info):
        return self.get_obs(), reward, done, False, info

    def get_obs(self):
        return [self.get_obs_agent(agent) for agent in range(N_AGENTS)]

    def get_obs_agent(self, agent):
        own = [self._health[agent] / 3, self._distance[agent] / 6, self._enemy / 8]
        return np.concatenate([own, UNIT_TYPES[agent]]).astype(np.float32)

    def get_obs_size(self):
        return 5

    def get_state(self):
        return np.concatenate(self.get_obs()).astype(np.float32)

    def get_state_size(self):
        return 5 * N_AGENTS

    def get_avail_actions(self):
        return [self.get_avail_agent_actions(agent) for agent in range(N_AGENTS)]

    def get_avail_agent_actions(self, agent):
        available = np.zeros(N_ACTIONS, dtype=int)
        if self._health[agent] == 0:
            available[NO_OP] = 1  # only the dead may do nothing, and nothing else
        else:
            available[STOP:ATTACK] = 1
            available[ATTACK] = self._distance[agent] <= RANGES[agent]
        return available.tolist()

    def get_total_actions(self):
        return N_ACTIONS

    def get_env_info(self):
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": N_ACTIONS,
            "n_agents": N_AGENTS,
            "episode_limit": LIMIT,
        }

    def get_stats(self):
        return {"battles_won": self._won, "battles_game": self._battles}

    def get_print_info(self):
        return None

    def close(self):
        pass

    def save_replay(self):
        pass

    def render(self):
        pass


class ZooStandIn(SmacStandIn):
    """The same with PyMARLzoo+'s three-part answer."""

    def _answer(self, reward, done, info):
        return reward, done, info


def make_for_epymarl(common_reward, reward_scalarisation, **arguments):
    return SmacStandIn(**arguments)


if __name__ == "__main__":
    from epymarl_mast.cli import main
    from epymarl_mast.hosts import find_host

    host = find_host()
    zoo = host.name == "pymarlzooplus"
    host.load().environments["smac_standin"] = ZooStandIn if zoo else make_for_epymarl
    sys.argv[1:1] = ["train"]
    main()
