"""The files of a checkpoint: written together or not at all, and read only if they are whole.

``SHA256SUMS`` has the digest of every other file, in the form that ``sha256sum -c`` reads: torch
itself reads a file with a flipped bit without a word.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from epymarl_mast.errors import CheckpointError
from epymarl_mast.torch_files import load_tensors
from epymarl_mast.whole_files import read_file, write_in_order

DIGESTS = "SHA256SUMS"
_MOST_BYTES = 2**34  # of one file, which is read whole


def write_together(folder: Path, contents: Mapping[str, Any]) -> None:
    """Write files under temporary names, then rename them in order: the last one says "complete".

    Args:
        folder: of the checkpoint; it is removed where nothing could be written into it.
        contents: ``{file name: what torch.save takes}``.

    Raises:
        OSError: if they cannot be written; nothing is left of them then.
    """
    written = {name: _saved(value) for name, value in contents.items()}
    sums = "".join(f"{hashlib.sha256(b).hexdigest()}  {name}\n" for name, b in written.items())
    written = {DIGESTS: sums.encode(), **written}
    try:
        write_in_order({folder / name: content for name, content in written.items()})
    except OSError:
        with suppress(OSError):
            folder.rmdir()  # stays if something else is in it
        raise


def read(folder: Path, name: str) -> Any:
    """What a file of a checkpoint holds; no code in it is ever executed.

    Args:
        folder: of the checkpoint. One from before there was ``SHA256SUMS`` is read without it.
        name: of the file.

    Raises:
        CheckpointError: if the file is missing, damaged, of another checkpoint, or unreadable.
    """
    path = folder / name
    try:
        content = read_file(path, _MOST_BYTES)
        digests = _digests(folder)
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing: the checkpoint is of another algorithm, or was cut off"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if digests and digests.get(name) != hashlib.sha256(content).hexdigest():
        raise CheckpointError(
            f"{path} is not what was saved, says {DIGESTS} beside it: it is damaged, or a file of "
            "another checkpoint"
        )
    try:
        return load_tensors(content)
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _digests(folder: Path) -> dict[str, str]:
    path = folder / DIGESTS
    if not path.exists():
        return {}
    lines = read_file(path, _MOST_BYTES).decode(errors="replace").splitlines()
    found = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    return found or {DIGESTS: "damaged"}  # which no file agrees with
