"""How a run ends that is told to by SIGTERM or Ctrl-C, from its start on.

Until the first episode, while libraries are imported and kernels compiled, it ends at once. From
then on the keeper of checkpoints hears the signals (``keeper.py``).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from epymarl_mast.errors import RunStopped

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
_told: list[int] = []  # exit codes, as signals came


@contextmanager
def ends_when_told() -> Iterator[None]:
    """Inside, SIGTERM ends a run as Ctrl-C does: by an exception, with Sacred's record closed.

    Raises:
        SystemExit: 130 or 143 with one line, if it comes before there is a record.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _told.clear()
    before = {number: signal.signal(number, _stop) for number in EXIT_CODES}
    try:
        yield
    except KeyboardInterrupt as stopped:
        print("mast: interrupted", file=sys.stderr, flush=True)
        raise SystemExit(getattr(stopped, "exit_code", 130)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def told() -> int | None:
    """The exit code of a signal that came, though the exception it raised was swallowed.

    Compilers and destructors call Python in places that no exception leaves.
    """
    return _told[0] if _told else None


def ends_by_its_code() -> None:
    """The same for a program that is not ours, as long as it lives.

    Without a stack trace, and with the signal's exit code, which Python has for SIGINT alone.
    """
    shown = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, RunStopped):
            shown(kind, error, trace)
            return
        print("mast: interrupted; go on with mast.resume=RUN", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.exit_code)

    sys.excepthook = end
    if threading.current_thread() is threading.main_thread():
        for number in EXIT_CODES:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    code = EXIT_CODES[signal.Signals(number)]
    _told.append(code)
    raise RunStopped(code)
