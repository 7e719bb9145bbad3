"""Where tensors lie, as the compiled functions are told (:mod:`.addresses`)."""

from __future__ import annotations

import torch
from torch import Tensor

Place = tuple[int, tuple[int, ...]]


def need_shape(what: str, tensor: Tensor, *shape: int) -> None:
    """Refuse a tensor of another shape: the compiled functions would read beyond it.

    Raises:
        ValueError: naming it.
    """
    if tensor.shape != shape:
        raise ValueError(f"{what} of the shape {shape} are needed, not {tuple(tensor.shape)}")


def place(tensor: Tensor, kind: torch.dtype = torch.float32) -> Place:
    """Address of the first number, and the strides of all axes.

    The tensor has to live as long as the address is used.

    Raises:
        ValueError: for numbers of another kind, or on another device.
    """
    if tensor.dtype != kind or not tensor.is_cpu:
        raise ValueError(f"{kind} on the CPU is needed, not {tensor.dtype} on {tensor.device}")
    return tensor.data_ptr(), tensor.stride()


def address(tensor: Tensor) -> int:
    """Address of float32 numbers that follow each other in the order of a tensor's elements.

    Raises:
        ValueError: for another tensor.
    """
    if not tensor.is_contiguous():
        raise ValueError("a contiguous tensor is needed")
    return place(tensor)[0]


def rows_at(tensor: Tensor) -> tuple[int, tuple[int, ...], Tensor]:
    """As :func:`place` of a tensor whose rows, its last axis, are dense; a copy where they are not.

    The tensor itself is returned too, to be kept as long as the address is used.

    Raises:
        ValueError: as of :func:`place`.
    """
    if tensor.stride(-1) != 1 and tensor.shape[-1] != 1:
        tensor = tensor.contiguous()
    return *place(tensor), tensor
