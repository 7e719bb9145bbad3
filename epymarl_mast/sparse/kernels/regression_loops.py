"""From a batch's small fields to regression targets and errors, one pass each.

Legend: B episodes, T transitions, N agents, U actions, C columns of the value. Arrays are given by
their addresses; ``*_at`` are the strides of the axes of the array before them, all others are
contiguous. ``shape`` is (B, T, C).
"""

# Compiled functions take arrays and strides, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from epymarl_mast.sparse.kernels.addresses import bytes_at, floats_at, longs_at
from epymarl_mast.sparse.kernels.cache import compiled

FLOAT = np.float32
ZERO, ONE = np.float32(0.0), np.float32(1.0)


@compiled
def real_steps(filled, filled_at, ended, ended_at, shape, as_host, terminated, mask):
    """``terminated`` as numbers, and the mask of the steps inside the episodes."""
    filled, ended = longs_at(filled), bytes_at(ended)
    terminated, mask = floats_at(terminated), floats_at(mask)
    episodes, steps, _ = shape
    for episode in range(episodes):
        before = ZERO  # whether the step before ended the task
        for t in range(steps):
            place = episode * filled_at[0] + t * filled_at[1]
            inside = FLOAT(filled[place])
            if not as_host:
                inside *= FLOAT(filled[place + filled_at[1]])
            now = FLOAT(ended[episode * ended_at[0] + t * ended_at[1]])
            terminated[episode * steps + t] = now
            mask[episode * steps + t] = inside * (ONE - before)
            before = now


@compiled
def standardise(rewards, rewards_at, mask, everything, shape, before, count, after, out):
    """Add rewards to running statistics of ``count`` ones, and apply these.

    ``before`` and ``after``, an array, are mean (C,) and variance (C,); of ``after`` follows how
    many steps were added. Those outside the mask are not, unless ``everything`` is.
    """
    rewards, mask, out = floats_at(rewards), floats_at(mask), floats_at(out)
    mean, variance = floats_at(before[0]), floats_at(before[1])
    episodes, steps, columns = shape
    for column in range(columns):
        seen, total, squares = 0, 0.0, 0.0
        for episode in range(episodes):
            for t in range(steps):
                if everything or mask[episode * steps + t] > ZERO:
                    place = episode * rewards_at[0] + t * rewards_at[1] + column * rewards_at[2]
                    total += rewards[place]
                    seen += 1
        own = total / seen
        for episode in range(episodes):
            for t in range(steps):
                if everything or mask[episode * steps + t] > ZERO:
                    place = episode * rewards_at[0] + t * rewards_at[1] + column * rewards_at[2]
                    squares += (rewards[place] - own) ** 2
        delta = own - mean[column]
        both = count + seen
        scatter = squares * seen / (seen - 1.0)  # the variance's own division is by seen - 1
        scatter += variance[column] * count + delta * delta * count * seen / both
        centre = FLOAT(mean[column] + delta * seen / both)
        scale = FLOAT(scatter / both)
        after[column], after[columns + column], after[2 * columns] = centre, scale, seen
        scale = np.sqrt(scale)
        for episode in range(episodes):
            for t in range(steps):
                place = episode * rewards_at[0] + t * rewards_at[1] + column * rewards_at[2]
                out[(episode * steps + t) * columns + column] = (rewards[place] - centre) / scale


@compiled
def td_lambda(rewards, rewards_at, terminated, mask, values, values_at, shape, gamma, lam, out):
    """TD(λ) backward in time; λ = 0 is the one-step target."""
    rewards, terminated, mask = floats_at(rewards), floats_at(terminated), floats_at(mask)
    values, out = floats_at(values), floats_at(out)
    episodes, steps, columns = shape
    gamma, lam = FLOAT(gamma), FLOAT(lam)
    for episode in range(episodes):
        for column in range(columns):
            following, goes_on = ZERO, False
            for t in range(steps - 1, -1, -1):
                place = episode * steps + t
                target = ZERO
                if mask[place] > ZERO:
                    at = episode * rewards_at[0] + t * rewards_at[1] + column * rewards_at[2]
                    target = rewards[at]
                    if not terminated[place] > ZERO:
                        own = values[
                            episode * values_at[0] + t * values_at[1] + column * values_at[2]
                        ]
                        if goes_on:
                            own = (ONE - lam) * own + lam * following
                        target += gamma * own
                out[place * columns + column] = target
                following, goes_on = target, mask[place] > ZERO


