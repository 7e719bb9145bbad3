"""One process at a time trains a run."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import IO

from epymarl_mast.errors import CheckpointError

_held: dict[Path, IO[str]] = {}  # never closed: that would let go of the lock


def hold(folder: Path) -> None:
    """Hold a run for this process until it ends; its worker processes do not hold it.

    A folder that cannot be written is not held.

    Args:
        folder: the run's checkpoint folder.

    Raises:
        CheckpointError: if another process holds it.
    """
    folder = folder.absolute()
    if folder in _held:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "lock", "a", opener=_open_file_alone)  # noqa: SIM115 - pathlib has no opener
    except (OSError, ValueError):
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return  # a file system without locks
        raise CheckpointError(
            f"{folder.parent} is being trained by another process: let it end first"
        ) from None
    _held[folder] = file


def _open_file_alone(path: str, flags: int) -> int:
    """Neither what a link leads to, nor a pipe that waits for its other end."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def is_held(folder: Path) -> bool:
    """Whether another process holds a run; for a process that holds none itself."""
    try:
        file = (folder / "lock").open("r+")
    except OSError:
        return False
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
