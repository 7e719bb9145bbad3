"""How a program that is not ours ends when its run was told to."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from epymarl_mast.errors import RunStopped


def ends_by_its_code() -> None:
    """Without a stack trace, and with the signal's exit code, which Python has for SIGINT alone."""
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
