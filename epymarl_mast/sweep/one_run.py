"""One run of a sweep in this process's care: lock, subprocess, log, note of success."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from epymarl_mast.errors import MastError
from epymarl_mast.resume.lock import is_held
from epymarl_mast.resume.places import FOLDER
from epymarl_mast.sweep.plan import Run
from epymarl_mast.sweep.state import Half, RunState, halves, note_completed

PROGRAM = (sys.executable, "-m", "epymarl_mast")
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_MONGO = "MAST_SWEEP_MONGO"
SECONDS_TO_END = 60.0
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def execute(run: Run) -> int:
    """Run ``mast train`` to its end; nothing if it has finished before.

    A run that was interrupted goes on from its newest checkpoint, in its own record.

    The training holds the run's lock, even where a kill has left it without this process. Whoever
    comes later waits for its end, and finds it finished: no run is started twice.

    Returns:
        Exit code of the run, 0 if it had finished before.
    """
    state = RunState(run)
    state.folder.mkdir(parents=True, exist_ok=True)
    with _locked(state.folder / "lock") as lock:
        note_completed([run])
        if state.finished:
            return 0
        started, left = time.time(), halves([run])[run]
        with state.log.open("ab" if left else "wb") as log:
            code, went_on = _go_on(run, left, log, lock)
        if code == 0:
            state.finish(time.time() - started, went_on)
        return code


def _go_on(run: Run, left: Sequence[Half], log: Any, lock: int) -> tuple[int, bool]:
    """Go on with what is left of a run; begin it where there is nothing, or that is refused.

    Returns:
        Its exit code, and whether it went on from a checkpoint.
    """
    for half in left:
        code = _train(run, run.resuming(half.folder), log, lock)
        if code != MastError.exit_code or is_held(half.folder / FOLDER):
            return code, half.step >= 0
        said = f"mast: {half.folder} cannot be gone on with (see above): the run begins anew\n"
        log.write(said.encode())
        log.flush()
    return _train(run, run.arguments, log, lock), False


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold a lock, which a child process that inherits the file shares; its file descriptor."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()  # closing it gives the lock up, once nobody else has it open


def _train(run: Run, arguments: Sequence[str], log: Any, lock: int) -> int:
    """The subprocess, which ends with this one.

    In a session of its own: of Ctrl-C, or a signal to all of a group, it hears through us alone. A
    second signal would keep it from writing a checkpoint.
    """
    command = [*PROGRAM, *arguments]
    settings = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    if run.mongo and not run.mongo.startswith("env:"):  # the list of processes is for all to read
        command[command.index(run.mongo)] = f"env:{_MONGO}"
        settings[_MONGO] = run.mongo
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=settings,
        pass_fds=(lock,), start_new_session=True,
    ) as process:  # fmt: skip

        def stop(number: int, frame: FrameType | None) -> None:
            raise SystemExit(128 + number)

        before = {n: signal.signal(n, stop) for n in _ENDINGS} if _in_main_thread() else {}
        try:
            return process.wait()
        except (KeyboardInterrupt, SystemExit):
            process.send_signal(signal.SIGINT)  # it writes a checkpoint; Sacred notes the end
            _end(process)
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was told to end; insist."""
    for insist in (process.terminate, process.kill):
        try:
            process.wait(SECONDS_TO_END)
            return
        except subprocess.TimeoutExpired:
            insist()
    process.wait()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
