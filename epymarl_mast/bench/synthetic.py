"""Synthetic data in the hosts' own containers: full-length episodes, and an idle environment.

Legend: B episodes, T transitions (a batch holds T+1 steps), N agents, U actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.bench.plan import Dims


def episode_fields(dims: Dims, episodes: int, steps: int, seed: int) -> dict[str, Tensor]:
    """Fields of random episodes that their time limit cut: every step is filled, none terminated.

    Returns:
        ``{field: (episodes, steps + 1, ...)}``; the host derives the rest when it stores them.
    """
    generator = torch.Generator().manual_seed(seed)
    lead = (episodes, steps + 1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*lead, *shape, generator=generator)

    available = torch.rand(*lead, dims.n_agents, dims.n_actions, generator=generator) < 0.7
    available[..., 0] = True
    actions = torch.multinomial(available.float().flatten(0, 2), 1, generator=generator)
    return {
        "state": normal(dims.state),
        "obs": normal(dims.n_agents, dims.obs),
        "avail_actions": available.int(),
        "actions": actions.view(*lead, dims.n_agents, 1),
        "reward": normal(1),
        "terminated": torch.zeros(*lead, 1, dtype=torch.uint8),
    }


class IdleEnvironment:
    """An environment whose steps cost nothing: what is left is the runner's own time.

    Args:
        dims: sizes of what it shows; an episode has ``dims.steps`` steps.
        returns_observation: whether ``step`` returns five values (EPyMARL) or three.
    """

    def __init__(self, dims: Dims, *, returns_observation: bool) -> None:
        generator = np.random.default_rng(0)
        self.n_agents = dims.n_agents
        self.episode_limit = dims.steps
        self._dims = dims
        self._five = returns_observation
        self._obs = list(generator.standard_normal((dims.n_agents, dims.obs)).astype(np.float32))
        self._state = generator.standard_normal(dims.state).astype(np.float32)
        self._available = [[1] * dims.n_actions for _ in range(dims.n_agents)]
        self._t = 0

    def reset(self, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Start an episode."""
        self._t = 0
        return self._obs, self._state

    def step(self, actions: Any) -> tuple[Any, ...]:
        """One step; the last one of an episode is cut by the time limit."""
        self._t += 1
        over = self._t >= self.episode_limit
        if self._five:
            return self._obs, 0.5, False, over, {}
        return 0.5, over, {}

    def get_obs(self) -> list[Any]:
        """N observations."""
        return self._obs

    def get_state(self) -> Any:
        """The global state."""
        return self._state

    def get_avail_actions(self) -> list[list[int]]:
        """(N, U), all ones."""
        return self._available

    def get_env_info(self) -> dict[str, int]:
        """Sizes, as the hosts ask for them."""
        return {
            "state_shape": self._dims.state,
            "obs_shape": self._dims.obs,
            "n_actions": self._dims.n_actions,
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }

    def get_print_info(self) -> None:
        """Nothing to print."""

    def close(self) -> None:
        """Nothing to close."""
