"""Episodes that lie in several tensors, copied into one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops


def copy_episodes(parts: Sequence[tuple[Tensor, Tensor]], out: Tensor) -> None:
    """As :func:`epymarl_mast.replay.copy_episodes`, in one compiled call a part.

    Args:
        parts: tensors (·, ·, ...) on the CPU with the indices (·,) int64 of the episodes in each.
        out: (B, T, ...) of the same type, where steps of an episode follow each other.
    """
    target, stride, room = out.data_ptr(), *_bytes(out)
    for field, indices in parts:
        if field.stride()[1:] != out.stride()[1:]:
            field = field.contiguous()
        source, places = (field.data_ptr(), *_bytes(field)), (indices.data_ptr(), len(indices))
        call(loops().copy_episodes, *source, *places, target, stride, room)
        target += stride * len(indices)


def _bytes(episodes: Tensor) -> tuple[int, int]:
    """From one episode to the next, and of one episode."""
    size = episodes.element_size()
    return episodes.stride(0) * size, episodes.shape[1] * episodes.stride(1) * size
