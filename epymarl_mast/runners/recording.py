"""The hosts' runners, which also hand every training episode to the second buffer."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack, nullcontext
from typing import Any

import numpy as np

from epymarl_mast.checks import check_host_options, check_run
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.hosts.compat import workers_ignore_interrupts
from epymarl_mast.hosts.reach import end_workers_at_exit, workers_answer
from epymarl_mast.learners.value_estimates import ValueEstimates
from epymarl_mast.resume.keeper import Keeper
from epymarl_mast.runners.episode_check import check_episodes
from epymarl_mast.runners.workers import WorkerWatch
from epymarl_mast.tracking.metrics import log_all
from epymarl_mast.tracking.progress import Progress


def recording_runner(base: type[Any], host: HostModules, show_progress: bool) -> type[Any]:
    """A subclass of a host's runner.

    Args:
        base: the host's ``EpisodeRunner`` or ``ParallelRunner``.
        host: the imported host's parts.
        show_progress: whether to show a progress line.
    """

    class RecordingRunner(base):  # type: ignore[misc]
        """Runs episodes as its base does, and looks at them; test episodes are not recorded."""

        def __init__(self, args: Any, logger: Any) -> None:
            check_host_options(vars(args))  # before any environment starts
            options = check_run(vars(args))
            starts_workers = args.runner == "mast_parallel"
            self._workers = WorkerWatch(self) if starts_workers else None
            with ExitStack() as starting:
                if starts_workers:
                    starting.enter_context(workers_ignore_interrupts())
                    starting.enter_context(workers_answer(base))
                starting.enter_context(self._heard())
                super().__init__(args, logger)
            end_workers_at_exit(getattr(self, "ps", []))
            training = show_progress and not args.evaluate
            self._progress = Progress(args.t_max) if training else None
            self.recent_rewards: deque[float] = deque(maxlen=100)
            self._keeper = Keeper.of(self, args, host.replay_buffer)
            self._estimates: ValueEstimates | None = None
            if options.log_value_estimates:
                rounds = max(1, args.test_nepisode // self.batch_size)  # as the hosts count
                self._estimates = ValueEstimates(rounds * self.batch_size)

        def run(self, test_mode: bool = False) -> Any:
            keeper = self._keeper
            with self._heard():
                if keeper is not None and keeper.replays(test_mode):
                    return host.returned(None, [])
                if keeper is not None and not test_mode:
                    keeper.before_training()
                before = self.t_env
                returned = super().run(test_mode=test_mode)
            episodes = host.episodes_of(returned)
            fields = episodes.data.transition_data
            check_episodes(fields, before)
            if not test_mode:
                self.mac.online_buffer.insert(fields)
                self._show(fields["reward"].sum(dim=(1, 2)).tolist())
                if keeper is not None:
                    keeper.after_training()
            elif self._estimates is not None:
                learner = self.mac.learner
                log_all(self.logger, self._estimates.see(learner, episodes), self.t_env)
            return returned

        def end_environments(self) -> None:
            """Of a run that is told to end; its record is not closed."""
            if self._workers is not None:
                self._workers.stop()
            super().close_env()
            if self._progress is not None:
                self._progress.close()

        def close_env(self) -> None:
            self.end_environments()
            recorder = getattr(self.mac, "mask_recorder", None)
            if recorder is not None:
                recorder.finish()
            if self._keeper is not None:
                self._keeper.close()

        def _heard(self) -> Any:
            """Around what waits for workers."""
            return self._workers.explained() if self._workers is not None else nullcontext()

        def _show(self, returns: list[float]) -> None:
            if self._progress is not None:
                self.recent_rewards.extend(returns)
                self._progress.move_to(self.t_env, float(np.mean(self.recent_rewards)))

    RecordingRunner.__name__ = RecordingRunner.__qualname__ = f"Mast{base.__name__}"
    return RecordingRunner
