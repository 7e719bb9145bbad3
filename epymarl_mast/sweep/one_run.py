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
from typing import BinaryIO

from epymarl_mast.errors import OptionError
from epymarl_mast.sweep.plan import Run
from epymarl_mast.sweep.state import RunState, note_completed

PROGRAM = (sys.executable, "-m", "epymarl_mast")
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_MONGO = "MAST_SWEEP_MONGO"
_SECONDS_TO_END = 30.0
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def execute(run: Run) -> int:
    """Run ``mast train`` to its end, from its checkpoint if it was interrupted.

    Nothing if it has finished before.

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
        started = time.time()
        code = _go_on_or_begin(run, state, lock)
        if code == 0:
            state.finish(time.time() - started)
        return code


def _go_on_or_begin(run: Run, state: RunState, lock: int) -> int:
    """Continue the run from its checkpoint; begin it where there is none, or it is refused."""
    record = state.unfinished
    if record is None:
        with state.log.open("wb") as log:
            return _train(run.arguments, run.mongo, log, lock)
    with state.log.open("ab") as log:
        _say(log, f"going on with {record}")
        code = _train(run.resuming(record), run.mongo, log, lock)
        if code != OptionError.exit_code:
            return code
        _say(log, f"{record} cannot be gone on with: the run begins again")
        return _train(run.arguments, run.mongo, log, lock)


def _say(log: BinaryIO, line: str) -> None:
    log.write(f"mast: {line}\n".encode())
    log.flush()  # before the subprocess writes


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold a lock, which a child process that inherits the file shares; its file descriptor."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()  # closing it gives the lock up, once nobody else has it open


def _train(arguments: Sequence[str], mongo: str | None, log: BinaryIO, lock: int) -> int:
    """The subprocess, which ends with this one."""
    command = [*PROGRAM, *arguments]
    settings = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    if mongo and not mongo.startswith("env:"):  # the list of processes is for all to read
        command[command.index(mongo)] = f"env:{_MONGO}"
        settings[_MONGO] = mongo
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=settings,
        pass_fds=(lock,),
    ) as process:  # fmt: skip

        def stop(number: int, frame: FrameType | None) -> None:
            raise SystemExit(128 + number)

        before = {n: signal.signal(n, stop) for n in _ENDINGS} if _in_main_thread() else {}
        try:
            return process.wait()
        except KeyboardInterrupt:  # which has reached it too
            _end(process)
            raise
        except SystemExit:
            process.send_signal(signal.SIGINT)  # Sacred then records that it was interrupted
            _end(process)
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was told to end; insist."""
    for insist in (process.terminate, process.kill):
        try:
            process.wait(_SECONDS_TO_END)
            return
        except subprocess.TimeoutExpired:
            insist()
    process.wait()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
