"""Target operators over rows of action values."""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.addresses import floats_at
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
    greedy_lanes,
    soft_mellowmax_lanes,
)


@compiled
def greedy_values(
    values, value_rows, chooser, chooser_rows, available, available_rows, actions, v, c, a, out
):
    """:func:`greedy_lanes` of rows in blocks; v, c and a are room for a block each.

    Values, chooser and available are addresses.
    """
    values, chooser, available = floats_at(values), floats_at(chooser), floats_at(available)
    for block in range(len(value_rows) // LANES):
        lane0 = block * LANES
        pack(values, value_rows, lane0, 0, actions, LANES * actions, v, 0)
        pack(chooser, chooser_rows, lane0, 0, actions, LANES * actions, c, 0)
        pack(available, available_rows, lane0, 0, actions, LANES * actions, a, 0)
        greedy_lanes(v, c, a, actions, out[lane0 : lane0 + LANES])


@compiled
def soft_mellowmax(q, q_rows, available, available_rows, actions, alpha, omega, x, present, out):
    """:func:`soft_mellowmax_lanes` of rows in blocks; x and present are room for a block each.

    Q and available are addresses.
    """
    q, available = floats_at(q), floats_at(available)
    for block in range(len(q_rows) // LANES):
        lane0 = block * LANES
        pack(q, q_rows, lane0, 0, actions, LANES * actions, x, 0)
        pack(available, available_rows, lane0, 0, actions, LANES * actions, present, 0)
        soft_mellowmax_lanes(x, present, actions, alpha, omega, out[lane0 : lane0 + LANES])
