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
def greedy_values(values, values_at, chooser, chooser_at, available, available_at, shape, out):
    """Out (B, T, N) = the value of the available action that ``chooser`` has highest.

    Of several highest ones the first; NO_ACTION where none is available. ``*_at`` are the strides
    of the four axes, and ``shape`` is (B, T, N, U).
    """
    episodes, steps, agents, actions = shape
    for episode in range(episodes):
        for t in range(steps):
            for agent in range(agents):
                v = episode * values_at[0] + t * values_at[1] + agent * values_at[2]
                c = episode * chooser_at[0] + t * chooser_at[1] + agent * chooser_at[2]
                a = episode * available_at[0] + t * available_at[1] + agent * available_at[2]
                highest, value = NO_ACTION, NO_ACTION
                found = False
                for u in range(actions):
                    if available[a + u * available_at[3]] != 0:
                        rated = chooser[c + u * chooser_at[3]]
                        if not found or rated > highest:
                            highest, value = rated, values[v + u * values_at[3]]
                            found = True
                out[(episode * steps + t) * agents + agent] = value


@compiled
def soft_mellowmax(q, q_rows, available, available_rows, actions, alpha, omega, x, present, out):
    """:func:`soft_mellowmax_lanes` of rows in blocks; x and present are room for a block each."""
    for block in range(len(q_rows) // LANES):
        lane0 = block * LANES
        pack(q, q_rows, lane0, 0, actions, LANES * actions, x, 0)
        pack(available, available_rows, lane0, 0, actions, LANES * actions, present, 0)
        soft_mellowmax_lanes(x, present, actions, alpha, omega, out[lane0 : lane0 + LANES])
