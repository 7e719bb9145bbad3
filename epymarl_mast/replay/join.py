"""Two episode batches as one. Fields are (B, T, ...), zero after the end of an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from epymarl_mast.replay.online_buffer import Drawn

Fields = Mapping[str, Tensor]
Parts = Sequence[tuple[Tensor, Tensor]]
Copy = Callable[[Sequence[Tensor], Sequence[tuple[Sequence[Tensor], Tensor]]], None]


@dataclass
class Room:
    """What is kept from one joined batch to the next; empty at first.

    Attributes:
        memory: a tensor (B, >= T, ...) of each field; batches are views of it, and the next one
            overwrites them. New memory for every batch costs more than the copies.
        read: the fields that the last batch was asked for. The next joins them all together when
            it is asked for one: a call each would cost more than the copies too.
        all_of_first: 0, 1, … of its first part's episodes.
    """

    memory: dict[str, Tensor] = field(default_factory=dict)
    read: dict[str, None] = field(default_factory=dict)
    all_of_first: Tensor = field(default_factory=lambda: torch.arange(0))


def copy_episodes(
    indices: Sequence[Tensor], fields: Sequence[tuple[Sequence[Tensor], Tensor]]
) -> None:
    """Write episodes that lie in several parts into one batch, for several fields.

    Args:
        indices: (·,) of the episodes in each part.
        fields: of each field, its tensor (·, ·, ...) in each part, and (B, T, ...) for all episodes
            in turn, each cut to T steps or followed by zeros.
    """
    for parts, out in fields:
        start = 0
        for stored, own in zip(parts, indices, strict=True):
            rows, steps = out[start : start + len(own)], min(stored.shape[1], out.shape[1])
            rows[:, :steps] = stored[:, :steps].index_select(0, own.to(stored.device))
            rows[:, steps:] = 0
            start += len(own)


def join_episodes(
    first: Fields,
    second: Fields,
    room: Room | None = None,
    copy: Copy = copy_episodes,
) -> Joined:
    """One batch with the episodes of both, padded with zeros to the longer of the two.

    Args:
        first: ``{field: (B1, T1, ...)}``.
        second: ``{field: (B2, T2, ...)}`` with the same fields.
        room: what is kept for the next call with it.
        copy: :func:`copy_episodes`, or what does the same.

    Returns:
        ``{field: (B1+B2, max(T1, T2), ...)}``; padding has ``filled`` 0, so no loss sees it.

    Raises:
        ValueError: naming a field that only one of them has.
    """
    if set(first) != set(second):
        odd = min(set(first) ^ set(second))
        raise ValueError(f"field {odd!r} is in one of the two batches only")
    return Joined(first, second, Room() if room is None else room, copy)


class Joined(Mapping[str, Tensor]):
    """What :func:`join_episodes` returns: a field is joined, by copying, when it is read first.

    Attributes:
        steps: max(T1, T2).
    """

    def __init__(self, first: Fields, second: Fields, room: Room, copy: Copy) -> None:
        self._parts = (first, second)
        self._room = room
        self._copy = copy
        self._joined: dict[str, Tensor] = {}
        self._expected, room.read = room.read, {}
        size, time = next(iter(first.values())).shape[:2]
        if len(room.all_of_first) != size:
            room.all_of_first = torch.arange(size)
        if isinstance(second, Drawn):
            own, steps = second.indices, second.steps
        else:
            count, steps = next(iter(second.values())).shape[:2]
            own = torch.arange(count)
        self._indices = (room.all_of_first, own)
        self._episodes = size + len(own)
        self.steps = max(time, steps)

    def __getitem__(self, key: str) -> Tensor:
        self._room.read[key] = None
        if key not in self._joined:
            others = [k for k in self._expected if k != key and k in self]
            self._expected = {}
            self._join([key, *others])
        return self._joined[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts[0])

    def __len__(self) -> int:
        return len(self._parts[0])

    def __contains__(self, key: object) -> bool:
        return key in self._parts[0]

    def places(self, key: str) -> Parts | None:
        """Where the episodes of a field lie, for a reader that can do without the copy.

        Returns:
            Tensors (·, >= T, ...) with the indices (·,) of the episodes in each, in the order of
            the batch; None where a part has less than T steps, or does not lie in a store.
        """
        tensors = self._tensors(key)
        if not isinstance(self._parts[1], Drawn) or any(t.shape[1] < self.steps for t in tensors):
            return None
        return list(zip(tensors, self._indices, strict=True))

    def _tensors(self, key: str) -> tuple[Tensor, Tensor]:
        first, second = self._parts
        return first[key], second.stored(key) if isinstance(second, Drawn) else second[key]

    def _join(self, keys: Sequence[str]) -> None:
        parts = [self._tensors(key) for key in keys]
        outs = [self._memory_of(key, like) for key, (like, _) in zip(keys, parts, strict=True)]
        self._copy(self._indices, list(zip(parts, outs, strict=True)))
        self._joined.update(zip(keys, outs, strict=True))

    def _memory_of(self, key: str, like: Tensor) -> Tensor:
        """(B, T, ...): a view of the memory of a field, which grows with the longest batch."""
        kept = self._room.memory.get(key)
        episodes, steps = (0, 0) if kept is None else kept.shape[:2]
        if kept is None or episodes != self._episodes or steps < self.steps:
            kept = like.new_empty((self._episodes, self.steps, *like.shape[2:]))
            self._room.memory[key] = kept
            return kept
        return kept if steps == self.steps else kept[:, : self.steps]
