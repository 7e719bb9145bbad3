"""Two episode batches as one. Fields are (B, T, ...), zero after the end of an episode."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Fields = Mapping[str, Tensor]


def join_episodes(
    first: Fields, second: Fields, room: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
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
    length = max(_steps(first), _steps(second))
    room = {} if room is None else room
    joined = {}
    for key, field in first.items():
        shape = (len(field) + len(second[key]), length, *field.shape[2:])
        joined[key] = _part_of(room, key, field, shape)
        start = 0
        for part in (field, second[key]):
            rows = joined[key][start : start + len(part)]
            rows[:, : part.shape[1]] = part
            if part.shape[1] < length:
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
    return next(iter(batch.values())).shape[1]
