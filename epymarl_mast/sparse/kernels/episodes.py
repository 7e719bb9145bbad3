"""Episodes that lie in several tensors, copied into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops


def copy_episodes(
    indices: Sequence[Tensor], fields: Sequence[tuple[Sequence[Tensor], Tensor]]
) -> None:
    """As :func:`epymarl_mast.replay.copy_episodes`, in one compiled call.

    Args:
        indices: (·,) int64 of the episodes in each part.
        fields: of each field, its tensors (·, ·, ...) on the CPU; and (B, T, ...) of the same type,
            where steps of an episode follow each other.
    """
    places = [(own.data_ptr(), len(own)) for own in indices]
    dense: list[Tensor] = []  # lives as long as its addresses are used
    rows = [row for parts, out in fields for row in _rows(parts, out, places, dense)]
    call(loops().copy_episodes, np.array(rows, np.int64))


def _rows(
    parts: Sequence[Tensor], out: Tensor, places: Sequence[tuple[int, int]], dense: list[Tensor]
) -> Iterator[tuple[int, ...]]:
    """What the compiled function is told of each part of a field."""
    size = out.element_size()
    by_episode, by_step, *inner = out.stride()
    target, stride, room = out.data_ptr(), by_episode * size, out.shape[1] * by_step * size
    for stored, (where, count) in zip(parts, places, strict=True):
        own, *others = stored.stride()
        if others != [by_step, *inner]:
            stored = stored.contiguous()
            dense.append(stored)
            own = stored.stride(0)
        source = stored.data_ptr(), own * size, stored.shape[1] * by_step * size
        yield *source, where, count, target, stride, room
        target += stride * count
