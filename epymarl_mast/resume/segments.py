"""Episodes of a replay buffer in compressed files.

A segment holds consecutive episodes: a line of JSON that describes it, then their fields one after
the other, compressed together. Legend: T steps an episode may have, t steps it holds.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.errors import CheckpointError
from epymarl_mast.resume.files import StoredFile, is_number

# Runs of equal bytes alone are looked for: as small as with zlib's own search, in two thirds of the
# time, on episodes of foraging's and of 3s5z's sizes.
_ZLIB = (1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)


_MOST_BYTES = 2**29  # a segment, unpacked: more is no file of ours
_MALFORMED = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error,
)  # fmt: skip


class Ring(Protocol):
    """A first-in-first-out buffer of episodes, which are numbered from 0 as they come.

    Attributes:
        name: of the buffer, for files.
        capacity: episodes it has room for.
        inserted: episodes that were ever put in.
        first: number of the oldest episode it holds.
    """

    name: str

    @property
    def capacity(self) -> int: ...
    @property
    def inserted(self) -> int: ...
    @property
    def first(self) -> int: ...

    def episode(self, number: int) -> dict[str, Tensor]:
        """``{field: (T, ...)}`` of an episode it holds; views."""
        ...

    def prepare(self, state: Mapping[str, Any]) -> None:
        """Make it empty, for the episodes of a checkpoint."""
        ...

    def put(self, number: int, fields: Mapping[str, Tensor]) -> None:
        """Take an episode, ``{field: (t, ...)}``, to its place."""
        ...

    def state(self) -> dict[str, Any]:
        """What it has beside episodes."""
        ...


@dataclass(frozen=True)
class Segment:
    """Episodes ``first`` to ``end`` (exclusive) in a file."""

    first: int
    end: int
    file: StoredFile

    @classmethod
    def of(cls, said: Any) -> Segment:
        """From a JSON object.

        Raises:
            KeyError, TypeError: if it does not describe a segment.
        """
        segment = cls(said["first"], said["end"], StoredFile.of(said["file"]))
        if not (is_number(segment.first) and is_number(segment.end)):
            raise TypeError("a segment has the numbers of its episodes")
        return segment


class SegmentBuilder:
    """A segment in the making.

    Attributes:
        size: bytes of its episodes before compression.
    """

    def __init__(self) -> None:
        self.size = 0
        self._compressor = zlib.compressobj(*_ZLIB)
        self._fields: dict[str, tuple[str, list[int]]] = {}
        self._steps: list[int] = []
        self._parts: list[bytes] = []

    def add(self, episode: Mapping[str, Tensor]) -> None:
        """Add an episode ``{field: (T, ...)}``, without trailing steps that are zero."""
        arrays = {key: _array(field) for key, field in episode.items()}
        used = _used_steps(arrays)
        self._steps.append(used)
        for key, array in arrays.items():
            if key not in self._fields:
                self._fields[key] = (array.dtype.str, list(array.shape[1:]))
        # One call for all: a call costs as much as a kilobyte does.
        content = b"".join([array[:used].tobytes() for array in arrays.values()])
        self._parts.append(self._compressor.compress(content))
        self.size += len(content)

    def content(self) -> bytes:
        """The file's content; nothing can be added any more."""
        head = json.dumps({"fields": self._fields, "steps": self._steps}).encode()
        return b"".join([head, b"\n", *self._parts, self._compressor.flush()])


def unpack(content: bytes) -> Iterator[dict[str, Tensor]]:
    """The episodes ``{field: (t, ...)}`` of a segment.

    Raises:
        CheckpointError: if it is none.
    """
    head, _, body = content.partition(b"\n")
    try:
        described = json.loads(head)
        fields = {
            key: (np.dtype(kind), tuple(shape))
            for key, (kind, shape) in described["fields"].items()
        }
        data = memoryview(unzipped(body))
        start = 0
        for steps in described["steps"]:
            episode = {}
            for key, (kind, shape) in fields.items():
                count = steps * int(np.prod(shape, dtype=np.int64))
                array = np.frombuffer(data, kind, count, start).reshape(steps, *shape)
                start += array.nbytes
                episode[key] = torch.from_numpy(array.copy())
            yield episode
    except _MALFORMED as error:
        raise CheckpointError(f"it holds no episodes: {error}") from None


def unzipped(content: bytes, most: int = _MOST_BYTES) -> bytes:
    """What zlib packed, if it is not more than ``most`` bytes.

    Raises:
        ValueError: if it is, or is not whole.
        zlib.error: if it is nothing that zlib packed.
    """
    unpacking = zlib.decompressobj()
    data = unpacking.decompress(content, most)
    if not unpacking.eof:
        raise ValueError(f"it is torn, or unpacks to more than {most >> 20} MiB")
    return data


def _array(field: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = (field if field.device.type == "cpu" else field.cpu()).numpy()
    return array


def _used_steps(fields: Mapping[str, np.ndarray[Any, Any]]) -> int:
    """Steps up to the last one where any field is not zero."""
    filled = fields.get("filled")
    total = len(next(iter(fields.values())))
    guess = int(filled.sum()) if filled is not None else total
    if guess == total:
        return total
    beyond = any(field[guess:].any() for field in fields.values())
    return total if beyond else guess
