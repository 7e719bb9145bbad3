"""A progress line on standard error while a run trains."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from epymarl_mast.errors import before_an_error

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Environment steps so far, speed and time left.

    On a terminal it is one bar that moves; in a file or a pipe, one line every few seconds.

    Args:
        t_max: environment steps of the whole run.
    """

    def __init__(self, t_max: int) -> None:
        on_terminal = sys.stderr.isatty()
        self._end = "" if on_terminal else "\n"
        tqdm.monitor_interval = 0  # its thread would outlive the run
        self._t_max = t_max
        self._bar: tqdm[Any] = tqdm(
            total=t_max,
            desc="training",
            unit=" env steps",
            mininterval=0.5 if on_terminal else _SECONDS_BETWEEN_LINES,
            dynamic_ncols=True,
            file=sys.stderr,
            leave=False,
        )
        print(end=self._end, file=sys.stderr, flush=True)  # of the bar's first line
        before_an_error(self.close)

    def move_to(self, t_env: int, mean_return: float | None) -> None:
        """Show ``t_env`` and, where there is one, the mean return of recent training episodes."""
        if mean_return is not None:
            self._bar.set_postfix_str(f"train return {mean_return:.3f}", refresh=False)
        if self._bar.update(min(t_env, self._t_max) - self._bar.n):
            print(end=self._end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line."""
        self._bar.close()
