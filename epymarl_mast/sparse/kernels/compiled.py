"""The compiled loops: numba functions around the vector instructions of vector.py.

Legend: a block is 64 lanes, features-major; R = LANES = 64. All arrays are flat float32 but for
``*_rows`` (int64, where each lane's row begins in a caller's array), ``steps`` (int64, each
block's number of steps) and the matrices (:class:`patterns.Csr`). Sizes: I inputs, H hidden
units, U outputs, S state features, N agents, E mixing units.
"""

# Compiled functions and emitters take arrays, offsets and LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from epymarl_mast.sparse.kernels.vector import (
    LANES,
    WIDTH,
    gru_unit,
    gru_unit_backward,
    gru_unit_saving,
    mix_unit,
    mix_unit_backward,
    pack_tile,
    row_add,
    row_linear,
    row_relu,
    row_sum,
    row_sum_spread,
    row_where_positive,
    sddmm_1,
    sddmm_2,
    sddmm_4,
    sddmm_8,
    sddmm_16,
    soft_mellowmax_lanes,
    spread_1,
    spread_2,
    spread_4,
    spread_8,
    spread_16,
    unpack_tile,
)

NO_ACTION = np.float32(-9999999.0)  # as the hosts have it


def compiled(function: Callable[..., None]) -> Any:
    """Compile by numba, with a cache on disk where there is a place for one."""
    try:
        dispatcher = njit(cache=True, boundscheck=False, error_model="numpy")(function)
    except RuntimeError:  # numba: no directory can be written
        return njit(boundscheck=False, error_model="numpy")(function)
    _drop_stale(Path(str(dispatcher.stats.cache_path)), function.__name__)
    return dispatcher


def _drop_stale(folder: Path, name: str) -> None:
    """Remove cached code older than any source here: numba looks at the function's own file."""
    newest = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
    for index in folder.glob(f"{Path(__file__).stem}.{name}-*.nbi"):
        try:
            if index.stat().st_mtime < newest:
                index.unlink()
        except OSError:
            continue


def is_cached(function: Any) -> bool:
    """Whether a compiled function has code on disk."""
    folder: str | None = function.stats.cache_path
    name = f"{Path(__file__).stem}.{function.__name__}-*.nbi"
    return folder is not None and any(Path(folder).glob(name))


# ------------------------------------------------------------------------------ products


@compiled
def multiply(matrix, bias, first, last, relu, x, x0, y, y0):
    """Rows first … last - 1 of Y = W X + bias, through a relu if wanted; y0 is row 0's place."""
    starts, columns, values = matrix
    for row in range(first, last):
        k, stop = starts[row], starts[row + 1]
        at = y0 + row * LANES
        if relu:
            row_relu(x, x0, columns, values, k, stop, bias, row, y, at)
        else:
            row_linear(x, x0, columns, values, k, stop, bias, row, y, at)


@compiled
def multiply_add(matrix, first, last, x, x0, y, y0):
    """Y += rows first … last - 1 of W X; y0 is where row ``first`` goes."""
    starts, columns, values = matrix
    for row in range(first, last):
        at = y0 + (row - first) * LANES
        row_add(x, x0, columns, values, starts[row], starts[row + 1], y, at)


@compiled
def multiply_where_positive(matrix, rows, x, x0, gate, gate0, y, y0):
    """Y = rows 0 … rows - 1 of W X where gate > 0, else 0: the gradient through a relu."""
    starts, columns, values = matrix
    for row in range(rows):
        at = row * LANES
        k, stop = starts[row], starts[row + 1]
        row_where_positive(x, x0, columns, values, k, stop, gate, gate0 + at, y, y0 + at)


