"""Environments that one call steps together, behind what a runner sees of worker processes.

Runners send every worker its request before they wait for the first answer, so the first answer
that is waited for is the time to serve all requests at once.

Legend: E environments, N agents.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from epymarl_mast.hosts.reach import RANDOM_STATE

Array = npt.NDArray[Any]


class Outcome(Protocol):
    """What a step of E environments led to."""

    def of(self, environment: int) -> tuple[float, bool, bool, dict[str, Any]]:
        """Reward, whether the episode ended, whether it was cut, and info."""


class Shown(Protocol):
    """What E environments show: ``state`` (E, ·), ``available`` (E, N, ·), ``observations``."""

    state: Array
    available: Array
    observations: Array


class Together(Protocol):
    """E environments; what an environment's ``together(count, **env_args)`` returns."""

    def get_env_info(self) -> dict[str, int]:
        """Sizes of one environment, under the hosts' names."""

    def random_state(self) -> list[Any]:
        """(E,) what each draws from at its next episode."""

    def set_random_state(self, states: list[Any]) -> None:
        """Go on from there."""

    def reset(self) -> Shown:
        """Start an episode in all of them."""

    def step(self, actions: Array) -> tuple[Outcome, Shown]:
        """One step of all of them, by actions (E, N)."""


def connections(environments: Together, count: int) -> tuple[Connection, ...]:
    """What stands for the pipes to ``count`` = E worker processes."""
    requests = _Requests(environments, count)
    return tuple(Connection(requests, index) for index in range(count))


class Connection:
    """One environment's end; takes the messages of the hosts' worker processes."""

    def __init__(self, requests: _Requests, index: int) -> None:
        self._requests = requests
        self._index = index

    def send(self, message: tuple[str, Any]) -> None:
        """Ask for something; a step is taken when an answer is waited for."""
        self._requests.put(self._index, *message)

    def recv(self) -> Any:
        """The answer to the oldest request that has one."""
        return self._requests.answer(self._index)


class _Requests:
    def __init__(self, environments: Together, count: int) -> None:
        self._environments = environments
        info = environments.get_env_info()
        self._resets: list[int] = []
        self._steps: list[int] = []
        self._actions = np.zeros((count, info["n_agents"]), np.int64)
        self._answers: list[deque[Any]] = [deque() for _ in range(count)]

    def put(self, index: int, request: str, data: Any) -> None:
        if request == "step":
            self._actions[index] = data
            self._steps.append(index)
        elif request == "reset":
            self._resets.append(index)
        elif request == RANDOM_STATE:
            self._answers[index].append(self._random_state(index, data))
        elif request == "get_env_info":
            self._answers[index].append(self._environments.get_env_info())
        elif request == "get_stats":
            self._answers[index].append({})
        elif request == "get_print_info":
            self._answers[index].append(None)
        elif request != "close":  # there is nothing to close
            raise NotImplementedError(f"{request}: not in this process")

    def answer(self, index: int) -> Any:
        if self._resets:
            self._reset()
        if self._steps:
            self._step()
        return self._answers[index].popleft()

    def _random_state(self, index: int, state: dict[str, Any] | None) -> dict[str, Any] | None:
        """As a worker answers :func:`epymarl_mast.hosts.reach.ask_random_states`."""
        states = self._environments.random_state()
        if state is None:
            return {"environment": {"own": states[index]}}
        states[index] = state["environment"]["own"]
        self._environments.set_random_state(states)
        return None

    def _reset(self) -> None:
        if len(self._resets) != len(self._answers):
            raise RuntimeError("environments that are stepped together start together")
        shown = self._environments.reset()
        for index in self._resets:
            self._answers[index].append(_shown(shown, index))
        self._resets.clear()

    def _step(self) -> None:
        outcome, shown = self._environments.step(self._actions)
        for index in self._steps:
            reward, ended, cut, info = outcome.of(index)
            self._answers[index].append(
                {
                    **_shown(shown, index),
                    "reward": reward,
                    "terminated": ended or cut,
                    "info": info,
                }
            )
        self._steps.clear()


def _shown(shown: Shown, index: int) -> dict[str, Array]:
    return {
        "state": shown.state[index],
        "avail_actions": shown.available[index],
        "obs": shown.observations[index],
    }
