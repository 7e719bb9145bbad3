"""Weighted QMIX's unrestricted mixing network and its gradients.

Legend: a block is 64 lanes, features-major; LANES = 64. All arrays are flat float32 but for
``*_rows`` (int64, where each lane's row begins in a caller's array) and the matrices
(:class:`patterns.Csr`). Sizes: S state features, F utilities of all agents, W width.
"""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.addresses import floats_at
from epymarl_mast.sparse.kernels.cache import compiled, inlined
from epymarl_mast.sparse.kernels.emit import LANES
from epymarl_mast.sparse.kernels.loops import (
    back_add,
    back_bias,
    back_relu,
    back_weights,
    clear,
    clear_lanes,
    multiply,
    pack,
    unpack,
)


@inlined
def feed_forward_block(
    utilities, utility_rows, states, state_rows, lane0, matrices, biases, sizes, kept, x, y
):
    """The network over one block of lanes, a lane being one step of one episode.

    ``kept`` holds the first layer (W), the hidden layer of the state's own value (W), the third
    layer (W) and the second (W): what the last product reads lies in a row. ``x`` holds the
    states, then the utilities. Both are given by their addresses.
    """
    n_state, n_utilities, width = sizes
    w_first, w_second, w_third, w_value = matrices
    b_first, b_second, b_third, b_value = biases
    value0 = width * LANES
    third0, second0 = 2 * value0, 3 * value0
    pack(floats_at(states), state_rows, lane0, 0, n_state, LANES * n_state, x, 0)
    pack(floats_at(utilities), utility_rows, lane0, 0, n_utilities, 0, x, n_state * LANES)
    multiply(w_first, b_first, 0, 2 * width, True, x, 0, kept, 0)
    multiply(w_second, b_second, 0, width, True, kept, 0, kept, second0)
    multiply(w_third, b_third, 0, width, True, kept, second0, kept, third0)
    multiply(w_value, b_value, 0, 1, False, kept, value0, y, 0)


@compiled
def feed_forward(
    utilities, utility_rows, states, state_rows, matrices, biases, outputs, output_rows, sizes,
    kept, x, y,
):  # fmt: skip
    """The network over blocks of lanes; kept, x and y are room for one."""
    for lane0 in range(0, len(state_rows), LANES):
        feed_forward_block(
            utilities, utility_rows, states, state_rows, lane0, matrices, biases, sizes, kept, x, y
        )
        for lane in range(LANES):
            outputs[output_rows[lane0 + lane]] = y[lane]


@compiled
def feed_forward_backward(
    utilities, utility_rows, states, state_rows, lanes_in_last, matrices, biases, transposed,
    d_outputs, output_rows, d_utilities, d_utility_rows, sizes, spread,
    kept, x, y, d_kept, dx, dy, d_values, d_biases,
):  # fmt: skip
    """Gradients of :func:`feed_forward`, which is computed again block by block.

    ``d_kept`` mirrors ``kept``, ``dx`` the utilities in ``x``. Gradients of weights are added to.
    """
    n_state, n_utilities, width = sizes
    w_first_t, w_second_t, w_third_t, w_value_t = transposed
    d_first, d_second, d_third, d_value = d_values
    d_first_bias, d_second_bias, d_third_bias, d_value_bias = d_biases
    value0 = width * LANES
    third0, second0 = 2 * value0, 3 * value0
    blocks = len(state_rows) // LANES
    for block in range(blocks):
        lane0 = block * LANES
        lanes = LANES if block < blocks - 1 else lanes_in_last
        feed_forward_block(
            utilities, utility_rows, states, state_rows, lane0, matrices, biases, sizes, kept, x, y
        )
        for lane in range(LANES):
            dy[lane] = d_outputs[output_rows[lane0 + lane]]
        clear_lanes(dy, 0, 1, lanes)
        back_relu(w_value_t, 2 * width, spread, dy, 0, kept, value0, d_kept, value0, d_value)
        back_bias(1, dy, 0, d_value_bias)
        back_relu(w_third_t, width, spread, d_kept, third0, kept, second0, d_kept, second0, d_third)
        back_bias(width, d_kept, third0, d_third_bias)
        back_relu(w_second_t, width, spread, d_kept, second0, kept, 0, d_kept, 0, d_second)
        back_bias(width, d_kept, second0, d_second_bias)
        back_weights(w_first_t, n_state, spread, d_kept, 0, x, 0, d_first)
        clear(dx, 0, n_utilities * LANES)
        back_add(
            w_first_t, n_state, n_state + n_utilities, spread, d_kept, 0, x, n_state * LANES,
            dx, 0, d_first,
        )  # fmt: skip
        back_bias(2 * width, d_kept, 0, d_first_bias)
        if lanes == LANES:
            unpack(dx, 0, n_utilities, d_utilities, d_utility_rows, lane0, 0)
        else:  # the lanes that fill the block up are no rows of their own
            for lane in range(lanes):
                for i in range(n_utilities):
                    d_utilities[d_utility_rows[lane0 + lane] + i] = dx[i * LANES + lane]
