"""A decision of all agents in one call, and the kept weights that it reads.

Legend: a block is 16 lanes, features-major; WIDTH = 16. K networks, of I inputs (O of them the
observation), F units of the first layer, H of the core and U actions; R rows, one for each agent of
each environment. Rows of all layers of all networks lie below each other: F of fc1, 4H of a GRU
cell (r, u, n from the input, n from the hidden state) or H of a linear layer, U of fc2.
"""

# Compiled functions take arrays and offsets, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.cache import compiled
from epymarl_mast.sparse.kernels.decision_units import gru_unit, linear_unit, relu_unit
from epymarl_mast.sparse.kernels.emit import WIDTH

# ------------------------------------------------------------------------------ weights


@compiled
def append_row(weights, first_column, columns, values, k):
    """Write a row's weights that are not 0 from place k on; returns the place after them.

    Every weight is written and only the place moves on, or not: no branch to mispredict.
    """
    for column in range(len(weights)):
        weight = weights[column]
        columns[k] = (first_column + column) * WIDTH
        values[k] = weight
        k += weight != 0.0
    return k


@compiled
def append_network(fc1, core, core_hidden, fc2, starts, columns, values, biases, row):
    """Write one network's kept weights and biases below those of the networks before.

    A layer is (weight, bias); ``core_hidden`` is empty for a feed-forward network. ``row`` is the
    network's first one, and ``starts[row]`` says how many weights came before.
    """
    first, units = len(fc1[1]), fc2[0].shape[1]
    k = starts[row]
    for j in range(first):
        k = append_row(fc1[0][j], 0, columns, values, k)
        biases[row] = fc1[1][j]
        row += 1
        starts[row] = k
    recurrent = len(core_hidden[1]) > 0
    for gate in range(4 if recurrent else 1):
        for j in range(units):
            # n is split: what comes from the hidden state is multiplied by r
            reads_input, reads_hidden = gate < 3, recurrent and gate != 2
            at = min(gate, 2) * units + j
            biases[row] = 0.0
            if reads_input:
                k = append_row(core[0][at], 0, columns, values, k)
                biases[row] += core[1][at]
            if reads_hidden:
                k = append_row(core_hidden[0][at], first, columns, values, k)
                biases[row] += core_hidden[1][at]
            row += 1
            starts[row] = k
    for u in range(len(fc2[1])):
        k = append_row(fc2[0][u], 0, columns, values, k)
        biases[row] = fc2[1][u]
        row += 1
        starts[row] = k


# ------------------------------------------------------------------------------ decision


@compiled
def action_values(
    starts,
    columns,
    values,
    biases,
    row,
    recurrent,
    x,
    x0,
    zh,
    before,
    after,
    first,
    units,
    q,
    q0,
    actions,
):
    """Values of one block: q = fc2(h'), h' = core(z, h), z = relu(fc1(x)).

    ``before`` and ``after`` are the places in zh of [z, h] of this step and of the next.
    """
    for j in range(first):
        relu_unit(x, x0, columns, values, starts, biases, row + j, zh, before + j * WIDTH)
    row += first
    hidden = first * WIDTH
    for j in range(units):
        at = hidden + j * WIDTH
        if recurrent:
            gru_unit(
                zh, before, columns, values, starts, biases, row + j, units,
                before + at, zh, after + at,
            )  # fmt: skip
        else:
            relu_unit(zh, before, columns, values, starts, biases, row + j, zh, after + at)
    row += 4 * units if recurrent else units
    for u in range(actions):
        at = q0 + u * WIDTH
        linear_unit(zh, after + hidden, columns, values, starts, biases, row + u, q, at)


@compiled
def epsilon_greedy(q, q0, available, epsilon, draw, draw_action):
    """One row's action; see :func:`epymarl_mast.controllers.act_kernel.epsilon_greedy`."""
    best, count = 0, 0
    for u in range(len(available)):
        if available[u] != 0:
            if count == 0 or q[q0 + u * WIDTH] > q[q0 + best * WIDTH]:
                best = u
            count += 1
    if count > 0 and draw < epsilon:
        left = int(draw_action * count)
        for u in range(len(available)):
            if available[u] != 0:
                if left == 0:
                    return u
                left -= 1
    return best


@compiled
def decide(
    observations,
    available,
    epsilon,
    draws,
    starts,
    columns,
    values,
    biases,
    networks,
    recurrent,
    first_units,
    units,
    last_action,
    x,
    zh,
    step,
    q,
    actions,
):
    """Actions of all rows.

    A network's rows are every K-th one, so row r is lane ``r // K`` of network ``r % K``. A
    network's blocks follow each other in x, zh and q; zh holds [z, h] twice, used in turn by the
    steps. Action values are left in q.

    Args:
        observations: (R, O) float32.
        available: (R, U) int32.
        epsilon: probability of a random action.
        draws: (2 R,) uniform numbers.
        starts, columns, values, biases: kept weights, see :func:`append_network`.
        networks, recurrent, first_units, units: K, whether they are GRUs, F, H.
        last_action: the feature where the one-hot last action begins, -1 for nowhere.
        x, zh, q: blocks of inputs, states and action values.
        step: 0 at an episode's first decision, then 1, 2, …
        actions: (R,) int64, those of the step before; replaced.
    """
    rows, n_actions = available.shape
    lanes = rows // networks
    blocks = (lanes + WIDTH - 1) // WIDTH
    x_size = len(x) // (networks * blocks)
    zh_size = (first_units + units) * WIDTH
    of_network = (len(starts) - 1) // networks
    for network in range(networks):
        for block in range(blocks):
            number = network * blocks + block
            x0, q0 = number * x_size, number * n_actions * WIDTH
            first = block * WIDTH
            count = min(WIDTH, lanes - first)
            for lane in range(count):
                r = (first + lane) * networks + network
                for feature in range(observations.shape[1]):
                    x[x0 + feature * WIDTH + lane] = observations[r, feature]
            before = (2 * number + step % 2) * zh_size
            after = (2 * number + (step + 1) % 2) * zh_size
            action_values(
                starts, columns, values, biases, network * of_network, recurrent,
                x, x0, zh, before, after, first_units, units, q, q0, n_actions,
            )  # fmt: skip
            for lane in range(count):
                r = (first + lane) * networks + network
                draw, other = draws[2 * r], draws[2 * r + 1]
                action = epsilon_greedy(q, q0 + lane, available[r], epsilon, draw, other)
                if last_action >= 0:
                    place = x0 + last_action * WIDTH + lane
                    if step > 0:
                        x[place + actions[r] * WIDTH] = 0.0
                    x[place + action * WIDTH] = 1.0
                actions[r] = action
