"""The mixing network and its gradients.

Legend: a block is 64 lanes, features-major; LANES = 64. All arrays are flat float32 but for
``*_rows`` (int64, where each lane's row begins in a caller's array), ``steps`` (int64, each
block's number of steps) and the matrices (:class:`patterns.Csr`). Sizes: S state features, N
agents, E mixing units.
"""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from epymarl_mast.sparse.kernels.addresses import floats_at
from epymarl_mast.sparse.kernels.cache import compiled, inlined
from epymarl_mast.sparse.kernels.emit import (
    LANES,
)
from epymarl_mast.sparse.kernels.loops import (
    back_bias,
    back_relu,
    back_weights,
    clear,
    clear_lanes,
    multiply,
    pack,
    unpack,
)
from epymarl_mast.sparse.kernels.units import (
    mix_unit,
    mix_unit_backward,
)


@inlined
def mix_block(
    agent_values,
    value_rows,
    states,
    state_rows,
    lane0,
    two_layers,
    matrices,
    biases,
    sizes,
    kept,
    x,
    q,
    y,
):
    """The mixing network over one block of lanes, a lane being one step of one episode.

    The layers that read the state are one matrix, by rows: for the weights of each agent, for
    the final weights, bias (E), value (E). ``kept`` holds that matrix' outputs, then the mixing
    weights (if they have a layer of their own) and the hidden units. The states are given by their
    address.
    """
    n_agents, n_state, embed, wide, narrow = sizes
    w_state, w_value, w_first, w_final = matrices
    b_state, b_value, b_first, b_final = biases
    bias0 = (wide + narrow) * LANES
    value0 = bias0 + embed * LANES
    top = value0 + embed * LANES
    weights = top if two_layers else 0
    finals = weights + n_agents * embed * LANES
    hidden0 = top + ((n_agents + 1) * embed * LANES if two_layers else 0)
    pack(floats_at(states), state_rows, lane0, 0, n_state, LANES * n_state, x, 0)
    pack(agent_values, value_rows, lane0, 0, n_agents, 0, q, 0)
    before_bias, before_value = wide + narrow, wide + narrow + embed
    multiply(w_state, b_state, 0, before_bias, two_layers, x, 0, kept, 0)
    multiply(w_state, b_state, before_bias, before_value, False, x, 0, kept, 0)
    multiply(w_state, b_state, before_value, before_value + embed, True, x, 0, kept, 0)
    if two_layers:
        multiply(w_first, b_first, 0, n_agents * embed, False, kept, 0, kept, weights)
        multiply(w_final, b_final, 0, embed, False, kept, wide * LANES, kept, finals)
    multiply(w_value, b_value, 0, 1, False, kept, value0, y, 0)
    for e in range(embed):
        unit = e * LANES
        mix_unit(
            q, kept, weights + unit, embed * LANES, kept, bias0 + unit, n_agents,
            kept, finals + unit, kept, hidden0 + unit, y,
        )  # fmt: skip


@compiled
def mixer_forward(
    agent_values,
    value_rows,
    states,
    state_rows,
    two_layers,
    matrices,
    biases,
    outputs,
    output_rows,
    sizes,
    kept,
    x,
    q,
    y,
):
    """The mixing network over blocks of lanes; kept, x, q and y are room for one."""
    for lane0 in range(0, len(state_rows), LANES):
        mix_block(
            agent_values, value_rows, states, state_rows, lane0, two_layers, matrices, biases,
            sizes, kept, x, q, y,
        )  # fmt: skip
        for lane in range(LANES):
            outputs[output_rows[lane0 + lane]] = y[lane]


