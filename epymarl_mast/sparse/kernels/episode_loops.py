"""Copies of whole episodes. Arrays are given by their addresses."""

# Compiled functions take arrays and strides, whose types numba finds itself; it calls intrinsics.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.addresses import clear_bytes, copy_bytes, longs_at
from epymarl_mast.sparse.kernels.cache import compiled


@compiled
def copy_episodes(source, source_stride, size, places, count, target, stride, room):
    """Episodes of ``size`` bytes, one at each of ``count`` places, into ``room`` bytes each.

    Strides are bytes from one episode to the next. What is too long is cut, and what is left of
    the room is 0.
    """
    taken = min(size, room)
    places = longs_at(places)
    for episode in range(count):
        copy_bytes(target, source + places[episode] * source_stride, taken)
        if taken < room:
            clear_bytes(target + taken, room - taken)
        target += stride
