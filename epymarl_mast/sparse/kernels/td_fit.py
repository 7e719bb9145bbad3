"""TD errors of a mixing network and the gradient of their mean square, in one pass over the steps.

The same numbers as :class:`.mixer.SparseMixer` and :mod:`.regression` one after the other, under
torch's autograd, which would have to mix once more for the gradients.

Legend: B episodes, T transitions, N agents, U actions, S state features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import row_lanes
from epymarl_mast.sparse.kernels.memory import address, need_shape, rows_at
from epymarl_mast.sparse.kernels.mixer import SparseMixer
from epymarl_mast.sparse.kernels.taken import Taken


class Fit(NamedTuple):
    """How well a mixing network fits its targets.

    Attributes:
        values: (B, T, 1) joint values of the actions taken.
        errors: (B, T, 1) values minus target, 0 outside the mask.
        loss: sum of the squares of errors over the number of steps in the mask; no axes.
        d_q_values: (B, T', N, U) gradient of the loss for the agents' values.
    """

    values: Tensor
    errors: Tensor
    loss: Tensor
    d_q_values: Tensor


def fit(
    mixer: SparseMixer,
    q_values: Tensor,
    actions: Tensor,
    state: Tensor,
    target: Tensor,
    mask: Tensor,
) -> Fit:
    """Mix the values of the actions taken, compare, and give the mixer's parameters their gradient.

    Args:
        mixer: whose leaves get ``grad``.
        q_values: (B, T', N, U) float32.
        actions: (B, T, N, 1) int64 of the first T <= T' steps.
        state: (B, T, S) float32.
        target, mask: (B, T, 1) float32.

    Raises:
        ValueError: as of a call of the mixer, and for a target or mask of another shape.
    """
    mixer.check(q_values, actions, state)
    network, taken = mixer.network, Taken(q_values, actions)
    agent_values, (by_batch, by_time, _), n_agents = taken.read()
    batch, time, _ = state.shape
    need_shape("targets", target, batch, time, 1)
    need_shape("masks", mask, batch, time, 1)
    lanes = row_lanes(batch, time)
    states, (state_batch, state_time, _), state = rows_at(state)
    value_rows = lanes.offsets(by_batch, by_time)
    values, errors = torch.empty(batch, time, 1), torch.empty(batch, time, 1)
    loss = torch.empty(())
    d_values = np.empty(batch * time * n_agents, np.float32)
    network.read()
    network.start_gradients()
    call(
        loops().mixer_fit,
        agent_values, value_rows, states, lanes.offsets(state_batch, state_time), lanes.in_last,
        mixer.two_layers, mixer.by_four(network.matrices), mixer.by_four(network.biases),
        mixer.by_four(network.transposed),
        address(target), address(mask), values.data_ptr(), errors.data_ptr(),
        loss.data_ptr(), d_values, value_rows,
        mixer.sizes(n_agents), network.spread, *mixer.room_of(n_agents).backward.arrays,
        mixer.by_four(network.d_matrices), mixer.by_four(network.d_biases),
    )  # fmt: skip
    for leaf, gradient in zip(network.leaves, network.gradients(), strict=True):
        leaf.grad = gradient
    return Fit(values, errors, loss, taken.spread(d_values))
