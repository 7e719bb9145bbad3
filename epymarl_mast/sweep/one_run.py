"""One run of a sweep in this process's care: lock, subprocess, log, note of success."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any

from filelock import FileLock

from epymarl_mast.sweep.plan import Run
from epymarl_mast.sweep.state import RunState

PROGRAM = (sys.executable, "-m", "epymarl_mast")
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_SECONDS_TO_END = 10.0


def execute(run: Run) -> int:
    """Run ``mast train`` to its end; nothing if it has finished before.

    Whoever holds the run's lock runs it. Another process waits, and finds it finished: a sweep
    that was killed leaves its runs behind, and one that goes on must not start them twice.

    Returns:
        Exit code of the run, 0 if it had finished before.
    """
    state = RunState(run)
    state.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(state.folder / "lock"):
        if state.finished:
            return 0
        started = time.time()
        with state.log.open("wb") as log:
            code = _train(run, log)
        if code == 0:
            state.finish(time.time() - started)
        return code


def _train(run: Run, log: Any) -> int:
    """The subprocess, which ends with this one."""
    command = [*PROGRAM, *run.arguments]
    settings = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=settings
    ) as process:

        def stop(number: int, frame: FrameType | None) -> None:
            raise SystemExit(128 + number)

        before = signal.signal(signal.SIGTERM, stop) if _in_main_thread() else None
        try:
            return process.wait()
        except (KeyboardInterrupt, SystemExit):
            # Ctrl-C has reached it too; SIGTERM has not
            process.terminate()
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