@compiled
def add_weight_gradient(
    matrix,
    x,
    x0,
    x_stride,
    g,
    g0,
    g_stride,
    steps,
    spread,
    d_values,
    d_bias,
):
    """SDDMM: d_values += (G X^T) at the kept weights, d_bias += G 1, summed over steps.

    With ``spread`` each gradient is 16 numbers that the caller has to sum.
    """
    starts, columns, _ = matrix
    for row in range(len(starts) - 1):
        k, stop = starts[row], starts[row + 1]
        at = g0 + row * LANES
        if spread:
            while stop - k >= 16:
                spread_16(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 16
            if stop - k >= 8:
                spread_8(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 8
            if stop - k >= 4:
                spread_4(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 4
            if stop - k >= 2:
                spread_2(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 2
            if stop - k >= 1:
                spread_1(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
            row_sum_spread(g, at, g_stride, steps, row, d_bias)
        else:
            while stop - k >= 16:
                sddmm_16(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 16
            if stop - k >= 8:
                sddmm_8(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 8
            if stop - k >= 4:
                sddmm_4(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 4
            if stop - k >= 2:
                sddmm_2(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
                k += 2
            if stop - k >= 1:
                sddmm_1(x, x0, x_stride, columns, g, at, g_stride, steps, k, d_values)
            row_sum(g, at, g_stride, steps, row, d_bias)


# ------------------------------------------------------------------------------ layout


@compiled
def pack(source, rows, lane0, shift, features, ahead, y, y0):
    """Rows of a caller's array to a block; y needs room for features rounded up to 16."""
    for feature in range(0, features, WIDTH):
        count = min(WIDTH, features - feature)
        for lane in range(0, LANES, WIDTH):
            at = y0 + feature * LANES - lane0
            pack_tile(source, rows, lane0 + lane, shift + feature, count, ahead, y, at)


@compiled
def unpack(x, x0, features, target, rows, lane0, shift):
    """A block to rows of a caller's array: the inverse of :func:`pack`."""
    for feature in range(0, features, WIDTH):
        count = min(WIDTH, features - feature)
        for lane in range(0, LANES, WIDTH):
            at = x0 + feature * LANES - lane0
            unpack_tile(x, at, lane0 + lane, count, target, rows, shift + feature)


@compiled
def clear_lanes(x, x0, features, first):
    """Set lanes first … 63 to 0."""
    for feature in range(features):
        for lane in range(first, LANES):
            x[x0 + feature * LANES + lane] = 0.0


@compiled
def clear(x, x0, count):
    """Set ``count`` numbers to 0."""
    for i in range(x0, x0 + count):
        x[i] = 0.0


# ------------------------------------------------------------------------------ agent


@compiled
def pack_inputs(inputs, lane0, t, direction, x, x0):
    """A step's inputs of one block: observation, last action, agent id.

    ``inputs`` are the pieces of :class:`epymarl_mast.sparse.kernels.agent.AgentInputs`;
    ``direction`` is 1 or -1, where the step that is packed next lies.
    """
    (
        observations, rows, stride, features,
        actions, action_rows, action_stride, n_actions, agents, n_ids, first_id,
    ) = inputs  # fmt: skip
    pack(observations, rows, lane0, t * stride, features, direction * stride, x, x0)
    at = x0 + features * LANES
    if n_actions > 0:
        if t == 0:
            clear(x, at, n_actions * LANES)
        else:
            shift, ahead = (t - 1) * action_stride, direction * action_stride
            pack(actions, action_rows, lane0, shift, n_actions, ahead, x, at)
        at += n_actions * LANES
    if n_ids > 0:
        clear(x, at, n_ids * LANES)
        for lane in range(LANES):
            x[at + (first_id + agents[lane0 + lane]) * LANES + lane] = 1.0


@compiled
def agent_forward(
    inputs,
    steps,
    recurrent,
    matrices,
    biases,
    outputs,
    output_rows,
    output_stride,
    sizes,
    save,
    zh,
    gates,
    x,
    q,
):
    """The unroll of one agent network over blocks of lanes.

    Strides are from one step to the next in the callers' arrays. ``zh`` holds a slot of 2H
    features for each step: z and, in a GRU, the hidden state before the step, else the one
    after. With ``save`` every step has its slot (a GRU's block one more, the state after its last
    step) and the gates of each unit are kept in ``gates``; without, two slots take turns.
    """
    _, hidden, n_outputs = sizes
    w_in, w_core, w_out = matrices
    b_in, b_core, b_out = biases
    block_size = hidden * LANES
    slot, slots = 0, 0  # of the current block's step 0; and how many the block has
    for block in range(len(steps)):
        lane0 = block * LANES
        slots = steps[block] + 1 if save else 2
        if recurrent:
            clear(zh, slot * 2 * block_size + block_size, block_size)
        for t in range(steps[block]):
            now = (slot + (t if save else t % 2)) * 2 * block_size
            after = (slot + (t + 1 if save else (t + 1) % 2)) * 2 * block_size
            pack_inputs(inputs, lane0, t, 1, x, 0)
            multiply(w_in, b_in, 0, hidden, True, x, 0, zh, now)
            if recurrent:
                starts, columns, values = w_core
                new = after + block_size
                for j in range(hidden):
                    at = j * LANES
                    old = now + block_size + at
                    if save:
                        gates0 = ((slot - block + t) * hidden + j) * 4 * LANES
                        gru_unit_saving(
                            zh, now, columns, values, starts, b_core, hidden, j,
                            old, new + at, gates, gates0,
                        )  # fmt: skip
                    else:
                        gru_unit(
                            zh, now, columns, values, starts, b_core, hidden, j,
                            old, new + at, gates, 0,
                        )  # fmt: skip
            else:
                new = now + block_size
                multiply(w_core, b_core, 0, hidden, True, zh, now, zh, new)
            multiply(w_out, b_out, 0, n_outputs, False, zh, new, q, 0)
            unpack(q, 0, n_outputs, outputs, output_rows, lane0, t * output_stride)
        if save:
            slot += slots


@compiled
def agent_backward(
    inputs,
    steps,
    lanes_in_last,
    recurrent,
    matrices,
    transposed,
    d_outputs,
    output_rows,
    output_stride,
    sizes,
    tile,
    spread,
    zh,
    gates,
    x,
    dq,
    dz,
    d_core,
    dh,
    d_values,
    d_biases,
):
    """Gradients of all weights of :func:`agent_forward`, which saved ``zh`` and ``gates``.

    Steps go backward in tiles; x, dq, dz and d_core (the gradients of the pre-activations) hold
    one tile, over which each kept weight's gradient is summed in registers. Gradient arrays are
    added to.
    """
    n_inputs, hidden, n_outputs = sizes
    w_in, w_core, w_out = matrices
    _, w_core_t, w_out_t = transposed
    d_in_values, d_core_values, d_out_values = d_values
    d_in_bias, d_core_bias, d_out_bias = d_biases
    block_size = hidden * LANES
    x_size = ((n_inputs + WIDTH - 1) // WIDTH + 1) * WIDTH * LANES
    q_size = (n_outputs + WIDTH - 1) // WIDTH * WIDTH * LANES
    core_size = 4 * block_size if recurrent else block_size
    slot = 0
    for block in range(len(steps)):
        lane0 = block * LANES
        clear(dh, 0, block_size)
        last = steps[block]
        while last > 0:
            first = max(0, last - tile)
            for t in range(last - 1, first - 1, -1):
                i = t - first
                now = (slot + t) * 2 * block_size
                dq0, dz0, core0 = i * q_size, i * block_size, i * core_size
                pack_inputs(inputs, lane0, t, -1, x, i * x_size)
                shift = t * output_stride
                pack(d_outputs, output_rows, lane0, shift, n_outputs, -output_stride, dq, dq0)
                if block == len(steps) - 1 and lanes_in_last < LANES:
                    clear_lanes(dq, dq0, n_outputs, lanes_in_last)
                if recurrent:
                    multiply_add(w_out_t, 0, hidden, dq, dq0, dh, 0)
                    for j in range(hidden):
                        at = j * LANES
                        gates0 = ((slot - block + t) * hidden + j) * 4 * LANES
                        gru_unit_backward(
                            dh, at, gates, gates0, zh, now + block_size + at,
                            d_core, core0 + at, block_size,
                        )  # fmt: skip
                    multiply_add(w_core_t, hidden, 2 * hidden, d_core, core0, dh, 0)
                else:
                    after = now + block_size
                    multiply_where_positive(w_out_t, hidden, dq, dq0, zh, after, d_core, core0)
                multiply_where_positive(w_core_t, hidden, d_core, core0, zh, now, dz, dz0)
            count = last - first
            bottom = (slot + first) * 2 * block_size
            step = 2 * block_size
            add_weight_gradient(
                w_core, zh, bottom, step, d_core, 0, core_size, count, spread,
                d_core_values, d_core_bias,
            )  # fmt: skip
            add_weight_gradient(
                w_in, x, 0, x_size, dz, 0, block_size, count, spread, d_in_values, d_in_bias
            )
            new = bottom + (step if recurrent else 0) + block_size
            add_weight_gradient(
                w_out, zh, new, step, dq, 0, q_size, count, spread, d_out_values, d_out_bias
            )
            last = first
        slot += steps[block] + 1


# ------------------------------------------------------------------------------ mixer


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
    saved,
    saved_stride,
    x,
    q,
    y,
):
    """The mixing network over blocks of lanes, a lane being one step of one episode.

    The layers that read the state are one matrix, by rows: for the weights of each agent, for
    the final weights, bias (E), value (E). ``saved`` holds for each block (one block only if its
    stride is 0) that matrix' outputs, then the mixing weights (if they have a layer of their
    own) and the hidden units.
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
    for block in range(len(state_rows) // LANES):
        lane0 = block * LANES
        at = block * saved_stride
        pack(states, state_rows, lane0, 0, n_state, LANES * n_state, x, 0)
        pack(agent_values, value_rows, lane0, 0, n_agents, 0, q, 0)
        before_bias, before_value = wide + narrow, wide + narrow + embed
        multiply(w_state, b_state, 0, before_bias, two_layers, x, 0, saved, at)
        multiply(w_state, b_state, before_bias, before_value, False, x, 0, saved, at)
        multiply(w_state, b_state, before_value, before_value + embed, True, x, 0, saved, at)
        if two_layers:
            rows = n_agents * embed
            multiply(w_first, b_first, 0, rows, False, saved, at, saved, at + weights)
            narrow0 = at + wide * LANES
            multiply(w_final, b_final, 0, embed, False, saved, narrow0, saved, at + finals)
        multiply(w_value, b_value, 0, 1, False, saved, at + value0, y, 0)
        for e in range(embed):
            unit = e * LANES
            mix_unit(
                q, saved, at + weights + unit, embed * LANES, saved, at + bias0 + unit, n_agents,
                saved, at + finals + unit, saved, at + hidden0 + unit, y,
            )  # fmt: skip
        for lane in range(LANES):
            outputs[output_rows[lane0 + lane]] = y[lane]


@compiled
def mixer_backward(
    agent_values,
    value_rows,
    states,
    state_rows,
    lanes_in_last,
    two_layers,
    matrices,
    transposed,
    d_outputs,
    output_rows,
    d_agent_values,
    sizes,
    spread,
    saved,
    saved_stride,
    x,
    q,
    dq,
    dy,
    d_saved,
    d_values,
    d_biases,
):
    """Gradients of :func:`mixer_forward`; ``d_saved`` mirrors one block of ``saved``."""
    n_agents, n_state, embed, wide, narrow = sizes
    w_state, w_value, w_first, w_final = matrices
    _, w_value_t, w_first_t, w_final_t = transposed
    d_state_values, d_value_values, d_first_values, d_final_values = d_values
    d_state_bias, d_value_bias, d_first_bias, d_final_bias = d_biases
    bias0 = (wide + narrow) * LANES
    value0 = bias0 + embed * LANES
    top = value0 + embed * LANES
    weights = top if two_layers else 0
    finals = weights + n_agents * embed * LANES
    hidden0 = top + ((n_agents + 1) * embed * LANES if two_layers else 0)
    blocks = len(state_rows) // LANES
    for block in range(blocks):
        lane0 = block * LANES
        at = block * saved_stride
        pack(states, state_rows, lane0, 0, n_state, LANES * n_state, x, 0)
        pack(agent_values, value_rows, lane0, 0, n_agents, 0, q, 0)
        for lane in range(LANES):
            dy[lane] = d_outputs[output_rows[lane0 + lane]]
        if block == blocks - 1:
            clear_lanes(dy, 0, 1, lanes_in_last)
        clear(dq, 0, n_agents * LANES)
        for e in range(embed):
            unit = e * LANES
            mix_unit_backward(
                q, saved, at + weights + unit, embed * LANES, n_agents,
                saved, at + finals + unit, saved, at + hidden0 + unit, dy, dq,
                d_saved, weights + unit, d_saved, bias0 + unit, d_saved, finals + unit,
            )  # fmt: skip
        if block < blocks - 1 or lanes_in_last == LANES:
            unpack(dq, 0, n_agents, d_agent_values, value_rows, lane0, 0)
        else:  # the lanes that fill the block up are no rows of their own
            for lane in range(lanes_in_last):
                for agent in range(n_agents):
                    d_agent_values[value_rows[lane0 + lane] + agent] = dq[agent * LANES + lane]
        multiply_where_positive(w_value_t, embed, dy, 0, saved, at + value0, d_saved, value0)
        if two_layers:
            narrow0 = wide * LANES
            multiply_where_positive(w_first_t, wide, d_saved, weights, saved, at, d_saved, 0)
            multiply_where_positive(
                w_final_t, narrow, d_saved, finals, saved, at + narrow0, d_saved, narrow0
            )
            add_weight_gradient(
                w_first, saved, at, 0, d_saved, weights, 0, 1, spread, d_first_values, d_first_bias
            )
            add_weight_gradient(
                w_final, saved, at + narrow0, 0, d_saved, finals, 0, 1, spread,
                d_final_values, d_final_bias,
            )  # fmt: skip
        add_weight_gradient(
            w_value, saved, at + value0, 0, dy, 0, 0, 1, spread, d_value_values, d_value_bias
        )
        add_weight_gradient(
            w_state, x, 0, 0, d_saved, 0, 0, 1, spread, d_state_values, d_state_bias
        )


# ------------------------------------------------------------------------------ target operators


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


# What is called from outside; everything above is compiled with them.
ENTRIES = (
    agent_forward,
    agent_backward,
    mixer_forward,
    mixer_backward,
    greedy_values,
    soft_mellowmax_parts,
)
