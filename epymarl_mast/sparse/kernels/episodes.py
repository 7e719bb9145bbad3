"""Episodes that lie in several tensors, copied into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops

Parts = Sequence[tuple[Tensor, Tensor]]


def copy_episodes(copies: Sequence[tuple[Parts, Tensor]]) -> None:
    """As :func:`epymarl_mast.replay.copy_episodes`, in one compiled call.

    Args:
        copies: of each field tensors (·, ·, ...) on the CPU with the indices (·,) int64 of the
            episodes in each; and (B, T, ...) of the same type, where steps of an episode follow
            each other.
    """
    dense: list[Tensor] = []  # lives as long as its addresses are used
    rows = [row for parts, out in copies for row in _rows(parts, out, dense)]
    call(loops().copy_episodes, np.array(rows, np.int64))


def _rows(parts: Parts, out: Tensor, dense: list[Tensor]) -> Iterator[tuple[int, ...]]:
    """What the compiled function is told of each part."""
    size = out.element_size()
    by_episode, by_step, *inner = out.stride()
    target, stride, room = out.data_ptr(), by_episode * size, out.shape[1] * by_step * size
    for stored, indices in parts:
        own, *others = stored.stride()
        if others != [by_step, *inner]:
            stored = stored.contiguous()
            dense.append(stored)
            own = stored.stride(0)
        steps, count = stored.shape[1] * by_step * size, len(indices)
        source = stored.data_ptr(), own * size, steps
        yield *source, indices.data_ptr(), count, target, stride, room
        target += stride * count
