"""A tensor's memory as the compiled functions read it: one array and the strides of each axis."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor


def memory(tensor: Tensor) -> tuple[NDArray[Any], tuple[int, ...]]:
    """All that lies between a CPU tensor's first number and its last, and its strides, in numbers.

    The stride of an axis of one element is 0, so that it may be read as if it were longer.
    """
    tensor = tensor.detach()
    shape, strides = tensor.shape, tensor.stride()
    read = tuple([0 if n == 1 else s for n, s in zip(shape, strides, strict=True)])
    if tensor.is_contiguous():
        return tensor.numpy().reshape(-1), read
    extent = 1 + sum([(n - 1) * s for n, s in zip(shape, strides, strict=True)])
    return tensor.as_strided((extent if tensor.numel() else 0,), (1,)).numpy(), read
