"""``smax``: battles by SMAC's map names without StarCraft II, with the hosts' interface.

The battles are those of SMAX in JaxMARL, against its built-in opponent: every enemy shoots at the
closest target until that is dead, and otherwise walks towards an ally it sees, or across the map.
JAX runs on the CPU, in one thread, and is imported when the first battle is made.

Legend: E battles that are stepped together, N agents, U actions, O observation, S state.
Source: Rutherford et al. 2024, "JaxMARL", §4 (SMAX).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from epymarl_mast.hosts.base import HostModules
from epymarl_mast.hosts.environments import check_smax

Array = npt.NDArray[Any]


def smax(host: HostModules) -> Callable[..., Any]:
    """The factory to register: ``(**env_args) -> environment`` for a host.

    Its ``together(count, **env_args)`` makes many that are stepped by one call.
    """
    stepped = host.stepped  # alone: worker processes get a copy of what the class refers to

    class HostedSmax(Smax):
        def step(self, actions: Any) -> Any:
            return stepped(*self.advance(actions))

        @staticmethod
        def together(count: int, **env_args: Any) -> Battles:
            """As many battles; their seeds are those of a host's worker processes."""
            first = env_args.pop("seed")
            return Battles(seeds=range(first, first + count), **env_args)

    return HostedSmax


class Shown(NamedTuple):
    """What E battles show.

    Attributes:
        state: (E, S).
        available: (E, N, U) 0 or 1.
        observations: (E, N, O); all 0 for a dead agent.
    """

    state: Array
    available: Array
    observations: Array


class Outcome(NamedTuple):
    """What a step of E battles led to.

    Attributes:
        reward: (E,) of the team.
        over: (E,) bool: a team is dead, or the time limit is reached.
        won: (E,) bool: all enemies are dead, and not all allies.
        cut: (E,) bool: over by the time limit alone.
        dead_allies, dead_enemies: (E,) whole numbers.
    """

    reward: Array
    over: Array
    won: Array
    cut: Array
    dead_allies: Array
    dead_enemies: Array

    def of(self, battle: int) -> tuple[float, bool, bool, dict[str, Any]]:
        """Reward, whether the battle ended, whether it was cut, and what hosts call info."""
        cut = bool(self.cut[battle])
        info = {
            "battle_won": bool(self.won[battle]),
            "dead_allies": int(self.dead_allies[battle]),
            "dead_enemies": int(self.dead_enemies[battle]),
            "episode_limit": cut,
        }
        return float(self.reward[battle]), bool(self.over[battle]) and not cut, cut, info


class Battles:
    """E battles on one map that are stepped by one call.

    Every battle draws from its seed, the number of its episode and the step, so it is the same
    alone and beside others.

    Args:
        seeds: of each battle.
        map_name: one of SMAX's maps.
        time_limit: steps of an episode.
        reward_scale: factor of SMAX's rewards, whose sum is 2 for a battle that is won.
        common_reward: True; the reward is the team's.
        **ignored: what hosts pass to every environment.

    Raises:
        OptionError: if JaxMARL is missing, or an argument is not allowed.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        map_name: str,
        time_limit: int = 100,
        reward_scale: float = 10.0,
        common_reward: bool = True,
        **ignored: Any,
    ) -> None:
        check_smax(map_name, time_limit, reward_scale, common_reward)
        jax = import_jax()
        game = _make_game(map_name)
        start, advance = _transitions(jax, game, time_limit, reward_scale)
        self._start = jax.jit(jax.vmap(start))
        self._advance = jax.jit(jax.vmap(advance))
        self._keys = jax.numpy.stack([jax.random.key(seed) for seed in seeds])
        self._episodes = np.zeros(len(seeds), np.uint32)
        self._battles: Any = None  # JAX's own, (E, ...)
        self._sizes = {
            "state_shape": int(game.state_size),
            "obs_shape": int(game.obs_size),
            "n_actions": int(game.num_ally_actions),
            "n_agents": int(game.num_allies),
            "episode_limit": time_limit,
        }

    def random_state(self) -> list[int]:
        """(E,) episodes so far, from which all random numbers follow."""
        episodes: list[int] = self._episodes.tolist()
        return episodes

    def set_random_state(self, episodes: Sequence[int]) -> None:
        """Go on as after these episodes."""
        self._episodes = np.array(episodes, np.uint32)

    def get_env_info(self) -> dict[str, int]:
        """Sizes of one battle, under the hosts' names."""
        return dict(self._sizes)

    def reset(self) -> Shown:
        """Start the next episode of every battle."""
        self._episodes += 1
        self._battles, shown = self._start(self._keys, self._episodes)
        return Shown(*map(np.asarray, shown))

    def step(self, actions: Array) -> tuple[Outcome, Shown]:
        """One step of every battle; of those that are over before it, nothing is to be read.

        Args:
            actions: (E, N) whole numbers below U.
        """
        actions = np.asarray(actions, np.int32)
        self._battles, outcome, shown = self._advance(self._battles, actions)
        return Outcome(*map(np.asarray, outcome)), Shown(*map(np.asarray, shown))


