"""Target operators over rows of action values."""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from epymarl_mast.sparse.kernels.cache import (
    compiled,
)
from epymarl_mast.sparse.kernels.emit import (
    LANES,
)
from epymarl_mast.sparse.kernels.loops import (
    pack,
)
from epymarl_mast.sparse.kernels.units import (
    soft_mellowmax_lanes,
)

NO_ACTION = np.float32(-9999999.0)  # as the hosts have it


@compiled
def greedy_values(values, v_stride, chooser, c_stride, available, a_stride, shape, out):
    """Out = the value of the available action that ``chooser`` has highest, for every row.

    Of several highest ones the first; where no action is available, NO_ACTION. Strides are from
    one episode to the next in the callers' arrays, whose rows of actions follow each other.
    """
    episodes, rows, actions = shape
    for episode in range(episodes):
        v, c, a = episode * v_stride, episode * c_stride, episode * a_stride
        for row in range(rows):
            highest, value = -np.inf, NO_ACTION
            for u in range(row * actions, (row + 1) * actions):
                if available[a + u] != 0 and chooser[c + u] > highest:
                    highest, value = chooser[c + u], values[v + u]
            out[episode * rows + row] = value


@compiled
def soft_mellowmax_parts(
    q, q_rows, available, available_rows, actions, alpha, sharp, x, present, top, ratio
):
    """The best value and the ratio of sums of :func:`soft_mellowmax_lanes`, of rows in blocks."""
    for block in range(len(q_rows) // LANES):
        lane0 = block * LANES
        pack(q, q_rows, lane0, 0, actions, LANES * actions, x, 0)
        pack(available, available_rows, lane0, 0, actions, LANES * actions, present, 0)
        at = top[lane0 : lane0 + LANES], ratio[lane0 : lane0 + LANES]
        soft_mellowmax_lanes(x, present, actions, alpha, sharp, at[0], at[1])
