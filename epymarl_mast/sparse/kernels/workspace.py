"""Memory that is kept from one update to the next.

A fresh array of many MB costs a page fault for every 4 KiB, more than the kernels' own work on
it, so arrays are handed back and reused.
"""

from __future__ import annotations

import numpy as np

from epymarl_mast.sparse.kernels.patterns import Floats

_ALIGNMENT = 16  # floats: 64 bytes, a cache line
_KEPT = 8  # free arrays that are kept, the largest ones

_free: list[Floats] = []


class Lease:
    """An uninitialised float32 array, handed back when the last reference to the lease goes.

    Attributes:
        array: (size,) float32, aligned to a cache line; not to be used beyond the lease.
    """

    def __init__(self, size: int) -> None:
        self._whole = _take(size)
        self.array: Floats = self._whole[:size]

    def __del__(self) -> None:
        if hasattr(self, "_whole"):  # not where _take failed for want of memory
            _give_back(self._whole)


class Scratch:
    """Several arrays of one lease, for one call of a kernel.

    Attributes:
        arrays: of the sizes asked for, each aligned to a cache line.
    """

    def __init__(self, *sizes: int) -> None:
        rounded = [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]
        self._lease = Lease(sum(rounded))
        self.arrays: list[Floats] = []
        start = 0
        for size, room in zip(sizes, rounded, strict=True):
            self.arrays.append(self._lease.array[start : start + size])
            start += room


def _take(size: int) -> Floats:
    fitting = [i for i, array in enumerate(_free) if size <= array.size <= 4 * size + 4096]
    if fitting:
        return _free.pop(min(fitting, key=lambda i: _free[i].size))
    raw = np.empty(size + _ALIGNMENT, np.float32)
    start = -(raw.ctypes.data // 4) % _ALIGNMENT
    return raw[start : start + size]


def _give_back(array: Floats) -> None:
    _free.append(array)
    if len(_free) > _KEPT:
        _free.pop(min(range(len(_free)), key=lambda i: _free[i].size))
