"""The optimiser's memory of weights that are gone or new."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

# What each optimiser keeps per weight. An unknown one is refused, because state that is not
# cleared would silently carry a dropped weight's momentum over to a grown one.
_PER_WEIGHT_STATE: dict[type[Optimizer], tuple[str, ...]] = {
    Adam: ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    AdamW: ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    RMSprop: ("square_avg", "grad_avg", "momentum_buffer"),
    SGD: ("momentum_buffer",),
}

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def reset_optimizer_state(
    optimizer: Optimizer, survivors: Iterable[tuple[torch.nn.Parameter, Tensor]]
) -> None:
    """Zero the optimiser's per-weight state wherever a weight did not survive a topology update.

    Args:
        optimizer: Adam, AdamW, RMSprop or SGD (that class itself, not a subclass).
        survivors: pairs of a parameter and its bool mask of surviving positions.

    Raises:
        TypeError: for any other optimiser.

    Source: MAST §2; state of absent weights is zero at all times, a grown weight starts with none.
    """
    keys = per_weight_state(optimizer)
    for parameter, mask in survivors:
        state = optimizer.state.get(parameter, {})
        for key in keys:
            if isinstance(state.get(key), Tensor):
                state[key].mul_(mask)


def per_weight_state(optimizer: Optimizer) -> tuple[str, ...]:
    """Names of the tensors of a parameter's shape that ``optimizer`` keeps in its state.

    Raises:
        TypeError: for an optimiser whose state is not known here.
    """
    try:
        return _PER_WEIGHT_STATE[type(optimizer)]
    except KeyError:
        known = ", ".join(kind.__name__ for kind in _PER_WEIGHT_STATE)
        raise TypeError(
            f"optimiser {type(optimizer).__name__} is not supported by sparse training: {known} are"
        ) from None
