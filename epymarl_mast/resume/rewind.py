"""How the host's own loop comes to where it was: its clock is replayed.

The loop keeps when it tested, logged and saved in local variables, all of which follow from the
environment steps after each iteration. Until the recorded iterations are used up, nothing is
played, stored, learned, logged or saved; the loop's clock alone moves.
"""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np
import torch

from epymarl_mast.errors import CheckpointError
from epymarl_mast.resume.segments import unzipped

_MOST_BYTES = 2**27  # of a clock: sixteen million iterations, which take five times that in memory


class Rewind:
    """The recorded iterations of a run, passed through by the host's loop.

    Args:
        clock: environment steps after each training iteration.
        runner, learner, buffer: of the host's loop.
    """

    def __init__(self, clock: list[int], runner: Any, learner: Any, buffer: Any) -> None:
        self._clock = iter(clock)
        self._runner = runner
        self._muted = ExitStack()
        logger = runner.logger
        for owner, name, stand_in in (
            (buffer, "insert_episode_batch", _nothing),
            (buffer, "can_sample", _no),
            (learner, "save_models", _nothing),
            (logger, "log_stat", _nothing),
            (logger, "print_recent_stats", _nothing),
            (logger, "console_logger", mock.NonCallableMock()),
        ):
            self._muted.enter_context(mock.patch.object(owner, name, stand_in))

    def step(self) -> bool:
        """Move the clock by an iteration; False, and all is as always, when there is none left."""
        t_env = next(self._clock, None)
        if t_env is None:
            self._muted.close()
            return False
        self._runner.t_env = t_env
        return True


def packed_clock(clock: list[int]) -> torch.Tensor:
    """A clock as compressed bytes."""
    steps = np.diff(np.array(clock, np.int64), prepend=0)
    return torch.frombuffer(bytearray(zlib.compress(steps.tobytes(), 1)), dtype=torch.uint8)


def unpacked_clock(kept: Any) -> list[int]:
    """What :func:`packed_clock` was given.

    Raises:
        CheckpointError: if it is nothing that was packed so.
    """
    try:
        steps = np.frombuffer(unzipped(kept.numpy().tobytes(), _MOST_BYTES), np.int64)
    except (AttributeError, RuntimeError, TypeError, ValueError, zlib.error) as error:
        raise CheckpointError(f"the checkpoint holds no clock: {error}") from None
    clock: list[int] = np.cumsum(steps).tolist()
    return clock


def _nothing(*args: Any, **named: Any) -> None:
    """In place of what must not happen twice."""


def _no(*args: Any) -> bool:
    return False
