"""A run's checkpoints: when one is written, and how a run goes on from one.

A runner calls :meth:`Keeper.replays` before every episode, :meth:`Keeper.before_training` before
every training episode that is played, and :meth:`Keeper.after_training` after it.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from epymarl_mast.errors import CheckpointError, RunStopped, warn
from epymarl_mast.resume import record
from epymarl_mast.resume.arithmetic import arithmetic, differences
from epymarl_mast.resume.checkpoint import Checkpoint, newest_whole
from epymarl_mast.resume.entry import note_entry
from epymarl_mast.resume.files import is_name, store
from epymarl_mast.resume.lock import hold
from epymarl_mast.resume.places import FOLDER
from epymarl_mast.resume.rewind import Rewind, unpacked_clock
from epymarl_mast.resume.rings import HostRing, OnlineRing
from epymarl_mast.resume.segments import Ring
from epymarl_mast.resume.state import (
    check_same_run,
    configuration,
    doubt_about,
    gather,
    put_back,
)
from epymarl_mast.resume.stopping import EXIT_CODES, told
from epymarl_mast.resume.writer import CheckpointWriter
from epymarl_mast.whole_files import read_file, read_json

_LONGEST_NAME = 255  # bytes of a file's name
# What taking over a state of unlike content can end with.
_MALFORMED = (
    CheckpointError, RuntimeError, ValueError, LookupError, TypeError, AttributeError,
    ArithmeticError, AssertionError,
)  # fmt: skip


class Keeper:
    """Checkpoints of a run in its Sacred directory.

    Args:
        runner: a ``mast_*`` runner, before it is set up.
        args: the run's configuration.
        newest_buffer: gives the host's replay buffer.
        folder: the run's Sacred directory.
    """

    def __init__(self, runner: Any, args: Any, newest_buffer: Any, folder: Path) -> None:
        block = args.mast
        self._runner = runner
        self._newest_buffer = newest_buffer
        self._run = folder
        self._folder = folder / FOLDER
        self._interval = block["checkpoint_interval"] or float("inf")
        self._seconds = 60.0 * block["checkpoint_minutes"] or float("inf")
        self._keep = block["checkpoint_keep"]
        self._clock: list[int] = []
        self._writer: CheckpointWriter | None = None
        self._rewind: Rewind | None = None
        self._told: int | None = None
        self._doubted = self._looked_again = False
        self._noted: int | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._since_step, self._since = 0, time.monotonic()
        self._from: tuple[Checkpoint, dict[str, Any]] | None = None
        hold(self._folder)
        if block["resume"] is not None:
            checkpoint, _ = newest_whole(self._folder)
            if checkpoint is not None:
                self._from = (checkpoint, checkpoint.load_state())
        args.unique_token = first_token(self._folder, args.unique_token)
        note_entry(self._folder, runner.logger)
        atexit.register(_forget_if_completed, folder)

    @classmethod
    def of(cls, runner: Any, args: Any, newest_buffer: Any) -> Keeper | None:
        """The keeper of a run; None for one that is not to be kept."""
        block = args.mast
        if args.evaluate or not (block["checkpoint_interval"] or block["checkpoint_minutes"]):
            return None
        observer = record.file_observer(runner.logger)
        if observer is None or getattr(args, "has_explorer", False):
            warn(
                "no checkpoints for an exact resume: this run has no record in files or an explorer"
            )
            return None
        return cls(runner, args, newest_buffer, Path(observer.dir))

    def replays(self, test_mode: bool) -> bool:
        """Whether this call of the host's loop is one of before the checkpoint: nothing to play."""
        if self._from is not None and self._rewind is None and not test_mode:
            self._clock = unpacked_clock(self._from[1].get("clock"))
            buffer, learner = self._newest_buffer(), self._runner.mac.learner
            check_same_run(self._from[1]["config"], configuration(self._runner.logger))
            self._rewind = Rewind(self._clock, self._runner, learner, buffer)
        if self._rewind is None:
            return False
        if test_mode or self._rewind.step():
            return True
        self._go_on()
        return False

    def before_training(self) -> None:
        """Write what is due.

        Raises:
            RunStopped: if the run was told to end; a checkpoint of this moment is written first.
        """
        writer = self._writer or self._start()
        if self._clock and not self._looked_again:
            self._looked_again = True  # some environments make their parts when they are reset
            self._say_doubt(doubt_about(self._runner))
        now, t_env = time.monotonic(), self._runner.t_env
        if self._told is not None:
            self._begin(writer)
            writer.finish()
            if writer.newest != t_env:
                warn(f"there is no checkpoint of step {t_env:,}: it could not be written")
            self._note(writer)
            self._runner.end_environments()
            raise RunStopped(self._told)
        due = t_env - self._since_step >= self._interval or now - self._since >= self._seconds
        if due and not writer.busy:
            self._begin(writer)
        writer.advance(self._runner.batch_size)
        self._note(writer)

    def _note(self, writer: CheckpointWriter) -> None:
        if writer.newest not in (None, self._noted):
            record.note_checkpoint(self._runner.logger, writer.newest)
            self._noted = writer.newest

    def after_training(self) -> None:
        """Note the iteration."""
        self._clock.append(self._runner.t_env)

    def close(self) -> None:
        """At the end of training: a checkpoint that is not complete is given up."""
        self._restore_handlers()

    @property
    def cost(self) -> tuple[float, float]:
        """Seconds spent on checkpoints in all, and the longest at once."""
        return (self._writer.seconds, self._writer.longest) if self._writer else (0.0, 0.0)

    def _start(self) -> CheckpointWriter:
        """At the first training episode: the host's loop has all its parts now."""
        learner = self._runner.mac.learner
        self._rings: list[Ring] = [HostRing(self._newest_buffer(), self._inserted)]
        if learner.replay.buffer.capacity > 0:
            self._rings.append(OnlineRing(learner.replay.buffer, self._inserted))
        self._writer = CheckpointWriter(self._folder, self._rings, self._keep, warn)
        self._told = told()
        if threading.current_thread() is threading.main_thread():
            self._handlers = {n: signal.signal(n, self._tell) for n in EXIT_CODES}
        self._say_doubt(doubt_about(self._runner))
        return self._writer

    def _say_doubt(self, doubt: str) -> None:
        """One line a run on an environment that may not go on as it was."""
        if doubt and not self._doubted:
            warn(f"the environment {doubt}: a resumed run may not be bit-identical")
        self._doubted = self._doubted or bool(doubt)

    def _inserted(self) -> int:
        return len(self._clock) * int(self._runner.batch_size)

    def _begin(self, writer: CheckpointWriter) -> None:
        learner, t_env = self._runner.mac.learner, self._runner.t_env
        try:
            writer.begin(t_env, gather(self._runner, learner, self._rings, self._clock))
        except TypeError as error:  # something in the run that no file can hold
            warn(f"no checkpoint can be written: {error}")
        self._since_step, self._since = t_env, time.monotonic()

    def _go_on(self) -> None:
        """The clock is where it was: so must everything else be."""
        assert self._from is not None
        checkpoint, state = self._from
        writer, learner = self._start(), self._runner.mac.learner
        try:
            doubt = put_back(self._runner, learner, self._rings, checkpoint, state)
            others = differences(state.get("arithmetic", {}), arithmetic(learner))
        except _MALFORMED as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
            raise CheckpointError(f"{checkpoint.path} does not fit this run: {reason}") from error
        self._say_doubt(doubt)
        if others:
            warn(f"the run goes on, but not bit for bit: its checkpoint is of {others}")
        writer.go_on_from(checkpoint)
        self._since_step, self._since = self._runner.t_env, time.monotonic()
        self._from = self._rewind = None

    def _tell(self, number: int, frame: FrameType | None) -> None:
        """The first signal: end after this episode. A second one ends at once, as always."""
        self._told = EXIT_CODES[signal.Signals(number)]
        self._restore_handlers()
        with suppress(OSError, RuntimeError):  # the log's disk is full; it is being written to
            print("mast: ending after this episode, with a checkpoint", file=sys.stderr, flush=True)

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def first_token(folder: Path, token: str) -> str:
    """The host's name for the run, with its first start in it: EPyMARL's models are there.

    Args:
        folder: the run's checkpoint folder, in which it is kept.
        token: that of this start.
    """
    noted = folder / "token"
    with suppress(
        OSError, ValueError
    ):  # of a folder that cannot be written there will be a warning
        if noted.is_file():
            first = read_file(noted, _LONGEST_NAME).decode()
            if first.isprintable() and is_name(first):  # of a folder
                return first
    with suppress(OSError):
        store(noted, token.encode())
    return token


def _forget_if_completed(run: Path) -> None:
    """A run that has completed needs no checkpoint."""
    if read_json(run / "run.json").get("status") == "COMPLETED":
        shutil.rmtree(run / FOLDER, ignore_errors=True)
