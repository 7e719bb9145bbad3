"""The hosts' parallel runner without torch in its steps.

Same worker processes, environments, seeding and messages, same episode data and statistics. What
differs is how: the agents of all environments act in one call, without torch, and all episodes are
written into the host's batch once, when the longest is over. Environments that one call can step
together are in this process, behind the same messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from epymarl_mast.hosts.base import HostModules
from epymarl_mast.runners.in_process import connections
from epymarl_mast.runners.record import Array, EpisodeRecord
from epymarl_mast.runners.start import FastStart


def fast_parallel_runner(base: type[Any], host: HostModules) -> type[Any]:
    """A subclass of a host's ``ParallelRunner`` that uses ``mast_mac``'s actor where it has one."""

    class FastParallelRunner(FastStart, base):  # type: ignore[misc]
        """Runs E = ``batch_size_run`` episodes side by side."""

        def __init__(self, args: Any, logger: Any) -> None:
            together = getattr(host.environments.get(args.env), "together", None)
            if together is None:
                super().__init__(args, logger)
            else:
                self._start_in_process(args, logger, together)

        def _start_in_process(self, args: Any, logger: Any, together: Any) -> None:
            """What the bases do, with environments in this process in place of workers."""
            self.args, self.logger = args, logger
            self.batch_size = args.batch_size_run
            common = {"common_reward": getattr(args, "common_reward", True)}
            environments = together(self.batch_size, **{**args.env_args, **common})
            self.parent_conns = connections(environments, self.batch_size)
            self.env_info = environments.get_env_info()
            self.episode_limit = self.env_info["episode_limit"]
            self.t = self.t_env = 0
            self.train_returns: list[Any] = []
            self.test_returns: list[Any] = []
            self.train_stats: dict[str, Any] = {}
            self.test_stats: dict[str, Any] = {}
            self.log_train_stats_t = -100_000  # the first run is logged

        def run(self, test_mode: bool = False) -> Any:
            actor = self.start_actor(self.batch_size)
            if actor is None:
                return super().run(test_mode=test_mode)
            self.batch = self.new_batch()
            self.t = 0
            everyone = range(self.batch_size)
            epsilon = self.mac.epsilon_at(self.t_env, test_mode)
            record = EpisodeRecord(self.batch)
            returns: list[Any] = [0.0 for _ in everyone]
            lengths = np.zeros(self.batch_size, np.int64)
            infos: list[dict[str, Any]] = []  # in the order of termination
            for i, shown in self._ask(everyone, "reset"):
                record.observe(0, i, shown["state"], shown["avail_actions"], shown["obs"])
            running = acting = list(everyone)
            while running:
                actions = record.act(self.t, actor, epsilon)
                answers = self._ask(running, "step", actions)
                self._render(acting, test_mode)
                acting, running = running, []
                for i, shown in answers:
                    over, info = shown["terminated"], shown["info"]
                    ended = over and not info.get("episode_limit", False)
                    record.take(self.t, i, shown["reward"], ended=ended)
                    record.observe(
                        self.t + 1, i, shown["state"], shown["avail_actions"], shown["obs"]
                    )
                    returns[i] = returns[i] + np.asarray(shown["reward"])
                    lengths[i] += 1
                    if over:
                        infos.append(info)
                    else:
                        running.append(i)
                if host.prints:
                    for _, text in self._ask(everyone, "get_print_info"):
                        self._say(text)
                self.t += 1
            record.act(self.t, actor, epsilon)
            self._render(acting, test_mode)
            record.write(lengths)
            self._account(returns, lengths, infos, test_mode)
            return host.returned(self.batch, returns)

        def _ask(
            self, who: Iterable[int], request: str, actions: Array | None = None
        ) -> list[tuple[int, Any]]:
            """Ask workers all at once; their answers in order."""
            for i in who:
                self.parent_conns[i].send((request, None if actions is None else actions[i]))
            return [(i, self.parent_conns[i].recv()) for i in who]

        def _render(self, acting: list[int], test_mode: bool) -> None:
            if test_mode and self.args.render and 0 in acting:
                self.parent_conns[0].send(("render", None))

        def _say(self, text: str | None) -> None:
            if text is not None and text != "None":
                self.logger.console_logger.info(text)

        def _account(
            self, episode_returns: list[Any], lengths: Array, infos: list[Any], test_mode: bool
        ) -> None:
            """The base's statistics of these episodes, logged when the base would log them."""
            returns = self.test_returns if test_mode else self.train_returns
            stats = self.test_stats if test_mode else self.train_stats
            steps = int(lengths.sum())
            for info in (*infos, {"n_episodes": self.batch_size, "ep_length": steps}):
                for key, value in info.items():
                    stats[key] = stats.get(key, 0) + value
            returns.extend(episode_returns)
            if not test_mode:
                self.t_env += steps
            rounds = max(1, self.args.test_nepisode // self.batch_size)
            complete = len(returns) >= rounds * self.batch_size
            self.log_when_due(returns, stats, test_mode=test_mode, complete=complete)

    FastParallelRunner.__name__ = FastParallelRunner.__qualname__ = f"Fast{base.__name__}"
    return FastParallelRunner
