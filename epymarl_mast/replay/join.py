"""Two episode batches as one. Fields are (B, T, ...), zero after the end of an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from epymarl_mast.replay.online_buffer import Drawn

Fields = Mapping[str, Tensor]
Parts = Sequence[tuple[Tensor, Tensor]]
Copies = Sequence[tuple[Parts, Tensor]]


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


def copy_episodes(copies: Copies) -> None:
    """Write episodes that lie in several tensors into one, for several fields.

    Args:
        copies: of each field its parts and where they go: tensors (·, ·, ...) with the indices (·,)
            of the episodes in each, and (B, T, ...) for all of them in turn, each cut to T steps or
            followed by zeros.
    """
    for parts, out in copies:
        start = 0
        for stored, indices in parts:
            rows, steps = out[start : start + len(indices)], min(stored.shape[1], out.shape[1])
            rows[:, :steps] = stored[:, :steps].index_select(0, indices.to(stored.device))
            rows[:, steps:] = 0
            start += len(indices)


def join_episodes(
    first: Fields,
    second: Fields,
    room: Room | None = None,
    copy: Callable[[Copies], None] = copy_episodes,
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
    odd = sorted(set(first) ^ set(second))
    if odd:
        raise ValueError(f"field {odd[0]!r} is in one of the two batches only")
    return Joined(first, second, Room() if room is None else room, copy)


class Joined(Mapping[str, Tensor]):
    """What :func:`join_episodes` returns: a field is joined, by copying, when it is read first.

    Attributes:
        steps: max(T1, T2).
    """

    def __init__(
        self, first: Fields, second: Fields, room: Room, copy: Callable[[Copies], None]
    ) -> None:
        self._parts = (first, second)
        self._room = room
        self._copy = copy
        self._joined: dict[str, Tensor] = {}
        self._expected, room.read = room.read, {}
        size, time = next(iter(first.values())).shape[:2]
        if len(room.all_of_first) != size:
            room.all_of_first = torch.arange(size)
        self.steps = max(time, _steps(second))

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
        parts = self._places(key)
        stored = isinstance(self._parts[1], Drawn)
        return parts if stored and all(f.shape[1] >= self.steps for f, _ in parts) else None

    def _places(self, key: str) -> Parts:
        first, second = self._parts[0][key], self._parts[1]
        if isinstance(second, Drawn):
            last = second.stored(key), second.indices
        else:
            last = second[key], torch.arange(len(second[key]))
        return (first, self._room.all_of_first), last

    def _join(self, keys: Sequence[str]) -> None:
        copies = [(self._places(key), self._memory_of(key)) for key in keys]
        self._copy(copies)
        self._joined.update(zip(keys, (out for _, out in copies), strict=True))

    def _memory_of(self, key: str) -> Tensor:
        """(B, T, ...): a view of the memory of a field, which grows with the longest batch."""
        first, second = self._parts
        like, memory = first[key], self._room.memory
        episodes = len(like) + (
            len(second.indices) if isinstance(second, Drawn) else len(second[key])
        )
        kept = memory.get(key)
        if kept is None or len(kept) != episodes or kept.shape[1] < self.steps:
            kept = memory[key] = like.new_empty((episodes, self.steps, *like.shape[2:]))
        return kept if kept.shape[1] == self.steps else kept[:, : self.steps]


def _steps(batch: Fields) -> int:
    return batch.steps if isinstance(batch, Drawn) else next(iter(batch.values())).shape[1]
