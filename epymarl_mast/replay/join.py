"""Two episode batches as one. Fields are (B, T, ...), zero after the end of an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from epymarl_mast.replay.online_buffer import Drawn

Fields = Mapping[str, Tensor]
Parts = Sequence[tuple[Tensor, Tensor]]


def copy_episodes(parts: Parts, out: Tensor) -> None:
    """Write episodes that lie in several tensors into one.

    Args:
        parts: tensors (·, ·, ...) with the indices (·,) of the episodes in each.
        out: (B, T, ...) for all of them in turn, each cut to T steps or followed by zeros.
    """
    start = 0
    for field, indices in parts:
        rows, steps = out[start : start + len(indices)], min(field.shape[1], out.shape[1])
        rows[:, :steps] = field[:, :steps].index_select(0, indices.to(field.device))
        rows[:, steps:] = 0
        start += len(indices)


def join_episodes(
    first: Fields,
    second: Fields,
    room: dict[str, Tensor] | None = None,
    copy: Callable[[Parts, Tensor], None] = copy_episodes,
) -> Joined:
    """One batch with the episodes of both, padded with zeros to the longer of the two.

    Args:
        first: ``{field: (B1, T1, ...)}``.
        second: ``{field: (B2, T2, ...)}`` with the same fields.
        room: where results are kept, empty at first: the batch is then made of views of it, which
            the next call with it overwrites. New memory for every batch costs more than the copy.
        copy: :func:`copy_episodes`, or what does the same.

    Returns:
        ``{field: (B1+B2, max(T1, T2), ...)}``; padding has ``filled`` 0, so no loss sees it.

    Raises:
        ValueError: naming a field that only one of them has.
    """
    odd = sorted(first.keys() ^ second.keys())
    if odd:
        raise ValueError(f"field {odd[0]!r} is in one of the two batches only")
    return Joined(first, second, {} if room is None else room, copy)


class Joined(Mapping[str, Tensor]):
    """What :func:`join_episodes` returns: a field is joined, by copying, when it is read first.

    Attributes:
        steps: max(T1, T2).
    """

    def __init__(
        self,
        first: Fields,
        second: Fields,
        room: dict[str, Tensor],
        copy: Callable[[Parts, Tensor], None],
    ) -> None:
        self._parts = (first, second)
        self._room = room
        self._copy = copy
        self._joined: dict[str, Tensor] = {}
        self._all_of_first = torch.arange(len(next(iter(first.values()))))
        self.steps = max(_steps(first), _steps(second))

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._joined:
            self._joined[key] = self._join(key)
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
        return (first, self._all_of_first), last

    def _join(self, key: str) -> Tensor:
        parts = self._places(key)
        first, _ = parts[0]
        shape = (sum(len(own) for _, own in parts), self.steps, *first.shape[2:])
        joined = _part_of(self._room, key, first, shape)
        self._copy(parts, joined)
        return joined


def _part_of(room: dict[str, Tensor], key: str, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view (B, T, ...) of the memory of a field, which grows with the longest batch."""
    kept = room.get(key)
    if kept is None or len(kept) != shape[0] or kept.shape[1] < shape[1]:
        kept = room[key] = like.new_empty(shape)
    return kept[:, : shape[1]]


def _steps(batch: Fields) -> int:
    return batch.steps if isinstance(batch, Drawn) else next(iter(batch.values())).shape[1]
