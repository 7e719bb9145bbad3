"""A sweep from the first run to the last, with bars."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from epymarl_mast.sweep.backends import Backend
from epymarl_mast.sweep.plan import Run, short_titles
from epymarl_mast.sweep.state import RunState

_SECONDS_BETWEEN_LOOKS = 0.3
_PARTS = 1000  # of a run, on its bar


@dataclass(frozen=True)
class Failure:
    """A run that ended with an error.

    Attributes:
        run: which.
        code: its exit code.
    """

    run: Run
    code: int


def drive(runs: Sequence[Run], backend: Backend, console: Console) -> list[Failure]:
    """Execute runs; a failed one does not stop the others.

    Args:
        runs: those that are left.
        backend: where.
        console: where bars and lines go.

    Raises:
        KeyboardInterrupt: after the runs have been stopped, at Ctrl-C and SIGTERM.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _Bars(runs, console) as bars:
            return _drive(deque(runs), backend, bars)
    finally:
        backend.stop()
        signal.signal(signal.SIGTERM, before)


def _drive(waiting: deque[Run], backend: Backend, bars: _Bars) -> list[Failure]:
    failures = []
    running: dict[Run, float] = {}
    while waiting or running:
        while waiting and len(running) < backend.workers:
            run = waiting.popleft()
            backend.start(run)
            running[run] = time.monotonic()
            bars.start(run)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        bars.look()
        for run, code in backend.ended():
            seconds = time.monotonic() - running.pop(run)
            bars.end(run, code, seconds)
            if code:
                failures.append(Failure(run, code))
    return failures


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Bars:
    """One bar for all runs and one for each that is running; in a file, a line at each end."""

    def __init__(self, runs: Sequence[Run], console: Console) -> None:
        self._titles = short_titles(runs)
        self._total = total = len(runs)
        self._ended = 0
        self._console = console
        title = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            TextColumn("{task.description}", table_column=title),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            disable=not console.is_terminal,
            speed_estimate_period=3600.0,
        )
        self._all = self._progress.add_task("all runs", total=total * _PARTS, said=f"0/{total}")
        self._bars: dict[Run, tuple[TaskID, RunState]] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def start(self, run: Run) -> None:
        task = self._progress.add_task(escape(self._titles[run]), total=_PARTS, said="")
        self._bars[run] = (task, RunState(run))

    def look(self) -> None:
        """Read how far the runs are."""
        parts = self._ended * _PARTS
        for task, state in self._bars.values():
            done = int(state.progress() * _PARTS)
            parts += done
            self._progress.update(task, completed=done)
        self._progress.update(self._all, completed=parts)

    def end(self, run: Run, code: int, seconds: float) -> None:
        task, _ = self._bars.pop(run)
        self._progress.remove_task(task)
        self._ended += 1
        said = f"{self._ended}/{self._total}"
        self._progress.update(self._all, completed=self._ended * _PARTS, said=said)
        word = "finished" if code == 0 else f"failed with exit code {code}"
        self._console.print(
            f"[{said}] {word} after {seconds:.0f} s: {self._titles[run]}",
            markup=False,
            soft_wrap=True,
        )
