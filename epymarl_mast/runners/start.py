"""What the fast runners share: whether they can run, and when the hosts log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from epymarl_mast.controllers.actor import Actor
from epymarl_mast.runners.record import FIELDS


class FastStart:
    """Mixed into a host's runner, before it."""

    t_env: int
    log_train_stats_t: int
    args: Any
    mac: Any
    logger: Any
    explorer: Any = None  # of PyMARLzoo+: it chooses actions or adds to the batch
    _log: Callable[..., None]

    def setup(self, scheme: Any, *args: Any, **named: Any) -> None:
        """Note whether the episodes hold what :class:`EpisodeRecord` can store, and no more."""
        self._storable = set(scheme) == FIELDS
        super().setup(scheme, *args, **named)  # type: ignore[misc]

    def start_actor(self, environments: int) -> Actor | None:
        """The controller's actor for new episodes; None if the host has to run them."""
        start = getattr(self.mac, "start_episodes", None)
        if start is None or not self._storable or self.explorer is not None:
            return None
        actor: Actor | None = start(environments)
        return actor

    def log_when_due(self, returns: Any, stats: Any, *, test_mode: bool, complete: bool) -> None:
        """Log and clear statistics when all test episodes are run, or when the interval is over."""
        prefix = "test_" if test_mode else ""
        if test_mode and complete:
            self._log(returns, stats, prefix)
        elif self.t_env - self.log_train_stats_t >= self.args.runner_log_interval:
            self._log(returns, stats, prefix)
            self.logger.log_stat("epsilon", self.mac.action_selector.epsilon, self.t_env)
            self.log_train_stats_t = self.t_env
