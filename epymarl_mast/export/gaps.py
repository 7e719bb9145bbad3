"""Positions of nonzero weights in few bits: Rice coding of the gaps between them.

A gap g is written as g >> b ones' worth of zeros and a one, and its b low bits. At 10 % density
that takes 4.8 bits a weight, where a bit mask takes 10 and a 16-bit index 16. All gaps' low bits
come first, each gap's lowest bit first; then the unary parts. Bits fill bytes from the lowest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MAX_LOW_BITS = 24


def encode(positions: Array, low_bits: int) -> Array:
    """Bytes (uint8) of ascending positions (n,) >= 0."""
    gaps = np.diff(positions, prepend=-1) - 1
    low = (gaps[:, None] >> np.arange(low_bits)) & 1
    ends = np.cumsum((gaps >> low_bits) + 1)
    unary = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
    unary[ends - 1] = 1
    return np.packbits(np.concatenate([low.ravel().astype(np.uint8), unary]), bitorder="little")


def best_low_bits(positions: Array) -> int:
    """The number of low bits that takes least room."""
    gaps = np.diff(positions, prepend=-1) - 1
    sizes = [len(gaps) * (b + 1) + int((gaps >> b).sum()) for b in range(MAX_LOW_BITS + 1)]
    return int(np.argmin(sizes))


def decode(code: Array, count: int, low_bits: int, limit: int) -> Array:
    """The positions again.

    Args:
        code: bytes, uint8.
        count: number of positions.
        low_bits: as they were encoded.
        limit: positions are below it.

    Returns:
        (count,) int64.

    Raises:
        ValueError: if ``code`` is not that of so many positions below ``limit``.
    """
    bits = np.unpackbits(code, bitorder="little")
    low, unary = bits[: count * low_bits], bits[count * low_bits :]
    ends = np.flatnonzero(unary)
    if len(low) < count * low_bits or len(ends) != count:
        raise ValueError(f"{len(ends)} positions where {count} belong")
    high = np.diff(ends, prepend=-1) - 1
    gaps = low.reshape(count, low_bits).astype(np.int64) @ (1 << np.arange(low_bits))
    positions: Array = np.cumsum((high << low_bits) + gaps + 1) - 1
    if count and positions[-1] >= limit:
        raise ValueError(f"position {positions[-1]} where there are {limit} weights")
    return positions
