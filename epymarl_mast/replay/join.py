"""Two episode batches as one. Fields are (B, T, ...), zero after the end of an episode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from epymarl_mast.replay.online_buffer import Drawn

Fields = Mapping[str, Tensor]


def join_episodes(first: Fields, second: Fields, room: dict[str, Tensor] | None = None) -> Joined:
    """One batch with the episodes of both, padded with zeros to the longer of the two.

    Args:
        first: ``{field: (B1, T1, ...)}``.
        second: ``{field: (B2, T2, ...)}`` with the same fields.
        room: where results are kept, empty at first: the batch is then made of views of it, which
            the next call with it overwrites. New memory for every batch costs more than the copy.

    Returns:
        ``{field: (B1+B2, max(T1, T2), ...)}``; padding has ``filled`` 0, so no loss sees it.

    Raises:
        ValueError: naming a field that only one of them has.
    """
    odd = sorted(first.keys() ^ second.keys())
    if odd:
        raise ValueError(f"field {odd[0]!r} is in one of the two batches only")
    return Joined(first, second, {} if room is None else room)


class Joined(Mapping[str, Tensor]):
    """What :func:`join_episodes` returns: a field is joined, by copying, when it is read first.

    Attributes:
        steps: max(T1, T2).
    """

    def __init__(self, first: Fields, second: Fields, room: dict[str, Tensor]) -> None:
        self._parts = (first, second)
        self._room = room
        self._joined: dict[str, Tensor] = {}
        self.steps = max(_steps(first), _steps(second))

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._joined:
            self._joined[key] = self._join(self._parts[0][key], self._parts[1][key], key)
        return self._joined[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts[0])

    def __len__(self) -> int:
        return len(self._parts[0])

    def __contains__(self, key: object) -> bool:
        return key in self._parts[0]

    def places(self, key: str) -> list[tuple[Tensor, Sequence[int]]] | None:
        """Where the episodes of a field lie, for a reader that can do without the copy.

        Returns:
            Tensors (·, >= T, ...) with the indices of the episodes in each, in the order of the
            batch; None where a part has less than T steps, or does not lie in a store.
        """
        first, second = self._parts
        if not isinstance(second, Drawn):
            return None
        field, stored = first[key], second.stored(key)
        if min(field.shape[1], stored.shape[1]) < self.steps:
            return None
        return [(field, range(len(field))), (stored, second.indices)]

    def _join(self, field: Tensor, other: Tensor, key: str) -> Tensor:
        shape = (len(field) + len(other), self.steps, *field.shape[2:])
        joined = _part_of(self._room, key, field, shape)
        start = 0
        for part in (field, other):
            rows = joined[start : start + len(part)]
            rows[:, : part.shape[1]] = part
            if part.shape[1] < self.steps:
                rows[:, part.shape[1] :] = 0
            start += len(part)
        return joined


def _part_of(room: dict[str, Tensor], key: str, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view (B, T, ...) of the memory of a field, which grows with the longest batch."""
    kept = room.get(key)
    if kept is None or len(kept) != shape[0] or kept.shape[1] < shape[1]:
        kept = room[key] = like.new_empty(shape)
    return kept[:, : shape[1]]


def _steps(batch: Fields) -> int:
    return batch.steps if isinstance(batch, Drawn) else next(iter(batch.values())).shape[1]