@inlined
def mix_block_backward(
    lane0,
    lanes,
    two_layers,
    transposed,
    d_agent_values,
    d_value_rows,
    sizes,
    spread,
    kept,
    x,
    q,
    dq,
    dy,
    d_kept,
    d_values,
    d_biases,
):
    """Gradients of :func:`mix_block`, which has just filled kept, x and q.

    ``dy`` holds the gradient of its outputs, 0 beyond the first ``lanes``, which are rows of the
    batch. ``d_kept`` mirrors ``kept``.
    """
    n_agents, n_state, embed, wide, narrow = sizes
    w_state_t, w_value_t, w_first_t, w_final_t = transposed
    d_state_values, d_value_values, d_first_values, d_final_values = d_values
    d_state_bias, d_value_bias, d_first_bias, d_final_bias = d_biases
    bias0 = (wide + narrow) * LANES
    value0 = bias0 + embed * LANES
    top = value0 + embed * LANES
    weights = top if two_layers else 0
    finals = weights + n_agents * embed * LANES
    hidden0 = top + ((n_agents + 1) * embed * LANES if two_layers else 0)
    clear(dq, 0, n_agents * LANES)
    for e in range(embed):
        unit = e * LANES
        mix_unit_backward(
            q, kept, weights + unit, embed * LANES, n_agents,
            kept, finals + unit, kept, hidden0 + unit, dy, dq,
            d_kept, weights + unit, d_kept, bias0 + unit, d_kept, finals + unit,
        )  # fmt: skip
    if lanes == LANES:
        unpack(dq, 0, n_agents, d_agent_values, d_value_rows, lane0, 0)
    else:  # the lanes that fill the block up are no rows of their own
        for lane in range(lanes):
            for agent in range(n_agents):
                d_agent_values[d_value_rows[lane0 + lane] + agent] = dq[agent * LANES + lane]
    back_relu(w_value_t, embed, spread, dy, 0, kept, value0, d_kept, value0, d_value_values)
    back_bias(1, dy, 0, d_value_bias)
    if two_layers:
        narrow0 = wide * LANES
        back_relu(w_first_t, wide, spread, d_kept, weights, kept, 0, d_kept, 0, d_first_values)
        back_bias(n_agents * embed, d_kept, weights, d_first_bias)
        back_relu(
            w_final_t, narrow, spread, d_kept, finals, kept, narrow0,
            d_kept, narrow0, d_final_values,
        )  # fmt: skip
        back_bias(embed, d_kept, finals, d_final_bias)
    back_weights(w_state_t, n_state, spread, d_kept, 0, x, 0, d_state_values)
    back_bias(wide + narrow + 2 * embed, d_kept, 0, d_state_bias)


@compiled
def mixer_backward(
    agent_values,
    value_rows,
    states,
    state_rows,
    lanes_in_last,
    two_layers,
    matrices,
    biases,
    transposed,
    d_outputs,
    output_rows,
    d_agent_values,
    d_value_rows,
    sizes,
    spread,
    kept,
    x,
    q,
    y,
    dq,
    dy,
    d_kept,
    d_values,
    d_biases,
):
    """Gradients of :func:`mixer_forward`, computed again block by block.

    That costs less than to write what it computed for all blocks, and to read it from memory:
    one block stays in the cache.
    """
    blocks = len(state_rows) // LANES
    for block in range(blocks):
        lane0 = block * LANES
        lanes = LANES if block < blocks - 1 else lanes_in_last
        mix_block(
            agent_values, value_rows, states, state_rows, lane0, two_layers, matrices, biases,
            sizes, kept, x, q, y,
        )  # fmt: skip
        for lane in range(LANES):
            dy[lane] = d_outputs[output_rows[lane0 + lane]]
        clear_lanes(dy, 0, 1, lanes)
        mix_block_backward(
            lane0, lanes, two_layers, transposed, d_agent_values, d_value_rows, sizes, spread,
            kept, x, q, dq, dy, d_kept, d_values, d_biases,
        )  # fmt: skip


@compiled
def mixer_fit(
    agent_values,
    value_rows,
    states,
    state_rows,
    lanes_in_last,
    two_layers,
    matrices,
    biases,
    transposed,
    target,
    mask,
    values,
    errors,
    loss,
    d_agent_values,
    d_value_rows,
    sizes,
    spread,
    kept,
    x,
    q,
    y,
    dq,
    dy,
    d_kept,
    d_values,
    d_biases,
):
    """Values, errors = (values - target) mask, loss = the mean of their squares, and gradients.

    Target, mask, values and errors are addresses of a number for each row, loss of one. The
    gradients of a block are computed while it is in the cache.
    """
    target, mask, values, errors = (
        floats_at(target), floats_at(mask), floats_at(values), floats_at(errors),
    )  # fmt: skip
    blocks = len(state_rows) // LANES
    rows = (blocks - 1) * LANES + lanes_in_last
    seen, total = 0.0, 0.0
    for row in range(rows):
        seen += mask[row]
    slope = np.float32(2.0 / seen)
    for lane0 in range(0, rows, LANES):
        lanes = min(LANES, rows - lane0)
        mix_block(
            agent_values, value_rows, states, state_rows, lane0, two_layers, matrices, biases,
            sizes, kept, x, q, y,
        )  # fmt: skip
        for lane in range(lanes):
            row = lane0 + lane
            error = (y[lane] - target[row]) * mask[row]
            values[row], errors[row] = y[lane], error
            total += np.float64(error) * error
            dy[lane] = slope * error * mask[row]
        clear_lanes(dy, 0, 1, lanes)
        mix_block_backward(
            lane0, lanes, two_layers, transposed, d_agent_values, d_value_rows, sizes, spread,
            kept, x, q, dq, dy, d_kept, d_values, d_biases,
        )  # fmt: skip
    floats_at(loss)[0] = total / seen
