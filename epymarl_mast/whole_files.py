"""Files that are whole or not there, and JSON of a record that may be torn all the same.

Everything that must outlive a kill, a full disk or a power cut is written here.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST_BYTES_OF_JSON = 2**27


def write_whole(path: Path, content: bytes, name_too: bool = True) -> None:
    """Write a file under a temporary name, bring it to the disk, then rename it.

    Args:
        path: of the file.
        content: of the file.
        name_too: whether to bring its name to the disk; not needed of a file that counts only
            when another one in its folder, written later, is there.

    Raises:
        OSError: if it cannot be written; nothing of it is left then, and an earlier one stays.
    """
    write_in_order({path: content}, name_too)


def write_in_order(contents: Mapping[Path, bytes], names_too: bool = True) -> None:
    """Write several, and rename them in their order when all are on the disk; see above.

    Raises:
        OSError: if one cannot be written; nothing is left of those that were not renamed yet.
    """
    # Sacred's heartbeat and the loop may write the same file at once.
    mark = f"{threading.get_ident()}.tmp"
    temporary = {path: path.with_name(f"{path.name}.{mark}") for path in contents}
    try:
        for path, content in contents.items():
            with temporary[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, written in temporary.items():
            written.replace(path)
        for folder in {path.parent for path in contents} if names_too else ():
            _sync_folder(folder)
    except OSError:
        with suppress(OSError):  # the first error is the one to tell
            for written in temporary.values():
                written.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object as Sacred does, whole or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    write_whole(path, json.dumps(content, sort_keys=True, indent=2).encode())


def read_file(path: Path, most: int) -> bytes:
    """A regular file's content: a pipe or a device, which could be read for ever, is refused.

    Args:
        path: of the file.
        most: bytes it may have.

    Raises:
        OSError: if it cannot be read, is no regular file, or is larger.
    """
    try:
        about = path.stat()
    except ValueError as error:  # no name of a file can be like that
        raise OSError(errno.EINVAL, str(error)) from None
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "no regular file")
    if about.st_size > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 20} MiB")
    return path.read_bytes()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read, as a kill can tear it."""
    try:
        content = json.loads(read_file(path, MOST_BYTES_OF_JSON).decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk, so that a rename outlives a power cut."""
    with suppress(OSError):  # some file systems cannot; the file itself is whole
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
