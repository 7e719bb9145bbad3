"""One process at a time trains a run."""

from __future__ import annotations

import fcntl
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
        file = (folder / "lock").open("w")
    except OSError:
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CheckpointError(
            f"{folder.parent} is being trained by another process: let it end first"
        ) from None
    _held[folder] = file


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
