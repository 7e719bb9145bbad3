"""The unroll of an agent network and its gradients.

Legend: a block is 64 lanes, features-major; LANES = 64. All arrays are flat float32 but for
``*_rows`` (int64, where each lane's row begins in a caller's array), ``steps`` (int64, each
block's number of steps) and the matrices (:class:`patterns.Csr`). Sizes: I inputs, H hidden units,
U outputs.
"""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.addresses import floats_at
from epymarl_mast.sparse.kernels.cache import compiled, inlined
from epymarl_mast.sparse.kernels.emit import (
    LANES,
)
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
from epymarl_mast.sparse.kernels.units import (
    gru_unit,
    gru_unit_backward,
    gru_unit_saving,
)


@inlined
def pack_inputs(inputs, lane0, t, direction, x, x0):
    """A step's inputs of one block: observation, last action, agent id.

    ``inputs`` are the pieces of :class:`epymarl_mast.sparse.kernels.agent.AgentInputs`, with
    observations and actions by their addresses; ``direction`` is 1 or -1, where the step that is
    packed next lies.
    """
    (
        observations, rows, stride, features,
        actions, action_rows, action_stride, n_actions, agents, n_ids, first_id,
    ) = inputs  # fmt: skip
    observations, actions = floats_at(observations), floats_at(actions)
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
    transposed,
    d_outputs,
    output_rows,
    output_stride,
    sizes,
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

    x, dq, dz and d_core (the gradients of the pre-activations) hold one step. Gradient arrays are
    added to; those of weights are in the order of the transposed matrices.
    """
    n_inputs, hidden, n_outputs = sizes
    w_in_t, w_core_t, w_out_t = transposed
    d_in_values, d_core_values, d_out_values = d_values
    d_in_bias, d_core_bias, d_out_bias = d_biases
    block_size = hidden * LANES
    slot = 0
    for block in range(len(steps)):
        lane0 = block * LANES
        clear(dh, 0, block_size)
        for t in range(steps[block] - 1, -1, -1):
            now = (slot + t) * 2 * block_size
            state = now + block_size
            pack_inputs(inputs, lane0, t, -1, x, 0)
            shift = t * output_stride
            pack(d_outputs, output_rows, lane0, shift, n_outputs, -output_stride, dq, 0)
            if block == len(steps) - 1 and lanes_in_last < LANES:
                clear_lanes(dq, 0, n_outputs, lanes_in_last)
            if recurrent:
                after = state + 2 * block_size
                back_add(w_out_t, 0, hidden, spread, dq, 0, zh, after, dh, 0, d_out_values)
                for j in range(hidden):
                    gates0 = ((slot - block + t) * hidden + j) * 4 * LANES
                    gru_unit_backward(
                        j, hidden, dh, gates, gates0, zh, state + j * LANES, d_core, d_core_bias
                    )
                back_add(
                    w_core_t, hidden, 2 * hidden, spread, d_core, 0, zh, state, dh, 0, d_core_values
                )
            else:
                back_relu(w_out_t, hidden, spread, dq, 0, zh, state, d_core, 0, d_out_values)
                back_bias(hidden, d_core, 0, d_core_bias)
            back_relu(w_core_t, hidden, spread, d_core, 0, zh, now, dz, 0, d_core_values)
            back_weights(w_in_t, n_inputs, spread, dz, 0, x, 0, d_in_values)
            back_bias(n_outputs, dq, 0, d_out_bias)
            back_bias(hidden, dz, 0, d_in_bias)
        slot += steps[block] + 1
