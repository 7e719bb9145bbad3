"""Memory that is kept from one update to the next.

A fresh array of many MB costs a page fault for every 4 KiB, more than the kernels' own work on
it, so arrays are handed back and reused.
"""

from __future__ import annotations

from collections import deque
from threading import Lock

import numpy as np

from epymarl_mast.sparse.kernels.patterns import Floats

_ALIGNMENT = 16  # floats: 64 bytes, a cache line
_KEPT = 8  # free arrays that are kept, the largest ones

_free: list[Floats] = []  # read and changed under _lock alone
_lock = Lock()
# A lease can end in the middle of anything, wherever garbage is collected, and in any thread: it
# only puts its array here, which is one step and waits for nobody. The next one taken sorts them.
_ended: deque[Floats] = deque(maxlen=64)


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
            _ended.append(self._whole)


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
    with _lock:
        while _ended:
            _free.append(_ended.popleft())
        _free.sort(key=lambda array: array.size)
        del _free[:-_KEPT]
        for i, array in enumerate(_free):
            if size <= array.size <= 4 * size + 4096:
                return _free.pop(i)
    raw = np.empty(size + _ALIGNMENT, np.float32)
    start = -(raw.ctypes.data // 4) % _ALIGNMENT
    return raw[start : start + size]
