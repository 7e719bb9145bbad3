"""One process at a time trains a run."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from epymarl_mast.errors import CheckpointError


def hold(folder: Path) -> IO[str] | None:
    """Hold a run for this process until it ends; its worker processes do not hold it.

    Args:
        folder: the run's checkpoint folder.

    Returns:
        What holds it; None where the folder cannot be written.

    Raises:
        CheckpointError: if another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CheckpointError(
            f"{folder.parent} is being trained by another process: let it end first"
        ) from None
    return file
