"""Episodes that lie in several tensors. Those are given by their addresses."""

# Compiled functions take arrays and strides, whose types numba finds itself; it calls intrinsics.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.addresses import clear_bytes, copy_bytes, longs_at
from epymarl_mast.sparse.kernels.cache import compiled


@compiled
def copy_episodes(copies):
    """Episodes of several tensors, each into its own room.

    A row of ``copies`` (·, 8) int64 is a tensor's address, the bytes from one of its episodes to
    the next and of one, the address and number of the places of those to copy, and the room's
    address, bytes from one episode to the next and of one. What is too long for it is cut, and
    what is left of it is 0.
    """
    for i in range(len(copies)):
        source, source_stride, size = copies[i, 0], copies[i, 1], copies[i, 2]
        places, count = longs_at(copies[i, 3]), copies[i, 4]
        target, stride, room = copies[i, 5], copies[i, 6], copies[i, 7]
        taken = min(size, room)
        for episode in range(count):
            copy_bytes(target, source + places[episode] * source_stride, taken)
            if taken < room:
                clear_bytes(target + taken, room - taken)
            target += stride


@compiled
def rows_of_episodes(parts, pairs, by_agent, rows):
    """Where the row of each lane's (episode, agent) pair begins, counted from one address.

    A row of ``parts`` (·, 4) int64 is where a tensor begins, the numbers from one of its episodes
    to the next, and the address and number of the places of those that are meant. Episodes are
    counted through all parts.
    """
    for lane in range(len(rows)):
        episode, part = pairs[0, lane], 0
        while episode >= parts[part, 3]:
            episode -= parts[part, 3]
            part += 1
        place = longs_at(parts[part, 2])[episode]
        rows[lane] = parts[part, 0] + place * parts[part, 1] + pairs[1, lane] * by_agent
