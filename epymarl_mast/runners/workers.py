"""Worker processes of a parallel runner that end before they are told to.

The hosts wait for a worker's answer without end: the pipe of one that is gone stays open, because
the runner, and workers that were started later, hold its other end too.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from epymarl_mast.errors import RunError

_SECONDS_BETWEEN_LOOKS = 0.5


class WorkerWatch:
    """Looks at a runner's workers from a thread of its own, which costs the runner nothing.

    Args:
        runner: with ``ps`` and ``parent_conns``, once its constructor has made them.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._over = threading.Event()
        threading.Thread(target=self._look, name="mast-workers", daemon=True).start()

    def stop(self) -> None:
        """Called when the workers are told to end."""
        self._over.set()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Around everything that talks to workers: say which one is gone.

        Raises:
            RunError: in the place of the error of its pipe.
        """
        try:
            yield
        except (EOFError, OSError) as error:
            ended = self._ended()
            if not ended:
                raise
            self.stop()
            raise RunError(_said(*ended[0], workers=len(self._runner.ps))) from error

    def _ended(self) -> list[tuple[int, int]]:
        """Number and exit code of the workers that are gone."""
        codes = ((i, process.exitcode) for i, process in enumerate(getattr(self._runner, "ps", ())))
        return [(i, code) for i, code in codes if code is not None]

    def _look(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            ended = self._ended()
            for number, _ in ended:
                _wake(self._runner.parent_conns[number])
            if ended:
                return


def _wake(connection: Any) -> None:
    """Have whoever waits for an answer read the end of the stream."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
    except OSError:  # closed meanwhile; or no socket, as on Windows
        return


def _said(number: int, code: int, workers: int) -> str:
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        mend = "if memory ran out, take fewer of them (batch_size_run) or a smaller buffer_size"
    else:
        how = f"ended with exit code {code}"
        mend = "its own message is above"
    return f"environment worker {number} of {workers} {how}: {mend}"
