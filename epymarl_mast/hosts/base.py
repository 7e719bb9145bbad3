"""What the plugin needs from a host framework, and nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Registry = dict[str, Any]


@dataclass(frozen=True)
class HostModules:
    """The parts of an imported host that the plugin builds on.

    Attributes:
        learners, runners, controllers, agents, action_selectors, environments: the host's
            registries, ``{name: factory}``.
        mixers: ``{name: args -> mixing network}``.
        running_mean_std: the host's ``RunningMeanStd``.
        episode_batch: the host's ``EpisodeBatch``.
        episodes_of: the ``EpisodeBatch`` in what the host's ``runner.run()`` returns.
        returned: ``(episodes, returns) -> what runner.run() returns``.
        copies_common_reward: whether the host's learner regresses on N copies of a common reward:
            the same loss, but for rounding.
        selected: ``actions -> what mac.select_actions() returns``.
        step: ``(environment, actions) -> (reward, over, info)``.
        relieve: mends an environment's needless work (:mod:`epymarl_mast.hosts.compat`).
        prints: whether the host asks environments at every step for what they have to say.
        replay_buffer: gives the replay buffer that the host made last, or None.
        stepped: ``(reward, terminated, truncated, info) -> what environment.step() returns``.
    """

    learners: Registry
    runners: Registry
    controllers: Registry
    agents: Registry
    action_selectors: Registry
    environments: Registry
    mixers: dict[str, Callable[[Any], Any]]
    running_mean_std: Callable[..., Any]
    episode_batch: Callable[..., Any]
    episodes_of: Callable[[Any], Any]
    copies_common_reward: bool
    returned: Callable[[Any, list[Any]], Any]
    selected: Callable[[Any], Any]
    step: Callable[[Any, Any], tuple[Any, bool, dict[str, Any]]]
    relieve: Callable[[Any], None]
    prints: bool
    replay_buffer: Callable[[], Any]
    stepped: Callable[[float, bool, bool, dict[str, Any]], Any]


class Host(ABC):
    """A framework that runs the training loop.

    Attributes:
        name: ``epymarl`` or ``pymarlzooplus``.
        root: its checkout, or its package folder.
    """

    name: str

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    @abstractmethod
    def version(self) -> str:
        """Release or commit, for records."""

    @property
    @abstractmethod
    def config_dir(self) -> Path:
        """Folder with ``default.yaml``, ``algs/`` and ``envs/``."""

    @abstractmethod
    def load(self) -> HostModules:
        """Import the host, with its known defects mended (:mod:`epymarl_mast.hosts.compat`)."""

    @abstractmethod
    def run(self, arguments: Sequence[str], results: Path) -> Path | None:
        """Run the host's own main with ``arguments``; its results land in ``results``.

        Returns:
            The run's Sacred directory; None if there is none (a command such as print_config).

        Raises:
            SystemExit: as the host does, with code 1 for a failed run.
        """