@compiled
def deepen(rewards, rewards_at, terminated, mask, shape, gamma, rounds, out):
    """From one-step targets in ``out`` to those of ``rounds`` more rewards, in place."""
    rewards, terminated, mask = floats_at(rewards), floats_at(terminated), floats_at(mask)
    out = floats_at(out)
    episodes, steps, columns = shape
    gamma = FLOAT(gamma)
    for episode in range(episodes):
        for column in range(columns):
            for _ in range(rounds):
                for t in range(steps - 1):
                    place = episode * steps + t
                    if (
                        mask[place] > ZERO
                        and mask[place + 1] > ZERO
                        and not terminated[place] > ZERO
                    ):
                        at = episode * rewards_at[0] + t * rewards_at[1] + column * rewards_at[2]
                        deeper = out[(place + 1) * columns + column]
                        out[place * columns + column] = rewards[at] + gamma * deeper


@compiled
def masked_error(values, target, mask, shape, out):
    """Out = (values - target) inside the mask, which has one column."""
    values, target, mask, out = (
        floats_at(values), floats_at(target), floats_at(mask), floats_at(out),
    )  # fmt: skip
    episodes, steps, columns = shape
    for place in range(episodes * steps):
        for at in range(place * columns, (place + 1) * columns):
            out[at] = (values[at] - target[at]) * mask[place]


@compiled
def times_mask(x, x_at, mask, shape, out):
    """Out = x inside the mask, which has one column."""
    x, mask, out = floats_at(x), floats_at(mask), floats_at(out)
    episodes, steps, columns = shape
    for episode in range(episodes):
        for t in range(steps):
            for column in range(columns):
                place = episode * steps + t
                at = episode * x_at[0] + t * x_at[1] + column * x_at[2]
                out[place * columns + column] = x[at] * mask[place]


@compiled
def mean_square(errors, mask, mask_at, shape, out):
    """out[0] = sum of squared errors over the steps in the mask, out[1] = 2 over those steps.

    The mask has one column, which counts C times.
    """
    errors, mask, out = floats_at(errors), floats_at(mask), floats_at(out)
    episodes, steps, columns = shape
    total, seen = 0.0, 0.0
    for at in range(episodes * steps * columns):
        total += np.float64(errors[at]) * errors[at]
    for episode in range(episodes):
        for t in range(steps):
            seen += mask[episode * mask_at[0] + t * mask_at[1]]
    seen *= columns
    out[0], out[1] = total / seen, 2.0 / seen


@compiled
def scaled(x, first, second, count, out):
    """Out = x times both numbers that are at these addresses."""
    x, out = floats_at(x), floats_at(out)
    factor = floats_at(first)[0] * floats_at(second)[0]
    for at in range(count):
        out[at] = x[at] * factor


@compiled
def values_of_actions(values, values_at, n_actions, actions, actions_at, shape, out):
    """out[b, t, n] = values[b, t, n, actions[b, t, n]]; ``shape`` is (B, T, N), out an array."""
    values, actions = floats_at(values), longs_at(actions)
    episodes, steps, agents = shape
    for episode in range(episodes):
        for t in range(steps):
            for agent in range(agents):
                action = actions[
                    episode * actions_at[0] + t * actions_at[1] + agent * actions_at[2]
                ]
                if not 0 <= action < n_actions:
                    raise IndexError("an action that is none of those with a value")
                at = episode * values_at[0] + t * values_at[1] + agent * values_at[2]
                out[(episode * steps + t) * agents + agent] = values[at + action * values_at[3]]


@compiled
def spread_to_actions(taken, actions, actions_at, shape, whole, out):
    """out[b, t, n, actions[b, t, n]] = taken[b, t, n], else 0; ``whole`` is (T', N, U) of out.

    ``taken`` and ``out`` are arrays, not addresses.
    """
    actions = longs_at(actions)
    episodes, steps, agents = shape
    time, _, n_actions = whole
    for at in range(len(out)):
        out[at] = ZERO
    for episode in range(episodes):
        for t in range(steps):
            for agent in range(agents):
                action = actions[
                    episode * actions_at[0] + t * actions_at[1] + agent * actions_at[2]
                ]
                place = ((episode * time + t) * agents + agent) * n_actions
                out[place + action] = taken[(episode * steps + t) * agents + agent]
