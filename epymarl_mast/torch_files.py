"""What torch saved, read without running code in it or unpacking more than a file holds.

``torch.load(weights_only=True)`` runs no code. But it unpacks archives that zip made small, and
takes tensors and lists that are one small thing many times over.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import torch

_MOST_TIMES = 4  # what is loaded may be larger than its file: networks may share their weights


def load_tensors(content: bytes) -> Any:
    """What :func:`torch.save` was given: tensors, text, numbers and their containers.

    Args:
        content: of the file.

    Raises:
        ValueError: in a few words, if it cannot be read, or would be much larger in memory than it
            is as a file.
    """
    try:
        if _unzipped_size(content) > len(content):  # torch's own archives are not compressed
            raise MemoryError
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if _size(loaded, {}) > _MOST_TIMES * len(content):
            raise MemoryError
    except MemoryError:
        raise ValueError("it would be much larger in memory than it is as a file") from None
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ValueError(type(error).__name__) from error
    return loaded


def _unzipped_size(content: bytes) -> int:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return 0  # from before torch wrote archives
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sum(member.file_size for member in archive.infolist())


def _size(value: Any, known: dict[int, int]) -> int:
    """Bytes of the tensors in a value, and one for each entry, as often as they are referred to.

    Args:
        value: what was loaded; one that holds itself has no end.
        known: sizes of the containers seen so far, by id.
    """
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if not isinstance(value, (dict, list, tuple, set, frozenset)):
        return 1
    if id(value) not in known:
        known[id(value)] = 2**62  # of what holds itself
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(value)]
