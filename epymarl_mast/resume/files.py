"""Files that are whole or not there, and how that is known again when they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epymarl_mast.errors import CheckpointError
from epymarl_mast.whole_files import read_file, write_whole

_MOST_BYTES = 2**31  # of a file of a checkpoint, which is read whole


@dataclass(frozen=True)
class StoredFile:
    """A file that was written: its name in the folder, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, said: Any) -> StoredFile:
        """From a JSON object.

        Raises:
            TypeError: if it does not describe a file.
        """
        file = cls(**said)
        if not (is_number(file.size) and isinstance(file.name, str)):
            raise TypeError("a file is described by its name, size and checksum")
        return file


def is_number(value: Any) -> bool:
    """Whether it is a whole number that counts something."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def is_name(value: Any) -> bool:
    """Whether it is the name of a file in a folder, and leads nowhere else."""
    return isinstance(value, str) and value not in ("", "..") and Path(value).name == value


def store(path: Path, content: bytes, name_too: bool = True) -> StoredFile:
    """Write a file under a temporary name, bring it to the disk, then rename it.

    ``name_too`` is that of :func:`epymarl_mast.whole_files.write_whole`.

    Raises:
        OSError: if it cannot be written; nothing of it is left then.
    """
    write_whole(path, content, name_too)
    return StoredFile(path.name, len(content), hashlib.sha256(content).hexdigest())


def fetch(folder: Path, stored: StoredFile) -> bytes:
    """Read a file that :func:`store` wrote.

    Raises:
        CheckpointError: if it is missing, or another than was written.
    """
    if not is_name(stored.name):
        raise CheckpointError(f"{stored.name} is no file of the folder {folder}")
    try:
        content = read_file(folder / stored.name, _MOST_BYTES)
    except OSError as error:
        raise CheckpointError(f"{stored.name} cannot be read: {error.strerror}") from None
    if len(content) != stored.size:
        raise CheckpointError(f"{stored.name} has {len(content)} bytes, not {stored.size}")
    if hashlib.sha256(content).hexdigest() != stored.sha256:
        raise CheckpointError(f"{stored.name} is damaged: its checksum is another")
    return content