class Smax:
    """One battle, with the interface of the hosts' environments.

    Args:
        seed: of its random numbers.
        **arguments: as for :class:`Battles`.
    """

    def __init__(self, seed: int = 0, **arguments: Any) -> None:
        self._battles = Battles(seeds=[seed], **arguments)
        self._info = self._battles.get_env_info()
        self.n_agents = self._info["n_agents"]
        self.episode_limit = self._info["episode_limit"]

    def random_state(self) -> list[int]:
        """What :meth:`set_random_state` goes on from, for an exact resume."""
        return self._battles.random_state()

    def set_random_state(self, state: Sequence[int]) -> None:
        """Go on at the next episode as if this were the environment that gave ``state``."""
        self._battles.set_random_state(state)

    def reset(self, seed: Any = None, options: Any = None) -> tuple[Array, Array]:
        """Start an episode; the seed is the constructor's."""
        self._shown = self._battles.reset()
        return self.get_obs(), self.get_state()

    def advance(self, actions: Any) -> tuple[float, bool, bool, dict[str, Any]]:
        """One step.

        Args:
            actions: (N,) whole numbers below U.

        Returns:
            Reward of the team, whether the battle ended, whether the time limit cut it, and
            ``battle_won``, ``dead_allies``, ``dead_enemies`` and ``episode_limit``.
        """
        outcome, self._shown = self._battles.step(np.reshape(actions, (1, -1)))
        return outcome.of(0)

    def get_obs(self) -> Array:
        """(N, O)."""
        rows: Array = self._shown.observations[0]
        return rows

    def get_obs_size(self) -> int:
        """O."""
        return self._info["obs_shape"]

    def get_state(self) -> Array:
        """(S,): every unit, seen or not, with its team and type."""
        row: Array = self._shown.state[0]
        return row

    def get_state_size(self) -> int:
        """S."""
        return self._info["state_shape"]

    def get_avail_actions(self) -> Array:
        """(N, U) 0 or 1: up, right, down, left, stop, and each enemy in range; the dead stop."""
        rows: Array = self._shown.available[0]
        return rows

    def get_total_actions(self) -> int:
        """U."""
        return self._info["n_actions"]

    def get_env_info(self) -> dict[str, int]:
        """Sizes, under the hosts' names."""
        return dict(self._info)

    def get_print_info(self) -> None:
        """Nothing to print when a run starts."""

    def get_stats(self) -> dict[str, Any]:
        """No statistics beside what every step says."""
        return {}

    def close(self) -> None:
        """Nothing to free."""


def import_jax() -> Any:
    """JAX for the CPU, in one thread and without its own messages, unless the user set it up."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)  # every result is waited for
    if jax.config.jax_compilation_cache_dir is None:  # compiling takes most of a short run
        jax.config.update("jax_compilation_cache_dir", str(_cache_folder()))
    return jax


def _cache_folder() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "epymarl_mast" / "jax"


def _make_game(map_name: str) -> Any:
    if "jaxmarl" not in sys.modules:
        # None: cannot be imported. It would set sys.stdout and sys.stderr; JaxMARL goes without it.
        sys.modules["jaxmarl.environments.mabrax"] = None  # type: ignore[assignment]
    with redirect_stdout(io.StringIO()):  # it prints which environments it found
        from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario
    return HeuristicEnemySMAX(scenario=map_name_to_scenario(map_name))


def _transitions(
    jax: Any, game: Any, time_limit: int, reward_scale: float
) -> tuple[Callable[..., Any], ...]:
    """Start and step of one battle, to be compiled.

    ``step_env`` and not ``step``, which would start the next episode and show that.
    """
    numpy = jax.numpy
    allies = game.agents

    def shown(seen: Any, battle: Any) -> tuple[Any, ...]:
        available = game.get_avail_actions(battle)
        return (
            seen["world_state"],
            numpy.stack([available[ally] for ally in allies]),
            numpy.stack([seen[ally] for ally in allies]),
        )

    def start(seed: Any, episode: Any) -> tuple[Any, ...]:
        key = jax.random.fold_in(seed, episode)
        seen, battle = game.reset(jax.random.fold_in(key, 0))
        return (key, battle), shown(seen, battle)

    def advance(carried: Any, actions: Any) -> tuple[Any, ...]:
        key, battle = carried
        step_key = jax.random.fold_in(key, battle.state.step + 1)
        taken = dict(zip(allies, actions, strict=True))
        seen, battle, rewards, _, _ = game.step_env(step_key, battle, taken)
        units = battle.state
        alive = units.unit_alive[: len(allies)], units.unit_alive[len(allies) :]
        stand, resist = alive[0].any(), alive[1].any()
        cut = stand & resist & (units.step >= time_limit)  # units.done is one step late
        outcome = (
            reward_scale * rewards[allies[0]],  # the same for all
            ~stand | ~resist | cut,
            stand & ~resist,
            cut,
            (~alive[0]).sum(),
            (~alive[1]).sum(),
        )
        return (key, battle), outcome, shown(seen, battle)

    return start, advance
