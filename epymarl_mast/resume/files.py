"""Files that are whole or not there, and how that is known again when they are read."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from epymarl_mast.errors import CheckpointError


@dataclass(frozen=True)
class StoredFile:
    """A file that was written: its name in the folder, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


def store(path: Path, content: bytes) -> StoredFile:
    """Write a file under a temporary name, bring it to the disk, then rename it.

    Raises:
        OSError: if it cannot be written; nothing of it is left then.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        raise
    return StoredFile(path.name, len(content), hashlib.sha256(content).hexdigest())


def fetch(folder: Path, stored: StoredFile) -> bytes:
    """Read a file that :func:`store` wrote.

    Raises:
        CheckpointError: if it is missing, or another than was written.
    """
    if Path(stored.name).name != stored.name:
        raise CheckpointError(f"{stored.name} is no file of the folder {folder}")
    try:
        content = (folder / stored.name).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{stored.name} cannot be read: {error.strerror}") from None
    if len(content) != stored.size:
        raise CheckpointError(f"{stored.name} has {len(content)} bytes, not {stored.size}")
    if hashlib.sha256(content).hexdigest() != stored.sha256:
        raise CheckpointError(f"{stored.name} is damaged: its checksum is another")
    return content


def _sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk, so that a rename outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
