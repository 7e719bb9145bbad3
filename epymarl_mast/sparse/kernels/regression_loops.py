"""From a batch's small fields to regression targets and errors, one pass each.

Legend: B episodes, T transitions, N agents, U actions, C columns of the value. Arrays are flat;
``*_at`` are the strides of the axes of the array before them, and ``shape`` is (B, T, C).
"""

# Compiled functions take arrays and strides, whose types numba finds itself.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from epymarl_mast.sparse.kernels.cache import compiled

FLOAT = np.float32
ZERO, ONE = np.float32(0.0), np.float32(1.0)


@compiled
def real_steps(filled, filled_at, ended, ended_at, shape, as_host, terminated, mask):
    """``terminated`` as numbers, and the mask of the steps inside the episodes."""
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
def standardise(rewards, rewards_at, mask, everything, shape, mean, variance, count, rows, out):
    """Add rewards to the running ``mean`` and ``variance`` (C,) of ``count`` ones, and apply them.

    Those of steps outside the mask are not added, unless ``everything`` is. ``rows`` (1,) is set
    to how many steps were.
    """
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
        mean[column] += delta * seen / both
        variance[column] = scatter / both
        rows[0] = seen
        centre, scale = mean[column], np.sqrt(variance[column])
        for episode in range(episodes):
            for t in range(steps):
                place = episode * rewards_at[0] + t * rewards_at[1] + column * rewards_at[2]
                out[(episode * steps + t) * columns + column] = (rewards[place] - centre) / scale


@compiled
def td_lambda(rewards, rewards_at, terminated, mask, values, values_at, shape, gamma, lam, out):
    """TD(λ) backward in time; λ = 0 is the one-step target."""
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
def masked_error(values, target, mask, columns, out):
    """Out = (values - target) inside the mask, which has one column; all others have C."""
    for place in range(len(mask)):
        for at in range(place * columns, (place + 1) * columns):
            out[at] = (values[at] - target[at]) * mask[place]


@compiled
def times_mask(x, x_at, mask, shape, out):
    """Out = x inside the mask, which has one column."""
    episodes, steps, columns = shape
    for episode in range(episodes):
        for t in range(steps):
            for column in range(columns):
                place = episode * steps + t
                at = episode * x_at[0] + t * x_at[1] + column * x_at[2]
                out[place * columns + column] = x[at] * mask[place]


@compiled
def mean_square(errors, mask, columns, out):
    """out[0] = sum of squared errors over the steps in the mask, out[1] = 2 over those steps."""
    total, steps = 0.0, 0.0
    for error in errors:
        total += np.float64(error) * error
    for inside in mask:
        steps += inside
    steps *= columns
    out[0], out[1] = total / steps, 2.0 / steps


@compiled
def values_of_actions(values, values_at, actions, actions_at, shape, out):
    """out[b, t, n] = values[b, t, n, actions[b, t, n]]; ``shape`` is (B, T, N)."""
    episodes, steps, agents = shape
    for episode in range(episodes):
        for t in range(steps):
            for agent in range(agents):
                action = actions[
                    episode * actions_at[0] + t * actions_at[1] + agent * actions_at[2]
                ]
                at = episode * values_at[0] + t * values_at[1] + agent * values_at[2]
                out[(episode * steps + t) * agents + agent] = values[at + action * values_at[3]]


@compiled
def spread_to_actions(taken, actions, actions_at, shape, whole, out):
    """out[b, t, n, actions[b, t, n]] = taken[b, t, n], else 0; ``whole`` is (T', N, U) of out."""
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
